"""What a connection has to put up with before there is a request, and what a request may not be."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from touchline.server.connection import MAX_HEAD_BYTES

from .hubs import Hub, cloud_event, encoded, read_to_end, read_until, status_of
from .websockets import Client, handshake

MakeHub = Callable[..., Hub]
PLAIN = "GET /healthz HTTP/1.1\r\nHost: h\r\n"


def problem_of(answer: bytes) -> int:
    """The status of an answer that must be a problem document and the last on its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), answer
    assert b"connection: close" in head.lower(), answer
    assert json.loads(body)["status"] == status_of(answer)
    return status_of(answer)


@pytest.mark.parametrize("upgrade", ["", "Connection: Upgrade\r\nUpgrade: websocket\r\n"])
@pytest.mark.parametrize("hosts", ["", "Host: h\r\nHost: h\r\n", "Host: h\r\nX: y\r\nhost: other\r\n"])
def test_exactly_one_host(hub: Hub, hosts: str, upgrade: str) -> None:
    path = "/hub/v1/ws" if upgrade else "/healthz"
    assert problem_of(hub.exchange(f"GET {path} HTTP/1.1\r\n{hosts}{upgrade}\r\n".encode())) == 400


def test_http_1_0_needs_no_host(hub: Hub) -> None:
    assert status_of(hub.exchange(b"GET /healthz HTTP/1.0\r\n\r\n")) == 200


@pytest.mark.parametrize(
    "head",
    [
        PLAIN + "X: " + "y" * MAX_HEAD_BYTES + "\r\n\r\n",
        PLAIN + "".join(f"X-{number}: y\r\n" for number in range(4000)) + "\r\n",
        "GET /healthz?" + "x" * MAX_HEAD_BYTES + " HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /" + "x" * MAX_HEAD_BYTES,
        PLAIN + "X: " + "y" * 3 * MAX_HEAD_BYTES,
    ],
)
def test_heads_that_are_too_large(hub: Hub, head: str) -> None:
    with hub.connect() as plain:
        plain.sendall(head[:100].encode())
        with contextlib.suppress(OSError):  # it may be refused before all is sent
            plain.sendall(head[100:].encode())
            if not head.endswith("\r\n\r\n"):
                plain.sendall(b"z" * MAX_HEAD_BYTES)
        assert status_of(plain.recv(10_000)) == 431


def test_a_large_body_behind_a_head_that_ends_between_two_segments(hub: Hub, subject: str) -> None:
    """The head is small; that its end comes together with much of the body must not make it look large."""
    body = encoded(subject=subject, data={"type": "x" * 200_000})
    head = (
        f"POST /hub/v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.publisher_key}\r\n"
        f"Content-Type: application/cloudevents+json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    for cut in range(1, 5):
        with hub.connect() as plain:
            plain.sendall(head[:-cut])
            hub.on_loop(lambda: None)  # it was read by now, or will be read with the rest: either must do
            plain.sendall(head[-cut:] + body)
            assert status_of(read_to_end(plain)) == 202


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
        b"SSH-2.0-x\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: h\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n folded: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http://h HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http://h HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"POST /hub/v1/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
    ],
)
def test_what_is_no_request(hub: Hub, request_: bytes) -> None:
    answer = hub.exchange(request_)
    assert problem_of(answer) == 400
    assert hub.get("/healthz").status == 200


@pytest.mark.parametrize("sent", ["", PLAIN[:9], PLAIN + "X:", "\r\n"])
def test_a_head_that_does_not_come(make_hub: MakeHub, sent: str) -> None:
    hub = make_hub(header_seconds=0.1)
    assert problem_of(hub.exchange(sent.encode())) == 408


def test_a_head_that_drips(make_hub: MakeHub) -> None:
    hub = make_hub(header_seconds=0.3)
    ended = threading.Event()
    with hub.connect() as plain:

        def drip() -> None:
            for byte in handshake("/hub/v1/ws", key=hub.admin_key):
                try:
                    plain.sendall(bytes([byte]))
                except OSError:
                    return
                if ended.wait(0.02):
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert problem_of(read_to_end(plain)) == 408
        finally:
            ended.set()
            dripping.join()


@pytest.mark.parametrize("sent", [b"\r\n", b"G", b"\r\n\r\nGET /healthz HTTP/1.1\r\nHo"])
def test_a_second_head_that_does_not_come(make_hub: MakeHub, sent: bytes) -> None:
    """Between requests a connection may be idle for a while, but not in the middle of a head."""
    hub = make_hub(header_seconds=1.0)  # the first one is in time on a busy machine too
    with hub.connect() as plain:
        plain.sendall((PLAIN + "\r\n").encode())
        read_until(plain, b'{"status":"ok"}')
        plain.sendall(sent)
        assert problem_of(read_to_end(plain)) == 408


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upgrade_whose_body_does_not_come(make_hub: MakeHub, method: str) -> None:
    hub = make_hub(body_seconds=0.1)
    head = f"{method} /hub/v1/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    assert problem_of(hub.exchange(f"{head}Content-Length: 5\r\n\r\n".encode())) in (400, 408)


