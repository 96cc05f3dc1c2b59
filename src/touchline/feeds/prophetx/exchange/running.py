"""What the house may ask: accounts, what is offered, voiding and settling. Each function changes a draft or raises."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from touchline.feeds.prophetx.exchange.commands import (
    Deposit,
    OpenAccount,
    PutLine,
    PutMarket,
    PutSportEvent,
    PutTournament,
    Refused,
    Remove,
    Result,
    Settle,
    Void,
)
from touchline.feeds.prophetx.exchange.draft import Draft
from touchline.feeds.prophetx.exchange.payloads import Line, Market, SportEvent
from touchline.feeds.prophetx.exchange.state import Account, MarketKey, are_twins
from touchline.feeds.prophetx.exchange.wagers import Wager, ended, withdrawn

OPENABLE: Final = ("active", "suspended")
"""The statuses that a market or a line is put in; settled and closed come of settling and removing (sheet 7)."""
EVENT_STATUSES: Final = ("not_started", "live", "ended", "cancelled")
MAX_ID: Final = 2**31 - 1
MAX_LINE: Final = 1000
MAX_BALANCE_CENTS: Final = 10**15
"""OUR CHOICE: what an account is opened with or paid up to; in cents it is exact in a reader's doubles."""
MAX_NAME_BYTES: Final = 32
"""OUR CHOICE: names stand in every selection, and 20 of these with all else must fit the protocol's 10 kB an event."""


def open_account(draft: Draft, asked: OpenAccount) -> None:
    """Give a partner its starting balance."""
    if not asked.partner or asked.partner.isdigit() or not 0 <= asked.balance_cents <= MAX_BALANCE_CENTS:
        reason = f"an account has a partner (no number) and a balance from 0 to {MAX_BALANCE_CENTS} cents"
        raise Refused(400, "invalid_param", reason)
    if draft.account(asked.partner) is not None:
        raise Refused(400, "invalid_param", "this partner has an account already")
    draft.put_account(Account(asked.partner, asked.balance_cents))


def deposit(draft: Draft, asked: Deposit) -> None:
    """Pay money into an account."""
    account = draft.account(asked.partner)
    if account is None:
        raise Refused(404, "wallet_not_found", "there is no account of this user")
    if asked.cents <= 0:
        raise Refused(400, "invalid_param", "a deposit is more than nothing")
    if account.balance + asked.cents > MAX_BALANCE_CENTS:
        raise Refused(400, "invalid_param", f"a balance is paid up to {MAX_BALANCE_CENTS} cents")
    draft.put_account(msgspec.structs.replace(account, balance=account.balance + asked.cents))


def put_tournament(draft: Draft, asked: PutTournament) -> None:
    """Create or update a tournament."""
    _check_ids(asked.tournament.id)
    draft.put_tournament(asked.tournament)


def put_event(draft: Draft, asked: PutSportEvent) -> None:
    """Create or update a sport event; a change of its status wipes what rests in its books (sheet 5, enums)."""
    event = asked.event
    if not 0 < event.event_id <= MAX_ID:
        raise Refused(400, "market_invalid_event", "an event id is from 1 to 2147483647")
    if event.tournament_id not in draft.state.tournaments:
        raise Refused(404, "data_not_found", "there is no tournament of this id")
    if event.status not in EVENT_STATUSES:
        raise Refused(400, "invalid_param", f"status must be one of {', '.join(EVENT_STATUSES)}")
    _check_time(event.scheduled)
    _check_numbers(*(competitor.id for competitor in event.competitors))
    before = draft.state.events.get(event.event_id)
    if before is not None and before.tournament_id != event.tournament_id:
        raise Refused(400, "invalid_param", "an event stays in its tournament")
    if before is not None and before.status != event.status:
        for wager in _alive(draft, _lines(draft, event.event_id)):
            if wager.is_resting:
                draft.pause()
                draft.update(withdrawn(wager, "wiped"), "status")
    draft.put_event(event)


