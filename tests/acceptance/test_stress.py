"""The stress program, in a size that fits into the tests: it checks itself, and so does this."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .hubs import ROOT, clean_environment

SESSIONS = 200
PHASES = ("return", "resume", "bad_readers", "floods", "left", "shutdown")


def test_sessions_at_their_worst_leave_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "stress.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.stress", "--sessions", str(SESSIONS), "--seconds", "2", "--patience", "1.5",
         "--out", out],
        cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"seed \d+\n", done.stdout)
    figures = json.loads(out.read_text())
    assert figures["faults"] == []
    assert set(PHASES) <= figures.keys(), "no phase was left out"
    assert figures["resume"]["clients"] == SESSIONS
    assert figures["resume"]["records"] > SESSIONS * 100, "they had something to resume"
    assert figures["return"]["clients"] == SESSIONS
    accounts = figures["accounts"]
    assert accounts["return"]["pairs"] > SESSIONS * 100, "they had missed something"
    assert {"return", "resume", "slow readers", "pings", "shutdown"} <= accounts.keys()
    for phase, account in accounts.items():
        assert (account["lost"], account["inversions"], account["duplicates"]) == (0, 0, 0), phase
    assert min(figures["provoked"].values()) > 0, "each kind of fault was shown"
    assert re.search(r"^  all .*", done.stdout, re.MULTILINE), "the accounts are printed"
    assert figures["shutdown"]["in_the_middle_of_a_replay"] > 0
    assert figures["left"]["sessions"] == figures["left"]["readers"] == 0
    with capsys.disabled():
        print("\n  " + done.stdout.replace("\n", "\n  ").rstrip())
