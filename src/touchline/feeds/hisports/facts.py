"""What grants are compared with: the office, the schedule and the teams of a game."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from touchline.feeds.base import Grants
from touchline.feeds.hisports.messages import OptId, id_text

OFFICE: Final = "office_id"
SCHEDULE: Final = "schedule_id"
TEAM: Final = "team_id"
GRANT_KEYS: Final = frozenset({OFFICE, SCHEDULE, TEAM})


class _Named(Struct, frozen=True):
    id: OptId = UNSET


class _Game(Struct, frozen=True, kw_only=True):
    officeId: OptId = UNSET  # noqa: N815 - the provider's spelling
    scheduleId: OptId = UNSET  # noqa: N815
    homeTeamId: OptId = UNSET  # noqa: N815
    awayTeamId: OptId = UNSET  # noqa: N815
    homeTeam: _Named | UnsetType | None = UNSET  # noqa: N815
    awayTeam: _Named | UnsetType | None = UNSET  # noqa: N815


class Facts(Struct, frozen=True):
    """A game's ids as text, '' where it has none."""

    office: str
    schedule: str
    teams: frozenset[str]


_GAME: Final = msgspec.json.Decoder(_Game)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])


def is_reference(game: bytes | Raw) -> bool:
    """Whether a game has nothing but its id: it then says which game is meant, and nothing about it."""
    return len(game) < 256 and _MEMBERS.decode(game).keys() <= {"id"}


def facts_of(game: bytes | Raw) -> Facts:
    """The facts of a game's JSON text. Raises msgspec.MsgspecError for what publishing would not have taken."""
    read = _GAME.decode(game)
    sides = ((read.homeTeamId, read.homeTeam), (read.awayTeamId, read.awayTeam))
    named = {id_text(own) or (id_text(team.id) if isinstance(team, _Named) else "") for own, team in sides}
    return Facts(id_text(read.officeId), id_text(read.scheduleId), frozenset(named - {""}))


def may_see(grants: Grants, facts: Facts | None) -> bool:
    """Whether grants open a game; of one that nothing is known of only a partner without grants receives anything."""
    if not any(grants.values()):
        return True
    if facts is None or not grants.keys() <= GRANT_KEYS:
        return False
    offices, schedules, teams = (grants.get(key) for key in (OFFICE, SCHEDULE, TEAM))
    return (
        (not offices or facts.office in offices)
        and (not schedules or facts.schedule in schedules)
        and (not teams or bool(teams & facts.teams))
    )
