"""Fan-out against a C send loop: 1,000 sessions, one message a write, the whole path; CPU time a message."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from pathlib import Path

import urllib3
import uvloop

from bench.machine import cpu_seconds, free_port, hub, pinned, resident_bytes
from bench.publish import EVENT

SESSIONS = 1000
MESSAGES = 200
PAUSE_SECONDS = 0.02


class _Reader(asyncio.Protocol):
    """Counts what it gets, and notes when."""

    def __init__(self, hello: bytes, counts: list[int], index: int) -> None:
        self._hello = hello
        self._counts = counts
        self._index = index

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._hello:
            transport.write(self._hello)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._counts[self._index] += len(data)


async def _connect(port: int, hello: bytes, counts: list[int]) -> list[asyncio.BaseTransport]:
    loop = asyncio.get_running_loop()
    transports = []
    for index in range(SESSIONS):
        transport, _ = await loop.create_connection(
            lambda index=index: _Reader(hello, counts, index), "127.0.0.1", port
        )
        transports.append(transport)
    return transports


async def _c_arm(binary: Path, size: int) -> float:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *pinned(0), str(binary), str(port), str(SESSIONS), str(MESSAGES), str(size), str(int(PAUSE_SECONDS * 1e6)),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    await process.stdout.readline()
    counts = [0] * SESSIONS
    transports = await _connect(port, b"", counts)
    seconds, sent = (await process.stdout.readline()).split()
    for transport in transports:
        transport.abort()  # type: ignore[attr-defined]
    await process.wait()
    return float(seconds) / int(sent)


async def _hub_arm(url: str, pid: int, publisher: str, token: str, run: str) -> tuple[float, int, int]:
    port = int(url.rpartition(":")[2])
    hello = (
        f"GET /live/v2/games?token={token}&source=shot HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    counts = [0] * SESSIONS
    idle_before = resident_bytes(pid)
    transports = await _connect(port, hello, counts)
    await asyncio.sleep(1.0)
    per_session = (resident_bytes(pid) - idle_before) // SESSIONS
    opened = list(counts)
    http = urllib3.PoolManager()
    loop = asyncio.get_running_loop()
    before = cpu_seconds(pid)
    due = time.perf_counter()
    for number in range(MESSAGES):
        body = (EVENT % (run, number, 0)).replace("game-0", "bench-game").encode()
        answer = await loop.run_in_executor(
            None,
            lambda body=body: http.request(
                "POST", url + "/hub/v1/events", body=body,
                headers={"authorization": "Bearer " + publisher, "content-type": "application/x-ndjson"},
            ),
        )  # fmt: skip
        assert answer.status == 202, answer.data
        due += PAUSE_SECONDS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await asyncio.sleep(0.5)
    seconds = cpu_seconds(pid) - before
    received = {after - start for after, start in zip(counts, opened, strict=True)}
    assert len(received) == 1, f"sessions differ: {sorted(received)[:5]}"
    size = received.pop() // MESSAGES
    for transport in transports:
        transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(0.5)
    return seconds / (MESSAGES * SESSIONS), size, per_session


def run(directory: Path) -> list[dict[str, object]]:
    """Arms interleaved."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("a C compiler is needed for the baseline")
    binary = directory / "send_loop"
    subprocess.run([compiler, "-O2", "-o", str(binary), str(Path(__file__).with_name("send_loop.c"))], check=True)
    ours, bare, memory = [], [], 0
    size = 204
    with hub(directory / "fanout") as (process, url):
        data = directory / "fanout"
        admin, publisher = ((data / f"{role}.key").read_text().strip() for role in ("admin", "publisher"))
        token = _token(url, admin, publisher)
        pid = process.pid  # taskset replaces itself by the hub
        for number in range(3):
            cost, size, grown = uvloop.run(_hub_arm(url, pid, publisher, token, f"f{number}-{time.time_ns()}"))
            memory = memory or grown  # later rounds reuse what the first one took
            ours.append(cost)
            bare.append(uvloop.run(_c_arm(binary, size)))
    ours.sort(), bare.sort()
    return [
        {
            "work": f"fan-out, {SESSIONS} sessions, 1 message of {size} B a write, publish → log → socket",
            "figure": f"{ours[1] * 1e6:.2f} µs CPU a message",
            "baseline": f"C send loop: {bare[1] * 1e6:.2f} µs",
            "ratio": round(ours[1] / bare[1], 2),
            "target": "≤ 1.5",
        },
        {
            "work": "resident memory an idle session",
            "figure": f"{memory / 1024:.1f} KiB",
            "baseline": "-",
            "ratio": None,
            "target": "≤ 8 KiB",
        },
    ]


def _token(url: str, admin: str, publisher: str) -> str:
    """A ShotTracker token for the game that the bench plays."""
    from touchline.clock import SystemClock
    from touchline.feeds.shottracker.auth import http_date, sign

    http = urllib3.PoolManager()
    event = (EVENT % (f"first-{time.time_ns()}", 0, 0)).replace("game-0", "bench-game").encode()
    headers = {"authorization": "Bearer " + publisher, "content-type": "application/x-ndjson"}
    http.request("POST", url + "/hub/v1/events", body=event, headers=headers)
    partner = {"name": f"bench-{time.time_ns()}", "feed": "shottracker"}
    answer = http.request("POST", url + "/hub/v1/partners", json=partner, headers={"authorization": "Bearer " + admin})
    credentials = answer.json()["credentials"]
    host, path = url.removeprefix("http://"), "/v1/data/schedule/games/bench-game/_subscribe"
    date = http_date(SystemClock().wall_ns())
    signed = sign(credentials["username"], credentials["secret"], method="GET", target_path=path, host=host, date=date)
    return str(http.request("GET", url + path, headers={"date": date, "authorization": signed}).json()["token"])


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(run(Path(scratch)), indent=1, ensure_ascii=False))
