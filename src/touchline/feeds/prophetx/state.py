"""The fold: a tournament's stream to its sport events, markets, lines and books; a partner's to wagers and account.

The log's order is the truth: what came last stands. Members stand as they were published. What a stream of one partner
folds into says whose it is (``owner``), so that nobody else is shown it. Whatever was accepted for publishing is taken
without an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

from touchline.feeds.base import Instant
from touchline.feeds.prophetx.channels import PREFIX
from touchline.feeds.prophetx.messages import Id
from touchline.model import Event, Record

MAX_FINISHED_WAGERS: Final = 2_000
"""So many of a partner's wagers that are over are kept: those that ended last. The state is written as a whole."""
OPEN: Final = frozenset({"inactive", "open"})


class Known(Struct):
    """An ``info`` as published, and when (ns)."""

    info: bytes
    updated_at: int


class Book(Struct):
    """Both sides of a line as published: a full replacement each time."""

    selections: bytes
    line_ids: list[str]
    kind: str
    line: float
    updated_at: int
    sequence_number: int | None = None


class Line(Struct):
    """A line of one outcome."""

    known: Known
    line_id: str
    kind: str
    line: float


class Market(Struct):
    """A market; books by their line's value as text."""

    known: Known | None = None
    lines: dict[str, Line] = field(default_factory=dict)
    books: dict[str, Book] = field(default_factory=dict)


class SportEvent(Struct):
    """A sport event; markets by id."""

    known: Known | None = None
    markets: dict[str, Market] = field(default_factory=dict)


class Wager(Struct):
    """A wager as it was told last."""

    known: Known
    status: str


class ExchangeState(Struct):
    """What a stream folds into; ``owner`` is the partner_id that it belongs to, None for everybody's.

    ``finished`` names the wagers that are over, in the order in which they ended.
    """

    subject: str
    owner: str | None = None
    tournament: Known | None = None
    events: dict[str, SportEvent] = field(default_factory=dict)
    wagers: dict[str, Wager] = field(default_factory=dict)
    finished: dict[str, None] = field(default_factory=dict)
    account: Known | None = None


class _Fields(Struct):
    id: Id | None = None
    sport_event_id: Id | None = None
    market_id: Id | None = None
    line_id: str = ""
    line: float = 0.0
    type: str = ""
    status: str = ""
    selections: Raw = Raw(b"[]")
    sequence_number: int | None = None


class _Change(Struct):
    id: Id | None = None
    sport_event_id: Id | None = None
    market_id: Id | None = None
    info: Raw = Raw(b"{}")


class _Selection(Struct):
    line_id: str = ""


_CHANGE: Final = msgspec.json.Decoder(_Change)
_FIELDS: Final = msgspec.json.Decoder(_Fields)
_SIDES: Final = msgspec.json.Decoder(list[list[_Selection]])
_NOTHING: Final = b"{}"


class ExchangeFold:
    """Folds a stream (see ``feeds.base.SnapshotFold``)."""

    version = 1

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(ExchangeState)

    def initial(self, subject: str) -> ExchangeState:
        """A stream of which nothing is known."""
        return ExchangeState(subject)

    def apply(self, state: ExchangeState, record: Record) -> None:
        """Take one record into account."""
        event = record.event
        if event.partner == event.subject:  # what others own on this subject is no part of the state
            state.owner = event.partner
        try:
            change = _CHANGE.decode(event.data)
            info = _NOTHING if bytes(change.info) == b"null" else bytes(change.info)
            fields = _FIELDS.decode(info)
            _take(state, record, change, fields, Known(info, record.appended_at))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return  # an unknown type's own shape, or an info that names nothing

    def encode(self, state: ExchangeState) -> bytes:
        """The state as MessagePack."""
        return self._encoder.encode(state)

    def decode(self, data: bytes) -> ExchangeState:
        """The state of a checkpoint."""
        return self._decoder.decode(data)

    def view(self, state: ExchangeState) -> bytes:
        """All of it as JSON, in the shapes of REST."""
        if state.owner is not None:
            account = None if state.account is None else members(state.account)
            return msgspec.json.encode(
                {"account": account, "wagers": [members(wager.known) for wager in state.wagers.values()]}
            )
        return msgspec.json.encode(
            {
                "tournament": None if state.tournament is None else members(state.tournament),
                "sport_events": [members(each.known) for each in state.events.values() if each.known is not None],
                "markets": {number: markets(each) for number, each in state.events.items()},
            }
        )

    def derive(self, state: ExchangeState, now: Instant) -> Sequence[Event]:
        """Nothing: this feed has no state lane."""
        del state, now
        return ()

    def is_over(self, state: ExchangeState) -> bool:
        """An exchange does not end."""
        del state
        return False

    def first_seq(self, state: ExchangeState) -> int:
        """From the beginning."""
        del state
        return 1


