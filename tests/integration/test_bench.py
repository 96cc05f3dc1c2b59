"""The benches run and say what they declare. Their figures mean nothing here: what is timed is timed in ``bench/``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from touchline.benchmarks import local
from touchline.benchmarks.rows import COLUMNS, Row, interval, percentile, ratios

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


def test_the_measurements_of_the_command_give_rows_with_the_declared_columns(tmp_path: Path) -> None:
    size = local.Size(rounds=1, connections=2, batches=1, sessions=3, events_per_second=20, seconds=0.2, backlog=150)
    said: list[str] = []
    rows = local.measure(tmp_path, size, said.append)
    assert [row.work.partition(",")[0] for row in rows] == ["publish", "fan-out", "resume"]
    assert len(said) == len(rows)
    for row in rows:
        assert tuple(msgspec.structs.asdict(row)) == COLUMNS
        assert len(row.cells()) == len(COLUMNS)
        assert "nan" not in "".join(row.cells())


def test_figures_are_medians_with_their_intervals() -> None:
    assert interval([3.0, 1.0, 2.0], 1, "ms") == "2.0 (1.0 to 3.0) ms"
    assert interval([1234.5], 0) == "1,234"
    assert ratios([2.0, 3.0], [1.0, 2.0]) == [2.0, 1.5]
    assert percentile([5.0, 1.0, 3.0], 50) == 3.0
    assert percentile(list(map(float, range(100))), 99) == 99.0
    assert Row("work", "figure", met=False).cells()[-1] == "MISSED"
    assert Row("work", "figure", met=True).cells()[-1] == "met"
    assert Row("work", "figure").cells()[-1] == "-"
