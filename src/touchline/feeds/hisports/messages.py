"""HiSports' own shapes, in its own spelling: games, teams, arenas, and the scoresheet with all its parts.

Owns field names and their types, nothing of webhooks, folding or REST. Of all this only a game's ``id`` is required:
the documented example is trimmed, and what the provider sends today has other members than its page says (sheet 4.1).
A known field that is present must have its type, an unknown field passes, and every enumeration is open. Ids and short
numbers are taken as numbers and as texts. Absent stays absent: optional fields are UNSET, which is not null.
"""

from __future__ import annotations

from msgspec import UNSET, Raw, Struct, UnsetType

Id = int | str
Number = int | float
OptId = Id | None | UnsetType
OptIds = list[Id] | None | UnsetType
OptNumber = Number | None | UnsetType
OptShort = int | float | str | None | UnsetType
OptText = str | None | UnsetType
OptTexts = list[str] | None | UnsetType
OptBool = bool | None | UnsetType
OptLabel = str | dict[str, Raw] | None | UnsetType
"""``category`` was a text and is an object with ``categoryId`` today (sheet 4.1); its kin may follow."""


def id_text(value: object) -> str:
    """An id as text, so that ``4100`` and ``"4100"`` name the same thing; '' for an absent one."""
    return "" if value is None or value is UNSET else str(value)


class Logo(Struct, frozen=True, kw_only=True, gc=False):
    """A team's logo (seed, example; never defined)."""

    id: OptId = UNSET
    url: OptText = UNSET


class Team(Struct, frozen=True, kw_only=True):
    """``homeTeam`` and ``awayTeam`` (seed, Team; the last three are in the example only)."""

    id: OptId = UNSET
    name: OptText = UNSET
    division: OptLabel = UNSET
    gender: OptLabel = UNSET
    category: OptLabel = UNSET
    seasonId: OptId = UNSET  # noqa: N815 - the provider's spelling
    officeId: OptId = UNSET  # noqa: N815
    logo: Logo | str | UnsetType | None = UNSET
    HCRId: OptId = UNSET
    shortName: OptText = UNSET  # noqa: N815
    logoId: OptId = UNSET  # noqa: N815


class Arena(Struct, frozen=True, kw_only=True, gc=False):
    """``arena`` (seed, Arena); ``name`` is the building's, ``rink`` tells its rinks apart."""

    id: OptId = UNSET
    name: OptText = UNSET
    rink: OptId = UNSET
    address: OptText = UNSET
    city: OptText = UNSET
    officeId: OptId = UNSET  # noqa: N815
    alias: OptText = UNSET


class Game(Struct, frozen=True, kw_only=True):
    """``game`` (seed, Game). ``number`` is for people; without one the id is shown, which only REST fills in."""

    id: Id
    number: OptId = UNSET
    startTime: OptText = UNSET  # noqa: N815
    endTime: OptText = UNSET  # noqa: N815
    division: OptLabel = UNSET
    gender: OptLabel = UNSET
    category: OptLabel = UNSET
    scheduleId: OptId = UNSET  # noqa: N815
    officeId: OptId = UNSET  # noqa: N815
    homeTeamId: OptId = UNSET  # noqa: N815
    homeTeam: Team | UnsetType | None = UNSET  # noqa: N815
    awayTeamId: OptId = UNSET  # noqa: N815
    awayTeam: Team | UnsetType | None = UNSET  # noqa: N815
    arenaId: OptId = UNSET  # noqa: N815
    arena: Arena | UnsetType | None = UNSET
    status: OptText = UNSET
    comments: OptText = UNSET
    isApproved: OptBool = UNSET  # noqa: N815


class GameTime(Struct, frozen=True, kw_only=True, gc=False):
    """A moment on the game clock, which counts down (seed, GameTime; sheet 4.3). ``period``: 1, 2, 3, OT, SO."""

    period: OptId = UNSET
    minutes: OptNumber = UNSET
    seconds: OptNumber = UNSET


OptTime = GameTime | None | UnsetType


class Participant(Struct, frozen=True, kw_only=True, gc=False):
    """A person (seed, Participant)."""

    id: OptId = UNSET
    fullName: OptText = UNSET  # noqa: N815
    firstName: OptText = UNSET  # noqa: N815
    lastName: OptText = UNSET  # noqa: N815
    HCRId: OptId = UNSET


OptPerson = Participant | None | UnsetType


class LineupMember(Struct, frozen=True, kw_only=True, gc=False):
    """A player or team official; ``participantId`` is the key that the scoresheet uses (seed, LineupMember)."""

    id: OptId = UNSET
    participantId: OptId = UNSET  # noqa: N815
    participant: OptPerson = UNSET
    positions: OptTexts = UNSET
    number: OptShort = UNSET
    isAffiliate: OptBool = UNSET  # noqa: N815
    isOverage: OptBool = UNSET  # noqa: N815
    isCaptain: OptBool = UNSET  # noqa: N815
    isAlternate: OptBool = UNSET  # noqa: N815
    isStarter: OptBool = UNSET  # noqa: N815


