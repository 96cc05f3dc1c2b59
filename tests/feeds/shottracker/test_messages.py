"""Publishing: what the types and checks take and refuse, and that every payload says where it is from."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest

from touchline.feeds.shottracker import FEED, messages
from touchline.feeds.shottracker.sources import SOURCES
from touchline.model import Lane

from .worlds import GAME, PAYLOADS, body, new_hub, payload, row

KINDS = {kind.name: kind for kind in FEED.types}


def test_every_payload_has_a_source() -> None:
    sources = tomllib.loads((PAYLOADS / "SOURCES.toml").read_text())
    files = {path.name for path in PAYLOADS.glob("*.json")}
    assert sources.keys() == files
    for name, facts in sources.items():
        assert facts["from"]
        assert ("read" in facts) != name.startswith("synthetic_")


def test_the_declared_types() -> None:
    state = {name.removeprefix("shottracker.") for name, kind in KINDS.items() if kind.lane is Lane.STATE}
    assert state == {"location", "clock", "broadcastsummary"}
    assert KINDS.keys() == {f"shottracker.{name}" for name in (*SOURCES, "game", "team")}
    assert {name for name, kind in KINDS.items() if kind.document} == {"shottracker.game", "shottracker.team"}


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("boxscorestatsv2", {"team_id": 1, "player_id": 2, "stats": {"PTS": 15.0, "NEW": -1}, "version": 1941.0}),
        ("boxscorestatsv2", {"team_id": "1", "player_id": None}),
        ("boxscorestatsv2", {"team_id": 1, "player_id": 2, "classification": "UPDATED_X_TO_Y", "period": None}),
        ("shot", {"team_id": 1, "player_id": "x", "zone": 3.0, "shot_defenders": [1, {"a": 2}]}),
        ("marker", {"type": "SOMETHING"}),
        ("playbyplay", {}),
        ("location", {"type": "BALL", "id": "b1"}),
        ("clock", {}),
        ("broadcastsummary", {"home": {"players": [{"player_id": 1, "stats": {}}]}}),
        ("game", {}),
        ("game", {"event_id": GAME, "results": [{"id": 5, "_shots": "x"}], "tipoff_at": 1.0}),
    ],
)
def test_taken(source: str, data: dict[str, Any]) -> None:
    record = new_hub().publish(f"shottracker.{source}", GAME, body(**data))
    assert record.event.data == body(**data)


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("boxscorestatsv2", {"player_id": 2}),
        ("boxscorestatsv2", {"team_id": 1}),
        ("boxscorestatsv2", {"team_id": 1.5, "player_id": 2}),
        ("boxscorestatsv2", {"team_id": 1, "player_id": 2, "stats": {"PTS": "17"}}),
        ("boxscorestatsv2", {"team_id": 1, "player_id": 2, "stats": []}),
        ("boxscorestatsv2", {"team_id": True, "player_id": 2}),
        ("shot", {"team_id": 1, "player_id": 2, "is_make": 1}),
        ("shot", {"team_id": 1, "player_id": 2, "zone": "1"}),
        ("marker", {}),
        ("marker", {"type": None}),
        ("lineup", {}),
        ("possession", {"start_timestamp": 1}),
        ("location", {"type": "PLAYER"}),
        ("location", {"id": 1}),
        ("clock", {"game_clock": 5}),
        ("game", {"results": {}}),
        ("team", {}),
    ],
)
def test_refused(source: str, data: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        new_hub().publish(f"shottracker.{source}", GAME, body(**data))


@pytest.mark.parametrize(
    ("source", "subject", "data", "field"),
    [
        ("shot", "", payload("shot"), "subject"),
        ("clock", " ", b"{}", "subject"),
        ("game", "", b"{}", "subject"),
        ("game", "g2", row(GAME), "data.event_id"),
        ("game", "7", row("8"), "data.event_id"),
        ("team", "462", payload("synthetic_team"), "data.id"),
        ("team", "", payload("synthetic_team"), "data.id"),
    ],
)
def test_checked(source: str, subject: str, data: bytes, field: str) -> None:
    with pytest.raises(ValueError) as caught:
        new_hub().publish(f"shottracker.{source}", subject, data)
    assert caught.value.args[0][0] == field


def test_ids_are_compared_as_texts() -> None:
    hub = new_hub()
    hub.publish("shottracker.game", "7", body(event_id=7))
    hub.publish("shottracker.team", "7", body(id="7"))
    assert [messages.id_text(value) for value in (None, msgspec.UNSET, 0, "", "x")] == ["", "", "0", "", "x"]


def test_state_keys() -> None:
    hub = new_hub()
    keys = [
        hub.publish(f"shottracker.{source}", GAME, data).event.state_key
        for source, data in (
            ("location", b'{"type":"PLAYER","id":1}'),
            ("location", b'{"type":"BALL","id":1}'),
            ("location", b'{"type":"PLAYER","id":"2"}'),
            ("clock", b"{}"),
            ("broadcastsummary", b"{}"),
        )
    ]
    assert len(set(keys)) == 5
