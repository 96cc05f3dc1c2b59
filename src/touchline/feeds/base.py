"""The Feed contract: all that shared code knows of a provider, and all that a provider may ask of the hub.

A feed is one frozen value, ``FEED``, in ``feeds/<name>/__init__.py``. Everything here is either data about the feed
or pure code: bytes and times in, messages and wishes out. Sockets, storage, clocks and randomness belong to the shell
(``server``, ``delivery``, ``client``), which carries out the wishes and tells the answers. A surface that a feed does
not have is None. Shared code branches on these values and never on a feed's name.

Nothing here imports a server library; ``http.py`` of a feed is named, not imported, and loaded by the server.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from touchline.model import Event, Lane, Position, Record
from touchline.wire.http import HttpRequest, HttpResponse, Pairs

Grants = Mapping[str, frozenset[str]]
"""Grant key → allowed values. Same key more than once is OR, different keys are AND, empty means the whole feed."""


class Instant(msgspec.Struct, frozen=True):
    """Now, on both clocks: wall time in UTC nanoseconds, and monotonic seconds for schedules."""

    wall_ns: int
    monotonic: float


# what a feed says about its events


class EventType(msgspec.Struct, frozen=True):
    """One CloudEvents ``type`` of a feed.

    ``data`` is the struct that ``data`` must decode into: what routing and folding need is required there, every other
    known field has its type and a default, unknown fields pass. ``state_key`` says of which thing a state-lane event
    is the latest value ('' when there is one per stream). ``document`` keeps the newest event per subject beyond
    retention, so that it can be looked up and listed. ``check`` returns why an event is refused, as (field, detail).
    ``normalise`` rewrites ``data`` once at publishing where the provider's format demands a certain spelling; it
    raises ValueError where that would change a value.
    """

    name: str
    data: type[Any]
    lane: Lane = Lane.EVENT
    state_key: Callable[[Any], str] | None = None
    document: bool = False
    check: Callable[[Event, Any], tuple[str, str] | None] | None = None
    normalise: Callable[[bytes], bytes] | None = None


class Transport(enum.Enum):
    """How a feed reaches its receivers."""

    WEBSOCKET = "websocket"
    SSE = "sse"
    WEBHOOK = "webhook"
    REST = "rest"


class Resume(enum.Enum):
    """What a receiver hands back to go on without loss."""

    NONE = "none"
    SEQ = "seq"
    POSITION = "position"


class Order(enum.Enum):
    """What a receiver may rely on."""

    STREAM = "stream"
    NONE = "none"


class Capabilities(msgspec.Struct, frozen=True):
    """What a feed can do, as data. ``resign_on_retry``: a repeated webhook is signed anew (else the same bytes go)."""

    transports: frozenset[Transport]
    resume: Resume = Resume.NONE
    order: Order = Order.STREAM
    resign_on_retry: bool = True
    max_message_bytes: int | None = None


# who may receive


class Keep(enum.Enum):
    """How a credential is stored: readable, or as a hash where a hash does."""

    PLAIN = "plain"
    HASHED = "hashed"


class Form(enum.Enum):
    """What a credential looks like when the hub makes it."""

    NAME = "name"
    """the partner's own name"""
    HEX = "hex"
    """40 lower-case hex digits"""
    UUID = "uuid"
    TOKEN = "token"  # noqa: S105
    """43 URL-safe characters (256 bits)"""


class CredentialField(msgspec.Struct, frozen=True):
    """One member of ``credentials`` that ``partner add`` prints. ``lookup`` marks the one that a request names."""

    name: str
    form: Form
    keep: Keep
    lookup: bool = False


class Member(msgspec.Struct, frozen=True):
    """A partner as one feed sees it: name, grants, options, and credentials by name (hashed ones as hex SHA-256)."""

    partner: str
    feed: str
    grants: Grants
    credentials: Mapping[str, str]
    options: Mapping[str, str] = {}

    def __repr__(self) -> str:
        names = dict.fromkeys(self.credentials, "***")
        return f"Member({self.partner!r}, {self.feed!r}, {self.grants!r}, {names!r}, {self.options!r})"


