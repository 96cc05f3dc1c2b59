"""The log and the directory's store in memory: the contract in its shortest form, for tests and nothing durable."""

from __future__ import annotations

import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from touchline.clock import Clock
from touchline.errors import Conflict, LogUnavailable, PositionGone, RevisionConflict
from touchline.log.base import (
    MAX_PAGE,
    Appended,
    Checkpoint,
    Entry,
    Follower,
    LogStats,
    Page,
    StreamInfo,
    Watcher,
)
from touchline.log.dedupe import RECENT_IDS, Content, Key, RecentIds, brief_content, content, sift
from touchline.log.followers import Followers
from touchline.model import Event, Lane, Record

_WAITING_EVENTS: Final = 100_000
_WAITING_BYTES: Final = 128 * 1024 * 1024


class MemoryKeyValue:
    """``touchline.log.base.KeyValue`` in a dict."""

    def __init__(self) -> None:
        self._buckets: dict[str, dict[str, Entry]] = {}
        self._revision = 0
        self._watchers: Followers[[str, str, bytes | None]] = Followers()

    async def get(self, bucket: str, key: str) -> Entry | None:
        """The entry, or None."""
        return self._buckets.get(bucket, {}).get(key)

    async def list(self, bucket: str) -> Mapping[str, Entry]:
        """All entries of a bucket."""
        return dict(self._buckets.get(bucket, {}))

    async def put(self, bucket: str, key: str, value: bytes, *, revision: int | None = None) -> int:
        """Write; returns the new revision. Raises RevisionConflict."""
        entry = self._buckets.get(bucket, {}).get(key)
        if revision is not None and revision != (0 if entry is None else entry.revision):
            raise RevisionConflict(f"{bucket}/{key} was written by somebody else; read it again")
        return self._put(bucket, key, value)

    async def put_many(self, bucket: str, values: Mapping[str, bytes]) -> None:
        """Write several whatever was there."""
        for key, value in values.items():
            self._put(bucket, key, value)

    async def delete(self, bucket: str, key: str) -> bool:
        """Remove; whether it was there."""
        if self._buckets.get(bucket, {}).pop(key, None) is None:
            return False
        self._watchers.call(bucket, key, None)
        return True

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` after every change from now on; returns what ends it."""
        return self._watchers.add(watcher)

    def _put(self, bucket: str, key: str, value: bytes) -> int:
        self._revision += 1
        self._buckets.setdefault(bucket, {})[key] = Entry(value, self._revision)
        self._watchers.call(bucket, key, value)
        return self._revision


class _Stream:
    def __init__(self) -> None:
        self.last_seq = 0
        self.last_offset = 0


class MemoryLog:
    """``touchline.log.base.EventLog`` in lists. ``backup`` is refused: there is nothing durable to copy."""

    def __init__(
        self, clock: Clock, *, waiting_events: int = _WAITING_EVENTS, waiting_bytes: int = _WAITING_BYTES
    ) -> None:
        self._clock = clock
        self._waiting_events = waiting_events
        self._waiting_bytes = waiting_bytes
        self._directory = MemoryKeyValue()
        self._open = False
        self._epoch = ""
        self._records: list[Record] = []
        self._offsets: list[int] = []
        self._head = 0
        self._floor = 0
        self._appended_at = 0
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._known: dict[Key, Content] = {}
        self._recent = RecentIds(RECENT_IDS)
        self._documents: dict[tuple[str, str, str], Record] = {}
        self._checkpoints: dict[tuple[str, str], Checkpoint] = {}
        self._followers: Followers[[Sequence[Record]]] = Followers()
        self._commits = 0

    @property
    def epoch(self) -> str:
        """See EventLog."""
        return self._epoch

    @property
    def head(self) -> int:
        """See EventLog."""
        return self._head

    @property
    def floor(self) -> int:
        """See EventLog."""
        return self._floor

    @property
    def directory(self) -> MemoryKeyValue:
        """The directory's store."""
        return self._directory

    async def start(self) -> None:
        """Let appends in."""
        self._epoch = self._epoch or secrets.token_hex(8)
        self._open = True

    async def close(self) -> None:
        """Refuse appends; what is there stays readable, and ``start`` goes on with it."""
        self._open = False

    async def append(self, events: Sequence[Event], *, skip_conflicts: bool = False) -> Appended:
        """Store a batch. Raises Conflict, LogUnavailable."""
        if not self._open:
            raise LogUnavailable("the log is closed")
        if len(events) > self._waiting_events or sum(len(event.data) for event in events) > self._waiting_bytes:
            raise LogUnavailable("too much waits to be written; repeat later, and in smaller batches")
        if not events:
            return Appended(0, 0, self._head)
        lanes = [event.lane for event in events]
        recent = sift(
            events, [i for i, lane in enumerate(lanes) if lane is Lane.STATE], self._recent.get, brief_content
        )
        known = sift(events, [i for i, lane in enumerate(lanes) if lane is Lane.EVENT], self._known.get, content)
        conflicts = tuple(sorted(recent.conflicts + known.conflicts))
        if conflicts and not skip_conflicts:
            raise Conflict(conflicts)
        self._recent.remember(recent.seen)
        self._known.update(known.seen)
        fresh = sorted(recent.fresh + known.fresh)
        at_once = Lane.EVENT not in lanes
        head, now = self._head, self._clock.wall_ns()
        stored = [self._store(events[index]) for index in fresh]
        if stored:
            self._commits += 1
            if at_once:
                stored = [Record(head, 0, now, record.event) for record in stored]
            self._followers.call(stored)
        duplicates = len(recent.duplicates) + len(known.duplicates)
        return Appended(len(fresh), duplicates, head if at_once else self._head, conflicts)

    def _store(self, event: Event) -> Record:
        self._head += 1
        self._appended_at = max(self._clock.wall_ns(), self._appended_at + 1)
        stream = self._streams.setdefault((event.feed, event.subject), _Stream())
        stream.last_offset = self._head
        if event.lane is Lane.EVENT:
            stream.last_seq += 1
        seq = stream.last_seq if event.lane is Lane.EVENT else 0
        record = Record(self._head, seq, self._appended_at, event)
        self._records.append(record)
        self._offsets.append(record.offset)
        if event.document:
            self._documents[event.feed, event.type, event.subject] = record
        return record

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Call ``follower`` with all that is appended from now on; returns what ends it."""
        return self._followers.add(follower)

    async def read(
        self,
        after: int,
        limit: int,
        *,
        feed: str | None = None,
        subject: str | None = None,
        types: frozenset[str] | None = None,
        events_only: bool = False,
        max_bytes: int = 8 * 1024 * 1024,
    ) -> Page:
        """Records above ``after``, oldest first. Raises PositionGone."""
        if after < self._floor:
            raise PositionGone("expired", f"records up to {self._floor} have been removed by retention")
        if after > self._head:
            raise PositionGone("ahead", f"there is nothing after {self._head} yet")
        limit, size = max(1, min(limit, MAX_PAGE)), 0
        found: list[Record] = []
        for record in self._records[bisect_right(self._offsets, after) :]:
            event = record.event
            if (
                (feed is not None and event.feed != feed)
                or (feed is not None and subject is not None and event.subject != subject)
                or (types is not None and event.type not in types)
                or (events_only and event.lane is Lane.STATE)
            ):
                continue
            size += len(event.data)
            if len(found) == limit or (found and size > max_bytes):
                return Page(tuple(found), found[-1].offset, more=True)
            found.append(record)
        return Page(tuple(found), self._head, more=False)

    async def stream(self, feed: str, subject: str) -> StreamInfo | None:
        """See EventLog."""
        stream = self._streams.get((feed, subject))
        if stream is None:
            return None
        kept = [r.seq for r in self._records if r.seq and r.stream == (feed, subject)]
        return StreamInfo(feed, subject, kept[0] if kept else stream.last_seq + 1, stream.last_seq, stream.last_offset)

    async def streams(self, feed: str) -> Sequence[StreamInfo]:
        """See EventLog."""
        found = [await self.stream(*key) for key in self._streams if key[0] == feed]
        return [info for info in found if info is not None]

    async def offset_before(self, feed: str, subject: str, seq: int) -> int:
        """See EventLog."""
        stream = self._streams.get((feed, subject))
        if stream is None or stream.last_seq < max(seq, 1):
            return self._head
        for record in self._records:
            if record.seq >= max(seq, 1) and record.stream == (feed, subject):
                return max(record.offset - 1, self._floor)
        return self._floor

    async def offset_at(self, appended_at: int) -> int:
        """See EventLog."""
        index = bisect_left(self._records, appended_at, key=lambda record: record.appended_at)
        return max(self._floor, self._offsets[index] - 1 if index < len(self._offsets) else self._head)

    async def latest_state(self, feed: str, subject: str) -> Sequence[Record]:
        """See EventLog."""
        latest = {
            (record.event.type, record.event.state_key): record
            for record in self._records
            if record.event.lane is Lane.STATE and record.stream == (feed, subject)
        }
        return sorted(latest.values(), key=lambda record: record.offset)

    async def document(self, feed: str, event_type: str, subject: str) -> Record | None:
        """See EventLog."""
        return self._documents.get((feed, event_type, subject))

    async def documents(self, feed: str, event_type: str) -> Sequence[Record]:
        """See EventLog."""
        found = [record for key, record in self._documents.items() if key[:2] == (feed, event_type)]
        return sorted(found, key=lambda record: record.offset)

    async def load_checkpoint(self, feed: str, subject: str) -> Checkpoint | None:
        """See EventLog."""
        return self._checkpoints.get((feed, subject))

    async def save_checkpoints(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See EventLog."""
        for checkpoint in checkpoints:
            key = (checkpoint.feed, checkpoint.subject)
            if key not in self._checkpoints or self._checkpoints[key].offset <= checkpoint.offset:
                self._checkpoints[key] = checkpoint

    async def streams_to_trim(self, through: int) -> Sequence[StreamInfo]:
        """See EventLog."""
        keys = {
            record.stream: None
            for record in self._records
            if record.offset <= through
            and ((saved := self._checkpoints.get(record.stream)) is None or record.offset > saved.offset)
        }
        found = [await self.stream(*key) for key in keys]
        return [info for info in found if info is not None]

    async def trim(self, through: int) -> int:
        """See EventLog."""
        count = bisect_right(self._offsets, through)
        if count:
            self._floor = self._offsets[count - 1]
            for record in self._records[:count]:
                if record.event.lane is Lane.EVENT:
                    del self._known[record.event.source, record.event.id]
            del self._records[:count], self._offsets[:count]
        return count

    async def trim_point(self, *, appended_before: int | None, max_bytes: int | None) -> int:
        """See EventLog. The size is that of the data alone."""
        point = self._floor
        if appended_before is not None:
            point = max(point, await self.offset_at(appended_before))
        excess = 0 if max_bytes is None else sum(len(r.event.data) for r in self._records) - max_bytes
        for record in self._records:
            if excess <= 0:
                break
            excess -= len(record.event.data)
            point = max(point, record.offset)
        index = bisect_right(self._offsets, point)
        return self._offsets[index - 1] if index else self._floor

    async def backup(self, path: str) -> None:
        """Refused."""
        raise LogUnavailable(f"a log in memory cannot be copied to {path}")

    def stats(self) -> LogStats:
        """See EventLog."""
        size = sum(len(record.event.data) for record in self._records)
        return LogStats(len(self._records), size, 0, 0, 0, self._commits, 0.0, 0.0, 0.0, None)
