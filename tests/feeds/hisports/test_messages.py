"""What may be published: the documented shapes, today's, and everything else that a real publisher may add."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from touchline.feeds import registry
from touchline.feeds.hisports.messages import Payload
from touchline.feeds.intake import Intake
from touchline.model import Event
from touchline.wire.cloudevents import Envelope, Problem

from .worlds import CREATE, GAME, SHEET, UPDATE, data, game, payload, sheet

INTAKE = Intake(registry.feeds())


def taken(kind: str, body: bytes, subject: str = GAME) -> Event | Problem:
    return INTAKE.event(Envelope("1", "/test", kind, subject, body), 0)


def same_or_absent(typed: Any, raw: Any) -> None:
    """Everything that the struct has stands in the JSON, and the other way round for all the seed's members."""
    assert json.loads(msgspec.json.encode(typed)) == raw


def test_the_seed_s_game_and_scoresheet_fit_whole() -> None:
    body = data(game=payload("game"), scoresheet=payload("scoresheet"))
    same_or_absent(msgspec.json.decode(body, type=Payload), json.loads(body))
    event = taken(SHEET, body)
    assert isinstance(event, Event)
    assert event.data == body
    assert not event.document


def test_games_are_documents() -> None:
    for kind in (CREATE, UPDATE):
        event = taken(kind, data(game=game()))
        assert isinstance(event, Event)
        assert event.document


def test_today_s_shapes_are_taken() -> None:
    body = data(game=payload("synthetic_game_today"), scoresheet=payload("synthetic_scoresheet_today"))
    event = taken(SHEET, body, "4101")
    assert isinstance(event, Event)
    assert event.data == body


@pytest.mark.parametrize(
    "body",
    [
        data(scoresheet={}),
        data(game={"id": 4100}),
        data(game={"id": "4100"}, scoresheet=None),
        data(game=None, scoresheet={"status": "anything at all"}),
        data(game=game(status="Moved to Mars", division="U7", gender=None, category={"a": [1]})),
        data(scoresheet=sheet(lineups=None, goals=None, keepers=None, approvals=None, settings=None, forfeit=2177)),
        data(scoresheet=sheet(goals=[{}], penalties=[{}], goalies=[{}], officials=[{}], lineups={"1": {}})),
    ],
)
def test_what_is_not_known_of_a_game_is_not_demanded(body: bytes) -> None:
    assert isinstance(taken(SHEET, body), Event)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "data"),
        (data(game=None), "data"),
        (data(game=None, scoresheet=None), "data"),
        (data(game={}), "data.game"),
        (data(game={"id": None}), "data.game.id"),
        (data(game={"id": 4100.0}), "data.game.id"),
        (data(game={"id": 4101}), "data.game.id"),
        (data(game=[]), "data.game"),
        (data(game=game(homeTeam=7)), "data.game.homeTeam"),
        (data(game=game(isApproved="yes")), "data.game.isApproved"),
        (data(game=game(startTime=5)), "data.game.startTime"),
        (data(scoresheet=[]), "data.scoresheet"),
        (data(scoresheet=sheet(goals={})), "data.scoresheet.goals"),
        (data(scoresheet=sheet(goals=[{"assistIds": 5}])), "data.scoresheet.goals[0].assistIds"),
        (data(scoresheet=sheet(lineups=[])), "data.scoresheet.lineups"),
        (data(scoresheet=sheet(gameTime="20:00")), "data.scoresheet.gameTime"),
        (data(scoresheet=sheet(notes=[])), "data.scoresheet.notes"),
        (b'{"game":{"id":4100},"scoresheet":' + b"[" * 5000, "data.scoresheet"),
        (b'{"game":{"id":4100},"more":' + b"[" * 5000, "data"),
        (b"[" * 100_000, "data"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, field: str) -> None:
    refused = taken(SHEET, body)
    assert isinstance(refused, tuple)
    assert refused[0] == field
    assert refused[1]