class Token(msgspec.Struct, frozen=True):
    """A token that the hub issued: random, durable, valid on every node until ``expires_at`` (ns) or revoked."""

    value: str
    feed: str
    partner: str
    purpose: str
    subject: str
    expires_at: int | None

    def __repr__(self) -> str:
        about = f"{self.feed!r}, {self.partner!r}, {self.purpose!r}, {self.subject!r}, {self.expires_at!r}"
        return f"Token('***', {about})"


class Admission(msgspec.Struct, frozen=True):
    """Who a native reader is: an admin (``partner`` None) or a hub partner with its grants. Keys may be revoked."""

    key_id: str
    partner: str | None
    grants: Grants


# WebSocket sessions, server role


class FindToken(msgspec.Struct, frozen=True):
    """Is this token good? Told: Token or None (unknown, expired, revoked, or its partner suspended)."""

    token: str


class FindMember(msgspec.Struct, frozen=True):
    """Who has this lookup credential in this feed, or is the partner of this name? Told: Member or None."""

    feed: str
    lookup: str | None = None
    partner: str | None = None


class FindAdmission(msgspec.Struct, frozen=True):
    """Whose key is this, for native reading? Told: Admission or None."""

    key: str


class FindStream(msgspec.Struct, frozen=True):
    """What of this stream can be read, going on after ``after_seq`` (None: from its beginning)? Told: StreamView."""

    feed: str
    subject: str
    after_seq: int | None = None


class StreamView(msgspec.Struct, frozen=True):
    """Told of FindStream. ``exists`` is False when nothing is known of the stream (yet).

    ``after`` is the offset after which the asked reading goes on; ``gone`` says that retention has removed records
    between there and the oldest one kept (never so for a reading from the beginning, which starts at the oldest).
    ``over`` is what the feed's fold says: no more records are expected.
    """

    exists: bool
    first_seq: int = 0
    last_seq: int = 0
    after: int = 0
    gone: bool = False
    over: bool = False


class FindPosition(msgspec.Struct, frozen=True):
    """Can reading go on after this position token (None: from now)? Told: PositionView."""

    token: str | None


class PositionView(msgspec.Struct, frozen=True):
    """Told of FindPosition: the offset to go on after, or why it cannot (``gone``: 'expired', 'ahead' or 'epoch').

    ``oldest`` and ``head`` are tokens that can be read from.
    """

    after: int
    oldest: str
    head: str
    gone: str | None = None
    detail: str = ""


class FindSecret(msgspec.Struct, frozen=True):
    """The hub's own secret of this name: 32 random bytes as 64 hex digits, durable, equal on every node. Told: str."""

    name: str


Question = FindToken | FindMember | FindAdmission | FindStream | FindPosition | FindSecret
Answer = Token | Member | Admission | StreamView | PositionView | str | None


class Selector(Protocol):
    """Which records a session follows, and in which encoding. Hashable: equal selectors share all work.

    ``feed`` and ``subject`` narrow where to look (None: everywhere); ``matches`` decides, for both lanes, and must not
    depend on anything but the record. ``variant`` is handed to the surface's ``encode``.
    """

    @property
    def feed(self) -> str | None: ...
    @property
    def subject(self) -> str | None: ...
    @property
    def variant(self) -> Hashable: ...
    def matches(self, record: Record) -> bool: ...
    def __hash__(self) -> int: ...


class Ask(msgspec.Struct, frozen=True):
    """The session needs an answer before it can go on: call ``told`` with the same number."""

    number: int
    question: Question


class Accept(msgspec.Struct, frozen=True):
    """Complete the WebSocket handshake."""

    subprotocol: str | None = None


