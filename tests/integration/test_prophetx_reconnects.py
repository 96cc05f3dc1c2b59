"""Clients that come back, one at any moment or many at once; bursts, stalls, a hub that stands still, ends, or is full.

This protocol has no resume: a client subscribes, reads the state by REST, and drops what is not newer (sheet §7). So
"nothing is lost" means here: what REST shows is never older than what was pushed before, and what is pushed after the
subscription has no gap.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from acceptance.hubs import wait_for
from touchline.feeds.prophetx.channels import BROADCAST
from touchline.testing.clock import FakeClock

from .hubs import Hub
from .prophetx_clients import Client, Session, announce, book, by_rest, due, numbered, partner, told

MakeHub = Callable[..., Hub]
MARKETS = (1, 2, 3)


class Follower:
    """A client that goes by the sheet: subscribe, read by REST, drop what is not newer; it notes what must not be."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.books: dict[int, int] = {}

    def reconcile(self) -> None:
        found = by_rest(self.client.session)
        for market, sequence in self.books.items():
            assert found.get(market, 0) >= sequence, "what was pushed stands in REST"
        self.books |= found

    def take(self) -> int:
        """The next push; its number."""
        info = self.client.change()[2]["info"]
        market, sequence = info["id"], info["sequence_number"]
        self.books[market] = max(sequence, self.books.get(market, 0))
        return int(sequence)


def test_a_client_that_comes_back_at_any_point_reconciles(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchline.feeds.prophetx.access.REQUESTS_PER_SECOND", 10_000)
    hub = make_hub()
    announce(hub)
    follower = Follower(Client(hub, partner(hub, "alice")))
    dice = random.Random(7)
    total = 600

    def publish() -> None:
        for start in range(1, total + 1, 4):
            wait_for(lambda at=start: at < max(follower.books.values(), default=0) + 100, "the client has come so far")
            hub.publish_all([book(MARKETS[number % 3], number) for number in range(start, start + 4)])

    publishing = threading.Thread(target=publish)
    publishing.start()
    try:
        rounds = last = 0
        while last < total:
            follower.client.subscribe_all()
            follower.reconcile()
            before = None
            for _ in range(dice.randrange(1, 60)):
                last = max(follower.books.values(), default=0)
                if last == total:
                    break
                number = follower.take()
                assert before is None or number == before + 1, "there is no gap after a subscription"
                before = number
            rounds += 1
            if dice.random() < 0.5:
                follower.client.socket.reset()
            else:
                follower.client.socket.plain.close()
            follower.reconcile()
            follower.client.connect(hub)
        assert rounds > 5
    finally:
        publishing.join()
    follower.client.socket.plain.close()
    assert follower.books == by_rest(follower.client.session) == {1: 600, 2: 598, 3: 599}


def test_many_come_back_at_once_while_changes_go_on(make_hub: MakeHub) -> None:
    """300 sockets of ten partners: the hub goes and comes again, and each of them has every change from its return on,
    once and in order, also of a burst.
    """
    hub = make_hub()
    sessions = [Session(hub, partner(hub, f"p{number}")) for number in range(10)]
    with ThreadPoolExecutor(24) as pool, ExitStack() as stack:

        def begin(number: int) -> Client:
            return Client(hub, {}, session=sessions[number % 10])

        clients = list(pool.map(begin, range(300)))
        for client in clients:
            stack.callback(lambda one=client: one.socket.plain.close())
        telling = pool.map(lambda client: told(client.socket), clients)
        hub.stop()
        assert set(telling) == {(4200, 4200)}
        again = stack.enter_context(Hub(hub.directory))
        ended = threading.Event()
        published: list[int] = []

        def publish() -> None:
            while not ended.is_set():
                again.publish_all(numbered([len(published)]))
                published.append(len(published))

        publishing = threading.Thread(target=publish)
        publishing.start()
        try:

            def come_back(client: Client) -> None:
                client.connect(again)
                client.subscribe_all()

            list(pool.map(come_back, clients))
        finally:
            ended.set()
            publishing.join()
        begun = len(published)
        again.publish_all(numbered(range(begun, begun + 60)))
        last = begun + 59

        def account(client: Client) -> list[int]:
            return client.numbers(last)

        for got in pool.map(account, clients):
            assert got == list(range(got[0], last + 1))
            assert got[0] <= begun
        assert len(again.running.sessions) == 300


def test_a_burst_arrives_whole_at_all(make_hub: MakeHub) -> None:
    """Fifty times what a second brings usually, to ten readers; the last of them began in its middle."""
    hub = make_hub()
    session = Session(hub, partner(hub, "alice"))
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(hub, {}, session=session)).subscribe_all() for _ in range(9)]
        hub.publish_all(numbered(range(750)))
        late = stack.enter_context(Client(hub, {}, session=session)).subscribe_all()
        hub.publish_all(numbered(range(750, 1500)))
        for client in clients:
            assert client.numbers(1499) == list(range(1500))
        assert late.numbers(1499) == list(range(750, 1500))


def checks(client: Client, count: int) -> list[str | None]:
    """The channels of the next messages, which must be health checks."""
    messages = [client.next() for _ in range(count)]
    assert {message["event"] for message in messages} == {"health_check"}
    return [message.get("channel") for message in messages]


def three(hub: Hub, stack: ExitStack) -> dict[str | None, Client]:
    """Sockets that subscribed to nothing, to the broadcast channel, to both; by where their health checks come."""
    session = Session(hub, partner(hub, "alice"))
    clients = [stack.enter_context(Client(hub, {}, session=session)) for _ in range(3)]
    clients[1].subscribe(BROADCAST)
    clients[2].subscribe_all()
    return {None: clients[0], BROADCAST: clients[1], clients[2].private: clients[2]}


def test_a_publisher_that_stalls_does_not_silence_the_hub(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = make_hub(clock)
    with ExitStack() as stack:
        clients = three(hub, stack)
        hub.publish_all(numbered([1]))
        for channel, client in clients.items():
            if channel is not None:
                assert client.numbers(1) == [1]
        for _ in range(60):
            clock.advance(1)
            due(hub)
        for channel, client in clients.items():
            assert checks(client, 12) == [channel] * 12
            assert client.is_alive(), "there were no more"


def test_a_loop_that_was_blocked_goes_on_and_drops_nobody(make_hub: MakeHub) -> None:
    hub = make_hub()
    with ExitStack() as stack:
        clients = three(hub, stack)
        hub.on_loop(lambda: time.sleep(5.5))  # the fault itself
        for channel, client in clients.items():
            assert checks(client, 1) == [channel], "one, however long it stood still"
            assert client.is_alive()
        hub.publish_all(numbered(range(100)))
        for channel, client in clients.items():
            if channel is not None:
                assert client.numbers(99) == list(range(100))
        assert hub.running.hub.fanout.stats.stalled == 0
