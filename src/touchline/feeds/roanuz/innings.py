"""The shapes of a match's state: innings, their overs, their balls; and what can be looked up in them.

Owns order (which over comes after which) and totals; how records change it is ``state``, what REST says ``document``.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct, field

_OVER_KEY: Final = re.compile(r"(.{1,64})_([0-9]{1,5})\Z", re.DOTALL)
_TEAM_AND_NUMBER: Final = re.compile(r"([ab])_?([0-9]+|superover[0-9]*)\Z")

EXTRAS: Final = ("bye", "leg_bye", "wide", "no_ball", "penalty")
"""``extra_runs`` of an innings (sheet §2.5), named as the ball types that give them."""


class BallState(Struct):
    """A ball: its REST detail as published (None when only its notification came), and what it adds to the totals.

    ``place`` is its number in the over, by which balls of an over are ordered; equal ones stay as they came.
    """

    key: str
    order: int
    over_number: int
    detail: bytes | None = None
    place: int = 0
    kind: str = ""
    runs: int = 0
    extras: int = 0
    balls: int = 0
    wickets: int = 0
    bat: int = 0
    dots: int = 0
    fours: int = 0
    sixes: int = 0


class Innings(Struct):
    """An innings: ``name`` as in ``b_1``, ``order`` its place in the match, overs by number from 1, never empty."""

    name: str
    order: int
    overs: dict[int, list[BallState]] = field(default_factory=dict)


class OverRef(Struct, frozen=True):
    """An over: its innings and its number from 1."""

    innings: str
    number: int

    @property
    def key(self) -> str:
        """As REST names it: ``{team}_{innings}_{over_number}`` (sheet §2.4)."""
        return f"{self.innings}_{self.number}"


class MatchState(Struct):
    """A match. ``document`` is what was published of it, merged; ``where`` finds the innings and over of a ball key.

    ``first_seq`` is where the stream began, or began again; ``known`` whether anything public was published.
    """

    subject: str
    document: bytes = b"{}"
    innings: dict[str, Innings] = field(default_factory=dict)
    where: dict[str, tuple[str, int]] = field(default_factory=dict)
    known: bool = False
    over: bool = False
    first_seq: int = 1


def normalised(name: str) -> str:
    """An innings' name in our spelling: ``A1`` and ``a_1`` are one (public tests of the provider use both)."""
    name = name.lower()
    match = _TEAM_AND_NUMBER.match(name)
    return f"{match.group(1)}_{match.group(2)}" if match else name


def parse_over_key(text: str) -> OverRef | None:
    """The over that a key names, or None when it is no over key."""
    match = _OVER_KEY.match(text)
    return OverRef(normalised(match.group(1)), int(match.group(2))) if match else None


def in_order(state: MatchState) -> list[Innings]:
    """The innings in the order of the match."""
    return sorted(state.innings.values(), key=lambda innings: innings.order)


def overs(state: MatchState) -> list[OverRef]:
    """Every over of which a ball is known, in the order of the match."""
    return [OverRef(innings.name, number) for innings in in_order(state) for number in sorted(innings.overs)]


def balls(state: MatchState, over: OverRef) -> list[BallState]:
    """The balls of an over, in order; none when the over is not known."""
    innings = state.innings.get(over.innings)
    return [] if innings is None else innings.overs.get(over.number, [])


def put(state: MatchState, innings_name: str, ball: BallState) -> None:
    """Put a ball where it belongs; one of the same key is replaced, and keeps its turn where its place is the same."""
    innings = state.innings.get(innings_name)
    if innings is None:
        innings = state.innings[innings_name] = Innings(innings_name, ball.order)
    over = innings.overs.setdefault(ball.over_number, [])
    at = (innings_name, ball.over_number)
    if state.where.get(ball.key) == at:
        index = next(index for index, old in enumerate(over) if old.key == ball.key)
        over[index] = ball
    else:
        remove(state, ball.key)
        over.append(ball)
    if any(over[index - 1].place > over[index].place for index in range(1, len(over))):
        over.sort(key=lambda each: each.place)
    state.where[ball.key] = at


def remove(state: MatchState, key: str) -> BallState | None:
    """Take a ball out, and its over and innings when nothing is left of them."""
    at = state.where.pop(key, None)
    if at is None:
        return None
    innings = state.innings[at[0]]
    over = innings.overs[at[1]]
    ball = next(each for each in over if each.key == key)
    over.remove(ball)
    if not over:
        del innings.overs[at[1]]
    if not innings.overs:
        del state.innings[at[0]]
    return ball


class Totals(Struct):
    """What the balls of an innings add up to."""

    runs: int = 0
    wickets: int = 0
    balls: int = 0
    dots: int = 0
    fours: int = 0
    sixes: int = 0
    extras: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EXTRAS, 0))
    extra: int = 0


def totals(innings: Innings) -> Totals:
    """Added up anew from the balls that stand, so that corrections and deletions need no arithmetic of their own."""
    total = Totals()
    for over in innings.overs.values():
        for ball in over:
            total.runs += ball.runs
            total.wickets += ball.wickets
            total.balls += ball.balls
            total.dots += ball.dots
            total.fours += ball.fours
            total.sixes += ball.sixes
            total.extra += ball.extras
            if ball.kind in total.extras:
                total.extras[ball.kind] += ball.extras
    return total