class Refuse(msgspec.Struct, frozen=True):
    """Answer the handshake with this instead. ``failed_login`` counts against the limit on failures per address."""

    response: HttpResponse
    failed_login: bool = False


class Identify(msgspec.Struct, frozen=True):
    """The session now acts for this partner (None: an admin); ``token`` or ``key_id`` whose revocation ends it."""

    partner: str | None
    token: str | None = None
    key_id: str | None = None


class Follow(msgspec.Struct, frozen=True):
    """Send the records that the selector matches: those after ``after`` from the log first, then live ones.

    ``after`` None means live only. State-lane values current at the splice are sent then. ``finite``: nothing more is
    expected; call ``end(EndReason.FINISHED)`` once everything is sent.
    """

    number: int
    selector: Selector
    after: int | None = None
    finite: bool = False


class Unfollow(msgspec.Struct, frozen=True):
    """Stop what the Follow of that number began."""

    number: int


class Close(msgspec.Struct, frozen=True):
    """Send what ``data_to_send`` holds, then a close frame with this code, then end."""

    code: int
    reason: str = ""


Wish = Ask | Accept | Refuse | Identify | Follow | Unfollow | Close


class EndReason(enum.Enum):
    """Why the hub ends a session; the session words it in its own protocol."""

    FINISHED = "finished"
    """the stream is over and everything was sent"""
    SHUTDOWN = "shutdown"
    """the hub stops; come back"""
    REVOKED = "revoked"
    """token, key or partner is no longer good"""
    STALLED = "stalled"
    """the reader made no progress at all; may resume"""
    IDLE = "idle"
    """no frame either way for the surface's ``idle_seconds``"""
    GAP = "gap"
    """retention overtook the reader: records it has not seen are gone"""
    FAULT = "fault"
    """our own error"""


class ServerSession(Protocol):
    """One subscriber's connection, without its socket. The shell calls in, then drains the two outlets, in this order:
    ``events_received`` (wishes, to be carried out in order) and ``data_to_send`` (whole messages, text or binary).
    """

    def receive_data(self, data: str | bytes, now: Instant) -> None:
        """A whole message came from the client."""

    def told(self, number: int, answer: Answer, now: Instant) -> None:
        """The answer to Ask ``number``."""

    def end(self, reason: EndReason, now: Instant) -> None:
        """The hub ends this session: wish for Close with the protocol's own code."""

    def events_received(self) -> list[Wish]:
        """The wishes since the last call."""

    def data_to_send(self) -> list[str | bytes]:
        """The messages to send since the last call."""

    def deadline(self) -> float | None:
        """Monotonic time at which ``tick`` wants to be called, or None."""

    def tick(self, now: Instant) -> None:
        """Time has come."""


class WebSocketSurface(msgspec.Struct, frozen=True):
    """A feed's WebSocket endpoint.

    ``open`` begins a session from the upgrade request; ``entropy`` gives random bytes. ``encode`` makes the message of
    one record for one variant, or None when that variant has nothing of it; it is called once per record and variant,
    however many sessions there are. ``position`` is where a reader of this message may resume. ``is_last`` marks a
    record after which its stream is over; tokens of that stream end ``tokens_outlive_seconds`` later (None: they stay).
    ``idle_seconds``: end a session after so long without a frame either way.
    """

    path: str
    open: Callable[[HttpRequest, Callable[[int], bytes], Instant], ServerSession]
    encode: Callable[[Record, Any, Position], str | bytes | None]
    subprotocols: tuple[str, ...] = ()
    is_last: Callable[[Record], bool] | None = None
    tokens_outlive_seconds: float | None = None
    idle_seconds: float | None = None
    max_message_bytes: int = 64 * 1024


# webhooks


class EndpointView(msgspec.Struct, frozen=True):
    """What a codec may know of an endpoint: its id, partner, secrets (newest first), topics, label and options."""

    id: str
    partner: str
    secrets: tuple[str, ...]
    topics: tuple[str, ...]
    label: str = ""
    options: Mapping[str, str] = {}


