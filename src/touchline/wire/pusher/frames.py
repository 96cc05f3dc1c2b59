"""Messages of the Pusher protocol: one JSON object a text frame, ``data`` being JSON text inside a string.

The exceptions, as on the wire: ``data`` of errors, pings and what a client sends is an object. Clients take an object
for errors alone, or they do not come back (a public client gives up on error data that is a string).
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from touchline.errors import RemoteProtocolError

PATH: Final = "/app/{key}"
MAX_DATA_BYTES: Final = 10 * 1024
"""Of ``data`` in one event (events page: 10 kB)."""
MAX_MESSAGE_BYTES: Final = 10 * 1024
"""Of a whole message from a client: what it may send is shorter by far."""
MAX_CHANNEL_CHARS: Final = 200

ESTABLISHED: Final = "pusher:connection_established"
ERROR: Final = "pusher:error"
PING: Final = "pusher:ping"
PONG: Final = "pusher:pong"
SUBSCRIBE: Final = "pusher:subscribe"
UNSUBSCRIBE: Final = "pusher:unsubscribe"
SUCCEEDED: Final = "pusher_internal:subscription_succeeded"
REFUSED: Final = "pusher:subscription_error"
CLIENT_EVENT: Final = "client-"


class CloseCode(enum.IntEnum):
    """Codes of errors and closes; the class says what a client does (protocol page, error codes)."""

    UNKNOWN_APP = 4001
    APP_DISABLED = 4003
    BAD_VERSION = 4006
    UNSUPPORTED_PROTOCOL = 4007
    UNAUTHORIZED = 4009
    OVER_CAPACITY = 4100
    RECONNECT = 4200
    NO_PONG = 4201
    BAD_MESSAGE = 4300
    """not in the list of codes; of the class that leaves the socket open"""
    CLIENT_EVENT_REFUSED = 4301

    @property
    def is_final(self) -> bool:
        """Coming back unchanged is of no use (4000 to 4099)."""
        return self < 4100

    @property
    def needs_pause(self) -> bool:
        """Come back after a second or more (4100 to 4199)."""
        return 4100 <= self < 4200


class Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message; ``data`` as it stands there."""

    event: str
    channel: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct, frozen=True, omit_defaults=True):
    event: str
    channel: str | None = None
    data: object = None


class ErrorData(msgspec.Struct, frozen=True):
    """``data`` of an error."""

    code: int | None = None
    message: str | None = None


class EstablishedData(msgspec.Struct, frozen=True):
    """``data`` of the first message of a server."""

    socket_id: str
    activity_timeout: float = 0.0


class RefusalData(msgspec.Struct, frozen=True):
    """``data`` of a subscription error."""

    type: str = ""
    error: str = ""
    status: int = 0


_FRAME: Final = msgspec.json.Decoder(Frame)
_encode: Final = msgspec.json.Encoder().encode

PING_MESSAGE: Final = _encode(_Event(PING, data={})).decode()
PONG_MESSAGE: Final = _encode(_Event(PONG, data={})).decode()


def channel_event(event: str, channel: str | None, data: bytes) -> bytes:
    """An event with ``data``, which is JSON text. Without a channel it is for the connection as a whole."""
    return _encode(_Event(event, channel, data.decode()))


def established(socket_id: str, activity_timeout: int) -> bytes:
    """The first message of a server. The time-out is not left out: a public client hangs up without it."""
    return channel_event(ESTABLISHED, None, _encode({"socket_id": socket_id, "activity_timeout": activity_timeout}))


def succeeded(channel: str) -> bytes:
    """A subscription holds."""
    return channel_event(SUCCEEDED, channel, b"{}")


def refused(channel: str, status: int, reason: str, kind: str = "AuthError") -> bytes:
    """A subscription does not; the socket stays."""
    return _encode(_Event(REFUSED, channel, RefusalData(kind, reason, status)))


def error(code: int, message: str) -> bytes:
    """An error of the connection. Send it before the close frame too: some clients come back only then."""
    return _encode(_Event(ERROR, data=ErrorData(code, message)))


def subscribe(channel: str, auth: str | None) -> str:
    """A client's wish for a channel."""
    data = {"channel": channel} | ({} if auth is None else {"auth": auth})
    return _encode(_Event(SUBSCRIBE, data=data)).decode()


def unsubscribe(channel: str) -> str:
    """A client wants a channel no more."""
    return _encode(_Event(UNSUBSCRIBE, data={"channel": channel})).decode()


def decode(message: str | bytes) -> Frame:
    """The frame of a message. Raises RemoteProtocolError when it is none."""
    try:
        # Text as a whole: what no field is read from is handed on as it stands.
        return _FRAME.decode(message.decode() if isinstance(message, bytes) else message)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RemoteProtocolError("not a message of this protocol: an object with the text member event") from None


def inner(frame: Frame) -> bytes:
    """The JSON text of ``data``, whether it stands there as an object or as text in a string."""
    raw = bytes(frame.data)
    if raw[:1] != b'"':
        return raw
    try:
        return msgspec.json.decode(raw, type=str).encode()
    except (msgspec.MsgspecError, ValueError):
        raise RemoteProtocolError("data is no text") from None
