"""Where endpoints read: the newest records in memory, and parts of the log, both shared by all endpoints.

``Recent`` is fed by the log's follower. Whoever stands behind it reads ``Chunk``s, each of which is read once however
many stand at the same place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from touchline.delivery.courier.limits import CourierLimits, CourierStats
from touchline.log.base import EventLog
from touchline.model import EVENT_LANE, Record

_OVERHEAD_BYTES: Final = 700
_SLACK: Final = 8
"""What part of the bounds is freed at once."""

Spawn = Callable[[Callable[[], Awaitable[None]]], None]
"""Runs a coroutine function in a task that somebody owns."""

Place = tuple[str | None, str | None, int]
"""(feed, subject, offset): what of this stream, feed or everything stands after the offset."""


class Part:
    """The newest records of one feed, or of all."""

    __slots__ = ("offsets", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.offsets: list[int] = []

    def add(self, records: Sequence[Record]) -> None:
        """Take what comes next."""
        self.records += records
        self.offsets += [record.offset for record in records]

    def drop(self, floor: int) -> None:
        """Let go of everything through an offset."""
        count = bisect_right(self.offsets, floor)
        del self.records[:count], self.offsets[:count]


class Recent:
    """A window over the end of the event lane, above ``floor`` and through ``last``."""

    def __init__(self, floor: int, *, max_records: int, max_bytes: int) -> None:
        self.floor = floor
        self.last = floor
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._bytes = 0
        self._all = Part()
        self._feeds: dict[str, Part] = {}

    def add(self, records: Iterable[Record]) -> set[str]:
        """Take what was appended; the feeds of which there was something in the event lane."""
        last = self.last
        fresh = [record for record in records if record.event.lane is EVENT_LANE and record.offset > last]
        if not fresh:
            return set()
        feeds = {record.event.feed for record in fresh}
        for feed in feeds:
            part = self._feeds.get(feed)
            if part is None:
                part = self._feeds[feed] = Part()
            part.add(fresh if len(feeds) == 1 else [record for record in fresh if record.event.feed == feed])
        self._all.add(fresh)
        self.last = fresh[-1].offset
        self._bytes += sum([len(record.event.data) for record in fresh]) + _OVERHEAD_BYTES * len(fresh)
        if self._bytes > self._max_bytes or len(self._all.records) > self._max_records:
            self._shrink()
        return feeds

    def _shrink(self) -> None:
        count, most, size = 0, self._max_records - self._max_records // _SLACK, self._max_bytes * (_SLACK - 1) // _SLACK
        records = self._all.records
        while count < len(records) - 1 and (len(records) - count > most or self._bytes > size):
            self._bytes -= len(records[count].event.data) + _OVERHEAD_BYTES
            count += 1
        if count:
            self.floor = records[count - 1].offset
            self._all.drop(self.floor)
            for part in self._feeds.values():
                part.drop(self.floor)

    def after(self, feed: str | None, offset: int) -> tuple[Sequence[Record], int]:
        """The records of a feed (None: of all), and the index of the first above an offset (not below ``floor``)."""
        part = self._all if feed is None else self._feeds.get(feed)
        if part is None:
            return (), 0
        return part.records, bisect_right(part.offsets, offset)

    def has_after(self, feed: str | None, offset: int) -> bool:
        """Whether anything of a feed (None: of all) stands above an offset that is not below ``floor``."""
        part = self._all if feed is None else self._feeds.get(feed)
        return part is not None and bool(part.offsets) and part.offsets[-1] > offset


class Chunk:
    """What was read after the offset ``start``, and the offset that the reading reached."""

    __slots__ = ("reached", "records", "size_bytes", "start")

    def __init__(self, start: int, records: Sequence[Record], reached: int) -> None:
        self.start = start
        self.records = records
        self.reached = reached
        self.size_bytes = sum(len(record.event.data) + _OVERHEAD_BYTES for record in records) + _OVERHEAD_BYTES

    def after(self, offset: int) -> Sequence[Record]:
        """The records above an offset."""
        return self.records[bisect_right(self.records, offset, key=lambda record: record.offset) :]


class Chunks:
    """Reads the log; the longest unused chunks leave memory first."""

    def __init__(self, log: EventLog, limits: CourierLimits, stats: CourierStats) -> None:
        self._log = log
        self._limits = limits
        self._stats = stats
        self._bytes = 0
        self._chunks: OrderedDict[Place, Chunk] = OrderedDict()
        self._waiting: dict[Place, list[Callable[[Exception | None], None]]] = {}

    def get(self, place: Place | None, offset: int) -> Chunk | None:
        """The chunk that was read from that place, if it is there and holds what stands after the offset."""
        chunk = None if place is None else self._chunks.get(place)
        if place is None or chunk is None or not chunk.start <= offset < chunk.reached:
            return None
        self._chunks.move_to_end(place)
        return chunk

    def read(self, place: Place, spawn: Spawn, done: Callable[[Exception | None], None]) -> None:
        """Read a chunk and call ``done``, with what went wrong if anything did."""
        waiting = self._waiting.get(place)
        if waiting is not None:
            waiting.append(done)
            return
        self._waiting[place] = [done]

        async def read() -> None:
            failure: Exception | None = None
            try:
                self._put(place, await self._read(place))
            except Exception as error:  # the top of a task: nobody may wait for ever for what will not come
                failure = error
            for one in self._waiting.pop(place):
                one(failure)

        spawn(read)

    async def _read(self, place: Place) -> Chunk:
        feed, subject, after = place
        head = self._log.head
        page = await self._log.read(
            after,
            self._limits.chunk_records,
            feed=feed,
            subject=subject,
            events_only=True,
            max_bytes=self._limits.chunk_bytes,
        )
        self._stats.log_reads += 1
        return Chunk(after, page.records, page.next_after if page.more else max(page.next_after, head))

    def _put(self, place: Place, chunk: Chunk) -> None:
        old = self._chunks.pop(place, None)
        self._bytes += chunk.size_bytes - (0 if old is None else old.size_bytes)
        self._chunks[place] = chunk
        while self._bytes > self._limits.chunks_bytes and len(self._chunks) > 1:
            _, oldest = self._chunks.popitem(last=False)
            self._bytes -= oldest.size_bytes