class Approval(Struct, frozen=True, kw_only=True, gc=False):
    """A signature: a team's, an official's or a keeper's (seed, Approvals and the example). An image as data URI."""

    participantId: OptId = UNSET  # noqa: N815
    name: OptText = UNSET
    positions: str | list[str] | UnsetType | None = UNSET
    signature: OptText = UNSET
    teamId: OptId = UNSET  # noqa: N815
    timestamp: OptText = UNSET


OptApproval = Approval | None | UnsetType


class Lineup(Struct, frozen=True, kw_only=True):
    """A team's lineup (seed, Lineup); ``members`` is a list, as in the example."""

    teamId: OptId = UNSET  # noqa: N815
    members: list[LineupMember] | UnsetType | None = UNSET
    approval: OptApproval = UNSET


class Official(Struct, frozen=True, kw_only=True, gc=False):
    """A referee or linesman (seed, Official)."""

    id: OptId = UNSET
    participantId: OptId = UNSET  # noqa: N815
    participant: OptPerson = UNSET
    positions: OptTexts = UNSET
    level: OptId = UNSET
    grade: OptId = UNSET
    officeId: OptId = UNSET  # noqa: N815


class Goal(Struct, frozen=True, kw_only=True, gc=False):
    """A goal (seed, Goal; ``gameTime`` in the example only, ``isOwnGoal`` of today's API)."""

    id: OptId = UNSET
    participantId: OptId = UNSET  # noqa: N815
    assistIds: OptIds = UNSET  # noqa: N815
    teamId: OptId = UNSET  # noqa: N815
    gameTime: OptTime = UNSET  # noqa: N815
    isPowerplay: OptBool = UNSET  # noqa: N815
    isShorthanded: OptBool = UNSET  # noqa: N815
    isEmptyNet: OptBool = UNSET  # noqa: N815
    isPenaltyShot: OptBool = UNSET  # noqa: N815
    isOwnGoal: OptBool = UNSET  # noqa: N815
    isEdited: OptBool = UNSET  # noqa: N815


class Penalty(Struct, frozen=True, kw_only=True, gc=False):
    """A penalty (seed, Penalty; ``teamId`` in the example only). ``duration`` null: none is served."""

    id: OptId = UNSET
    participantId: OptId = UNSET  # noqa: N815
    servedById: OptId = UNSET  # noqa: N815
    teamId: OptId = UNSET  # noqa: N815
    infraction: OptText = UNSET
    duration: OptText = UNSET
    gameTime: OptTime = UNSET  # noqa: N815
    startTime: OptTime = UNSET  # noqa: N815
    endTime: OptTime = UNSET  # noqa: N815
    isEnded: OptBool = UNSET  # noqa: N815
    isEdited: OptBool = UNSET  # noqa: N815


class Goalie(Struct, frozen=True, kw_only=True, gc=False):
    """A goalie change; ``onParticipantId`` null: the net is empty (seed, Goalie)."""

    id: OptId = UNSET
    gameTime: OptTime = UNSET  # noqa: N815
    onParticipantId: OptId = UNSET  # noqa: N815
    teamId: OptId = UNSET  # noqa: N815
    isStarter: OptBool = UNSET  # noqa: N815


class Keepers(Struct, frozen=True, kw_only=True, gc=False):
    """Who kept score and time, by name (seed, Scoresheet)."""

    scorekeeper: OptText = UNSET
    timekeeper: OptText = UNSET


class Approvals(Struct, frozen=True, kw_only=True):
    """The signatures at the end (as in the seed's example)."""

    officials: list[Approval] | UnsetType | None = UNSET
    timestamp: OptText = UNSET
    timekeeper: OptApproval = UNSET
    scorekeeper: OptApproval = UNSET


class Settings(Struct, frozen=True, kw_only=True):
    """``periods`` are their lengths (seed, Scoresheet)."""

    periods: list[GameTime] | UnsetType | None = UNSET


class Scoresheet(Struct, frozen=True, kw_only=True):
    """``scoresheet`` (seed, Scoresheet): always the whole state of the game, never a change."""

    lineups: dict[str, Lineup] | UnsetType | None = UNSET
    officials: list[Official] | UnsetType | None = UNSET
    keepers: Keepers | UnsetType | None = UNSET
    goals: list[Goal] | UnsetType | None = UNSET
    penalties: list[Penalty] | UnsetType | None = UNSET
    goalies: list[Goalie] | UnsetType | None = UNSET
    startTime: OptText = UNSET  # noqa: N815
    endTime: OptText = UNSET  # noqa: N815
    gameTime: OptTime = UNSET  # noqa: N815
    notes: OptText = UNSET
    status: OptText = UNSET
    approvals: Approvals | UnsetType | None = UNSET
    settings: Settings | UnsetType | None = UNSET
    forfeit: OptId = UNSET


class Payload(Struct, frozen=True, kw_only=True):
    """What is published under ``data``: ``game`` and ``scoresheet`` of a webhook, at least one of them."""

    game: Game | UnsetType | None = UNSET
    scoresheet: Scoresheet | UnsetType | None = UNSET
