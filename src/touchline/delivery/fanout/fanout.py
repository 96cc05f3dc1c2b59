"""The fan-out: takes what the log appended, pushes it to live readers, lets the others pull.

How a record goes out: it is matched and encoded once per group, joined with what else is due in the same tick, and
written once per reader; readers of several groups share the joined bytes with all for whom the same is due. A reader
whose sink holds too much leaves its groups and becomes a cursor; as the sink drains it pulls what it missed
(``pulling``), and when nothing is missing it joins its groups again in the same breath, so that there is neither gap
nor duplicate. Of the state lane only the newest value per key is kept for it meanwhile. Only a reader whose sink does
not drain at all is ended, as one that may resume.

``dispatched`` is the highest event-lane offset that went through here. A state value has its position: whoever resumes
there misses nothing of the event lane.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from touchline.clock import Clock
from touchline.delivery.fanout.catchup import CallSoon, Spawn
from touchline.delivery.fanout.groups import Group, Groups, joined, shares
from touchline.delivery.fanout.limits import FanoutLimits
from touchline.delivery.fanout.output import Output
from touchline.delivery.fanout.pulling import Pulling
from touchline.delivery.fanout.reader import Following, Framing, Mode, Reader, Sink
from touchline.delivery.fanout.states import States
from touchline.delivery.fanout.tail import Entry, Tail
from touchline.feeds.base import EndReason, Selector
from touchline.log.base import EventLog
from touchline.model import STATE_LANE, Record

_log: Final = logging.getLogger(__name__)


class Fanout:
    """See the module docstring. All calls are made on the event loop; ``call_soon`` and ``spawn`` are its own."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        *,
        call_soon: CallSoon,
        spawn: Spawn,
        limits: FanoutLimits | None = None,
    ) -> None:
        self._clock = clock
        self._limits = limits or FanoutLimits()
        self._groups = Groups()
        self._tail = Tail(log.head, max_records=self._limits.tail_records, max_bytes=self._limits.tail_bytes)
        self._states = States(max_streams=self._limits.state_streams, max_keys=self._limits.state_keys)
        self._output = Output(log, clock.monotonic())
        self._blocked: dict[Reader, None] = {}
        self._to_settle: list[Reader] = []
        self._early: dict[Reader, None] = {}
        self._dispatching = False
        self.readers: dict[Reader, None] = {}
        self.stats = self._output.stats
        self._pulling = Pulling(
            log,
            clock,
            call_soon,
            spawn,
            self._limits,
            self._output,
            self._tail,
            self._states,
            join=self._join_groups,
            end=self._end,
        )

    @property
    def dispatched(self) -> int:
        """The highest event-lane offset that went through here."""
        return self._output.dispatched

    @property
    def now(self) -> float:
        """Coarse monotonic time, read once per dispatch and tick, for those who note that they wrote."""
        return self._output.now

    # sessions

    def attach(self, sink: Sink, framing: Framing) -> Reader:
        """A new session, which follows nothing yet."""
        reader = Reader(sink, framing)
        reader.cursor = self._output.dispatched
        self.readers[reader] = None
        return reader

    def detach(self, reader: Reader) -> None:
        """The session is gone."""
        self._leave_groups(reader)
        reader.mode = Mode.DONE
        reader.followings.clear()
        reader.pending = []
        reader.pending_bytes = 0
        self._blocked.pop(reader, None)
        self._early.pop(reader, None)
        self.readers.pop(reader, None)

    def follow(self, reader: Reader, number: int, selector: Selector, after: int | None, *, finite: bool) -> None:
        """Send what the selector matches, after an offset (None: live only). ``finite``: end when all is sent."""
        if reader.mode is Mode.DONE:
            return
        self._leave_groups(reader)
        start = self._output.dispatched if after is None else after
        if reader.mode is Mode.LIVE:
            for following in reader.followings.values():
                following.after = max(following.after, self._output.dispatched)
            reader.cursor = min(start, self._output.dispatched) if reader.followings else start
        else:
            for following in reader.followings.values():
                following.after = max(following.after, reader.cursor)
            reader.cursor = min(start, reader.cursor) if reader.followings else start
        reader.followings[number] = Following(number, selector, start, finite)
        reader.state_seen = 0
        reader.chunk = None  # it may hold what the others follow alone
        reader.mode = Mode.BEHIND
        self._pulling.add(reader)

    def unfollow(self, reader: Reader, number: int) -> None:
        """Stop one following."""
        self._leave_groups(reader)
        reader.followings.pop(number, None)
        reader.chunk = None
        if reader.mode is Mode.LIVE:
            self._join_groups(reader)

    def _join_groups(self, reader: Reader) -> None:
        early = self._is_early(reader)
        if early:
            self._early[reader] = None
        for following in reader.followings.values():
            self._groups.join(reader, following, checked=early)

    def _is_early(self, reader: Reader) -> bool:
        """Whether one of its followings begins ahead of what was dispatched."""
        return any(following.after > self._output.dispatched for following in reader.followings.values())

    def _leave_groups(self, reader: Reader) -> None:
        if reader.mode is Mode.LIVE:
            for following in reader.followings.values():
                self._groups.leave(reader, following)

    def behind(self) -> int:
        """How many sessions pull from the log at the moment."""
        return sum(reader.mode is Mode.BEHIND for reader in self.readers)

    def followed_streams(self) -> list[tuple[str, str]]:
        """The streams that live sessions name, for those who derive state from folds."""
        return self._groups.followed_streams()

    # records in

    def dispatch(self, records: Sequence[Record]) -> None:
        """Push records, durable event lane in offset order and state lane as it comes, to the live sessions."""
        self._dispatching = True
        self._output.now = self._clock.monotonic()
        try:
            self._push(records)
        except Exception:  # whatever it is, no live session may go on with a hole
            _log.exception("records could not be pushed; the live sessions are ended and may resume")
            self._recover(records)
        finally:
            self._dispatching = False
        self._settle()

    def _push(self, records: Sequence[Record]) -> None:
        touched: dict[Group, None] = {}
        checked: dict[Reader, None] = {}
        last: list[Reader] = []
        number = 0
        full = overfull = False
        join_bytes = self._limits.join_bytes
        output, keep, groups_of = self._output, self._tail.add, self._groups.of
        for record in records:
            if record.event.lane is STATE_LANE:
                self._states.keep(record)
                entry = Entry(record)
            else:
                entry = keep(record)
                output.dispatched = max(output.dispatched, record.offset)
            for group in groups_of(record):
                try:
                    frame = output.frame(entry, group.framing, group.selector.variant)
                except Exception:  # a feed's code: its fault is its own readers' alone
                    _log.exception("a record could not be encoded", extra={"framing": group.framing.name})
                    self._fail(group)
                    continue
                if frame is None:
                    continue
                for reader, following in group.checked.items():
                    if record.event.lane is STATE_LANE or record.offset > following.after:
                        reader.pending.append(frame)
                        reader.pending_bytes += len(frame)
                        overfull = overfull or reader.pending_bytes >= join_bytes
                        checked[reader] = None
                if group.solo or group.joint:
                    touched[group] = None
                    number += 1
                    group.add(frame, number)
                    full = full or group.batch_bytes >= join_bytes
                if group.framing.is_last is not None and group.framing.is_last(record):
                    last += self._mark_last(group, record)
            # Not before all groups have the record: a reader that is blocked by a write has all of it or is behind it.
            if full:
                self._flush_full(touched)
                full = False
            if overfull:
                self._flush_checked(checked, join_bytes)
                overfull = False
        self._flush_checked(checked, 0)
        self._flush(list(touched))
        for reader in last:
            if reader.mode is Mode.LIVE:  # those that were blocked by it end when they have drained
                self._end(reader, EndReason.FINISHED)

    @staticmethod
    def _mark_last(group: Group, record: Record) -> list[Reader]:
        """The readers whose following is over after this record."""
        found = [
            reader
            for reader, following in group.checked.items()
            if record.event.lane is STATE_LANE or record.offset > following.after
        ]
        found += [*group.solo, *group.joint]
        for reader in found:
            for following in reader.followings.values():
                if following.group is group:
                    following.finite = True
        return found

    def _fail(self, group: Group) -> None:
        """Our own error must not become a silent gap: the group's readers are ended and may resume."""
        for reader in (*group.solo, *group.joint, *group.checked):
            self._end(reader, EndReason.FAULT)

    def _recover(self, records: Sequence[Record]) -> None:
        """After an error in the middle: keep what came, so that nobody reads over a hole, and end all live readers."""
        for record in records:
            if record.event.lane is STATE_LANE:
                self._states.keep(record)
            elif record.offset > self._output.dispatched:
                self._tail.add(record)
                self._output.dispatched = record.offset
        for reader in list(self.readers):
            if reader.mode is Mode.LIVE and reader.followings:
                self._end(reader, EndReason.FAULT)

    def _end(self, reader: Reader, reason: EndReason) -> None:
        """Nothing more is written to the reader, whenever its sink gets round to closing."""
        try:
            reader.sink.end(reason)
        except Exception:  # the shell's code: the reader is let go all the same
            _log.exception("a session could not be ended", extra={"reason": reason.value})
        self.detach(reader)

    def _flush_full(self, touched: dict[Group, None]) -> None:
        """Write what has grown to a write's share. Groups with common readers go together, or the order were lost."""
        full = [group for group in touched if group.batch_bytes >= self._limits.join_bytes]
        if any(group.joint for group in full):
            full += [group for group in touched if group.joint and group not in full]
        for group in full:
            del touched[group]
        self._flush(full)

    def _flush(self, groups: Sequence[Group]) -> None:
        """Write what is due in these groups: joined once for all who get the same, one write a reader."""
        failed: list[Reader] = []
        ready: dict[tuple[Group, ...], bytes] = {}
        stats = self.stats
        for due, readers in shares(groups):
            if not readers:
                continue
            data = ready.get(due) or ready.setdefault(due, joined(due))
            for reader, write in readers:
                try:
                    write(data)
                except Exception:  # one reader's socket must not stop the others
                    _log.exception("a session could not be written to")
                    failed.append(reader)
            stats.frames += sum(len(group.batch) for group in due) * len(readers)
            stats.writes += len(readers)
            stats.written_bytes += len(data) * len(readers)
        for group in groups:
            group.clear(self._output.now)
        for reader in failed:
            self._end(reader, EndReason.FAULT)
        if self._to_settle:
            self._settle()

    def _flush_checked(self, readers: dict[Reader, None], at_least: int) -> None:
        for reader in list(readers):
            if reader.pending_bytes >= at_least:
                readers.pop(reader)
                try:
                    self._output.write(reader, reader.pending)
                except Exception:  # one reader's socket must not stop the others
                    _log.exception("a session could not be written to")
                    self._end(reader, EndReason.FAULT)
                reader.pending = []
                reader.pending_bytes = 0
        if self._to_settle:
            self._settle()

    def written_at(self, reader: Reader) -> float:
        """When something was last written to a reader (coarse monotonic time)."""
        times = [following.group.flushed_at for following in reader.followings.values() if following.group is not None]
        return max(reader.written_at, *times) if times else reader.written_at

    # flow control

    def blocked(self, reader: Reader) -> None:
        """The reader's sink holds too much: it becomes a cursor until it has drained."""
        if reader.mode is Mode.DONE or reader.blocked:
            return
        reader.blocked = True
        reader.blocked_since = self._clock.monotonic()
        reader.blocked_backlog = reader.sink.backlog()
        self._blocked[reader] = None
        self._to_settle.append(reader)
        if not self._dispatching:
            self._settle()

    def drained(self, reader: Reader) -> None:
        """The reader's sink has room again."""
        reader.blocked = False
        self._blocked.pop(reader, None)
        if reader.mode is Mode.BEHIND:
            self._pulling.add(reader)

    def _settle(self) -> None:
        readers, self._to_settle = self._to_settle, []
        for reader in readers:
            if reader.mode is Mode.LIVE and reader.blocked:
                self._leave_groups(reader)
                reader.mode = Mode.BEHIND
                reader.cursor = max(reader.cursor, self._output.dispatched)
                reader.state_seen = self._states.version
                if self._states.slowest is None:
                    self._states.slowest = reader.state_seen
                self.stats.slowed += 1

    def tick(self) -> None:
        """Once a second: end the sessions that made no progress at all."""
        now = self._output.now = self._clock.monotonic()
        for reader in [reader for reader in self._early if not self._is_early(reader)]:
            del self._early[reader]
            if reader.mode is Mode.LIVE:
                self._leave_groups(reader)
                self._join_groups(reader)
        for reader in list(self._blocked):
            backlog = reader.sink.backlog()
            if backlog < reader.blocked_backlog:
                reader.blocked_since = now
            elif now - reader.blocked_since > self._limits.stall_seconds:
                self.stats.stalled += 1
                self._end(reader, EndReason.STALLED)
            reader.blocked_backlog = backlog
        self._states.slowest = min((reader.state_seen for reader in self._blocked), default=None)
        self.stats.conflated = self._states.conflated
