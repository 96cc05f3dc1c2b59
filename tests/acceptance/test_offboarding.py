"""A partner that is suspended, removed or given new credentials loses everything within five seconds; others nothing.

Everything means here: ShotTracker sockets and tokens, signed requests, the native WebSocket, server-sent events, native
reading. A removal holds over a restart, and a new partner of the same name inherits nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from .hubs import Credentials, Hub, game, marker, native_headers, touchline
from .readers import REVOKED, LiveReader, NativeReader, Reader, SseReader

GAME = "game-1"
SCHEDULE = f"/v1/data/games/{GAME}"
LIMIT_SECONDS = 5.0


class Holding(NamedTuple):
    """All that a partner has in its hands."""

    name: str
    who: Credentials
    token: str
    key: str


def add(hub: Hub, name: str) -> Holding:
    """A partner on both feeds."""
    who = hub.add_shottracker(name)
    return Holding(name, who, hub.token(who, GAME), hub.add_partner(name, "hub")["key"])


def readers_of(hub: Hub, holding: Holding, start: str) -> list[Reader]:
    """One session of each kind."""
    return [
        LiveReader(hub, f"{holding.name}'s live", holding.token),
        NativeReader(hub, f"{holding.name}'s socket", holding.key, start),
        SseReader(hub, f"{holding.name}'s sse", holding.key, start),
    ]


def good_for(hub: Hub, holding: Holding) -> dict[str, int]:
    """The status of everything that can be asked for with what the partner holds."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    native = native_headers(holding.key)
    return {
        "signed": hub.signed(holding.who, SCHEDULE).status,
        "subscribe": hub.signed(holding.who, f"/v1/data/schedule/games/{GAME}/_subscribe").status,
        "token": hub.ask("GET", f"/live/v2/games?token={holding.token}", upgrade).status,
        "read": hub.ask("GET", "/hub/v1/events", native).status,
        "snapshot": hub.ask("GET", f"/hub/v1/snapshots/shottracker/{GAME}", native).status,
        "stream": hub.ask("GET", "/hub/v1/stream?after=nonsense", native).status,
        "socket": hub.ask("GET", "/hub/v1/ws?after=nonsense", {**upgrade, **native}).status,
    }


ALL_GOOD = {
    "signed": 200,
    "subscribe": 200,
    "token": 101,
    "read": 200,
    "snapshot": 200,
    "stream": 400,  # let in, then told what is wrong with the position
    "socket": 400,
}
ALL_DEAD = dict.fromkeys(ALL_GOOD, 401)


class Traffic:
    """Publishes all the time, and knows what it has published."""

    _numbers = itertools.count(1)

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._stop = False
        self.sent = 0

    async def run(self) -> None:
        """Until stopped."""
        while not self._stop:
            self.sent += 1
            await asyncio.to_thread(self._hub.publish, marker(f"m-{next(self._numbers)}", GAME))

    def stop(self) -> None:
        """End after the request under way."""
        self._stop = True


@asynccontextmanager
async def traffic(hub: Hub, bystanders: Sequence[Reader]) -> AsyncIterator[None]:
    """Events are published while the block runs; at its end the bystanders have every one, once, undisturbed."""
    publishing = Traffic(hub)
    connections = [reader.connections for reader in bystanders]
    before = [len(reader.seen) for reader in bystanders]
    task = asyncio.create_task(publishing.run())
    try:
        yield
        while publishing.sent <= 3 and not task.done():  # a busy machine publishes slowly
            await asyncio.sleep(0.01)
    finally:
        publishing.stop()
        await task
    assert publishing.sent > 3
    for reader, known, count in zip(bystanders, connections, before, strict=True):
        await reader.reached(count + publishing.sent)
        assert reader.connections == known, f"{reader.name} was disturbed"
        first = reader.seen[0].seq
        assert [seen.seq for seen in reader.seen] == list(range(first, first + count + publishing.sent))


class Scene(NamedTuple):
    """A hub with a partner that will go, its neighbour, and their open sessions."""

    hub: Hub
    leaver: Holding
    sessions: list[Reader]
    neighbours: list[Reader]
    start: str


