"""What sessions ask of streams when they begin, answered from memory: thousands may come back at once.

The offset at which a stream's record stands never changes, and its counters change only with what is appended, which
passes by here. Retention is the exception: when the log's floor moves, everything is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import msgspec

from touchline.log.base import EventLog, StreamInfo
from touchline.model import EVENT_LANE, Record

_MAX_STREAMS: Final = 10_000
_MAX_OFFSETS: Final = 50_000

Stream = tuple[str, str]


class Streams:
    """Counters and offsets of streams, kept current by ``apply``."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._floor = log.floor
        self._applied = 0
        self.newest = log.head
        """The last event-lane offset that passed by here. The log's head may be ahead of the counters, and what stands
        between must not be skipped.
        """
        self._infos: OrderedDict[Stream, StreamInfo] = OrderedDict()
        self._offsets: OrderedDict[tuple[str, str, int], int] = OrderedDict()

    def apply(self, records: Sequence[Record]) -> None:
        """What was appended."""
        self._applied += 1
        infos = self._infos
        for record in records:
            event = record.event
            if event.lane is not EVENT_LANE:
                continue
            self.newest = record.offset
            if not infos:
                continue
            stream = (event.feed, event.subject)
            info = infos.get(stream)
            if info is not None and record.seq > info.last_seq:
                infos[stream] = msgspec.structs.replace(info, last_seq=record.seq, last_offset=record.offset)

    def _forget_removed(self) -> None:
        if self._floor != self._log.floor:
            self._floor = self._log.floor
            self._infos.clear()
            self._offsets.clear()

    async def info(self, feed: str, subject: str) -> StreamInfo | None:
        """The counters of a stream; None when nothing was ever appended to it."""
        self._forget_removed()
        stream = (feed, subject)
        info = self._infos.get(stream)
        if info is not None:
            return info
        applied = self._applied
        info = await self._log.stream(feed, subject)
        if info is not None and applied == self._applied and self._floor == self._log.floor:
            self._infos[stream] = info
            if len(self._infos) > _MAX_STREAMS:
                self._infos.popitem(last=False)
        return info

    async def offset_before(self, feed: str, subject: str, seq: int) -> int:
        """The offset after which the stream's records from ``seq`` on, which are there, are read."""
        self._forget_removed()
        key = (feed, subject, seq)
        offset = self._offsets.get(key)
        if offset is None:
            offset = await self._log.offset_before(feed, subject, seq)
            if self._floor == self._log.floor:
                self._offsets[key] = offset
                if len(self._offsets) > _MAX_OFFSETS:
                    self._offsets.popitem(last=False)
        return offset
