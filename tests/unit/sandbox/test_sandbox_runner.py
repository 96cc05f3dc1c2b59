"""The sandbox runner: keeps the pace, batches, survives a hub that is away, loses nothing of the event lane."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from touchline.client.hub import HubRefused, Published
from touchline.errors import EventProblem, UpstreamError
from touchline.feeds.base import Capabilities, Dice, EventType, Feed, SandboxOptions, SandboxSurface, Timed
from touchline.model import Lane
from touchline.sandbox import runner as module
from touchline.sandbox.runner import Runner
from touchline.testing.clock import FakeClock
from touchline.wire import rfc3339

SECOND = 1_000_000_000


class Hub:
    """A hub that takes everything, or fails as often as it is told to."""

    def __init__(self) -> None:
        self.requests: list[list[dict[str, Any]]] = []
        self.lines: list[bytes] = []
        self.failures: list[UpstreamError] = []
        self.lose_answer = False
        self.seen: set[tuple[str, str]] = set()
        self.problems: tuple[EventProblem, ...] = ()

    def publish(self, lines: Iterable[bytes], *, on_error: str = "fail") -> Published:
        lines = list(lines)
        if self.failures and not self.lose_answer:
            raise self.failures.pop(0)
        events = [msgspec.json.decode(line) for line in lines]
        new = [event for event in events if (event["source"], event["id"]) not in self.seen]
        self.seen |= {(event["source"], event["id"]) for event in events}
        self.requests.append(events)
        self.lines += lines
        if self.failures:
            raise self.failures.pop(0)
        return Published(len(new), len(events) - len(new), "p", self.problems)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for request in self.requests for event in request]


def feed(name: str, events: Sequence[Timed], *, endless: bool = False) -> Feed:
    def simulate(dice: Dice, options: SandboxOptions) -> Iterator[Timed]:
        if not endless:
            yield from events
            return
        at = 0
        while True:
            yield Timed(at, f"{name}.fact", "s", b"1")
            at += SECOND // 10

    return Feed(
        name=name,
        title=name,
        document="",
        compared_on="",
        types=(EventType(f"{name}.fact", int), EventType(f"{name}.place", int, Lane.STATE)),
        capabilities=Capabilities(frozenset()),
        sandbox=SandboxSurface(simulate, "s", "test"),
    )


def away() -> UpstreamError:
    return UpstreamError("connection refused")


def test_events_go_out_when_they_are_due() -> None:
    clock, hub = FakeClock(), Hub()
    facts = [Timed(tenth * SECOND // 10, "a.fact", "s", b"%d" % tenth) for tenth in range(10)]
    runner = Runner(hub, [feed("a", facts)], clock=clock, run_id="run")
    for expected in range(1, 11):
        runner.step()
        assert len(hub.events) == expected
        clock.advance(0.1)
    assert runner.step() is None
    assert [len(request) for request in hub.requests] == [1] * 10


def test_what_is_due_goes_in_one_request_of_cloudevents() -> None:
    clock, hub = FakeClock(), Hub()
    facts = [
        Timed(0, "a.fact", "s", b'{"b":1,"a":9007199254740993}', {"op": "c"}),
        Timed(1_500, "a.fact", "t", b"[1.0]"),
    ]
    runner = Runner(hub, [feed("a", facts)], clock=clock, run_id="run")
    start = clock.wall_ns()
    runner.step()
    clock.advance(0.1)
    runner.step()
    assert [len(request) for request in hub.requests] == [1, 1]
    first = hub.events[0]
    assert {name: first[name] for name in ("specversion", "id", "source", "type", "subject", "op")} == {
        "specversion": "1.0",
        "id": "run-1",
        "source": "/sandbox/a",
        "type": "a.fact",
        "subject": "s",
        "op": "c",
    }
    assert b'"data":{"b":1,"a":9007199254740993}' in hub.lines[0]
    assert b'"data":[1.0]' in hub.lines[1]
    assert rfc3339.parse(hub.events[1]["time"]) == start + 1_500


def test_speed_plays_faster() -> None:
    clock, hub = FakeClock(), Hub()
    facts = [Timed(tenth * SECOND // 10, "a.fact", "s", b"1") for tenth in range(100)]
    runner = Runner(hub, [feed("a", facts)], clock=clock, speed=10.0)
    runner.step()
    clock.advance(0.5)
    runner.step()
    assert len(hub.events) == 51


def test_feeds_are_merged_by_time_and_ids_are_unique_per_source() -> None:
    clock, hub = FakeClock(), Hub()
    ours = [Timed(at * SECOND, "a.fact", "s", b"1") for at in (0, 2)]
    theirs = [Timed(at * SECOND, "b.fact", "s", b"2") for at in (1, 3)]
    runner = Runner(hub, [feed("a", ours), feed("b", theirs)], clock=clock)
    runner.step()
    clock.advance(3.0)
    assert runner.step() is None
    assert [event["source"] for event in hub.events] == ["/sandbox/a", "/sandbox/b", "/sandbox/a", "/sandbox/b"]
    assert len({(event["source"], event["id"]) for event in hub.events}) == 4


def test_each_run_has_ids_of_its_own() -> None:
    clock, first, second = FakeClock(), Hub(), Hub()
    facts = [Timed(0, "a.fact", "s", b"1")]
    for hub in (first, second):
        Runner(hub, [feed("a", facts)], clock=clock).step()
    assert first.events[0]["id"] != second.events[0]["id"]


@pytest.mark.parametrize("lose_answer", [False, True])
def test_a_hub_that_is_away_loses_no_event(lose_answer: bool) -> None:
    """Also when it had stored the batch and only the answer was lost: the same ids come again."""
    clock, hub, told = FakeClock(), Hub(), list[str]()
    hub.failures, hub.lose_answer = [away(), away(), away()], lose_answer
    facts = [
        Timed(tenth * SECOND // 10, f"a.{'place' if tenth % 2 else 'fact'}", "s", b"%d" % tenth) for tenth in range(100)
    ]
    runner = Runner(hub, [feed("a", facts)], clock=clock, tell=told.append)
    while runner.step() is not None:
        clock.advance(0.1)
    taken = {event["id"]: event["data"] for event in hub.events}
    assert sorted(data for data in taken.values() if data % 2 == 0) == list(range(0, 100, 2))
    order = list(dict.fromkeys(event["data"] for event in hub.events if event["type"] == "a.fact"))
    assert order == list(range(0, 100, 2))
    assert runner.summary.failures == 3
    assert (runner.summary.duplicates > 0) == lose_answer
    assert "away" in told[0]
    assert told[1] == "the hub is back"


def test_it_waits_longer_and_longer_between_tries() -> None:
    clock, hub = FakeClock(), Hub()
    hub.failures = [away() for _ in range(1_000)]
    runner = Runner(hub, [feed("a", (), endless=True)], clock=clock, tell=lambda text: None)
    for _ in range(600):
        runner.step()
        clock.advance(0.1)
    assert 10 <= runner.summary.requests <= 20


def test_late_places_are_dropped_and_facts_are_not() -> None:
    clock, hub = FakeClock(), Hub()
    events = [Timed(at * SECOND, f"a.{kind}", "s", b"1") for at in range(10) for kind in ("fact", "place")]
    runner = Runner(hub, [feed("a", events)], clock=clock)
    runner.step()
    clock.advance(9.0)
    runner.step()
    kinds = [event["type"] for event in hub.events]
    assert kinds.count("a.fact") == 10
    assert kinds.count("a.place") == 1 + 3
    assert runner.summary.dropped == 6


def test_the_games_stand_still_when_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BACKLOG_LINES", 50)
    clock, hub = FakeClock(), Hub()
    hub.failures = [away() for _ in range(9)]
    runner = Runner(hub, [feed("a", (), endless=True)], clock=clock, tell=lambda text: None, run_id="r")
    while hub.failures:
        runner.step()
        clock.advance(0.1)
    for _ in range(60):
        runner.step()
        clock.advance(0.1)
    numbers = [int(event["id"].removeprefix("r-")) for event in hub.events]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 50 < len(numbers) <= 50 + 62


def test_batches_are_bounded() -> None:
    clock, hub = FakeClock(), Hub()
    events = [Timed(0, "a.fact", "s", b'"' + b"x" * 9_000 + b'"') for _ in range(400)]
    events += [Timed(0, "a.fact", "s", b"1") for _ in range(1_200)]
    runner = Runner(hub, [feed("a", events)], clock=clock)
    assert runner.step() is None
    assert max(len(request) for request in hub.requests) <= 500
    assert len(hub.requests) == 4 + 2
    assert len(hub.events) == 1_600


def test_refused_events_are_told_and_do_not_stop_the_game() -> None:
    clock, hub, told = FakeClock(), Hub(), list[str]()
    hub.problems = (EventProblem(0, "data.x", "must be a number"),)
    runner = Runner(hub, [feed("a", [Timed(0, "a.fact", "s", b"1")])], clock=clock, tell=told.append)
    assert runner.step() is None
    assert runner.summary.refused == 1
    assert "data.x" in told[0]


def test_a_bad_key_ends_the_run() -> None:
    clock, hub = FakeClock(), Hub()
    hub.failures = [HubRefused("the hub answered 401", status=401)]
    with pytest.raises(HubRefused):
        Runner(hub, [feed("a", (), endless=True)], clock=clock).run(threading.Event())


def test_run_ends_with_the_sandboxes_or_when_stopped() -> None:
    hub, stop = Hub(), threading.Event()
    summary = Runner(hub, [feed("a", [Timed(0, "a.fact", "s", b"1")])], clock=FakeClock()).run(stop)
    assert summary.published == 1
    stop.set()
    assert Runner(hub, [feed("a", (), endless=True)], clock=FakeClock()).run(stop).published == 0


def test_the_same_seed_gives_the_same_game() -> None:
    def simulate(dice: Dice, options: SandboxOptions) -> Iterator[Timed]:
        assert options.loop
        for at in range(20):
            yield Timed(at, "a.fact", "s", b"%d" % dice.randint(0, 10**9))

    plain = feed("a", ())
    played = msgspec.structs.replace(plain, sandbox=SandboxSurface(simulate, "s", "test"))
    runs = []
    for seed in (1, 1, 2):
        hub, clock = Hub(), FakeClock()
        runner = Runner(hub, [played], clock=clock, seed=seed, loop=True)
        runner.step()
        clock.advance(0.1)
        runner.step()
        runs.append([event["data"] for event in hub.events])
    assert runs[0] == runs[1] != runs[2]
