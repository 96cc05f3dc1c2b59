"""Publishers: one that keeps to its schedule whatever the hub does, and one that posts as fast as it is answered."""

from __future__ import annotations

import asyncio
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, cast

from touchline.benchmarks.machine import LOOPBACK
from touchline.errors import UpstreamError

BATCHES_PER_SECOND: Final = 100
_MOST_WAITING_SECONDS: Final = 5


def post(key: str, body: bytes) -> bytes:
    """A request that publishes lines of CloudEvents."""
    return (
        f"POST /hub/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class _Connection(asyncio.Protocol, ABC):
    """Keep-alive HTTP, one request at a time; every answer must be 202."""

    def __init__(self) -> None:
        self._buffer = b""
        self.failure: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or len(rest) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            return
        self._buffer = b""
        if b" 202 " not in head.split(b"\r\n")[0]:
            self.fail(f"publishing failed: {head[:200]!r} {rest[:500]!r}")
        else:
            self.answered()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(f"the hub closed the publisher's connection: {exc}")

    @abstractmethod
    def answered(self) -> None:
        """The request is done."""

    def fail(self, detail: str) -> None:
        """Nothing more can be published."""
        self.failure = self.failure or UpstreamError(detail)


class OpenLoop(_Connection):
    """What has become due before an answer goes out together in the next request, in order."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key
        self._asked = False
        self.waiting: list[bytes] = []
        self.is_idle = asyncio.Event()

    def offer(self, lines: Sequence[bytes]) -> None:
        """Publish these as soon as may be. Raises what ended the publishing before."""
        if self.failure is not None:
            raise self.failure
        self.waiting += lines
        self.is_idle.clear()
        if not self._asked:
            self._post()

    def _post(self) -> None:
        body, self.waiting = b"\n".join(self.waiting), []
        self._asked = True
        self.transport.write(post(self._key, body))

    def answered(self) -> None:
        """Post what has become due, if anything."""
        self._asked = False
        if self.waiting:
            self._post()
        else:
            self.is_idle.set()

    def fail(self, detail: str) -> None:
        """Let the waiter see it."""
        super().fail(detail)
        self.is_idle.set()


async def publish_at_rate(
    port: int,
    key: str,
    lines: Callable[[int, int], Sequence[bytes]],
    *,
    seconds: float,
    most_waiting: int,
    batches_per_second: int = BATCHES_PER_SECOND,
    tls: ssl.SSLContext | None = None,
) -> bool:
    """Publish ``lines(number of the batch, when it is due)`` on schedule and wait for the last answer.

    Times are monotonic nanoseconds. False when more than ``most_waiting`` lines waited for the hub: it cannot take the
    rate, and nothing more was offered.
    """
    _, publisher = await asyncio.get_running_loop().create_connection(
        lambda: OpenLoop(key), LOOPBACK, port, ssl=tls, server_hostname="localhost" if tls else None
    )
    start = time.monotonic_ns() + 50_000_000
    kept_up = True
    try:
        for number in range(int(batches_per_second * seconds)):
            due = start + number * 1_000_000_000 // batches_per_second
            batch = lines(number, due)
            await asyncio.sleep(max(0.0, (due - time.monotonic_ns()) / 1e9))
            publisher.offer(batch)
            if len(publisher.waiting) > most_waiting:
                kept_up = False
                break
        await publisher.is_idle.wait()
        if publisher.failure is not None:
            raise publisher.failure
    finally:
        publisher.transport.abort()
    return kept_up


class _ClosedLoop(_Connection):
    """Posts one prepared request after the other."""

    def __init__(self, requests: list[bytes], done: asyncio.Future[None]) -> None:
        super().__init__()
        self._requests = requests
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.answered()

    def answered(self) -> None:
        """Post the next one."""
        if self._requests:
            self.transport.write(self._requests.pop())
        elif not self._done.done():
            self._done.set_result(None)

    def fail(self, detail: str) -> None:
        """Let the waiter see it."""
        super().fail(detail)
        if not self._done.done() and self.failure is not None:
            self._done.set_exception(self.failure)


async def publish_all(port: int, batches: Sequence[list[bytes]]) -> float:
    """Post the requests of each list on a connection of its own; seconds until all are answered."""
    loop = asyncio.get_running_loop()
    waits: list[asyncio.Future[None]] = []
    transports = []
    started = time.perf_counter()
    for batch in batches:
        done: asyncio.Future[None] = loop.create_future()
        waits.append(done)

        def connection(batch: list[bytes] = batch, done: asyncio.Future[None] = done) -> _ClosedLoop:
            return _ClosedLoop(batch, done)

        transports.append((await loop.create_connection(connection, LOOPBACK, port))[0])
    await asyncio.gather(*waits)
    seconds = time.perf_counter() - started
    for transport in transports:
        transport.abort()
    return seconds
