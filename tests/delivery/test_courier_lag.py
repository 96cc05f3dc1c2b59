"""How far endpoints are behind, by state: in memory, beyond its window, over holes in the numbers, after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from touchline.delivery.courier import STATES, CourierLimits, Lag
from touchline.errors import LogUnavailable
from touchline.log.memory import MemoryLog
from touchline.log.sqlite import SqliteLog, restore
from touchline.testing.clock import FakeClock

from .courier_world import World, event, feed, never, ok, refuses, says


async def lag(world: World, state: str) -> Lag:
    found = await world.courier.lag()
    assert set(found) == set(STATES)
    return found[state]


async def test_nobody_is_behind_who_has_taken_everything() -> None:
    world = await World().start()
    await world.endpoint("http://a")
    await world.append(*[event() for _ in range(10)])
    await world.run(5)
    assert await lag(world, "active") == Lag(endpoints=1)
    await world.append(event(feed="g"))  # another feed's is nothing to it
    assert await lag(world, "active") == Lag(endpoints=1)


async def test_what_is_not_taken_counts_from_the_oldest_on() -> None:
    world = await World().start()
    await world.endpoint("http://slow", never)
    await world.endpoint("http://good", ok)
    paused = await world.endpoint("http://paused", ok)
    await world.endpoints.set_status(paused.id, "paused")
    await world.run(1)
    await world.append(*[event("a") for _ in range(4)])
    await world.run(3)
    await world.append(*[event("b") for _ in range(3)])
    await world.run(3)
    active = await lag(world, "active")
    assert (active.endpoints, active.behind, active.records_max, active.records_sum) == (2, 1, 7, 7)
    assert active.oldest_seconds == pytest.approx(6.0, abs=0.1)
    assert await lag(world, "paused") == Lag(1, 1, pytest.approx(6.0, abs=0.1), 7, 7)
    world.behaviours["http://slow"] = ok
    await world.endpoints.set_status(paused.id, "active")
    await world.run(60)
    assert await lag(world, "active") == Lag(endpoints=3)


async def test_states_are_kept_apart_and_sums_add_up() -> None:
    world = await World().start()
    for number in range(3):
        await world.endpoint(f"http://down{number}", refuses)
    await world.endpoint("http://later", says(429, retry_after="600"))
    await world.append(*[event("abcdefgh"[n % 8]) for n in range(40)])
    await world.run(20)
    failing, waiting = await lag(world, "failing"), await lag(world, "waiting")
    assert (failing.endpoints, failing.behind, failing.records_max, failing.records_sum) == (3, 3, 40, 120)
    assert (waiting.endpoints, waiting.behind, waiting.records_max) == (1, 1, 40)
    assert failing.oldest_seconds == pytest.approx(20.0, abs=0.5)


async def test_beyond_the_window_of_new_records_it_is_an_upper_bound_and_the_age_is_exact() -> None:
    limits = CourierLimits(recent_records=16)
    world = await World(limits=limits).start()
    await world.endpoint("http://down", refuses)
    await world.append(*[event("abcdefgh"[n % 8]) for n in range(100)])
    await world.run(90)
    await world.append(*[event("abcdefgh"[n % 8]) for n in range(100)])
    found = await lag(world, "failing")
    assert found.records_max == 201, "with what the hub itself said of the endpoint, in another feed"
    assert found.oldest_seconds == pytest.approx(90.0, abs=0.5)
    await world.crash()  # the new process has none of them in memory
    found = await lag(world, "failing")
    assert found.records_max == 201
    assert found.oldest_seconds == pytest.approx(90.0, abs=0.5)


async def test_retention_that_was_quicker_leaves_what_is_there() -> None:
    world = await World().start()
    made = await world.endpoint("http://paused")
    await world.endpoints.set_status(made.id, "paused")
    old = await world.append(*[event() for _ in range(10)])
    await world.run(5)
    new = await world.append(*[event() for _ in range(2)])
    await world.crash()
    await world.log.trim(old[-1])
    found = await lag(world, "paused")
    assert found.records_max == 2
    assert found.oldest_seconds < 1.0
    await world.log.trim(new[-1])
    assert await lag(world, "paused") == Lag(endpoints=1)


async def test_a_hole_in_the_numbers_is_no_lag(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A restore leaves billions of numbers unused: an endpoint that has everything is not behind by them."""
    clock = FakeClock()
    log: Any = SqliteLog(tmp_path / "data", clock)
    world = await World(feed(), log=log, clock=clock).start()
    done = await world.endpoint("http://done")
    stopped = await world.endpoint("http://stopped", refuses)
    await world.append(*[event("abcdefgh"[n % 8]) for n in range(40)])
    await world.run(20)
    for made in (done, stopped):
        await world.endpoints.set_status(made.id, "paused")
    await world.run(20)
    await log.backup(str(tmp_path / "copy.db"))
    await log.close()
    restore(tmp_path / "copy.db", tmp_path / "restored", clock)
    again: Any = SqliteLog(tmp_path / "restored", clock)
    world = await World(feed(), log=again, clock=clock).start()
    found = await lag(world, "paused")
    assert (found.endpoints, found.behind) == (2, 1)
    assert 40 <= found.records_max <= again.stats().records
    assert found.records_sum == found.records_max

    def warnings() -> int:
        return sum("not the one in which an endpoint stood" in record.message for record in caplog.records)

    assert warnings() == 2
    await world.run(20)
    await world.crash()
    assert warnings() == 2, "they stand in the new epoch by now"
    assert (await lag(world, "paused")).behind == 1
    await again.close()


async def test_retention_that_passes_a_hole_takes_nothing_from_an_endpoint(tmp_path: Path) -> None:
    clock = FakeClock()
    log: Any = SqliteLog(tmp_path / "data", clock)
    world = await World(feed(), log=log, clock=clock).start()
    made = await world.endpoint("http://done")
    await world.append(event(), event())
    await world.run(20)
    await world.endpoints.set_status(made.id, "paused")
    await world.run(20)
    await log.backup(str(tmp_path / "copy.db"))
    await log.close()
    restore(tmp_path / "copy.db", tmp_path / "restored", clock)
    again: Any = SqliteLog(tmp_path / "restored", clock)
    world = await World(feed(), log=again, clock=clock).start()
    (kept,) = [one.id for one in world.endpoints.all()]
    old = again.head
    await world.append(*[event(feed="g") for _ in range(5)])
    await again.trim(again.head - 2)
    await world.endpoints.set_status(kept, "active")
    await world.append(event())
    await world.run(20)
    report = await world.courier.report(kept)
    assert (report.state, report.backlog) == ("active", 0)
    assert report.expired <= again.head - old, "not the numbers that nobody used"
    await again.close()


async def test_a_log_that_cannot_be_read_is_no_reason_to_fail() -> None:
    clock = FakeClock()

    class Closed(MemoryLog):
        closed = False

        async def read(self, after: int, limit: int, **narrowing: Any) -> Any:
            if self.closed:
                raise LogUnavailable("not now")
            return await super().read(after, limit, **narrowing)

    log: Any = Closed(clock)
    world = await World(limits=CourierLimits(recent_records=16), log=log, clock=clock).start()
    await world.endpoint("http://down", refuses)
    await world.append(*[event("abcdefgh"[n % 8]) for n in range(100)])
    await world.run(20)
    log.closed = True
    assert await lag(world, "failing") == Lag(endpoints=1)
    log.closed = False
    assert (await lag(world, "failing")).records_max == 100
