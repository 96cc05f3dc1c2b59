"""The shell over real sockets: a WebSocket server made by the library, and the ShotTracker and native roles."""

from __future__ import annotations

import asyncio
import http
import itertools
import random
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import pytest
import trustme
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from touchline.client import connect, iterate
from touchline.client.hub_stream import CLIENT as HUB
from touchline.client.hub_stream import Settings as HubSettings
from touchline.errors import ConfigError, UpstreamError
from touchline.feeds.base import ClientSurface, ClientWish, Instant, Message, Notice, Open
from touchline.feeds.shottracker.client import CLIENT as SHOTTRACKER
from touchline.feeds.shottracker.client import Settings
from touchline.testing.clock import FakeClock
from touchline.wire.http import HttpResponse

Talk = Callable[[ServerConnection, int], Awaitable[None]]


class NoWait(random.Random):
    """Dice that always try again at once."""

    def uniform(self, a: float, b: float) -> float:
        return a


def answer(status: int, body: bytes) -> Response:
    headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
    return Response(status, http.HTTPStatus(status).phrase, headers, body)


class Peer:
    """A provider: gives tokens over HTTP, then talks as the test says, connection after connection."""

    def __init__(self, *talks: Talk, refusals: list[Response] | None = None, **kwargs: Any) -> None:
        self.talks = list(talks)
        self.refusals = refusals or []
        self.paths: list[str] = []
        self.talking: list[asyncio.Task[Any]] = []
        self.kwargs = kwargs
        self.server: Server

    def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        self.paths.append(request.path)
        if "/_subscribe" in request.path:
            assert request.headers["authorization"].startswith("hmac username=")
            return answer(200, b'{"token":"T"}')
        return self.refusals.pop(0) if self.refusals else None

    async def _talk(self, connection: ServerConnection) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.talking.append(task)
        await self.talks.pop(0)(connection, len(self.talks))

    async def __aenter__(self) -> Self:
        self.server = await serve(self._talk, "127.0.0.1", 0, process_request=self._process, **self.kwargs)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self.server.close()
        await self.server.wait_closed()

    def settings(self, scheme: str = "http", **given: Any) -> Settings:
        return Settings(username="u", secret="s", event_id="g", url=f"{scheme}://127.0.0.1:{self.port}", **given)


def talk(*messages: str, code: int = 1000, abort: bool = False) -> Talk:
    async def run(connection: ServerConnection, left: int) -> None:
        for message in messages:
            await connection.send(message)
        if abort:
            connection.transport.abort()
        else:
            await connection.close(code, "over" if code == 1000 else "")

    return run


def sequenced(*numbers: int) -> list[str]:
    return [f'{{"seq":"{number}","type":"data","source":"shot","data":{{"n":{number}}}}}' for number in numbers]


async def resumes(items: Any) -> list[str]:
    async with items as opened:
        return [item.resume async for item in opened if isinstance(item, Message)]


async def test_receives_and_resumes_until_the_game_is_over() -> None:
    async with Peer(talk(*sequenced(1, 2), abort=True), talk(*sequenced(2, 3), code=1001), talk(*sequenced(4))) as peer:
        assert await resumes(connect(SHOTTRACKER, peer.settings(), dice=NoWait())) == ["1", "2", "3", "4"]
    assert peer.paths == [
        "/v1/data/schedule/games/g/_subscribe",
        "/live/v2/games?token=T",
        "/live/v2/games?token=T&last_seq=2",
        "/live/v2/games?token=T&last_seq=3",
    ]


async def test_nothing_that_came_before_the_close_is_lost() -> None:
    async with Peer(talk(*sequenced(*range(1, 3001)))) as peer:
        assert await resumes(connect(SHOTTRACKER, peer.settings())) == [str(number) for number in range(1, 3001)]


async def test_a_slow_user_loses_nothing() -> None:
    seen = []
    async with Peer(talk(*sequenced(*range(1, 200)))) as peer, connect(SHOTTRACKER, peer.settings()) as items:
        async for item in items:
            await asyncio.sleep(0)
            if isinstance(item, Message):
                seen.append(int(item.resume))
    assert seen == list(range(1, 200))


