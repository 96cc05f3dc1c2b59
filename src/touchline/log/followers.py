"""Those who are called with what was appended or written: one list, whose members cannot hurt each other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, ParamSpec

_logger = logging.getLogger(__name__)

P = ParamSpec("P")


class Followers(Generic[P]):
    """Callbacks, called in the order in which they came. One that raises is logged and does not stop the others."""

    def __init__(self) -> None:
        self._callbacks: dict[object, Callable[P, None]] = {}

    def add(self, callback: Callable[P, None]) -> Callable[[], None]:
        """Call it from now on; returns what ends that."""
        ticket = object()
        self._callbacks[ticket] = callback

        def end() -> None:
            self._callbacks.pop(ticket, None)

        return end

    def call(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call all that are there now."""
        for callback in tuple(self._callbacks.values()):
            try:
                callback(*args, **kwargs)
            except Exception:  # the callback is a task of its own: its fault must not reach the log or its neighbours
                _logger.exception("a follower raised and has missed a call")
