"""REST: games, scoresheets, box scores, lineups and teams, all of it read from what was published (sheet 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from touchline.feeds.base import Member
from touchline.feeds.hisports.access import Access
from touchline.feeds.hisports.boxscore import box_score
from touchline.feeds.hisports.errors import bad_request, not_found
from touchline.feeds.hisports.loopback import Filter, Row, read_filter, read_where
from touchline.feeds.hisports.messages import Game, OptId, Scoresheet, id_text
from touchline.feeds.hisports.state import GameState
from touchline.wire.http import HttpRequest, HttpResponse, json_response

_GAME: Final = msgspec.json.Decoder(Game)
_SHEET: Final = msgspec.json.Decoder(Scoresheet)
_ROW: Final = msgspec.json.Decoder(dict[str, Raw])
_VALUES: Final = msgspec.json.Decoder()
_NESTED: Final = (b"{", b"[")
_JSON: Final = (("content-type", "application/json"),)


class Count(msgspec.Struct, frozen=True):
    """``GET /api/games/count``."""

    count: int


class _RawLineup(msgspec.Struct, frozen=True):
    members: list[Raw] | msgspec.UnsetType | None = UNSET


class _Lineups(msgspec.Struct, frozen=True):
    lineups: dict[str, _RawLineup] | msgspec.UnsetType | None = UNSET


class _Sides(msgspec.Struct, frozen=True):
    homeTeam: Raw = Raw(b"null")  # noqa: N815 - the provider's spelling
    awayTeam: Raw = Raw(b"null")  # noqa: N815


class _Identity(msgspec.Struct, frozen=True):
    id: OptId = UNSET


_LINEUPS: Final = msgspec.json.Decoder(_Lineups)
_SIDES: Final = msgspec.json.Decoder(_Sides)
_TEAM: Final = msgspec.json.Decoder(_Identity | None)


class GamesApi:
    """Handlers. Answers are JSON as published wherever they can be."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def games(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /api/games?filter=``."""
        asked = read_filter(_parameter(request, "filter"))
        rows = [(_game_values(state), state) for state in await self._access.games(member)]
        return json_response([Raw(_game_row(state)) for state in _selected(asked, rows)])

    async def count(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /api/games/count?where=``."""
        where = read_where(_parameter(request, "where"))
        states = await self._access.games(member)
        return json_response(Count(sum(where(_game_values(state)) for state in states)))

    async def game(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /api/games/{id}``; of a filter only what changes nothing is taken."""
        read_filter(_parameter(request, "filter"))
        state = await self._access.state(member, request.path_params["id"])
        return HttpResponse(200, _game_row(state), _JSON)

    async def scoresheet(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /api/games/{id}/scoresheet``: the newest, whole, as published."""
        state = await self._access.state(member, request.path_params["id"], "scoresheet")
        return HttpResponse(200, _sheet(state), _JSON)

    async def box_score(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /api/games/{id}/boxScore``; of a game without a scoresheet, an empty one."""
        state = await self._access.state(member, request.path_params["id"])
        sheet = Scoresheet() if state.scoresheet is None else _SHEET.decode(state.scoresheet)
        game = Game(id=state.subject) if state.game is None else _GAME.decode(state.game)
        return json_response(box_score(game, sheet))

    async def lineups(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /api/games/{id}/lineups``: team id → members as published, without approvals."""
        state = await self._access.state(member, request.path_params["id"])
        lineups = None if state.scoresheet is None else _LINEUPS.decode(state.scoresheet).lineups
        found = lineups if isinstance(lineups, dict) else {}
        return json_response({team_id: lineup.members or [] for team_id, lineup in found.items()})

    async def teams(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /api/teams?filter=``: teams of the games that the partner may see, each as its newest game has it."""
        asked = read_filter(_parameter(request, "filter"))
        newest: dict[str, Raw] = {}
        for state in sorted(await self._access.games(member), key=lambda state: state.game_at):
            sides = _SIDES.decode(state.game or b"{}")
            for raw in (sides.homeTeam, sides.awayTeam):
                team = _TEAM.decode(raw)
                if team is not None and id_text(team.id):
                    newest[id_text(team.id)] = raw
        rows = [(_values(raw), raw) for raw in newest.values()]
        return json_response(_selected(asked, rows))


def _selected(asked: Filter, rows: Sequence[tuple[Row, Any]]) -> list[Any]:
    """What belongs to the rows that a filter selects; by id where the filter has no order."""
    of = {id(row): owner for row, owner in rows}
    ordered = sorted((row for row, _ in rows), key=lambda row: _by_id(row.get("id")))
    return [of[id(row)] for row in asked.select(ordered)]


def _by_id(value: object) -> tuple[int, int, str]:
    text = id_text(value)
    return (0, int(text), "") if text.isascii() and text.isdigit() and len(text) < 20 else (1, 0, text)


def _parameter(request: HttpRequest, name: str) -> str | None:
    """A JSON parameter. Raises Refused 400 for LoopBack's other spelling, ``filter[limit]=1``."""
    for key, _ in request.query:
        if key.startswith(f"{name}["):
            raise bad_request(f"{name} is taken as JSON text only: {name}={{…}}")
    return request.param(name)


def _sheet(state: GameState) -> bytes:
    if state.scoresheet is None:
        raise not_found("scoresheet", state.subject)
    return state.scoresheet


def _values(game: bytes | Raw) -> dict[str, Any]:
    """A row's plain values, for filters. Objects and arrays, however deep, are there and equal to nothing."""
    found: dict[str, Any] = {}
    for name, raw in _ROW.decode(game).items():
        found[name] = () if bytes(raw)[:1] in _NESTED else _VALUES.decode(raw)
    return found


def _game_values(state: GameState) -> dict[str, Any]:
    row = _values(state.game or b"{}")
    if not id_text(row.get("number")):
        row["number"] = id_text(row.get("id"))
    return row


def _game_row(state: GameState) -> bytes:
    """A game as published; ``number`` is the id where none is set (seed, Game). Raises Refused 404."""
    if state.game is None:
        raise not_found("game", state.subject)
    game = _GAME.decode(state.game)
    if id_text(game.number):
        return state.game
    row = _ROW.decode(state.game)
    row["number"] = Raw(msgspec.json.encode(id_text(game.id)))
    return msgspec.json.encode(row)
