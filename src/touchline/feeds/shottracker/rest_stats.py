"""REST: the catch-up family of a game and the stats of one session (sheet §2.6, §2.7)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from touchline.feeds.base import Member, Ports
from touchline.feeds.shottracker import answers, errors, messages, summary
from touchline.feeds.shottracker.access import Access, Game, Refused, need_source
from touchline.feeds.shottracker.game import Row, Session, TeamState, bounded, plain, text
from touchline.feeds.shottracker.messages import GAME_ROUND, Id, Number, id_text
from touchline.feeds.shottracker.sources import FEED_NAME, TEAM_TYPE
from touchline.wire.http import HttpRequest, HttpResponse, json_response

# Resource of the catch-up family → the data source that it shows, and the 403 text without it (sheet §2).
RESOURCES: Final[Mapping[str, tuple[str, str]]] = {
    "stats": ("boxscorestatsv2", errors.NO_STATS),
    "details": ("playbyplay", errors.RESTRICTED),
    "shots": ("shot", errors.NO_SHOTS),
    "possessions": ("possession", errors.RESTRICTED),
}
UNKNOWN_RESOURCE: Final = "Resources are stats, details, shots and possessions"

_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])
_TEAM: Final = msgspec.json.Decoder(messages.Team)
_POSSESSION: Final = msgspec.json.Decoder(messages.Possession)
_OWNERS: Final = frozenset({"team_id", "player_id", "session_id"})
"""Said by the place of a row in a session's answer."""

# Short keys of the catch-up family, and the long keys that they stand for (sheet §2.6, §2.7).
_SHORT: Final = {
    "t": "occurred_at",
    "pid": "player_id",
    "tid": "team_id",
    "is3": "is_3point",
    "z": "zone",
    "az": "advanced_zone",
    "px": "player_x",
    "py": "player_y",
    "pz": "player_z",
    "hx": "hoop_x",
    "hy": "hoop_y",
    "hz": "hoop_z",
    "hsx": "hoop_player_x",
    "hsy": "hoop_player_y",
    "s": "status",
    "drb": "dribbles",
    "fid": "facility_id",
    "hid": "hoop_id",
    "gc": "game_clock",
    "sc": "shot_clock",
    "prd": "period",
    "attributes": "attributes",
    "players": "players",
    "shotDefenders": "shot_defenders",
}


