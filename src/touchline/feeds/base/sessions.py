"""The WebSocket surface: a pure session asks, is told, and wishes; the shell obliges."""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import msgspec

from touchline.feeds.base.partners import Admission, Grants, Member, Token
from touchline.model import Position, Record
from touchline.wire.http import HttpRequest, HttpResponse


class Instant(msgspec.Struct, frozen=True):
    """Now, on both clocks: wall time in UTC nanoseconds, and monotonic seconds for schedules."""

    wall_ns: int
    monotonic: float


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
    """The session now acts for this partner (None: an admin); ``token`` or ``key_id`` whose revocation ends it.

    ``grants`` are those that it was admitted with: if the partner's are others by now, the session is sent round.
    """

    partner: str | None
    token: str | None = None
    key_id: str | None = None
    grants: Grants | None = None


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
        """Time has come. Not called while the socket is full, when the client can be neither told nor heard."""

    def drained(self, now: Instant) -> None:
        """The socket was full and has room again: the client took what it was owed, which is a sign of life."""


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
