"""Readers with equal framing and selector form a group: a record is matched, encoded and joined once for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from touchline.delivery.fanout.reader import Following, Framing, Reader
from touchline.feeds.base import Selector
from touchline.model import Record


class Group:
    """Live readers of one selector. ``solo`` follow nothing else and get joined bytes; ``checked`` follow more, or
    began ahead of what was dispatched, and are looked at record by record. ``flushed_at``: when bytes last went out.
    """

    __slots__ = ("batch", "batch_bytes", "checked", "flushed_at", "framing", "selector", "solo")

    def __init__(self, framing: Framing, selector: Selector) -> None:
        self.framing = framing
        self.selector = selector
        self.solo: dict[Reader, Callable[[bytes], None]] = {}
        self.checked: dict[Reader, Following] = {}
        self.batch: list[bytes] = []
        self.batch_bytes = 0
        self.flushed_at = 0.0

    def __bool__(self) -> bool:
        return bool(self.solo or self.checked)


class Groups:
    """All groups, found by the stream, the feed, or neither, that their selector names."""

    def __init__(self) -> None:
        self._groups: dict[tuple[Framing, Selector], Group] = {}
        self._by_stream: dict[tuple[str, str], dict[Group, None]] = {}
        self._by_feed: dict[str, dict[Group, None]] = {}
        self._everywhere: dict[Group, None] = {}

    def join(self, reader: Reader, following: Following, *, checked: bool) -> None:
        """A live reader enters the group of its following."""
        key = (reader.framing, following.selector)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(*key)
            self._shelf(following.selector)[group] = None
        if checked or reader.single() is None:
            group.checked[reader] = following
        else:
            group.solo[reader] = reader.sink.write
        following.group = group

    def leave(self, reader: Reader, following: Following) -> None:
        """A reader leaves; an empty group is forgotten."""
        key = (reader.framing, following.selector)
        group = self._groups.get(key)
        if group is None:
            return
        following.group = None
        group.solo.pop(reader, None)
        group.checked.pop(reader, None)
        if not group:
            del self._groups[key]
            shelf = self._shelf(following.selector)
            shelf.pop(group, None)
            self._tidy(following.selector)

    def _shelf(self, selector: Selector) -> dict[Group, None]:
        if selector.feed is None:
            return self._everywhere
        if selector.subject is None:
            return self._by_feed.setdefault(selector.feed, {})
        return self._by_stream.setdefault((selector.feed, selector.subject), {})

    def _tidy(self, selector: Selector) -> None:
        if selector.feed is None:
            return
        if selector.subject is not None:
            stream = (selector.feed, selector.subject)
            if not self._by_stream.get(stream, True):
                del self._by_stream[stream]
        elif not self._by_feed.get(selector.feed, True):
            del self._by_feed[selector.feed]

    def of(self, record: Record) -> Sequence[Group]:
        """The groups that take a record."""
        if not self._groups:
            return ()
        event = record.event
        found: list[Group] = []
        for shelf in (
            self._by_stream.get((event.feed, event.subject)),
            self._by_feed.get(event.feed),
            self._everywhere,
        ):
            if shelf:
                found += [group for group in shelf if group.selector.matches(record)]
        return found

    def followed_streams(self) -> list[tuple[str, str]]:
        """The streams that live readers name."""
        return list(self._by_stream)
