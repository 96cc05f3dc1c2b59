"""The socket of an exchange's client, below its protocol: handshakes wrong, late or many, and broken frames."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from touchline.server.connection import MAX_HEAD_BYTES
from touchline.testing.clock import FakeClock

from .hubs import Hub, read_to_end, status_of
from .prophetx_clients import Client, app_of, connections, due, numbered, partner, tick, told
from .websockets import BINARY, BROKEN_FRAMES, CLOSE, CONT, PING, PONG, TEXT, frame, handshake
from .websockets import Client as Socket

MakeHub = Callable[..., Hub]
PING_EVENT = b'{"event":"pusher:ping","data":{}}'
PONG_EVENT = b'{"event":"pusher:pong","data":{}}'


@pytest.fixture
def client(hub: Hub, subject: str) -> Iterator[Client]:
    with Client(hub, partner(hub, subject)) as client:
        yield client


@pytest.fixture
def path(hub: Hub, subject: str) -> str:
    partner(hub, subject)
    return f"/app/{app_of(hub, subject).key}?protocol=7"


# handshakes


def without(head: bytes, name: str, *instead: str) -> bytes:
    """A head without a header, or with another in its place."""
    lines = [line for line in head.decode().split("\r\n") if not line.startswith(f"{name}:")]
    return "\r\n".join([*lines[:-2], *instead, *lines[-2:]]).encode()


def test_heads_that_are_wrong(hub: Hub, path: str) -> None:
    good = handshake(path)
    wrong = {
        without(good, "Host"): 400,
        without(good, "Host", "Host: a", "Host: a"): 400,
        without(good, "Sec-WebSocket-Key"): 400,
        without(good, "Sec-WebSocket-Key", "Sec-WebSocket-Key: short"): 400,
        without(good, "Sec-WebSocket-Version"): 400,
        without(good, "Sec-WebSocket-Version", "Sec-WebSocket-Version: 12"): 400,
        without(good, "Upgrade", "Connection: close"): 426,
        without(good, "Connection", "Connection: close"): 426,
        good.replace(b"GET ", b"POST ", 1): 400,
        handshake(path + "&x=" + "y" * MAX_HEAD_BYTES): 431,
        handshake(path, "X: " + "y" * MAX_HEAD_BYTES): 431,
        handshake(path, *(f"X-{number}: y" for number in range(4000))): 431,
        handshake("/app"): 404,
        handshake("/app/"): 404,
        handshake("/app/a/b"): 404,
    }
    assert {head[:120]: status_of(hub.exchange(head)) for head in wrong} == {
        head[:120]: status for head, status in wrong.items()
    }
    with Socket(hub, path) as socket:
        assert socket.event()["event"] == "pusher:connection_established"


@pytest.mark.parametrize("sent", ["nothing", "a byte now and then"])
def test_a_handshake_that_does_not_come(make_hub: MakeHub, sent: str) -> None:
    hub = make_hub(header_seconds=0.2)  # too little for requests that are to be answered: it gets none
    head = handshake(f"/app/{'0' * 20}?protocol=7")
    ended = threading.Event()
    with hub.connect() as plain:

        def drip() -> None:
            for byte in head:
                with suppress(OSError):
                    plain.sendall(bytes([byte]))
                if ended.wait(0.02):
                    return

        dripping = threading.Thread(target=drip)
        if sent != "nothing":
            dripping.start()
        try:
            assert status_of(read_to_end(plain)) == 408
        finally:
            ended.set()
            if sent != "nothing":
                dripping.join()


def test_a_flood_of_handshakes_with_keys_that_nobody_has(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is told on its open socket and let go, though it neither reads nor closes; who has a key is not kept out."""
    monkeypatch.setattr("touchline.server.websocket._CLOSE_SECONDS", 0.2)
    hub = make_hub()
    credentials = partner(hub, "alice")
    key = app_of(hub, "alice").key
    with Client(hub, credentials) as client, ExitStack() as stack:
        client.subscribe_all()
        flood = []
        for number in range(300):
            plain = stack.enter_context(hub.connect())
            wrong = f"{number:020x}{key[20:]}" if number % 2 else f"{number:x}"
            plain.sendall(handshake(f"/app/{wrong}?protocol=7"))
            flood.append(plain)
        hub.publish_all(numbered(range(50)))
        assert client.numbers(49) == list(range(50))
        answers = {read_to_end(plain).partition(b"\r\n\r\n")[2] for plain in flood}
        assert len(answers) == 1, "a key that was almost right is answered as any other"
        (answer,) = answers
        assert answer.count(b"4001") == 1
        assert answer.endswith(struct.pack("!H", 4001) + b"There is no application with this key")
        hub.until(lambda: len(hub.running.sessions) == 1, "the flood to be gone")
        with Client(hub, credentials) as another:
            assert another.is_alive()


