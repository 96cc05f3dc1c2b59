"""One possession, as a script: every ``yield`` is a tenth of a second that passes on the floor.

Decides who passes, shoots, loses or rebounds the ball; the table books it. A script returns who has the ball next.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar

import msgspec

from touchline.feeds.base import Dice
from touchline.feeds.shottracker.sandbox import court
from touchline.feeds.shottracker.sandbox.announcer import Announcer, GameClock, Instance
from touchline.feeds.shottracker.sandbox.floor import Floor, Slot
from touchline.feeds.shottracker.sandbox.motion import shot_arc
from touchline.feeds.shottracker.sandbox.table import TEAM_FOULS_BONUS, Table

Result = TypeVar("Result")
Script = Generator[None, None, Result]

OFFENSIVE_SHOT_CLOCK: Final = 200
TURNOVER_RISK: Final = 0.07
FOUL_RISK: Final = 0.04
"""At every pass."""


class Start(enum.Enum):
    """How a team gets the ball."""

    BASELINE = "baseline"
    """after a basket; the clock runs on"""
    SIDE = "side"
    """after a whistle; the clock stands until somebody touches the ball"""
    LIVE = "live"
    """a rebound, a steal, the tip-off: somebody has it already"""


class Next(msgspec.Struct, frozen=True):
    """Who has the ball next, and how; ``holder`` when somebody has it already."""

    team_id: int
    start: Start
    holder: Slot | None = None


class Play:
    """The script's hands and eyes. ``dead_ball`` comes at a whistle and may substitute anybody but the slot given."""

    def __init__(
        self,
        dice: Dice,
        announcer: Announcer,
        clock: GameClock,
        floor: Floor,
        table: Table,
        dead_ball: Callable[[Slot | None], Script[None]],
    ) -> None:
        self.dice = dice
        self.announcer = announcer
        self.clock = clock
        self.floor = floor
        self.table = table
        self.dead_ball = dead_ball
        self.passer: Slot | None = None

    def possession(self, given: Next) -> Script[Next]:
        """A team's time with the ball, until the other has it or the period is over."""
        team_id = given.team_id
        self.table.begin_possession(team_id)
        self.clock.reset_shot()
        while given.team_id == team_id and not self.clock.expired():
            given = yield from self._attack(given)
        self.table.end_possession()
        return given

    # time

    def wait(self, ticks: int) -> Script[None]:
        """Let so many tenths pass, or fewer when the period ends meanwhile."""
        for _ in range(ticks):
            if self.clock.running and self.clock.game <= 1:
                yield
                return
            yield

    def pause(self, ticks: int) -> Script[None]:
        """Let so many tenths pass, whatever the clock says."""
        for _ in range(ticks):
            yield

    def _now(self, team_id: int, slot: Slot) -> Instance:
        return self.announcer.instance(self.floor.ends[team_id], slot.runner.x, slot.runner.y)

    # getting the ball up the floor

    def _attack(self, given: Next) -> Script[Next]:
        team_id = given.team_id
        if given.holder is None:
            handler = yield from self._inbound(team_id, given.start)
        else:
            handler = given.holder
        self.floor.attack(team_id)
        self.clock.start()
        self.passer = None
        handler.busy = True
        for _ in range(85):
            u, v = self.floor.relative(team_id, handler)
            if v < 9_500 or self.clock.expired():
                break
            handler.runner.go(*self.floor.place(team_id, u * 0.5, 8_000.0), 6_000.0)
            yield
        return (yield from self._work(team_id, handler, hurry=given.start is Start.LIVE))

    def _inbound(self, team_id: int, start: Start) -> Script[Slot]:
        floor, dice = self.floor, self.dice
        five = floor.slots[team_id]
        receiver, thrower = five[0], five[dice.randint(3, 4)]
        if start is Start.SIDE:
            self.clock.stop()
            floor.stand()
            yield from self.dead_ball(None)
            spot = floor.place(team_id, dice.choice((-7_400.0, 7_400.0)), dice.uniform(5_000, 16_000))
        else:
            spot = floor.place(team_id, dice.uniform(1_500, 3_000), 2 * court.HOOP_Y + 1_400.0)
        floor.attack(team_id)
        thrower.busy = receiver.busy = True
        thrower.runner.go(*spot, 6_000.0)
        floor.ball.throw_to(thrower.runner)
        for _ in range(60):
            u, v = floor.relative(team_id, thrower)
            receiver.runner.go(*floor.place(team_id, u * 0.4, v - 3_500.0), 5_000.0)
            if thrower.runner.away() < 400.0 and not floor.ball.is_flying():
                break
            yield
        ticks = floor.ball.throw_to(receiver.runner)
        yield from self.pause(ticks)
        if not self.clock.running:
            self.clock.reset_shot(max(self.clock.shot, OFFENSIVE_SHOT_CLOCK))
            self.clock.start()
        return receiver

    # working for a shot

    def _work(self, team_id: int, handler: Slot, *, hurry: bool) -> Script[Next]:
        dice, clock, floor = self.dice, self.clock, self.floor
        for _ in range(dice.randint(0, 2) if hurry else dice.choices((1, 2, 3, 4, 5), (2, 4, 4, 3, 2))[0]):
            yield from self.wait(dice.randint(7, 24))
            if clock.expired() or clock.shot < 70:
                break
            luck = dice.random()
            losing = TURNOVER_RISK * (2 - handler.player.hands)
            if luck < losing:
                return (yield from self._lose(team_id, handler, None))
            if luck < losing + FOUL_RISK:
                return (yield from self._common_foul(team_id, handler))
            mates = [slot for slot in floor.slots[team_id] if slot is not handler]
            receiver: Slot = dice.choice(mates)
            handler.busy, self.passer = False, handler
            receiver.busy = True
            receiver.runner.go(receiver.runner.x, receiver.runner.y, 3_000.0)
            yield from self.wait(floor.ball.throw_to(receiver.runner))
            handler = receiver
        if clock.expired():
            return Next(floor.other(team_id), Start.SIDE)
        return (yield from self._shoot(team_id, handler))

    def _lose(self, team_id: int, loser: Slot, words: str | None) -> Script[Next]:
        """A turnover, stolen or by a whistle."""
        floor, dice = self.floor, self.dice
        other = floor.other(team_id)
        when = self._now(team_id, loser)
        if words is None and dice.random() < 0.55:
            thief = floor.guard(team_id, loser)
            self.table.turnover(when, loser.player, thief.player, "ball stolen")
            yield from self.pause(floor.ball.throw_to(thief.runner))
            return Next(other, Start.LIVE, thief)
        self.clock.stop()
        self.table.turnover(when, loser.player, None, words or dice.choice(("bad pass", "travelling", "out of bounds")))
        floor.ball.rest()
        yield from self.pause(10)
        return Next(other, Start.SIDE)

    def _fouler(self, team_id: int, victim: Slot) -> Slot | None:
        five = [slot for slot in self.floor.slots[self.floor.other(team_id)] if not self.table.fouled_out(slot.player)]
        guard = self.floor.guard(team_id, victim)
        return guard if guard in five else next(iter(five), None)

    def _common_foul(self, team_id: int, victim: Slot) -> Script[Next]:
        fouler = self._fouler(team_id, victim)
        if fouler is None:
            return Next(team_id, Start.LIVE, victim)
        self.clock.stop()
        self.table.foul(self._now(team_id, fouler), fouler.player)
        yield from self.pause(10)
        if self.table.team_fouls[fouler.player.team_id] >= TEAM_FOULS_BONUS:
            return (yield from self._free_throws(team_id, victim, 2))
        return Next(team_id, Start.SIDE)

    # shots

    def _spot(self) -> tuple[float, float]:
        """Where the next shot shall be taken, relative to the hoop."""
        dice = self.dice
        kind = dice.choices(("rim", "middle", "three", "corner"), (40, 23, 27, 10))[0]
        if kind == "rim":
            return dice.gauss(0, 900), dice.uniform(-300, 1_900)
        if kind == "corner":
            return dice.choice((-1, 1)) * dice.uniform(6_750, 7_150), dice.uniform(-200, 1_300)
        far = dice.uniform(2_500, 6_200) if kind == "middle" else dice.uniform(6_900, 8_000)
        angle = math.radians(dice.uniform(-75, 75) if kind == "middle" else dice.uniform(-58, 58))
        return far * math.sin(angle), far * math.cos(angle)

    def _shoot(self, team_id: int, shooter: Slot) -> Script[Next]:
        dice, clock, floor, table = self.dice, self.clock, self.floor, self.table
        shooter.busy = True
        shooter.runner.go(*floor.place(team_id, *self._spot()), 6_500.0)
        drive = shooter.runner.away()
        for _ in range(30):
            if shooter.runner.away() < 350.0 or clock.shot <= 4 or clock.game <= 4:
                break
            yield
        if clock.expired():
            return Next(floor.other(team_id), Start.SIDE)
        if clock.shot == 0:
            return (yield from self._lose(team_id, shooter, "shot clock violation"))
        when = self._now(team_id, shooter)
        u, v = court.relative(when.end, when.x, when.y)
        distance = math.hypot(u, v)
        points = 3 if court.is_three(u, v) else 2
        guard = floor.guard(team_id, shooter)
        gap = math.hypot(guard.runner.x - when.x, guard.runner.y - when.y)
        chance = _chance(distance) * shooter.player.shooting * (0.93 if gap < 1_000 else 1.1)
        is_make = dice.random() < chance
        fouler = self._fouler(team_id, shooter) if dice.random() < _near(distance, 0.14, 0.05, 0.02) else None
        extras = self._extras(distance, drive, gap, is_make=is_make, guard=guard)
        if fouler is None and not is_make and dice.random() < _near(distance, 0.16, 0.07, 0.02):
            return (yield from self._blocked(team_id, shooter, when, points, extras, guard))
        hoop_x, hoop_y = court.hoop(when.end)
        yield from self.pause(floor.ball.throw_at(hoop_x, hoop_y, court.HOOP_Z, arc=shot_arc(distance), speed=9_500.0))
        if is_make:
            helper = self.passer
            helped = helper is not None and helper is not shooter and dice.random() < (0.85 if points == 3 else 0.6)
            table.shot(
                when,
                shooter.player,
                points,
                extras,
                is_make=True,
                assistant=helper.player if helper is not None and helped else None,
                final=fouler is not None,
            )
            floor.ball.rest()
            if fouler is not None:
                return (yield from self._shooting_foul(team_id, shooter, fouler, 1))
            yield from self.pause(6)
            return Next(floor.other(team_id), Start.BASELINE)
        if fouler is not None:
            return (yield from self._shooting_foul(team_id, shooter, fouler, points))
        table.shot(when, shooter.player, points, extras, is_make=False)
        return (yield from self._rebound(team_id))

    def _extras(self, distance: float, drive: float, gap: float, *, is_make: bool, guard: Slot) -> dict[str, Any]:
        """The optional members of a shot: attributes (FIELDS), dribbles, the defender."""
        dice = self.dice
        dribbles = 0 if drive < 1_200 else 1 + int(drive / 2_500)
        attributes = ["OTD" if dribbles else "CAS", "GUARDED" if gap < 1_400 else "UNGUARDED"]
        if distance < 1_600:
            attributes.append("LAYUP")
        else:
            attributes.append("FADEAWAY" if dice.random() < 0.06 else "JUMPSHOT")
        if is_make and distance > 1_600 and dice.random() < 0.3:
            attributes.append("CLEAN")
        defenders = [{"player_id": guard.player.id, "distance": round(gap / 10)}] if gap < 2_500 else []
        return {"attributes": attributes, "dribbles": dribbles, "shot_defenders": defenders}

    def _blocked(
        self, team_id: int, shooter: Slot, when: Instance, points: int, extras: dict[str, Any], guard: Slot
    ) -> Script[Next]:
        self.table.shot(when, shooter.player, points, extras, is_make=False)
        self.table.block(when, guard.player)
        yield
        return (yield from self._rebound(team_id))

    def _shooting_foul(self, team_id: int, shooter: Slot, fouler: Slot, throws: int) -> Script[Next]:
        self.clock.stop()
        self.table.foul(self._now(team_id, fouler), fouler.player)
        yield from self.pause(10)
        return (yield from self._free_throws(team_id, shooter, throws))

    def _free_throws(self, team_id: int, shooter: Slot, throws: int) -> Script[Next]:
        dice, floor, table = self.dice, self.floor, self.table
        yield from self.dead_ball(shooter)
        floor.line_up(team_id, shooter)
        floor.ball.throw_to(shooter.runner)
        for _ in range(60):
            yield
            if shooter.runner.away() < 300.0:
                break
        hoop_x, hoop_y = court.hoop(floor.ends[team_id])
        is_make = False
        for _ in range(throws):
            floor.ball.hold(shooter.runner)
            yield from self.pause(dice.randint(18, 30))
            when = self._now(team_id, shooter)
            is_make = dice.random() < 0.72 * shooter.player.shooting
            arc = shot_arc(court.FREE_THROW_V)
            yield from self.pause(floor.ball.throw_at(hoop_x, hoop_y, court.HOOP_Z, arc=arc, speed=7_000.0))
            table.free_throw(when, shooter.player, is_make=is_make)
            floor.ball.rest()
            yield from self.pause(8)
        if self.clock.expired():
            return Next(floor.other(team_id), Start.SIDE)
        if is_make:
            return Next(floor.other(team_id), Start.BASELINE)
        return (yield from self._rebound(team_id))

    # rebounds

    def _rebound(self, team_id: int) -> Script[Next]:
        """A miss comes off the rim: somebody gets it, or it goes out."""
        dice, floor = self.dice, self.floor
        other = floor.other(team_id)
        if self.clock.expired():
            floor.ball.rest()
            return Next(other, Start.SIDE)
        x, y = floor.place(team_id, dice.gauss(0, 1_600), dice.uniform(600, 3_600))
        offensive = dice.random() < 0.27
        taker = dice.choices(floor.nearest(team_id if offensive else other, x, y), (8, 4, 2, 1, 1))[0]
        floor.attack(team_id)
        taker.busy = True
        taker.runner.go(x, y, 6_500.0)
        yield from self.wait(floor.ball.throw_at(x, y, 900.0, arc=900.0, speed=4_000.0) + dice.randint(0, 3))
        if self.clock.running and self.clock.game > 1 and dice.random() < 0.05:
            self.clock.stop()
            floor.ball.rest()
            yield from self.pause(15)
            return Next(dice.choice((team_id, other, other)), Start.SIDE)
        if self.clock.expired():
            return Next(other, Start.SIDE)
        yield from self.pause(floor.ball.throw_to(taker.runner))
        self.table.rebound(self._now(team_id, taker), taker.player, offensive=offensive)
        self.clock.start()
        if offensive:
            self.clock.reset_shot(OFFENSIVE_SHOT_CLOCK)
            yield from self.wait(dice.randint(3, 8))
            return Next(team_id, Start.LIVE, taker)
        yield from self.wait(dice.randint(3, 8))
        return Next(other, Start.LIVE, taker)


def _near(distance: float, rim: float, middle: float, far: float) -> float:
    """One of three values by how far a shot is taken."""
    return rim if distance < 2_400 else middle if distance < 6_000 else far


def _chance(distance: float) -> float:
    """How often a shot from so far goes in."""
    if distance > 9_500:
        return 0.04
    return 0.60 if distance < 1_300 else 0.52 if distance < 2_400 else 0.40 if distance < 6_000 else 0.33
