"""Replay: ids and times are new, everything else is as it stands, and the pace is kept."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from touchline.client.hub import HubRefused, Published
from touchline.errors import ConfigError, EventProblem, UpstreamError
from touchline.sandbox import replay
from touchline.testing.clock import FakeClock
from touchline.wire import rfc3339

SECOND = 1_000_000_000


class Hub:
    """Takes everything, remembers when."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.lines: list[bytes] = []
        self.sizes: list[int] = []
        self.at: list[float] = []
        self.error: Exception | None = None

    def publish(self, lines: Iterable[bytes], *, on_error: str = "fail") -> Published:
        assert on_error == "fail"
        if self.error is not None:
            raise self.error
        lines = list(lines)
        self.lines += lines
        self.sizes.append(len(lines))
        self.at += [self.clock.monotonic()] * len(lines)
        return Published(len(lines) - 1, 1, f"p{len(self.lines)}")

    @property
    def events(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.lines]


class MovingEvent(threading.Event):
    """Waiting moves the clock instead of taking time."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.advance(timeout or 0.0)
        return self.is_set()


class Stage:
    """A clock, a hub, and a file to play into it."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.hub = Hub(self.clock)
        self.stop = MovingEvent(self.clock)
        self.path = directory / "recording.ndjson"

    def write(self, *lines: bytes) -> None:
        self.path.write_bytes(b"".join(line + b"\n" for line in lines))

    def play(self, **options: Any) -> replay.ReplaySummary:
        return replay.run(self.hub, self.path, clock=self.clock, stop=self.stop, **options)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def event(number: int, at_ns: int = 0, data: bytes = b"{}") -> bytes:
    time = rfc3339.encode(1_767_225_600 * SECOND + at_ns).encode()
    return b'{"specversion":"1.0","id":"%d","source":"/r","type":"a.b","subject":"s","time":"%b","data":%b}' % (
        number,
        time,
        data,
    )


def test_the_pace_is_kept(stage: Stage) -> None:
    stage.write(*(event(number, number * SECOND) for number in range(5)))
    began = stage.clock.monotonic()
    summary = stage.play(speed=2.0)
    assert [at - began for at in stage.hub.at] == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])
    assert summary.events == 5
    assert summary.seconds == pytest.approx(2.0)


def test_time_becomes_the_moment_when_the_event_is_due(stage: Stage) -> None:
    stage.write(event(1, 0), event(2, 10 * SECOND), event(3, 10 * SECOND + 1))
    start = stage.clock.wall_ns()
    stage.play(speed=10.0)
    times = [rfc3339.parse(one["time"]) for one in stage.hub.events]
    assert times == [start, start + SECOND, start + SECOND]


def test_max_does_not_wait_and_sends_batches(stage: Stage) -> None:
    stage.write(*(event(number, number * 3_600 * SECOND) for number in range(1_201)))
    start = stage.clock.wall_ns()
    summary = stage.play(speed=None)
    assert stage.hub.sizes == [500, 500, 201]
    assert summary.seconds == 0.0
    assert summary.accepted == 1_201 - 3
    assert summary.duplicates == 3
    assert summary.position == "p1201"
    assert {rfc3339.parse(one["time"]) for one in stage.hub.events} == {start}


def test_batches_stay_under_a_megabyte_and_long_lines_go_alone(stage: Stage) -> None:
    long = b'"' + b"x" * 400_000 + b'"'
    stage.write(*(event(number, data=long) for number in range(5)), event(6, data=b'"' + b"y" * 2_000_000 + b'"'))
    stage.play(speed=None)
    assert stage.hub.sizes == [2, 2, 1, 1]


def test_data_keeps_its_bytes(stage: Stage) -> None:
    data = '{ "z":1.0,"a" : 9007199254740993, "e":1E5,"u":"\\u00e9é", "sequence_number":1497466782073011001}'.encode()
    stage.write(event(1, data=data))
    stage.play(speed=None)
    assert b'"data":' + data in stage.hub.lines[0]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=json_values,
    extension=st.text(st.characters(codec="utf-8"), max_size=20),
    identity=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1),
)
def test_only_id_and_time_change(tmp_path: Path, data: Any, extension: str, identity: str) -> None:
    import json

    body = json.dumps(data, indent=1).replace("\n", " ").encode()
    before = (
        b'{"type":"t","op":%b,"id":%b,"data":%b,"specversion":"1.0","time":"2026-01-01T00:00:00Z","source":"/r"}'
        % (json.dumps(extension).encode(), json.dumps(identity).encode(), body)
    )
    stage = Stage(tmp_path)
    stage.write(before)
    stage.play(speed=None)
    line = stage.hub.lines[0]
    assert b'"data":' + body in line
    old, new = json.loads(before), json.loads(line)
    assert list(old) == list(new)
    assert new["id"].startswith("replay-")
    assert new["id"].endswith(identity)
    assert {**old, "id": 0, "time": 0} == {**new, "id": 0, "time": 0}


