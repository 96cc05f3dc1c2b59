"""A courier without sockets or an event loop: a log and a directory, receivers that do what they are told, and a loop
whose time a test moves. Everything is deterministic; hours pass in milliseconds.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any, cast

import msgspec

from touchline.delivery.courier import Courier, CourierLimits
from touchline.delivery.courier.transport import Post, Reply, Trouble
from touchline.feeds.base import (
    Admitted,
    Capabilities,
    CredentialField,
    EndpointView,
    Feed,
    Form,
    Grants,
    Hosting,
    Instant,
    Keep,
    Order,
    Outgoing,
    Prepared,
    Subscription,
    Transport,
)
from touchline.log.base import EventLog
from touchline.log.directory import Directory
from touchline.log.endpoints import Endpoint, Endpoints
from touchline.log.memory import MemoryLog
from touchline.model import Event, Lane, Record
from touchline.testing.clock import FakeClock

FIELDS = (CredentialField("key", Form.TOKEN, Keep.HASHED, lookup=True),)
_ids = itertools.count(1)


def event(
    subject: str = "a", *, feed: str = "f", kind: str = "x", data: bytes = b"{}", lane: Lane = Lane.EVENT, **extra: str
) -> Event:
    """An event with an id of its own."""
    return Event(feed, f"{feed}.{kind}", subject, "/test", f"e{next(_ids)}", data, 0, 0, lane=lane, extensions=extra)


class Body(msgspec.Struct):
    """What the test's codec posts."""

    offset: int
    feed: str
    subject: str
    seq: int
    kind: str


