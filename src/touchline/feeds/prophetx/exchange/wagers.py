"""A wager inside the exchange: whole cents, and the steps of its life. Each step gives a new value."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from touchline.feeds.prophetx.exchange.odds import profit
from touchline.feeds.prophetx.exchange.payloads import WagerInfo, cents, dollars

ALIVE: Final = frozenset({"open", "settled"})
"""The statuses in which a wager holds its owner's money (sheet 5, enums; what is placed here is activated at once)."""


class Wager(msgspec.Struct, frozen=True):
    """A wager; amounts in cents.

    ``win`` is what its matched part wins, which is the sum of what the other sides staked. ``priority`` is the
    sequence number of its creation, ``updated`` that of its last change.
    """

    id: str
    partner: str
    external_id: str
    line_id: str
    event_id: int
    market_id: int
    outcome_id: int
    line: Decimal
    odds: int
    stake: int
    unmatched: int
    matched: int = 0
    win: int = 0
    last_stake: int = 0
    last_odds: int = 0
    status: str = "open"
    winning: str = "tbd"
    strategy: str = ""
    priority: int = 0
    updated: int = 0

    @property
    def is_resting(self) -> bool:
        """Whether a part of it can still be matched."""
        return self.status == "open" and self.unmatched > 0

    @property
    def is_alive(self) -> bool:
        """Whether it still holds money."""
        return self.status in ALIVE

    @property
    def matching_status(self) -> str:
        """A part cancelled after a match counts as fully matched (sheet 5, enums)."""
        if self.matched == 0:
            return "unmatched"
        return "partially_matched" if self.unmatched else "fully_matched"


def matched(wager: Wager, stake: int, odds: int, win: int) -> Wager:
    """The wager after a trade of ``stake`` for ``win`` cents; a rest that could not win a cent any more is let go."""
    rest = wager.unmatched - stake
    return msgspec.structs.replace(
        wager,
        matched=wager.matched + stake,
        unmatched=rest if profit(rest, wager.odds) else 0,
        win=wager.win + win,
        last_stake=stake,
        last_odds=odds,
    )


def withdrawn(wager: Wager, status: str) -> Wager:
    """The wager without its unmatched part: ``status`` (canceled, wiped) when nothing was matched, open otherwise."""
    return msgspec.structs.replace(wager, unmatched=0, status=status if wager.matched == 0 else wager.status)


def ended(wager: Wager, status: str, winning: str) -> Wager:
    """The wager with its result."""
    return msgspec.structs.replace(wager, unmatched=0, status=status, winning=winning)


def info(wager: Wager, update_type: str) -> WagerInfo:
    """The wager as it is published. ``profit``: what it wins in all if the rest is matched at its own odds."""
    return WagerInfo(
        id=wager.id,
        user_id=wager.partner,
        market_id=wager.market_id,
        sport_event_id=wager.event_id,
        outcome_id=wager.outcome_id,
        odds=wager.odds,
        line=wager.line,
        stake=dollars(wager.stake),
        profit=dollars(wager.win + profit(wager.unmatched, wager.odds)),
        matched_stake=dollars(wager.last_stake),
        matched_odds=wager.last_odds,
        totally_matched_stake=dollars(wager.matched),
        unmatched_stake=dollars(wager.unmatched),
        matching_status=wager.matching_status,
        winning_status=wager.winning,
        status=wager.status,
        external_id=wager.external_id,
        line_id=wager.line_id,
        update_type=update_type,
        sequence_number=wager.updated,
        wager_strategy=wager.strategy,
    )


def from_info(published: WagerInfo, priority: int) -> Wager:
    """The wager that was published: the inverse of ``info``, with the priority that its creation gave it."""
    unmatched = cents(published.unmatched_stake)
    return Wager(
        id=published.id,
        partner=published.user_id,
        external_id=published.external_id,
        line_id=published.line_id,
        event_id=published.sport_event_id,
        market_id=published.market_id,
        outcome_id=published.outcome_id,
        line=published.line,
        odds=published.odds,
        stake=cents(published.stake),
        unmatched=unmatched,
        matched=cents(published.totally_matched_stake),
        win=cents(published.profit) - profit(unmatched, published.odds),
        last_stake=cents(published.matched_stake),
        last_odds=published.matched_odds,
        status=published.status,
        winning=published.winning_status,
        strategy=published.wager_strategy,
        priority=priority,
        updated=published.sequence_number,
    )
