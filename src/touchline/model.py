"""The facts that every layer speaks about: Event, Record, Position.

Owns the words of the product as frozen values and nothing else: no parsing (``wire``), no storage (``log``), no
rules of one provider (``feeds``). Times are integers in UTC nanoseconds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

MAX_OFFSET: Final = 2**53 - 1
"""Offsets stay exact in a double, so that JSON readers of every language keep them."""

NO_EXTENSIONS: Final[Mapping[str, ExtensionValue]] = {}

ExtensionValue = str | int | bool
"""A CloudEvents extension attribute, as JSON carries it (CloudEvents 1.0, section Type System)."""


class Lane(enum.Enum):
    """How an event is kept: EVENT is durable and never dropped; of STATE the latest value per key wins."""

    EVENT = "event"
    STATE = "state"


EVENT_LANE: Final = Lane.EVENT
STATE_LANE: Final = Lane.STATE
"""For what runs once an event: to look into an enum takes CPython 3.11 0.1 µs, which ``Lane.EVENT`` did each time."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One published fact, as CloudEvents 1.0 words it.

    ``data`` is the JSON text as the publisher wrote it, byte for byte. ``time`` is the publisher's RFC 3339 text
    (None when it gave none) and ``occurred_at`` the same in UTC nanoseconds (the time of receipt when it gave none).
    ``state_key`` says of which thing within its stream a state-lane event is the latest value;
    ``document`` that the newest event of this type and subject is kept beyond retention.
    """

    feed: str
    type: str
    subject: str
    source: str
    id: str
    data: bytes
    occurred_at: int
    received_at: int
    time: str | None = None
    lane: Lane = Lane.EVENT
    state_key: str = ""
    document: bool = False
    extensions: Mapping[str, ExtensionValue] = NO_EXTENSIONS

    @property
    def partner(self) -> str | None:
        """The owner's partner_id of a private event; None when the event is for everybody who may see its stream."""
        value = self.extensions.get("partner")
        return None if value is None else str(value)


class Record(msgspec.Struct, frozen=True, gc=False):
    """An event once appended.

    ``offset`` is its number in the hub's one log: strictly increasing, not dense, 1 to 2^53-1. ``seq`` is its number
    within its stream, from 1, +1 each; the state lane is not counted and has seq 0. A state record that goes out
    before it is stored has the offset of the log's head: whoever resumes after that offset misses no record.
    """

    offset: int
    seq: int
    appended_at: int
    event: Event

    @property
    def stream(self) -> tuple[str, str]:
        """(feed, subject): the order that this record belongs to."""
        return (self.event.feed, self.event.subject)


class Position(msgspec.Struct, frozen=True, gc=False):
    """A place in the log. ``epoch`` changes when history cannot be continued; ``offset`` 0 stands before everything."""

    epoch: str
    offset: int
