"""Fan-out under load: 500 sessions, 256-byte frames, an open loop that gets faster until events come too late.

The hub has core 0; publisher and receivers have core 1. Events become due in batches, 100 a second, and are late from
then on, whatever holds them up. The bare loop writes the same bytes, joined as the hub joined them, at the same rate.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.fanout import frames_per_write
from bench.hubs import EVENT_FRAME_BYTES, PADDING, Hub, closed, opened
from bench.machine import hub, on_core
from bench.programs import Timed, bare_send_seconds, compiled, receivers, says, timed
from touchline.benchmarks.events import event
from touchline.benchmarks.machine import cpu_seconds
from touchline.benchmarks.publisher import BATCHES_PER_SECOND, publish_at_rate
from touchline.benchmarks.rows import Row, interval, ratios

SESSIONS = 500
RATES = (400, 800, 1600)
"""Events a second; times 500 sessions they are messages a second."""
P99_MS = 50.0
TARGET_PER_CORE = 200_000


@dataclass(frozen=True)
class Step:
    """One rate: what the server used, how late events came, and what the bare loop used for as many messages."""

    rate: int
    core: float
    micros: float
    bare_micros: float
    found: Timed
    joined: float

    @property
    def in_time(self) -> bool:
        """Whether nearly all came soon enough."""
        return self.found.p99_ms <= P99_MS


def run(directory: Path, small: bool) -> list[Row]:
    """Rounds of all rates, each on sessions of their own."""
    compiled(directory)
    sessions, rates, rounds, seconds = (20, (100,), 1, 1.0) if small else (SESSIONS, RATES, 3, 3.0)
    steps: list[Step] = []
    with on_core(1), hub(directory / "load") as (process, url):
        served = Hub(url, directory / "load")
        for number in range(rounds):
            for rate in rates:
                step = _step(directory, served, process.pid, f"l{number}-{rate}", sessions, rate, seconds)
                if step is not None:
                    steps.append(step)
    return [row(f"hub, basketball socket, {sessions} sessions", steps, rate, sessions) for rate in rates]


def row(who: str, steps: Sequence[Step], rate: int, sessions: int) -> Row:
    """One rate of one server."""
    work = f"{who}, open loop of {rate * sessions / 1000:,.0f} k messages/s of {EVENT_FRAME_BYTES} B"
    mine = [step for step in steps if step.rate == rate]
    if not mine:
        return Row(work, "it cannot take the rate")
    per_core = statistics.median(1e6 / step.micros for step in mine)
    p99 = statistics.median(step.found.p99_ms for step in mine)
    bare = [step.bare_micros for step in mine]
    return Row(
        work=work,
        figure=f"{per_core:,.0f} messages/s of a core ({interval([step.core for step in mine])} of it used), "
        f"p99 {interval([step.found.p99_ms for step in mine], 1, 'ms')}, "
        f"median {interval([step.found.median_ms for step in mine], 1, 'ms')}",
        cpu=interval([step.micros for step in mine], 2, "µs"),
        baseline=f"C send loop, joined by {statistics.median(step.joined for step in mine):.1f}: "
        f"{interval(bare, 2, 'µs')}",
        ratio=interval(ratios([step.micros for step in mine], bare)),
        target=f"≥ {TARGET_PER_CORE:,}/s of a core at p99 ≤ {P99_MS:.0f} ms",
        met=per_core >= TARGET_PER_CORE and p99 <= P99_MS,
    )


def measured(
    directory: Path, pid: int, sockets: Sequence[object], expected: int, publish: Callable[[], bool]
) -> tuple[float, float, Timed] | None:
    """Publish while the receivers read: (CPU seconds, seconds, what came); None when the server could not take it."""
    with receivers(directory, sockets, "timed", str(expected)) as reading:  # type: ignore[arg-type]
        spent, started = cpu_seconds(pid), time.monotonic()
        if not publish():
            return None
        says(reading, "complete")
        spent, took = cpu_seconds(pid) - spent, time.monotonic() - started
        return spent, took, timed(reading)


def bare_micros(directory: Path, sessions: int, rate: int, joined: float, seconds: float) -> float:
    """CPU microseconds a message of the bare loop."""
    per_second = rate / joined
    writes = [round(EVENT_FRAME_BYTES * joined)] * max(1, int(per_second * seconds))
    spent = bare_send_seconds(directory, writes, sessions, 1 / per_second)
    return spent / (len(writes) * joined * sessions) * 1e6


def _step(directory: Path, served: Hub, pid: int, game: str, sessions: int, rate: int, seconds: float) -> Step | None:
    each = rate // BATCHES_PER_SECOND
    expected = each * int(BATCHES_PER_SECOND * seconds)
    sockets = opened(served.port, served.game_session(game), sessions)

    def lines(number: int, due: int) -> Sequence[bytes]:
        return [event(f"{game}-{number}-{index}", game, due, PADDING) for index in range(each)]

    def publish() -> bool:
        return uvloop.run(publish_at_rate(served.port, served.publisher, lines, seconds=seconds, most_waiting=rate))

    before = served.metrics()
    found = measured(directory, pid, sockets, expected, publish)
    after = served.metrics()
    closed(sockets)
    if found is None:
        return None
    spent, took, account = found
    joined = frames_per_write(before, after)
    bare = bare_micros(directory, sessions, rate, joined, min(seconds, 2.0))
    return Step(rate, spent / took, spent / (expected * sessions) * 1e6, bare, account, joined)
