"""Who may call our own API: bearer keys by role, and native readers; and what all administrative operations share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from touchline.errors import AlreadyExists, NotFound
from touchline.feeds.base import Admission, Answered, Operation, Parameter
from touchline.feeds.hub.selection import presented_key
from touchline.log.entries import Key
from touchline.server.hub import Hub
from touchline.wire.http import HttpRequest, HttpResponse, problem

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]

_CHALLENGE = ("www-authenticate", 'Bearer realm="touchline"')
_PROBLEM: Final = "application/problem+json"


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


def admin_operation(
    hub: Hub,
    method: str,
    path: str,
    name: str,
    summary: str,
    handler: Handler,
    body: Any = None,
    *,
    body_required: bool = True,
    parameters: tuple[Parameter, ...] = (),
    answers: Mapping[int, Answered],
) -> Operation:
    """An operation for admins: the key is checked first, and the directory's errors become answers."""

    async def guarded(request: HttpRequest) -> HttpResponse:
        key = require(hub, request, "admin")
        if isinstance(key, HttpResponse):
            return key
        try:
            return await handler(request)
        except NotFound as error:
            return problem(404, "Not Found", str(error))
        except AlreadyExists as error:
            return problem(409, "Conflict", str(error))
        except RecursionError:
            return problem(400, "Bad Request", "the JSON is nested too deeply")
        except (msgspec.MsgspecError, ValueError) as error:
            return problem(400, "Bad Request", str(error))

    described = dict(answers)
    described[401] = refusal("no good key")
    described[403] = refusal("not an admin's key")
    described[429] = refusal("too many failed logins")
    described[503] = refusal("the directory cannot be written now")
    if body is not None:
        described[400] = refusal("the body is wrong")
        described[413] = refusal("the body is too large")
    if parameters:
        described.setdefault(404, refusal("there is none of that name"))
        described.setdefault(400, refusal("a parameter is wrong"))
    reference = None
    if body is not None:
        reference = {"required": body_required, "content": {"application/json": {"schema": body}}}
    return Operation(
        method, path, name, summary, guarded, parameters, reference, described, "adminKey", "administration"
    )


def refusal(description: str) -> Answered:
    """A documented ``application/problem+json`` answer."""
    return Answered(description, media_type=_PROBLEM)


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
