"""The log contract, and its duties in prose.

A log keeps events of all feeds in one order and hands each a number. Every backend has these duties; the suite in
``touchline.testing.log`` checks each of them:

1. **Durable.** ``append`` returns only when every event-lane record of the batch is on disk (or replicated). A process
   killed at any moment loses nothing that was acknowledged. State-lane records may be written with relaxed durability.
2. **All or nothing.** A batch is stored whole or not at all (with ``skip_conflicts`` the conflicting events are left
   out and listed); no reader sees a part of it.
3. **One order.** Offsets are strictly increasing in the order in which followers and readers see records, never used
   twice, below 2^53, also across crash and restart; not dense. ``seq`` counts the event lane of one stream from 1, +1.
4. **Idempotent.** The same ``source`` and ``id`` with the same type, subject and data bytes is a duplicate for as long
   as the first is retained, also within one batch and across a restart: counted, not stored. With other content it is
   a Conflict. For the state lane a bounded memory of recent ids is enough.
5. **Followers** are called on the event loop with records in offset order, each once, only after they are durable, and
   before ``append`` returns to its caller. A batch that is wholly state lane goes out at once, before it is stored,
   with the head as its offset and seq 0.
6. **Reading** never shows a record that is not durable, sees everything acknowledged before the call, and is bounded by
   ``limit``. State-lane records are stored history: they have offsets of their own and seq 0.
7. **Retention** removes from the oldest on, whole offsets ranges: ``floor`` is the highest removed offset, and a
   reading that would start below it raises PositionGone instead of leaving a gap. Documents, streams' counters,
   checkpoints and the directory stay.
8. **Epoch** is random, made with the log, and changes only when history cannot be continued.
9. **Full or broken.** When there is no room, or the disk errs, ``append`` raises LogFull or LogUnavailable, nothing of
   the batch is stored or ever shown, and appends work again by themselves when the cause is gone.
10. **Bounded.** Waiting appends are bounded in count and bytes; beyond that ``append`` raises LogUnavailable at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from touchline.model import Event, Record

MAX_PAGE: Final = 10_000
"""The most records that one read gives."""


class Appended(msgspec.Struct, frozen=True):
    """What an append did: how many were stored, how many were known, which indexes conflicted (skip_conflicts alone),
    and the head after it."""

    accepted: int
    duplicates: int
    head: int
    conflicts: tuple[int, ...] = ()


class Page(msgspec.Struct, frozen=True):
    """Records read; ``next_after`` is where to go on, ``more`` whether anything was left when the reading stopped."""

    records: tuple[Record, ...]
    next_after: int
    more: bool


class StreamInfo(msgspec.Struct, frozen=True):
    """A stream's counters: ``first_seq`` is the oldest event-lane record still kept (last_seq + 1 when none is)."""

    feed: str
    subject: str
    first_seq: int
    last_seq: int
    last_offset: int


class Checkpoint(msgspec.Struct, frozen=True):
    """A stored snapshot: the fold's encoded state, current up to ``offset``, in encoding ``version``."""

    feed: str
    subject: str
    offset: int
    version: int
    state: bytes


COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Upper bounds (seconds) by which commits are counted."""


class LogStats(msgspec.Struct, frozen=True):
    """For metrics and ``doctor``: what the log holds and how it does."""

    records: int
    size_bytes: int
    wal_bytes: int
    waiting_events: int
    waiting_bytes: int
    commits: int
    commit_seconds: float
    """all commits together"""
    last_commit_seconds: float
    checkpoint_seconds: float
    free_bytes: int | None
    commits_by_bucket: tuple[int, ...] = (0,) * (len(COMMIT_BUCKETS) + 1)
    """how many took at most each of COMMIT_BUCKETS and more than the one before; the last: longer than all"""
    trouble: str = ""
    """why the log refuses what it is to store; '' while it takes it"""


Follower = Callable[[Sequence[Record]], None]


class EventLog(Protocol):
    """See the module docstring. ``start`` first; ``close`` flushes and releases."""

    @property
    def epoch(self) -> str: ...
    @property
    def head(self) -> int:
        """The highest durable offset (0 when empty)."""

    @property
    def floor(self) -> int:
        """The highest offset that retention removed (0 when none): reading may start after it or later."""

    @property
    def directory(self) -> KeyValue: ...

    async def start(self) -> None:
        """Open, recover, migrate. Raises LogUnavailable (also when another process has the directory)."""

    async def close(self) -> None:
        """Write what was accepted, then release everything."""

    async def append(self, events: Sequence[Event], *, skip_conflicts: bool = False) -> Appended:
        """Store a batch (duties 1, 2, 4). Raises Conflict, LogFull, LogUnavailable."""

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Call ``follower`` with all that is appended from now on (duty 5); returns what ends it."""

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
        """Records with an offset above ``after``, oldest first; ``subject`` needs ``feed``. Raises PositionGone."""

    async def stream(self, feed: str, subject: str) -> StreamInfo | None:
        """The counters of a stream; None when nothing was ever appended to it. They outlive retention."""

    async def streams(self, feed: str) -> Sequence[StreamInfo]:
        """Every stream of a feed."""

    async def offset_before(self, feed: str, subject: str, seq: int) -> int:
        """The offset after which reading gives the stream's records from ``seq`` on; the head when ``seq`` is beyond
        the newest, and not below ``floor``."""

    async def offset_at(self, appended_at: int) -> int:
        """The offset after which reading gives the records appended at that time (ns) or later; not below ``floor``."""

    async def latest_state(self, feed: str, subject: str) -> Sequence[Record]:
        """The newest kept state-lane record per state key of a stream (of at least its newest 1,000)."""

    async def document(self, feed: str, event_type: str, subject: str) -> Record | None:
        """The newest record of a type that was declared a document."""

    async def documents(self, feed: str, event_type: str) -> Sequence[Record]:
        """The newest record of each subject of such a type."""

    async def load_checkpoint(self, feed: str, subject: str) -> Checkpoint | None:
        """The stored snapshot of a stream."""

    async def save_checkpoints(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Store snapshots (one never replaces a later one; at the same offset the newest stays)."""

    async def streams_to_trim(self, through: int) -> Sequence[StreamInfo]:
        """Streams with kept records at or below the offset whose checkpoint, of whatever version, is not that far: fold
        them before trimming. Whose checkpoint is of a version that is not read any more is the caller's matter."""

    async def trim(self, through: int) -> int:
        """Remove every record at or below the offset; returns how many. In bounded steps, off the append path."""

    async def trim_point(self, *, appended_before: int | None, max_bytes: int | None) -> int:
        """The offset through which retention by age (ns) and by size would remove; ``floor`` when there is nothing."""

    async def backup(self, path: str) -> None:
        """A consistent copy of log and directory into a new file, while running. Raises LogUnavailable."""

    def stats(self) -> LogStats:
        """Figures for metrics; cheap."""


class Entry(msgspec.Struct, frozen=True):
    """A value of the directory, with the revision that guards its replacement."""

    value: bytes
    revision: int


Watcher = Callable[[str, str, bytes | None], None]
"""bucket, key, value (None: deleted)"""


class KeyValue(Protocol):
    """The directory's store: small values in buckets, durable, equal on all nodes. Put returns when durable."""

    async def get(self, bucket: str, key: str) -> Entry | None:
        """The entry, or None."""

    async def list(self, bucket: str) -> Mapping[str, Entry]:
        """All entries of a bucket."""

    async def put(self, bucket: str, key: str, value: bytes, *, revision: int | None = None) -> int:
        """Write; with ``revision`` only over that one (0: only when absent). Returns the new one.

        Raises RevisionConflict.
        """

    async def put_many(self, bucket: str, values: Mapping[str, bytes]) -> None:
        """Write several whatever was there, in one transaction."""

    async def delete(self, bucket: str, key: str) -> bool:
        """Remove; whether it was there."""

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` on the event loop after every change from now on, another node's or ours (then before the
        call that made it returns); returns what ends it."""
