"""Messages of Live Data V2: which records a session follows, and the text frame of each (live-data page; sheet §3).

Frames are joined from ready bytes: what a publisher wrote under ``data`` leaves byte for byte and is never re-encoded
(only the ``game_stats`` level of a summary is cut, which is what that level means).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from touchline.feeds.shottracker.messages import GAME_END
from touchline.feeds.shottracker.sources import (
    DOCUMENT_TYPES,
    FEED_NAME,
    MOCK_SERVICE,
    PREFIX,
    SOURCES,
    SUMMARY_TYPE,
)
from touchline.model import Position, Record

GAME_STATS: Final = "game_stats"
"""The one documented ``broadcast_summary_level``: game-level numbers without the breakdown."""
BREAKDOWN: Final = frozenset({"players", "zones"})
_SIDES: Final = ("home", "away")
_MARKER_TYPE: Final = PREFIX + "marker"


class Variant(msgspec.Struct, frozen=True):
    """What of a session changes its frames: the older envelope (partner option), and the summary level."""

    event_envelope: bool = False
    game_stats: bool = False


class GameSelector(msgspec.Struct, frozen=True):
    """The records of one game, of these sources (None: all), above ``last_seq`` in the event lane."""

    subject: str
    sources: frozenset[str] | None = None
    last_seq: int = 0
    variant: Variant = Variant()

    @property
    def feed(self) -> str:
        """Always this feed."""
        return FEED_NAME

    def matches(self, record: Record) -> bool:
        """Documents are looked up, not pushed; an unknown type of the feed passes as an unknown source."""
        event = record.event
        return (
            event.subject == self.subject
            and event.feed == FEED_NAME
            and (not record.seq or record.seq > self.last_seq)
            and event.type not in DOCUMENT_TYPES
            and (self.sources is None or event.type.removeprefix(PREFIX) in self.sources)
        )


@lru_cache(maxsize=1024)
def _names(event_type: str) -> tuple[bytes, bytes]:
    """``source`` of V2 and ``type`` of the older envelope as JSON strings."""
    source = event_type.removeprefix(PREFIX)
    known = SOURCES.get(source)
    return msgspec.json.encode(source), msgspec.json.encode((known and known.envelope) or source)


def encode(record: Record, variant: Any, position: Position) -> bytes | None:
    """The text frame of a record; None for a document.

    ``{"seq":"25","type":"data","source":"boxscorestatsv2","data":{…}}``, without ``seq`` for an unsequenced source;
    ``{"type":"stats","data":{…}}`` in the older envelope (examples page).
    """
    del position
    event = record.event
    if event.type in DOCUMENT_TYPES:
        return None
    data = event.data
    if variant.game_stats and event.type == SUMMARY_TYPE:
        data = without_breakdown(data)
    source, envelope = _names(event.type)
    if variant.event_envelope:
        return b'{"type":%b,"data":%b}' % (envelope, data)
    if record.seq:
        return b'{"seq":"%d","type":"data","source":%b,"data":%b}' % (record.seq, source, data)
    return b'{"type":"data","source":%b,"data":%b}' % (source, data)


_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def without_breakdown(data: bytes) -> bytes:
    """A summary at level ``game_stats``: every member as it was, except that the teams lose players and zones."""
    try:
        summary = _MEMBERS.decode(data)
        for side in _SIDES:
            if side in summary and bytes(summary[side]).lstrip().startswith(b"{"):
                team = _MEMBERS.decode(summary[side])
                summary[side] = msgspec.Raw(
                    msgspec.json.encode({name: value for name, value in team.items() if name not in BREAKDOWN})
                )
    except (msgspec.MsgspecError, RecursionError):
        return data
    return msgspec.json.encode({name: value for name, value in summary.items() if name not in BREAKDOWN})


class _Type(msgspec.Struct):
    type: str = ""


_TYPE: Final = msgspec.json.Decoder(_Type)


def marker_type(data: bytes) -> str:
    """The type of a marker, '' when it has none that can be read."""
    try:
        return _TYPE.decode(data).type
    except (msgspec.MsgspecError, RecursionError):
        return ""


def is_last(record: Record) -> bool:
    """Whether the game is over after this record: its GAME_END marker, except in the game that loops for ever."""
    event = record.event
    return event.type == _MARKER_TYPE and event.subject != MOCK_SERVICE and marker_type(event.data) == GAME_END
