"""Plays a recording into a hub: CloudEvents, one a line, plain or gzipped, at their own pace or as fast as can be.

Of each event only ``id`` and ``time`` are written anew; everything else, and ``data`` to the byte, goes out as it
stands in the file. Lines are looked at as they come, so that a recording of any size can be played.
"""

from __future__ import annotations

import gzip
import io
import threading
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

import msgspec

from touchline.client.hub import HubRefused, Published
from touchline.clock import Clock, SystemClock
from touchline.errors import ConfigError, TouchlineError, UpstreamError
from touchline.wire import rfc3339

MAX_BATCH_LINES: Final = 500
MAX_BATCH_BYTES: Final = 1_000_000
GRAIN_SECONDS: Final = 0.02
"""Events due within this of each other leave in one request."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_REQUIRED: Final = ("specversion", "id", "source", "type")

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text: Final = msgspec.json.Decoder(str).decode

Progress = Callable[[int, int], None]
"""Called with the number of events that the hub has acknowledged so far, and of those in the file (0: unknown)."""


class Publisher(Protocol):
    """What a replay needs of ``touchline.client.hub.HubClient``."""

    def publish(self, lines: Iterable[bytes], *, on_error: str = "fail") -> Published:
        """Append CloudEvents lines, all or nothing. Raises UpstreamError or HubRefused."""


class ReplayError(TouchlineError):
    """The replay stopped: a bad line, or a hub that refused or went away. Says which line and how many were sent."""


class ReplaySummary(msgspec.Struct, frozen=True):
    """What was sent: events acknowledged, of these new and known ones, the position after the last, and how long."""

    events: int
    accepted: int
    duplicates: int
    position: str
    seconds: float


class _Event(msgspec.Struct, frozen=True):
    """A line of the file: its number, its members as they stand, its id, and its time in ns (None without one)."""

    line: int
    members: dict[str, msgspec.Raw]
    id: str
    time: int | None


class _BadLine(Exception):
    """Why a line cannot be played."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(f"line {line}: {detail}")


def run(
    client: Publisher,
    path: Path,
    *,
    speed: float | None = 1.0,
    loop: bool = False,
    keep_ids: bool = False,
    progress: Progress | None = None,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
) -> ReplaySummary:
    """Play the recording at ``path`` into the hub that ``client`` speaks to.

    ``speed`` 10 plays ten times as fast; None is as fast as the hub acknowledges. ``time`` becomes the moment at which
    an event is due. Ids get a prefix that is new for every run and, with ``loop``, for every round; ``keep_ids``
    leaves them. Setting ``stop`` ends the replay after the request under way.

    Raises:
        ReplayError: a line is no CloudEvent, or the hub refused or went away; what was sent before stays sent.
        ConfigError: the arguments contradict each other, or the file cannot be opened.
    """
    if loop and keep_ids:
        raise ConfigError("with kept ids every round after the first would be duplicates: use --loop or --keep-ids")
    if speed is not None and not speed > 0:
        raise ConfigError(f"speed must be above 0, not {speed}; use 'max' for as fast as possible")
    player = _Player(client, speed, progress, clock or SystemClock(), stop or threading.Event())
    try:
        if progress is not None:
            player.total = _count(path)
        player.play(path, prefix="" if keep_ids else _new_prefix())
        while loop and player.events and not player.stopped:
            player.play(path, prefix=_new_prefix())
    except _BadLine as problem:
        raise ReplayError(f"{path}, {problem}; {player.events} events were sent before") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise ReplayError(f"{path} is damaged: {problem}; {player.events} events were sent before") from None
    except OSError as problem:
        raise ConfigError(f"cannot read {path}: {problem.strerror or problem}") from None
    return player.summary()


def _new_prefix() -> str:
    return f"replay-{uuid.uuid4().hex[:12]}-"


