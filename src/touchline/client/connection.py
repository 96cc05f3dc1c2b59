"""Drives any feed's client role over real sockets: an async context manager that iterates messages and notices.

The role (``feeds.base.ClientRole``) decides everything; here are only the socket, the thread for HTTP requests, the
clock and the dice. What is received waits in the socket until the user asks for it: a user who is slow slows the peer
down, nothing is queued without bound and nothing is dropped here.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from touchline.client.http import HttpSender, tls_context
from touchline.clock import Clock, SystemClock
from touchline.errors import ConfigError, UpstreamError
from touchline.feeds.base import (
    ClientRole,
    ClientSurface,
    Dice,
    Feed,
    Fetch,
    Hangup,
    Instant,
    Message,
    Notice,
    Open,
)
from touchline.wire.http import HttpResponse

OPEN_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
FETCH_SECONDS: Final = 15.0
WHOLE_FETCH_SECONDS: Final = 30.0
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Of one HTTP answer: some roles read their feed's state, not a token alone."""
QUEUE_FRAMES: Final = 1024
PROBE_SECONDS: Final = 20.0
"""A line that brought nothing for so long, while the user waits, is pinged; without a pong for as long it is dead."""
TICK_SECONDS: Final = 1.0
"""While messages come without a pause, a role whose deadline has passed is told so often."""
LEAST_WAIT_SECONDS: Final = 0.01
"""Even when a deadline has passed, what already arrived is taken first: the loop gets this long to bring it."""


