"""The benches run and say what they declare. Their figures mean nothing here: what is timed is timed in ``bench/``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import urllib3

from touchline.benchmarks import local
from touchline.benchmarks.rows import COLUMNS, Row, interval, micros, percentile, ratios
from touchline.benchmarks.sink import sink
from touchline.benchmarks.size import Size

ROOT = Path(__file__).parents[2]
NAMES = ("publish", "fanout", "load", "reach", "resume", "idle", "start", "sdk", "pusher", "webhooks")


@pytest.mark.skipif(shutil.which("cc") is None and shutil.which("gcc") is None, reason="no C compiler")
@pytest.mark.skipif(not (ROOT / "bench").is_dir(), reason="the benches are not here")
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the benches read /proc")
@pytest.mark.parametrize("name", NAMES)
def test_a_very_small_run_gives_rows_with_the_declared_columns(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--small", name], cwd=ROOT, capture_output=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    rows = msgspec.json.decode(done.stdout, type=list[dict[str, object]])
    assert rows
    for row in rows:
        assert tuple(row) == COLUMNS
        assert msgspec.convert(row, Row).work
        assert (row["met"] is None) == (row["target"] == "-")


@pytest.mark.skipif(not (ROOT / "bench").is_dir(), reason="the benches are not here")
def test_an_unknown_bench_is_an_error_that_names_those_there_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "rugby"], cwd=ROOT, capture_output=True, timeout=60, check=False, text=True
    )
    assert done.returncode == 2
    assert all(name in done.stderr for name in ("rugby", "peers", *NAMES))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="resident memory is read from /proc")
def test_the_measurements_of_the_command_give_rows_with_the_declared_columns(tmp_path: Path) -> None:
    size = Size(
        rounds=1, slow_rounds=1, connections=2, batches=1, single_connections=2, singles=3, sessions=3,
        events_per_second=20, seconds=0.2, backlog=150, reached=3, reach_seconds=0.2, idle=5, idle_seconds=0.1,
        endpoints=3, deliveries=5, verify_seconds=0.001,
    )  # fmt: skip
    said: list[str] = []
    rows = local.measure(tmp_path, size, said.append)
    assert [row.work.partition(",")[0].partition(":")[0] for row in rows] == [
        "publish", "publish", "fan-out", "publish → last of 3 idle sessions", "resume", "webhooks", "start",
        "5 idle sessions over 0.1 s", "verify + decode in the SDK",
    ]  # fmt: skip
    assert len(said) == len(rows)
    for row in rows:
        assert tuple(msgspec.structs.asdict(row)) == COLUMNS
        assert len(row.cells()) == len(COLUMNS)
        assert "nan" not in "".join(row.cells())
        assert row.baseline != "-"
        assert (row.met is None) == (row.target == "-")


def test_the_receiver_of_webhooks_counts_what_comes_since_it_was_told_to_begin_anew() -> None:
    body = b'{"data":{"sent":1}}'
    with sink() as receiver, urllib3.PoolManager(retries=False) as pool:
        for path in ("/e0", "/timed0"):
            assert pool.request("POST", f"http://127.0.0.1:{receiver.port}{path}", body=body).status == 200
        receiver.wait_for(2)
        assert len(msgspec.json.decode(receiver.ask("latency"), type=list[int])) == 1
        receiver.ask("reset")
        assert receiver.ask("count 0") == "0\n"


def test_figures_are_medians_with_their_intervals() -> None:
    assert interval([3.0, 1.0, 2.0], 1, "ms") == "2.0 (1.0 to 3.0) ms"
    assert interval([1234.5], 0) == "1,234"
    assert micros([2.0]) == "2.00 µs"
    assert micros([float("nan")]) == "-"
    assert ratios([2.0, 3.0], [1.0, 2.0]) == [2.0, 1.5]
    assert percentile([5.0, 1.0, 3.0], 50) == 3.0
    assert percentile(list(map(float, range(100))), 99) == 99.0
    assert Row("work", "figure", met=False).cells()[-1] == "MISSED"
    assert Row("work", "figure", met=True).cells()[-1] == "met"
    assert Row("work", "figure").cells()[-1] == "-"


HUNG_UP_ON = """
import asyncio, gc, os, socket, struct, threading
import uvloop
from bench.clients import Line

listener = socket.create_server(("127.0.0.1", 0), backlog=128)

def hang_up():
    while True:
        one, _ = listener.accept()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, at once
        one.close()

async def main():
    taken_away = 0
    for _ in range(400):
        kept = None
        try:
            await Line.open(f"http://127.0.0.1:{listener.getsockname()[1]}/", b"GET / HTTP/1.1\\r\\n\\r\\n", print)
        except OSError as error:
            kept = error  # and with it whatever was opened
        await asyncio.sleep(0.001)  # until the loop has closed the descriptor
        others = [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]
        del kept
        gc.collect()
        for other in others:
            try:
                os.close(other)
            except OSError:
                taken_away += 1
    print(taken_away)

threading.Thread(target=hang_up, daemon=True).start()
uvloop.run(main())
"""


@pytest.mark.skipif(not (ROOT / "bench").is_dir(), reason="the benches are not here")
def test_a_client_that_is_hung_up_on_closes_its_descriptor_once() -> None:
    """Closed a second time it is another connection's, and libuv ends a process in which that happens."""
    done = subprocess.run(
        [sys.executable, "-c", HUNG_UP_ON], cwd=ROOT, capture_output=True, timeout=100, check=False, text=True
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
