"""Subscribers made of other people's parts: the ``websockets`` client, and server-sent events over a plain socket.

A reader reads, drops its line when its dice say so, comes back where it was, and writes down everything that it took.
It ends by itself when the feed is over for it, or when it is told that it may not come back.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import NamedTuple

import msgspec
import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from .hubs import Event, Hub, native_headers

OVER, REVOKED, REFUSED, ENOUGH = "over", "revoked", "refused", "enough"


class Seen(NamedTuple):
    """One message of the event lane as it was taken; ``id`` is '' where the protocol has none."""

    seq: int
    id: str
    data: bytes


class Frame(msgspec.Struct):
    """A frame of Live Data V2, or of the older envelope."""

    type: str = ""
    source: str = ""
    seq: str = ""
    action: str = ""
    data: msgspec.Raw = msgspec.Raw()


def open_socket(
    url: str, key: str | None = None, context: ssl.SSLContext | None = None
) -> websockets.asyncio.client.connect:
    """A client connection of the ``websockets`` library; with a key a native one."""
    return websockets.asyncio.client.connect(
        url,
        additional_headers=None if key is None else native_headers(key),
        subprotocols=None if key is None else [Subprotocol("cloudevents.json")],
        ssl=context,
        proxy=None,
        compression=None,
        open_timeout=10,
        close_timeout=2,
        ping_interval=None,
        max_queue=64,
    )


class Reader:
    """What all readers share. Subclasses read one connection until it ends."""

    def __init__(self, hub: Hub, name: str, dice: random.Random | None = None, mean: float = 60.0) -> None:
        self.hub = hub
        self.name = name
        self.dice = dice
        self.mean = mean
        self.seen: list[Seen] = []
        self.states = 0
        """Messages of the state lane."""
        self.repeats = 0
        """Messages at or below the last seq, which the client's rule throws away."""
        self.connections = 0
        self.drops = 0
        self.broken = 0
        self.ended = ""
        self.codes: list[int | None] = []
        self.last_words = ""
        self.connected = asyncio.Event()
        self.is_last: Callable[[Seen], bool] = lambda _: False

    async def run(self) -> None:
        """Read until the end, coming back after every break."""
        wait = random.Random(self.name)
        while not self.ended:
            try:
                await self._connection()
            except InvalidStatus as refusal:
                if refusal.response.status_code in (401, 403, 410):
                    self.ended = f"{REFUSED} {refusal.response.status_code}"
                else:
                    self.broken += 1
            except (OSError, EOFError, ConnectionClosed, InvalidHandshake, InvalidMessage, asyncio.IncompleteReadError):
                self.broken += 1
            self.connected.clear()
            if not self.ended:
                await asyncio.sleep(wait.uniform(0.005, 0.05))

    async def _connection(self) -> None:
        raise NotImplementedError

    def _patience(self) -> int:
        """After how many messages the line is dropped; -1 for never."""
        return -1 if self.dice is None else 1 + int(self.dice.expovariate(1 / self.mean))

    def _take(self, message: Seen) -> None:
        self.seen.append(message)
        if self.is_last(message):
            self.ended = ENOUGH

    async def reached(self, count: int, seconds: float = 15.0) -> None:
        """Wait until so many messages were taken."""
        await self.until(lambda: len(self.seen) >= count, f"{count} messages", seconds)

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
        """Wait for a condition."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(
                f"{self.name}: not within {seconds:g} s: {what} (seen {len(self.seen)}, ended {self.ended!r}, "
                f"codes {self.codes}, broken {self.broken})"
            ) from None


class _SocketReader(Reader):
    """Over a WebSocket."""

    def _url(self) -> str:
        raise NotImplementedError

    def _message(self, text: str | bytes) -> None:
        raise NotImplementedError

    key: str | None = None

    async def _connection(self) -> None:
        async with open_socket(self._url(), self.key, self.hub.context) as socket:
            self.connections += 1
            self.connected.set()
            left = self._patience()
            try:
                async for text in socket:
                    self._message(text)
                    left -= 1
                    if left == 0 and not self.ended:
                        self.drops += 1
                        if self.dice is not None and self.dice.random() < 0.7:
                            socket.transport.abort()  # no closing handshake: the line is just gone
                        return
                    if self.ended:
                        return
            except ConnectionClosed:
                pass
            self.codes.append(socket.close_code)
            self.last_words = socket.close_reason or ""
            if socket.close_code == 1000:
                self.ended = OVER
            elif socket.close_code == 1008:
                self.ended = REVOKED


class LiveReader(_SocketReader):
    """ShotTracker's Live Data V2: resumes by ``last_seq`` and drops what is not above it."""

    def __init__(
        self,
        hub: Hub,
        name: str,
        token: str,
        dice: random.Random | None = None,
        mean: float = 60.0,
        sources: tuple[str, ...] = (),
    ) -> None:
        super().__init__(hub, name, dice, mean)
        self.token = token
        self.sources = sources
        self.last_seq = 0

    def _url(self) -> str:
        return self.hub.live_url(self.token, last_seq=self.last_seq or None, source=list(self.sources) or None)

    def _message(self, text: str | bytes) -> None:
        frame = msgspec.json.decode(text, type=Frame)
        assert frame.type == "data", text
        if not frame.seq:
            self.states += 1
            return
        seq = int(frame.seq)
        if seq <= self.last_seq:
            self.repeats += 1
            return
        self.last_seq = seq
        self._take(Seen(seq, "", bytes(frame.data)))


