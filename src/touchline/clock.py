"""The only reader of time.

``wall`` is for what people and signatures see, ``monotonic`` for schedules: a wall clock that steps must not move a
time-out. Tests hand in ``touchline.testing.clock.FakeClock``.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Reads time; the one way by which any code learns it."""

    def wall_ns(self) -> int:
        """UTC nanoseconds since 1970."""

    def monotonic(self) -> float:
        """Seconds that never step; only differences mean anything."""


class SystemClock:
    """The machine's clocks."""

    def wall_ns(self) -> int:
        """UTC nanoseconds since 1970."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds that never step."""
        return time.monotonic()
