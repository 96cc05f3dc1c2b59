"""What the measurements share: a hub as a subprocess on one core, CPU time of a process, free ports, a table."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pinned(core: int) -> list[str]:
    """The command prefix that keeps a process on one core, where the machine has one."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
        return ["taskset", "-c", str(core)]
    return []


@contextmanager
def hub(data: Path, *flags: str, pin: bool = True) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A running hub, on core 0 where CPU time is compared, with its address."""
    port = free_port()
    touchline = Path(sys.executable).with_name("touchline")
    process = subprocess.Popen(
        [*(pinned(0) if pin else []), str(touchline), "serve", "--data", str(data), "--port", str(port), *flags],
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_ready(url, process)
        yield process, url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def wait_ready(url: str, process: subprocess.Popen[bytes]) -> float:
    """Wait until the hub says that it is ready; seconds that it took."""
    started = time.monotonic()
    while time.monotonic() - started < 20:
        if process.poll() is not None:
            raise SystemExit("the hub ended")
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=1):
                return time.monotonic() - started
        except (urllib.error.URLError, OSError):
            time.sleep(0.01)
    raise SystemExit("the hub is not ready")


def median_and_spread(values: list[float]) -> tuple[float, float, float]:
    """Median, smallest, largest."""
    return statistics.median(values), min(values), max(values)
