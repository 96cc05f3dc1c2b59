"""Handshakes are answered as the ``websockets`` library would answer them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Response

from touchline.feeds.base import Instant
from touchline.server.handshakes import WebSocketProtocol, to_judge
from touchline.wire.http import HttpRequest, Pairs

GOOD: Pairs = (
    ("host", "h"),
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
)
NOW = Instant(784111777 * 10**9, 0.0)
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"  # RFC 9110, 5.6.7
NAMES = ["connection", "upgrade", "origin", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"]
NAMES += ["sec-websocket-extensions"]
VALUES = [
    "Upgrade",
    "keep-alive, Upgrade",
    "websocket",
    "13",
    "8",
    "ours",
    "theirs, ours",
    "permessage-deflate",
    "",
    ",",
]
VALUES += ["dGhlIHNhbXBsZSBub25jZQ==", "dGhl", "\xe4", "a;b=c", 'x="', "http://h"]


def undated(answer: bytes) -> list[bytes]:
    """Its lines without the date."""
    return [line for line in answer.split(b"\r\n") if not line.lower().startswith(b"date:")]


def both(headers: Pairs) -> tuple[bytes, bytes]:
    """Our answer and the library's."""
    request = to_judge(HttpRequest("GET", headers=headers), 100)
    assert request is not None
    ours = WebSocketProtocol(["ours"], 1000).shake(request, NOW)
    theirs = WebSocketProtocol(["ours"], 1000).accept(request).serialize()
    return ours.serialize() if isinstance(ours, Response) else ours, theirs


@pytest.mark.parametrize(
    "more", [(), (("sec-websocket-protocol", "theirs, ours"),), (("sec-websocket-extensions", "permessage-deflate"),)]
)
def test_one_that_is_accepted(more: Pairs) -> None:
    ours, theirs = both((*GOOD, *more))
    assert undated(ours) == undated(theirs)
    assert ours.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nDate: " + DATE + b"\r\n" in ours
    assert (b"\r\nSec-WebSocket-Protocol: ours\r\n" in ours) == (
        more[:1] == (("sec-websocket-protocol", "theirs, ours"),)
    )


@pytest.mark.parametrize("without", [name for name, _ in GOOD if name != "host"])
def test_one_that_lacks_something(without: str) -> None:
    ours, theirs = both(tuple(pair for pair in GOOD if pair[0] != without))
    assert undated(ours) == undated(theirs)
    assert not ours.startswith(b"HTTP/1.1 101 ")


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4), st.sets(st.sampled_from(NAMES))
)
def test_any(more: list[tuple[str, str]], without: set[str]) -> None:
    headers = tuple(pair for pair in GOOD if pair[0] not in without)
    ours, theirs = both((*headers, *more))
    assert undated(ours) == undated(theirs)


@pytest.mark.parametrize(
    ("more", "longest", "is_judged"),
    [
        ((), 8192, True),
        ((), 8193, False),
        ((("x", "y"),) * 123, 100, True),
        ((("x", "y"),) * 124, 100, False),
        ((("content-length", "0"),), 100, True),
        ((("content-length", "1"),), 100, False),
        ((("transfer-encoding", "chunked"),), 100, False),
    ],
)
def test_what_the_library_would_not_read(more: Pairs, longest: int, is_judged: bool) -> None:
    assert (to_judge(HttpRequest("GET", headers=(*GOOD, *more)), longest) is not None) == is_judged
