"""The betting exchange's socket under load: sessions that hold both channels, changes of real size, an open loop.

Each round checks every session (nothing missing, twice or out of order; on some also each byte) and every interval
between health checks, and is followed by a C send loop with the same frame sizes, joined writes and rate. Hub and send
loop have core 0, publisher and receivers (``receivers.c``) core 1.
"""

from __future__ import annotations

import collections
import resource
import statistics
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.machine import hub, on_core
from bench.programs import bare_send_seconds, compiled, receivers, says
from bench.pusher_load import Change, Changes, Market, checksum, expected_message, frame_bytes
from touchline.benchmarks.machine import cpu_seconds, resident_bytes
from touchline.benchmarks.publisher import BATCHES_PER_SECOND, publish_at_rate
from touchline.benchmarks.rows import Row, interval

LOADS = ((1000, 100), (100, 2000))
"""(sessions, changes a second that each of them gets on the broadcast channel)."""
ROUNDS = 3
SECONDS = 10
BARE_SECONDS = 5
PARTNERS = 50
SAMPLED = 10
IDLE_SESSIONS = 10_000
IDLE_SECONDS = 15
_MOST_WAITING_SECONDS = 5
_SAMPLE = struct.Struct("<QQIIII")


@dataclass(frozen=True)
class Round:
    """What one round gave. ``micros``: CPU a message, of the hub and of the bare loop."""

    messages_per_second: float
    core: float
    micros: float
    bare_micros: float
    median_ms: float
    p99_ms: float
    message_p99_ms: float
    frames_per_write: float
    frame_bytes: float
    health_checks: int
    health_deviation: float
    slowed: float


