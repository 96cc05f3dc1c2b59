"""The court: where its lines are, and which zone a shot comes from. Pure geometry; knows no player.

Whole millimetres, origin at the centre, y along the long axis, x across, z up (sheet §4.3). The rest is the
women's college court: 28.65 m by 15.24 m, three-point arc at 6.75 m, rim at 3.048 m (NCAA rules).
"""

from __future__ import annotations

import math
from typing import Final

HALF_WIDTH: Final = 7_620
HALF_LENGTH: Final = 14_325
HOOP_Y: Final = 12_725
"""Of the hoop at the +y end; its centre is 1.6 m from the baseline."""
HOOP_Z: Final = 3_048
FREE_THROW_V: Final = 4_190
ARC: Final = 6_750
CORNER_U: Final = 6_600
CORNER_V: Final = 1_415
"""Below this the three-point line runs straight, parallel to the sideline."""

_RIM: Final = 1_250
_NEAR: Final = 2_400
_MIDDLE: Final = 4_900
_DEEP: Final = 8_500

Point = tuple[int, int]


def hoop(end: int) -> Point:
    """Where the hoop of an end (+1 or -1) stands."""
    return 0, end * HOOP_Y


def relative(end: int, x: int, y: int) -> Point:
    """(hoop_player_x, hoop_player_y) of a place, seen from the hoop of that end.

    +y runs from the hoop towards mid-court, so the frame is turned by 180° with the hoop: hoop minus player at the +y
    hoop, player minus hoop at the -y one (sheet §4.3). ``place`` is its inverse.
    """
    return -end * x, HOOP_Y - end * y


def place(end: int, u: float, v: float) -> tuple[float, float]:
    """(x, y) of what lies ``u`` to the right of the hoop of that end and ``v`` from it towards mid-court."""
    return -end * u, end * (HOOP_Y - v)


def is_three(u: float, v: float) -> bool:
    """Whether a shot from there counts three."""
    if v < CORNER_V:
        return abs(u) > CORNER_U
    return math.hypot(u, v) > ARC


def _sector(u: float, v: float, count: int) -> int:
    """Which of ``count`` equal parts of the half circle before the hoop, counted from the left baseline."""
    angle = min(90.0, max(-90.0, math.degrees(math.atan2(u, max(v, 0.0)))))
    return min(count - 1, int((angle + 90.0) / 180.0 * count))


def zone(u: float, v: float) -> int:
    """Zone 1-14 of a shot. The provider's borders are not documented; OUR CHOICE.

    1 at the rim (2.4 m), 2-4 to 4.9 m, 5-9 to the line, 10-14 beyond it; each ring from left to right.
    """
    if is_three(u, v):
        return 10 + _three_sector(u, v)
    distance = math.hypot(u, v)
    if distance <= _NEAR:
        return 1
    if distance <= _MIDDLE:
        return 2 + _sector(u, v, 3)
    return 5 + _sector(u, v, 5)


def advanced_zone(u: float, v: float) -> int:
    """Advanced zone 1-23 of a shot. The provider's borders are not documented; OUR CHOICE.

    1 under the rim (1.25 m), 2-4 to 2.4 m, 5-9 to 4.9 m, 10-16 to the line, 17-21 beyond it, 22 from further than
    8.5 m, 23 from behind mid-court; each ring from left to right.
    """
    distance = math.hypot(u, v)
    if is_three(u, v):
        if v > HOOP_Y:
            return 23
        return 22 if distance > _DEEP else 17 + _three_sector(u, v)
    if distance <= _RIM:
        return 1
    if distance <= _NEAR:
        return 2 + _sector(u, v, 3)
    if distance <= _MIDDLE:
        return 5 + _sector(u, v, 5)
    return 10 + _sector(u, v, 7)


def _three_sector(u: float, v: float) -> int:
    """0 left corner, 1 left wing, 2 top, 3 right wing, 4 right corner."""
    if v < CORNER_V:
        return 0 if u < 0 else 4
    return 1 + _sector(u, v, 3)
