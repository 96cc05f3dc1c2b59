"""What one endpoint is owed: its cursor, and the open records behind it, in lanes that keep their order.

Everything at or below ``cursor`` was looked at; of that, what is owed and not delivered is open. A lane is what must
go in order: a stream, one record, or all (``Ordering``). A lane holds a few records; the rest of it is spilled: known
to be there from ``through`` on, and read from the log again when its turn comes. As a lane goes in order, its first
open offset says everything about it, and that is what is stored.

Pure: no time, no log, no endpoint. Who decides what is owed, when a lane may go, and what becomes of a record is the
caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Final

import msgspec

from touchline.delivery.courier.health import Trial
from touchline.delivery.courier.policy import Ordering
from touchline.model import Record

OVERHEAD_BYTES: Final = 700
"""What a held record costs beside its data, roughly."""


class Open(msgspec.Struct, frozen=True, array_like=True):
    """A lane that lags: its stream, the first offset that is open, and through which offset it is sent again."""

    feed: str
    subject: str
    first: int
    replay_until: int = 0


class Saved(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an endpoint stands, as it is stored. ``failing_since`` (wall ns) and ``failures`` go on with an outage
    after a restart; ``failing`` says that it was told of."""

    epoch: str
    cursor: int
    order: Ordering = Ordering.STREAM
    open: tuple[Open, ...] = ()
    replay_from: int = 0
    replay_until: int = 0
    failing: bool = False
    failing_since: int | None = None
    failures: int = 0


UNJUDGED: Final = -1
"""``Item.decision`` of what is to be judged before it goes."""


class Item:
    """A record that is owed, by the decision of that number (``Backlog.decision``). ``fault``: why it cannot be
    delivered at all; ``trial`` once it has failed."""

    __slots__ = ("attempts", "decision", "fault", "record", "size", "status", "trial")

    def __init__(self, record: Record, fault: str, decision: int) -> None:
        self.record = record
        self.fault = fault
        self.decision = decision
        self.attempts = 0
        self.status: int | None = None
        self.trial: Trial | None = None
        self.size = len(record.event.data) + OVERHEAD_BYTES
        """what it holds in memory, roughly"""


class Lane:
    """Records that go in order. ``spilled``: there may be more after ``through``, up to the cursor, in the log alone.

    ``busy``: its head is under way, is being read or put away; ``due``: not before then (None: at once), after a
    failure; ``stale``: what is under way was overtaken by a rewinding.
    """

    __slots__ = (
        "busy", "due", "items", "key", "place", "replay_until", "spilled", "stale", "stream", "through",
    )  # fmt: skip

    def __init__(self, key: Hashable, stream: tuple[str, str], through: int) -> None:
        self.key = key
        self.stream = stream
        self.items: deque[Item] = deque()
        self.spilled = False
        self.through = through
        self.place: tuple[str | None, str | None, int] | None = None
        """where the log was last read for it"""
        self.busy = False
        self.stale = False
        self.due: float | None = None
        self.replay_until = 0

    @property
    def first(self) -> int:
        """The lowest offset that may be open."""
        return self.items[0].record.offset if self.items else self.through + 1

    @property
    def trial(self) -> Trial | None:
        """What is held against its head."""
        return self.items[0].trial if self.items else None

    @property
    def is_done(self) -> bool:
        """Nothing is left of it."""
        return not self.items and not self.spilled


