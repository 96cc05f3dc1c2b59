"""The bodies of REST answers, typed for the OpenAPI document and for the handlers, in the provider's spelling.

``Raw`` members hold published bodies unchanged. Where the provider's own shape is not seen, it says OUR CHOICE.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType, field

from touchline.feeds.shottracker.messages import Id, Number


class TokenBody(Struct, frozen=True):
    """``_subscribe`` (sheet §2.3, OUR CHOICE)."""

    token: str


class ScheduleBody(Struct, frozen=True):
    """``schedule/games`` and ``matchup``: rows as published (sheet §2.1)."""

    games: list[dict[str, Raw]]


class TotalsLinks(Struct, frozen=True):
    """Links of a game to its full-game stats (sheet §2.4)."""

    stats: str = field(name="_stats")
    details: str = field(name="_stats_details")
    shots: str = field(name="_shots")
    possessions: str = field(name="_possessions")


class EventNode(Struct, frozen=True):
    """A game among a team's events (sheet §2.4); ``results`` are its sessions."""

    id: str
    name: str | None
    results: list[dict[str, Raw]]
    game_type: str | None
    totals: TotalsLinks


class EventsBody(Struct, frozen=True):
    """``teams/{team_id}/events``."""

    events: list[EventNode]


class TeamsBody(Struct, frozen=True):
    """``teams`` (OUR CHOICE: the rows of the roster call without their players)."""

    teams: list[dict[str, Raw]]


class LineupsBody(Struct, frozen=True):
    """``games/{event_id}/lineups`` (OUR CHOICE): each team's line-up as published."""

    lineups: list[Raw]


class TeamScore(Struct, frozen=True):
    """A score in ``gameTotals``; the id is a text there (sheet §2.6)."""

    teamId: str | None  # noqa: N815 - the provider's spelling, here and below
    value: Number


class PeriodTotal(Struct, frozen=True):
    """A period in ``gameTotals``."""

    awayTeamScore: TeamScore  # noqa: N815
    homeTeamScore: TeamScore  # noqa: N815
    period: str
    sessionId: Id | None  # noqa: N815


class GameTotals(Struct, frozen=True):
    """``gameTotals`` (sheet §2.6); the newest period comes first."""

    awayTeamScore: TeamScore  # noqa: N815
    homeTeamScore: TeamScore  # noqa: N815
    period: str | None
    gameClock: str | None  # noqa: N815
    status: str
    periodTotals: list[PeriodTotal]  # noqa: N815


class CatchUpBody(Struct, frozen=True):
    """The catch-up family: an array per asked resource, and the totals (sheet §2.6)."""

    gameTotals: GameTotals  # noqa: N815
    stats: list[dict[str, Any]] | UnsetType = UNSET
    details: list[Raw] | UnsetType = UNSET
    shots: list[dict[str, Any]] | UnsetType = UNSET
    possessions: list[Raw] | UnsetType = UNSET


class PlayerDetails(Struct, frozen=True):
    """Who a player is (sheet §2.7)."""

    id: Id
    firstname: str | None
    lastname: str | None
    profile_image_link: str | None


class PlayerShots(Struct, frozen=True):
    """A player's shots in a session, in the long keys."""

    id: Id | None
    player_details: PlayerDetails | None
    shots: list[dict[str, Raw]]


class TeamShots(Struct, frozen=True):
    """A team's shots in a session."""

    id: Id
    name: str | None
    logo_image_link: str | None
    player_shots: list[PlayerShots]


class SessionShotsBody(Struct, frozen=True):
    """``stats/{id}/shots`` (sheet §2.7)."""

    teams: list[TeamShots]


class TeamPossessions(Struct, frozen=True):
    """A team's possessions in a session."""

    id: Id
    name: str | None
    team_player_details: list[PlayerDetails]
    possessions: list[dict[str, Raw]]


class SessionPossessionsBody(Struct, frozen=True):
    """``stats/{id}/possessions`` (sheet §2.7)."""

    teams: list[TeamPossessions]


class PossessionCount(Struct, frozen=True):
    """How many possessions a team had in a session."""

    id: Id
    name: str | None
    possessions: int


class PossessionSummaryBody(Struct, frozen=True):
    """``stats/{id}/possessions/summary`` (OUR CHOICE: seen as a link only)."""

    teams: list[PossessionCount]


class StatsBody(Struct, frozen=True):
    """``stats/{id}/stats`` (OUR CHOICE: seen as a link only): what the session added to each player's totals."""

    stats: list[dict[str, Any]]


class DetailsBody(Struct, frozen=True):
    """``stats/{id}/stats/details`` (OUR CHOICE: seen as a link only)."""

    details: list[Raw]


class LocationRow(Struct, frozen=True, omit_defaults=True):
    """A sample of ``sensors/locations`` (sheet §2.8)."""

    x: Number | None
    y: Number | None
    z: Number | None
    t: int
    type: str
    sid: Id
    tag: str | None = None
    tid: Id | None = None
    pid: Id | None = None
    speed: Number | None = None
    gc: str | None = None
    sc: str | None = None


class LocationsBody(Struct, frozen=True):
    """The samples of one player or ball."""

    locations: list[LocationRow]
