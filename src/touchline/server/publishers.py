"""Which publishers have fallen silent: told once when one has, and once when it is back.

A log line and an event of the native feed each time: its readers learn that nothing comes because nothing is published.
Knows publishers by the names of their keys (the ids of those that have no proper name), from their first event on; a
hub that begins anew knows none yet. Admins are none. Of one whose key was revoked nothing more is awaited: it is
forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
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
    """See the module docstring. ``stale_seconds`` 0: nobody is ever reported."""

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
        """Events that were published with the key were taken, or would have been if the log could be written. What an
        admin publishes by hand nobody waits for.
        """
        if key.role == "publisher":
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
        late &= self._heard.keys()
        changed = late ^ self._silent
        if not changed:
            return
        facts = {
            name: _Change(name, self._published_at(name), rfc3339.encode(self._clock.wall_ns())) for name in changed
        }
        with suppress(LogError):
            await self._append([self._event(facts[name], name in late) for name in sorted(changed)])
            self._silent = late
            for name in sorted(changed):
                about = {"publisher": name, "last_published_at": facts[name].last_published_at}
                if name in late:
                    _log.warning("a publisher has fallen silent", extra=about)
                else:
                    _log.info("a publisher is back", extra=about)

    def _published_at(self, name: str) -> str:
        return rfc3339.encode(self._clock.wall_ns() - int((self._clock.monotonic() - self._heard[name]) * 1e9))

    def _event(self, change: _Change, is_stale: bool) -> Event:
        now = self._clock.wall_ns()
        word = "stale" if is_stale else "alive"
        number = f"{change.publisher}/{word}/{now}"
        data = msgspec.json.encode(change)
        kind = f"hub.publisher.{word}"
        return Event(_FEED, kind, change.publisher, _SOURCE, number, data, now, now, time=change.at)


def _name(key: Key) -> str:
    """What a publisher is called. It is the subject of an event, which a name that anybody may give may not be fit for:
    it may be empty, or hold what receivers refuse.
    """
    return key.name if 0 < len(key.name) <= _MAX_NAME and key.name.isprintable() else key.id
