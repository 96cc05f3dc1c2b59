"""REST: the schedule, the match-up search, and the subscription token (sheet §2.1 to §2.3, §2.10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from touchline.feeds.base import Form, Member, Ports
from touchline.feeds.shottracker import errors, messages
from touchline.feeds.shottracker.access import Access, Game, Refused, is_true, moments, need_team
from touchline.feeds.shottracker.answers import ScheduleBody, TokenBody
from touchline.feeds.shottracker.game import ACTIVE, FINISHED, bounded
from touchline.feeds.shottracker.messages import id_text
from touchline.feeds.shottracker.session import TOKEN_PURPOSE
from touchline.feeds.shottracker.sources import FEED_NAME, MOCK_SERVICE
from touchline.wire.http import HttpRequest, HttpResponse, every, json_response

DAY_MS: Final = 24 * 3600 * 1000
TOKEN_AFTER_GAME_NS: Final = 24 * 3600 * 1_000_000_000
TOKEN_FOR_REPLAY_NS: Final = 3600 * 1_000_000_000
"""A token asked for when its game is long over: time enough to begin a replay. OUR CHOICE."""

OWN_SYSTEM: Final = "SHOTTRACKER"
_BASKETBALL: Final = "BASKETBALL"
_REGULAR: Final = "REG"
_ROW: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class GamesApi:
    """Handlers of the schedule and the token."""

    def __init__(self, ports: Ports, access: Access) -> None:
        self._ports, self._access = ports, access

    async def schedule(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/schedule/games``."""
        mock = is_true(request, "mock")
        start, end = moments(request)
        if start is None and not mock:
            raise Refused(400, errors.BAD_RANGE)
        team_id = request.param("team_id")
        if team_id:
            need_team(member, team_id)
        keep = self._schedule_filter(request)
        games = [
            game
            for game in await self._access.games(member)
            if game.event_id != MOCK_SERVICE and start is not None and _is_scheduled(game, start, end) and keep(game)
        ]
        if mock:
            games += await self._mock(member)
        return json_response(ScheduleBody([self._row(game) for game in games]))

    def _schedule_filter(self, request: HttpRequest) -> Callable[[Game], bool]:
        kind = request.param("type") or _BASKETBALL
        team_id, location = request.param("team_id"), request.param("location_id")
        season, week = request.param("seasonType"), request.param("weekNumber")

        def keep(game: Game) -> bool:
            row = game.row
            return (
                (row.type or _BASKETBALL) == kind
                and (not team_id or team_id in _side_ids(row, OWN_SYSTEM))
                and (not location or row.location_id == location)
                and (not (season or week) or (row.seasonType or _REGULAR) == (season or _REGULAR))
                and (not week or _same_number(row.weekNumber, week))
            )

        return keep

    async def _mock(self, member: Member) -> list[Game]:
        """The looping game, if this hub has one and the partner may see it (sheet §2.10, OUR CHOICE)."""
        try:
            return [await self._access.game(member, MOCK_SERVICE)]
        except Refused:
            return []

    async def matchup(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/schedule/games/matchup``."""
        start, end = moments(request)
        if start is None:
            raise Refused(400, errors.BAD_RANGE)
        teams = frozenset(every(request.query, "team_id")) - {""}
        reference, gender = request.param("reference"), request.param("gender")
        for name, value in (("team_id", teams), ("reference", reference), ("gender", gender)):
            if not value:
                raise Refused(400, f"{name} is required")
        if reference == OWN_SYSTEM:
            for team_id in teams:
                need_team(member, team_id)
        games = [
            game
            for game in await self._access.games(member)
            if game.event_id != MOCK_SERVICE
            and _is_scheduled(game, start, end)
            and game.row.gender == gender
            and teams <= _side_ids(game.row, reference or "")
        ]
        return json_response(ScheduleBody([self._row(game, without=("type", "source")) for game in games]))

    def _row(self, game: Game, without: tuple[str, ...] = ()) -> dict[str, msgspec.Raw]:
        """A row as published, without the event node's ``results``, with what every row has where it lacks it."""
        row = {} if game.data is None else _ROW.decode(game.data)
        defaults = {
            "event_id": game.event_id,
            "status": ACTIVE,
            "type": _BASKETBALL,
            "_results": f"{self._ports.base_url.rstrip('/')}/v1/data/games/{game.event_id}",
            "source": OWN_SYSTEM,
        }
        row = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in defaults.items()} | row
        return {name: value for name, value in row.items() if name not in ("results", *without)}

    async def subscribe(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/schedule/games/{event_id}/_subscribe`` and its older names."""
        return await self._token(await self._access.game(member, request.path_params["event_id"]), member)

    async def subscribe_live(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/live/{id}/_subscribe``: the older generation's id may be a session's."""
        named = request.path_params["id"]
        try:
            game = await self._access.game(member, named)
        except Refused as refused:
            if refused.status != 404:
                raise
            game, _ = await self._access.session(member, named)
        return await self._token(game, member)

    async def _token(self, game: Game, member: Member) -> HttpResponse:
        """One token per (partner, game), good until the game is over and a day longer (sheet §2.3, OUR CHOICE)."""
        state, now = game.state, self._ports.now().wall_ns
        expires_at = None
        if state.status == FINISHED and game.event_id != MOCK_SERVICE:
            over_at = (state.ended_at or state.occurred_at) * 1_000_000
            expires_at = max(over_at + TOKEN_AFTER_GAME_NS, now + TOKEN_FOR_REPLAY_NS)
        directory = self._ports.directory
        token = await directory.issue_token(
            FEED_NAME, member.partner, TOKEN_PURPOSE, game.event_id, form=Form.UUID, expires_at=expires_at
        )
        if expires_at is not None and (token.expires_at is None or token.expires_at < expires_at):
            await directory.extend_token(token.value, expires_at)
        return json_response(TokenBody(token.value))


def _is_scheduled(game: Game, start: int, end: int | None) -> bool:
    tipoff = bounded(game.row.tipoff_at)
    return tipoff is not None and start <= tipoff <= (start + DAY_MS if end is None else end)


def _side_ids(row: messages.Game, reference: str) -> frozenset[str]:
    """The ids of both teams in an id system: our own, or the one that the row's references belong to."""
    if reference == OWN_SYSTEM:
        ids = (row.home_team_id, row.away_team_id)
    else:
        ids = (row.home_team_reference_id, row.away_team_reference_id)
    return frozenset(map(id_text, ids)) - {""}


def _same_number(value: object, asked: str) -> bool:
    number = bounded(value)
    return number is not None and asked in (str(number), f"{number:g}")
