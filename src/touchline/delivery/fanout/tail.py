"""The newest records in memory, so that a session that is a little behind needs no disk, and each ready frame is made
once.

Bounded by count and by bytes, those of the ready frames included; ``floor`` is the highest offset that is no longer
here. Owns no decision about sessions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator, Sequence
from typing import Final

import msgspec

from touchline.model import Lane, Record

_OVERHEAD_BYTES: Final = 700
"""What a record costs here beside its data: objects, indexes, one frame header (measured roughly)."""

_FRAME_OVERHEAD_BYTES: Final = 150
"""What a frame costs beside its bytes: the object, and its place in the entry."""

_SLACK: Final = 64
"""What part of the bounds is freed at once."""


class Weight:
    """How many bytes are held somewhere, and in the whole that this is a part of. It knows nothing of what is held, so
    that nothing goes round in circles."""

    __slots__ = ("size_bytes", "whole")

    def __init__(self, size_bytes: int = 0) -> None:
        self.size_bytes = size_bytes
        self.whole: Weight | None = None

    def add(self, size_bytes: int) -> None:
        """So much more; less when it is negative."""
        self.size_bytes += size_bytes
        if self.whole is not None:
            self.whole.size_bytes += size_bytes


class Entry(msgspec.Struct, eq=False, gc=False):
    """A record with the frames that were made of it, by (framing, variant); most are never asked for any."""

    record: Record
    weight: Weight | None = None
    """Of where it is kept; None for one that is only passed through."""
    frames: dict[Hashable, bytes | None] | None = None

    def keep(self, key: Hashable, frame: bytes | None) -> None:
        """A frame was made of the record (or it is known that there is none)."""
        if self.frames is None:
            self.frames = {}
        self.frames[key] = frame
        if self.weight is not None:
            self.weight.add(_frame_bytes(frame))

    def size_bytes(self) -> int:
        """What it costs, roughly."""
        frames = 0 if self.frames is None else sum(map(_frame_bytes, self.frames.values()))
        return len(self.record.event.data) + _OVERHEAD_BYTES + frames


class Tail:
    """A window over the end of the event lane, from ``floor`` (exclusive) to the last record added."""

    def __init__(self, floor: int, *, max_records: int, max_bytes: int) -> None:
        self.floor = floor
        self.last = floor
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._weight = Weight()
        self._entries: deque[Entry] = deque()
        self._streams: dict[tuple[str, str], deque[Entry]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """What the window holds, roughly."""
        return self._weight.size_bytes

    def add(self, record: Record) -> Entry:
        """Take the next record of the event lane; older ones leave when the bounds say so."""
        entry = Entry(record, self._weight)
        event = record.event
        self._entries.append(entry)
        stream = self._streams.get((event.feed, event.subject))
        if stream is None:
            stream = self._streams[(event.feed, event.subject)] = deque()
        stream.append(entry)
        self._weight.size_bytes += len(event.data) + _OVERHEAD_BYTES
        self.last = record.offset
        if self._weight.size_bytes > self._max_bytes or len(self._entries) > self._max_records:
            self._shrink()
        return entry

    def _shrink(self) -> None:
        """Drop the oldest, a little more than must be, so that this is not done at every record."""
        records = self._max_records - self._max_records // _SLACK
        size = self._max_bytes - self._max_bytes // _SLACK
        entries, streams, held = self._entries, self._streams, self._weight.size_bytes
        record: Record | None = None
        while len(entries) > records or (held > size and len(entries) > 1):
            entry = entries.popleft()
            record, event = entry.record, entry.record.event
            held -= entry.size_bytes()
            entry.weight = None  # a batch that is under way may hold it still
            key = (event.feed, event.subject)
            stream = streams[key]
            stream.popleft()
            if not stream:
                del streams[key]
        self._weight.size_bytes = held
        if record is not None:
            self.floor = record.offset

    def after(self, offset: int, feed: str | None, subject: str | None) -> Iterator[Entry]:
        """The entries above an offset (not below ``floor``), of one stream or of all, oldest first."""
        if feed is not None and subject is not None:
            entries: Sequence[Entry] = self._streams.get((feed, subject), ())
        else:
            entries = self._entries
        # A deque gives its ends quickly and its middle slowly: nearly all askers are near the end.
        if entries and entries[0].record.offset <= offset:
            newest_first: list[Entry] = []
            for entry in reversed(entries):
                if entry.record.offset <= offset:
                    break
                newest_first.append(entry)
            yield from reversed(newest_first)
        else:
            yield from list(entries)


class Chunks:
    """Recently read parts of the log, shared by the sessions that read the same stream from the same place."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._weight = Weight()
        self._chunks: OrderedDict[Hashable, Chunk] = OrderedDict()

    def get(self, key: Hashable) -> Chunk | None:
        """The chunk of that key, now the last to leave."""
        chunk = self._chunks.get(key)
        if chunk is not None:
            self._chunks.move_to_end(key)
        return chunk

    def put(self, key: Hashable, chunk: Chunk) -> None:
        """Keep a chunk; the longest unused leave."""
        if (replaced := self._chunks.pop(key, None)) is not None:
            self._let_go(replaced)
        self._chunks[key] = chunk
        chunk.weight.whole = self._weight
        self._weight.add(chunk.weight.size_bytes)
        while self._weight.size_bytes > self._max_bytes and len(self._chunks) > 1:
            _, oldest = self._chunks.popitem(last=False)
            self._let_go(oldest)

    def _let_go(self, chunk: Chunk) -> None:
        self._weight.add(-chunk.weight.size_bytes)
        chunk.weight.whole = None  # whoever reads it still may make frames of it


class Chunk:
    """Entries read after the offset ``start``, and the offset that the reading reached."""

    __slots__ = ("entries", "reached", "start", "weight")

    def __init__(self, start: int, records: Sequence[Record], reached: int) -> None:
        self.start = start
        self.weight = Weight(sum(len(record.event.data) + _OVERHEAD_BYTES for record in records) + _OVERHEAD_BYTES)
        self.entries = [Entry(record, self.weight) for record in records]
        self.reached = reached


def _frame_bytes(frame: bytes | None) -> int:
    return _FRAME_OVERHEAD_BYTES + (0 if frame is None else len(frame))


def aligned(records: Sequence[Record], every: int) -> int:
    """How many of a stream's records to take so that the next reading begins where others begin too: up to the last one
    whose seq is a multiple of ``every``; all of them when there is none.
    """
    seqs = [record.seq for record in records]
    for count in range(len(seqs), 0, -1):
        if seqs[count - 1] % every == 0 and records[count - 1].event.lane is Lane.EVENT:
            return count
    return len(records)


def position_in(entries: Sequence[Entry], offset: int) -> int:
    """The index of the first entry above an offset."""
    return bisect_right(entries, offset, key=lambda entry: entry.record.offset)
