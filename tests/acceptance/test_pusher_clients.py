"""ProphetX through the Pusher libraries that its customers use, and its health checks on raw sockets.

Each client is a process of its own on somebody else's library, told nothing but the hub's address and its keys.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection

from .hubs import ROOT, Hub, touchline, wait_for
from .pusher_clients import (
    BROADCAST,
    Change,
    ClientOf,
    Line,
    Partner,
    PusherClient,
    change,
    js_client,
    pysher_client,
)
from .readers import open_socket
from .recordings import recorded, recording

RECORDING = "exchange.ndjson"
TOURNAMENT = "28270094"
TOPIC = f"tournament_{TOURNAMENT}"
HEALTH_SECONDS = 60

both_libraries = pytest.mark.parametrize("client_of", [pysher_client, js_client], ids=["pysher", "pusher-js"])


def market(number: int, subject: str = TOURNAMENT) -> bytes:
    """A public change, as a line to publish."""
    return change("market", subject, market_payload(number), f"market-{subject}-{number}")


def market_payload(number: int) -> bytes:
    return b'{"id":"7","info":{"id":219,"status":"active","sequence_number":%d}}' % (1709130007835319001 + number)


def tournament() -> bytes:
    """The one that changes are about."""
    return change("tournament", TOURNAMENT, b'{"id":"%b","info":{"id":%b}}' % ((TOURNAMENT.encode(),) * 2), "t", op="c")


def text(payload: bytes) -> str:
    """What a payload looks like to a client."""
    return base64.b64encode(payload).decode()


def wagers(partner: Partner, count: int) -> list[Change]:
    """What the owner of that many wagers gets."""
    return [Change("wagers", "wager", "u", text(partner.wager_payload(number))) for number in range(count)]


def markets(*numbers: int) -> list[Change]:
    """What everybody gets of these changes."""
    return [Change(TOPIC, "market", "u", text(market_payload(number))) for number in numbers]


@both_libraries
def test_the_whole_exchange_arrives_once_and_in_order_and_wagers_at_their_owner_alone(
    hub: Hub, client_of: ClientOf
) -> None:
    path, lines = recording(RECORDING), recorded(RECORDING)
    alice, bob = Partner(hub, "alice"), Partner(hub, "bob")
    with client_of(alice) as first, client_of(bob) as second, ThreadPoolExecutor(1) as beside:
        for client in (first, second):
            client.subscribed()
        options = ("--speed", "max", "--url", hub.url, "--data", hub.data, "--json")
        replaying, count = beside.submit(touchline, "replay", path, *options, cwd=ROOT), 0
        while not replaying.done() or count < 40:
            hub.publish(alice.wager(count), bob.wager(count))
            count += 1
        done = replaying.result()
        assert done.code == 0, done
        assert done.json["accepted"] == len(lines)
        # The last of each channel: what would come twice or late has come before.
        hub.publish(market(0), alice.wager(count), bob.wager(count))

        stored = [event for event in hub.events(feed="prophetx") if event.type != "prophetx.wager"]
        assert [bytes(event.data) for event in stored] == [bytes(line.data) for line in lines] + [market_payload(0)]
        ops = [msgspec.json.decode(line.line)["op"] for line in lines] + ["u"]
        expected = [
            Change(
                "general" if (event.type, op) == ("prophetx.tournament", "c") else TOPIC,
                event.type.removeprefix("prophetx."),
                op,
                text(bytes(event.data)),
            )
            for event, op in zip(stored, ops, strict=True)
        ]
        for client in (first, second):
            assert client.took(BROADCAST, len(expected)) == expected
            own = client.took(client.partner.private, count + 1)
            assert own == wagers(client.partner, count + 1)
            assert len(client.all("change")) == len(expected) + len(own)
            for channel in (BROADCAST, client.partner.private):
                stamps = [one["timestamp"] for one in client.all("change") if one["channel"] == channel]
                assert stamps == sorted(stamps)
            assert client.all("stray") == []
            assert len(client.all("connected")) == 1


@both_libraries
def test_clients_come_back_by_themselves_when_the_hub_was_stopped_or_killed(hub: Hub, client_of: ClientOf) -> None:
    alice, bob = Partner(hub, "alice"), Partner(hub, "bob")
    hub.publish(tournament())

    def stop() -> None:
        assert hub.terminate() == 0
        hub.start()

    with client_of(alice) as client:
        client.subscribed()
        publish_and_see(hub, client, bob, 0)
        for times, breaking in enumerate((stop, hub.restart), 1):
            breaking()
            client.subscribed(times + 1)
            publish_and_see(hub, client, bob, times)
        assert len(set(client.all("connected"))) == 3


@both_libraries
def test_clients_come_back_by_themselves_after_the_line_was_cut(hub: Hub, client_of: ClientOf) -> None:
    with Line(hub.port) as line:
        hub.url = line.url
        alice, bob = Partner(hub, "alice"), Partner(hub, "bob")
        hub.publish(tournament())
        with client_of(alice) as client:
            client.subscribed()
            publish_and_see(hub, client, bob, 0)
            for times in (1, 2):
                line.reset()
                client.subscribed(times + 1)
                publish_and_see(hub, client, bob, times)
            assert len(set(client.all("connected"))) == 3


def publish_and_see(hub: Hub, client: PusherClient, other: Partner, number: int) -> None:
    """A change on each channel: the client has seen that one, and those of before, and no more."""
    owner = client.partner
    hub.publish(other.wager(number), owner.wager(number), market(number))
    assert client.took(owner.private, number + 1) == wagers(owner, number + 1)
    assert client.took(BROADCAST, number + 1) == markets(*range(number + 1))


@both_libraries
def test_clients_get_health_checks_and_answer_pings(hub: Hub, client_of: ClientOf) -> None:
    """The hub would ask after two minutes of silence; here its question is put into the line."""
    ping = b'{"event":"pusher:ping","data":{}}'
    with Line(hub.port) as line:
        hub.url = line.url
        alice = Partner(hub, "alice")
        with client_of(alice) as client:
            client.subscribed()
            line.tell(bytes([0x81, len(ping)]) + ping)
            wait_for(lambda: line.heard, "the client answers")
            assert [one["event"] for one in client_messages(line.heard)] == ["pusher:pong"]
            check = client.reached("health", 1)[0]
            assert check.pop("timestamp") > 2**53
            assert check == {
                "channel": alice.private,
                "event": "health_check",
                "change_type": "private_system_signal",
                "op": "u",
                "payload": "e30=",
            }
            assert len(client.all("connected")) == 1


def client_messages(content: bytes) -> list[Any]:
    """The short masked messages in what a client sent."""
    found = []
    while content:
        size, mask, content = content[1] & 0x7F, content[2:6], content[6:]
        assert size < 126
        body, content = content[:size], content[size:]
        found.append(msgspec.json.decode(bytes(byte ^ mask[at % 4] for at, byte in enumerate(body))))
    return found


def test_a_wrong_signature_is_told_and_the_connection_stays(hub: Hub) -> None:
    alice, bob = Partner(hub, "alice"), Partner(hub, "bob")
    hub.publish(tournament())
    with js_client(alice, forge=[alice.private]) as forger, js_client(alice, also=[bob.private]) as curious:
        (refused,) = forger.reached("refused", 1)
        assert (refused["channel"], refused["type"], refused["status"]) == (alice.private, "AuthError", 401)
        (refused,) = curious.reached("refused", 1)  # its library was not even given a signature
        assert (refused["channel"], refused["type"], refused["status"]) == (bob.private, "AuthError", 403)
        forger.reached("subscribed", 1)
        curious.subscribed()
        hub.publish(bob.wager(0), alice.wager(0), market(0))
        for client in (forger, curious):
            assert client.took(BROADCAST, 1) == markets(0)
            assert client.all("state") == ["connected"]
            assert len(client.all("refused")) == 1
        assert forger.all("subscribed") == [BROADCAST]
        assert curious.took(alice.private, 1) == wagers(alice, 1)
        assert len(forger.all("change")) == 1
        assert len(curious.all("change")) == 2


def test_an_impatient_client_on_a_silent_hub_gets_its_pongs_and_stays(hub: Hub) -> None:
    alice, bob = Partner(hub, "alice"), Partner(hub, "bob")
    hub.publish(tournament())
    with js_client(alice, pusher={"activityTimeout": 400, "pongTimeout": 5000}) as client:
        client.subscribed()
        client.reached("pong", 8)
        publish_and_see(hub, client, bob, 0)
        assert client.all("state") == ["connected"]


# --- health checks ----------------------------------------------------------------------------------------------------


class Socket:
    """A raw socket of a partner that writes down what comes."""

    def __init__(self, partner: Partner, socket: ClientConnection, channels: tuple[str, ...]) -> None:
        self.partner, self.socket, self.channels = partner, socket, channels
        self.checks: list[dict[str, Any]] = []
        self.payloads: list[str] = []
        self._begun = 0.0

    @property
    def open_seconds(self) -> float:
        """Since it has its channels."""
        return time.monotonic() - self._begun

    async def subscribe(self) -> None:
        """Take the greeting and then the channels."""
        socket_id = msgspec.json.decode((await self._next())["data"])["socket_id"]
        for channel in self.channels:
            auth = await asyncio.to_thread(self.partner.signature, socket_id, channel)
            wish = {"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth}}
            await self.socket.send(msgspec.json.encode(wish).decode())
            while (given := await self._next())["event"] == "health_check":
                pass  # a slow machine
            assert (given["event"], given["channel"]) == ("pusher_internal:subscription_succeeded", channel)
        self._begun = time.monotonic()

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = msgspec.json.decode(await self.socket.recv())
        return message

    async def listen(self) -> None:
        """Until it is cancelled."""
        while True:
            message = await self._next()
            if message["event"] == "health_check":
                self.checks.append(message)
            else:
                self.payloads.append(msgspec.json.decode(message["data"])["payload"])


async def test_every_socket_gets_its_health_checks_whatever_the_load(make_hub: Callable[..., Hub]) -> None:
    hub = await asyncio.to_thread(make_hub)
    alice = await asyncio.to_thread(Partner, hub, "alice")
    await asyncio.to_thread(alice.log_in)
    key = await asyncio.to_thread(alice.app_key)
    began = time.time_ns()
    async with AsyncExitStack() as stack:
        sockets = []
        for channels in ((), (BROADCAST,), (BROADCAST, alice.private)):
            raw = await stack.enter_async_context(open_socket(hub.ws_url(f"/app/{key}", protocol=7)))
            sockets.append(Socket(alice, raw, channels))
            await sockets[-1].subscribe()
        listening = [asyncio.create_task(one.listen()) for one in sockets]
        published = await load(hub, alice, HEALTH_SECONDS)
        async with asyncio.timeout(30):
            while len(sockets[1].payloads) < published or len(sockets[2].payloads) < 2 * published:
                assert not any(task.done() for task in listening), "a socket was closed"
                await asyncio.sleep(0.01)
        owed = [one.open_seconds // 5 for one in sockets]
        for task in listening:
            assert not task.done(), task.exception()
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    ended = time.time_ns()

    nothing, broadcast, both = sockets
    public, private = text(market_payload(0)), text(alice.wager_payload(0))
    assert (nothing.payloads.count(public), broadcast.payloads.count(public), both.payloads.count(public)) == (0, 1, 1)
    assert len(broadcast.payloads) == len(set(broadcast.payloads)) == published
    assert both.payloads.count(private) == 1
    assert len(both.payloads) == len(set(both.payloads)) == 2 * published
    for one, channel, count in zip(sockets, (None, BROADCAST, alice.private), owed, strict=True):
        assert abs(len(one.checks) - count) <= 1, len(one.checks)
        for check in one.checks:
            assert check.keys() == {"event", "data"} | ({"channel"} if channel else set())
            assert check.get("channel") == channel
            data = msgspec.json.decode(check["data"])
            stamp = data.pop("timestamp")
            assert data == {"change_type": "private_system_signal", "op": "u", "payload": "e30="}
            assert type(stamp) is int
            assert began - 10**9 < stamp < ended + 10**9
        stamps = [msgspec.json.decode(check["data"])["timestamp"] for check in one.checks]
        assert stamps == sorted(set(stamps))


async def load(hub: Hub, partner: Partner, seconds: float) -> int:
    """Bursts of public and private changes for so long; how many of each."""
    loop, number = asyncio.get_running_loop(), 0
    end = loop.time() + seconds
    while (left := end - loop.time()) > 0:
        if left > 3:
            lines = [line for at in range(number, number + 250) for line in (market(at), partner.wager(at))]
            await asyncio.to_thread(hub.publish, *lines)
            number += 250
        await asyncio.sleep(min(1.5, max(0.0, end - loop.time())))
    return number
