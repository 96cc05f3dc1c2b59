"""An answer that the application has whole leaves in one write, and reads as if uvicorn had sent it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from touchline.server.connection import HttpConnection, protocol_class
from touchline.wire.http import Pairs

REQUEST = b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}"
HEADERS: Pairs = (("content-type", "application/json"), ("retry-after", "5"))


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class _Exchange:
    """A connection whose application answers as a test says: ``answer`` in one go, or by uvicorn's ``send``."""

    def __init__(self, headers: Pairs = HEADERS, *, by_send: bool = False) -> None:
        self.transport = _Transport()
        self.accepted: list[bool] = []
        self.scopes: list[Any] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.closed_by_us = False
        self._headers = headers
        self._by_send = by_send

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await receive()
        await self.go_on.wait()
        if not self._by_send:
            answer = scope["state"].get("answer")
            self.accepted.append(answer is not None and answer(scope, 202, self._headers, b"body"))
            if self.accepted[-1]:
                return
        headers = [(name.encode(), value.encode()) for name, value in self._headers] + [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": b"body"})

    def connect(self) -> HttpConnection:
        state = ServerState()
        state.default_headers = [(b"date", b"Fri, 27 Nov 2026 20:00:00 GMT")]
        settings = SimpleNamespace(header_seconds=10.0, body_seconds=10.0, stall_seconds=10.0)
        sessions: Any = SimpleNamespace(admit=lambda count: True, room=lambda count: 1, settings=settings)
        config = Config(self._application, interface="asgi3", ws="none", lifespan="off", log_config=None)
        connection = protocol_class(sessions)(config, state, {})
        connection.connection_made(self.transport)
        return connection

    async def written(self, request: bytes = REQUEST) -> list[bytes]:
        connection = self.connect()
        connection.data_received(request)
        await settled(lambda: self.transport.closed or connection.cycle.response_complete)
        self.closed_by_us = self.transport.closed
        connection.connection_lost(None)
        return self.transport.writes


async def settled(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "request_bytes",
    [REQUEST, REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"), REQUEST.replace(b"host: h", b"host: h\r\nconnection: close")],
)
async def test_it_is_one_write_of_what_uvicorn_would_send(request_bytes: bytes) -> None:
    ours, theirs = _Exchange(), _Exchange(by_send=True)
    written = await ours.written(request_bytes)
    assert (len(written), ours.accepted) == (1, [True])
    assert written[0] == b"".join(await theirs.written(request_bytes))
    assert ours.closed_by_us == theirs.closed_by_us


@pytest.mark.parametrize(
    ("headers", "closes"),
    [((("connection", "close"),), True), ((("x", "\u00e9"),), False), ((("x", "a\tb"),), False)],
)
async def test_what_needs_a_closer_look_is_left_to_uvicorn(headers: Pairs, closes: bool) -> None:
    exchange = _Exchange(headers)
    written = b"".join(await exchange.written())
    assert exchange.accepted == [False]
    assert written.endswith(b"\r\n\r\nbody")
    assert exchange.closed_by_us is closes


async def test_a_header_cannot_begin_another_one() -> None:
    exchange = _Exchange((("x", "a\r\ny: b"),))
    assert await exchange.written() == []
    assert (exchange.accepted, exchange.closed_by_us) == ([False], True)


async def test_answers_keep_the_order_of_their_requests() -> None:
    exchange = _Exchange()
    exchange.go_on.clear()
    connection = exchange.connect()
    connection.data_received(REQUEST + REQUEST)
    await settled(lambda: bool(exchange.scopes))
    assert len(exchange.scopes) == 1
    exchange.go_on.set()
    await settled(lambda: len(exchange.accepted) == 2)
    assert exchange.accepted == [False, True]
    assert b"".join(exchange.transport.writes).count(b"HTTP/1.1 202 ") == 2
    connection.connection_lost(None)


async def test_a_client_that_takes_nothing_makes_it_wait() -> None:
    exchange = _Exchange()
    connection = exchange.connect()
    connection.pause_writing()
    connection.data_received(REQUEST)
    await settled(lambda: exchange.accepted == [False])
    assert exchange.transport.writes == []
    connection.resume_writing()
    await settled(lambda: connection.cycle.response_complete)
    assert b"".join(exchange.transport.writes).endswith(b"body")
    connection.connection_lost(None)


async def test_nothing_is_written_to_a_client_that_left() -> None:
    exchange = _Exchange()
    exchange.go_on.clear()
    connection = exchange.connect()
    connection.data_received(REQUEST)
    await settled(lambda: bool(exchange.scopes))
    connection.connection_lost(None)
    exchange.go_on.set()
    await settled(lambda: exchange.accepted == [False])
    assert exchange.transport.writes == []


@pytest.mark.parametrize("request_bytes", [b"", REQUEST[:20], REQUEST[:-1], REQUEST, REQUEST + REQUEST[:20]])
async def test_a_connection_that_was_lost_is_let_go_at_once(request_bytes: bytes) -> None:
    exchange = _Exchange()
    connection = exchange.connect()
    connection.data_received(request_bytes)
    if request_bytes.startswith(REQUEST):
        await settled(lambda: exchange.accepted == [True])
    gone = weakref.ref(connection)
    gc.disable()
    try:
        connection.connection_lost(None)
        del connection
        await settled(lambda: gone() is None)
    finally:
        gc.enable()
