"""Readers of one stream that know at every moment whether they have all of it, once and in order."""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import quote

import msgspec
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from bench.clients import Line, websocket_head
from bench.stress.account import Account, Book

SUBJECT: Final = "stress"
TYPE: Final = "shottracker.marker"
_SUBPROTOCOL: Final = "cloudevents.json"


class _Event(msgspec.Struct):
    position: str
    seq: int


class _Note(msgspec.Struct):
    at: float


class _Timed(msgspec.Struct):
    data: _Note


_event = msgspec.json.Decoder(_Event).decode
_timed = msgspec.json.Decoder(_Timed).decode


def _path(subject: str, position: str) -> str:
    return f"/hub/v1/ws?feed=shottracker&subject={subject}&after={quote(position)}"


class Reader:
    """A native WebSocket on the stream, from a position on. ``delays`` are those of live records, when they are asked
    for; ``reached`` is when it had the record ``goal`` (monotonic time)."""

    def __init__(
        self, url: str, key: str, position: str, seq: int, subject: str = SUBJECT, *, timed: bool = False
    ) -> None:
        self.url = url
        self.key = key
        self.position = position
        self.book = Book(seq)
        self.goal = 0
        self.reached = 0.0
        self.delays: list[float] = []
        self.line: Line | None = None
        self._subject = subject
        self._timed = timed

    @property
    def seq(self) -> int:
        """The last record that it has."""
        return self.book.seq

    async def open(self, pace: int = 0) -> Line:
        """Connect, or come back. Raises OSError, TimeoutError; ConnectionRefusedError for a refusal."""
        headers = {"Authorization": f"Bearer {self.key}", "Sec-WebSocket-Protocol": _SUBPROTOCOL}
        head = websocket_head(self.url, _path(self._subject, self.position), headers)
        line = await Line.open(self.url, head, self._took, pace=pace)
        if line.opened.result() != 101:
            line.abort()
            raise ConnectionRefusedError(f"answered {line.opened.result()}")
        self.line = line
        return line

    def close(self) -> None:
        """Break off."""
        if self.line is not None:
            self.line.abort()

    @property
    def is_open(self) -> bool:
        """Whether the hub has it."""
        return self.line is not None and not self.line.closed.done()

    def account(self, head: int, *, pending: bool = False) -> Account:
        """See ``account.Keeper``."""
        return self.book.account(head, pending=pending)

    def _took(self, content: bytes) -> None:
        event = _event(content)
        seq = event.seq
        self.book.enter(seq)
        self.position = event.position
        if seq == self.goal:
            self.reached = time.monotonic()
        if self._timed:
            self.delays.append(time.monotonic() - _timed(content).data.at)


class Witness:
    """The same with somebody else's client, the ``websockets`` library from end to end."""

    def __init__(self, url: str, key: str, position: str, seq: int) -> None:
        self._address = url.replace("http", "ws", 1) + _path(SUBJECT, position)
        self._key = key
        self._book = Book(seq)

    async def read(self, head: int) -> None:
        """Connect and read up to a record."""
        async with connect(
            self._address,
            additional_headers={"Authorization": f"Bearer {self._key}"},
            subprotocols=[Subprotocol(_SUBPROTOCOL)],
            open_timeout=60,
            proxy=None,
        ) as socket:
            while self._book.seq < head:
                self._book.enter(_event(await socket.recv(decode=False)).seq)

    def account(self, head: int, *, pending: bool = False) -> Account:
        """See ``account.Keeper``."""
        return self._book.account(head, pending=pending)
