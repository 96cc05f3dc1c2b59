"""The door of the REST: API key, failed-login limit, grants; and finding games. Owns no answer of its own.

``Authorization: API-Key <40 hex digits>`` (sheet 2). A game outside a partner's grants is as one that does not exist.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from typing import Final

from touchline.feeds.base import Member, Ports
from touchline.feeds.hisports.errors import Refused, not_found, unauthorized
from touchline.feeds.hisports.facts import may_see
from touchline.feeds.hisports.kinds import FEED_NAME, GAME_TYPES
from touchline.feeds.hisports.state import GameState
from touchline.wire.http import HttpRequest, HttpResponse

TOO_MANY: Final = "Too many requests with a bad API key"

_KEY: Final = re.compile(r"api-key +([0-9a-fA-F]{40}) *\Z", re.IGNORECASE)

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]
OpenedHandler = Callable[[HttpRequest, Member], Awaitable[HttpResponse]]


class Access:
    """The door."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def opened(self, handler: OpenedHandler) -> Handler:
        """The handler behind key, limit and error form."""

        async def handle(request: HttpRequest) -> HttpResponse:
            try:
                return await handler(request, self._member(request))
            except Refused as refused:
                return refused.answer()

        return handle

    def _member(self, request: HttpRequest) -> Member:
        logins = self._ports.logins
        wait = logins.blocked(request.address, "")
        if wait is not None:
            headers = (("retry-after", str(max(1, math.ceil(wait)))),)
            raise Refused(429, TOO_MANY, "TOO_MANY_REQUESTS", headers)
        presented = request.header("authorization")
        if presented is None:
            raise unauthorized()
        match = _KEY.match(presented)
        member = None
        if match is not None:
            member = self._ports.directory.member(FEED_NAME, lookup=match.group(1).lower())
        if member is None:
            logins.failed(request.address, "")
            raise unauthorized()
        return member

    async def state(self, member: Member, game_id: str, model: str = "game") -> GameState:
        """What is known of the game of that id. Raises Refused 404 when there is none for this partner."""
        state = await self._ports.snapshots.state(FEED_NAME, game_id) if game_id else None
        if not isinstance(state, GameState) or not may_see(member.grants, state.facts):
            raise not_found(model, game_id)
        return state

    async def games(self, member: Member) -> list[GameState]:
        """Every game that ``game.create`` or ``game.update`` told of and this partner may see."""
        subjects: dict[str, None] = {}
        for kind in GAME_TYPES:
            for record in await self._ports.log.documents(FEED_NAME, kind):
                subjects[record.event.subject] = None
        found = []
        for subject in subjects:
            state = await self._ports.snapshots.state(FEED_NAME, subject)
            if isinstance(state, GameState) and state.game is not None and may_see(member.grants, state.facts):
                found.append(state)
        return found
