"""A decision in the making: what it has changed so far laid over the state, and the batch that comes of it.

The state is only read. Books are copied when first touched; a created wager gets a provisional priority behind all
others (the fold gives it the real one), and every number is given when the batch is whole.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import ChainMap
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from touchline.feeds.base.engines import Change
from touchline.feeds.prophetx.exchange import payloads
from touchline.feeds.prophetx.exchange.books import selections
from touchline.feeds.prophetx.exchange.odds import rank
from touchline.feeds.prophetx.exchange.payloads import Line, Market, MatchedBetInfo, SportEvent, Tournament
from touchline.feeds.prophetx.exchange.state import Account, MarketKey, Place, State
from touchline.feeds.prophetx.exchange.wagers import Wager, info

_PROVISIONAL: Final = 2**62
STEP_NS: Final = 1000
"""Sequence numbers stand at least a microsecond apart, so that their order survives a reader's doubles (sheet 7)."""

_OFFERED: Final = (payloads.TOURNAMENT, payloads.SPORT_EVENT, payloads.MARKET, payloads.MARKET_LINE)

MOST_AT_ONCE: Final = 5_000
"""Of the wagers and removals of one command that can be done in parts, so many go into one batch. OUR CHOICE."""

_Make = Callable[[int], msgspec.Struct]


class Part(Exception):
    """Raised inside a decision that is done in parts, when it has enough for one batch. What it has is whole in itself;
    the same command finds the rest."""


class _Pending(msgspec.Struct, frozen=True):
    type: str
    op: str
    subject: str
    make: _Make
    partner: str = ""


class _Update(msgspec.Struct):
    op: str
    update_type: str
    wager: Wager


