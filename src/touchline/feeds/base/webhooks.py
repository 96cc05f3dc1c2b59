"""The webhook surface: a record is prepared once and finished per endpoint; the consumer verifies."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from touchline.feeds.base.sessions import Instant
from touchline.model import Event, Record
from touchline.wire.http import Pairs


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
