"""Says what happens in the provider's words: builds the ``data`` of every message and queues it as ``Timed``.

Knows the shapes of sheet §2.6, §2.7 and §4 and the game clock that most of them carry; knows nothing about why
something happens. Bodies that the provider does not document are the sheet's OUR CHOICE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from touchline.feeds.base import Timed
from touchline.feeds.shottracker.sandbox import court
from touchline.feeds.shottracker.sandbox.boxscore import Line
from touchline.feeds.shottracker.sandbox.roster import COURT_ID, FACILITY_ID

TICK_NS: Final = 100_000_000
"""A tenth of a second: the step of the whole simulation, 10 Hz as the provider's sensors have it."""
SHOT_CLOCK_TENTHS: Final = 300

_BASE: Final = ("FGA", "FTA", "REB", "TO", "AST", "STL", "BLK", "FL")
"""``baseStats`` of a play-by-play row; ``actualStats`` is the most special one (the sample has TO and LBTO)."""
_ACTUAL: Final = ("FG2", "FG3", "FGA2", "FGA3", "FT", "FTA", "OFFENSIVE_REB", "DEFENSIVE_REB", "LBTO", *_BASE[3:])

Data = dict[str, Any]


class GameClock:
    """Game and shot clock in tenths of a second, counting down while it runs."""

    def __init__(self) -> None:
        self.period = ""
        self.game = 0
        self.shot = 0
        self.running = False

    def expired(self) -> bool:
        """Whether the period is over."""
        return self.game <= 0

    def reset(self, period: str, tenths: int) -> None:
        """Set it for a new period, standing."""
        self.period, self.game, self.shot, self.running = period, tenths, min(SHOT_CLOCK_TENTHS, tenths), False

    def reset_shot(self, tenths: int = SHOT_CLOCK_TENTHS) -> None:
        """A new possession, or 20 seconds after an offensive rebound."""
        self.shot = min(tenths, self.game)

    def start(self) -> None:
        """Let it run, unless the period is over."""
        self.running = not self.expired()

    def stop(self) -> None:
        """Whistle."""
        self.running = False

    def step(self) -> None:
        """A tenth of a second passes."""
        if self.running:
            self.game -= 1
            self.shot = max(0, min(self.shot - 1, self.game))
            self.running = not self.expired()

    @property
    def game_text(self) -> str:
        """As in ``"12:30.0"``."""
        return f"{self.game // 600}:{self.game // 10 % 60:02d}.{self.game % 10}"

    @property
    def shot_text(self) -> str:
        """As in ``"10.0"``."""
        return f"{self.shot // 10}.{self.shot % 10}"


class Instance(msgspec.Struct, frozen=True):
    """When and where something happened, kept for a correction of it later."""

    occurred_at: int
    period: str
    session_id: str
    game_clock: str
    shot_clock: str
    end: int
    x: int
    y: int


