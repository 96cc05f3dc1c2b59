"""The least that a server of sessions can be: ``python -m touchline.benchmarks.bare_server DIRECTORY``.

Answers every handshake with 101, parses nothing and follows nothing. Prints its port, then obeys stdin: for a line
``<events> <per second>`` it commits so many rows durably, one by one on schedule, writes each to every session, and
says ``done``. The sessions of ``readers`` read it as they read a hub.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from touchline.benchmarks.bare import INSERT, bare_table
from touchline.benchmarks.events import FRAME_BYTES, event
from touchline.benchmarks.machine import LOOPBACK, raise_file_limit
from touchline.errors import UpstreamError

_ANSWER: Final = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class BareServer:
    """The server's process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port
        self.pid = process.pid

    def write(self, events: int, per_second: int) -> None:
        """Have it write so many events to every session; returns when the last has been written."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"%d %d\n" % (events, per_second))
        self._process.stdin.flush()
        if self._process.stdout.readline() != b"done\n":
            raise UpstreamError("the bare server ended")


@contextmanager
def bare_server(directory: Path) -> Iterator[BareServer]:
    """A bare server that lives as long as the ``with`` block; its table is made in ``directory``."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "touchline.benchmarks.bare_server", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = process.stdout.readline()
        if not port:
            raise UpstreamError("the bare server did not start")
        yield BareServer(process, int(port))
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class _Session(asyncio.Protocol):
    def __init__(self, opened: set[asyncio.Transport]) -> None:
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._opened.add(self._transport)

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(_ANSWER)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._opened.discard(self._transport)


async def _serve(directory: Path) -> None:
    table = bare_table(directory)
    opened: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Session(opened), LOOPBACK, 0, backlog=4096)
    _say(b"%d" % server.sockets[0].getsockname()[1])
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    row = 0
    while line := await stdin.readline():
        events, per_second = map(int, line.split())
        start = time.monotonic_ns()
        for number in range(events):
            due = start + number * 1_000_000_000 // per_second
            await asyncio.sleep(max(0.0, (due - time.monotonic_ns()) / 1e9))
            message = event(f"bare-{row}", "bare", due).ljust(FRAME_BYTES)
            with table:
                table.execute(INSERT, (row, message))
            row += 1
            for session in opened:
                session.write(message)
        _say(b"done")


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    import uvloop

    raise_file_limit()
    uvloop.run(_serve(Path(sys.argv[1])))
