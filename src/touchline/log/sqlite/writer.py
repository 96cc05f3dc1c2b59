"""The one thread that writes: drains the queue of waiting jobs into one commit after another.

A group of batches becomes one transaction, so that its fsync is shared. A batch that conflicts fails alone; an error
of the disk fails the group, and the next group starts from what is really on disk.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import apsw
import msgspec

from touchline.clock import Clock
from touchline.errors import LogError, LogUnavailable, TouchlineError
from touchline.log.base import COMMIT_BUCKETS, Appended
from touchline.log.sqlite.appending import RESERVE, Append, Counters, Plan
from touchline.log.sqlite.database import as_log_error, connect_writer, migrate, used_bytes
from touchline.log.sqlite.queries import query
from touchline.log.sqlite.trouble import Trouble
from touchline.model import Record

_logger = logging.getLogger(__name__)

_GROUP_EVENTS: Final = 5_000
_GROUP_BYTES: Final = 8 * 1024 * 1024
_COUNT_EVERY: Final = 100_000
_PAGE_AND_HEADER: Final = 4096 + 24

_FAULTS_OF_ONE: Final = (apsw.ConstraintError, apsw.TooBigError, TypeError, ValueError, OverflowError)
"""A value that cannot be stored (a lone surrogate, a number beyond 64 bits): the fault of one job, not of the disk."""

T = TypeVar("T")


class Call(Generic[T]):
    """Another change than an append: ``run`` is called inside the transaction, ``done`` on the loop before the future
    resolves. ``alone``: in a transaction of its own; ``outside``: in none. ``durable``: its commit must be synced.
    """

    __slots__ = ("alone", "done", "durable", "future", "outside", "run")

    def __init__(
        self,
        run: Callable[[apsw.Connection, Counters], T],
        future: asyncio.Future[T] | None,
        *,
        done: Callable[[T], None] | None = None,
        durable: bool = True,
        alone: bool = False,
        outside: bool = False,
    ) -> None:
        self.run = run
        self.future = future
        self.done = done
        self.durable = durable
        self.alone = alone or outside
        self.outside = outside


Job = Append | Call[Any]


class Outcome(msgspec.Struct):
    """What a group came to; handed to the loop. ``records`` are for the followers, ``size`` is no longer waiting."""

    results: list[tuple[Job, Any]]
    records: list[Record]
    head: int
    floor: int
    events: int
    size: int


class WriterFigures(msgspec.Struct):
    """What the thread counts; read by others, written by it alone."""

    commits: int = 0
    commit_seconds: float = 0.0
    last_commit_seconds: float = 0.0
    records: int = 0
    used_bytes: int = 0
    wal_bytes: int = 0
    by_bucket: list[int] = msgspec.field(default_factory=lambda: [0] * (len(COMMIT_BUCKETS) + 1))


class Writer:
    """See the module docstring. ``deliver`` is called on the writer's thread with each outcome, in order."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        deliver: Callable[[Outcome], None],
        on_wal: Callable[[int], None],
        vfs: str | None = None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._deliver = deliver
        self._on_wal = on_wal
        self._vfs = vfs
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._put_back: Job | None = None
        self._connection: apsw.Connection | None = None
        self._counters = Counters()
        self._synced = True
        self._wrote = False
        self._counted = 0
        self._thread = threading.Thread(target=self._run, name="touchline-log-writer", daemon=True)
        self.figures = WriterFigures()
        self.trouble = Trouble(clock)

    def open(self) -> Counters:
        """Open, migrate and read the counters, on the caller's thread."""
        self._open()
        return self._counters

    def epoch(self, new: str) -> str:
        """The epoch of the file; ``new`` for one that was just made."""
        connection = self._connection_now()
        with connection:  # also shows whether it can be written at all
            epoch: str = connection.execute(query("get_meta"), ("epoch",)).get or new
            connection.execute(query("set_meta"), ("epoch", epoch))
        return epoch

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; the bound is the caller's to keep."""
        self._jobs.put(job)

    def stop(self) -> None:
        """Work off what waits, then end; ``join`` waits for that."""
        self._jobs.put(None)

    def join(self) -> None:
        """Wait for the end of the thread."""
        if self._thread.is_alive():
            self._thread.join()

    def discard(self) -> None:
        """Close without the thread, when the start failed."""
        self._drop_connection()

    def _run(self) -> None:
        while True:
            first = self._put_back or self._jobs.get()
            self._put_back = None
            if first is None:
                break
            group = self._gather(first)
            try:
                self._process(group)
            except Exception as error:  # top of the thread: whatever it is, the callers must hear of it and it goes on
                _logger.exception("the log's writer met an unexpected error")
                self._drop_connection()
                self._fail(group, LogUnavailable(f"the log's writer failed: {error}"))
        self._finish()

    def _gather(self, first: Job) -> list[Job]:
        group, events, size = [first], 0, 0
        if isinstance(first, Call) and first.alone:
            return group
        job: Job | None = first
        while events < _GROUP_EVENTS and size < _GROUP_BYTES:
            if isinstance(job, Append):
                events += len(job.events)
                size += job.size
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            if isinstance(job, Call) and job.alone:
                self._put_back = job
                break
            group.append(job)
        return group

    def _process(self, group: list[Job]) -> None:
        try:
            if self._connection is None:
                self._reopen()
            try:
                outcome = self._commit(group, checked=_is_in_conflict(group))
            except apsw.ConstraintError:
                outcome = self._commit(group, checked=True)
        except _FAULTS_OF_ONE as error:
            if len(group) > 1:
                return self._one_by_one(group)
            return self._fail(group, LogUnavailable(f"an event cannot be stored: {error}"))
        except (apsw.Error, OSError, LogError) as error:
            return self._broken(group, error)
        if self.trouble.text and self._wrote:
            self.trouble.stored(_newly_stored(outcome))
        self._deliver(outcome)
        return None

    def _one_by_one(self, group: list[Job]) -> None:
        for job in group:
            self._process([job])

    def _commit(self, group: list[Job], *, checked: bool) -> Outcome:
        connection = self._connection_now()
        self._wrote = False
        first = group[0]
        if isinstance(first, Call) and first.outside:
            return self._outcome(group, [(first, self._call(connection, first))], [])
        appends = [job for job in group if isinstance(job, Append)]
        calls = [job for job in group if isinstance(job, Call)]
        plan = Plan(connection, self._counters, self._clock.wall_ns())
        relaxed = all(job.relaxed for job in appends) and not any(call.durable for call in calls)
        begun = self._clock.monotonic()
        # An unsynced commit may give out only numbers that are set aside durably; else this one is synced and sets
        # the next ones aside.
        reserve = relaxed and self._counters.head + sum(len(job.events) for job in appends) > self._counters.reserved
        self._sync_commits(connection, not relaxed or reserve)
        reserved = self._counters.reserved
        results: list[tuple[Job, Any]] = []
        saved = self._counters.floor, self._counters.records
        connection.execute("BEGIN IMMEDIATE")
        try:
            (plan.add_checked if checked else plan.add)(appends)
            plan.write()
            if reserve:
                reserved = plan.head + RESERVE
                connection.execute(query("set_meta"), ("reserved", reserved))
            results += plan.results
            for call in calls:
                results.append((call, self._call(connection, call)))
            self._count_now_and_then(connection, plan)
            connection.execute("COMMIT")
        except BaseException:
            plan.undo()
            self._counters.floor, self._counters.records = saved
            self._roll_back(connection)
            raise
        plan.committed()
        self._counters.reserved = reserved
        self._measure(connection, begun, sum(job.size for job in appends))
        return self._outcome(group, results, plan.records)

    def _call(self, connection: apsw.Connection, call: Call[Any]) -> Any:
        """The result of a call, or its own error (which changes nothing). Errors of the database are the group's."""
        if call.outside:
            return call.run(connection, self._counters)
        try:
            with connection:  # a savepoint
                return call.run(connection, self._counters)
        except TouchlineError as error:
            return error

    def _count_now_and_then(self, connection: apsw.Connection, plan: Plan) -> None:
        records = self._counters.records + plan.count
        if abs(records - self._counted) >= _COUNT_EVERY:
            self._write_count(connection, records, plan.head)

    def _write_count(self, connection: apsw.Connection, records: int, through: int) -> None:
        connection.execute(query("set_meta"), ("counted", records))
        connection.execute(query("set_meta"), ("counted_through", through))
        self._counted = records

    def _outcome(self, group: Sequence[Job], results: list[tuple[Job, Any]], records: list[Record]) -> Outcome:
        appends = [job for job in group if isinstance(job, Append)]
        return Outcome(
            results,
            records,
            self._counters.head,
            self._counters.floor,
            sum(len(job.events) for job in appends),
            sum(job.size for job in appends),
        )

    def _measure(self, connection: apsw.Connection, begun: float, size: int) -> None:
        figures = self.figures
        figures.last_commit_seconds = self._clock.monotonic() - begun
        figures.commit_seconds += figures.last_commit_seconds
        figures.by_bucket[bisect_left(COMMIT_BUCKETS, figures.last_commit_seconds)] += 1
        figures.commits += 1
        figures.records = self._counters.records
        figures.used_bytes += size  # a guess that is put right every so often, and whenever retention has worked
        if not size or figures.commits % 16 == 0:
            figures.used_bytes = used_bytes(connection)

    def _broken(self, group: list[Job], error: Exception) -> None:
        self.trouble.refused(error, sum(job.size for job in group if isinstance(job, Append)))
        if not isinstance(error, (apsw.FullError, apsw.BusyError)):
            # After an error of the disk nothing that this connection remembers is to be trusted.
            self._drop_connection()
        self._fail(group, as_log_error(error))

    def _fail(self, group: Sequence[Job], error: Exception) -> None:
        self._deliver(self._outcome(group, [(job, error) for job in group], []))

    def _roll_back(self, connection: apsw.Connection) -> None:
        if not connection.get_autocommit():
            try:
                connection.execute("ROLLBACK")
            except apsw.Error:
                self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close(True)
            except apsw.Error:
                _logger.warning("closing the log's connection failed")

    def _connection_now(self) -> apsw.Connection:
        if self._connection is None:
            raise LogUnavailable("the log is not open")
        return self._connection

    def _open(self) -> None:
        connection = self._connection = connect_writer(self._path, self._vfs)
        connection.set_wal_hook(self._wal_grew)
        migrate(connection)
        self._counters.load(connection)
        self._counted = self._counters.records
        self._synced = True
        self.figures.records = self._counters.records
        self.figures.used_bytes = used_bytes(connection)

    def _reopen(self) -> None:
        """A new connection, and a synced commit at once: it overwrites in the WAL what a failed sync may have left
        there, before a crash could bring it back.
        """
        head, floor = self._counters.head, self._counters.floor
        try:
            self._open()
            connection = self._connection_now()
            with connection:
                connection.execute(
                    query("set_meta"), ("repaired", connection.execute(query("get_meta"), ("repaired",)).get + 1)
                )
        except BaseException:
            self._drop_connection()
            self._counters.head, self._counters.floor = head, floor
            raise
        self._counters.head = max(self._counters.head, head)

    def _sync_commits(self, connection: apsw.Connection, synced: bool) -> None:
        if synced is not self._synced:
            connection.pragma("synchronous", "full" if synced else "normal")
            self._synced = synced

    def _wal_grew(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._wrote = True
        self.figures.wal_bytes = pages * _PAGE_AND_HEADER
        self._on_wal(pages * _PAGE_AND_HEADER)
        return apsw.SQLITE_OK

    def _finish(self) -> None:
        """A clean end: no number needs to stay set aside."""
        try:
            connection = self._connection_now()
            self._sync_commits(connection, True)
            with connection:
                connection.execute(query("set_meta"), ("reserved", self._counters.head))
                self._write_count(connection, self._counters.records, self._counters.head)
            connection.set_wal_hook(None)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except (apsw.Error, LogError):
            _logger.warning("the log was not closed cleanly; the next start recovers it")
        self._drop_connection()


def _is_in_conflict(group: Sequence[Job]) -> bool:
    """Whether a batch is refused for its state-lane events already; then every index that conflicts is looked for."""
    return any(isinstance(job, Append) and job.conflicts and not job.skip_conflicts for job in group)


def _newly_stored(outcome: Outcome) -> int:
    """Bytes that needed room: what was known already is taken at its share of its batch."""
    return sum(
        job.size * result.accepted // len(job.events)
        for job, result in outcome.results
        if isinstance(job, Append) and isinstance(result, Appended)
    )