class Draft:
    """What a decision has changed so far. ``in_parts``: ``pause`` ends it when it is enough for one batch."""

    def __init__(self, state: State, now: int, *, in_parts: bool = False) -> None:
        self.state = state
        self.now = now
        self._in_parts = in_parts
        self.events: ChainMap[int, SportEvent] = ChainMap({}, state.events)
        self.markets: ChainMap[MarketKey, Market] = ChainMap({}, state.markets)
        self._lines: ChainMap[str, Line] = ChainMap({}, state.lines)
        self._wagers: dict[str, Wager] = {}
        self._books: dict[str, list[Place]] = {}
        self._accounts: dict[str, Account] = {}
        self._external_ids: set[tuple[str, str]] = set()
        self._updates: list[_Update] = []
        self._last: dict[str, _Update] = {}
        self._matches: list[MatchedBetInfo] = []
        self._catalogue: list[_Pending] = []
        self._removals: list[_Pending] = []
        self._touched: dict[tuple[str, str], None] = {}
        self._gone: set[str] = set()

    def wager(self, wager_id: str) -> Wager | None:
        """The wager as this decision has left it so far."""
        return self._wagers.get(wager_id) or self.state.wager(wager_id)

    def book(self, line_id: str) -> Sequence[Place]:
        """What rests on this outcome, as this decision has left it so far."""
        copied = self._books.get(line_id)
        return self.state.book(line_id) if copied is None else copied

    def account(self, partner: str) -> Account | None:
        """The account as this decision has left it so far."""
        return self._accounts.get(partner) or self.state.accounts.get(partner)

    def open_wagers(self, partner: str) -> int:
        """How many wagers of a partner hold money, those placed by this decision included."""
        placed = sum(wager.partner == partner and self.state.wager(wager.id) is None for wager in self._wagers.values())
        return self.state.open_counts.get(partner, 0) + placed

    def is_used(self, partner: str, external_id: str) -> bool:
        """Whether this partner has given a wager this external id before."""
        key = (partner, external_id)
        return key in self.state.external_ids or key in self._external_ids

    def create(self, wager: Wager) -> Wager:
        """Put a new wager into its book and hold its stake; it stands behind every other at its odds."""
        created = msgspec.structs.replace(wager, priority=_PROVISIONAL + len(self._updates))
        self._external_ids.add((wager.partner, wager.external_id))
        self._put(None, created, "c", "status", 0)
        return created

    def update(self, wager: Wager, update_type: str, *, gain: int = 0) -> None:
        """Replace a wager; ``gain`` is what its result adds to the account beside the stake that it held."""
        self._put(self.wager(wager.id), wager, "u", update_type, gain)

    def pause(self) -> None:
        """What was done so far is whole in itself: no wager has its result while one that it was matched with lacks it.

        Raises Part when it is enough.
        """
        if self._in_parts and len(self._updates) + len(self._removals) >= MOST_AT_ONCE:
            raise Part

    def _put(self, old: Wager | None, new: Wager, op: str, update_type: str, gain: int) -> None:
        self._updates.append(_Update(op, update_type, new))
        self._wagers[new.id] = new
        book = self._books.get(new.line_id)
        if book is None:
            book = self._books[new.line_id] = list(self.state.book(new.line_id))
        place = (rank(new.odds), new.priority, new.id)
        if old is not None and old.is_resting and not new.is_resting:
            del book[bisect_left(book, place)]
        elif new.is_resting and (old is None or not old.is_resting):
            insort(book, place)
        sides = self.state.twins.get(new.line_id)
        if sides is not None and ((old is not None and old.is_resting) or new.is_resting):
            self._touched[sides] = None
        self._move(new.partner, old, new, gain)

    def _move(self, partner: str, old: Wager | None, new: Wager, gain: int) -> None:
        matched = (new.matched if new.is_alive else 0) - (old.matched if old and old.is_alive else 0)
        unmatched = (new.unmatched if new.is_alive else 0) - (old.unmatched if old and old.is_alive else 0)
        if not matched and not unmatched and not gain:
            return
        account = self.account(partner)
        assert account is not None  # A wager is made from an account, and accounts stay.
        self._accounts[partner] = Account(
            partner=partner,
            balance=account.balance - matched - unmatched + gain,
            matched=account.matched + matched,
            unmatched=account.unmatched + unmatched,
        )

    def _show(self, lines: Iterable[Line]) -> None:
        for line in lines:
            if line.line_id in self.state.twins:
                self._touched[self.state.twins[line.line_id]] = None

    def match(self, bet: MatchedBetInfo) -> None:
        """Tell everybody of a match."""
        self._matches.append(bet)

    def put_account(self, account: Account) -> None:
        """Open an account, or pay into it."""
        self._accounts[account.partner] = account

    def put_tournament(self, tournament: Tournament) -> None:
        """Create or update a tournament."""
        op = "u" if tournament.id in self.state.tournaments else "c"
        self._catalogue.append(_Pending(payloads.TOURNAMENT, op, str(tournament.id), _tournament(tournament)))

    def put_event(self, event: SportEvent) -> None:
        """Create or update a sport event; its books show its competitors."""
        self.events[event.event_id] = event
        self._show(line for line in self.state.lines.values() if line.sport_event_id == event.event_id)
        op = "u" if event.event_id in self.state.events else "c"
        self._catalogue.append(_Pending(payloads.SPORT_EVENT, op, str(event.tournament_id), _event(event)))

    def put_market(self, market: Market) -> None:
        """Create or update a market; its books show its name."""
        key = (market.sport_event_id, market.id)
        self.markets[key] = market
        self._show(self.state.lines_of(key))
        op = "u" if key in self.state.markets else "c"
        self._catalogue.append(_Pending(payloads.MARKET, op, self._subject(market.sport_event_id), _market(market)))

    def put_lines(self, first: Line, second: Line) -> None:
        """Create or update both sides of a two-way line; a new one shows its empty book at once."""
        for line in (first, second):
            self._lines[line.line_id] = line
            op = "u" if line.line_id in self.state.lines else "c"
            self._catalogue.append(_Pending(payloads.MARKET_LINE, op, self._subject(line.sport_event_id), _line(line)))
        self._touched[first.line_id, second.line_id] = None

    def remove_tournament(self, tournament: Tournament) -> None:
        """Remove a tournament, its events being removed before."""
        self._removals.append(_Pending(payloads.TOURNAMENT, "d", str(tournament.id), _tournament(tournament)))

    def remove_event(self, event: SportEvent) -> None:
        """Remove a sport event, its markets being removed before; the payload is bare (sheet 5, lifecycle)."""
        bare = payloads.SportEventPayload(str(event.event_id), str(event.tournament_id))
        self._removals.append(_Pending(payloads.SPORT_EVENT, "d", str(event.tournament_id), lambda _: bare))

    def remove_market(self, market: Market) -> None:
        """Remove a market, its lines being removed before."""
        closed = msgspec.structs.replace(market, status="closed")
        self._removals.append(_Pending(payloads.MARKET, "d", self._subject(market.sport_event_id), _market(closed)))

    def remove_line(self, line: Line) -> None:
        """Remove one side of a two-way line, its wagers being done with before."""
        self._gone.add(line.line_id)
        closed = msgspec.structs.replace(line, status="closed")
        self._removals.append(_Pending(payloads.MARKET_LINE, "d", self._subject(line.sport_event_id), _line(closed)))

    def _subject(self, event_id: int) -> str:
        return str(self.state.events[event_id].tournament_id)

    def updated(self, wager_id: str) -> payloads.WagerInfo:
        """A wager that this decision changed, as its last change published it; ask after ``changes``."""
        last = self._last[wager_id]
        return info(last.wager, last.update_type)

    def changes(self) -> tuple[Change, ...]:
        """The batch; to be called once, at the end.

        In this order (sheet 7): what is offered, the books, the matches, the wagers, the accounts, what is removed.
        """
        books = [sides for sides in self._touched if self._gone.isdisjoint(sides)]
        first = max(self.now, self.state.last_sequence + STEP_NS)
        self._number_wagers(first + STEP_NS * (len(self._catalogue) + len(books) + len(self._matches)))
        pending = [
            *sorted(self._catalogue, key=lambda one: _OFFERED.index(one.type)),
            *(self._selections(*sides) for sides in books),
            *(self._matched_bet(bet) for bet in self._matches),
            *(self._wager(update) for update in self._updates),
            *(self._account(account) for account in self._accounts.values()),
            *self._removals,
        ]
        return tuple(_change(one, first + STEP_NS * index) for index, one in enumerate(pending))

    def _number_wagers(self, sequence: int) -> None:
        for index, update in enumerate(self._updates):
            update.wager = msgspec.structs.replace(update.wager, updated=sequence + STEP_NS * index)
            self._wagers[update.wager.id] = update.wager
            self._last[update.wager.id] = update

    def _selections(self, first: str, second: str) -> _Pending:
        sides = (self._lines[first], self._lines[second])
        event_id, market_id = sides[0].sport_event_id, sides[0].market_id

        def make(sequence: int) -> msgspec.Struct:
            return payloads.SelectionsPayload(event_id, market_id, selections(self, sides, sequence))

        return _Pending(payloads.MARKET_SELECTIONS, "u", self._subject(event_id), make)

    def _matched_bet(self, bet: MatchedBetInfo) -> _Pending:
        def make(sequence: int) -> msgspec.Struct:
            return payloads.MatchedBetPayload(msgspec.structs.replace(bet, sequence_number=sequence))

        return _Pending(payloads.MATCHED_BET, "c", self._subject(bet.sport_event_id), make)

    def _wager(self, update: _Update) -> _Pending:
        payload = payloads.WagerPayload(info(update.wager, update.update_type))
        partner = update.wager.partner
        return _Pending(payloads.WAGER, update.op, partner, lambda _: payload, partner)

    def _account(self, account: Account) -> _Pending:
        def make(sequence: int) -> msgspec.Struct:
            return payloads.AccountPayload(
                payloads.AccountInfo(
                    user_id=account.partner,
                    balance=payloads.dollars(account.balance),
                    matched_wager_balance=payloads.dollars(account.matched),
                    unmatched_wager_balance=payloads.dollars(account.unmatched),
                    sequence_number=sequence,
                )
            )

        op = "u" if account.partner in self.state.accounts else "c"
        return _Pending(payloads.ACCOUNT, op, account.partner, make, account.partner)


