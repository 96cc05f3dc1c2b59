"""The exchange's state, and the one function that changes it: the fold of what was published.

Owns the tables and their indexes. Knows nothing of rules: a change that was published is a fact.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from touchline.feeds.prophetx.exchange import payloads
from touchline.feeds.prophetx.exchange.commands import FILL_OR_KILL
from touchline.feeds.prophetx.exchange.odds import rank
from touchline.feeds.prophetx.exchange.payloads import Line, Market, Published, SportEvent, Tournament, cents
from touchline.feeds.prophetx.exchange.wagers import Wager, from_info

FINISHED_KEPT: Final = 10_000
"""Finished wagers that are remembered (look-up, used external ids), so memory is bounded. Then whoever has most of them
loses the oldest: those who trade all the time must not make the exchange forget what others did."""

FILL_OR_KILL_NS: Final = 2_000_000_000
"""How long a fill-or-kill wager waits for a match (sheet 2.4, writing side)."""

Place = tuple[int, int, str]
"""A wager's place in a book: rank of its odds, priority, id. The least is matched first."""

MarketKey = tuple[int, int]
"""(sport event id, market id)"""


class Account(msgspec.Struct, frozen=True):
    """A partner's money in cents; ``balance`` can be staked, the rest is held by open wagers."""

    partner: str
    balance: int
    matched: int = 0
    unmatched: int = 0


class State:
    """Tables by id, and what can be looked up quickly. Only ``apply`` writes here."""

    def __init__(self) -> None:
        self.last_sequence = 0
        self.accounts: dict[str, Account] = {}
        self.tournaments: dict[int, Tournament] = {}
        self.events: dict[int, SportEvent] = {}
        self.markets: dict[MarketKey, Market] = {}
        self.lines: dict[str, Line] = {}
        self.wagers: dict[str, Wager] = {}
        self.finished: dict[str, deque[str]] = {}
        self.twins: dict[str, tuple[str, str]] = {}
        self.books: dict[str, list[Place]] = {}
        self.alive: dict[str, dict[str, None]] = {}
        self.open_counts: dict[str, int] = {}
        self.resting: dict[str, dict[str, None]] = {}
        self.external_ids: dict[tuple[str, str], str] = {}
        self.expiring: dict[str, int] = {}

    def wager(self, wager_id: str) -> Wager | None:
        """The wager, unless it is unknown or forgotten."""
        return self.wagers.get(wager_id)

    def book(self, line_id: str) -> Sequence[Place]:
        """What rests on this outcome, first to be matched first."""
        return self.books.get(line_id, ())

    def lines_of(self, key: MarketKey) -> list[Line]:
        """The lines of a market, in the order of their creation."""
        return [line for line in self.lines.values() if (line.sport_event_id, line.market_id) == key]

    @property
    def next_expiry(self) -> int | None:
        """When the next fill-or-kill wager is due, in UTC nanoseconds."""
        return min(self.expiring.values(), default=None)


class _Checkpoint(msgspec.Struct):
    last_sequence: int
    accounts: list[Account]
    tournaments: list[Tournament]
    events: list[SportEvent]
    markets: list[Market]
    lines: list[Line]
    wagers: list[Wager]
    finished: list[str]


def encode(state: State) -> bytes:
    """The state as a checkpoint: equal states give equal bytes."""
    return msgspec.json.encode(
        _Checkpoint(
            last_sequence=state.last_sequence,
            accounts=list(state.accounts.values()),
            tournaments=list(state.tournaments.values()),
            events=list(state.events.values()),
            markets=list(state.markets.values()),
            lines=list(state.lines.values()),
            wagers=list(state.wagers.values()),
            finished=[wager_id for finished in state.finished.values() for wager_id in finished],
        )
    )


def decode(data: bytes) -> State:
    """The state of a checkpoint. Raises msgspec.ValidationError or DecodeError."""
    checkpoint = msgspec.json.decode(data, type=_Checkpoint)
    state = State()
    state.accounts = {account.partner: account for account in checkpoint.accounts}
    state.tournaments = {tournament.id: tournament for tournament in checkpoint.tournaments}
    state.events = {event.event_id: event for event in checkpoint.events}
    state.markets = {(market.sport_event_id, market.id): market for market in checkpoint.markets}
    for line in checkpoint.lines:
        _put_line(state, line)
    for wager in checkpoint.wagers:
        _put_wager(state, wager)
    state.finished = {}
    for wager_id in checkpoint.finished:
        state.finished.setdefault(state.wagers[wager_id].partner, deque()).append(wager_id)
    state.last_sequence = checkpoint.last_sequence
    return state


_TOURNAMENT: Final = msgspec.json.Decoder(payloads.TournamentPayload)
_EVENT: Final = msgspec.json.Decoder(payloads.SportEventPayload)
_MARKET: Final = msgspec.json.Decoder(payloads.MarketPayload)
_LINE: Final = msgspec.json.Decoder(payloads.LinePayload)
_WAGER: Final = msgspec.json.Decoder(payloads.WagerPayload)
_ACCOUNT: Final = msgspec.json.Decoder(payloads.AccountPayload)


