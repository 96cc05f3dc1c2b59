"""What an operator asks of a running hub, gathered once for ``/metrics`` and for ``/hub/v1/status``.

Everything here is of a bounded size. Endpoints are counted by state, sessions all together; the only ones that are
named are the few sessions furthest behind, and those in the status alone, which is for admins.
"""

from __future__ import annotations

import heapq
import os
import resource
from typing import Final

import msgspec

from touchline.delivery.courier import Lag
from touchline.delivery.fanout.reader import Mode, Reader
from touchline.errors import LogError
from touchline.server.http.backup import Backups, LastBackup
from touchline.server.hub import Hub
from touchline.server.looplag import LoopLag
from touchline.server.sessions import Session

_MOST_NAMED: Final = 10


class SlowSession(msgspec.Struct, frozen=True):
    """One session that is behind: whose it is (an admin's has no partner), how many records it has to pull at most, how
    many bytes of what it was sent wait for it, and for how long it has taken nothing.
    """

    feed: str | None
    partner: str | None
    transport: str
    records: int
    backlog_bytes: int
    blocked_seconds: float


class SessionsLag(msgspec.Struct, frozen=True):
    """Sessions that pull from the log because they were too slow, or have just come. ``records_most`` is the most that
    one of them is behind (an upper bound, by offsets), ``blocked_seconds_most`` for how long the slowest takes nothing,
    ``furthest`` a few of them: those that take nothing first, then by how far behind they are.
    """

    behind: int
    records_most: int
    blocked_seconds_most: float
    furthest: tuple[SlowSession, ...]


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
        kept = self._hub.event_log.stats().records
        behind = [reader for reader in fanout.readers if reader.mode is Mode.BEHIND]
        # Of many that read on from the log a stuck one is the trouble, however far the others have to go.
        worst = heapq.nsmallest(_MOST_NAMED, behind, key=lambda reader: (not reader.blocked, reader.cursor))
        named = tuple(_slow(reader, max(0, min(fanout.dispatched - reader.cursor, kept)), now) for reader in worst)
        records = max((fanout.dispatched - reader.cursor for reader in behind), default=0)
        blocked = max((now - reader.blocked_since for reader in behind if reader.blocked), default=0.0)
        return SessionsLag(len(behind), max(0, min(records, kept)), blocked, named)

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


def _slow(reader: Reader, records: int, now: float) -> SlowSession:
    sink = reader.sink
    identity = sink.identity if isinstance(sink, Session) else None
    return SlowSession(
        None if identity is None else identity.feed,
        None if identity is None else identity.partner,
        reader.framing.name.rpartition(":")[2],
        records,
        sink.backlog(),
        now - reader.blocked_since if reader.blocked else 0.0,
    )


def _open_files() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0
