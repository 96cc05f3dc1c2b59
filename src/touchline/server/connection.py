"""HTTP connections: uvicorn's httptools protocol with what it leaves to us.

A deadline and a size limit for the head of a request, one Host header and no more, bytes that came in one segment with
a WebSocket handshake kept, a limit on connections, and upgraded connections remembered so that a shutdown finds them.
What cannot be answered behind an answer that is still due or under way is not: the bytes would be taken for that one's.
The first request of each is read when ``arrivals`` says so.
Upgraded connections go to ``websocket.WebSocketConnection``; everything else to the ASGI application.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from touchline.server.arrivals import Arrivals
from touchline.server.requests import request_from_scope
from touchline.server.sessions import Sessions
from touchline.server.sockets import untaken_bytes
from touchline.server.websocket import WebSocketConnection
from touchline.wire.http import Pairs

MAX_HEAD_BYTES: Final = 32 * 1024
_BLANKS: Final = (b" ", b"\t")
_REFUSALS: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


class HttpConnection(HttpToolsProtocol):
    """One accepted connection. Made by a factory that adds ``sessions`` and ``arrivals`` (see ``protocol_class``)."""

    sessions: Sessions
    arrivals: Arrivals

    # The ignored error: asyncio says BaseTransport. uvicorn narrows it as well, and a stream's is all that there is.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline for the first head."""
        super().connection_made(transport)
        self._is_newcomer = True
        self._waits = False
        self._unread = b""
        self._head_bytes = 0
        self._heads_begun = 0
        self._head_done = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_seconds = self.sessions.settings.header_seconds
        self._body_due = False
        self._body_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unwritten = 0
        self._problem = ""
        self._answering: RequestResponseCycle | None = None
        self._is_deaf = False
        self._upgrades: bool | None = None
        self._longest_field = 0
        if not self.sessions.admit(len(self.connections)):
            self._refuse(503, "too many connections, come back later", retry=True)
            return
        self._watch_head()

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_done = False

    def _watch_head(self) -> None:
        """A head that did not come whole has a deadline; most need none."""
        if not self._head_done and self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_seconds, self._head_late)
            self._head_seconds = self.sessions.settings.header_seconds

    def _hold_head_timer(self) -> None:
        """While it waits for us; what is left of its time goes on then."""
        if self._head_timer is not None:
            self._head_seconds = max(0.0, self._head_timer.when() - self.loop.time())
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        # Behind an answer under way it has to wait anyhow; what comes of it later starts the deadline again.
        if not self._head_done and self._is_idle() and not self.transport.is_closing():
            self._refuse(408, "the head of the request did not arrive in time")

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whom it concerns, and forget the deadlines and what would be a ring: a request that knows the connection
        that knows it."""
        self._stop_timer()
        self._stop_write_timer()
        self._unread = b""
        super().connection_lost(exc)
        # uvicorn tells only the request that came last. Those behind the one that is being answered never began.
        cycle, self._answering = self._answering, None
        if cycle is not None:
            cycle.disconnected = cycle.disconnected or not cycle.response_complete
            cycle.message_event.set()
            self.cycle = cycle
            _let_go(cycle.scope["state"])
        self.pipeline.clear()
        begun: object = self.scope
        if begun is not None:
            _let_go(self.scope["state"])

    def data_received(self, data: bytes) -> None:
        """Read it, or have it wait: until its first head is whole, a connection takes its turn among the newcomers."""
        if not self._is_newcomer:
            self._read(data)
            return
        self._unread += data
        if not self._waits and self.arrivals.come(self, len(data)):
            self._waits = True
            self._hold_head_timer()
            self.transport.pause_reading()

    def enter(self) -> None:
        """Read what came, now that it is its turn."""
        data, self._unread = self._unread, b""
        if self._waits:
            self._waits = False
            if not self.transport.is_closing():
                self.transport.resume_reading()
        if data:
            self._read(data)

    def abort(self) -> None:
        """Its first request failed: an error of ours."""
        transport: asyncio.Transport | None = self.transport
        if transport is not None:  # else it was handed over, and who has it looks after it
            transport.abort()

    def _read(self, data: bytes) -> None:
        """As uvicorn does, with the head's size counted and bytes behind a handshake kept."""
        self._unset_keepalive_if_required()
        if self._is_deaf or self.transport.is_closing():
            return
        if self._head_done and not self._body_due and self._is_idle():
            self._await_head()  # also for line breaks before a request, which no callback tells of
        awaited = not self._head_done
        self._heads_begun = 0
        while True:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self._should_upgrade():
                    self._hand_over(data)
                    return
                if not data:  # an upgrade to something else is passed over, what comes behind it is a request
                    break
            except httptools.HttpParserError:
                self._refuse(400, "not a valid HTTP/1.1 request")
                return
        self._await_body()
        self._watch_head()
        if not self._head_done and awaited and self._heads_begun < 2:  # else much of it was another request's
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, f"the head of the request is larger than {MAX_HEAD_BYTES} bytes")

    def _is_idle(self) -> bool:
        cycle: object = self.cycle
        return cycle is None or self.cycle.response_complete

    def _await_body(self) -> None:
        """A body that did not come with its head has a deadline; most need none."""
        if self._body_due and self._body_timer is None:
            self._body_timer = self.loop.call_later(self.sessions.settings.body_seconds, self._body_late)

    def _body_late(self) -> None:
        self._body_timer = None
        if self._body_due and not self.transport.is_closing():
            self._refuse(408, "the body of the request did not arrive in time")

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._body_due = False
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        super().on_message_complete()

    def on_message_begin(self) -> None:
        """A new request: its head is due."""
        super().on_message_begin()
        self._upgrades = None
        self._heads_begun += 1
        state = self.scope["state"]
        state["answer"] = self.answer
        # For answers that go on and on.
        state["abort"] = self.transport.abort
        state["untaken"] = partial(untaken_bytes, self.transport)
        if self._head_done:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Check what the parser lets pass, then let uvicorn start the request."""
        self._is_newcomer = False
        self._head_done = True
        self._body_due = True
        self._stop_timer()
        hosts, size, longest = 0, len(self.url), 0
        for index, (name, value) in enumerate(self.headers):
            line = len(name) + len(value) + 4
            size += line
            if line > longest:
                longest = line
            if name == b"host":
                hosts += 1
            if value[-1:] in _BLANKS:  # the parser leaves them there; they are no part of it (RFC 9110, 5.5)
                self.headers[index] = (name, value.rstrip(b" \t"))
        self._longest_field = longest
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            self._problem = "a request has exactly one Host header"
        elif size > MAX_HEAD_BYTES:
            self._problem = "the head of the request is too large"
        if self._problem:
            self.app, app = _refuse_app(431 if "large" in self._problem else 400, self._problem), self.app
            try:
                super().on_headers_complete()
            finally:
                self.app = app
            return
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def answer(self, scope: Mapping[str, Any], status: int, headers: Pairs, body: bytes) -> bool:
        """Give the request of that scope its whole answer, head and body in one write.

        uvicorn's ``send`` takes them one by one, which costs a system call, a packet and a wake-up of the client more,
        and looks at each header as if anybody could have made it. False: this answer is for ``send``, since it has to
        wait for others, or a header of it needs a closer look.
        """
        cycle = self.cycle
        if cycle.scope is not scope or cycle.disconnected or cycle.response_started or self.flow.write_paused:
            return False
        head = [STATUS_LINE[status]]
        for known, value in self.server_state.default_headers:
            head += (known, b": ", value, b"\r\n")
        for name, text in headers:
            if name == "connection" or not (text.isascii() and text.isprintable()):
                return False
            head.append(f"{name}: {text}\r\n".encode())
        head.append(b"content-length: %d\r\n" % len(body))
        head.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        head.append(body)
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self.transport.write(b"".join(head))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def pause_writing(self) -> None:
        """The client does not take its answer as quickly as it is made: it has to make progress."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """It has."""
        self._stop_write_timer()
        super().resume_writing()
        self._watch_closing()

    def on_response_complete(self) -> None:
        """The answer is whole."""
        super().on_response_complete()
        self._watch_closing()

    def _watch_closing(self) -> None:
        """What is left of a last answer may be too little to be told of: it must be taken all the same."""
        if self.transport.is_closing():
            self._watch_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Idle for long; an answer that was never read must not keep the connection."""
        super().timeout_keep_alive_handler()
        self._watch_writing()

    def _watch_writing(self) -> None:
        self._stop_write_timer()
        self._unwritten = untaken_bytes(self.transport)
        self._write_timer = self.loop.call_later(self.sessions.settings.stall_seconds, self._write_late)

    def _write_late(self) -> None:
        if untaken_bytes(self.transport) < self._unwritten:
            self._watch_writing()
        else:
            self.transport.abort()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def _should_upgrade(self) -> bool:
        if self._upgrades is None:  # it is asked three times of each handshake
            self._upgrades = not self._problem and super()._should_upgrade()
        return self._upgrades

    def _refuse(self, status: int, detail: str, *, retry: bool = False) -> None:
        """Say what is wrong with the request that is being read, and close; never in the midst of an answer, nor in the
        place of one that is due: then that one is the last."""
        self._stop_timer()
        cycle: RequestResponseCycle | None = self.cycle
        if self._body_due and cycle is not None and cycle.scope is self.scope:
            if cycle.response_started or self.pipeline:  # the rest of it will not come
                self.transport.close()
                self._watch_closing()
                return
        elif cycle is not None and not cycle.response_complete:
            self._is_deaf = True
            cycle.keep_alive = False
            return
        body = b'{"type":"about:blank","title":"%b","status":%d,"detail":"%b"}' % (
            _REFUSALS[status],
            status,
            detail.encode(),
        )
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n%b"
            b"connection: close\r\n\r\n%b"
            % (status, _REFUSALS[status], len(body), b"retry-after: 5\r\n" if retry else b"", body)
        )
        self.transport.close()
        self._watch_closing()

    def _hand_over(self, rest: bytes) -> None:
        """The socket now belongs to a WebSocket connection; the parser's unread bytes go with it."""
        # What was not taken of an earlier answer would be a session's backlog of which nothing had told the fan-out.
        if not self._is_idle() or self.flow.write_paused:
            self._refuse(400, "an upgrade cannot follow a request whose answer was not taken")
            return
        if self.parser.get_method() != b"GET" or self.parser.get_http_version() != "1.1":
            self._refuse(400, "a WebSocket handshake is a GET request of HTTP/1.1")
            return
        try:
            parsed = httptools.parse_url(self.url)
            path = parsed.path.decode("ascii")
        except (httptools.HttpParserError, UnicodeDecodeError, AttributeError):  # an absolute form may have no path
            self._refuse(400, "the target of the request is not a path")
            return
        self._stop_timer()
        self._stop_write_timer()
        self.connections.discard(self)
        self.scope["path"] = unquote(path)
        self.scope["raw_path"] = parsed.path
        self.scope["query_string"] = parsed.query or b""
        self.scope["method"] = "GET"
        longest = max(len(self.url) + len("GET  HTTP/1.1\r\n"), self._longest_field)
        request = request_from_scope(self.scope, b"", self.sessions.settings.proxies, self.sessions.public_host)
        connection = WebSocketConnection(self.sessions, request)
        transport = self.transport
        transport.set_protocol(connection)
        self._release()
        connection.take_over(transport, longest, rest)

    def _release(self) -> None:
        """Parser and request refer to each other in a ring; an upgraded connection must not keep them for its life."""
        kept = ("parser", "transport", "flow", "scope", "headers", "cycle", "_answering")
        vars(self).update(dict.fromkeys(kept, None))


def _let_go(state: dict[str, Any]) -> None:
    """Take back what ``on_message_begin`` lent to a request."""
    for name in ("answer", "abort", "untaken"):
        state.pop(name, None)


def _refuse_app(status: int, detail: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        title = _REFUSALS[status].decode()
        body = f'{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}"}}'.encode()
        length = str(len(body)).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", length),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def protocol_class(sessions: Sessions, arrivals: Arrivals | None = None) -> type[HttpConnection]:
    """The protocol class that uvicorn is to use for a hub's connections."""
    parts = {"sessions": sessions, "arrivals": Arrivals() if arrivals is None else arrivals}
    return type("HubHttpConnection", (HttpConnection,), parts)
