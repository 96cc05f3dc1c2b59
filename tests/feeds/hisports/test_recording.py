"""A real game from a recording through intake, fold, REST and codec: what comes out is what an own count says."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest

from touchline.feeds import registry
from touchline.feeds.base import Hosting, Trust
from touchline.feeds.hisports import FEED
from touchline.feeds.intake import Intake
from touchline.model import Event
from touchline.testing.memory import MemoryHub
from touchline.wire.cloudevents import Envelope, decode

from .worlds import RECORDING, SECRET, endpoint, get, new_hub

pytestmark = pytest.mark.skipif(not RECORDING.is_file(), reason="the recordings are not here")
ID = "0b5f9b0e-5d1f-4c35-9b3a-6f3a6f1f2c11"


@pytest.fixture(scope="module")
def events() -> list[Event]:
    intake = Intake(registry.feeds())
    taken = []
    for line in RECORDING.read_bytes().splitlines():
        envelope = decode(line)
        assert isinstance(envelope, Envelope)
        event = intake.event(envelope, 0)
        assert isinstance(event, Event), event
        taken.append(event)
    assert len(taken) == 48
    return taken


def stored(events: list[Event]) -> MemoryHub:
    hub = new_hub()
    for event in events:
        hub.store(event)
    return hub


def newest(events: list[Event], name: str) -> Any:
    return next(json.loads(event.data)[name] for event in reversed(events) if name in json.loads(event.data))


def test_the_box_score_is_what_the_file_says(events: list[Event]) -> None:
    hub = stored(events)
    last = newest(events, "scoresheet")
    game_id = events[0].subject
    assert get(hub, f"/games/{game_id}") == newest(events, "game")
    assert get(hub, f"/games/{game_id}/scoresheet") == last
    box = get(hub, f"/games/{game_id}/boxScore")
    counted = Counter(goal["teamId"] for goal in last["goals"])
    assert {team["id"]: team["score"] for team in box["teams"]} == {227: counted[227], 214: counted[214]}
    assert sum(counted.values()) == len(box["goals"]) == 7
    assert len(box["penalties"]) == len(last["penalties"])
    names = {m["participantId"]: m for side in last["lineups"].values() for m in side["members"]}
    by_scorer = Counter(goal["participant"]["participantId"] for goal in box["goals"])
    assert by_scorer == Counter(goal["participantId"] for goal in last["goals"])
    for goal in box["goals"]:
        player = names[goal["participant"]["participantId"]]
        assert goal["participant"]["fullName"] == player["participant"]["fullName"]
        assert goal["participant"]["number"] == player["number"]
    when = [(int(goal["gameTime"]["period"]), -goal["gameTime"]["minutes"]) for goal in box["goals"]]
    assert when == sorted(when)
    lineups = get(hub, f"/games/{game_id}/lineups")
    assert {team: len(members) for team, members in lineups.items()} == {
        team: len(side["members"]) for team, side in last["lineups"].items()
    }


def test_late_and_repeated_updates_do_no_harm(events: list[Event]) -> None:
    hub = stored(events)
    expected = hub.fold(events[0].subject)
    dice = random.Random(1)
    for _ in range(5):
        mixed = list(events)
        for _ in range(30):
            mixed.insert(dice.randrange(len(mixed)), dice.choice(events))
        again = stored([*mixed, *events[-2:]])  # the newest states arrive last
        state = again.fold(events[0].subject)
        assert FEED.snapshot is not None
        assert FEED.snapshot.view(state) == FEED.snapshot.view(expected)


@pytest.mark.parametrize("scheme", ["none", "hmac", "standard"])
def test_every_record_goes_out_and_comes_in(events: list[Event], scheme: str) -> None:
    codec = FEED.webhook
    assert codec is not None
    hub, to = stored(events), endpoint(signature=scheme)
    got = []
    for record in hub.stored:
        assert codec.wants(record, to)
        assert codec.permits({"team_id": frozenset({"227"})}, record, None)
        assert not codec.permits({"team_id": frozenset({"228"})}, record, None)
        prepared = codec.prepare(record, codec.variant(to))
        assert prepared is not None
        outgoing = codec.finish(prepared, to, ID, hub.now(), Hosting("http://hub"))
        told = json.loads(outgoing.body)
        assert told == {"type": record.event.type.removeprefix("hisports."), **json.loads(record.event.data)}
        received = codec.receive(
            outgoing.headers, outgoing.body, Trust(() if scheme == "none" else (SECRET,)), hub.now()
        )
        got += getattr(received, "events", ())
    assert [(event.type, event.subject, json.loads(event.data)) for event in got] == [
        (event.type, event.subject, json.loads(event.data)) for event in events
    ]
