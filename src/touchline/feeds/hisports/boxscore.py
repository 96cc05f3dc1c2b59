"""The public summary of a scoresheet, in the shape that the provider's ``boxScore`` has (sheet 3), and the score.

Names stand in place of ids, words in place of slugs. Notes, signatures and approvals have no place in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from msgspec import UNSET, Struct, UnsetType

from touchline.feeds.hisports.messages import (
    Game,
    GameTime,
    Goal,
    Id,
    LineupMember,
    Logo,
    OptId,
    OptText,
    OptTime,
    Participant,
    Penalty,
    Scoresheet,
    Team,
    id_text,
)

SHOOTOUT: Final = "SO"
_PERIODS: Final = {"1": 1, "2": 2, "3": 3, "OT": 8, SHOOTOUT: 9}
_SERVED: Final = {"minor": "Minor", "major": "Major", "match": "Match", "misconduct": "Misconduct"}
_GAME_MISCONDUCT: Final = "game-misconduct"

Item = TypeVar("Item")
Shirt = int | float | str | None


class BoxTeam(Struct, frozen=True):
    """A team; ``score`` is ours."""

    id: Id | None
    name: str | None
    logoUrl: str | None  # noqa: N815 - the provider's spelling
    score: int


class BoxParticipant(Struct, frozen=True):
    """A player or team official; ``fullName`` null when no lineup has them."""

    fullName: str | None  # noqa: N815
    number: Shirt
    participantId: Id  # noqa: N815


class BoxGoal(Struct, frozen=True):
    """A goal."""

    gameTime: GameTime | None  # noqa: N815
    teamId: Id | None  # noqa: N815
    participant: BoxParticipant | None
    assists: list[BoxParticipant]
    isPowerplay: bool  # noqa: N815
    isShorthanded: bool  # noqa: N815
    isEmptyNet: bool  # noqa: N815
    isPenaltyShot: bool  # noqa: N815
    isOwnGoal: bool  # noqa: N815


class BoxDuration(Struct, frozen=True):
    """How a penalty is served, in words and as the scoresheet's slug."""

    name: str
    description: str
    i18n: str


class BoxPenalty(Struct, frozen=True):
    """A penalty; ``infraction`` in words, ``code`` and ``i18n`` as the scoresheet's slug."""

    gameTime: GameTime | None  # noqa: N815
    teamId: Id | None  # noqa: N815
    infraction: str | None
    duration: BoxDuration | None
    participant: BoxParticipant | None
    code: str | None
    i18n: str | None


class BoxScore(Struct, frozen=True):
    """``GET /api/games/{id}/boxScore``."""

    gameNumber: str  # noqa: N815
    teams: list[BoxTeam]
    goals: list[BoxGoal]
    penalties: list[BoxPenalty]


def items(found: list[Item] | UnsetType | None) -> list[Item]:
    """A list of the scoresheet; empty when it is absent or null."""
    return found if isinstance(found, list) else []


def _id(value: OptId) -> Id | None:
    return None if value is UNSET else value


def _text(value: OptText) -> str | None:
    return None if value is UNSET else value


def _time(value: OptTime) -> GameTime | None:
    return None if value is UNSET else value


def score(goals: Iterable[Goal]) -> dict[str, int]:
    """Goals by team id: each goal of the game to the team that it names, and one to the winner of a shootout.

    The payload has no score (sheet 4.3). Whether every shootout goal is listed is not documented; the final score
    counts one, for whoever has more of them (OUR CHOICE).
    """
    counted: dict[str, int] = {}
    shots: dict[str, int] = {}
    for goal in goals:
        team = id_text(goal.teamId)
        tally = shots if _period(goal.gameTime) == SHOOTOUT else counted
        tally[team] = tally.get(team, 0) + 1
    if shots:
        most = max(shots.values())
        winners = [team for team, number in shots.items() if number == most]
        if len(winners) == 1:
            counted[winners[0]] = counted.get(winners[0], 0) + 1
    return counted