class Prepared(msgspec.Struct, frozen=True):
    """A record made ready once for all endpoints of a variant; ``parts`` are the codec's own."""

    record: Record
    body: bytes
    parts: tuple[Any, ...] = ()


class Outgoing(msgspec.Struct, frozen=True):
    """What is finally posted to an endpoint: headers (lower-case names) and body."""

    headers: Pairs
    body: bytes


class Received(msgspec.Struct, frozen=True):
    """What a verified webhook holds, in the consumer role: the events in CloudEvents words, or a handshake to answer.

    ``confirm_url`` is set for a subscription handshake that the consumer should confirm by a GET, and never for one
    that it must not.
    """

    events: tuple[Event, ...] = ()
    confirm_url: str | None = None
    message_id: str | None = None


class WebhookCodec(Protocol):
    """A feed's webhook language, both roles, pure."""

    def variant(self, endpoint: EndpointView) -> Hashable:
        """What of the endpoint's options changes the prepared body; endpoints of equal variants share it."""

    def wants(self, record: Record, endpoint: EndpointView) -> bool:
        """Whether the endpoint's topics take this record (grants are checked by the courier)."""

    def prepare(self, record: Record, variant: Any) -> Prepared | None:
        """The part of the message that does not depend on the endpoint; None when nothing is to be sent."""

    def finish(self, prepared: Prepared, endpoint: EndpointView, message_id: str, now: Instant) -> Outgoing:
        """The message to one endpoint: signature and headers. ``message_id`` is equal on every attempt."""

    def challenge(self, endpoint: EndpointView, topic: str, secret: str, now: Instant) -> Outgoing | None:
        """The handshake that must be answered before this topic is delivered, or None when there is none."""

    def verify(self, headers: Pairs, body: bytes, secrets: Sequence[str], now: Instant) -> Received:
        """Consumer role: check over the raw bytes, in constant time, and decode. Raises RemoteProtocolError."""


# REST


class Parameter(msgspec.Struct, frozen=True):
    """A documented parameter of an operation; ``where`` is 'path', 'query' or 'header'; ``schema`` is JSON Schema."""

    name: str
    where: str
    description: str
    schema: Mapping[str, Any] = msgspec.field(default_factory=lambda: {"type": "string"})
    required: bool = False


class Answered(msgspec.Struct, frozen=True):
    """A documented answer: what it means, its media type, and its type as a msgspec-describable type or JSON Schema."""

    description: str
    body: Any = None
    media_type: str = "application/json"


class Operation(msgspec.Struct, frozen=True):
    """One HTTP operation, declared once for the router and for ``/openapi.json``.

    ``path`` has ``{names}``. ``security`` names a scheme of the OpenAPI document. ``when_query`` limits the operation
    to requests that carry these query parameters (several operations may then share a path).
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Callable[[HttpRequest], Awaitable[HttpResponse]]
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | None = None
    answers: Mapping[int, Answered] = msgspec.field(default_factory=lambda: {200: Answered("done")})
    security: str | None = None
    tag: str = ""
    when_query: tuple[str, ...] = ()


# ports: what the hub offers to a feed's http.py


class DirectoryPort(Protocol):
    """Partners, credentials, grants and tokens, as a feed may use them. Look-ups answer from memory."""

    def member(self, feed: str, *, lookup: str | None = None, partner: str | None = None) -> Member | None:
        """The unsuspended member with this lookup credential, or of this partner name."""

    def find_token(self, value: str) -> Token | None:
        """The token, while it is good."""

    async def issue_token(
        self, feed: str, partner: str, purpose: str, subject: str, *, form: Form, expires_at: int | None
    ) -> Token:
        """The token of this (feed, partner, purpose, subject): the one that is good, or a new one."""

    async def extend_token(self, value: str, expires_at: int | None) -> None:
        """Set when a token ends."""

    async def secret(self, name: str) -> str:
        """The hub's own secret of this name (see FindSecret)."""


