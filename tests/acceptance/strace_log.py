"""Reads what ``strace -f -tt -y`` writes: calls in the order in which they began, each with the moment of its end.

A call that another thread interrupts in the log stands there twice, ``<unfinished ...>`` and ``<... resumed>``; the two
are put together. Lines that are no calls (signals, exits) and calls that never ended are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_LINE = re.compile(r"(?:\[pid\s+)?(\d+)\]?\s+(?:\d\d:\d\d:\d\d(?:\.\d+)?\s+)?(.*)\Z", re.DOTALL)
_BEGIN = re.compile(r"([a-z_0-9]+)\((.*)\Z", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. ([a-z_0-9]+) resumed>(.*)\Z", re.DOTALL)
_UNFINISHED = re.compile(r"\s*<unfinished \.\.\.>\s*\Z")
_RESULT = re.compile(r"\)\s+=\s+(-?\d+|\?)[^=]*\Z")
_DESCRIPTOR = re.compile(r"(\d+)<((?:[^<>\\]|\\.|<[^>]*>)*)>")


class Call(NamedTuple):
    """A system call: ``began`` and ``ended`` are line numbers, which order all threads' calls."""

    began: int
    ended: int
    thread: int
    name: str
    descriptor: int
    path: str
    text: str
    result: int


def parse(lines: Iterable[str]) -> list[Call]:
    """The calls of a log, by their beginning."""
    open_calls: dict[int, tuple[int, str, str]] = {}
    calls: list[Call] = []
    for number, line in enumerate(lines):
        match = _LINE.match(line.rstrip("\n"))
        if match is None:
            continue
        thread, rest = int(match.group(1)), match.group(2)
        if resumed := _RESUMED.match(rest):
            begun = open_calls.pop(thread, None)
            if begun is None or begun[1] != resumed.group(1):
                continue
            began, name, text = begun
            text += resumed.group(2)
        elif begins := _BEGIN.match(rest):
            began, name, text = number, begins.group(1), begins.group(2)
            if unfinished := _UNFINISHED.search(text):
                open_calls[thread] = (began, name, text[: unfinished.start()])
                continue
        else:
            continue
        result = _RESULT.search(text)
        if result is None or result.group(1) == "?":
            continue
        descriptor = _DESCRIPTOR.match(text)
        calls.append(
            Call(
                began,
                number,
                thread,
                name,
                int(descriptor.group(1)) if descriptor else -1,
                descriptor.group(2) if descriptor else "",
                text[: result.start()],
                int(result.group(1)),
            )
        )
    return sorted(calls)
