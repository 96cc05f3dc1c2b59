"""The REST surface: operations declared once, for the router and for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from touchline.wire.http import HttpRequest, HttpResponse


class Parameter(msgspec.Struct, frozen=True):
    """A documented parameter of an operation; ``where`` is 'path', 'query' or 'header'; ``schema`` is JSON Schema."""

    name: str
    where: str
    description: str
    schema: Mapping[str, Any] = msgspec.field(default_factory=lambda: {"type": "string"})
    required: bool = False


class Answered(msgspec.Struct, frozen=True):
    """A documented answer: what it means, its media type, and its type as a msgspec-describable type or JSON Schema."""

    description: str
    body: Any = None
    media_type: str = "application/json"


class Operation(msgspec.Struct, frozen=True):
    """One HTTP operation, declared once for the router and for ``/openapi.json``.

    ``path`` has ``{names}``. ``security`` names a scheme of the OpenAPI document. ``when_query`` limits the operation
    to requests that carry these query parameters (several operations may then share a path).
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Callable[[HttpRequest], Awaitable[HttpResponse]]
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | None = None
    answers: Mapping[int, Answered] = msgspec.field(default_factory=lambda: {200: Answered("done")})
    security: str | None = None
    tag: str = ""
    when_query: tuple[str, ...] = ()
