"""A publisher that keeps to its schedule whatever the hub does: lags count from when a change was due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from bench.pusher_load import Change, Changes

BATCHES_PER_SECOND = 100
_MOST_WAITING_SECONDS = 5


class Publisher(asyncio.Protocol):
    """One request at a time; what has become due before its answer goes out together in the next, in order."""

    def __init__(self, key: str) -> None:
        self._head = (
            f"POST /hub/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/x-ndjson\r\nContent-Length: "
        )
        self._buffer = b""
        self._asked = False
        self.waiting: list[bytes] = []
        self.is_idle = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def offer(self, lines: Sequence[bytes]) -> None:
        """Publish these as soon as may be."""
        self.waiting += lines
        self.is_idle.clear()
        if not self._asked:
            self._post()

    def _post(self) -> None:
        body, self.waiting = b"\n".join(self.waiting), []
        self._asked = True
        self.transport.write(f"{self._head}{len(body)}\r\n\r\n".encode() + body)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or len(rest) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            return
        if b" 202 " not in head.split(b"\r\n")[0]:
            raise SystemExit(f"publishing failed: {head!r} {rest[:500]!r}")
        self._buffer = b""
        self._asked = False
        if self.waiting:
            self._post()
        else:
            self.is_idle.set()


async def publish(
    port: int, key: str, run: str, changes: Changes, rate: int, seconds: float
) -> tuple[list[Change], list[int]]:
    """Publish at a rate; all changes in order, and when each public one was due (monotonic ns)."""
    _, publisher = await asyncio.get_running_loop().create_connection(lambda: Publisher(key), "127.0.0.1", port)
    each = rate // BATCHES_PER_SECOND
    published: list[Change] = []
    dues: list[int] = []
    start = time.monotonic_ns() + 50_000_000
    for number in range(int(BATCHES_PER_SECOND * seconds)):
        due = start + number * 1_000_000_000 // BATCHES_PER_SECOND
        taken = changes.take(each)
        lines = [changes.line(run, change) for change in taken]
        await asyncio.sleep(max(0.0, (due - time.monotonic_ns()) / 1e9))
        publisher.offer(lines)
        published += taken
        dues += [due] * each
        if len(publisher.waiting) > _MOST_WAITING_SECONDS * rate:
            raise SystemExit(f"the hub cannot take {rate} changes a second here")
    await publisher.is_idle.wait()
    publisher.transport.close()
    return published, dues
