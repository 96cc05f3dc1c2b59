"""A state that left memory, or whose records retention removed, came back without what the state lane had brought since
its last checkpoint; and what came of it while a state began to be loaded was in neither the log's part nor the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from touchline.feeds.base import Capabilities, Feed, Instant
from touchline.log.base import Checkpoint, EventLog
from touchline.log.memory import MemoryLog
from touchline.log.sqlite import SqliteLog
from touchline.model import Event, Lane, Record
from touchline.server.snapshots import Snapshots
from touchline.testing.clock import FakeClock

FEED = "f"
MORE_THAN_A_LOG_GIVES = 2_100


class Fold:
    """A state: the id of the newest record by state key."""

    version = 1

    def initial(self, subject: str) -> dict[str, str]:
        return {}

    def apply(self, state: dict[str, str], record: Record) -> None:
        state[record.event.state_key] = record.event.id

    def encode(self, state: dict[str, str]) -> bytes:
        return msgspec.json.encode(state)

    def decode(self, data: bytes) -> dict[str, str]:
        return msgspec.json.decode(data, type=dict[str, str])

    def view(self, state: dict[str, str]) -> bytes:
        return msgspec.json.encode(state)

    def derive(self, state: dict[str, str], now: Instant) -> Sequence[Event]:
        return ()

    def is_over(self, state: dict[str, str]) -> bool:
        return False

    def first_seq(self, state: dict[str, str]) -> int:
        return 1


class SecondFold(Fold):
    """Of the next version."""

    version = 2


class World:
    """A log, and the states of its streams."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.clock = FakeClock()
        self.begin(Fold())

    def begin(self, fold: Fold) -> None:
        feed = Feed(FEED, FEED, "", "", (), Capabilities(frozenset()), snapshot=fold)
        self.snapshots = Snapshots(self.log, {FEED: feed}, self.clock)
        self.log.follow(self.snapshots.apply)

    async def append(self, *names: str, key: str = "", subject: str = "a") -> None:
        lane = Lane.STATE if key else Lane.EVENT
        await self.log.append(
            [Event(FEED, "f.x", subject, "/t", name, b"{}", 1, 1, lane=lane, state_key=key) for name in names]
        )

    async def state(self) -> dict[str, str]:
        found: dict[str, str] | None = await self.snapshots.state(FEED, "a")
        assert found is not None
        return dict(found)

    async def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 10.5)):
            self.clock.advance(10.5)
            await self.snapshots.tick()

    async def forget(self) -> None:
        await self.wait(700)
        assert (FEED, "a") not in self.snapshots._loaded


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made: EventLog = MemoryLog(FakeClock()) if request.param == "memory" else SqliteLog(tmp_path, FakeClock())
    await made.start()
    return World(made)


async def test_what_retention_removed_is_in_the_checkpoint_of_a_state_in_memory(world: World) -> None:
    await world.append("one")
    assert await world.state() == {"": "one"}
    await world.wait(11)  # a checkpoint
    await world.append("two", key="clock")
    await world.append("of another stream", subject="b")
    await world.snapshots.before_trim(world.log.head)
    await world.log.trim(world.log.head)
    await world.forget()
    assert await world.state() == {"": "one", "clock": "two"}
    await world.log.close()


async def test_what_the_log_gives_no_more_is_written_before_a_state_leaves(world: World) -> None:
    await world.append("one")
    assert await world.state() == {"": "one"}
    await world.wait(11)
    await world.append("two", key="seldom")
    await world.append(*(f"often {number}" for number in range(MORE_THAN_A_LOG_GIVES)), key="often")
    whole = await world.state()
    assert whole["seldom"] == "two"
    await world.forget()
    assert await world.state() == whole
    await world.log.close()


async def test_what_comes_while_a_loading_begins_is_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.append("one")
    load, latest = world.log.load_checkpoint, world.log.latest_state

    async def load_checkpoint(feed: str, subject: str) -> Checkpoint | None:
        found = await load(feed, subject)
        await world.append("two", key="early")
        return found

    async def latest_state(feed: str, subject: str) -> Sequence[Record]:
        found = await latest(feed, subject)
        await world.append("three", key="late")
        return found

    monkeypatch.setattr(world.log, "load_checkpoint", load_checkpoint)
    monkeypatch.setattr(world.log, "latest_state", latest_state)
    assert await world.state() == {"": "one", "early": "two", "late": "three"}
    await world.log.close()


async def test_a_stream_that_nobody_knows_is_not_kept(world: World) -> None:
    assert await world.snapshots.state(FEED, "a") is None
    assert not world.snapshots._loaded
    await world.append("one")
    assert await world.state() == {"": "one"}
    await world.log.close()


async def test_the_checkpoint_of_a_stream_without_events_is_kept_for_who_can_read_it(world: World) -> None:
    await world.append("one", key="clock")
    await world.append("of another stream", subject="b")
    await world.snapshots.before_trim(world.log.head)
    await world.log.trim(world.log.head)
    world.begin(SecondFold())
    await world.append("of the other stream again", subject="b")
    await world.snapshots.before_trim(world.log.head)
    kept = await world.log.load_checkpoint(FEED, "a")
    assert kept == Checkpoint(FEED, "a", 0, 1, b'{"clock":"one"}')
    await world.append("two", key="clock")
    await world.append("and once more", subject="b")
    await world.snapshots.before_trim(world.log.head)
    kept = await world.log.load_checkpoint(FEED, "a")
    assert kept == Checkpoint(FEED, "a", 0, 2, b'{"clock":"two"}')
    await world.log.close()