@pytest.mark.parametrize(("query", "code"), [("protocol=8", 4007), ("protocol=4", 4007), ("protocol=x", 4006)])
def test_versions_that_are_not_served(hub: Hub, path: str, query: str, code: int) -> None:
    assert told(Socket(hub, path.partition("?")[0] + f"?{query}")) == (code, code)


@pytest.mark.parametrize("query", ["", "?protocol=5", "?protocol=6&client=Pysher", "?protocol=7&flash=false"])
def test_versions_that_are_served(hub: Hub, path: str, query: str) -> None:
    with Socket(hub, path.partition("?")[0] + query) as socket:
        assert socket.event()["event"] == "pusher:connection_established"


@pytest.mark.parametrize("speaks", ["not at all", "frames", "the protocol"])
def test_who_connects_and_is_silent(make_hub: MakeHub, speaks: str) -> None:
    """Half-open connections look like this: what is sent finds room, and nothing ever comes back. 95 seconds without a
    frame end a session, 150 without a message do where the client's library answers pings by itself.
    """
    clock = FakeClock()
    hub = make_hub(clock)
    with Client(hub, partner(hub, "alice")) as client:
        for second in range(1, 160):
            clock.advance(1)
            tick(hub)
            due(hub)
            if speaks != "not at all" and second % 20 == 0:
                client.socket.send(frame(PONG) + frame(PING, b"heard"))
                while client.socket.receive() != (PONG, b"heard"):
                    pass
            if speaks == "the protocol" and second % 100 == 0:
                assert client.is_alive()
            if hub.on_loop(lambda: all(one._closing for one in connections(hub))):
                break
        if speaks == "the protocol":
            assert client.is_alive()
        else:
            assert second == (96 if speaks == "not at all" else 150)
            assert told(client.socket) == (4201, 4201)


# frames (RFC 6455)


@pytest.mark.parametrize(("sent", "code"), BROKEN_FRAMES, ids=range(len(BROKEN_FRAMES)))
def test_frames_that_break_the_rules(hub: Hub, path: str, sent: bytes, code: int) -> None:
    with Socket(hub, path) as socket:
        socket.send(sent)
        assert socket.closed() == code


@pytest.mark.parametrize("body", [b"", struct.pack("!H", 1000), struct.pack("!H", 4321) + b"why not"])
def test_a_close_is_answered_and_nothing_behind_it(client: Client, body: bytes) -> None:
    client.socket.send(frame(CLOSE, body) + frame(TEXT, PING_EVENT) + b"\xff\xff")
    got = client.socket.receive()
    assert got is not None
    assert (got[0], got[1][:2]) == (CLOSE, body[:2])
    assert client.socket.receive() is None


def test_control_frames_within_a_fragmented_message(client: Client) -> None:
    client.socket.send(frame(TEXT, PING_EVENT[:9], fin=False) + frame(PING, b"a"))
    assert client.socket.receive() == (PONG, b"a")
    client.socket.send(frame(CONT, b"", fin=False) + frame(PONG) + frame(CONT, PING_EVENT[9:]))
    assert client.socket.receive() == (TEXT, PONG_EVENT)


def test_frames_byte_by_byte(client: Client) -> None:
    for byte in frame(TEXT, PING_EVENT):
        client.socket.send(bytes([byte]))
    assert client.socket.receive() == (TEXT, PONG_EVENT)


def test_endless_fragments_and_a_flood_of_pings(client: Client) -> None:
    client.socket.send(frame(TEXT, b"{", fin=False) + frame(CONT, fin=False) * 20_000 + frame(PING, b"x") * 500)
    assert [client.socket.receive() for _ in range(500)] == [(PONG, b"x")] * 500
    client.socket.send(frame(CONT, PING_EVENT[1:]))
    assert client.socket.receive() == (TEXT, PONG_EVENT)


def test_binary_messages_and_compression(hub: Hub, path: str) -> None:
    with Socket(hub, path, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits") as socket:
        assert b"extensions" not in socket.head.lower()
        assert socket.event()["event"] == "pusher:connection_established"
        socket.send(frame(BINARY, PING_EVENT) + frame(TEXT, PING_EVENT))
        complaint = socket.event()
        assert (complaint["event"], complaint["data"]["code"]) == ("pusher:error", 4300)
        assert socket.receive() == (TEXT, PONG_EVENT)


def test_what_is_sent_behind_the_handshake_is_answered_after_the_greeting(hub: Hub, path: str) -> None:
    with Socket(hub, path, behind=frame(TEXT, PING_EVENT) + frame(TEXT, b"garbage")) as socket:
        assert [socket.event()["event"] for _ in range(3)] == [
            "pusher:connection_established",
            "pusher:pong",
            "pusher:error",
        ]
