"""The HTTP client of the courier, by libcurl. It judges no answer. What libcurl does and we rely on:

- A connection is kept for the next request to the same host; its address was judged when it was opened.
- When a kept connection turns out closed before any byte of an answer came, libcurl sends the request again on a new
  one, up to five times and also for a POST. A receiver that takes a request and closes without an answer may so see
  it twice in one attempt: the same bytes and ids, as with any retry.
- The answer's body is never decompressed, no redirect is followed, no proxy, cookie or ``.netrc`` is used.
- Names are looked up in 20 threads, two for a name, and a silent name server keeps one for its whole patience (10 s by
  the C library's defaults). So endpoints whose name or connection failed are called through a second set of threads
  and connections, until one of them answers again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from touchline.clock import Clock, SystemClock
from touchline.delivery.courier.addresses import Network
from touchline.delivery.courier.driver import Ended, MultiDriver
from touchline.delivery.courier.handle import Handle
from touchline.delivery.courier.transport import Post, Reply, Sending, Trouble

_MAX_CONNECTIONS: Final = 1024
_POOLED_HANDLES: Final = 512
_DOUBTFUL_URLS: Final = 10_000
_UNREACHED: Final = frozenset((Trouble.NAME, Trouble.CONNECT, Trouble.TLS, Trouble.REFUSED_ADDRESS))

_SYSTEM_CA_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def system_ca_file() -> str | None:
    """Where this system keeps its certificates: a libcurl out of a wheel only knows where its builder had them."""
    import ssl  # slow to import, and wanted once

    paths = ssl.get_default_verify_paths()
    return next((path for path in (paths.cafile, *_SYSTEM_CA_FILES) if path and Path(path).is_file()), None)


def _ignore(reply: Reply) -> None:
    del reply


class _Sending:
    """A request under way; fits ``Sending``."""

    __slots__ = ("_client", "done", "driver", "handle", "started", "url")

    def __init__(
        self,
        client: WebhookClient,
        url: str,
        handle: Handle,
        driver: MultiDriver,
        done: Callable[[Reply], None],
        started: float,
    ) -> None:
        self._client = client
        self.url = url
        self.handle: Handle | None = handle
        self.driver = driver
        self.done = done
        self.started = started

    def cancel(self) -> None:
        """Break it off; ``done`` is not called any more."""
        self.done = _ignore
        self._client.release(self)


class WebhookClient:
    """Sends posts; fits ``Transport``. Bound to the event loop of its first ``send``, unless it is given.

    ``allowed`` are ranges that are open although they are private (setting ``allow_network``). ``ca_file`` is trusted
    instead of the system's certificates. At most ``max_connections`` stand at a time, idle ones included: the least
    used idle one gives way, and beyond that requests wait, so it should be well above the requests under way. As many
    again may stand to endpoints that could not be reached.
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        ca_file: str | None = None,
        max_connections: int = _MAX_CONNECTIONS,
        clock: Clock | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._loop = loop
        self._ca_file = ca_file
        self._max_connections = max_connections
        self._now = (clock or SystemClock()).monotonic
        self._main: MultiDriver | None = None
        self._aside: MultiDriver | None = None
        self._doubtful: set[str] = set()
        self._active: dict[Any, _Sending] = {}
        self._idle: list[Handle] = []
        self._closed = False

    def send(self, post: Post, done: Callable[[Reply], None]) -> Sending:
        """Begin a request; ``done`` is called once, on the loop, after this has returned.

        Raises ValueError for headers that cannot be sent (or that are libcurl's own, such as Content-Length): whoever
        takes headers from outside checks them before.
        """
        if self._closed:
            raise RuntimeError("the webhook client is closed")
        driver = self._driver(post.url)
        handle = self._idle.pop() if self._idle else Handle(self._allowed, self._ca_file)
        try:
            handle.prepare(post)
        except BaseException:
            self._idle.append(handle)
            raise
        sending = _Sending(self, post.url, handle, driver, done, self._now())
        self._active[handle.curl] = sending
        driver.add(handle.curl)
        return sending

    async def close(self) -> None:
        """Break off what is under way (told as CANCELLED) and release everything. Idempotent."""
        if self._closed:
            return
        self._closed = True
        broken_off = list(self._active.values())
        for sending in broken_off:
            self.release(sending)
        for handle in self._idle:
            handle.curl.close()
        self._idle.clear()
        for sending in broken_off:
            reply = Reply(None, trouble=Trouble.CANCELLED, detail="the client was closed", seconds=self._since(sending))
            self._tell(sending, reply)
        await asyncio.gather(*(driver.close() for driver in (self._main, self._aside) if driver is not None))
        self._main = self._aside = None

    def release(self, sending: _Sending) -> None:
        """Take a request's handle from it, if it still has one, whatever that is doing."""
        handle, sending.handle = sending.handle, None
        if handle is None:
            return
        del self._active[handle.curl]
        sending.driver.remove(handle.curl)
        if len(self._idle) < _POOLED_HANDLES:
            self._idle.append(handle)
        else:
            handle.curl.close()

    def _driver(self, url: str) -> MultiDriver:
        if url in self._doubtful:
            if self._aside is None:
                self._aside = self._begin()
            return self._aside
        if self._main is None:
            self._main = self._begin()
        return self._main

    def _begin(self) -> MultiDriver:
        self._loop = self._loop or asyncio.get_running_loop()
        self._ca_file = self._ca_file or system_ca_file()
        return MultiDriver(self._loop, self._max_connections, self._settle)

    def _since(self, sending: _Sending) -> float:
        return max(0.0, self._now() - sending.started)

    def _settle(self, ended: Ended) -> None:
        """Tell of the requests that have ended. Their handles are free before the first is told: it may cancel the
        others, or send again."""
        told = []
        now = self._now()
        for curl, code, message in ended:
            sending = self._active[curl]
            assert sending.handle is not None
            reply = sending.handle.reply(code, message, max(0.0, now - sending.started))
            self.release(sending)
            told.append((sending, reply))
        for sending, reply in told:
            if reply.trouble in _UNREACHED:
                if len(self._doubtful) >= _DOUBTFUL_URLS:
                    self._doubtful.clear()
                self._doubtful.add(sending.url)
            elif reply.status is not None and self._doubtful:
                self._doubtful.discard(sending.url)
            self._tell(sending, reply)

    def _tell(self, sending: _Sending, reply: Reply) -> None:
        assert self._loop is not None
        done, sending.done = sending.done, _ignore  # whom it tells may hold it: no cycle is left for the collector
        try:
            done(reply)
        except Exception as error:  # a mistake of one must not lose the others that ended in the same turn
            self._loop.call_exception_handler({"message": "a webhook's done failed", "exception": error})
