"""Endpoints and subscriptions, on the store in memory and on the one that outlives the process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from touchline.errors import NotFound
from touchline.feeds.base import CredentialField, Form, Keep
from touchline.log.directory import Directory
from touchline.log.endpoints import MAX_SECRETS, TOKEN_SECONDS, Endpoint, Endpoints
from touchline.log.memory import MemoryKeyValue
from touchline.log.sqlite import SqliteLog
from touchline.testing.clock import FakeClock

FIELDS = (CredentialField("token", Form.TOKEN, Keep.HASHED, lookup=True),)


class World:
    """A directory with its endpoints; ``head`` is the log's."""

    def __init__(self) -> None:
        self.kv = MemoryKeyValue()
        self.clock = FakeClock()
        self.head = 7
        self.told: list[tuple[str, str]] = []

    async def start(self, seed: int = 1) -> None:
        """Load from the store, as a new process would."""
        entropy = random.Random(seed).randbytes
        self.directory = Directory(self.kv, self.clock, entropy)
        await self.directory.start()
        self.endpoints = Endpoints(
            self.kv, self.directory, self.clock, entropy, lambda: self.head, {"insights": ("delivery",)}
        )
        await self.endpoints.start()
        self.endpoints.on_change(lambda kind, name: self.told.append((kind, name)))

    async def restart(self) -> None:
        """Another process on the same store."""
        await self.endpoints.close()
        await self.directory.close()
        await self.start(seed=2)

    async def add(self, partner: str = "acme", *ask: str, feed: str = "insights", **options: str) -> Endpoint:
        """An endpoint."""
        return await self.endpoints.add(
            partner, feed, "https://a.example/hook", topics=("*",), label="prod", options=options, secret="s1", ask=ask
        )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.start()
    for name in ("acme", "other"):
        for feed in ("insights", "roanuz"):
            await world.directory.add_member(name, feed, FIELDS, {}, {})
    yield world
    await world.endpoints.close()
    await world.directory.close()


def states(world: World, endpoint: Endpoint) -> dict[str, tuple[str, bool]]:
    return {one.topic: (one.state, one.to_tell) for one in world.endpoints.subscriptions_of(endpoint.id)}


async def test_an_endpoint_is_owed_what_comes_from_now_on_and_outlives_a_restart(world: World) -> None:
    made = await world.add(delivery="raw", timeout="3")
    assert (made.begins, made.status, made.partner) == (7, "active", "acme")
    await world.restart()
    assert world.endpoints.all() == [made]
    view = world.endpoints.view(made)
    assert (view.secrets, view.options) == (("s1",), {"delivery": "raw"})
    assert "s1" not in repr(made) + repr(view)
    member = world.endpoints.member(made)
    assert member is not None
    assert member.partner == "acme"


async def test_an_endpoint_needs_a_partner_that_has_the_feed(world: World) -> None:
    with pytest.raises(NotFound):
        await world.add("nobody")
    with pytest.raises(NotFound):
        await world.add("acme", feed="hisports")
    with pytest.raises(NotFound):
        await world.endpoints.remove("ep_none")
    with pytest.raises(NotFound):
        await world.endpoints.rotate_secret("ep_none", "s", 1.0)
    with pytest.raises(NotFound):
        await world.endpoints.set_status("ep_none", "paused")
    with pytest.raises(NotFound):
        await world.endpoints.change("ep_none", label="x")


async def test_a_partner_added_again_does_not_revive_what_it_had(world: World) -> None:
    made = await world.add("acme", "nba/highs/en")
    await world.directory.suspend("acme")
    assert world.endpoints.member(made) is None
    await world.directory.resume("acme")
    assert world.endpoints.member(made) is not None
    await world.directory.rotate("acme", "insights", FIELDS)
    assert world.endpoints.member(made) is not None
    await world.directory.remove("acme")
    assert world.endpoints.all() == []
    world.clock.advance(1)
    await world.directory.add_member("acme", "insights", FIELDS, {}, {})
    assert world.endpoints.all() == []
    with pytest.raises(NotFound):
        world.endpoints.get(made.id)
    await world.restart()
    assert await world.kv.list("endpoints") == await world.kv.list("subscriptions") == {}


async def test_secrets_overlap_and_end(world: World) -> None:
    made = await world.add()
    await world.endpoints.rotate_secret(made.id, "s2", 60)
    world.clock.advance(30)
    await world.endpoints.rotate_secret(made.id, "s3", 60)
    assert world.endpoints.view(world.endpoints.get(made.id)).secrets == ("s3", "s2", "s1")
    world.clock.advance(31)
    assert world.endpoints.view(world.endpoints.get(made.id)).secrets == ("s3", "s2")
    world.clock.advance(30)
    assert world.endpoints.view(world.endpoints.get(made.id)).secrets == ("s3",)
    await world.endpoints.rotate_secret(made.id, "s4", 0)
    assert [one.value for one in world.endpoints.get(made.id).secrets] == ["s4"]
    for number in range(2 * MAX_SECRETS):
        await world.endpoints.rotate_secret(made.id, f"t{number}", 1e6)
    assert len(world.endpoints.get(made.id).secrets) == MAX_SECRETS