def _take(state: ExchangeState, record: Record, change: _Change, fields: _Fields, known: Known) -> None:
    kind, gone = record.event.type.removeprefix(PREFIX), record.event.extensions.get("op") == "d"
    owned = record.event.partner is not None and record.event.partner == record.event.subject
    if kind in ("wager", "account"):
        if owned and kind == "account":
            state.account = known
        elif owned and fields.id is not None:
            _take_wager(state, str(fields.id), Wager(known, fields.status))
        return
    if record.event.partner is not None:
        return
    if kind == "tournament":
        state.tournament = None if gone else known
        return
    if kind == "sport_event":
        # Of an event that is taken down only the outer id is sure (sheet §5).
        number = str(change.id if change.id is not None else "")
        if gone:
            state.events.pop(number, None)
        else:
            state.events.setdefault(number, SportEvent()).known = known
        return
    of_event = fields.sport_event_id if change.sport_event_id is None else change.sport_event_id
    if kind == "market":
        event_id, market_id = str(of_event if of_event is not None else change.id), str(fields.id)
        if gone:
            if event_id in state.events:
                state.events[event_id].markets.pop(market_id, None)
        else:
            _market(state, event_id, market_id).known = known
    elif kind in ("market_line", "market_selections"):
        of_market = fields.market_id if change.market_id is None else change.market_id
        if of_event is None or of_market is None:
            return
        if kind == "market_line":
            _take_line(_market(state, str(of_event), str(of_market)), str(fields.id), fields, known, gone=gone)
        else:
            _take_book(_market(state, str(of_event), str(of_market)), fields, known, gone=gone)


def _market(state: ExchangeState, event_id: str, market_id: str) -> Market:
    return state.events.setdefault(event_id, SportEvent()).markets.setdefault(market_id, Market())


def _take_line(market: Market, number: str, fields: _Fields, known: Known, *, gone: bool) -> None:
    if not gone:
        market.lines[number] = Line(known, fields.line_id, fields.type, fields.line)
        return
    market.lines.pop(number, None)
    left = {line.line_id for line in market.lines.values()}
    for key, book in list(market.books.items()):
        if fields.line_id in book.line_ids and not left.intersection(book.line_ids):
            del market.books[key]  # none of its lines is left


def _take_book(market: Market, fields: _Fields, known: Known, *, gone: bool) -> None:
    key = repr(fields.line)
    if gone:
        market.books.pop(key, None)
        return
    selections = bytes(fields.selections)
    line_ids = dict.fromkeys(one.line_id for side in _SIDES.decode(selections) for one in side if one.line_id)
    market.books[key] = Book(
        selections, list(line_ids), fields.type, fields.line, known.updated_at, fields.sequence_number
    )


def _take_wager(state: ExchangeState, number: str, wager: Wager) -> None:
    state.wagers[number] = wager
    if wager.status in OPEN:
        state.finished.pop(number, None)
        return
    state.finished[number] = None
    if len(state.finished) > MAX_FINISHED_WAGERS:
        oldest = next(iter(state.finished))
        del state.finished[oldest], state.wagers[oldest]


def members(known: Known) -> dict[str, object]:
    """The members of an ``info`` as published, and when it was told when it does not say so itself."""
    told: dict[str, object] = dict(msgspec.json.decode(known.info, type=dict[str, Raw]))
    told.setdefault("updated_at", known.updated_at)
    return told


def markets(event: SportEvent) -> list[dict[str, object]]:
    """The markets of an event as REST shows them (sheet §2.4)."""
    return [_shown(number, market) for number, market in event.markets.items()]


def _shown(number: str, market: Market) -> dict[str, object]:
    """A market has ``selections`` or ``market_lines``, never both: lines where there are several, or handicaps."""
    shown: dict[str, object] = {"id": int(number)} if number.isdigit() else {"id": number}
    if market.known is not None:
        shown |= members(market.known)
    kinds = [book.kind for book in market.books.values()] + [line.kind for line in market.lines.values()]
    shown.setdefault("type", next((kind for kind in kinds if kind), ""))
    values = {book.line for book in market.books.values()} | {line.line for line in market.lines.values()}
    if values - {0.0} or {"spread", "total"}.intersection(kinds):
        shown["market_lines"] = _rows(market)
    else:
        book = next(iter(market.books.values()), None)
        shown["selections"] = [] if book is None else Raw(book.selections)
        if book is not None and book.sequence_number is not None:
            shown["selections_sequence_number"] = book.sequence_number
    return shown


def _rows(market: Market) -> list[dict[str, object]]:
    """A row a book, with the members of the line that its first selection names; and the lines that have no book."""
    by_id = {line.line_id: line for line in market.lines.values()}
    rows: list[dict[str, object]] = []
    for book in market.books.values():
        line = next((by_id[line_id] for line_id in book.line_ids if line_id in by_id), None)
        row: dict[str, object] = {"type": book.kind} if line is None else members(line.known)
        row |= {"line": book.line, "selections": Raw(book.selections), "updated_at": book.updated_at}
        if book.sequence_number is not None:
            row["sequence_number"] = book.sequence_number
        rows.append(row)
    booked = {line_id for book in market.books.values() for line_id in book.line_ids}
    return rows + [
        members(line.known) | {"selections": []} for line in market.lines.values() if line.line_id not in booked
    ]
