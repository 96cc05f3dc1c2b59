"""The REST reads of a reconcile: their requests, and their answers as rows. Rows keep their bytes (sheet §2.4)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import msgspec
from msgspec import Raw, Struct

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import Message
from touchline.feeds.prophetx.consumer.changes import Info
from touchline.wire.http import HttpRequest, HttpResponse

TOURNAMENTS: Final = "get_tournaments"
SPORT_EVENTS: Final = "get_sport_events"
MARKETS: Final = "get_multiple_markets"
WAGERS: Final = "get_wagers"
BALANCE: Final = "get_balance"

_SYNCED_AT: Final = "unmatched_wager_last_synced_at"
_encode: Final = msgspec.json.Encoder().encode
_INFO: Final = msgspec.json.Decoder(Info, strict=False)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final = msgspec.json.Decoder(list[Raw])
_BY_EVENT: Final = msgspec.json.Decoder(dict[str, list[Raw] | None])

Rows = list[tuple[Raw, Info]]


class Step(Struct, frozen=True):
    """One read: the call, the ids that it is about, where a further page begins, and how often it was tried."""

    call: str
    ids: tuple[str, ...] = ()
    cursor: str = ""
    tries: int = 0


def request(base: str, step: Step) -> HttpRequest:
    """The request of a step."""
    query: dict[str, str] = {}
    if step.call == SPORT_EVENTS:
        query["tournament_id"] = step.ids[0]
    elif step.call == MARKETS:
        query["event_ids"] = ",".join(step.ids)
    elif step.cursor:
        query["next_cursor"] = step.cursor
    url = f"{base}/mm/{step.call}" + (f"?{urlencode(query)}" if query else "")
    return HttpRequest("GET", headers=(("accept", "application/json"),), url=url)


def message(call: str, **members: object) -> Message:
    """An answer as the user gets it."""
    data = _encode(members)
    return Message(call, b'{"call":"%b","data":%b}' % (call.encode(), data), data)


def members_of(response: HttpResponse) -> dict[str, Raw]:
    """The members under ``data``. Raises RemoteProtocolError."""
    try:
        return _MEMBERS.decode(_MEMBERS.decode(response.body)["data"])
    except (msgspec.MsgspecError, ValueError, RecursionError, KeyError):
        raise RemoteProtocolError("an answer without an object under data") from None


def rows_of(members: dict[str, Raw], name: str) -> Rows:
    """The rows under a member, none when it is null. Raises RemoteProtocolError."""
    held = members.get(name)
    if held is None:
        raise RemoteProtocolError(f"an answer without {name}")
    return _rows([] if bytes(held) == b"null" else _parts(held))


def markets_of(response: HttpResponse) -> dict[str, Rows]:
    """The markets by event id. Raises RemoteProtocolError."""
    try:
        events = _BY_EVENT.decode(_MEMBERS.decode(response.body)["data"])
    except (msgspec.MsgspecError, ValueError, RecursionError, KeyError):
        raise RemoteProtocolError("an answer without lists of markets by event id under data") from None
    return {event_id: _rows(parts or []) for event_id, parts in events.items()}


def cursor_of(members: dict[str, Raw]) -> str:
    """Where the next page begins; '' when this was the last."""
    try:
        value = msgspec.json.decode(members.get("next_cursor", b'""'))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""


def balance_digest(members: dict[str, Raw]) -> int:
    """A number that changes with the balance, and not with the time at which it was looked at."""
    return hash(tuple(sorted((name, bytes(value)) for name, value in members.items() if name != _SYNCED_AT)))


def _parts(held: Raw) -> list[Raw]:
    try:
        return _LIST.decode(held)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RemoteProtocolError("an answer whose rows are no list") from None


def _rows(parts: list[Raw]) -> Rows:
    try:
        return [(part, _INFO.decode(part)) for part in parts]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RemoteProtocolError("a row that cannot be read") from None
