"""Those that are behind pull what they missed, in turns, and are spliced to the live ones when nothing is missing.

From the tail where it reaches back so far, else from chunks of the log; bytes that were joined for one serve all who
stand at the same place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

from touchline.clock import Clock
from touchline.delivery.fanout.catchup import CallSoon, Readings, Spawn, Turns
from touchline.delivery.fanout.limits import FanoutLimits
from touchline.delivery.fanout.output import Output
from touchline.delivery.fanout.reader import Mode, Reader
from touchline.delivery.fanout.runs import Run, Runs, Start
from touchline.delivery.fanout.states import States
from touchline.delivery.fanout.tail import Entry, Tail, position_in
from touchline.feeds.base import EndReason
from touchline.log.base import EventLog

_log: Final = logging.getLogger(__name__)


class Pulling:
    """See the module docstring. ``join`` makes a reader live again, ``end`` ends it."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        call_soon: CallSoon,
        spawn: Spawn,
        limits: FanoutLimits,
        output: Output,
        tail: Tail,
        states: States,
        join: Callable[[Reader], None],
        end: Callable[[Reader, EndReason], None],
    ) -> None:
        self._limits = limits
        self._output = output
        self._tail = tail
        self._states = states
        self._join = join
        self._end = end
        self._runs = Runs(limits.runs_bytes)
        self._turns = Turns(clock, call_soon, self._take_turn)
        self._readings = Readings(log, spawn, limits, output.stats, self.add, self._end_behind)

    def add(self, reader: Reader) -> None:
        """The reader is behind and wants a turn."""
        self._turns.add(reader)

    def _take_turn(self, reader: Reader) -> None:
        try:
            self._pull(reader)
        except Exception:  # the top of a turn: the next reader's comes all the same
            _log.exception("a session's catch-up failed", extra={"framing": reader.framing.name})
            self._end(reader, EndReason.FAULT)

    def _end_behind(self, reader: Reader, reason: EndReason) -> None:
        """The log cannot be read for the reader any further."""
        self._output.stats.gaps += reason is EndReason.GAP
        self._end(reader, reason)

    def _pull(self, reader: Reader) -> None:
        if reader.mode is not Mode.BEHIND or reader.blocked:
            return
        if not reader.followings:
            self._splice(reader)
            return
        single = reader.single()
        feed = single.selector.feed if single else None
        subject = single.selector.subject if single else None
        if not self._send_runs(reader):
            if not reader.blocked:
                self.add(reader)
            return
        if reader.cursor >= self._tail.floor:
            if self._send(reader, self._tail.after(reader.cursor, feed, subject)):
                self._splice(reader)
            elif not reader.blocked:
                self.add(reader)
            return
        chunk = self._readings.chunk(reader, feed, subject)
        if chunk is None:
            return
        index = position_in(chunk.entries, reader.cursor)
        if self._send(reader, chunk.entries[index:]):
            reader.cursor = max(reader.cursor, chunk.reached)
            self._send_states(reader)
        if not reader.blocked:
            self.add(reader)

    def _send_runs(self, reader: Reader) -> bool:
        """Write what was joined for others already; whether the sink has room and the pull's share is not used up."""
        written = 0
        while (start := self._start(reader)) is not None and (run := self._runs.get(start)) is not None:
            reader.cursor = run.end
            self._output.write_joined(reader, run.data, run.frames)
            written += len(run.data)
            if reader.blocked or written >= self._limits.pull_bytes:
                return False
        return True

    @staticmethod
    def _start(reader: Reader) -> Start | None:
        """The place from which others may want the same bytes; None where what is sent depends on the reader."""
        following = reader.single()
        if following is None or following.after > reader.cursor:
            return None
        return reader.framing, following.selector, reader.cursor

    def _send_joined(self, reader: Reader, frames: list[bytes], start: Start | None) -> None:
        """Write frames that begin at ``start`` and end at the reader's cursor."""
        if frames:
            data = b"".join(frames)
            if start is not None:
                self._runs.put(start, Run(data, len(frames), reader.cursor))
            self._output.write_joined(reader, data, len(frames))

    def _send(self, reader: Reader, entries: Iterable[Entry]) -> bool:
        """Write frames until the sink is full or the pull's share is used; whether all entries were passed."""
        frames: list[bytes] = []
        size = written = 0
        framing, is_last, join_bytes = reader.framing, reader.framing.is_last, self._limits.join_bytes
        # Looked up once: thousands of sessions may have hundreds of records each to catch up on.
        followed = [
            (following, following.after, following.selector.matches, (framing.name, following.selector.variant))
            for following in reader.followings.values()
        ]
        start = self._start(reader)
        for entry in entries:
            record = entry.record
            offset = record.offset
            for following, after, matches, key in followed:
                if offset > after and matches(record):
                    made = entry.frames
                    if made is not None and key in made:
                        frame = made[key]
                    else:
                        frame = self._output.frame(entry, framing, following.selector.variant)
                    if frame is not None:
                        frames.append(frame)
                        size += len(frame)
                        if is_last is not None and is_last(record):
                            following.finite = True
                            start = None  # each has to come by here for itself
            reader.cursor = offset
            if size >= join_bytes:
                self._send_joined(reader, frames, start)
                frames, written, size, start = [], written + size, 0, self._start(reader)
                if reader.blocked or written >= self._limits.pull_bytes:
                    return False
        self._send_joined(reader, frames, start)
        return not reader.blocked

    def _splice(self, reader: Reader) -> None:
        for following in reader.followings.values():
            following.after = max(following.after, reader.cursor)
        reader.cursor = max(reader.cursor, self._output.dispatched)
        if not self._send_states(reader):
            if not reader.blocked:
                self.add(reader)
            return
        reader.mode = Mode.LIVE
        reader.chunk = None
        self._join(reader)
        self._output.stats.spliced += 1
        if any(following.finite for following in reader.followings.values()):
            self._end(reader, EndReason.FINISHED)

    def _send_states(self, reader: Reader) -> bool:
        """The newest value per key that changed since the reader last saw the state lane, as much as the sink takes in
        one turn; whether that was all and there is room for more.
        """
        if reader.state_seen == self._states.version:
            return not reader.blocked
        due = [
            (value.version, following.number, value, following.selector.variant)
            for following in reader.followings.values()
            for value in self._states.due(following.selector, reader.state_seen)
        ]
        due.sort(key=lambda item: item[:2])
        frames: list[bytes] = []
        size = written = 0
        for version, _, value, variant in due:
            if size >= self._limits.join_bytes and version > reader.state_seen:
                self._output.write(reader, frames)
                frames, written, size = [], written + size, 0
                if reader.blocked or written >= self._limits.pull_bytes:
                    return False
            frame = self._output.state_frame(value, reader, variant)
            if frame is not None:
                frames.append(frame)
                size += len(frame)
            reader.state_seen = version
        reader.state_seen = self._states.version
        self._output.write(reader, frames)
        return not reader.blocked
