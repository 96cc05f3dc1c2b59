"""The envelope in which every REST answer comes, and the error codes in it (sheet §2.1, §2.2)."""

from __future__ import annotations

import hashlib
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct

from touchline.feeds.base import Instant
from touchline.wire.http import HttpRequest, HttpResponse, Pairs, every, json_response

MAX_AGE_SECONDS: Final = 5
"""How often the provider refreshes (§2.4)."""
LIFETIME_SECONDS: Final = 10
"""``cache.expires``; the provider's is later than ``max_age`` says too."""

Data = TypeVar("Data")


class Problem(NamedTuple):
    """An HTTP status and the provider's code for it."""

    status: int
    code: str


BAD_INPUT: Final = Problem(400, "A-400-0")
BAD_PROJECT: Final = Problem(400, "A-400-2")
BAD_API_KEY: Final = Problem(400, "C-400-1")
"""OUR CHOICE of code, as those below that say so: the provider's is not known."""
NOT_CONFIGURED: Final = Problem(400, "P-400-1")
"""OUR CHOICE."""
ALREADY_SUBSCRIBED: Final = Problem(400, "P-400-4")
BAD_TOKEN: Final = Problem(401, "A-401-0")
NOTHING_THERE: Final = Problem(404, "A-404-0")
"""OUR CHOICE."""
NOT_SUBSCRIBED: Final = Problem(404, "P-404-1")
TOO_MANY: Final = Problem(429, "A-429-0")
"""OUR CHOICE."""


class Cache(Struct, frozen=True):
    """How long the data may be kept; ``expires`` in seconds since 1970."""

    key: str
    expires: float
    etag: str
    max_age: int


class Schema(Struct, frozen=True):
    """The version of the data's shape."""

    major_version: str = "5.0"
    minor_version: str = "5.0.0"


class Error(Struct, frozen=True):
    """What went wrong."""

    code: str
    http_status_code: int
    msg: str


class Envelope(Struct, Generic[Data], frozen=True, kw_only=True):
    """What every answer looks like: ``data`` or ``error``."""

    data: Data | None
    cache: Cache
    schema: Schema = Schema()
    error: Error | None = None
    http_status_code: int = 200


class Refused(Exception):
    """The request gets this problem and text."""

    def __init__(self, problem: Problem, message: str, headers: Pairs = ()) -> None:
        super().__init__(message)
        self.problem, self.message, self.headers = problem, message, headers


def refusal(refused: Refused, now: Instant) -> HttpResponse:
    """An error answer."""
    status, code = refused.problem
    error = Error(code, status, refused.message)
    body: Envelope[None] = Envelope(data=None, cache=_uncached(now), error=error, http_status_code=status)
    return json_response(body, status, refused.headers)


def done(data: object, now: Instant, status: int = 200) -> HttpResponse:
    """The answer to what changed something or is for the caller alone: nobody is to keep it."""
    body: Envelope[object] = Envelope(data=data, cache=_uncached(now), http_status_code=status)
    return json_response(body, status, (("cache-control", "no-store"),))


def _uncached(now: Instant) -> Cache:
    return Cache("", now.wall_ns / 1e9, "", 0)


def found(request: HttpRequest, key: str, data: bytes, now: Instant) -> HttpResponse:
    """Data as it stands, or 304 when the caller has it already.

    A push promises that REST shows its news, so HTTP caches are told to ask every time; the members under ``cache``
    are for who polls.
    """
    etag = hashlib.blake2b(data, digest_size=16).hexdigest()
    headers: Pairs = (("etag", f'W/"{etag}"'), ("cache-control", "private, no-cache"))
    asked = ",".join(every(request.headers, "if-none-match"))
    known = {tag.strip().removeprefix("W/").strip('"') for tag in asked.split(",")}
    if etag in known or "*" in known:
        return HttpResponse(304, b"", headers)
    cache = Cache(key, now.wall_ns / 1e9 + LIFETIME_SECONDS, etag, MAX_AGE_SECONDS)
    body: Envelope[Raw] = Envelope(data=Raw(data), cache=cache)
    return HttpResponse(200, msgspec.json.encode(body), (("content-type", "application/json"), *headers))