class Due:
    """A role that always has something to do, and hands on what comes."""

    def __init__(self, url: str) -> None:
        self.close_reason: str | None = None
        self.ticks: list[tuple[float, bool]] = []
        self._wishes: list[ClientWish] = [Open(url)]

    def fetched(self, number: int, response: HttpResponse | None, now: Instant) -> None:
        raise AssertionError("it asked for nothing")

    def opened(self, now: Instant) -> None:
        pass

    def receive_data(self, data: str | bytes, now: Instant) -> None:
        self._wishes.append(Message("", b"", data.encode() if isinstance(data, str) else data))

    def closed(self, code: int | None, reason: str, now: Instant, status: int | None = None) -> None:
        self.close_reason = "over"

    def events_received(self) -> list[ClientWish]:
        wishes, self._wishes = self._wishes, []
        return wishes

    def data_to_send(self) -> list[str | bytes]:
        return []

    def deadline(self) -> float | None:
        return 0.0

    def tick(self, now: Instant, *, is_behind: bool = False) -> None:
        self.ticks.append((now.monotonic, is_behind))


@pytest.mark.parametrize("user_seconds", [0.01, 0.4, 7.0])
async def test_what_is_due_is_told_while_messages_never_pause(user_seconds: float) -> None:
    clock = FakeClock()
    begun = clock.monotonic()
    async with Peer(talk(*(str(number) for number in range(600)))) as peer:
        role = Due(f"ws://127.0.0.1:{peer.port}/")
        surface = ClientSurface(Settings, lambda settings, dice, now: role)
        taken = 0
        async with connect(surface, peer.settings(), clock=clock) as items:
            async for _ in items:
                taken += 1
                clock.advance(user_seconds)
    assert taken == 600
    moments = [begun, *(at for at, _ in role.ticks), clock.monotonic()]
    longest = max(later - sooner for sooner, later in itertools.pairwise(moments))
    assert longest <= 1.0 + 2 * user_seconds
    assert any(is_behind for _, is_behind in role.ticks)


async def test_a_slow_user_is_not_taken_for_a_silent_peer() -> None:
    clock, sent, kinds = FakeClock(), asyncio.Event(), []

    async def all_at_once(connection: ServerConnection, left: int) -> None:
        for message in sequenced(*range(1, 100)):
            await connection.send(message)
        sent.set()
        await connection.close(1000, "over")

    async with Peer(all_at_once) as peer, connect(SHOTTRACKER, peer.settings(), clock=clock) as items:
        async for item in items:
            await sent.wait()
            clock.advance(1000.0)
            kinds.append(item.kind if isinstance(item, Notice) else "message")
    assert kinds == ["connected", *["message"] * 99, "finished"]


async def test_a_refused_handshake_is_told_to_the_role() -> None:
    refusals = [answer(503, b""), answer(410, b'{"message":"too old"}'), answer(403, b'{"message":"not yours"}')]
    async with Peer(refusals=refusals) as peer, connect(SHOTTRACKER, peer.settings(last_seq=9), dice=NoWait()) as items:
        notices = [await anext(items) for _ in range(3)]
        with pytest.raises(UpstreamError, match="403: not yours"):
            await anext(items)
    assert [one.kind for one in notices if isinstance(one, Notice)] == ["reconnecting", "gap", "refused"]


async def test_a_redirect_is_not_followed() -> None:
    moved = answer(307, b"")
    moved.headers["Location"] = "/elsewhere"
    async with Peer(refusals=[moved]) as peer, connect(SHOTTRACKER, peer.settings()) as items:
        await anext(items)
        with pytest.raises(UpstreamError, match="307"):
            await anext(items)
    assert not any("elsewhere" in path for path in peer.paths)


async def test_nobody_there() -> None:
    with socket.socket() as bound:  # and nobody else can be: the port stays ours
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        settings = Settings(username="u", secret="s", event_id="g", url=url)
        async with connect(SHOTTRACKER, settings, dice=NoWait()) as items:
            notices = [await anext(items), await anext(items)]
    assert [one.kind for one in notices if isinstance(one, Notice)] == ["fetch_failed", "reconnecting"]
    assert "connection refused" in str(notices[0])


