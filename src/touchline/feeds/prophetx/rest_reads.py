"""What a client reconciles with, from the fold: tournaments, events, markets, wagers, balance, ladder (sheet §2.4).

A record is folded before it is pushed, so whatever a client was told it finds here. Markets and events of tournaments
outside the caller's grants are as if they did not exist; wagers and balance are the caller's own, by construction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from touchline.feeds.base import Member, Ports
from touchline.feeds.prophetx.channels import FEED_NAME, GRANT, PREFIX, TOURNAMENT
from touchline.feeds.prophetx.errors import (
    BAD_EVENT,
    INVALID_PARAM,
    NO_EVENT,
    NOT_FOUND,
    TOO_MANY_EVENTS,
    Refused,
)
from touchline.feeds.prophetx.exchange.odds import LADDER
from touchline.feeds.prophetx.rest_orders import Exchange
from touchline.feeds.prophetx.state import ExchangeState, SportEvent, markets, members
from touchline.wire.http import HttpRequest, HttpResponse, json_response

MAX_EVENTS: Final = 50
MAX_WAGERS: Final = 100
_MAX_ID: Final = 2_147_483_647
_ID: Final = re.compile(r"[0-9]{1,10}\Z")
_DEAD: Final = ("ended", "cancelled")


class _Status(Struct):
    status: object = None


_STATUS: Final = msgspec.json.Decoder(_Status)


class DataBody(Struct, frozen=True):
    """Everything here stands under ``data``; members of objects are as published, and ``updated_at`` in ns."""

    data: Any


class ReadsApi:
    """See the module docstring."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._exchange = Exchange(ports)

    async def _states(self, member: Member, only: str | None = None) -> list[ExchangeState]:
        """The tournaments that were announced, are not taken down, and are granted."""
        granted = member.grants.get(GRANT)
        found: list[ExchangeState] = []
        for record in await self._ports.log.documents(FEED_NAME, PREFIX + TOURNAMENT):
            subject = record.event.subject
            if (granted and subject not in granted) or only not in (None, subject):
                continue
            state = await self._ports.snapshots.state(FEED_NAME, subject)
            if isinstance(state, ExchangeState) and state.owner is None and state.tournament is not None:
                found.append(state)
        return found

    async def _events(self, member: Member) -> dict[str, SportEvent]:
        return {number: each for state in await self._states(member) for number, each in state.events.items()}

    async def _own(self, member: Member) -> ExchangeState:
        partner_id = member.credentials["partner_id"]
        state = await self._ports.snapshots.state(FEED_NAME, partner_id)
        if isinstance(state, ExchangeState) and state.owner == partner_id:
            return state
        return ExchangeState(partner_id, partner_id)

    async def tournaments(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``get_tournaments``."""
        active = (request.param("has_active_events") or "").lower() == "true"
        rows = [
            members(state.tournament)
            for state in await self._states(member)
            if state.tournament is not None and (not active or any(map(_is_active, state.events.values())))
        ]
        return _found({"tournaments": rows})

    async def sport_events(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``get_sport_events``: of a tournament, or those that are named."""
        tournament_id, event_ids = request.param("tournament_id"), request.param("event_ids")
        if tournament_id is None and event_ids is None:
            raise Refused(INVALID_PARAM, "tournament_id or event_ids is needed")
        wanted = None if event_ids is None else set(_ids(event_ids))
        rows = []
        for state in await self._states(member, tournament_id):
            for number, each in state.events.items():
                if each.known is not None and (wanted is None or number in wanted):
                    row = members(each.known)
                    number_of = state.subject
                    row.setdefault("tournament_id", int(number_of) if _ID.match(number_of) else number_of)
                    rows.append(row)
        return _found({"sport_events": rows})

    async def markets(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``get_markets`` of one event."""
        (number,) = _ids(request.param("event_id") or "", at_most=1)
        event = (await self._events(member)).get(number)
        if event is None:
            raise Refused(NO_EVENT, f"There is no sport event {number}")
        return _found({"markets": markets(event)})

    async def multiple_markets(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``get_multiple_markets``: by event id as text; an event that is not there has no markets."""
        numbers = _ids(request.param("event_ids") or "")
        events = await self._events(member)
        return _found({number: markets(events[number]) if number in events else [] for number in numbers})

    async def wager(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``get_wager/{wager_id}``."""
        wager = (await self._own(member)).wagers.get(request.path_params["wager_id"])
        if wager is None:
            raise Refused(NOT_FOUND, "There is no such wager of yours")
        return _found(members(wager.known))

    async def wagers(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``get_wagers``, oldest first, by pages."""
        limit = request.param("limit") or str(MAX_WAGERS)
        if _ID.match(limit) is None or not 1 <= int(limit) <= MAX_WAGERS:
            raise Refused(INVALID_PARAM, f"limit is a number from 1 to {MAX_WAGERS}")
        own = (await self._own(member)).wagers
        names, cursor = list(own), request.param("next_cursor")
        if cursor and cursor not in own:
            raise Refused(INVALID_PARAM, "next_cursor is none that was given out, or its wager is no longer kept")
        start = names.index(cursor) + 1 if cursor else 0
        status = request.param("status")
        chosen = [name for name in names[start:] if status in (None, "", own[name].status)]
        page = chosen[: int(limit)]
        more = page[-1] if len(chosen) > len(page) else ""
        return _found({"wagers": [members(own[name].known) for name in page], "next_cursor": more})

    async def balance(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``get_balance``."""
        del request
        account = (await self._own(member)).account
        if account is None and self._exchange.is_running:
            await self._exchange.open_account(member)
            account = (await self._own(member)).account
        if account is None:
            raise Refused(NOT_FOUND, "No account of yours is known; an exchange keeps it")
        shown = members(account)
        shown["unmatched_wager_balance_status"] = "synced"
        shown["unmatched_wager_last_synced_at"] = account.updated_at
        return _found(shown)

    async def ladder(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``get_odds_ladder``."""
        del request, member
        return _found(LADDER)


def _found(data: object) -> HttpResponse:
    return json_response(DataBody(data), headers=(("cache-control", "no-store"),))


def _is_active(event: SportEvent) -> bool:
    return event.known is not None and _STATUS.decode(event.known.info).status not in _DEAD


def _ids(text: str, at_most: int = MAX_EVENTS) -> Iterable[str]:
    """Event ids of a comma list, each once. Raises Refused."""
    numbers = [number.strip() for number in text.split(",")]
    if any(_ID.match(number) is None or not 0 < int(number) <= _MAX_ID for number in numbers):
        raise Refused(BAD_EVENT, f"An event id is a number from 1 to {_MAX_ID}")
    if len(numbers) > at_most:
        raise Refused(TOO_MANY_EVENTS, f"At most {at_most} event ids")
    return dict.fromkeys(str(int(number)) for number in numbers)
