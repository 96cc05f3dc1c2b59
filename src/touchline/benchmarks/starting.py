"""How soon a hub answers on a log that it finds, against the bare start of the interpreter with its libraries."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import urllib3

from touchline.benchmarks.hub import READY_SECONDS, not_started
from touchline.benchmarks.machine import LOOPBACK, free_port
from touchline.benchmarks.rows import Row, interval, ratios
from touchline.benchmarks.size import Size
from touchline.sandbox.hub_process import HubProcess

_IMPORTS: Final = "import touchline.server.app, touchline.cli.root"
_POLL_SECONDS: Final = 0.01


def imports_seconds() -> float:
    """How long an interpreter takes that imports what a hub imports, and does nothing."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)  # noqa: S603 - our own command
    return time.perf_counter() - started


def start(data: Path, records: int, size: Size) -> Row:
    """Start again and again on the data directory of a hub that has ended, with so many records in its log.

    The target speaks of a million records, more than a short run can publish, so none is named.
    """
    ours, bare = [], []
    for _ in range(size.slow_rounds):
        ours.append(_ready_seconds(data))
        bare.append(imports_seconds())
    return Row(
        work=f"start, `touchline serve` to /readyz with {records:,} records in the log",
        figure=interval(ours, 2, "s"),
        baseline=f"interpreter and imports alone: {interval(bare, 2, 's')}",
        ratio=interval(ratios(ours, bare)),
    )


def _ready_seconds(data: Path) -> float:
    port = free_port()
    started = time.perf_counter()
    with (
        HubProcess(data, LOOPBACK, port) as process,
        urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(2.0)) as pool,
    ):
        while process.alive() and time.perf_counter() - started < READY_SECONDS:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if pool.request("GET", f"http://{LOOPBACK}:{port}/readyz").status == 200:
                    return time.perf_counter() - started
            time.sleep(_POLL_SECONDS)
        raise not_started(process)
