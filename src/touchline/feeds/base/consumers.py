"""The client role: a pure consumer that fetches, opens, resumes; the SDK's shell obliges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from touchline.feeds.base.dice import Dice
from touchline.feeds.base.sessions import Instant
from touchline.wire.http import HttpRequest, HttpResponse, Pairs


class Fetch(msgspec.Struct, frozen=True):
    """Make this HTTP request and call ``fetched`` with the same number."""

    number: int
    request: HttpRequest


class Open(msgspec.Struct, frozen=True):
    """Open a WebSocket there and call ``opened``, or ``closed`` when it fails."""

    url: str
    headers: Pairs = ()
    subprotocols: tuple[str, ...] = ()


class Hangup(msgspec.Struct, frozen=True):
    """Close the WebSocket that is open."""

    code: int = 1000


class Message(msgspec.Struct, frozen=True):
    """A message of the feed: the event in CloudEvents words as far as they go, the provider's own object in ``raw``.

    ``resume`` is what to hand back to go on after this message ('' when the feed has no resume or no number here).
    """

    source: str
    raw: bytes
    data: bytes
    resume: str = ""


class Notice(msgspec.Struct, frozen=True):
    """Something that a person may want to know: connected, reconnecting in so many seconds, gap, finished."""

    kind: str
    detail: str


ClientWish = Fetch | Open | Hangup | Message | Notice


class ClientRole(Protocol):
    """The consumer's side of a feed's connection, without its socket. Drain the outlets after every call.

    ``close_reason`` is None while it wants to live; then it says why it ended.
    """

    close_reason: str | None

    def fetched(self, number: int, response: HttpResponse | None, now: Instant) -> None:
        """The answer to Fetch ``number``; None when there was none (refused, timed out)."""

    def opened(self, now: Instant) -> None:
        """The WebSocket is open."""

    def receive_data(self, data: str | bytes, now: Instant) -> None:
        """A whole message came."""

    def closed(self, code: int | None, reason: str, now: Instant, status: int | None = None) -> None:
        """The WebSocket closed (``code`` None: no close frame) or its handshake was refused (HTTP ``status``)."""

    def events_received(self) -> list[ClientWish]:
        """The wishes and messages since the last call."""

    def data_to_send(self) -> list[str | bytes]:
        """The messages to send since the last call."""

    def deadline(self) -> float | None:
        """Monotonic time at which ``tick`` wants to be called, or None."""

    def tick(self, now: Instant, *, is_behind: bool = False) -> None:
        """Time has come: do what is due.

        It is called once the deadline has passed and all that came was told. While messages come without a pause it is
        called all the same, about once a second for as long as the deadline has passed, with ``is_behind``: more may
        have come than was told. Then do what has to go on (renew, repeat, read), but take nobody for silent: the word
        that is missed may be waiting behind a user who is slow.
        """


class ClientSurface(msgspec.Struct, frozen=True):
    """A feed's consumer role. ``settings`` is a struct that every ``connect`` argument goes into, by the same names as
    the command line's options.
    """

    settings: type[Any]
    connect: Callable[[Any, Dice, Instant], ClientRole]
