"""The closing handshake, its codes and its reasons (RFC 6455, 5.5.1, 7.1 and 7.4; Autobahn 7)."""

from __future__ import annotations

from typing import Final

from integration.websockets import BINARY, CLOSE, PING, PONG, TEXT, frame

from .cases import CLOSED, INVALID_DATA, NO_CODE, Case, close_body, fails
from .fragments import UNFINISHED
from .texts import INVALID, MIXED

_ANSWERED = "a close is answered by a close, typically with its code"
_NOT_SENT = "a code that may not be sent fails the connection"
_AFTER = "nothing that comes after a close counts"
VALID_CODES: Final = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000,
                      4410, 4999)  # fmt: skip
"""Those of 7.4.1 that may be sent, those registered since by IANA, and the ranges of 7.4.2."""
INVALID_CODES: Final = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32767, 65535)


def _closed(name: str, send: bytes, *codes: int, section: str = "5.5.1", demand: str = _ANSWERED) -> Case:
    return Case(name, section, demand, send, codes=frozenset(codes), begins_closing=True)


CASES: Final = [
    _closed("a close without a body", CLOSED, NO_CODE, 1000),
    Case("a close byte by byte", "5.5.1", _ANSWERED, frame(CLOSE, close_body(1000, b"bye")), codes=frozenset({1000}),
         pieces=1, begins_closing=True),
    *(_closed(f"code {code}", frame(CLOSE, close_body(code)), code, section="7.4") for code in VALID_CODES),
    *(
        _closed(f"a reason of {length} bytes", frame(CLOSE, close_body(1000, b"*" * length)), 1000)
        for length in (1, 2, 61, 122, 123)
    ),
    _closed("a reason beyond ASCII", frame(CLOSE, close_body(1000, MIXED)), 1000),
    _closed("a reason of 123 bytes beyond ASCII", frame(CLOSE, close_body(1000, "水".encode() * 41)), 1000),
    *(
        fails(f"a reason of {length} bytes", "5.5", "a control frame has at most 125 bytes",
              frame(CLOSE, close_body(1000, b"*" * length)))
        for length in (124, 125, 126)
    ),
    fails("a body of one byte", "5.5.1", "a body begins with a code of two bytes", frame(CLOSE, b"\x03")),
    *(
        fails(f"code {code}", "7.4.2", _NOT_SENT, frame(CLOSE, close_body(code)))
        for code in INVALID_CODES
    ),
    fails("an invalid code with a reason", "7.4.2", _NOT_SENT,
          frame(CLOSE, close_body(1005, b"because"))),
    *(
        fails(f"the reason {data.hex()}", "5.5.1", "a reason is UTF-8: 1007", frame(CLOSE, close_body(1000, data)),
              INVALID_DATA)
        for data in INVALID[::5]
    ),
    fails("the reason ends within a character", "5.5.1", "a reason is UTF-8: 1007",
          frame(CLOSE, close_body(1000, "水".encode()[:2])), INVALID_DATA),
    _closed("a close after a question", frame(TEXT, b"{}") + frame(CLOSE, close_body(1000)), 1000),
    Case("a close within a message", "5.4", "control frames may stand between fragments",
         frame(TEXT, b"x", fin=False) + frame(CLOSE, close_body(1000)), codes=frozenset({1000}), begins_closing=True,
         deviation=UNFINISHED),
    *(
        _closed(f"{name} after a close", frame(CLOSE, close_body(1000)) + after, 1000, section="5.5.1", demand=_AFTER)
        for name, after in {
            "text": frame(TEXT, b"x"),
            "binary": frame(BINARY, b"x"),
            "a ping": frame(PING, b"x"),
            "a pong": frame(PONG, b"x"),
            "a close": frame(CLOSE, close_body(1000)),
            "a close with another code": frame(CLOSE, close_body(4000)),
            "invalid text": frame(TEXT, b"\xff"),
            "an unknown opcode": frame(5, b"x"),
            "an unmasked frame": frame(TEXT, b"x", mask=False),
            "half a frame": frame(TEXT, b"xyz")[:-1],
            "what is no frame": b"\xff" * 20,
            "a megabyte": b"\0" * (1 << 20),
        }.items()
    ),
    _closed("five closes", frame(CLOSE, close_body(1000)) * 5, 1000, section="5.5.1", demand=_AFTER),
    _closed("three pings, then a close", frame(PING, b"x") * 3 + frame(CLOSE, close_body(3000)), 3000),
]  # fmt: skip
