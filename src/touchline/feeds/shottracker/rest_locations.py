"""REST: where players and ball were during a session (sheet §2.8), read from the log's state-lane history."""

from __future__ import annotations

from typing import Final

import msgspec

from touchline.feeds.base import Member, Ports
from touchline.feeds.shottracker import errors, messages
from touchline.feeds.shottracker.access import Access, Refused, moments, need_source
from touchline.feeds.shottracker.answers import LocationRow, LocationsBody
from touchline.feeds.shottracker.game import Session, bounded, known_id, milliseconds, text
from touchline.feeds.shottracker.messages import Location, id_text
from touchline.feeds.shottracker.rest_events import LOCATION_WINDOW_MS
from touchline.feeds.shottracker.sources import FEED_NAME, PREFIX
from touchline.model import MAX_OFFSET, Record
from touchline.wire.http import HttpRequest, HttpResponse, json_response

MAX_SAMPLES: Final = 400_000
"""Of one answer: 30 minutes of twenty tags at 10 Hz."""
SLACK_MS: Final = 60_000
"""How late a sample may have been published and still be found."""

_PAGE: Final = 1000
_TYPES: Final = frozenset({PREFIX + "location"})
_LOCATION: Final = msgspec.json.Decoder(Location)


class LocationsApi:
    """Handler of the locations call."""

    def __init__(self, ports: Ports, access: Access) -> None:
        self._ports, self._access = ports, access

    async def locations(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/sensors/locations``: one array of samples per player or ball, in order of publishing."""
        session_id = request.param("id") or ""
        start, end = moments(request)
        if start is None or end is None:
            raise Refused(400, errors.BAD_RANGE)
        if end - start > LOCATION_WINDOW_MS:
            raise Refused(400, errors.LONG_RANGE)
        game, session = await self._access.session(member, session_id)
        need_source(member, "location", errors.RESTRICTED)
        start = max(start, session.started_at or start)
        end = min(end, session.ended_at or end)
        found: dict[str, list[LocationRow]] = {}
        after, count = await self._offset_before(game.event_id, start - SLACK_MS), 0
        while count < MAX_SAMPLES:
            page = await self._ports.log.records(FEED_NAME, game.event_id, after=after, limit=_PAGE, types=_TYPES)
            for record in page:
                sample = _LOCATION.decode(record.event.data)
                moment = _moment(sample, record)
                if start <= moment <= end:
                    found.setdefault(f"{sample.type}:{id_text(sample.id)}", []).append(_row(sample, moment, session))
                    count += 1
            if len(page) < _PAGE or _moment(_LOCATION.decode(page[-1].event.data), page[-1]) > end + SLACK_MS:
                break
            after = page[-1].offset
        return json_response([LocationsBody(rows) for rows in found.values()])

    async def _offset_before(self, event_id: str, moment: int) -> int:
        """An offset before the first sample of that time (epoch ms), by bisection: samples come about in order."""
        low, high = 0, MAX_OFFSET
        while low < high:
            middle = (low + high) // 2
            page = await self._ports.log.records(FEED_NAME, event_id, after=middle, limit=1, types=_TYPES)
            if page and _moment(_LOCATION.decode(page[0].event.data), page[0]) < moment:
                low = page[0].offset
            else:
                high = middle
        return low


def _moment(sample: messages.Location, record: Record) -> int:
    return milliseconds(sample.occurred_at, record.event.occurred_at // 1_000_000)


def _row(sample: messages.Location, moment: int, session: Session) -> LocationRow:
    """A sample in this call's keys; a player's ``id`` stands for ``pid`` where no other is given (sheet §4.3)."""
    tag = known_id(sample.tag)
    player = known_id(sample.player_id)
    return LocationRow(
        x=bounded(sample.x),
        y=bounded(sample.y),
        z=bounded(sample.z),
        t=moment,
        type=sample.type,
        sid=session.id,
        tag=None if tag is None else id_text(tag),
        tid=known_id(sample.team_id),
        pid=player if player is not None else known_id(sample.id) if sample.type == "PLAYER" else None,
        speed=bounded(sample.speed),
        gc=text(sample.game_clock) or None,
        sc=text(sample.shot_clock) or None,
    )
