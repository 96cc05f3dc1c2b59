"""Who may call our own API: bearer keys by role, and native readers."""

from __future__ import annotations

import msgspec

from touchline.feeds.base import Admission
from touchline.feeds.hub.selection import presented_key
from touchline.log.entries import Key
from touchline.server.hub import Hub
from touchline.wire.http import HttpRequest, HttpResponse, problem

_CHALLENGE = ("www-authenticate", 'Bearer realm="touchline"')


def require(hub: Hub, request: HttpRequest, *roles: str) -> Key | HttpResponse:
    """The key of a request when it has one of the roles (an admin key has all). Else the refusal: 401, 403, 429."""
    refused = _blocked(hub, request)
    if refused is not None:
        return refused
    presented = presented_key(request)
    key = hub.directory.find_key(presented) if presented else None
    if key is None:
        if presented and hub.directory.admission(presented) is not None:
            return problem(403, "Forbidden", f"this is a partner's key; a key with role {' or '.join(roles)} is needed")
        return _unauthorized(hub, request, bool(presented))
    if key.role != "admin" and key.role not in roles:
        return problem(403, "Forbidden", f"a key with role {' or '.join(roles)} is needed, this one is {key.role}")
    return key


def admit(hub: Hub, request: HttpRequest) -> Admission | HttpResponse:
    """Who reads natively: an admin or a partner of the hub feed. Else the refusal."""
    refused = _blocked(hub, request)
    if refused is not None:
        return refused
    presented = presented_key(request)
    admission = hub.directory.admission(presented) if presented else None
    if admission is None:
        if presented and hub.directory.find_key(presented) is not None:
            return problem(403, "Forbidden", "a publisher's key does not read; use an admin key or a hub partner's")
        return _unauthorized(hub, request, bool(presented))
    return admission


def _blocked(hub: Hub, request: HttpRequest) -> HttpResponse | None:
    wait = hub.logins.blocked(request.address, "")
    if wait is None:
        return None
    answer = problem(429, "Too Many Requests", "too many failed logins from this address")
    return msgspec.structs.replace(answer, headers=(*answer.headers, ("retry-after", str(int(wait) + 1))))


def _unauthorized(hub: Hub, request: HttpRequest, presented: bool) -> HttpResponse:
    if presented:
        hub.logins.failed(request.address, "")
    answer = problem(401, "Unauthorized", "a good key is needed: Authorization: Bearer <key>")
    return msgspec.structs.replace(answer, headers=(*answer.headers, _CHALLENGE))
