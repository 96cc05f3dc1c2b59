"""What comes on the channels: health checks and signals told apart from changes; changes filtered and handed on."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import Instant, Message
from touchline.feeds.prophetx.consumer import changes
from touchline.feeds.prophetx.consumer.books import Books
from touchline.feeds.prophetx.consumer.calls import Outlet
from touchline.feeds.prophetx.consumer.changes import Push
from touchline.wire import pusher

_HEALTH_CHECK: Final = "health_check"
_TOPICS: Final = ("tournament_", "general", "wagers", "orders", "market_selections")
"""Names of events that carry changes (sheet §4); others may carry what they like."""


class Heard(enum.Enum):
    """What an event was."""

    CHANGE = "a change, or something unknown: handed on"
    HEALTH = "a health check"
    DISCONNECT = "the provider asks to come back at once"


class Intake:
    """Filters by tournament, drops what is stale, hands out the rest; ``holds`` may keep a push for later."""

    def __init__(self, chosen: tuple[str, ...], outlet: Outlet, books: Books) -> None:
        self.holds: Callable[[Push, Instant], bool] = _holds_nothing
        self._chosen = frozenset(chosen)
        self._outlet, self._books = outlet, books

    def take(self, event: pusher.ChannelEvent, now: Instant) -> Heard:
        """An event of a channel, or of the connection as a whole. Raises RemoteProtocolError: it cannot be read."""
        if changes.is_disconnect(event.event, event.data):
            return Heard.DISCONNECT
        if event.event == _HEALTH_CHECK or changes.is_signal(event.data):
            return Heard.HEALTH
        try:
            push = changes.decode(event.event, event.data)
        except RemoteProtocolError:
            if event.event.startswith(_TOPICS):
                raise
            self._outlet.wish(Message(event.event, event.data, event.data))
            return Heard.CHANGE
        is_other = self._chosen and push.tournament_id and push.tournament_id not in self._chosen
        if not (is_other and push.kind != "wager") and not self.holds(push, now):
            self.hand_out(push)
        return Heard.CHANGE

    def hand_out(self, push: Push) -> None:
        """Give a change to the user, unless it is stale."""
        if self._books.take(push):
            self._outlet.wish(push.message)


def _holds_nothing(push: Push, now: Instant) -> bool:
    del push, now
    return False
