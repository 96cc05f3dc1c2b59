"""A hub in memory for one feed: keeps records, answers a session's questions, and is the ``Ports`` of a feed's REST.

As plain as can be on purpose: the real log, directory and shells have suites of their own, this one is there to test
what a feed does. No socket, no event loop, a clock that stands still.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from touchline.feeds.base import (
    Answer,
    EndpointView,
    Engine,
    EnginePort,
    FindAdmission,
    FindMember,
    FindPosition,
    FindSecret,
    FindStream,
    FindToken,
    Form,
    Instant,
    Member,
    Question,
    Refusal,
    StreamView,
    Subscription,
    Token,
)
from touchline.feeds.base import Feed as FeedValue
from touchline.log.endpoints import TOKEN_SECONDS
from touchline.log.entries import mint
from touchline.model import Event, ExtensionValue, Lane, Record

Result = TypeVar("Result")

EPOCH = "testepoch1"
START_NS = 1_795_089_600_000_000_000  # 2026-11-19T12:00:00Z


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    coroutine.close()
    raise RuntimeError("it waited for something")


class _Engine:
    """The feed's sandbox engine, run as its owner would: decide, store, apply (``EnginePort``)."""

    def __init__(self, hub: MemoryHub, engine: Engine) -> None:
        self._hub = hub
        self.engine = engine
        self.state = engine.initial()

    async def command(self, command: Any) -> Any:
        """Carry out a command."""
        hub = self._hub
        decided = self.engine.decide(self.state, command, hub.wall_ns, hub.new_id)
        if isinstance(decided, Refusal):
            return decided
        hub.advance(0.001)
        for change in decided.changes:
            kept = hub.publish(change.type, change.subject, change.data, self.engine.source, **change.extensions)
            self.engine.apply(self.state, kept.event)
        return decided


