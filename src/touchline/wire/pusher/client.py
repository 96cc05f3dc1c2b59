"""The client's role on one connection: waits for the greeting, keeps the line alive, subscribes, reads events.

``data`` of an event is handed on as the JSON text that it is, so that numbers beyond 2^53 stay what they are.
``outbox`` collects the messages to send. Times are monotonic seconds.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from touchline.errors import RemoteProtocolError
from touchline.wire.pusher import frames
from touchline.wire.pusher.server import ACTIVITY_SECONDS, PONG_SECONDS

Data = TypeVar("Data")

_MIN_ACTIVITY_SECONDS: Final = 1.0


class Established(msgspec.Struct, frozen=True):
    """The server has greeted; ``socket_id`` is what channels are to be authorised for."""

    socket_id: str


class Subscribed(msgspec.Struct, frozen=True):
    """The channel is ours."""

    channel: str


class SubscriptionRefused(msgspec.Struct, frozen=True):
    """The channel is not."""

    channel: str
    status: int
    reason: str


class ChannelEvent(msgspec.Struct, frozen=True):
    """Something was sent, on a channel or ('') to the connection as a whole."""

    event: str
    channel: str
    data: bytes


class Failed(msgspec.Struct, frozen=True):
    """The server reports an error; for codes below 4300 it closes, and the class of the code says what then."""

    code: int | None
    message: str


Incoming = Established | Subscribed | SubscriptionRefused | ChannelEvent | Failed


class PusherClient:
    """See the module docstring."""

    def __init__(self, now: float) -> None:
        self.socket_id: str | None = None
        self.outbox: list[str | bytes] = []
        self._activity_seconds = float(ACTIVITY_SECONDS)
        self._heard_at = now
        self._pinged_at: float | None = None

    def receive(self, message: str | bytes, now: float) -> Incoming | None:
        """What a message says; None when it only keeps the line alive. Raises RemoteProtocolError."""
        self._heard_at, self._pinged_at = now, None
        frame = frames.decode(message)
        channel = frame.channel or ""
        match frame.event:
            case frames.ESTABLISHED:
                return self._established(frame)
            case frames.PING:
                self.outbox.append(frames.PONG_MESSAGE)
                return None
            case frames.PONG:
                return None
            case frames.ERROR:
                failed = _read(frame, frames.ErrorData)
                return Failed(failed.code, failed.message or "")
            case frames.SUCCEEDED:
                return Subscribed(channel)
            case frames.REFUSED:
                refused = _read(frame, frames.RefusalData)
                return SubscriptionRefused(channel, refused.status, refused.error or refused.type)
        return ChannelEvent(frame.event, channel, frames.inner(frame))

    def _established(self, frame: frames.Frame) -> Established:
        greeting = _read(frame, frames.EstablishedData)
        self.socket_id = greeting.socket_id
        if greeting.activity_timeout:
            self._activity_seconds = min(
                self._activity_seconds, max(_MIN_ACTIVITY_SECONDS, float(greeting.activity_timeout))
            )
        return Established(greeting.socket_id)

    def subscribe(self, channel: str, auth: str | None = None) -> None:
        """Ask for a channel."""
        self.outbox.append(frames.subscribe(channel, auth))

    def unsubscribe(self, channel: str) -> None:
        """Leave a channel."""
        self.outbox.append(frames.unsubscribe(channel))

    def deadline(self) -> float:
        """When ``tick`` wants to be called."""
        return self._heard_at + self._activity_seconds if self._pinged_at is None else self._pinged_at + PONG_SECONDS

    def tick(self, now: float) -> bool:
        """Ping a silent server; whether it has not answered and the line is dead."""
        if now < self.deadline():
            return False
        if self._pinged_at is not None:
            return True
        self._pinged_at = now
        self.outbox.append(frames.PING_MESSAGE)
        return False

    def drain(self) -> list[str | bytes]:
        """The messages since the last call."""
        messages, self.outbox = self.outbox, []
        return messages


def _read(frame: frames.Frame, kind: type[Data]) -> Data:
    try:
        return msgspec.json.decode(frames.inner(frame), type=kind, strict=False)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RemoteProtocolError(f"the data of {frame.event} cannot be read") from None
