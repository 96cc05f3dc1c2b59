"""First requests that have to wait for their turn: read in the end, unless their client has gone meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from touchline.server import arrivals
from touchline.server.arrivals import Arrivals

from .hubs import Hub, cloud_event, encoded, read_to_end, read_until, status_of
from .websockets import Client, handshake

MakeHub = Callable[..., Hub]
PLAIN = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
END = b"\r\n\r\n"


@pytest.fixture(autouse=True)
def one_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "TURN_SECONDS", 1e-9)


@contextmanager
def held(hub: Hub) -> Iterator[None]:
    """The loop does nothing meanwhile, so that all that is sent is there at once."""
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert go_on.wait(20)

    assert hub._loop is not None
    hub._loop.call_soon_threadsafe(hold)
    assert begun.wait(20)
    try:
        yield
    finally:
        go_on.set()


@contextmanager
def nobody_enters(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arrivals]:
    """No newcomer has its turn meanwhile; the hub's arrivals."""
    with hub.connect() as plain:
        plain.sendall(PLAIN)
        read_until(plain, b'{"status":"ok"}')
        waiting = hub.on_loop(lambda: next(iter(hub.connections)).arrivals)
    with monkeypatch.context() as patch:
        patch.setattr(arrivals, "TURN_SECONDS", 0.0)
        yield waiting
    hub.on_loop(waiting._next_turn)


def test_many_at_once_are_all_served(hub: Hub, subject: str) -> None:
    """More than are taken from the listener in one turn, of all kinds."""
    path = f"/hub/v1/ws?feed=shottracker&subject={subject}"
    stream = (
        f"GET /hub/v1/stream?subject={subject} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.admin_key}\r\n\r\n"
    )
    kinds = [(handshake(path, key=hub.admin_key), 101), (handshake(path, key="bad"), 401), (PLAIN, 200)]
    kinds.append((stream.encode(), 200))
    with ExitStack() as stack:
        with held(hub):
            sockets = [stack.enter_context(hub.connect()) for _ in range(4 * 50)]
            for number, plain in enumerate(sockets):
                plain.sendall(kinds[number % 4][0])
        for number, plain in enumerate(sockets):
            assert status_of(read_until(plain, END)) == kinds[number % 4][1]
        hub.publish_all([cloud_event(subject=subject, data={"type": "for all"})])
        for number, plain in enumerate(sockets):
            if number % 4 in (0, 3):
                read_until(plain, b"for all")


def test_a_head_in_two_parts_and_what_comes_behind_it(hub: Hub) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(hub.connect()) for _ in range(10)]
        for plain in sockets:
            plain.sendall(PLAIN[:9])
        with held(hub):
            for plain in sockets:
                plain.sendall(PLAIN[9:] + PLAIN[:-2] + b"Connection: close\r\n\r\n")
        for plain in sockets:
            assert read_to_end(plain).count(b"HTTP/1.1 200 OK") == 2


def test_those_who_go_while_they_wait(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with nobody_enters(hub, monkeypatch) as waiting:
        staying, leaving = hub.connect(), [hub.connect() for _ in range(5)]
        for plain in (staying, *leaving):
            plain.sendall(handshake("/hub/v1/ws?subject=none", key=hub.admin_key))
        hub.until(lambda: len(waiting) == 6, "all wait")
        for number, plain in enumerate(leaving):
            if number % 2:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            plain.close()
    with staying:
        assert status_of(read_until(staying, END)) == 101
        hub.until(lambda: not len(waiting) and len(hub.running.sessions) == 1, "those who left are gone")
    hub.until(lambda: not len(hub.running.sessions) and not hub.connections, "all are gone")


def test_those_whom_the_hub_lets_go_while_they_wait(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with nobody_enters(hub, monkeypatch) as waiting, hub.connect() as plain:
        plain.sendall(PLAIN)
        hub.until(lambda: len(waiting) == 1, "it waits")
        hub.on_loop(lambda: [one.shutdown() for one in hub.connections])
        assert read_to_end(plain) == b""
    assert hub.get("/healthz").status == 200


def test_waiting_is_not_the_clients_delay(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head's deadline stands still while it waits, and goes on from there: it does not begin anew."""
    hub = make_hub(header_seconds=3.0)
    with ExitStack() as stack:
        whole, part = stack.enter_context(hub.connect()), stack.enter_context(hub.connect())
        hub.until(lambda: len(hub.connections) == 2, "both are there")
        assert hub._loop is not None
        now = hub._loop.time
        timers = hub.on_loop(lambda: [one._head_timer for one in hub.connections])
        hub.until(lambda: all(one.when() - now() < 2.97 for one in timers), "some of their own time to pass")
        with nobody_enters(hub, monkeypatch) as waiting:
            whole.sendall(PLAIN)
            part.sendall(PLAIN[:9])
            hub.until(lambda: len(waiting) == 2, "both wait")
            hub.until(
                lambda: all(one._head_timer is None for one in hub.connections if one._waits), "no deadline to run"
            )
            assert hub.on_loop(lambda: [one.cancelled() for one in timers]) == [True, True]
            assert hub.on_loop(lambda: len(waiting)) == 2
            left = hub.on_loop(lambda: [one._head_seconds for one in hub.connections if one._waits])
            assert len(left) == 2
            assert all(0 < seconds < 2.98 for seconds in left)
        assert status_of(read_until(whole, b'{"status":"ok"}')) == 200
        assert status_of(read_to_end(part)) == 408


def test_who_was_there_before_does_not_wait(hub: Hub, monkeypatch: pytest.MonkeyPatch, subject: str) -> None:
    """A publisher, and a session that it publishes to, while newcomers wait."""
    body = encoded(subject=subject)
    head = f"POST /hub/v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.publisher_key}\r\n"
    head += f"Content-Type: application/cloudevents+json\r\nContent-Length: {len(body)}\r\n\r\n"
    with hub.connect() as publisher, Client(hub, f"/hub/v1/ws?subject={subject}", key=hub.admin_key) as reader:
        publisher.sendall(PLAIN)
        read_until(publisher, b'{"status":"ok"}')
        with nobody_enters(hub, monkeypatch) as waiting, hub.connect() as newcomer:
            newcomer.sendall(PLAIN)
            hub.until(lambda: len(waiting) == 1, "one waits")
            publisher.sendall(head.encode() + body)
            assert status_of(read_until(publisher, END)) == 202
            assert reader.event()["subject"] == subject
            assert hub.on_loop(lambda: len(waiting)) == 1


def test_those_who_wait_when_the_hub_stops(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = make_hub()
    with ExitStack() as stack:
        sockets = [stack.enter_context(hub.connect()) for _ in range(30)]
        hub.until(lambda: len(hub.connections) == len(sockets), "all are taken")
        with held(hub):
            for plain in sockets:
                plain.sendall(handshake("/hub/v1/ws?subject=none", key=hub.admin_key))
            assert hub._loop is not None
            assert hub._stop is not None
            hub._loop.call_soon_threadsafe(hub._stop.set)
        hub.stop()
        answers = [read_to_end(plain) for plain in sockets]
    statuses = [status_of(answer) for answer in answers]
    assert set(statuses) <= {101, 503}
    assert 503 in statuses, "those who waited are told to come back"
