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

from prometheus_client import Counter
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import compile_path

from touchline.errors import LogError, RemoteProtocolError
from touchline.feeds.base import Operation
from touchline.server.requests import request_from_scope
from touchline.server.sessions import Sessions
from touchline.wire.gzip import TooLarge, inflate
from touchline.wire.http import HttpRequest, HttpResponse, problem

_log: Final = logging.getLogger(__name__)
_access: Final = logging.getLogger("touchline.access")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Streaming = Callable[[HttpRequest, Receive, Send], Awaitable[None]]

_READ_METHODS: Final = ("GET", "HEAD", "DELETE")


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
                allow_methods=["GET", "POST", "PUT", "DELETE"],
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
            if self._cors is not None and any(name == b"origin" for name, _ in scope["headers"]):
                await self._cors(scope, receive, send)
            else:
                await self._http(scope, receive, send)

    def _find(self, path: str) -> tuple[dict[str, list[Operation]], dict[str, str]] | None:
        methods = self._plain.get(path)
        if methods is not None:
            return methods, {}
        for pattern, candidates in self._patterns:
            match = pattern.match(path)
            if match:
                return candidates, match.groupdict()
        return None

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        name = "unknown"
        try:
            found = self._find(scope["path"])
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            body = b"" if scope["method"] in _READ_METHODS else await self._body(scope, receive)
            request = request_from_scope(
                scope,
                body if isinstance(body, bytes) else b"",
                self._sessions.settings.proxies,
                self._sessions.public_host,
                found[1] if found else None,
            )
            if isinstance(body, HttpResponse):
                response = body
            elif found is None:
                response = self._unknown(scope["path"])
            else:
                operation = self._choose(found[0].get(method, []), request)
                if operation is None:
                    response = self._not_allowed(found[0])
                else:
                    name = operation.name
                    if operation.path in self._streaming:
                        await self._streaming[operation.path](request, receive, send)
                        return
                    response = await operation.handler(request)
        except Disconnected:
            return
        except LogError as error:
            response = log_problem(error)
        except Exception:
            _log.exception("a request could not be answered", extra={"operation": name})
            response = problem(500, "Internal Server Error", "this is our fault; the log of the hub says more")
        self._count(name, response.status)
        if _access.isEnabledFor(logging.INFO):
            _access.info(
                "%s %s %d %.1f ms", scope["method"], name, response.status, (time.perf_counter() - started) * 1000
            )
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
        return next((operation for operation in candidates if given.issuperset(operation.when_query)), None)

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

    async def _body(self, scope: Scope, receive: Receive) -> bytes | HttpResponse:
        settings = self._sessions.settings
        limit = settings.max_body_bytes
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if int(declared) > limit:
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
        encodings = [value.strip().lower() for name, value in scope["headers"] if name == b"content-encoding"]
        if not encodings or encodings == [b"identity"]:
            return body
        if encodings != [b"gzip"]:
            return problem(415, "Unsupported Media Type", "Content-Encoding may be gzip or absent")
        try:
            if len(body) > 256 * 1024:
                return await asyncio.to_thread(inflate, body, limit)
            return inflate(body, limit)
        except TooLarge:
            return _too_large(limit)
        except RemoteProtocolError as error:
            return problem(400, "Bad Request", str(error))


def _too_large(limit: int) -> HttpResponse:
    answer = problem(413, "Content Too Large", f"the body is larger than {limit} bytes; send smaller batches")
    return HttpResponse(413, answer.body, (*answer.headers, ("connection", "close")))


def log_problem(error: LogError) -> HttpResponse:
    """What a client is told when the log cannot be written or read now."""
    answer = problem(503, "Service Unavailable", f"{error}; try again later")
    wait = str(int(error.retry_after or 1))
    return HttpResponse(503, answer.body, (*answer.headers, ("retry-after", wait)))
