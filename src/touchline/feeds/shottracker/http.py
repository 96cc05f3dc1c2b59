"""The Event API's operations, declared once for the router and for the OpenAPI document (sheet §2).

Loaded by name, by a server. Owns paths, parameters and documented answers; the ``rest_*`` modules answer.
Not served, for want of a documented body: writing the schedule, practices, sensor assignments, videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from touchline.feeds.base import Answered, Operation, Parameter, Ports
from touchline.feeds.shottracker import answers, messages
from touchline.feeds.shottracker.access import Access, SignedHandler
from touchline.feeds.shottracker.errors import ErrorBody
from touchline.feeds.shottracker.rest_events import EventsApi
from touchline.feeds.shottracker.rest_games import GamesApi
from touchline.feeds.shottracker.rest_locations import LocationsApi
from touchline.feeds.shottracker.rest_stats import StatsApi

SECURITY: Final = "shottracker-hmac"
"""The name of the scheme in the OpenAPI document: HTTP authentication ``hmac`` (sheet §1)."""
TAG: Final = "shottracker"

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_BOOLEAN: Final = {"type": "boolean"}

_EVENT_ID: Final = Parameter("event_id", "path", "the game's id from the schedule", required=True)
_TEAM_ID: Final = Parameter("team_id", "path", "the team's id", required=True)
_SESSION_ID: Final = Parameter("id", "path", "the id of a session (a half or quarter)", required=True)

_REFUSALS: Final = {
    400: "a parameter is missing or wrong",
    401: "the signature is missing, too old or wrong",
    403: "the credentials do not open this",
    404: "there is no such thing",
    429: "too many bad signatures; see Retry-After",
}


def _query(name: str, description: str, schema: Mapping[str, Any] = _TEXT, *, required: bool = False) -> Parameter:
    return Parameter(name, "query", description, schema, required)


_RANGE: Final = (
    _query("from", "epoch milliseconds", _NUMBER),
    _query("to", "epoch milliseconds", _NUMBER),
)


class _Declared:
    """Collects operations that share everything but what is given."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.operations: list[Operation] = []

    def get(
        self, path: str, name: str, summary: str, handler: SignedHandler, body: Any, *parameters: Parameter
    ) -> None:
        """Declare a signed GET."""
        self.operations.append(
            Operation(
                "GET",
                path,
                f"shottracker_{name}",
                summary,
                self._access.signed(handler),
                parameters,
                answers={200: Answered(summary, body)}
                | {status: Answered(meaning, ErrorBody) for status, meaning in _REFUSALS.items()},
                security=SECURITY,
                tag=TAG,
            )
        )


def operations(ports: Ports) -> Sequence[Operation]:
    """Every operation of the Event API that this hub serves."""
    access = Access(ports)
    declared = _Declared(access)
    _declare_games(declared, GamesApi(ports, access))
    _declare_events(declared, EventsApi(ports, access))
    _declare_stats(declared, StatsApi(ports, access), LocationsApi(ports, access))
    return tuple(declared.operations)


def _declare_games(declared: _Declared, games: GamesApi) -> None:
    declared.get(
        "/v1/data/schedule/games",
        "schedule_games",
        "Games by scheduled time",
        games.schedule,
        answers.ScheduleBody,
        _query("from", "first scheduled time, epoch milliseconds; needed unless mock=true", _NUMBER),
        _query("to", "last scheduled time, epoch milliseconds; a day after from when absent", _NUMBER),
        _query("type", "BASKETBALL (when absent) or FOOTBALL"),
        _query("team_id", "games of this team", _NUMBER),
        _query("location_id", "games at this place"),
        _query("seasonType", "EXH, PRE, REG or POST"),
        _query("weekNumber", "week of the season; REG when no seasonType is given", _NUMBER),
        _query("mock", "also list the game that loops for ever", _BOOLEAN),
    )
    declared.get(
        "/v1/data/schedule/games/matchup",
        "schedule_matchup",
        "Games of one team, or of two against each other",
        games.matchup,
        answers.ScheduleBody,
        _query("from", "first scheduled time, epoch milliseconds", _NUMBER, required=True),
        _query("to", "last scheduled time, epoch milliseconds", _NUMBER),
        _query("team_id", "a team; twice for both", {"type": "array", "items": _TEXT}, required=True),
        _query("reference", "the id system of team_id; SHOTTRACKER is our own", required=True),
        _query("gender", "MEN or WOMEN", required=True),
    )
    token = "A token for the live data of a game"  # noqa: S105 - a sentence
    declared.get(
        "/v1/data/schedule/games/{event_id}/_subscribe",
        "subscribe",
        token,
        games.subscribe,
        answers.TokenBody,
        _EVENT_ID,
    )
    for name in ("_subscribe", "_game_subscribe"):
        declared.get(
            f"/v1/data/live/{{id}}/{name}",
            f"live{name}",
            f"{token} (the older name)",
            games.subscribe_live,
            answers.TokenBody,
            Parameter("id", "path", "the id of a game, or of one of its sessions", required=True),
        )


