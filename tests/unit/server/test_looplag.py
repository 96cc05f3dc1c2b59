"""The event loop's lateness: seen when it is held up, remembered for a minute, and no longer."""

from __future__ import annotations

import asyncio
import time

from touchline.clock import SystemClock
from touchline.server.looplag import REMEMBERED_SECONDS, LoopLag
from touchline.testing.clock import FakeClock


def test_the_worst_of_a_minute_is_remembered() -> None:
    clock, seen = FakeClock(), list[float]()
    lag = LoopLag(clock, seen.append)
    assert lag.worst() == 0.0
    for number in range(3000):  # five minutes
        clock.advance(0.1)
        lag.note(clock.monotonic(), 0.7 if number == 100 else 0.001)
        at = 0.1 * (number - 100)
        if 0 <= at < REMEMBERED_SECONDS - 5:
            assert lag.worst() == 0.7
        elif at < 0 or at > REMEMBERED_SECONDS + 5:
            assert lag.worst() == 0.001
    assert len(seen) == 3000
    assert len(lag._slots) < 20


async def test_a_loop_that_is_held_up_is_noticed() -> None:
    seen: list[float] = []
    noticed = asyncio.Event()

    def observe(lag_seconds: float) -> None:
        seen.append(lag_seconds)
        if lag_seconds >= 0.25:
            noticed.set()

    lag = LoopLag(SystemClock(), observe)
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(0)
    time.sleep(0.4)  # what must not be done on a loop
    async with asyncio.timeout(10):
        await noticed.wait()
    task.cancel()
    assert lag.worst() >= 0.25
