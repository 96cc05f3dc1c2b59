"""A clock that stands still until a test moves it."""

from __future__ import annotations

from typing import Final

_START_NS: Final = 1_700_000_000_000_000_000  # 2023-11-14T22:13:20Z


class FakeClock:
    """Fits ``touchline.clock.Clock``. ``advance`` moves both clocks, ``step_wall`` the wall clock alone."""

    def __init__(self, wall_ns: int = _START_NS, monotonic: float = 1_000.0) -> None:
        self._wall_ns = wall_ns
        self._monotonic = monotonic

    def wall_ns(self) -> int:
        """UTC nanoseconds since 1970."""
        return self._wall_ns

    def monotonic(self) -> float:
        """Seconds that never step."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._wall_ns += round(seconds * 1_000_000_000)
        self._monotonic += seconds

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock, as an operator or a time server does: the monotonic clock does not move."""
        self._wall_ns += round(seconds * 1_000_000_000)
