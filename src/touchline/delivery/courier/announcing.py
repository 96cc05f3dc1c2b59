"""Tells of endpoints that fail, recover, are paused or disabled: a log line and an event of the native feed a change.

An event that cannot be appended now is kept, and tried again by ``tick``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from touchline.clock import Clock
from touchline.delivery.courier.line import NATIVE_FEED
from touchline.delivery.courier.recent import Spawn
from touchline.log.endpoints import Endpoint
from touchline.model import Event
from touchline.wire import rfc3339

_log: Final = logging.getLogger(__name__)

_SOURCE: Final = "/hub"
_KEPT: Final = 1000

Append = Callable[[Sequence[Event]], Awaitable[Any]]


class _Change(msgspec.Struct):
    endpoint: str
    partner: str
    feed: str
    label: str
    reason: str
    at: str


class Announcing:
    """See the module docstring."""

    def __init__(self, append: Append, clock: Clock, spawn: Spawn) -> None:
        self._append = append
        self._clock = clock
        self._spawn = spawn
        self._waiting: deque[Event] = deque(maxlen=_KEPT)
        self._appending = False

    def tell(self, endpoint: Endpoint, change: str, reason: str) -> None:
        """``change`` is 'failing', 'recovered', 'paused' or 'disabled'."""
        level = logging.INFO if change == "recovered" else logging.WARNING
        about = {"endpoint": endpoint.id, "partner": endpoint.partner, "feed": endpoint.feed, "reason": reason}
        _log.log(level, "an endpoint is %s", change, extra=about)
        now = self._clock.wall_ns()
        data = _Change(endpoint.id, endpoint.partner, endpoint.feed, endpoint.label, reason, rfc3339.encode(now))
        name = f"hub.endpoint.{change}"
        self._waiting.append(
            Event(
                NATIVE_FEED, name, endpoint.id, _SOURCE, f"{endpoint.id}/{change}/{now}", msgspec.json.encode(data),
                now, now, time=data.at,
            )
        )  # fmt: skip
        self.tick()

    def tick(self) -> None:
        """Append what waits."""
        if self._waiting and not self._appending:
            self._appending = True
            self._spawn(self._run)

    async def _run(self) -> None:
        try:
            while self._waiting:
                event = self._waiting[0]
                await self._append([event])
                if self._waiting and self._waiting[0] is event:
                    self._waiting.popleft()
        except Exception:  # the top of a task: the next tick tries again
            _log.warning("an endpoint's change could not be published yet", exc_info=True)
        finally:
            self._appending = False
