"""FAULTS 11 on a simulated clock: one partner's burst, one endpoint's ten minutes; and FAULTS 6 for endpoints: a wall
clock that steps moves no schedule.
"""

from __future__ import annotations

import pytest

from touchline.delivery.courier import CourierLimits

from .courier_world import World, event, inversions, ok, refuses, says

HEALTHY = 12
LOUD = 5


class Watched:
    """A world with healthy endpoints of partners of their own, and how long a record took to each of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.delays: list[float] = []
        self._owed: dict[int, float] = {}

    async def start(self) -> Watched:
        """Their partners see the subject 'own' alone."""
        for n in range(HEALTHY):
            await self.world.partner(f"p{n}", subject=["own"])
            await self.world.endpoint(f"http://healthy{n}", partner=f"p{n}")
        return self

    async def tell(self) -> None:
        """One record for the healthy ones."""
        at = self.world.clock.monotonic()
        (offset,) = await self.world.append(event("own"))
        self._owed[offset] = at

    def finish(self) -> list[float]:
        """All delays, sorted. Nothing may be missing, double or out of order."""
        for n in range(HEALTHY):
            url = f"http://healthy{n}"
            assert self.world.taken(url) == list(self._owed), "each once, in order"
            self.delays += [got.at - self._owed[got.offset] for got in self.world.got[url]]
        return sorted(self.delays)


async def burst(each: int) -> list[float]:
    """The healthy ones' delays during a minute in which a partner gets ``each`` records every 0.1 s."""
    world = await World(limits=CourierLimits(healthy_requests=24, suspect_requests=8)).start()
    watched = await Watched(world).start()
    await world.partner("loud", subject=[f"loud{n}" for n in range(20)])
    for n in range(LOUD):
        await world.endpoint(f"http://loud{n}", partner="loud")
    sent: list[int] = []
    for part in range(600):
        sent += await world.append(*(event(f"loud{(part + n) % 20}") for n in range(each)))
        await world.run(0.005)  # the burst's first requests are under way
        if part % 5 == 0:
            await watched.tell()
        await world.run(0.095)
    await world.run(5)
    for n in range(LOUD):
        assert sorted(world.taken(f"http://loud{n}")) == sent
        assert not inversions(world.got[f"http://loud{n}"])
    return watched.finish()


async def test_one_partners_burst_for_a_minute_delays_nobody() -> None:
    """200 a second to five endpoints: four times as much at once as there are places, so that these must be shared."""
    delays = await burst(20)
    # Until the answers under way are in, 10 ms each; behind the whole burst it would be four times as long.
    assert delays[-1] <= 0.02
    assert len(delays) == HEALTHY * 120


async def test_who_was_down_for_ten_minutes_catches_up_in_order_and_disturbs_nobody() -> None:
    world = await World(limits=CourierLimits(healthy_requests=24, suspect_requests=8)).start()
    watched = await Watched(world).start()
    await world.partner("away", subject=["x", "y", "z"])
    made = await world.endpoint("http://away", refuses, partner="away")
    sent: list[int] = []
    for second in range(600):
        sent += await world.append(event("xyz"[second % 3]), event("xyz"[(second + 1) % 3]))
        await watched.tell()
        await world.run(1)
    assert world.taken("http://away") == []
    world.behaviours["http://away"] = ok
    for _ in range(300):
        await watched.tell()
        await world.run(0.5)
    assert sorted(world.taken("http://away")) == sent
    assert not inversions(world.got["http://away"])
    assert await world.courier.dead_letters(made.id) == []
    assert world.changes() == ["failing", "recovered"]
    assert watched.finish()[-1] <= 0.02


async def moments(step: float) -> list[list[float]]:
    """When endpoints are tried that are to be retried, asked for a pause, or are probed, and the wall clock steps."""
    world = await World(seed=3).start()
    await world.endpoint("http://retry", says(500))
    await world.endpoint("http://waits", says(429, retry_after="20"))
    await world.endpoint("http://refuses", refuses)
    begun = world.clock.monotonic()
    await world.append(event("a"), event("b"))
    await world.run(1)
    world.clock.step_wall(step)
    await world.append(event("c"))
    await world.run(90)
    found = [[got.at - begun for got in world.got[url]] for url in sorted(world.got)]
    world.clock.step_wall(-step)
    for url in world.got:
        world.behaviours[url] = ok
    assert await world.run(120, until=lambda: all(len(world.taken(url)) == 3 for url in world.got))
    assert world.courier.stats.dead_lettered == 0
    return found


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_a_wall_clock_that_steps_moves_no_schedule(step: float) -> None:
    assert await moments(step) == await moments(0.0)
