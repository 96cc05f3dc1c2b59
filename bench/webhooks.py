"""Deliveries against a bare pycurl multi loop, and whether endpoints that never answer disturb those that do.

The hub and the bare loop run on core 0, the receiver and the publisher on core 1. How deliveries are measured stands in
``touchline.benchmarks.deliveries``.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.hubs import Hub
from bench.machine import hub
from touchline.benchmarks import deliveries
from touchline.benchmarks.deliveries import Operator
from touchline.benchmarks.hub import PARTNER
from touchline.benchmarks.machine import cpu_seconds
from touchline.benchmarks.rows import Row
from touchline.benchmarks.sink import Sink, sink

ROUNDS = 3
PAIRS = 10
HEALTHY, MUTE = 45, 5
RATE = 90
"""Events a second: times 45 endpoints that keeps the hub at a third to a half of a core."""
ARM_SECONDS, SETTLE_SECONDS = 5.0, 0.7


@contextmanager
def _operated(data: Path) -> Iterator[tuple[int, Operator]]:
    """A hub that delivers to this machine: its process, and who may do everything with it."""
    with hub(data, "--allow-network", "127.0.0.0/8") as (process, url):
        served = Hub(url, data)
        with deliveries.operator(url, served.admin, served.publisher) as by:
            by.admin.add_partner(PARTNER, "hub")
            yield process.pid, by


def _arm(operator: Operator, receiver: Sink, mute: list[str], seconds: float) -> float:
    """The p99 (ms) of the healthy endpoints' deliveries under a steady rate, beside ``mute`` that answer no more.

    Those were quick until the arm begins, so each holds as many requests as a good endpoint may, and what the hub needs
    to find out is part of the arm.
    """
    receiver.ask("speak")
    operator.each(operator.admin.endpoints.resume, mute)
    _steady(operator, SETTLE_SECONDS)
    receiver.ask("silence")
    receiver.ask("reset")
    sent = _steady(operator, seconds)
    receiver.wait_for(sent * HEALTHY)
    latencies = json.loads(receiver.ask("latency"))
    operator.each(operator.admin.endpoints.pause, mute)
    return float(latencies[int(len(latencies) * 0.99)] / 1e6)


def _isolation(directory: Path, pairs: int, seconds: float) -> Row:
    """Endpoints at a steady rate, with and without others beside them that stop to answer, arms interleaved."""
    found, with_them, without = [], [], []
    with sink(1) as receiver, _operated(directory / "isolation") as (pid, operator):
        for number in range(HEALTHY):
            operator.add(f"http://127.0.0.1:{receiver.port}/timed{number}")
        mute = [operator.add(f"http://127.0.0.1:{receiver.port}/mute{number}") for number in range(MUTE)]
        operator.each(operator.admin.endpoints.pause, mute)
        _arm(operator, receiver, [], seconds)
        spent, started = cpu_seconds(pid), time.perf_counter()
        for number in range(pairs):
            pair = {}
            for arm in (True, False) if number % 2 else (False, True):
                pair[arm] = _arm(operator, receiver, mute if arm else [], seconds)
            found.append(pair[True] / pair[False])
            with_them.append(pair[True])
            without.append(pair[False])
        busy = (cpu_seconds(pid) - spent) / (time.perf_counter() - started)
    found.sort()
    # Of ten pairs the second and the ninth bound the median with 98 % confidence.
    least, most = (found[1], found[-2]) if len(found) > 2 else (found[0], found[-1])
    return Row(
        work=f"isolation: p99 of {HEALTHY} healthy endpoints beside {MUTE} that stop to answer, {pairs} pairs",
        figure=f"{statistics.median(with_them):.1f} ms with them (hub at {busy:.0%} of a core)",
        baseline=f"{statistics.median(without):.1f} ms without",
        ratio=f"{statistics.median(found):.2f} ({least:.2f} to {most:.2f})",
        target="≤ 1.10",
        met=statistics.median(found) <= 1.10,
    )


def _steady(operator: Operator, seconds: float) -> int:
    """Publish single events at a steady rate; how many."""
    count, due = 0, time.perf_counter()
    end = due + seconds
    while due < end:
        operator.publish(1, count)
        count += 1
        due += 1 / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
    return count


def run(directory: Path, small: bool) -> list[Row]:
    """Some rounds of each, arms interleaved."""
    rows: list[Row] = []
    cases: tuple[tuple[int, int, str], ...] = (
        (1, 4000, ""),
        (100, 200, ""),
        (1000, 20, ""),
        (100, 120, "?delay=50"),
        (100, 24, "?delay=250"),
    )
    if small:
        cases = ((4, 10, ""),)
    with sink(1) as receiver, _operated(directory / "webhooks") as (pid, operator):
        for endpoints, each, query in cases:
            ours, bare = [], []
            for _ in range(1 if small else ROUNDS):
                ours.append(deliveries.delivered(operator, receiver, pid, endpoints, each, query))
                bare.append(deliveries.bare(receiver, endpoints, each, query, core=0))
            work = (
                f"webhooks, log → signed POST → cursor, {endpoints} endpoints, "
                f"receiver {query.partition('=')[2] or '0'} ms"
            )
            rows.append(deliveries.row(work, ours, bare, has_target=(endpoints, query) == (100, "")))
    return [*rows, _isolation(directory, *((1, 1.0) if small else (PAIRS, ARM_SECONDS)))]
