"""What the courier asks of an HTTP client, and what it is told. The client itself is ``client.py``."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from touchline.wire.http import Pairs

READ_BYTES: Final = 64 * 1024
"""Of an answer so much is read; a longer one is broken off (its status still counts)."""
KEPT_BYTES: Final = 16 * 1024
"""Of what was read so much is kept."""


class Trouble(enum.Enum):
    """Why there was no answer."""

    REFUSED_ADDRESS = "refused address"
    """the name leads to an address that the operator has not allowed"""
    NAME = "name"
    """the name cannot be resolved"""
    CONNECT = "connect"
    """nobody takes the connection, or not in time"""
    TLS = "tls"
    """the certificate or the TLS handshake is no good"""
    TIMEOUT = "timeout"
    """connected, but no whole answer in time"""
    BROKEN = "broken"
    """the connection broke off, or what came is no HTTP"""
    CANCELLED = "cancelled"


class Post(msgspec.Struct, frozen=True):
    """A POST to make, by HTTP/1.1 or 2, redirects never followed; seconds for the connection and for all of it."""

    url: str
    headers: Pairs
    body: bytes
    connect_seconds: float = 3.0
    whole_seconds: float = 10.0


class Reply(msgspec.Struct, frozen=True):
    """What came of a Post: a ``status`` (with headers in lower case and the beginning of the body), or ``trouble``.

    ``seconds`` is how long it took; ``detail`` says the trouble in words for a person, without secrets.
    """

    status: int | None
    headers: Pairs = ()
    body: bytes = b""
    trouble: Trouble | None = None
    detail: str = ""
    seconds: float = 0.0


class Sending(Protocol):
    """A Post that is under way."""

    def cancel(self) -> None:
        """Break it off; ``done`` is not called any more."""


class Transport(Protocol):
    """Sends posts. All calls are made on the event loop, and ``done`` is called there."""

    def send(self, post: Post, done: Callable[[Reply], None]) -> Sending:
        """Begin a request; ``done`` is called once, never before ``send`` has returned."""

    async def close(self) -> None:
        """Break off what is under way and release everything."""