class MemoryHub:
    """Everything that a feed may ask of a hub (``Ports``, and the answers to a session's questions)."""

    def __init__(
        self, feed: FeedValue, members: Iterable[Member] = (), base_url: str = "http://127.0.0.1:8080"
    ) -> None:
        self.feed = feed
        self.members = list(members)
        self.stored: list[Record] = []
        self._counters: dict[str, int] = {}
        self.tokens: dict[str, Token] = {}
        self.failures: list[tuple[str, str]] = []
        self.locked: dict[str, float] = {}
        self.secrets: dict[str, str] = {}
        self.held: list[Subscription] = []
        self.views: list[EndpointView] = []
        self.floor = 0
        self.wall_ns, self.monotonic = START_NS, 1000.0
        self._base_url = base_url
        self._engine: _Engine | None = None
        self._random = random.Random(1)  # noqa: S311 - reproducible on purpose
        self._kinds = {kind.name: kind for kind in feed.types}

    # publishing

    def publish(
        self, event_type: str, subject: str, data: bytes, source: str = "/test", **extensions: ExtensionValue
    ) -> Record:
        """Check and store one event as publishing would."""
        kind = self._kinds.get(event_type)
        event = Event(
            self.feed.name,
            event_type,
            subject,
            source,
            f"e{len(self.stored) + 1}",
            data,
            self.wall_ns,
            self.wall_ns,
            extensions=extensions,
        )
        if kind is not None:
            decoded = msgspec.json.decode(data, type=kind.data)
            refused = kind.check(event, decoded) if kind.check else None
            if refused is not None:
                raise ValueError(refused)
            key = kind.state_key(decoded) if kind.lane is Lane.STATE and kind.state_key else ""
            data = kind.normalise(data) if kind.normalise else data
            event = msgspec.structs.replace(event, data=data, lane=kind.lane, state_key=key, document=kind.document)
        return self.store(event)

    def store(self, event: Event) -> Record:
        """Append an event."""
        seq = 0
        if event.lane is Lane.EVENT:
            seq = self._counters[event.subject] = self._counters.get(event.subject, 0) + 1
        record = Record(len(self.stored) + 1, seq, self.wall_ns, event)
        self.stored.append(record)
        return record

    def stream(self, subject: str) -> list[Record]:
        """The records of a stream."""
        return [record for record in self.stored if record.event.subject == subject]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall_ns += round(seconds * 1e9)
        self.monotonic += seconds

    def fold(self, subject: str) -> Any | None:
        """The folded state of a stream; None when it has no records or the feed has no fold."""
        records, snapshot = self.stream(subject), self.feed.snapshot
        if snapshot is None or not records:
            return None
        state = snapshot.initial(subject)
        for record in records:
            snapshot.apply(state, record)
        return state

    # a session's questions

    def answer(self, question: Question) -> Answer:
        """What a session is told."""
        match question:
            case FindToken():
                return self.find_token(question.token)
            case FindMember():
                return self.member(question.feed, lookup=question.lookup, partner=question.partner)
            case FindStream():
                return self.view(question.subject, question.after_seq)
            case FindSecret():
                return run(self.secret(question.name))
            case FindAdmission() | FindPosition():
                raise NotImplementedError("native reading has no place in this hub")

    def view(self, subject: str, after_seq: int | None) -> StreamView:
        """What of a stream can be read."""
        records = self.stream(subject)
        kept = [record for record in records if record.seq and record.offset > self.floor]
        if not records:
            return StreamView(exists=False)
        last_seq = max(record.seq for record in records)
        first_seq = kept[0].seq if kept else last_seq + 1
        state, snapshot = self.fold(subject), self.feed.snapshot
        wanted = after_seq + 1 if after_seq is not None else snapshot.first_seq(state) if snapshot else 1
        after = next((record.offset - 1 for record in kept if record.seq >= wanted), len(self.stored))
        return StreamView(
            exists=True,
            first_seq=first_seq,
            last_seq=last_seq,
            after=after,
            gone=after_seq is not None and wanted < first_seq,
            over=bool(snapshot and snapshot.is_over(state)),
        )

    # Ports

    def run_engine(self) -> None:
        """Run the feed's sandbox engine, with nobody who plays."""
        assert self.feed.sandbox is not None
        assert self.feed.sandbox.engine is not None
        self._engine = _Engine(self, self.feed.sandbox.engine)

    def engine(self, feed: str) -> EnginePort | None:
        """The running engine."""
        return self._engine if feed == self.feed.name else None

    @property
    def directory(self) -> MemoryHub:
        """Itself."""
        return self

    @property
    def snapshots(self) -> MemoryHub:
        """Itself."""
        return self

    @property
    def log(self) -> MemoryHub:
        """Itself."""
        return self

    @property
    def logins(self) -> MemoryHub:
        """Itself."""
        return self

    @property
    def subscriptions(self) -> MemoryHub:
        """Itself."""
        return self

    @property
    def base_url(self) -> str:
        """Where it can be reached."""
        return self._base_url

    def now(self) -> Instant:
        """Its clock, which stands still."""
        return Instant(self.wall_ns, self.monotonic)

    def new_id(self) -> str:
        """A UUID."""
        return str(UUID(bytes=self.entropy(16), version=4))

    def entropy(self, count: int) -> bytes:
        """Reproducible random bytes."""
        return self._random.randbytes(count)

    def member(self, feed: str, *, lookup: str | None = None, partner: str | None = None) -> Member | None:
        """The member with that lookup credential or partner name."""
        names = [field.name for field in self.feed.credentials if field.lookup]
        for member in self.members:
            if member.feed != feed:
                continue
            if partner == member.partner or any(lookup == member.credentials.get(name) for name in names):
                return member
        return None

    def find_token(self, value: str) -> Token | None:
        """The token while it is good and its partner is here."""
        token = self.tokens.get(value)
        if token is None or (token.expires_at is not None and token.expires_at <= self.wall_ns):
            return None
        return token if self.member(token.feed, partner=token.partner) else None

    async def issue_token(
        self,
        feed: str,
        partner: str,
        purpose: str,
        subject: str,
        *,
        form: Form,
        expires_at: int | None,
        prefix: str = "",
    ) -> Token:
        """The good token of these, or a new one."""
        for token in self.tokens.values():
            same = (token.feed, token.partner, token.purpose, token.subject) == (feed, partner, purpose, subject)
            if same and self.find_token(token.value):
                return token
        value = prefix + mint(form, partner, self.entropy)
        self.tokens[value] = Token(value, feed, partner, purpose, subject, expires_at)
        return self.tokens[value]

    async def extend_token(self, value: str, expires_at: int | None) -> None:
        """Set when a token ends."""
        self.tokens[value] = msgspec.structs.replace(self.tokens[value], expires_at=expires_at)

    async def secret(self, name: str, make: Callable[[], str] | None = None) -> str:
        """A secret of the hub's own."""
        if name not in self.secrets:
            self.secrets[name] = make() if make is not None else name.encode().hex().rjust(64, "0")[:64]
        return self.secrets[name]

    async def signing(self, feed: str) -> str:
        """What the feed's codec signs with."""
        codec = self.feed.webhook
        return "" if codec is None or codec.mint is None else await self.secret(f"{feed}.signing", codec.mint)

    # subscriptions

    def find(self, feed: str, partner: str, topic: str, endpoint: str = "") -> Subscription | None:
        """The subscription of these."""
        key = (feed, partner, endpoint, topic)
        return next((s for s in self.held if (s.feed, s.partner, s.endpoint, s.topic) == key), None)

    def by_id(self, feed: str, subscription_id: str) -> Subscription | None:
        """The subscription of that id."""
        return next((s for s in self.held if s.feed == feed and s.id == subscription_id), None)

    def by_token(self, feed: str, token: str) -> Subscription | None:
        """The subscription that is asked for with that token."""
        return next((s for s in self.held if s.feed == feed and token and s.token == token), None)

    def endpoints(self, feed: str, partner: str) -> tuple[EndpointView, ...]:
        """The partner's endpoints."""
        return tuple(one for one in self.views if feed == self.feed.name and one.partner == partner)

    async def begin(self, feed: str, partner: str, topic: str) -> Subscription:
        """Subscribe all of a partner's endpoints."""
        standing = self.find(feed, partner, topic)
        if standing is None:
            since = len(self.stored)
            standing = Subscription(self.new_id(), feed, partner, "", topic, "confirmed", since, issued_at=self.wall_ns)
            self.held.append(standing)
        return standing

    async def confirm(self, subscription: Subscription) -> Subscription:
        """It is owed what comes from now on."""
        if subscription.state == "confirmed":
            return subscription
        new = msgspec.structs.replace(subscription, state="confirmed", since=len(self.stored), to_tell=False)
        self.held[self.held.index(subscription)] = new
        return new

    async def end(self, subscription: Subscription, *, tell: bool = False) -> None:
        """Owe nothing any more."""
        at = self.held.index(subscription)
        if not subscription.endpoint:
            del self.held[at]
        elif subscription.state != "ended":
            self.held[at] = msgspec.structs.replace(
                subscription,
                state="ended",
                to_tell=tell,
                token=self.entropy(160).hex(),
                number=subscription.number + 1,
                issued_at=self.wall_ns,
                expires_at=self.wall_ns + TOKEN_SECONDS * 10**9,
            )

    async def state(self, feed: str, subject: str) -> Any | None:
        """The folded state."""
        return self.fold(subject) if feed == self.feed.name else None

    async def documents(self, feed: str, event_type: str) -> Sequence[Record]:
        """The newest record per subject of a type."""
        found = {
            record.event.subject: record
            for record in self.stored
            if record.event.type == event_type and record.event.feed == feed
        }
        return list(found.values())

    async def document(self, feed: str, event_type: str, subject: str) -> Record | None:
        """The newest record of a type and subject."""
        return next(
            (record for record in await self.documents(feed, event_type) if record.event.subject == subject), None
        )

    async def records(
        self, feed: str, subject: str, *, after: int = 0, limit: int = 1000, types: frozenset[str] | None = None
    ) -> Sequence[Record]:
        """Records of a stream after an offset."""
        found = [
            record
            for record in self.stream(subject)
            if record.offset > after and record.event.feed == feed and (types is None or record.event.type in types)
        ]
        return found[:limit]

    def blocked(self, address: str, name: str) -> float | None:
        """Seconds to wait, as ``locked`` says for a name or an address."""
        return self.locked.get(name, self.locked.get(address))

    def failed(self, address: str, name: str) -> None:
        """Note a failure."""
        self.failures.append((address, name))
