"""The HTTP client of the courier: libcurl's multi interface on the event loop.

It owns connections, TLS, time-outs and the guard of addresses, and judges no answer. What libcurl does and we rely on:

- The address is judged when a socket is opened, so a name that leads elsewhere by then gains nothing; of several
  addresses the refused ones are passed over. A connection that is kept was judged when it was opened.
- When a kept connection turns out closed before any byte of an answer came, libcurl sends the request again on a new
  one, up to five times and also for a POST. A receiver that takes a request and closes without an answer may so see
  it twice in one attempt: the same bytes and ids, as with any retry.
- The answer's body is never decompressed, no redirect is followed, no proxy, cookie or ``.netrc`` is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pycurl

from touchline.clock import Clock, SystemClock
from touchline.delivery.courier.addresses import Network, refusal
from touchline.delivery.courier.answers import HeaderLines, described, head_lines
from touchline.delivery.courier.transport import KEPT_BYTES, READ_BYTES, Post, Reply, Sending, Trouble
from touchline.delivery.courier.watching import Watch, watch

_MAX_CONNECTIONS: Final = 1024
_POOLED_HANDLES: Final = 512
_DNS_SECONDS: Final = 30
_IDLE_SECONDS: Final = 60
_CONNECTION_SECONDS: Final = 120
"""A connection is not used for longer, so that an endpoint whose name moves is followed."""
_KEEPALIVE_SECONDS: Final = 30
_CLOSE_SECONDS: Final = 1.0

_DISALLOW_USERNAME_IN_URL: Final = 278  # pycurl has no name for it

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


class _Opened:
    """A new socket for libcurl, which takes a duplicate of it; ours is closed with this object."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def __del__(self) -> None:
        os.close(self._fd)


