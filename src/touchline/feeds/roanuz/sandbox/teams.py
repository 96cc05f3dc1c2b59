"""Who plays a sandbox match: two made-up clubs of eleven, and the documents that name them."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from touchline.feeds.base import Dice

_FIRST: Final = (
    "Amir",
    "Ben",
    "Callum",
    "Dev",
    "Eli",
    "Farid",
    "Gus",
    "Hamza",
    "Ishan",
    "Jonty",
    "Kit",
    "Luke",
    "Milo",
)
_LAST: Final = (
    "Abbott", "Baig", "Chandra", "Dorset", "Ellery", "Fonseka", "Gill", "Hart", "Irfan", "Joshi", "Khan",
    "Lomax", "Mishra", "Nair", "Okoro", "Perera", "Quill", "Rao", "Silva", "Tait", "Usman", "Varma",
)  # fmt: skip
_CLUBS: Final = (("HBR", "Harbour Lights"), ("HLL", "Hill Rangers"), ("RVR", "River Kings"), ("DST", "Dust Devils"))

ELEVEN: Final = 11
BOWLERS: Final = 5


class Player(Struct, frozen=True):
    """A player; ``key`` as balls name it."""

    key: str
    name: str


class Team(Struct, frozen=True):
    """A side: ``letter`` is ``a`` or ``b``; the first bat first, the last ``BOWLERS`` bowl, the seventh keeps."""

    letter: str
    code: str
    name: str
    players: tuple[Player, ...]

    @property
    def keeper(self) -> Player:
        """Behind the stumps."""
        return self.players[ELEVEN - BOWLERS]

    @property
    def bowlers(self) -> tuple[Player, ...]:
        """Who bowls."""
        return self.players[-BOWLERS:]


def make_teams(dice: Dice) -> tuple[Team, Team]:
    """Two different clubs; no name appears twice."""
    clubs, last = list(_CLUBS), list(_LAST)
    dice.shuffle(clubs)
    dice.shuffle(last)
    made = []
    for letter, (code, name) in zip("ab", clubs, strict=False):
        players = []
        for _ in range(ELEVEN):
            family = last.pop()
            players.append(Player(f"c__player__{family.lower()}", f"{dice.choice(_FIRST)} {family}"))
        made.append(Team(letter, code, name, tuple(players)))
    return made[0], made[1]


def match_document(key: str, teams: tuple[Team, Team], overs: int, start_at: int) -> dict[str, Any]:
    """The match as it is announced, before anybody has come (sheet §2.5)."""
    one, two = teams
    return {
        "key": key,
        "name": f"{one.name} vs {two.name}",
        "short_name": f"{one.code} vs {two.code}",
        "sub_title": "Sandbox match",
        "title": f"{one.name} vs {two.name} - Sandbox match - Touchline T20",
        "status": "not_started",
        "play_status": "scheduled",
        "start_at": float(start_at),
        "expected_start_at": float(start_at),
        "format": "t20",
        "gender": "male",
        "sport": "cricket",
        "metric_group": "MG100",
        "winner": None,
        "messages": [],
        "tournament": {"key": "touchline_t20", "name": "Touchline T20", "short_name": "TT20"},
        "venue": {"key": "touchline-oval", "name": "Touchline Oval", "city": "Sandbox", "geolocation": None},
        "teams": {each.letter: {"key": each.code.lower(), "code": each.code, "name": each.name} for each in teams},
        "toss": None,
        "play": {"overs_per_innings": [overs, 0], "reduced_overs": None, "target": None, "result": None},
    }


def squad_document(teams: tuple[Team, Team]) -> dict[str, Any]:
    """What the squads add to it."""
    return {
        "squad": {
            team.letter: {
                "player_keys": [player.key for player in team.players],
                "captain": team.players[0].key,
                "keeper": team.keeper.key,
                "playing_xi": [player.key for player in team.players],
                "replacements": [],
            }
            for team in teams
        },
        "players": {
            player.key: {"player": {"key": player.key, "name": player.name, "gender": "male"}}
            for team in teams
            for player in team.players
        },
    }
