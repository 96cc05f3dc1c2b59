"""Readers with equal framing and selector form a group: a record is matched, encoded and joined once for all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from operator import itemgetter

from touchline.delivery.fanout.reader import Following, Framing, Reader
from touchline.feeds.base import Selector
from touchline.model import Record

Writes = Collection[tuple[Reader, Callable[[bytes], None]]]
"""Readers and how to write to them."""


class Group:
    """Live readers of one selector. ``solo`` follow nothing else, ``joint`` are in other groups too; both get what has
    been joined for all. ``checked`` began ahead of what was dispatched and are looked at record by record.

    ``batch`` is what is due, ``numbers`` its order among what is due in all groups. ``flushed_at``: when bytes last
    went out.
    """

    __slots__ = ("batch", "batch_bytes", "checked", "flushed_at", "framing", "joint", "numbers", "selector", "solo")

    def __init__(self, framing: Framing, selector: Selector) -> None:
        self.framing = framing
        self.selector = selector
        self.solo: dict[Reader, Callable[[bytes], None]] = {}
        self.joint: dict[Reader, Callable[[bytes], None]] = {}
        self.checked: dict[Reader, Following] = {}
        self.batch: list[bytes] = []
        self.numbers: list[int] = []
        self.batch_bytes = 0
        self.flushed_at = 0.0

    def __bool__(self) -> bool:
        return bool(self.solo or self.joint or self.checked)

    def add(self, frame: bytes, number: int) -> None:
        """One more frame is due."""
        self.batch.append(frame)
        self.numbers.append(number)
        self.batch_bytes += len(frame)

    def clear(self, now: float) -> None:
        """What was due is written."""
        self.batch, self.numbers, self.batch_bytes = [], [], 0
        self.flushed_at = now


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
        if checked:
            group.checked[reader] = following
        else:
            shared = group.joint if reader.single() is None else group.solo
            shared[reader] = reader.sink.write
        following.group = group
        following.selector = group.selector  # an equal one: all readers of a group hold one between them

    def leave(self, reader: Reader, following: Following) -> None:
        """A reader leaves; an empty group is forgotten."""
        key = (reader.framing, following.selector)
        group = self._groups.get(key)
        if group is None:
            return
        following.group = None
        group.solo.pop(reader, None)
        group.joint.pop(reader, None)
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


def joined(groups: Sequence[Group]) -> bytes:
    """What is due in these groups, in the order in which it came."""
    if len(groups) == 1:
        batch = groups[0].batch
    else:
        due = [item for group in groups for item in zip(group.numbers, group.batch, strict=True)]
        due.sort(key=itemgetter(0))
        batch = [frame for _, frame in due]
    return batch[0] if len(batch) == 1 else b"".join(batch)


def shares(groups: Sequence[Group]) -> list[tuple[tuple[Group, ...], Writes]]:
    """Who gets what of what is due: groups, and the readers for whom these and no others have something.

    A reader of two channels is mostly in one large group and in a small one of its own, and mostly only the large one
    has something: then it shares its bytes with all the others. Looked at one by one are the readers of the smaller
    groups alone.
    """
    joint = sorted((group for group in groups if group.joint), key=lambda group: len(group.joint))
    several: dict[Reader, None] = {}
    found: dict[tuple[Group, ...], list[tuple[Reader, Callable[[bytes], None]]]] = {}
    for group in joint[:-1]:
        for reader, write in group.joint.items():
            if reader in several:
                continue
            due = tuple(dict.fromkeys(f.group for f in reader.followings.values() if f.group and f.group.batch))
            if len(due) > 1:
                several[reader] = None
                found.setdefault(due, []).append((reader, write))
    shared: list[tuple[tuple[Group, ...], Writes]] = []
    for group in groups:
        shared.append(((group,), group.solo.items()))
        if group.joint:
            rest = group.joint.items()
            shared.append(((group,), [item for item in rest if item[0] not in several] if several else rest))
    return [*shared, *found.items()]
