"""From CloudEvents as published to events that the log takes: which feed, which lane, is ``data`` what the type says.

Pure; the rules are the feeds' own declarations. An unknown feed is refused, an unknown type of a known feed is kept in
the event lane. Nothing is rewritten except where a type declares ``normalise``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from touchline.feeds.base import EventType, Feed
from touchline.model import STATE_LANE, Event
from touchline.wire.cloudevents import Envelope, Problem

HUB_FEED: Final = "hub"


class Intake:
    """Checks events against the declarations of ``feeds``; decoders are made once."""

    def __init__(self, feeds: Mapping[str, Feed]) -> None:
        self._feeds = feeds
        self._own_sources = {
            feed.sandbox.engine.source
            for feed in feeds.values()
            if feed.sandbox is not None and feed.sandbox.engine is not None
        }
        self._kinds: dict[str, tuple[str, EventType, Callable[[bytes], Any]]] = {
            kind.name: (name, kind, msgspec.json.Decoder(kind.data).decode)
            for name, feed in feeds.items()
            if name != HUB_FEED
            for kind in feed.types
        }

    def event(self, envelope: Envelope, received_at: int, *, from_within: bool = False) -> Event | Problem:
        """The event of an envelope received at that time (ns), or why it is refused.

        ``from_within``: a sandbox engine of the hub made it. Nobody else may use its source: the engine's state is what
        stands in the log under it.
        """
        if not from_within and envelope.source in self._own_sources:
            return ("source", "events of this source are made by the hub's own sandbox alone")
        found = self._kinds.get(envelope.type)
        if found is None:
            return self._of_unknown_type(envelope, received_at)
        feed, kind, decode = found
        data = envelope.data
        try:
            decoded = decode(data)
            if kind.normalise is not None:
                data = kind.normalise(data)
        except RecursionError:
            return ("data", "the JSON is nested too deeply")
        except msgspec.ValidationError as error:
            return _located(str(error))
        except (msgspec.MsgspecError, ValueError) as error:
            return ("data", str(error))
        event = Event(
            feed,
            kind.name,
            envelope.subject,
            envelope.source,
            envelope.id,
            data,
            received_at if envelope.occurred_at is None else envelope.occurred_at,
            received_at,
            envelope.time,
            kind.lane,
            kind.state_key(decoded) if kind.lane is STATE_LANE and kind.state_key else "",
            kind.document,
            envelope.extensions,
        )
        return (kind.check(event, decoded) if kind.check else None) or event

    def _of_unknown_type(self, envelope: Envelope, received_at: int) -> Event | Problem:
        feed, dot, rest = envelope.type.partition(".")
        if feed not in self._feeds or not dot or not rest:
            names = ", ".join(name for name in self._feeds if name != HUB_FEED)
            return ("type", f"{envelope.type[:64]!r} names no feed; a type is <feed>.<event>, feeds are {names}")
        if feed == HUB_FEED:
            return ("type", "events of the hub are made by the hub alone")
        event = Event(
            feed,
            envelope.type,
            envelope.subject,
            envelope.source,
            envelope.id,
            envelope.data,
            received_at if envelope.occurred_at is None else envelope.occurred_at,
            received_at,
            envelope.time,
            extensions=envelope.extensions,
        )
        check = self._feeds[feed].check_unknown
        return (check(event) if check else None) or event


def _located(message: str) -> Problem:
    """Turns msgspec's "Expected `int`, got `str` - at `$.team_id`" into (field, detail)."""
    detail, found, path = message.rpartition(" - at `$")
    if not found:
        return ("data", message)
    return ("data" + path.rstrip("`"), detail)
