"""A webhook receiver of ours that misbehaves on command, on real sockets in its own thread.

The first part of a request's path names the behaviour (``BEHAVIOURS``): ``receiver.url("ok")``, ``url("status/503")``,
``url("never/anything?x=1")``. ``receiver.turn("north", "never")`` gives a name of the test's own a behaviour, and a new
one later, so that an endpoint can break and recover. ``receiver.seen`` holds what came, ``receiver.wait_for`` waits for
it (block-free in async tests: ``await asyncio.to_thread(receiver.wait_for, 3)``).
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import parse_qsl

DRIP_SECONDS = 1.0
BOMB = gzip.compress(bytes(50_000_000), mtime=0)


class Seen(NamedTuple):
    """A request as it came. ``headers`` in lower case, the last of a name wins; ``lines`` as they stood. ``connection``
    counts the TCP connections from 1."""

    method: str
    target: str
    headers: Mapping[str, str]
    lines: tuple[bytes, ...]
    body: bytes
    connection: int


class Exchange:
    """A request to be answered (or not)."""

    def __init__(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, used: int) -> None:
        self.seen = seen
        self.reader = reader
        self.writer = writer
        self.used = used
        path, _, query = seen.target.partition("?")
        self.parts = path.strip("/").split("/")
        self.query = dict(parse_qsl(query, keep_blank_values=True))

    def send(self, data: bytes) -> None:
        """Raw bytes."""
        self.writer.write(data)

    def answer(self, status: int = 200, body: bytes = b"", *headers: str) -> None:
        """A decent answer, the connection kept."""
        lines = [f"HTTP/1.1 {status} Because", f"content-length: {len(body)}", *headers]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def reset(self) -> None:
        """Break the connection off with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Behaviour = Callable[[Exchange], Awaitable[bool]]
"""Answers, and says whether the connection is kept."""


async def _ok(exchange: Exchange) -> bool:
    exchange.answer(200, b"ok", f"x-connection: {exchange.seen.connection}")
    return True


async def _status(exchange: Exchange) -> bool:
    """``status/429?retry-after=7``: the query becomes headers."""
    exchange.answer(int(exchange.parts[1]), b"because", *(f"{name}: {value}" for name, value in exchange.query.items()))
    return True


async def _delay(exchange: Exchange) -> bool:
    """``delay/50``: so many milliseconds."""
    await asyncio.sleep(int(exchange.parts[1]) / 1000)
    return await _ok(exchange)


async def _never(exchange: Exchange) -> bool:
    await exchange.reader.read()
    return False


async def _drip(exchange: Exchange) -> bool:
    exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while True:
        exchange.send(b".")
        await exchange.writer.drain()
        await asyncio.sleep(DRIP_SECONDS)


async def _drip_head(exchange: Exchange) -> bool:
    for byte in b"HTTP/1.1 200 OK\r\nx-slow: " + b"." * 1000:
        exchange.send(bytes([byte]))
        await exchange.writer.drain()
        await asyncio.sleep(DRIP_SECONDS)
    return False


async def _endless(exchange: Exchange) -> bool:
    """A body without an end; ``endless/201`` chooses the status."""
    status = int(exchange.parts[1]) if len(exchange.parts) > 1 else 200
    exchange.send(b"HTTP/1.1 %d OK\r\ntransfer-encoding: chunked\r\n\r\n" % status)
    while True:
        exchange.send(b"10000\r\n" + b"e" * 0x10000 + b"\r\n")
        await exchange.writer.drain()


async def _bomb(exchange: Exchange) -> bool:
    exchange.answer(200, BOMB, "content-encoding: gzip")
    return True


async def _garbage(exchange: Exchange) -> bool:
    exchange.send(b"220 mail.example ESMTP\r\n\x00\xff\xfe" * 3)
    return False


async def _odd_headers(exchange: Exchange) -> bool:
    """Bytes that are no ASCII, a control character in a value, a header without a name."""
    exchange.send(
        b"HTTP/1.1 200 OK\r\nX-Latin: caf\xe9\r\nx-control: a\x01b\r\n: nameless\r\ncontent-length: 0\r\n\r\n"
    )
    return True


async def _no_colon(exchange: Exchange) -> bool:
    exchange.send(b"HTTP/1.1 200 OK\r\nno colon here\r\ncontent-length: 0\r\n\r\n")
    return True


async def _nul_header(exchange: Exchange) -> bool:
    exchange.send(b"HTTP/1.1 200 OK\r\nx-nul: a\x00b\r\ncontent-length: 0\r\n\r\n")
    return True


