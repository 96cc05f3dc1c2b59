"""The demo's webhook receiver: the SDK's ``Receiver`` for each feed on a path of its own, in one thread.

It does what a small real one does: verifies, confirms, and writes a line for each message before it answers. The file
is cut when it grows, so that a demo that runs for weeks fills no disk.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from touchline.client.receiver import Receive, Receiver, Scope, Send
from touchline.client.receiver_server import serve
from touchline.clock import Clock, SystemClock
from touchline.errors import TouchlineError
from touchline.feeds.base import Feed, Notice, Received, Trust

LOG_FILE: Final = "receiver.log"
MAX_LOG_BYTES: Final = 4 * 1024 * 1024
"""The file is renamed to ``….old`` then, over the one before."""
LINE_CHARACTERS: Final = 200
_NOT_FOUND: Final = ({"type": "http.response.start", "status": 404, "headers": []}, {"type": "http.response.body"})

log = logging.getLogger(__name__)


class SampleReceiver:
    """Takes the webhooks of several feeds. ``listener`` listens already: what comes before ``start`` waits in it."""

    def __init__(self, listener: socket.socket, log_path: Path, clock: Clock | None = None) -> None:
        self.counts: dict[str, int] = {}
        self.log_path = log_path
        self._listener = listener
        self._clock = clock or SystemClock()
        self._receivers: dict[str, Receiver] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()

    def url_of(self, feed: str) -> str:
        """Where the webhooks of that feed are taken."""
        host, port = self._listener.getsockname()[:2]
        return f"http://{host}:{port}/{feed}"

    def start(self, feeds: Mapping[str, tuple[Feed, Trust]]) -> None:
        """Begin to take the webhooks of these feeds."""
        for name, (feed, trust) in feeds.items():
            self.counts[name] = 0
            self._receivers[f"/{name}"] = Receiver(feed, trust, self._handler(name), told=self._teller(name))
        self._thread = threading.Thread(target=self._run, name="sample-receiver")
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """Answer what is being handled, and end."""
        if self._thread is None:
            self._listener.close()
            return
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except TouchlineError:
            log.exception("the sample receiver has ended")
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            await serve(self._app, self._listener, self._stop, announce=self._ready.set)
        finally:
            # Whoever closes from now on must not call into a loop that is closing.
            self._loop = None
            for receiver in self._receivers.values():
                await receiver.aclose()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: each receiver has its path."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        found = self._receivers.get(scope["path"])
        if found is not None:
            await found(scope, receive, send)
            return
        for event in _NOT_FOUND:
            await send(dict(event))

    def _handler(self, name: str) -> Any:
        def handle(received: Received) -> None:
            for event in received.events:
                self.counts[name] += 1
                self._write(f"{name:<10} {event.type} {event.subject} {event.data.decode('utf-8', 'replace')}")

        return handle

    def _teller(self, name: str) -> Any:
        def tell(notice: Notice) -> None:
            self._write(f"{name:<10} -- {notice.kind}: {notice.detail}")

        return tell

    def _write(self, text: str) -> None:
        moment = datetime.datetime.fromtimestamp(self._clock.wall_ns() / 1e9, datetime.UTC)
        line = "".join(sign if sign.isprintable() else " " for sign in f"{moment:%H:%M:%S} {text}")
        if len(line) > LINE_CHARACTERS:
            line = line[: LINE_CHARACTERS - 1] + "…"
        if self.log_path.exists() and self.log_path.stat().st_size > MAX_LOG_BYTES:
            self.log_path.replace(self.log_path.with_name(self.log_path.name + ".old"))
        descriptor = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(line.encode() + b"\n")
