"""Deliveries against a bare pycurl multi loop, and whether endpoints that never answer disturb those that do.

The hub and the bare loop run on core 0, the receiver and the publisher on core 1. The partner is suspended, the events
published, then the partner resumed, one request for all its endpoints: what is measured is log → signed POST →
acknowledged cursor alone. Both sides sign with HMAC-SHA256 and post the same size to the same receiver.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import urllib3

from bench.machine import hub
from touchline.benchmarks.machine import cpu_seconds, pinned
from touchline.benchmarks.rows import Row, interval, ratios

STREAMS = 64
ROUNDS = 3
PAIRS = 10
HEALTHY, MUTE = 45, 5
RATE = 90
"""Events a second: times 45 endpoints that keeps the hub at a third to a half of a core."""
ARM_SECONDS, SETTLE_SECONDS = 5.0, 0.7
EVENT = (
    '{"specversion":"1.0","id":"%s","source":"/bench","type":"shottracker.shot","subject":"game-%d",'
    '"time":"2026-01-01T00:00:00.000Z","data":{"sent":%d,"occurred_at":1500571319432,"team_id":461,"player_id":2623,'
    '"is_make":true,"is_3point":false,"zone":1,"hoop_player_x":685,"hoop_player_y":-475,"status":"RECORDED"}}'
)


class Sink:
    """The receiver's process; see ``bench.sink``."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [*pinned(1), sys.executable, "-m", "bench.sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def ask(self, text: str) -> str:
        """Send a command, read its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self._line()

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


@contextmanager
def sink() -> Iterator[Sink]:
    """A running receiver."""
    receiver = Sink()
    try:
        yield receiver
    finally:
        receiver.close()


class Operator:
    """Speaks to a hub as admin and publisher."""

    def __init__(self, url: str, data: Path) -> None:
        self.url = url
        self._keys = {role: (data / f"{role}.key").read_text().strip() for role in ("admin", "publisher")}
        self._http = urllib3.PoolManager(maxsize=16)
        self.ask("POST", "/hub/v1/partners", {"name": "bench", "feed": "hub"})

    def ask(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """An admin's request that must succeed."""
        answer = self._http.request(
            method, self.url + path, json=body, headers={"authorization": "Bearer " + self._keys["admin"]}
        )
        assert answer.status < 300, (path, answer.status, answer.data)
        return dict(answer.json()) if answer.data else {}

    def add(self, target: str, **options: str) -> str:
        """An endpoint of the native feed."""
        body = {"partner": "bench", "url": target, "feed": "hub", "topics": [], "label": "", "options": options}
        return str(self.ask("POST", "/hub/v1/endpoints", body)["endpoint"])

    def all(self, verb: str, endpoints: list[str]) -> None:
        """Do the same to many endpoints, some at a time."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: self.ask("POST", f"/hub/v1/endpoints/{one}/{verb}"), endpoints))

    def remove(self, endpoints: list[str]) -> None:
        """Remove many."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: self.ask("DELETE", f"/hub/v1/endpoints/{one}"), endpoints))

    def publish(self, count: int, first: int = 0) -> None:
        """So many events on ``STREAMS`` streams."""
        run = random.SystemRandom().randbytes(4).hex()
        for start in range(first, first + count, 500):
            lines = [
                EVENT % (f"{run}-{number}", number % STREAMS, time.monotonic_ns())
                for number in range(start, min(start + 500, first + count))
            ]
            answer = self._http.request(
                "POST",
                self.url + "/hub/v1/events",
                body="\n".join(lines).encode(),
                headers={"authorization": "Bearer " + self._keys["publisher"], "content-type": "application/x-ndjson"},
            )
            assert answer.status == 202, answer.data


def _deliveries(
    operator: Operator, receiver: Sink, pid: int, endpoints: int, each: int, query: str
) -> tuple[float, float]:
    """(CPU seconds of the hub a delivery, deliveries a second)."""
    made = [operator.add(f"http://127.0.0.1:{receiver.port}/e{n}{query}") for n in range(endpoints)]
    operator.ask("POST", "/hub/v1/partners/bench/suspend")
    operator.publish(each)
    receiver.ask("reset")
    time.sleep(0.3)
    spent, started = cpu_seconds(pid), time.perf_counter()
    operator.ask("POST", "/hub/v1/partners/bench/resume")
    receiver.ask(f"count {endpoints * each}")
    seconds = time.perf_counter() - started
    time.sleep(0.3)
    cost = (cpu_seconds(pid) - spent) / (endpoints * each)
    operator.remove(made)
    return cost, endpoints * each / seconds


