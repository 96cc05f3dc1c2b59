"""Folded states of streams: loaded when somebody asks, kept current while in memory, checkpointed for later.

A state is its checkpoint plus the records after it. While it is in memory every record of its stream is folded in
before the record goes out to sessions, so that whoever is pushed something finds it in REST too. Checkpoints are
written now and then, for every stream whose records retention is about to remove, and before a state leaves memory that
has more of the state lane than they have. Those of another version of the fold are replaced as ``SnapshotFold.version``
says, all of them before retention removes anything in this process.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from touchline.clock import Clock
from touchline.feeds.base import Feed, Instant, SnapshotFold, Upgrading
from touchline.log.base import Checkpoint, EventLog
from touchline.model import EVENT_LANE, Record

_log: Final = logging.getLogger(__name__)

_PAGE: Final = 1000
_CHECKPOINT_SECONDS: Final = 10.0
_BATCH: Final = 50
"""Checkpoints that are written at once."""
_QUIET_SECONDS: Final = 600.0
"""A state that nobody asked for and nothing came for leaves memory: what is there follows the games being played."""


class _Loaded:
    """A state in memory; ``offset`` is the last event-lane record in it, ``waiting`` what came while it was loading,
    ``derived`` the id of what was last derived per type and key: the same again is not sent again. ``is_used``: it
    was asked for, followed or changed since ``quiet_since``. ``has_moved``: by the state lane, since it was loaded or
    written; that is no reason to write it now, but the log may not give all of it again. ``is_hollow``: nothing of its
    stream is left but a checkpoint that this version cannot read, which is to stay."""

    __slots__ = (
        "changed", "derived", "dirty", "has_moved", "is_hollow", "is_used", "offset", "quiet_since", "state", "waiting",
    )  # fmt: skip

    def __init__(self, state: Any, offset: int) -> None:
        self.state = state
        self.offset = offset
        self.dirty = False
        self.changed = True
        self.is_used = True
        self.has_moved = False
        self.is_hollow = False
        self.quiet_since = 0.0
        self.derived: dict[tuple[str, str], str] = {}
        self.waiting: list[Record] | None = []


class Snapshots:
    """The states of all feeds that fold. Implements ``feeds.base.SnapshotPort``."""

    def __init__(self, log: EventLog, feeds: Mapping[str, Feed], clock: Clock, *, max_loaded: int = 2000) -> None:
        self._log = log
        self._folds: dict[str, SnapshotFold[Any]] = {
            name: feed.snapshot for name, feed in feeds.items() if feed.snapshot is not None
        }
        self._clock = clock
        self._max_loaded = max_loaded
        self._loaded: OrderedDict[tuple[str, str], _Loaded] = OrderedDict()
        self._loading: dict[tuple[str, str], asyncio.Task[_Loaded | None]] = {}
        self._checkpointed_at = 0.0
        self._all_of_our_version = False
        self._lacking: set[tuple[str, str]] = set()
        """streams whose state lacks what only a checkpoint of another version has: each is told of once"""

    @property
    def lacking(self) -> int:
        """How many streams' states were found, since the start, to lack what only a checkpoint of another version has.
        All are known once retention has had something to remove."""
        return len(self._lacking)

    def fold(self, feed: str) -> SnapshotFold[Any] | None:
        """The fold of a feed, if it has one."""
        return self._folds.get(feed)

    async def state(self, feed: str, subject: str) -> Any | None:
        """The state of a stream, current up to the last acknowledged record; None when nothing is known of it."""
        if feed not in self._folds:
            return None
        stream = (feed, subject)
        loaded = self._loaded.get(stream)
        if loaded is None or loaded.waiting is not None:
            loaded = await asyncio.shield(self._loading.get(stream) or self._start_loading(stream))
            if loaded is None:
                return None
        if stream in self._loaded:
            self._loaded.move_to_end(stream)
        loaded.is_used = True
        return loaded.state

    async def view(self, feed: str, subject: str) -> bytes | None:
        """The state of a stream as JSON text."""
        state = await self.state(feed, subject)
        return None if state is None else self._folds[feed].view(state)

    def _start_loading(self, stream: tuple[str, str]) -> asyncio.Task[_Loaded | None]:
        def done(task: asyncio.Task[_Loaded | None]) -> None:
            self._loading.pop(stream, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("a stream could not be folded", extra={"stream": stream}, exc_info=error)

        task = self._loading[stream] = asyncio.create_task(self._load(*stream))
        task.add_done_callback(done)
        return task

    async def _load(self, feed: str, subject: str) -> _Loaded | None:
        fold = self._folds[feed]
        checkpoint = await self._log.load_checkpoint(feed, subject)
        loaded = _restored(fold, subject, checkpoint)
        is_other = checkpoint is not None and checkpoint.version != fold.version
        anew = checkpoint if is_other and loaded.offset == 0 else None
        # What comes waits from here on, before the log is read: else it might be in neither.
        self._loaded[(feed, subject)] = loaded
        try:
            states = await self._log.latest_state(feed, subject)
            if not states and await self._log.stream(feed, subject) is None and not loaded.waiting:
                del self._loaded[feed, subject]
                return None
            after = max(loaded.offset, self._log.floor)
            more = True
            while more:
                page = await self._log.read(after, _PAGE, feed=feed, subject=subject, events_only=True)
                for record in page.records:
                    self._take(fold, loaded, record)
                after, more = page.next_after, page.more
            for record in states:
                self._take(fold, loaded, record)
            if anew is not None:
                await self._replace(anew, loaded, is_empty=not loaded.dirty and not states)
            loaded.has_moved = False
            waiting, loaded.waiting = loaded.waiting or [], None
            for record in waiting:
                self._take(fold, loaded, record)
        except BaseException:
            self._loaded.pop((feed, subject), None)
            raise
        return loaded

    async def _replace(self, old: Checkpoint, loaded: _Loaded, *, is_empty: bool) -> None:
        """A state was folded anew beside a checkpoint of another version: it takes that one's place, unless nothing of
        the stream is left. What retention had removed is missing."""
        stream = (old.feed, old.subject)
        if not is_empty:
            # All that the log has of the stream up to there is in it, so it is as late as the old one.
            loaded.offset = max(loaded.offset, old.offset)
            loaded.dirty = True
        loaded.is_hollow = is_empty
        info = await self._log.stream(*stream)
        if info is not None and info.first_seq > 1 and stream not in self._lacking:
            self._lacking.add(stream)
            about = {"stream": stream, "version": old.version, "first_seq": info.first_seq}
            _log.warning("a state lacks what only a checkpoint of another version has", extra=about)

    @staticmethod
    def _take(fold: SnapshotFold[Any], loaded: _Loaded, record: Record) -> None:
        if record.event.lane is EVENT_LANE:
            if record.offset <= loaded.offset:
                return
            loaded.offset = record.offset
            loaded.dirty = True
        else:
            loaded.has_moved = True
        loaded.is_hollow = False
        try:
            fold.apply(loaded.state, record)
        except Exception:  # the state lacks one record; nobody who waits for the records themselves may lack any
            _log.exception("a record could not be folded", extra={"stream": record.stream, "offset": record.offset})
        loaded.changed = loaded.is_used = True

    def apply(self, records: Sequence[Record]) -> None:
        """Fold what was appended into the states that are in memory; called before it goes out to anybody."""
        if not self._loaded:
            return
        for record in records:
            loaded = self._loaded.get(record.stream)
            if loaded is None:
                continue
            if loaded.waiting is not None:
                loaded.waiting.append(record)
            else:
                self._take(self._folds[record.event.feed], loaded, record)

    def derive(self, streams: Iterable[tuple[str, str]], now: Instant) -> list[Record]:
        """State-lane records that follow from folds, for streams that somebody follows and that changed since."""
        records: list[Record] = []
        for stream in streams:
            fold = self._folds.get(stream[0])
            if fold is None:
                continue
            loaded = self._loaded.get(stream)
            if loaded is None:
                if stream not in self._loading:
                    self._start_loading(stream)
                continue
            loaded.is_used = True
            if loaded.waiting is not None or not loaded.changed:
                continue
            loaded.changed = False
            try:
                derived = fold.derive(loaded.state, now)
            except Exception:  # a feed's code; other streams are not to suffer
                _log.exception("nothing could be derived from a state", extra={"stream": stream})
                continue
            for event in derived:
                key = (event.type, event.state_key)
                if loaded.derived.get(key) != event.id:
                    loaded.derived[key] = event.id
                    records.append(Record(self._log.head, 0, now.wall_ns, event))
        return records

    async def tick(self) -> None:
        """Now and then: write checkpoints of what changed, and let go of what nobody asked for."""
        now = self._clock.monotonic()
        if now - self._checkpointed_at >= _CHECKPOINT_SECONDS:
            self._checkpointed_at = now
            await self.checkpoint()
            for stream, loaded in list(self._loaded.items()):
                if loaded.is_used:
                    loaded.is_used = False
                    loaded.quiet_since = now
                is_due = len(self._loaded) > self._max_loaded or now - loaded.quiet_since > _QUIET_SECONDS
                if is_due and loaded.waiting is None and not loaded.dirty:
                    if loaded.has_moved:
                        loaded.dirty = True  # written the next time, and then let go
                    else:
                        del self._loaded[stream]

    async def checkpoint(self) -> None:
        """Write every changed state."""
        due = [(stream, loaded) for stream, loaded in self._loaded.items() if loaded.dirty and loaded.waiting is None]
        for start in range(0, len(due), _BATCH):
            await self._save(due[start : start + _BATCH])

    async def _save(self, due: Sequence[tuple[tuple[str, str], _Loaded]]) -> None:
        checkpoints = []
        for (feed, subject), loaded in due:
            fold = self._folds[feed]
            checkpoints.append(Checkpoint(feed, subject, loaded.offset, fold.version, fold.encode(loaded.state)))
            loaded.dirty = loaded.has_moved = False
        try:
            await self._log.save_checkpoints(checkpoints)
        except BaseException:
            for _, loaded in due:
                loaded.dirty = True
            raise

    async def before_trim(self, through: int) -> None:
        """Fold and checkpoint every stream that would lose records by removing everything at or below an offset."""
        if not self._all_of_our_version:
            for feed in self._folds:
                await self._write(await self._of_another_version(feed))
            self._all_of_our_version = True
        await self._write([(info.feed, info.subject) for info in await self._log.streams_to_trim(through)])
        await self.checkpoint()

    async def _of_another_version(self, feed: str) -> list[tuple[str, str]]:
        """The streams whose checkpoint is not in the encoding of now: how far it reaches says nothing."""
        found: list[tuple[str, str]] = []
        for info in await self._log.streams(feed):
            checkpoint = await self._log.load_checkpoint(feed, info.subject)
            if checkpoint is not None and checkpoint.version != self._folds[feed].version:
                found.append((feed, info.subject))
        if found:
            about = {"feed": feed, "streams": len(found), "version": self._folds[feed].version}
            _log.info("checkpoints of another version are replaced", extra=about)
        return found

    async def _write(self, streams: Iterable[tuple[str, str]]) -> None:
        """Fold streams, and write those that nobody asked for."""
        passing: list[tuple[str, str]] = []
        for stream in streams:
            if stream[0] not in self._folds:
                continue
            was_loaded = stream in self._loaded or stream in self._loading
            await self.state(*stream)
            loaded = self._loaded.get(stream)
            if loaded is not None and was_loaded:
                loaded.dirty = not loaded.is_hollow  # what came of the state lane after its checkpoint goes too
            elif loaded is not None:
                passing.append(stream)
            if len(passing) == _BATCH:
                await self._let_go(passing)
                passing = []
        await self._let_go(passing)

    async def _let_go(self, streams: Sequence[tuple[str, str]]) -> None:
        """Write states that nobody asked for and forget them: in memory they would be written at every change."""
        due = [
            (stream, loaded) for stream in streams if (loaded := self._loaded.get(stream)) and loaded.waiting is None
        ]
        await self._save([one for one in due if not one[1].is_hollow])
        for stream, loaded in due:
            if not loaded.dirty and self._loaded.get(stream) is loaded:
                del self._loaded[stream]


def _restored(fold: SnapshotFold[Any], subject: str, checkpoint: Checkpoint | None) -> _Loaded:
    """The state of a checkpoint, upgraded when it is of another version; at offset 0 when it is to be folded anew."""
    if checkpoint is None:
        return _Loaded(fold.initial(subject), 0)
    if checkpoint.version == fold.version:
        return _Loaded(fold.decode(checkpoint.state), checkpoint.offset)
    upgraded: Any | None = None
    if isinstance(fold, Upgrading):
        try:
            upgraded = fold.upgrade(checkpoint.version, checkpoint.state)
        except Exception:  # a feed's code; the log may still have what it takes
            about = {"stream": (checkpoint.feed, checkpoint.subject), "version": checkpoint.version}
            _log.exception("a checkpoint of another version could not be read", extra=about)
    if upgraded is None:
        return _Loaded(fold.initial(subject), 0)
    loaded = _Loaded(upgraded, checkpoint.offset)
    loaded.dirty = True
    return loaded
