"""Fragmentation (RFC 6455, 5.4; Autobahn 5)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from integration.websockets import BINARY, CONT, PING, PONG, TEXT, frame

from .cases import CLOSED, NO_CODE, Case, fails
from .endpoints import Endpoint

_WHOLE = "the fragments of a message are its content, one after the other"
_BETWEEN = "control frames may stand between the fragments of a message"
_ORDER = "fragments of one message are not mixed with another message; a continuation continues something"


UNFINISHED: Final = "the websockets library takes a close within a message for an error of the protocol (1002)"


def cut(opcode: int, data: bytes, *ends: int) -> list[bytes]:
    """A message as frames that end at these places, and at its end."""
    edges = [0, *ends, len(data)]
    parts = [data[start:end] for start, end in pairwise(edges)]
    last = len(parts) - 1
    return [frame(opcode if at == 0 else CONT, part, fin=at == last) for at, part in enumerate(parts)]


def _every(size: int, data: bytes, opcode: int = TEXT) -> bytes:
    return b"".join(cut(opcode, data, *range(size, len(data), size)))


def _halved(endpoint: Endpoint) -> tuple[bytes, bytes]:
    first, second = cut(TEXT, endpoint.ask(), 9)
    return first, second


def _around(between: bytes) -> Callable[[Endpoint], bytes]:
    def send(endpoint: Endpoint) -> bytes:
        first, second = _halved(endpoint)
        return first + between + second

    return send


CASES: Final = [
    *(
        Case(f"a question cut after {at} bytes", "5.4", _WHOLE,
             lambda e, at=at: b"".join(cut(TEXT, e.ask(), at)), answers=1)
        for at in range(17)
    ),
    Case("a question, a byte a fragment", "5.4", _WHOLE, lambda e: _every(1, e.ask()), answers=1),
    Case("a question, a byte a fragment, a byte a write", "5.4", _WHOLE, lambda e: _every(1, e.ask()), answers=1,
         pieces=1),
    Case("two questions in fragments", "5.4", _WHOLE, lambda e: _every(3, e.ask()) + _every(4, e.ask()), answers=2),
    Case("an empty first fragment", "5.4", _WHOLE, lambda e: b"".join(cut(TEXT, e.ask(), 0)), answers=1),
    Case("an empty last fragment", "5.4", _WHOLE,
         lambda e: frame(TEXT, e.ask(), fin=False) + frame(CONT, b""), answers=1),
    Case("only empty fragments", "5.4", _WHOLE,
         frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) + frame(CONT, b"")),
    Case("1000 empty fragments in a question", "5.4", _WHOLE,
         lambda e: _halved(e)[0] + frame(CONT, b"", fin=False) * 1000 + _halved(e)[1], answers=1),
    Case("binary in fragments", "5.4", _WHOLE, _every(100, bytes(range(256)) * 4, BINARY)),
    Case("a ping between", "5.4", _BETWEEN, _around(frame(PING, b"x")), pongs=(b"x",), answers=1),
    Case("a ping between, byte by byte", "5.4", _BETWEEN, _around(frame(PING, b"x")), pongs=(b"x",), answers=1,
         pieces=1),
    Case("a pong between", "5.4", _BETWEEN, _around(frame(PONG, b"x")), answers=1),
    Case("20 pings between", "5.4", _BETWEEN, _around(b"".join(frame(PING, b"%d" % n) for n in range(20))),
         pongs=tuple(b"%d" % n for n in range(20)), answers=1),
    Case("a ping after every byte", "5.4", _BETWEEN,
         lambda e: frame(PING, b"x").join(cut(TEXT, e.ask(), *range(1, len(e.ask())))) + frame(PING, b"last"),
         pongs=(*[b"x"] * 100, b"last"), answers=1),
    Case("a close between", "5.4", _BETWEEN, _around(CLOSED), codes=frozenset({NO_CODE, 1000}), begins_closing=True,
         deviation=UNFINISHED),
    *(
        fails(f"a continuation of nothing{', more to come' * (not fin)}{f', {len(data)} bytes' * bool(data)}", "5.4",
              _ORDER, frame(CONT, data, fin=fin))
        for fin in (True, False)
        for data in (b"", b"x")
    ),
    fails("a continuation of nothing after a message", "5.4", _ORDER,
          lambda e: frame(TEXT, e.ask()) + frame(CONT, b"x")),
    fails("a continuation after a fragmented message", "5.4", _ORDER,
          lambda e: _every(5, e.ask()) + frame(CONT, b"x", fin=False)),
    fails("a continuation of nothing, byte by byte", "5.4", _ORDER, frame(CONT, b"x"), pieces=1),
    *(
        fails(f"opcode {other} within a message of opcode {opcode}{', FIN' * fin}", "5.4", _ORDER,
              frame(opcode, b"x", fin=False) + frame(other, b"y", fin=fin))
        for opcode in (TEXT, BINARY)
        for other in (TEXT, BINARY)
        for fin in (True, False)
    ),
    fails("a new message after a continuation", "5.4", _ORDER,
          frame(TEXT, b"x", fin=False) + frame(CONT, b"y", fin=False) + frame(TEXT, b"z")),
    fails("a new message after a ping between", "5.4", _ORDER,
          frame(TEXT, b"x", fin=False) + frame(PING, b"p") + frame(TEXT, b"z")),
]  # fmt: skip
