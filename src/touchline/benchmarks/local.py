"""The measurements of ``touchline bench``: publish, fan-out and resume on a hub of their own, on this machine.

The hub runs as ``touchline serve`` on a temporary directory, sessions in a second process, the publisher here. No
compiler and no repository is needed; the baselines are bare loops of this interpreter.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from touchline.benchmarks.bare import socket_write_seconds, sqlite_rows_per_second
from touchline.benchmarks.events import FEED, event
from touchline.benchmarks.machine import LOOPBACK, cpu_seconds, free_port
from touchline.benchmarks.publisher import post, publish_all, publish_at_rate
from touchline.benchmarks.readers import Load, handshake, readers
from touchline.benchmarks.rows import Row, interval, ratios
from touchline.client import HubClient
from touchline.errors import UpstreamError
from touchline.sandbox.hub_process import HubProcess

_READY_SECONDS: Final = 20.0
_FRAME_BYTES: Final = 560
"""About what an event of these is natively, for the bare loop of writes."""


class Size(msgspec.Struct, frozen=True):
    """How much is measured. ``rounds`` of each arm, interleaved with its baseline."""

    rounds: int = 5
    connections: int = 8
    batches: int = 40
    sessions: int = 200
    events_per_second: int = 50
    seconds: float = 2.0
    backlog: int = 500


FULL: Final = Size()
QUICK: Final = Size(rounds=2, batches=10, sessions=50, seconds=1.0, backlog=200)


class _Hub:
    """A running hub and the keys to it."""

    def __init__(self, port: int, pid: int, publisher: str, reader: str) -> None:
        self.url = f"http://{LOOPBACK}:{port}"
        self.port = port
        self.pid = pid
        self.publisher = publisher
        self._reader = reader

    def hello(self, subject: str, after: str | None = None) -> str:
        """The handshake of a native session."""
        query = f"feed={FEED}&subject={subject}" + (f"&after={after}" if after is not None else "")
        return handshake(
            f"/hub/v1/ws?{query}",
            (f"Authorization: Bearer {self._reader}", "Sec-WebSocket-Protocol: cloudevents.json"),
        )


@contextmanager
def _running(data: Path) -> Iterator[_Hub]:
    port = free_port()
    with HubProcess(data, LOOPBACK, port) as process:
        url = f"http://{LOOPBACK}:{port}"
        if not process.wait_ready(url, threading.Event(), _READY_SECONDS):
            raise UpstreamError(f"the hub did not start: {' '.join(process.last_words())}")
        keys = {role: (data / f"{role}.key").read_text("utf-8").strip() for role in ("admin", "publisher")}
        with HubClient(url, keys["admin"]) as hub:
            credentials = hub.add_partner("bench", "hub")["credentials"]
        yield _Hub(port, process.pid(), keys["publisher"], credentials["key"])


def measure(directory: Path, size: Size, told: Callable[[str], None]) -> list[Row]:
    """Run everything below ``directory``; ``told`` gets a word before each part. Raises UpstreamError."""
    with _running(directory / "hub") as hub:
        told(f"publish: {size.rounds} rounds")
        rows = [_publish(hub, directory, size)]
        told(f"fan-out: {size.rounds} rounds of {size.seconds:g} s to {size.sessions} sessions")
        rows.append(_fanout(hub, size))
        told(f"resume: {size.sessions} sessions at once, {size.rounds} times")
        rows.append(_resume(hub, size))
    return rows


def _publish(hub: _Hub, directory: Path, size: Size) -> Row:
    ours, bare, costs = [], [], []
    events = size.connections * size.batches * 100
    for turn in range(size.rounds):
        bare.append(sqlite_rows_per_second(directory, events, 100))
        batches = [
            [
                post(
                    hub.publisher, b"\n".join(event(f"p{turn}-{one}-{batch}-{n}", f"game-{one}", 0) for n in range(100))
                )
                for batch in range(size.batches)
            ]
            for one in range(size.connections)
        ]
        spent = cpu_seconds(hub.pid)
        ours.append(events / asyncio.run(publish_all(hub.port, batches)))
        costs.append((cpu_seconds(hub.pid) - spent) / events * 1e6)
    return Row(
        work=f"publish, 100 events a request, {size.connections} connections, acknowledged durable",
        figure=interval(ours, 0, "events/s"),
        cpu=_micros(costs),
        baseline=f"bare SQLite, 100 rows a commit: {interval(bare, 0, 'rows/s')}",
        ratio=interval(ratios(ours, bare)),
        target="≥ 0.5",
        met=statistics.median(ratios(ours, bare)) >= 0.5,
    )


def _fanout(hub: _Hub, size: Size) -> Row:
    costs, bare, latest, median = [], [], [], []
    count = int(size.seconds * size.events_per_second)
    for turn in range(size.rounds):
        subject = f"live-{turn}"
        bare.append(socket_write_seconds(size.sessions, count, _FRAME_BYTES) * 1e6)
        with readers(Load(hub.port, size.sessions, hub.hello(subject), count)) as sessions:
            spent = cpu_seconds(hub.pid)

            def lines(number: int, due: int, subject: str = subject) -> Sequence[bytes]:
                return [event(f"{subject}-{number}", subject, due)]

            kept_up = asyncio.run(
                publish_at_rate(
                    hub.port, hub.publisher, lines,
                    seconds=size.seconds, most_waiting=count, batches_per_second=size.events_per_second,
                )
            )  # fmt: skip
            if not kept_up:
                raise UpstreamError(f"the hub cannot take {size.events_per_second} events a second here")
            reading = sessions.wait()
            costs.append((cpu_seconds(hub.pid) - spent) / (count * size.sessions) * 1e6)
        median.append(reading.median_ms)
        latest.append(reading.p99_ms)
    return Row(
        work=f"fan-out, {size.events_per_second} events/s to {size.sessions} sessions, publish to socket",
        figure=f"{size.events_per_second * size.sessions:,} messages/s; median {interval(median, 1, 'ms')}, "
        f"p99 {interval(latest, 1, 'ms')}",
        cpu=_micros(costs),
        baseline=f"bare socket writes: {interval(bare, 2, 'µs')}",
        ratio="-" if math.isnan(costs[0]) else interval(ratios(costs, bare)),
    )


def _resume(hub: _Hub, size: Size) -> Row:
    """Sessions that all come at once and want a game from its beginning."""
    seconds, costs, bare = [], [], []
    events = size.sessions * size.backlog
    for turn in range(size.rounds):
        subject = f"past-{turn}"
        before = _position(hub, subject)
        lines = [event(f"{subject}-{n}", subject, 0) for n in range(size.backlog)]
        asyncio.run(publish_all(hub.port, [[post(hub.publisher, b"\n".join(lines))]]))
        joined = 64 * 1024 // _FRAME_BYTES
        bare.append(
            socket_write_seconds(size.sessions, max(1, size.backlog // joined), joined * _FRAME_BYTES) / joined * 1e6
        )
        spent = cpu_seconds(hub.pid)
        with readers(Load(hub.port, size.sessions, hub.hello(subject, before), size.backlog)) as sessions:
            seconds.append(sessions.wait().seconds)
        costs.append((cpu_seconds(hub.pid) - spent) / events * 1e6)
    return Row(
        work=f"resume, {size.sessions} sessions x {size.backlog} events at once",
        figure=f"{interval(seconds, 2, 's')}; {interval([events / one for one in seconds], 0, 'events/s')}",
        cpu=_micros(costs),
        baseline=f"bare writes of 64 KB: {interval(bare, 2, 'µs')} an event",
        ratio="-" if math.isnan(costs[0]) else interval(ratios(costs, bare)),
    )


def _position(hub: _Hub, subject: str) -> str:
    """Where the log is now: the position after an event of another stream."""
    with HubClient(hub.url, hub.publisher) as client:
        return client.publish([event(f"{subject}-first", "elsewhere", 0)]).position


def _micros(costs: Sequence[float]) -> str:
    """CPU of an operation; a dash where the system does not say."""
    return "-" if math.isnan(costs[0]) else interval(costs, 2, "µs")
