"""The newest value per key of the state lane, kept once for all readers: whoever was slow or comes late gets these.

Every value has a version, counted over all of them; a reader remembers the version up to which it has seen the lane.
Bounded in streams and in keys a stream; those untouched for longest leave first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from touchline.feeds.base import Selector
from touchline.model import Record


class StateValue:
    """The newest value of one key; ``frames`` by (framing, variant), each with the offset that it names."""

    __slots__ = ("frames", "record", "version")

    def __init__(self, version: int, record: Record) -> None:
        self.version = version
        self.record = record
        self.frames: dict[Hashable, tuple[int, bytes | None]] = {}


class States:
    """See the module docstring. ``version`` is that of the newest value."""

    def __init__(self, *, max_streams: int, max_keys: int) -> None:
        self.version = 0
        self.slowest: int | None = None
        """the version up to which the slowest session has seen the lane; None when none is slow"""
        self.conflated = 0
        """values that were replaced before some slow session saw them"""
        self._max_streams = max_streams
        self._max_keys = max_keys
        self._streams: OrderedDict[tuple[str, str], OrderedDict[tuple[str, str], StateValue]] = OrderedDict()

    def keep(self, record: Record) -> None:
        """Take a new value; the one of the same type and key before it is forgotten."""
        self.version += 1
        values = self._streams.get(record.stream)
        if values is None:
            values = self._streams[record.stream] = OrderedDict()
            if len(self._streams) > self._max_streams:
                self._streams.popitem(last=False)
        else:
            self._streams.move_to_end(record.stream)
        key = (record.event.type, record.event.state_key)
        if self.slowest is not None and (old := values.get(key)) is not None and old.version > self.slowest:
            self.conflated += 1
        values[key] = StateValue(self.version, record)
        values.move_to_end(key)
        if len(values) > self._max_keys:
            values.popitem(last=False)

    def due(self, selector: Selector, seen: int) -> list[StateValue]:
        """The values that a selector matches and that changed after version ``seen``, in the order of their coming."""
        if selector.feed is not None and selector.subject is not None:
            found = self._streams.get((selector.feed, selector.subject))
            streams = [] if found is None else [found]
        else:
            streams = [values for (feed, _), values in self._streams.items() if selector.feed in (None, feed)]
        due = [value for values in streams for value in values.values() if value.version > seen]
        due.sort(key=lambda value: value.version)
        return [value for value in due if selector.matches(value.record)]
