"""What makes two events the same, shared by all backends.

Owns the comparison behind duty 4 of ``base`` and the bounded memory of recent state-lane ids; knows no storage.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Final

import msgspec

from touchline.model import Event

RECENT_IDS: Final = 65_536
"""How many state-lane ids are remembered by default."""

Key = tuple[str, str]
"""(source, id)"""

Content = tuple[str, str, Hashable]
"""What two events of one key must share to be one event: type, subject, data (or a digest of it)."""


def content(event: Event) -> Content:
    """What is compared of an event-lane event: type, subject and data bytes."""
    return (event.type, event.subject, event.data)


def brief_content(event: Event) -> Content:
    """The same with a keyed digest of the data, for a memory that must stay small."""
    return (event.type, event.subject, hash(event.data))


class Sifted(msgspec.Struct):
    """A batch sorted by indexes: what to store, what was known, what is in conflict; ``seen`` is to be remembered."""

    fresh: list[int]
    duplicates: list[int]
    conflicts: list[int]
    seen: dict[Key, Content]


def sift(
    events: Sequence[Event],
    indexes: Sequence[int],
    known: Callable[[Key], Content | None],
    of: Callable[[Event], Content] = content,
) -> Sifted:
    """Sort the events at ``indexes`` into fresh, duplicate and conflicting ones; ``known`` tells what is stored."""
    found = Sifted([], [], [], {})
    for index in indexes:
        event = events[index]
        key = (event.source, event.id)
        mine = of(event)
        other = found.seen.get(key) or known(key)
        if other is None:
            found.seen[key] = mine
            found.fresh.append(index)
        elif other == mine:
            found.duplicates.append(index)
        else:
            found.conflicts.append(index)
    return found


class RecentIds:
    """The last so many (source, id) with their content; the least recently seen one is forgotten first."""

    def __init__(self, limit: int = RECENT_IDS) -> None:
        self._limit = limit
        self._contents: OrderedDict[Key, Content] = OrderedDict()

    def __len__(self) -> int:
        return len(self._contents)

    def get(self, key: Key) -> Content | None:
        """The remembered content of a key."""
        return self._contents.get(key)

    def remember(self, seen: dict[Key, Content]) -> None:
        """Keep these, as the newest."""
        for key, value in seen.items():
            self._contents[key] = value
            self._contents.move_to_end(key)
        while len(self._contents) > self._limit:
            self._contents.popitem(last=False)

    def forget(self, seen: dict[Key, Content]) -> None:
        """Drop these, because they were not stored after all."""
        for key in seen:
            self._contents.pop(key, None)
