"""Any sequence of commands: no cent is lost, books are fair and not crossed, and what was published says it all."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from touchline.feeds.prophetx import exchange
from touchline.feeds.prophetx.exchange import LADDER, Accepted, Command, Refusal, odds, payloads

from . import worlds
from .worlds import AWAY, EVENT, HOME, MONEYLINE, SPREAD, TOURNAMENT, A, Floor, H, line

PARTNERS = ("maker", "taker", "third")
SPREAD_SIDES = (line(0, SPREAD, 1, "-3.5"), line(1, SPREAD, 1, "-3.5"))
LINES = (H, A, SPREAD_SIDES[0].line_id, SPREAD_SIDES[1].line_id)
NEAR = tuple(price for price in LADDER if abs(price) <= 106)

partners = st.sampled_from(PARTNERS)
line_ids = st.sampled_from((H, A, H, A, *LINES, "unknown"))
prices = st.one_of(st.sampled_from(NEAR), st.sampled_from(LADDER), st.sampled_from((-100, 0, 121, 10001)))
stakes = st.one_of(
    st.integers(1_00, 300_00).map(lambda cents: Decimal(cents) / 100),
    st.sampled_from(
        [Decimal(text) for text in ("1", "0.99", "0", "-5", "10.005", "100000000.01", "9000", "NaN", "1E+9")]
    ),
)


def sides(status: str) -> tuple[payloads.Line, payloads.Line]:
    return (msgspec.structs.replace(HOME, status=status), msgspec.structs.replace(AWAY, status=status))


HOUSE: tuple[Command, ...] = (
    *(exchange.PutSportEvent(msgspec.structs.replace(EVENT, status=one)) for one in ("not_started", "live", "ended")),
    *(exchange.PutMarket(msgspec.structs.replace(MONEYLINE, status=one)) for one in ("active", "suspended")),
    *(exchange.PutLine(sides(one)) for one in ("active", "suspended")),
    *(exchange.Void(line_id) for line_id in LINES),
    exchange.Void(event_id=7001, market_id=219),
    exchange.Remove(tournament_id=132),
    exchange.Remove(event_id=7001),
    exchange.Remove(event_id=7001, market_id=219),
    exchange.Remove(line_id=A),
    exchange.Remove(),
)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.floor = Floor()
        self.watcher = worlds.Watcher()
        self.shadow = exchange.State()
        self.external = 0

    def do(self, command: Command) -> Accepted | Refusal:
        answer = self.floor.do(command)
        if isinstance(answer, Accepted):
            self.watcher.take(answer.changes)
            worlds.check_trades(answer.changes)
            for change in answer.changes:
                exchange.apply(self.shadow, change)
        return answer

    def order(self, line_id: str, price: int, stake: Decimal, strategy: str = "") -> exchange.Order:
        self.external += 1
        return exchange.Order(f"e{self.external}", line_id, Decimal(price), stake, strategy)

    @initialize()
    def open(self) -> None:
        for partner in PARTNERS:
            self.do(exchange.OpenAccount(partner, 2_000_00))
        self.offer()

    @rule()
    def offer(self) -> None:
        self.do(exchange.PutTournament(TOURNAMENT))
        self.do(exchange.PutSportEvent(EVENT))
        self.do(exchange.PutMarket(MONEYLINE))
        self.do(exchange.PutMarket(SPREAD))
        self.do(exchange.PutLine((HOME, AWAY)))
        self.do(exchange.PutLine(SPREAD_SIDES))

    @rule(
        partner=partners,
        line_id=st.sampled_from((H, A)),
        price=st.sampled_from(NEAR),
        cents=st.integers(1_00, 90_00),
    )
    def quote(self, partner: str, line_id: str, price: int, cents: int) -> None:
        self.place(partner, line_id, price, Decimal(cents) / 100, "")

    @rule(partner=partners, line_id=st.sampled_from(LINES), cents=st.integers(1_00, 300_00))
    def take(self, partner: str, line_id: str, cents: int) -> None:
        self.place(partner, line_id, -10000, Decimal(cents) / 100, "")

    @rule(
        partner=partners, line_id=st.sampled_from(LINES), price=st.sampled_from(LADDER), cents=st.integers(1_00, 9_00)
    )
    def quote_far(self, partner: str, line_id: str, price: int, cents: int) -> None:
        self.place(partner, line_id, price, Decimal(cents) / 100, "")

    @rule(partner=partners, prices=st.lists(st.sampled_from(NEAR), min_size=1, max_size=20), spread=st.booleans())
    def quote_both(self, partner: str, prices: list[int], spread: bool) -> None:
        pair = LINES[2:] if spread else LINES[:2]
        orders = [self.order(pair[index % 2], price, Decimal(10 + index)) for index, price in enumerate(prices)]
        self.do(exchange.PlaceMany(partner, tuple(orders)))

    @rule(
        partner=partners, line_id=line_ids, price=prices, stake=stakes, strategy=st.sampled_from(("", "", "fillOrKill"))
    )
    def place_any(self, partner: str, line_id: str, price: int, stake: Decimal, strategy: str) -> None:
        self.place(partner, line_id, price, stake, strategy)

    def place(self, partner: str, line_id: str, price: int, stake: Decimal, strategy: str) -> None:
        known = line_id in self.floor.state.twins
        before = exchange.decode(exchange.encode(self.floor.state))
        answer = self.do(exchange.Place(partner, self.order(line_id, price, stake, strategy)))
        if isinstance(answer, Refusal):
            return
        assert known
        assert odds.on_ladder(price)
        changes = [msgspec.json.decode(one.data, type=payloads.WagerPayload) for one in worlds.of_kind(answer.changes)]
        told = [change.info for change in changes if change.info.update_type == "matching"]
        fills = [(maker.id, int(taker.matched_stake * 100)) for maker, taker in zip(told[::2], told[1::2], strict=True)]
        assert fills == worlds.expected_fills(before, partner, line_id, price, int(stake * 100))

    @rule(partner=partners, wanted=st.lists(st.tuples(line_ids, prices, stakes), max_size=21))
    def place_many(self, partner: str, wanted: list[tuple[str, int, Decimal]]) -> None:
        answer = self.do(exchange.PlaceMany(partner, tuple(self.order(*one) for one in wanted)))
        if 1 <= len(wanted) <= 20:
            assert isinstance(answer, Accepted)
            assert len(answer.wagers) + len(answer.failures) == len(wanted)
        else:
            assert isinstance(answer, Refusal)

    @rule(partner=partners, pick=st.integers(0, 10**6), many=st.booleans(), right=st.booleans())
    def cancel(self, partner: str, pick: int, many: bool, right: bool) -> None:
        wagers = list(self.floor.state.wagers.values())
        if not wagers:
            return
        wager = wagers[pick % len(wagers)]
        asked = exchange.Cancellation(wager.external_id if right else "other", wager.id)
        if many:
            self.do(exchange.CancelMany(partner, (asked, asked)))
            return
        answer = self.do(exchange.Cancel(partner, asked))
        assert isinstance(answer, Accepted) == (right and partner == wager.partner and wager.is_resting)

    @rule(
        partner=partners,
        event_id=st.sampled_from((None, 7001, 9)),
        market_id=st.sampled_from((None, 219, 223, 9)),
        line_id=st.sampled_from((None, None, *LINES)),
    )
    def cancel_where(self, partner: str, event_id: int | None, market_id: int | None, line_id: str | None) -> None:
        self.do(exchange.CancelWhere(partner, event_id, market_id, line_id))

    @rule(seconds=st.integers(0, 3))
    def wait(self, seconds: int) -> None:
        self.floor.now += seconds * 1_000_000_000
        self.do(exchange.Expire())
        due = self.floor.state.next_expiry
        assert due is None or due > self.floor.now

    @rule(
        pair=st.sampled_from((LINES[:2], LINES[2:])),
        end=st.sampled_from((*exchange.Result, None)),
        cents=st.tuples(st.integers(1_00, 200_00), st.integers(1_00, 200_00)),
        again=st.booleans(),
    )
    def play_out(self, pair: tuple[str, str], end: exchange.Result | None, cents: tuple[int, int], again: bool) -> None:
        self.offer()
        self.place("maker", pair[0], 102, Decimal(cents[0]) / 100, "")
        self.place("taker", pair[1], -102, Decimal(cents[1]) / 100, "")
        self.do(exchange.Void(pair[0]) if end is None else exchange.Settle(pair[0], end))
        if again:
            self.do(exchange.Remove(line_id=pair[1]))
        self.offer()

    @rule(command=st.sampled_from(HOUSE))
    def run_the_house(self, command: Command) -> None:
        self.do(command)

    @invariant()
    def money_is_conserved(self) -> None:
        worlds.check_money(self.floor)
        worlds.check_sides(self.floor.state)

    @invariant()
    def books_are_fair(self) -> None:
        worlds.check_books(self.floor.state)
        self.watcher.check(self.floor.state)

    @invariant()
    def what_was_published_is_all(self) -> None:
        live = worlds.fingerprint(self.floor.state)
        assert worlds.fingerprint(self.shadow) == live
        assert worlds.fingerprint(exchange.decode(exchange.encode(self.floor.state))) == live

    def teardown(self) -> None:
        assert worlds.fingerprint(worlds.rebuilt(self.floor.published)) == worlds.fingerprint(self.floor.state)
        worlds.check_numbers(self.floor.published)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
