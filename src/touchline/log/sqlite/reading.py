"""Reading: queries on connections of their own, from a few threads, so that no reading blocks the loop or the writer.

A page comes as one row (JSON of the columns, and all data in one blob): a row stepped by itself gives up and waits
for the interpreter each time, which is slow beyond use while the loop is busy.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import apsw
import msgspec

from touchline.errors import LogUnavailable, PositionGone
from touchline.log.base import Checkpoint, Page, StreamInfo
from touchline.log.sqlite.database import as_log_error, used_bytes
from touchline.log.sqlite.queries import query
from touchline.model import NO_EXTENSIONS, Event, Lane, Record

_CHUNK: Final = 512
_FIRST_CHUNK: Final = 64
_SCAN: Final = 100_000
"""A filtered reading looks at so many offsets per step, and at no more than ten such steps; holes do not count."""
_NEWEST_STATES: Final = 2_000
_PAGE_BYTES: Final = 4096
_SIZE_STEP: Final = 500
_SIZE_STEPS: Final = 200
_CACHED_NAMES: Final = 100_000

P = ParamSpec("P")
T = TypeVar("T")


class _Row(msgspec.Struct, array_like=True, gc=False):
    offset: int
    stream: int
    lane: int
    seq: int
    type: int
    source: int
    id: str
    appended_at: int
    occurred_at: int
    received_at: int
    document: int
    time: str | None
    state_key: str | None
    extensions: dict[str, str | int | bool] | None
    size: int


_rows = msgspec.json.Decoder(list[_Row])
_stream_rows = msgspec.json.Decoder(list[tuple[str, str, int | None, int, int]])
_sizes = msgspec.json.Decoder(list[tuple[int, int]])


class Selection(msgspec.Struct, frozen=True):
    """What a reading shows."""

    feed: str | None
    subject: str | None
    types: frozenset[str] | None
    events_only: bool


class Reader:
    """The readings, over one connection; used by one thread at a time. ``last`` is the head that the caller knows:
    nothing above it is shown, because the followers have not been told of it yet.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._names: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._streams: dict[int, tuple[str, str]] = {}

    def page(self, after: int, last: int, limit: int, selection: Selection, max_bytes: int) -> Page:
        """See EventLog.read."""
        with self._snapshot():
            floor = self._meta("floor")
            if after < floor:
                raise PositionGone("expired", f"records up to {floor} have been removed by retention")
            sql, arguments = self._asked(selection)
            if sql is None:
                return Page((), last, more=False)
            whole = selection.subject is not None or (selection.feed is None and selection.types is None)
            left = last - after if whole else 10 * _SCAN
            found: list[Record] = []
            position, size, chunk = after, 0, _FIRST_CHUNK
            while position < last and left > 0:
                # A hole in the numbers, as a restore leaves one, is wider than any reading can step through.
                begin = position if whole else self._before_next(position, last)
                stop = last if whole else min(last, begin + min(left, _SCAN))
                asked = min(chunk, limit - len(found) + 1)
                records = self._records(sql, {**arguments, "after": begin, "last": stop, "limit": asked})
                for record in records:
                    size += len(record.event.data)
                    if len(found) == limit or (found and size > max_bytes):
                        return Page(tuple(found), found[-1].offset, more=True)
                    found.append(record)
                position = stop if len(records) < asked else records[-1].offset
                left -= position - begin
                if found:
                    chunk = max(1, min(_CHUNK, (max_bytes - size) * len(found) // (size or 1)))
            return Page(tuple(found), position, more=position < last)

    def latest_states(self, feed: str, subject: str, last: int) -> list[Record]:
        """See EventLog.latest_state."""
        stream = self._stream_number(feed, subject)
        if stream is None:
            return []
        return self._records(query("latest_states"), {"stream": stream, "last": last, "limit": _NEWEST_STATES})

    def documents(self, feed: str, event_type: str, subject: str | None = None) -> list[Record]:
        """See EventLog.documents."""
        number = self._number(event_type)
        if number is None:
            return []
        return self._records(query("documents"), {"feed": feed, "type": number, "subject": subject})

    def streams(self, feed: str, subject: str | None = None) -> list[StreamInfo]:
        """See EventLog.streams."""
        text = self.connection.execute(query("streams"), {"feed": feed, "subject": subject}).get
        return [_stream_info(*row) for row in _stream_rows.decode(text)]

    def streams_to_trim(self, through: int) -> list[StreamInfo]:
        """See EventLog."""
        text = self.connection.execute(query("streams_to_trim"), {"through": through}).get
        return [_stream_info(*row) for row in _stream_rows.decode(text)]

    def offset_before(self, feed: str, subject: str, seq: int, last: int) -> int:
        """See EventLog. Looks for the seq by halving the offsets: within a stream both rise together."""
        with self._snapshot():
            floor, stream = self._meta("floor"), self._stream_number(feed, subject)
            newest: tuple[int, int] | None = None if stream is None else self._get("last_event", stream)
            if stream is None or newest is None:
                info = self.streams(feed, subject)
                return floor if info and info[0].last_seq >= max(seq, 1) else max(last, floor)
            if newest[1] < seq:
                return max(last, floor)
            low, high = floor + 1, newest[0]  # the record is the first from some offset in between on
            while low < high:
                middle = (low + high) // 2
                offset, found = self._get("first_event_from", stream, middle)
                if found >= seq:
                    high = middle
                else:
                    low = offset + 1
            offset, _ = self._get("first_event_from", stream, low)
            return max(min(int(offset) - 1, last), floor)

    def offset_at(self, appended_at: int, last: int) -> int:
        """See EventLog. Halves the offsets: the times of appending rise with them."""
        with self._snapshot():
            floor = self._meta("floor")
            low, high = floor + 1, last + 1
            while low < high:
                middle = (low + high) // 2
                row = self._get("first_from", middle)
                if row is None or row[0] > last or row[1] >= appended_at:
                    high = middle
                else:
                    low = row[0] + 1
            row = self._get("first_from", low)
            return max(last if row is None or row[0] > last else int(row[0]) - 1, floor)

    def trim_point(self, appended_before: int | None, max_bytes: int | None, last: int) -> int:
        """See EventLog."""
        with self._snapshot():
            point = floor = self._meta("floor")
            if appended_before is not None:
                point = self.offset_at(appended_before, last)
            excess = 0 if max_bytes is None else used_bytes(self.connection) - max_bytes
            if excess > 0:
                point = max(point, self._after_bytes(floor, excess, last))
            removed = self._get("last_through", min(point, last))
            return max(floor, removed or 0)

    def _after_bytes(self, floor: int, wanted: int, last: int) -> int:
        position = floor
        for _ in range(_SIZE_STEPS):
            rows = _sizes.decode(self.connection.execute(query("sizes"), (position, _SIZE_STEP)).get)
            for offset, size in rows:
                if offset > last:
                    return position
                position = offset
                wanted -= _space(size)
                if wanted <= 0:
                    return position
            if not rows:
                break
        return position

    def checkpoint(self, feed: str, subject: str) -> Checkpoint | None:
        """See EventLog.load_checkpoint."""
        row = self._get("load_checkpoint", feed, subject)
        return None if row is None else Checkpoint(feed, subject, *row)

    def _before_next(self, position: int, last: int) -> int:
        """The offset before the next record that there is; ``last`` when there is none up to it."""
        row = self._get("first_from", position + 1)
        return last if row is None else min(int(row[0]) - 1, last)

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """All queries within see the file as of one commit: the floor belongs to the rows."""
        with self.connection:
            yield

    def _records(self, sql: str, arguments: dict[str, Any]) -> list[Record]:
        text, data = self.connection.execute(sql, arguments).get
        if len(self._names) + len(self._streams) > _CACHED_NAMES:
            self._names.clear()
            self._streams.clear()
        found, start = [], 0
        for row in _rows.decode(text):
            end = start + row.size
            feed, subject = self._streams.get(row.stream) or self._stream_key(row.stream)
            event = Event(
                feed,
                self._names.get(row.type) or self._name(row.type),
                subject,
                self._names.get(row.source) or self._name(row.source),
                row.id,
                data[start:end],
                row.occurred_at,
                row.received_at,
                row.time,
                Lane.STATE if row.lane else Lane.EVENT,
                row.state_key or "",
                bool(row.document),
                row.extensions or NO_EXTENSIONS,
            )
            found.append(Record(row.offset, row.seq, row.appended_at, event))
            start = end
        return found

    def _asked(self, selection: Selection) -> tuple[str | None, dict[str, Any]]:
        types = None
        if selection.types is not None:
            numbers = [number for name in selection.types if (number := self._number(name)) is not None]
            if not numbers:
                return None, {}
            types = msgspec.json.encode(numbers).decode()
        arguments: dict[str, Any] = {"types": types, "events_only": int(selection.events_only)}
        if selection.subject is None or selection.feed is None:
            return query("page"), {**arguments, "feed": selection.feed}
        stream = self._stream_number(selection.feed, selection.subject)
        return (None, {}) if stream is None else (query("stream_page"), {**arguments, "stream": stream})

    def _stream_number(self, feed: str, subject: str) -> int | None:
        row = self._get("find_stream", feed, subject)
        return None if row is None else row[0]

    def _number(self, name: str) -> int | None:
        number = self._numbers.get(name)
        if number is None:
            number = self.connection.execute(query("find_name"), (name,)).get
            if number is not None and len(self._numbers) < _CACHED_NAMES:
                self._numbers[name] = number
        return number

    def _name(self, number: int) -> str:
        name: str = self.connection.execute(query("name_of"), (number,)).get
        self._names[number] = name
        return name

    def _stream_key(self, number: int) -> tuple[str, str]:
        key: tuple[str, str] = self.connection.execute(query("stream_of"), (number,)).get
        self._streams[number] = key
        return key

    def _meta(self, name: str) -> int:
        value: int = self.connection.execute(query("get_meta"), (name,)).get
        return value

    def _get(self, name: str, *arguments: int | str) -> Any:
        return self.connection.execute(query(name), arguments).get


def _space(size: int) -> int:
    """About what a record of so many bytes takes of the file's pages: rather too much, so that retention takes
    rather too little at a time.
    """
    per_page = _PAGE_BYTES // (size + 8)
    return _PAGE_BYTES // per_page if per_page else (size // _PAGE_BYTES + 2) * _PAGE_BYTES


def _stream_info(feed: str, subject: str, first: int | None, last: int, last_offset: int) -> StreamInfo:
    return StreamInfo(feed, subject, last + 1 if first is None else first, last, last_offset)


class Readers:
    """A few threads with a connection each."""

    def __init__(self, connect: Callable[[], apsw.Connection], threads: int) -> None:
        self._connect = connect
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._free: queue.LifoQueue[Reader] = queue.LifoQueue()

    def start(self) -> None:
        """Open the connections."""
        for _ in range(self._threads):
            self._free.put(Reader(self._connect()))
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="touchline-log-reader")

    async def run(self, reading: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a reading. Raises what it raises, and LogUnavailable."""
        if self._pool is None:
            raise LogUnavailable("the log is not open")

        def work() -> T:
            reader = self._free.get()
            try:
                return reading(reader, *args, **kwargs)
            except (apsw.Error, OSError) as error:
                raise as_log_error(error) from error
            finally:
                self._free.put(reader)

        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def stop(self) -> None:
        """Let the readings end, then close."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
        while not self._free.empty():
            self._free.get().connection.close(True)
