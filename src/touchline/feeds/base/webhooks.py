"""The webhook surface: a record is prepared once and finished per endpoint; the consumer verifies.

A codec is pure: it has no socket, no clock and no store. The courier (``delivery.courier``) decides when a record goes
to an endpoint, this decides what it looks like there. ``Trust`` and ``Received`` are the consumer's side.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

import msgspec

from touchline.feeds.base.partners import Grants
from touchline.feeds.base.sessions import Instant
from touchline.model import Event, Record
from touchline.wire.http import HttpResponse, Pairs

_MASK = "***"


class Admitted(enum.Enum):
    """What must stand before a topic's records are owed to an endpoint."""

    AT_ONCE = "at once"
    """nothing: the endpoint's own topics decide (``WebhookCodec.wants``)"""
    CONFIRMED = "confirmed"
    """each topic of the endpoint is asked for by a handshake and confirmed by the receiver"""
    CALLED = "called"
    """the partner has subscribed to the topic by the feed's own call, for all its endpoints"""


class EndpointView(msgspec.Struct, frozen=True):
    """What a codec may know of an endpoint: its id, partner, secrets (newest first), topics, label and options.

    Of options only the feed's own (``WebhookCodec.options``) are here, as text.
    """

    id: str
    partner: str
    secrets: tuple[str, ...]
    topics: tuple[str, ...]
    label: str = ""
    options: Mapping[str, str] = {}

    def __repr__(self) -> str:
        # An option's value may be a key.
        about = f"{self.id!r}, {self.partner!r}, {_MASK!r}, {self.topics!r}, {self.label!r}, {sorted(self.options)!r}"
        return f"EndpointView({about})"


class Subscription(msgspec.Struct, frozen=True):
    """What ties receivers to a topic of a feed: one endpoint, or (``endpoint`` '') all endpoints of a partner.

    ``state`` is 'pending' (asked, not confirmed), 'confirmed' or 'ended'. Once confirmed, records with an offset above
    ``since`` are owed. ``token`` is what the receiver hands back to confirm, good until ``expires_at`` (ns).
    ``to_tell`` says that the handshake (``WebhookCodec.handshake``) has not been answered with 2xx yet and is repeated.
    ``number`` counts how often it was asked, so that a handshake's message id is equal on its retries alone.
    """

    id: str
    feed: str
    partner: str
    endpoint: str
    topic: str
    state: str
    since: int = 0
    token: str = ""
    issued_at: int = 0
    expires_at: int | None = None
    to_tell: bool = False
    number: int = 0

    def __repr__(self) -> str:
        about = f"{self.id!r}, {self.feed!r}, {self.partner!r}, {self.endpoint!r}, {self.topic!r}, {self.state!r}"
        return f"Subscription({about}, since={self.since}, token={_MASK!r}, to_tell={self.to_tell})"


def subscription_id(endpoint: str, topic: str) -> str:
    """The id (a UUID) of an endpoint's subscription to a topic: a codec that knows these two can name it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{endpoint}/{topic}"))


class Hosting(msgspec.Struct, frozen=True):
    """What a codec may know of the hub that sends: its address as receivers see it (no trailing slash), what the
    feed's ``WebhookCodec.mint`` made for it ('' when it makes nothing), and the log's epoch ('': positions are not
    told).
    """

    base_url: str
    signing: str = ""
    epoch: str = ""

    def __repr__(self) -> str:
        return f"Hosting({self.base_url!r}, {_MASK!r})"


class Prepared(msgspec.Struct, frozen=True):
    """A record made ready once for all endpoints of a variant; ``parts`` are the codec's own."""

    record: Record
    body: bytes
    parts: tuple[Any, ...] = ()


class Outgoing(msgspec.Struct, frozen=True):
    """What is finally posted to an endpoint: headers (lower-case names) and body."""

    headers: Pairs
    body: bytes


class Trust(msgspec.Struct, frozen=True):
    """What a receiver believes: the secrets it shares (newest first; none: nothing is verified by secret), how old a
    message may be (None: any age), the hosts that it may be sent to for a handshake or a certificate (each
    ``host`` or ``host:port``, exact), whether those may be plain http, and the certificates fetched so far, PEM by
    address. ``options`` are the feed's own (``WebhookCodec.receiver_options``).
    """

    secrets: tuple[str, ...] = ()
    tolerance_seconds: float | None = None
    hosts: frozenset[str] = frozenset()
    plain_http: bool = False
    certificates: Mapping[str, bytes] = {}
    options: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Trust({len(self.secrets)} secrets, {self.tolerance_seconds!r}, {sorted(self.hosts)!r})"


