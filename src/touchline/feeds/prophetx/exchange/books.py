"""What a book looks like to who would take from it: price levels, and the fake selection of an empty side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Final, Protocol

from touchline.feeds.prophetx.exchange.odds import display, opposite, profit, rank
from touchline.feeds.prophetx.exchange.payloads import Line, Market, Selection, SelectionsInfo, SportEvent, dollars
from touchline.feeds.prophetx.exchange.state import MarketKey, Place
from touchline.feeds.prophetx.exchange.wagers import Wager

LEVELS: Final = 10
"""The seed: each array is limited to the 10 best selections."""


class Books(Protocol):
    """Where books are read: the state, or a decision's draft of it."""

    @property
    def events(self) -> Mapping[int, SportEvent]: ...
    @property
    def markets(self) -> Mapping[MarketKey, Market]: ...
    def wager(self, wager_id: str) -> Wager | None: ...
    def book(self, line_id: str) -> Sequence[Place]: ...


def selections(books: Books, sides: tuple[Line, Line], sequence: int) -> SelectionsInfo:
    """``info`` of market_selections for a two-way line. Under a side stands what its taker gets from the other side."""
    first, second = sides
    market = books.markets[first.sport_event_id, first.market_id]
    return SelectionsInfo(
        id=market.id,
        name=market.name,
        selections=(_levels(books, first, second), _levels(books, second, first)),
        type=first.type,
        line=first.line,
        sequence_number=sequence,
    )


def _levels(books: Books, side: Line, other: Line) -> tuple[Selection, ...]:
    levels: list[Selection] = []
    for _, places in groupby(books.book(other.line_id), key=lambda place: place[0]):
        makers = [maker for place in places if (maker := books.wager(place[2]))]
        stake = sum(maker.unmatched for maker in makers)
        updated_at = max(maker.updated for maker in makers)
        levels.append(_selection(books, side, opposite(makers[0].odds), stake, makers[0].odds, updated_at))
        if len(levels) == LEVELS:
            break
    # The seed promises one fake selection, and says nothing of its values: see the feed's README.
    return tuple(levels) or (_selection(books, side, 0, 0, 0, 0),)


def _selection(books: Books, side: Line, odds: int, stake: int, maker_odds: int, updated_at: int) -> Selection:
    shown = _display_line(side)
    competitors = books.events[side.sport_event_id].competitors
    return Selection(
        outcome_id=side.outcome_id,
        name=side.name,
        competitor_id=next((one.id for one in competitors if side.name in (one.name, one.display_name)), 0),
        line=side.line,
        line_id=side.line_id,
        odds=odds,
        display_odds=display(odds) if odds else "",
        display_line=shown,
        display_name=f"{side.name} {shown}".rstrip(),
        value=dollars(profit(stake, maker_odds) if odds else 0),
        stake=dollars(stake),
        updated_at=updated_at,
    )


def _display_line(side: Line) -> str:
    if side.type == "spread":
        return f"{side.line:+f}"
    return "" if side.line == Decimal(0) else f"{side.line:f}"


def crosses(taker_odds: int, maker_odds: int) -> bool:
    """Whether a taker at these odds is served by a maker on the other side: at its price or a better one."""
    return rank(opposite(maker_odds)) >= rank(taker_odds)