def _bare(receiver: Sink, endpoints: int, each: int, query: str) -> tuple[float, float]:
    """The same by a bare pycurl multi loop: (CPU seconds a delivery, deliveries a second)."""
    receiver.ask("reset")
    done = subprocess.run(
        [*pinned(0), sys.executable, "-m", "bench.bare_webhooks", str(receiver.port), str(endpoints), str(each), query],
        capture_output=True,
        text=True,
        check=True,
    )
    cpu, wall = map(float, done.stdout.split())
    return cpu / (endpoints * each), endpoints * each / wall


def _arm(operator: Operator, receiver: Sink, mute: list[str], seconds: float) -> float:
    """The p99 (ms) of the healthy endpoints' deliveries under a steady rate, beside ``mute`` that answer no more.

    Those were quick until the arm begins, so each holds as many requests as a good endpoint may, and what the hub needs
    to find out is part of the arm.
    """
    receiver.ask("speak")
    operator.all("resume", mute)
    _steady(operator, SETTLE_SECONDS)
    receiver.ask("silence")
    receiver.ask("reset")
    sent = _steady(operator, seconds)
    receiver.ask(f"count {sent * HEALTHY}")
    latencies = json.loads(receiver.ask("latency"))
    operator.all("pause", mute)
    return float(latencies[int(len(latencies) * 0.99)] / 1e6)


def _isolation(directory: Path, pairs: int, seconds: float) -> Row:
    """Endpoints at a steady rate, with and without others beside them that stop to answer, arms interleaved."""
    found, with_them, without = [], [], []
    with sink() as receiver, hub(directory / "isolation", "--allow-network", "127.0.0.0/8") as (process, url):
        operator = Operator(url, directory / "isolation")
        for number in range(HEALTHY):
            operator.add(f"http://127.0.0.1:{receiver.port}/timed{number}")
        mute = [operator.add(f"http://127.0.0.1:{receiver.port}/mute{number}") for number in range(MUTE)]
        operator.all("pause", mute)
        _arm(operator, receiver, [], seconds)
        spent, started = cpu_seconds(process.pid), time.perf_counter()
        for number in range(pairs):
            pair = {}
            for arm in (True, False) if number % 2 else (False, True):
                pair[arm] = _arm(operator, receiver, mute if arm else [], seconds)
            found.append(pair[True] / pair[False])
            with_them.append(pair[True])
            without.append(pair[False])
        busy = (cpu_seconds(process.pid) - spent) / (time.perf_counter() - started)
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
    cases = ((1, 4000, ""), (100, 200, ""), (1000, 20, ""), (100, 120, "?delay=50"), (100, 24, "?delay=250"))
    if small:
        cases = ((4, 10, ""),)
    with sink() as receiver, hub(directory / "webhooks", "--allow-network", "127.0.0.0/8") as (process, url):
        operator = Operator(url, directory / "webhooks")
        for endpoints, each, query in cases:
            ours, bare = [], []
            for _ in range(1 if small else ROUNDS):
                ours.append(_deliveries(operator, receiver, process.pid, endpoints, each, query))
                bare.append(_bare(receiver, endpoints, each, query))
            cost, bare_cost = ([one[0] * 1e6 for one in arm] for arm in (ours, bare))
            rate, bare_rate = (statistics.median(one[1] for one in arm) / 1000 for arm in (ours, bare))
            ratio = ratios(cost, bare_cost)
            counts = (endpoints, query) == (100, "")
            rows.append(
                Row(
                    work=f"webhooks, log → signed POST → cursor, {endpoints} endpoints, "
                    f"receiver {query.partition('=')[2] or '0'} ms",
                    figure=f"{rate:.1f} k/s",
                    cpu=interval(cost, 1, "µs"),
                    baseline=f"bare pycurl multi loop: {interval(bare_cost, 1, 'µs')}, {bare_rate:.1f} k/s",
                    ratio=interval(ratio),
                    target="≤ 2" if counts else "-",
                    met=statistics.median(ratio) <= 2 if counts else None,
                )
            )
    return [*rows, _isolation(directory, *((1, 1.0) if small else (PAIRS, ARM_SECONDS)))]