def test_each_run_has_ids_of_its_own_and_duplicates_stay_duplicates(stage: Stage) -> None:
    stage.write(event(1), event(1), event(2))
    stage.play(speed=None)
    stage.play(speed=None)
    ids = [one["id"] for one in stage.hub.events]
    assert ids[0] == ids[1] != ids[2]
    assert not set(ids[:3]) & set(ids[3:])


def test_keep_ids_keeps_them(stage: Stage) -> None:
    stage.write(event(7), event(8))
    stage.play(speed=None, keep_ids=True)
    assert [one["id"] for one in stage.hub.events] == ["7", "8"]


def test_gzip_is_seen_by_its_content(stage: Stage) -> None:
    stage.path.write_bytes(gzip.compress(event(1) + b"\n\n" + event(2), mtime=0))
    shown: list[tuple[int, int]] = []
    assert stage.play(speed=None, progress=lambda done, total: shown.append((done, total))).events == 2
    assert shown == [(2, 2)]


def test_loop_plays_again_with_other_ids_until_stopped(stage: Stage) -> None:
    stage.write(event(1), event(2, SECOND))

    def progress(done: int, total: int) -> None:
        if done >= 6:
            stage.stop.set()

    summary = stage.play(speed=1.0, loop=True, progress=progress)
    assert summary.events == 6
    assert len({one["id"] for one in stage.hub.events}) == 6


def test_an_empty_file_does_not_loop_for_ever(stage: Stage) -> None:
    stage.write()
    assert stage.play(loop=True).events == 0


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "not a CloudEvent as JSON"),
        (b"[]", "not a CloudEvent as JSON"),
        (b"\xff", "not a CloudEvent as JSON"),
        (b'{"specversion":"1.0","source":"/r","type":"t"}', "it has no 'id'"),
        (b'{"specversion":"1.0","id":7,"source":"/r","type":"t"}', "'id' must be a text"),
        (b'{"specversion":"1.0","id":"1","source":"/r","type":"t","time":"noon"}', "'time' is not an RFC 3339"),
    ],
)
def test_a_bad_line_is_named_and_what_stood_before_is_sent(stage: Stage, line: bytes, why: str) -> None:
    stage.write(event(1), b"", event(2), line, event(3))
    with pytest.raises(replay.ReplayError) as caught:
        stage.play(speed=None)
    assert "line 4" in str(caught.value)
    assert why in str(caught.value)
    assert "2 events were sent before" in str(caught.value)
    assert len(stage.hub.lines) == 2


def test_events_without_time_go_with_the_one_before(stage: Stage) -> None:
    stage.write(event(1), b'{"specversion":"1.0","id":"x","source":"/r","type":"t","data":1}', event(2, SECOND))
    stage.play(speed=1.0)
    assert stage.hub.sizes == [2, 1]
    assert "time" not in stage.hub.events[1]


def test_a_refusal_names_the_line(stage: Stage) -> None:
    stage.write(b"", event(1), event(2))
    problem = EventProblem(1, "subject", "is needed")
    stage.hub.error = HubRefused("the hub answered 400", status=400, problems=[problem])
    with pytest.raises(replay.ReplayError, match=r"line 3: .*subject: is needed.*0 events were sent before"):
        stage.play(speed=None)


def test_a_hub_that_is_away_is_said(stage: Stage) -> None:
    stage.write(event(1))
    stage.hub.error = UpstreamError("connection refused")
    with pytest.raises(replay.ReplayError, match="connection refused; 0 events were sent before"):
        stage.play(speed=None)


def test_a_damaged_gzip_file_is_said(stage: Stage) -> None:
    stage.path.write_bytes(gzip.compress(event(1) + b"\n" + event(2), mtime=0)[:-9])
    with pytest.raises(replay.ReplayError, match="damaged"):
        stage.play(speed=None, progress=lambda done, total: None)


@pytest.mark.parametrize("options", [{"loop": True, "keep_ids": True}, {"speed": 0.0}, {"speed": -1.0}])
def test_arguments_that_make_no_sense(stage: Stage, options: dict[str, Any]) -> None:
    stage.write(event(1))
    with pytest.raises(ConfigError):
        stage.play(**options)


def test_a_missing_file_is_said(stage: Stage) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        stage.play()