@pytest.fixture
async def scene(make_hub: Callable[..., Hub]) -> AsyncIterator[Scene]:
    """Everybody is connected and has seen the first event."""
    hub = make_hub()
    hub.publish(game(GAME))
    start = hub.events()[-1].position
    leaver, neighbour = add(hub, "leaver"), add(hub, "neighbour")
    sessions, neighbours = readers_of(hub, leaver, start), readers_of(hub, neighbour, start)
    tasks = [asyncio.create_task(reader.run()) for reader in (*sessions, *neighbours)]
    hub.publish(marker("first", GAME))
    for reader in (*sessions, *neighbours):
        await reader.reached(1)
    yield Scene(hub, leaver, sessions, neighbours, start)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert result is None or isinstance(result, asyncio.CancelledError), result


async def closed(sessions: Sequence[Reader], since: float) -> None:
    """All were ended as revoked, in time and for that reason."""
    for reader in sessions:
        await reader.until(lambda reader=reader: bool(reader.ended), "ended", LIMIT_SECONDS)
        assert reader.ended == REVOKED, reader.name
        if not isinstance(reader, SseReader):
            assert reader.codes == [1008], reader.name
    assert time.monotonic() - since < LIMIT_SECONDS
    words = {type(reader): reader.last_words for reader in sessions}
    assert words.get(LiveReader, "token revoked") == "token revoked"
    assert words.get(NativeReader, "the key is no longer good") == "the key is no longer good"
    assert words.get(SseReader, '{"reason":"revoked"}') == '{"reason":"revoked"}'


async def command(hub: Hub, *words: str) -> float:
    """Run a command of the owner; when it was over."""
    done = await asyncio.to_thread(touchline, *words, "--url", hub.url, "--data", hub.data, "--json")
    assert done.code == 0, done
    return time.monotonic()


async def test_suspended_and_resumed(scene: Scene) -> None:
    hub, leaver = scene.hub, scene.leaver
    assert await asyncio.to_thread(good_for, hub, leaver) == ALL_GOOD
    async with traffic(hub, scene.neighbours):
        since = await command(hub, "partner", "suspend", "leaver")
        await closed(scene.sessions, since)
        assert await asyncio.to_thread(good_for, hub, leaver) == ALL_DEAD
    counts = [len(reader.seen) for reader in scene.sessions]
    await asyncio.to_thread(hub.restart)
    assert await asyncio.to_thread(good_for, hub, leaver) == ALL_DEAD
    for reader in scene.neighbours:
        await reader.until(reader.connected.is_set, "connected again")

    # Resumed, it goes on with what it had: the same token, secret and key, and nothing is missing.
    async with traffic(hub, scene.neighbours):
        await command(hub, "partner", "resume", "leaver")
        assert await asyncio.to_thread(good_for, hub, leaver) == ALL_GOOD
        assert await asyncio.to_thread(hub.token, leaver.who, GAME) == leaver.token
        again = [asyncio.create_task(reader.run()) for reader in scene.sessions if not setattr(reader, "ended", "")]
        total = len(scene.neighbours[0].seen)
        for reader, count in zip(scene.sessions, counts, strict=True):
            await reader.reached(max(count, total))
    for reader in scene.sessions:
        assert [seen.seq for seen in reader.seen] == list(range(2, 2 + len(reader.seen)))
    for task in again:
        task.cancel()
    await asyncio.gather(*again, return_exceptions=True)


async def test_removed_for_good(scene: Scene) -> None:
    hub, leaver = scene.hub, scene.leaver
    async with traffic(hub, scene.neighbours):
        since = await command(hub, "partner", "remove", "leaver")
        await closed(scene.sessions, since)
        assert await asyncio.to_thread(good_for, hub, leaver) == ALL_DEAD
    await asyncio.to_thread(hub.restart)
    assert await asyncio.to_thread(good_for, hub, leaver) == ALL_DEAD

    # Somebody of the same name comes: a partner of its own, and nothing of the old one wakes up.
    for reader in scene.neighbours:
        await reader.until(reader.connected.is_set, "connected again")
    async with traffic(hub, scene.neighbours):
        namesake = await asyncio.to_thread(add, hub, "leaver")
        assert namesake.who.username == leaver.who.username
        assert (namesake.who.secret, namesake.token, namesake.key) != (leaver.who.secret, leaver.token, leaver.key)
        assert await asyncio.to_thread(good_for, hub, leaver) == ALL_DEAD
        assert await asyncio.to_thread(good_for, hub, namesake) == ALL_GOOD


async def test_removed_from_one_feed_only(scene: Scene) -> None:
    hub, leaver = scene.hub, scene.leaver
    live, native = scene.sessions[:1], scene.sessions[1:]
    async with traffic(hub, [*scene.neighbours, *native]):
        await closed(live, await command(hub, "partner", "remove", "leaver", "--feed", "shottracker"))
        found = await asyncio.to_thread(good_for, hub, leaver)
    asked = {"signed", "subscribe", "token"}
    assert found == {name: (401 if name in asked else status) for name, status in ALL_GOOD.items()}