async def test_the_hub_does_not_touch_what_the_operator_paused(world: World) -> None:
    made = await world.add()
    assert (await world.endpoints.set_status(made.id, "paused", reason="mine")).status == "paused"
    assert (await world.endpoints.set_status(made.id, "disabled", by_hub=True)).status == "paused"
    assert (await world.endpoints.set_status(made.id, "active")).status == "active"
    assert (await world.endpoints.set_status(made.id, "disabled", reason="410", by_hub=True)).by_hub
    assert (await world.endpoints.set_status(made.id, "active", by_hub=True)).status == "active"


async def test_topics_are_asked_for_and_confirmed_once(world: World) -> None:
    made = await world.add("acme", "nba/highs/en", "nba/scoring/fr")
    assert states(world, made) == {"nba/highs/en": ("pending", True), "nba/scoring/fr": ("pending", True)}
    asked = world.endpoints.find("insights", "acme", "nba/highs/en", made.id)
    assert asked is not None
    assert len(asked.token) == 320
    assert asked.expires_at == world.clock.wall_ns() + TOKEN_SECONDS * 10**9
    assert asked.token not in repr(asked)
    assert world.endpoints.by_token("insights", asked.token) == asked
    assert world.endpoints.by_token("roanuz", asked.token) is None
    world.head = 20
    confirmed = await world.endpoints.confirm(asked)
    assert (confirmed.state, confirmed.since, confirmed.to_tell) == ("confirmed", 20, False)
    world.head = 30
    assert await world.endpoints.confirm(asked) == confirmed
    assert world.endpoints.by_id("insights", asked.id) == confirmed
    await world.restart()
    assert world.endpoints.by_token("insights", asked.token) == confirmed
    assert len(world.endpoints.to_tell()) == 1


async def test_what_is_told_of_an_older_handshake_does_not_settle_the_newer(world: World) -> None:
    made = await world.add("acme", "nba/highs/en")
    (old,) = world.endpoints.to_tell()
    await world.endpoints.change(made.id, ask=["nba/highs/en"], again=True)
    (new,) = world.endpoints.to_tell()
    assert (new.id, new.number) == (old.id, old.number + 1)
    assert new.token != old.token
    assert world.endpoints.by_token("insights", old.token) is None
    await world.endpoints.told(old)
    assert world.endpoints.to_tell() == [new]
    await world.endpoints.told(new)
    assert world.endpoints.to_tell() == []


async def test_topics_change_while_others_run(world: World) -> None:
    made = await world.add("acme", "nba/highs/en", "nba/scoring/fr")
    for one in world.endpoints.subscriptions_of(made.id):
        await world.endpoints.confirm(one)
    await world.endpoints.change(made.id, topics=("x",), ask=["nba/highs/en", "nhl/highs/en"])
    assert states(world, made) == {
        "nba/highs/en": ("confirmed", False),
        "nba/scoring/fr": ("ended", True),
        "nhl/highs/en": ("pending", True),
    }
    await world.endpoints.change(made.id, ask=["nba/highs/en", "nhl/highs/en"], again=True)
    assert states(world, made)["nba/highs/en"] == ("confirmed", True)
    await world.endpoints.change(made.id, url="https://b.example/", ask=["nba/highs/en", "nhl/highs/en"])
    assert states(world, made)["nba/highs/en"] == ("pending", True)
    assert world.endpoints.get(made.id).url == "https://b.example/"
    assert world.endpoints.get(made.id).topics == ("x",)


async def test_a_crash_while_the_address_changes_opens_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await world.add("acme", "nba/highs/en")
    (asked,) = world.endpoints.subscriptions_of(made.id)
    await world.endpoints.confirm(asked)
    put_many = world.kv.put_many
    left = 0

    async def dies(bucket: str, values: Mapping[str, bytes]) -> None:
        nonlocal left
        if not left:
            raise OSError("killed")
        left -= 1
        await put_many(bucket, values)

    monkeypatch.setattr(world.kv, "put_many", dies)
    for writes in (0, 1):
        left = writes
        with pytest.raises(OSError, match="killed"):
            await world.endpoints.change(made.id, url="https://b.example/", ask=["nba/highs/en"])
        await world.restart()
        moved = world.endpoints.get(made.id).url == "https://b.example/"
        assert (moved, states(world, made)["nba/highs/en"][0]) == (
            (True, "pending") if writes else (False, "confirmed")
        )
    left = 1
    await world.endpoints.change(made.id, url="https://b.example/", ask=["nba/highs/en"])
    assert states(world, made) == {"nba/highs/en": ("pending", True)}, "who repeats it gets what was wanted"


