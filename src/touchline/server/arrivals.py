"""How much of a turn of the event loop newcomers get: thousands may come at once, and must not hold up who is there.

What is dear about a newcomer is its first request: a head to parse, a key to check, a session to open. Newcomers get
some milliseconds of each turn for that; who comes later in it waits for the next turns, in order of arrival, and is not
read from meanwhile. Connections that have had a request before never wait here: they may be a publisher's.

Knows nothing of HTTP, and does not decide who is let in.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, Protocol

from touchline.clock import Clock, SystemClock

_log: Final = logging.getLogger(__name__)

TURN_SECONDS: Final = 0.008
"""Of each turn; the request that is being read then is read to its end."""
HELD_BYTES: Final = 16 * 1024 * 1024
"""Of first requests that wait: who comes when it is more enters at once, as if there were time."""


class Newcomer(Protocol):
    """A connection whose first request has come, or a part of it."""

    def enter(self) -> None:
        """It is its turn. It may have gone meanwhile."""

    def abort(self) -> None:
        """It failed: an error of ours."""


class Arrivals:
    """See the module docstring."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._waiting: deque[tuple[Newcomer, int]] = deque()
        self._held_bytes = 0
        self._spent_seconds = 0.0
        self._called = False

    def __len__(self) -> int:
        return len(self._waiting)

    def come(self, one: Newcomer, size_bytes: int) -> bool:
        """Let it enter now; or True: it waits, with what it has sent so far, and is not to be read from until then."""
        has_to_wait = bool(self._waiting) or self._spent_seconds >= TURN_SECONDS
        self._call()
        if has_to_wait and self._held_bytes + size_bytes <= HELD_BYTES:
            self._waiting.append((one, size_bytes))
            self._held_bytes += size_bytes
            return True
        began = self._clock.monotonic()
        try:
            one.enter()
        finally:
            self._spent_seconds += self._clock.monotonic() - began
        return False

    def _call(self) -> None:
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._called = False
        began, self._spent_seconds = self._clock.monotonic(), 0.0
        while self._waiting and self._spent_seconds < TURN_SECONDS:
            one, size_bytes = self._waiting.popleft()
            self._held_bytes -= size_bytes
            try:
                one.enter()
            except Exception:  # whatever it is, those behind it have their turn too
                _log.exception("a connection's first request could not be read")
                one.abort()
            self._spent_seconds = self._clock.monotonic() - began
        if self._spent_seconds:
            self._call()
