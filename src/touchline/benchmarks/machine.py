"""What measurements ask of the machine: free ports, cores, and what a process has used."""

from __future__ import annotations

import os
import shutil
import socket
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


def resident_bytes(pid: int) -> int:
    """Resident memory of a process (Linux)."""
    return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pinned(core: int) -> list[str]:
    """The command prefix that keeps a process on one core, where the machine has one."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
        return ["taskset", "-c", str(core)]
    return []
