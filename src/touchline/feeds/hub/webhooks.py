"""The native feed by webhook: one CloudEvent a POST, as it is read natively, signed by Standard Webhooks.

Topics are event types of any feed; the options ``feed`` and ``subject`` narrow as they do for readers. The state lane
is not delivered: its latest values are a matter of open sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from touchline.errors import RemoteProtocolError
from touchline.feeds import registry
from touchline.feeds.base import (
    Admitted,
    EndpointView,
    Grants,
    Hosting,
    Instant,
    Outgoing,
    Prepared,
    Received,
    Subscription,
    Trust,
)
from touchline.feeds.hub.selection import HubSelector, granted
from touchline.model import Event, Lane, Position, Record
from touchline.wire import cloudevents, standard_webhooks
from touchline.wire import position as position_token
from touchline.wire.cloudevents import Envelope
from touchline.wire.http import Pairs, first

SAMPLE_TYPE: Final = "hub.endpoint.test"

_MAX_TEXT: Final = 256
_CHOICES_KEPT: Final = 4096
_POSITIONS_KEPT: Final = 4096
_GRANTS_KEPT: Final = 4096
_TYPES_KEPT: Final = 1024
_OURS: Final = ("endpoint", "publisher")
"""first words of the hub's own types, which may be named without their prefix"""


class _Choice(msgspec.Struct, frozen=True):
    """What an endpoint asks for; ``everything``, ``types`` and ``beginnings`` are three ways to name types.
    ``unnarrowed``: the selector takes all."""

    everything: bool
    types: frozenset[str]
    beginnings: tuple[str, ...]
    selector: HubSelector
    unnarrowed: bool

    def takes(self, record: Record) -> bool:
        """Whether the record is one of these."""
        kind = record.event.type
        named = self.everything or kind in self.types or kind.startswith(self.beginnings)
        return named and (self.unnarrowed or self.selector.matches(record))


