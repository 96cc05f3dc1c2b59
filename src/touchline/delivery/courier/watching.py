"""Tells when libcurl's sockets are ready. Knows file descriptors and the event loop, nothing of HTTP.

libcurl gives a socket up after each request and takes it back for the next. On Linux such a socket stays registered in
an epoll of ours, which the event loop watches as one descriptor: that saves most system calls of an idle connection,
all ready sockets come in one go, and the kernel forgets a closed socket by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import sys
from collections.abc import Callable
from typing import Final, Protocol

import pycurl

_BATCH: Final = 512
_INTEREST: Final = (pycurl.POLL_IN, pycurl.POLL_OUT, pycurl.POLL_INOUT)

Act = Callable[[int, int], None]
"""Called with a descriptor and what it is ready for (``pycurl.CSELECT_…``)."""


class Watch(Protocol):
    """Watches descriptors on behalf of libcurl."""

    def want(self, what: int, fd: int) -> None:
        """libcurl's wish for a descriptor: ``pycurl.POLL_…``."""

    def close(self) -> None:
        """Watch nothing any more."""


class EpollWatch:
    """An epoll within the event loop. ``settle`` is called after each batch of ``act``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, act: Act, settle: Callable[[], None]) -> None:
        self._loop = loop
        self._act = act
        self._settle = settle
        self._wanted: set[int] = set()
        self._epoll = select.epoll()
        self._masks = {
            pycurl.POLL_IN: select.EPOLLIN,
            pycurl.POLL_OUT: select.EPOLLOUT,
            pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
        }
        loop.add_reader(self._epoll.fileno(), self._ready)

    def want(self, what: int, fd: int) -> None:
        """Register, or change, or (lazily) forget a descriptor."""
        mask = self._masks.get(what)
        if mask is None:
            self._wanted.discard(fd)
            return
        self._wanted.add(fd)
        try:
            # Never skipped, even for the mask that it had: the number may belong to another socket by now.
            self._epoll.modify(fd, mask)
        except FileNotFoundError:
            self._epoll.register(fd, mask)

    def _ready(self) -> None:
        for fd, events in self._epoll.poll(0, _BATCH):
            if fd not in self._wanted:
                # An idle connection that the peer closed; libcurl notices when it wants to use it again.
                with contextlib.suppress(OSError):
                    self._epoll.unregister(fd)
                continue
            self._act(
                fd,
                (pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0)
                | (pycurl.CSELECT_IN if events & ~select.EPOLLOUT else 0),
            )
        self._settle()

    def close(self) -> None:
        """Watch nothing any more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()


class LoopWatch:
    """Readers and writers of the event loop, where there is no epoll."""

    def __init__(self, loop: asyncio.AbstractEventLoop, act: Act, settle: Callable[[], None]) -> None:
        self._loop = loop
        self._act = act
        self._settle = settle
        self._wanted: dict[int, int] = {}

    def want(self, what: int, fd: int) -> None:
        """Add and remove readers and writers as libcurl wishes."""
        before, now = self._wanted.get(fd, 0), what if what in _INTEREST else 0
        for bit, add, remove, ready in (
            (pycurl.POLL_IN, self._loop.add_reader, self._loop.remove_reader, pycurl.CSELECT_IN),
            (pycurl.POLL_OUT, self._loop.add_writer, self._loop.remove_writer, pycurl.CSELECT_OUT),
        ):
            if now & bit and not before & bit:
                add(fd, self._ready, fd, ready)
            elif before & bit and not now & bit:
                remove(fd)
        if now:
            self._wanted[fd] = now
        else:
            self._wanted.pop(fd, None)

    def _ready(self, fd: int, ready: int) -> None:
        self._act(fd, ready)
        self._settle()

    def close(self) -> None:
        """Watch nothing any more."""
        for fd in list(self._wanted):
            self.want(pycurl.POLL_REMOVE, fd)


def watch(loop: asyncio.AbstractEventLoop, act: Act, settle: Callable[[], None]) -> Watch:
    """The best way of this system."""
    return (EpollWatch if sys.platform == "linux" else LoopWatch)(loop, act, settle)
