"""How ten people and a ball move, one tenth of a second at a time. Knows no rules of the game.

Everything stays inside the court and under the limits below, which the tests hold it to. Positions are floats in
millimetres; what is announced is rounded, and speed and distance are worked out from the rounded places.
"""

from __future__ import annotations

import math
from typing import Final

from touchline.feeds.shottracker.sandbox.court import HALF_LENGTH, HALF_WIDTH, HOOP_Z

TICK_SECONDS: Final = 0.1
MAX_RUN: Final = 8_000.0
"""Millimetres a second; a good sprint, and under the 9 m/s that is announced as the limit of a human."""
ACCELERATION: Final = 7_000.0
BRAKING: Final = 4_500.0
"""Less than what a runner can, so that nobody runs past a target."""
LINE_BRAKING: Final = 3_000.0
"""Still less: in steps of a tenth of a second the last one takes 0.2 times this away (mm/s)."""
MAX_BALL_STEP: Final = 1_900.0
"""Millimetres in a tick: 19 m/s."""
MAX_BALL_HEIGHT: Final = 4_900.0
MARGIN: Final = 150.0
HAND: Final = 450.0

_LIMIT_X: Final = HALF_WIDTH - MARGIN
_LIMIT_Y: Final = HALF_LENGTH - MARGIN


def clamp(value: float, limit: float) -> float:
    """The value, brought between -limit and +limit."""
    return max(-limit, min(limit, value))


def _before_line(speed: float, place: float, limit: float) -> float:
    """The speed along one axis, as far as one can still stop before the line."""
    gap = max(0.0, limit - place if speed > 0 else limit + place)
    return clamp(speed, min(math.sqrt(2.0 * LINE_BRAKING * gap), 4.0 * gap))


class Runner:
    """One player on the court, running to a target at a pace (mm/s), with limited acceleration."""

    __slots__ = ("pace", "target_x", "target_y", "vx", "vy", "x", "y")

    def __init__(self, x: float, y: float) -> None:
        self.x = self.target_x = clamp(x, _LIMIT_X)
        self.y = self.target_y = clamp(y, _LIMIT_Y)
        self.vx = self.vy = 0.0
        self.pace = 3_000.0

    def go(self, x: float, y: float, pace: float) -> None:
        """Run there from now on."""
        self.target_x, self.target_y = clamp(x, _LIMIT_X), clamp(y, _LIMIT_Y)
        self.pace = min(pace, MAX_RUN)

    def away(self) -> float:
        """Millimetres to the target."""
        return math.hypot(self.target_x - self.x, self.target_y - self.y)

    def step(self) -> None:
        """A tenth of a second passes."""
        dx, dy = self.target_x - self.x, self.target_y - self.y
        distance = math.hypot(dx, dy)
        speed = min(self.pace, distance * 4.0, math.sqrt(2.0 * BRAKING * distance))
        wish_x, wish_y = (dx / distance * speed, dy / distance * speed) if distance > 1.0 else (0.0, 0.0)
        # Braking before a line comes first: who meets the line at speed would stop dead there.
        vx, vy = _before_line(self.vx, self.x, _LIMIT_X), _before_line(self.vy, self.y, _LIMIT_Y)
        most = max(0.0, ACCELERATION * TICK_SECONDS - math.hypot(vx - self.vx, vy - self.vy))
        change_x = _before_line(wish_x, self.x, _LIMIT_X) - vx
        change_y = _before_line(wish_y, self.y, _LIMIT_Y) - vy
        change = math.hypot(change_x, change_y)
        if change > most:
            change_x, change_y = change_x / change * most, change_y / change * most
        self.vx, self.vy = vx + change_x, vy + change_y
        self.x = clamp(self.x + self.vx * TICK_SECONDS, _LIMIT_X)
        self.y = clamp(self.y + self.vy * TICK_SECONDS, _LIMIT_Y)


class Ball:
    """The ball: in somebody's hands, or in the air towards a place or a moving receiver."""

    def __init__(self) -> None:
        self.x = self.y = 0.0
        self.z = 1_000.0
        self.holder: Runner | None = None
        self._receiver: Runner | None = None
        self._from = (0.0, 0.0, 0.0)
        self._to = (0.0, 0.0, 0.0)
        self._arc = 0.0
        self._flown = 0
        self._ticks = 0
        self._bounce = 0.0

    def is_flying(self) -> bool:
        """Whether it is on its way."""
        return self._flown < self._ticks

    def hold(self, holder: Runner) -> None:
        """Somebody has it."""
        self.holder, self._ticks, self._flown = holder, 0, 0

    def rest(self) -> None:
        """Nobody has it; it stays where it is and comes down."""
        self.holder, self._ticks, self._flown = None, 0, 0

    def throw_to(self, receiver: Runner) -> int:
        """Pass it to somebody; returns the ticks that it takes."""
        ticks = max(2, math.ceil(math.hypot(receiver.x - self.x, receiver.y - self.y) / 1_100.0))
        self._fly((receiver.x, receiver.y, 1_100.0), ticks, arc=200.0)
        self._receiver = receiver
        return ticks

    def throw_at(self, x: float, y: float, z: float, *, arc: float, speed: float) -> int:
        """Throw it at a place, ``arc`` mm above the straight line, at a speed in mm/s; returns the ticks it takes."""
        ticks = max(3, math.ceil(math.hypot(x - self.x, y - self.y) / (speed * TICK_SECONDS)))
        self._fly((x, y, z), ticks, arc=arc)
        return ticks

    def _fly(self, to: tuple[float, float, float], ticks: int, *, arc: float) -> None:
        self.holder = self._receiver = None
        self._from, self._to, self._arc = (self.x, self.y, self.z), to, arc
        self._flown, self._ticks = 0, ticks

    def step(self) -> None:
        """A tenth of a second passes."""
        if self.is_flying():
            self._flown += 1
            part = self._flown / self._ticks
            to_x, to_y, to_z = self._to
            if self._receiver is not None:
                to_x, to_y = self._receiver.x, self._receiver.y
            x = self._from[0] + (to_x - self._from[0]) * part
            y = self._from[1] + (to_y - self._from[1]) * part
            z = self._from[2] + (to_z - self._from[2]) * part + 4.0 * self._arc * part * (1.0 - part)
            if not self.is_flying() and self._receiver is not None:
                self.hold(self._receiver)
        elif self.holder is not None:
            self._bounce += 0.55
            run = math.hypot(self.holder.vx, self.holder.vy) or 1.0
            x = self.holder.x + self.holder.vx / run * HAND
            y = self.holder.y + self.holder.vy / run * HAND
            z = 150.0 + 850.0 * abs(math.cos(self._bounce))
        else:
            x, y, z = self.x, self.y, max(120.0, self.z - 600.0)
        self._move(x, y, z)

    def _move(self, x: float, y: float, z: float) -> None:
        """Go there as far as a ball can in a tick."""
        x, y = clamp(x, HALF_WIDTH - 1.0), clamp(y, HALF_LENGTH - 1.0)
        z = max(0.0, min(MAX_BALL_HEIGHT, z))
        dx, dy, dz = x - self.x, y - self.y, z - self.z
        far = math.sqrt(dx * dx + dy * dy + dz * dz)
        part = min(1.0, MAX_BALL_STEP / far) if far else 0.0
        self.x += dx * part
        self.y += dy * part
        self.z += dz * part


def shot_arc(distance: float) -> float:
    """How high a shot from so far (mm) rises over the straight line to the rim, so that its top stays under 4.9 m."""
    return min(1_900.0, 700.0 + 0.14 * distance) if distance > 0.3 * HOOP_Z else 500.0
