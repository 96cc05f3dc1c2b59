"""What goes out: frames of records, each made once, and their way to one reader. Counts what it does.

Knows how far the event lane was dispatched, since a frame of the state lane names that; whom it writes to and when is
decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Hashable

from touchline.delivery.fanout.limits import FanoutStats
from touchline.delivery.fanout.reader import Framing, Reader
from touchline.delivery.fanout.states import StateValue
from touchline.delivery.fanout.tail import Entry
from touchline.log.base import EventLog
from touchline.model import STATE_LANE, Position


class Output:
    """See the module docstring. ``now`` is coarse monotonic time, which whoever drives it sets."""

    def __init__(self, log: EventLog, now: float) -> None:
        self.dispatched = log.head
        self.now = now
        self.stats = FanoutStats()
        self._log = log

    def frame(self, entry: Entry, framing: Framing, variant: object) -> bytes | None:
        """The frame of a record, made when it is first asked for."""
        key = (framing.name, variant)
        frames = entry.frames
        if frames is not None and key in frames:
            return frames[key]
        record = entry.record
        offset = self.dispatched if record.event.lane is STATE_LANE else record.offset
        frame = framing.make(record, variant, Position(self._log.epoch, offset))
        entry.keep(key, frame)
        self.stats.encoded += 1
        return frame

    def state_frame(self, state: StateValue, reader: Reader, variant: Hashable) -> bytes | None:
        """A kept value's frame. It names the reader's own position: one that is behind must not resume ahead of it."""
        key = (reader.framing.name, variant)
        made = state.frames.get(key)
        if made is None or made[0] != reader.cursor:
            frame = reader.framing.make(state.record, variant, Position(self._log.epoch, reader.cursor))
            made = state.frames[key] = (reader.cursor, frame)
            self.stats.encoded += 1
        return made[1]

    def write(self, reader: Reader, frames: list[bytes]) -> None:
        """Frames to one reader, in one write."""
        if frames:
            self.write_joined(reader, frames[0] if len(frames) == 1 else b"".join(frames), len(frames))

    def write_joined(self, reader: Reader, data: bytes, frames: int) -> None:
        """So many frames, joined already, to one reader."""
        reader.written_at = self.now
        reader.sink.write(data)
        self.stats.frames += frames
        self.stats.writes += 1
        self.stats.written_bytes += len(data)
