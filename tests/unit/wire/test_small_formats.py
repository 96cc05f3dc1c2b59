"""gzip within bounds, server-sent events, frames, and the shape of requests."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from touchline.errors import RemoteProtocolError
from touchline.wire import frames, sse
from touchline.wire.gzip import TooLarge, deflate, inflate
from touchline.wire.http import HttpRequest, every, json_response, problem


@given(st.binary(max_size=2000))
def test_gzip_round_trip(data: bytes) -> None:
    assert inflate(deflate(data), len(data)) == data
    assert gzip.decompress(deflate(data)) == data
    assert inflate(zlib.compress(data), len(data)) == data
    assert inflate(gzip.compress(data, mtime=0) + gzip.compress(b"more", mtime=0), len(data) + 4) == data + b"more"


def test_equal_input_gives_equal_gzip() -> None:
    assert deflate(b"x" * 100) == deflate(b"x" * 100)


def test_a_bomb_is_not_inflated() -> None:
    bomb = gzip.compress(bytes(50_000_000), 9, mtime=0)
    with pytest.raises(TooLarge):
        inflate(bomb, 1_000_000)
    with pytest.raises(TooLarge):
        inflate(gzip.compress(b"a", mtime=0) * 20, 10)


@pytest.mark.parametrize(
    "data", [b"plain", gzip.compress(b"x" * 100, mtime=0)[:-3], gzip.compress(b"x", mtime=0) + b"tail", b"\x1f\x8b"]
)
def test_what_is_no_gzip_is_said(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        inflate(data, 1000)


@given(st.binary(max_size=300))
def test_inflating_raises_nothing_else(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert len(inflate(data, 100)) <= 100


def test_server_sent_events() -> None:
    assert sse.event(b"{}", event_id="e-1", name="gap") == b"id: e-1\nevent: gap\ndata: {}\n\n"
    assert sse.event(b"{}") == b"data: {}\n\n"
    assert sse.comment("still here") == b": still here\n\n"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_ready_frame_is_what_the_library_writes(size: int) -> None:
    text = "é" * (size // 2) + "x" * (size % 2)
    assert frames.text(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
    assert frames.text(text.encode()) == frames.text(text)


def test_the_shape_of_a_request() -> None:
    request = HttpRequest("GET", query=(("a", "1"), ("b", "2"), ("a", "3")), headers=(("host", "h"), ("host", "i")))
    assert (request.param("a"), request.param("c"), request.header("host")) == ("1", None, "h")
    assert every(request.query, "a") == ["1", "3"]


def test_answers() -> None:
    refused = problem(409, "Conflict", "taken", index=3)
    assert refused.header("content-type") == "application/problem+json"
    assert refused.body == b'{"type":"about:blank","title":"Conflict","status":409,"detail":"taken","index":3}'
    assert json_response({"a": 1}, 201).body == b'{"a":1}'