class _Connect(websockets.asyncio.client.connect):
    """Without redirects: a token in the query must not go to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Connection:
    """``async with connect(…) as messages: async for message in messages: …``; ends when the role ends.

    Raises UpstreamError from the iteration when the peer refuses for good (a Notice ``refused`` was the last word).
    """

    def __init__(
        self, surface: ClientSurface, settings: Any, *, dice: Dice, clock: Clock, ca_file: Path | str | None
    ) -> None:
        self._surface = surface
        self._settings = settings
        self._dice = dice
        self._clock = clock
        self._ca_file = ca_file
        self._role: ClientRole | None = None
        self._ready: deque[Message | Notice] = deque()
        self._last_notice: Notice | None = None
        self._socket: websockets.asyncio.client.ClientConnection | None = None
        self._tasks: dict[asyncio.Task[Any], tuple[str, int]] = {}
        self._quiet_since = 0.0
        self._pong: asyncio.Future[float] | None = None
        self._ticked_at = float("-inf")

    @property
    def close_reason(self) -> str | None:
        """Why the role ended; None while it lives."""
        return None if self._role is None else self._role.close_reason

    async def __aenter__(self) -> Self:
        self._context = tls_context(self._ca_file)
        self._sender = HttpSender(self._context, read_seconds=FETCH_SECONDS, max_answer_bytes=MAX_ANSWER_BYTES)
        self._role = self._surface.connect(self._settings, self._dice, self._now())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        for task, result in zip(self._tasks, await asyncio.gather(*self._tasks, return_exceptions=True), strict=True):
            if self._tasks[task][0] == "open" and not isinstance(result, BaseException):
                self._socket = result
        self._tasks.clear()
        if self._socket is not None:
            await self._socket.close()
        self._sender.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | Notice:
        """The next message or notice. May be cancelled and called again without loss."""
        if self._role is None:
            raise RuntimeError("enter the connection with 'async with' first")
        while True:
            await self._drain(self._role)
            if self._ready:
                item = self._ready.popleft()
                if isinstance(item, Notice):
                    self._last_notice = item
                return item
            if self._role.close_reason is not None:
                if self._last_notice is not None and self._last_notice.kind == "refused":
                    raise UpstreamError(self._role.close_reason)
                raise StopAsyncIteration
            await self._wait(self._role)

    # carrying out wishes

    async def _drain(self, role: ClientRole) -> None:
        for wish in role.events_received():
            if isinstance(wish, Message | Notice):
                self._ready.append(wish)
            elif isinstance(wish, Fetch):
                self._start("fetch", self._fetch(wish), wish.number)
            elif isinstance(wish, Open):
                self._start("open", self._open(wish))
            else:
                self._hang_up(wish)
        for message in role.data_to_send():
            if self._socket is not None:
                with suppress(ConnectionClosed):
                    await self._socket.send(message)

    def _start(self, name: str, work: Coroutine[Any, Any, Any], number: int = 0) -> None:
        self._tasks[asyncio.create_task(work)] = (name, number)

    async def _fetch(self, wish: Fetch) -> HttpResponse | None:
        try:
            async with asyncio.timeout(WHOLE_FETCH_SECONDS):
                return await asyncio.to_thread(self._sender.send, wish.request)
        except (UpstreamError, TimeoutError) as problem:
            self._ready.append(Notice("fetch_failed", str(problem) or "no answer in time"))
            return None

    async def _open(self, wish: Open) -> websockets.asyncio.client.ClientConnection:
        extra: dict[str, Any] = {"ssl": self._context} if wish.url.startswith("wss:") else {}
        return await _Connect(
            wish.url,
            additional_headers=list(wish.headers),
            subprotocols=[Subprotocol(name) for name in wish.subprotocols] or None,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ping_interval=None,  # the role knows when its peer is silent; a slow user must not look like a dead peer
            max_size=MAX_MESSAGE_BYTES,
            max_queue=QUEUE_FRAMES,
            proxy=None,
            **extra,
        )

    def _hang_up(self, wish: Hangup) -> None:
        if self._socket is not None:
            self._start("close", self._socket.close(wish.code))

    # reporting what happened

    async def _wait(self, role: ClientRole) -> None:
        """Until something has happened and the role knows it, or its deadline has passed."""
        deadline = role.deadline()
        timeout = None if deadline is None else max(LEAST_WAIT_SECONDS, deadline - self._clock.monotonic())
        if self._socket is not None:
            timeout = PROBE_SECONDS if timeout is None else min(timeout, PROBE_SECONDS)
        if not self._tasks:
            if timeout is None:
                raise RuntimeError("the client role waits for nothing and has not ended")
            await asyncio.sleep(timeout)
        else:
            done, _ = await asyncio.wait(self._tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                self._report(role, task)
                await self._drain(role)
            if done:
                self._tick_between(role)
                return
        if deadline is not None and self._clock.monotonic() >= deadline:
            self._ticked_at = self._clock.monotonic()
            role.tick(self._now())
        await self._probe()

    def _tick_between(self, role: ClientRole) -> None:
        """Between two messages that may have come without a pause: what is due must not wait for one."""
        now, deadline = self._clock.monotonic(), role.deadline()
        if deadline is not None and now >= deadline and now - self._ticked_at >= TICK_SECONDS:
            self._ticked_at = now
            role.tick(self._now(), is_behind=True)

    async def _probe(self) -> None:
        """Find out whether a quiet line is alive: a half-open connection would otherwise look like a quiet game."""
        now = self._clock.monotonic()
        if self._socket is None or now - self._quiet_since < PROBE_SECONDS:
            return
        self._quiet_since = now
        if self._pong is not None and not self._pong.done():
            self._socket.transport.abort()
            return
        with suppress(ConnectionClosed):
            self._pong = asyncio.ensure_future(await self._socket.ping())

    def _report(self, role: ClientRole, task: asyncio.Task[Any]) -> None:
        name, number = self._tasks.pop(task)
        if name == "fetch":
            role.fetched(number, task.result(), self._now())
        elif name == "open":
            self._report_open(role, task)
        elif name == "receive":
            self._report_receive(role, task)
        else:
            task.result()

    def _report_open(self, role: ClientRole, task: asyncio.Task[Any]) -> None:
        try:
            self._socket = task.result()
        except InvalidStatus as refused:
            answer = refused.response
            role.closed(None, _told(bytes(answer.body or b"")), self._now(), status=answer.status_code)
        except InvalidURI as problem:
            raise ConfigError(f"not a WebSocket address: {problem}") from None
        except (OSError, InvalidHandshake, ConnectionClosed) as problem:
            role.closed(None, str(problem) or "no answer in time", self._now())
        else:
            role.opened(self._now())
            self._receive()

    def _report_receive(self, role: ClientRole, task: asyncio.Task[Any]) -> None:
        try:
            message = task.result()
        except ConnectionClosed as closed:
            self._socket = None
            frame = closed.rcvd
            code, reason = (None, "") if frame is None else (int(frame.code), frame.reason)
            role.closed(code, reason, self._now())
        else:
            role.receive_data(message, self._now())
            self._receive()

    def _receive(self) -> None:
        assert self._socket is not None
        self._quiet_since, self._pong = self._clock.monotonic(), None
        self._start("receive", self._socket.recv())

    def _now(self) -> Instant:
        return Instant(self._clock.wall_ns(), self._clock.monotonic())


def connect(
    feed: Feed | ClientSurface,
    settings: Any,
    *,
    dice: Dice | None = None,
    clock: Clock | None = None,
    ca_file: Path | str | None = None,
) -> Connection:
    """A feed as its client receives it, over as many connections as it takes.

    ``settings`` is a value of ``feed.client.settings``. Use it with ``async with`` and iterate: each item is a Message,
    or a Notice for people. Keep ``message.resume`` of what you have worked on, and hand it back to go on there.

    Raises:
        ConfigError: the feed has no client role.
    """
    surface = feed.client if isinstance(feed, Feed) else feed
    if surface is None:
        raise ConfigError("this feed is received by webhooks: it has no client that connects")
    return Connection(
        surface, settings, dice=dice or random.SystemRandom(), clock=clock or SystemClock(), ca_file=ca_file
    )


def iterate(
    feed: Feed | ClientSurface, settings: Any, *, ca_file: Path | str | None = None
) -> Iterator[Message | Notice]:
    """The same without async: a generator that runs the connection only while it is asked for more. Close it when done.

    Between two items nothing is answered: a user who takes longer than the provider's patience is reconnected.
    """
    with asyncio.Runner() as runner:
        connection = connect(feed, settings, ca_file=ca_file)
        runner.run(connection.__aenter__())
        try:
            while True:
                try:
                    item = runner.run(connection.__anext__())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            runner.run(connection.__aexit__(None, None, None))


def _told(body: bytes) -> str:
    """What a refusal says, on one line and not too long: its ``message`` or ``detail`` when it is JSON."""
    try:
        members = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
    else:
        text = str(members.get("message") or members.get("detail") or members.get("title") or "")
    return " ".join(text.split())[:200]
