"""A pushed change, decoded without loss: what it is about, how new it is, and the message that the user gets.

Numbers stay the integers that they are (int64 nanoseconds, beyond 2^53), and the payload's bytes are handed on as they
came. Both of the provider's vocabularies are known by name; a change of an unknown type has no key and passes. The rows
of REST have the same members as ``info`` and are read here too.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec
from msgspec import Raw, Struct

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import Message

KINDS: Final = {
    "tournament": "tournament",
    "sport_event": "sport_event",
    "market": "market",
    "market_line": "market_line",
    "market_strike": "market_line",
    "market_selections": "market_selections",
    "matched_bet": "matched_bet",
    "matched_order": "matched_bet",
    "trade_execution": "matched_bet",
    "wager": "wager",
    "wagers": "wager",
    "order": "wager",
    "orders": "wager",
}
"""What a change_type means: the seed's names, those seen on the wire, and the later vocabulary's (sheet §5)."""
SIGNAL: Final = "private_system_signal"
DISCONNECT: Final = "disconnect"
_TOPIC: Final = "tournament_"

Id = int | str | None


class Info(Struct):
    """What of an ``info`` or a REST row says what it is about and how new it is; ``extra`` members pass unread."""

    id: Id = None
    event_id: Id = None
    order_id: Id = None
    sport_event_id: Id = None
    market_id: Id = None
    tournament_id: Id = None
    line: float | None = None
    line_id: Id = None
    strike: float | None = None
    strike_id: Id = None
    name: Raw = Raw()
    status: Raw = Raw()
    scheduled: Raw = Raw()
    selections: Raw = Raw()
    market_lines: Raw = Raw()
    sequence_number: int | None = None
    selections_sequence_number: int | None = None
    updated_at: Id | float = None

    @property
    def at(self) -> int:
        """``updated_at`` in ns; 0 when there is none, or in another form: nothing else may fail because of that."""
        told = self.updated_at
        if isinstance(told, str):
            return int(told) if told.isascii() and told.isdigit() and len(told) < 20 else 0
        return told if isinstance(told, int) else 0


class _Payload(Struct):
    id: Id = None
    tournament_id: Id = None
    sport_event_id: Id = None
    market_id: Id = None
    info: Info | None = None


class _Data(Struct):
    change_type: str
    op: str = ""
    timestamp: int = 0
    payload: Raw = Raw()


class _Selection(Struct):
    outcome_id: Id = None
    line_id: Id = None
    strike_id: Id = None
    odds: float | None = None
    price: float | None = None
    stake: float | None = None
    quantity: float | None = None


_DATA: Final = msgspec.json.Decoder(_Data)
_PAYLOAD: Final = msgspec.json.Decoder(_Payload, strict=False)
_SIDES: Final = msgspec.json.Decoder(list[list[_Selection] | None], strict=False)
ROWS: Final = msgspec.json.Decoder(list[Info], strict=False)


class Offers(Struct, frozen=True):
    """Both sides of a line: a number that two books share when they offer the same, and the lines that it names.

    ``signature`` is 0 when nothing is offered: a placeholder (stake ≤ 0 or odds 0) offers nothing (sheet §7).
    """

    signature: int = 0
    line_ids: tuple[str, ...] = ()


class Push(Struct, frozen=True):
    """A change with its key. ``kind`` is '' when nothing is known of its type; ``number`` is its sequence_number.

    ``at`` is the outer timestamp in ns, 0 when there was none. ``digest`` tells two contents apart, for what is
    compared with REST; of a match it is the whole of it.
    """

    kind: str
    message: Message
    at: int
    number: int | None = None
    is_gone: bool = False
    is_new: bool = False
    tournament_id: str = ""
    event_id: str = ""
    market_id: str = ""
    key: str = ""
    digest: int = 0
    line_ids: tuple[str, ...] = ()


def text(value: Id) -> str:
    """An id as text; '' when there is none."""
    return "" if value is None else str(value)


def line_key(line: float | None) -> str:
    """What tells the books of a market apart: the line's value."""
    return repr(float(line or 0.0))


def descriptive_digest(info: Info) -> int:
    """A number that changes with the name, status or schedule: what REST and pushes both show of a thing."""
    return hash((_plain(info.name), _plain(info.status), _plain(info.scheduled)))


def read_offers(selections: Raw) -> Offers:
    """Both sides of a book; a shape that is not known offers nothing."""
    try:
        sides = _SIDES.decode(selections) if bytes(selections) else []
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Offers()
    names: dict[str, None] = {}
    offered: list[tuple[object, ...]] = []
    for index, side in enumerate(sides):
        for one in side or ():
            line_id = text(one.strike_id if one.line_id is None else one.line_id)
            if line_id:
                names[line_id] = None
            odds = one.price if one.odds is None else one.odds
            stake = one.quantity if one.stake is None else one.stake
            if odds and stake is not None and stake > 0:
                offered.append((index, text(one.outcome_id), line_id, odds, stake))
    return Offers(hash(tuple(offered)) if offered else 0, tuple(names))


