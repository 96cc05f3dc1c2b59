"""Webhook deliveries against a bare pycurl multi loop.

The partner is suspended, the events published, then the partner resumed, one request for all its endpoints: what is
measured is log → signed POST → acknowledged cursor alone. Both sides sign with HMAC-SHA256 and post about the same size
to the same receiver.
"""

from __future__ import annotations

import math
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from touchline.benchmarks.events import event
from touchline.benchmarks.hub import PARTNER, Hub
from touchline.benchmarks.machine import LOOPBACK, cpu_seconds, pinned
from touchline.benchmarks.rows import Row, interval, micros, ratios
from touchline.benchmarks.sink import Sink, sink
from touchline.benchmarks.size import Size
from touchline.client import HubClient
from touchline.errors import UpstreamError

STREAMS: Final = 64
TARGET: Final = 2.0
_BATCH: Final = 500
_THREADS: Final = 4
_SETTLE_SECONDS: Final = 0.3


class Operator:
    """Speaks to a hub as admin and publisher, for the endpoints of ``PARTNER``."""

    def __init__(self, admin: HubClient, publisher: HubClient) -> None:
        self.admin = admin
        self._publisher = publisher

    def add(self, target: str) -> str:
        """An endpoint of the native feed."""
        return str(self.admin.endpoints.add(PARTNER, target, "hub")["endpoint"])

    def each(self, call: Callable[[str], object], endpoints: list[str]) -> None:
        """Do the same to many endpoints, some at a time."""
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(call, endpoints))

    def publish(self, count: int, first: int = 0) -> None:
        """So many events on ``STREAMS`` streams."""
        run = random.SystemRandom().randbytes(4).hex()
        for start in range(first, first + count, _BATCH):
            self._publisher.publish(
                event(f"{run}-{number}", f"game-{number % STREAMS}", time.monotonic_ns())
                for number in range(start, min(start + _BATCH, first + count))
            )


@contextmanager
def operator(url: str, admin: str, publisher: str) -> Iterator[Operator]:
    """Who holds these keys."""
    with HubClient(url, admin) as one, HubClient(url, publisher) as other:
        yield Operator(one, other)


def delivered(
    by: Operator, receiver: Sink, pid: int, endpoints: int, each: int, query: str = ""
) -> tuple[float, float]:
    """(CPU seconds of the hub a delivery, deliveries a second) of ``each`` events to so many endpoints."""
    made = [by.add(f"http://{LOOPBACK}:{receiver.port}/e{n}{query}") for n in range(endpoints)]
    by.admin.suspend(PARTNER)
    by.publish(each)
    receiver.ask("reset")
    time.sleep(_SETTLE_SECONDS)
    spent, started = cpu_seconds(pid), time.perf_counter()
    by.admin.resume(PARTNER)
    receiver.wait_for(endpoints * each)
    seconds = time.perf_counter() - started
    time.sleep(_SETTLE_SECONDS)
    cost = (cpu_seconds(pid) - spent) / (endpoints * each)
    by.each(by.admin.endpoints.remove, made)
    return cost, endpoints * each / seconds


def bare(receiver: Sink, endpoints: int, each: int, query: str = "", core: int | None = None) -> tuple[float, float]:
    """The same by a bare pycurl multi loop: (CPU seconds a delivery, deliveries a second)."""
    receiver.ask("reset")
    command = [
        sys.executable,
        "-m",
        "touchline.benchmarks.bare_webhooks",
        str(receiver.port),
        str(endpoints),
        str(each),
    ]
    done = subprocess.run(  # noqa: S603 - our own command
        [*(pinned(core) if core is not None else ()), *command, query], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise UpstreamError("the bare loop of webhooks failed")
    cpu, wall = map(float, done.stdout.split())
    return cpu / (endpoints * each), endpoints * each / wall


def row(work: str, ours: list[tuple[float, float]], bares: list[tuple[float, float]], *, has_target: bool) -> Row:
    """What pairs of ``delivered`` and ``bare`` give."""
    cost, bare_cost = ([one[0] * 1e6 for one in arm] for arm in (ours, bares))
    rate, bare_rate = (statistics.median(one[1] for one in arm) / 1000 for arm in (ours, bares))
    known = not math.isnan(cost[0])
    ratio = ratios(cost, bare_cost)
    has_target = has_target and known
    return Row(
        work=work,
        figure=f"{rate:.1f} k/s",
        cpu=micros(cost),
        baseline=f"bare pycurl multi loop: {interval(bare_cost, 1, 'µs')}, {bare_rate:.1f} k/s",
        ratio=interval(ratio) if known else "-",
        target=f"≤ {TARGET:.0f}" if has_target else "-",
        met=statistics.median(ratio) <= TARGET if has_target else None,
    )


def webhooks(hub: Hub, size: Size) -> Row:
    """A receiver that answers at once, arms interleaved."""
    ours, bares = [], []
    with sink() as receiver, operator(hub.url, hub.admin, hub.publisher) as by:
        for _ in range(size.slow_rounds):
            ours.append(delivered(by, receiver, hub.pid, size.endpoints, size.deliveries))
            bares.append(bare(receiver, size.endpoints, size.deliveries))
    return row(
        f"webhooks, log → signed POST → cursor, {size.endpoints} endpoints x {size.deliveries}",
        ours,
        bares,
        has_target=True,
    )
