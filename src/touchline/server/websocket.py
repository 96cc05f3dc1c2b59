"""A WebSocket connection: the ``websockets`` library reads frames and shakes hands, a pure session of a feed decides,
the fan-out writes finished frames straight to the socket.

Order of a connection's life: the handshake is checked by the library, the session asks what it must know, then accepts
or refuses; from then on messages go to the session and its wishes are carried out in order. What the socket cannot take
is reported to the fan-out, and reading stops meanwhile, so that a client that never reads cannot make us keep answers.

Thousands may come at once: the head is parsed once (by ``connection``), what memory can answer is answered on the spot,
and a connection that has ended leaves no ring of objects behind, which would hold the event loop when it is collected.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from websockets.datastructures import Headers
from websockets.frames import Close as CloseFrame
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State

from touchline.delivery.fanout import Reader
from touchline.feeds.base import (
    Accept,
    Ask,
    Close,
    EndReason,
    FindSecret,
    FindStream,
    Follow,
    Identify,
    Refuse,
    ServerSession,
    Unfollow,
    Wish,
)
from touchline.server.handshakes import WebSocketProtocol, to_judge
from touchline.server.sessions import Identity, Route, Sessions
from touchline.server.sockets import untaken_bytes
from touchline.wire import frames
from touchline.wire.http import HttpRequest, HttpResponse, problem

_log: Final = logging.getLogger(__name__)
_HANDSHAKE_SECONDS: Final = 15.0
_CLOSE_SECONDS: Final = 3.0
_PING_AFTER_SECONDS: Final = 30.0
_GONE_AFTER_SECONDS: Final = 95.0
_READ_HIGH_BYTES: Final = 64 * 1024


class WebSocketConnection(asyncio.Protocol):
    """One upgraded socket. See the module docstring."""

    __slots__ = (
        "_closing",
        "_deadline",
        "_early",
        "_last_in",
        "_loop",
        "_parts",
        "_parts_text",
        "_pinged",
        "_protocol",
        "_reader",
        "_request",
        "_response",
        "_route",
        "_session",
        "_sessions",
        "_tasks",
        "_timer",
        "_transport",
        "identity",
        "write",
    )

    def __init__(self, sessions: Sessions, request: HttpRequest) -> None:
        self._sessions = sessions
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._protocol: WebSocketProtocol | None = None
        self._route: Route | None = None
        self._session: ServerSession | None = None
        self._reader: Reader | None = None
        self._response: bytes | None = None
        self._early = b""
        self._parts: list[bytes] = []
        self._parts_text = True
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_in = sessions.hub.clock.monotonic()
        self._pinged = False
        self.write: Callable[[bytes], None] = _nowhere
        """Sends whole frames: the socket's own method once the session is open, so that nothing stands between."""
        self.identity: Identity | None = None

    # handshake

    def take_over(self, transport: asyncio.Transport, longest_bytes: int, rest: bytes) -> None:
        """Begin with a parsed handshake: how long its longest line was, its end included, and what came behind it."""
        self._transport = transport
        self._sessions.add(self)
        if self._sessions.hub.stopping:
            self._refuse(problem(503, "Service Unavailable", "the hub is stopping, come back"))
            return
        transport.set_write_buffer_limits(high=self._sessions.settings.session_backlog_bytes)
        found = self._sessions.find(self._request.path)
        if found is None:
            self._refuse(problem(404, "Not Found", "there is no WebSocket endpoint here"))
            return
        self._route, params = found
        surface = self._route.surface
        if params:
            self._request = msgspec.structs.replace(self._request, path_params=params)
        request = to_judge(self._request, longest_bytes)
        if request is None:
            self._refuse(problem(400, "Bad Request", "no WebSocket handshake, or a longer one than is read"))
            return
        self._protocol = WebSocketProtocol(surface.subprotocols, surface.max_message_bytes)
        now = self._sessions.hub.now()
        response = self._protocol.shake(request, now)
        if not isinstance(response, bytes):
            response.headers["Sec-WebSocket-Version"] = "13"  # RFC 6455, 4.4: a client of another version learns it
            transport.write(response.serialize())
            self._finish()
            return
        retry_after = self._sessions.hub.logins.blocked(self._request.address, "")
        if retry_after is not None:
            refusal = problem(429, "Too Many Requests", "too many failed logins from this address")
            self._refuse(
                msgspec.structs.replace(refusal, headers=(*refusal.headers, ("retry-after", str(int(retry_after) + 1))))
            )
            return
        self._response, self._early = response, rest
        if rest:
            transport.pause_reading()  # what came first is read first
        self._session = surface.open(self._request, secrets.token_bytes, now)
        self._carry_out()
        if self._reader is None and not self._closing:
            transport.pause_reading()
            self._timer = self._loop.call_later(_HANDSHAKE_SECONDS, self.abort)

    def _refuse(self, response: HttpResponse) -> None:
        assert self._transport is not None
        headers = Headers()
        for name, value in response.headers:
            headers[name] = value
        headers["content-length"] = str(len(response.body))
        headers["connection"] = "close"
        self._sessions.hub.metrics.refused.labels(
            self._route.feed if self._route else "none", str(response.status)
        ).inc()
        self._transport.write(Response(response.status, _reason(response.status), headers, response.body).serialize())
        self._finish()

    def _accept(self) -> None:
        assert self._response is not None
        assert self._route is not None
        assert self._transport is not None
        self._stop_timer()
        self._transport.write(self._response)
        self._response = None
        self._request = HttpRequest(self._request.method, address=self._request.address)  # the rest was read; let go
        self.write = self._transport.write
        self._reader = self._sessions.hub.fanout.attach(self, self._route.framing)
        self._reader.written_at = self._sessions.hub.fanout.now
        self._sessions.counts(self._route.feed).begin()
        if not self._transport.is_reading():
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        """First what came behind the handshake, then the rest; a socket that is full reads when it has drained."""
        early, self._early = self._early, b""
        if early:
            self.data_received(early)
        if self._transport is not None and not self._transport.is_closing() and not self._is_blocked():
            self._transport.resume_reading()

    def _is_blocked(self) -> bool:
        return self._reader is not None and self._reader.blocked

    # the session's wishes

    def _carry_out(self) -> None:
        """Do what the session wishes, then send what it has to say, until it wishes no more."""
        while (session := self._session) is not None:  # one that was refused has no more wishes
            wishes = session.events_received()
            close: Close | None = None
            for wish in wishes:
                if isinstance(wish, Close):
                    close = wish
                else:
                    self._do(wish)
            if self._reader is not None and not self._closing:
                for message in session.data_to_send():
                    self.write(frames.text(message))
            if close is not None:
                self._close(close.code, close.reason)
                return
            if not wishes:
                break
        self._arm()

    def _do(self, wish: Wish) -> None:
        hub = self._sessions.hub
        match wish:
            case Ask():
                self._ask(wish)
            case Accept():
                self._accept()
            case Refuse(response, failed_login):
                if failed_login:
                    hub.logins.failed(self._request.address, "")
                self._session = None
                self._refuse(response)
            case Identify() if self._route is not None:
                self.identity = self._sessions.identity(self._route.feed, wish)
            case Follow(number, selector, after, finite) if self._reader is not None:
                hub.fanout.follow(self._reader, number, selector, after, finite=finite)
            case Unfollow(number) if self._reader is not None:
                hub.fanout.unfollow(self._reader, number)
            case _:
                raise AssertionError(wish)

    def _ask(self, ask: Ask) -> None:
        question = ask.question
        if isinstance(question, FindStream | FindSecret):
            task = self._loop.create_task(self._find_out(ask))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        hub = self._sessions.hub
        try:
            answer = hub.answer_at_once(question)
        except Exception:  # whatever of ours failed, the client is told and the hub goes on
            self._unanswered()
        else:
            if self._session is not None:
                self._session.told(ask.number, answer, hub.now())

    async def _find_out(self, ask: Ask) -> None:
        hub = self._sessions.hub
        try:
            answer = await hub.answer(ask.question)
        except Exception:  # as there
            self._unanswered()
        else:
            if self._session is None or self._transport is None:
                return
            self._session.told(ask.number, answer, hub.now())
        self._carry_out()

    def _unanswered(self) -> None:
        """A question failed: an error of ours, with which the session ends. Call from where it is caught."""
        _log.exception("a session's question could not be answered")
        if self._session is not None:
            self._session.end(EndReason.FAULT, self._sessions.hub.now())
            if self._reader is None:
                self._session = None
                self._refuse(problem(503, "Service Unavailable", "try again later"))

    def _arm(self) -> None:
        due = self._session.deadline() if self._session is not None and not self._closing else None
        self._deadline = self._sessions.deadlines.move(self, self._deadline, due)

    def due(self) -> None:
        """The session's deadline has come."""
        self._deadline = self._sessions.deadlines.move(self, self._deadline, None)
        if self._session is not None and not self._closing and not self._is_blocked():
            self._session.tick(self._sessions.hub.now())
            self._carry_out()

    # the fan-out's sink

    def backlog(self) -> int:
        """Bytes that the client has not taken yet: ours, and those that the system still holds for it."""
        return 0 if self._transport is None else untaken_bytes(self._transport)

    def end(self, reason: EndReason) -> None:
        """Let the session word its end."""
        if self._closing or self._transport is None:
            return
        if self._session is None or self._reader is None:
            self.abort()
            return
        self._sessions.ended(self, self._route.feed if self._route else "", reason)
        self._session.end(reason, self._sessions.hub.now())
        self._carry_out()

    # the socket

    def data_received(self, data: bytes) -> None:
        """Frames come in."""
        protocol = self._protocol
        if protocol is None or self._transport is None:
            return
        if self._reader is None:
            self._early += data
            if len(self._early) > _READ_HIGH_BYTES:
                self.abort()
            return
        self._last_in = self._sessions.hub.fanout.now
        self._pinged = False
        protocol.receive_data(data)
        self._flush()
        for event in protocol.events_received():
            if isinstance(event, Frame) and not self._closing:
                self._frame(event)
        self._flush()
        if protocol.close_expected():
            self._finish()

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._parts_text = frame.opcode is Opcode.TEXT
            if frame.data:  # fragments without content cost nothing, however many there are
                self._parts.append(bytes(frame.data))
            if not frame.fin:
                return
            data = b"".join(self._parts)
            self._parts = []
            message: str | bytes = data
            if self._parts_text:
                try:
                    message = data.decode()
                except UnicodeDecodeError:
                    self._close(1007, "invalid UTF-8")
                    return
            if self._session is not None:
                self._session.receive_data(message, self._sessions.hub.now())
                self._carry_out()

    def eof_received(self) -> bool | None:
        """The client has finished sending."""
        if self._protocol is not None:
            self._protocol.receive_eof()
            self._flush()
            self._finish()
        return None

    def _flush(self) -> None:
        if self._protocol is None or self._transport is None:
            return
        for data in self._protocol.data_to_send():
            if self._transport.is_closing():
                return
            if data:
                self._transport.write(data)
            else:
                self._transport.close()

    def _close(self, code: int, reason: str) -> None:
        if self._closing or self._protocol is None:
            return
        if self._reader is not None and self._protocol.state is State.OPEN:
            self._protocol.send_close(code, CloseFrame(code, reason[:120]).reason)
            self._flush()
        self._finish()

    def _finish(self) -> None:
        """Nothing more is sent; the peer has a little time to answer the close."""
        if self._closing:
            return
        self._closing = True
        self.write = _nowhere
        self._leave()
        if self._transport is not None:
            self._stop_timer()
            if self._protocol is None or self._reader is None:
                self._transport.close()
            # Also for a transport that is closing already: it waits for a peer that may never read.
            self._timer = self._loop.call_later(_CLOSE_SECONDS, self.abort)

    def _leave(self) -> None:
        if self._reader is not None:
            self._sessions.hub.fanout.detach(self._reader)
        for task in self._tasks:
            task.cancel()
        self._deadline = self._sessions.deadlines.move(self, self._deadline, None)

    def abort(self) -> None:
        """Close without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        del exc
        self._leave()
        self._stop_timer()
        if self._reader is not None and self._route is not None:
            self._sessions.counts(self._route.feed).end()
        self._sessions.remove(self)
        self._closing = True
        self.write = _nowhere
        # The reader knows this sink, and the library's parser itself: rings, of which thousands may end at once.
        self._transport = self._session = self._reader = None
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.parser.close()
            vars(protocol).clear()

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        if self._reader is not None:
            self._sessions.hub.fanout.blocked(self._reader)

    def resume_writing(self) -> None:
        """The socket's buffer has drained."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        if self._reader is not None and not self._closing:
            hub = self._sessions.hub
            hub.fanout.drained(self._reader)
            # Nothing was read meanwhile, so the client's silence says nothing; that it took so much says that it lives.
            self._last_in = hub.clock.monotonic()
            self._pinged = False
            if self._session is not None:
                self._session.drained(hub.now())
                self.due()  # now, since its catch-up may fill the socket again before anything else is called

    def tick(self, now: float) -> None:
        """Idle sessions end, or are pinged where the feed's protocol has no keep-alive of its own."""
        if self._reader is None or self._closing or self._route is None or self._reader.blocked:
            return
        idle_seconds = self._route.surface.idle_seconds
        if idle_seconds is not None:
            written_at = self._sessions.hub.fanout.written_at(self._reader)
            if now - max(self._last_in, written_at) > idle_seconds:
                self.end(EndReason.IDLE)
        elif now - self._last_in > _GONE_AFTER_SECONDS:
            self.end(EndReason.IDLE)
        elif now - self._last_in > _PING_AFTER_SECONDS and not self._pinged and self._protocol is not None:
            self._pinged = True
            self._protocol.send_ping(b"")
            self._flush()


def _nowhere(data: bytes) -> None:
    """There is no open socket (any more)."""
    del data


def _reason(status: int) -> str:
    return {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 410: "Gone"}.get(
        status, "Refused"
    )
