"""American odds: the ladder, the other side's odds, and what a stake wins. Whole cents and whole odds only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

# Upper end of a band and the step within it (prophetx sheet 5, "Ladder in the official example").
_BANDS: Final = ((100, 1), (120, 1), (200, 2), (300, 5), (500, 10), (1000, 20), (2000, 100), (3000, 250), (5000, 500))
_ENDS: Final = (7500, 10000)


def _positive() -> Iterator[int]:
    yield 100
    for (low, _), (high, step) in pairwise(_BANDS):
        yield from range(low + step, high + 1, step)
    yield from _ENDS


LADDER: Final[tuple[int, ...]] = (*sorted(-odds for odds in _positive() if odds != 100), *_positive())
"""Every odds that may be placed, from the one that pays least (-10000) to the one that pays most (+10000)."""

_RANK: Final = {odds: rank for rank, odds in enumerate(LADDER)}


def rank(odds: int) -> int:
    """How well the odds pay, as their place on the ladder. Raises KeyError off the ladder."""
    return _RANK[odds]


def on_ladder(odds: int) -> bool:
    """Whether the odds may be placed."""
    return odds in _RANK


def opposite(odds: int) -> int:
    """The odds of who takes the other side. Even money is +100 for both (the ladder has no -100)."""
    return 100 if odds == 100 else -odds


def ratio(odds: int) -> tuple[int, int]:
    """What is won per stake, as (numerator, denominator)."""
    return (odds, 100) if odds > 0 else (100, -odds)


def profit(stake_cents: int, odds: int) -> int:
    """What a stake wins at these odds, in whole cents, half a cent upwards."""
    return _rounded(stake_cents, *ratio(odds))


def fill(maker_cents: int, taker_cents: int, maker_odds: int) -> tuple[int, int]:
    """How much of both stakes one trade at the maker's odds takes: (maker's, taker's) cents.

    The smaller side goes in whole; the other's part is what it wins, to the nearest cent: each wins what the other
    loses, so no cent is made or lost by rounding. Both are positive if each stake wins at least a cent.
    """
    numerator, denominator = ratio(maker_odds)
    whole = _rounded(maker_cents, numerator, denominator)
    if taker_cents >= whole:
        return maker_cents, whole
    return _rounded(taker_cents, denominator, numerator), taker_cents


def display(odds: int) -> str:
    """The odds as shown: always signed."""
    return f"{odds:+d}"


def _rounded(amount: int, numerator: int, denominator: int) -> int:
    return (2 * amount * numerator + denominator) // (2 * denominator)
