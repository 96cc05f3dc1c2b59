"""Clients that cost little: WebSocket and server-sent events on bare asyncio, and a request by HTTP.

Made from RFC 6455 and the HTML standard, not from the product's code. One ``Line`` is one connection; it may read at a
pace, stop reading without a word, or break off, as the worst of clients do. Nothing is kept of what it has handed on.
What a server must prove in a handshake is checked by the ``websockets`` library's own sum.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket as sockets
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import uvloop
from websockets.utils import accept_key

Take = Callable[[bytes], None]
CONNECT_SECONDS = 20.0
SMALL_BUFFER = 4096
"""Of the system, for one that reads at a pace: it reads up to so many bytes at once, and then waits."""
_LARGE_BUFFER = 1024 * 1024
_CLOSE = 8
_PING = 9
_PONG = 10


class Answer(NamedTuple):
    """What a server answered to a request."""

    status: int
    body: bytes


async def ask(
    url: str,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    address: str | None = None,
) -> Answer:
    """One request on a connection of its own, from ``address``. Raises OSError, EOFError, TimeoutError."""
    parts = urlsplit(url)
    async with asyncio.timeout(CONNECT_SECONDS):
        local = None if address is None else (address, 0)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, local_addr=local)
        try:
            lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in (headers or {}).items() if name.lower() != "host"]
            if body or method == "POST":
                lines.append(f"Content-Length: {len(body)}")
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            head = await reader.readuntil(b"\r\n\r\n")
            content = await reader.read(-1)
        finally:
            writer.transport.abort()
    return Answer(int(head.split(b" ", 2)[1]), content)


def websocket_head(url: str, path: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The request for a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def events_head(url: str, path: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The request for server-sent events."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", "Accept: text/event-stream"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def frame(content: bytes, opcode: int = 1) -> bytes:
    """A client's frame, masked with zeroes."""
    size = len(content)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2)
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8)
    return head + b"\0\0\0\0" + content