class Backlog:
    """See the module docstring. ``held`` is in bytes; ``lane_records`` and ``held_bytes`` bound what is in memory.

    ``decision`` counts how often what decides about being owed has changed: what is held by an older one is to be
    judged again before it goes.
    """

    __slots__ = (
        "_held_bytes", "_lane_records", "cursor", "decision", "held", "lanes", "ordering", "ready", "replay_from",
        "replay_until",
    )  # fmt: skip

    def __init__(self, cursor: int, ordering: Ordering, *, lane_records: int, held_bytes: int) -> None:
        self.cursor = cursor
        self.ordering = ordering
        self.lanes: dict[Hashable, Lane] = {}
        self.ready: dict[Lane, None] = {}
        self.held = 0
        self.decision = 0
        self.replay_from = 0
        self.replay_until = 0
        self._lane_records = lane_records
        self._held_bytes = held_bytes

    # what comes

    def has_room(self, most: int) -> bool:
        """Whether the next record may be taken, ``most`` lanes being the bound."""
        if self.ordering is Ordering.STRICT:
            lane = self.lanes.get("")
            return lane is None or (len(lane.items) < self._lane_records and self.held < self._held_bytes)
        return len(self.lanes) < most

    def key(self, record: Record) -> Hashable:
        """The lane to which a record belongs."""
        if self.ordering is Ordering.STREAM:
            return record.stream
        return record.offset if self.ordering is Ordering.NONE else ""

    def take(self, record: Record, fault: str = "", *, judged: bool = True) -> None:
        """The next record is owed; the cursor moves over it."""
        offset = record.offset
        key = self.key(record)
        lane = self.lanes.get(key)
        self.cursor = offset
        if lane is None:
            lane = self.lanes[key] = Lane(key, record.stream, offset - 1)
        elif lane.spilled:
            return
        item = Item(record, fault, self.decision if judged else UNJUDGED)
        full = len(lane.items) >= self._lane_records or self.held + item.size > self._held_bytes
        if full and self.ordering is not Ordering.STRICT:  # what is one lane stops the cursor instead (``has_room``)
            lane.spilled = True
        else:
            lane.items.append(item)
            lane.through = offset
            self.held += item.size
        self.settle(lane)

    def refill(self, lane: Lane, records: list[tuple[Record, str]], reached: int, *, judged: bool = True) -> None:
        """What was read of a spilled lane (with faults), owed and in order, through the offset ``reached``."""
        if not lane.spilled:
            return
        if self.ordering is Ordering.NONE:
            records = [one for one in records if one[0].offset == lane.through + 1]
            reached = self.cursor
        for record, fault in records:
            if record.offset <= lane.through:
                continue
            if record.offset > self.cursor:
                break
            item = Item(record, fault, self.decision if judged else UNJUDGED)
            # The head is always held: a lane without one could not go on.
            if lane.items and (len(lane.items) >= self._lane_records or self.held + item.size > self._held_bytes):
                self.settle(lane)
                return
            lane.items.append(item)
            lane.through = record.offset
            self.held += item.size
        lane.through = max(lane.through, min(reached, self.cursor))
        if lane.through >= self.cursor:
            lane.spilled = False
        self.settle(lane)

    # what goes

    def settle(self, lane: Lane) -> None:
        """Put a lane where it belongs: away when it is done, in line when it may go."""
        if lane.busy or self.lanes.get(lane.key) is not lane:  # a timer may still know one that was put away
            return
        if lane.is_done:
            self.lanes.pop(lane.key, None)
            self.ready.pop(lane, None)
        elif lane.due is None and lane not in self.ready:
            self.ready[lane] = None

    def begin(self, lane: Lane) -> None:
        """Its head is taken in hand."""
        lane.busy = True
        lane.due = None
        self.ready.pop(lane, None)

    def put_last(self, lane: Lane) -> None:
        """Its head is tried to see how the endpoint does: the others' turns come before its next one."""
        self.lanes[lane.key] = self.lanes.pop(lane.key)

    def done(self, lane: Lane) -> None:
        """Its head was delivered, or put away; unless the lane was rewound meanwhile the next one's turn has come."""
        lane.busy = False
        if lane.stale:
            lane.stale = False
        else:
            self.held -= lane.items.popleft().size
        self.settle(lane)
        self._end_replay()

    def again(self, lane: Lane, due: float | None) -> None:
        """Its head is to be tried again, not before ``due``."""
        lane.busy = False
        lane.due = None if lane.stale else due
        lane.stale = False
        self.settle(lane)

    def wake(self, lane: Lane) -> None:
        """It has waited long enough."""
        lane.due = None
        self.settle(lane)

    # going back

    def rewind(self, after: int) -> None:
        """Deliver everything after an offset again; what is open up to there stays open."""
        old = self.cursor
        self.replay_from = after if not self.replay_until else min(after, self.replay_from)
        self.replay_until = max(self.replay_until, old)
        for lane in list(self.lanes.values()):
            first = lane.first
            if first > after:
                self._empty(lane)
                lane.spilled = False
                lane.through = first - 1 if self.ordering is Ordering.NONE else after
            else:
                while lane.items and lane.items[-1].record.offset > after:
                    self.held -= lane.items.pop().size
                if lane.items:
                    lane.through = min(lane.through, after)
                lane.spilled = lane.spilled and lane.through < after
            self.settle(lane)
        self.cursor = min(old, after)
        self._end_replay()

    def redrive(self, stream: tuple[str, str], key: Hashable, offset: int) -> None:
        """Deliver a lane again from an offset on, which is at or below the cursor."""
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = Lane(key, stream, offset - 1)
        elif lane.first <= offset:
            return
        self._empty(lane)
        lane.through = offset - 1
        lane.spilled = True
        lane.due = None
        lane.replay_until = max(lane.replay_until, self.cursor if self.ordering is not Ordering.NONE else offset)
        self.settle(lane)

    def _empty(self, lane: Lane) -> None:
        if lane.busy:
            lane.stale = True
        self.held -= sum(item.size for item in lane.items)
        lane.items.clear()
        lane.due = None

    def is_replay(self, lane: Lane, offset: int) -> bool:
        """Whether a record is sent again on purpose."""
        return self.replay_from < offset <= self.replay_until or offset <= lane.replay_until

    def _end_replay(self) -> None:
        if self.replay_until and self.cursor >= self.replay_until and not self._has_open_through(self.replay_until):
            self.replay_from = self.replay_until = 0

    def _has_open_through(self, offset: int) -> bool:
        return any(lane.first <= offset for lane in self.lanes.values())

    def expire(self, floor: int) -> int:
        """Retention removed everything through an offset that the cursor has not reached: how many are passed over."""
        passed = max(0, floor - self.cursor)
        self.cursor += passed
        return passed

    def expire_lane(self, lane: Lane, floor: int) -> int:
        """The same for what of a lane is not in memory."""
        passed = max(0, floor - lane.through) if lane.spilled else 0
        if passed:
            lane.through = floor
            lane.spilled = floor < self.cursor and self.ordering is not Ordering.NONE
            self.settle(lane)
        return passed

    # what is kept

    def open_lanes(self) -> Iterator[Open]:
        """The lanes that have something open."""
        for lane in self.lanes.values():
            if not lane.is_done:
                yield Open(lane.stream[0], lane.stream[1], lane.first, lane.replay_until)

    def strict_cursor(self) -> int:
        """For one lane of everything: the offset through which all is done."""
        lane = self.lanes.get("")
        return self.cursor if lane is None or lane.is_done else lane.first - 1

    def load(self, saved: Saved) -> None:
        """Go on where another process was."""
        self.replay_from, self.replay_until = saved.replay_from, saved.replay_until
        for one in saved.open:
            stream = (one.feed, one.subject)
            key: Hashable = one.first if self.ordering is Ordering.NONE else stream
            if one.first > self.cursor or key in self.lanes:
                continue
            lane = self.lanes[key] = Lane(key, stream, one.first - 1)
            lane.spilled = True
            lane.replay_until = one.replay_until
            self.settle(lane)
