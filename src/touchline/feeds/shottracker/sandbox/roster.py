"""The two teams of the sandbox game: made-up names, fixed ids, and how good everybody is. Pure data from dice."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from touchline.feeds.base import Dice

HOME_ID: Final = 123
"""The team of the documentation's own signed request, ``GET /v1/data/teams/123/events``."""
AWAY_ID: Final = 456
ROSTER_SIZE: Final = 10
POSITIONS: Final = ("PG", "SG", "SF", "PF", "C")

_TEAMS: Final = (
    (HOME_ID, "Harbour Lanterns", "HAR", "#0B3D91", "100123"),
    (AWAY_ID, "Northfield Foxes", "NOR", "#FFFFFF", "100456"),
)
_FIRST: Final = (
    *("Ada", "Bea", "Cleo", "Dora", "Edie", "Faye", "Greta", "Hana", "Iris", "Juno", "Kaia", "Lena", "Mira", "Nora"),
    *("Opal", "Pia", "Quinn", "Rhea", "Sana", "Tess", "Una", "Vera", "Wren", "Yara", "Zoe"),
)
_LAST: Final = (
    *("Alderwick", "Brightmoor", "Calloway", "Dunmere", "Elsworthy", "Fennimore", "Garrowby", "Hollister", "Inkpen"),
    *("Jessamy", "Kestrelman", "Larkspur", "Marrowgate", "Netherby", "Oakhollow", "Penhaligan", "Quillfeather"),
    *("Ravensdale", "Silverthorn", "Thistlewood", "Underhay", "Vantongeren", "Wetherell", "Yarrowden", "Zellingham"),
)
_NUMBERS: Final = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25, 30, 31, 32, 33, 34, 35)


class Player(msgspec.Struct, frozen=True):
    """A made-up player. The skills are factors around 1."""

    id: int
    team_id: int
    first_name: str
    last_name: str
    number: int
    position: str
    shooting: float
    hands: float

    @property
    def name(self) -> str:
        """As play-by-play texts write it."""
        return f"{self.first_name[0]}. {self.last_name}"


class Team(msgspec.Struct, frozen=True):
    """A made-up team; the first five players start."""

    id: int
    name: str
    short_name: str
    colour: str
    reference_id: str
    players: tuple[Player, ...]


def make_teams(dice: Dice) -> tuple[Team, Team]:
    """The home and the away team; ids are the same for all dice."""
    first, last = list(_FIRST), list(_LAST)
    dice.shuffle(first)
    dice.shuffle(last)
    teams = []
    for side, (team_id, name, short_name, colour, reference_id) in enumerate(_TEAMS):
        numbers = list(_NUMBERS)
        dice.shuffle(numbers)
        players = tuple(
            Player(
                id=team_id * 100 + number + 1,
                team_id=team_id,
                first_name=first[side * ROSTER_SIZE + number],
                last_name=last[side * ROSTER_SIZE + number],
                number=numbers[number],
                position=POSITIONS[number % 5],
                shooting=round(dice.uniform(0.85, 1.15), 3),
                hands=round(dice.uniform(0.8, 1.2), 3),
            )
            for number in range(ROSTER_SIZE)
        )
        teams.append(Team(team_id, name, short_name, colour, reference_id, players))
    return teams[0], teams[1]


def team_document(team: Team) -> dict[str, Any]:
    """The data of ``shottracker.team``: a team with its roster (sheet §2.9)."""
    return {
        "id": team.id,
        "name": team.name,
        "short_name": team.short_name,
        "gender": "WOMEN",
        "conference_name": "Sandbox",
        "league_name": "Sandbox League",
        "sport": "BASKETBALL",
        "reference_id": team.reference_id,
        "players": [
            {
                "id": player.id,
                "first_name": player.first_name,
                "last_name": player.last_name,
                "jersey_number": player.number,
                "jersey_number_str": str(player.number),
                "position": player.position,
                "display_name": player.name,
                "is_active": True,
                "special_services": [],
                "reference_id": f"{team.reference_id}{number + 1:02d}",
                "is_starter": number < len(POSITIONS),
                "is_scout": False,
            }
            for number, player in enumerate(team.players)
        ],
    }


def game_document(
    event_id: str, home: Team, away: Team, tipoff_at: int, results: list[dict[str, Any]]
) -> dict[str, Any]:
    """The data of ``shottracker.game``: a ``games[]`` row with the sessions so far (sheet §2.1, §2.4)."""
    return {
        "event_id": event_id,
        "name": f"{away.name} at {home.name}",
        "facility_name": "Touchline Sandbox",
        "court_name": "main court",
        "location_id": f"{FACILITY_ID}@{COURT_ID}",
        "tournament": None,
        "tipoff_at": tipoff_at,
        "gender": "WOMEN",
        "status": "ACTIVE",
        "type": "BASKETBALL",
        "game_type": "QUARTER",
        "home_team_id": home.id,
        "home_team_name": home.name,
        "home_team_reference_id": home.reference_id,
        "away_team_id": away.id,
        "away_team_name": away.name,
        "away_team_reference_id": away.reference_id,
        "officials_team_id": 0,
        "reference_id": "900123456",
        "fan_engagement_enabled": False,
        "source": "SHOTTRACKER",
        "results": results,
    }


FACILITY_ID: Final = "5a4db0c0-0000-11f0-8000-000000000001"
COURT_ID: Final = "5a4db0c0-0000-11f0-8000-000000000002"
BALL_ID: Final = 90_001
