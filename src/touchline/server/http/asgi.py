"""The ASGI application: finds the operation of a request, reads its body within bounds, sends its answer.

Handlers are pure functions of an ``HttpRequest``; only ``/hub/v1/stream`` (SSE) sends as it goes. Requests that carry
an Origin pass the CORS middleware. Whatever goes wrong is answered in ``application/problem+json``; the access log
has the operation's name and never the query.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from prometheus_client import Counter
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import compile_path

from touchline.errors import LogError, RemoteProtocolError
from touchline.feeds.base import Operation
from touchline.server.http.access import require
from touchline.server.requests import request_from_scope
from touchline.server.sessions import Sessions
from touchline.wire.gzip import TooLarge, inflate
from touchline.wire.http import HttpRequest, HttpResponse, every, problem

_log: Final = logging.getLogger(__name__)
_access: Final = logging.getLogger("touchline.access")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Streaming = Callable[[HttpRequest, Scope, Receive, Send], Awaitable[None]]

_READ_METHODS: Final = ("GET", "HEAD", "DELETE")
_ROLES: Final = {"publisherKey": "publisher", "adminKey": "admin"}
_SMALL_BODY: Final = 64 * 1024
"""A body up to so much is read before it is known who sends it; a feed's own operations take no larger ones."""


class Disconnected(Exception):
    """The client went away before its request was whole."""


class Application:
    """Routes requests to operations; see the module docstring."""

    def __init__(
        self,
        sessions: Sessions,
        operations: Sequence[Operation],
        streaming: dict[str, Streaming],
    ) -> None:
        self._sessions = sessions
        self._hub = sessions.hub
        self._streaming = streaming
        origins = list(sessions.settings.cors_origin)
        self._cors: Any = None
        if origins:
            self._cors = CORSMiddleware(
                self._http,
                allow_origins=origins,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["*"],
                expose_headers=["touchline-position", "touchline-more", "retry-after"],
            )
        self._plain: dict[str, dict[str, list[Operation]]] = {}
        self._patterns: list[tuple[Any, dict[str, list[Operation]]]] = []
        self._counters: dict[tuple[str, int], Counter] = {}
        by_path: dict[str, dict[str, list[Operation]]] = {}
        for operation in operations:
            by_path.setdefault(operation.path, {}).setdefault(operation.method, []).append(operation)
        for path, methods in by_path.items():
            for candidates in methods.values():
                candidates.sort(key=lambda operation: -len(operation.when_query))
            if "{" in path:
                self._patterns.append((compile_path(path)[0], methods))
            else:
                self._plain[path] = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] == "http":
            if self._cors is not None and b"origin" in dict(scope["headers"]):
                scope.get("state", {}).pop("answer", None)  # the middleware adds headers to what is sent
                await self._cors(scope, receive, send)
            else:
                await self._http(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[dict[str, list[Operation]], dict[str, str]] | None:
        methods = self._plain.get(scope["path"])
        if methods is not None:
            return methods, {}
        target = (scope.get("raw_path") or b"").decode("latin-1")
        for pattern, candidates in self._patterns:
            match = pattern.match(target)  # as it was sent: a name may hold a slash, as %2F
            if match:
                return candidates, {name: unquote(value) for name, value in match.groupdict().items()}
        return None

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        name = "unknown"
        try:
            found = self._find(scope)
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            request = request_from_scope(
                scope,
                b"",
                self._sessions.settings.proxies,
                self._sessions.public_host,
                found[1] if found else None,
            )
            if found is None:
                response = self._unknown(scope["path"])
            else:
                operation = self._choose(found[0].get(method, []), request)
                if operation is None:
                    response = self._not_allowed(found[0])
                else:
                    name = operation.name
                    if operation.path in self._streaming:
                        await self._streaming[operation.path](request, scope, receive, send)
                        return
                    body = b"" if scope["method"] in _READ_METHODS else await self._body(operation, request, receive)
                    if isinstance(body, bytes):
                        response = await operation.handler(msgspec.structs.replace(request, body=body))
                    else:
                        response = body
        except Disconnected:
            return
        except LogError as error:
            response = log_problem(error)
        except Exception:  # the top of a request: it gets an answer, the connection goes on
            _log.exception("a request could not be answered", extra={"operation": name})
            response = problem(500, "Internal Server Error", "this is our fault; the log of the hub says more")
        self._count(name, response.status)
        if _access.isEnabledFor(logging.INFO):
            _access.info(
                "%s %s %d %.1f ms", scope["method"], name, response.status, (time.perf_counter() - started) * 1000
            )
        answer = scope.get("state", {}).get("answer")
        if answer and scope["method"] != "HEAD" and answer(scope, response.status, response.headers, response.body):
            return
        headers = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in response.headers]
        headers.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    def _count(self, name: str, status: int) -> None:
        counter = self._counters.get((name, status))
        if counter is None:
            counter = self._counters[(name, status)] = self._hub.metrics.requests.labels(name, str(status))
        counter.inc()

    @staticmethod
    def _choose(candidates: Sequence[Operation], request: HttpRequest) -> Operation | None:
        given = {key for key, _ in request.query}
        for operation in candidates:
            if given.issuperset(operation.when_query):
                return operation
        return None

    def _unknown(self, path: str) -> HttpResponse:
        if self._sessions.find(path) is not None:
            answer = problem(426, "Upgrade Required", "this is a WebSocket endpoint")
            return HttpResponse(
                426, answer.body, (*answer.headers, ("upgrade", "websocket"), ("connection", "upgrade"))
            )
        return problem(404, "Not Found", "there is nothing at this path")

    @staticmethod
    def _not_allowed(methods: dict[str, list[Operation]]) -> HttpResponse:
        answer = problem(405, "Method Not Allowed")
        return HttpResponse(405, answer.body, (*answer.headers, ("allow", ", ".join(sorted(methods)))))

    async def _body(self, operation: Operation, request: HttpRequest, receive: Receive) -> bytes | HttpResponse:
        """The body, or why it is not taken. Much is kept (or inflated) only for those who have the key for it."""
        limit = self._sessions.settings.max_body_bytes
        length = request.header("content-length")
        declared = None if length is None else int(length)
        encodings = [value.strip().lower() for value in every(request.headers, "content-encoding")]
        if declared is None or declared > _SMALL_BODY or encodings:
            role = _ROLES.get(operation.security or "")
            if role is None:
                limit = min(limit, _SMALL_BODY)
            elif isinstance(refused := require(self._hub, request, role), HttpResponse):
                return refused
        if declared is not None and declared > limit:
            return _too_large(limit)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                return _too_large(limit)
            parts.append(part)
            if not message.get("more_body"):
                break
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if not encodings or encodings == ["identity"]:
            return body
        if encodings != ["gzip"]:
            return problem(415, "Unsupported Media Type", "Content-Encoding may be gzip or absent")
        try:
            if len(body) > 16 * 1024:
                return await asyncio.to_thread(inflate, body, limit)
            return inflate(body, limit)
        except TooLarge:
            return _too_large(limit)
        except RemoteProtocolError as error:
            return problem(400, "Bad Request", str(error))


def _too_large(limit: int) -> HttpResponse:
    # The connection stays: closed while the client still sends, its system would drop this answer unread.
    return problem(413, "Content Too Large", f"the body is larger than {limit} bytes; send smaller batches")


def log_problem(error: LogError) -> HttpResponse:
    """What a client is told when the log cannot be written or read now."""
    answer = problem(503, "Service Unavailable", f"{error}; try again later")
    wait = str(int(error.retry_after or 1))
    return HttpResponse(503, answer.body, (*answer.headers, ("retry-after", wait)))
