"""Base framing, masks, reserved bits and opcodes, pings and pongs (RFC 6455, 5.1, 5.2, 5.3, 5.5; Autobahn 1 to 4)."""

from __future__ import annotations

import struct
from typing import Final

from integration.websockets import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame

from .cases import FIN, MASKED, NO_KEY, PROTOCOL_ERROR, TOO_BIG, Case, fails, raw
from .endpoints import Endpoint

_ANY = "a data frame of any length within the limit is a message"
_LENGTHS: Final = (0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 4095, 65533, 65534, 65535)


def _whole(opcode: int, length: int) -> Case:
    kind = "text" if opcode == TEXT else "binary"
    return Case(f"{kind} of {length} bytes", "5.2", _ANY, frame(opcode, b"*" * length))


LENGTHS: Final = [
    *(_whole(opcode, length) for opcode in (TEXT, BINARY) for length in _LENGTHS),
    Case("a question", "5.6", "a text message reaches the application", lambda e: frame(TEXT, e.ask()), answers=1),
    Case(
        "a question byte by byte",
        "5.2",
        "a frame is one however it travels",
        lambda e: frame(TEXT, e.ask()),
        answers=1,
        pieces=1,
    ),
    Case("256 bytes in pieces of 7", "5.2", "a frame is one however it travels", frame(TEXT, b"*" * 256), pieces=7),
    Case(
        "65535 bytes in pieces of 997",
        "5.2",
        "a frame is one however it travels",
        frame(BINARY, b"*" * 65535),
        pieces=997,
    ),
    Case(
        "20 questions in one write",
        "5.2",
        "frames follow each other without gaps",
        lambda e: frame(TEXT, e.ask()) * 20,
        answers=20,
    ),
    Case(
        "text with a binary between",
        "5.6",
        "binary data is the application's to judge, no error of the protocol",
        lambda e: frame(TEXT, e.ask()) + frame(BINARY, bytes(range(256))) + frame(TEXT, e.ask()),
        answers=2,
    ),
]


def _lengthy(opcode: int, marker: int, length: int, data: bytes) -> bytes:
    """A frame with its length in the 16-bit (126) or 64-bit (127) form, whatever it is."""
    packed = struct.pack("!H" if marker == 126 else "!Q", length)
    return raw(FIN | opcode, MASKED | marker, packed + NO_KEY + data)


_MINIMAL = "the minimal number of bytes encodes a length; who takes a longer form must at least read it right"


def _not_minimal(marker: int, length: int, opcode: int = TEXT) -> Case:
    return Case(f"{length} as {'16' if marker == 126 else '64'} bits, opcode {opcode}", "5.2", _MINIMAL,
                _lengthy(opcode, marker, length, b"*" * length), codes=frozenset({PROTOCOL_ERROR}),
                may_stay=True)  # fmt: skip


_TOP_BIT = "the most significant bit of a 64-bit length is 0"

CODED_LENGTHS: Final = [
    *(_not_minimal(126, length) for length in (0, 1, 125)),
    *(_not_minimal(127, length) for length in (0, 1, 125, 126, 65535)),
    *(
        fails(f"a length of {length:#x}, opcode {opcode}", "5.2", _TOP_BIT, _lengthy(opcode, 127, length, b""),
              PROTOCOL_ERROR, TOO_BIG)
        for length in (1 << 63, (1 << 63) + 5, (1 << 64) - 1)
        for opcode in (TEXT, BINARY)
    ),
    *(
        fails(f"a length of {length:#x} is told", "7.4.1", "a message too big to process: 1009",
              _lengthy(BINARY, 127, length, b""), TOO_BIG)
        for length in (1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1)
    ),
]  # fmt: skip


def _unmasked(opcode: int, data: bytes) -> bytes:
    return frame(opcode, data, mask=False)


_MASK = "a server closes the connection on a frame that is not masked"

MASKS: Final = [
    *(
        fails(f"opcode {opcode} unmasked, {len(data)} bytes", "5.1", _MASK, _unmasked(opcode, data))
        for opcode, data in ((TEXT, b"x"), (TEXT, b""), (BINARY, b"x"), (PING, b"x"), (PONG, b""),
                             (CLOSE, b"\x03\xe8"))
    ),
    fails("unmasked of 126 bytes", "5.1", _MASK, _unmasked(BINARY, b"x" * 126)),
    fails("unmasked of 65535 bytes", "5.1", _MASK, _unmasked(BINARY, b"x" * 65535)),
    fails("unmasked continuation", "5.1", _MASK, frame(TEXT, b"x", fin=False) + _unmasked(CONT, b"y")),
    fails("unmasked after a masked one", "5.1", _MASK, frame(TEXT, b"x") + _unmasked(TEXT, b"x")),
    *(
        Case(f"masked with {key.hex()}", "5.3", "any key unmasks",
             raw(FIN | PING, MASKED | 8, key + bytes(byte ^ key[i % 4] for i, byte in enumerate(b"password"))),
             pongs=(b"password",))
        for key in (bytes(4), b"\xff" * 4, b"\x00\x00\x00\x01", b"\x80\x7f\x81\x7e")
    ),
]  # fmt: skip


