"""A client that sent something behind its request could get an HTTP answer in the midst of an event stream.

A second head that was late, too large or no head at all was refused at once, whatever was being answered: with 408 and
the like between two events, or in the place of the answer that the first request was still owed. And of a client that
left with a request behind its stream only that second one was told: the stream was written on, into a closed socket.
"""

from __future__ import annotations

import logging
import socket
import struct
from pathlib import Path

import pytest

from integration.hubs import Hub, cloud_event, read_to_end, read_until
from integration.test_native_reading import EventStream
from integration.websockets import handshake

PLAIN = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
STREAM = "/hub/v1/stream?feed=shottracker"


def publish(hub: Hub) -> str:
    event = cloud_event()
    hub.publish_all([event])
    return str(event["id"])


@pytest.mark.parametrize(
    "behind",
    [
        b"GET /healthz HT",
        b"\r\n",
        b"\x16\x03\x01\x02 no head\r\n\r\n",
        PLAIN + b"\x16\x03\x01\x02 no head\r\n\r\n",
        b"GET /" + b"x" * 40_000,
        handshake("/hub/v1/ws"),
    ],
    ids=["late", "blank", "broken", "broken behind another", "large", "upgrade"],
)
def test_an_event_stream_has_nothing_but_events(tmp_path: Path, behind: bytes) -> None:
    with Hub(tmp_path, header_seconds=1.0) as hub, EventStream(hub, "feed=shottracker", hub.admin_key) as stream:
        sent = [publish(hub)]
        assert stream.event()[2]["id"] == sent[0]
        stream.plain.sendall(behind)
        sent.append(publish(hub))
        assert b" 408 " in hub.exchange(b"GET /healthz HT"), "nothing is before this one, and it began later"
        sent.append(publish(hub))
        assert [stream.event()[2]["id"] for _ in range(2)] == sent[1:]


def test_answers_that_are_due_come_first_and_are_the_last(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        answers = hub.exchange(PLAIN + PLAIN + b"\x16\x03\x01\x02 no head\r\n\r\n")
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2
        assert answers.count(b"HTTP/1.1 ") == 2


def test_a_body_that_is_broken_behind_a_stream_ends_it_without_a_word(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub, hub.connect() as plain:
        post = b"POST /hub/v1/events HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"
        plain.sendall(f"GET {STREAM} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.admin_key}\r\n\r\n".encode())
        got = read_until(plain, b"connected\n\n\r\n")
        plain.sendall(post)
        assert b"HTTP/1.1 " not in read_to_end(plain)
        assert got.count(b"HTTP/1.1 ") == 1
        hub.until(lambda: not len(hub.running.sessions), "the session to end")


@pytest.mark.parametrize("rest", [b"", b"no chunk\r\n"], ids=["late", "broken"])
def test_a_body_that_was_answered_already_is_not_answered_again(tmp_path: Path, rest: bytes) -> None:
    with Hub(tmp_path, body_seconds=2.0) as hub, hub.connect() as plain:
        plain.sendall(b"POST /hub/v1/events HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b" 401 " in read_until(plain, b"}"), "before the body"
        plain.sendall(rest)
        assert read_to_end(plain) == b""


@pytest.mark.parametrize("behind", [b"", PLAIN], ids=["nothing", "another request"])
def test_a_reader_that_leaves_in_the_midst_of_a_write_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, behind: bytes
) -> None:
    caplog.set_level(logging.WARNING)
    with Hub(tmp_path) as hub:
        head = f"GET {STREAM} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.admin_key}\r\n\r\n"
        for _ in range(4):
            with hub.connect(receive_buffer=4096) as plain:
                plain.sendall(head.encode() + behind)
                read_until(plain, b"connected")
                hub.publish_all(cloud_event(data={"type": "x" * 100_000}) for _ in range(50))
                hub.until(lambda: any(one.flow.write_paused for one in hub.connections), "the socket is full")
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            hub.until(lambda: not len(hub.running.sessions) and not hub.connections, "it has gone")
            publish(hub)
    assert [record.getMessage() for record in caplog.records] == []
