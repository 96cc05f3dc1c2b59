"""From where on an endpoint is replayed: a time, a duration ago or a position, found in the log or refused in words."""

from __future__ import annotations

from touchline.errors import PositionGone, RemoteProtocolError
from touchline.server.http.endpoint_checks import seconds_of
from touchline.server.hub import Hub
from touchline.wire import position as position_token
from touchline.wire import rfc3339


async def find_replay_point(hub: Hub, since: str) -> int:
    """The offset after which a replay begins.

    Raises:
        ValueError: the text is none of the three, or in the future.
        PositionGone: records of then are removed (or are another log's): a replay would leave them out silently.
    """
    now = hub.clock.wall_ns()
    seconds = seconds_of("since", since)
    if seconds is not None:
        return await _offset_at(hub, now - int(seconds * 1e9))
    if position_token.is_token(since):
        try:
            position = position_token.decode(since)
        except RemoteProtocolError as error:
            raise ValueError(str(error)) from None
        hub.check_position(position)
        return position.offset
    try:
        time = rfc3339.parse(since)
    except ValueError:
        raise ValueError(
            f"since {since[:64]!r} is no RFC 3339 time with a zone, no duration such as 2h and no position"
        ) from None
    if time > now:
        raise ValueError(f"since {since[:64]} is in the future")
    return await _offset_at(hub, time)


async def _offset_at(hub: Hub, time: int) -> int:
    log = hub.event_log
    floor = log.floor
    if floor:
        page = await log.read(floor, 1)
        # What was removed may have been appended at the time of the oldest that is left.
        if not page.records or time <= page.records[0].appended_at:
            detail = "retention has removed records of that time; the position `oldest` replays what is left"
            raise PositionGone("expired", detail)
    return await log.offset_at(max(time, 0))
