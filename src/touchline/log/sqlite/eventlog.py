"""The embedded log: the loop's side of it. Bounds what waits, hands jobs to the writer, and tells followers and callers
what came of them, in the writer's order.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import apsw
import msgspec

from touchline.clock import Clock
from touchline.errors import Conflict, LogError, LogUnavailable, PositionGone
from touchline.log.base import MAX_PAGE, Appended, Checkpoint, Follower, LogStats, Page, StreamInfo
from touchline.log.dedupe import RECENT_IDS, RecentIds, brief_content, sift
from touchline.log.followers import Followers
from touchline.log.sqlite import changes, copying, database
from touchline.log.sqlite.appending import Append, Counters
from touchline.log.sqlite.checkpointing import Checkpointer
from touchline.log.sqlite.keyvalue import SqliteKeyValue
from touchline.log.sqlite.reading import Reader, Readers, Selection
from touchline.log.sqlite.writer import Call, Job, Outcome, Writer, WriterFigures
from touchline.model import STATE_LANE, Event, Record

_logger = logging.getLogger(__name__)

_EVENT_BYTES: Final = 200
"""What an event costs in memory beside its data, about."""

T = TypeVar("T")


class Limits(msgspec.Struct, frozen=True):
    """The bounds of the embedded log: of what waits to be written (duty 10), of the WAL, of a step of retention."""

    waiting_events: int = 100_000
    waiting_bytes: int = 128 * 1024 * 1024
    recent_ids: int = RECENT_IDS
    reader_threads: int = 2
    trim_rows: int = 2_000
    checkpoint_bytes: int = 16 * 1024 * 1024
    wal_bytes: int = 64 * 1024 * 1024


class SqliteLog:
    """The contract of ``touchline.log.base.EventLog`` in one SQLite file, ``hub.db`` in ``path``.

    An acknowledged event-lane batch is on disk: its commit runs with synchronous=FULL, which syncs the WAL before
    COMMIT returns. Commits that hold nothing but state-lane records are not synced.
    """

    def __init__(self, path: Path, clock: Clock, limits: Limits = Limits(), *, vfs: str | None = None) -> None:  # noqa: B008 - frozen
        self._directory_path = path
        self._path = path / database.DATABASE
        self._clock = clock
        self._limits = limits
        self._vfs = vfs
        self._lock = database.DirectoryLock(path)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: Writer | None = None
        self._checkpointer: Checkpointer | None = None
        self._readers = Readers(lambda: database.connect_reader(self._path, vfs), limits.reader_threads)
        self._followers: Followers[[Sequence[Record]]] = Followers()
        self._recent = RecentIds(limits.recent_ids)
        self._epoch = ""
        self._head = 0
        self._floor = 0
        self._waiting_events = 0
        self._waiting_bytes = 0
        self._not_handed: list[Job] = []
        self._unsettled: set[asyncio.Future[Appended]] = set()
        self._key_value = SqliteKeyValue(self._readers, self._write)

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
    def directory(self) -> SqliteKeyValue:
        """The directory's store, in the same file."""
        return self._key_value

    async def start(self) -> None:
        """Open, recover, migrate. Raises LogUnavailable."""
        self._loop = asyncio.get_running_loop()
        try:
            counters = await asyncio.to_thread(self._open)
        except (apsw.Error, OSError, LogError) as error:
            await asyncio.to_thread(self._release)
            raise database.as_log_error(error) from error
        self._head, self._floor = counters.head, counters.floor

    async def close(self) -> None:
        """Write what was accepted, then release everything. Appends that come later raise LogUnavailable."""
        self._hand_over()
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if self._checkpointer is not None:
            await asyncio.to_thread(self._checkpointer.stop)
        await asyncio.to_thread(self._readers.stop)
        writer.stop()
        await asyncio.to_thread(writer.join)
        await asyncio.sleep(0)  # what the writer delivered last stands in the loop's queue before us
        self._release()

    def _open(self) -> Counters:
        database.prepare_directory(self._directory_path)
        self._lock.acquire()
        database.prepare_file(self._path)
        checkpointer = Checkpointer(
            self._path,
            self._clock,
            self._between_commits,
            step_bytes=self._limits.checkpoint_bytes,
            bound_bytes=self._limits.wal_bytes,
            vfs=self._vfs,
        )
        writer = Writer(self._path, self._clock, self._deliver, checkpointer.wal_grew, self._vfs)
        self._writer = writer
        counters = writer.open()
        self._epoch = writer.epoch(secrets.token_hex(8))
        self._readers.start()
        checkpointer.start()
        self._checkpointer = checkpointer
        writer.start()
        return counters

    def _release(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.discard()
        self._readers.stop()
        self._lock.release()

    async def append(self, events: Sequence[Event], *, skip_conflicts: bool = False) -> Appended:
        """Store a batch. Raises Conflict, LogFull, LogUnavailable."""
        if self._writer is None:
            raise LogUnavailable("the log is closed")
        if not events:
            return Appended(0, 0, self._head)
        size = sum([len(event.data) for event in events]) + _EVENT_BYTES * len(events)
        self._check_room(len(events), size)
        job = Append(events, skip_conflicts, size, None)
        states = [index for index, event in enumerate(events) if event.lane is STATE_LANE]
        if states:
            found = sift(events, states, self._recent.get, brief_content)
            job.duplicates = frozenset(found.duplicates)
            job.conflicts = frozenset(found.conflicts)
            job.seen = found.seen
            if len(states) == len(events):
                return self._append_states(job, found.fresh)
            if not job.conflicts or skip_conflicts:
                self._recent.remember(found.seen)
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        job.future = future
        self._submit(job)
        return await future

    def _append_states(self, job: Append, fresh: Sequence[int]) -> Appended:
        """A batch that is wholly state lane goes out at once and is stored as history, without being waited for."""
        if job.conflicts and not job.skip_conflicts:
            raise Conflict(sorted(job.conflicts))
        self._recent.remember(job.seen)
        appended = Appended(len(fresh), len(job.duplicates), self._head, tuple(sorted(job.conflicts)))
        if fresh:
            now, head = self._clock.wall_ns(), self._head
            job.events = [job.events[index] for index in fresh]
            job.duplicates = job.conflicts = frozenset()
            job.relaxed = True
            job.future = asyncio.get_running_loop().create_future()
            self._unsettled.add(job.future)
            self._submit(job)
            self._followers.call([Record(head, 0, now, event) for event in job.events])
        return appended

    def _check_room(self, events: int, size: int) -> None:
        limits = self._limits
        if self._waiting_events + events > limits.waiting_events or self._waiting_bytes + size > limits.waiting_bytes:
            raise LogUnavailable("too much waits to be written; repeat later, and in smaller batches")

    def _submit(self, job: Append) -> None:
        self._waiting_events += len(job.events)
        self._waiting_bytes += job.size
        self._hand(job)

    def _hand(self, job: Job) -> None:
        """Give the writer a job, together with all others of this turn of the loop: each time that it is woken up,
        the two threads wait for each other, and a commit that begins with the first job is not shared by the rest.
        """
        if not self._not_handed:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._not_handed.append(job)

    def _hand_over(self) -> None:
        jobs, self._not_handed = self._not_handed, []
        if self._writer is not None:
            for job in jobs:
                self._writer.submit(job)

    def _deliver(self, outcome: Outcome) -> None:
        """On the writer's thread."""
        loop = self._loop
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._delivered, outcome)
        except RuntimeError:  # the loop was closed without closing the log: nobody is left to be told
            _logger.warning("the loop has ended before the log was closed")

    def _delivered(self, outcome: Outcome) -> None:
        self._waiting_events -= outcome.events
        self._waiting_bytes -= outcome.size
        self._head = max(self._head, outcome.head)
        self._floor = max(self._floor, outcome.floor)
        if outcome.records:
            self._followers.call(outcome.records)
        for job, result in outcome.results:
            failed = isinstance(result, Exception)
            if isinstance(job, Append):
                if failed and not job.relaxed:
                    self._recent.forget(job.seen)
                if job.relaxed and job.future is not None:
                    self._unsettled.discard(job.future)
                    job.future.set_result(Appended(0, 0, self._head))  # a lost history was logged by the writer
                    continue
            elif job.done is not None and not failed:
                job.done(result)
            future = job.future
            if future is None or future.done():
                continue
            if failed:
                future.set_exception(result)
            else:
                future.set_result(result)

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Call ``follower`` with all that is appended from now on; returns what ends it."""
        return self._followers.add(follower)

    async def _write(
        self,
        run: Callable[[apsw.Connection, Counters], T],
        done: Callable[[T], None] | None = None,
        *,
        durable: bool = True,
        alone: bool = False,
    ) -> T:
        """The result of another change, by the same writer."""
        if self._writer is None:
            raise LogUnavailable("the log is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._hand(Call(run, future, done=done, durable=durable, alone=alone))
        return await future

    def _between_commits(self, run: Callable[[], None]) -> None:
        """On the checkpoints' thread."""
        writer = self._writer
        if writer is None:
            return run()
        return writer.submit(Call(lambda _connection, _counters: run(), None, outside=True))

    async def _settled(self) -> int:
        """Wait for the state-lane records that were accepted up to now; returns the head with them."""
        if self._unsettled:
            await asyncio.wait(self._unsettled)
        return self._head

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
        head = await self._settled()
        if after < self._floor:
            raise PositionGone("expired", f"records up to {self._floor} have been removed by retention")
        if after > head:
            raise PositionGone("ahead", f"there is nothing after {head} yet")
        if after == head:
            return Page((), head, more=False)
        selection = Selection(feed, subject, types, events_only)
        return await self._readers.run(Reader.page, after, head, max(1, min(limit, MAX_PAGE)), selection, max_bytes)

    async def stream(self, feed: str, subject: str) -> StreamInfo | None:
        """See EventLog."""
        await self._settled()
        found = await self._readers.run(Reader.streams, feed, subject)
        return found[0] if found else None

    async def streams(self, feed: str) -> Sequence[StreamInfo]:
        """See EventLog."""
        await self._settled()
        return await self._readers.run(Reader.streams, feed)

    async def offset_before(self, feed: str, subject: str, seq: int) -> int:
        """See EventLog."""
        return await self._readers.run(Reader.offset_before, feed, subject, seq, self._head)

    async def offset_at(self, appended_at: int) -> int:
        """See EventLog."""
        return await self._readers.run(Reader.offset_at, appended_at, self._head)

    async def latest_state(self, feed: str, subject: str) -> Sequence[Record]:
        """See EventLog."""
        return await self._readers.run(Reader.latest_states, feed, subject, await self._settled())

    async def document(self, feed: str, event_type: str, subject: str) -> Record | None:
        """See EventLog."""
        found = await self._readers.run(Reader.documents, feed, event_type, subject)
        return found[0] if found else None

    async def documents(self, feed: str, event_type: str) -> Sequence[Record]:
        """See EventLog."""
        return await self._readers.run(Reader.documents, feed, event_type)

    async def load_checkpoint(self, feed: str, subject: str) -> Checkpoint | None:
        """See EventLog."""
        return await self._readers.run(Reader.checkpoint, feed, subject)

    async def save_checkpoints(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See EventLog. Not synced: a retention that relies on it comes later in the same WAL, and is."""
        await self._write(lambda connection, _: changes.save_checkpoints(connection, checkpoints), durable=False)

    async def streams_to_trim(self, through: int) -> Sequence[StreamInfo]:
        """See EventLog."""
        return await self._readers.run(Reader.streams_to_trim, through)

    async def trim(self, through: int) -> int:
        """See EventLog."""
        rows, removed = self._limits.trim_rows, 0
        while True:
            step = await self._write(lambda c, counters: changes.trim_step(c, counters, through, rows), alone=True)
            removed += step
            if step < rows:
                return removed

    async def trim_point(self, *, appended_before: int | None, max_bytes: int | None) -> int:
        """See EventLog. By size it is an estimate, a little at a time; ask again after trimming."""
        return await self._readers.run(Reader.trim_point, appended_before, max_bytes, self._head)

    async def backup(self, path: str) -> None:
        """See EventLog. The target must not exist. Cancelled, it stops soon and leaves nothing."""
        stopped = threading.Event()
        try:
            await asyncio.to_thread(
                copying.backup, self._path, Path(path), self._clock.wall_ns(), stopped.is_set, self._vfs
            )
        finally:
            stopped.set()

    def _figures(self) -> WriterFigures:
        return WriterFigures() if self._writer is None else self._writer.figures

    def stats(self) -> LogStats:
        """See EventLog."""
        figures = self._figures()
        try:
            free: int | None = shutil.disk_usage(self._directory_path).free
        except OSError:
            free = None
        return LogStats(
            records=figures.records,
            size_bytes=figures.used_bytes,
            wal_bytes=figures.wal_bytes,
            waiting_events=self._waiting_events,
            waiting_bytes=self._waiting_bytes,
            commits=figures.commits,
            commit_seconds=figures.commit_seconds,
            last_commit_seconds=figures.last_commit_seconds,
            checkpoint_seconds=0.0 if self._checkpointer is None else self._checkpointer.seconds,
            free_bytes=free,
            commits_by_bucket=tuple(figures.by_bucket),
            trouble="" if self._writer is None else self._writer.trouble.text,
        )
