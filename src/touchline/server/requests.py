"""From an ASGI scope to the ``HttpRequest`` that handlers and sessions see: names, addresses, trusted proxies.

What a proxy says of the client (X-Forwarded-For, -Proto, -Host) counts only when the connection comes from a trusted
range; of X-Forwarded-For the last address that is not itself a trusted proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from touchline.server.config import Network
from touchline.wire.http import HttpRequest, first


def _trusted(address: str, proxies: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in proxies)


def request_from_scope(
    scope: Mapping[str, Any],
    body: bytes,
    proxies: Sequence[Network],
    public_host: str | None,
    path_params: Mapping[str, str] | None = None,
) -> HttpRequest:
    """The request of an ASGI scope. Bytes outside ASCII in headers are read as Latin-1, as HTTP has them."""
    headers = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
    client = scope.get("client")
    address = client[0] if client else ""
    scheme = str(scope.get("scheme", "http"))
    hosts = [first(headers, "host") or ""]
    if proxies and _trusted(address, proxies):
        forwarded: dict[str, list[str]] = {}
        for name, value in headers:
            if name.startswith("x-forwarded-"):
                forwarded.setdefault(name, []).extend(part.strip() for part in value.split(","))
        for hop in reversed(forwarded.get("x-forwarded-for", [])):
            address = hop or address
            if not _trusted(hop, proxies):
                break
        if forwarded.get("x-forwarded-proto", [""])[-1] in ("http", "https"):
            scheme = forwarded["x-forwarded-proto"][-1]
        hosts += forwarded.get("x-forwarded-host", [])[-1:]
    if public_host:
        hosts.append(public_host)
    raw_path = scope.get("raw_path") or b""
    query: list[tuple[str, str]] = []
    if raw_query := scope.get("query_string"):
        query = parse_qsl(raw_query.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace")
    return HttpRequest(
        method=scope["method"],
        path=scope["path"],
        target_path=raw_path.decode("latin-1"),
        query=tuple(query),
        headers=headers,
        body=body,
        scheme=scheme,
        hosts=tuple(dict.fromkeys(filter(None, hosts))),
        address=address,
        path_params=path_params or {},
    )