class Line(asyncio.Protocol):
    """One connection. ``opened`` is the status of the answer, ``closed`` the close code (0: it just ended).

    ``take`` gets every message: the content of a data frame, or the ``data`` of a server-sent event. ``pace`` is how
    many bytes a second are read; 0 is as they come.
    """

    def __init__(self, head: bytes, take: Take, pace: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[int] = loop.create_future()
        self.closed: asyncio.Future[int] = loop.create_future()
        self._answered: asyncio.Future[None] = loop.create_future()
        self.received = self.pongs = 0
        self.problem: Exception | None = None
        self.reason = b""
        self.closing = False
        """We have sent a close frame."""
        self._head = head
        self._take = take
        self._pace = pace
        self._loop = loop
        self._rest = b""
        self._parse: Callable[[bytes], bytes] = self._parse_head
        self._text = b""
        self._code = 0
        self._silent = False
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, url: str, head: bytes, take: Take, *, pace: int = 0, address: str | None = None) -> Line:
        """Connect, ask, and wait for the status. Raises OSError, TimeoutError."""
        parts = urlsplit(url)
        line = cls(head, take, pace)
        plain = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM)
        try:
            if pace:
                plain.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, SMALL_BUFFER)
            if address is not None:
                plain.bind((address, 0))
            plain.setblocking(False)
            async with asyncio.timeout(CONNECT_SECONDS):
                await line._loop.sock_connect(plain, (parts.hostname or "", parts.port or 80))
        except BaseException:
            plain.close()
            raise
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                try:
                    await line._loop.create_connection(lambda: line, sock=plain)
                finally:
                    # uvloop's transport closes the descriptor itself. Of one that ended as it began the socket would
                    # close it once more, when it may be another connection's; libuv then ends the whole process.
                    if isinstance(line._loop, uvloop.Loop):
                        plain.detach()
                await line._answered
        except BaseException:
            line.abort()
            raise
        if not line.opened.done():
            raise ConnectionResetError("closed before an answer")
        return line

    @property
    def is_open(self) -> bool:
        """Whether it can be written to."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, content: bytes, opcode: int = 1) -> None:
        """Send a frame."""
        self.closing = self.closing or opcode == _CLOSE
        self.write(frame(content, opcode))

    def write(self, content: bytes) -> None:
        """Send bytes as they are."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(content)

    def vanish(self) -> None:
        """Read nothing and answer nothing from now on; the connection stays."""
        self._silent = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def hurry(self) -> None:
        """Read as it comes from now on."""
        self._pace = 0
        if (plain := self.socket()) is not None:  # through a window as small as it was, it would take for ever
            plain.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, _LARGE_BUFFER)
        self._read_on()

    def end_half(self) -> None:
        """Say that nothing more will be sent (FIN), and read on."""
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()

    def socket(self) -> sockets.socket | None:
        """The socket under it."""
        return None if self._transport is None else self._transport.get_extra_info("socket")

    def abort(self) -> None:
        """Break off without a word."""
        if self._transport is not None:
            self._transport.abort()

    # the protocol of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._head)

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended."""
        del error
        if not self.closed.done():
            self.closed.set_result(self._code)
        self._settle()

    def _settle(self) -> None:
        """There is an answer, or there will be none."""
        if not self._answered.done():
            self._answered.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Hand on what is whole."""
        self.received += len(data)
        if self._silent:
            return
        try:
            self._rest = self._parse(self._rest + data if self._rest else data)
        except Exception as problem:  # what a server sends wrong is kept for the account
            self.problem = problem
            self.abort()
            return
        if self._pace and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._loop.call_later(len(data) / self._pace, self._read_on)

    def _read_on(self) -> None:
        if not self._silent and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _parse_head(self, data: bytes) -> bytes:
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            return data
        status = int(head.split(b" ", 2)[1])
        if status == 101:
            if _header(head, b"sec-websocket-accept") != _accept(self._head):
                raise ValueError("the handshake was not answered with its key")
            self._parse = self._parse_frames
        elif status == 200:
            self._parse = self._parse_chunks
        else:
            self._parse = self._parse_nothing
        if not self.opened.done():
            self.opened.set_result(status)
        self._settle()
        return self._parse(rest)

    def _parse_nothing(self, data: bytes) -> bytes:
        return data[:4096]

    def _parse_frames(self, data: bytes) -> bytes:
        at, size = 0, len(data)
        take = self._take
        while size - at >= 2:
            first, length = data[at], data[at + 1]
            start = at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                if size < start:
                    break
                length = int.from_bytes(data[at + 2 : start])
            end = start + length
            if size < end:
                break
            if first in (0x81, 0x82):
                take(data[start:end])
            else:
                self._control(first, data[start:end])
            at = end
        return data[at:] if at else data

    def _control(self, first: int, content: bytes) -> None:
        opcode = first & 15
        if opcode == _CLOSE:
            self._code = int.from_bytes(content[:2]) if len(content) >= 2 else 1005
            self.reason = content[2:]
            self.write(frame(content[:2], _CLOSE))
            if self._transport is not None:
                self._transport.close()
        elif opcode == _PING:
            self.send(content, _PONG)
        elif opcode == _PONG:
            self.pongs += 1
        else:
            raise ValueError(f"a frame that begins with {first:#x}")

    def _parse_chunks(self, data: bytes) -> bytes:
        at = 0
        while (end := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:end], 16)
            if len(data) < end + 4 + size:
                break
            self._text += data[end + 2 : end + 2 + size]
            at = end + 4 + size
            if not size and self._transport is not None:
                self._transport.close()
        *events, self._text = self._text.split(b"\n\n")
        for event in events:
            fields = event.split(b"\n")
            content = next((field[6:] for field in fields if field.startswith(b"data:")), None)
            if content is None:
                continue  # a comment
            if any(field.startswith(b"event:") for field in fields):
                self.reason = content
            else:
                self._take(content)
        return data[at:]


def _header(head: bytes, name: bytes) -> bytes:
    """The value of a header, or nothing."""
    for line in head.split(b"\r\n"):
        if line[: len(name)].lower() == name and line[len(name) : len(name) + 1] == b":":
            return line[len(name) + 1 :].strip()
    return b""


def _accept(head: bytes) -> bytes:
    """What a server must answer to the key in a request."""
    return accept_key(_header(head, b"sec-websocket-key").decode()).encode()
