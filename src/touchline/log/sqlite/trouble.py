"""Whether the log takes what it is given, as an operator is to be told.

On a disk with little room left a small commit still fits where a publisher's batches are refused, so one commit that
went well proves little: trouble ends when as much as the most that was refused at once is stored, or when nothing was
refused for ``QUIET_SECONDS`` and something is stored then.
"""

from __future__ import annotations

import logging
from typing import Final

from touchline.clock import Clock

_logger = logging.getLogger(__name__)

QUIET_SECONDS: Final = 30.0


class Trouble:
    """What keeps the log from being written; ``text`` is empty when nothing does. The writer's thread changes it,
    others read ``text``. Its beginning and its end are logged once each."""

    __slots__ = ("_clock", "_last", "_most", "text")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._most = 0
        self._last = 0.0
        self.text = ""

    def refused(self, error: Exception, size: int) -> None:
        """A commit failed that was to store ``size`` bytes."""
        begins = not self.text
        self.text = f"{type(error).__name__}: {error}"
        self._most = max(self._most, size)
        self._last = self._clock.monotonic()
        if begins:
            _logger.error("the log cannot be written", extra={"error": self.text})

    def stored(self, size: int) -> None:
        """A commit went well and wrote something; ``size`` bytes of it are new events."""
        if self.text and (size >= self._most or self._clock.monotonic() - self._last >= QUIET_SECONDS):
            self.text = ""
            self._most = 0
            _logger.info("the log can be written again")
