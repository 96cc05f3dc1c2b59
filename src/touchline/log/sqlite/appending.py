"""Turning batches of events into rows: numbers, interned names, duplicates. Runs on the writer's thread, inside its
transaction; knows nothing of threads, queues or commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

import apsw
import msgspec

from touchline.errors import Conflict
from touchline.log.base import Appended
from touchline.log.dedupe import Content, Key, sift
from touchline.log.sqlite.queries import for_rows, query, steps
from touchline.model import EVENT_LANE, STATE_LANE, Event, Record

_COLUMNS: Final = 15
_CACHED_NAMES: Final = 100_000
RESERVE: Final = 65_536
"""So many offsets are set aside at once for commits that are not synced."""

Value = int | str | bytes | None


class Append(msgspec.Struct, eq=False):
    """A batch that waits. ``left_out`` are state-lane events that were sifted out before: known, or in conflict."""

    events: Sequence[Event]
    skip_conflicts: bool
    size: int
    future: asyncio.Future[Appended] | None
    duplicates: frozenset[int] = frozenset()
    conflicts: frozenset[int] = frozenset()
    seen: dict[Key, Content] = {}
    relaxed: bool = False
    """wholly state lane: it went out already, its commit need not be synced"""


class _Stream:
    __slots__ = ("last_seq", "number")

    def __init__(self, number: int, last_seq: int) -> None:
        self.number = number
        self.last_seq = last_seq


class Counters:
    """The durable numbers, as the writer knows them, with a cache of streams and names. ``load`` reads them anew."""

    def __init__(self) -> None:
        self.head = 0
        self.floor = 0
        self.reserved = 0
        self.appended_at = 0
        self.records = 0
        self.first_seq = 1
        self.next_stream = 1
        self.next_name = 1
        self.streams: dict[tuple[str, str], _Stream] = {}
        self.names: dict[str, int] = {}

    def load(self, connection: apsw.Connection) -> None:
        """Forget what is cached and read what is on disk."""
        self.streams.clear()
        self.names.clear()
        meta = {name: connection.execute(query("get_meta"), (name,)).get for name in _COUNTERS}
        offset, appended_at = connection.execute(query("last_record")).get or (0, 0)
        self.floor = meta["floor"]
        self.reserved = meta["reserved"]
        # What an unsynced commit has given out may be lost, but its numbers are never used again.
        self.head = max(offset, self.floor, self.reserved)
        self.appended_at = max(appended_at, self.appended_at)
        self.records = meta["counted"] + connection.execute(query("count_after"), (meta["counted_through"],)).get
        self.first_seq = meta["first_seq"]
        self.next_stream, self.next_name = connection.execute(query("next_ids")).get

    def name(self, connection: apsw.Connection, name: str) -> int | None:
        """The number of a type or source, or None."""
        number = self.names.get(name)
        if number is None:
            number = connection.execute(query("find_name"), (name,)).get
            if number is not None:
                self.names[name] = number
        return number


_COUNTERS: Final = ("floor", "reserved", "counted", "counted_through", "first_seq")


class Plan:
    """The rows that a group of batches becomes. Changes ``counters``' caches as it goes; ``undo`` takes that back."""

    def __init__(self, connection: apsw.Connection, counters: Counters, now: int) -> None:
        self._connection = connection
        self._counters = counters
        self._before: dict[_Stream, int] = {}
        self._new_streams: dict[tuple[str, str], _Stream] = {}
        self._new_names: dict[str, int] = {}
        self._rows: list[Value] = []
        self._documents: list[Value] = []
        self._relaxed = 0
        self.records: list[Record] = []
        self.results: list[tuple[Append, Appended | Exception]] = []
        self.head = counters.head
        self.appended_at = max(now - 1, counters.appended_at)
        self.count = 0
        if len(counters.streams) + len(counters.names) > _CACHED_NAMES:
            counters.streams.clear()
            counters.names.clear()

    @property
    def only_relaxed(self) -> bool:
        """Whether every row may be lost with the machine's power."""
        return self._relaxed == self.count

    def add(self, jobs: Iterable[Append]) -> None:
        """Take every event as fresh, except the state-lane ones sifted out before. The unique index checks it."""
        for job in jobs:
            left_out = job.duplicates | job.conflicts
            fresh = [i for i in range(len(job.events)) if i not in left_out] if left_out else range(len(job.events))
            self._add(job, fresh)
            self._settle(job, len(fresh), len(job.duplicates), job.conflicts)

    def add_checked(self, jobs: Sequence[Append]) -> None:
        """Look for each event-lane event among the stored ones, and take what is fresh."""
        seen = self._find([event for job in jobs for event in job.events if event.lane is EVENT_LANE])
        for job in jobs:
            left_out = job.duplicates | job.conflicts
            states = [i for i, e in enumerate(job.events) if e.lane is STATE_LANE and i not in left_out]
            found = sift(job.events, [i for i, e in enumerate(job.events) if e.lane is EVENT_LANE], seen.get)
            conflicts = job.conflicts.union(found.conflicts)
            if conflicts and not job.skip_conflicts:
                self.results.append((job, Conflict(sorted(conflicts))))
                continue
            seen.update(found.seen)
            fresh = sorted(found.fresh + states)
            self._add(job, fresh)
            self._settle(job, len(fresh), len(found.duplicates) + len(job.duplicates), conflicts)

    def write(self) -> None:
        """Insert the rows. Raises apsw.ConstraintError when one is not fresh."""
        if self._new_streams:
            first = self._counters.first_seq - 1
            rows = [(stream.number, *key, first, 0) for key, stream in self._new_streams.items()]
            self._insert("insert_streams", 5, [value for row in rows for value in row])
        if self._new_names:
            self._insert("insert_names", 2, [v for name, number in self._new_names.items() for v in (number, name)])
        self._insert("insert_records", _COLUMNS, self._rows)
        self._insert("set_documents", 3, self._documents)

    def undo(self) -> None:
        """Nothing of this was committed."""
        for stream, last_seq in self._before.items():
            stream.last_seq = last_seq
        for key in self._new_streams:
            self._counters.streams.pop(key, None)
        for name in self._new_names:
            self._counters.names.pop(name, None)

    def committed(self) -> None:
        """All of it was."""
        self._counters.head = self.head
        self._counters.appended_at = self.appended_at
        self._counters.records += self.count

    def _settle(self, job: Append, accepted: int, duplicates: int, conflicts: frozenset[int]) -> None:
        self.results.append((job, Appended(accepted, duplicates, self.head, tuple(sorted(conflicts)))))
        if job.relaxed:
            self._relaxed += accepted

    def _add(self, job: Append, indexes: Iterable[int]) -> None:
        streams, names, before = self._counters.streams, self._counters.names, self._before
        offset, appended_at = self.head, self.appended_at
        rows, records, shown = self._rows, self.records, not job.relaxed
        events = job.events
        for index in indexes:
            event = events[index]
            offset += 1
            appended_at += 1
            stream = streams.get((event.feed, event.subject)) or self._stream(event.feed, event.subject)
            if event.lane is EVENT_LANE:
                if stream not in before:
                    before[stream] = stream.last_seq
                seq = stream.last_seq = stream.last_seq + 1
                lane = 0
            else:
                seq, lane = 0, 1
            kind = names.get(event.type) or self._name(event.type)
            source = names.get(event.source) or self._name(event.source)
            extensions = msgspec.json.encode(event.extensions).decode() if event.extensions else None
            rows += (offset, stream.number, lane, seq, kind, source, event.id)
            rows += (appended_at, event.occurred_at, event.received_at, 1 if event.document else 0)
            rows += (event.time, event.state_key or None, extensions, event.data)
            if event.document:
                self._documents += (kind, stream.number, offset)
            if shown:
                records.append(Record(offset, seq, appended_at, event))
        self.count += offset - self.head
        self.head, self.appended_at = offset, appended_at

    def _stream(self, feed: str, subject: str) -> _Stream:
        key = (feed, subject)
        found = self._connection.execute(query("find_stream"), key).get
        if found is not None:
            number, last_seq = found
            stream = _Stream(
                number, max(last_seq, self._connection.execute(query("last_kept_seq"), (number,)).get or 0)
            )
        else:
            stream = self._new_streams[key] = _Stream(self._counters.next_stream, self._counters.first_seq - 1)
            self._counters.next_stream += 1
        self._counters.streams[key] = stream
        return stream

    def _name(self, name: str) -> int:
        number = self._counters.name(self._connection, name)
        if number is None:
            number = self._counters.names[name] = self._new_names[name] = self._counters.next_name
            self._counters.next_name += 1
        return number

    def _find(self, events: Sequence[Event]) -> dict[Key, Content]:
        """Those of the events' keys that are stored, with what is stored."""
        asked: list[Value] = []
        for source, id_ in {(event.source, event.id) for event in events}:
            number = self._counters.name(self._connection, source)
            if number is not None:
                asked += (number, id_)
        found: dict[Key, Content] = {}
        start = 0
        for size in steps(len(asked) // 2):
            sql, end = for_rows("find_ids", size), start + 2 * size
            for source, id_, kind, subject, data in self._connection.execute(sql, asked[start:end]):
                found[self._text(source), id_] = (self._text(kind), subject, data)
            start = end
        return found

    def _text(self, number: int) -> str:
        name: str = self._connection.execute(query("name_of"), (number,)).get
        return name

    def _insert(self, name: str, width: int, values: list[Value]) -> None:
        start = 0
        for size in steps(len(values) // width):
            end = start + width * size
            self._connection.execute(for_rows(name, size), values[start:end])
            start = end
