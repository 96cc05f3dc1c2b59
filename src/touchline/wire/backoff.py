"""Exponential backoff with full jitter: how long to wait before the next try. Knows no clock and makes no randomness.

Full jitter (a wait drawn evenly between nothing and the doubled limit) spreads a crowd that lost its connection at the
same moment over the whole interval, which a fixed schedule with a little noise does not.
"""

from __future__ import annotations

from typing import Final, Protocol

FIRST_SECONDS: Final = 0.5
CAP_SECONDS: Final = 30.0


class Uniform(Protocol):
    """The one draw that is needed; ``random.Random`` fits."""

    def uniform(self, a: float, b: float) -> float: ...


class Backoff:
    """The waits between tries: drawn from 0 to ``first_seconds``, doubling up to ``cap_seconds``."""

    def __init__(
        self, dice: Uniform, *, first_seconds: float = FIRST_SECONDS, cap_seconds: float = CAP_SECONDS
    ) -> None:
        self._dice = dice
        self._first_seconds = first_seconds
        self._cap_seconds = cap_seconds
        self._tries = 0

    def next_seconds(self) -> float:
        """The wait before the next try; each call widens the one after it."""
        limit = min(self._cap_seconds, self._first_seconds * 2.0 ** min(self._tries, 32))
        self._tries += 1
        return self._dice.uniform(0.0, limit)

    def reset(self) -> None:
        """Begin small again, once a try has shown that it holds."""
        self._tries = 0
