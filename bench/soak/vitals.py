"""The hub's memory, descriptors and threads over time, and whether they are flat."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

SECONDS: Final = 3.0
PHASE_SECONDS: Final = 30.0
SETTLED_SECONDS: Final = 60.0
"""A hub that has just started fills its windows and caches."""
MIB: Final = 1024 * 1024
_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """One look; ``age`` is the seconds since this hub process was started."""

    at: float
    pid: int
    age: float
    resident: int
    files: int
    threads: int
    cpu: float


class Vitals:
    """A thread that looks every few seconds; ``process`` says which one, and since when."""

    def __init__(self, process: Callable[[], tuple[int, float] | None]) -> None:
        self.samples: list[Sample] = []
        self._process = process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vitals", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SECONDS):
            found = self._process()
            if found is not None:
                try:
                    self.samples.append(look(*found))
                except (OSError, IndexError, ValueError):  # it was killed just now
                    continue


def look(pid: int, since: float) -> Sample:
    """One sample."""
    now = time.monotonic()
    threads = next(
        int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "Threads:" in line
    )
    return Sample(
        now, pid, now - since, resident_bytes(pid), len(os.listdir(f"/proc/{pid}/fd")), threads, cpu_seconds(pid)
    )


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By least squares, per unit of the first."""
    if len(points) < 3:
        return 0.0
    mean_x, mean_y = (statistics.fmean(values) for values in zip(*points, strict=True))
    above = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return above / sum((x - mean_x) ** 2 for x, _ in points)


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Medians of equal ages over the lives, and the slope within the longest life, in MiB a minute."""
    lives: dict[int, list[Sample]] = {}
    for sample in samples:
        lives.setdefault(sample.pid, []).append(sample)
    phases: dict[str, list[float]] = {}
    for life in lives.values():
        by_phase: dict[int, list[int]] = {}
        for sample in life:
            by_phase.setdefault(int(sample.age / PHASE_SECONDS), []).append(sample.resident)
        for phase, values in by_phase.items():
            if len(values) >= 5:
                name = f"{phase * PHASE_SECONDS:.0f} s"
                phases.setdefault(name, []).append(round(statistics.median(values) / MIB, 1))
    longest = max(lives.values(), key=lambda life: life[-1].age - life[0].age)
    settled = [one for one in longest if one.age > SETTLED_SECONDS]
    later = settled[len(settled) // 2 :]

    def risen(values: Sequence[Sample], what: Callable[[Sample], float]) -> float:
        return round(60 * slope([(one.age, what(one)) for one in values]), 3)

    busy = [(life[-1].cpu - life[0].cpu) / (life[-1].at - life[0].at) for life in lives.values() if len(life) > 3]
    return {
        "lives": len(lives),
        "resident_mib_by_age": phases,
        "longest_life_seconds": round(longest[-1].age),
        "mib_per_minute": risen(settled, lambda one: one.resident / MIB),
        "mib_per_minute_second_half": risen(later, lambda one: one.resident / MIB),
        "files_per_minute": risen(settled, lambda one: one.files),
        "threads_most": max(one.threads for one in samples),
        "threads_longest_life": sorted({one.threads for one in settled}),
        "files_most": max(one.files for one in samples),
        "resident_mib_most": round(max(one.resident for one in samples) / MIB, 1),
        "core_share": round(statistics.median(busy), 3) if busy else 0.0,
        "series_longest": [
            (round(one.age), round(one.resident / MIB, 1), one.files, one.threads)
            for one in longest[:: max(1, len(longest) // 60)]
        ],
    }
