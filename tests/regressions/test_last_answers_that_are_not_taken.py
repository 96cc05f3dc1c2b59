"""A client that never read the last answer of its connection could keep that connection for good.

A socket that is full says so, and who then takes nothing is sent away; but of an answer that fits in what the transport
keeps nobody was told, nor of what was left when a full one had drained. An idle connection has a deadline; one that is
closing behind its last answer had none.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from integration.hubs import PATIENCE_SECONDS, Hub, cloud_event

SMALL_BUFFER = 2048
"""Of the system, so that the transport keeps the rest."""


@pytest.mark.parametrize(
    ("header", "behind", "drained"),
    [
        ("Connection: close\r\n", b"", False),
        ("", b"\x16\x03\x01\x02 no head\r\n\r\n", False),
        ("Connection: close\r\n", b"", True),
    ],
    ids=["asked to be the last", "the last since no request follows", "the rest of a larger one"],
)
def test_who_takes_nothing_is_sent_away(tmp_path: Path, header: str, behind: bytes, drained: bool) -> None:
    with Hub(tmp_path, stall_seconds=2.0) as hub, socket.socket() as plain:
        hub.publish_all([cloud_event(data={"type": "x" * 45_000})])
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        plain.settimeout(PATIENCE_SECONDS)
        hub.until(lambda: not hub.connections, "the publisher has gone")
        plain.connect(("127.0.0.1", hub.port))
        hub.until(lambda: len(hub.connections) == 1, "it is there")
        (one,) = hub.connections

        def narrow() -> None:
            with one.transport.get_extra_info("socket").dup() as same:
                same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)

        hub.on_loop(narrow)
        request = f"GET /hub/v1/events HTTP/1.1\r\nHost: h\r\n{header}"
        plain.sendall(f"{request}Authorization: Bearer {hub.admin_key}\r\n\r\n".encode() + behind)
        hub.until(one.transport.is_closing, "the answer is whole")
        if drained:  # what the socket says when it was full, and some of it was taken
            hub.on_loop(lambda: (one.pause_writing(), one.resume_writing()))
        assert hub.on_loop(one.transport.get_write_buffer_size) > 0
        hub.until(lambda: not hub.connections, "it is sent away")