class _Handle:
    """An easy handle with its callbacks, used for one request after the other."""

    def __init__(self, allowed: Sequence[Network], ca_file: str | None) -> None:
        self.curl = pycurl.Curl()
        self.sending: _Sending | None = None
        self.url = ""
        self.seconds = (0.0, 0.0)
        self.head = HeaderLines()
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.enough = False
        self.refused = ""
        self.opened = False
        self.no_socket = ""
        self._allowed = allowed
        self._configure(ca_file)

    def _configure(self, ca_file: str | None) -> None:
        setopt = self.curl.setopt
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.PROXY, ""),
            (pycurl.NOPROXY, "*"),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (_DISALLOW_USERNAME_IN_URL, 1),
            (pycurl.PATH_AS_IS, 1),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
            (pycurl.HTTP09_ALLOWED, 0),
            (pycurl.HTTP_CONTENT_DECODING, 0),
            (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.TCP_NODELAY, 1),
            (pycurl.TCP_KEEPALIVE, 1),
            (pycurl.TCP_KEEPIDLE, _KEEPALIVE_SECONDS),
            (pycurl.TCP_KEEPINTVL, _KEEPALIVE_SECONDS),
            (pycurl.DNS_CACHE_TIMEOUT, _DNS_SECONDS),
            (pycurl.MAXAGE_CONN, _IDLE_SECONDS),
            (pycurl.MAXLIFETIME_CONN, _CONNECTION_SECONDS),
            (pycurl.POST, 1),
            (pycurl.USERAGENT, "touchline"),
            (pycurl.OPENSOCKETFUNCTION, self._open_socket),
            (pycurl.HEADERFUNCTION, self.head.take),
            (pycurl.WRITEFUNCTION, self._take_body),
        ):
            setopt(option, value)
        if ca_file is not None:
            setopt(pycurl.CAINFO, ca_file)

    def prepare(self, post: Post) -> None:
        """Set everything that differs between requests. Raises ValueError for headers that cannot be sent."""
        setopt = self.curl.setopt
        setopt(pycurl.HTTPHEADER, head_lines(post.headers))
        setopt(pycurl.POSTFIELDS, post.body)
        if post.url != self.url:
            setopt(pycurl.URL, post.url)
            self.url = post.url
        if (post.connect_seconds, post.whole_seconds) != self.seconds:
            self.seconds = (post.connect_seconds, post.whole_seconds)
            setopt(pycurl.CONNECTTIMEOUT_MS, max(1, round(post.connect_seconds * 1000)))
            setopt(pycurl.TIMEOUT_MS, max(1, round(post.whole_seconds * 1000)))
        self.head.clear()
        self.body = []
        self.body_bytes = 0
        self.enough = self.opened = False
        self.refused = self.no_socket = ""

    def _open_socket(self, purpose: int, where: Any) -> _Opened | int:
        try:
            if purpose != pycurl.SOCKTYPE_IPCXN or where.family not in (socket.AF_INET, socket.AF_INET6):
                return int(pycurl.SOCKET_BAD)
            address = where.addr[0]
            text = address.decode("ascii") if isinstance(address, bytes) else address
            reason = refusal(ipaddress.ip_address(text.partition("%")[0]), self._allowed)
            if reason is not None:
                self.refused = reason
                return int(pycurl.SOCKET_BAD)
            opened = _Opened(socket.socket(where.family, where.socktype, where.protocol).detach())
            os.close(os.dup(opened.fileno()))  # pycurl will need one more, and could not say that there is none
        except OSError as error:
            self.no_socket = error.strerror or "unknown error"
            return int(pycurl.SOCKET_BAD)
        self.opened = True
        return opened

    def _take_body(self, data: bytes) -> int | None:
        room = KEPT_BYTES - self.body_bytes
        if room > 0:
            self.body.append(data[:room])
        self.body_bytes += len(data)
        if self.body_bytes < READ_BYTES:
            return None
        self.enough = True
        return 0

    def reply(self, code: int, message: str, seconds: float) -> Reply:
        """What came of the request that has ended with libcurl's ``code``."""
        if code == pycurl.E_OK or (self.enough and code == pycurl.E_WRITE_ERROR):
            status = self.curl.getinfo(pycurl.RESPONSE_CODE)
            if 200 <= status <= 999:
                return Reply(status, self.head.pairs(), b"".join(self.body), seconds=seconds)
            return Reply(None, trouble=Trouble.BROKEN, detail=f"the answer has the status {status}", seconds=seconds)
        trouble, detail = self._trouble(code, message)
        return Reply(None, trouble=trouble, detail=detail, seconds=seconds)

    def _trouble(self, code: int, message: str) -> tuple[Trouble, str]:
        if self.refused and not self.opened:
            return Trouble.REFUSED_ADDRESS, self.refused
        if self.no_socket and not self.opened:
            return Trouble.CONNECT, f"no socket could be opened here: {self.no_socket}"
        if self.head.flaw:
            return Trouble.BROKEN, self.head.flaw
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return self._late()
        return described(code, message)

    def _late(self) -> tuple[Trouble, str]:
        """What a time-out means: libcurl's times are 0 for what was not reached (and for a kept connection)."""
        getinfo = self.curl.getinfo
        connect_seconds, whole_seconds = self.seconds
        if getinfo(pycurl.REQUEST_SIZE) > 0 or getinfo(pycurl.APPCONNECT_TIME) > 0:
            return Trouble.TIMEOUT, f"no whole answer within {whole_seconds:g} s"
        patience = min(connect_seconds, whole_seconds)
        if getinfo(pycurl.CONNECT_TIME) > 0:
            return Trouble.TLS, f"the TLS handshake did not end within {patience:g} s"
        if getinfo(pycurl.NAMELOOKUP_TIME) > 0:
            return Trouble.CONNECT, f"no connection within {patience:g} s"
        return Trouble.NAME, f"the name was not resolved within {patience:g} s"


def _ignore(reply: Reply) -> None:
    del reply


class _Sending:
    """A request under way; fits ``Sending``."""

    __slots__ = ("_client", "done", "handle", "started")

    def __init__(self, client: WebhookClient, handle: _Handle, done: Callable[[Reply], None], started: float) -> None:
        self._client = client
        self.handle = handle
        self.done = done
        self.started = started

    def cancel(self) -> None:
        """Break it off; ``done`` is not called any more."""
        self.done = _ignore
        if self.handle.sending is self:
            self._client.release(self.handle)


async def _close_aside(multi: Any) -> None:
    """Close in a thread, and do not wait for long: libcurl waits for names that are being looked up, which may take
    a silent name server's whole patience."""
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()

    def close() -> None:
        multi.close()
        with contextlib.suppress(RuntimeError):  # the event loop has ended meanwhile
            loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=close, name="webhook-client-close", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await closed.wait()


