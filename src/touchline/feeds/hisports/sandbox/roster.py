"""Who plays in the sandbox: two invented clubs, their players and coaches, officials, and signatures that are pictures.

Every name is made up and meant to look it.
"""

from __future__ import annotations

import binascii
import struct
import zlib
from typing import Any, Final

import msgspec

from touchline.feeds.base import Dice

OFFICE_ID: Final = 900
SCHEDULE_ID: Final = 910
ARENA_ID: Final = 920
SEASON: Final = "2026-27"

_CLUBS: Final = (
    (9001, "Quillmere Walruses - SANDBOX", "WALRUSES", 901),
    (9002, "Sablewick Teapots - SANDBOX", "TEAPOTS", 902),
)
_FIRST: Final = (
    *("Alder", "Bramble", "Clover", "Dapple", "Ember", "Fennel", "Gusty", "Hazel"),
    *("Iggy", "Juniper", "Kestrel", "Lumen", "Marlow", "Nettle", "Olwin", "Pippin"),
    *("Quince", "Rowan", "Sorrel", "Tansy", "Umber", "Vesper", "Willow", "Yarrow"),
    *("Zephyr",),
)
_LAST: Final = (
    *(
        "Backcheckington",
        "Bluelineworth",
        "Creaseford",
        "Dekewell",
        "Fivehole",
        "Forecheckley",
        "Frostpuck",
        "Glovesave",
    ),
    *("Hatrickson", "Icingham", "Jerseytuck", "Linechange", "Mittsworth", "Netminder", "Offsidewick", "Padstack"),
    *("Puckering", "Rimshotley", "Sinbinski", "Slapworth", "Snowshower", "Stickhandleby", "Topcornerly", "Wristshotov"),
    *("Zambonsky",),
)
_POSITIONS: Final = (*["G"] * 2, *["D"] * 6, *["F"] * 10)


class Player(msgspec.Struct, frozen=True):
    """A member of a lineup, team officials too (``number`` None)."""

    member_id: int
    participant_id: int
    first: str
    last: str
    position: str
    number: int | None

    def participant(self) -> dict[str, Any]:
        """``participant`` of the provider's bodies."""
        return {
            "id": self.participant_id,
            "HCRId": f"14{self.participant_id:011d}",
            "fullName": f"{self.first} {self.last}".upper(),
            "lastName": self.last.upper(),
            "firstName": self.first.upper(),
        }


class Team(msgspec.Struct, frozen=True):
    """A team; the first player is the starting goalie, the second the other one."""

    id: int
    name: str
    short_name: str
    office_id: int
    players: tuple[Player, ...]
    coach: Player

    @property
    def goalies(self) -> tuple[Player, ...]:
        """Both."""
        return self.players[:2]

    @property
    def skaters(self) -> tuple[Player, ...]:
        """Everybody else who plays."""
        return self.players[2:]

    def document(self) -> dict[str, Any]:
        """``homeTeam`` or ``awayTeam`` (seed, Team)."""
        return {
            "HCRId": str(2_000_000 + self.id),
            "name": self.name,
            "shortName": self.short_name,
            "division": "Midget",
            "gender": "CoEd",
            "category": "AAA",
            "seasonId": SEASON,
            "id": self.id,
            "logoId": self.id,
            "officeId": self.office_id,
            "logo": {"id": self.id, "url": f"https://logos.example.invalid/{self.id}.png"},
        }

    def lineup(self) -> dict[str, Any]:
        """The team's lineup, not approved yet (seed, Lineup)."""
        starter = self.goalies[0]
        members = []
        for place, player in enumerate((*self.players, self.coach)):
            member: dict[str, Any] = {
                "id": player.member_id,
                "number": player.number,
                "isCaptain": place == 2,
                "isOverage": False,
                "positions": [player.position],
                "isAffiliate": place == len(self.players) - 1,
                "isAlternate": place in (3, 8),
                "participant": player.participant(),
                "participantId": player.participant_id,
            }
            if player is starter:
                member["isStarter"] = True
            members.append(member)
        return {"teamId": self.id, "members": members, "approval": None}


def make_teams(dice: Dice) -> tuple[Team, Team]:
    """Home and away."""
    names = [(first, last) for first in _FIRST for last in _LAST]
    dice.shuffle(names)
    teams = []
    for club, (team_id, name, short_name, office_id) in enumerate(_CLUBS):
        numbers = list(range(2, 99))
        dice.shuffle(numbers)
        base = club * 100
        players = tuple(
            Player(50_000 + base + place, 70_000 + base + place, *names[base + place], position, numbers[place])
            for place, position in enumerate(_POSITIONS)
        )
        place = len(_POSITIONS)
        coach = Player(50_000 + base + place, 70_000 + base + place, *names[base + place], "Head Coach", None)
        teams.append(Team(team_id, name, short_name, office_id, players, coach))
    return teams[0], teams[1]


def make_officials(dice: Dice) -> list[dict[str, Any]]:
    """Two referees and two linesmen (seed, Official)."""
    found = []
    for place, position in enumerate(("Referee", "Referee", "Linesman", "Linesman")):
        person = Player(60_000 + place, 80_000 + place, dice.choice(_FIRST), dice.choice(_LAST), position, None)
        found.append(
            {
                "id": person.member_id,
                "grade": None,
                "level": "IV",
                "officeId": OFFICE_ID,
                "positions": [position],
                "participant": person.participant(),
                "participantId": person.participant_id,
            }
        )
    return found


def signature(dice: Dice) -> str:
    """A scrawl: an 8 × 8 picture in black and white, as a data URI."""
    rows = b"".join(bytes((0, dice.randint(0, 255))) for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return "data:image/png;base64," + binascii.b2a_base64(png, newline=False).decode()
