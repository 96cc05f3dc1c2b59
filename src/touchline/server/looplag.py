"""How late the event loop comes: whatever holds it up holds everybody up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from touchline.clock import Clock

LOOK_SECONDS: Final = 0.1
REMEMBERED_SECONDS: Final = 60.0
_SLOT_SECONDS: Final = 5.0


class LoopLag:
    """Asks to be called every tenth of a second and notes how much later it was. ``observe`` gets each of these."""

    def __init__(self, clock: Clock, observe: Callable[[float], None]) -> None:
        self._clock = clock
        self._observe = observe
        self._slots: deque[tuple[float, float]] = deque(maxlen=int(REMEMBERED_SECONDS / _SLOT_SECONDS) + 1)

    async def run(self) -> None:
        """For ever."""
        while True:
            asked = self._clock.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            now = self._clock.monotonic()
            self.note(now, max(0.0, now - asked - LOOK_SECONDS))

    def note(self, now: float, lag_seconds: float) -> None:
        """The loop came so late, at that monotonic time."""
        self._observe(lag_seconds)
        if self._slots and now - self._slots[-1][0] < _SLOT_SECONDS:
            began, worst = self._slots[-1]
            self._slots[-1] = (began, max(worst, lag_seconds))
        else:
            self._slots.append((now, lag_seconds))

    def worst(self) -> float:
        """The worst of about the last minute, in seconds."""
        now = self._clock.monotonic()
        return max((worst for began, worst in self._slots if now - began <= REMEMBERED_SECONDS), default=0.0)
