"""REST's answers beside what the role knows: whether they differ, and taking them for the truth.

A thing differs when it is there on one side alone, when REST has a higher sequence_number, or the same content does not
stand there. A number of REST below ours says that REST lags behind the pushes; whoever asked decides what then. Markets
of an event count as one thing: they are handed out together.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from touchline.errors import RemoteProtocolError
from touchline.feeds.prophetx.consumer.books import Books, missing
from touchline.feeds.prophetx.consumer.changes import (
    ROWS,
    Info,
    Offers,
    descriptive_digest,
    line_key,
    read_offers,
    text,
)
from touchline.feeds.prophetx.consumer.entries import Entry, Market


class Verdict(enum.IntEnum):
    """How an answer stands to what is known; of several the highest counts."""

    SAME = 0
    DIFFERS = 1
    LAGS = 2


class Book(msgspec.Struct, frozen=True):
    """A book as REST shows it."""

    number: int | None
    at: int
    offers: Offers


class Row(msgspec.Struct, frozen=True):
    """A market as REST shows it: its own members, its books by the line's value, and the lines that have none."""

    info: Info
    books: Mapping[str, Book]
    lines: Mapping[str, Info]


def read_market(info: Info) -> Row:
    """The parts of a market's row (sheet §2.4): ``selections``, or ``market_lines`` with ``selections`` in each.

    Raises:
        RemoteProtocolError: its lines cannot be read.
    """
    books: dict[str, Book] = {}
    lines: dict[str, Info] = {}
    if bytes(info.selections) not in (b"", b"null"):
        number = info.selections_sequence_number  # this project's hub has it; the market's own says nothing of its book
        books[line_key(info.line)] = Book(number, info.at, read_offers(info.selections))
    try:
        rows = ROWS.decode(info.market_lines) if bytes(info.market_lines) not in (b"", b"null") else []
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RemoteProtocolError("market_lines cannot be read") from None
    for row in rows:
        offers = read_offers(row.selections)
        if offers.line_ids or offers.signature:
            books[line_key(row.line)] = Book(row.sequence_number, row.at, offers)
        elif line_id := text(row.line_id) or text(row.id):
            lines[line_id] = row
    return Row(info, books, lines)


def compare(known: Mapping[str, Entry], listed: Mapping[str, Info]) -> Verdict:
    """Tournaments or sport events: those that are known to stand, beside those that are listed."""
    verdict = Verdict.DIFFERS if missing(known, listed) else Verdict.SAME
    for key, info in listed.items():
        entry = known.get(key)
        if entry is None:
            verdict = max(verdict, Verdict.DIFFERS)
        else:
            verdict = max(verdict, _judge(entry, info.sequence_number, descriptive_digest(info)))
    return verdict


def compare_markets(books: Books, event_id: str, rows: Mapping[str, Row]) -> Verdict:
    """The markets of an event with their books."""
    event = books.events.get(event_id)
    markets = {} if event is None else {key: one for key, one in event.markets.items() if one.is_there}
    verdict = Verdict.SAME if markets.keys() == rows.keys() else Verdict.DIFFERS
    for market_id, row in rows.items():
        market = markets.get(market_id)
        if market is not None:
            verdict = max(verdict, *_judge_market(market, row))
    return verdict


def _judge_market(market: Market, row: Row) -> Iterator[Verdict]:
    if market.entry.is_known or _is_told(row.info):
        yield _judge(market.entry, row.info.sequence_number, descriptive_digest(row.info))
    for key, book in row.books.items():
        entry = market.books.get(key)
        if entry is None or not entry.is_there:
            yield Verdict.DIFFERS if book.offers.signature else Verdict.SAME
        else:
            yield _judge(entry, book.number, book.offers.signature)
    for key, entry in market.books.items():
        if key not in row.books and entry.is_there and entry.digest:
            yield Verdict.DIFFERS
    yield Verdict.SAME


def _judge(entry: Entry, number: int | None, digest: int) -> Verdict:
    if number is not None and entry.number is not None and number < entry.number:
        return Verdict.LAGS
    is_newer = number is not None and entry.number is not None and number > entry.number
    return Verdict.DIFFERS if is_newer or digest != entry.digest or not entry.is_there else Verdict.SAME


def _is_told(info: Info) -> bool:
    """Whether a market's row is more than the frame of its lines."""
    return bool(bytes(info.name)) or info.sequence_number is not None


def believe_tournaments(books: Books, known: Mapping[str, Entry], listed: Mapping[str, Info]) -> None:
    """What is listed stands; the others are gone."""
    for tournament_id in missing(known, listed):
        books.end_tournament(tournament_id, known[tournament_id].at)
    for tournament_id, info in listed.items():
        books.tournament(tournament_id).tell(info.sequence_number, info.at, descriptive_digest(info))


def believe_events(books: Books, tournament_id: str, known: Mapping[str, Entry], listed: Mapping[str, Info]) -> None:
    """What is listed of a tournament stands; its other events are gone."""
    for event_id in missing(known, listed):
        books.end_event(event_id, known[event_id].at)
    for event_id, info in listed.items():
        books.trim()
        event = books.event(event_id)
        books.place(event_id, event, tournament_id)
        event.entry.tell(info.sequence_number, info.at, descriptive_digest(info))


def believe_markets(books: Books, event_id: str, rows: Mapping[str, Row]) -> None:
    """What is listed of an event stands; its other markets are gone, and so are the other books of those."""
    books.trim()
    event = books.event(event_id)
    for market_id in missing([key for key, one in event.markets.items() if one.is_there], rows):
        books.end_market(event, market_id, event.markets[market_id].entry.at)
    for market_id, row in rows.items():
        market = books.market(event, market_id)
        if _is_told(row.info):
            market.entry.tell(row.info.sequence_number, row.info.at, descriptive_digest(row.info))
        for key in missing(market.books, row.books):
            market.books[key].tell(None, market.books[key].at, is_gone=True)
        for key, book in row.books.items():
            offers = book.offers
            books.below(market.books, key).tell(book.number, book.at, offers.signature, offers.line_ids)
            for line_id in offers.line_ids:
                if line_id in market.lines and market.lines[line_id].is_gone:  # it was made again meanwhile
                    market.lines[line_id].tell(None, book.at)
        for key, info in row.lines.items():
            books.below(market.lines, key).tell(info.sequence_number, info.at)


def newer_wagers(books: Books, rows: Sequence[Info]) -> list[int]:
    """The places of the rows that say something new; they are taken for the truth."""
    newer = []
    for index, info in enumerate(rows):
        entry = books.wager(text(info.order_id if info.id is None else info.id))
        number, at = info.sequence_number, info.at
        if number is not None and entry.number is not None:
            is_newer = number > entry.number
        else:
            is_newer = not entry.is_known or at > entry.at
        if is_newer:
            entry.tell(number, at)
            newer.append(index)
    return newer
