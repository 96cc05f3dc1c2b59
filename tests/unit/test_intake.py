"""From envelopes to events: feeds, lanes, types, and what is refused."""

from __future__ import annotations

import pytest

from touchline.feeds import registry
from touchline.feeds.intake import Intake
from touchline.model import Event, Lane
from touchline.wire.cloudevents import Envelope

INTAKE = Intake(registry.feeds())


def taken(kind: str, data: bytes, subject: str = "s", **extensions: str) -> Event | tuple[str, str]:
    return INTAKE.event(Envelope("1", "/a", kind, subject, data, extensions=extensions), 42)


def test_a_known_type_goes_into_its_lane() -> None:
    shot = taken("shottracker.shot", b'{"team_id":1,"player_id":2}')
    place = taken("shottracker.location", b'{"type":"PLAYER","id":7}')
    game = taken("shottracker.game", b'{"event_id":"s"}')
    assert isinstance(shot, Event)
    assert isinstance(place, Event)
    assert isinstance(game, Event)
    assert (shot.feed, shot.lane, shot.state_key, shot.document) == ("shottracker", Lane.EVENT, "", False)
    assert place.lane is Lane.STATE
    assert place.state_key
    assert game.document
    assert shot.occurred_at == shot.received_at == 42


def test_an_unknown_type_of_a_known_feed_is_kept() -> None:
    event = taken("shottracker.brandnew", b"[1, 2]")
    assert isinstance(event, Event)
    assert (event.lane, event.data) == (Lane.EVENT, b"[1, 2]")


@pytest.mark.parametrize("kind", ["cricket.ball", "shottracker", "shottracker.", ".shot", "Shottracker.shot"])
def test_an_unknown_feed_is_refused(kind: str) -> None:
    refused = taken(kind, b"{}")
    assert isinstance(refused, tuple)
    assert refused[0] == "type"


def test_events_of_the_hub_are_not_taken() -> None:
    refused = taken("hub.endpoint.failing", b"{}")
    assert isinstance(refused, tuple)
    assert refused[0] == "type"


@pytest.mark.parametrize(
    ("kind", "data", "field"),
    [
        ("shottracker.shot", b"[]", "data"),
        ("shottracker.shot", b'{"player_id":2}', "data"),
        ("shottracker.shot", b'{"team_id":{},"player_id":2}', "data.team_id"),
        ("hisports.game.update", b"{}", "data"),
        ("hisports.game.update", b'{"game":{"id":9}}', "data.game.id"),
        ("roanuz.ball", b'{"notification":{"data":{"matchkey":"other"}}}', "data.notification.data.matchkey"),
        ("roanuz.ball", b'{"notification":{"data":{}}}', "data.notification.data"),
        ("prophetx.market", b"{}", "op"),
        ("insights.insight", b"{}", "subject"),
    ],
)
def test_what_a_type_demands_is_checked(kind: str, data: bytes, field: str) -> None:
    refused = taken(kind, data)
    assert isinstance(refused, tuple)
    assert refused[0] == field


def test_a_private_change_belongs_to_its_owner() -> None:
    event = taken("prophetx.wager", b"{}", "p1", op="u", partner="p1")
    assert isinstance(event, Event)
    assert event.partner == "p1"
    assert isinstance(taken("prophetx.wager", b"{}", "p1", op="u", partner="p2"), tuple)
