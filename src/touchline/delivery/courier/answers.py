"""The lines of a request's and an answer's head, and libcurl's errors in our words. Pure."""

from __future__ import annotations

import re
from typing import Final

import pycurl

from touchline.delivery.courier.transport import Trouble
from touchline.wire.http import Pairs

HEADER_BYTES: Final = 64 * 1024
HEADER_LINES: Final = 200
"""Of an answer's head, interim answers (1xx) included."""

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS: Final = frozenset(
    ("connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
_KNOWN_NAMES: Final = 1024
_DETAIL_LENGTH: Final = 200

_TLS_CODES: Final = frozenset(
    (
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_INVALIDCERTSTATUS,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_USE_SSL_FAILED,
    )
)
_TOO_LARGE: Final = 100  # pycurl has no name for it
_BROKEN_WORDS: Final = {
    pycurl.E_GOT_NOTHING: "the connection was closed without an answer",
    pycurl.E_RECV_ERROR: "the connection broke off before the answer was whole",
    pycurl.E_SEND_ERROR: "the connection broke off while the request was sent",
    pycurl.E_PARTIAL_FILE: "the connection was closed in the middle of the answer's body",
    pycurl.E_UNSUPPORTED_PROTOCOL: "what came is no HTTP answer",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "what came is no HTTP answer",
    pycurl.E_HTTP2: "the HTTP/2 connection broke off",
    _TOO_LARGE: "the answer's head is too long",
}


class HeaderLines:
    """Collects the head of an answer, within bounds: ``flaw`` says what was too much."""

    def __init__(self) -> None:
        self.flaw = ""
        self._lines: list[bytes] = []
        self._bytes = 0

    def clear(self) -> None:
        """Begin anew."""
        self.flaw = ""
        self._lines = []
        self._bytes = 0

    def take(self, line: bytes) -> int | None:
        """Take a line from libcurl; 0 makes it break the request off."""
        self._bytes += len(line)
        if self._bytes > HEADER_BYTES:
            self.flaw = f"the answer's headers are longer than {HEADER_BYTES} bytes"
            return 0
        self._lines.append(line)
        if len(self._lines) > HEADER_LINES + 2:
            self.flaw = f"the answer has more than {HEADER_LINES} headers"
            return 0
        return None

    def pairs(self) -> Pairs:
        """The final answer's headers: names in lower case, values as Latin-1. Interim answers and trailers are left
        out, and so is what is no header."""
        found: list[tuple[str, str]] = []
        ended = False
        for raw in self._lines:
            if raw[:5] == b"HTTP/":
                found.clear()
                ended = False
            elif not ended:
                name, colon, value = raw.decode("latin-1").partition(":")
                if colon and name:
                    found.append((name.strip().lower(), value.strip()))
                ended = raw in (b"\r\n", b"\n")
        return tuple(found)


_known: dict[tuple[str, ...], tuple[str, ...]] = {}
"""Names that were checked, with the lines that libcurl needs beside them. An endpoint's never change."""


def _beside(names: tuple[str, ...]) -> tuple[str, ...]:
    lower = {name.lower() for name in names}
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name[:80]!r} is no header name")
    if taken := lower & _OURS:
        raise ValueError(f"the header {min(taken)!r} is the client's own")
    # Without these libcurl waits for "100 Continue", and declares the body a form.
    lines = ("Expect:",) if "content-type" in lower else ("Expect:", "Content-Type:")
    if len(_known) >= _KNOWN_NAMES:
        _known.clear()
    _known[names] = lines
    return lines


def head_lines(headers: Pairs) -> list[str]:
    """The header lines of a request, as libcurl takes them.

    Raises ValueError for a name that is no token or is libcurl's own to set, and for a value that is not printable
    ASCII: it could begin another header.
    """
    names = tuple([name for name, _ in headers])
    beside = _known.get(names) or _beside(names)
    values = "".join([value for _, value in headers])
    if not (values.isascii() and values.isprintable()):
        name = next(name for name, value in headers if not (value.isascii() and value.isprintable()))
        raise ValueError(f"the value of the header {name!r} holds something else than printable ASCII")
    # A header without a value is written with a semicolon; with a colon libcurl would leave it out.
    return [f"{name}: {value}" if value and not value.isspace() else f"{name};" for name, value in headers] + [*beside]


def described(code: int, message: str) -> tuple[Trouble, str]:
    """What an error of libcurl means, in words without secrets. ``message`` names hosts, at most."""
    if code == pycurl.E_COULDNT_RESOLVE_HOST:
        return Trouble.NAME, "the name cannot be resolved"
    if code == pycurl.E_COULDNT_CONNECT:
        return Trouble.CONNECT, message[:_DETAIL_LENGTH] or "nobody takes the connection"
    if code in _TLS_CODES:
        return Trouble.TLS, message[:_DETAIL_LENGTH] or "the TLS handshake failed"
    if code in (pycurl.E_URL_MALFORMAT, pycurl.E_LOGIN_DENIED):
        return Trouble.BROKEN, "the endpoint's URL is not one that can be called"
    return Trouble.BROKEN, _BROKEN_WORDS.get(code, f"the exchange failed (libcurl's error {code})")
