"""What a measurement gives: one row of a table, the same for people and for programs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

COLUMNS: Final = ("work", "figure", "cpu", "baseline", "ratio", "target", "met")
"""The members of each row in JSON, and the headings of the table. ``target`` and ``met`` are absent where nothing is
demanded."""


class Row(msgspec.Struct, frozen=True):
    """One kind of work. ``cpu`` is what an operation costs the process that is measured, ``baseline`` the bare loop of
    the same run, ``ratio`` ours to the bare one. ``met`` is None without a target.
    """

    work: str
    figure: str
    cpu: str = "-"
    baseline: str = "-"
    ratio: str = "-"
    target: str = "-"
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """The row in the order of ``COLUMNS``."""
        met = "-" if self.met is None else "met" if self.met else "MISSED"
        return (self.work, self.figure, self.cpu, self.baseline, self.ratio, self.target, met)


def interval(values: Iterable[float], digits: int = 2, unit: str = "") -> str:
    """Median and, where there are several, the smallest and the largest: ``1.20 (1.10 to 1.31) ms``."""
    found = sorted(values)
    text = f"{statistics.median(found):,.{digits}f}"
    if len(found) > 1:
        text += f" ({found[0]:,.{digits}f} to {found[-1]:,.{digits}f})"
    return f"{text} {unit}".rstrip()


def micros(costs: Sequence[float]) -> str:
    """CPU of an operation; a dash where the system does not say."""
    return "-" if math.isnan(costs[0]) else interval(costs, 2, "µs")


def ratios(ours: Sequence[float], bare: Sequence[float]) -> list[float]:
    """Ours to the bare one, pair by pair, as the arms were interleaved."""
    return [one / other for one, other in zip(ours, bare, strict=True)]


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent are at or below (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]
