"""Which publishers have fallen silent: told once when one has, and once when it is back.

A log line and an event of the native feed each time: its readers learn that nothing comes because nothing is published.
Knows publishers by the names of their keys (the ids of those that have no proper name), from their first event on; a
hub that begins anew knows none yet. Admins are none. Of one whose key was revoked nothing more is awaited: it is
forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from touchline.clock import Clock
from touchline.errors import LogError
from touchline.log.entries import Key
from touchline.model import Event
from touchline.wire import rfc3339

_log: Final = logging.getLogger(__name__)

_FEED: Final = "hub"
_SOURCE: Final = "/hub"
_MAX_NAME: Final = 256

Append = Callable[[Sequence[Event]], Awaitable[Any]]


class _Change(msgspec.Struct):
    publisher: str
    last_published_at: str
    at: str


class Publishers:
    """See the module docstring. ``stale_seconds`` 0: nobody is ever told to be silent."""

    def __init__(self, append: Append, keys: Callable[[], Iterable[Key]], clock: Clock, stale_seconds: float) -> None:
        self._append = append
        self._keys = keys
        self._clock = clock
        self._stale_seconds = stale_seconds
        self._heard: dict[str, float] = {}
        self._silent: set[str] = set()

    @property
    def silent(self) -> list[str]:
        """The names of those who are silent."""
        return sorted(self._silent)

    def heard(self, key: Key) -> None:
        """Events that were published with the key were taken."""
        self._heard[_name(key)] = self._clock.monotonic()

    async def tick(self) -> None:
        """Once a second: tell of changes. What cannot be appended now is told by a later one."""
        if not self._stale_seconds:
            return
        now = self._clock.monotonic()
        late = {name for name, at in self._heard.items() if now - at >= self._stale_seconds}
        if late:
            for name in late - {_name(key) for key in self._keys() if key.revoked_at is None}:
                del self._heard[name]
                self._silent.discard(name)
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


def _name(key: Key) -> str:
    """What a publisher is called. It is the subject of an event, which a name that anybody may give may not be fit for:
    it may be empty, or hold what receivers refuse.
    """
    return key.name if 0 < len(key.name) <= _MAX_NAME and key.name.isprintable() else key.id
