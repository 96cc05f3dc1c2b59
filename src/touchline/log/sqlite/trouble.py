"""Whether the log can be written, as an operator is to be told.

On a disk with little room left a small commit still fits where a publisher's batch is refused, so one commit that went
well proves little: trouble ends when something as large as the largest that was refused is stored, or when nothing was
refused for ``QUIET_SECONDS`` and something was stored since.
"""

from __future__ import annotations

import logging
from typing import Final

from touchline.clock import Clock

_logger = logging.getLogger(__name__)

QUIET_SECONDS: Final = 60.0


class Trouble:
    """What keeps the log from being written; ``text`` is empty when nothing does. The writer's thread changes it,
    others read ``text``. Its beginning and its end are logged once each."""

    __slots__ = ("_clock", "_largest", "_last", "text")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._largest = 0
        self._last = 0.0
        self.text = ""

    def refused(self, error: Exception, size: int) -> None:
        """A commit failed; ``size`` is that of its largest job, in bytes."""
        begins = not self.text
        self.text = f"{type(error).__name__}: {error}"
        self._largest = max(self._largest, size)
        self._last = self._clock.monotonic()
        if begins:
            _logger.error("the log cannot be written", extra={"error": self.text})

    def stored(self, size: int) -> None:
        """A commit went well; ``size`` is that of all its jobs, in bytes."""
        if self.text and (size >= self._largest or self._clock.monotonic() - self._last >= QUIET_SECONDS):
            self.text = ""
            self._largest = 0
            _logger.info("the log can be written again")
