"""A client that left an answer unread and became a WebSocket session could make the hub keep any number of bytes.

The socket had said that it was full to the HTTP connection and said so only once: the fan-out never heard of it, took
the session for a quick one, and gave it everything.
"""

from __future__ import annotations

import socket
from pathlib import Path

from integration.hubs import PATIENCE_SECONDS, Hub
from integration.websockets import handshake

EVENTS = 400
DATA = {"a": "x" * 20_000}


def test_it_is_no_session_before_the_answer_was_read(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        event = {"specversion": "1.0", "source": "/s", "type": "shottracker.x", "subject": "g", "data": DATA}
        for first in range(0, EVENTS, 50):
            hub.publish_all({"id": f"e{number}", **event} for number in range(first, first + 50))
        with socket.socket() as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.settimeout(PATIENCE_SECONDS)
            plain.connect(("127.0.0.1", hub.port))
            lines = ["GET /hub/v1/events?limit=1000 HTTP/1.1", "Host: h", f"Authorization: Bearer {hub.admin_key}"]
            plain.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            hub.until(lambda: any(one.flow.write_paused for one in hub.connections), "the socket is full")
            plain.sendall(handshake("/hub/v1/ws", key=hub.admin_key))
            read = b""
            while data := plain.recv(1024 * 1024):
                read += data
        assert read.count(b"HTTP/1.1 ") == 2
        assert b"HTTP/1.1 400 Bad Request\r\n" in read
