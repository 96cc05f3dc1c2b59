"""A hub that ends tells everybody, one after the other, and keeps what it took; a hub without descriptors recovers."""

from __future__ import annotations

import json
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from acceptance.hubs import Hub as Process
from acceptance.hubs import wait_for
from touchline.server.sessions import Sessions

from .hubs import Hub, read_until, status_of
from .prophetx_clients import Client, Session, announce, book, by_rest, everything, numbered, partner, pour
from .websockets import handshake

MakeHub = Callable[..., Hub]


def test_an_ending_hub_tells_live_and_lagging_sessions_and_keeps_what_it_took(make_hub: MakeHub) -> None:
    """A publisher goes on until it is refused. What was acknowledged is found by REST afterwards, and by nobody later
    than by what it was pushed.
    """
    hub = make_hub()
    announce(hub)
    credentials = partner(hub, "alice")
    session = Session(hub, credentials)
    live = [Client(hub, {}, session=session).subscribe_all() for _ in range(20)]
    lagging = Client(hub, {}, session=session, receive_buffer=4096).subscribe_all()
    stuck = Client(hub, {}, session=session, receive_buffer=4096).subscribe_all()
    pour(hub)
    hub.until(lambda: sum(reader.blocked for reader in hub.running.hub.fanout.readers) >= 2)
    taken = [0]

    def publish() -> None:
        with suppress(OSError, AssertionError):
            while True:
                hub.publish_all([book(1, taken[0] + 1)])
                taken[0] += 1

    publishing = threading.Thread(target=publish)
    publishing.start()
    heard: dict[int, tuple[list[int], dict[str, object], int | None]] = {}

    def read(number: int, client: Client) -> None:
        heard[number] = everything(client)

    wait_for(lambda: taken[0] > 5, "changes go on")
    reading = [threading.Thread(target=read, args=each) for each in enumerate([*live, lagging])]
    for thread in reading:
        thread.start()
    hub.stop()
    for thread in (publishing, *reading):
        thread.join()
    with Hub(hub.directory) as again:
        session.hub = again
        reached = by_rest(session)[1]
        assert reached >= taken[0] > 5, "what was acknowledged is there"
    for numbers, error, code in heard.values():
        assert (error.get("code"), code) == (4200, 4200)
        markets = [number for number in numbers if number >= 0]
        assert markets == list(range(len(markets)))
    for client in (*live, lagging, stuck):
        client.socket.plain.close()


async def test_sessions_are_sent_away_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all of them would be back in the same instant."""
    ended: list[int] = []
    waits = [0]

    class One:
        identity = None

        def end(self, reason: object) -> None:
            del reason
            ended.append(waits[0])
            del sessions._open[self]  # type: ignore[arg-type]

    async def sleep(seconds: float) -> None:
        assert seconds <= 0.05
        waits[0] += 1

    sessions = object.__new__(Sessions)
    sessions._open = {One(): None for _ in range(1000)}  # type: ignore[misc]
    sessions.settings = type("Settings", (), {"drain_seconds": 5.0})()
    monkeypatch.setattr("touchline.server.sessions.asyncio.sleep", sleep)
    await sessions.drain()
    assert len(ended) == 1000
    assert len(set(ended)) == 40, "over two seconds, in steps of fifty milliseconds"


# no descriptor is left


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with Process(tmp_path / "data") as process:
        yield process


def test_a_hub_without_descriptors_serves_whom_it_has_and_recovers(process: Process, tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.port = process.port
    client = Client(hub, partner(hub, "alice")).subscribe_all()
    held = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
    limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    publisher = hub.connect()
    # The publisher's connection and four more; then there is no descriptor left.
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (held + 5, limits[1]))
    with closing(publisher), ExitStack() as stack:

        def publish(number: int) -> None:
            body = json.dumps(numbered([number])[0]).encode()
            publisher.sendall(
                f"POST /hub/v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.publisher_key}\r\n"
                f"Content-Type: application/cloudevents+json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            assert status_of(read_until(publisher, b"}")) == 202

        publish(0)
        flood = [stack.enter_context(hub.connect()) for _ in range(60)]
        for plain in flood:
            with suppress(OSError):
                plain.sendall(handshake(f"/app/{client.config['key']}?protocol=7"))
        wait_for(lambda: len(list(Path(f"/proc/{process.pid}/fd").iterdir())) >= held + 5, "it is full")
        for number in range(1, 20):
            publish(number)
        assert client.numbers(19) == list(range(20)), "who is connected misses nothing"
        assert client.is_alive()
        for plain in flood:
            plain.close()

        def comes_in() -> bool:
            with suppress(OSError, AssertionError), Client(hub, {}, session=client.session) as another:
                return another.is_alive()
            return False

        wait_for(comes_in, "others come in again")
        publish(20)
        assert client.numbers(20) == [20]
    client.socket.plain.close()
    assert "Traceback" not in process.log()
    assert len(process.log().splitlines()) < 20, "nothing is said for every try"


def test_before_descriptors_run_out_others_are_asked_to_come_later(process: Process, tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.port = process.port
    client = Client(hub, partner(hub, "alice")).subscribe_all()
    limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (120, limits[1]))
    with ExitStack() as stack:
        statuses = []
        for _ in range(100):
            plain = stack.enter_context(hub.connect())
            with suppress(OSError):
                plain.sendall(handshake(f"/app/{client.config['key']}?protocol=7"))
            head = read_until(plain, b"\r\n\r\n")
            statuses.append(status_of(head))
            assert statuses[-1] == 101 or b"retry-after:" in head
        assert 50 < statuses.count(101) < 60, "half of the descriptors is for clients, and some were here before"
        assert statuses.count(101) + statuses.count(503) == 100
        assert client.is_alive()
        assert process.log().count("no more connections fit") == 1
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
    hub.publish_all(numbered(range(10)))
    assert client.numbers(9) == list(range(10))
    client.socket.plain.close()
