"""A webhook receiver that costs as little as can be: ``python -m bench.sink`` prints its port, then obeys stdin.

``/<name>`` answers 200 at once; ``/<name>?delay=50`` after so many milliseconds; ``/mute<name>`` like ``/<name>`` until
the line ``silence``, and then not at all until ``speak``. A body that begins with ``{"sent":<ns>`` in its data is timed
when it comes to ``/timed<name>``. Lines on stdin: ``count N`` prints a line as soon as N requests have come since the
last ``reset``; ``latency`` prints the sorted latencies (ns) of requests to timed paths.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import httptools
import uvloop

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
MARK = b'"sent":'


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
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
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
        self._transport.write(OK)  # type: ignore[attr-defined]


async def main() -> None:
    """Serve until stdin ends."""
    state = State()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        match line.split():
            case [b"reset"]:
                state.count = 0
                state.latencies.clear()
                print("ok", flush=True)
            case [(b"silence" | b"speak") as wish]:
                state.silent = wish == b"silence"
                print("ok", flush=True)
            case [b"count", number]:
                done = asyncio.Event()
                state.wanted = (int(number), done)
                if state.count < int(number):
                    await done.wait()
                state.wanted = None
                print(state.count, flush=True)
            case [b"latency"]:
                print(json.dumps(sorted(state.latencies)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
