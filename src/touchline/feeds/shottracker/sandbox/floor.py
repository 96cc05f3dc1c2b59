"""Who is on the floor and where they want to be: ten runners, the ball, formations and man-to-man defence."""

from __future__ import annotations

import math
from typing import Final

from touchline.feeds.base import Dice
from touchline.feeds.shottracker.sandbox import court
from touchline.feeds.shottracker.sandbox.announcer import Announcer
from touchline.feeds.shottracker.sandbox.motion import Ball, Runner
from touchline.feeds.shottracker.sandbox.roster import BALL_ID, Player, Team

FORMATION: Final = ((0.0, 7_900.0), (-5_700.0, 5_000.0), (5_700.0, 5_000.0), (-6_900.0, 600.0), (2_100.0, 2_600.0))
"""(u, v) of the five attackers, by their place in the line-up."""
LANE: Final = ((-2_700.0, 900.0), (2_700.0, 900.0), (-2_700.0, 2_000.0), (2_700.0, 2_000.0), (-2_700.0, 3_100.0))
_BENCH_X: Final = -7_300.0
_GUARD_MM: Final = 1_250.0


class Slot:
    """One of five places of a team on the floor; a substitution changes the player, and the runner goes on."""

    def __init__(self, player: Player, runner: Runner, number: int) -> None:
        self.player = player
        self.runner = runner
        self.number = number
        self.since = 0
        self.busy = False
        self.next_cut = 0


class Floor:
    """Everybody on the floor. ``end`` of a team is where it attacks, and changes sides after the second quarter."""

    def __init__(self, dice: Dice, announcer: Announcer, home: Team, away: Team) -> None:
        self.dice = dice
        self.announcer = announcer
        self.teams = {home.id: home, away.id: away}
        self.ends = {home.id: 1, away.id: -1}
        self.ball = Ball()
        self.attacking: int | None = None
        self.covered: dict[int, float] = {}
        self._last: dict[int, tuple[int, int, int]] = {}
        self.slots: dict[int, list[Slot]] = {}
        for team in (home, away):
            side = -self.ends[team.id]
            self.slots[team.id] = [
                Slot(player, Runner(dice.uniform(-4_000, 4_000), side * (1_500.0 + 1_300.0 * number)), number)
                for number, player in enumerate(team.players[:5])
            ]

    def other(self, team_id: int) -> int:
        """The other team."""
        return next(team for team in self.teams if team != team_id)

    def player_ids(self, team_id: int) -> list[int]:
        """Who of a team is on the floor."""
        return [slot.player.id for slot in self.slots[team_id]]

    def everybody(self) -> list[Slot]:
        """All ten."""
        return [slot for five in self.slots.values() for slot in five]

    def change_ends(self) -> None:
        """Half-time."""
        self.ends = {team: -end for team, end in self.ends.items()}

    def place(self, team_id: int, u: float, v: float) -> tuple[float, float]:
        """(x, y) of a place relative to the hoop that the team attacks."""
        return court.place(self.ends[team_id], u, v)

    def relative(self, team_id: int, slot: Slot) -> tuple[float, float]:
        """Where a player stands relative to the hoop that the team attacks."""
        return court.relative(self.ends[team_id], round(slot.runner.x), round(slot.runner.y))

    def attack(self, team_id: int) -> None:
        """This team attacks from now on: its players run their spots, the others guard them."""
        self.attacking = team_id
        for slot in self.everybody():
            slot.busy, slot.next_cut = False, 0

    def stand(self) -> None:
        """Dead ball: everybody walks where they are told."""
        self.attacking = None
        for slot in self.everybody():
            slot.busy = False
            slot.runner.go(slot.runner.x, slot.runner.y, 2_500.0)

    def line_up(self, shooter_team: int, shooter: Slot) -> None:
        """Free throws: the shooter at the line, three and two along the lane, the rest behind."""
        self.stand()
        shooter.runner.go(*self.place(shooter_team, 0.0, court.FREE_THROW_V), 4_000.0)
        places = iter(LANE)
        for slot in [*self.slots[self.other(shooter_team)][2:], *self.slots[shooter_team][3:]]:
            if slot is not shooter:
                slot.runner.go(*self.place(shooter_team, *next(places)), 4_000.0)
        for slot in self.everybody():
            if slot is not shooter and slot.runner.away() < 10.0:
                slot.runner.go(*self.place(shooter_team, self.dice.uniform(-4_000, 4_000), 8_500.0), 3_500.0)

    def to_bench(self, team_id: int, slot: Slot) -> None:
        """Walk to the own bench."""
        slot.busy = True
        slot.runner.go(_BENCH_X, -self.ends[team_id] * 3_000.0, 5_500.0)

    def guard(self, team_id: int, slot: Slot) -> Slot:
        """The opponent who guards an attacker."""
        return self.slots[self.other(team_id)][slot.number]

    def nearest(self, team_id: int, x: float, y: float) -> list[Slot]:
        """A team's players, the nearest to a place first."""
        return sorted(self.slots[team_id], key=lambda slot: math.hypot(slot.runner.x - x, slot.runner.y - y))

    def step(self) -> None:
        """A tenth of a second passes."""
        if self.attacking is not None:
            self._steer(self.attacking)
        for slot in self.everybody():
            slot.runner.step()
        self.ball.step()

    def _steer(self, team_id: int) -> None:
        hoop_x, hoop_y = court.hoop(self.ends[team_id])
        for slot in self.slots[team_id]:
            if not slot.busy and slot.next_cut <= self.announcer.tick:
                u, v = FORMATION[slot.number]
                u, v = u + self.dice.gauss(0, 900), max(200.0, v + self.dice.gauss(0, 900))
                far = abs(self.relative(team_id, slot)[1] - v) > 6_000.0
                slot.runner.go(*self.place(team_id, u, v), 6_300.0 if far else self.dice.uniform(2_000, 4_500))
                slot.next_cut = self.announcer.tick + self.dice.randint(12, 35)
        for slot, man in zip(self.slots[self.other(team_id)], self.slots[team_id], strict=True):
            if not slot.busy:
                dx, dy = hoop_x - man.runner.x, hoop_y - man.runner.y
                far_mm = math.hypot(dx, dy) or 1.0
                near = min(_GUARD_MM, far_mm / 2) / far_mm
                slot.runner.go(man.runner.x + dx * near, man.runner.y + dy * near, 6_800.0)

    def announce(self) -> None:
        """Say where everybody and the ball are."""
        for slot in self.everybody():
            self._announce("PLAYER", slot.player.id, (round(slot.runner.x), round(slot.runner.y), 60 + slot.number * 3))
        ball = self.ball
        self._announce("BALL", BALL_ID, (round(ball.x), round(ball.y), round(ball.z)))

    def _announce(self, kind: str, thing: int, place: tuple[int, int, int]) -> None:
        moved = math.dist(self._last.get(thing, place), place)
        self._last[thing] = place
        self.covered[thing] = self.covered.get(thing, 0.0) + moved
        self.announcer.location(kind, thing, place, moved)

    def replace(self, slot: Slot, player: Player) -> None:
        """A substitute comes on where the other went off."""
        self._last.pop(slot.player.id, None)
        slot.player, slot.since, slot.busy = player, self.announcer.tick, False
        self._last.pop(player.id, None)
