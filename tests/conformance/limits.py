"""Long messages, many fragments, and compression that nobody agreed to (RFC 6455, 7.4.1, 9.1, 10.4; RFC 7692, 5 and 6;
Autobahn 9, scaled down, 12 and 13)."""

from __future__ import annotations

import zlib
from typing import Final

from integration.websockets import BINARY, CONT, PING, TEXT, frame

from .cases import PROTOCOL_ERROR, TOO_BIG, Case, fails
from .endpoints import Endpoint
from .fragments import cut

_FITS = "a message within the limit is taken however it is framed"
_TOO_BIG = "a message that is too big to process: 1009"
_BEFORE = "a limit guards memory: the length is judged before its bytes are awaited"


def _fragmented(endpoint: Endpoint, opcode: int, size: int, more: int = 0) -> bytes:
    data = b"*" * (endpoint.limit + more)
    return b"".join(cut(opcode, data, *range(size, len(data), size)))


def _deflated(data: bytes) -> bytes:
    """As permessage-deflate would send it (RFC 7692, 7.2.1)."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


MESSAGES: Final = [
    *(
        case
        for opcode, kind in ((TEXT, "text"), (BINARY, "binary"))
        for case in (
            Case(f"{kind} at the limit", "10.4", _FITS, lambda e, o=opcode: frame(o, b"*" * e.limit)),
            fails(f"{kind} one byte over", "7.4.1", _TOO_BIG, lambda e, o=opcode: frame(o, b"*" * (e.limit + 1)),
                  TOO_BIG),
            fails(f"the head of {kind} one byte over", "10.4", _BEFORE,
                  lambda e, o=opcode: frame(o, b"", length=e.limit + 1), TOO_BIG),
            *(
                Case(f"{kind} at the limit in fragments of {size}", "10.4", _FITS,
                     lambda e, o=opcode, size=size: _fragmented(e, o, size))
                for size in (256, 1021, 4096, 32768)
            ),
            *(
                fails(f"{kind} one byte over in fragments of {size}", "7.4.1", _TOO_BIG,
                      lambda e, o=opcode, size=size: _fragmented(e, o, size, 1), TOO_BIG)
                for size in (256, 32768)
            ),
            fails(f"the head of the fragment of {kind} that goes over", "10.4", _BEFORE,
                  lambda e, o=opcode: frame(o, b"*" * e.limit, fin=False) + frame(CONT, b"", length=1), TOO_BIG),
        )
    ),
    Case("five messages at the limit", "10.4", "the limit is of one message",
         lambda e: frame(BINARY, b"*" * e.limit) * 5),
    Case("a message at the limit, then a question", "10.4", "the limit is of one message",
         lambda e: frame(BINARY, b"*" * e.limit) + frame(TEXT, e.ask()), answers=1),
    Case("a message at the limit in pieces", "10.4", _FITS, lambda e: frame(TEXT, b"*" * e.limit), pieces=1500),
    Case("a ping within a message at the limit", "5.4", "control frames do not count as the message's content",
         lambda e: frame(TEXT, b"*" * (e.limit - 1), fin=False) + frame(PING, b"p" * 125) + frame(CONT, b"*"),
         pongs=(b"p" * 125,), deviation="the websockets library holds a control frame to what is left of the message"),
    fails("fragments without an end", "10.4", _TOO_BIG,
          lambda e: frame(TEXT, b"*", fin=False) + frame(CONT, b"*" * 4096, fin=False) * (e.limit // 4096 + 2),
          TOO_BIG),
]  # fmt: skip

_NOT_AGREED = "RSV1 means compression only where it was agreed to"

COMPRESSED: Final = [
    fails(f"compressed {kind} that nobody agreed to", "RFC 7692, 6", _NOT_AGREED, data, PROTOCOL_ERROR)
    for kind, data in {
        "text": frame(TEXT, _deflated(b"hello hello hello"), rsv=4),
        "binary": frame(BINARY, _deflated(bytes(1000)), rsv=4),
        "nothing": frame(TEXT, b"", rsv=4),
        "bomb": frame(BINARY, _deflated(bytes(10_000_000)), rsv=4),
        "fragments": frame(TEXT, _deflated(b"hello")[:3], fin=False, rsv=4) + frame(CONT, _deflated(b"hello")[3:]),
        "ping": frame(PING, b"x", rsv=4),
    }.items()
]
"""Sent on a connection whose handshake offered compression, and on one that did not."""

OFFERS: Final = (
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=8",
    "permessage-deflate; client_max_window_bits=15, permessage-deflate",
    "permessage-bzip2, x-webkit-deflate-frame",
    "nobody-knows-this; a=1; b=\"2\"",
)  # fmt: skip
"""Offers of extensions that may be declined by saying nothing (RFC 6455, 9.1; RFC 7692, 5.1)."""

CASES: Final = [*MESSAGES, *COMPRESSED]
