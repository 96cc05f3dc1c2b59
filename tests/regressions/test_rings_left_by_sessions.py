"""A session that has ended leaves no ring of objects behind.

Each WebSocket session left about twenty objects that only the collector could free: after thousands had been cut at
once and had come back, it held the event loop for hundreds of milliseconds, in the middle of their return.

A session of server-sent events left nearly as many, its socket's transport among them.
"""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path

import pytest

from integration.hubs import Hub, cloud_event, read_until
from integration.websockets import TEXT, Client, frame, handshake

SESSIONS = 20
OURS = ("WebSocketConnection", "WebSocketProtocol", "StreamReader", "HubSession")
OF_STREAMS = ("SseSession", "Reader", "HubHttpConnection", "RequestResponseCycle", "HttpRequestParser", "TCPTransport")


def garbage(hub: Hub) -> Counter[str]:
    """What only the collector finds now, by the name of its type."""

    def collect() -> Counter[str]:
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            return Counter(type(one).__name__ for one in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.collect()  # they are rings again

    return hub.on_loop(collect)


def test_sessions_that_end_leave_no_rings(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        assert left_by_sessions(hub) == {}


def left_by_sessions(hub: Hub) -> dict[str, int]:
    """What is garbage after some have come and gone."""
    hub.on_loop(gc.collect)
    gc.disable()
    try:
        for number in range(SESSIONS):
            client = Client(hub, "/hub/v1/ws?feed=shottracker", key=hub.admin_key)
            if number % 2:
                client.send(frame(TEXT, b"{}"))
            client.plain.close()
        with hub.connect() as refused:
            refused.sendall(handshake("/hub/v1/ws", key="no-such-key"))
            assert b" 401 " in read_until(refused, b"\r\n")
        hub.until(lambda: not len(hub.running.sessions), "all have gone")
        found = garbage(hub)
    finally:
        gc.enable()
    # One or two may be of another test's hub that was let go meanwhile.
    return {name: found[name] for name in OURS if found[name] >= SESSIONS // 2}


@pytest.mark.parametrize("behind", [b"", b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /heal"])
def test_streams_that_end_leave_no_rings(tmp_path: Path, behind: bytes) -> None:
    """Also when there was a request behind that was never begun, or not whole."""
    with Hub(tmp_path) as hub:
        head = (
            f"GET /hub/v1/stream?feed=shottracker HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.admin_key}\r\n\r\n"
        )
        hub.on_loop(gc.collect)
        gc.disable()
        try:
            for _ in range(SESSIONS):
                with hub.connect() as plain:
                    plain.sendall(head.encode() + behind)
                    read_until(plain, b"connected")
            hub.publish_all([cloud_event()])  # who reads no more is found by writing
            hub.publish_all([cloud_event()])
            hub.until(lambda: not len(hub.running.sessions) and not hub.connections, "all have gone")
            found = garbage(hub)
        finally:
            gc.enable()
        assert {name: found[name] for name in OF_STREAMS if found[name] >= SESSIONS // 2} == {}
