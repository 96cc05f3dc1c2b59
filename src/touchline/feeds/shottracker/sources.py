"""The table of data sources of Live Data V2, and the names of the feed's event types.

The provider's public table of sources could be read for its first rows only (sheet §4); ``shot``, ``playbyplay``,
``lineup``, ``possession`` are OUR CHOICE of names and ``clock`` of lane. A real name is dropped in here, nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from touchline.feeds.shottracker import messages
from touchline.model import Lane

FEED_NAME: Final = "shottracker"
PREFIX: Final = "shottracker."
GAME_TYPE: Final = "shottracker.game"
TEAM_TYPE: Final = "shottracker.team"
DOCUMENT_TYPES: Final = frozenset({GAME_TYPE, TEAM_TYPE})
"""Looked up by REST, never pushed."""

MOCK_SERVICE: Final = "mock-service"
"""The event_id of the game that loops for ever (sheet §2.10; the literal is the Broadcast API's)."""


class Source(Struct, frozen=True):
    """A data source: its struct, its lane (sequenced or latest value), its name in the older envelope."""

    data: type[Struct]
    lane: Lane = Lane.EVENT
    envelope: str | None = None


SOURCES: Final[Mapping[str, Source]] = {
    "boxscorestatsv2": Source(messages.BoxScoreStats, envelope="stats"),
    "shot": Source(messages.Shot),
    "marker": Source(messages.Marker),
    "playbyplay": Source(messages.PlayByPlay),
    "lineup": Source(messages.Lineup),
    "possession": Source(messages.Possession),
    "location": Source(messages.Location, Lane.STATE),
    "clock": Source(messages.GameClock, Lane.STATE),
    "broadcastsummary": Source(messages.BroadcastSummary, Lane.STATE),
}

SUMMARY: Final = "broadcastsummary"
SUMMARY_TYPE: Final = PREFIX + SUMMARY


def state_key(source: str) -> Callable[[Any], str] | None:
    """How events of a source say of which thing they are the latest value: each player or ball, the clock, the summary.

    The keys of different sources differ, because all of them share the game's stream.
    """
    if SOURCES[source].lane is Lane.EVENT:
        return None
    if source == "location":
        return lambda data: f"location:{data.type}:{data.id}"
    return lambda data: source  # noqa: ARG005
