"""Watches a hockey game by ``hisports.*`` events, whose scoresheets carry the whole state, and tells what is new.

Goals are known by their id. One that is taken back is no insight; totals are counted anew from every scoresheet.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from touchline.feeds.base import Dice, Timed
from touchline.feeds.insights.sandbox.basketball import trigger_of
from touchline.feeds.insights.sandbox.records import RecordBook
from touchline.feeds.insights.sandbox.scribe import Game, Player, Scribe, Side

PREFIX: Final = "hisports."
_SCORESHEET: Final = "hisports.scoresheet.update"
_GOALS: Final = "goals"
_HAT_TRICK: Final = 3


class Hockey:
    """All hockey games of the sandbox."""

    def __init__(self, dice: Dice, scribe: Scribe) -> None:
        self._scribe = scribe
        self._books = RecordBook(dice, (1, 2), 100, (1, 4))
        self._games: dict[str, Game] = {}
        self._told: dict[str, set[str]] = {}
        self._hat_tricks: set[tuple[str, int, str]] = set()

    def watch(self, event: Timed, data: dict[str, Any]) -> None:
        """Take one event into account."""
        game = self._game(event.subject, data.get("game"))
        sheet = data.get("scoresheet")
        if event.type == _SCORESHEET and game is not None and isinstance(sheet, dict):
            self._read(event.at, game, sheet)

    def _game(self, game_id: str, row: dict[str, Any] | None) -> Game | None:
        if game_id not in self._games and row is not None and "homeTeamId" in row:
            home, away = (
                Side(str(row[f"{side}TeamId"]), (row.get(f"{side}Team") or {}).get("name") or side)
                for side in ("home", "away")
            )
            self._games[game_id] = Game("nhl", "hockey", game_id, home, away)
        return self._games.get(game_id)

    def _read(self, at: int, game: Game, sheet: dict[str, Any]) -> None:
        goals = [goal for goal in sheet.get("goals") or () if goal.get("id") is not None]
        told = self._told.setdefault(game.id, set())
        if not goals and told:  # the same game from its beginning again
            game.number += 1
            told.clear()
        if not goals:
            game.home.score = game.away.score = 0
            return
        players = _players(sheet)
        new = [goal for goal in goals if str(goal["id"]) not in told]
        standing = [goal for goal in goals if str(goal["id"]) in told]
        scores = Counter(str(goal.get("teamId")) for goal in standing)
        totals = Counter(str(goal.get("participantId")) for goal in standing)
        for goal in new:
            told.add(str(goal["id"]))
            team, scorer = str(goal.get("teamId")), str(goal.get("participantId"))
            lead_before = scores[team] - scores[game.other(team).id]
            scores[team] += 1
            totals[scorer] += 1
            game.home.score, game.away.score = scores[game.home.id], scores[game.away.id]
            player = players.get(scorer)
            if player is not None:
                self._goal(at, game, player, totals[scorer], trigger_of(lead_before, lead_before + 1))
        game.home.score, game.away.score = scores[game.home.id], scores[game.away.id]

    def _goal(self, at: int, game: Game, player: Player, total: int, trigger: str) -> None:
        self._scribe.scored(at, game, player, trigger, 1)
        beaten = self._books.beaten(player.id, total)
        if beaten is not None:
            self._scribe.high(at, game, player, _GOALS, total, beaten)
        key = (game.id, game.number, player.id)
        if total == _HAT_TRICK and key not in self._hat_tricks:
            self._hat_tricks.add(key)
            self._scribe.hat_trick(at, game, player, total)


def _players(sheet: dict[str, Any]) -> dict[str, Player]:
    found = {}
    for team, lineup in (sheet.get("lineups") or {}).items():
        for member in lineup.get("members") or ():
            name = (member.get("participant") or {}).get("fullName")
            player_id = str(member.get("participantId"))
            if name:
                found[player_id] = Player(player_id, name, str(team))
    return found
