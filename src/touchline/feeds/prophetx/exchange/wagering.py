"""What partners may ask: place and cancel wagers. Each function changes a draft or raises Refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from touchline.errors import LocalProtocolError
from touchline.feeds.prophetx.exchange.books import crosses
from touchline.feeds.prophetx.exchange.commands import (
    FILL_OR_KILL,
    Cancellation,
    CancelWhere,
    Order,
    Refused,
)
from touchline.feeds.prophetx.exchange.draft import Draft
from touchline.feeds.prophetx.exchange.odds import LADDER, fill, on_ladder, opposite, profit
from touchline.feeds.prophetx.exchange.payloads import Line, MatchedBetInfo, cents, dollars
from touchline.feeds.prophetx.exchange.state import Account
from touchline.feeds.prophetx.exchange.wagers import Wager, matched, withdrawn

MINIMUM_STAKE_CENTS: Final = 100
"""OUR CHOICE: the provider's least stake is not documented; one dollar wins a cent even at -10000."""
MAXIMUM_STAKE_CENTS: Final = 100_000_000 * 100
"""Sheet 2.4: at most 100,000,000."""
MOST_OPEN: Final = 1_000
"""OUR CHOICE: open wagers of one partner; it bounds memory, and how many changes one command can lead to."""
MOST_ALIVE: Final = 20_000
"""OUR CHOICE: open wagers on one two-way line, of all partners: settling it is one batch, which must find its place."""
LIMIT_MANY: Final = 20
"""Wagers in one place or cancel request (sheet 2.4)."""

_EXTERNAL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


def need_account(draft: Draft, partner: str) -> Account:
    """The partner's account. Raises Refused."""
    account = draft.account(partner)
    if account is None:
        raise Refused(404, "wallet_not_found", "there is no account of this user")
    return account


def place(draft: Draft, partner: str, order: Order, granted: frozenset[str] | None, new_id: Callable[[], str]) -> str:
    """Place one wager, match it, leave the rest in the book; returns its id.

    Raises Refused, the draft unchanged, and LocalProtocolError when ``new_id`` gives an id for the second time.
    """
    account = need_account(draft, partner)
    _check_external_id(draft, partner, order.external_id)
    if draft.open_wagers(partner) >= MOST_OPEN:
        raise Refused(400, "wager_limit_exceeded", f"a user has at most {MOST_OPEN} open wagers")
    if order.wager_strategy == "ALO":
        raise Refused(400, "err_add_liquidity_only_disabled", "add-liquidity-only wagers are not available")
    if order.wager_strategy not in ("", FILL_OR_KILL):
        raise Refused(400, "invalid_param", f"wager_strategy must be {FILL_OR_KILL} or absent")
    line = _bettable(draft, order.line_id, granted)
    alive = draft.state.alive
    if sum(len(alive.get(side, ())) for side in draft.state.twins[line.line_id]) >= MOST_ALIVE:
        raise Refused(400, "wager_limit_exceeded", f"a line has at most {MOST_ALIVE} open wagers")
    odds = _odds(order.odds)
    stake = _stake(order.stake, odds)
    if stake > account.balance:
        raise Refused(403, "insufficient_amount", "the balance is less than the stake")
    wager_id = f"partner_{new_id()}"
    if draft.wager(wager_id) is not None:
        raise LocalProtocolError(f"the id {wager_id} is given to a wager already")
    wager = Wager(
        id=wager_id,
        partner=partner,
        external_id=order.external_id,
        line_id=line.line_id,
        event_id=line.sport_event_id,
        market_id=line.market_id,
        outcome_id=line.outcome_id,
        line=line.line,
        odds=odds,
        stake=stake,
        unmatched=stake,
        strategy=order.wager_strategy,
    )
    _match(draft, draft.create(wager), line)
    return wager.id


def _check_external_id(draft: Draft, partner: str, external_id: str) -> None:
    if not _EXTERNAL_ID.fullmatch(external_id):
        raise Refused(400, "invalid_param", "external_id must be 1 to 100 of A-Z, a-z, 0-9, _ and -")
    if draft.is_used(partner, external_id):
        raise Refused(400, "wager_external_id_existed", "this user has a wager with the same external id already")


def _bettable(draft: Draft, line_id: str, granted: frozenset[str] | None) -> Line:
    state = draft.state
    line = state.lines.get(line_id)
    event = None if line is None or line_id not in state.twins else state.events[line.sport_event_id]
    # What is not granted is not said to exist, as in every other place.
    if line is None or event is None or (granted is not None and str(event.tournament_id) not in granted):
        raise Refused(400, "invalid_line_id", "there is no line of this id")
    if line.type == "sup_moneyline" and event.status != "not_started":
        raise Refused(400, "supplemental_market_pre_match_only", "supplemental markets close when the event starts")
    market = state.markets[line.sport_event_id, line.market_id]
    if event.status not in ("not_started", "live") or market.status != "active" or line.status != "active":
        raise Refused(400, "event_not_available", "the event is not available for betting now")
    return line