class Bench:
    """One load on one hub."""

    def __init__(self, directory: Path, pid: int, url: str, sessions: int, rate: int) -> None:
        self._directory = directory
        self._pid = pid
        self._port = int(url.rpartition(":")[2])
        self._sessions = sessions
        self._rate = rate
        self._market = Market(directory / "hub", url, min(PARTNERS, sessions))
        self._changes = Changes(self._market.partner_ids)
        self.mix = self._changes.mix

    def round(self, seconds: float = SECONDS) -> Round:
        """Publish, receive, check; then the bare loop."""
        sockets = [self._market.socket(number) for number in range(self._sessions)]
        expected = int(BATCHES_PER_SECOND * seconds) * (self._rate // BATCHES_PER_SECOND)
        before = self._market.metrics()
        arguments = ("pusher", str(expected), str(SAMPLED), str(self._directory))
        with receivers(self._directory, sockets, *arguments) as process:
            cpu, started = cpu_seconds(self._pid), time.monotonic()
            published, dues = self._publish(seconds)
            says(process, "complete")
            cpu, took = cpu_seconds(self._pid) - cpu, time.monotonic() - started
            time.sleep(0.3)  # the private ones behind the last change
        after = self._market.metrics()
        for one in sockets:
            one.close()
        grown = {name: after[name] - before[name] for name in after if name.startswith("touchline_fanout")}
        per_write = grown["touchline_fanout_frames"] / grown["touchline_fanout_writes"]
        messages, checks, deviation = self._check_sessions(published)
        starts = [expected_message(change) for change in published]
        self._check_samples(published, starts)
        sizes = [frame_bytes(len(s)) for s, change in zip(starts, published, strict=True) if change.owner is None]
        lags = self._lags(dues)
        return Round(
            messages_per_second=messages / took,
            core=cpu / took,
            micros=cpu / messages * 1e6,
            bare_micros=self._bare(sizes, per_write) * 1e6,
            median_ms=statistics.median(lags),
            p99_ms=statistics.quantiles(lags, n=100)[98],
            message_p99_ms=statistics.quantiles(self._sampled_lags(dues), n=100)[98],
            frames_per_write=per_write,
            frame_bytes=statistics.mean(sizes),
            health_checks=checks,
            health_deviation=deviation,
            slowed=grown["touchline_fanout_slowed"],
        )

    def _publish(self, seconds: float) -> tuple[list[Change], list[int]]:
        """All changes in order, and when each public one was due (monotonic ns)."""
        published: list[Change] = []
        dues: list[int] = []
        run, each = f"r{time.time_ns()}", self._rate // BATCHES_PER_SECOND

        def lines(number: int, due: int) -> Sequence[bytes]:
            del number
            taken = self._changes.take(each)
            published.extend(taken)
            dues.extend([due] * each)
            return [self._changes.line(run, change) for change in taken]

        kept_up = uvloop.run(
            publish_at_rate(
                self._port,
                self._market.publisher,
                lines,
                seconds=seconds,
                most_waiting=_MOST_WAITING_SECONDS * self._rate,
            )
        )
        if not kept_up:
            raise SystemExit(f"the hub cannot take {self._rate} changes a second here")
        return published, dues

    def _check_sessions(self, published: Sequence[Change]) -> tuple[int, int, float]:
        """Messages received, health checks, and the worst deviation of their intervals from 5 s."""
        partners = len(self._market.partner_ids)
        owned = collections.Counter(change.owner for change in published)
        hashes: set[str] = set()
        private_hashes: dict[int, str] = {}
        messages = checks = 0
        deviation = 0.0
        for number, line in enumerate((self._directory / "sessions").read_text().splitlines()):
            _, broadcast, private, health, other, disorder, shared, own, least, most = line.split()
            what = (int(broadcast), int(private), int(other), int(disorder))
            wanted = (owned[None], owned[number % partners], 0, 0)
            if what != wanted:
                raise SystemExit(f"session {number}: got (public, private, other, out of order) {what}, not {wanted}")
            hashes.add(shared)
            if private_hashes.setdefault(number % partners, own) != own:
                raise SystemExit(f"session {number} got other private changes than its partner's other sessions")
            messages += int(broadcast) + int(private)
            checks += int(health)
            deviation = max(deviation, float(most) - 5 if most != "0.000000" else 0.0, 5 - (float(least) or 5))
        if len(hashes) != 1:
            raise SystemExit("sessions differ in what they got")
        return messages, checks, deviation

    def _samples(self) -> Iterator[tuple[int, int, int, int, int, int]]:
        yield from _SAMPLE.iter_unpack((self._directory / "sampled").read_bytes())

    def _check_samples(self, published: Sequence[Change], starts: Sequence[bytes]) -> None:
        """On the sampled sessions every byte but the time stamp is the published one, in the order of publishing."""
        partners = len(self._market.partner_ids)
        checksums = [(change.owner, checksum(start)) for change, start in zip(published, starts, strict=True)]
        got: dict[int, list[int]] = collections.defaultdict(list)
        for _, _, crc, session, _, _ in self._samples():
            got[session].append(crc)
        if len(got) != min(SAMPLED, self._sessions):
            raise SystemExit("a sampled session got nothing")
        for session, crcs in got.items():
            if crcs != [crc for owner, crc in checksums if owner in (None, session % partners)]:
                raise SystemExit(f"session {session} got other bytes than were published, or in another order")

    def _lags(self, dues: Sequence[int]) -> list[float]:
        """Milliseconds from when a change was due until the last session had it."""
        last = struct.unpack(f"<{len(dues)}Q", (self._directory / "last").read_bytes())
        return [(at - due) / 1e6 for at, due in zip(last, dues, strict=True)]

    def _sampled_lags(self, dues: Sequence[int]) -> list[float]:
        """The same of single messages, on the sampled sessions."""
        reached: dict[int, int] = collections.Counter()
        lags = []
        for at, _, _, session, _, is_broadcast in self._samples():
            if is_broadcast:
                lags.append((at - dues[reached[session]]) / 1e6)
                reached[session] += 1
        return lags

    def _bare(self, sizes: Sequence[int], per_write: float) -> float:
        """CPU seconds a message of the C loop: same frames, as many joined, same rate, as many sockets."""
        writes: list[int] = []
        taken = 0
        while taken < min(len(sizes), self._rate * BARE_SECONDS):
            until = min(len(sizes), max(taken + 1, round((len(writes) + 1) * per_write)))
            writes.append(sum(sizes[taken:until]))
            taken = until
        pause = per_write / self._rate
        return bare_send_seconds(self._directory, writes, self._sessions, pause) / (taken * self._sessions)


def _row(bench: Bench, rounds: Sequence[Round], sessions: int, rate: int) -> Row:
    def middle(name: str, digits: int, unit: str = "") -> str:
        return interval([getattr(one, name) for one in rounds], digits, unit)

    return Row(
        work=f"exchange socket, {sessions} sessions x {rate} changes/s, both channels, {bench.mix}: "
        f"frames of {rounds[0].frame_bytes:,.0f} B, {middle('frames_per_write', 1)} a write; "
        f"{len(rounds)} rounds, nothing missing, twice or out of order",
        figure=f"{middle('messages_per_second', 0)} messages/s with {middle('core', 2)} of a core; "
        f"due to last session: median {middle('median_ms', 1, 'ms')}, p99 {middle('p99_ms', 1, 'ms')} "
        f"(single messages: p99 {middle('message_p99_ms', 1, 'ms')}); "
        f"{sum(one.health_checks for one in rounds):,} health checks, worst interval off by "
        f"{max(one.health_deviation for one in rounds):.3f} s; slowed {sum(one.slowed for one in rounds):.0f}",
        cpu=middle("micros", 2, "µs"),
        baseline=f"C send loop, same frames, joins and rate: {middle('bare_micros', 2, 'µs')}",
        ratio=interval([one.micros / one.bare_micros for one in rounds]),
        target="health checks 5 ± 0.5 s",
        met=max(one.health_deviation for one in rounds) <= 0.5,
    )


def idle(directory: Path, sessions: int, seconds: float = IDLE_SECONDS) -> list[Row]:
    """Memory and CPU of sessions that hold both channels and get health checks alone."""
    with hub(directory / "hub") as (process, url):
        market = Market(directory / "hub", url, PARTNERS)
        market.socket(0).close()
        before = resident_bytes(process.pid)
        sockets = [market.socket(number) for number in range(sessions)]
        memory = (resident_bytes(process.pid) - before) / sessions
        with receivers(directory, sockets, "pusher", "0", "0", str(directory)):
            time.sleep(1)
            cpu = cpu_seconds(process.pid)
            time.sleep(seconds)
            core = (cpu_seconds(process.pid) - cpu) / seconds
        lines = [line.split() for line in (directory / "sessions").read_text().splitlines()]
        for one in sockets:
            one.close()
    checks = sum(int(line[3]) for line in lines)
    off = max((max(float(line[9]) - 5, 5 - float(line[8])) for line in lines if float(line[9])), default=0.0)
    return [
        Row(
            work="resident memory an idle session of the exchange socket, both channels",
            figure=f"{memory / 1024:.1f} KiB",
            target="≤ 8 KiB",
            met=memory <= 8192,
        ),
        Row(
            work=f"{sessions:,} idle sessions, a health check each every 5 s",
            figure=f"{core * 100:.1f} % of a core; {checks:,} health checks, worst interval off by {off:.3f} s",
            cpu=f"{core * seconds / max(1, checks) * 1e6:.1f} µs",
        ),
    ]


def load(directory: Path, sessions: int, rate: int, rounds: int = ROUNDS, seconds: float = SECONDS) -> Row:
    """The rounds of one load, on a hub of their own."""
    directory.mkdir()
    compiled(directory)
    with on_core(1), hub(directory / "hub") as (process, url):
        bench = Bench(directory, process.pid, url, sessions, rate)
        return _row(bench, [bench.round(seconds) for _ in range(rounds)], sessions, rate)


def run(directory: Path, small: bool) -> list[Row]:
    """Both loads, then idle sessions."""
    loads, rounds, seconds, idlers = (((20, 100),), 1, 2.0, 50) if small else (LOADS, ROUNDS, SECONDS, IDLE_SESSIONS)
    rows = [load(directory / f"{sessions}x{rate}", sessions, rate, rounds, seconds) for sessions, rate in loads]
    quiet = directory / "idle"
    quiet.mkdir()
    compiled(quiet)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500
    with on_core(1):
        return rows + idle(quiet, min(idlers, most), seconds if small else IDLE_SECONDS)
