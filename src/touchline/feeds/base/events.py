"""What a feed says about its events, and what it can do, as data."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import msgspec

from touchline.model import Event, Lane


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
    """What a feed can do, as data. ``resign_on_retry``: a repeated webhook is signed anew (else the same bytes go).

    ``personal``: payloads name people who are not public figures; what receivers answer may repeat it and is not kept.
    """

    transports: frozenset[Transport]
    resume: Resume = Resume.NONE
    order: Order = Order.STREAM
    resign_on_retry: bool = True
    max_message_bytes: int | None = None
    personal: bool = False