def _declare_events(declared: _Declared, events: EventsApi) -> None:
    declared.get(
        "/v1/data/teams/{team_id}/events",
        "team_events",
        "A team's games with their sessions",
        events.team_events,
        answers.EventsBody,
        _TEAM_ID,
        *_RANGE,
        _query("gamesonly", "games only; this hub has no practices", _BOOLEAN),
        _query("workoutsonly", "live workouts only; this hub has none"),
    )
    declared.get(
        "/v1/data/games/{event_id}", "game", "A game with its sessions", events.game, answers.EventNode, _EVENT_ID
    )
    declared.get(
        "/v1/data/games/{event_id}/lineups",
        "lineups",
        "Who is on the court at a moment",
        events.lineups,
        answers.LineupsBody,
        _EVENT_ID,
        _query("timestamp", "epoch milliseconds; now when absent", _NUMBER),
    )
    declared.get("/v1/data/teams", "teams", "Teams without their players", events.teams, answers.TeamsBody)
    declared.get(
        "/v1/data/teams/{team_id},{reference}",
        "roster",
        "A team with its roster",
        events.roster,
        messages.Team,
        _TEAM_ID,
        Parameter("reference", "path", "the id system of team_id; SHOTTRACKER is our own", required=True),
        _query("game_event_id", "taken and not needed: a roster here is the same for every game"),
    )
    declared.get(
        "/v1/data/teams/{team_id}",
        "roster_by_id",
        "A team with its roster, by our own id",
        events.roster,
        messages.Team,
        _TEAM_ID,
    )


def _declare_stats(declared: _Declared, stats: StatsApi, locations: LocationsApi) -> None:
    declared.get(
        "/v1/data/stats/games/{event_id}/{resources}",
        "catch_up",
        "What a game's feed has said so far",
        stats.catch_up,
        answers.CatchUpBody,
        _EVENT_ID,
        Parameter("resources", "path", "a comma list out of stats, details, shots, possessions", required=True),
    )
    for path, name, summary, handler, body in (
        ("stats", "stats", "What a session added to the box score", stats.session_stats, answers.StatsBody),
        ("stats/details", "details", "Play-by-play of a session", stats.session_details, answers.DetailsBody),
        ("shots", "shots", "Shots of a session", stats.session_shots, answers.SessionShotsBody),
        (
            "possessions",
            "possessions",
            "Possessions of a session",
            stats.session_possessions,
            answers.SessionPossessionsBody,
        ),
        (
            "possessions/summary",
            "possessions_summary",
            "How many possessions each team had in a session",
            stats.possessions_summary,
            answers.PossessionSummaryBody,
        ),
    ):
        declared.get(f"/v1/data/stats/{{id}}/{path}", f"session_{name}", summary, handler, body, _SESSION_ID)
    declared.get(
        "/v1/data/sensors/locations",
        "locations",
        "Where players and ball were, for at most 30 minutes",
        locations.locations,
        list[answers.LocationsBody],
        _query("id", "the id of a session", required=True),
        _query("from", "epoch milliseconds", _NUMBER, required=True),
        _query("to", "epoch milliseconds", _NUMBER, required=True),
    )
