"""``touchline bench`` as a user runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from touchline.benchmarks.rows import COLUMNS
from touchline.sandbox.hub_process import touchline_command

pytestmark = pytest.mark.acceptance


def test_a_quick_bench_prints_one_json_document_and_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [*touchline_command(), "bench", "--quick", "--json", "--directory", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr.decode()
    rows = msgspec.json.decode(done.stdout)["rows"]
    assert [tuple(row) for row in rows] == [COLUMNS] * 9
    assert b"publish" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    command = [*touchline_command(), "bench", "--directory", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "none" in done.stderr
