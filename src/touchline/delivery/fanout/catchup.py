"""Catching up: whose turn it is to pull, and reading the log for those for whom the tail does not reach back.

``Turns`` shares the event loop between the readers that are behind and everybody else. ``Readings`` reads the log in
chunks, each once however many readers stand at the same place; readings of one stream end where others' begin, so that
readers that resume at different records soon share.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from touchline.clock import Clock
from touchline.delivery.fanout.limits import FanoutLimits, FanoutStats
from touchline.delivery.fanout.reader import Mode, Reader
from touchline.delivery.fanout.tail import Chunk, Chunks, aligned
from touchline.errors import PositionGone
from touchline.feeds.base import EndReason
from touchline.log.base import EventLog

_log: Final = logging.getLogger(__name__)

_ALIGN: Final = 256
_TURN_SECONDS: Final = 0.004
"""How long the catch-up may hold the event loop before live records get their turn."""

Spawn = Callable[[Callable[[], Awaitable[None]]], None]
"""Runs a coroutine function in a task that somebody owns."""

CallSoon = Callable[[Callable[[], None]], object]
"""Calls a function in the next round of the event loop."""

Place = tuple[str | None, str | None, int]
"""(feed, subject, offset): read what of this stream, feed or everything stands after the offset."""


class Turns:
    """Calls ``pull`` for each waiting reader, for a few milliseconds at a time."""

    def __init__(
        self, clock: Clock, call_soon: Callable[[Callable[[], None]], object], pull: Callable[[Reader], None]
    ) -> None:
        self._clock = clock
        self._call_soon = call_soon
        self._pull = pull
        self._waiting: list[Reader] = []
        self._called = False

    def add(self, reader: Reader) -> None:
        """The reader wants a turn; once is enough."""
        if not reader.queued:
            reader.queued = True
            self._waiting.append(reader)
            self._call()

    def _call(self) -> None:
        if not self._called:
            self._called = True
            self._call_soon(self._run)

    def _run(self) -> None:
        self._called = False
        deadline = self._clock.monotonic() + _TURN_SECONDS
        waiting, self._waiting = self._waiting, []
        for index, reader in enumerate(waiting):
            reader.queued = False
            self._pull(reader)
            if self._clock.monotonic() > deadline:
                self._waiting = waiting[index + 1 :] + self._waiting
                break
        if self._waiting:
            self._call()


class Readings:
    """Chunks of the log by the place where they begin. ``ready`` is told of each waiting reader whose chunk came,
    ``failed`` of each for whom there will be none.
    """

    def __init__(
        self,
        log: EventLog,
        spawn: Spawn,
        limits: FanoutLimits,
        stats: FanoutStats,
        ready: Callable[[Reader], None],
        failed: Callable[[Reader, EndReason], None],
    ) -> None:
        self._log = log
        self._spawn = spawn
        self._limits = limits
        self._stats = stats
        self._ready = ready
        self._failed = failed
        self._chunks = Chunks(limits.chunks_bytes)
        self._waiting: dict[Place, list[Reader]] = {}

    def chunk(self, reader: Reader, feed: str | None, subject: str | None) -> Chunk | None:
        """The chunk in which the reader stands; None when it must be read first, which is begun."""
        chunk = None if reader.chunk is None else self._chunks.get(reader.chunk)
        if chunk is None or not chunk.start <= reader.cursor < chunk.reached:
            reader.chunk = place = (feed, subject, reader.cursor)
            chunk = self._chunks.get(place)
            if chunk is None:
                self._begin(reader, place)
        return chunk

    def _begin(self, reader: Reader, place: Place) -> None:
        waiting = self._waiting.get(place)
        if waiting is not None:
            waiting.append(reader)
            return
        self._waiting[place] = [reader]

        async def read() -> None:
            ended: EndReason | None = None
            try:
                self._chunks.put(place, await self._read(place))
                self._stats.chunk_reads += 1
            except PositionGone:
                ended = EndReason.GAP
            except Exception:  # the top of a task: nobody may wait for ever for what will not come
                _log.exception("a catch-up reading failed")
                ended = EndReason.FAULT
            for waiter in self._waiting.pop(place):
                if waiter.mode is not Mode.BEHIND:
                    continue
                if ended is None:
                    self._ready(waiter)
                else:
                    self._failed(waiter, ended)

        self._spawn(read)

    async def _read(self, place: Place) -> Chunk:
        feed, subject, after = place
        head = self._log.head
        limits = self._limits
        page = await self._log.read(
            after, limits.chunk_records, feed=feed, subject=subject, events_only=True, max_bytes=limits.chunk_bytes
        )
        records, reached = page.records, page.next_after
        if page.more and subject is not None and records:
            records = records[: aligned(records, _ALIGN)]
            reached = records[-1].offset
        elif not page.more:
            # Nothing else was there when the reading began, however quiet the stream is.
            reached = max(reached, head)
        return Chunk(after, records, reached)
