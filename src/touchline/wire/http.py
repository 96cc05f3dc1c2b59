"""The shape of an HTTP exchange, for code that answers or makes requests without a server or a socket. No parser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

Pairs = tuple[tuple[str, str], ...]


def first(pairs: Sequence[tuple[str, str]], name: str) -> str | None:
    """The first value under ``name``, or None. Header names are stored in lower case."""
    for key, value in pairs:  # a generator costs twice as much, and this is asked for with every message
        if key == name:
            return value
    return None


def every(pairs: Sequence[tuple[str, str]], name: str) -> list[str]:
    """All values under ``name``, in the order of the request."""
    return [value for key, value in pairs if key == name]


class HttpRequest(msgspec.Struct, frozen=True):
    """A request as received, or as it is to be made.

    ``path`` is percent-decoded, ``target_path`` the same as it stood on the wire, both without the query; ``query``
    and ``headers`` keep order and repetition, header names in lower case. For a request to be made ``url`` is the
    whole address and the other parts may be empty. ``address`` is the peer's IP address behind trusted proxies.
    ``hosts`` are the names under which the peer may have addressed us: the Host header as received first, then what a
    trusted proxy said the original was and the host of our configured base URL.
    """

    method: str
    path: str = "/"
    target_path: str = "/"
    query: Pairs = ()
    headers: Pairs = ()
    body: bytes = b""
    url: str = ""
    scheme: str = "http"
    hosts: tuple[str, ...] = ()
    address: str = ""
    path_params: Mapping[str, str] = {}

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        return first(self.headers, name)

    def param(self, name: str) -> str | None:
        """The first query parameter of that name."""
        return first(self.query, name)


class HttpResponse(msgspec.Struct, frozen=True):
    """An answer: status, headers (names in lower case) and body."""

    status: int
    body: bytes = b""
    headers: Pairs = (("content-type", "application/json"),)

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        return first(self.headers, name)


def json_response(value: object, status: int = 200, headers: Pairs = ()) -> HttpResponse:
    """An answer with a JSON body, encoded compactly."""
    return HttpResponse(status, msgspec.json.encode(value), (("content-type", "application/json"), *headers))


def problem(status: int, title: str, detail: str = "", **members: object) -> HttpResponse:
    """An ``application/problem+json`` answer (RFC 9457) of our own API; extra members go in as they are."""
    body: dict[str, object] = {"type": "about:blank", "title": title, "status": status}
    if detail:
        body["detail"] = detail
    body.update(members)
    return HttpResponse(status, msgspec.json.encode(body), (("content-type", "application/problem+json"),))
