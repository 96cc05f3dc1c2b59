"""Insights V2, the REST feed: the same insights as pushed, byte for byte, by league, type, language and subject.

Sheet 2.1; wrapper key, error bodies and the name of the book filter are OUR CHOICE. An unknown subjectId has no
insights, which is an empty page; so has a topic of which nothing was published.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import re
from typing import Final

import msgspec

from touchline.feeds.base import Member, Ports
from touchline.feeds.insights import topics
from touchline.feeds.insights.messages import FEED_NAME, ErrorBody, Results
from touchline.feeds.insights.state import SUBJECTS, Kept, TopicState
from touchline.wire.http import HttpRequest, HttpResponse, Pairs, json_response

PAGE_SIZE: Final = 50
_PAGE: Final = re.compile(rb"insights-v2:([0-9]{1,16})\Z")


class _Refused(Exception):
    """The request gets this status and message."""

    def __init__(self, status: int, message: str, headers: Pairs = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


class InsightsApi:
    """``GET /insights/v2/{league}/{language}/{insight_type}/{subject}/{subjectId}``."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def insights(self, request: HttpRequest) -> HttpResponse:
        """A page, newest first."""
        try:
            member = self._member(request)
            topic = _topic(request)
            if topic not in topics.opened(member.grants):
                raise _Refused(403, "Forbidden")
            token = request.param("pageToken")
            before = None if token is None else _offset(token)
            state = await self._ports.snapshots.state(FEED_NAME, topic)
            return json_response(_page(state, request, before))
        except _Refused as refused:
            return json_response(ErrorBody(refused.message), refused.status, refused.headers)

    def _member(self, request: HttpRequest) -> Member:
        """Who asks: the bare token, with no word before it (sheet 1)."""
        token = request.header("authorization")
        if not token:
            raise _Refused(401, "Unauthorized")
        logins = self._ports.logins
        # The limit counts tries of one token; it is not to be kept as it is.
        name = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        wait = logins.blocked(request.address, name)
        if wait is not None:
            raise _Refused(429, "Too Many Requests", (("retry-after", str(max(1, math.ceil(wait)))),))
        member = self._ports.directory.member(FEED_NAME, lookup=token)
        if member is None:
            logins.failed(request.address, name)
            raise _Refused(403, "Forbidden")
        return member


def _topic(request: HttpRequest) -> str:
    path = request.path_params
    league, kind, language = path.get("league", ""), path.get("insight_type", ""), path.get("language", "")
    if league not in topics.LEAGUES or kind not in topics.TYPES or path.get("subject") not in SUBJECTS:
        raise _Refused(404, "Not Found")
    if language not in topics.LOCALES:
        raise _Refused(400, f"language must be one of {', '.join(topics.LOCALES)}")
    topic = f"{league}/{kind}/{language}"
    if topics.refusal(topic) is not None:
        raise _Refused(400, f"languages other than {topics.ENGLISH} exist for {topics.TRANSLATED} only")
    return topic


def _page(state: TopicState | None, request: HttpRequest, before: int | None) -> Results:
    subject, subject_id = request.path_params["subject"], request.path_params.get("subjectId", "")
    book = request.param("bookId")
    page: list[Kept] = []
    for kept in state.newest_first() if state is not None else ():
        if before is not None and kept.offset >= before:
            continue
        if subject_id not in kept.about.get(subject, ()) or (book is not None and kept.book != book):
            continue
        if len(page) == PAGE_SIZE:
            return Results([msgspec.Raw(one.data) for one in page], _token(page[-1].offset))
        page.append(kept)
    return Results([msgspec.Raw(one.data) for one in page])


def _token(offset: int) -> str:
    """Where the next page goes on: below this offset, whatever is published meanwhile or restarted."""
    return base64.urlsafe_b64encode(b"insights-v2:%d" % offset).rstrip(b"=").decode()


def _offset(token: str) -> int:
    try:
        text = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        text = b""
    match = _PAGE.match(text)
    if match is None:
        raise _Refused(400, "pageToken is not valid")
    return int(match.group(1))
