"""A hub's own HTTP API for publishers, readers and operators: publish, read by position, partners, keys, status.

Synchronous, one request at a time. Requests that may be repeated without harm are repeated while the hub is away or
says 503: reading is harmless, and so is publishing, since the hub knows an event by ``source`` and ``id``.
"""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from touchline.client.http import HttpSender, NoAnswer, tls_context
from touchline.client.hub_endpoints import EndpointCalls
from touchline.clock import Clock, SystemClock
from touchline.errors import ConfigError, EventProblem, UpstreamError
from touchline.wire.backoff import Backoff
from touchline.wire.http import HttpRequest, HttpResponse

RETRY_SECONDS: Final = 30.0
MAX_RETRY_AFTER_SECONDS: Final = 60.0
PAGE_EVENTS: Final = 1000
_GZIP_FROM_BYTES: Final = 1024
BACKUP_SECONDS: Final = 3600.0
"""The hub makes its copy before it answers; that takes as long as its disk takes to read and write the database."""
_AWAY: Final = frozenset({429, 502, 503, 504})

Json = TypeVar("Json")


class HubRefused(UpstreamError):
    """The hub answered and said no. ``problems`` names the events at fault; repeating the request changes nothing."""

    retryable = False

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        problems: Sequence[EventProblem] = (),
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail, status=status)
        self.problems = tuple(problems)
        self.members = dict(members or {})


class Published(msgspec.Struct, frozen=True):
    """What became of a batch. ``errors`` lists what was refused under ``on_error='skip'``."""

    accepted: int
    duplicates: int
    position: str = ""
    errors: tuple[EventProblem, ...] = ()


