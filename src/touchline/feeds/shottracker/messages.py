"""ShotTracker's own message bodies, in its own spelling: what stands under ``data`` of every event type.

Owns field names and their types, nothing of frames, tokens or folding. Only what routing and folding cannot do without
is required; a known field that is present must have its type, an unknown field passes. Ids are numbers in some of the
provider's bodies and strings in others (sheet §9), and a number may be written ``15`` or ``15.0`` (§4.1), so both are
taken everywhere. Absent stays absent: optional fields are UNSET, which is not the same as null.
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType

Id = int | str
Number = int | float
OptId = Id | None | UnsetType
OptNumber = Number | None | UnsetType
OptText = str | None | UnsetType
OptBool = bool | None | UnsetType
OptTexts = list[str] | None | UnsetType
OptIds = list[Id] | None | UnsetType
OptRaws = list[Raw] | None | UnsetType
OptObject = dict[str, Raw] | None | UnsetType

# Marker types that decide the state of a game. OUR CHOICE (sheet §4.4); any other type is passed on and kept.
GAME_START: Final = "GAME_START"
SESSION_START: Final = "SESSION_START"
SESSION_END: Final = "SESSION_END"
GAME_END: Final = "GAME_END"
JERSEY_COLORS: Final = "JERSEY_COLORS"
LINEUP: Final = "LINEUP"

# Shot status (sheet §4.2): only RECORDED is seen in public, the others are OUR CHOICE.
RECORDED: Final = "RECORDED"
UPDATED: Final = "UPDATED"
DELETED: Final = "DELETED"

# Sessions of a game (sheet §2.4).
GAME_ROUND: Final = "GAME_ROUND"


def id_text(value: object) -> str:
    """An id as text, so that ``461`` and ``"461"`` name the same thing; '' for an absent one."""
    return "" if value is None or value is UNSET else str(value)


class BoxScoreStats(Struct, frozen=True, kw_only=True):
    """``boxscorestatsv2`` (examples page, "stats"; sheet §4.1).

    ``stats`` are the CURRENT TOTALS of the touched stats, never increments. ``player_id`` null: the team's own.
    ``classification`` is an open set (``DELETED_<X>``, ``UPDATED_<X>_TO_<Y>``).
    """

    team_id: Id
    player_id: Id | None
    stats: dict[str, Number] | UnsetType = UNSET
    occurred_at: OptNumber = UNSET
    classification: OptText = UNSET
    version: OptNumber = UNSET
    session_id: OptId = UNSET
    period: OptText = UNSET
    game_clock: OptText = UNSET
    shot_clock: OptText = UNSET


class Shot(Struct, frozen=True, kw_only=True):
    """``shot`` (examples page; sheet §4.2) with the long keys of the per-session page (§2.7) as optional extras.

    A later one with the same ``occurred_at`` and ``player_id`` replaces the earlier; ``status`` DELETED takes it back.
    """

    team_id: Id
    player_id: Id | None
    occurred_at: OptNumber = UNSET
    is_make: OptBool = UNSET
    is_3point: OptBool = UNSET
    zone: OptNumber = UNSET
    advanced_zone: OptNumber = UNSET
    player_x: OptNumber = UNSET
    player_y: OptNumber = UNSET
    player_z: OptNumber = UNSET
    hoop_x: OptNumber = UNSET
    hoop_y: OptNumber = UNSET
    hoop_z: OptNumber = UNSET
    hoop_player_x: OptNumber = UNSET
    hoop_player_y: OptNumber = UNSET
    status: OptText = UNSET
    version: OptNumber = UNSET
    session_id: OptId = UNSET
    period: OptText = UNSET
    game_clock: OptText = UNSET
    shot_clock: OptText = UNSET
    attributes: OptTexts = UNSET
    dribbles: OptNumber = UNSET
    facility_id: OptId = UNSET
    hoop_id: OptId = UNSET
    players: OptRaws = UNSET
    shot_defenders: OptRaws = UNSET


class Marker(Struct, frozen=True, kw_only=True):
    """``marker`` (sheet §4.4, OUR CHOICE): a change of the game's state, jersey colours, a line-up's status."""

    type: str
    occurred_at: OptNumber = UNSET
    session_id: OptId = UNSET
    period: OptText = UNSET
    team_id: OptId = UNSET
    status: OptText = UNSET
    game_clock: OptText = UNSET
    color: OptText = UNSET


class ActionKey(Struct, frozen=True, kw_only=True):
    """Who and when: the identity of a play-by-play row (sheet §2.6)."""

    actorId: OptId = UNSET  # noqa: N815 - the provider's spelling
    timestamp: OptNumber = UNSET


class PlayByPlay(Struct, frozen=True, kw_only=True):
    """``playbyplay``: a row of the catch-up family's ``details`` (sheet §2.6), which REST serves unchanged.

    A later row with the same ``key`` replaces the earlier one.
    """

    type: OptText = UNSET
    eventId: OptId = UNSET  # noqa: N815
    timestamp: OptNumber = UNSET
    teamId: OptId = UNSET  # noqa: N815
    sessionType: OptText = UNSET  # noqa: N815
    sessionId: OptId = UNSET  # noqa: N815
    practiceId: OptId = UNSET  # noqa: N815
    practiceDefinitionId: OptId = UNSET  # noqa: N815
    drillDefinitionId: OptId = UNSET  # noqa: N815
    gameId: OptId = UNSET  # noqa: N815
    stats: dict[str, Number] | UnsetType | None = UNSET
    corrected: OptBool = UNSET
    facilityId: OptId = UNSET  # noqa: N815
    courtId: OptId = UNSET  # noqa: N815
    gameClock: OptText = UNSET  # noqa: N815
    shotClock: OptText = UNSET  # noqa: N815
    period: OptText = UNSET
    playerX: OptNumber = UNSET  # noqa: N815
    playerY: OptNumber = UNSET  # noqa: N815
    playerZ: OptNumber = UNSET  # noqa: N815
    hoopToEventX: OptNumber = UNSET  # noqa: N815
    hoopToEventY: OptNumber = UNSET  # noqa: N815
    clipId: OptId = UNSET  # noqa: N815
    classification: OptText = UNSET
    description: OptText = UNSET
    videoAttributes: OptObject = UNSET  # noqa: N815
    baseStats: OptText = UNSET  # noqa: N815
    actualStats: OptText = UNSET  # noqa: N815
    key: ActionKey | UnsetType | None = UNSET
    act: OptText = UNSET
    pid: OptId = UNSET


class Lineup(Struct, frozen=True, kw_only=True):
    """``lineup`` (OUR CHOICE of name and body, sheet §4): the players of one team on the court from now on."""

    team_id: Id
    player_ids: OptIds = UNSET
    occurred_at: OptNumber = UNSET
    session_id: OptId = UNSET
    period: OptText = UNSET
    game_clock: OptText = UNSET
    status: OptText = UNSET


class Possession(Struct, frozen=True, kw_only=True):
    """``possession`` (OUR CHOICE of name): an item of the per-session page's ``possessions`` (§2.7), and whose it is.

    A later one of the same team with the same ``start_timestamp`` replaces the earlier one.
    """

    team_id: Id
    start_timestamp: OptNumber = UNSET
    end_timestamp: OptNumber = UNSET
    start_game_clock: OptText = UNSET
    end_game_clock: OptText = UNSET
    occurred_at: OptNumber = UNSET
    session_id: OptId = UNSET
    period: OptText = UNSET
    player_ids: OptIds = UNSET
    opposing_player_ids: OptIds = UNSET
    stats: OptRaws = UNSET


class Location(Struct, frozen=True, kw_only=True):
    """``location`` (examples page; sheet §4.3): millimetres from the court's centre, y along its long axis."""

    type: str
    id: Id
    occurred_at: OptNumber = UNSET
    x: OptNumber = UNSET
    y: OptNumber = UNSET
    z: OptNumber = UNSET
    speed: OptNumber = UNSET
    dist: OptNumber = UNSET
    team_id: OptId = UNSET
    player_id: OptId = UNSET
    session_id: OptId = UNSET
    tag: OptId = UNSET
    game_clock: OptText = UNSET
    shot_clock: OptText = UNSET