class HubWebhooks:
    """See ``touchline.feeds.base.WebhookCodec``."""

    @property
    def admitted(self) -> Admitted:
        """Nobody is asked first."""
        return Admitted.AT_ONCE

    @property
    def options(self) -> Mapping[str, tuple[str, ...]]:
        """``feed`` and ``subject`` are lists with commas; ``signature`` decides what secrets are made of."""
        return {"feed": (), "subject": (), "signature": ("hmac", "ed25519")}

    @property
    def receiver_options(self) -> Mapping[str, tuple[str, ...]]:
        """None."""
        return {}

    @property
    def own_headers(self) -> frozenset[str]:
        """Those of Standard Webhooks."""
        return frozenset({"webhook-"})

    @property
    def needs_state(self) -> bool:
        """Grants are judged by the record alone."""
        return False

    @property
    def mint(self) -> Callable[[], str] | None:
        """Each endpoint has its own secret; the hub has none."""
        return None

    # provider role

    def topics(self, texts: tuple[str, ...], options: Mapping[str, str], grants: Grants) -> tuple[str, ...]:
        """Event types, ``<beginning>.*`` or ``*``; none is all. Raises ValueError also for options that cannot be."""
        named = tuple(dict.fromkeys(_topic(text) for text in texts)) or ("*",)
        feeds = _parts(options.get("feed", ""))
        for feed in sorted(feeds - set(registry.NAMES)):
            raise ValueError(f"option feed: unknown feed {feed[:64]!r}; feeds are {', '.join(registry.NAMES)}")
        open_feeds = grants.get("feed", frozenset())
        for feed in sorted({topic.partition(".")[0] for topic in named if topic != "*"} | feeds):
            if feed not in open_feeds and (open_feeds or feed == "hub"):
                raise ValueError(f"the partner may not read {feed}: its grants do not hold feed={feed}")
        return named

    def admitted_for(self, endpoint: EndpointView) -> Admitted:
        """As ``admitted``."""
        del endpoint
        return Admitted.AT_ONCE

    def topic(self, record: Record) -> str:
        """Nothing is subscribed to."""
        del record
        return ""

    def wants(self, record: Record, endpoint: EndpointView) -> bool:
        """Its type is named, and the options do not leave it out."""
        if record.event.lane is not Lane.EVENT:
            return False
        options = endpoint.options
        return _choice(endpoint.topics, options.get("feed", ""), options.get("subject", "")).takes(record)

    def permits(self, grants: Grants, record: Record, state: Any | None) -> bool:
        """As for every native reader (``HubSelector``)."""
        del state
        return _granted(grants).matches(record)

    def variant(self, endpoint: EndpointView) -> str:
        """There is one."""
        del endpoint
        return ""

    def prepare(self, record: Record, variant: Any) -> Prepared:
        """The CloudEvent without its position, which needs the hub's epoch."""
        del variant
        return Prepared(record, cloudevents.encode(record, None))

    def finish(
        self, prepared: Prepared, endpoint: EndpointView, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing:
        """Position, content type, signatures by every secret that is good."""
        body = prepared.body
        if hosting.epoch and prepared.record.offset:
            body = body[:-1] + _position(hosting.epoch, prepared.record.offset)
        signed = standard_webhooks.sign(endpoint.secrets, message_id, now.wall_ns // 1_000_000_000, body)
        return Outgoing((("content-type", cloudevents.JSON_TYPE), *signed), body)

    def handshake(
        self, endpoint: EndpointView, subscription: Subscription, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing | None:
        """Nothing is to be confirmed."""
        del endpoint, subscription, message_id, now, hosting
        return None

    def sample(self, endpoint: EndpointView, now: Instant) -> Record:
        """An event that is in no log: it has no position and no seq."""
        event = Event("hub", SAMPLE_TYPE, endpoint.id, "/hub", f"test-{now.wall_ns}", b"{}", now.wall_ns, now.wall_ns)
        return Record(0, 0, now.wall_ns, event)

    # consumer role

    def receive(self, headers: Pairs, body: bytes, trust: Trust, now: Instant) -> Received:
        """One CloudEvent, or a batch of them. Raises RemoteProtocolError."""
        if trust.secrets:
            seconds = now.wall_ns / 1e9
            message_id: str | None = standard_webhooks.verify(
                headers, body, trust.secrets, seconds, trust.tolerance_seconds
            )
        else:
            message_id = first(headers, standard_webhooks.ID)
        events = _events(first(headers, "content-type") or "", body, now)
        detail = f"{events[0].type} of {events[0].subject}" if len(events) == 1 else f"{len(events)} events"
        return Received("event", detail, events, None, message_id, body)


_selectors: dict[int, tuple[Grants, HubSelector]] = {}
"""What grants open, by the identity of the grants, which are held here so that it stays theirs."""


def _granted(grants: Grants) -> HubSelector:
    """As ``granted``, which is asked for each record and endpoint: a partner's grants stay one object."""
    known = _selectors.get(id(grants))
    if known is not None:
        return known[1]
    if len(_selectors) >= _GRANTS_KEPT:
        _selectors.clear()
    selector = granted(grants)
    _selectors[id(grants)] = grants, selector
    return selector


@lru_cache(_POSITIONS_KEPT)
def _position(epoch: str, offset: int) -> bytes:
    """The end of a body: made once for all endpoints that a record goes to."""
    return b',"position":"%b"}' % position_token.encode(Position(epoch, offset)).encode()


def _parts(text: str) -> frozenset[str]:
    return frozenset(part for part in text.split(",") if part)


def _topic(text: str) -> str:
    """One topic in its full spelling. Raises ValueError."""
    if text == "*":
        return text
    head, dot, rest = text.partition(".")
    if head in _OURS and dot:
        head, rest, text = "hub", text, f"hub.{text}"
    if head not in registry.NAMES or not rest:
        names = ", ".join(registry.NAMES)
        raise ValueError(f"{text[:64]!r} is no topic: it is <feed>.<event>, <feed>.* or *; feeds are {names}")
    if len(text) > _MAX_TEXT or not text.isprintable() or "*" in text.removesuffix(".*"):
        raise ValueError(f"{text[:64]!r} is no topic: * may stand alone or at the end after a full stop")
    return text


@lru_cache(_CHOICES_KEPT)
def _choice(topics: tuple[str, ...], feeds: str, subjects: str) -> _Choice:
    texts = [_topic(text) for text in topics]
    return _Choice(
        everything=not texts or "*" in texts,
        types=frozenset(text for text in texts if not text.endswith("*")),
        beginnings=tuple(text[:-1] for text in texts if text.endswith(".*")),
        selector=HubSelector(
            feeds=_parts(feeds),
            subjects=_parts(subjects),
            admin=True,  # what may be seen is the grants' matter
        ),
        unnarrowed=not feeds and not subjects,
    )


def _events(content_type: str, body: bytes, now: Instant) -> tuple[Event, ...]:
    """The events of a message in structured or batched mode. Raises RemoteProtocolError."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            raise RemoteProtocolError("the body is not UTF-8") from None
    kind = content_type
    if kind != cloudevents.JSON_TYPE:
        kind = content_type.partition(";")[0].strip().lower()
    if kind == cloudevents.JSON_TYPE:
        return (_event(cloudevents.decode(body), now),)
    if kind != cloudevents.BATCH_TYPE:
        raise RemoteProtocolError(f"content type {kind[:80]!r} is not {cloudevents.JSON_TYPE} or its batch form")
    found = cloudevents.decode_batch(body)
    if isinstance(found, tuple):
        raise RemoteProtocolError(found[1])
    if not found:
        raise RemoteProtocolError("the batch is empty")
    return tuple([_event(each, now) for each in found])


@lru_cache(_TYPES_KEPT)
def _feed(type_: str) -> str:
    """The feed that an event type names. Raises RemoteProtocolError."""
    feed, _, rest = type_.partition(".")
    if not feed or not rest:
        raise RemoteProtocolError(f"{type_[:64]!r} is no event type of a hub: it is <feed>.<event>")
    return feed


def _event(envelope: Envelope | list[cloudevents.Problem], now: Instant) -> Event:
    if not isinstance(envelope, Envelope):
        field, detail = envelope[0]
        raise RemoteProtocolError(f"not a CloudEvent: {field} {detail}".replace("  ", " "))
    at = envelope.occurred_at
    return Event(
        _feed(envelope.type),
        envelope.type,
        envelope.subject,
        envelope.source,
        envelope.id,
        envelope.data,
        now.wall_ns if at is None else at,
        now.wall_ns,
        envelope.time,
        extensions=envelope.extensions,
    )
