"""The sandbox game through the feed's own snapshot fold: what a reader sees agrees with what was played."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from touchline.feeds.base import SandboxOptions
from touchline.feeds.shottracker import FEED
from touchline.feeds.shottracker.sandbox.game import Lengths, simulate
from touchline.model import Event, Lane, Record

SHORT = Lengths(quarter=600, overtime=150, before=20, between=20, pause=30)


def fold(seed: int) -> dict[str, Any]:
    assert FEED.snapshot is not None
    lanes = {kind.name: kind.lane for kind in FEED.types}
    state = FEED.snapshot.initial("mock-service")
    seq = 0
    for offset, event in enumerate(simulate(random.Random(seed), SandboxOptions(start_ns=10**18), SHORT), 1):
        if event.subject != "mock-service" or event.type == "shottracker.location":
            continue
        lane = lanes[event.type]
        seq += lane is Lane.EVENT
        fact = Event("shottracker", event.type, event.subject, "/s", str(offset), event.data, 0, 0, lane=lane)
        FEED.snapshot.apply(state, Record(offset, seq if lane is Lane.EVENT else 0, 0, fact))
    return msgspec.json.decode(FEED.snapshot.view(state))


@pytest.mark.parametrize("seed", range(6))
def test_the_snapshot_adds_up(seed: int) -> None:
    view = fold(seed)
    summary = view["summary"]
    assert {summary["home"]["team_id"], summary["away"]["team_id"]} == {123, 456}
    for side in ("home", "away"):
        team = summary[side]
        stats = team["stats"]
        assert team["score"] == stats["PTS"] == sum(player["stats"].get("PTS", 0) for player in team["players"])
        assert team["score"] == 2 * stats.get("FG2", 0) + 3 * stats.get("FG3", 0) + stats.get("FT", 0)
        assert team["score"] == sum(period["score"] for period in team["periods"])
        assert stats.get("FGA", 0) == sum(zone["attempts"] for zone in team["zones"])
        assert stats.get("FG", 0) == sum(zone["makes"] for zone in team["zones"])
    assert len(view["sessions"]) >= 4
    assert view["clock"]["game_clock"] == "0:00.0"


def test_every_event_is_one_that_the_feed_declares_and_accepts() -> None:
    types = {kind.name: kind for kind in FEED.types}
    for event in simulate(random.Random(1), SandboxOptions(start_ns=10**18), SHORT):
        kind = types[event.type]
        data = msgspec.json.decode(event.data, type=kind.data)
        fact = Event("shottracker", event.type, event.subject, "/s", "1", event.data, 0, 0)
        assert kind.check is None or kind.check(fact, data) is None
