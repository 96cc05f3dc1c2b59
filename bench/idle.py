"""Sessions to which nothing is sent: what 10,000 of them hold in memory and cost, their pings and pongs included; and
what one holds that came by TLS.
"""

from __future__ import annotations

import resource
import socket
import ssl
import time
from pathlib import Path

from bench.hubs import Hub, closed, opened, served_by_tls
from bench.machine import hub, on_core
from bench.programs import compiled, receivers
from touchline.benchmarks.machine import LOOPBACK, cpu_seconds, resident_bytes
from touchline.benchmarks.readers import handshake
from touchline.benchmarks.rows import Row

SESSIONS = 10_000
SECONDS = 35.0
"""A little more than the 30 s after which a silent session is pinged."""
SHORT_SECONDS = 10.0
TLS_SESSIONS = 1000


def run(directory: Path, small: bool) -> list[Row]:
    """Sessions of the basketball feed and native ones, each on a hub of its own."""
    compiled(directory)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500
    count = 20 if small else min(SESSIONS, most)
    with on_core(1):
        rows = _idle(directory, "basketball", count, 0.5 if small else SECONDS)
        rows += _idle(directory, "native", count, 0.5 if small else SHORT_SECONDS)
        return [*rows, _by_tls(directory, 20 if small else min(TLS_SESSIONS, most))]


def _hello(served: Hub, feed: str) -> str:
    if feed == "basketball":
        return served.game_session()
    return handshake("/hub/v1/ws?feed=shottracker", (f"Authorization: Bearer {served.admin}",))


def _idle(directory: Path, feed: str, count: int, seconds: float) -> list[Row]:
    data = directory / feed
    with hub(data) as (process, url):
        served = Hub(url, data)
        hello = _hello(served, feed)
        time.sleep(1)
        before, cpu = resident_bytes(process.pid), cpu_seconds(process.pid)
        time.sleep(min(seconds, 5.0))
        alone = (cpu_seconds(process.pid) - cpu) / min(seconds, 5.0)
        closed(opened(served.port, hello, 1))
        sockets: list = []  # type: ignore[type-arg]
        while len(sockets) < count:
            sockets += opened(served.port, hello, min(200, count - len(sockets)))
        memory = (resident_bytes(process.pid) - before) / count
        with receivers(directory, sockets, "pusher", "0", "0", str(directory)):  # answers pings
            cpu = cpu_seconds(process.pid)
            time.sleep(seconds)
            core = (cpu_seconds(process.pid) - cpu) / seconds
        closed(sockets)
    return [
        Row(
            work=f"resident memory an idle {feed} session, of {count:,}",
            figure=f"{memory / 1024:.1f} KiB",
            target="≤ 8 KiB",
            met=memory <= 8192,
        ),
        Row(
            work=f"{count:,} idle {feed} sessions over {seconds:.0f} s"
            f"{', a ping each included' if seconds >= SECONDS else ''}",
            figure=f"{core * 100:.1f} % of a core",
            cpu=f"{core / count * 1e6:.2f} µs a second and session",
            baseline=f"without sessions: {alone * 100:.1f} %",
            target="≤ 3 %",
            met=core <= 0.03,
        ),
    ]


def _by_tls(directory: Path, count: int) -> Row:
    """Native sessions, all of one client that speaks TLS 1.3 as Python does."""
    ca, flags = served_by_tls(directory)
    context = ssl.create_default_context(cafile=str(ca))
    data = directory / "tls"
    with hub(data, *flags, ca_file=ca) as (process, url):
        served = Hub(url, data, ca)
        hello = _hello(served, "native").encode()

        def opened_by_tls() -> ssl.SSLSocket:
            plain = socket.create_connection((LOOPBACK, served.port), timeout=20)
            secure = context.wrap_socket(plain, server_hostname="localhost")
            secure.sendall(hello)
            if b" 101 " not in secure.recv(4096)[:16]:
                raise SystemExit("a session was refused")
            return secure

        sockets = [opened_by_tls() for _ in range(min(count, 20))]
        before = resident_bytes(process.pid)
        sockets += [opened_by_tls() for _ in range(count)]
        memory = (resident_bytes(process.pid) - before) / count
        for one in sockets:
            one.close()
    return Row(work=f"resident memory an idle native session over TLS, of {count:,}", figure=f"{memory / 1024:.1f} KiB")
