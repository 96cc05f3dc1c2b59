"""How soon a hub with a long log answers ``/readyz``, against the bare start of the interpreter with its libraries."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import uvloop

from bench.hubs import Hub
from bench.machine import hub
from touchline.benchmarks.publisher import publish_all
from touchline.benchmarks.publishing import requests
from touchline.benchmarks.rows import Row, interval, ratios
from touchline.benchmarks.starting import imports_seconds

RECORDS = 1_000_000
TARGET_SECONDS = 1.0


def run(directory: Path, small: bool) -> list[Row]:
    """Fill a log over HTTP, then start on it again and again; starts of a new hub beside it."""
    records, rounds = (2000, 1) if small else (RECORDS, 5)
    data = directory / "full"
    with hub(data, pin=False) as (_, url):
        served = Hub(url, data)
        done = 0
        while done < records:  # a part at a time, so that the bodies need not all be held
            part = min(50_000, records - done)
            uvloop.run(publish_all(served.port, requests(f"s{done}", served.publisher, part // 2000, 500, 4)))
            done += part
    full: list[float] = []
    fresh: list[float] = []
    bare: list[float] = []
    for number in range(rounds):
        full.append(_start(data))
        fresh.append(_start(directory / f"fresh-{number}"))
        bare.append(imports_seconds())
    return [
        Row(
            work=f"start: `touchline serve` to /readyz with {records:,} records in the log",
            figure=f"{interval(full, 2, 's')}; with an empty log {interval(fresh, 2, 's')}",
            baseline=f"interpreter and imports alone: {interval(bare, 2, 's')}",
            ratio=interval(ratios(full, bare)),
            target=f"≤ {TARGET_SECONDS:.0f} s",
            met=statistics.median(full) <= TARGET_SECONDS,
        )
    ]


def _start(data: Path) -> float:
    started = time.perf_counter()
    with hub(data, pin=False):
        return time.perf_counter() - started