def put_market(draft: Draft, asked: PutMarket) -> None:
    """Create, update, suspend or re-open a market."""
    market = asked.market
    _check_ids(market.id)
    if market.sport_event_id not in draft.state.events:
        raise Refused(404, "sport_event_not_found", "there is no sport event of this id")
    before = draft.state.markets.get((market.sport_event_id, market.id))
    _check_status(market.status, before)
    _check_name(market.name, market.description)
    draft.put_market(market)


def put_line(draft: Draft, asked: PutLine) -> None:
    """Create, update, suspend or re-open both sides of a two-way line."""
    first, second = asked.sides
    key = (first.sport_event_id, first.market_id)
    if key not in draft.state.markets:
        raise Refused(400, "invalid_market_id", "there is no market of this id in the event")
    if not (first.line.is_finite() and second.line.is_finite()):
        raise Refused(400, "market_line_invalid", "a line is a number")
    if first.line_id == second.line_id or not are_twins(first, second):
        raise Refused(400, "market_line_invalid", "the two sides are not those of one line")
    existing = draft.state.lines_of(key)
    for side, other in ((first, second), (second, first)):
        _check_ids(side.id)
        _check_numbers(side.outcome_id)
        _check_name(side.name, side.line_id, side.type)
        if abs(side.line) > MAX_LINE or side.line * 4 != (side.line * 4).to_integral_value():
            raise Refused(400, "market_line_invalid", f"a line is in quarters, up to {MAX_LINE}")
        before = draft.state.lines.get(side.line_id)
        _check_status(side.status, before)
        if before is not None:
            if draft.state.twins.get(side.line_id) != (first.line_id, second.line_id) or not are_twins(before, other):
                raise Refused(400, "market_line_invalid", "a line stays what it was created as")
        elif any(are_twins(one, other) for one in existing):
            raise Refused(400, "market_line_invalid", "the market has this line already")
    draft.put_lines(first, second)


def void(draft: Draft, asked: Void) -> None:
    """Void the open wagers of a line or a market: what was matched goes back to both sides."""
    lines = _asked_lines(draft, asked.line_id, asked.event_id, asked.market_id)
    voided = [pair for pair in _pairs(draft, lines) if _alive(draft, pair)]
    if not voided:
        raise Refused(404, "no_cancellable_wagers", "there are no open wagers")
    for pair in voided:
        draft.pause()
        _void(draft, pair)


def settle(draft: Draft, asked: Settle) -> None:
    """Settle both sides of a line and pay out; what was not matched is cancelled."""
    side = draft.state.lines.get(asked.line_id)
    if side is None or asked.line_id not in draft.state.twins:
        raise Refused(400, "invalid_line_id", "there is no line of this id")
    if side.status == "settled":
        raise Refused(400, "market_line_invalid", "the line is settled already")
    first, second = (draft.state.lines[line_id] for line_id in draft.state.twins[asked.line_id])
    settled = [msgspec.structs.replace(line, status="settled") for line in (first, second)]
    draft.put_lines(settled[0], settled[1])
    for line in (first, second):
        won = (line is side) == (asked.result is Result.WIN)
        for wager in _alive(draft, [line]):
            _settle(draft, wager, "push" if asked.result is Result.PUSH else "won" if won else "lost")
    key = (side.sport_event_id, side.market_id)
    if all(line.status == "settled" for line in draft.state.lines_of(key) if line not in (first, second)):
        draft.put_market(msgspec.structs.replace(draft.state.markets[key], status="settled"))


def _settle(draft: Draft, wager: Wager, winning: str) -> None:
    if wager.matched == 0:
        draft.update(withdrawn(wager, "canceled"), "status")
    elif winning == "won":
        # The provider tells a winner twice: settled, then closed when the balance is updated (sheet 5, enums).
        draft.update(ended(wager, "settled", winning), "status")
        draft.update(ended(wager, "closed", winning), "status", gain=wager.win)
    else:
        draft.update(ended(wager, "closed", winning), "status", gain=-wager.matched if winning == "lost" else 0)


