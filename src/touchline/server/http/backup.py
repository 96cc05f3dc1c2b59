"""``GET /hub/v1/backup``: a consistent copy of the running hub's database, for an admin.

The log makes the copy beside its database, then it is sent in pieces read off the loop; memory holds one piece. One at
a time. The copy goes away in every case: at the end, when the client leaves or stalls, when the hub stops, and at the
next start when it was killed.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from touchline.errors import LogError, LogFull, TouchlineError
from touchline.feeds.base import Answered, Operation
from touchline.server.http.access import refusal, require
from touchline.server.http.asgi import Receive, Scope, Send, log_problem
from touchline.server.hub import Hub
from touchline.wire.http import HttpRequest, HttpResponse, problem

_log: Final = logging.getLogger(__name__)

BACKUP: Final = "/hub/v1/backup"
MEDIA_TYPE: Final = "application/vnd.sqlite3"
PIECE_BYTES: Final = 1024 * 1024
STALL_SECONDS: Final = 60.0
"""A client that takes nothing for so long is given up: it holds the disk space of the copy, and the only turn."""
SPARE_BYTES: Final = 256 * 1024 * 1024
"""So much must stay free beside the copy: a backup must not be what stops publishing."""
_DIRECTORY: Final = "backup-under-way"
_BUCKET: Final = "hub"
_KEY: Final = "last-backup"


class LastBackup(msgspec.Struct, frozen=True):
    """When the newest backup was taken away (wall ns), and its size."""

    at: int
    bytes: int


class Backups:
    """The operation and its turn. ``data`` is the hub's data directory. ``clear`` belongs to the start of the hub,
    ``stop`` to its end."""

    def __init__(self, hub: Hub, data: Path) -> None:
        self._hub = hub
        self._directory = data / _DIRECTORY
        self._under_way = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._abort: Callable[[], None] | None = None

    def operation(self) -> Operation:
        """Its declaration."""
        return Operation(
            "GET",
            BACKUP,
            "backup",
            "A consistent copy of the hub's database while it runs; it holds the secrets that the hub needs",
            self._never,
            answers={
                200: Answered("a SQLite database", {"type": "string", "format": "binary"}, MEDIA_TYPE),
                401: refusal("no good key"),
                403: refusal("not an admin's key"),
                405: refusal("only GET makes a copy"),
                409: refusal("another backup is under way"),
                429: refusal("too many failed logins"),
                503: refusal("the database cannot be copied now"),
                507: refusal("the hub's disk has no room for the copy"),
            },
            security="adminKey",
            tag="administration",
        )

    async def _never(self, request: HttpRequest) -> HttpResponse:
        raise AssertionError(request.path)

    def clear(self) -> None:
        """Remove what a killed hub has left."""
        shutil.rmtree(self._directory, ignore_errors=True)

    async def last(self) -> LastBackup | None:
        """The newest backup; None when there was none yet."""
        entry = await self._hub.event_log.directory.get(_BUCKET, _KEY)
        return None if entry is None else msgspec.json.decode(entry.value, type=LastBackup)

    async def stream(self, request: HttpRequest, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        refused = self._refuse(request)
        if refused is not None:
            await self._answer(refused, send)
            return
        self._under_way = True
        self._idle.clear()
        self._abort = scope.get("state", {}).get("abort")
        gone = asyncio.create_task(_disconnected(receive))
        made: BinaryIO | HttpResponse | None = None
        try:
            made = await self._copy(gone)
            if made is not None and not isinstance(made, HttpResponse):
                try:
                    await self._send(made, gone, send)
                finally:
                    # The last close gives its blocks back, which takes the disk its time.
                    await asyncio.shield(asyncio.to_thread(made.close))
        finally:
            gone.cancel()
            await asyncio.shield(asyncio.to_thread(self.clear))
            self._under_way = False
            self._abort = None
            self._idle.set()
        if isinstance(made, HttpResponse):  # said at the end: who asks again at once must not find this one under way
            await self._answer(made, send)

    async def stop(self) -> None:
        """Break off what is under way: a client that takes its time must not hold up the end of the hub."""
        if self._abort is not None:
            self._abort()
            await self._idle.wait()

    def _refuse(self, request: HttpRequest) -> HttpResponse | None:
        key = require(self._hub, request, "admin")
        if isinstance(key, HttpResponse):
            return key
        if request.method != "GET":
            answer = problem(405, "Method Not Allowed", "only GET makes a copy")
            return msgspec.structs.replace(answer, headers=(*answer.headers, ("allow", "GET")))
        if self._hub.stopping:
            return problem(503, "Service Unavailable", "the hub stops")
        if self._under_way:
            return problem(409, "Conflict", "another backup of this hub is under way; wait until it has ended")
        return None

    async def _copy(self, gone: asyncio.Task[None]) -> BinaryIO | HttpResponse | None:
        """The open copy, whose name is gone already; or why there is none (None: nobody waits for it any more)."""
        log = self._hub.event_log
        stats = log.stats()
        needed = stats.size_bytes + SPARE_BYTES
        if stats.free_bytes is not None and stats.free_bytes < needed:
            return _no_room(f"the copy needs {needed} bytes on the hub's disk with what must stay free, "
                            f"{stats.free_bytes} are free; make room there")  # fmt: skip
        path = self._directory / "copy.db"
        try:
            await asyncio.to_thread(_prepare, self._directory)
            copying = asyncio.ensure_future(log.backup(str(path)))
            try:
                await asyncio.wait((copying, gone), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not copying.done():
                    copying.cancel()
            if gone.done():
                await asyncio.wait((copying,))
                if not copying.cancelled():
                    copying.exception()  # whatever came of it, nobody asks any more
                _log.warning("a backup was broken off", extra={"reason": "the client went away"})
                return None
            await copying
            return await asyncio.to_thread(_open_and_unlink, path)
        except LogFull:
            return _no_room("the hub's disk is full; make room there")
        except LogError as error:
            return log_problem(error)
        except OSError as error:
            _log.warning("a backup cannot be made", extra={"reason": str(error)})
            return problem(503, "Service Unavailable", f"the copy cannot be made: {error.strerror or error}")

    async def _send(self, file: BinaryIO, gone: asyncio.Task[None], send: Send) -> None:
        size = await asyncio.to_thread(_size, file)
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(size).encode()),
            (b"cache-control", b"no-store"),
        ]
        left = size
        why = "the client went away"
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while left and not gone.done():
                piece = await asyncio.to_thread(file.read, min(PIECE_BYTES, left))
                if not piece:
                    raise OSError("the copy is shorter than it was")
                left -= len(piece)
                async with asyncio.timeout(STALL_SECONDS):
                    await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
        except TimeoutError:
            left, why = max(left, 1), f"the client took nothing for {STALL_SECONDS:g} s"
        except OSError as error:
            left, why = max(left, 1), str(error)
        if left:
            _log.warning("a backup was broken off", extra={"bytes": size - left, "of": size, "reason": why})
            if self._abort is not None:
                self._abort()  # the head has told a length: the client sees that it did not get all of it
            return
        self._count(200)
        _log.info("a backup was taken", extra={"bytes": size})
        await self._remember(size)

    async def _remember(self, size: int) -> None:
        value = msgspec.json.encode(LastBackup(self._hub.clock.wall_ns(), size))
        try:
            await self._hub.event_log.directory.put(_BUCKET, _KEY, value)
        except TouchlineError as error:  # it was taken all the same
            _log.warning("the time of a backup cannot be kept", extra={"reason": str(error)})

    async def _answer(self, response: HttpResponse, send: Send) -> None:
        self._count(response.status)
        headers = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in response.headers]
        headers.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    def _count(self, status: int) -> None:
        self._hub.metrics.requests.labels("backup", str(status)).inc()


def _no_room(detail: str) -> HttpResponse:
    return problem(507, "Insufficient Storage", detail)


def _prepare(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)


def _open_and_unlink(path: Path) -> BinaryIO:
    """What has no name goes away with the process, however that ends."""
    file = path.open("rb")
    path.unlink()
    return file


def _size(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