State = TypeVar("State")


class SnapshotPort(Protocol):
    """The folded state of streams, current up to the last record that was acknowledged."""

    async def state(self, feed: str, subject: str) -> Any | None:
        """The fold's state object of a stream (do not change it), or None when nothing is known of it."""


class ReadPort(Protocol):
    """Reading the log."""

    async def documents(self, feed: str, event_type: str) -> Sequence[Record]:
        """The newest record per subject of a type declared with ``document``."""

    async def document(self, feed: str, event_type: str, subject: str) -> Record | None:
        """The newest record of that type and subject."""

    async def records(
        self, feed: str, subject: str, *, after: int = 0, limit: int = 1000, types: frozenset[str] | None = None
    ) -> Sequence[Record]:
        """Records of one stream in log order, both lanes, after an offset."""


class AppendPort(Protocol):
    """Publishing from within."""

    async def append(self, events: Sequence[Event]) -> Position:
        """Append all or nothing; returns when durable. Raises LogError."""


class LoginLimitPort(Protocol):
    """The limit on failed logins and signatures, per address and per name."""

    def blocked(self, address: str, name: str) -> float | None:
        """Seconds to wait, or None when a try is allowed."""

    def failed(self, address: str, name: str) -> None:
        """Count a failure."""


class Ports(Protocol):
    """All of it, handed to ``operations(ports)`` of a feed's ``http.py``."""

    @property
    def directory(self) -> DirectoryPort: ...
    @property
    def snapshots(self) -> SnapshotPort: ...
    @property
    def log(self) -> ReadPort: ...
    @property
    def append(self) -> AppendPort: ...
    @property
    def logins(self) -> LoginLimitPort: ...
    @property
    def base_url(self) -> str: ...
    def now(self) -> Instant: ...
    def new_id(self) -> str:
        """A random UUID, for request ids."""


# snapshots


class SnapshotFold(Protocol, Generic[State]):
    """Folds the records of one stream into its whole current state. ``version`` names the encoding of checkpoints."""

    version: int

    def initial(self, subject: str) -> State:
        """The state before the first record."""

    def apply(self, state: State, record: Record) -> None:
        """Take one record into account, in log order, both lanes."""

    def encode(self, state: State) -> bytes:
        """The state as a checkpoint."""

    def decode(self, data: bytes) -> State:
        """The state of a checkpoint of the same version."""

    def view(self, state: State) -> bytes:
        """The state as JSON text for readers."""

    def derive(self, state: State, now: Instant) -> Sequence[Event]:
        """State-lane events that follow from the fold; asked for at most once a second, while somebody follows."""

    def is_over(self, state: State) -> bool:
        """Whether no more records are expected."""

    def first_seq(self, state: State) -> int:
        """The seq at which a reader without a position begins (1 unless the stream runs in loops)."""


# sandbox


class Dice(Protocol):
    """The seeded randomness that a sandbox is given; ``random.Random`` fits."""

    def random(self) -> float: ...
    def uniform(self, a: float, b: float) -> float: ...
    def gauss(self, mu: float, sigma: float) -> float: ...
    def randint(self, a: int, b: int) -> int: ...
    def choice(self, seq: Sequence[Any]) -> Any: ...
    def choices(
        self, population: Sequence[Any], weights: Sequence[float] | None = None, *, k: int = 1
    ) -> list[Any]: ...
    def shuffle(self, x: list[Any]) -> None: ...


class Timed(msgspec.Struct, frozen=True):
    """An event of a sandbox: due ``at`` nanoseconds after its start; ``data`` is JSON text."""

    at: int
    type: str
    subject: str
    data: bytes
    extensions: Mapping[str, str | int | bool] = {}