class _Player:
    """One replay: counts, pace, and the batch that is being filled."""

    def __init__(
        self, client: Publisher, speed: float | None, progress: Progress | None, clock: Clock, stop: threading.Event
    ) -> None:
        self.events = 0
        self.total = 0
        self._accepted = 0
        self._duplicates = 0
        self._position = ""
        self._client = client
        self._speed = speed
        self._progress = progress
        self._clock = clock
        self._stop = stop
        self._began = clock.monotonic()
        self._lines: list[bytes] = []
        self._numbers: list[int] = []
        self._size = 0

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    def summary(self) -> ReplaySummary:
        """What was done so far."""
        seconds = self._clock.monotonic() - self._began
        return ReplaySummary(self.events, self._accepted, self._duplicates, self._position, seconds)

    def play(self, path: Path, prefix: str) -> None:
        """The whole file once."""
        origin, start_ns, first_ns = self._clock.monotonic(), self._clock.wall_ns(), None
        latest_ns = start_ns
        with path.open("rb") as raw:
            for event in _events(_unzipped(raw), self._send):
                if self._speed is None:
                    latest_ns = max(latest_ns, self._clock.wall_ns())
                elif event.time is not None:
                    first_ns = event.time if first_ns is None else first_ns
                    after_ns = int((event.time - first_ns) / self._speed)
                    self._wait_until(origin + after_ns / 1e9)
                    latest_ns = start_ns + after_ns
                if self.stopped:
                    return
                self._add(event, prefix, latest_ns)
        self._send()

    def _wait_until(self, due: float) -> None:
        if due - self._clock.monotonic() < GRAIN_SECONDS:
            return
        self._send()
        while (wait := due - self._clock.monotonic()) > 0 and not self._stop.wait(wait):
            pass

    def _add(self, event: _Event, prefix: str, time_ns: int) -> None:
        members = event.members
        if prefix:
            members["id"] = msgspec.Raw(msgspec.json.encode(prefix + event.id))
        if event.time is not None:
            members["time"] = msgspec.Raw(msgspec.json.encode(rfc3339.encode(time_ns)))
        line = msgspec.json.encode(members)
        if self._lines and self._size + len(line) + 1 > MAX_BATCH_BYTES:
            self._send()
        self._lines.append(line)
        self._numbers.append(event.line)
        self._size += len(line) + 1
        if len(self._lines) >= MAX_BATCH_LINES:
            self._send()

    def _send(self) -> None:
        if not self._lines:
            return
        lines, numbers = self._lines, self._numbers
        self._lines, self._numbers, self._size = [], [], 0
        try:
            answer = self._client.publish(lines)
        except HubRefused as problem:
            where, why = f"lines {numbers[0]}-{numbers[-1]}", str(problem)
            if problem.problems and 0 <= problem.problems[0].index < len(numbers):
                first = problem.problems[0]
                where = f"line {numbers[first.index]}"
                why = f"{problem} ({first.field or 'event'}: {first.detail})"
            raise ReplayError(f"{where}: {why}; {self.events} events were sent before") from problem
        except UpstreamError as problem:
            raise ReplayError(f"line {numbers[0]}: {problem}; {self.events} events were sent before") from problem
        self.events += len(lines)
        self._accepted += answer.accepted
        self._duplicates += answer.duplicates
        self._position = answer.position or self._position
        if self._progress is not None:
            self._progress(self.events, self.total)


def _unzipped(raw: BinaryIO) -> Iterable[bytes]:
    """The lines of a file that may be gzipped."""
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, raw))
    return gzip.GzipFile(fileobj=buffered) if buffered.peek(2)[:2] == _GZIP_MAGIC else buffered


def _count(path: Path) -> int:
    """How many events a file holds; 0 for a pipe, which can be read once only, and for a damaged file."""
    if not path.is_file():
        return 0
    try:
        with path.open("rb") as raw:
            return sum(1 for line in _unzipped(raw) if not line.isspace())
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return 0


def _events(file: Iterable[bytes], flush: Callable[[], None]) -> Iterator[_Event]:
    """The events of a file. Before a bad line is reported, what stood before it is sent."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            event = _event(number, line)
        except _BadLine:
            flush()
            raise
        yield event


def _event(number: int, line: bytes) -> _Event:
    try:
        line.decode()
        members = _members(line)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as problem:
        raise _BadLine(number, f"not a CloudEvent as JSON ({problem})") from None
    texts = {}
    for name in (*_REQUIRED, "time"):
        if name not in members:
            if name != "time":
                raise _BadLine(number, f"not a CloudEvent: it has no {name!r}")
            continue
        try:
            texts[name] = _text(members[name])
        except msgspec.MsgspecError:
            raise _BadLine(number, f"{name!r} must be a text") from None
    try:
        time = rfc3339.parse(texts["time"]) if "time" in texts else None
    except ValueError as problem:
        raise _BadLine(number, f"'time' is {problem}") from None
    return _Event(number, members, texts["id"], time)