class NativeReader(_SocketReader):
    """The hub's own WebSocket: resumes by position."""

    def __init__(
        self, hub: Hub, name: str, key: str, position: str, dice: random.Random | None = None, mean: float = 60.0
    ) -> None:
        super().__init__(hub, name, dice, mean)
        self.key = key
        self.position = position

    def _url(self) -> str:
        return self.hub.ws_url("/hub/v1/ws", after=self.position)

    def _message(self, text: str | bytes) -> None:
        take_native(self, text)


class SseReader(Reader):
    """Server-sent events over HTTP/1.1 on a plain socket: resumes by ``Last-Event-ID``."""

    def __init__(
        self, hub: Hub, name: str, key: str, position: str, dice: random.Random | None = None, mean: float = 60.0
    ) -> None:
        super().__init__(hub, name, dice, mean)
        self.key = key
        self.position = position

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.hub.port)
        try:
            writer.write(
                f"GET /hub/v1/stream HTTP/1.1\r\nHost: {self.hub.host}\r\nAuthorization: Bearer {self.key}\r\n"
                f"Accept: text/event-stream\r\nLast-Event-ID: {self.position}\r\n\r\n".encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            status = int(head.split(" ", 2)[1])
            if status != 200:
                if status in (401, 403, 410):
                    self.ended = f"{REFUSED} {status}"
                return
            assert "transfer-encoding: chunked" in head.lower()
            assert "content-type: text/event-stream" in head.lower()
            self.connections += 1
            self.connected.set()
            left = self._patience()
            async with aclosing(_sse_events(reader)) as events:
                async for name, token, data in events:
                    if name != "message":
                        self.last_words = data.decode()
                        self.ended = REVOKED if b"revoked" in data else self.ended
                        continue
                    take_native(self, data)
                    assert token == self.position
                    left -= 1
                    if left == 0 and not self.ended:
                        self.drops += 1
                        if self.dice is not None and self.dice.random() < 0.7:
                            writer.transport.abort()
                        return
                    if self.ended:
                        return
        finally:
            writer.close()


def take_native(reader: NativeReader | SseReader, text: str | bytes) -> None:
    """One CloudEvent came."""
    event = msgspec.json.decode(text, type=Event)
    reader.position = event.position
    if event.lane == "state":
        reader.states += 1
    else:
        reader._take(Seen(event.seq, event.id, bytes(event.data)))


async def _sse_events(reader: asyncio.StreamReader) -> AsyncIterator[tuple[str, str, bytes]]:
    """(event name, id, data) of every event of a chunked answer; ends with the answer."""
    name, token, data = "message", "", []
    async with aclosing(_lines(reader)) as lines:
        async for line in lines:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if not line:
                if data:
                    yield name, token, b"\n".join(data)
                name, data = "message", []
            elif field == b"event":
                name = value.decode()
            elif field == b"id":
                token = value.decode()
            elif field == b"data":
                data.append(value)


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        rest += (await reader.readexactly(size + 2))[:-2]
        *lines, rest = rest.split(b"\n")
        for line in lines:
            yield line
