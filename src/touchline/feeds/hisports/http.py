"""The REST's operations, declared once for the router and for the OpenAPI document (sheet 3).

Loaded by name, by a server. The same calls stand under ``/api`` and ``/api/sp`` (two hosts of the provider). Not
served, since nothing that was published answers them: schedules, groups, offices, divisions, members, PDF scoresheets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from touchline.feeds.base import Answered, Operation, Parameter, Ports
from touchline.feeds.hisports import messages
from touchline.feeds.hisports.access import Access, OpenedHandler
from touchline.feeds.hisports.boxscore import BoxScore
from touchline.feeds.hisports.errors import ErrorBody
from touchline.feeds.hisports.rest import Count, GamesApi

SECURITY: Final = "hisports-api-key"
"""The name of the scheme in the OpenAPI document: ``Authorization: API-Key <40 hex digits>``."""
TAG: Final = "hisports"

_ID: Final = Parameter("id", "path", "the game's id", required=True)
_FILTER: Final = Parameter(
    "filter",
    "query",
    "a LoopBack filter as JSON: where (equality, and, or, inq, nin, between, gt, gte, lt, lte, neq), order, "
    "limit (100 when absent, 1000 at most), skip, include",
)
_WHERE: Final = Parameter("where", "query", "the where of such a filter")

_REFUSALS: Final = {
    401: "the API key is missing or unknown",
    404: "there is no such thing, or not for this key",
    429: "too many bad keys; see Retry-After",
}
_BAD_FILTER: Final = {400: "the filter is not understood"}


def operations(ports: Ports) -> Sequence[Operation]:
    """Every operation that this hub serves."""
    access = Access(ports)
    api = GamesApi(access)
    found: list[Operation] = []

    def get(path: str, name: str, summary: str, handler: OpenedHandler, body: Any, *parameters: Parameter) -> None:
        refusals = _REFUSALS | (_BAD_FILTER if any(each.where == "query" for each in parameters) else {})
        for prefix, family in (("/api", ""), ("/api/sp", "sp_")):
            found.append(
                Operation(
                    "GET",
                    prefix + path,
                    f"hisports_{family}{name}",
                    summary,
                    access.opened(handler),
                    parameters,
                    answers={200: Answered(summary, body)}
                    | {status: Answered(meaning, ErrorBody) for status, meaning in refusals.items()},
                    security=SECURITY,
                    tag=TAG,
                )
            )

    lineups = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "object"}}}
    get("/games", "games", "Games", api.games, list[messages.Game], _FILTER)
    get("/games/count", "games_count", "How many games there are", api.count, Count, _WHERE)
    get("/games/{id}", "game", "A game", api.game, messages.Game, _ID, _FILTER)
    get("/games/{id}/scoresheet", "scoresheet", "A game's scoresheet", api.scoresheet, messages.Scoresheet, _ID)
    get("/games/{id}/boxScore", "box_score", "A game's public summary", api.box_score, BoxScore, _ID)
    get("/games/{id}/lineups", "lineups", "Who plays, by team id", api.lineups, lineups, _ID)
    get("/teams", "teams", "Teams of the games", api.teams, list[messages.Team], _FILTER)
    return tuple(found)
