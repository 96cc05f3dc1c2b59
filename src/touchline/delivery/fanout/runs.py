"""Bytes that were joined for one who catches up, kept for a while for those who stand at the same place.

Sessions whose connections were cut together come back together, most of them from the same record, and want the same.
A run stands for all records between two places that a selector matches, in one framing; records never change, so that
it is never wrong, only shorter than what there is by now. Bounded by bytes; the longest unused leave.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from touchline.delivery.fanout.reader import Framing
from touchline.feeds.base import Selector

_LEAST_FRAMES: Final = 8
"""Fewer are joined as quickly as they are found."""
_OVERHEAD_BYTES: Final = 500
"""What a run costs beside its bytes: its place, its key."""

Start = tuple[Framing, Selector, int]
"""A framing, a selector, and the offset after which the run begins."""


class Run(NamedTuple):
    """So many frames, joined: all that there is for the selector up to the offset ``end``."""

    data: bytes
    frames: int
    end: int


class Runs:
    """See the module docstring."""

    def __init__(self, max_bytes: int) -> None:
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._runs: OrderedDict[Start, Run] = OrderedDict()

    def get(self, start: Start) -> Run | None:
        """The run that begins there, now the last to leave."""
        run = self._runs.get(start)
        if run is not None:
            self._runs.move_to_end(start)
        return run

    def put(self, start: Start, run: Run) -> None:
        """Keep a run, if it is long enough to be worth it; a longer one takes the place of the one before."""
        if run.frames < _LEAST_FRAMES:
            return
        if (replaced := self._runs.pop(start, None)) is not None:
            self.size_bytes -= len(replaced.data) + _OVERHEAD_BYTES
        self._runs[start] = run
        self.size_bytes += len(run.data) + _OVERHEAD_BYTES
        while self.size_bytes > self._max_bytes:
            _, oldest = self._runs.popitem(last=False)
            self.size_bytes -= len(oldest.data) + _OVERHEAD_BYTES
