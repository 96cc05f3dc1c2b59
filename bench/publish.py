"""Publishing against bare SQLite: NDJSON of 100 acknowledged durable, and single events from 32 connections."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import apsw
import uvloop

from bench.machine import hub

EVENT = (
    '{"specversion":"1.0","id":"%s-%d","source":"/bench","type":"shottracker.shot","subject":"game-%d",'
    '"time":"2026-01-01T00:00:00.000Z","data":{"occurred_at":1500571319432,"team_id":461,"player_id":2623,'
    '"is_make":true,"is_3point":false,"zone":1,"hoop_player_x":685,"hoop_player_y":-475,"status":"RECORDED"}}\n'
)


def bare_sqlite(directory: Path, rows: int, per_commit: int) -> float:
    """Rows a second of a bare table, 300-byte rows, WAL FULL, so many rows a commit."""
    connection = apsw.Connection(str(directory / f"bare-{time.time_ns()}.db"))
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE r (offset INTEGER PRIMARY KEY, data BLOB)")
    data = b"x" * 300
    started = time.perf_counter()
    for first in range(0, rows, per_commit):
        with connection:
            connection.executemany("INSERT INTO r VALUES (?,?)", ((first + i, data) for i in range(per_commit)))
    seconds = time.perf_counter() - started
    connection.close()
    return rows / seconds


class _Client(asyncio.Protocol):
    """A keep-alive HTTP connection that posts one prepared body after the other."""

    def __init__(self, requests: list[bytes], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._done = done
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if self._requests:
            self._transport.write(self._requests.pop())  # type: ignore[attr-defined]
        elif not self._done.done():
            self._done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        if b" 202 " not in head.split(b"\r\n")[0]:
            raise SystemExit(self._buffer.decode())
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(rest) >= length:
            self._buffer = b""
            self._next()


def requests(run: str, key: str, count: int, per_request: int, worker: int) -> list[bytes]:
    """Prepared POST requests of one connection."""
    made = []
    for number in range(count):
        body = "".join(EVENT % (f"{run}-{worker}-{number}", index, worker) for index in range(per_request)).encode()
        made.append(
            f"POST /hub/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
    return made


async def _post(port: int, batches: list[list[bytes]]) -> float:
    loop = asyncio.get_running_loop()
    waits = []
    started = time.perf_counter()
    for batch in batches:
        done: asyncio.Future[None] = loop.create_future()
        waits.append(done)
        await loop.create_connection(lambda batch=batch, done=done: _Client(batch, done), "127.0.0.1", port)
    await asyncio.gather(*waits)
    return time.perf_counter() - started


def run(directory: Path) -> list[dict[str, object]]:
    """Arms interleaved, medians."""
    hundreds, bares, singles = [], [], []
    with hub(directory / "publish", pin=False) as (_, url):
        port = int(url.rpartition(":")[2])
        key = (directory / "publish" / "publisher.key").read_text().strip()
        for number in range(5):
            bares.append(bare_sqlite(directory, 40_000, 100))
            batches = [requests(f"h{number}", key, 50, 100, worker) for worker in range(8)]
            hundreds.append(8 * 50 * 100 / uvloop.run(_post(port, batches)))
            batches = [requests(f"s{number}", key, 250, 1, worker) for worker in range(32)]
            singles.append(32 * 250 / uvloop.run(_post(port, batches)))
    hundreds.sort(), bares.sort(), singles.sort()
    return [
        {
            "work": "publish, NDJSON of 100 (8 connections), acknowledged durable",
            "figure": f"{hundreds[2]:,.0f} events/s",
            "baseline": f"bare SQLite, 100 rows a commit: {bares[2]:,.0f} rows/s",
            "ratio": round(hundreds[2] / bares[2], 2),
            "target": "≥ 0.5",
        },
        {
            "work": "publish, single events from 32 connections",
            "figure": f"{singles[2]:,.0f} events/s",
            "baseline": "-",
            "ratio": None,
            "target": "≥ 10,000/s",
        },
    ]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(run(Path(scratch)), indent=1, ensure_ascii=False))