class StatsApi:
    """Handlers of the two stats families."""

    def __init__(self, ports: Ports, access: Access) -> None:
        self._ports, self._access = ports, access

    async def catch_up(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/stats/games/{event_id}/{resources}``, a comma list."""
        game = await self._access.game(member, request.path_params["event_id"], missing=errors.GAME_NOT_FOUND)
        asked = frozenset(request.path_params["resources"].split(","))
        if not asked <= RESOURCES.keys():
            raise Refused(404, UNKNOWN_RESOURCE)
        for resource in sorted(asked):
            need_source(member, *RESOURCES[resource])
        state = game.state
        return json_response(
            answers.CatchUpBody(
                gameTotals=game_totals(game),
                stats=summary.stat_rows(state) if "stats" in asked else UNSET,
                details=summary.raws(state.plays.values()) if "details" in asked else UNSET,
                shots=[short_shot(game, row) for row in state.shots.values()] if "shots" in asked else UNSET,
                possessions=summary.raws(state.possessions.values()) if "possessions" in asked else UNSET,
            )
        )

    async def session_stats(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/stats/{id}/stats``."""
        game, session = await self._access.session(member, request.path_params["id"])
        need_source(member, *RESOURCES["stats"])
        return json_response(answers.StatsBody(summary.stat_rows(game.state, id_text(session.id))))

    async def session_details(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/stats/{id}/stats/details``."""
        game, session = await self._access.session(member, request.path_params["id"])
        need_source(member, *RESOURCES["details"])
        return json_response(answers.DetailsBody(summary.raws(_of(game, session, game.state.plays))))

    async def session_shots(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/stats/{id}/shots``: by team and player, in the long keys, as published."""
        game, session = await self._access.session(member, request.path_params["id"])
        need_source(member, *RESOURCES["shots"])
        found: dict[str, dict[str, tuple[Id | None, list[dict[str, Raw]]]]] = {}
        rows = _of(game, session, game.state.shots)
        for row, shot in zip(rows, summary.shots(rows), strict=True):
            players = found.setdefault(id_text(shot.team_id), {})
            players.setdefault(id_text(shot.player_id), (shot.player_id, []))[1].append(_without_owners(row))
        teams = []
        for team in _teams(game):
            roster, people = await self._roster(team.team_id)
            teams.append(
                answers.TeamShots(
                    team.team_id,
                    text(roster.name) or None,
                    text(roster.logo_image_link) or None,
                    [
                        answers.PlayerShots(player_id, people.get(key), shots)
                        for key, (player_id, shots) in found.get(id_text(team.team_id), {}).items()
                    ],
                )
            )
        return json_response(answers.SessionShotsBody(teams))

    async def session_possessions(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/stats/{id}/possessions``."""
        game, session = await self._access.session(member, request.path_params["id"])
        need_source(member, *RESOURCES["possessions"])
        found = _possessions(game, session)
        teams = []
        for team in _teams(game):
            roster, people = await self._roster(team.team_id)
            rows = [_without_owners(row) for row in found.get(id_text(team.team_id), [])]
            teams.append(answers.TeamPossessions(team.team_id, text(roster.name) or None, list(people.values()), rows))
        return json_response(answers.SessionPossessionsBody(teams))

    async def possessions_summary(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/stats/{id}/possessions/summary``."""
        game, session = await self._access.session(member, request.path_params["id"])
        need_source(member, *RESOURCES["possessions"])
        found = _possessions(game, session)
        teams = []
        for team in _teams(game):
            roster, _ = await self._roster(team.team_id)
            count = len(found.get(id_text(team.team_id), []))
            teams.append(answers.PossessionCount(team.team_id, text(roster.name) or None, count))
        return json_response(answers.PossessionSummaryBody(teams))

    async def _roster(self, team_id: Id) -> tuple[messages.Team, dict[str, answers.PlayerDetails]]:
        """A team's document and its players by id as text; an empty one when it was not published."""
        record = await self._ports.log.document(FEED_NAME, TEAM_TYPE, id_text(team_id))
        team = messages.Team(id=team_id) if record is None else _TEAM.decode(record.event.data)
        players = team.players if isinstance(team.players, list) else []
        return team, {
            id_text(player.id): answers.PlayerDetails(
                player.id,
                text(player.first_name) or None,
                text(player.last_name) or None,
                text(player.profile_image_link) or None,
            )
            for player in players
        }


def _teams(game: Game) -> list[TeamState]:
    """Both teams, home first, then whoever else turned up."""
    sides = [team for team in game.state.sides() if team is not None]
    return sides + [team for team in game.state.teams.values() if not any(team is side for side in sides)]


def _of(game: Game, session: Session, rows: Mapping[str, Row]) -> list[Row]:
    """The rows of a session: those counted to it, or for one that only the schedule's row knows, those of its time."""
    key = id_text(session.id)
    if key in game.state.sessions or session.started_at is None:
        return [row for row in rows.values() if row.session == key]
    end = math.inf if session.ended_at is None else session.ended_at
    return [
        row
        for row in rows.values()
        if row.session == key or (not row.session and session.started_at <= row.occurred_at <= end)
    ]


def _possessions(game: Game, session: Session) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in _of(game, session, game.state.possessions):
        found.setdefault(id_text(_POSSESSION.decode(row.data).team_id), []).append(row)
    return found


def _without_owners(row: Row) -> dict[str, Raw]:
    return {name: value for name, value in _MEMBERS.decode(row.data).items() if name not in _OWNERS}


def short_shot(game: Game, row: Row) -> dict[str, Any]:
    """A shot in the catch-up family's short keys; what was not published is left out."""
    (shot,) = summary.shots([row])
    found: dict[str, Any] = {"label": None}
    for short, long in _SHORT.items():
        value = getattr(shot, long)
        if value is not UNSET:
            found[short] = value
    made = shot.is_make is True
    found |= {
        "sid": row.session or None,
        "sst": GAME_ROUND,
        "gid": game.event_id,
        "st": "MAKE" if made else "MISS",
        # -1 is what the provider's sample has for a miss.
        "pts": (3 if shot.is_3point is True else 2) if made else -1,
    }
    distance = _distance_cm(shot)
    return found if distance is None else found | {"d": distance}


def _distance_cm(shot: messages.Shot) -> Number | None:
    """Centimetres from the hoop; the coordinates are millimetres (sheet §4.3)."""
    x, y = bounded(shot.hoop_player_x), bounded(shot.hoop_player_y)
    return None if x is None or y is None else round(math.hypot(x, y) / 10, 2)


def game_totals(game: Game) -> answers.GameTotals:
    """The score by period, newest period first (sheet §2.6)."""
    state = game.state
    home, away = state.sides()
    clock = summary.game_clock(state)
    periods = _periods(game, (home, away))
    return answers.GameTotals(
        awayTeamScore=_score(away),
        homeTeamScore=_score(home),
        period=state.period or None,
        gameClock=text(clock.game_clock) or None,
        status=state.status,
        periodTotals=[
            answers.PeriodTotal(_score(away, period), _score(home, period), period, session_id)
            for period, session_id in reversed(periods.items())
        ],
    )


def _periods(game: Game, sides: Iterable[TeamState | None]) -> dict[str, Id | None]:
    """Periods in their order with their session: as sessions began, then others in which points were made."""
    periods: dict[str, Id | None] = {session.period: session.id for session in game.sessions() if session.period}
    for team in sides:
        for period in team.periods if team else ():
            periods.setdefault(period, None)
    return periods


def _score(team: TeamState | None, period: str | None = None) -> answers.TeamScore:
    if team is None:
        return answers.TeamScore(None, 0)
    value = team.score if period is None else team.periods.get(period, 0)
    return answers.TeamScore(id_text(team.team_id), plain(value))
