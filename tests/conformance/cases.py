"""What a case on an open connection is, and short ways to write one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from integration.websockets import CLOSE

from .endpoints import Endpoint

NO_CODE: Final = 1005
"""How a close frame without a body is written down here (RFC 6455, 7.1.5)."""
PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009


@dataclass(frozen=True)
class Case:
    """``send`` goes out in one write, or in pieces of so many bytes. What must come of it:

    ``codes`` empty: the connection stays open, ``pongs`` are answered in this order (some may be left out for a later
    one, 5.5.3), and the endpoint's question is answered ``answers`` times. Else it is closed with one of the codes;
    ``may_stay`` when it also may go on as if nothing were wrong.
    """

    name: str
    section: str
    demand: str
    send: bytes | Callable[[Endpoint], bytes]
    pongs: tuple[bytes, ...] = ()
    answers: int = 0
    codes: frozenset[int] = frozenset()
    may_stay: bool = False
    pieces: int = 0
    begins_closing: bool = False
    """The client has closed already, so the hub waits for nothing more."""
    deviation: str = ""
    """Why the hub does something else, where that is known and accepted: the case must then fail."""

    def bytes_for(self, endpoint: Endpoint) -> bytes:
        return self.send if isinstance(self.send, bytes) else self.send(endpoint)


def fails(
    name: str, section: str, demand: str, send: bytes | Callable[[Endpoint], bytes], *codes: int, pieces: int = 0
) -> Case:
    """The connection is failed; 1002 where nothing more exact is said (7.4.1)."""
    return Case(name, section, demand, send, codes=frozenset(codes or (PROTOCOL_ERROR,)), pieces=pieces)


def close_body(code: int, reason: bytes = b"") -> bytes:
    return struct.pack("!H", code) + reason


def raw(first: int, second: int, rest: bytes = b"") -> bytes:
    """A frame's first two bytes as they are, and what follows."""
    return bytes([first, second]) + rest


FIN: Final = 0x80
MASKED: Final = 0x80
NO_KEY: Final = bytes(4)
"""A masking key that changes nothing."""
CLOSED: Final = raw(FIN | CLOSE, MASKED, NO_KEY)
