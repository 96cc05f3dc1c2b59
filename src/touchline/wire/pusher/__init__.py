"""The Pusher Channels protocol, versions 5 to 7, both roles, without a socket, a clock or a provider's name.

``frames`` are the messages, ``signatures`` the channel authorisation, ``server`` and ``client`` the two roles. Source:
pusher.com/docs/channels, library authorisation reference: WebSocket protocol, auth signatures; limits of the events and
channels pages. Not here, for want of a user: presence, cache and encrypted channels, sign-in, client events.
"""

from __future__ import annotations

from touchline.wire.pusher.client import (
    ChannelEvent,
    Established,
    Failed,
    Incoming,
    PusherClient,
    Subscribed,
    SubscriptionRefused,
)
from touchline.wire.pusher.frames import MAX_DATA_BYTES, PATH, CloseCode, channel_event, error
from touchline.wire.pusher.server import (
    Expired,
    PusherServer,
    Request,
    Subscribe,
    Unsubscribe,
    check_version,
    socket_id,
)
from touchline.wire.pusher.signatures import authorize, is_authorized, is_socket_id

__all__ = [
    "MAX_DATA_BYTES",
    "PATH",
    "ChannelEvent",
    "CloseCode",
    "Established",
    "Expired",
    "Failed",
    "Incoming",
    "PusherClient",
    "PusherServer",
    "Request",
    "Subscribe",
    "Subscribed",
    "SubscriptionRefused",
    "Unsubscribe",
    "authorize",
    "channel_event",
    "check_version",
    "error",
    "is_authorized",
    "is_socket_id",
    "socket_id",
]
