"""Text is UTF-8 (RFC 6455, 8.1 and 5.6; RFC 3629; Autobahn 6)."""

from __future__ import annotations

from typing import Final

from integration.websockets import BINARY, CLOSE, CONT, PING, TEXT, frame

from .cases import INVALID_DATA, Case, close_body, fails
from .endpoints import Endpoint
from .fragments import cut

_VALID = "text that is UTF-8 is taken, wherever it is cut"
_INVALID = "text that is not UTF-8 fails the connection: 1007"

EDGES: Final = (0x20, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFDD0, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000,
                0x1FFFE, 0x1FFFF, 0x2FFFF, 0x8FFFE, 0xFFFFF, 0x100000, 0x10FFFE, 0x10FFFF)  # fmt: skip
"""First and last code points of every length, around the surrogates, and some that are no characters but valid."""

MIXED: Final = "κόσμε ß 水 𝄞".encode()

INVALID: Final = tuple(
    bytes.fromhex(text)
    for text in (
        # continuation bytes of nothing
        "80", "bf", "80bf", "80bf80", "80bf80bf80bf80",
        # beginnings of nothing
        "c2", "df", "e0", "e1", "ec", "ee", "ef", "f0", "f1", "f4", "c220", "e020", "f020", "df2020",
        # bytes that never occur
        "c0", "c1", "f5", "f8", "fc", "fe", "ff", "fefe", "ffff", "feff", "fffe",
        # sequences that end too early
        "e0a0", "e18080c2"[:4], "efbf", "f090", "f09080", "f48fbf", "c3c3a9", "e1a0e1a080", "f09f98f09f9880",
        # longer than need be
        "c080", "c0af", "c1bf", "e08080", "e080af", "e09fbf", "f0808080", "f08080af", "f08fbfbf", "f8808080af",
        "fc80808080af",
        # surrogates, alone and in pairs
        "eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf", "eda080edb080", "eda080edbfbf",
        "edafbfedb080", "edafbfedbfbf",
        # beyond U+10FFFF, and longer than any sequence
        "f4908080", "f7bfbfbf", "f5808080", "f888808080", "fbbfbfbfbf", "fc8480808080", "fdbfbfbfbfbf",
    )
)  # fmt: skip


def _split(endpoint: Endpoint, at: int) -> bytes:
    message = endpoint.ask(MIXED)
    start = message.index(MIXED)
    return b"".join(cut(TEXT, message, start + at))


CASES: Final = [
    *(
        Case(f"U+{point:04X}", "8.1", _VALID, lambda e, point=point: frame(TEXT, e.ask(chr(point).encode())), answers=1)
        for point in EDGES
    ),
    *(Case(f"U+{point:04X} alone", "8.1", _VALID, frame(TEXT, chr(point).encode())) for point in (0, 1, 0xFEFF)),
    *(
        Case(f"mixed text cut after {at} bytes", "8.1", _VALID, lambda e, at=at: _split(e, at), answers=1)
        for at in range(len(MIXED) + 1)
    ),
    Case("mixed text, a byte a fragment", "8.1", _VALID,
         lambda e: b"".join(cut(TEXT, e.ask(MIXED), *range(1, len(e.ask(MIXED))))), answers=1),
    Case("mixed text, a byte a write", "8.1", _VALID, lambda e: frame(TEXT, e.ask(MIXED)), answers=1, pieces=1),
    Case("a ping within a character", "8.1", _VALID,
         lambda e: (parts := cut(TEXT, e.ask(MIXED), e.ask().__len__() // 2 + 1))[0] + frame(PING, b"x") + parts[1],
         pongs=(b"x",), answers=1),
    *(fails(f"text {data.hex()}", "8.1", _INVALID, frame(TEXT, data), INVALID_DATA) for data in INVALID),
    *(
        fails(f"text {data.hex()} in the middle", "8.1", _INVALID,
              lambda e, data=data: frame(TEXT, e.ask(b"a " + data + b" z")), INVALID_DATA)
        for data in INVALID[::6]
    ),
    *(
        fails(f"text {data.hex()} a byte a fragment", "8.1", _INVALID,
              b"".join(cut(TEXT, b"ab" + data + b"c", *range(1, len(data) + 3))), INVALID_DATA)
        for data in INVALID[::6]
    ),
    fails("invalid text byte by byte", "8.1", _INVALID, frame(TEXT, b"abc\xed\xa0\x80"), INVALID_DATA, pieces=1),
    fails("a character that never ends", "8.1", _INVALID,
          frame(TEXT, b"\xf0\x9f", fin=False) + frame(CONT, b"\x98", fin=False) + frame(CONT, b""), INVALID_DATA),
    fails("half a character a message", "8.1", "a message is valid by itself: 1007",
          frame(TEXT, b"\xc3") + frame(TEXT, b"\xa9"), INVALID_DATA),
    fails("invalid after a good question", "8.1", _INVALID,
          lambda e: frame(TEXT, e.ask()) + frame(TEXT, b"\xff"), INVALID_DATA),
    fails("invalid text, then a ping", "8.1", _INVALID, frame(TEXT, b"\xff") + frame(PING, b"x"), INVALID_DATA),
    Case("invalid text, then a close", "7.1.7", "what fails the connection comes first, so its code is told",
         frame(TEXT, b"\xff") + frame(CLOSE, close_body(1000)), codes=frozenset({INVALID_DATA}), begins_closing=True,
         deviation="the websockets library answers a close before the text before it in the same segment is judged"),
    *(
        Case(f"binary {data.hex()}", "5.6", "binary data need not be text", frame(BINARY, data))
        for data in INVALID[::8]
    ),
    Case("ping that is no text", "5.5.2", "a ping's data need not be text", frame(PING, b"\xed\xa0\x80"),
         pongs=(b"\xed\xa0\x80",)),
]  # fmt: skip
