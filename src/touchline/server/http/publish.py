"""``POST /hub/v1/events``: CloudEvents in, durable, all or nothing.

The body is one CloudEvent (structured or binary mode), a JSON array, or one event a line. Everything is checked before
anything is stored; the answer comes when the event lane's part is on disk. With ``?on_error=skip`` the good ones are
stored and the refused ones listed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from touchline.errors import Conflict, EventProblem, LogError
from touchline.feeds.base import Answered, Operation, Parameter
from touchline.log.entries import Key
from touchline.model import EVENT_LANE, Event, Position
from touchline.server.http.access import require
from touchline.server.hub import Hub
from touchline.wire import cloudevents
from touchline.wire import position as position_token
from touchline.wire.cloudevents import BATCH_TYPE, JSON_TYPE, NDJSON_TYPE, Envelope, Problem
from touchline.wire.http import HttpRequest, HttpResponse, json_response, problem

PATH: Final = "/hub/v1/events"

_STORED: Final = 202
_SLICE: Final = 500
"""Events checked before others get the event loop."""

_CONTENT_TYPES_KEPT: Final = 64

_SHOWN: Final = 100
"""Problems listed in an answer; the count says how many there are."""

_Item = Envelope | list[Problem]


class Accepted(msgspec.Struct, omit_defaults=True):
    """The answer of a publish request."""

    accepted: int
    duplicates: int
    position: str
    errors: list[EventProblem] | msgspec.UnsetType = msgspec.UNSET


class Publishing:
    """The publish operation of a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        published = hub.metrics.published
        self._accepted = published.labels("accepted")
        self._duplicates = published.labels("duplicate")
        self._refused = published.labels("refused")

    def operation(self) -> Operation:
        """Its declaration."""
        event: dict[str, Any] = {"$ref": "#/components/schemas/CloudEvent"}
        problem_answer = Answered("refused; nothing was stored", media_type="application/problem+json")
        return Operation(
            "POST",
            PATH,
            "publish",
            "Publish events: all or nothing, acknowledged when durable",
            self.handle,
            parameters=(
                Parameter(
                    "on_error",
                    "query",
                    "`skip` stores the good events and lists the refused ones; `fail` (default) stores all or none",
                    {"type": "string", "enum": ["fail", "skip"]},
                ),
            ),
            body={
                "required": True,
                "content": {
                    JSON_TYPE: {"schema": event},
                    BATCH_TYPE: {"schema": {"type": "array", "items": event}},
                    NDJSON_TYPE: {"schema": {"type": "string"}},
                },
            },
            answers={
                202: Answered("stored; `position` is the head after it", Accepted),
                400: problem_answer,
                401: problem_answer,
                403: problem_answer,
                409: problem_answer,
                413: problem_answer,
                415: problem_answer,
                429: problem_answer,
                503: Answered("the log cannot take it now; repeat later", media_type="application/problem+json"),
            },
            security="publisherKey",
            tag="publishing",
        )

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Authorise, decode, check, append."""
        key = require(self._hub, request, "publisher")
        if isinstance(key, HttpResponse):
            return key
        on_error = request.param("on_error") or "fail"
        if on_error not in ("fail", "skip"):
            return problem(400, "Bad Request", "on_error may be fail or skip")
        items = self._items(request)
        if isinstance(items, HttpResponse):
            return items
        limit = self._hub.settings.max_batch_events
        if len(items) > limit:
            return problem(413, "Content Too Large", f"{len(items)} events; a request holds at most {limit}")
        if not items:
            return problem(400, "Bad Request", "the body holds no event")
        events, indexes, problems, forbidden = await self._check(items, key)
        if problems and (on_error == "fail" or not events):
            self._refused.inc(len(items))
            status = 403 if forbidden else 400
            return refusal(status, problems)
        try:
            answer = await self._append(events, indexes, problems, skip=on_error == "skip")
        except LogError:  # ours, not the publisher's: it has not fallen silent
            self._hub.publishers.heard(key)
            raise
        if answer.status == _STORED:
            self._hub.publishers.heard(key)
        return answer

    def _items(self, request: HttpRequest) -> Sequence[_Item] | HttpResponse:
        media_type, charset = _content_type(request.header("content-type") or "")
        if charset not in ("", "utf-8", "utf8", "us-ascii"):
            return problem(415, "Unsupported Media Type", f"charset {charset[:32]!r}; only UTF-8 is taken")
        body = request.body
        limit = self._hub.settings.max_batch_events
        if media_type == NDJSON_TYPE and body.count(b"\n") > 2 * limit + 100:  # a few empty lines are passed over
            return problem(413, "Content Too Large", f"too many lines; a request holds at most {limit} events")
        try:
            body.decode()
        except UnicodeDecodeError as error:
            if media_type != NDJSON_TYPE:
                return problem(400, "Bad Request", f"the body is not UTF-8 (byte {error.start})")
            return [_line(line) for line in body.split(b"\n") if line and not line.isspace()]
        if media_type == JSON_TYPE:
            return [cloudevents.decode(body)]
        if media_type == NDJSON_TYPE:
            return cloudevents.decode_lines(body)
        if media_type == BATCH_TYPE:
            batch = cloudevents.decode_batch(body)
            return problem(400, "Bad Request", batch[1]) if isinstance(batch, tuple) else batch
        if any(name.startswith("ce-") for name, _ in request.headers):
            return [cloudevents.decode_binary(request.headers, body)]
        return problem(
            415,
            "Unsupported Media Type",
            f"Content-Type {media_type[:64]!r}; send {JSON_TYPE}, {BATCH_TYPE} or {NDJSON_TYPE}, or ce- headers",
        )

    async def _check(self, items: Sequence[_Item], key: Key) -> tuple[list[Event], list[int], list[EventProblem], bool]:
        events: list[Event] = []
        indexes: list[int] = []
        problems: list[EventProblem] = []
        forbidden = False
        received_at = self._hub.clock.wall_ns()
        limit = self._hub.settings.max_event_bytes
        intake = self._hub.intake.event
        limited = bool(key.feeds or key.sources)
        for index, item in enumerate(items):
            if index and index % _SLICE == 0:
                await asyncio.sleep(0)
            if isinstance(item, list):
                problems += [EventProblem(index, field, detail) for field, detail in item]
                continue
            if len(item.data) > limit:
                problems.append(EventProblem(index, "data", f"is larger than {limit} bytes"))
                continue
            event = intake(item, received_at)
            if isinstance(event, tuple):
                problems.append(EventProblem(index, event[0], event[1]))
            elif limited and (field := _out_of_scope(event, key)):
                forbidden = True
                problems.append(EventProblem(index, field, "is outside what this key may publish"))
            else:
                events.append(event)
                indexes.append(index)
        return events, indexes, problems, forbidden

    async def _append(
        self, events: list[Event], indexes: list[int], problems: list[EventProblem], *, skip: bool
    ) -> HttpResponse:
        log, metrics = self._hub.event_log, self._hub.metrics
        started = self._hub.clock.monotonic()
        try:
            done = await log.append(events, skip_conflicts=skip)
        except Conflict as conflict:
            self._refused.inc(len(events))
            return refusal(409, [_conflict(indexes[index]) for index in conflict.indexes])
        if any(event.lane is EVENT_LANE for event in events):
            metrics.append_seconds.observe(self._hub.clock.monotonic() - started)
        problems = problems + [_conflict(indexes[index]) for index in done.conflicts]
        self._accepted.inc(done.accepted)
        if done.duplicates:
            self._duplicates.inc(done.duplicates)
        if problems:
            self._refused.inc(len({found.index for found in problems}))
        answer = Accepted(done.accepted, done.duplicates, position_token.encode(Position(log.epoch, done.head)))
        if skip:
            answer.errors = sorted(problems, key=lambda found: found.index)
        return json_response(answer, _STORED)


def refusal(status: int, problems: Sequence[EventProblem]) -> HttpResponse:
    """Nothing was stored, and why: each event's index, field and problem (the first hundred)."""
    titles = {400: "Invalid events", 403: "Events outside the key's scope", 409: "Conflicting events"}
    detail = f"nothing was stored; {len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return problem(status, titles[status], detail, errors=list(problems[:_SHOWN]), error_count=len(problems))


@lru_cache(_CONTENT_TYPES_KEPT)
def _content_type(text: str) -> tuple[str, str]:
    """The media type of a Content-Type and its charset, in lower case; '' for what is not there."""
    media_type, _, parameters = text.lower().partition(";")
    return media_type.strip(), parameters.partition("charset=")[2].strip(' "').partition(";")[0].strip(' "')


def _conflict(index: int) -> EventProblem:
    return EventProblem(index, "id", "an event with this source and id is stored already with other content")


def _line(line: bytes) -> _Item:
    try:
        line.decode()
    except UnicodeDecodeError:
        return [("", "the line is not UTF-8")]
    return cloudevents.decode(line)


def _out_of_scope(event: Event, key: Key) -> str:
    if key.may_publish(event.feed, event.source):
        return ""
    return "type" if key.feeds and event.feed not in key.feeds else "source"
