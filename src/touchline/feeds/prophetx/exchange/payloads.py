"""The seed's payloads as the exchange publishes and folds them, with money and lines as exact decimals.

The account is ours: ``prophetx.account`` is how the fold learns a balance. It is kept, never pushed to a client.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from touchline.model import ExtensionValue

TOURNAMENT: Final = "prophetx.tournament"
SPORT_EVENT: Final = "prophetx.sport_event"
MARKET: Final = "prophetx.market"
MARKET_LINE: Final = "prophetx.market_line"
MARKET_SELECTIONS: Final = "prophetx.market_selections"
MATCHED_BET: Final = "prophetx.matched_bet"
WAGER: Final = "prophetx.wager"
ACCOUNT: Final = "prophetx.account"

SEQUENCE: Final = "sequence"
"""The extension attribute (CloudEvents' own) with a change's number: a bare removal carries none inside."""


class Published(Protocol):
    """A published change as the fold needs it: ``model.Event`` and ``Change`` are such."""

    @property
    def type(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def extensions(self) -> Mapping[str, ExtensionValue]: ...


class Category(msgspec.Struct, frozen=True, rename="camel"):
    """``category`` of a tournament."""

    id: int
    name: str
    country_code: str = ""


class Sport(msgspec.Struct, frozen=True):
    """``sport`` of a tournament."""

    id: int
    name: str


class Tournament(msgspec.Struct, frozen=True):
    """``info`` of a tournament."""

    id: int
    name: str
    category: Category
    sport: Sport
    banner: str = ""
    image: str = ""
    sequence_number: int = 0


class Competitor(msgspec.Struct, frozen=True):
    """Who plays; ``side`` is home or away."""

    id: int
    name: str
    display_name: str
    abbreviation: str = ""
    country: str = ""
    side: str = ""


class SportEvent(msgspec.Struct, frozen=True):
    """``info`` of a sport event; ``tournament_id`` and ``updated_at`` stand inside it as in real samples (sheet 5)."""

    event_id: int
    tournament_id: int
    name: str
    display_name: str
    sport_name: str
    tournament_name: str
    scheduled: str
    competitors: tuple[Competitor, ...]
    type: str = "match"
    status: str = "not_started"
    updated_at: int = 0
    sequence_number: int = 0


class Market(msgspec.Struct, frozen=True):
    """``info`` of a market; its id is unique within its sport event."""

    id: int
    sport_event_id: int
    name: str
    status: str = "active"
    description: str = ""
    sequence_number: int = 0


class Line(msgspec.Struct, frozen=True):
    """``info`` of a market line: one outcome of a two-way line; ``line_id`` names it in a wager."""

    id: int
    sport_event_id: int
    market_id: int
    outcome_id: int
    line: Decimal
    line_id: str
    type: str
    name: str
    status: str = "active"
    favourite: bool = False
    sequence_number: int = 0


class Selection(msgspec.Struct, frozen=True):
    """A price level that can be taken: ``stake`` is what the taker can win, ``value`` what the taker risks for it."""

    outcome_id: int
    name: str
    competitor_id: int
    line: Decimal
    line_id: str
    odds: int
    display_odds: str
    display_line: str
    display_name: str
    value: Decimal
    stake: Decimal
    updated_at: int


class SelectionsInfo(msgspec.Struct, frozen=True):
    """``info`` of market_selections: both sides of a two-way line, best first, a full replacement."""

    id: int
    name: str
    selections: tuple[tuple[Selection, ...], tuple[Selection, ...]]
    type: str
    line: Decimal
    sequence_number: int = 0


class WagerInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """``info`` of a wager; ``wager_strategy`` is ours, there only when one was asked for."""

    id: str
    user_id: str
    market_id: int
    sport_event_id: int
    outcome_id: int
    odds: int
    line: Decimal
    stake: Decimal
    profit: Decimal
    matched_stake: Decimal
    matched_odds: int
    totally_matched_stake: Decimal
    unmatched_stake: Decimal
    matching_status: str
    winning_status: str
    status: str
    external_id: str
    line_id: str
    update_type: str
    sequence_number: int
    wager_strategy: str = ""


class MatchedBetInfo(msgspec.Struct, frozen=True):
    """``info`` of a match, told from the taker's side."""

    line: Decimal
    line_id: str
    market_id: int
    matched_odds: int
    matched_stake: Decimal
    odds: int
    origin_market_line: Decimal
    outcome_id: int
    sequence_number: int
    sport_event_id: int


class AccountInfo(msgspec.Struct, frozen=True):
    """``info`` of our account change: what ``get_balance`` shows. ``balance`` is what can still be staked."""

    user_id: str
    balance: Decimal
    matched_wager_balance: Decimal
    unmatched_wager_balance: Decimal
    sequence_number: int = 0


class TournamentPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """A removal carries the id alone."""

    id: str
    info: Tournament | None = None


class SportEventPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """A removal carries the ids alone (sheet 5, lifecycle)."""

    id: str
    tournament_id: str
    info: SportEvent | None = None


class MarketPayload(msgspec.Struct, frozen=True):
    """``id`` is the sport event's."""

    id: str
    info: Market


class LinePayload(msgspec.Struct, frozen=True):
    """``id`` is the market line's."""

    id: int
    info: Line


class SelectionsPayload(msgspec.Struct, frozen=True):
    """The book of one two-way line."""

    sport_event_id: int
    market_id: int
    info: SelectionsInfo


class MatchedBetPayload(msgspec.Struct, frozen=True):
    """A match."""

    info: MatchedBetInfo


class WagerPayload(msgspec.Struct, frozen=True):
    """A wager as it is now."""

    info: WagerInfo


class AccountPayload(msgspec.Struct, frozen=True):
    """An account as it is now."""

    info: AccountInfo


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def encode(payload: msgspec.Struct) -> bytes:
    """The payload as compact JSON; decimals as numbers in their shortest form."""
    return _ENCODER.encode(payload)


def dollars(cents: int) -> Decimal:
    """Cents as the decimal that goes on the wire."""
    return Decimal(cents) / 100


def cents(amount: Decimal) -> int:
    """A wire amount as whole cents. Raises ValueError when it has parts of a cent."""
    whole = amount * 100
    if not whole.is_finite() or whole != whole.to_integral_value():
        raise ValueError("an amount has at most two decimals")
    return int(whole)
