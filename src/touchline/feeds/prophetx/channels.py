"""The two channels (seed, "Broadcast Channel", "Private Channel"): their names, what goes out on them, and as what.

The outer event name is the topic, the change is named inside; ``data`` is text that holds ``{change_type, op, payload,
timestamp}``, and the payload is the published bytes in base64 (sheet §4). A record that belongs to a partner goes to
that partner's channel and nowhere else: selectors and ``encode`` both see to it.
"""

from __future__ import annotations

import base64
from typing import Final

import msgspec
from msgspec import Struct

from touchline.model import Position, Record
from touchline.wire import pusher

FEED_NAME: Final = "prophetx"
PREFIX: Final = "prophetx."
TOURNAMENT: Final = "tournament"
SIGNAL: Final = "private_system_signal"
BROADCAST_CHANGES: Final = (
    TOURNAMENT,
    "sport_event",
    "market",
    "market_line",
    "market_selections",
    "matched_bet",
)
PRIVATE_CHANGES: Final = ("wager", SIGNAL)
"""These belong to one partner, always; the others to everybody, always."""
ACCOUNT: Final = "account"
"""Ours, and private too: how the hub learns a partner's balance. It is kept for REST and never pushed."""

BROADCAST: Final = "private-broadcast-service=3-device_type=5"
GENERAL: Final = "general"
WAGERS: Final = "wagers"
HEALTH_CHECK: Final = "health_check"
GRANT: Final = "tournament_id"
OPERATIONS: Final = ("c", "u", "d")

_EMPTY_PAYLOAD: Final = base64.b64encode(b"{}").decode()
_BEHIND_PAYLOAD: Final = len(r'\",\"timestamp\":}"}')
"""How much of a message stands behind the payload, without the time."""
_encode: Final = msgspec.json.Encoder().encode


class Change(Struct, frozen=True):
    """The seed's message, in the order of keys that raw messages show (sheet §4)."""

    change_type: str
    op: str
    payload: str
    timestamp: int


def private_channel(partner_id: str) -> str:
    """The channel of a partner; the id without its dashes (sheet §4)."""
    return f"private-service=3-device_type=5-user={partner_id.replace('-', '')}"


def topic(subject: str) -> str:
    """The event name of a tournament's changes."""
    return f"{TOURNAMENT}_{subject}"


class BroadcastSelector(Struct, frozen=True):
    """What everybody may see, of all tournaments or of those granted."""

    tournaments: frozenset[str] | None = None

    @property
    def feed(self) -> str | None:
        """This feed."""
        return FEED_NAME

    @property
    def subject(self) -> str | None:
        """All streams of it."""
        return None

    @property
    def variant(self) -> str:
        """The channel: it stands in every frame."""
        return BROADCAST

    def matches(self, record: Record) -> bool:
        """Whether the record is public, and of a tournament that was granted."""
        event = record.event
        if event.feed != FEED_NAME or event.partner is not None:
            return False
        return self.tournaments is None or event.subject in self.tournaments


class PrivateSelector(Struct, frozen=True):
    """What belongs to one partner."""

    partner_id: str

    @property
    def feed(self) -> str | None:
        """This feed."""
        return FEED_NAME

    @property
    def subject(self) -> str | None:
        """The partner's stream."""
        return self.partner_id

    @property
    def variant(self) -> str:
        """The channel: it stands in every frame."""
        return private_channel(self.partner_id)

    def matches(self, record: Record) -> bool:
        """Whether the record is the partner's own."""
        event = record.event
        return event.feed == FEED_NAME and event.subject == self.partner_id and event.partner == self.partner_id


def encode(record: Record, channel: str, position: Position) -> bytes | None:
    """The message of a record on a channel; None when it must not go there. There is no position in this protocol."""
    del position
    event = record.event
    owner = event.partner
    if channel != (BROADCAST if owner is None else private_channel(owner)):
        return None
    change = event.type.removeprefix(PREFIX)
    if change == ACCOUNT:
        return None
    op = event.extensions.get("op")
    if owner is not None:
        name = HEALTH_CHECK if change == SIGNAL else WAGERS
    else:
        # Nobody can be bound to the name of a tournament that was not there before (sheet §7).
        name = GENERAL if change == TOURNAMENT and op == "c" else topic(event.subject)
    data = Change(change, op if isinstance(op, str) else "u", "", record.appended_at)
    message = pusher.channel_event(name, channel, _encode(data))
    # Base64 has nothing to escape, so it is put in behind both layers of JSON: they need not pass over it.
    end = len(message) - _BEHIND_PAYLOAD - len(str(record.appended_at))
    return b"".join((message[:end], base64.b64encode(event.data), message[end:]))


def data_bytes(change: str, payload_bytes: int) -> int:
    """How long the ``data`` of a change with a payload of so many bytes is."""
    return len(_encode(Change(change, "u", "", 2**62))) + (payload_bytes + 2) // 3 * 4


def health_check(channel: str | None, wall_ns: int) -> bytes:
    """The signal that a session gets every five seconds (seed); without a channel as the seed shows it."""
    return pusher.channel_event(HEALTH_CHECK, channel, _encode(Change(SIGNAL, "u", _EMPTY_PAYLOAD, wall_ns)))
