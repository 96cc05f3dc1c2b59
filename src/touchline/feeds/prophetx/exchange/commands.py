"""What can be asked of the exchange, by partners and by the operator (the house), and what it decides."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Final

import msgspec

from touchline.feeds.base.engines import Change, Refusal
from touchline.feeds.prophetx.exchange import payloads
from touchline.feeds.prophetx.exchange.payloads import Line, Market, SportEvent, Tournament

FILL_OR_KILL: Final = "fillOrKill"


class Order(msgspec.Struct, frozen=True):
    """A wager to be placed, as the request body has it. Decode amounts as Decimal: a float would not be exact."""

    external_id: str
    line_id: str
    odds: Decimal
    stake: Decimal
    wager_strategy: str = ""


class Cancellation(msgspec.Struct, frozen=True):
    """A wager to be cancelled; both ids must fit."""

    external_id: str
    wager_id: str


class _House(msgspec.Struct, frozen=True, tag_field="command", forbid_unknown_fields=True):
    """What the operator may ask: in JSON ``command`` names it."""


class OpenAccount(_House, frozen=True, tag="open_account"):
    """A partner with its starting balance, in cents."""

    partner: str
    balance_cents: int


class Deposit(_House, frozen=True, tag="deposit"):
    """Money paid into an account, in cents."""

    partner: str
    cents: int


class Place(msgspec.Struct, frozen=True):
    """place_wager; ``granted`` are the tournaments that are open to the partner (None: all)."""

    partner: str
    order: Order
    granted: frozenset[str] | None = None


class PlaceMany(msgspec.Struct, frozen=True):
    """place_multiple_wagers: each with its own result; ``granted`` as in Place."""

    partner: str
    orders: tuple[Order, ...]
    granted: frozenset[str] | None = None


class Cancel(msgspec.Struct, frozen=True):
    """cancel_wager."""

    partner: str
    cancellation: Cancellation


class CancelMany(msgspec.Struct, frozen=True):
    """cancel_multiple_wagers: each with its own result."""

    partner: str
    cancellations: tuple[Cancellation, ...]


class CancelWhere(msgspec.Struct, frozen=True):
    """cancel_all_wagers; with ``event_id`` cancel_wagers_by_event; with a market too (and a line) by market.

    ``granted`` as in Place: other events are not said to exist. All of everything is cancelled whatever is granted.
    """

    partner: str
    event_id: int | None = None
    market_id: int | None = None
    line_id: str | None = None
    granted: frozenset[str] | None = None


class Expire(msgspec.Struct, frozen=True):
    """Cancel what was to be filled at once and was not (``State.next_expiry`` says when to ask)."""


class PutTournament(_House, frozen=True, tag="put_tournament"):
    """Create or update a tournament."""

    tournament: Tournament


class PutSportEvent(_House, frozen=True, tag="put_sport_event"):
    """Create or update a sport event; its ``status`` going live wipes what rests from before the game."""

    event: SportEvent


class PutMarket(_House, frozen=True, tag="put_market"):
    """Create, update, suspend (``status``) or re-open a market."""

    market: Market


class PutLine(_House, frozen=True, tag="put_line"):
    """Create, update, suspend (``status``) or re-open both sides of a two-way line."""

    sides: tuple[Line, Line]


class Remove(_House, frozen=True, tag="remove"):
    """Remove a tournament, sport event, market, or two-way line with all below it; its wagers are voided.

    Give the tournament alone, the event alone, event and market, or a line_id of either side.
    """

    tournament_id: int | None = None
    event_id: int | None = None
    market_id: int | None = None
    line_id: str | None = None


class Void(_House, frozen=True, tag="void"):
    """Void every open wager of a two-way line (either side's ``line_id``), or of a market."""

    line_id: str | None = None
    event_id: int | None = None
    market_id: int | None = None


class Result(enum.Enum):
    """How one side of a two-way line ended."""

    WIN = "win"
    LOSE = "lose"
    PUSH = "push"


class Settle(_House, frozen=True, tag="settle"):
    """Settle a two-way line: ``result`` is that of the side named."""

    line_id: str
    result: Result


HouseCommand = OpenAccount | Deposit | PutTournament | PutSportEvent | PutMarket | PutLine | Remove | Void | Settle

Command = Place | PlaceMany | Cancel | CancelMany | CancelWhere | Expire | HouseCommand


class Failure(msgspec.Struct, frozen=True):
    """An item of place or cancel many that was refused, by its place in the request."""

    index: int
    refusal: Refusal


class Accepted(msgspec.Struct, frozen=True):
    """``changes`` go out as one batch, all or nothing (none when nothing had to change).

    ``wagers`` are those that the command placed or cancelled, in the order asked for, as they are afterwards.
    ``more``: this is a part of it, and the same command does the next (``base.Decision``).
    """

    changes: tuple[Change, ...]
    wagers: tuple[payloads.WagerInfo, ...] = ()
    failures: tuple[Failure, ...] = ()
    more: bool = False


class Refused(Exception):
    """Raised inside a decision; ``decide`` turns it into its Refusal."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(status, error, message)