async def _two_lengths(exchange: Exchange) -> bool:
    exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 7\r\n\r\nx")
    return False


async def _huge_header(exchange: Exchange) -> bool:
    exchange.send(b"HTTP/1.1 200 OK\r\nx-huge: " + b"h" * 90_000 + b"\r\ncontent-length: 0\r\n\r\n")
    return True


async def _long_head(exchange: Exchange) -> bool:
    """``long-head/150``: so many headers of 1,000 bytes."""
    line = b"x-long: " + b"l" * 990 + b"\r\n"
    exchange.send(b"HTTP/1.1 200 OK\r\n" + line * int(exchange.parts[1]) + b"content-length: 0\r\n\r\n")
    return True


async def _many_headers(exchange: Exchange) -> bool:
    """``many-headers/500``: so many small ones."""
    many = b"".join(b"x-%d: y\r\n" % number for number in range(int(exchange.parts[1]) - 1))
    exchange.send(b"HTTP/1.1 200 OK\r\n" + many + b"content-length: 0\r\n\r\n")
    return True


async def _endless_head(exchange: Exchange) -> bool:
    exchange.send(b"HTTP/1.1 200 OK\r\nx-endless: ")
    while True:
        exchange.send(b"h" * 10_000)
        await exchange.writer.drain()


async def _interim(exchange: Exchange) -> bool:
    """``interim/3``: so many interim answers before the final one."""
    for _ in range(int(exchange.parts[1])):
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
    exchange.answer(202, b"done", "x-final: yes")
    return True


async def _flood(exchange: Exchange) -> bool:
    while True:
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await exchange.writer.drain()


async def _reset(exchange: Exchange) -> bool:
    exchange.reset()
    return False


async def _reset_head(exchange: Exchange) -> bool:
    exchange.send(b"HTTP/1.1 200 OK\r\ncontent-le")
    await exchange.writer.drain()
    exchange.reset()
    return False


async def _reset_body(exchange: Exchange) -> bool:
    exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    await exchange.writer.drain()
    exchange.reset()
    return False


async def _short(exchange: Exchange) -> bool:
    """The connection is closed in the middle of the body."""
    exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    return False


async def _until_close(exchange: Exchange) -> bool:
    """A body that ends with the connection."""
    exchange.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")
    return False


async def _close_idle(exchange: Exchange) -> bool:
    """Promises to keep the connection, and closes it right after the answer."""
    exchange.answer(200, b"ok", "connection: keep-alive")
    return False


async def _swallow(exchange: Exchange) -> bool:
    """Answers the first request of a connection; takes the second, and closes without a byte."""
    if exchange.used > 1:
        return False
    return await _ok(exchange)


async def _silent_close(exchange: Exchange) -> bool:
    return False


async def _redirect(exchange: Exchange) -> bool:
    """``redirect/307?to=…``."""
    exchange.answer(int(exchange.parts[1]), b"", f"location: {exchange.query['to']}")
    return True


async def _switch(exchange: Exchange) -> bool:
    exchange.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\nconnection: upgrade\r\n\r\nother words")
    return False


BEHAVIOURS: Mapping[str, Behaviour] = {
    "ok": _ok,
    "status": _status,
    "delay": _delay,
    "never": _never,
    "drip": _drip,
    "drip-head": _drip_head,
    "endless": _endless,
    "bomb": _bomb,
    "garbage": _garbage,
    "odd-headers": _odd_headers,
    "no-colon": _no_colon,
    "nul-header": _nul_header,
    "two-lengths": _two_lengths,
    "huge-header": _huge_header,
    "long-head": _long_head,
    "many-headers": _many_headers,
    "endless-head": _endless_head,
    "interim": _interim,
    "flood": _flood,
    "reset": _reset,
    "reset-head": _reset_head,
    "reset-body": _reset_body,
    "short": _short,
    "until-close": _until_close,
    "close-idle": _close_idle,
    "swallow": _swallow,
    "silent-close": _silent_close,
    "redirect": _redirect,
    "switch": _switch,
}
"""Unknown names are answered as ``ok``."""


async def stop_listening(server: asyncio.Server) -> None:
    """Close a server. What it has accepted in this turn of the loop becomes a connection first: CPython 3.11 fails at
    that when the server was closed in between, and leaves the socket open."""
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    for _ in range(3):
        await asyncio.sleep(0)
    server.close()


