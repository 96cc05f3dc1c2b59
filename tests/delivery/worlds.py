"""A fan-out without sockets or an event loop: a log in memory, sinks with scripted flow control, and a loop that a test
turns by hand, so that every interleaving can be written down.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from typing import Any, cast

import msgspec

from touchline.delivery.fanout import Fanout, FanoutLimits, Framing, Reader
from touchline.feeds.base import EndReason
from touchline.log.base import Page
from touchline.log.memory import MemoryLog
from touchline.model import Event, Lane, Position, Record
from touchline.testing.clock import FakeClock
from touchline.testing.memory import run

_ids = itertools.count(1)


def event(subject: str, lane: Lane = Lane.EVENT, *, key: str = "", data: bytes = b"{}", kind: str = "x") -> Event:
    """An event of the feed ``f`` with an id of its own."""
    return Event("f", f"f.{kind}", subject, "/test", f"e{next(_ids)}", data, 0, 0, lane=lane, state_key=key)


class Choice(msgspec.Struct, frozen=True):
    """A selector by feed, subject and types; None does not narrow."""

    feed: str | None = "f"
    subject: str | None = None
    types: frozenset[str] | None = None
    variant: Hashable = ""

    def matches(self, record: Record) -> bool:
        event = record.event
        return (
            (self.feed is None or event.feed == self.feed)
            and (self.subject is None or event.subject == self.subject)
            and (self.types is None or event.type in self.types)
        )


class Got(msgspec.Struct, frozen=True):
    """One frame as a reader found it: ``offset`` is the record's, ``resume`` where the frame says to go on."""

    lane: str
    subject: str
    kind: str
    key: str
    seq: int
    offset: int
    resume: int
    data: str
    variant: str


class Encoding:
    """A framing that counts how often it encodes, and can be told to fail or to have nothing of a type."""

    def __init__(self, name: str = "test", last: str | None = None) -> None:
        self.calls = 0
        self.fails_on: str | None = None
        self.silent_on: str | None = None
        is_last = None if last is None else lambda record: record.event.type == last
        self.framing = Framing(name, self._encode, self._frame, is_last)

    def _encode(self, record: Record, variant: Any, position: Position) -> bytes | None:
        self.calls += 1
        event = record.event
        if event.type == self.fails_on:
            raise RuntimeError("this record cannot be encoded")
        if event.type == self.silent_on:
            return None
        return msgspec.json.encode(
            Got(
                event.lane.value,
                event.subject,
                event.type,
                event.state_key,
                record.seq,
                record.offset,
                position.offset,
                event.data.decode(),
                str(variant),
            )
        )

    @staticmethod
    def _frame(message: str | bytes, record: Record, position: Position) -> bytes:
        assert isinstance(message, bytes)
        return message + b"\n"


class FakeSink:
    """Holds what was written until the test takes it away. Above ``high`` bytes it says that it is blocked."""

    def __init__(self, fanout: Fanout, high: int = 1 << 30) -> None:
        self._fanout = fanout
        self.high = high
        self.reader: Reader | None = None
        self.writes: list[bytes] = []
        self.held = 0
        self.ended: list[EndReason] = []
        self.most_held = 0

    def write(self, data: bytes) -> None:
        if self.ended:
            return
        assert data.endswith(b"\n"), "whole frames alone"
        self.writes.append(data)
        self.held += len(data)
        self.most_held = max(self.most_held, self.held)
        if self.held > self.high and self.reader is not None:
            self._fanout.blocked(self.reader)

    def backlog(self) -> int:
        return self.held

    def end(self, reason: EndReason) -> None:
        self.ended.append(reason)
        if self.reader is not None:
            self._fanout.detach(self.reader)

    def drain(self, count: int | None = None) -> None:
        """The socket takes so many bytes (all of them); below half of ``high`` there is room again."""
        self.held -= self.held if count is None else min(count, self.held)
        if self.reader is not None and self.reader.blocked and self.held <= self.high // 2:
            self._fanout.drained(self.reader)

    def stuff(self) -> None:
        """The socket's buffer fills by itself, as it does when others share it."""
        self.held = max(self.held, self.high + 1)
        assert self.reader is not None
        self._fanout.blocked(self.reader)

    @property
    def got(self) -> list[Got]:
        text = b"".join(self.writes)
        return [msgspec.json.decode(line, type=Got) for line in text.splitlines()]

    @property
    def offsets(self) -> list[int]:
        """Offsets of the event lane's records, as they came."""
        return [got.offset for got in self.got if got.lane == "event"]

    @property
    def states(self) -> list[tuple[str, str, str]]:
        """(subject, key, data) of the state lane's values, as they came."""
        return [(got.subject, got.key, got.data) for got in self.got if got.lane == "state"]


