"""The opening handshake (RFC 6455, 4.2; RFC 9112; FAULTS 18)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from integration.websockets import KEY

from .endpoints import Endpoint
from .limits import OFFERS

_MISSING: Final = None
CLIENT_ERRORS: Final = frozenset(range(400, 500))


@dataclass(frozen=True)
class Handshake:
    """A request, and what must come of it: 101 (then the connection must work), or one of ``statuses``; ``tells`` are
    headers of the answer. ``pieces``: sent in pieces of so many bytes.
    """

    name: str
    section: str
    demand: str
    request: Callable[[Endpoint], bytes]
    statuses: frozenset[int] = frozenset({101})
    tells: Mapping[str, str] | None = None
    pieces: int = 0


_TAKEN = "a handshake that has all that is demanded is taken"
_LISTED = "the value is found whatever its case, and in a list"
_KEY = "a key is 16 bytes in base64, once"
_VERSION = "a version other than 13 is refused, and the answer says which one is spoken"
_NO_UPGRADE = "without Upgrade: websocket and Connection: Upgrade there is no WebSocket"
_HTTP = "what is no HTTP/1.1 request is not served"
_HOST = "a request has one Host"


def _taken(name: str, demand: str = _TAKEN, section: str = "4.2.1", pieces: int = 0, **changed: object) -> Handshake:
    return Handshake(name, section, demand, lambda e: e.handshake(**changed), pieces=pieces)  # type: ignore[arg-type]


def _refused(
    name: str, demand: str, section: str = "4.2.1", statuses: frozenset[int] = CLIENT_ERRORS, **changed: object
) -> Handshake:
    return Handshake(name, section, demand, lambda e: e.handshake(**changed), statuses)  # type: ignore[arg-type]


def _edited(
    name: str, demand: str, old: bytes, new: bytes, section: str = "RFC 9112, 5",
    statuses: frozenset[int] = CLIENT_ERRORS,
) -> Handshake:  # fmt: skip
    """The usual request with its bytes changed."""
    return Handshake(name, section, demand, lambda e: e.handshake().replace(old, new, 1), statuses)


def _absolute(endpoint: Endpoint) -> bytes:
    return endpoint.handshake(target=f"http://h{endpoint.target}")


CASES: Final = [
    _taken("as the document has it"),
    _taken("byte by byte", pieces=1),
    _taken("in pieces of 7", pieces=7),
    Handshake("absolute form", "4.2.1", "the target may be an absolute URI", _absolute),
    _edited("names in capitals", _TAKEN, b"upgrade: websocket", b"UPGRADE: websocket", statuses=frozenset({101})),
    _taken("Upgrade: WebSocket", _LISTED, upgrade="WebSocket"),
    _taken("Upgrade: WEBSOCKET", _LISTED, upgrade="WEBSOCKET"),
    _taken("Connection: upgrade", _LISTED, connection="upgrade"),
    _taken("Connection: UPGRADE", _LISTED, connection="UPGRADE"),
    _taken("Connection: keep-alive, Upgrade", _LISTED, connection="keep-alive, Upgrade"),
    _taken("Connection: Upgrade, keep-alive", _LISTED, connection="Upgrade, keep-alive"),
    _taken("Connection: keep-alive,Upgrade", _LISTED, connection="keep-alive,Upgrade"),
    _taken("Connection twice", _LISTED, connection=("keep-alive", "Upgrade")),
    _taken("white space around values", "white space around a value is no part of it", "RFC 9112, 5",
           upgrade="  websocket\t ", sec_websocket_version=" 13 ", sec_websocket_key=f"\t{KEY}  "),
    _taken("another key", sec_websocket_key="x3JJHMbDL1EzLkh9GBhXDw=="),
    _taken("the key of 16 zero bytes", sec_websocket_key="AAAAAAAAAAAAAAAAAAAAAA=="),
    _taken("an Origin", "an Origin may be there", origin="https://example.org"),
    _taken("Origin: null", "an Origin may be there", origin="null"),
    _taken("headers that nobody knows", "unknown headers are passed over", x_a="b", cookie="a=b; c=d",
           sec_websocket_unknown="x", user_agent="z" * 1000),
    _taken("100 more headers", "unknown headers are passed over", **{f"x_{n}": "y" * 50 for n in range(100)}),
    _taken("a host with a port", host="localhost:8080"),
    _taken("an IPv6 host", host="[::1]:8080"),
    _taken("a sub-protocol that nobody knows", "one that the server does not speak is left out of the answer", "4.2.2",
           sec_websocket_protocol="nobody.knows"),
    _taken("sub-protocols on two lines", "the header may come more than once", "11.3.4",
           sec_websocket_protocol=("nobody.knows", "neither.this")),
    *(
        _taken(f"offers {offer}", "an extension may be declined", "9.1", sec_websocket_extensions=offer)
        for offer in OFFERS
    ),
    # the key
    _refused("no key", _KEY, sec_websocket_key=_MISSING),
    _refused("an empty key", _KEY, sec_websocket_key=""),
    _refused("a key of 15 bytes", _KEY, sec_websocket_key="AQIDBAUGBwgJCgsMDQ4P"),
    _refused("a key of 17 bytes", _KEY, sec_websocket_key="AQIDBAUGBwgJCgsMDQ4PEBE="),
    _refused("a key of 24 bytes", _KEY, sec_websocket_key="A" * 32),
    _refused("a key that is no base64", _KEY, sec_websocket_key="this is no base 64 !!!=="),
    _refused("a key without its padding", _KEY, sec_websocket_key=KEY.rstrip("=")),
    _refused("two keys", _KEY, "11.3.1", sec_websocket_key=(KEY, "x3JJHMbDL1EzLkh9GBhXDw==")),
    _refused("the key twice", _KEY, "11.3.1", sec_websocket_key=(KEY, KEY)),
    _refused("a key beyond ASCII", _KEY, sec_websocket_key="é" * 24),
    # the version
    *(
        Handshake(f"version {version!r}", "4.2.2", _VERSION,
                  lambda e, version=version: e.handshake(sec_websocket_version=version),
                  CLIENT_ERRORS, {"sec-websocket-version": "13"})
        for version in ("0", "4", "7", "8", "12", "14", "25", "255")
    ),
    _refused("no version", "a version is demanded", sec_websocket_version=_MISSING),
    *(
        _refused(f"version {version!r}", "a version is a number from 0 to 255 without leading zeros", "4.3",
                 sec_websocket_version=version)
        for version in ("", "013", "13.0", "-13", "256", "13, 8", "thirteen", "1 3")
    ),
    _refused("two versions", "the header comes once", "11.3.5", sec_websocket_version=("13", "8")),
    # the upgrade
    _refused("no Upgrade", _NO_UPGRADE, upgrade=_MISSING),
    _refused("no Connection", _NO_UPGRADE, connection=_MISSING),
    _refused("neither", _NO_UPGRADE, upgrade=_MISSING, connection=_MISSING),
    _refused("Upgrade to something else", _NO_UPGRADE, upgrade="tls/1.0"),
    _refused("an empty Upgrade", _NO_UPGRADE, upgrade=""),
    _refused("Upgrade: websockets", _NO_UPGRADE, upgrade="websockets"),
    _refused("Connection: close", _NO_UPGRADE, connection="close"),
    _refused("Connection: Upgrades", _NO_UPGRADE, connection="Upgrades"),
    *(
        _refused(f"method {method}", "the method is GET", method=method)
        for method in ("POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH")
    ),
    _refused("HTTP/1.0", _HTTP, version="1.0", statuses=CLIENT_ERRORS | {505}),
    _refused("HTTP/0.9", _HTTP, version="0.9", statuses=CLIENT_ERRORS | {505}),
    _refused("HTTP/2.0", _HTTP, version="2.0", statuses=CLIENT_ERRORS | {505}),
    # Host
    _refused("no Host", _HOST, "RFC 9112, 3.2", host=_MISSING),
    _refused("two Hosts", _HOST, "RFC 9112, 3.2", host=("h", "i")),
    _refused("the Host twice", _HOST, "RFC 9112, 3.2", host=("h", "h")),
    # the head as such
    _edited("no such path", "there is nothing", b"GET /", b"GET /there-is-nothing-here/", "4.2.2"),
    _edited("a target that is no path", _HTTP, b"GET /", b"GET nowhere/"),
    _edited("a name that is no token", _HTTP, b"host: h", b"host: h\r\nb@d name: x"),
    _edited("white space before a colon", _HTTP, b"upgrade: websocket", b"upgrade : websocket"),
    _edited("a line without a colon", _HTTP, b"host: h", b"host: h\r\nnonsense"),
    _edited("a NUL in a value", _HTTP, b"host: h", b"host: h\r\nx-a: a\0b"),
    _edited("a control character in a value", _HTTP, b"host: h", b"host: h\r\nx-a: a\x01b"),
    _edited("a carriage return alone", _HTTP, b"host: h", b"host: h\r\nx-a: a\rb"),
    _edited("a method that is none", _HTTP, b"GET ", b"G\xffT "),
    _edited("TLS instead", _HTTP, b"GET ", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 "),
    _edited("a target of 100,000 characters", "heads are bounded", b"GET /", b"GET /" + b"x" * 100_000),
    _edited("a header of 100,000 characters", "heads are bounded", b"host: h",
            b"host: h\r\nx-a: " + b"x" * 100_000),
    _edited("10,000 headers", "heads are bounded", b"host: h", b"host: h\r\n" + b"x-a: b\r\n" * 10_000 + b"x-b: c"),
    _edited("a key of 100,000 characters", "heads are bounded", KEY.encode(), b"A" * 100_000),
]  # fmt: skip
