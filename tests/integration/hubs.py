"""A real hub on a free port, in a thread with a loop of its own: sockets, uvicorn and SQLite as ``touchline serve`` has
them, and a test may still look inside and move the clock.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import uvloop

from said import SAID, metrics_of
from touchline.clock import Clock
from touchline.server import config
from touchline.server.app import Running, http_server

T = TypeVar("T")

PATIENCE_SECONDS = 20.0
_ids = itertools.count(1)


class Answer:
    """An HTTP answer."""

    def __init__(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"{self.status} {self.headers} {self.body[:2000]!r}"


class Hub:
    """Start with ``with``. ``settings`` are those of ``touchline serve``; ``clock`` replaces the machine's."""

    def __init__(self, directory: Path, clock: Clock | None = None, **settings: object) -> None:
        self.directory = directory
        self._overrides = {"data": str(directory / "data"), "port": 0, "drain_seconds": 0.5, **settings}
        self._clock = clock
        self._started = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.errors: list[dict[str, Any]] = []
        self.port = 0
        self.running: Running
        self.connections: set[Any] = set()
        """the plain HTTP connections that are open"""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(PATIENCE_SECONDS)
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        assert self.errors == [], "nothing may fail unseen in the loop"

    def stop(self) -> None:
        """As on SIGTERM."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            if self.port:  # it runs
                SAID.never(self.admin_key, self.publisher_key)
                metrics_of(self._metrics)
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the hub does not stop"

    def _metrics(self) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read()
        finally:
            connection.close()

    def _run(self) -> None:
        try:
            uvloop.run(self._serve())
        except BaseException as error:
            self._failed = error
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self._stop = asyncio.Event()
        settings = config.load(self._overrides, {}, self.directory)
        self.running = Running(settings, self._clock)
        await self.running.start()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(str(self._overrides["port"]))))
        self.port = listener.getsockname()[1]
        self.running.hub.public_url = self.url
        server = http_server(self.running, lambda _: self._started.set())
        self.connections = server.server_state.connections
        serving = asyncio.create_task(server.serve([listener]))
        await self._stop.wait()
        for accepting in server.servers:
            accepting.close()
        await self.running.stop()
        server.should_exit = True
        await serving

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on_loop(self, work: Callable[[], T]) -> T:
        """Call on the hub's own loop."""

        async def run() -> T:
            return work()

        return self.wait(run())

    def wait(self, work: Awaitable[T]) -> T:
        """Run a coroutine on the hub's own loop."""

        async def run() -> T:
            return await work

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE_SECONDS)

    def until(self, condition: Callable[[], bool], what: str = "the condition") -> None:
        """Wait until something is so."""
        for _ in range(int(PATIENCE_SECONDS / 0.005)):
            if self.on_loop(condition):
                return
            time.sleep(0.005)
        raise AssertionError(f"waited in vain for {what}")

    @property
    def admin_key(self) -> str:
        return (self.directory / "data" / "admin.key").read_text().strip()

    @property
    def publisher_key(self) -> str:
        return (self.directory / "data" / "publisher.key").read_text().strip()

    # HTTP

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            sent = dict(headers or {})
            if key is not None:
                sent.setdefault("Authorization", f"Bearer {key}")
            connection.request(method, path, body, sent)
            got = connection.getresponse()
            answer = Answer(got.status, got.getheaders(), got.read())
            SAID.never_of(path, answer.body)
            return answer
        finally:
            connection.close()

    def get(self, path: str, key: str | None = None, **headers: str) -> Answer:
        return self.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}, key=key)

    def admin(self, method: str, path: str, value: object = None) -> Answer:
        """An administrative request."""
        body = None if value is None else json.dumps(value).encode()
        return self.request(method, path, body, {"Content-Type": "application/json"}, key=self.admin_key)

    def publish(
        self,
        body: bytes,
        content_type: str = "application/cloudevents+json",
        *,
        key: str | None = None,
        query: str = "",
        **headers: str,
    ) -> Answer:
        sent = {"Content-Type": content_type} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", f"/hub/v1/events{query}", body, sent, key=key or self.publisher_key)

    def publish_all(self, events: Iterable[Mapping[str, Any]], **more: str) -> Answer:
        """Publish as a batch; must be taken."""
        events = list(events)
        for event in events:
            SAID.never_private(event)
        body = json.dumps(events).encode()
        answer = self.publish(body, "application/cloudevents-batch+json", **more)
        assert answer.status == 202, answer
        return answer

    def partner(self, name: str, feed: str = "hub", grants: Mapping[str, list[str]] | None = None) -> dict[str, str]:
        """Add a partner; its credentials."""
        answer = self.admin("POST", "/hub/v1/partners", {"name": name, "feed": feed, "grants": grants or {}})
        assert answer.status == 201, answer
        credentials: dict[str, str] = answer.json["credentials"]
        return credentials

    def events(self, query: str = "") -> list[dict[str, Any]]:
        """All stored events, as an admin reads them."""
        found: list[dict[str, Any]] = []
        page = self.get(f"/hub/v1/events?limit=1000&{query}", self.admin_key).json
        found += page["events"]
        while page["more"]:
            page = self.get(f"/hub/v1/events?limit=1000&after={page['position']}&{query}", self.admin_key).json
            found += page["events"]
        return found

    # raw sockets

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        """A plain TCP connection."""
        plain = socket.socket()
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(PATIENCE_SECONDS)
        plain.connect(("127.0.0.1", self.port))
        return plain

    def exchange(self, data: bytes) -> bytes:
        """Send bytes as they are; everything that comes back until the hub closes."""
        with self.connect() as plain:
            plain.sendall(data)
            return read_to_end(plain)


def read_to_end(plain: socket.socket) -> bytes:
    """What comes until the peer closes (or resets)."""
    parts = []
    while True:
        try:
            part = plain.recv(1 << 16)
        except ConnectionResetError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def read_until(plain: socket.socket, mark: bytes) -> bytes:
    """What comes up to and with a mark (and perhaps a little more)."""
    got = b""
    while mark not in got:
        part = plain.recv(1 << 16)
        assert part, f"closed after {got[-500:]!r}"
        got += part
    return got


def status_of(answer: bytes) -> int:
    """The status of a raw HTTP answer."""
    assert answer.startswith(b"HTTP/1.1 "), answer[:200]
    return int(answer[9:12])


def cloud_event(
    kind: str = "shottracker.marker", subject: str = "game-1", data: object = None, **attributes: Any
) -> dict[str, Any]:
    """An event that is taken, with an id of its own."""
    if data is None:
        data = {"type": "CLOCK_START"}
    return {
        "specversion": "1.0",
        "id": f"e{next(_ids)}",
        "source": "/venue/12",
        "type": kind,
        "subject": subject,
        "data": data,
    } | attributes


def encoded(**attributes: Any) -> bytes:
    """``cloud_event`` as JSON."""
    return json.dumps(cloud_event(**attributes)).encode()