def apply(state: State, change: Published) -> None:
    """Take a published change into account, in log order.

    Feed it the exchange's own events alone: another publisher's ids and sequence numbers are not the exchange's.
    Raises ValueError (msgspec's are such) on an event that the exchange never made.
    """
    removed = change.extensions.get("op") == "d"
    match change.type:
        case payloads.WAGER:
            published = _WAGER.decode(change.data).info
            old = state.wagers.get(published.id)
            _put_wager(state, from_info(published, old.priority if old else published.sequence_number))
        case payloads.ACCOUNT:
            account = _ACCOUNT.decode(change.data).info
            state.accounts[account.user_id] = Account(
                partner=account.user_id,
                balance=cents(account.balance),
                matched=cents(account.matched_wager_balance),
                unmatched=cents(account.unmatched_wager_balance),
            )
        case payloads.MARKET_LINE:
            line = _LINE.decode(change.data).info
            _drop_line(state, line) if removed else _put_line(state, line)
        case payloads.MARKET:
            market = _MARKET.decode(change.data).info
            if removed:
                state.markets.pop((market.sport_event_id, market.id), None)
            else:
                state.markets[market.sport_event_id, market.id] = market
        case payloads.SPORT_EVENT:
            event = _EVENT.decode(change.data)
            if removed:
                state.events.pop(int(event.id), None)
            elif event.info is not None:
                state.events[event.info.event_id] = event.info
        case payloads.TOURNAMENT:
            tournament = _TOURNAMENT.decode(change.data)
            if removed:
                state.tournaments.pop(int(tournament.id), None)
            elif tournament.info is not None:
                state.tournaments[tournament.info.id] = tournament.info
        case _:
            pass  # The books and the matches follow from the wagers.
    sequence = int(change.extensions.get(payloads.SEQUENCE, 0))
    state.last_sequence = max(state.last_sequence, sequence)


def are_twins(one: Line, other: Line) -> bool:
    """Whether two lines are the two sides of one: other outcome, same type and line (of a spread: opposite lines)."""
    return (
        (one.sport_event_id, one.market_id, one.type) == (other.sport_event_id, other.market_id, other.type)
        and one.outcome_id != other.outcome_id
        and other.line == (-one.line if one.type == "spread" else one.line)
    )


def _put_line(state: State, line: Line) -> None:
    if line.line_id not in state.lines:
        for other in state.lines_of((line.sport_event_id, line.market_id)):
            if other.line_id not in state.twins and are_twins(other, line):
                state.twins[line.line_id] = state.twins[other.line_id] = (other.line_id, line.line_id)
    state.lines[line.line_id] = line


def _drop_line(state: State, line: Line) -> None:
    state.lines.pop(line.line_id, None)
    state.books.pop(line.line_id, None)
    state.alive.pop(line.line_id, None)
    for side in state.twins.pop(line.line_id, ()):
        state.twins.pop(side, None)


def _put_wager(state: State, wager: Wager) -> None:
    old = state.wagers.get(wager.id)
    state.wagers[wager.id] = wager
    state.external_ids[wager.partner, wager.external_id] = wager.id
    if old is not None and old.is_resting:
        book = state.books[wager.line_id]
        del book[bisect_left(book, (rank(old.odds), old.priority, old.id))]
        if not book:
            del state.books[wager.line_id]
    if wager.is_resting:
        insort(state.books.setdefault(wager.line_id, []), (rank(wager.odds), wager.priority, wager.id))
        if wager.strategy == FILL_OR_KILL:
            state.expiring[wager.id] = wager.priority + FILL_OR_KILL_NS
    else:
        state.expiring.pop(wager.id, None)
    count = state.open_counts.pop(wager.partner, 0) + wager.is_alive - (old is not None and old.is_alive)
    if count:
        state.open_counts[wager.partner] = count
    _index(state.resting, wager.partner, wager.id, present=wager.is_resting)
    _index(state.alive, wager.line_id, wager.id, present=wager.is_alive)
    if not wager.is_alive and (old is None or old.is_alive):
        state.finished.setdefault(wager.partner, deque()).append(wager.id)
        if sum(map(len, state.finished.values())) > FINISHED_KEPT:
            _forget_one(state)


def _forget_one(state: State) -> None:
    partner, most = max(state.finished.items(), key=lambda item: len(item[1]))
    forgotten = state.wagers.pop(most.popleft())
    state.external_ids.pop((partner, forgotten.external_id), None)
    if not most:
        del state.finished[partner]


def _index(index: dict[str, dict[str, None]], key: str, wager_id: str, *, present: bool) -> None:
    if present:
        index.setdefault(key, {})[wager_id] = None
    elif key in index:
        index[key].pop(wager_id, None)
        if not index[key]:
            del index[key]
