"""``/openapi.json`` (OpenAPI 3.1) from the operations, and ``/asyncapi.json`` (AsyncAPI 3.0) from the surfaces.

Both are made once at the start from the same declarations that route requests, so they cannot drift from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from touchline import __version__
from touchline.feeds.base import Answered, Feed, Operation

_REFS: Final = "#/components/schemas/{name}"

_SECURITY: Final[dict[str, Any]] = {
    "adminKey": {"type": "http", "scheme": "bearer", "description": "a key with role admin"},
    "publisherKey": {"type": "http", "scheme": "bearer", "description": "a key with role publisher (or admin)"},
    "readerKey": {"type": "http", "scheme": "bearer", "description": "an admin key, or a hub partner's key"},
}

_CLOUD_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A CloudEvent 1.0 in JSON event format; further attributes are extensions",
    "required": ["specversion", "id", "source", "type", "subject", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1, "maxLength": 512},
        "source": {"type": "string", "format": "uri-reference", "minLength": 1},
        "type": {"type": "string", "description": "<feed>.<event>", "minLength": 3},
        "subject": {"type": "string", "minLength": 1},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"type": "string"},
        "data": {},
    },
}

_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": "integer"},
                    "field": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


def openapi(operations: Sequence[Operation], url: str) -> bytes:
    """The OpenAPI document of all operations."""
    described = _types(operations)
    schemas, components = msgspec.json.schema_components(described, ref_template=_REFS)
    by_type = dict(zip(described, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        entry = paths.setdefault(operation.path, {}).setdefault(operation.method.lower(), {})
        if entry:
            continue
        entry.update(_operation(operation, by_type))
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Touchline",
                "version": __version__,
                "description": "A hub for live sports push feeds: its own API under /hub/v1, the feeds' REST beside it",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": url}],
            "paths": dict(sorted(paths.items())),
            "components": {
                "schemas": {"CloudEvent": _CLOUD_EVENT, "Problem": _PROBLEM, **components},
                "securitySchemes": _security(operations),
            },
        }
    )


def _security(operations: Iterable[Operation]) -> dict[str, Any]:
    """Our own schemes, and one for every other that a feed's operations name."""
    feeds = {
        operation.security: {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "the feed's own scheme; see the feed's page",
        }
        for operation in operations
        if operation.security is not None
    }
    return feeds | _SECURITY


def _types(operations: Iterable[Operation]) -> list[Any]:
    found: dict[Any, None] = {}
    for operation in operations:
        for answered in operation.answers.values():
            if answered.body is not None and not isinstance(answered.body, dict):
                found[answered.body] = None
        for content in (operation.body or {}).get("content", {}).values():
            if not isinstance(content["schema"], dict):
                found[content["schema"]] = None
    return list(found)


def _operation(operation: Operation, by_type: dict[Any, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag or "feeds"],
        "responses": {
            str(status): _answer(answered, by_type) for status, answered in sorted(operation.answers.items())
        },
        "security": [{operation.security: []}] if operation.security else [],
    }
    parameters = [
        {
            "name": parameter.name,
            "in": parameter.where,
            "description": parameter.description,
            "schema": parameter.schema,
            "required": parameter.required or parameter.where == "path",
        }
        for parameter in operation.parameters
    ]
    if parameters:
        entry["parameters"] = parameters
    if operation.body is not None:
        content = {
            media_type: {"schema": _schema(described["schema"], by_type)}
            for media_type, described in operation.body["content"].items()
        }
        entry["requestBody"] = {"required": operation.body.get("required", False), "content": content}
    return entry


def _answer(answered: Answered, by_type: dict[Any, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"description": answered.description}
    body = answered.body
    if body is None and answered.media_type == "application/problem+json":
        body = {"$ref": _REFS.format(name="Problem")}
    if body is not None:
        entry["content"] = {answered.media_type: {"schema": _schema(body, by_type)}}
    return entry


def _schema(body: Any, by_type: dict[Any, Any]) -> Any:
    return body if isinstance(body, dict) else by_type[body]


def asyncapi(feeds: Iterable[Feed], url: str) -> bytes:
    """The AsyncAPI document of the WebSocket endpoints: one channel a feed, a message per event type."""
    protocol, _, host = url.partition("://")
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for feed in feeds:
        if feed.websocket is None:
            continue
        channels[feed.name] = {
            "address": feed.websocket.path,
            "title": feed.title,
            "description": f"{feed.title}, after {feed.document} (compared {feed.compared_on})",
            "messages": {
                kind.name.replace(".", "_"): {"name": kind.name, "payload": {"type": "object"}} for kind in feed.types
            },
        }
        operations[f"{feed.name}_receive"] = {
            "action": "send",
            "summary": f"The hub sends {feed.title} messages",
            "channel": {"$ref": f"#/channels/{feed.name}"},
        }
    return msgspec.json.encode(
        {
            "asyncapi": "3.0.0",
            "info": {"title": "Touchline", "version": __version__},
            "servers": {"hub": {"host": host, "protocol": "wss" if protocol == "https" else "ws"}},
            "channels": channels,
            "operations": operations,
        }
    )
