"""Fan-out against a C send loop: 1,000 sessions, one message a write, the whole path; and what TLS adds to it."""

from __future__ import annotations

import asyncio
import ssl
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.hubs import EVENT_FRAME_BYTES, PADDING, Hub, closed, opened, served_by_tls
from bench.machine import hub, on_core
from bench.programs import bare_send_seconds, compiled, receivers, says
from touchline.benchmarks.events import event
from touchline.benchmarks.machine import cpu_seconds
from touchline.benchmarks.publisher import publish_at_rate
from touchline.benchmarks.readers import Load, readers
from touchline.benchmarks.rows import Row, interval, ratios

EVENTS_PER_SECOND = 50


def run(directory: Path, small: bool) -> list[Row]:
    """Arms interleaved."""
    compiled(directory)
    with on_core(1):
        return [
            _plain(directory, *((20, 20, 1) if small else (1000, 200, 3))),
            _tls(directory, *((10, 20, 1) if small else (200, 150, 3))),
        ]


def _publish(served: Hub, run: str, count: int, ca_file: Path | None = None) -> None:
    """Single events, at a rate at which each leaves in a write of its own."""

    def lines(number: int, due: int) -> Sequence[bytes]:
        return [event(f"{run}-{number}", run, due, PADDING)]

    kept_up = asyncio.run(
        publish_at_rate(
            served.port,
            served.publisher,
            lines,
            seconds=count / EVENTS_PER_SECOND,
            most_waiting=count,
            batches_per_second=EVENTS_PER_SECOND,
            tls=None if ca_file is None else ssl.create_default_context(cafile=ca_file),
        )
    )
    if not kept_up:
        raise SystemExit("the hub cannot take the rate")


def _plain(directory: Path, sessions: int, count: int, rounds: int) -> Row:
    ours, bare, joined = [], [], []
    messages = count * sessions
    with hub(directory / "fanout") as (process, url):
        served = Hub(url, directory / "fanout")
        for number in range(rounds):
            sockets = opened(served.port, served.game_session(f"f{number}"), sessions)
            with receivers(directory, sockets, "timed", str(count)) as reading:
                before = served.metrics()
                spent = cpu_seconds(process.pid)  # taskset replaces itself by the hub
                _publish(served, f"f{number}", count)
                says(reading, "complete")
                ours.append((cpu_seconds(process.pid) - spent) / messages * 1e6)
            joined.append(frames_per_write(before, served.metrics()))
            closed(sockets)
            # When the hub is kept from its core, events wait and leave together: so do those of the bare loop.
            writes = [round(EVENT_FRAME_BYTES * joined[-1])] * round(count / joined[-1])
            pause = joined[-1] / EVENTS_PER_SECOND
            bare.append(bare_send_seconds(directory, writes, sessions, pause) / messages * 1e6)
    ratio = ratios(ours, bare)
    return Row(
        work=f"fan-out, {sessions} sessions, 1 message of {EVENT_FRAME_BYTES} B a write, publish → log → socket",
        figure=f"{1e6 / statistics.median(ours):,.0f} messages/s of a core; {interval(joined)} a write",
        cpu=interval(ours, 2, "µs"),
        baseline=f"C send loop: {interval(bare, 2, 'µs')}",
        ratio=interval(ratio),
        target="≤ 1.5",
        met=statistics.median(ratio) <= 1.5,
    )


def frames_per_write(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """How many messages left together, by the hub's own counters."""
    frames, writes = (after[name] - before[name] for name in ("touchline_fanout_frames", "touchline_fanout_writes"))
    return frames / writes


def _tls(directory: Path, sessions: int, count: int, rounds: int) -> Row:
    """The same load on a hub with TLS and on one without, in turn; the sessions are Python's, the hub's cost counts."""
    ca, flags = served_by_tls(directory)
    costs: dict[bool, list[float]] = {True: [], False: []}
    late: dict[bool, list[float]] = {True: [], False: []}
    with (
        hub(directory / "tls", *flags, ca_file=ca) as (secure, secure_url),
        hub(directory / "plain") as (plain, plain_url),
    ):
        arms = [
            (True, secure.pid, Hub(secure_url, directory / "tls", ca), ca),
            (False, plain.pid, Hub(plain_url, directory / "plain"), None),
        ]
        for number in range(rounds):
            for tls, pid, served, ca_file in arms:
                hello = served.game_session(f"t{number}")
                load = Load(served.port, sessions, hello, count, str(ca_file) if ca_file else None)
                with readers(load, 1) as reading:
                    spent = cpu_seconds(pid)
                    _publish(served, f"t{number}", count, ca_file)
                    late[tls].append(reading.wait().p99_ms)
                    costs[tls].append((cpu_seconds(pid) - spent) / (count * sessions) * 1e6)
    return Row(
        work=f"fan-out over TLS, {sessions} sessions, 1 message of {EVENT_FRAME_BYTES} B a write",
        figure=f"p99 {interval(late[True], 1, 'ms')}, plain {interval(late[False], 1, 'ms')}",
        cpu=interval(costs[True], 2, "µs"),
        baseline=f"the same without TLS: {interval(costs[False], 2, 'µs')}",
        ratio=interval(ratios(costs[True], costs[False])),
    )