class Receiver:
    """A server in its own thread; a context manager.

    ``tls`` is the server's context for https. ``mute`` accepts connections and does nothing with them, not even a TLS
    handshake. ``reset_upload`` resets a connection after so many bytes of a request's body.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        mute: bool = False,
        reset_upload: int | None = None,
    ) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.open = 0
        self.peak = 0
        self.port = 0
        self._tls = tls
        self._host = host
        self._mute = mute
        self._reset_upload = reset_upload
        self._turned: dict[str, tuple[str, Behaviour]] = {}
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._stop: asyncio.Event | None = None

    def url(self, path: str = "ok", host: str | None = None) -> str:
        """The address of a behaviour."""
        scheme = "https" if self._tls is not None else "http"
        return f"{scheme}://{host or self._host}:{self.port}/{path}"

    def turn(self, name: str, behaviour: str) -> None:
        """From now on ``name`` behaves like ``behaviour`` (with its further parts: ``status/503``)."""
        self._turned[name] = (behaviour, BEHAVIOURS[behaviour.partition("/")[0]])

    def wait_for(self, count: int, name: str | None = None, timeout: float = 20.0) -> list[Seen]:
        """Block until so many requests (whose path begins with ``name``) have come; those. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._of(name)) >= count, timeout):
                raise TimeoutError(f"{len(self._of(name))} of {count} requests came")
            return self._of(name)

    def wait_closed(self, timeout: float = 20.0) -> None:
        """Block until no connection is open. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self.open, timeout):
                raise TimeoutError(f"{self.open} connections are open")

    def _of(self, name: str | None) -> list[Seen]:
        if name is None:
            return list(self.seen)
        return [one for one in self.seen if one.target.strip("/").partition("?")[0].split("/")[0] == name]

    def __enter__(self) -> Self:
        self._thread.start()
        with self._changed:
            if not self._changed.wait_for(lambda: self.port, 20):
                raise TimeoutError("the receiver did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        if self._thread.is_alive():
            raise TimeoutError("the receiver did not stop")

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        open_ones: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    await self._connection(reader, writer)
            finally:
                if self._stop is not None and self._stop.is_set():
                    writer.transport.abort()  # a TLS peer need not say goodbye
                writer.close()
                with contextlib.suppress(OSError, ssl.SSLError, asyncio.CancelledError):
                    await writer.wait_closed()
                self._count(-1)

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # Known before it begins: one that is cancelled before that runs nothing that could close it.
            task = asyncio.ensure_future(serve(reader, writer))
            open_ones[task] = writer
            task.add_done_callback(lambda done: open_ones.pop(done, None))

        if self._mute:
            listener = socket.create_server((self._host, 0), backlog=1024)
            self._announce(listener.getsockname()[1])
            await self._stop.wait()
            listener.close()
            return
        server = await asyncio.start_server(connected, self._host, 0, ssl=self._tls, backlog=1024, limit=1 << 20)
        self._announce(server.sockets[0].getsockname()[1])
        await self._stop.wait()
        await stop_listening(server)
        for _ in range(5):  # also those that were taken just now, and what their ends still have to do
            tasks = list(open_ones)
            for task, writer in list(open_ones.items()):
                writer.transport.abort()
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)
        await server.wait_closed()

    def _announce(self, port: int) -> None:
        with self._changed:
            self.port = port
            self._changed.notify_all()

    def _count(self, change: int) -> None:
        with self._changed:
            self.open += change
            self.peak = max(self.peak, self.open)
            self.connections += change > 0
            self._changed.notify_all()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count(1)
        number, used = self.connections, 0
        while True:
            seen = await self._request(reader, writer, number)
            if seen is None:
                return
            used += 1
            with self._changed:
                self.seen.append(seen)
                self._changed.notify_all()
            exchange = Exchange(seen, reader, writer, used)
            name, behaviour = exchange.parts[0], BEHAVIOURS.get(exchange.parts[0], _ok)
            if name in self._turned:
                words, behaviour = self._turned[name]
                exchange.parts = words.split("/")
            kept = await behaviour(exchange)
            if writer.transport.is_closing():
                return
            await writer.drain()
            if not kept:
                return

    async def _request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> Seen | None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        method, target, _ = first.decode("latin-1").split(" ", 2)
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.decode("latin-1").partition(":") for line in lines)
        }
        length = int(headers.get("content-length", "0"))
        if self._reset_upload is not None and length > self._reset_upload:
            await reader.readexactly(self._reset_upload)
            seen = Seen(method, target, headers, tuple(lines), b"", connection)
            Exchange(seen, reader, writer, 1).reset()
            return None
        return Seen(method, target, headers, tuple(lines), await reader.readexactly(length), connection)