class Announcer:
    """The queue of messages. ``tick`` counts tenths of a second since the sandbox began."""

    def __init__(self, event_id: str, start_ns: int, clock: GameClock, tick: int = 0) -> None:
        self.event_id = event_id
        self.clock = clock
        self.tick = tick
        self.session_id = ""
        self._start_ns = start_ns
        self._queue: list[Timed] = []

    @property
    def now_ms(self) -> int:
        """The time of this tick in epoch milliseconds."""
        return (self._start_ns + self.tick * TICK_NS) // 1_000_000

    def drain(self) -> list[Timed]:
        """What was said since the last call."""
        queue, self._queue = self._queue, []
        return queue

    def say(self, source: str, data: Data | Line, subject: str | None = None) -> None:
        """Queue a message for now."""
        kind = f"shottracker.{source}"
        self._queue.append(Timed(self.tick * TICK_NS, kind, subject or self.event_id, msgspec.json.encode(data)))

    def instance(self, end: int, x: float, y: float) -> Instance:
        """This moment, at that place, while attacking the hoop of that end."""
        clock = self.clock
        return Instance(
            self.now_ms, clock.period, self.session_id, clock.game_text, clock.shot_text, end, round(x), round(y)
        )

    def marker(self, kind: str, **members: object) -> None:
        """A change of the game's state (§4.4)."""
        data: Data = {"occurred_at": self.now_ms, "type": kind}
        if self.session_id:
            data |= {"session_id": self.session_id, "period": self.clock.period}
        self.say("marker", data | members)

    def clock_now(self) -> None:
        """Both clocks (§4.4)."""
        clock = self.clock
        self.say(
            "clock",
            {
                "occurred_at": self.now_ms,
                "period": clock.period,
                "game_clock": clock.game_text,
                "shot_clock": clock.shot_text,
                "running": clock.running,
            },
        )

    def location(self, kind: str, thing: int, place: tuple[int, int, int], moved_mm: float) -> None:
        """Where a player or the ball is; ``moved_mm`` since its previous sample a tenth of a second ago (§4.3)."""
        x, y, z = place
        self.say(
            "location",
            {
                "occurred_at": self.now_ms,
                "type": kind,
                "id": thing,
                "x": x,
                "y": y,
                "z": z,
                "speed": round(moved_mm / 100.0, 2),
                "dist": round(moved_mm / 10.0, 1),
            },
        )

    def shot(
        self, when: Instance, team_id: int, player_id: int, *, is_make: bool, status: str, extras: Mapping[str, Any]
    ) -> None:
        """A shot from the field (§4.2) with the long keys of §2.7."""
        u, v = court.relative(when.end, when.x, when.y)
        hoop_x, hoop_y = court.hoop(when.end)
        self.say(
            "shot",
            {
                "occurred_at": when.occurred_at,
                "team_id": team_id,
                "player_id": player_id,
                "is_make": is_make,
                "is_3point": court.is_three(u, v),
                "zone": court.zone(u, v),
                "hoop_player_x": u,
                "hoop_player_y": v,
                "status": status,
                "advanced_zone": court.advanced_zone(u, v),
                "player_x": when.x,
                "player_y": when.y,
                "player_z": 0,
                "hoop_x": hoop_x,
                "hoop_y": hoop_y,
                "hoop_z": court.HOOP_Z,
                "session_id": when.session_id,
                "game_clock": when.game_clock,
                "shot_clock": when.shot_clock,
                "period": when.period,
                **extras,
            },
        )

    def row(
        self,
        when: Instance,
        team_id: int,
        player_id: int,
        stats: Mapping[str, int],
        classification: str,
        description: str,
        *,
        corrected: bool = False,
    ) -> None:
        """A line of the play-by-play (§2.6 ``details``); ``stats`` are what this happening alone adds."""
        u, v = court.relative(when.end, when.x, when.y)
        self.say(
            "playbyplay",
            {
                "type": "ACTUAL",
                "eventId": self.event_id,
                "timestamp": when.occurred_at,
                "teamId": str(team_id),
                "sessionType": "GAME_ROUND",
                "sessionId": when.session_id,
                "practiceId": None,
                "practiceDefinitionId": None,
                "drillDefinitionId": None,
                "gameId": self.event_id,
                "stats": dict(stats),
                "corrected": corrected,
                "facilityId": FACILITY_ID,
                "courtId": COURT_ID,
                "gameClock": when.game_clock,
                "shotClock": when.shot_clock,
                "period": when.period,
                "playerX": when.x,
                "playerY": when.y,
                "playerZ": 0,
                "hoopToEventX": u,
                "hoopToEventY": v,
                "clipId": None,
                "classification": classification,
                "description": description,
                "videoAttributes": {
                    "facilityId": FACILITY_ID,
                    "courtId": COURT_ID,
                    "sessionId": when.session_id,
                },
                "baseStats": next((stat for stat in _BASE if stat in stats), ""),
                "actualStats": next((stat for stat in _ACTUAL if stat in stats), ""),
                "key": {"actorId": str(player_id), "timestamp": when.occurred_at},
                "act": "PLAYER",
                "pid": str(player_id),
            },
        )

    def lineup(self, team_id: int, players: Sequence[int], coming: Sequence[int], going: Sequence[int]) -> None:
        """Who of a team is on the court from now on."""
        self.say(
            "lineup",
            {
                "occurred_at": self.now_ms,
                "team_id": team_id,
                "player_ids": list(players),
                "players_in": list(coming),
                "players_out": list(going),
                "session_id": self.session_id,
                "period": self.clock.period,
                "game_clock": self.clock.game_text,
            },
        )