def box_score(game: Game, sheet: Scoresheet) -> BoxScore:
    """The summary of a game; goals and penalties in order of play."""
    lineups = sheet.lineups if isinstance(sheet.lineups, dict) else {}
    people: dict[str, tuple[LineupMember, str]] = {}
    for team_id, lineup in lineups.items():
        for member in items(lineup.members):
            people[id_text(member.participantId)] = (member, team_id)
    names = _Names(people)
    goals = sorted(items(sheet.goals), key=lambda goal: _moment(goal.gameTime))
    penalties = sorted(items(sheet.penalties), key=lambda penalty: _moment(penalty.gameTime))
    counted = score(goals)
    return BoxScore(
        id_text(game.number) or id_text(game.id),
        [_team(game.homeTeamId, game.homeTeam, counted), _team(game.awayTeamId, game.awayTeam, counted)],
        [_goal(goal, names) for goal in goals],
        [_penalty(penalty, names) for penalty in penalties],
    )


class _Names:
    """Finds people in the lineups by participant id."""

    def __init__(self, people: dict[str, tuple[LineupMember, str]]) -> None:
        self._people = people

    def of(self, participant_id: OptId) -> BoxParticipant | None:
        if participant_id is None or participant_id is UNSET:
            return None
        member, _ = self._people.get(id_text(participant_id), (LineupMember(), ""))
        person, number = member.participant, member.number
        name = _text(person.fullName) if isinstance(person, Participant) else None
        return BoxParticipant(name, None if number is UNSET else number, participant_id)

    def team_of(self, participant_id: OptId) -> Id | None:
        """The team in whose lineup somebody stands, as a number where it reads as one."""
        _, team_id = self._people.get(id_text(participant_id), (None, ""))
        return int(team_id) if team_id.isascii() and team_id.isdigit() and len(team_id) < 19 else team_id or None


def _team(team_id: OptId, team: Team | UnsetType | None, counted: dict[str, int]) -> BoxTeam:
    known = team if isinstance(team, Team) else Team()
    found = _id(team_id)
    if found is None:
        found = _id(known.id)
    url = known.logo.url if isinstance(known.logo, Logo) else known.logo
    return BoxTeam(found, _text(known.name), _text(url), counted.get(id_text(found), 0))


def _goal(goal: Goal, names: _Names) -> BoxGoal:
    return BoxGoal(
        _time(goal.gameTime),
        _id(goal.teamId),
        names.of(goal.participantId),
        [found for each in items(goal.assistIds) if (found := names.of(each)) is not None],
        isPowerplay=goal.isPowerplay is True,
        isShorthanded=goal.isShorthanded is True,
        isEmptyNet=goal.isEmptyNet is True,
        isPenaltyShot=goal.isPenaltyShot is True,
        isOwnGoal=goal.isOwnGoal is True,
    )


def _penalty(penalty: Penalty, names: _Names) -> BoxPenalty:
    slug = _text(penalty.infraction)
    team_id = _id(penalty.teamId)
    if team_id is None:
        team_id = names.team_of(penalty.participantId)
    return BoxPenalty(
        _time(penalty.gameTime),
        team_id,
        None if slug is None else _words(slug),
        _duration(_text(penalty.duration), slug),
        names.of(penalty.participantId),
        slug,
        slug,
    )


def _duration(duration: str | None, infraction: str | None) -> BoxDuration | None:
    if duration is None:
        # A game misconduct ends the player's game and is not served; its name is one of the provider's (sheet 3).
        return _named(_GAME_MISCONDUCT) if infraction == _GAME_MISCONDUCT else None
    return _named(duration)


def _named(slug: str) -> BoxDuration:
    name = _SERVED.get(slug) or _words(slug)
    return BoxDuration(name, name, slug)


def _words(slug: str) -> str:
    return slug.replace("-", " ").title()


def _period(time: OptTime) -> str:
    return id_text(time.period) if isinstance(time, GameTime) else ""


def _moment(time: OptTime) -> tuple[int, float]:
    """Sorts in order of play: the clock counts down (sheet 4.3). What has no time comes last."""
    if not isinstance(time, GameTime):
        return (10, 0.0)
    minutes, seconds = time.minutes or 0, time.seconds or 0
    return (_PERIODS.get(id_text(time.period), 7), -(minutes * 60.0 + seconds))