class WebhookClient:
    """Sends posts; fits ``Transport``. Bound to the event loop of its first ``send``, unless it is given.

    ``allowed`` are ranges that are open although they are private (setting ``allow_network``). ``ca_file`` is trusted
    instead of the system's certificates. At most ``max_connections`` stand at a time, idle ones included: the least
    used idle one gives way, and beyond that requests wait, so it should be well above the requests under way.
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
        self._multi: Any = None
        self._watch: Watch | None = None
        self._active: dict[Any, _Handle] = {}
        self._idle: list[_Handle] = []
        self._alarm: asyncio.Handle | None = None
        self._alarm_at = 0.0
        self._due: float | None = None
        self._running = 0
        self._closed = False

    def send(self, post: Post, done: Callable[[Reply], None]) -> Sending:
        """Begin a request; ``done`` is called once, on the loop, after this has returned.

        Raises ValueError for headers that cannot be sent (or that are libcurl's own, such as Content-Length): whoever
        takes headers from outside checks them before.
        """
        if self._closed:
            raise RuntimeError("the webhook client is closed")
        if self._multi is None:
            self._begin()
        handle = self._idle.pop() if self._idle else _Handle(self._allowed, self._ca_file)
        try:
            handle.prepare(post)
        except BaseException:
            self._idle.append(handle)
            raise
        sending = handle.sending = _Sending(self, handle, done, self._now())
        self._active[handle.curl] = handle
        self._running += 1
        self._multi.add_handle(handle.curl)
        return sending

    async def close(self) -> None:
        """Break off what is under way (told as CANCELLED) and release everything. Idempotent."""
        if self._closed:
            return
        self._closed = True
        broken_off = [handle.sending for handle in self._active.values() if handle.sending is not None]
        for handle in list(self._active.values()):
            self.release(handle)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._multi is not None:
            multi, self._multi = self._multi, None
            await _close_aside(multi)
        for handle in self._idle:
            handle.curl.close()
        self._idle.clear()
        for sending in broken_off:
            reply = Reply(None, trouble=Trouble.CANCELLED, detail="the client was closed", seconds=self._since(sending))
            self._tell(sending, reply)

    def release(self, handle: _Handle) -> None:
        """Take a handle out of use, whatever it is doing."""
        handle.sending = None
        del self._active[handle.curl]
        self._multi.remove_handle(handle.curl)
        if len(self._idle) < _POOLED_HANDLES:
            self._idle.append(handle)
        else:
            handle.curl.close()

    def _begin(self) -> None:
        self._loop = self._loop or asyncio.get_running_loop()
        self._ca_file = self._ca_file or system_ca_file()
        self._watch = watch(self._loop, self._act, self._settle)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, self._max_connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, self._max_connections)

    def _since(self, sending: _Sending) -> float:
        return max(0.0, self._now() - sending.started)

    # What libcurl calls, and what calls libcurl

    def _on_socket(self, what: int, fd: int, multi: Any, data: Any) -> None:
        del multi, data
        if self._watch is not None:
            self._watch.want(what, fd)

    def _on_timer(self, milliseconds: int) -> None:
        """libcurl's next deadline. It moves with every request, mostly to a later time: the alarm stays as it is then,
        and is set anew when it rings."""
        if self._closed or self._loop is None:
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
        assert self._loop is not None
        self._alarm_at = self._loop.time() + seconds
        if seconds <= 0:
            self._alarm = self._loop.call_soon(self._ring)
        else:
            self._alarm = self._loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._due is None or self._loop is None:
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
        """Tell of the requests that have ended. Their handles are free before the first is told: it may cancel the
        others, or send again."""
        queued = self._running < len(self._active)
        while queued and self._multi is not None:
            queued, good, bad = self._multi.info_read()
            ended = [self._ended(curl, pycurl.E_OK, "") for curl in good]
            ended += [self._ended(curl, code, message) for curl, code, message in bad]
            for sending, reply in ended:
                self._tell(sending, reply)

    def _ended(self, curl: Any, code: int, message: str) -> tuple[_Sending, Reply]:
        handle = self._active[curl]
        sending = handle.sending
        assert sending is not None
        reply = handle.reply(code, message, self._since(sending))
        self.release(handle)
        return sending, reply

    def _tell(self, sending: _Sending, reply: Reply) -> None:
        assert self._loop is not None
        try:
            sending.done(reply)
        except Exception as error:  # a mistake of one must not lose the others that ended in the same turn
            self._loop.call_exception_handler({"message": "a webhook's done failed", "exception": error})
