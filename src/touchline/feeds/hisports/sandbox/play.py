"""What happens in a second of a sandbox game: goals, penalties, goalies, by the rules that the seed's example shows.

A minor ends on a power-play goal, a misconduct leaves nobody short (sheet 4.3). Says what is to be told by yielding
after every entry on the sheet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from touchline.feeds.base import Dice
from touchline.feeds.hisports.sandbox.roster import Player, Team
from touchline.feeds.hisports.sandbox.sheet import PERIOD_SECONDS, Sheet

_GOAL: Final = 3.0 / 3600
"""a team's chance in a second of even play"""
_POWERPLAY: Final = 2.6
_SHORTHANDED: Final = 0.4
_EMPTY_NET: Final = 12.0
_PENALTY: Final = 4.5 / 3600
_GOALIE_HURT: Final = 0.25 / 3600
_SERVED_SECONDS: Final = {"minor": 120, "major": 300, "misconduct": 600}
_SHORT: Final = ("minor", "major")
_INFRACTIONS: Final = ("hooking", "tripping", "slashing", "interference", "holding", "roughing", "high-sticking")
_PULL_SECONDS: Final = 90
_MAX_SHORT: Final = 2


class Penalized:
    """A penalty that is being served, with the seconds of play that are left of it."""

    def __init__(self, entry: dict[str, Any], player: Player, duration: str) -> None:
        self.entry = entry
        self.player = player
        self.duration = duration
        self.left = _SERVED_SECONDS[duration]


class Side:
    """A team in play: who is in its net, who sits, how many goals it has."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.goalie: Player | None = team.goalies[0]
        self.last_goalie = team.goalies[0]
        self.sitting: list[Penalized] = []
        self.goals = 0

    @property
    def short(self) -> int:
        """How many skaters it is short of."""
        return min(_MAX_SHORT, sum(each.duration in _SHORT for each in self.sitting))

    def skaters(self, dice: Dice, count: int) -> list[Player]:
        """So many who do not sit."""
        free = [player for player in self.team.skaters if all(player is not each.player for each in self.sitting)]
        dice.shuffle(free)
        return free[:count]


class Play:
    """The game while the clock runs. Iterators yield after each entry on the sheet."""

    def __init__(self, dice: Dice, sheet: Sheet, home: Team, away: Team) -> None:
        self.dice = dice
        self.sheet = sheet
        self.sides = (Side(home), Side(away))

    @property
    def is_tied(self) -> bool:
        """Whether somebody still has to win."""
        return self.sides[0].goals == self.sides[1].goals

    def second(self, is_sudden_death: bool) -> Iterator[None]:
        """One second of play; nothing more happens in it once a goal has ended the game."""
        for side in self.sides:
            for each in [each for each in side.sitting if each.left <= 0]:
                side.sitting.remove(each)
                self.sheet.end_penalty(each.entry)
                yield
        for side, other in (self.sides, self.sides[::-1]):
            if self.dice.random() < self._chance(side, other):
                yield from self._goal(side, other)
                if is_sudden_death:
                    return
        for side, other in (self.sides, self.sides[::-1]):
            if self.dice.random() < _PENALTY and side.short < _MAX_SHORT:
                yield from self._penalty(side)
            yield from self._net(side, other)
        for side in self.sides:
            for each in side.sitting:
                each.left -= 1

    def goalies_return(self) -> Iterator[None]:
        """Between periods nobody leaves the net empty."""
        for side in self.sides:
            if side.goalie is None:
                yield from self._change(side, side.last_goalie)

    def shootout(self) -> Iterator[None]:
        """Three rounds, then one after the other until one round decides."""
        made = [0, 0]
        for rounds in range(1, 100):
            for number, side in enumerate(self.sides):
                if self.dice.random() < 0.35:
                    made[number] += 1
                    self.sheet.goal(side.team.id, self.dice.choice(side.team.skaters), [], isPenaltyShot=True)
                    yield
            if rounds >= 3 and made[0] != made[1]:
                return

    def _chance(self, side: Side, other: Side) -> float:
        chance = _GOAL
        if side.short != other.short:
            chance *= _POWERPLAY if side.short < other.short else _SHORTHANDED
        return chance * (_EMPTY_NET if other.goalie is None else 1.0)

    def _goal(self, side: Side, other: Side) -> Iterator[None]:
        scorer, *assists = side.skaters(self.dice, 1 + self.dice.choice((0, 1, 1, 2, 2, 2)))
        is_powerplay = other.short > side.short
        side.goals += 1
        self.sheet.goal(
            side.team.id,
            scorer,
            assists,
            isPowerplay=is_powerplay,
            isShorthanded=side.short > other.short,
            isEmptyNet=other.goalie is None,
        )
        minor = next((each for each in other.sitting if each.duration == "minor"), None)
        if is_powerplay and minor is not None:
            other.sitting.remove(minor)
            self.sheet.end_penalty(minor.entry)
        yield

    def _penalty(self, side: Side) -> Iterator[None]:
        (player,) = side.skaters(self.dice, 1)
        kind = self.dice.random()
        team_id = side.team.id
        if kind < 0.06:
            entry = self.sheet.penalty(team_id, None, player, "too-many-players", "minor")
            side.sitting.append(Penalized(entry, player, "minor"))
        elif kind < 0.12:
            entry = self.sheet.penalty(team_id, player, player, "fighting", "major")
            side.sitting.append(Penalized(entry, player, "major"))
        elif kind < 0.18:
            entry = self.sheet.penalty(team_id, player, None, "misconduct", "misconduct")
            side.sitting.append(Penalized(entry, player, "misconduct"))
        else:
            entry = self.sheet.penalty(team_id, player, player, self.dice.choice(_INFRACTIONS), "minor")
            side.sitting.append(Penalized(entry, player, "minor"))
        yield

    def _net(self, side: Side, other: Side) -> Iterator[None]:
        """Out for a sixth skater when time runs out, back when there is no more need; changed when hurt."""
        left = PERIOD_SECONDS[self.sheet.period] - self.sheet.elapsed
        behind = other.goals - side.goals
        wants_out = self.sheet.period == "3" and left <= _PULL_SECONDS and 1 <= behind <= 2
        if wants_out and side.goalie is not None:
            yield from self._change(side, None)
        elif not wants_out and side.goalie is None:
            yield from self._change(side, side.last_goalie)
        elif side.goalie is not None and self.dice.random() < _GOALIE_HURT:
            yield from self._change(side, next(each for each in side.team.goalies if each is not side.goalie))

    def _change(self, side: Side, player: Player | None) -> Iterator[None]:
        side.goalie = player
        side.last_goalie = player or side.last_goalie
        self.sheet.goalie(side.team.id, player)
        yield
