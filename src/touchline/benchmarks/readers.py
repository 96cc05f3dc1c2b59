"""Many sessions in a process of their own: ``python -m touchline.benchmarks.readers`` takes a ``Load`` as JSON.

Prints ``open`` when every handshake was answered, then one line of JSON, a ``Reading``, when each session has got what
it was to get. Looks for ``events.MARK`` in what comes and reads no frames: the readers are to cost little.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

import msgspec

from touchline.benchmarks.events import MARK
from touchline.benchmarks.machine import LOOPBACK, pinned, raise_file_limit
from touchline.benchmarks.rows import percentile
from touchline.errors import UpstreamError

_MARKED: Final = re.compile(re.escape(MARK) + rb"(\d+)[^\d]")
_KEPT_BYTES: Final = 40
"""The longest beginning of a mark that one read may end with."""


class Load(msgspec.Struct, frozen=True):
    """``sessions`` sockets that send ``hello`` and wait for ``expected`` events each; ``ca_file`` makes it TLS."""

    port: int
    sessions: int
    hello: str
    expected: int
    ca_file: str | None = None


class Reading(msgspec.Struct, frozen=True):
    """``seconds`` from the first connection to the last event; how late events came, from when each was due;
    ``last_…``: how late an event came to the last of the sessions.
    """

    seconds: float
    median_ms: float
    p99_ms: float
    worst_ms: float
    last_median_ms: float
    last_p99_ms: float


def handshake(path: str, headers: tuple[str, ...] = ()) -> str:
    """The head of a WebSocket handshake, as the readers send it."""
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade")
    key = ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
    return "\r\n".join((*lines, *key, *headers)) + "\r\n\r\n"


class ReaderProcess:
    """Sessions that were opened by ``readers``."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def wait(self) -> Reading:
        """What they got, as soon as they have all of it. Raises UpstreamError when they lost their sessions."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise UpstreamError("the readers ended before they had everything")
        return msgspec.json.decode(line, type=Reading)


@contextmanager
def readers(load: Load, core: int | None = None) -> Iterator[ReaderProcess]:
    """Sessions that live as long as the ``with`` block; open when it begins."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*(pinned(core) if core is not None else ()), sys.executable, "-m", "touchline.benchmarks.readers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(load) + b"\n")
        process.stdin.flush()
        if process.stdout.readline() != b"open\n":
            raise UpstreamError("the readers could not open their sessions")
        yield ReaderProcess(process)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class _All:
    """What the sessions share."""

    def __init__(self, load: Load) -> None:
        loop = asyncio.get_running_loop()
        self.load = load
        self.opened: asyncio.Future[None] = loop.create_future()
        self.finished: asyncio.Future[None] = loop.create_future()
        self.late: list[int] = []
        self.last: dict[int, int] = {}
        self.to_open = self.to_finish = load.sessions

    def fail(self, detail: str) -> None:
        """Whoever waits is told."""
        for waited in (self.opened, self.finished):
            if not waited.done():
                waited.set_exception(UpstreamError(detail))


class _Session(asyncio.Protocol):
    def __init__(self, everything: _All) -> None:
        self._all = everything
        self._left = everything.load.expected
        self._kept = b""
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._all.load.hello.encode())

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            self._open(data)
        data = self._kept + data
        now = time.monotonic_ns()
        end = 0
        for found in _MARKED.finditer(data):
            due = int(found.group(1))
            self._all.late.append(now - due)
            self._all.last[due] = now
            self._left -= 1
            end = found.end()
            if self._left == 0:
                self._all.to_finish -= 1
                if self._all.to_finish == 0 and not self._all.finished.done():
                    self._all.finished.set_result(None)
        self._kept = data[max(end, len(data) - _KEPT_BYTES) :]

    def _open(self, data: bytes) -> None:
        if b" 101 " not in data[:16]:
            self._all.fail(f"a session was refused: {data[:200]!r}")
        self._is_open = True
        self._all.to_open -= 1
        if self._all.to_open == 0 and not self._all.opened.done():
            self._all.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.fail(f"a session was lost: {exc}")


async def _read(load: Load) -> None:
    everything = _All(load)
    tls = ssl.create_default_context(cafile=load.ca_file) if load.ca_file else None
    loop = asyncio.get_running_loop()
    started = time.monotonic()

    async def connect() -> None:
        await loop.create_connection(
            lambda: _Session(everything), LOOPBACK, load.port, ssl=tls, server_hostname="localhost" if tls else None
        )

    await asyncio.gather(*(connect() for _ in range(load.sessions)))
    await everything.opened
    _say(b"open")
    await everything.finished
    late = [ns / 1e6 for ns in everything.late]
    last = [(came - due) / 1e6 for due, came in everything.last.items()]
    seconds = time.monotonic() - started
    late_ms = (percentile(late, 50), percentile(late, 99), max(late))
    reading = Reading(seconds, *late_ms, percentile(last, 50), percentile(last, 99))
    _say(msgspec.json.encode(reading))
    await loop.run_in_executor(None, sys.stdin.read)  # the sessions stay open until they are ended


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    import uvloop

    raise_file_limit()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_read(msgspec.json.decode(sys.stdin.readline().encode(), type=Load)))
