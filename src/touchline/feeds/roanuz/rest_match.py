"""REST: the match document and its balls, over by over (sheet §2.4, §2.5)."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from touchline.feeds.base import Member, Ports
from touchline.feeds.roanuz import document, innings
from touchline.feeds.roanuz.access import Access
from touchline.feeds.roanuz.envelope import BAD_INPUT, NOTHING_THERE, Refused, found
from touchline.feeds.roanuz.innings import MatchState, OverRef
from touchline.feeds.roanuz.state import details
from touchline.wire.http import HttpRequest, HttpResponse

FIRST_OVER: Final = "FIRST-OVER"


class OverIndex(Struct, frozen=True):
    """Which over: ``innings`` such as ``a_1``, ``over_number`` from 1."""

    innings: str
    over_number: int


class Over(Struct, frozen=True):
    """An over and the balls that were bowled in it."""

    index: OverIndex
    balls: list[Raw]


class BallByBall(Struct, frozen=True):
    """An over and its neighbours, by which a match is walked."""

    over: Over
    previous_over_index: OverIndex | None
    next_over_index: OverIndex | None
    previous_over_key: str | None
    next_over_key: str | None


class MatchApi:
    """Handlers that read."""

    def __init__(self, ports: Ports, access: Access) -> None:
        self._ports, self._access = ports, access

    async def match(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET …/match/{match_key}/``."""
        state = await self._access.match(request, member)
        return found(request, f"match/{state.subject}", document.build(state), self._ports.now())

    async def current_over(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET …/ball-by-ball/``: the newest over."""
        state = await self._access.match(request, member)
        return self._over(request, state, len(innings.overs(state)) - 1)

    async def over(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET …/ball-by-ball/{over_key}/``; ``FIRST-OVER`` begins a walk."""
        state = await self._access.match(request, member)
        over_key = request.path_params["over_key"]
        if over_key.upper() == FIRST_OVER:
            return self._over(request, state, 0)
        asked = innings.parse_over_key(over_key)
        if asked is None:
            shape = "{team}_{innings}_{over_number}, such as a_1_10"
            raise Refused(BAD_INPUT, f"{over_key[:64]!r} is no over key: it is {shape}, or {FIRST_OVER}")
        overs = innings.overs(state)
        return self._over(request, state, overs.index(asked) if asked in overs else -1)

    def _over(self, request: HttpRequest, state: MatchState, at: int) -> HttpResponse:
        overs = innings.overs(state)
        if not 0 <= at < len(overs):
            raise Refused(NOTHING_THERE, "No ball of this over is known")
        this = overs[at]
        previous = overs[at - 1] if at else None
        following = overs[at + 1] if at + 1 < len(overs) else None
        body = BallByBall(
            Over(_index(this), details(state, this)),
            _index(previous) if previous else None,
            _index(following) if following else None,
            previous.key if previous else None,
            following.key if following else None,
        )
        key = f"ball-by-ball/{state.subject}/{this.key}"
        return found(request, key, msgspec.json.encode(body), self._ports.now())


def _index(over: OverRef) -> OverIndex:
    return OverIndex(over.innings, over.number)
