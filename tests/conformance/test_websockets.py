"""Every case against every WebSocket endpoint of one hub, which must have nothing left of them at the end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import re
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from integration.hubs import PATIENCE_SECONDS, Hub, read_to_end, read_until, status_of
from integration.websockets import CLOSE, PING, PONG, TEXT, Client, frame
from touchline.feeds import registry

from . import closing, fragments, framing, limits, texts
from .cases import CLOSED, NO_CODE, Case
from .endpoints import PROVIDERS, Endpoint
from .handshakes import CASES as HANDSHAKES
from .handshakes import Handshake

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_STRANGERS: Final = 40

FEEDS: Final = [name for name, feed in registry.feeds().items() if feed.websocket is not None]
FRAMES: Final = [
    pytest.param(
        case,
        id=f"{table.__name__.rpartition('.')[2]}: {case.name}",
        marks=[pytest.mark.xfail(reason=case.deviation, strict=True)] if case.deviation else [],
    )
    for table in (framing, fragments, texts, closing, limits)
    for case in table.CASES
]

Connect = Callable[[str], Endpoint]


def _sockets() -> int:
    """Sockets that this process has open, the hub's and its clients'."""
    found = 0
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError, ValueError):
            found += stat.S_ISSOCK(os.fstat(int(name)).st_mode)
    return found


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One for all cases; fails at the end when anything of a session is left in it."""
    directory = tmp_path_factory.mktemp("conformance")
    with pytest.MonkeyPatch.context() as patch, Hub(directory, login_failures_per_address=1_000_000) as hub:
        # It hangs up by itself: whoever waits for what only this deadline would bring about waits in vain.
        patch.setattr("touchline.server.websocket._CLOSE_SECONDS", 3 * PATIENCE_SECONDS)
        hub.get("/healthz")

        def held() -> tuple[int, int, int, int, int]:
            running, tasks = hub.running, asyncio.all_tasks()
            readers = len(running.hub.fanout.readers)
            return len(running.sessions), readers, len(hub.connections), len(tasks), _sockets()

        def is_quiet() -> bool:
            return held()[:3] == (0, 0, 0)

        hub.until(is_quiet)
        before = hub.on_loop(held)
        yield hub
        hub.until(is_quiet, "sessions and connections to go")
        hub.until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)), "tasks and sockets to go")


@pytest.fixture(scope="module")
def connect(hub: Hub) -> Connect:
    """The endpoint of a feed."""
    made = {name: PROVIDERS[name](hub) for name in FEEDS}
    return made.__getitem__


def test_every_websocket_endpoint_can_be_connected_to() -> None:
    assert list(PROVIDERS) == FEEDS, "a feed with a WebSocket needs a provider in endpoints.py"


