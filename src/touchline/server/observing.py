"""What an operator asks of a running hub, gathered once for ``/metrics`` and for ``/hub/v1/status``.

Everything here is of a bounded size and names nobody: endpoints are counted by state, sessions all together.
"""

from __future__ import annotations

import os
import resource

import msgspec

from touchline.delivery.courier import Lag
from touchline.delivery.fanout.reader import Mode
from touchline.errors import LogError
from touchline.server.http.backup import Backups, LastBackup
from touchline.server.hub import Hub
from touchline.server.looplag import LoopLag


class SessionsLag(msgspec.Struct, frozen=True):
    """Sessions that pull from the log because they were too slow, or have just come. ``records_most`` is the most that
    one of them is behind (an upper bound, by offsets), ``blocked_seconds_most`` for how long the slowest takes nothing.
    """

    behind: int
    records_most: int
    blocked_seconds_most: float


class Observed(msgspec.Struct, frozen=True):
    """The hub at one moment. ``oldest_record_seconds`` is how far back the log reaches (0 when it is empty)."""

    endpoints: dict[str, Lag]
    dead_letters: int
    sessions: SessionsLag
    oldest_record_seconds: float
    loop_lag_seconds: float
    last_backup: LastBackup | None
    files_used: int
    files_soft: int
    files_hard: int


class Observer:
    """Looks at a hub's parts; changes nothing."""

    def __init__(self, hub: Hub, loop_lag: LoopLag, backups: Backups) -> None:
        self._hub = hub
        self._loop_lag = loop_lag
        self._backups = backups

    async def observe(self) -> Observed:
        """How it is now. What cannot be read of the log at the moment is told as if there were none of it."""
        hub = self._hub
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return Observed(
            await hub.courier.lag(),
            hub.courier.stats.letters,
            self._sessions(),
            await self._oldest_record_seconds(),
            self._loop_lag.worst(),
            await self._last_backup(),
            _open_files(),
            soft,
            hard,
        )

    def _sessions(self) -> SessionsLag:
        fanout, now = self._hub.fanout, self._hub.clock.monotonic()
        behind = [reader for reader in fanout.readers if reader.mode is Mode.BEHIND]
        records = max((fanout.dispatched - reader.cursor for reader in behind), default=0)
        blocked = max((now - reader.blocked_since for reader in behind if reader.blocked), default=0.0)
        return SessionsLag(len(behind), max(0, min(records, self._hub.event_log.stats().records)), blocked)

    async def _oldest_record_seconds(self) -> float:
        log = self._hub.event_log
        try:
            page = await log.read(log.floor, 1, max_bytes=1)
        except LogError:
            return 0.0
        oldest = page.records[0].appended_at if page.records else None
        return 0.0 if oldest is None else max(0.0, (self._hub.clock.wall_ns() - oldest) / 1e9)

    async def _last_backup(self) -> LastBackup | None:
        try:
            return await self._backups.last()
        except LogError:
            return None


def _open_files() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0
