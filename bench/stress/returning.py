"""Clients that come back: all at once after a cut, and all from anywhere in the past."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Final

from bench.soak.vitals import look
from bench.stress.readers import Reader
from bench.stress.world import NEIGHBOURS, Stress

MISSED: Final = 200
"""So many records are published while connections are cut one after the other: some miss few of them, some all."""
CUTS: Final = 20
LIVE_AGAIN: Final = 10
ALLOWED_SECONDS: Final = 2.0
FAR: Final = 1000
"""How far in the past: the readers here do with a process, and its share of the work is not what is tried."""
WITNESSES: Final = 20
_AT_ONCE: Final = 200
_ATTEMPTS: Final = 20


async def come_back(stress: Stress) -> None:
    """All were live; their connections are cut, and at one moment all connect again, each from where it was. They are
    back when they have what they missed; then they get what is published next."""
    readers = [stress.reader(len(stress.positions) - 1) for _ in range(stress.sessions)]
    for at in range(0, len(readers), _AT_ONCE):
        await asyncio.gather(*(one.open() for one in readers[at : at + _AT_ONCE]))
    await _has_all(stress, readers, "all clients are live")
    for number in range(CUTS):
        for one in readers[number::CUTS]:
            one.close()
        await asyncio.to_thread(stress.publish, MISSED // CUTS)
    await stress.until(lambda: stress.is_served(NEIGHBOURS), 30, "the connections that were cut are let go")
    missed = [stress.head - one.seq for one in readers]
    witnesses = [stress.witness(len(stress.positions) - 1) for _ in range(min(WITNESSES, stress.sessions))]
    goal = stress.head
    for one in readers:
        one.goal = goal
    hub, own, began = look(*stress.process()).cpu, time.process_time(), time.monotonic()
    reading = asyncio.gather(*(one.read(goal) for one in witnesses))
    tries = await asyncio.gather(*(_come(stress, one) for one in readers))
    connected = time.monotonic() - began
    await _has_all(stress, readers, "all clients that came back have all")
    spent, own = look(*stress.process()).cpu - hub, time.process_time() - own
    waited = sorted(one.reached - began if one.seq >= goal else float("inf") for one in readers)
    async with asyncio.timeout(60):
        await reading
    await asyncio.to_thread(stress.publish, LIVE_AGAIN)
    await _has_all(stress, readers, "all clients that came back are live again")
    stress.enter("return", (one.account(stress.head) for one in readers))
    stress.enter("return, another client", (one.account(goal) for one in witnesses))
    stress.provoked["cut while live, back at once"] += len(readers)
    stress.figures["return"] = {
        "clients": len(readers),
        "missed_median_and_most": (statistics.median(missed), max(missed)),
        "all_connected_seconds": round(connected, 2),
        "back_seconds_median_p99_last": [round(waited[int(part * (len(waited) - 1))], 2) for part in (0.5, 0.99, 1)],
        f"back_within_{ALLOWED_SECONDS:g}_seconds": sum(seconds <= ALLOWED_SECONDS for seconds in waited),
        "hub_cpu_us_each": round(spent / len(readers) * 1e6),
        "client_cpu_us_each": round(own / len(readers) * 1e6),
        "came_again": sum(tries),
        "witnesses": len(witnesses),
    }
    await stress.gone(readers)
    await stress.end_phase("return")


async def resume_at_once(stress: Stress, within: float = 2.0) -> None:
    """All clients come within two seconds, each from anywhere in the past: it is much that they are sent."""
    newest = len(stress.positions)
    first = max(0, newest - FAR)
    readers = [stress.reader(stress.dice.randrange(first, newest)) for _ in range(stress.sessions)]
    hub, own, began = look(*stress.process()).cpu, time.process_time(), time.monotonic()
    tries = await asyncio.gather(*(_come(stress, one, stress.dice.uniform(0, within)) for one in readers))
    connected = time.monotonic() - began
    await _has_all(stress, readers, "all clients that resumed have all")
    records = sum(one.account(stress.head).pairs for one in readers)
    stress.enter("resume", (one.account(stress.head) for one in readers))
    stress.provoked["resumes from the past"] += len(readers)
    stress.figures["resume"] = {
        "clients": len(readers),
        "all_connected_seconds": round(connected, 2),
        "all_caught_up_seconds": round(time.monotonic() - began, 2),
        "records": records,
        "hub_cpu_us_a_record": round((look(*stress.process()).cpu - hub) / max(1, records) * 1e6, 2),
        "client_cpu_us_a_record": round((time.process_time() - own) / max(1, records) * 1e6, 2),
        "came_again": sum(tries),
    }
    await stress.gone(readers)
    await stress.end_phase("resume")


async def _come(stress: Stress, reader: Reader, after_seconds: float = 0.0) -> int:
    """Connect, as often as it takes; how many tries were in vain."""
    if after_seconds:
        await asyncio.sleep(after_seconds)
    for attempt in range(_ATTEMPTS):
        try:
            await reader.open()
            return attempt
        except (OSError, TimeoutError):
            await asyncio.sleep(stress.dice.uniform(0.2, 1.0))
    return _ATTEMPTS


async def _has_all(stress: Stress, readers: Sequence[Reader], what: str) -> None:
    head = stress.head
    await stress.until(lambda: all(one.seq >= head for one in readers), 120, what)
