"""The limit on failed logins, and what a proxy may say of a client."""

from __future__ import annotations

from typing import Any

import pytest

from touchline.server.config import networks
from touchline.server.limits import LoginLimits
from touchline.server.requests import request_from_scope
from touchline.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_failures_of_an_address_block_it_for_a_while(clock: FakeClock) -> None:
    limits = LoginLimits(clock, per_address=3, per_name=100, per_pair=100)
    for _ in range(3):
        assert limits.blocked("10.0.0.1", "acme") is None
        limits.failed("10.0.0.1", "acme")
    wait = limits.blocked("10.0.0.1", "somebody")
    assert wait is not None
    assert 0 < wait <= 20
    assert limits.blocked("10.0.0.2", "acme") is None
    clock.advance(wait)
    assert limits.blocked("10.0.0.1", "acme") is None
    clock.advance(3600)
    limits.failed("10.0.0.1", "acme")
    assert limits.blocked("10.0.0.1", "acme") is None


def test_failures_with_a_name_from_one_address_do_not_lock_the_partner_out(clock: FakeClock) -> None:
    limits = LoginLimits(clock, per_address=100, per_name=10, per_pair=3)
    for _ in range(3):
        limits.failed("10.0.0.1", "acme")
    assert limits.blocked("10.0.0.1", "acme") is not None
    assert limits.blocked("10.0.0.1", "other") is None
    assert limits.blocked("10.0.0.2", "acme") is None
    for number in range(7):
        limits.failed(f"10.0.1.{number}", "acme")
    assert limits.blocked("10.0.0.2", "acme") is not None


def test_the_memory_of_failures_is_bounded(clock: FakeClock) -> None:
    limits = LoginLimits(clock, per_address=1, per_name=1, per_pair=1)
    for number in range(60_000):
        limits.failed(f"a{number}", "")
    assert limits.blocked("a59999", "") is not None
    assert limits.blocked("a0", "") is None


def scope(*headers: tuple[str, str], client: str = "127.0.0.1", **more: Any) -> dict[str, Any]:
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    base = {
        "method": "GET",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"x=1&y=%C3%BC&x=",
        "scheme": "http",
    }
    return {**base, "headers": encoded, "client": (client, 1), **more}


PROXY = networks("x", ("127.0.0.1", "10.0.0.0/8"))


def test_a_request_as_it_came() -> None:
    request = request_from_scope(scope(("host", "hub:8080"), ("x-forwarded-for", "1.2.3.4")), b"body", (), None)
    assert request.query == (("x", "1"), ("y", "ü"), ("x", ""))
    assert (request.path, request.target_path, request.body) == ("/a b", "/a%20b", b"body")
    assert (request.address, request.hosts, request.scheme) == ("127.0.0.1", ("hub:8080",), "http")


def test_a_trusted_proxy_is_believed() -> None:
    headers = (
        ("host", "backend"),
        ("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "feeds.example"),
    )
    request = request_from_scope(scope(*headers), b"", PROXY, "public.example")
    assert request.address == "1.2.3.4"
    assert request.scheme == "https"
    assert request.hosts == ("backend", "feeds.example", "public.example")


def test_somebody_else_is_not_believed() -> None:
    headers = (
        ("host", "hub"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-proto", "https"),
    )
    request = request_from_scope(scope(*headers, client="8.8.8.8"), b"", PROXY, None)
    assert (request.address, request.hosts, request.scheme) == ("8.8.8.8", ("hub",), "http")
