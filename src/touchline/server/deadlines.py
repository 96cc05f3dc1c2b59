"""When sessions want to be called: those whose time comes within the same twentieth of a second are called together.

A timer of the loop for each of ten thousand sessions costs memory, and one wake-up of the process per call; here the
loop has one timer per moment. Knows nothing of sessions but ``due``.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import OrderedDict
from typing import Final, Protocol

from touchline.clock import Clock

_log: Final = logging.getLogger(__name__)

TOGETHER_SECONDS: Final = 0.05
"""A call comes so much late at most, and never early."""
_TURN_SECONDS: Final = 0.004
"""How long those of a moment may hold the event loop before others get their turn."""


class Due(Protocol):
    """Who wants to be called."""

    def due(self) -> None:
        """The time has come; it has left the list."""

    def abort(self) -> None:
        """It failed: an error of ours."""


class Deadlines:
    """See the module docstring. A moment is a number; whoever waits keeps its own, to be moved from there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[int, dict[Due, None]] = {}
        self._coming: OrderedDict[Due, None] = OrderedDict()
        self._going_on = False

    def move(self, one: Due, moment: int | None, due: float | None) -> int | None:
        """Leave a moment (None: it has none) for that of a monotonic time (None: none any more); the new one."""
        wanted = None if due is None else math.ceil(due / TOGETHER_SECONDS)
        if wanted == moment:
            return moment
        if moment is not None:
            self._coming.pop(one, None)
            self._waiting.get(moment, {}).pop(one, None)
        if wanted is not None:
            if wanted not in self._waiting:
                self._waiting[wanted] = {}
                self._call(wanted)
            self._waiting[wanted][one] = None
        return wanted

    def _call(self, moment: int) -> None:
        wait = moment * TOGETHER_SECONDS - self._clock.monotonic()
        asyncio.get_running_loop().call_later(max(0.0, wait), self._come, moment)

    def _come(self, moment: int) -> None:
        if self._clock.monotonic() < moment * TOGETHER_SECONDS:  # the loop counts in milliseconds
            self._call(moment)
            return
        self._coming.update(self._waiting.pop(moment))
        if not self._going_on:
            self._go_on()

    def _go_on(self) -> None:
        self._going_on = False
        until = self._clock.monotonic() + _TURN_SECONDS
        while self._coming:  # one by one: who is called may send others away
            one, _ = self._coming.popitem(last=False)
            try:
                one.due()
            except Exception:  # a feed's code; those behind it have their time too
                _log.exception("a session could not do what was due")
                one.abort()
            if self._clock.monotonic() > until:
                self._going_on = True
                asyncio.get_running_loop().call_soon(self._go_on)
                break
