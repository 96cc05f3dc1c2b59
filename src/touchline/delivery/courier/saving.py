"""Makes durable where endpoints stand: dead letters first, then cursors, many endpoints in one write, one at a time.

What it writes is what a new process goes on from. An answer that no written cursor covers yet is repeated after a
crash, so those are bounded per endpoint (``CourierLimits.undurable``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from touchline.clock import Clock
from touchline.delivery.courier.backlog import Item, Lane, Saved
from touchline.delivery.courier.letters import Letter, Letters
from touchline.delivery.courier.limits import CourierLimits, CourierStats
from touchline.delivery.courier.line import Line
from touchline.delivery.courier.messages import message_id
from touchline.delivery.courier.recent import Spawn
from touchline.delivery.courier.report import DeadLetter
from touchline.log.base import EventLog

_log: Final = logging.getLogger(__name__)

CURSORS: Final = "cursors"
_RETRY_SECONDS: Final = 1.0


class Saver:
    """See the module docstring. ``ready`` is told of lines that can go on, ``later`` calls after some seconds."""

    def __init__(
        self,
        log: EventLog,
        letters: Letters,
        clock: Clock,
        spawn: Spawn,
        later: Callable[[float, Callable[[], None]], object],
        limits: CourierLimits,
        stats: CourierStats,
        ready: Callable[[Line], None],
    ) -> None:
        self._log = log
        self._kv = log.directory
        self._letters = letters
        self._clock = clock
        self._spawn = spawn
        self._later = later
        self._limits = limits
        self._stats = stats
        self._ready = ready
        self._encoder = msgspec.json.Encoder()
        self._dirty: dict[Line, None] = {}
        self._waiting = False
        self._writing = False
        self._one_at_a_time = asyncio.Lock()

    async def load(self) -> dict[str, Saved]:
        """What is stored, by endpoint."""
        found: dict[str, Saved] = {}
        for key, entry in (await self._kv.list(CURSORS)).items():
            try:
                found[key] = msgspec.json.decode(entry.value, type=Saved)
            except msgspec.MsgspecError:
                _log.error("a stored cursor cannot be read; the endpoint begins where it was made",
                           extra={"endpoint": key})  # fmt: skip
        return found

    def mark(self, line: Line, *, urgent: bool = False) -> None:
        """Write where a line stands, soon; at once when it is ``urgent``."""
        self._dirty[line] = None
        if self._writing or (self._waiting and not urgent):
            return
        if urgent:
            self._begin()
        else:
            self._waiting = True
            self._later(self._limits.save_seconds, self._due)

    def _due(self) -> None:
        if self._waiting:
            self._begin()

    def _begin(self) -> None:
        self._waiting = False
        if not self._writing and self._dirty:
            self._writing = True
            self._spawn(self._write)

    async def _write(self) -> None:
        failed = False
        try:
            await self.flush()
        except Exception:  # the top of a task: what could not be written is written later
            _log.exception("the courier's cursors cannot be written")
            failed = True
        finally:
            self._writing = False
        if self._dirty and not self._waiting:
            self._waiting = True
            self._later(_RETRY_SECONDS if failed else self._limits.save_seconds, self._due)

    async def flush(self) -> None:
        """Write everything that is marked now. Raises LogError, and what was marked stays so."""
        async with self._one_at_a_time:
            await self._flush()

    async def _flush(self) -> None:
        lines, self._dirty = [line for line in self._dirty if not line.removed], {}
        try:
            for line in lines:
                await self._write_letters(line)
            await self._write_cursors([line for line in lines if not line.removed])
        except BaseException:
            for line in lines:
                self._dirty[line] = None
            raise
        for line in lines:
            self._ready(line)

    async def _write_letters(self, line: Line) -> None:
        if line.undead:
            undead, line.undead = line.undead, []
            try:
                await self._letters.delete(line.endpoint.id, undead)
            except BaseException:
                line.undead += undead
                raise
        burying = list(line.burying)
        if not burying:
            return
        now = self._clock.wall_ns()
        await self._letters.put(line.endpoint.id, [self._letter(line, item, why, now) for _, item, why in burying])
        del line.burying[: len(burying)]
        if line.removed:  # it was removed while this was written: leave nothing behind
            await self._letters.clear(line.endpoint.id)
            return
        for lane, item, why in burying:
            self._buried(line, lane, item, why)

    def _buried(self, line: Line, lane: Lane, item: Item, why: str) -> None:
        record = item.record
        line.dead.add(record.offset)
        self._stats.dead_lettered += 1
        about = {"endpoint": line.endpoint.id, "offset": record.offset, "type": record.event.type, "reason": why}
        _log.warning("a record went to the dead letters of an endpoint", extra=about)
        line.backlog.done(lane)
        self._dirty[line] = None

    @staticmethod
    def _letter(line: Line, item: Item, why: str, now: int) -> Letter:
        record, event = item.record, item.record.event
        name = message_id(line.endpoint.id, record.offset)
        about = DeadLetter(
            record.offset, record.seq, event.feed, event.type, event.subject, event.source, event.id, name,
            record.appended_at, now, item.attempts, item.status, why,
        )  # fmt: skip
        return Letter(about, record)

    async def _write_cursors(self, lines: list[Line]) -> None:
        if not lines:
            return
        wall, now, epoch = self._clock.wall_ns(), self._clock.monotonic(), self._log.epoch
        values: dict[str, bytes] = {}
        covered: list[tuple[Line, int, int]] = []
        for line in lines:
            saved = line.snapshot(epoch, wall, now)
            values[line.endpoint.id] = self._encoder.encode(saved)
            covered.append((line, line.unsaved, saved.cursor))
            self._dirty.pop(line, None)
        await self._kv.put_many(CURSORS, values)
        self._stats.cursor_writes += len(values)
        for line, unsaved, cursor in covered:
            line.unsaved -= unsaved
            line.saved_cursor = cursor
            if line.removed:
                await self.forget(line.endpoint.id)

    async def forget(self, endpoint_id: str) -> None:
        """Leave nothing of an endpoint: the cursor last, as by it a new process knows that something is left."""
        await self._letters.clear(endpoint_id)
        await self._kv.delete(CURSORS, endpoint_id)