async def test_leaving_early_closes_the_socket() -> None:
    closed = asyncio.Event()

    async def stay(connection: ServerConnection, left: int) -> None:
        await connection.send(sequenced(1)[0])
        await connection.wait_closed()
        closed.set()

    async with Peer(stay) as peer:
        async with connect(SHOTTRACKER, peer.settings()) as items:
            async for item in items:
                if isinstance(item, Message):
                    break
        await asyncio.wait_for(closed.wait(), 5)


async def test_a_half_open_line_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchline.client.connection.PROBE_SECONDS", 0.05)

    async def freeze(connection: ServerConnection, left: int) -> None:
        connection.transport.pause_reading()
        await asyncio.Event().wait()

    async with Peer(freeze, talk(*sequenced(1))) as peer:
        assert await resumes(connect(SHOTTRACKER, peer.settings(), dice=NoWait())) == ["1"]
        for connection in peer.server.connections:
            connection.transport.abort()
        for task in peer.talking:
            task.cancel()


async def test_waiting_may_be_cancelled_without_loss() -> None:
    go_on = asyncio.Event()

    async def wait(connection: ServerConnection, left: int) -> None:
        await go_on.wait()
        await talk(*sequenced(1, 2))(connection, left)

    async with Peer(wait) as peer, connect(SHOTTRACKER, peer.settings()) as items:
        assert isinstance(await anext(items), Notice)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(items), 0.01)
        go_on.set()
        assert [item.resume async for item in items if isinstance(item, Message)] == ["1", "2"]


async def test_tls_is_verified_and_a_private_ca_is_taken(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with Peer(talk(*sequenced(1)), ssl=context) as peer:
        assert await resumes(connect(SHOTTRACKER, peer.settings("https"), ca_file=ca_file)) == ["1"]
        async with connect(SHOTTRACKER, peer.settings("https"), dice=NoWait()) as items:
            first = await anext(items)
            assert isinstance(first, Notice)
            assert "certificate is not trusted" in first.detail
    with pytest.raises(ConfigError, match="CA file"):
        async with connect(SHOTTRACKER, peer.settings("https"), ca_file=tmp_path / "absent.pem"):
            pass


async def test_the_native_stream_resumes_by_position() -> None:
    first = '{"type":"shottracker.shot","id":"1","position":"abcdefgh-1","data":{"a":1}}'
    second = '{"type":"shottracker.shot","id":"2","position":"abcdefgh-2","data":{"a":2}}'
    gap = (
        '{"type":"hub.gap","id":"x","data":{"reason":"expired","detail":"older than retention","oldest":"abcdefgh-9"}}'
    )
    peer = Peer(talk(first, code=1001), talk(gap, code=4410), talk(second), subprotocols=["cloudevents.json"])
    async with peer:
        settings = HubSettings(url=f"http://127.0.0.1:{peer.port}", key="K", feed=("shottracker",), type=("a", "b"))
        async with connect(HUB, settings, dice=NoWait()) as items:
            seen = [item async for item in items]
    messages = [item for item in seen if isinstance(item, Message)]
    assert [(one.source, one.data, one.resume) for one in messages] == [
        ("shottracker.shot", b'{"a":1}', "abcdefgh-1"),
        ("shottracker.shot", b'{"a":2}', "abcdefgh-2"),
    ]
    assert messages[0].raw == first.encode()
    assert "gap" in [item.kind for item in seen if isinstance(item, Notice)]
    query = "/hub/v1/ws?feed=shottracker&type=a&type=b"
    assert peer.paths == [query, f"{query}&after=abcdefgh-1", f"{query}&after=abcdefgh-9"]


def test_the_same_without_async() -> None:
    ready: list[Any] = []

    async def prepare() -> None:
        async with Peer(talk(*sequenced(1, 2))) as peer:
            loop = asyncio.get_running_loop()
            seen = await loop.run_in_executor(None, lambda: list(iterate(SHOTTRACKER, peer.settings())))
            ready.extend(item.resume for item in seen if isinstance(item, Message))

    asyncio.run(prepare())
    assert ready == ["1", "2"]


async def test_it_must_be_entered() -> None:
    connection = connect(HUB, HubSettings())
    with pytest.raises(RuntimeError, match="async with"):
        await anext(connection)
