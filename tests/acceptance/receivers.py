"""Webhook receivers that write down everything that they are sent, in order of arrival, and answer as they are told.

``Reception`` is one server for any number of receivers, one a path; its own few lines of HTTP, so that what is on the
wire is what is recorded. ``Program`` is a receiver written by somebody else, run as a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import subprocess
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import msgspec

from receivers import stop_listening

from .hubs import clean_environment, free_port, wait_for

SILENT: Final = -1
"""As a status: takes the request and never answers."""
DRIP: Final = -2
"""As a status: answers 200 and then a byte a second, without end."""


class Delivery(NamedTuple):
    """A request as it arrived; header names in lower case. ``life`` counts the ``Reception.mark`` calls before it."""

    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    life: int
    number: int

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


class Reply(NamedTuple):
    """What a receiver answers."""

    status: int = 200
    body: bytes = b"ok"
    headers: tuple[tuple[str, str], ...] = ()


Behaviour = Callable[[Delivery], Reply | Awaitable[Reply]]


class Reception:
    """Use as a context manager. The name of a receiver is its path without the slash.

    ``behave[name]`` says what a receiver answers (200 for everything else); an ``async`` behaviour runs on the
    server's own loop, so that it must hand blocking work to a thread.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self.behave: dict[str, Behaviour] = {}
        self._lock = threading.Lock()
        self._deliveries: defaultdict[str, list[Delivery]] = defaultdict(list)
        self._total = 0
        self._life = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.shut()
        self._on_loop(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def url(self, name: str) -> str:
        """The address of a receiver."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def open(self) -> None:
        """Listen (again)."""
        self._on_loop(self._open_port())

    def shut(self) -> None:
        """Close the port and break every connection: from now on nobody is there."""
        self._on_loop(self._shut_port())

    def mark(self) -> None:
        """The hub is dead: what it had sent is read to its end, and what comes from now on is of its next life."""
        wait_for(lambda: not self._open, "what the dead hub had sent is read")
        with self._lock:
            self._life += 1

    # --- what came ------------------------------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """How many requests came, to all receivers."""
        return self._total

    def at(self, name: str) -> list[Delivery]:
        """What a receiver got so far, in order of arrival."""
        with self._lock:
            return list(self._deliveries[name])

    def bodies(self, name: str) -> list[bytes]:
        """The same, bodies alone."""
        return [one.body for one in self.at(name)]

    def reached(self, name: str, count: int, seconds: float = 20.0) -> list[Delivery]:
        """What a receiver got, as soon as it is so many requests."""
        return self.until(name, lambda got: len(got) >= count, f"{count} requests", seconds)

    def until(
        self, name: str, condition: Callable[[list[Delivery]], bool], what: str, seconds: float = 20.0
    ) -> list[Delivery]:
        """What a receiver got, as soon as that meets a condition."""
        try:
            wait_for(lambda: condition(self.at(name)), f"{what} at {name}", seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}; there are {len(self.at(name))}") from None
        return self.at(name)

    def names(self) -> list[str]:
        """Every receiver that got something."""
        with self._lock:
            return sorted(name for name, got in self._deliveries.items() if got)

    # --- the server -------------------------------------------------------------------------------------------------

    def _on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open_port(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, limit=16 * 1024 * 1024)

    async def _shut_port(self) -> None:
        if self._server is not None:
            await stop_listening(self._server)
            self._server = None
        for _ in range(5):  # also those that were taken just now, and what their ends still have to do
            tasks = list(self._tasks)
            for writer in list(self._open):
                writer.transport.abort()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Known before it begins: one that is cancelled before that runs nothing that could close it.
        self._open.add(writer)
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._open.discard(writer))

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, EOFError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        method, target, version = first.split(" ")
        assert (method, version) == ("POST", "HTTP/1.1"), head
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            assert name.lower() not in headers, f"{name} twice: {head}"
            headers[name.lower()] = value.strip()
        assert "transfer-encoding" not in headers, head  # a receiver may want to know the length before
        assert "expect" not in headers, head
        body = await reader.readexactly(int(headers["content-length"]))
        parts = urlsplit(target)
        name = unquote(parts.path).removeprefix("/")
        with self._lock:
            self._total += 1
            delivery = Delivery(name, parts.query, headers, body, self._life, self._total)
            self._deliveries[name].append(delivery)
        reply = self.behave[name](delivery) if name in self.behave else Reply()
        if inspect.isawaitable(reply):
            reply = await reply
        return await self._answer(reader, writer, reply)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply) -> bool:
        if reply.status == SILENT:
            await reader.read()  # until the other side gives up
            return False
        if reply.status == DRIP:
            # With a length: without one the end of the connection would be the end of a good answer.
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            gone = asyncio.ensure_future(reader.read())
            try:
                while not gone.done():
                    writer.write(b".")
                    await writer.drain()
                    await asyncio.wait({gone}, timeout=1)
            finally:
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)
            return False
        lines = [f"HTTP/1.1 {reply.status} Whatever", f"Content-Length: {len(reply.body)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)
        await writer.drain()
        return True


class Program:
    """A receiver as a process that prints JSON lines on stdout; all of them are kept. Use as a context manager.

    A program says ``{"listening":port}`` when it can be reached, unless ``ready`` says otherwise.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        ready: Callable[[dict[str, Any]], bool] | None = lambda line: "listening" in line,
        **environment: str,
    ) -> None:
        self.command = list(map(str, command))
        self.cwd = cwd
        self.environment = environment
        self._ready = ready
        self._lock = threading.Lock()
        self._lines: list[dict[str, Any]] = []
        self._noise: list[bytes] = []
        self._errors: list[bytes] = []
        self._threads: list[threading.Thread] = []
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.cwd,
            env=clean_environment(**self.environment),
        )
        for stream, take in ((self.process.stdout, self._take), (self.process.stderr, self._errors.append)):
            thread = threading.Thread(target=self._read, args=(stream, take), daemon=True)
            thread.start()
            self._threads.append(thread)
        if self._ready is not None:
            try:
                self.until(self._ready, "it is ready")
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def _read(self, stream: IO[bytes], take: Callable[[bytes], None]) -> None:
        with contextlib.suppress(ValueError, OSError):
            for line in stream:
                take(line)

    def _take(self, line: bytes) -> None:
        try:
            told = msgspec.json.decode(line)
        except msgspec.DecodeError:
            told = None
        with self._lock:
            if isinstance(told, dict):
                self._lines.append(told)
            else:
                self._noise.append(line)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON documents that it printed so far."""
        with self._lock:
            return list(self._lines)

    @property
    def said(self) -> str:
        """Everything else that it said, for a message."""
        with self._lock:
            return b"".join([*self._noise, *self._errors]).decode("utf-8", "replace")

    def all(self, name: str) -> list[Any]:
        """The values of a member, of every line that has it."""
        return [line[name] for line in self.lines if name in line]

    def until(self, condition: Callable[[dict[str, Any]], bool], what: str, seconds: float = 20.0) -> dict[str, Any]:
        """The first line that meets a condition."""

        def found() -> list[dict[str, Any]]:
            lines = self.lines
            hits = [line for line in lines if condition(line)]
            assert hits or self._alive(), f"it ended before {what}: {self.command} {lines} {self.said}"
            return hits

        try:
            return wait_for(found, what, seconds)[0]
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.command}\n{self.lines[-5:]}\n{self.said}") from None

    def says(self, text: str, seconds: float = 20.0) -> None:
        """Wait until that is among everything else that it said."""
        try:
            wait_for(lambda: text in self.said or not self._alive(), f"it says {text!r}", seconds)
        finally:
            assert text in self.said, (self.command, self.said)

    def reached(self, name: str, count: int, seconds: float = 20.0) -> list[Any]:
        """The values of a member, as soon as there are so many."""
        try:
            wait_for(lambda: len(self.all(name)) >= count or not self._alive(), f"{count} of {name}", seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}; {len(self.all(name))}\n{self.said}") from None
        found = self.all(name)
        assert len(found) >= count, (self.command, self.lines[-5:], self.said)
        return found

    def _alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


def segments(deliveries: Iterable[Delivery]) -> list[list[Delivery]]:
    """Deliveries by the hub's lives."""
    by_life: defaultdict[int, list[Delivery]] = defaultdict(list)
    for one in deliveries:
        by_life[one.life].append(one)
    return [by_life[life] for life in sorted(by_life)]