class GameClock(Struct, frozen=True, kw_only=True):
    """``clock`` (sheet §4.4, OUR CHOICE); clock text as on the possessions page, ``12:30.0``."""

    occurred_at: OptNumber = UNSET
    period: OptText = UNSET
    game_clock: OptText = UNSET
    shot_clock: OptText = UNSET
    running: OptBool = UNSET


class PeriodScore(Struct, frozen=True, kw_only=True):
    """A team's points in one period."""

    period: OptText = UNSET
    score: OptNumber = UNSET


class ZoneTally(Struct, frozen=True, kw_only=True):
    """A team's field goals from one of the 14 zones (sheet §4.2)."""

    zone: OptNumber = UNSET
    attempts: OptNumber = UNSET
    makes: OptNumber = UNSET


class SummaryPlayer(Struct, frozen=True, kw_only=True):
    """A player in a broadcast summary."""

    player_id: OptId = UNSET
    stats: dict[str, Number] | UnsetType | None = UNSET


class SummaryTeam(Struct, frozen=True, kw_only=True):
    """A team in a broadcast summary; ``zones`` and ``players`` are left out at level ``game_stats``."""

    team_id: OptId = UNSET
    name: OptText = UNSET
    score: OptNumber = UNSET
    stats: dict[str, Number] | UnsetType | None = UNSET
    periods: list[PeriodScore] | UnsetType | None = UNSET
    zones: list[ZoneTally] | UnsetType | None = UNSET
    players: list[SummaryPlayer] | UnsetType | None = UNSET


