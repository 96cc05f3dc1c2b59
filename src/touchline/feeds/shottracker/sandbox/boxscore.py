"""The box score of the sandbox game: current totals per player, and what each happening does to them.

The one rule that everything keeps: team score = sum of its players' PTS, PTS = 2*FG2 + 3*FG3 + FT and
REB = OFFENSIVE_REB + DEFENSIVE_REB, after every single line. So a line always carries all the stats that one
happening touches of one player.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

MAKE: Final[Mapping[int, Mapping[str, int]]] = {
    1: {"FTA": 1, "FT": 1, "PTS": 1},
    2: {"FGA": 1, "FG": 1, "FGA2": 1, "FG2": 1, "PTS": 2},
    3: {"FGA": 1, "FG": 1, "FGA3": 1, "FG3": 1, "PTS": 3},
}
MISS: Final[Mapping[int, Mapping[str, int]]] = {
    1: {"FTA": 1},
    2: {"FGA": 1, "FGA2": 1},
    3: {"FGA": 1, "FGA3": 1},
}
KIND: Final[Mapping[int, str]] = {1: "FREE_THROW", 2: "TWO_POINT", 3: "THREE_POINT"}


class Line(msgspec.Struct, frozen=True):
    """One ``boxscorestatsv2`` message: the current totals of the touched stats (sheet §4.1)."""

    occurred_at: int
    team_id: int
    player_id: int
    stats: dict[str, int]
    classification: str
    version: int


class BoxScore:
    """Totals of one game. ``versions`` outlive it: a player's version goes on rising over the loops of a game."""

    def __init__(self, teams: Iterable[int], versions: dict[int, int]) -> None:
        self.score = dict.fromkeys(teams, 0)
        self.totals: dict[int, dict[str, int]] = {}
        self._versions = versions

    def change(
        self, occurred_at: int, team_id: int, player_id: int, changes: Mapping[str, int], classification: str
    ) -> Line:
        """Add the changes to a player's totals; the line to announce."""
        totals = self.totals.setdefault(player_id, {})
        for stat, change in changes.items():
            totals[stat] = totals.get(stat, 0) + change
        stats = {stat: totals[stat] for stat in changes}
        if "PTS" in changes:
            self.score[team_id] += changes["PTS"]
            stats["TEAM_SCORE"] = self.score[team_id]
            stats["OPPOSING_TEAM_SCORE"] = self.opposing(team_id)
        version = self._versions[player_id] = self._versions.get(player_id, 0) + 1
        return Line(occurred_at, team_id, player_id, stats, classification, version)

    def set_distance(self, occurred_at: int, team_id: int, player_id: int, centimetres: int) -> Line:
        """The distance that a player has covered so far."""
        covered = self.total(player_id, "DIST")
        return self.change(occurred_at, team_id, player_id, {"DIST": centimetres - covered}, "DISTANCE")

    def opposing(self, team_id: int) -> int:
        """The score of the other team."""
        return next(score for other, score in self.score.items() if other != team_id)

    def total(self, player_id: int, stat: str) -> int:
        """A player's total of one stat."""
        return self.totals.get(player_id, {}).get(stat, 0)


def lowered(changes: Mapping[str, int]) -> dict[str, int]:
    """What takes these changes back."""
    return {stat: -change for stat, change in changes.items()}


def make_to_miss(points: int) -> dict[str, int]:
    """What turns a made shot into a missed one: the attempt stays."""
    return {stat: -change for stat, change in MAKE[points].items() if stat not in MISS[points]}
