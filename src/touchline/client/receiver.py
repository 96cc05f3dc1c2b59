"""Receives a feed's webhooks: an ASGI application that verifies, confirms, hands on, and only then answers.

Owns the life of one message: bounded reading, the codec's judgement over the raw bytes, what must be fetched for it,
dedupe, the user's handler, the answer. Knows no feed (that is the codec's) and no server (any ASGI server runs it).
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

import msgspec

from touchline.client.errands import Errands
from touchline.clock import Clock, SystemClock
from touchline.errors import ConfigError, LocalProtocolError, RemoteProtocolError, UpstreamError
from touchline.feeds.base import Feed, Instant, NeedCertificate, Notice, Received, Trust
from touchline.wire.gzip import TooLarge, inflate
from touchline.wire.http import HttpResponse, Pairs, first

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""Of a message, as it came and inflated."""
BODY_SECONDS: Final = 15.0
MAX_REQUESTS: Final = 64
REMEMBERED: Final = 10_000
"""Message ids that are known again; an older one is handled anew."""
REPLAY_HEADER: Final = "touchline-replay"
"""Marks what a hub delivers again because somebody asked for it: handled again, although its id is known."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_MAX_WORDS: Final = 200
_MAX_ID: Final = 128
_KEPT_ANSWER_BYTES: Final = 1024
"""A repetition is answered with the status of the first time, and with its body when that is no longer than this."""
_CERTIFICATES_A_MESSAGE: Final = 2

Handler = Callable[[Received], HttpResponse | Awaitable[HttpResponse | None] | None]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = logging.getLogger(__name__)


def _text(status: int, words: str, headers: Pairs = ()) -> HttpResponse:
    """A refusal or a greeting: one short line."""
    line = "".join(sign if sign.isprintable() else " " for sign in words[:_MAX_WORDS])
    return HttpResponse(
        status, line.encode("utf-8", "replace"), (("content-type", "text/plain; charset=utf-8"), *headers)
    )


_BUSY: Final = _text(503, "too many messages at once; come again", (("retry-after", "1"), ("connection", "close")))


class Receiver:
    """An ASGI application that takes the webhooks of one feed, on any path or on ``path`` alone.

    ``handler`` gets every verified message once, and may be a coroutine function; the provider is answered when it
    has returned. What it raises, and an ``HttpResponse`` that it returns with another status than 2xx, makes the
    provider repeat the message. A handshake is confirmed first; its ``Received`` has no events.
    ``forward_to`` posts each message with events on, body and headers as they came, before the handler gets it; an
    answer that is not 2xx goes back to the provider, and 502 when there is none.
    ``told`` gets a Notice for people: confirmed, duplicate, refused, failed, unforwarded, and what came without
    events by its kind.

    A message is known again by its id, among the last ``remember`` ones that were answered 2xx. ``trust`` may be
    replaced at any time (a secret is rotated).
    """

    def __init__(
        self,
        feed: Feed,
        trust: Trust,
        handler: Handler | None = None,
        *,
        forward_to: str | None = None,
        path: str | None = None,
        told: Callable[[Notice], None] | None = None,
        ca_file: Path | str | None = None,
        clock: Clock | None = None,
        max_requests: int = MAX_REQUESTS,
        remember: int = REMEMBERED,
    ) -> None:
        if feed.webhook is None:
            raise ConfigError(f"{feed.name} sends no webhooks")
        self.trust = trust
        self._codec = feed.webhook
        self._name = feed.name
        self._handler = handler
        self._forward_to = forward_to
        self._path = path
        self._told = told
        self._clock = clock or SystemClock()
        self._errands = Errands(self._clock, ca_file=ca_file, forwards_at_once=min(max_requests, 32))
        self._max_requests = max_requests
        self._remember = remember
        self._busy = 0
        self._answers: OrderedDict[str, HttpResponse] = OrderedDict()
        self._working: dict[str, asyncio.Future[HttpResponse]] = {}

    async def aclose(self) -> None:
        """Close the connections of its own; an ASGI server with lifespan does so."""
        await self._errands.close()

    # one message

    async def receive(self, headers: Pairs, body: bytes) -> HttpResponse:
        """Take one POST and return what to answer; for servers that are not ASGI. Header names are lower case."""
        try:
            received = await self._judge(headers, body)
        except TooLarge as problem:
            return self._refuse(413, problem)
        except RemoteProtocolError as problem:
            # What cannot be read at all is the sender's mistake; what can be, but is not believed, is forbidden.
            return self._refuse(403 if _is_json(body) else 400, problem)
        except UpstreamError as problem:
            return self._refuse(503, problem)
        except LocalProtocolError as problem:
            self._tell("failed", str(problem))
            return _text(500, "this receiver is not set up rightly")
        if isinstance(received, HttpResponse):
            return received
        message_id = received.message_id
        if message_id is None or first(headers, REPLAY_HEADER) is not None:
            return await self._work(received, headers, body)
        if len(message_id) > _MAX_ID:
            message_id = hashlib.sha256(message_id.encode("utf-8", "surrogatepass")).hexdigest()
        return await self._once(message_id, received, headers, body)

    async def _judge(self, headers: Pairs, body: bytes) -> Received | HttpResponse:
        encoding = (first(headers, "content-encoding") or "identity").strip().lower()
        if encoding in ("gzip", "x-gzip"):
            # A proxy's doing: the provider's own bytes are inside, and so are those that it signed. One that inflates
            # and leaves the header is met too; the codec judges what is inside either way.
            body = inflate(body, MAX_BODY_BYTES) if body[:2] == _GZIP_MAGIC else body
            headers = tuple(pair for pair in headers if pair[0] not in ("content-encoding", "content-length"))
        elif encoding != "identity":
            return _text(415, "content-encoding must be gzip or absent", (("accept-encoding", "gzip"),))
        trust = self.trust
        for _ in range(_CERTIFICATES_A_MESSAGE + 1):
            now = Instant(self._clock.wall_ns(), self._clock.monotonic())
            judged = self._codec.receive(headers, body, trust, now)
            if isinstance(judged, Received):
                return judged
            trust = await self._with_certificate(trust, judged)
        raise RemoteProtocolError("the message asks for one certificate after the other")

    async def _with_certificate(self, trust: Trust, need: NeedCertificate) -> Trust:
        pem = await self._errands.certificate(need.url, plain_http=trust.plain_http)
        return msgspec.structs.replace(trust, certificates={**trust.certificates, need.url: pem})

    async def _once(self, message_id: str, received: Received, headers: Pairs, body: bytes) -> HttpResponse:
        """Work on it unless it was worked on already or is just now; then the answer is the first one's."""
        known = self._answers.get(message_id)
        if known is not None:
            self._answers.move_to_end(message_id)
            self._tell("duplicate", f"{message_id}: answered as the first time")
            return known
        under_way = self._working.get(message_id)
        if under_way is not None:
            return await asyncio.shield(under_way)
        mine = self._working[message_id] = asyncio.get_running_loop().create_future()
        answer = _BUSY  # what those who wait are told when this is cancelled
        try:
            answer = await self._work(received, headers, body)
            if 200 <= answer.status < 300:
                small = len(answer.body) <= _KEPT_ANSWER_BYTES
                self._answers[message_id] = answer if small else msgspec.structs.replace(answer, body=b"")
                while len(self._answers) > self._remember:
                    self._answers.popitem(last=False)
        finally:
            del self._working[message_id]
            mine.set_result(answer)
        return answer

    async def _work(self, received: Received, headers: Pairs, body: bytes) -> HttpResponse:
        answer = received.answer
        if received.confirm_url is not None:
            try:
                await self._errands.confirm(received.confirm_url, plain_http=self.trust.plain_http)
            except RemoteProtocolError as problem:
                return self._refuse(403, problem)
            except UpstreamError as problem:
                return self._refuse(503, f"cannot confirm: {problem}")
            self._tell("confirmed", received.detail)
        elif not received.events:
            self._tell(received.kind, received.detail)
        if self._forward_to is not None and received.events:
            try:
                answer = await self._errands.forward(self._forward_to, headers, body)
            except UpstreamError as problem:
                self._tell("unforwarded", str(problem))
                return _text(502, "the receiver behind cannot be reached")
            if not 200 <= answer.status < 300:
                self._tell("unforwarded", f"{self._forward_to.partition('?')[0]} answered {answer.status}")
                return answer
        return await self._handle(received, answer)

    async def _handle(self, received: Received, answer: HttpResponse) -> HttpResponse:
        if self._handler is None:
            return answer
        try:
            result = self._handler(received)
            if inspect.isawaitable(result):
                result = await result
        except Exception:
            # The handler is the user's: whatever it raises means that the message was not handled.
            log.exception("the handler of %s failed", self._name)
            self._tell("failed", "the handler failed; the provider repeats the message")
            return _text(500, "the message could not be handled")
        return answer if result is None else result

    def _refuse(self, status: int, problem: Exception | str) -> HttpResponse:
        self._tell("refused", str(problem))
        return _text(status, f"not taken: {problem}")

    def _tell(self, kind: str, detail: str) -> None:
        if self._told is not None:
            self._told(Notice(kind, detail))

    # ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection scope of ASGI 3."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            head = scope["method"] == "HEAD"
            answer = await self._answer(scope, receive)
            if answer is not None:
                await _send(send, answer, head=head)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})

    async def _answer(self, scope: Scope, receive: Receive) -> HttpResponse | None:
        """What to answer; None when the sender has gone."""
        if self._path is not None and scope["path"] != self._path:
            return _text(404, "nothing is received here")
        if scope["method"] in ("GET", "HEAD"):
            return _text(200, f"ready for {self._name}")
        if scope["method"] != "POST":
            return _text(405, "POST is expected", (("allow", "POST, GET, HEAD"),))
        if self._busy >= self._max_requests:
            self._tell("refused", f"{self._busy} messages at once")
            return _BUSY
        self._busy += 1
        try:
            headers = tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
            )
            body = await _read(headers, receive)
            if body is None or isinstance(body, HttpResponse):
                return body
            return await self.receive(headers, body)
        finally:
            self._busy -= 1


async def _read(headers: Pairs, receive: Receive) -> bytes | HttpResponse | None:
    """The body; or the refusal of one that is too large or too slow; None when the sender has gone."""
    too_large = _text(413, f"larger than {MAX_BODY_BYTES} bytes", (("connection", "close"),))
    length = first(headers, "content-length") or "0"
    if not length.isdigit() or len(length) > 9 or int(length) > MAX_BODY_BYTES:
        return too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MAX_BODY_BYTES:
                    return too_large
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        return _text(408, "the body did not come in time", (("connection", "close"),))


async def _send(send: Send, answer: HttpResponse, *, head: bool) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


def _is_json(body: bytes) -> bool:
    """Whether anything can be read there at all: JSON, plain or in gzip."""
    try:
        msgspec.json.decode(inflate(body, MAX_BODY_BYTES) if body[:2] == _GZIP_MAGIC else body, type=msgspec.Raw)
    except (msgspec.MsgspecError, RemoteProtocolError, ValueError, RecursionError):
        return False
    return True