class Page(msgspec.Struct, frozen=True):
    """Events as JSON texts, and the position to go on after. ``more`` says that there are more by now."""

    events: tuple[msgspec.Raw, ...]
    position: str
    more: bool = False


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key of the hub; ``key`` is the secret, given once when it is made."""

    id: str
    role: str
    name: str = ""
    feeds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    key: str = ""


# msgspec completes a type at its first use, and two threads that come first together crash the process (0.22). Clients
# are used by several threads, so it is done here.
for _kind in (Published, Page, Key, list[EventProblem]):
    msgspec.json.Decoder(_kind)


class HubClient:
    """Speaks to one hub. Use it in a ``with`` block, or call ``close``.

    ``key`` is an admin's, publisher's or hub partner's key, as the call needs. ``retry_seconds`` is for how long a
    request that may be repeated is repeated while the hub cannot be reached or says that it is busy; 0 is not at all.
    ``endpoints`` are the calls on webhook endpoints.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        ca_file: Path | str | None = None,
        retry_seconds: float = RETRY_SECONDS,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ConfigError(f"not a hub's address: {url!r}; give one such as http://127.0.0.1:8080")
        self._key = key
        self._sender = HttpSender(tls_context(ca_file))
        self._retry_seconds = retry_seconds
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self.endpoints = EndpointCalls(self._document)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    # publishing and reading

    def publish(self, lines: Iterable[bytes], *, on_error: str = "fail") -> Published:
        """Append CloudEvents, one JSON text each, as they are; returns when they are durable.

        ``on_error='skip'`` stores the good ones and lists the refused ones; otherwise it is all or nothing. Indexes of
        problems count the lines given here, from 0.

        Raises:
            HubRefused: events, key or request were refused; nothing was stored.
            UpstreamError: the hub could not be reached; repeating is safe, since events keep their ids.
        """
        body = b"\n".join(line.strip(b"\r\n") for line in lines)
        headers = [("content-type", "application/x-ndjson")]
        if len(body) >= _GZIP_FROM_BYTES:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers.append(("content-encoding", "gzip"))
        path = "/hub/v1/events" + ("?on_error=skip" if on_error == "skip" else "")
        return self._json(Published, self.request("POST", path, body, headers, repeatable=True))

    def read(
        self,
        *,
        feed: str | None = None,
        subject: str | None = None,
        type: str | None = None,  # noqa: A002 - the contract's name for the query parameter
        after: str | None = None,
        limit: int = PAGE_EVENTS,
    ) -> Page:
        """One page of events after a position (the beginning when None), oldest first."""
        asked = {"feed": feed, "subject": subject, "type": type, "after": after, "limit": str(limit)}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return self._json(Page, self.request("GET", f"/hub/v1/events?{query}"))

    def events(
        self,
        *,
        feed: str | None = None,
        subject: str | None = None,
        type: str | None = None,  # noqa: A002 - the contract's name for the query parameter
        after: str | None = None,
        limit: int = PAGE_EVENTS,
    ) -> Iterator[bytes]:
        """All events after a position up to the head, as JSON texts; each carries its ``position`` to go on after.

        Raises:
            HubRefused: with status 410 when the position cannot be continued from.
        """
        while True:
            page = self.read(feed=feed, subject=subject, type=type, after=after, limit=limit)
            for event in page.events:
                yield bytes(event)
            if not page.more or page.position == after:
                return
            after = page.position

    def status(self) -> dict[str, Any]:
        """What the hub says of itself (admin key)."""
        return self._document("GET", "/hub/v1/status")

    def backup(self, take: Callable[[bytes, int | None], None]) -> None:
        """A copy of the hub's database (admin key), handed over piece by piece with the size of the whole. It is whole
        when this returns.

        Raises:
            HubRefused: the key is no admin's, another backup is under way (409), or the hub has no room (507).
            UpstreamError: the hub could not be reached, or broke off.
        """
        request = self._to_send("GET", "/hub/v1/backup")
        answer = self._sender.download(request, take, first_seconds=BACKUP_SECONDS)
        if not 200 <= answer.status < 300:
            raise _refusal(answer)

    # partners

    def add_partner(
        self,
        name: str,
        feed: str,
        *,
        grants: Mapping[str, Sequence[str]] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Admit a partner to a feed; the answer's ``credentials`` are shown this once where they are kept as a hash."""
        body = {"name": name, "feed": feed, "grants": dict(grants or {}), "options": dict(options or {})}
        return self._document("POST", "/hub/v1/partners", body)

    def partners(self) -> list[dict[str, Any]]:
        """Every partner with its feeds."""
        return self._list("/hub/v1/partners", "partners")

    def partner(self, name: str) -> dict[str, Any]:
        """One partner."""
        return self._document("GET", f"/hub/v1/partners/{_part(name)}")

    def grant(
        self,
        name: str,
        feed: str,
        *,
        grants: Mapping[str, Sequence[str]],
        options: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Set what a partner receives of a feed; what stood there before is replaced."""
        body = {"grants": dict(grants), "options": dict(options or {})}
        return self._document("PUT", f"/hub/v1/partners/{_part(name)}/feeds/{_part(feed)}", body)

    def suspend(self, name: str) -> dict[str, Any]:
        """End a partner's sockets, tokens and deliveries until it is resumed."""
        return self._document("POST", f"/hub/v1/partners/{_part(name)}/suspend", repeatable=True)

    def resume(self, name: str) -> dict[str, Any]:
        """Let a suspended partner in again."""
        return self._document("POST", f"/hub/v1/partners/{_part(name)}/resume", repeatable=True)

    def rotate(self, name: str, feed: str) -> dict[str, Any]:
        """Give a partner new credentials for a feed; the old ones end."""
        return self._document("POST", f"/hub/v1/partners/{_part(name)}/feeds/{_part(feed)}/rotate")

    def remove(self, name: str, feed: str | None = None) -> dict[str, Any]:
        """Remove a partner, from one feed or from all, for good."""
        path = f"/hub/v1/partners/{_part(name)}"
        return self._document("DELETE", path if feed is None else f"{path}/feeds/{_part(feed)}")

    # keys

    def create_key(self, role: str, name: str, *, feeds: Sequence[str] = (), sources: Sequence[str] = ()) -> Key:
        """A new key; ``feeds`` and ``sources`` narrow what a publisher may append."""
        body = {"role": role, "name": name, "feeds": list(feeds), "sources": list(sources)}
        return self._json(Key, self.request("POST", "/hub/v1/keys", msgspec.json.encode(body), _JSON))

    def keys(self) -> list[dict[str, Any]]:
        """Every key, without its secret."""
        return self._list("/hub/v1/keys", "keys")

    def revoke_key(self, key_id: str) -> None:
        """End a key for good."""
        self.request("DELETE", f"/hub/v1/keys/{_part(key_id)}")

    # one request

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        *,
        repeatable: bool | None = None,
    ) -> HttpResponse:
        """Make a request and return its good answer.

        ``repeatable`` says that it may be made twice (default: by its method). Raises as ``publish`` does.
        """
        if repeatable is None:
            repeatable = method in ("GET", "PUT", "DELETE", "HEAD")
        request = self._to_send(method, path, body, headers)
        backoff = Backoff(random.SystemRandom(), first_seconds=0.2, cap_seconds=5.0)
        end = self._clock.monotonic() + self._retry_seconds
        while True:
            try:
                answer = self._sender.send(request)
            except NoAnswer as problem:
                refusal: UpstreamError = problem
                again = repeatable or not problem.sent
            else:
                if 200 <= answer.status < 300:
                    return answer
                refusal = _refusal(answer)
                again = repeatable and answer.status in _AWAY
            wait = max(backoff.next_seconds(), min(refusal.retry_after or 0.0, MAX_RETRY_AFTER_SECONDS))
            if not again or self._clock.monotonic() + wait > end:
                raise refusal
            self._sleep(wait)

    def _to_send(
        self, method: str, path: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
    ) -> HttpRequest:
        credentials = [("authorization", f"Bearer {self._key}")] if self._key else []
        all_headers = (("accept", "application/json"), *credentials, *headers)
        return HttpRequest(method, url=self.url + path, headers=all_headers, body=body)

    def _document(
        self, method: str, path: str, body: object | None = None, *, repeatable: bool | None = None
    ) -> dict[str, Any]:
        encoded = b"" if body is None else msgspec.json.encode(body)
        answer = self.request(method, path, encoded, _JSON if encoded else (), repeatable=repeatable)
        return self._json(dict[str, Any], answer) if answer.body else {}

    def _list(self, path: str, member: str) -> list[dict[str, Any]]:
        return self._json(dict[str, list[dict[str, Any]]], self.request("GET", path)).get(member, [])

    def _json(self, kind: type[Json], answer: HttpResponse) -> Json:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, ValueError):
            raise UpstreamError(
                f"{self.url} answered {answer.status}, but not as a hub does; is this a hub's address?",
                status=answer.status,
            ) from None


_JSON: Final = (("content-type", "application/json"),)


def _part(name: str) -> str:
    return quote(name, safe="")


def _refusal(answer: HttpResponse) -> UpstreamError:
    """The error of an answer that is not 2xx, in the hub's own words (``application/problem+json``)."""
    try:
        members = msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        members = {}
    words = ": ".join(str(members[name]) for name in ("title", "detail") if members.get(name))
    if answer.status in _AWAY:
        detail = f"the hub is busy ({answer.status}) {words}".rstrip()
        after = answer.header("retry-after") or ""
        return UpstreamError(
            detail, status=answer.status, retry_after=float(after) if after.isdigit() and len(after) < 9 else None
        )
    try:
        problems = msgspec.convert(members.get("errors") or [], list[EventProblem])
    except msgspec.ValidationError:
        problems = []
    if not words:
        words = "redirects are not followed; check --url" if answer.status < 400 else "no reason given"
    return HubRefused(
        f"the hub answered {answer.status}: {words}", status=answer.status, problems=problems, members=members
    )
