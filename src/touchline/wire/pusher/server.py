"""The server's role on one connection: greeting, pings both ways, and what the client asks for.

Owns no channel and no secret: it reads requests, whoever drives it decides them and answers through ``accept`` and
``refuse``. ``outbox`` collects the messages to send. Times are monotonic seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from touchline.errors import RemoteProtocolError
from touchline.wire.pusher import frames
from touchline.wire.pusher.frames import CloseCode

ACTIVITY_SECONDS: Final = 120
"""What the documents propose; a client that hears nothing for so long pings us, one that says nothing is pinged."""
PONG_SECONDS: Final = 30.0
VERSIONS: Final = (5, 6, 7)
MAX_CHANNELS: Final = 100
_LATE_SECONDS: Final = 1.0
_MAX_ANSWERS: Final = 64
_NUMBER: Final = re.compile(r"[0-9]{1,3}\Z")


class Subscribe(msgspec.Struct, frozen=True):
    """The client wants a channel; ``auth`` is '' when it gave none."""

    channel: str
    auth: str


class Unsubscribe(msgspec.Struct, frozen=True):
    """The client has left a channel that it had."""

    channel: str


class Expired(msgspec.Struct, frozen=True):
    """The client did not answer a ping: end the connection with this code."""

    code: CloseCode = CloseCode.NO_PONG


Request = Subscribe | Unsubscribe


class _Subscribing(msgspec.Struct):
    channel: str
    auth: str | None = None


_SUBSCRIBING: Final = msgspec.json.Decoder(_Subscribing)


def socket_id(entropy: Callable[[int], bytes]) -> str:
    """A new id of a socket: two decimal numbers from 1 to 10^9, of random bytes."""
    halves = (int.from_bytes(entropy(8)) % 1_000_000_000 + 1 for _ in range(2))
    return ".".join(str(half) for half in halves)


def check_version(protocol: str | None) -> tuple[CloseCode, str] | None:
    """Why a client's ``protocol`` parameter is not served; None when it is. One that is not given counts as 7.

    (The code 4008 for a missing one is not used: OUR CHOICE, a client of today without it speaks 7.)
    """
    if protocol is None or protocol == "":
        return None
    if _NUMBER.match(protocol) is None:
        return CloseCode.BAD_VERSION, "The protocol version is not a number"
    if int(protocol) not in VERSIONS:
        return CloseCode.UNSUPPORTED_PROTOCOL, "This protocol version is not served; use 7"
    return None


class PusherServer:
    """See the module docstring."""

    def __init__(self, socket_id: str, now: float) -> None:
        self.socket_id = socket_id
        self.channels: set[str] = set()
        self.outbox: list[str | bytes] = [frames.established(socket_id, ACTIVITY_SECONDS)]
        self._heard_at = now
        self._pinged_at: float | None = None

    def receive(self, message: str | bytes, now: float) -> Request | None:
        """What the client asks for with a message; None when it is answered already, or asks for nothing."""
        self.heard(now)
        try:
            if isinstance(message, bytes):
                raise RemoteProtocolError("messages are text, not binary")
            if len(message) > frames.MAX_MESSAGE_BYTES:
                raise RemoteProtocolError(f"a message is at most {frames.MAX_MESSAGE_BYTES} bytes")
            return self._request(frames.decode(message))
        except RemoteProtocolError as problem:
            self._say(frames.error(CloseCode.BAD_MESSAGE, str(problem)))
            return None

    def _request(self, frame: frames.Frame) -> Request | None:
        match frame.event:
            case frames.PING:
                self._say(frames.PONG_MESSAGE)
            case frames.PONG:
                pass
            case frames.SUBSCRIBE:
                return self._subscribing(_asked(frame))
            case frames.UNSUBSCRIBE:
                channel = _asked(frame).channel
                if channel in self.channels:
                    self.channels.discard(channel)
                    return Unsubscribe(channel)
            case event if event.startswith(frames.CLIENT_EVENT):
                self._say(frames.error(CloseCode.CLIENT_EVENT_REFUSED, "Client events are not enabled"))
            case event:
                raise RemoteProtocolError(f"unknown event {event[:64]!r}")
        return None

    def _subscribing(self, asked: _Subscribing) -> Request | None:
        channel = asked.channel
        if not 0 < len(channel) <= frames.MAX_CHANNEL_CHARS:
            raise RemoteProtocolError(f"a channel's name has 1 to {frames.MAX_CHANNEL_CHARS} characters")
        if channel not in self.channels and len(self.channels) >= MAX_CHANNELS:
            self._say(frames.refused(channel, 403, f"At most {MAX_CHANNELS} channels a connection", "LimitReached"))
            return None
        return Subscribe(channel, asked.auth or "")

    def accept(self, channel: str) -> bool:
        """Tell the client that it has the channel; whether it is new to this connection."""
        new = channel not in self.channels
        self.channels.add(channel)
        self._say(frames.succeeded(channel))
        return new

    def refuse(self, channel: str, status: int, reason: str) -> None:
        """Tell the client that it does not get the channel; the connection stays."""
        self._say(frames.refused(channel, status, reason))

    def heard(self, now: float) -> None:
        """The client has given a sign of life."""
        self._heard_at, self._pinged_at = now, None

    def deadline(self) -> float:
        """When ``tick`` wants to be called."""
        return self._heard_at + ACTIVITY_SECONDS if self._pinged_at is None else self._pinged_at + PONG_SECONDS

    def tick(self, now: float) -> Expired | None:
        """Ping a silent client; say when it did not answer."""
        late = now - self.deadline()
        if late < 0:
            return None
        # Called much too late: the process stood still, and the answer may lie unread. It is asked again.
        if self._pinged_at is not None and late < _LATE_SECONDS:
            return Expired()
        self._pinged_at = now
        self.outbox.append(frames.PING_MESSAGE)
        return None

    def drain(self) -> list[str | bytes]:
        """The messages since the last call."""
        messages, self.outbox = self.outbox, []
        return messages

    def _say(self, message: str | bytes) -> None:
        if len(self.outbox) < _MAX_ANSWERS:  # whoever drives this drains it after every message; a bound all the same
            self.outbox.append(message)


def _asked(frame: frames.Frame) -> _Subscribing:
    try:
        return _SUBSCRIBING.decode(frames.inner(frame))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RemoteProtocolError("data names no channel") from None
