"""Retention by size and by age works while publishing goes on, with readers at every place: who keeps up loses nothing,
who is overtaken is told so, and of every (event, reader) pair it is known what became of it.
"""

from __future__ import annotations

import functools
import json
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from receivers import Receiver, Seen
from touchline.delivery.fanout import FanoutLimits
from touchline.testing.clock import FakeClock

from .hubs import Hub, cloud_event
from .webhook_worlds import ids, wait_for
from .websockets import CLOSE, TEXT, Client

MakeHub = Callable[..., Hub]

BOUND = 3_000_000
EACH = 10_000
BATCH = 20
BATCHES = 60
PATH = "/hub/v1/ws?feed=hisports"
SMALL = functools.partial(FanoutLimits, tail_bytes=500_000, chunks_bytes=500_000, runs_bytes=500_000)
"""What is in memory outlives retention; here there is less of it."""


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchline.server.app._RETENTION_SECONDS", 0.02)


def events(batch: int) -> list[dict[str, Any]]:
    names = [f"e{batch * BATCH + one}" for one in range(BATCH)]
    data = {"pad": "x" * EACH}
    return [cloud_event("hisports.unknown", f"g{number % 3}", data, id=name) for number, name in enumerate(names)]


def endpoint(hub: Hub, url: str) -> str:
    body = {"partner": "acme", "url": url, "feed": "hub", "topics": ["hisports.*"], "label": "", "options": {}}
    made: str = hub.admin("POST", "/hub/v1/endpoints", body).json["endpoint"]
    return made


def at(receiver: Receiver, name: str) -> list[Seen]:
    return [one for one in receiver.seen if one.target.endswith(name)]


def report(hub: Hub, made: str) -> dict[str, Any]:
    found: dict[str, Any] = hub.admin("GET", f"/hub/v1/endpoints/{made}").json
    return found


def all_of(client: Client) -> tuple[list[str], int | None]:
    """The ids that come until the end, and the code of the close."""
    found: list[str] = []
    while True:
        got = client.receive()
        if got is None:
            return found, None
        if got[0] == CLOSE:
            return found, int.from_bytes(got[1][:2], "big")
        if got[0] == TEXT:
            found.append(json.loads(got[1])["id"])


def is_run(found: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether they stand in the whole one behind the other, none left out, none twice."""
    start = whole.index(found[0])
    return list(found) == list(whole[start : start + len(found)])


def kept(hub: Hub) -> list[str]:
    return [one["id"] for one in hub.events("feed=hisports")]


def test_by_size_with_readers_behind(
    make_hub: MakeHub, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("touchline.server.app.FanoutLimits", SMALL)
    settings = {"retention": "0", "retention_bytes": str(BOUND), "session_backlog_bytes": 65536}
    hub = make_hub(allow_network=["127.0.0.0/8"], **settings)
    key = hub.partner("acme")["key"]
    whole = [one["id"] for batch in range(BATCHES) for one in events(batch)]
    live: list[str] = []
    with (
        Receiver() as receiver,
        Client(hub, PATH, key=key) as quick,
        Client(hub, PATH, key=key, receive_buffer=8192) as stuck,
    ):
        good, held = (endpoint(hub, receiver.url(name)) for name in ("ok/good", "ok/held"))
        hub.admin("POST", f"/hub/v1/endpoints/{held}/pause")

        def keep_up(owed: int) -> None:
            wait_for(lambda: min(len(at(receiver, "good")), len(live)) >= owed, "who keeps up to keep up")

        def read() -> None:
            for _ in whole:
                live.append(quick.event()["id"])  # noqa: PERF401 - its length is looked at meanwhile

        reading = threading.Thread(target=read, daemon=True)
        reading.start()
        hub.until(lambda: len(hub.running.hub.fanout.readers) == 2, "the sessions")
        for batch in range(BATCHES):
            hub.publish_all(events(batch))
            if not batch:
                first = hub.events("feed=hisports")[0]["position"]
            keep_up((batch - 4) * BATCH)
        log = hub.running.hub.event_log
        hub.until(lambda: log.stats().size_bytes <= BOUND, "the log to be as small as it may be")
        assert 0 < len(kept(hub)) < len(whole) // 2
        assert is_run(kept(hub), whole), "what is kept is the newest, whole"
        assert kept(hub)[-1] == whole[-1]

        # Who keeps up: delivered, all of it.
        reading.join(20)
        assert live == whole
        wait_for(lambda: report(hub, good)["backlog"] == 0, "the good endpoint to have everything")
        taken = at(receiver, "good")
        for game in range(3):
            ours = [name for name in whole if (int(name[1:]) % BATCH) % 3 == game]
            assert [name for name in ids(taken) if name in set(ours)] == ours
        assert report(hub, good)["expired"] == 0

        # Who does not read: a run from the beginning, then it is told; the rest is expired and said to be.
        got, code = all_of(stuck)
        assert is_run(got, whole)
        assert got[0] == whole[0]
        # What the hub's socket takes is lost to nobody: this wants the largest tcp_wmem to be well below all that there
        # is (12 MB; Linux has 4 MB).
        assert len(got) < len(whole)
        assert code == 4410
        answer = hub.get(f"/hub/v1/events?feed=hisports&after={first}", key)
        assert (answer.status, answer.json["reason"]) == (410, "expired")

        # Who was held: expired and delivered are all that there was.
        assert hub.admin("GET", "/hub/v1/status").json["endpoints_lag"]["paused"]["behind"] == 1
        hub.admin("POST", f"/hub/v1/endpoints/{held}/resume")
        wait_for(lambda: report(hub, held)["backlog"] == 0, "the held endpoint to have what is left")
        late = at(receiver, "held")
        got = ids(late)
        for game in range(3):
            ours = [name for name in got if (int(name[1:]) % BATCH) % 3 == game]
            assert ours == sorted(set(ours), key=whole.index), "of each stream in order, and once"
        assert set(kept(hub)) <= set(got)
        assert len(got) < len(whole) // 2
        # Counted are offsets: with those of the hub's own words, and some that a stream took ahead of another.
        more = len(hub.events("feed=hub")) + 3
        assert 0 <= report(hub, held)["expired"] - (len(whole) - len(got)) <= more, "delivered or expired, all of them"
        assert report(hub, held)["dead_letters"] == 0
    lines = [line.getMessage() for line in caplog.records]
    assert "retention overtook an endpoint; what it had not received is gone" in lines
    assert "retention removed records" in lines


def test_by_age(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = make_hub(clock, retention="1h", retention_bytes="0")
    hub.publish_all(events(0))
    first = hub.events("feed=hisports")[0]["position"]
    clock.advance(1800)
    hub.publish_all(events(1))
    assert len(kept(hub)) == 2 * BATCH
    clock.advance(1801)
    wait_for(lambda: len(kept(hub)) == BATCH, "the older half to go")
    assert kept(hub) == [one["id"] for one in events(1)]
    assert hub.get(f"/hub/v1/events?after={first}", hub.admin_key).status == 410
    hub.publish_all(events(2))
    assert [one["seq"] for one in hub.events("feed=hisports&subject=g0")] == list(range(8, 22)), "numbers go on"