def test_an_upgrade_to_something_else_is_passed_over(hub: Hub) -> None:
    more = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    answer = hub.exchange((PLAIN + more + PLAIN + "Connection: close\r\n\r\n").encode())
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_an_upgrade_behind_an_unanswered_request(hub: Hub) -> None:
    answer = hub.exchange((PLAIN + "\r\n").encode() + handshake("/hub/v1/ws", key=hub.admin_key))
    assert b" 101 " not in answer


def test_an_upgrade_behind_an_answered_request(hub: Hub) -> None:
    with hub.connect() as plain:
        plain.sendall((PLAIN + "\r\n").encode())
        read_until(plain, b'{"status":"ok"}')
        plain.sendall(handshake("/hub/v1/ws", key=hub.admin_key))
        assert status_of(read_until(plain, b"\r\n\r\n")) == 101


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (("Sec-WebSocket-Key: bad",), 400),
        (("Sec-WebSocket-Version: 12",), 400),
        (tuple(f"X-{number}: y" for number in range(200)), 400),
        (("X: " + "y" * 20_000,), 400),
    ],
)
def test_handshakes_that_are_wrong(hub: Hub, more: tuple[str, ...], status: int) -> None:
    head = handshake("/hub/v1/ws", *more, key=hub.admin_key).decode()
    for name in ("Key", "Version"):
        if any(name in line for line in more):
            lines = [line for line in head.split("\r\n") if f"-{name}:" not in line or line in more]
            head = "\r\n".join(lines)
    assert status_of(hub.exchange(head.encode())) == status
    without = "\r\n".join(line for line in head.split("\r\n") if "Sec-WebSocket-Key" not in line)
    assert status_of(hub.exchange(without.encode())) == 400


def test_paths_of_sockets(hub: Hub) -> None:
    answer = hub.exchange(handshake("/nosuch", key=hub.admin_key))
    assert problem_of(answer) == 404
    plain = hub.get("/hub/v1/ws")
    assert plain.status == 426
    assert plain.headers["upgrade"] == "websocket"
    assert hub.get("/live/v2/games").status == 426
    assert hub.get("/nosuch").status == 404
    refused = hub.request("PATCH", "/hub/v1/events")
    assert refused.status == 405
    assert set(refused.headers["allow"].split(", ")) >= {"GET", "POST"}


def test_the_limit_on_connections(make_hub: MakeHub) -> None:
    hub = make_hub(max_connections=5)
    with ExitStack() as stack:
        idle = [stack.enter_context(hub.connect()) for _ in range(3)]
        clients = [stack.enter_context(Client(hub, "/hub/v1/ws", key=hub.admin_key)) for _ in range(2)]
        with hub.connect() as plain:
            answer = read_to_end(plain)
        assert problem_of(answer) == 503
        assert b"retry-after:" in answer.lower()
        for one in (*idle, *(client.plain for client in clients)):
            one.close()
        hub.until(lambda: len(hub.running.sessions) == 0)
    for _ in range(100):
        with hub.connect() as plain:
            plain.sendall((PLAIN + "Connection: close\r\n\r\n").encode())
            if status_of(read_to_end(plain)) == 200:
                return
    raise AssertionError("it never lets anybody in again")


def test_an_answer_that_is_never_read_is_not_kept_for_ever(make_hub: MakeHub) -> None:
    hub = make_hub(stall_seconds=0.2)
    hub.publish_all([cloud_event(data={"type": "x" * 100_000}) for _ in range(70)])
    with hub.connect(receive_buffer=4096) as plain:
        request = f"GET /hub/v1/events?limit=1000 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.admin_key}\r\n\r\n"
        plain.sendall(request.encode())
        read_until(plain, b"\r\n\r\n")
        hub.until(lambda: not hub.connections, "the connection to be dropped")


def test_preflight_and_cross_origin_requests(hub: Hub) -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, last-event-id",
    }
    answer = hub.request("OPTIONS", "/hub/v1/events", headers=asked)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in answer.headers
    simple = hub.request("GET", "/hub/v1/events", headers={"Origin": "https://app.example"}, key=hub.admin_key)
    assert simple.headers["access-control-allow-origin"] == "*"
    assert "touchline-position" in simple.headers["access-control-expose-headers"].lower()
    refused = hub.request("GET", "/hub/v1/events", headers={"Origin": "https://app.example"})
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == "*", "else a page cannot read why"


def test_origins_can_be_limited(make_hub: MakeHub) -> None:
    hub = make_hub(cors_origin=["https://app.example"])
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    assert "access-control-allow-origin" not in hub.request("OPTIONS", "/hub/v1/events", headers=asked).headers
    asked["Origin"] = "https://app.example"
    answer = hub.request("OPTIONS", "/hub/v1/events", headers=asked)
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    none = make_hub(cors_origin=[])
    assert "access-control-allow-origin" not in none.request("GET", "/healthz", headers=asked).headers


def test_head_requests(hub: Hub) -> None:
    answer = hub.request("HEAD", "/healthz")
    assert (answer.status, answer.body) == (200, b"")
    assert hub.request("HEAD", "/hub/v1/events").status == 401