class CountingLog(MemoryLog):
    """Counts readings, and fails them on demand."""

    reads = 0
    failing: Exception | None = None

    async def read(self, after: int, limit: int, **narrowing: Any) -> Page:
        self.reads += 1
        if self.failing is not None:
            raise self.failing
        return await super().read(after, limit, **narrowing)


class World:
    """A log, a fan-out over it, and the loop between them. ``holding`` keeps appended records from the fan-out."""

    def __init__(self, limits: FanoutLimits | None = None) -> None:
        self.clock = FakeClock()
        self.log = CountingLog(self.clock)
        run(self.log.start())
        self.soon: list[Callable[[], None]] = []
        self.spawned: list[Callable[[], Awaitable[None]]] = []
        self.limits = limits or FanoutLimits()
        self.fanout = Fanout(
            self.log, self.clock, call_soon=self.soon.append, spawn=self.spawned.append, limits=self.limits
        )
        self.holding = False
        self.held: list[Sequence[Record]] = []
        self.log.follow(self._receive)

    def restart(self) -> None:
        """A new fan-out over the same log, as after a restart of the hub: nothing is in memory any more."""
        self.soon, self.spawned = [], []
        self.fanout = Fanout(
            self.log, self.clock, call_soon=self.soon.append, spawn=self.spawned.append, limits=self.limits
        )

    def _receive(self, records: Sequence[Record]) -> None:
        if self.holding:
            self.held.append(records)
        else:
            self.fanout.dispatch(records)

    def release(self) -> None:
        """Hand over what was held back."""
        self.holding = False
        held, self.held = self.held, []
        for records in held:
            self.fanout.dispatch(records)

    def append(self, *events: Event) -> list[int]:
        """Append as one batch; the offsets of its event-lane records."""
        before = self.log.head
        run(self.log.append(list(events)))
        return [record.offset for record in self.records(before) if record.seq]

    def records(self, after: int = 0) -> Sequence[Record]:
        """What is in the log, both lanes."""
        found: list[Record] = []
        more = True
        after = max(after, self.log.floor)
        while more:
            page = run(MemoryLog.read(self.log, after, 10_000))
            found += page.records
            after, more = page.next_after, page.more
        return found

    def offsets(self, choice: Choice, after: int = 0) -> list[int]:
        """Event-lane offsets in the log that a choice matches, above an offset."""
        return [record.offset for record in self.records(after) if record.seq and choice.matches(record)]

    def attach(self, encoding: Encoding, high: int = 1 << 30) -> FakeSink:
        sink = FakeSink(self.fanout, high)
        sink.reader = self.fanout.attach(sink, encoding.framing)
        return sink

    def follow(
        self, sink: FakeSink, choice: Choice, after: int | None = None, *, number: int = 1, finite: bool = False
    ) -> None:
        assert sink.reader is not None
        self.fanout.follow(sink.reader, number, choice, after, finite=finite)

    def reader(
        self,
        encoding: Encoding,
        choice: Choice,
        after: int | None = None,
        *,
        high: int = 1 << 30,
        finite: bool = False,
    ) -> FakeSink:
        """A new session with one following."""
        sink = self.attach(encoding, high)
        self.follow(sink, choice, after, finite=finite)
        return sink

    def turn(self) -> bool:
        """One turn of the loop: what is due now, then one reading. Whether anything was done."""
        soon, self.soon[:] = list(self.soon), []
        for callback in soon:
            callback()
        if self.spawned:
            work = self.spawned.pop(0)
            run(cast("Coroutine[Any, Any, None]", work()))
            return True
        return bool(soon)

    def settle(self) -> None:
        """Turn until nothing is due."""
        for _ in range(100_000):
            if not self.turn():
                return
        raise AssertionError("the fan-out never comes to rest")

    def drain_all(self, *sinks: FakeSink) -> None:
        """Everybody reads everything."""
        for _ in range(100_000):
            self.settle()
            if not any(sink.held for sink in sinks):
                return
            for sink in sinks:
                sink.drain()
        raise AssertionError("the sinks never run dry")
