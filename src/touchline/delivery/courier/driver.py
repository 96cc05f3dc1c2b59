"""Drives libcurl's multi interface by the event loop. Knows handles and descriptors, nothing of posts and answers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final

import pycurl

from touchline.delivery.courier.watching import Watch, watch

_CLOSE_SECONDS: Final = 1.0

Ended = list[tuple[Any, int, str]]
"""Handles whose request has ended, with libcurl's code and message."""


class MultiDriver:
    """A set of requests with their connections and their threads that look names up.

    ``ended`` is called with those that have ended, never within ``add``; each is to be removed. Exceptions must not
    leave it. At most ``max_connections`` stand at a time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_connections: int, ended: Callable[[Ended], None]) -> None:
        self._loop = loop
        self._ended = ended
        self._count = 0
        self._running = 0
        self._alarm: asyncio.Handle | None = None
        self._alarm_at = 0.0
        self._due: float | None = None
        self._watch: Watch | None = watch(loop, self._act, self._settle)
        self._multi: Any = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, max_connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)

    def add(self, curl: Any) -> None:
        """Begin the request of a handle."""
        self._count += 1
        self._running += 1
        self._multi.add_handle(curl)

    def remove(self, curl: Any) -> None:
        """Give a handle back, whatever it is doing."""
        self._count -= 1
        self._multi.remove_handle(curl)

    async def close(self) -> None:
        """Release everything; all handles have been removed. Waits a second at most: libcurl waits for names that are
        being looked up, which may take a silent name server's whole patience, and does so in a thread here."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        multi, self._multi = self._multi, None
        closed = asyncio.Event()

        def close() -> None:
            multi.close()
            with contextlib.suppress(RuntimeError):  # the event loop has ended meanwhile
                self._loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=close, name="webhook-client-close", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await closed.wait()

    def _on_socket(self, what: int, fd: int, multi: Any, data: Any) -> None:
        del multi, data
        if self._watch is not None:
            self._watch.want(what, fd)

    def _on_timer(self, milliseconds: int) -> None:
        """libcurl's next deadline. It moves with every request, mostly to a later time: the alarm stays as it is then,
        and is set anew when it rings."""
        if self._multi is None:
            return
        if milliseconds < 0:
            self._due = None
            return
        self._due = self._loop.time() + milliseconds / 1000
        if self._alarm is not None:
            if self._alarm_at <= self._due:
                return
            self._alarm.cancel()
        self._set_alarm(milliseconds / 1000)

    def _set_alarm(self, seconds: float) -> None:
        self._alarm_at = self._loop.time() + seconds
        if seconds <= 0:
            self._alarm = self._loop.call_soon(self._ring)
        else:
            self._alarm = self._loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._due is None:
            return
        early = self._due - self._loop.time()
        if early > 0:
            self._set_alarm(early)
            return
        self._due = None
        self._act(pycurl.SOCKET_TIMEOUT, 0)
        self._settle()

    def _act(self, fd: int, ready: int) -> None:
        if self._multi is not None:
            self._running = self._multi.socket_action(fd, ready)[1]

    def _settle(self) -> None:
        queued = self._running < self._count
        while queued and self._multi is not None:
            queued, good, bad = self._multi.info_read()
            self._ended([(curl, pycurl.E_OK, "") for curl in good] + bad)
