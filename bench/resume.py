"""1,000 sessions come back at once and want 500 events each, while others follow a live game."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.hubs import EVENT_FRAME_BYTES, PADDING, Hub, begun, closed, opened
from bench.machine import hub, on_core
from bench.programs import bare_send_seconds, compiled, receivers, says, timed
from touchline.benchmarks.events import event
from touchline.benchmarks.machine import cpu_seconds
from touchline.benchmarks.publisher import publish_at_rate
from touchline.benchmarks.rows import Row, interval, ratios

LIVE_SESSIONS = 50
LIVE_PER_SECOND = 50
JOINED_BYTES = 64 * 1024


def run(directory: Path, small: bool) -> list[Row]:
    """Each round: a game with a past, the rush, the bare loop of the same bytes."""
    compiled(directory)
    sessions, events, rounds = (20, 50, 1) if small else (1000, 500, 5)
    seconds: list[float] = []
    late: list[float] = []
    quiet: list[float] = []
    cost: list[float] = []
    bare: list[float] = []
    with on_core(1), hub(directory / "resume") as (process, url):
        served = Hub(url, directory / "resume")
        for number in range(rounds):
            past = f"p{number}"
            hello = served.game_session(past)
            served.publish([event(f"{past}-{index}", past, 0, PADDING) for index in range(events)])
            quiet.append(_live(directory, served, f"q{number}", 1.0))
            spent = cpu_seconds(process.pid)
            with ThreadPoolExecutor(1) as beside:
                # The live game goes on from before the rush until after its end.
                length = 1.0 if small else max(2.0, 1.5 * max(seconds, default=2.0) + 1.0)
                live = beside.submit(_live, directory, served, f"v{number}", length)
                time.sleep(0.3)
                started = time.monotonic()
                sockets = [begun(served.port, hello) for _ in range(sessions)]
                with receivers(directory, sockets, "timed", str(events)) as reading:
                    says(reading, "complete")
                    seconds.append(time.monotonic() - started)
                    timed(reading)
                late.append(live.result())
            cost.append((cpu_seconds(process.pid) - spent) / (sessions * events) * 1e6)
            closed(sockets)
            writes = _writes(events)
            bare.append(bare_send_seconds(directory, writes, sessions, 0) / (sessions * events) * 1e6)
    slowest, worst = statistics.median(seconds), statistics.median(late)
    return [
        Row(
            work=f"resume, {sessions} sessions x {events} events of {EVENT_FRAME_BYTES} B at once",
            figure=f"{interval(seconds, 2, 's')}; live p99 meanwhile {interval(late, 1, 'ms')}, "
            f"before {interval(quiet, 1, 'ms')}",
            cpu=interval(cost, 2, "µs"),
            baseline=f"C send loop, joined to 64 KiB: {interval(bare, 2, 'µs')} an event",
            ratio=interval(ratios(cost, bare)),
            target="≤ 10 s, live p99 ≤ 250 ms",
            met=slowest <= 10 and worst <= 250,
        )
    ]


def _writes(events: int) -> list[int]:
    """The sizes of a session's writes when as much as may be goes together."""
    each = JOINED_BYTES // EVENT_FRAME_BYTES
    return [min(each, events - first) * EVENT_FRAME_BYTES for first in range(0, events, each)]


def _live(directory: Path, served: Hub, game: str, seconds: float) -> float:
    """The p99 (ms) of a steady game's events on sessions of its own."""
    sockets = opened(served.port, served.game_session(game), LIVE_SESSIONS)
    expected = int(LIVE_PER_SECOND * seconds)

    def lines(number: int, due: int) -> Sequence[bytes]:
        return [event(f"{game}-{number}", game, due, PADDING)]

    with receivers(directory, sockets, "timed", str(expected)) as reading:
        asyncio.run(
            publish_at_rate(
                served.port, served.publisher, lines,
                seconds=seconds, most_waiting=expected, batches_per_second=LIVE_PER_SECOND,
            )
        )  # fmt: skip
        says(reading, "complete")
        found = timed(reading)
    closed(sockets)
    return found.p99_ms