def remove(draft: Draft, asked: Remove) -> None:
    """Remove a tournament, event, market or line with all below it; open wagers are voided."""
    state = draft.state
    if asked.tournament_id is not None:
        tournament = state.tournaments.get(asked.tournament_id)
        if tournament is None:
            raise Refused(404, "data_not_found", "there is no tournament of this id")
        for event in [one for one in state.events.values() if one.tournament_id == asked.tournament_id]:
            draft.pause()
            _remove_event(draft, event)
        draft.remove_tournament(tournament)
    elif asked.event_id is not None and asked.market_id is None and asked.line_id is None:
        removed = state.events.get(asked.event_id)
        if removed is None:
            raise Refused(404, "sport_event_not_found", "there is no sport event of this id")
        _remove_event(draft, removed)
    else:
        lines = _asked_lines(draft, asked.line_id, asked.event_id, asked.market_id)
        _remove_lines(draft, lines)
        if asked.line_id is None and asked.event_id is not None and asked.market_id is not None:
            draft.remove_market(state.markets[asked.event_id, asked.market_id])


def _remove_event(draft: Draft, event: SportEvent) -> None:
    for market in [one for one in draft.state.markets.values() if one.sport_event_id == event.event_id]:
        draft.pause()
        _remove_lines(draft, draft.state.lines_of((event.event_id, market.id)))
        draft.remove_market(market)
    draft.remove_event(event)


def _remove_lines(draft: Draft, lines: list[Line]) -> None:
    for pair in _pairs(draft, lines):
        draft.pause()
        _void(draft, pair)
        for line in pair:
            draft.remove_line(line)


def _pairs(draft: Draft, lines: Iterable[Line]) -> list[list[Line]]:
    """The lines by twos, the sides of a two-way line together: what is matched stands on both."""
    pairs: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        pairs.setdefault(draft.state.twins.get(line.line_id, (line.line_id,)), []).append(line)
    return list(pairs.values())


def _void(draft: Draft, lines: Iterable[Line]) -> None:
    for wager in _alive(draft, lines):
        draft.update(ended(wager, "void", "no_result"), "status")


def _alive(draft: Draft, lines: Iterable[Line]) -> list[Wager]:
    ids = [wager_id for line in lines for wager_id in draft.state.alive.get(line.line_id, ())]
    return [wager for wager_id in ids if (wager := draft.wager(wager_id)) is not None]


def _lines(draft: Draft, event_id: int) -> list[Line]:
    return [line for line in draft.state.lines.values() if line.sport_event_id == event_id]


def _asked_lines(draft: Draft, line_id: str | None, event_id: int | None, market_id: int | None) -> list[Line]:
    state = draft.state
    if line_id is not None:
        if line_id not in state.twins:
            raise Refused(400, "invalid_line_id", "there is no line of this id")
        return [state.lines[side] for side in state.twins[line_id]]
    if event_id is None or market_id is None:
        raise Refused(400, "invalid_param", "give a line, or an event and its market")
    key: MarketKey = (event_id, market_id)
    if key not in state.markets:
        raise Refused(400, "invalid_market_id", "there is no market of this id in the event")
    return state.lines_of(key)


def _check_ids(number: int) -> None:
    if not 0 < number <= MAX_ID:
        raise Refused(400, "invalid_param", "an id is from 1 to 2147483647")


def _check_numbers(*numbers: int) -> None:
    # They stand in every selection, as names do.
    if any(not 0 <= number <= MAX_ID for number in numbers):
        raise Refused(400, "invalid_param", "the number of an outcome or competitor is from 0 to 2147483647")


def _check_time(text: str) -> None:
    try:
        has_zone = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        has_zone = False
    if not has_zone:
        raise Refused(400, "invalid_param", "scheduled is a time with its zone, such as 2026-11-21T20:00:00Z")


def _check_name(*texts: str) -> None:
    if any(len(msgspec.json.encode(text)) - 2 > MAX_NAME_BYTES for text in texts):
        raise Refused(400, "invalid_param", f"a name has at most {MAX_NAME_BYTES} bytes")


def _check_status(status: str, before: Market | Line | None) -> None:
    if status not in OPENABLE:
        raise Refused(400, "invalid_param", f"status must be one of {', '.join(OPENABLE)}")
    if before is not None and before.status == "settled":
        raise Refused(400, "market_line_invalid", "what is settled stays settled")
