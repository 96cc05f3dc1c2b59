"""A process with the receivers of all webhook endpoints, one a path: each well, slow, failing or silent by its plan.

``python -m bench.soak.receivers PLAN PORT NOTES``. Of each delivery that was answered 200 the key of its record, a
checksum and the moment its connection was made are kept, in order. ``{"do":"settle"}`` on stdin mends those that fail
for a while, ``{"do":"stop"}`` ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import pickle
import random
import sys
import time
import zlib
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.clients import ask
from bench.soak.faults import Role, refuses
from bench.soak.world import EndpointPlan, Plan

_INSIGHT: Final = b'"insight":'
_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_SLOW_SECONDS: Final = (0.01, 0.12)


class Key(NamedTuple):
    """Which record a delivery is of, and a checksum of its content."""

    number: int
    check: int


class _Event(msgspec.Struct):
    position: str
    subject: str
    data: msgspec.Raw


class _Insight(msgspec.Struct):
    id: str


_event = msgspec.json.Decoder(_Event).decode
_insight = msgspec.json.Decoder(_Insight).decode


def number_of(name: str) -> int:
    """63 bits of a UUID."""
    return int(name.replace("-", "")[:16], 16) >> 1


def digest(content: bytes) -> int:
    """63 bits of a hash."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8]) >> 1


def _hub(headers: dict[str, str], body: bytes) -> Key:
    del headers
    event = _event(body)
    return Key(int(event.position.rpartition("-")[2], 36), zlib.crc32(event.data))


def _hisports(headers: dict[str, str], body: bytes) -> Key:
    return Key(number_of(headers["x-hisports-delivery"]), zlib.crc32(body[body.index(b",") + 1 :]))


def _insights(headers: dict[str, str], body: bytes) -> Key:
    del headers
    insight = body[body.index(_INSIGHT) + len(_INSIGHT) : -1]
    return Key(number_of(_insight(insight).id), zlib.crc32(insight))


def _roanuz(headers: dict[str, str], body: bytes) -> Key:
    del headers
    content = gzip.decompress(body)
    return Key(digest(content), zlib.crc32(content))


KEYS: Final[dict[str, Callable[[dict[str, str], bytes], Key]]] = {
    "hub": _hub,
    "hisports": _hisports,
    "insights": _insights,
    "roanuz": _roanuz,
}


class Desk:
    """One endpoint's receiver, with what it has taken."""

    def __init__(self, plan: EndpointPlan, began: float, url: str) -> None:
        self.plan = plan
        self.keys = array("q")
        self.checks = array("I")
        self.made = array("d")
        """When the connection of the delivery was made."""
        self.refused = self.unanswered = self.handshakes = 0
        self.problems: list[str] = []
        self.settled = False
        self._began = began
        self._url = url
        self._dice = random.Random(plan.name)

    def notes(self) -> dict[str, Any]:
        """Everything that an account needs."""
        kept = ("keys", "checks", "made", "refused", "unanswered", "handshakes", "problems")
        return {"name": self.plan.name} | {name: getattr(self, name) for name in kept}

    def status(self) -> int:
        """What it answers now; 0 for nothing at all."""
        role = self.plan.role
        if role is Role.REFUSING:
            return 500
        if role is Role.GONE:
            return 410
        if not self.settled and role in (Role.FAILING, Role.BLACK):
            now = time.monotonic() - self._began
            if any(fault.begins <= now < fault.ends for fault in self.plan.faults):
                return 500 if role is Role.FAILING else 0
        return 200

    def delay(self) -> float:
        """Seconds that it takes."""
        return self._dice.uniform(*_SLOW_SECONDS) if self.plan.role is Role.SLOW else 0.0

    def key(self, headers: dict[str, str], body: bytes) -> Key:
        """Of a delivery."""
        return KEYS[self.plan.feed](headers, body)

    def took(self, key: Key, made: float) -> None:
        """A delivery was answered 200."""
        self.keys.append(key.number)
        self.checks.append(key.check)
        self.made.append(made)

    async def confirm(self, body: bytes) -> None:
        """Visit the address of a handshake."""
        self.handshakes += 1
        parts = urlsplit(msgspec.json.decode(body)["SubscribeURL"])
        with contextlib.suppress(OSError, EOFError, TimeoutError):  # it is asked again
            await ask(self._url, "GET", f"{parts.path}?{parts.query}")


class Caller(asyncio.Protocol):
    """One connection of the hub's."""

    def __init__(self, desks: dict[str, Desk], tasks: set[asyncio.Task[None]]) -> None:
        self._desks = desks
        self._tasks = tasks
        self._rest = b""
        self._made = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._made = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """Take a request as soon as it is whole; there is one at a time."""
        self._rest += data
        head, found, body = self._rest.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(body) < int(headers["content-length"]):
            return
        self._rest = b""
        desk = self._desks[first.split(" ")[1].strip("/")]
        try:
            self._handle(desk, headers, body)
        except Exception as problem:  # a delivery that cannot be read must show in the account
            desk.problems.append(repr(problem)[:300])
            self._answer(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")

    def _handle(self, desk: Desk, headers: dict[str, str], body: bytes) -> None:
        kind = headers.get("x-amz-sns-message-type", "Notification")
        if kind != "Notification":
            if kind == "SubscriptionConfirmation":
                task = asyncio.get_running_loop().create_task(desk.confirm(body))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self._answer(_OK)
            return
        status, key = desk.status(), desk.key(headers, body)
        if desk.plan.role is Role.PICKY and refuses(key.number, _event(body).subject):
            status = 500
        if not status:
            desk.unanswered += 1
        elif status != 200:
            desk.refused += 1
            self._answer(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
        elif delay := desk.delay():
            asyncio.get_running_loop().call_later(delay, self._accept, desk, key)
        else:
            self._accept(desk, key)

    def _accept(self, desk: Desk, key: Key) -> None:
        if self._transport is not None and not self._transport.is_closing():
            desk.took(key, self._made)
            self._answer(_OK)

    def _answer(self, content: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(content)


async def run(plan: Plan, port: int, notes: Path) -> None:
    """Until ``stop``."""
    desks = {one.name: Desk(one, plan.began, plan.url) for one in plan.endpoints}
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Caller(desks, tasks), "127.0.0.1", port, backlog=1024)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print('{"listening":true}', flush=True)
    while line := await reader.readline():
        command = msgspec.json.decode(line)
        if command["do"] == "began":
            for desk in desks.values():
                desk._began = command["at"]
        elif command["do"] == "settle":
            for desk in desks.values():
                desk.settled = True
        elif command["do"] == "stop":
            break
    server.close()
    with notes.open("wb") as file:
        pickle.dump([one.notes() for one in desks.values()], file)
    print(msgspec.json.encode({"written": str(notes)}).decode(), flush=True)


def main() -> None:
    """See the module docstring."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(run(plan, int(sys.argv[2]), Path(sys.argv[3])))


if __name__ == "__main__":
    main()
