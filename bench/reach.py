"""From publishing one event to the last of 1,000 idle sessions, against a durable commit and a bare loop of writes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench.hubs import EVENT_FRAME_BYTES, PADDING, Hub, closed, opened
from bench.load import measured
from bench.machine import hub, on_core
from bench.programs import bare_send_timed, compiled
from touchline.benchmarks.bare import sqlite_commit_seconds
from touchline.benchmarks.events import event
from touchline.benchmarks.publisher import publish_at_rate
from touchline.benchmarks.rows import Row, interval

EVENTS_PER_SECOND = 20
TARGET_MS = 12.0


def run(directory: Path, small: bool) -> list[Row]:
    """Rounds of single events, each round with the bare figures beside it."""
    compiled(directory)
    sessions, count, rounds = (20, 20, 1) if small else (1000, 150, 3)
    beyond: list[float] = []
    whole: list[float] = []
    median: list[float] = []
    commits: list[float] = []
    writes: list[float] = []
    slow_writes: list[float] = []
    with on_core(1), hub(directory / "reach") as (process, url):
        served = Hub(url, directory / "reach")
        for number in range(rounds):
            game = f"r{number}"
            sockets = opened(served.port, served.game_session(game), sessions)

            def lines(number: int, due: int, game: str = game) -> Sequence[bytes]:
                return [event(f"{game}-{number}", game, due, PADDING)]

            def publish() -> bool:
                return uvloop.run(
                    publish_at_rate(
                        served.port, served.publisher, lines,
                        seconds=count / EVENTS_PER_SECOND, most_waiting=count, batches_per_second=EVENTS_PER_SECOND,
                    )
                )  # fmt: skip

            found = measured(directory, process.pid, sockets, count, publish)
            closed(sockets)
            if found is None:
                raise SystemExit("the hub cannot take the rate")
            commit = statistics.median(sqlite_commit_seconds(directory, count, 1)) * 1e3
            _, loop = bare_send_timed(directory, [EVENT_FRAME_BYTES] * count, sessions, 1 / EVENTS_PER_SECOND)
            commits.append(commit)
            writes.append(loop.last_median_ms)
            slow_writes.append(loop.last_p99_ms)
            whole.append(found[2].last_p99_ms)
            median.append(found[2].last_median_ms)
            beyond.append(found[2].last_p99_ms - commit)
    bare = [one + other for one, other in zip(commits, writes, strict=True)]
    return [
        Row(
            work=f"publish → last of {sessions} idle sessions, {EVENTS_PER_SECOND} events/s",
            figure=f"p99 {interval(beyond, 1, 'ms')} beyond the median commit; whole: p99 {interval(whole, 1, 'ms')}, "
            f"median {interval(median, 1, 'ms')}",
            baseline=f"SQLite commit {interval(commits, 2, 'ms')}, "
            f"C loop of {sessions} writes: last of them, p99 {interval(slow_writes, 1, 'ms')}, "
            f"median {interval(writes, 1, 'ms')}",
            ratio=f"p99 {interval([one / other for one, other in zip(beyond, slow_writes, strict=True)])}, "
            f"median {interval([one / other for one, other in zip(median, bare, strict=True)])}",
            target=f"p99 ≤ {TARGET_MS:.0f} ms beyond the fsync",
            met=statistics.median(beyond) <= TARGET_MS,
        )
    ]
