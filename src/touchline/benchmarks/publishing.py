"""Publishing against bare SQLite: events in batches, and one by one from many connections."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path
from typing import Final

from touchline.benchmarks.bare import sqlite_commit_seconds, sqlite_rows_per_second
from touchline.benchmarks.events import event
from touchline.benchmarks.hub import Hub
from touchline.benchmarks.machine import cpu_seconds
from touchline.benchmarks.publisher import post, publish_all
from touchline.benchmarks.rows import Row, interval, micros, ratios
from touchline.benchmarks.size import Size

_BATCH: Final = 100
_COMMITS: Final = 200
_SINGLES_TARGET: Final = 10_000


def requests(run: str, key: str, count: int, per_request: int, connections: int) -> list[list[bytes]]:
    """Prepared requests, a list for each connection, a game for each connection."""
    return [
        [
            post(
                key,
                b"\n".join(
                    event(f"{run}-{worker}-{number}-{index}", f"game-{worker}", 0) for index in range(per_request)
                ),
            )
            for number in range(count)
        ]
        for worker in range(connections)
    ]


def batches(hub: Hub, directory: Path, size: Size) -> Row:
    """NDJSON of 100 events a request."""
    ours, bare, costs = [], [], []
    events = size.connections * size.batches * _BATCH
    for turn in range(size.rounds):
        bare.append(sqlite_rows_per_second(directory, events, _BATCH))
        rate, cost = _published(
            hub, requests(f"p{turn}", hub.publisher, size.batches, _BATCH, size.connections), events
        )
        ours.append(rate)
        costs.append(cost)
    ratio = ratios(ours, bare)
    return Row(
        work=f"publish, {_BATCH} events a request, {size.connections} connections, acknowledged durable",
        figure=interval(ours, 0, "events/s"),
        cpu=micros(costs),
        baseline=f"bare SQLite, {_BATCH} rows a commit: {interval(bare, 0, 'rows/s')}",
        ratio=interval(ratio),
        target="≥ 0.5",
        met=statistics.median(ratio) >= 0.5,
    )


def singles(hub: Hub, directory: Path, size: Size) -> Row:
    """One event a request; the connections share their commits."""
    ours, bare, costs = [], [], []
    events = size.single_connections * size.singles
    for turn in range(size.rounds):
        bare.append(1 / statistics.median(sqlite_commit_seconds(directory, _COMMITS, 1)))
        rate, cost = _published(
            hub, requests(f"s{turn}", hub.publisher, size.singles, 1, size.single_connections), events
        )
        ours.append(rate)
        costs.append(cost)
    return Row(
        work=f"publish, 1 event a request, {size.single_connections} connections, acknowledged durable",
        figure=interval(ours, 0, "events/s"),
        cpu=micros(costs),
        baseline=f"bare SQLite, 1 row a commit: {interval(bare, 0, 'rows/s')}",
        ratio=interval(ratios(ours, bare)),
        target=f"≥ {_SINGLES_TARGET:,}/s",
        met=statistics.median(ours) >= _SINGLES_TARGET,
    )


def _published(hub: Hub, prepared: list[list[bytes]], events: int) -> tuple[float, float]:
    """(events a second, CPU microseconds of the hub an event)."""
    spent = cpu_seconds(hub.pid)
    rate = events / asyncio.run(publish_all(hub.port, prepared))
    return rate, (cpu_seconds(hub.pid) - spent) / events * 1e6
