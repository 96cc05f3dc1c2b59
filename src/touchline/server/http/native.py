"""Reading natively: events by position, the same as a stream of server-sent events, and snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from touchline.delivery.fanout import Framing, Reader
from touchline.errors import PositionGone, RemoteProtocolError
from touchline.feeds.base import Admission, Answered, EndReason, Identify, Operation, Owned, Parameter
from touchline.feeds.hub import selection
from touchline.feeds.hub.selection import HubSelector, selector
from touchline.log.base import MAX_PAGE
from touchline.model import Position, Record
from touchline.server.http.access import admit
from touchline.server.http.asgi import Receive, Scope, Send
from touchline.server.hub import Hub
from touchline.server.sessions import Identity, Sessions
from touchline.wire import cloudevents, sse
from touchline.wire import position as position_token
from touchline.wire.cloudevents import NDJSON_TYPE
from touchline.wire.http import HttpRequest, HttpResponse, problem

EVENTS: Final = "/hub/v1/events"
STREAM: Final = "/hub/v1/stream"
SNAPSHOT: Final = "/hub/v1/snapshots/{feed}/{subject}"

_DEFAULT_LIMIT: Final = 100
_MAX_LIMIT: Final = 1000
_MAX_SCANS: Final = 20
_TRIES: Final = 3
_MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
_HEARTBEAT_SECONDS: Final = 15.0
_END_SECONDS: Final = 3.0

_FILTERS: Final = (
    Parameter("feed", "query", "only this feed; may repeat"),
    Parameter("subject", "query", "only this stream; may repeat"),
    Parameter("type", "query", "only this event type; may repeat"),
)
_AFTER: Final = Parameter("after", "query", "a position: go on behind it (exclusive)")
_PROBLEM: Final = "application/problem+json"
_REFUSALS: Final = {
    400: Answered("a parameter is wrong", media_type=_PROBLEM),
    401: Answered("no good key", media_type=_PROBLEM),
    403: Answered("the key may not read", media_type=_PROBLEM),
    410: Answered("reading cannot go on there without a gap: `reason`, `oldest`, `head`", media_type=_PROBLEM),
    429: Answered("too many failed logins", media_type=_PROBLEM),
    503: Answered("the log cannot be read now", media_type=_PROBLEM),
}


class NativeReading:
    """The native read operations of a hub."""

    def __init__(self, hub: Hub, sessions: Sessions) -> None:
        self._hub = hub
        self._sessions = sessions
        self._framing = Framing("hub:sse", selection.encode, _sse_frame)

    def operations(self) -> list[Operation]:
        """Their declarations."""
        page: dict[str, Any] = {
            "type": "object",
            "required": ["events", "position", "more"],
            "properties": {
                "events": {"type": "array", "items": {"$ref": "#/components/schemas/CloudEvent"}},
                "position": {"type": "string"},
                "more": {"type": "boolean"},
            },
        }
        return [
            Operation(
                "GET",
                EVENTS,
                "read_events",
                "Read events by position, oldest first; `Accept: application/x-ndjson` gives one a line",
                self.read,
                parameters=(
                    *_FILTERS,
                    _AFTER,
                    Parameter(
                        "limit",
                        "query",
                        f"at most so many, {_DEFAULT_LIMIT} when absent",
                        {"type": "integer", "minimum": 1, "maximum": _MAX_LIMIT},
                    ),
                ),
                answers={200: Answered("events, and the position to go on behind", page), **_REFUSALS},
                security="readerKey",
                tag="reading",
            ),
            Operation(
                "GET",
                STREAM,
                "stream_events",
                "The same as server-sent events: stored ones behind a position first, then live ones",
                self._never,
                parameters=(
                    *_FILTERS,
                    _AFTER,
                    Parameter("Last-Event-ID", "header", "as `after`, and wins over it; sent by EventSource"),
                ),
                answers={200: Answered("`id:` is the position", {"type": "string"}, "text/event-stream"), **_REFUSALS},
                security="readerKey",
                tag="reading",
            ),
            Operation(
                "GET",
                SNAPSHOT,
                "read_snapshot",
                "The whole current state of a stream, folded from its events",
                self.snapshot,
                parameters=(
                    Parameter("feed", "path", "the feed", required=True),
                    Parameter("subject", "path", "the stream", required=True),
                ),
                answers={
                    200: Answered("the state", {"type": "object"}),
                    **_REFUSALS,
                    404: Answered("nothing is known of this stream", media_type=_PROBLEM),
                },
                security="readerKey",
                tag="reading",
            ),
        ]

    async def _never(self, request: HttpRequest) -> HttpResponse:
        raise AssertionError(request.path)

    def _begin(self, request: HttpRequest, token: str | None) -> tuple[Admission, HubSelector, int] | HttpResponse:
        """Who reads, what, and after which offset (-1: not said)."""
        admission = admit(self._hub, request)
        if isinstance(admission, HttpResponse):
            return admission
        try:
            chosen = selector(admission, request, tuple(self._hub.feeds))
        except RemoteProtocolError as error:
            return problem(400, "Bad Request", str(error))
        if token is None:
            return admission, chosen, -1
        view = self._hub.position(token)
        if view.gone == "invalid":
            return problem(400, "Bad Request", view.detail)
        if view.gone:
            return problem(410, "Gone", view.detail, reason=view.gone, oldest=view.oldest, head=view.head)
        return admission, chosen, view.after

    async def read(self, request: HttpRequest) -> HttpResponse:
        """A page of events."""
        begun = self._begin(request, request.param("after"))
        if isinstance(begun, HttpResponse):
            return begun
        _, chosen, after = begun
        text = request.param("limit") or str(_DEFAULT_LIMIT)
        if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= _MAX_LIMIT):
            return problem(400, "Bad Request", f"limit is a number from 1 to {_MAX_LIMIT}")
        log = self._hub.event_log
        try:
            collect = self._collect_oldest if after < 0 else self._collect
            records, reached, more = await collect(chosen, after, int(text))
        except PositionGone as error:
            view = self._hub.position(None)
            return problem(410, "Gone", str(error), reason=error.reason, oldest=view.oldest, head=view.head)
        epoch = log.epoch
        events = [cloudevents.encode(record, Position(epoch, record.offset)) for record in records]
        position = position_token.encode(Position(epoch, reached))
        if NDJSON_TYPE in (request.header("accept") or ""):
            headers = (
                ("content-type", NDJSON_TYPE),
                ("touchline-position", position),
                ("touchline-more", "true" if more else "false"),
            )
            return HttpResponse(200, b"".join(cloudevents.one_line(event) + b"\n" for event in events), headers)
        body = b'{"events":[%b],"position":"%b","more":%b}' % (
            b",".join(events),
            position.encode(),
            b"true" if more else b"false",
        )
        return HttpResponse(200, body)

    async def _collect_oldest(self, chosen: HubSelector, after: int, limit: int) -> tuple[list[Record], int, bool]:
        """From the oldest record on. While it is read retention may remove it: a few times."""
        log = self._hub.event_log
        for _ in range(_TRIES):
            with suppress(PositionGone):
                return await self._collect(chosen, max(after, log.floor), limit)
        return await self._collect(chosen, max(after, log.floor), limit)

    async def _collect(self, chosen: HubSelector, after: int, limit: int) -> tuple[list[Record], int, bool]:
        """Up to ``limit`` records that the reader may see, the offset that was looked at, and whether there is more."""
        found: list[Record] = []
        size = 0
        # Only where the log itself selects what the reader gets does a small page not mean many of them.
        narrow = chosen.admin and len(chosen.feeds) < 2 and (not chosen.subjects or chosen.subject is not None)
        for _ in range(_MAX_SCANS):
            page = await self._hub.event_log.read(
                after,
                min(MAX_PAGE, limit - len(found)) if narrow else _MAX_LIMIT,
                feed=chosen.feed,
                subject=chosen.subject,
                types=chosen.types or None,
            )
            for record in page.records:
                after = record.offset
                if chosen.matches(record):
                    found.append(record)
                    size += len(record.event.data)
                    if len(found) >= limit or size > _MAX_ANSWER_BYTES:
                        return found, after, page.more or record is not page.records[-1]
            after = page.next_after
            if not page.more:
                return found, after, False
        return found, after, True

    async def snapshot(self, request: HttpRequest) -> HttpResponse:
        """A stream's folded state."""
        admission = admit(self._hub, request)
        if isinstance(admission, HttpResponse):
            return admission
        feed, subject = request.path_params["feed"], request.path_params["subject"]
        unknown = problem(404, "Not Found", "nothing is known of this stream, or its feed keeps no snapshot")
        if feed not in self._hub.feeds or not await self._may_see(admission, feed, subject):
            return unknown
        state = await self._hub.snapshots.state(feed, subject)
        fold = self._hub.snapshots.fold(feed)
        if state is None or fold is None or not _may_have(admission, state):
            return unknown
        return HttpResponse(200, fold.view(state))

    async def _may_see(self, admission: Admission, feed: str, subject: str) -> bool:
        if admission.partner is None:
            return True
        grants = admission.grants
        if (grants.get("feed") and feed not in grants["feed"]) or (
            grants.get("subject") and subject not in grants["subject"]
        ):
            return False
        if grants.get("type"):
            return False
        info = await self._hub.event_log.stream(feed, subject)
        if info is None or info.last_offset <= self._hub.event_log.floor:
            return feed != "hub"
        page = await self._hub.event_log.read(info.last_offset - 1, 1, feed=feed, subject=subject)
        owner = page.records[0].event.partner if page.records else None
        return owner is None or owner in grants.get("partner", frozenset())

    # server-sent events

    async def stream(self, request: HttpRequest, scope: Scope, receive: Receive, send: Send) -> None:
        """``GET /hub/v1/stream``."""
        token = request.header("last-event-id") or request.param("after") or None
        begun = self._begin(request, token)
        if isinstance(begun, HttpResponse):
            await _send_whole(begun, send)
            return
        admission, chosen, after = begun
        state = scope.get("state", {})
        high_bytes = self._sessions.settings.session_backlog_bytes
        session = SseSession(self._sessions, self._framing, high_bytes, state.get("abort"), state.get("untaken"))
        session.identity = self._sessions.identity(
            "hub", Identify(admission.partner, key_id=admission.key_id, grants=admission.grants)
        )
        await session.run(chosen, None if after < 0 else after, receive, send)


