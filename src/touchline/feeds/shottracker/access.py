"""Who may ask the Event API for what: signature, failed-login limit, grants; and finding games and sessions.

Every REST handler goes through ``Access.signed``. Handlers raise ``Refused``; here it becomes the provider's error body
(sheet §2). Owns no answer of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from touchline.feeds.base import Member, Ports
from touchline.feeds.shottracker import auth, errors, messages
from touchline.feeds.shottracker.game import GameState, Session, known_id, milliseconds, text
from touchline.feeds.shottracker.messages import id_text
from touchline.feeds.shottracker.sources import FEED_NAME, GAME_TYPE
from touchline.feeds.shottracker.state import GameFold
from touchline.model import Record
from touchline.wire.http import HttpRequest, HttpResponse, Pairs

TOO_MANY: Final = "Too many requests with a bad signature"

_NUMBER: Final = re.compile(r"(-?[0-9]{1,15})(?:\.[0-9]{1,9})?\Z")
_GAME: Final = msgspec.json.Decoder(messages.Game)
_FOLD: Final = GameFold()

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]
SignedHandler = Callable[[HttpRequest, Member], Awaitable[HttpResponse]]


class Refused(Exception):
    """The request gets this status and message."""

    def __init__(self, status: int, message: str, headers: Pairs = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


class Game(msgspec.Struct, frozen=True):
    """A game as REST sees it: its schedule row (typed and as published, if one was) and its folded state."""

    event_id: str
    row: messages.Game
    data: bytes | None
    state: GameState

    @property
    def team_ids(self) -> frozenset[str]:
        """The teams that play, ids as text."""
        named = {id_text(self.row.home_team_id), id_text(self.row.away_team_id)}
        return frozenset((named | self.state.teams.keys()) - {""})

    def sessions(self) -> list[Session]:
        """Its halves or quarters: those that its row names, else those that its markers began."""
        results = self.row.results
        if isinstance(results, list) and results:
            return [
                Session(
                    session_id,
                    text(result.period),
                    milliseconds(result.started_at) or None,
                    milliseconds(result.ended_at) or None,
                )
                for result in results
                if (session_id := known_id(result.id)) is not None
            ]
        return list(self.state.sessions.values())


class Access:
    """The door of the Event API."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def signed(self, handler: SignedHandler) -> Handler:
        """The handler behind signature, limit and error form."""

        async def handle(request: HttpRequest) -> HttpResponse:
            try:
                return await handler(request, self._member(request))
            except Refused as refused:
                return errors.refusal(refused.status, refused.message, self._ports.new_id(), refused.headers)

        return handle

    def _member(self, request: HttpRequest) -> Member:
        logins, directory = self._ports.logins, self._ports.directory
        claimed = auth.credentials(request)
        username = claimed.username if claimed else ""
        wait = logins.blocked(request.address, username)
        if wait is not None:
            raise Refused(429, TOO_MANY, (("retry-after", str(max(1, math.ceil(wait)))),))

        def secret_of(name: str) -> str | None:
            member = directory.member(FEED_NAME, lookup=name)
            return None if member is None else member.credentials.get("secret")

        verdict = auth.verify(request, secret_of, self._ports.now())
        member = directory.member(FEED_NAME, lookup=username) if isinstance(verdict, auth.Signed) else None
        if member is not None:
            return member
        refusal = verdict if isinstance(verdict, auth.Refusal) else auth.Refusal(auth.CANNOT_VERIFY, username)
        if refusal.presented:
            logins.failed(request.address, username)
        raise Refused(refusal.status, refusal.message, (("www-authenticate", auth.CHALLENGE),))

    async def games(self, member: Member) -> list[Game]:
        """Every game with a schedule row that this partner may see."""
        records = await self._ports.log.documents(FEED_NAME, GAME_TYPE)
        found = [await self._game(record.event.subject, record) for record in records]
        return [game for game in found if game is not None and may_see(member, game)]

    async def game(self, member: Member, event_id: str, *, missing: str = errors.INVALID_ID) -> Game:
        """The game of that id. Raises Refused 404 when there is none, 403 when it is not this partner's."""
        game = await self._game(event_id, await self._ports.log.document(FEED_NAME, GAME_TYPE, event_id))
        if game is None:
            raise Refused(404, missing)
        if not may_see(member, game):
            raise Refused(403, errors.ACCESS_DENIED)
        return game

    async def session(self, member: Member, session_id: str) -> tuple[Game, Session]:
        """The session of that id and its game. Raises Refused as ``game`` does."""
        # Sessions named by the fold begin with their game's id, so that a game without a row is found too.
        named, _, _ = session_id.rpartition("-")
        candidates = [game] if named and (game := await self._game(named, None)) is not None else []
        for record in await self._ports.log.documents(FEED_NAME, GAME_TYPE):
            game = await self._game(record.event.subject, record)
            candidates += [game] if game is not None else []
        for game in candidates:
            for session in game.sessions():
                if id_text(session.id) == session_id:
                    if not may_see(member, game):
                        raise Refused(403, errors.ACCESS_DENIED)
                    return game, session
        raise Refused(404, errors.INVALID_ID)

    async def _game(self, event_id: str, record: Record | None) -> Game | None:
        state = await self._ports.snapshots.state(FEED_NAME, event_id) if event_id else None
        if not isinstance(state, GameState) or not state.known:
            if record is None:
                return None
            state = _FOLD.initial(event_id)
            _FOLD.apply(state, record)
        data = state.game if record is None else record.event.data
        return Game(event_id, messages.Game() if data is None else _GAME.decode(data), data, state)


def may_see(member: Member, game: Game) -> bool:
    """Whether the grants ``event_id`` and ``team_id`` take in this game."""
    games, teams = member.grants.get("event_id"), member.grants.get("team_id")
    return (not games or game.event_id in games) and (not teams or bool(teams & game.team_ids))


def need_source(member: Member, source: str, message: str) -> None:
    """Raises Refused 403 with the text unless the grants let this data source through."""
    sources = member.grants.get("source")
    if sources and source not in sources:
        raise Refused(403, message)


def need_team(member: Member, team_id: str) -> None:
    """Raises Refused 403 unless the grants let this team through."""
    teams = member.grants.get("team_id")
    if teams and team_id not in teams:
        raise Refused(403, errors.ACCESS_DENIED)


def moment(request: HttpRequest, name: str) -> int | None:
    """A query parameter as epoch milliseconds; None when absent. Raises Refused 400 when it is no number."""
    value = request.param(name)
    if value is None:
        return None
    match = _NUMBER.match(value)
    if match is None:
        raise Refused(400, errors.BAD_RANGE)
    return int(match.group(1))


def moments(request: HttpRequest) -> tuple[int | None, int | None]:
    """``from`` and ``to``. Raises Refused 400 when one is no number or they are the wrong way round."""
    start, end = moment(request, "from"), moment(request, "to")
    if start is not None and end is not None and end < start:
        raise Refused(400, errors.BAD_RANGE)
    return start, end


def is_true(request: HttpRequest, name: str) -> bool:
    """Whether a boolean query parameter is set."""
    return (request.param(name) or "").lower() in ("true", "1")
