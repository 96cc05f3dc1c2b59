"""A webhook receiver that costs as little as can be, in a process of its own, and who speaks to it.

``python -m touchline.benchmarks.sink`` prints its port, then obeys stdin.

``/<name>`` answers 200 at once; ``/<name>?delay=50`` after so many milliseconds; ``/mute<name>`` like ``/<name>`` until
the line ``silence``, and then not at all until ``speak``. A body that begins with ``{"sent":<ns>`` in its data is timed
when it comes to ``/timed<name>``. Lines on stdin: ``count N`` prints how many requests have come since the last
``reset``, as soon as it is N, or after ``PATIENCE_SECONDS``; ``latency`` prints the sorted latencies (ns) of requests
to timed paths.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

import httptools
import uvloop

from touchline.benchmarks.events import MARK
from touchline.benchmarks.machine import LOOPBACK, pinned
from touchline.errors import UpstreamError

OK: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
PATIENCE_SECONDS: Final = 60.0


class Sink:
    """The receiver's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise UpstreamError("the receiver of webhooks ended")
        return line

    def ask(self, text: str) -> str:
        """Send a command, read its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        return self._line()

    def wait_for(self, count: int) -> None:
        """Until so many requests have come since the last ``reset``. Raises UpstreamError when they do not."""
        came = int(self.ask(f"count {count}"))
        if came < count:
            raise UpstreamError(f"{came} of {count} webhooks came in {PATIENCE_SECONDS:.0f} s")


@contextmanager
def sink(core: int | None = None) -> Iterator[Sink]:
    """A receiver that lives as long as the ``with`` block."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*(pinned(core) if core is not None else ()), sys.executable, "-m", "touchline.benchmarks.sink"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Sink(process)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class State:
    """What all connections share."""

    def __init__(self) -> None:
        self.count = 0
        self.wanted: tuple[int, asyncio.Event] | None = None
        self.latencies: list[int] = []
        self.silent = False

    def came(self) -> None:
        """One more request."""
        self.count += 1
        if self.wanted is not None and self.count >= self.wanted[0]:
            self.wanted[1].set()


class Connection(asyncio.Protocol):
    """One keep-alive connection; httptools parses."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Called by the parser with a piece of the path."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """Called by the parser with a piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser at the end of a request: count it, time it, answer it."""
        url, self._url = self._url, b""
        body, self._body = b"".join(self._body), []
        if self._state.silent and b"mute" in url:
            return
        if b"timed" in url:
            at = body.find(MARK)
            if at >= 0:
                end = at + len(MARK)
                stop = end
                while body[stop : stop + 1].isdigit():
                    stop += 1
                self._state.latencies.append(time.monotonic_ns() - int(body[end:stop]))
        self._state.came()
        _, _, delay = url.partition(b"delay=")
        if delay:
            asyncio.get_running_loop().call_later(int(delay) / 1000, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        self._transport.write(OK)


async def main() -> None:
    """Serve until stdin ends."""
    state = State()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), LOOPBACK, 0, backlog=4096)
    _say(str(server.sockets[0].getsockname()[1]))
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        match line.split():
            case [b"reset"]:
                state.count = 0
                state.latencies.clear()
                _say("ok")
            case [(b"silence" | b"speak") as wish]:
                state.silent = wish == b"silence"
                _say("ok")
            case [b"count", number]:
                done = asyncio.Event()
                state.wanted = (int(number), done)
                if state.count < int(number):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)
                state.wanted = None
                _say(str(state.count))
            case [b"latency"]:
                _say(json.dumps(sorted(state.latencies)))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