class SseSession:
    """One server-sent events reader: the fan-out writes into it, one task sends what is due in one piece."""

    def __init__(
        self,
        sessions: Sessions,
        framing: Framing,
        high_bytes: int,
        abort: Callable[[], None] | None,
        untaken: Callable[[], int] | None,
    ) -> None:
        self._sessions = sessions
        self._fanout = sessions.hub.fanout
        self._reader: Reader | None = self._fanout.attach(self, framing)
        self._high_bytes = high_bytes
        self._chunks: list[bytes] = []
        self._size = 0
        self._sending = 0
        self._due = asyncio.Event()
        self._ended: EndReason | None = None
        self._abort = abort
        self._untaken = untaken
        self._abort_timer: asyncio.TimerHandle | None = None
        self.identity: Identity | None = None

    def write(self, data: bytes) -> None:
        """Keep for the sending task."""
        if self._ended is not None or self._reader is None:
            return
        self._chunks.append(data)
        self._size += len(data)
        self._due.set()
        if self._size > self._high_bytes and not self._reader.blocked:
            self._fanout.blocked(self._reader)

    def backlog(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._size + self._sending + (0 if self._untaken is None else self._untaken())

    def end(self, reason: EndReason) -> None:
        """Say why, then close; a client that does not take what it was sent before is not waited for."""
        if self._ended is None and self._reader is not None:
            self._ended = reason
            self._fanout.detach(self._reader)
            self._due.set()
            if self._abort is not None:
                self._abort_timer = asyncio.get_running_loop().call_later(_END_SECONDS, self._abort)

    def abort(self) -> None:
        """Close without a word."""
        if self._abort is not None:
            self._abort()

    def tick(self, now: float) -> None:
        """Heartbeats are the sending task's."""

    async def run(self, chosen: HubSelector, after: int | None, receive: Receive, send: Send) -> None:
        """Send until the client leaves or the session is ended."""
        reader, metrics = self._reader, self._sessions.hub.metrics
        assert reader is not None, "a session runs once"
        self._sessions.add(self)
        metrics.sessions.labels("hub", "sse").inc()
        metrics.sessions_opened.labels("hub", "sse").inc()
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: self._due.set())
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": sse.comment("connected"), "more_body": True})
            self._fanout.follow(reader, 1, chosen, after, finite=False)
            while not gone.done():
                try:
                    async with asyncio.timeout(_HEARTBEAT_SECONDS):
                        await self._due.wait()
                except TimeoutError:
                    self._chunks.append(sse.comment("keep-alive"))
                self._due.clear()
                await self._send_due(reader, send)
                if self._ended is not None:
                    last = sse.event(b'{"reason":"%b"}' % self._ended.value.encode(), name="end")
                    if self._ended is EndReason.GAP:
                        last = sse.event(b'{"reason":"expired"}', name="gap")
                    await send({"type": "http.response.body", "body": last, "more_body": False})
                    self._sessions.ended(self, "hub", self._ended)
                    break
        finally:
            gone.cancel()
            if self._abort_timer is not None:
                self._abort_timer.cancel()
            self._fanout.detach(reader)
            self._sessions.remove(self)
            # The reader knows this sink: rings, with a connection in each, of which thousands may end at once.
            self._reader = self._abort = self._untaken = None
            metrics.sessions.labels("hub", "sse").dec()

    async def _send_due(self, reader: Reader, send: Send) -> None:
        chunks, self._chunks = self._chunks, []
        if not chunks:
            return
        self._sending, self._size = self._size, 0
        await send({"type": "http.response.body", "body": b"".join(chunks), "more_body": True})
        self._sending = 0
        if reader.blocked:
            self._fanout.drained(reader)


def _may_have(admission: Admission, state: object) -> bool:
    """Whether a state may be shown: one partner's alone only to those who were granted it."""
    owner = state.owner if isinstance(state, Owned) else None
    return admission.partner is None or owner is None or owner in admission.grants.get("partner", frozenset())


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_whole(response: HttpResponse, send: Send) -> None:
    headers = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _sse_frame(message: str | bytes, record: Record, position: Position) -> bytes:
    del record
    data = message if isinstance(message, bytes) else message.encode()
    return sse.event(data, event_id=position_token.encode(position))
