"""The courier on the real log: killed in the middle, again and again, it loses nothing and repeats little."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from touchline.clock import SystemClock
from touchline.log.sqlite import SqliteLog
from touchline.testing.clock import FakeClock

from .courier_world import Got, World, event, inversions, ok, refuses, says


class RealWorld(World):
    """The same world on a log that answers when its writer has: the loop is asyncio's for the waiting."""

    async def settle(self) -> None:
        for _ in range(100_000):
            await super().settle()
            if not self.running:
                return
            await asyncio.wait(self.running, return_when=asyncio.FIRST_COMPLETED)
        raise AssertionError("the courier never comes to rest")

    def spawn(self, work: Any) -> None:
        if not hasattr(self, "running"):
            self.running: set[asyncio.Task[None]] = set()
        task = asyncio.get_running_loop().create_task(work())
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def crash(self) -> None:
        """kill -9: what was handed to the writer may or may not be on disk."""
        for task in list(self.running):
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)
        await super().crash()


@pytest.mark.parametrize("seed", range(3))
async def test_killed_in_the_middle_every_pair_is_accounted_for(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    clock = FakeClock()
    world = RealWorld(log=SqliteLog(tmp_path, SystemClock()), clock=clock, seed=seed)
    world.running = set()
    await world.start()
    urls = [f"http://e{n}" for n in range(8)]
    for n, url in enumerate(urls):
        behaviour = (ok, refuses, says(500), lambda got: (dice.choice((0.001, 0.05, 0.4)), ok(got)[1]))[n % 4]
        await world.endpoint(url, behaviour, **({"window": "32"} if n % 4 == 3 else {}))
    crashes = 5
    for _ in range(crashes):
        for _ in range(10):
            await world.append(*[event("abcdefgh"[dice.randrange(8)], data=b'{"n":1}') for _ in range(20)])
            await world.run(dice.choice((0.0, 0.004, 0.02, 1.0)))
        await world.crash()
    for url in urls:
        world.behaviours[url] = ok
    await world.run(90)
    offsets = [record.offset for record in await world.records() if record.event.feed == "f"]
    assert len(offsets) == crashes * 200
    for url in urls:
        taken = Counter(world.taken(url))
        assert sorted(taken) == offsets, f"{url}: lost {set(offsets) - set(taken)}"
        assert sum(taken.values()) - len(taken) <= 32 * crashes
        names: dict[int, set[str]] = {}
        firsts: dict[int, Got] = {}
        for got in world.got[url]:
            names.setdefault(got.offset, set()).add(got.message_id)
            if got.status == 200:
                firsts.setdefault(got.offset, got)
        assert all(len(found) == 1 for found in names.values())
        assert inversions(list(firsts.values())) == []
    for made in world.endpoints.all():
        assert await world.courier.dead_letters(made.id) == []
    await world.courier.stop()
    await world.log.close()


async def test_a_store_that_cannot_be_written_holds_the_courier_up_and_lets_it_go_on() -> None:
    world = await World().start()
    await world.endpoint("http://a")
    await world.run(1)
    really = world.log.directory.put_many

    async def broken(bucket: str, values: Any) -> None:
        raise OSError("the disk is gone")

    world.log.directory.put_many = broken
    await world.append(*[event(str(n)) for n in range(100)])
    await world.run(20)
    assert len(world.taken("http://a")) == 32, "no more than may be repeated after a crash"
    world.log.directory.put_many = really
    await world.run(5)
    assert sorted(world.taken("http://a")) == list(range(1, 101))