async def test_rotated_credentials(scene: Scene) -> None:
    hub, leaver = scene.hub, scene.leaver
    async with traffic(hub, scene.neighbours):
        since = await command(hub, "partner", "rotate", "leaver", "--feed", "shottracker")
        await closed(scene.sessions[:1], since)
        rotated = await asyncio.to_thread(hub.admin, "POST", "/hub/v1/partners/leaver/feeds/hub/rotate")
        await closed(scene.sessions[1:], time.monotonic())
        assert await asyncio.to_thread(good_for, hub, leaver) == ALL_DEAD
    again = await asyncio.to_thread(hub.admin, "POST", "/hub/v1/partners/leaver/feeds/shottracker/rotate")
    who = Credentials(again["credentials"]["username"], again["credentials"]["secret"])
    fresh = Holding("leaver", who, await asyncio.to_thread(hub.token, who, GAME), rotated["credentials"]["key"])
    assert fresh.token != leaver.token
    await asyncio.to_thread(hub.restart)
    assert await asyncio.to_thread(good_for, hub, leaver) == ALL_DEAD
    assert await asyncio.to_thread(good_for, hub, fresh) == ALL_GOOD


async def test_new_grants_end_tokens_and_send_native_sessions_round(scene: Scene) -> None:
    hub, leaver = scene.hub, scene.leaver
    live, native = scene.sessions[:1], scene.sessions[1:]
    async with traffic(hub, [*scene.neighbours, *native]):
        since = await command(hub, "partner", "grant", "leaver", "--feed", "shottracker", "--grant", "event_id=another")
        await closed(live, since)  # its token was issued under the old grants
        found = await asyncio.to_thread(good_for, hub, leaver)
        assert found == {**ALL_GOOD, "signed": 403, "subscribe": 403, "token": 401}
    connections = [reader.connections for reader in native]
    async with traffic(hub, scene.neighbours):
        await command(hub, "partner", "grant", "leaver", "--feed", "hub", "--grant", f"subject={GAME}")
        for reader, before in zip(native, connections, strict=True):
            await reader.until(lambda reader=reader, before=before: reader.connections > before, "back", LIMIT_SECONDS)
    assert native[0].codes == [1001]
    assert native[1].last_words == '{"reason":"shutdown"}'
    for reader in native:
        await reader.reached(len(scene.neighbours[0].seen))
        assert [seen.seq for seen in reader.seen] == list(range(2, 2 + len(reader.seen)))


async def test_a_revoked_key(scene: Scene) -> None:
    hub = scene.hub
    made = {
        role: await asyncio.to_thread(hub.admin, "POST", "/hub/v1/keys", {"role": role, "name": role})
        for role in ("admin", "publisher")
    }
    operator = [
        NativeReader(hub, "operator's socket", made["admin"]["key"], scene.start),
        SseReader(hub, "operator's sse", made["admin"]["key"], scene.start),
    ]
    tasks = [asyncio.create_task(reader.run()) for reader in operator]
    await asyncio.to_thread(hub.publish, marker("while-good", GAME), key=made["publisher"]["key"])
    for reader in (*operator, *scene.neighbours, *scene.sessions):
        await reader.reached(2)
    async with traffic(hub, [*scene.neighbours, *scene.sessions]):
        since = await command(hub, "key", "revoke", made["admin"]["id"])
        await closed(operator, since)
        await command(hub, "key", "revoke", made["publisher"]["id"])
    await asyncio.gather(*tasks)

    def tried() -> list[int]:
        admin, publisher = (native_headers(made[role]["key"]) for role in ("admin", "publisher"))
        return [
            hub.ask("GET", "/hub/v1/partners", admin).status,
            hub.ask("GET", "/hub/v1/events", admin).status,
            hub.ask("POST", "/hub/v1/keys", admin, b'{"role":"admin"}').status,
            hub.ask("POST", "/hub/v1/events", publisher, marker("never", GAME)).status,
        ]

    assert await asyncio.to_thread(tried) == [401] * 4
    await asyncio.to_thread(hub.restart)
    assert await asyncio.to_thread(tried) == [401] * 4
    assert "never" not in {event.id for event in await asyncio.to_thread(hub.events)}