def _change(pending: _Pending, sequence: int) -> Change:
    extensions: dict[str, str | int | bool] = {"op": pending.op, payloads.SEQUENCE: str(sequence)}
    if pending.partner:
        extensions["partner"] = pending.partner
    data = payloads.encode(pending.make(sequence))
    return Change(str(sequence), pending.type, pending.subject, data, extensions)


def _tournament(tournament: Tournament) -> _Make:
    def make(sequence: int) -> msgspec.Struct:
        info = msgspec.structs.replace(tournament, sequence_number=sequence)
        return payloads.TournamentPayload(str(tournament.id), info)

    return make


def _event(event: SportEvent) -> _Make:
    def make(sequence: int) -> msgspec.Struct:
        info = msgspec.structs.replace(event, sequence_number=sequence, updated_at=sequence)
        return payloads.SportEventPayload(str(event.event_id), str(event.tournament_id), info)

    return make


def _market(market: Market) -> _Make:
    def make(sequence: int) -> msgspec.Struct:
        info = msgspec.structs.replace(market, sequence_number=sequence)
        return payloads.MarketPayload(str(market.sport_event_id), info)

    return make


def _line(line: Line) -> _Make:
    def make(sequence: int) -> msgspec.Struct:
        return payloads.LinePayload(line.id, msgspec.structs.replace(line, sequence_number=sequence))

    return make
