"""A reader of one stream that knows at every moment whether it has all of it, once and in order."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from bench.clients import Line, websocket_head

SUBJECT: Final = "stress"
TYPE: Final = "shottracker.marker"


class _Note(msgspec.Struct):
    at: float = 0.0


class _Event(msgspec.Struct):
    position: str = ""
    seq: int = 0
    data: _Note = msgspec.field(default_factory=_Note)


_event = msgspec.json.Decoder(_Event).decode


class Reader:
    """A native WebSocket on the stream, from a position on. ``seq`` is the last that it has; ``delays`` are those of
    live records, when they are asked for."""

    def __init__(
        self, url: str, key: str, position: str, seq: int, subject: str = SUBJECT, *, timed: bool = False
    ) -> None:
        self.url = url
        self.key = key
        self.position = position
        self.seq = seq
        self.first = seq
        self.holes = self.repeats = 0
        self.delays: list[float] = []
        self.line: Line | None = None
        self._subject = subject
        self._timed = timed

    async def open(self, pace: int = 0) -> Line:
        """Connect, or come back. Raises OSError, TimeoutError, ConnectionRefusedError for a refusal."""
        path = f"/hub/v1/ws?feed=shottracker&subject={self._subject}&after={self.position}"
        headers = {"Authorization": f"Bearer {self.key}", "Sec-WebSocket-Protocol": "cloudevents.json"}
        line = await Line.open(self.url, websocket_head(self.url, path, headers), self._took, pace=pace)
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

    def _took(self, content: bytes) -> None:
        event = _event(content)
        if event.seq <= self.seq:
            self.repeats += 1
        elif event.seq != self.seq + 1:
            self.holes += 1
        self.seq, self.position = event.seq, event.position
        if self._timed and event.data.at:
            self.delays.append(time.monotonic() - event.data.at)
