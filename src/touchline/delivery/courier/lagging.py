"""How far endpoints are behind, taken together: by state, never by name. For metrics and ``doctor``.

Reads a few records of the log at most, whatever the number of endpoints and of what they are owed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from touchline.delivery.courier.line import Line
from touchline.delivery.courier.recent import Recent
from touchline.errors import LogError
from touchline.log.base import EventLog
from touchline.model import Record

STATES: Final = ("active", "waiting", "failing", "paused", "disabled", "suspended")
"""Every state that an endpoint can have (``EndpointReport.state``)."""

_MOST_READS: Final = 16
"""Records that are looked up per state and feed, for endpoints that are far behind and at different places."""


class Lag(msgspec.Struct):
    """Endpoints of one state. ``oldest_seconds`` is the age of the oldest record that one of them has not taken (0 when
    none is behind). ``records_max`` and ``records_sum`` count what stands in the log of their feeds behind the oldest
    record that each has not taken: exactly among the newest records, further back an upper bound by offsets.
    """

    endpoints: int = 0
    behind: int = 0
    oldest_seconds: float = 0.0
    records_max: int = 0
    records_sum: int = 0


async def measure(lines: Iterable[Line], recent: Recent, log: EventLog, now: float, wall_ns: int) -> dict[str, Lag]:
    """The lag of these endpoints by state; every state is there."""
    found = {state: Lag() for state in STATES}
    places: dict[tuple[str, str | None], list[int]] = {}
    for line in lines:
        state = line.state(now)
        lag = found.setdefault(state, Lag())
        lag.endpoints += 1
        through = _through(line, recent)
        if through is not None:
            places.setdefault((state, line.reads), []).append(through)
    kept = log.stats().records
    for (state, feed), throughs in places.items():
        await _add(found[state], sorted(throughs), feed, recent, log, kept, wall_ns)
    return found


async def _add(
    lag: Lag, throughs: Sequence[int], feed: str | None, recent: Recent, log: EventLog, kept: int, wall_ns: int
) -> None:
    """Endpoints of one state and feed, by the offsets through which each has everything, rising."""
    first, reads = None, _MOST_READS
    for through in throughs:
        if (first is None or through >= first.offset) and reads:
            first = await _first_after(log, recent, feed, through)
            reads -= through < recent.floor
            if first is None:  # nothing stands there, nor further on: the rest is a hole in the numbers
                return
            lag.oldest_seconds = max(lag.oldest_seconds, (wall_ns - first.appended_at) / 1e9)
        assert first is not None
        records = _count(recent, feed, max(through, first.offset - 1), kept)
        lag.behind += records > 0
        lag.records_max = max(lag.records_max, records)
        lag.records_sum += records


def _through(line: Line, recent: Recent) -> int | None:
    """The offset through which all is done; None when nothing is open and nothing came after it."""
    backlog = line.backlog
    first = min((lane.first for lane in backlog.lanes.values() if not lane.is_done), default=None)
    if first is not None:
        return first - 1
    cursor = backlog.cursor
    return cursor if cursor < recent.floor or recent.has_after(line.reads, cursor) else None


def _count(recent: Recent, feed: str | None, after: int, kept: int) -> int:
    records, index = recent.after(feed, after)
    if after >= recent.floor:
        return len(records) - index
    return len(records) + min(recent.floor - after, kept)


async def _first_after(log: EventLog, recent: Recent, feed: str | None, after: int) -> Record | None:
    if after < recent.floor:
        try:
            page = await log.read(max(after, log.floor), 1, feed=feed, events_only=True, max_bytes=1)
        except LogError:  # retention was quicker, or the log cannot be read: the next question comes soon
            return None
        return page.records[0] if page.records else None
    records, index = recent.after(feed, after)
    return records[index] if index < len(records) else None
