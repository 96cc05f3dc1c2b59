"""Which publishers have fallen silent: told once when one has, and once when it is back.

A log line and an event of the native feed each time: its readers learn that nothing comes because nothing is published.
Knows publishers by the names of their keys, from their first event on; a hub that begins anew knows none yet.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from touchline.clock import Clock
from touchline.errors import LogError
from touchline.model import Event
from touchline.wire import rfc3339

_log: Final = logging.getLogger(__name__)

_FEED: Final = "hub"
_SOURCE: Final = "/hub"

Append = Callable[[Sequence[Event]], Awaitable[Any]]


class _Change(msgspec.Struct):
    publisher: str
    last_published_at: str
    at: str


class Publishers:
    """See the module docstring. ``stale_seconds`` 0: nobody is ever told to be silent."""

    def __init__(self, append: Append, clock: Clock, stale_seconds: float) -> None:
        self._append = append
        self._clock = clock
        self._stale_seconds = stale_seconds
        self._heard: dict[str, float] = {}
        self._silent: set[str] = set()

    @property
    def silent(self) -> list[str]:
        """The names of those who are silent."""
        return sorted(self._silent)

    def heard(self, name: str) -> None:
        """A publisher's events were taken."""
        self._heard[name] = self._clock.monotonic()

    async def tick(self) -> None:
        """Once a second: tell of changes. What cannot be appended now is told by a later one."""
        if not self._stale_seconds:
            return
        now = self._clock.monotonic()
        for name, at in list(self._heard.items()):
            is_silent = now - at >= self._stale_seconds
            if is_silent != (name in self._silent):
                self._silent ^= {name}
                try:
                    await self._tell(name, "stale" if is_silent else "alive", now - at)
                except LogError:
                    self._silent ^= {name}
                    return

    async def _tell(self, name: str, change: str, silent_seconds: float) -> None:
        now = self._clock.wall_ns()
        last = rfc3339.encode(now - int(silent_seconds * 1e9))
        at = rfc3339.encode(now)
        data = msgspec.json.encode(_Change(name, last, at))
        kind, number = f"hub.publisher.{change}", f"{name}/{change}/{now}"
        await self._append([Event(_FEED, kind, name, _SOURCE, number, data, now, now, time=at)])
        level = logging.INFO if change == "alive" else logging.WARNING
        _log.log(level, "a publisher is %s", change, extra={"publisher": name, "last_published_at": last})