def is_disconnect(event: str, data: bytes) -> bool:
    """Whether the provider asks to come back at once. How it says so is not documented (sheet §6): the event, the
    change or a member of the signal's payload is named ``disconnect``."""
    if event == DISCONNECT:
        return True
    if DISCONNECT.encode() not in data and SIGNAL.encode() not in data:
        return False
    try:
        told = _DATA.decode(data)
        payload = msgspec.json.decode(_payload_bytes(told.payload) or b"{}")
    except (msgspec.MsgspecError, ValueError, RecursionError, RemoteProtocolError):
        return False
    if told.change_type == DISCONNECT:
        return True
    return told.change_type == SIGNAL and isinstance(payload, dict) and DISCONNECT in payload.values()


def is_signal(data: bytes) -> bool:
    """Whether a change is the empty private_system_signal, which is a health check by whatever name it came."""
    if SIGNAL.encode() not in data:
        return False
    try:
        told = _DATA.decode(data)
        return told.change_type == SIGNAL and _payload_bytes(told.payload) in (b"{}", b"")
    except (msgspec.MsgspecError, ValueError, RecursionError, RemoteProtocolError):
        return False


def decode(event: str, data: bytes) -> Push:
    """The change in the ``data`` of an event.

    Raises:
        RemoteProtocolError: it is none, or the payload of a type that is known cannot be read.
    """
    try:
        told = _DATA.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RemoteProtocolError("no change: an object with change_type, op, payload and timestamp") from None
    payload = _payload_bytes(told.payload)
    message = Message(told.change_type, data, payload)
    kind = KINDS.get(told.change_type, "")
    topic = event.removeprefix(_TOPIC) if event.startswith(_TOPIC) else ""
    if not kind:
        return Push("", message, told.timestamp, tournament_id=topic)
    try:
        whole = _PAYLOAD.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RemoteProtocolError(f"the payload of a {told.change_type} cannot be read") from None
    return _keyed(kind, told, message, topic, whole)


def _keyed(kind: str, told: _Data, message: Message, topic: str, whole: _Payload) -> Push:
    info = whole.info or Info()
    event_id = text(info.sport_event_id if whole.sport_event_id is None else whole.sport_event_id)
    market_id = text(info.market_id if whole.market_id is None else whole.market_id)
    tournament_id = topic or text(info.tournament_id if whole.tournament_id is None else whole.tournament_id)
    key, digest = "", 0
    line_ids: tuple[str, ...] = ()
    match kind:
        case "tournament":
            # The outer id, here and below: of what is taken down nothing else is sure (sheet §5).
            tournament_id = key = text(info.id if whole.id is None else whole.id)
            digest = descriptive_digest(info)
        case "sport_event":
            event_id = key = text(info.event_id if whole.id is None else whole.id)
            digest = descriptive_digest(info)
        case "market":
            event_id, market_id = event_id or text(whole.id), text(info.id)
            key, digest = market_id, descriptive_digest(info)
        case "market_line":
            key = text(info.strike_id if info.line_id is None else info.line_id) or text(info.id)
        case "market_selections":
            offers = read_offers(info.selections)
            key = line_key(info.strike if info.line is None else info.line)
            digest, line_ids = offers.signature, offers.line_ids
        case "matched_bet":
            # Two matches may be alike but for their number; without one it is their time that tells them apart.
            key, digest = "match", hash(message.data if info.sequence_number is not None else message.raw)
        case "wager":
            key = text(info.order_id if info.id is None else info.id)
    if not key or (kind.startswith("market") and not (event_id and market_id)):
        return Push("", message, told.timestamp, tournament_id=tournament_id)  # it does not say of what it is
    return Push(
        kind,
        message,
        told.timestamp,
        info.sequence_number,
        told.op == "d",
        told.op == "c",
        tournament_id,
        event_id,
        market_id,
        key,
        digest,
        line_ids,
    )


def _payload_bytes(raw: Raw) -> bytes:
    """The payload: base64 of JSON, or JSON as it stands (another product of the provider sends that)."""
    held = bytes(raw)
    if held[:1] != b'"':
        return held
    try:
        return base64.b64decode(msgspec.json.decode(held, type=str), validate=True)
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        raise RemoteProtocolError("a payload that is no base64") from None


def _plain(raw: Raw) -> object:
    """A descriptive member as a value that can be compared, whatever it is."""
    if not bytes(raw):
        return None
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return bytes(raw)  # what is skipped is not checked: text that is no UTF-8, a number beyond all ranges
    return value if isinstance(value, str | int | float | bool | None) else bytes(raw)
