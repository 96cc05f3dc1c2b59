"""Publishing against bare SQLite: NDJSON of 100 acknowledged durable, and single events from 32 connections."""

from __future__ import annotations

import statistics
from pathlib import Path

import uvloop

from bench.hubs import Hub
from bench.machine import hub
from touchline.benchmarks.bare import sqlite_commit_seconds, sqlite_rows_per_second
from touchline.benchmarks.machine import cpu_seconds
from touchline.benchmarks.publisher import publish_all
from touchline.benchmarks.publishing import requests
from touchline.benchmarks.rows import Row, interval, ratios

HUNDREDS = 8
SINGLES = 32


def run(directory: Path, small: bool) -> list[Row]:
    """Arms interleaved."""
    rounds, batches, singles = (1, 3, 5) if small else (7, 50, 250)
    many: list[float] = []
    one_by_one: list[float] = []
    bare: list[float] = []
    commits: list[float] = []
    many_cpu: list[float] = []
    single_cpu: list[float] = []
    with hub(directory / "publish", pin=False) as (process, url):
        served = Hub(url, directory / "publish")

        def measure(prepared: list[list[bytes]], events: int) -> tuple[float, float]:
            spent = cpu_seconds(process.pid)
            rate = events / uvloop.run(publish_all(served.port, prepared))
            return rate, (cpu_seconds(process.pid) - spent) / events * 1e6

        for number in range(rounds):
            bare.append(sqlite_rows_per_second(directory, 800 * batches, 100))
            prepared = requests(f"h{number}", served.publisher, batches, 100, HUNDREDS)
            rate, cost = measure(prepared, HUNDREDS * batches * 100)
            many.append(rate)
            many_cpu.append(cost)
            commits.append(1 / statistics.median(sqlite_commit_seconds(directory, 200, 1)))
            rate, cost = measure(requests(f"s{number}", served.publisher, singles, 1, SINGLES), SINGLES * singles)
            one_by_one.append(rate)
            single_cpu.append(cost)
    ratio = ratios(many, bare)
    return [
        Row(
            work=f"publish, NDJSON of 100 ({HUNDREDS} connections), acknowledged durable",
            figure=interval(many, 0, "events/s"),
            cpu=interval(many_cpu, 2, "µs"),
            baseline=f"bare SQLite, 100 rows a commit: {interval(bare, 0, 'rows/s')}",
            ratio=interval(ratio),
            target="≥ 0.5",
            met=statistics.median(ratio) >= 0.5,
        ),
        Row(
            work=f"publish, single events from {SINGLES} connections, acknowledged durable",
            figure=interval(one_by_one, 0, "events/s"),
            cpu=interval(single_cpu, 1, "µs"),
            baseline=f"bare SQLite, 1 row a commit: {interval(commits, 0, 'rows/s')}",
            ratio=interval(ratios(one_by_one, commits)),
            target="≥ 10,000/s",
            met=statistics.median(one_by_one) >= 10_000,
        ),
    ]