_RESERVED = "a reserved bit without an extension fails the connection"


def _reserved(opcode: int, bits: int) -> Case:
    data = b"\x03\xe8" if opcode == CLOSE else b"x"
    return fails(f"bits {bits:03b} on opcode {opcode}", "5.2", _RESERVED, frame(opcode, data, rsv=bits))


RESERVED: Final = [
    *(_reserved(TEXT, bits) for bits in range(1, 8)),
    *(_reserved(opcode, bits) for opcode in (BINARY, CLOSE, PING, PONG) for bits in (1, 2, 4)),
    *(
        fails(f"bits {bits:03b} on a continuation", "5.2", _RESERVED,
              frame(TEXT, b"x", fin=False) + frame(CONT, b"y", rsv=bits))
        for bits in (1, 2, 4)
    ),
    *(
        fails(f"opcode {opcode:#x}{' with data' * bool(data)}", "5.2", "an unknown opcode fails the connection",
              frame(opcode, data))
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
        for data in (b"", b"x")
    ),
    fails("an unknown opcode after a good message", "5.2", "an unknown opcode fails the connection",
          lambda e: frame(TEXT, e.ask()) + frame(5, b"x")),
    fails("an unknown opcode in a fragmented message", "5.2", "an unknown opcode fails the connection",
          frame(TEXT, b"x", fin=False) + frame(7, b"y")),
    fails("an unknown control opcode without FIN", "5.2", "an unknown opcode fails the connection",
          frame(11, b"", fin=False)),
]  # fmt: skip

_PONG = "a ping is answered by a pong with its data"
_UNSOLICITED = "an unsolicited pong is a one-way heartbeat and not answered"


def _ping(data: bytes, pieces: int = 0) -> Case:
    name = f"ping of {len(data)} bytes{f' in pieces of {pieces}' if pieces else ''}"
    return Case(name, "5.5.2", _PONG, frame(PING, data), pongs=(data,), pieces=pieces)


def _flood(endpoint: Endpoint) -> bytes:
    return b"".join(frame(PING, b"%d" % number) for number in range(500))


PINGS: Final = [
    *(_ping(b"*" * length) for length in (0, 1, 2, 124, 125)),
    _ping(b"p" * 125, pieces=1),
    Case("ping of bytes that are no text", "5.5.2", _PONG, frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
         pongs=(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff",)),
    *(
        fails(f"opcode {opcode} of {length} bytes", "5.5", "a control frame has at most 125 bytes",
              frame(opcode, b"\x03\xe8" + b"*" * (length - 2)))
        for opcode in (PING, PONG, CLOSE)
        for length in (126, 127, 65535, 65536)
    ),
    *(
        fails(f"opcode {opcode} without FIN", "5.5", "a control frame is not fragmented", frame(opcode, b"", fin=False))
        for opcode in (PING, PONG, CLOSE)
    ),
    fails("ping in fragments", "5.5", "a control frame is not fragmented",
          frame(PING, b"a", fin=False) + frame(CONT, b"b")),
    Case("pong without a ping", "5.5.3", _UNSOLICITED, frame(PONG)),
    Case("pong with data without a ping", "5.5.3", _UNSOLICITED, frame(PONG, b"*" * 125)),
    Case("pong, then ping", "5.5.3", _UNSOLICITED, frame(PONG, b"a") + frame(PING, b"b"), pongs=(b"b",)),
    Case("100 pongs without a ping", "5.5.3", _UNSOLICITED, frame(PONG, b"x") * 100),
    Case("10 pings", "5.5.2", _PONG, b"".join(frame(PING, b"%d" % n) for n in range(10)),
         pongs=tuple(b"%d" % n for n in range(10))),
    Case("10 pings byte by byte", "5.5.2", _PONG, b"".join(frame(PING, b"%d" % n) for n in range(10)),
         pongs=tuple(b"%d" % n for n in range(10)), pieces=1),
    Case("500 pings at once", "5.5.2", _PONG, _flood, pongs=tuple(b"%d" % n for n in range(500))),
    Case("pings around a question", "5.5.2", _PONG,
         lambda e: frame(PING, b"before") + frame(TEXT, e.ask()) + frame(PING, b"after"),
         pongs=(b"before", b"after"), answers=1),
]  # fmt: skip

CASES: Final = [*LENGTHS, *CODED_LENGTHS, *MASKS, *RESERVED, *PINGS]