class SandboxOptions(msgspec.Struct, frozen=True):
    """``start_ns`` is the wall time of ``at`` 0; ``loop`` begins again for ever; ``subject`` renames the stream."""

    start_ns: int
    loop: bool = False
    subject: str | None = None


class SandboxSurface(msgspec.Struct, frozen=True):
    """A feed's simulated events: the same dice give the same events. ``subject`` is the stream that it plays on."""

    simulate: Callable[[Dice, SandboxOptions], Iterator[Timed]]
    subject: str
    description: str


# client role


class Fetch(msgspec.Struct, frozen=True):
    """Make this HTTP request and call ``fetched`` with the same number."""

    number: int
    request: HttpRequest


class Open(msgspec.Struct, frozen=True):
    """Open a WebSocket there and call ``opened``, or ``closed`` when it fails."""

    url: str
    headers: Pairs = ()
    subprotocols: tuple[str, ...] = ()


class Hangup(msgspec.Struct, frozen=True):
    """Close the WebSocket that is open."""

    code: int = 1000


class Message(msgspec.Struct, frozen=True):
    """A message of the feed: the event in CloudEvents words as far as they go, the provider's own object in ``raw``.

    ``resume`` is what to hand back to go on after this message ('' when the feed has no resume or no number here).
    """

    source: str
    raw: bytes
    data: bytes
    resume: str = ""


class Notice(msgspec.Struct, frozen=True):
    """Something that a person may want to know: connected, reconnecting in so many seconds, gap, finished."""

    kind: str
    detail: str


ClientWish = Fetch | Open | Hangup | Message | Notice


class ClientRole(Protocol):
    """The consumer's side of a feed's connection, without its socket. Drain the outlets after every call.

    ``close_reason`` is None while it wants to live; then it says why it ended.
    """

    close_reason: str | None

    def fetched(self, number: int, response: HttpResponse | None, now: Instant) -> None:
        """The answer to Fetch ``number``; None when there was none (refused, timed out)."""

    def opened(self, now: Instant) -> None:
        """The WebSocket is open."""

    def receive_data(self, data: str | bytes, now: Instant) -> None:
        """A whole message came."""

    def closed(self, code: int | None, reason: str, now: Instant, status: int | None = None) -> None:
        """The WebSocket closed (``code`` None: no close frame) or its handshake was refused (HTTP ``status``)."""

    def events_received(self) -> list[ClientWish]:
        """The wishes and messages since the last call."""

    def data_to_send(self) -> list[str | bytes]:
        """The messages to send since the last call."""

    def deadline(self) -> float | None:
        """Monotonic time at which ``tick`` wants to be called, or None."""

    def tick(self, now: Instant) -> None:
        """Time has come."""


class ClientSurface(msgspec.Struct, frozen=True):
    """A feed's consumer role. ``settings`` is a struct that every ``connect`` argument goes into, by the same names as
    the command line's options.
    """

    settings: type[Any]
    connect: Callable[[Any, Dice, Instant], ClientRole]


# the feed


class Feed(msgspec.Struct, frozen=True):
    """One provider's push product. See the module docstring.

    ``document`` and ``compared_on`` say which of the provider's texts the code follows, and when it was compared.
    ``http`` is the dotted name of the module with ``operations(ports) -> Sequence[Operation]``.
    ``options`` are the partner options that the feed knows, with their allowed values (empty: any).
    """

    name: str
    title: str
    document: str
    compared_on: str
    types: tuple[EventType, ...]
    capabilities: Capabilities
    credentials: tuple[CredentialField, ...] = ()
    grant_keys: frozenset[str] = frozenset()
    options: Mapping[str, tuple[str, ...]] = {}
    websocket: WebSocketSurface | None = None
    webhook: WebhookCodec | None = None
    http: str | None = None
    snapshot: SnapshotFold[Any] | None = None
    sandbox: SandboxSurface | None = None
    client: ClientSurface | None = None
