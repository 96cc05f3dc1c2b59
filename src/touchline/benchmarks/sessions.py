"""Sessions against bare loops: fan-out, resuming, how soon the last of many is reached, and what idle ones cost."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from touchline.benchmarks.bare import socket_write_seconds, sqlite_commit_seconds
from touchline.benchmarks.bare_server import bare_server
from touchline.benchmarks.events import FRAME_BYTES, event
from touchline.benchmarks.hub import Hub
from touchline.benchmarks.machine import cpu_seconds, raise_file_limit, resident_bytes, run_seconds
from touchline.benchmarks.publisher import post, publish_all, publish_at_rate
from touchline.benchmarks.readers import Load, Reading, handshake, readers
from touchline.benchmarks.rows import Row, interval, micros, ratios
from touchline.benchmarks.size import Size
from touchline.errors import UpstreamError

_REACH_PER_SECOND: Final = 40
_IDLE_KIB: Final = 8.0
_OTHER_FILES: Final = 500
"""What a process opens beside its sessions, and a hub keeps free."""


def fanout(hub: Hub, size: Size) -> Row:
    """Single events, each to all sessions."""
    costs, bare, latest, median = [], [], [], []
    count = int(size.seconds * size.events_per_second)
    for turn in range(size.rounds):
        subject = f"live-{turn}"
        bare.append(socket_write_seconds(size.sessions, count, FRAME_BYTES) * 1e6)
        reading, spent = _followed(hub, subject, size.sessions, count, size.events_per_second)
        costs.append(spent / (count * size.sessions) * 1e6)
        median.append(reading.median_ms)
        latest.append(reading.p99_ms)
    return Row(
        work=f"fan-out, {size.events_per_second} events/s to {size.sessions} sessions, publish to socket",
        figure=f"{size.events_per_second * size.sessions:,} messages/s; median {interval(median, 1, 'ms')}, "
        f"p99 {interval(latest, 1, 'ms')}",
        cpu=micros(costs),
        baseline=f"bare socket writes: {interval(bare, 2, 'µs')}",
        ratio="-" if math.isnan(costs[0]) else interval(ratios(costs, bare)),
    )


def _followed(hub: Hub, subject: str, sessions: int, count: int, per_second: int) -> tuple[Reading, float]:
    """Publish ``count`` events of a game that so many sessions follow: (what they got, CPU seconds of the hub)."""

    def lines(number: int, due: int) -> Sequence[bytes]:
        return [event(f"{subject}-{number}", subject, due)]

    with readers(Load(hub.port, sessions, hub.hello(subject), count)) as opened:
        spent = cpu_seconds(hub.pid)
        kept_up = asyncio.run(
            publish_at_rate(
                hub.port, hub.publisher, lines,
                seconds=count / per_second, most_waiting=count, batches_per_second=per_second,
            )
        )  # fmt: skip
        if not kept_up:
            raise UpstreamError(f"the hub cannot take {per_second} events a second here")
        return opened.wait(), cpu_seconds(hub.pid) - spent


def resume(hub: Hub, size: Size) -> Row:
    """Sessions that all come at once and want a game from its beginning."""
    seconds, costs, bare = [], [], []
    events = size.sessions * size.backlog
    for turn in range(size.rounds):
        subject = f"past-{turn}"
        before = hub.position(subject)
        lines = [event(f"{subject}-{n}", subject, 0) for n in range(size.backlog)]
        asyncio.run(publish_all(hub.port, [[post(hub.publisher, b"\n".join(lines))]]))
        joined = 64 * 1024 // FRAME_BYTES
        bare.append(
            socket_write_seconds(size.sessions, max(1, size.backlog // joined), joined * FRAME_BYTES) / joined * 1e6
        )
        spent = cpu_seconds(hub.pid)
        with readers(Load(hub.port, size.sessions, hub.hello(subject, before), size.backlog)) as sessions:
            seconds.append(sessions.wait().seconds)
        costs.append((cpu_seconds(hub.pid) - spent) / events * 1e6)
    return Row(
        work=f"resume, {size.sessions} sessions x {size.backlog} events at once",
        figure=f"{interval(seconds, 2, 's')}; {interval([events / one for one in seconds], 0, 'events/s')}",
        cpu=micros(costs),
        baseline=f"bare writes of 64 KB: {interval(bare, 2, 'µs')} an event",
        ratio="-" if math.isnan(costs[0]) else interval(ratios(costs, bare)),
    )


def reach(hub: Hub, directory: Path, size: Size) -> Row:
    """An event now and then to sessions that have nothing else to do.

    The readers read the bare server too: they are Python, and take as long as the writes do. So no target is named; the
    project's, in milliseconds, is for readers that cost next to nothing.
    """
    whole, median, beyond, bare, bare_median = [], [], [], [], []
    sessions = _at_most(size.reached)
    count = int(size.reach_seconds * _REACH_PER_SECOND)
    for turn in range(size.slow_rounds):
        commit = statistics.median(sqlite_commit_seconds(directory, count, 1)) * 1e3
        with (
            bare_server(directory) as server,
            readers(Load(server.port, sessions, handshake("/"), count)) as opened,
        ):
            server.write(count, _REACH_PER_SECOND)
            reading = opened.wait()
        bare.append(reading.last_p99_ms)
        bare_median.append(reading.last_median_ms)
        reading, _ = _followed(hub, f"reach-{turn}", sessions, count, _REACH_PER_SECOND)
        whole.append(reading.last_p99_ms)
        median.append(reading.last_median_ms)
        beyond.append(reading.last_p99_ms - commit)
    return Row(
        work=f"publish → last of {sessions:,} idle sessions, {_REACH_PER_SECOND} events/s",
        figure=f"p99 {interval(beyond, 1, 'ms')} beyond the median commit; whole: p99 {interval(whole, 1, 'ms')}, "
        f"median {interval(median, 1, 'ms')}, {interval(ratios(median, bare_median))} × the bare one's",
        baseline=f"bare SQLite commit and uvloop writes, same readers: p99 {interval(bare, 1, 'ms')}, "
        f"median {interval(bare_median, 1, 'ms')}",
        ratio=interval(ratios(whole, bare)),
    )


def idle(hub: Hub, directory: Path, size: Size) -> Row:
    """Sessions to which nothing is sent, of a hub that has had no others; the bare server holds as many sockets.

    A session is pinged after 30 s of silence, which is longer than this lasts.
    """
    sessions = _at_most(size.idle)
    alone = _part_of_a_core(hub.pid, size.idle_seconds)
    memory, core = _held(hub.port, hub.pid, hub.hello("nothing"), sessions, size.idle_seconds)
    with bare_server(directory) as server:
        bare_memory, bare_core = _held(server.port, server.pid, handshake("/"), sessions, size.idle_seconds)
    return Row(
        work=f"{sessions:,} idle sessions over {size.idle_seconds:g} s, without a ping",
        figure=f"{memory:.1f} KiB each; {_of_a_core(core)}, without any {_of_a_core(alone)}",
        cpu="-" if math.isnan(core) else f"{max(0.0, core - alone) / sessions * 1e6:.2f} µs a second and session",
        baseline=f"bare uvloop protocol: {bare_memory:.1f} KiB each; {_of_a_core(bare_core)}",
        ratio=f"{memory / bare_memory:.2f} of memory" if bare_memory > 0 else "-",
        target=f"≤ {_IDLE_KIB:.0f} KiB each",
        met=memory <= _IDLE_KIB,
    )


def _held(port: int, pid: int, hello: str, sessions: int, seconds: float) -> tuple[float, float]:
    """(KiB that the process takes for each of so many sessions, part of a core while they are open)."""
    before = resident_bytes(pid)
    with readers(Load(port, sessions, hello, 1)):
        memory = (resident_bytes(pid) - before) / sessions / 1024
        return memory, _part_of_a_core(pid, seconds)


def _part_of_a_core(pid: int, seconds: float) -> float:
    """What the process takes of a core over so many seconds."""
    spent, started = run_seconds(pid), time.perf_counter()
    time.sleep(seconds)
    return (run_seconds(pid) - spent) / (time.perf_counter() - started)


def _of_a_core(part: float) -> str:
    return "no CPU time known" if math.isnan(part) else f"{part:.2%} of a core"


def _at_most(sessions: int) -> int:
    """So many sessions, or as many as this machine lets a process hold."""
    return max(1, min(sessions, raise_file_limit() - _OTHER_FILES))
