"""WebSocket handshakes: the ``websockets`` library judges them, given a request that was parsed elsewhere.

Owns what is asked of the library and what costs less without it: thousands of handshakes may come at once. Knows
nothing of sessions.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS, Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from touchline.feeds.base import Instant
from touchline.wire.http import HttpRequest

_PEERS: Final = logging.Logger("websockets", logging.CRITICAL)  # noqa: LOG001 - out of reach of all settings
"""For what the library says of its peers: their faults, and their requests with the keys in them."""
_SHAKING: Final = frozenset(("connection", "upgrade", "origin"))
_SHAKING_PREFIX: Final = "sec-websocket-"
"""The headers that the library looks at, in lower case."""


class WebSocketProtocol(ServerProtocol):
    """The library's protocol, open from the start: ``accept`` is given a request that was parsed elsewhere."""

    def __init__(self, subprotocols: Sequence[str], max_bytes: int) -> None:
        super().__init__(state=State.OPEN, max_size=max_bytes, logger=_PEERS)
        self._ours = subprotocols

    def shake(self, request: Request, now: Instant) -> bytes | Response:
        """The bytes that accept a handshake, or the refusal.

        The library judges, and words refusals. What it would answer reads the same, but a date and headers built anew
        for each were a good part of the work on a session that comes back.
        """
        try:
            key, extensions, subprotocol = self.process_request(request)
        except InvalidHandshake:
            return self.accept(request)
        lines = ["HTTP/1.1 101 Switching Protocols", f"Date: {_date(now.wall_ns // 10**9)}"]
        lines += ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {key}"]
        if extensions is not None:
            lines.append(f"Sec-WebSocket-Extensions: {extensions}")
        if subprotocol is not None:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        return "\r\n".join([*lines, "\r\n"]).encode()

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """The first of the client's that we have; without one it is told so by an answer without."""
        return next((name for name in subprotocols if name in self._ours), None)


def to_judge(request: HttpRequest, longest_bytes: int) -> Request | None:
    """What the library is to judge of a request that was parsed already; None where its own parser would have read no
    further: more headers or longer lines than it takes, or a body.
    """
    if len(request.headers) > MAX_NUM_HEADERS or longest_bytes > MAX_LINE_LENGTH:
        return None
    headers = Headers()
    for name, value in request.headers:
        if name in _SHAKING or name.startswith(_SHAKING_PREFIX):
            headers[name] = value
        elif name == "transfer-encoding" or (name == "content-length" and value != "0"):
            return None
    return Request(request.target_path, headers)


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    """A second since 1970 as HTTP writes it; the hub's present one is asked for again and again."""
    return formatdate(seconds, usegmt=True)
