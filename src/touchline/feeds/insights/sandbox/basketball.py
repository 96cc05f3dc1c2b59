"""Watches a basketball game by ``shottracker.*`` events and says what is worth an insight.

A box score line carries current totals (``PTS`` of the player, ``TEAM_SCORE`` and ``OPPOSING_TEAM_SCORE``), so nothing
is added up here that could drift; a correction lowers them and is no insight.
"""

from __future__ import annotations

from typing import Any, Final

from touchline.feeds.base import Dice, Timed
from touchline.feeds.insights.sandbox import wording
from touchline.feeds.insights.sandbox.records import RecordBook
from touchline.feeds.insights.sandbox.scribe import Game, Player, Scribe, Side

PREFIX: Final = "shottracker."
_POINTS: Final = "points"


class Basketball:
    """All basketball games of the sandbox."""

    def __init__(self, dice: Dice, scribe: Scribe) -> None:
        self._scribe = scribe
        self._books = RecordBook(dice, (8, 13), 500, (4, 14))
        self._players: dict[str, Player] = {}
        self._games: dict[str, Game] = {}
        self._points: dict[str, dict[str, int]] = {}

    def watch(self, event: Timed, data: dict[str, Any]) -> None:
        """Take one event into account."""
        kind = event.type.removeprefix(PREFIX)
        if kind == "team":
            self._meet(data)
        elif kind == "game":
            self._announce(event.subject, data)
        elif kind == "marker" and data.get("type") == "GAME_START":
            self._begin(event.subject)
        elif kind == "boxscorestatsv2":
            self._line(event.at, event.subject, data)

    def _meet(self, team: dict[str, Any]) -> None:
        for player in team.get("players") or ():
            name = player.get("display_name") or f"{player.get('first_name')} {player.get('last_name')}"
            self._players[str(player["id"])] = Player(str(player["id"]), name, str(team["id"]))

    def _announce(self, event_id: str, row: dict[str, Any]) -> None:
        if event_id not in self._games:
            home, away = (
                Side(str(row[f"{side}_team_id"]), row.get(f"{side}_team_name") or side) for side in ("home", "away")
            )
            self._games[event_id] = Game("nba", "basketball", event_id, home, away)

    def _begin(self, event_id: str) -> None:
        game = self._games.get(event_id)
        points = self._points.pop(event_id, None)
        if game is not None and points is not None:  # it was played before
            self._books.over(points)
            game.number += 1
            game.home.score = game.away.score = 0

    def _line(self, at: int, event_id: str, line: dict[str, Any]) -> None:
        game, player = self._games.get(event_id), self._players.get(str(line.get("player_id")))
        stats = line.get("stats") or {}
        if game is None or player is None or "PTS" not in stats or "TEAM_SCORE" not in stats:
            return
        points = self._points.setdefault(event_id, {})
        before, total = points.get(player.id, 0), int(stats["PTS"])
        points[player.id] = total
        side, other = game.side(player.team), game.other(player.team)
        lead_before = side.score - other.score
        side.score, other.score = int(stats["TEAM_SCORE"]), int(stats["OPPOSING_TEAM_SCORE"])
        if total <= before:
            return
        self._scribe.scored(at, game, player, trigger_of(lead_before, side.score - other.score), total - before)
        beaten = self._books.beaten(player.id, total)
        if beaten is not None:
            self._scribe.high(at, game, player, _POINTS, total, beaten)
        reached = self._books.reached(player.id, total)
        if reached is not None:
            self._scribe.career(at, game, player, _POINTS, *reached)


def trigger_of(before: int, after: int) -> str:
    """What a score did to the lead of the side that scored."""
    if after == 0:
        return wording.TIE
    return wording.LEAD if before <= 0 < after else wording.SCORE
