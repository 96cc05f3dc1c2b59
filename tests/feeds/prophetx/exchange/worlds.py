"""A sandbox exchange run by hand, and what must hold of it after every command."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from itertools import count, pairwise

import msgspec

from touchline.feeds.prophetx import exchange
from touchline.feeds.prophetx.exchange import Accepted, Change, Command, Refusal, State, Wager, payloads
from touchline.feeds.prophetx.exchange.payloads import (
    Category,
    Competitor,
    Line,
    Market,
    Sport,
    SportEvent,
    Tournament,
    WagerInfo,
)

T0 = 1_795_089_600_000_000_000
TOURNAMENT = Tournament(id=132, name="NBA", category=Category(1, "USA", "US"), sport=Sport(2, "Basketball"))
EVENT = SportEvent(
    event_id=7001,
    tournament_id=132,
    name="Hawks at Bulls",
    display_name="Hawks at Bulls",
    sport_name="Basketball",
    tournament_name="NBA",
    scheduled="2026-11-21T20:00:00Z",
    competitors=(
        Competitor(11, "Bulls", "Chicago Bulls", "CHI", "US", "home"),
        Competitor(12, "Hawks", "Atlanta Hawks", "ATL", "US", "away"),
    ),
)
MONEYLINE = Market(id=219, sport_event_id=7001, name="Moneyline")
SPREAD = Market(id=223, sport_event_id=7001, name="Spread")


def line(side: int, market: Market = MONEYLINE, number: int = 1, points: str = "0") -> Line:
    """One side (0 home, 1 away) of a two-way line."""
    return Line(
        id=market.id * 1000 + number * 10 + side,
        sport_event_id=market.sport_event_id,
        market_id=market.id,
        outcome_id=4 + side,
        line=Decimal(points) * (-1 if side else 1),
        line_id=f"{market.id}-{number}-{'home' if side == 0 else 'away'}",
        type="spread" if market is SPREAD else "moneyline",
        name=("Bulls", "Hawks")[side],
    )


HOME, AWAY = line(0), line(1)
H, A = HOME.line_id, AWAY.line_id


def order(external_id: str, line_id: str, price: int, dollars: str, strategy: str = "") -> exchange.Order:
    return exchange.Order(external_id, line_id, Decimal(price), Decimal(dollars), strategy)


class Floor:
    """Runs an exchange as its owner would: decide, publish, fold. Keeps all that was published."""

    def __init__(self) -> None:
        self.state = State()
        self.now = T0
        self.published: list[Change] = []
        self.deposits = 0
        self._numbers = count(1)

    def do(self, command: Command) -> Accepted | Refusal:
        """Carry out a command; a refused one has changed nothing."""
        self.now += 1_000_000
        before = fingerprint(self.state)
        answer = exchange.decide(self.state, command, self.now, self.new_id)
        assert fingerprint(self.state) == before, "deciding changes nothing"
        if isinstance(answer, Accepted):
            for change in answer.changes:
                exchange.apply(self.state, change)
            self.published.extend(answer.changes)
            if isinstance(command, exchange.OpenAccount):
                self.deposits += command.balance_cents
        return answer

    def new_id(self) -> str:
        return f"{next(self._numbers):08d}"

    def accepted(self, command: Command) -> Accepted:
        answer = self.do(command)
        assert isinstance(answer, Accepted), answer
        return answer

    def refused(self, command: Command) -> Refusal:
        answer = self.do(command)
        assert isinstance(answer, Refusal), answer
        return answer

    def place(self, partner: str, external_id: str, line_id: str, price: int, dollars: str) -> WagerInfo:
        """Place a wager that is taken; as it is afterwards."""
        return self.accepted(exchange.Place(partner, order(external_id, line_id, price, dollars))).wagers[0]

    def money(self, partner: str) -> tuple[int, int, int]:
        """(balance, matched, unmatched) in cents."""
        account = self.state.accounts[partner]
        return account.balance, account.matched, account.unmatched

    def wager(self, wager_id: str) -> Wager:
        found = self.state.wager(wager_id)
        assert found is not None
        return found


def open_floor(*partners: str, dollars: int = 1000) -> Floor:
    """An exchange with a moneyline and funded partners."""
    floor = Floor()
    for command in (
        exchange.PutTournament(TOURNAMENT),
        exchange.PutSportEvent(EVENT),
        exchange.PutMarket(MONEYLINE),
        exchange.PutLine((HOME, AWAY)),
        *(exchange.OpenAccount(partner, dollars * 100) for partner in partners),
    ):
        floor.accepted(command)
    return floor


def fingerprint(state: State) -> tuple[bytes, object]:
    """All of a state, its indexes included."""
    indexes = (
        state.open_counts,
        state.books,
        state.twins,
        state.alive,
        state.resting,
        state.external_ids,
        state.expiring,
    )
    return exchange.encode(state), msgspec.to_builtins([sorted(map(repr, index.items())) for index in indexes])


def rebuilt(published: list[Change]) -> State:
    state = State()
    for change in published:
        exchange.apply(state, change)
    return state


def of_type(changes: tuple[Change, ...] | list[Change], kind: str) -> list[dict[str, object]]:
    """The decoded payloads of one change type; numbers with decimals as Decimal would be compared as floats."""
    return [msgspec.json.decode(change.data) for change in changes if change.type == kind]


def check_money(floor: Floor) -> None:
    """No cent comes from nowhere or goes anywhere, and each account tells what its wagers hold."""
    matched: dict[str, int] = defaultdict(int)
    unmatched: dict[str, int] = defaultdict(int)
    for wager in floor.state.wagers.values():
        if wager.status in ("open", "settled"):
            matched[wager.partner] += wager.matched
            unmatched[wager.partner] += wager.unmatched
    accounts = floor.state.accounts.values()
    for account in accounts:
        assert account.balance >= 0
        assert (account.matched, account.unmatched) == (matched[account.partner], unmatched[account.partner])
    assert sum(one.balance + one.matched + one.unmatched for one in accounts) == floor.deposits


def check_sides(state: State) -> None:
    """On every two-way line each side wins exactly what the other staked."""
    for first, second in set(state.twins.values()):
        sides = [[wager for wager in state.wagers.values() if wager.line_id == one] for one in (first, second)]
        ours, theirs = ([wager for wager in side if wager.status == "open"] for side in sides)
        assert sum(wager.win for wager in ours) == sum(wager.matched for wager in theirs)
        assert sum(wager.win for wager in theirs) == sum(wager.matched for wager in ours)


def check_trades(changes: tuple[Change, ...]) -> None:
    """In every match both stakes fit the odds to half a cent of one side, and the public is told the same."""
    bets = [change for change in changes if change.type == payloads.MATCHED_BET]
    wagers = [msgspec.json.decode(one.data, type=payloads.WagerPayload).info for one in of_kind(changes)]
    told = [wager for wager in wagers if wager.update_type == "matching"]
    assert len(told) == 2 * len(bets)
    for bet, maker, taker in zip(bets, told[::2], told[1::2], strict=True):
        public = msgspec.json.decode(bet.data, type=payloads.MatchedBetPayload).info
        assert (public.matched_odds, public.matched_stake) == (taker.matched_odds, taker.matched_stake)
        assert (public.line_id, public.odds) == (taker.line_id, taker.odds)
        assert maker.matched_odds == maker.odds
        assert payout(taker.matched_odds) == 1 / payout(maker.odds)
        assert payout(taker.matched_odds) >= payout(taker.odds), "the taker's price or a better one"
        won = Fraction(maker.matched_stake) * payout(maker.odds)
        risked = Fraction(taker.matched_stake) * payout(taker.matched_odds)
        half = Fraction(1, 200)
        assert abs(won - Fraction(taker.matched_stake)) <= half or abs(risked - Fraction(maker.matched_stake)) <= half
        assert maker.user_id != taker.user_id


def of_kind(changes: tuple[Change, ...]) -> list[Change]:
    return [change for change in changes if change.type == payloads.WAGER]


def payout(price: int) -> Fraction:
    """What a stake of 1 wins, worked out apart from the engine."""
    return Fraction(price, 100) if price > 0 else Fraction(100, -price)


def check_books(state: State) -> None:
    """Every book holds what rests, best first, and no two wagers that would serve each other stand in it."""
    for line_id, book in state.books.items():
        makers = [state.wagers[place[2]] for place in book]
        assert all(maker.line_id == line_id and maker.unmatched > 0 and maker.status == "open" for maker in makers)
        keys = [(payout(maker.odds), maker.priority) for maker in makers]
        assert all(one < other for one, other in pairwise(keys))
    assert sum(map(len, state.books.values())) == sum(
        wager.status == "open" and wager.unmatched > 0 for wager in state.wagers.values()
    )
    for first, second in set(state.twins.values()):
        for one in state.book(first):
            for other in state.book(second):
                product = payout(state.wagers[one[2]].odds) * payout(state.wagers[other[2]].odds)
                assert product > 1, "a crossed book"


def check_numbers(changes: list[Change]) -> None:
    """Numbers rise by at least a microsecond, inside the payloads too, and are ids."""
    numbers = [int(change.id) for change in changes]
    assert all(other - one >= 1000 for one, other in pairwise(numbers))
    for change in changes:
        info = msgspec.json.decode(change.data).get("info")
        assert info is None or info["sequence_number"] == int(change.id)


class Watcher:
    """A client that keeps the books it was pushed, and forgets what was removed."""

    def __init__(self) -> None:
        self.books: dict[tuple[int, int, object], dict[str, object]] = {}

    def take(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            payload = msgspec.json.decode(change.data)
            if change.type == payloads.MARKET_SELECTIONS:
                info = payload["info"]
                assert all(1 <= len(side) <= 10 for side in info["selections"])
                first = info["selections"][0][0]["line_id"]
                self.books[payload["sport_event_id"], payload["market_id"], first] = info
            elif change.type == payloads.MARKET_LINE and change.extensions["op"] == "d":
                info = payload["info"]
                self.books.pop((info["sport_event_id"], info["market_id"], info["line_id"]), None)

    def check(self, state: State) -> None:
        held = {key: {**book, "sequence_number": 0} for key, book in self.books.items()}
        expected = {}
        for first, second in set(state.twins.values()):
            sides = (state.lines[first], state.lines[second])
            book = msgspec.json.decode(payloads.encode(exchange.selections(state, sides, 0)))
            expected[sides[0].sport_event_id, sides[0].market_id, first] = book
        assert held == expected


def expected_fills(state: State, partner: str, line_id: str, price: int, cents: int) -> list[tuple[str, int]]:
    """Who must be matched, in order, with how many cents of the taker's stake: worked out the slow and obvious way."""
    first, second = state.twins[line_id]
    other = second if line_id == first else first
    makers = [w for w in state.wagers.values() if w.line_id == other and w.status == "open" and w.unmatched]
    # A table keeps the order in which wagers came, whatever happened to them since; sorting keeps it among equals.
    makers.sort(key=lambda maker: 1 / payout(maker.odds), reverse=True)
    fills = []
    for maker in makers:
        if 1 / payout(maker.odds) < payout(price) or cents == 0:
            break
        if maker.partner == partner:
            continue
        whole = round_half_up(maker.unmatched * payout(maker.odds))
        taken = min(whole, cents)
        fills.append((maker.id, taken))
        cents -= taken
        if round_half_up(cents * payout(price)) == 0:
            break
    return fills


def round_half_up(value: Fraction) -> int:
    return int(value + Fraction(1, 2))
