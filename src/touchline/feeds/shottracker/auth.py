"""HMAC-SHA1 request signatures of the Event API: made and verified (authentication and examples pages; sheet §1).

Owns the string to sign, the header's form and the refusals' words; knows no directory and no clock. The scheme is that
of Kong's ``hmac-auth`` plugin (sheet §1.3); where the provider is silent that plugin's rules and messages are followed.
``verify`` never raises, whatever a peer sends.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from msgspec import Struct

from touchline.feeds.base import Instant
from touchline.wire.http import HttpRequest, every

MAX_SKEW_SECONDS: Final = 300
MAX_HEADER_CHARS: Final = 4096
MAX_SIGNED_HEADERS: Final = 32
ALGORITHM: Final = "hmac-sha1"
CHALLENGE: Final = "hmac"

UNAUTHORIZED: Final = "Unauthorized"
BAD_DATE: Final = "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication"
CANNOT_VERIFY: Final = "HMAC signature cannot be verified"
NO_MATCH: Final = "HMAC signature does not match"

_REQUEST_LINE: Final = "request-line"
_DATE_HEADERS: Final = ("x-date", "date")
# Kong matches the parameters in this order and takes the scheme word in two spellings (sheet §1.3).
_CREDENTIALS: Final = re.compile(
    r'\s*[Hh]mac\s+username="([^"]{1,256})",\s*algorithm="([^"]{1,64})",\s*headers="([^"]{1,1024})",\s*'
    r'signature="([^"]{1,256})"\s*\Z'
)
_IMF_DATE: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4}) "
    r"(\d\d):(\d\d):(\d\d) GMT\Z",
    re.ASCII,
)
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_SECRET: Final = "no such username: signed with this, so that refusing takes as long as for a known one"  # noqa: S105


class Signed(Struct, frozen=True):
    """The request is signed by this username."""

    username: str


class Refusal(Struct, frozen=True):
    """Why it is not. ``username`` is the claimed one ('' when none could be read); ``presented`` says that a
    signature was offered, so that this counts as a failed login.
    """

    message: str
    username: str = ""
    presented: bool = True
    status: int = 401


class Credentials(Struct, frozen=True):
    """The parts of a signature header; ``headers`` in the order in which they were signed, lower-case."""

    username: str
    algorithm: str
    headers: tuple[str, ...]
    signature: str


def http_date(wall_ns: int) -> str:
    """IMF-fixdate in GMT of UTC nanoseconds, without asking the locale (sheet §9)."""
    moment = _EPOCH + timedelta(seconds=wall_ns // 1_000_000_000)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} GMT"


def parse_http_date(text: str) -> int | None:
    """UTC nanoseconds of an IMF-fixdate, or None when the text is none."""
    match = _IMF_DATE.match(text)
    if match is None:
        return None
    day, month, year, hour, minute, second = match.groups()
    try:
        moment = datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC
        )
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=1) * 1_000_000_000


def signature(secret: str, text: str) -> str:
    """Base64 of HMAC-SHA1 over the text."""
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode("ascii")


def sign(username: str, secret: str, *, method: str, target_path: str, host: str, date: str) -> str:
    """The Authorization header of a request (examples page). ``target_path`` as on the wire, without the query; send
    ``date`` and ``host`` as headers with exactly these values.
    """
    # The provider's own three lines: date, host, then the line that says HTTP/1.1 whatever is spoken (sheet §1.3).
    text = f"date: {date.strip()}\nhost: {host}\n{method} {target_path} HTTP/1.1"
    return (
        f'hmac username="{username}",algorithm="{ALGORITHM}",headers="date host request-line",'
        f'signature="{signature(secret, text)}"'
    )


def credentials(request: HttpRequest) -> Credentials | None:
    """What the request's signature header says, or None when it has none that can be read.

    ``Proxy-Authorization`` is tried before ``Authorization`` (sheet §1.3).
    """
    for name in ("proxy-authorization", "authorization"):
        value = request.header(name)
        if value is None or len(value) > MAX_HEADER_CHARS or not value.isascii():
            continue
        match = _CREDENTIALS.match(value)
        if match is not None:
            username, algorithm, headers, signed = match.groups()
            return Credentials(username, algorithm, tuple(headers.lower().split()), signed)
    return None


def verify(
    request: HttpRequest, secret_of: Callable[[str], str | None], now: Instant, *, with_query: bool = False
) -> Signed | Refusal:
    """Whether the request is signed, and by whom. ``secret_of`` gives a username's secret or None.

    Every name in ``request.hosts`` is tried as the signed host. ``with_query`` accepts a signature over the path with
    its query too, which the provider's documents call a mistake: off unless an operator has such clients.
    """
    presented = any(request.header(name) is not None for name in ("proxy-authorization", "authorization"))
    if not presented:
        return Refusal(UNAUTHORIZED, presented=False)
    claimed = credentials(request)
    # Kong looks at the date before it parses the header. Ours takes it from a date that the signature covers alone: an
    # unsigned fresh x-date beside an old signed date would replay for ever (sheet §1.3, OUR CHOICE).
    if not _date_is_good(request, _DATE_HEADERS if claimed is None else claimed.headers, now):
        return Refusal(BAD_DATE, claimed.username if claimed else "")
    if claimed is None or not _is_acceptable(request, claimed):
        return Refusal(CANNOT_VERIFY, claimed.username if claimed else "")
    secret = secret_of(claimed.username)
    matches = _matches(request, claimed, _NO_SECRET if secret is None else secret, with_query=with_query)
    if secret is None:
        return Refusal(CANNOT_VERIFY, claimed.username)
    return Signed(claimed.username) if matches else Refusal(NO_MATCH, claimed.username)


def _date_is_good(request: HttpRequest, covered: tuple[str, ...], now: Instant) -> bool:
    for name in _DATE_HEADERS:
        value = request.header(name) if name in covered else None
        if value is not None:
            moment = parse_http_date(value.strip())
            return moment is not None and abs(moment - now.wall_ns) <= MAX_SKEW_SECONDS * 1_000_000_000
    return False


def _is_acceptable(request: HttpRequest, claimed: Credentials) -> bool:
    """Whether the signature covers what it must, and covers it unambiguously."""
    headers = claimed.headers
    return (
        claimed.algorithm == ALGORITHM
        and len(headers) <= MAX_SIGNED_HEADERS
        and "host" in headers
        and _REQUEST_LINE in headers
        and any(name in headers for name in _DATE_HEADERS)
        and all(len(values := every(request.headers, name)) <= 1 and "".join(values).isascii() for name in headers)
        and f"{request.method}{request.target_path}".isascii()
    )


def _matches(request: HttpRequest, claimed: Credentials, secret: str, *, with_query: bool) -> bool:
    try:
        given = base64.b64decode(claimed.signature, validate=True)
    except (binascii.Error, ValueError):
        given = b""
    found = False
    # Every host is tried, so that the time taken does not tell which one matched.
    for host in request.hosts or (request.header("host") or "",):
        if host.isascii():
            for target in _targets(request, with_query=with_query):
                text = _signed_text(request, claimed.headers, host, target)
                found |= hmac.compare_digest(hmac.digest(secret.encode(), text.encode(), "sha1"), given)
    return found


def _targets(request: HttpRequest, *, with_query: bool) -> set[str]:
    """The path as signed: without the query (authentication page), or with it as clients may have spelt it."""
    targets = {request.target_path}
    if with_query and request.query:
        queries = {urlsplit(request.url).query, urlencode(request.query), urlencode(request.query, quote_via=quote)}
        targets |= {f"{request.target_path}?{query}" for query in queries if query and query.isascii()}
    return targets


def _signed_text(request: HttpRequest, names: tuple[str, ...], host: str, target: str) -> str:
    """The string to sign: the listed headers in their order, one a line, no line feed after the last."""
    lines = []
    for name in names:
        if name == _REQUEST_LINE:
            lines.append(f"{request.method} {target} HTTP/1.1")
        elif name == "host":
            lines.append(f"host: {host}")
        else:
            value = request.header(name)
            # A listed header that the request lacks contributes its bare name (sheet §1.3).
            lines.append(f"{name}:" if value is None else f"{name}: {value.strip()}")
    return "\n".join(lines)