def _odds(value: Decimal) -> int:
    # Its size is looked at before it is converted: a huge exponent must not be written out.
    odds = int(value) if value.is_finite() and LADDER[0] <= value <= LADDER[-1] and value == int(value) else 0
    if not on_ladder(odds):
        raise Refused(400, "wager_invalid_odds", "the odds are not on the odds ladder")
    return odds


def _stake(value: Decimal, odds: int) -> int:
    # Compared before it is converted: a huge exponent must not be multiplied out.
    if not value.is_finite() or value <= 0:
        raise Refused(400, "invalid_stake", "the stake must be a positive amount")
    if value > dollars(MAXIMUM_STAKE_CENTS):
        raise Refused(400, "wager_stake_exceeds_max", "the stake is more than 100000000")
    if value < dollars(MINIMUM_STAKE_CENTS):
        raise Refused(400, "invalid_stake", f"the stake must be at least {dollars(MINIMUM_STAKE_CENTS)}")
    try:
        stake = cents(value)
    except ValueError:
        raise Refused(400, "invalid_stake", "the stake has parts of a cent") from None
    if profit(stake, odds) < 1:
        raise Refused(400, "wager_invalid_profit", "the stake wins less than a cent at these odds")
    return stake


def _match(draft: Draft, taker: Wager, line: Line) -> None:
    first, second = draft.state.twins[line.line_id]
    other = second if line.line_id == first else first
    while taker.unmatched and (book := draft.book(other)):
        maker = draft.wager(book[0][2])
        assert maker is not None  # A wager in a book is alive, and those are never forgotten.
        if not crosses(taker.odds, maker.odds):
            return
        if maker.partner == taker.partner:
            # OUR CHOICE: nobody trades with himself; the older wager gives way, or the book would stand crossed.
            draft.update(withdrawn(maker, "canceled"), "status")
            continue
        maker_stake, taker_stake = fill(maker.unmatched, taker.unmatched, maker.odds)
        taken_at = opposite(maker.odds)
        draft.update(matched(maker, maker_stake, maker.odds, taker_stake), "matching")
        taker = matched(taker, taker_stake, taken_at, maker_stake)
        draft.update(taker, "matching")
        draft.match(
            MatchedBetInfo(
                line=line.line,
                line_id=line.line_id,
                market_id=line.market_id,
                matched_odds=taken_at,
                matched_stake=dollars(taker_stake),
                odds=taker.odds,
                origin_market_line=draft.state.lines[first].line,
                outcome_id=line.outcome_id,
                sequence_number=0,
                sport_event_id=line.sport_event_id,
            )
        )


def cancel(draft: Draft, partner: str, asked: Cancellation) -> str:
    """Take the unmatched part of one wager out of its book; returns its id. Raises Refused, the draft unchanged."""
    wager = draft.wager(asked.wager_id)
    if wager is None or wager.partner != partner:
        # Somebody else's wager is not said to exist.
        raise Refused(404, "data_not_found", "there is no wager of this id")
    if wager.external_id != asked.external_id:
        raise Refused(400, "wager_not_matching_external_id", "the external id is not that of the wager")
    if wager.is_resting:
        draft.update(withdrawn(wager, "canceled"), "status")
        return wager.id
    if wager.matched and wager.status != "void":
        raise Refused(400, "wager_already_matched", "the wager is matched already")
    raise Refused(400, "wager_already_cancelled", "the wager is cancelled already")


def cancel_where(draft: Draft, asked: CancelWhere) -> list[str]:
    """Cancel all that rests of a partner, of one event, or of one market; returns their ids. Raises Refused."""
    _check_where(draft, asked)
    found = [
        wager
        for wager_id in draft.state.resting.get(asked.partner, ())
        if (wager := draft.wager(wager_id)) is not None
        and asked.event_id in (None, wager.event_id)
        and asked.market_id in (None, wager.market_id)
        and asked.line_id in (None, wager.line_id)
    ]
    if not found:
        raise Refused(404, "no_cancellable_wagers", "there are no wagers that could be cancelled")
    for wager in found:
        draft.update(withdrawn(wager, "canceled"), "status")
    return [wager.id for wager in found]


def _check_where(draft: Draft, asked: CancelWhere) -> None:
    state = draft.state
    if asked.market_id is not None and asked.event_id is None:
        raise Refused(400, "invalid_param", "a market is asked for together with its event")
    event = None if asked.event_id is None else state.events.get(asked.event_id)
    hidden = event is not None and asked.granted is not None and str(event.tournament_id) not in asked.granted
    if asked.event_id is not None and (event is None or hidden):
        raise Refused(404, "sport_event_not_found", "there is no sport event of this id")
    if asked.market_id is not None and (asked.event_id, asked.market_id) not in state.markets:
        raise Refused(400, "invalid_market_id", "there is no market of this id in the event")
    if asked.line_id is not None and asked.line_id not in state.lines:
        raise Refused(400, "invalid_line_id", "there is no line of this id")


def expire(draft: Draft) -> None:
    """Cancel the fill-or-kill wagers that are due."""
    for wager_id, due in list(draft.state.expiring.items()):
        wager = draft.wager(wager_id)
        if wager is not None and due <= draft.now:
            draft.pause()
            draft.update(withdrawn(wager, "canceled"), "status")