class Dialogue(Client):
    """An open connection to an endpoint."""

    def __init__(self, hub: Hub, endpoint: Endpoint, request: bytes = b"", key: str = "", pieces: int = 0) -> None:
        self.endpoint = endpoint
        self.plain = hub.connect()
        self.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.ExitStack() as stack:
            stack.callback(self.plain.close)
            self.send_in_pieces(request or endpoint.handshake(), pieces)
            self.head, _, self._got = read_until(self.plain, b"\r\n\r\n").partition(b"\r\n\r\n")
            stack.pop_all()

    def send_in_pieces(self, data: bytes, size: int) -> None:
        """What the hub does not want any more is not sent."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for start in range(0, len(data), size or len(data) or 1):
                self.send(data[start : start + (size or len(data))])

    def until(self, opcode: int, data: bytes) -> list[tuple[int, bytes]]:
        """Every frame up to and with that one."""
        got = []
        while True:
            one = self.receive()
            assert one is not None, f"closed without a close, after {got[-5:]}"
            got.append(one)
            assert one[0] != CLOSE, f"closed: {one[1]!r}"
            if one == (opcode, data):
                return got

    def to_the_end(self, *, answered: bool = True) -> int | None:
        """The code of the close; None when there was none. Nothing comes after it, and the hub hangs up, at the latest
        when its close is ``answered``.
        """
        while (got := self.receive()) is not None:
            if got[0] == CLOSE:
                assert len(got[1]) != 1
                got[1][2:].decode()
                if answered:
                    self.send_in_pieces(CLOSED, 0)
                assert self.receive() is None, "nothing comes after a close"
                return int(struct.unpack("!H", got[1][:2])[0]) if got[1] else NO_CODE
        return None

    def goes_on(self, pongs: tuple[bytes, ...], answers: int) -> None:
        """The connection works: pings in their order, and every answer."""
        got = self.until(PONG, pongs[-1]) if pongs else []
        for mark in (b"\0is it\0", b"\0still there\0"):  # what was answered before the first has come by the second
            self.send(frame(PING, mark))
            got += self.until(PONG, mark)[:-1] if mark != b"\0is it\0" else self.until(PONG, mark)
        seen = [data for opcode, data in got if opcode == PONG and not data.startswith(b"\0is it")]
        left = iter(pongs)
        assert all(any(data == one for one in left) for data in seen), f"pongs {seen} to pings {pongs}"
        if self.endpoint.answer:
            assert sum(opcode == TEXT and data == self.endpoint.answer for opcode, data in got) == answers


def _play(client: Dialogue, case: Case) -> None:
    client.send_in_pieces(case.bytes_for(client.endpoint), case.pieces)
    if case.may_stay:
        # It closes, or it has understood: then the ping after it is one.
        client.send(frame(PING, b"mark"))
        while (got := client.receive()) is not None:
            if got == (PONG, b"mark"):
                return
            if got[0] == CLOSE:
                assert struct.unpack("!H", got[1][:2])[0] in case.codes
                return
        raise AssertionError("closed without a close")
    if case.codes:
        assert client.to_the_end(answered=not case.begins_closing) in case.codes, (
            f"RFC 6455, {case.section}: {case.demand}"
        )
    else:
        client.goes_on(case.pongs, case.answers)


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("case", FRAMES)
def test_frames(hub: Hub, connect: Connect, feed: str, case: Case) -> None:
    with Dialogue(hub, connect(feed)) as client:
        _play(client, case)


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("offer", limits.OFFERS[:2])
@pytest.mark.parametrize("case", limits.COMPRESSED, ids=lambda case: case.name)
def test_compression_that_was_declined(hub: Hub, connect: Connect, feed: str, offer: str, case: Case) -> None:
    endpoint = connect(feed)
    with Dialogue(hub, endpoint, endpoint.handshake(sec_websocket_extensions=offer)) as client:
        assert b"extensions" not in client.head.lower(), "agreed compression wants cases of its own"
        _play(client, case)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    told: dict[str, str] = {}
    for name, _, value in (line.partition(":") for line in lines):
        told[name.lower()] = ", ".join(filter(None, (told.get(name.lower()), value.strip())))
    return told


def _check_accepted(client: Dialogue, request: bytes) -> None:
    """What a client must check (RFC 6455, 4.1), and that it can then talk."""
    told = _headers(client.head)
    key = re.search(rb"(?i)\r\nsec-websocket-key:[ \t]*([^\r\t ]*)", request)
    assert key is not None
    assert told["upgrade"].lower() == "websocket"
    assert told["connection"].lower() == "upgrade"
    assert told["sec-websocket-accept"] == base64.b64encode(hashlib.sha1(key[1] + _GUID).digest()).decode()
    assert "sec-websocket-extensions" not in told
    assert "sec-websocket-protocol" not in told
    client.send(frame(TEXT, client.endpoint.ask()))
    client.goes_on((), 1)


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("case", HANDSHAKES, ids=lambda case: case.name)
def test_handshakes(hub: Hub, connect: Connect, feed: str, case: Handshake) -> None:
    request = case.request(connect(feed))
    with Dialogue(hub, connect(feed), request, pieces=case.pieces) as client:
        assert status_of(client.head) in case.statuses, f"{case.section}: {case.demand}"
        told = _headers(client.head)
        assert (case.tells or {}).items() <= told.items()
        if status_of(client.head) == 101:
            _check_accepted(client, request)
        else:
            assert "sec-websocket-accept" not in told


@pytest.mark.parametrize("feed", FEEDS)
def test_sub_protocols(hub: Hub, connect: Connect, feed: str) -> None:
    """RFC 6455, 4.2.2: the answer names one that was offered, in the client's order of preference, or none."""
    endpoint = connect(feed)
    for spoken in endpoint.subprotocols:
        for offer in (spoken, f"nobody.knows, {spoken}", f"{spoken},nobody.knows", ("nobody.knows", spoken)):
            with Dialogue(hub, endpoint, endpoint.handshake(sec_websocket_protocol=offer)) as client:
                assert _headers(client.head)["sec-websocket-protocol"] == spoken


@pytest.mark.parametrize("feed", FEEDS)
def test_frames_in_the_segment_of_the_handshake(hub: Hub, connect: Connect, feed: str) -> None:
    endpoint = connect(feed)
    behind = frame(TEXT, endpoint.ask()) + frame(PING, b"one") + frame(PING, b"two")
    with Dialogue(hub, endpoint, endpoint.handshake() + behind) as client:
        client.goes_on((b"one", b"two"), 1)


@pytest.mark.parametrize("feed", FEEDS)
def test_a_flood_of_handshakes_from_strangers(hub: Hub, connect: Connect, feed: str) -> None:
    """Each is refused, or told and closed, and none of them becomes a session."""
    endpoint = connect(feed)
    lines = tuple(line for line in endpoint.lines if not line.lower().startswith("authorization"))
    request = Endpoint(feed, endpoint.stranger, lines, "").handshake() + frame(TEXT, endpoint.ask()) * 3
    with contextlib.ExitStack() as stack:
        plains = [stack.enter_context(hub.connect()) for _ in range(_STRANGERS)]
        for plain in plains:
            plain.sendall(request)
        for plain in plains:
            head, _, rest = read_until(plain, b"\r\n\r\n").partition(b"\r\n\r\n")
            if status_of(head) == 101:
                client = Dialogue.__new__(Dialogue)
                client.plain, client._got = plain, rest
                assert client.to_the_end() not in (None, 1000)
            else:
                assert status_of(head) in (401, 403)


@pytest.mark.parametrize("how", ["nothing is sent", "half a head", "a head without its end"])
def test_a_handshake_that_never_ends(connect: Connect, tmp_path: Path, how: str) -> None:
    """The connection is given up in time, on every endpoint; by a hub with so little patience that it is asked nothing
    else.
    """
    with Hub(tmp_path, header_seconds=1.0) as hub, contextlib.ExitStack() as stack:
        plains = []
        for feed in FEEDS:
            whole = connect(feed).handshake()
            sent = {"nothing is sent": b"", "half a head": whole[: len(whole) // 2]}.get(how, whole[:-2])
            plains.append(stack.enter_context(hub.connect()))
            plains[-1].sendall(sent)
        for plain in plains:
            assert status_of(read_to_end(plain)) == 408
