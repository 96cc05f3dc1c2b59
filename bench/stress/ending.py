"""What is left behind, and the end itself."""

from __future__ import annotations

import asyncio
import time

from bench.soak.vitals import look
from bench.stress.world import MIB, Stress


async def leaks(stress: Stress, most_more_mib: float) -> None:
    """Everybody has gone: sessions, readers, tasks and descriptors are as before, memory about so."""
    stress.dismiss()
    await stress.settled()
    before, first = stress.before

    async def is_as_before() -> bool:
        now = await stress.metrics()
        return now["tasks"] <= before["tasks"] and now["open_files"] <= before["open_files"] + 2

    await stress.until(is_as_before, 30, "tasks and descriptors are as before")
    now, sample = await stress.metrics(), look(*stress.process())
    more = (sample.resident - first.resident) / MIB
    stress.check(more <= most_more_mib, f"{more:.0f} MiB more than before, over {most_more_mib:.0f}")
    stress.check(sample.threads <= first.threads + 4, f"{sample.threads} threads, {first.threads} before")
    stress.figures["left"] = {
        "sessions": now.get("sessions", 0.0),
        "readers": now["fanout_readers"],
        "tasks_before_and_after": (before["tasks"], now["tasks"]),
        "files_before_and_after": (before["open_files"], now["open_files"]),
        "threads_before_and_after": (first.threads, sample.threads),
        "resident_mib_before_and_after": (round(first.resident / MIB, 1), round(sample.resident / MIB, 1)),
        "resident_mib_more_and_allowed": (round(more, 1), round(most_more_mib, 1)),
    }


async def stop_under_load(stress: Stress) -> None:
    """SIGTERM while all are in the middle of a replay and somebody publishes; all come back and miss nothing."""
    readers = [stress.reader(0) for _ in range(max(20, stress.sessions // 10))]
    for one in readers:
        await one.open(pace=200_000)
    target = stress.head + 500
    publishing = asyncio.create_task(asyncio.to_thread(_publish_to, stress, target))
    began = time.monotonic()
    await asyncio.to_thread(stress.hub.terminate)
    took = time.monotonic() - began
    stress.check(stress.hub.exits[-1] == 0, f"the hub ended with {stress.hub.exits[-1]}")
    in_the_middle = sum(one.seq < stress.head for one in readers)
    for one in readers:
        assert one.line is not None
        one.line.hurry()
    await stress.until(lambda: not any(one.is_open for one in readers), 20, "all sessions are closed")
    codes: dict[str, int] = {}
    for one in readers:
        code = str(one.line.closed.result()) if one.line is not None and one.line.closed.done() else "open"
        codes[code] = codes.get(code, 0) + 1
    stress.check(set(codes) <= {"1001", "0"}, f"sessions were closed with {codes}")
    await asyncio.to_thread(stress.hub.start)
    for one in readers:
        await one.open()
    await publishing
    await stress.until(lambda: all(one.seq >= target for one in readers), 60, "all have all after the restart")
    stress.enter("shutdown", (one.account(target) for one in readers))
    stress.provoked["stops in the middle of a replay"] += in_the_middle
    stress.figures["shutdown"] = {
        "sessions": len(readers),
        "in_the_middle_of_a_replay": in_the_middle,
        "seconds": round(took, 2),
        "closed_with": codes,
    }
    for one in readers:
        one.close()
    await stress.settled()


def _publish_to(stress: Stress, target: int) -> None:
    """Through the stop: the client repeats what was not acknowledged."""
    while stress.head < target:
        stress.publish(10)
