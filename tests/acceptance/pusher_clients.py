"""What tests with Pusher clients need: partners of the exchange, changes to publish, a line that can be cut.

The clients themselves are programs on other people's libraries: ``programs/pysher_client.py`` and
``node/pusher_client.js``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import struct
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

import msgspec
import pytest

from receivers import stop_listening

from .hubs import Hub, free_port, wait_for
from .nodes import NODE, need_package, node
from .receivers import Program

BROADCAST = "private-broadcast-service=3-device_type=5"
PROGRAMS = Path(__file__).parent / "programs"
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: a close is a reset."""


class Change(NamedTuple):
    """A change as a client took it; ``payload`` is still base64."""

    event: str
    change_type: str
    op: str
    payload: str


class Partner:
    """A partner of the exchange, with what it can do by REST."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.hub = hub
        given = hub.add_partner(name, "prophetx")
        self.id = given["partner_id"]
        self.keys = {"access_key": given["access_key"], "secret_key": given["secret_key"]}
        self.private = f"private-service=3-device_type=5-user={self.id.replace('-', '')}"
        self._token = ""

    def log_in(self) -> None:
        """Get a token."""
        answer = self.hub.ask("POST", "/partner/auth/login", None, msgspec.json.encode(self.keys))
        assert answer.status == 200, answer
        self._token = answer.json["data"]["access_token"]

    def app_key(self) -> str:
        """The key in the address of the socket."""
        answer = self.hub.ask("GET", "/partner/websocket/connection-config", {"Authorization": f"Bearer {self._token}"})
        assert answer.status == 200, answer
        key: str = answer.json["key"]
        return key

    def signature(self, socket_id: str, channel: str) -> str:
        """What a socket shows for a channel."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/x-www-form-urlencoded"}
        form = urlencode({"socket_id": socket_id, "channel_name": channel}).encode()
        answer = self.hub.ask("POST", "/partner/mm/pusher", headers, form)
        assert answer.status == 200, answer
        auth: str = answer.json["auth"]
        return auth

    def wager(self, number: int) -> bytes:
        """A change of its own, as a line to publish; its payload is ``wager_payload``."""
        return change("wager", self.id, self.wager_payload(number), f"wager-{self.id}-{number}", partner=self.id)

    def wager_payload(self, number: int) -> bytes:
        """The same whatever prints it; beyond what a double holds."""
        info = {
            "id": f"partner_{number}",
            "user_id": self.id,
            "market_id": 219,
            "odds": 124,
            "stake": 45.3,
            "status": "open",
            "matching_status": "unmatched",
            "update_type": "status",
            "sequence_number": 1709130007835319001 + number,
        }
        return msgspec.json.encode({"info": info})


def change(change_type: str, subject: str, payload: bytes, id: str, op: str = "u", **more: str) -> bytes:  # noqa: A002
    """One line of a publish request, the payload to the byte."""
    head = {"specversion": "1.0", "id": id, "source": "/exchange", "type": f"prophetx.{change_type}"}
    return msgspec.json.encode({**head, "subject": subject, "op": op, **more})[:-1] + b',"data":' + payload + b"}"


class PusherClient(Program):
    """A client of a partner, as a process. Use as a context manager."""

    def __init__(self, command: list[str | Path], partner: Partner, options: dict[str, object] | None = None) -> None:
        self.partner = partner
        keys = partner.keys["access_key"], partner.keys["secret_key"]
        more = [] if options is None else [msgspec.json.encode(options).decode()]
        super().__init__([*command, partner.hub.url, *more], ready=None, ACCESS_KEY=keys[0], SECRET_KEY=keys[1])

    def subscribed(self, times: int = 1) -> None:
        """Wait until it has both channels, for the so-manieth time."""
        both = sorted([BROADCAST, self.partner.private] * times)
        self.reached("subscribed", len(both), 50)  # a library whose first try is refused waits 15 s for the next
        assert sorted(self.all("subscribed")) == both

    def changes(self, channel: str) -> list[Change]:
        """The changes that came on a channel, in order."""
        return [
            Change(one["event"], one["change_type"], one["op"], one["payload"])
            for one in self.all("change")
            if one["channel"] == channel
        ]

    def took(self, channel: str, count: int, seconds: float = 30.0) -> list[Change]:
        """The same, as soon as there are so many."""
        wait_for(
            lambda: len(self.changes(channel)) >= count or not self._alive(), f"{count} changes on {channel}", seconds
        )
        found = self.changes(channel)
        assert len(found) >= count, (self.lines[-5:], self.said)
        return found


ClientOf = Callable[[Partner], PusherClient]


def pysher_client(partner: Partner) -> PusherClient:
    """On the Python library."""
    if importlib.util.find_spec("pysher") is None:
        pytest.skip("the package pysher is not installed: make dev")
    return PusherClient([sys.executable, PROGRAMS / "pysher_client.py"], partner)


def js_client(partner: Partner, **options: object) -> PusherClient:
    """On the JavaScript library."""
    program = node()
    need_package("pusher-js")
    return PusherClient([program, NODE / "pusher_client.js"], partner, options)


class Line:
    """A TCP line between clients and a hub that can be cut in the middle. Use as a context manager."""

    def __init__(self, hub_port: int) -> None:
        self.port = free_port()
        self._hub_port = hub_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._sockets: set[asyncio.StreamWriter] = set()
        self._heard = b""

    def __enter__(self) -> Self:
        self._thread.start()
        self._on_loop(self._open())
        return self

    def __exit__(self, *error: object) -> None:
        self._on_loop(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        """Where clients go."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def heard(self) -> bytes:
        """All that clients sent on their WebSockets since the last ``tell``, as it was on the wire."""
        return self._heard

    def reset(self) -> None:
        """Break every connection at once, towards both ends, without a word."""
        self._on_loop(self._reset())

    def tell(self, content: bytes) -> None:
        """Put bytes into what the hub sends, on every WebSocket. Nothing else must be under way."""
        self._on_loop(self._tell(content))

    def _on_loop(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", self.port)

    async def _close(self) -> None:
        assert self._server is not None
        await stop_listening(self._server)
        tasks = list(self._tasks)
        await self._reset()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _reset(self) -> None:
        for pair in list(self._pairs):
            for writer in pair:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()

    async def _tell(self, content: bytes) -> None:
        self._heard = b""
        for client in self._sockets:
            client.write(content)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            there, hub = await asyncio.open_connection("127.0.0.1", self._hub_port)
            pair = (writer, hub)
            self._pairs.add(pair)
            try:
                first = await reader.read(65_536)
                is_socket = first.startswith(b"GET /app/")
                if is_socket:
                    self._sockets.add(writer)
                hub.write(first)
                await asyncio.gather(self._up(reader, hub, is_socket), self._down(there, writer))
            finally:
                self._pairs.discard(pair)
                self._sockets.discard(writer)
                hub.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, hub: asyncio.StreamWriter, is_socket: bool) -> None:
        while content := await reader.read(65_536):
            if is_socket:
                self._heard += content
            hub.write(content)
            await hub.drain()
        hub.write_eof()

    async def _down(self, there: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while content := await there.read(65_536):
            client.write(content)
            await client.drain()
        client.write_eof()
