"""Builds insight objects in the provider's fields (sheet 5.1), with ids that are equal for the same seed and game."""

from __future__ import annotations

import uuid
import zlib
from typing import Any, Final

import msgspec

from touchline.feeds.base import Dice, Timed
from touchline.feeds.insights.messages import INSIGHT_TYPE
from touchline.feeds.insights.sandbox import wording
from touchline.feeds.insights.topics import LOCALES
from touchline.wire import sns

_MS_IN_NS: Final = 1_000_000
_SOON_MS: Final = (150, 900)
"""How long after the play an insight is written."""


class Side(msgspec.Struct):
    """A team in a game: its id in the source feed, name and score."""

    id: str
    name: str
    score: int = 0


class Player(msgspec.Struct):
    """A player: id in the source feed, name and team."""

    id: str
    name: str
    team: str


class Game(msgspec.Struct):
    """A game that is written about. ``number`` counts how often it was played (a looping game begins again)."""

    league: str
    sport: str
    id: str
    home: Side
    away: Side
    number: int = 1

    def side(self, team: str) -> Side:
        """The side of a team's id."""
        return self.home if self.home.id == team else self.away

    def other(self, team: str) -> Side:
        """The side against it."""
        return self.away if self.home.id == team else self.home


class Scribe:
    """Writes insights; what was written is fetched with ``drain``."""

    def __init__(self, dice: Dice, start_ns: int) -> None:
        self._dice = dice
        self._start_ns = start_ns
        self._namespace = uuid.UUID(int=dice.randint(0, 2**128 - 1))
        self._written: list[Timed] = []

    def drain(self) -> list[Timed]:
        """What was written since the last call."""
        written, self._written = self._written, []
        return written

    def scored(self, at: int, game: Game, player: Player, trigger: str, points: int) -> None:
        """A score changed: one insight per language, all of one group."""
        side, other = game.side(player.team), game.other(player.team)
        key = f"{trigger}:{game.home.score}:{game.away.score}"
        for locale in LOCALES:
            content = wording.scoring(
                locale,
                trigger,
                player=player.name,
                team=side.name,
                home=game.home.name,
                home_score=game.home.score,
                away=game.away.name,
                away_score=game.away.score,
            )
            data = {"current": side.score, "opponentPoints": other.score, "points": points}
            self._write(at, game, player, "scoring", locale, key, trigger, content, data)

    def high(self, at: int, game: Game, player: Player, statistic: str, current: int, before: int) -> None:
        """A season high."""
        content = wording.high(player.name, current, statistic, before)
        data = {"statistic": statistic, "current": current, "high": before, "timeframeType": "season"}
        self._write(at, game, player, "highs", "en", f"{statistic}:{current}", "season_high", content, data)

    def career(self, at: int, game: Game, player: Player, statistic: str, current: int, milestone: int) -> None:
        """A round number of a career."""
        content = wording.career(player.name, milestone, statistic)
        data = {"statistic": statistic, "current": current, "milestone": milestone, "timeframeType": "career"}
        key = f"career:{statistic}:{milestone}"
        self._write(at, game, player, "milestones", "en", key, "career_milestone", content, data)

    def hat_trick(self, at: int, game: Game, player: Player, goals: int) -> None:
        """Three goals in a game."""
        content = wording.hat_trick(player.name)
        data = {"statistic": "goals", "current": goals, "milestone": 3, "timeframeType": "game"}
        self._write(at, game, player, "milestones", "en", "hat_trick", "hat_trick", content, data)

    def _write(
        self,
        at: int,
        game: Game,
        player: Player,
        kind: str,
        locale: str,
        key: str,
        trigger: str,
        content: str,
        data: dict[str, Any],
    ) -> None:
        due = at + self._dice.randint(*_SOON_MS) * _MS_IN_NS
        group = f"{game.sport}:{game.id}:{game.number}:{player.id}:{kind}:{key}"
        moment = sns.timestamp(self._start_ns + due)
        side, other = game.side(player.team), game.other(player.team)
        about = [
            ("game", f"{side.name} v {other.name}", self._id("game", game.id), f"sr:match:{_number(game.id)}"),
            ("team", side.name, self._id("team", side.id), f"sr:competitor:{_number(side.id)}"),
            ("player", player.name, self._id("player", player.id), f"sr:player:{_number(player.id)}"),
        ]
        (_, _, game_id, game_sr), (_, _, team_id, team_sr), (_, _, player_id, player_sr) = about
        insight = {
            "id": self._id("insight", f"{group}:{locale}"),
            "externalId": f"sandbox-{_number(group)}-{locale}",
            "gameId": game_id,
            "league": game.league,
            "type": kind,
            "category": trigger,
            "status": "published",
            "lifecycle": "in_game",
            "source": "touchline sandbox",
            "content": content,
            "relevancyDate": moment,
            "relevancyIndex": round(self._dice.uniform(0.5, 1.0), 3),
            "createdAt": moment,
            "updatedAt": moment,
            "event": {
                "id": self._id("event", group),
                "key": key,
                "league": game.league,
                "sport": game.sport,
                "insightType": kind,
                "insightTrigger": trigger,
                "insightGroupId": self._id("group", group),
                "gameId": game_id,
                "gameSrId": game_sr,
                "gameStatus": "inprogress",
                "teamId": team_id,
                "teamName": side.name,
                "teamSrId": team_sr,
                "opponentId": self._id("team", other.id),
                "opponentName": other.name,
                "opponentSportradarId": f"sr:competitor:{_number(other.id)}",
                "participantId": player_id,
                "participantFullName": player.name,
                "participantSrId": player_sr,
                "text": content,
                **data,
            },
            "subjects": [
                {
                    "index": index,
                    "label": label,
                    "type": subject,
                    "subjectId": us_id,
                    "subjectUsId": us_id,
                    "subjectSRId": sr_id,
                }
                for index, (subject, label, us_id, sr_id) in enumerate(about)
            ],
            "materials": [],
        }
        self._written.append(Timed(due, INSIGHT_TYPE, f"{game.league}/{kind}/{locale}", msgspec.json.encode(insight)))

    def _id(self, kind: str, name: str) -> str:
        return str(uuid.uuid5(self._namespace, f"{kind}:{name}"))


def _number(text: str) -> int:
    """A number for a URN, equal for equal texts."""
    return 1_000_000 + zlib.crc32(text.encode()) % 90_000_000
