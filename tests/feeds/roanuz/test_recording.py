"""A real match through intake, fold, REST and codec, as a consumer sees it: nothing missing at any moment."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from touchline.feeds.base import Instant, Received, Trust
from touchline.feeds.intake import Intake
from touchline.feeds.roanuz import FEED
from touchline.feeds.roanuz.messages import Notification
from touchline.feeds.roanuz.overs import over_keys
from touchline.feeds.roanuz.webhooks import WEBHOOKS
from touchline.model import Event, Record
from touchline.testing.memory import MemoryHub
from touchline.wire import cloudevents

from .worlds import RECORDINGS, call, endpoint, get, new_hub

MATCH = "ipl_2025_m01"


def recording(name: str) -> Path:
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip("the recordings are not at hand")
    return path


class FastHub(MemoryHub):
    """Folds every record once, as the hub does, before anybody is pushed it."""

    def __init__(self, other: MemoryHub) -> None:
        super().__init__(other.feed, other.members)
        self.views = other.views
        self.states: dict[str, Any] = {}

    def store(self, event: Event) -> Record:
        record = super().store(event)
        assert FEED.snapshot is not None
        state = self.states.setdefault(event.subject, FEED.snapshot.initial(event.subject))
        FEED.snapshot.apply(state, record)
        return record

    def fold(self, subject: str) -> Any | None:
        return self.states.get(subject)


def take(line: bytes) -> Event:
    envelope = cloudevents.decode(line)
    assert isinstance(envelope, cloudevents.Envelope), envelope
    event = Intake({"roanuz": FEED}).event(envelope, 5)
    assert isinstance(event, Event), event
    return event


def data(hub: MemoryHub, path: str) -> Any:
    response = get(hub, path, MATCH)
    return msgspec.json.decode(response.body)["data"] if response.status == 200 else None


def test_all_balls_in_order_and_each_is_there_when_its_push_leaves() -> None:
    hub, to = FastHub(new_hub()), endpoint()
    pushed: list[Any] = []
    for line in recording("ipl2025_match01.ndjson").read_bytes().splitlines():
        record = hub.store(take(line))
        if record.event.type == "roanuz.match":
            assert call(hub, "updates-subscribe", match=MATCH).status == 202
        if not WEBHOOKS.wants(record, to):
            continue
        prepared = WEBHOOKS.prepare(record, WEBHOOKS.variant(to))
        assert prepared is not None
        received = WEBHOOKS.receive((), prepared.body, Trust(), Instant(0, 0.0))
        assert isinstance(received, Received)
        assert received.payload == gzip.decompress(prepared.body)
        assert msgspec.json.decode(received.payload) == json.loads(line)["data"]["notification"]
        notification = msgspec.json.decode(received.payload, type=Notification)
        pushed.append((notification, received.message_id))
        if (ball := notification.data.ball) is not None:
            order = data(hub, "")["play"]["innings_order"]
            found = data(hub, f"ball-by-ball/{over_keys(notification, order)[0]}/")
            assert str(ball.ball_key) in [each["key"] for each in found["over"]["balls"]]
            assert data(hub, "ball-by-ball/")["over"]["balls"][-1] == json.loads(line)["data"]["ball"]
    balls = [each.data.ball.ball_key for each, _ in pushed if each.data.ball is not None]
    assert len(balls) == 223
    assert balls == sorted(set(balls))
    assert len({message_id for _, message_id in pushed}) == len(pushed) == 231


def totals_of(hub: MemoryHub, match: str) -> dict[str, tuple[int, int, int, int]]:
    """By innings: entries, counted on a walk through the overs; legal balls, runs, wickets of the document."""
    entries: dict[str, int] = {}
    at: str | None = "FIRST-OVER"
    while at is not None:
        found = msgspec.json.decode(get(hub, f"ball-by-ball/{at}/", match).body)["data"]
        name = found["over"]["index"]["innings"]
        entries[name] = entries.get(name, 0) + len(found["over"]["balls"])
        at = found["next_over_key"]
    innings = msgspec.json.decode(get(hub, "", match).body)["data"]["play"]["innings"]
    return {
        name: (count, innings[name]["score"]["balls"], innings[name]["score"]["runs"], innings[name]["wickets"])
        for name, count in entries.items()
    }


def expected(match: str) -> dict[str, tuple[int, int, int, int]]:
    (row,) = (each for each in json.loads(recording("ipl2025_matches.json").read_text()) if each["matchkey"] == match)
    return {
        each["innings"]: (each["entries"], each["legal_balls"], each["runs"], each["wickets"])
        for each in row["innings"]
    }


def test_the_totals_agree_with_the_scorecard() -> None:
    hub = FastHub(new_hub())
    for line in recording("ipl2025_match01.ndjson").read_bytes().splitlines():
        hub.store(take(line))
    assert totals_of(hub, MATCH) == expected(MATCH)
    match = data(hub, "")
    assert (match["status"], match["winner"], match["play"]["result"]["pom"]) == ("completed", "b", ["Krunal Pandya"])
    assert match["play"]["innings"]["a_1"]["score_str"] == "174/8 in 20.0"
    assert match["play"]["innings"]["b_1"]["score_str"] == "177/3 in 16.2"


def test_a_whole_season() -> None:
    hub = FastHub(new_hub())
    for line in gzip.decompress(recording("ipl2025_season.ndjson.gz").read_bytes()).splitlines():
        hub.store(take(line))
    played = [each["matchkey"] for each in json.loads(recording("ipl2025_matches.json").read_text())]
    matches = [match for match in played if match in hub.states]
    assert len(matches) == 73
    for match in matches:
        assert totals_of(hub, match) == expected(match), match
    assert FEED.snapshot is not None
    assert all(FEED.snapshot.is_over(state) for state in hub.states.values())
