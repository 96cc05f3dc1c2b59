"""The deriver: shows each event of the other sandboxes to whoever watches its feed, and hands on what they wrote."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from touchline.feeds.base import Dice, SandboxOptions, Timed
from touchline.feeds.insights.sandbox import basketball, hockey
from touchline.feeds.insights.sandbox.scribe import Scribe


class Writer:
    """See ``feeds.base.Deriver``."""

    def __init__(self, dice: Dice, options: SandboxOptions) -> None:
        self._scribe = Scribe(dice, options.start_ns)
        self._basketball = basketball.Basketball(dice, self._scribe)
        self._hockey = hockey.Hockey(dice, self._scribe)

    def observe(self, event: Timed) -> Sequence[Timed]:
        """What follows from an event: insights, due a moment later."""
        watcher: basketball.Basketball | hockey.Hockey
        if event.type in _OF_BASKETBALL:
            watcher = self._basketball
        elif event.type.startswith(hockey.PREFIX):
            watcher = self._hockey
        else:
            return ()
        data = msgspec.json.decode(event.data)
        if isinstance(data, dict):
            watcher.watch(event, data)
        return self._scribe.drain()


# Locations come ten times a second for every player; they are not even decoded.
_OF_BASKETBALL = frozenset(basketball.PREFIX + kind for kind in ("team", "game", "marker", "boxscorestatsv2"))
