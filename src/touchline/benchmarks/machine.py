"""What measurements ask of the machine: free ports, cores, and what a process has used."""

from __future__ import annotations

import os
import resource
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
LOOPBACK: Final = "127.0.0.1"


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads; not a number where the system has no ``/proc``."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_seconds(pid: int) -> float:
    """Time on a core of the threads that a process has now, in steps of a nanosecond where ``cpu_seconds`` has a
    hundredth of a second. Not a number where the system does not count so.
    """
    spent = []
    for file in (_PROC / str(pid) / "task").glob("*/schedstat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has just ended
            spent.append(int(file.read_text().split()[0]))
    return sum(spent) / 1e9 if spent else float("nan")


def resident_bytes(pid: int) -> int:
    """Resident memory of a process (Linux)."""
    return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def raise_file_limit() -> int:
    """Let this process, and those that it starts, open as many files as it may; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return soft


def pinned(core: int) -> list[str]:
    """The command prefix that keeps a process on one core, where the machine has one."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
        return ["taskset", "-c", str(core)]
    return []