async def test_a_confirmation_that_was_overtaken_confirms_nothing(world: World) -> None:
    made = await world.add("acme", "nba/highs/en")
    (asked,) = world.endpoints.subscriptions_of(made.id)
    await world.endpoints.change(made.id, url="https://b.example/", ask=["nba/highs/en"])
    with pytest.raises(NotFound):
        await world.endpoints.confirm(asked)
    assert states(world, made) == {"nba/highs/en": ("pending", True)}
    await world.endpoints.change(made.id, ask=[])
    with pytest.raises(NotFound):
        await world.endpoints.confirm(asked)
    assert states(world, made)["nba/highs/en"][0] == "ended"


async def test_a_removal_that_was_cut_off_is_finished_at_the_next_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = await world.add("acme", "nba/highs/en", "nba/scoring/fr"), await world.add("acme", "nba/highs/en")
    delete = world.kv.delete

    async def dies(bucket: str, key: str) -> None:
        await delete(bucket, key)
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(world.kv, "delete", dies)
        with pytest.raises(OSError, match="killed"):
            await world.endpoints.remove(gone.id)
    assert len(await world.kv.list("subscriptions")) == 3
    await world.restart()
    assert [one.endpoint for one in world.endpoints.to_tell()] == [stays.id]
    assert len(await world.kv.list("subscriptions")) == 1


async def test_nothing_that_may_be_a_secret_is_shown(world: World) -> None:
    made = await world.endpoints.add(
        "acme", "insights", "https://a.example/?key=k3y", topics=(), label="", options={"o": "k3y"}, secret="k3y"
    )
    assert "k3y" not in repr(made)
    assert "k3y" not in repr(world.endpoints.view(made))


async def test_an_ended_subscription_can_be_restored(world: World) -> None:
    made = await world.add("acme", "nba/highs/en")
    (one,) = world.endpoints.subscriptions_of(made.id)
    one = await world.endpoints.confirm(one)
    await world.endpoints.end(one, tell=True)
    (ended,) = world.endpoints.subscriptions_of(made.id)
    assert (ended.state, ended.to_tell) == ("ended", True)
    assert ended.token != one.token
    await world.endpoints.end(ended, tell=True)
    assert world.endpoints.subscriptions_of(made.id) == [ended]
    world.head = 99
    assert (await world.endpoints.confirm(ended)).since == 99


async def test_a_partners_call_stands_for_all_its_endpoints(world: World) -> None:
    begun = await asyncio.gather(*(world.endpoints.begin("roanuz", "acme", "m1") for _ in range(5)))
    assert [one.id for one in begun] == [begun[0].id] * 5
    assert begun[0].since == 7
    assert world.endpoints.find("roanuz", "acme", "m1") == begun[0]
    assert world.endpoints.find("roanuz", "other", "m1") is None
    await world.restart()
    await world.endpoints.end(begun[0])
    assert world.endpoints.find("roanuz", "acme", "m1") is None
    world.head = 50
    assert (await world.endpoints.begin("roanuz", "acme", "m1")).since == 50
    await world.directory.remove("acme")
    await world.endpoints.forget_the_dead()
    assert await world.kv.list("subscriptions") == {}


async def test_views_of_a_partners_endpoints(world: World) -> None:
    first, second = await world.add(), await world.add()
    await world.add("other")
    assert {view.id for view in world.endpoints.endpoints("insights", "acme")} == {first.id, second.id}
    await world.endpoints.remove(first.id)
    assert {view.id for view in world.endpoints.endpoints("insights", "acme")} == {second.id}
    assert ("endpoint", first.id) in world.told


async def test_on_the_durable_store(tmp_path: Path) -> None:
    clock = FakeClock()
    made: Endpoint | None = None
    for life in range(2):
        log = SqliteLog(tmp_path, clock)
        await log.start()
        directory = Directory(log.directory, clock, random.Random(life).randbytes)
        await directory.start()
        endpoints = Endpoints(
            log.directory, directory, clock, random.Random(life).randbytes, lambda log=log: log.head, {}
        )
        await endpoints.start()
        if made is None:
            await directory.add_member("acme", "insights", FIELDS, {}, {})
            made = await endpoints.add(
                "acme", "insights", "https://a.example/", topics=(), label="", options={}, secret="s", ask=["t"]
            )
        assert endpoints.all() == [made]
        assert [one.topic for one in endpoints.to_tell()] == ["t"]
        await endpoints.close()
        await directory.close()
        await log.close()
