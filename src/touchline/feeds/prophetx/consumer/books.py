"""What the role knows: how new each thing is, so that a stale update is dropped, and enough of its content to compare.

The keys are tournament, event, (event, market), (event, market, line id), (event, market, line) and wager (sheet §7).
An update is stale when its sequence_number is not above the last one of its key; where one of them has none, when its
outer timestamp is not. Two kinds of number are never compared with each other: their units are not documented. What is
removed leaves its numbers behind, and whatever is older than a removal is stale for everything below it; a thing that
is made again (op ``c``, or later than a removal without a number) is new. A match is no state: each goes out once.

Memory is bounded: of events, with all that is below them, those that nothing was heard of for longest are forgotten
first when there are more than ``MAX_ENTRIES`` things; of tournaments, wagers and matches so many as the constants say.
What is forgotten is handed out again when it is met again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from touchline.feeds.prophetx.consumer.changes import Push
from touchline.feeds.prophetx.consumer.entries import Entry, Market, SportEvent

MAX_ENTRIES: Final = 400_000
MAX_TOURNAMENTS: Final = 10_000
MAX_WAGERS: Final = 50_000
MAX_MATCHES: Final = 20_000


class Books:
    """See the module docstring."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self.tournaments: OrderedDict[str, Entry] = OrderedDict()
        self.events: OrderedDict[str, SportEvent] = OrderedDict()
        self.wagers: OrderedDict[str, Entry] = OrderedDict()
        self._of_tournament: dict[str, dict[str, None]] = {}
        self._matches: OrderedDict[int, None] = OrderedDict()
        self._max_entries = max_entries
        self._entries = 0

    @property
    def entries(self) -> int:
        """How many things below tournaments are remembered."""
        return self._entries

    def take(self, push: Push) -> bool:
        """Take an update into account; False when it is stale and nobody should see it."""
        self.trim()
        match push.kind:
            case "tournament":
                return self._take_tournament(push)
            case "sport_event":
                return self._take_event(push)
            case "market" | "market_line" | "market_selections":
                return self._take_below(push)
            case "matched_bet":
                return self._take_match(push.digest)
            case "wager":
                return self._take_wager(push)
        return True

    def trim(self) -> None:
        """Make room for what comes next."""
        while self._entries >= self._max_entries and self.events:
            self._forget(next(iter(self.events)))

    # finding

    def tournament(self, tournament_id: str) -> Entry:
        """The entry of a tournament, made when it is not there."""
        return _found(self.tournaments, tournament_id, MAX_TOURNAMENTS)

    def event(self, event_id: str) -> SportEvent:
        """The sport event, made when it is not there; it counts as just heard of."""
        found = self.events.get(event_id)
        if found is None:
            found = self.events[event_id] = SportEvent()
            self._entries += 1
        else:
            self.events.move_to_end(event_id)
        return found

    def market(self, event: SportEvent, market_id: str) -> Market:
        """A market of an event, made when it is not there."""
        found = event.markets.get(market_id)
        if found is None:
            found = event.markets[market_id] = Market()
            self._entries += 1
        return found

    def below(self, part: dict[str, Entry], key: str) -> Entry:
        """A line or a book of a market, made when it is not there."""
        found = part.get(key)
        if found is None:
            found = part[key] = Entry()
            self._entries += 1
        return found

    def wager(self, wager_id: str) -> Entry:
        """The entry of a wager, made when it is not there."""
        return _found(self.wagers, wager_id, MAX_WAGERS)

    def events_of(self, tournament_id: str) -> list[str]:
        """The events of a tournament that stand."""
        return [one for one in self._of_tournament.get(tournament_id, ()) if self.events[one].is_there]

    def standing_tournaments(self) -> dict[str, Entry]:
        """The tournaments that stand, or of which an event does."""
        told = {key for key, entry in self.tournaments.items() if entry.is_there}
        told.update(key for key in self._of_tournament if self.events_of(key))
        return {key: self.tournament(key) for key in sorted(told)}

    # removing

    def place(self, event_id: str, event: SportEvent, tournament_id: str) -> None:
        """Say to which tournament an event belongs."""
        if tournament_id and event.tournament_id != tournament_id:
            self._of_tournament.get(event.tournament_id, {}).pop(event_id, None)
            event.tournament_id = tournament_id
            self._of_tournament.setdefault(tournament_id, {})[event_id] = None

    def end_tournament(self, tournament_id: str, at: int, *, all_events: bool = True) -> None:
        """A tournament is gone, and its events with it: all of them, or those that the user knows to be its own."""
        entry = self.tournament(tournament_id)
        entry.tell(None, at, is_gone=True)
        for event_id in list(self._of_tournament.get(tournament_id, ())):
            if all_events or self.events[event_id].entry.is_there:
                self.end_event(event_id, at)

    def end_event(self, event_id: str, at: int) -> None:
        """An event is gone, and its markets with it."""
        event = self.event(event_id)
        self._entries -= event.size - 1
        event.markets.clear()
        event.entry.tell(None, at, is_gone=True)

    def end_market(self, event: SportEvent, market_id: str, at: int) -> None:
        """A market is gone, and its lines and books with it."""
        market = self.market(event, market_id)
        self._entries -= len(market.lines) + len(market.books)
        market.lines.clear()
        market.books.clear()
        market.entry.tell(None, at, is_gone=True)

    def _forget(self, event_id: str) -> None:
        event = self.events.pop(event_id)
        self._entries -= event.size
        rest = self._of_tournament.get(event.tournament_id)
        if rest is not None:
            rest.pop(event_id, None)
            if not rest:
                del self._of_tournament[event.tournament_id]

    # pushes

    def _take_tournament(self, push: Push) -> bool:
        entry = self.tournament(push.key)
        if entry.is_stale(push):
            return False
        entry.take(push)
        if push.is_gone:
            # Of some events only markets may have been told, which name no tournament: a compare will name those.
            self.end_tournament(push.key, push.at, all_events=False)
        return True

    def _take_event(self, push: Push) -> bool:
        event = self.event(push.key)
        if event.entry.is_stale(push):
            return False
        self.place(push.key, event, push.tournament_id)
        event.entry.take(push)
        if push.is_gone:
            self.end_event(push.key, push.at)
        return True

    def _take_below(self, push: Push) -> bool:
        event = self.event(push.event_id)
        if event.entry.hides(push.at):
            return False
        self.place(push.event_id, event, push.tournament_id)
        market = self.market(event, push.market_id)
        if push.kind == "market":
            if market.entry.is_stale(push):
                return False
            market.entry.take(push)
            if push.is_gone:
                self.end_market(event, push.market_id, push.at)
            return True
        if market.entry.hides(push.at):
            return False
        entry = self.below(market.lines if push.kind == "market_line" else market.books, push.key)
        if entry.is_stale(push):
            return False
        entry.take(push)
        if push.is_gone and push.kind == "market_line":
            _end_books_of(market, push.key, push.at)
        return True

    def _take_match(self, digest: int) -> bool:
        if digest in self._matches:
            return False
        self._matches[digest] = None
        if len(self._matches) > MAX_MATCHES:
            self._matches.popitem(last=False)
        return True

    def _take_wager(self, push: Push) -> bool:
        entry = self.wager(push.key)
        if entry.is_stale(push):
            return False
        entry.take(push)
        return True


def _end_books_of(market: Market, line_id: str, at: int) -> None:
    """Books whose lines are all gone now. A line that was never told stands: REST shows books, not every line."""
    for book in market.books.values():
        lines = [market.lines.get(one) for one in book.line_ids]
        if line_id in book.line_ids and all(line is not None and line.is_gone for line in lines):
            book.tell(None, at, is_gone=True)


def _found(entries: OrderedDict[str, Entry], key: str, at_most: int) -> Entry:
    entry = entries.get(key)
    if entry is None:
        entry = entries[key] = Entry()
        if len(entries) > at_most:
            entries.popitem(last=False)
    else:
        entries.move_to_end(key)
    return entry


def missing(known: Iterable[str], listed: Iterable[str]) -> list[str]:
    """What is known and not listed."""
    there = set(listed)
    return [one for one in known if one not in there]