class BroadcastSummary(Struct, frozen=True, kw_only=True):
    """``broadcastsummary`` (sheet §4.4, OUR CHOICE): the whole score for a broadcaster, always replaced as a whole."""

    event_id: OptId = UNSET
    occurred_at: OptNumber = UNSET
    status: OptText = UNSET
    period: OptText = UNSET
    game_clock: OptText = UNSET
    shot_clock: OptText = UNSET
    home: SummaryTeam | UnsetType | None = UNSET
    away: SummaryTeam | UnsetType | None = UNSET


class Result(Struct, frozen=True, kw_only=True):
    """An item of an event node's ``results``: a session, i.e. one half or quarter (sheet §2.4)."""

    id: OptId = UNSET
    name: OptText = UNSET
    type: OptText = UNSET
    period: OptText = UNSET
    started_at: OptNumber = UNSET
    ended_at: OptNumber = UNSET


class Game(Struct, frozen=True, kw_only=True):
    """``shottracker.game``: a row of the schedule's ``games`` (sheet §2.1), which may carry ``results`` (§2.4)."""

    event_id: OptId = UNSET
    facility_name: OptText = UNSET
    court_name: OptText = UNSET
    location_id: OptText = UNSET
    tipoff_at: OptNumber = UNSET
    gender: OptText = UNSET
    status: OptText = UNSET
    type: OptText = UNSET
    game_type: OptText = UNSET
    home_team_id: OptId = UNSET
    home_team_name: OptText = UNSET
    home_team_reference_id: OptId = UNSET
    away_team_id: OptId = UNSET
    away_team_name: OptText = UNSET
    away_team_reference_id: OptId = UNSET
    officials_team_id: OptId = UNSET
    reference_id: OptId = UNSET
    fan_engagement_enabled: OptBool = UNSET
    source: OptText = UNSET
    name: OptText = UNSET
    seasonType: OptText = UNSET  # noqa: N815 - the spelling of the query parameter; the row's own is not documented
    weekNumber: OptNumber = UNSET  # noqa: N815
    results: list[Result] | UnsetType | None = UNSET


class Player(Struct, frozen=True, kw_only=True):
    """A player of a roster (sheet §2.9)."""

    id: Id
    first_name: OptText = UNSET
    last_name: OptText = UNSET
    display_name: OptText = UNSET
    jersey_number: OptId = UNSET
    jersey_number_str: OptText = UNSET
    position: OptText = UNSET
    is_active: OptBool = UNSET
    is_starter: OptBool = UNSET
    is_scout: OptBool = UNSET
    reference_id: OptId = UNSET
    profile_image_link: OptText = UNSET


class Team(Struct, frozen=True, kw_only=True):
    """``shottracker.team``: a team with its roster (sheet §2.9)."""

    id: Id
    name: OptText = UNSET
    gender: OptText = UNSET
    conference_name: OptText = UNSET
    league_name: OptText = UNSET
    sport: OptText = UNSET
    reference_id: OptId = UNSET
    logo_image_link: OptText = UNSET
    players: list[Player] | UnsetType | None = UNSET
