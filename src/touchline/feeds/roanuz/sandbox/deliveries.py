"""What comes of one delivery: drawn from the dice, with nothing of who bowls to whom."""

from __future__ import annotations

from typing import Final, TypeVar

from msgspec import Struct

from touchline.feeds.base import Dice

Outcome = TypeVar("Outcome", str, int)

NORMAL: Final = "normal"
WIDE: Final = "wide"
NO_BALL: Final = "no_ball"
BYE: Final = "bye"
LEG_BYE: Final = "leg_bye"

RUN_OUT: Final = "run_out"
STUMPED: Final = "stumped"
CAUGHT: Final = "caught"

_KINDS: Final = ((NORMAL, 0.93), (WIDE, 0.035), (LEG_BYE, 0.018), (BYE, 0.009), (NO_BALL, 0.008))
_RUNS: Final = ((0, 0.36), (1, 0.38), (2, 0.07), (3, 0.005), (4, 0.125), (6, 0.06))
_WICKET: Final = 0.052
_DISMISSALS: Final = ((CAUGHT, 0.62), ("bowled", 0.18), ("lbw", 0.09), (RUN_OUT, 0.07), (STUMPED, 0.04))


class Delivery(Struct, frozen=True):
    """``bat`` are the batsman's runs, ``extras`` all others; ``wicket`` is its type or ''."""

    kind: str
    bat: int = 0
    extras: int = 0
    wicket: str = ""

    @property
    def runs(self) -> int:
        """What the team gets."""
        return self.bat + self.extras

    @property
    def legal(self) -> bool:
        """Whether it counts as one of the over's six."""
        return self.kind not in (WIDE, NO_BALL)

    @property
    def crossed(self) -> bool:
        """Whether the batsmen change ends by running."""
        penalty = 1 if self.kind in (WIDE, NO_BALL) else 0
        return (self.runs - penalty) % 2 == 1


def draw(dice: Dice) -> Delivery:
    """One delivery."""
    kind = _pick(dice, _KINDS)
    if kind == WIDE:
        return Delivery(WIDE, extras=dice.choices((1, 2, 5), (0.9, 0.06, 0.04))[0])
    if kind == NO_BALL:
        return Delivery(NO_BALL, bat=_pick(dice, _RUNS), extras=1)
    if kind in (BYE, LEG_BYE):
        return Delivery(kind, extras=dice.choices((1, 2, 4), (0.86, 0.07, 0.07))[0])
    if dice.random() < _WICKET:
        wicket = _pick(dice, _DISMISSALS)
        return Delivery(NORMAL, bat=dice.randint(0, 1) if wicket == RUN_OUT else 0, wicket=wicket)
    return Delivery(NORMAL, bat=_pick(dice, _RUNS))


def _pick(dice: Dice, weighted: tuple[tuple[Outcome, float], ...]) -> Outcome:
    picked: Outcome = dice.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]
    return picked
