"""The ladder and the payout rule."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from touchline.feeds.prophetx.exchange import LADDER
from touchline.feeds.prophetx.exchange.odds import fill, on_ladder, opposite, profit, rank

from .worlds import payout

ladder = st.sampled_from(LADDER)
amounts = st.integers(1, 10**10)


def test_the_ladder_is_the_sheets() -> None:
    assert LADDER[:3] == (-10000, -7500, -5000)
    assert LADDER[-3:] == (5000, 7500, 10000)
    assert (-101 in LADDER, -100 in LADDER, 100 in LADDER, 101 in LADDER) == (True, False, True, True)
    assert len(LADDER) == len(set(LADDER)) == 2 * (21 + 40 + 20 + 20 + 25 + 10 + 4 + 4 + 2) - 1
    steps = {121: False, 122: True, 202: False, 205: True, 305: False, 310: True, 510: False, 520: True, 1020: False}
    assert {price: on_ladder(price) for price in steps} == steps
    assert {price: on_ladder(-price) for price in steps} == steps


def test_rank_is_the_order_of_payouts() -> None:
    assert all(payout(one) < payout(other) for one, other in pairwise(LADDER))
    assert [rank(price) for price in LADDER] == list(range(len(LADDER)))


@given(ladder)
def test_the_other_side_pays_the_inverse(price: int) -> None:
    assert payout(opposite(price)) == 1 / payout(price)
    assert opposite(opposite(price)) == price
    assert on_ladder(opposite(price))


@given(ladder, amounts)
def test_profit_is_right_to_half_a_cent(price: int, stake: int) -> None:
    assert abs(profit(stake, price) - stake * payout(price)) <= Fraction(1, 2)


@given(ladder, amounts, amounts)
def test_a_trade_takes_one_side_whole_and_never_more_than_there_is(price: int, maker: int, taker: int) -> None:
    if profit(maker, price) < 1 or profit(taker, opposite(price)) < 1:
        return
    maker_part, taker_part = fill(maker, taker, price)
    assert 1 <= maker_part <= maker
    assert 1 <= taker_part <= taker
    assert maker_part == maker or taker_part == taker
    assert taker_part == profit(maker_part, price) or maker_part == profit(taker_part, opposite(price))