class Codec:
    """A webhook language as plain as can be. ``raises`` and ``silent`` are event types."""

    def __init__(self, admitted: Admitted = Admitted.AT_ONCE, *, needs_state: bool = False) -> None:
        self.admitted = admitted
        self.needs_state = needs_state
        self.own_headers = frozenset({"x-own-", "the-key"})
        self.options: Mapping[str, tuple[str, ...]] = {"colour": ()}
        self.receiver_options: Mapping[str, tuple[str, ...]] = {}
        self.mint = None
        self.raises: set[str] = set()
        self.silent: set[str] = set()
        self.agent = ""
        self.prepared = 0

    def topics(self, texts: tuple[str, ...], options: Mapping[str, str], grants: Grants) -> tuple[str, ...]:
        return texts

    def admitted_for(self, endpoint: EndpointView) -> Admitted:
        return self.admitted

    def topic(self, record: Record) -> str:
        return record.event.subject

    def wants(self, record: Record, endpoint: EndpointView) -> bool:
        if f"wants {record.event.type}" in self.raises:
            raise RuntimeError("not this one")
        return not endpoint.topics or record.event.type in endpoint.topics

    def permits(self, grants: Grants, record: Record, state: Any | None) -> bool:
        wanted = grants.get("subject")
        if wanted is None:
            return True
        return (state if self.needs_state else record.event.subject) in wanted

    def variant(self, endpoint: EndpointView) -> Hashable:
        return endpoint.options.get("colour", "")

    def prepare(self, record: Record, variant: Any) -> Prepared | None:
        self.prepared += 1
        found = record.event
        if found.type in self.raises:
            raise RuntimeError("not this one")
        if found.type in self.silent:
            return None
        body = Body(record.offset, found.feed, found.subject, record.seq, found.type)
        return Prepared(record, msgspec.json.encode(body))

    def finish(
        self, prepared: Prepared, endpoint: EndpointView, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing:
        headers = (("content-type", "application/json"), ("id", message_id), ("secrets", ",".join(endpoint.secrets)))
        if self.agent:
            headers = (*headers, ("user-agent", self.agent))
        return Outgoing(headers, prepared.body)

    def handshake(
        self, endpoint: EndpointView, subscription: Subscription, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing | None:
        if subscription.topic == "quiet":
            return None
        return Outgoing((("id", message_id), ("handshake", subscription.topic)), subscription.state.encode())

    def sample(self, endpoint: EndpointView, now: Instant) -> Record:
        return Record(0, 0, now.wall_ns, event("sample"))

    def receive(self, *args: Any) -> Any:
        raise NotImplementedError


def feed(name: str = "f", order: Order = Order.STREAM, codec: Codec | None = None, *, personal: bool = False) -> Feed:
    """A feed with nothing but a webhook."""
    capabilities = Capabilities(frozenset({Transport.WEBHOOK}), order=order, personal=personal)
    return Feed(name, name, "", "", (), capabilities, credentials=FIELDS, webhook=cast("Any", codec or Codec()))


class Got(msgspec.Struct, frozen=True):
    """One request as a receiver saw it."""

    at: float
    offset: int
    subject: str
    message_id: str
    replay: bool
    status: int | None
    body: bytes
    headers: tuple[tuple[str, str], ...]
    handshake: str = ""


Behaviour = Callable[[Got], "tuple[float, Reply] | None"]
"""What a receiver does with a request: so many seconds, then this reply; None: it never answers."""


def ok(got: Got) -> tuple[float, Reply]:
    return 0.01, Reply(200)


def refuses(got: Got) -> tuple[float, Reply]:
    return 0.001, Reply(None, trouble=Trouble.CONNECT, detail="refused")


def says(status: int, after: float = 0.01, **headers: str) -> Behaviour:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return lambda got: (after, Reply(status, pairs))


def never(got: Got) -> None:
    return None


class Under:
    """A request under way."""

    def __init__(self, world: World, url: str) -> None:
        self._world = world
        self.url = url
        self.open = True

    def cancel(self) -> None:
        self.open = False
        self._world.under.pop(self, None)
        self._world.cancelled.append(self.url)


class Sends:
    """The transport: gives each post to the behaviour of its address. One belongs to one life of the courier."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.dead = False

    def send(self, post: Post, done: Callable[[Reply], None]) -> Under:
        world = self._world
        assert not self.dead, "a dead hub sends nothing"
        if "cannot" in post.url:
            raise ValueError("no such address")
        under = Under(world, post.url)
        headers = dict(post.headers)
        body = msgspec.json.decode(post.body, type=Body) if "handshake" not in headers else Body(0, "", "", 0, "")
        got = Got(
            world.clock.monotonic(), body.offset, body.subject, headers["id"], "touchline-replay" in headers, None,
            post.body, post.headers, headers.get("handshake", ""),
        )  # fmt: skip
        answer = world.behaviours.get(post.url, ok)(got)
        seconds, reply = answer or (post.whole_seconds, Reply(None, trouble=Trouble.TIMEOUT, detail="no answer"))
        if seconds >= post.whole_seconds:
            seconds, reply = post.whole_seconds, Reply(None, trouble=Trouble.TIMEOUT, detail="no answer")
        reply = msgspec.structs.replace(reply, seconds=seconds)
        world.under[under] = None
        # The receiver has it now, whether or not the answer arrives.
        index = len(world.got[post.url])
        world.got[post.url].append(msgspec.structs.replace(got, status=reply.status))

        def answered() -> None:
            if under.open and not self.dead:
                under.open = False
                world.under.pop(under, None)
                world.got[post.url][index] = msgspec.structs.replace(got, status=reply.status)
                done(reply)

        world.call_later(seconds, answered)
        return under

    async def close(self) -> None:
        self.dead = True


class Handle:
    """A timer."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class World:
    """Log, directory, endpoints, courier, receivers, and the loop between them."""

    def __init__(
        self,
        *feeds: Feed,
        limits: CourierLimits | None = None,
        seed: int = 1,
        log: EventLog | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.dice = random.Random(seed)
        self.feeds = {one.name: one for one in (feeds or (feed(),))}
        self.limits = limits
        self.log: Any = log or MemoryLog(self.clock)
        self.behaviours: dict[str, Behaviour] = {}
        self.got: dict[str, list[Got]] = defaultdict(list)
        self.under: dict[Under, None] = {}
        self.cancelled: list[str] = []
        self.soon: list[Callable[[], None]] = []
        self.timers: list[tuple[float, int, Handle]] = []
        self.tasks: list[Coroutine[Any, Any, None]] = []
        self.signing = True
        self.states: dict[tuple[str, str], Any] = {}
        self.appended: list[Event] = []
        self._end: Callable[[], None] = lambda: None

    # life

    async def start(self) -> World:
        """The log, the directory and a courier."""
        await self.log.start()
        self.directory = Directory(self.log.directory, self.clock, self.dice.randbytes)
        await self.directory.start()
        await self._begin()
        return self

    async def _begin(self) -> None:
        self.endpoints = Endpoints(
            self.log.directory,
            self.directory,
            self.clock,
            self.dice.randbytes,
            lambda: self.log.head,
            {name: one.webhook.options for name, one in self.feeds.items() if one.webhook},
        )
        await self.endpoints.start()
        self.sends = Sends(self)
        self.courier = Courier(
            self.log,
            self.endpoints,
            self.feeds,
            self._state,
            cast("Any", self.sends),
            self.clock,
            call_soon=self.soon.append,
            spawn=self.spawn,
            dice=self.dice,
            hosting=lambda name: Hosting("http://hub", "") if self.signing else None,
            append=self._append,
            limits=self.limits,
            call_later=self.call_later,
        )
        self._end = self.log.follow(self.courier.dispatch)
        self._end_directory = self.directory.on_change(self.courier.changed)
        await self.courier.start()

    async def crash(self) -> None:
        """kill -9, and a new process on the same log."""
        self._end()
        self._end_directory()
        await self.endpoints.close()
        self.sends.dead = True
        for task in self.tasks:
            task.close()
        self.under.clear()
        self.soon, self.timers, self.tasks = [], [], []
        await self._begin()

    async def _state(self, feed_name: str, subject: str) -> Any | None:
        return self.states.get((feed_name, subject))

    async def _append(self, events: Sequence[Event]) -> None:
        self.appended += events
        await self.log.append(events)

    # the loop

    def spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        self.tasks.append(cast("Coroutine[Any, Any, None]", work()))

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        handle = Handle(callback)
        heapq.heappush(self.timers, (self.clock.monotonic() + seconds, next(_ids), handle))
        return handle

    async def settle(self) -> None:
        """Everything that is due now."""
        for _ in range(30_000):
            if self.soon:
                soon, self.soon[:] = list(self.soon), []
                for callback in soon:
                    callback()
            elif self.tasks:
                await self.tasks.pop(0)
            elif self.timers and self.timers[0][0] <= self.clock.monotonic():
                callback_now = heapq.heappop(self.timers)[2].callback
                if callback_now is not None:
                    callback_now()
            else:
                return
        raise AssertionError("the courier never comes to rest")

    async def run(self, seconds: float, *, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass, with a tick a second; whether ``until`` came true (or was not asked)."""
        end = self.clock.monotonic() + seconds
        await self.settle()
        next_tick = self.clock.monotonic() + 1.0
        while until is None or not until():
            due = min(self.timers[0][0] if self.timers else end, next_tick, end)
            if due > self.clock.monotonic():
                self.clock.advance(due - self.clock.monotonic())
            if self.clock.monotonic() >= next_tick:
                self.courier.tick()
                next_tick += 1.0
            await self.settle()
            if self.clock.monotonic() >= end:
                return until is None or until()
        return True

    # what happens

    async def partner(self, name: str = "acme", feed_name: str = "f", **grants: Sequence[str]) -> None:
        """A partner of a feed."""
        await self.directory.add_member(name, feed_name, FIELDS, grants, {})

    async def endpoint(
        self,
        url: str,
        behaviour: Behaviour = ok,
        *,
        partner: str = "acme",
        feed_name: str = "f",
        topics: tuple[str, ...] = (),
        ask: Sequence[str] = (),
        **options: str,
    ) -> Endpoint:
        """An endpoint, whose partner is made when it is new."""
        if self.directory.membership(partner, feed_name) is None:
            await self.partner(partner, feed_name)
        self.behaviours[url] = behaviour
        return await self.endpoints.add(
            partner, feed_name, url, topics=topics, label="", options=options, secret="s1", ask=ask
        )

    async def append(self, *events: Event) -> list[int]:
        """Append a batch; the offsets of its event lane."""
        before = self.log.head
        await self.log.append(list(events))
        return [record.offset for record in await self.records(before)]

    async def records(self, after: int = 0) -> list[Record]:
        """The event lane above an offset."""
        found: list[Record] = []
        after, more = max(after, self.log.floor), True
        while more:
            page = await self.log.read(after, 10_000, events_only=True)
            found += page.records
            after, more = page.next_after, page.more
        return found

    def taken(self, url: str) -> list[int]:
        """Offsets of what a receiver answered with 2xx, as they came."""
        return [got.offset for got in self.got[url] if got.status == 200 and not got.handshake]

    def changes(self) -> list[str]:
        """The endpoints' changes that were published."""
        return [one.type.removeprefix("hub.endpoint.") for one in self.appended]


def inversions(got: Sequence[Got]) -> list[tuple[str, int, int]]:
    """Where a receiver got an older record of a stream after a newer one, as something new."""
    last: dict[str, int] = {}
    found = []
    for one in got:
        if one.handshake or one.replay or one.status != 200:
            continue
        if one.offset < last.get(one.subject, 0):
            found.append((one.subject, last[one.subject], one.offset))
        last[one.subject] = max(one.offset, last.get(one.subject, 0))
    return found