class NeedCertificate(msgspec.Struct, frozen=True):
    """The message can be judged only with the certificate at this address, which may be fetched: fetch it (no
    redirects), put it into ``Trust.certificates``, and call ``receive`` again."""

    url: str


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message that was verified.

    ``events`` are what it holds, in CloudEvents words, ``data`` as the provider's own object. ``confirm_url`` is set
    for a subscription handshake that the receiver should confirm by a GET, and never for one that it must not.
    ``message_id`` is equal on every repetition of the message, for dedupe (None: it has none). ``kind`` says in a word
    what came ('event', 'confirmation', 'unsubscribed'), ``detail`` in a sentence for a person. ``payload`` is the
    provider's message as JSON text, whatever it came in. ``answer`` is what the provider expects.
    """

    kind: str
    detail: str = ""
    events: tuple[Event, ...] = ()
    confirm_url: str | None = None
    message_id: str | None = None
    payload: bytes = b""
    answer: HttpResponse = HttpResponse(200, b"", ())


class WebhookCodec(Protocol):
    """A feed's webhook language, both roles, pure."""

    @property
    def admitted(self) -> Admitted: ...
    @property
    def options(self) -> Mapping[str, tuple[str, ...]]:
        """The endpoint options of this feed, with their allowed values (empty: any text)."""

    @property
    def receiver_options(self) -> Mapping[str, tuple[str, ...]]:
        """The same for the consumer role (``Trust.options``)."""

    @property
    def own_headers(self) -> frozenset[str]:
        """Headers of this feed's messages, which an endpoint's custom headers may not be named like: names in lower
        case, or beginnings that end in '-'."""

    @property
    def needs_state(self) -> bool:
        """Whether ``permits`` looks at the stream's folded state."""

    @property
    def mint(self) -> Callable[[], str] | None:
        """Makes the feed's own signing material (``Hosting.signing``), once for a hub and all its nodes; or None."""

    # provider role

    def topics(self, texts: tuple[str, ...], options: Mapping[str, str], grants: Grants) -> tuple[str, ...]:
        """The topics that an endpoint's texts name, under the partner's grants: each concrete one where a handshake
        asks for it, patterns as they match elsewhere. Also checks what options demand of each other.

        Raises ValueError, with the reason in words, for a text that is no topic of this feed.
        """

    def admitted_for(self, endpoint: EndpointView) -> Admitted:
        """How this endpoint comes to its topics: ``admitted``, unless its options say otherwise."""

    def topic(self, record: Record) -> str:
        """The topic of a record, as subscriptions name it ('' where ``admitted`` is AT_ONCE)."""

    def wants(self, record: Record, endpoint: EndpointView) -> bool:
        """Whether the endpoint's own topics and options take this record (grants and subscriptions aside). Cheap:
        called once per record and endpoint. False for what is never pushed."""

    def permits(self, grants: Grants, record: Record, state: Any | None) -> bool:
        """Whether grants open this record. Without grants everything but the private records of others is open.
        ``state`` is the folded state of its stream where ``needs_state`` asks for it (None: nothing is known)."""

    def variant(self, endpoint: EndpointView) -> Hashable:
        """What of the endpoint's options changes the prepared body; endpoints of equal variants share it."""

    def prepare(self, record: Record, variant: Any) -> Prepared | None:
        """The part of the message that does not depend on the endpoint; None when nothing is to be sent."""

    def finish(
        self, prepared: Prepared, endpoint: EndpointView, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing:
        """The message to one endpoint: signature and headers, with the content type. ``message_id`` (a UUID) is equal
        on every attempt and replay. Where ``Capabilities.resign_on_retry`` is False the result must not depend on
        ``now``."""

    def handshake(
        self, endpoint: EndpointView, subscription: Subscription, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing | None:
        """What tells the receiver of a subscription that is to be confirmed ('pending', or 'confirmed' and asked again)
        or that has ended; None when nothing is said. The result must not depend on ``now``."""

    def sample(self, endpoint: EndpointView, now: Instant) -> Record:
        """A made-up record for ``endpoint test``, as small as receivers of this feed will take."""

    # consumer role

    def receive(self, headers: Pairs, body: bytes, trust: Trust, now: Instant) -> Received | NeedCertificate:
        """Check a POST over its raw bytes, in constant time, and decode it. Header names are lower case.

        Raises RemoteProtocolError: it is not the provider's, or not of this feed. Nothing of it is to be used.
        """


class SubscriptionPort(Protocol):
    """Subscriptions as a feed's ``http.py`` may use them. Look-ups answer from memory; writes return when durable."""

    def find(self, feed: str, partner: str, topic: str, endpoint: str = "") -> Subscription | None:
        """The subscription of a partner (or of one endpoint) to a topic."""

    def by_id(self, feed: str, subscription_id: str) -> Subscription | None:
        """The subscription of that id."""

    def by_token(self, feed: str, token: str) -> Subscription | None:
        """The subscription whose newest handshake carries that token; look at ``expires_at``."""

    def endpoints(self, feed: str, partner: str) -> tuple[EndpointView, ...]:
        """The partner's endpoints in that feed."""

    async def begin(self, feed: str, partner: str, topic: str) -> Subscription:
        """Subscribe all of a partner's endpoints to a topic from now on (CALLED); one that stands stays."""

    async def confirm(self, subscription: Subscription) -> Subscription:
        """A pending or ended subscription is owed what comes from now on; a confirmed one stays as it is."""

    async def end(self, subscription: Subscription, *, tell: bool = False) -> None:
        """Owe nothing any more; ``tell`` sends the handshake for 'ended' to its endpoint. One that is forgotten by
        nobody: it can be found, and confirmed again, for as long as its endpoint stands (partner's ones are removed).
        """
