"""What REST answered, taken against what is known: what is news goes out, and what to read next is told.

A message is the whole truth of its scope and replaces what was known there; ``reconcile`` lists them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from touchline.feeds.prophetx.consumer import comparing, reading
from touchline.feeds.prophetx.consumer.books import Books, missing
from touchline.feeds.prophetx.consumer.calls import Outlet
from touchline.feeds.prophetx.consumer.changes import text
from touchline.feeds.prophetx.consumer.comparing import Verdict
from touchline.feeds.prophetx.consumer.reading import Step
from touchline.wire.http import HttpResponse

MAX_WAGER_PAGES: Final = 500


class Following(NamedTuple):
    """What is to be read next: further steps, events whose markets are wanted, and steps whose answers lagged."""

    steps: tuple[Step, ...] = ()
    event_ids: tuple[str, ...] = ()
    again: tuple[Step, ...] = ()


class Answers:
    """Compares, hands out and counts. An answer that is older than the pushes is asked for again, ``patience`` times;
    when it is still older, REST is right: a provider's numbers may have been set back.
    """

    def __init__(self, chosen: tuple[str, ...], outlet: Outlet, books: Books) -> None:
        self.patience = 0
        self.read = self.differing = 0
        self._chosen = frozenset(chosen)
        self._outlet, self._books = outlet, books
        self._balance: int | None = None
        self._pages = 0

    def begin(self, patience: int) -> None:
        """Count anew."""
        self.patience = patience
        self.read = self.differing = self._pages = 0

    def take(self, step: Step, response: HttpResponse) -> Following:
        """A good answer to a step. Raises RemoteProtocolError when it cannot be read."""
        match step.call:
            case reading.TOURNAMENTS:
                return self._take_tournaments(step, response)
            case reading.SPORT_EVENTS:
                return self._take_events(step, response)
            case reading.MARKETS:
                return self._take_markets(step, response)
            case reading.WAGERS:
                return self._take_wagers(response)
        return self._take_balance(response)

    def _take_tournaments(self, step: Step, response: HttpResponse) -> Following:
        rows = reading.rows_of(reading.members_of(response), "tournaments")
        chosen = {text(info.id): (raw, info) for raw, info in rows if not self._chosen or text(info.id) in self._chosen}
        listed = {key: info for key, (_, info) in chosen.items()}
        known = self._books.standing_tournaments()
        verdict = comparing.compare(known, listed)
        if self._asks_again(step, verdict):
            return Following(again=(_once_more(step),))
        if self._is_news(verdict):
            gone, shown = missing(known, listed), [raw for raw, _ in chosen.values()]
            below = {tournament_id: self._books.events_of(tournament_id) for tournament_id in gone}
            comparing.believe_tournaments(self._books, known, listed)
            self._outlet.wish(reading.message(step.call, tournaments=shown, gone=gone))
            for tournament_id, event_ids in below.items():
                if event_ids:
                    self._tell_events(tournament_id, [], event_ids)
        return Following(tuple(Step(reading.SPORT_EVENTS, (key,)) for key in listed))

    def _take_events(self, step: Step, response: HttpResponse) -> Following:
        (tournament_id,) = step.ids
        rows = reading.rows_of(reading.members_of(response), "sport_events")
        listed = {text(info.id if info.event_id is None else info.event_id): info for _, info in rows}
        known = {key: self._books.events[key].entry for key in self._books.events_of(tournament_id)}
        verdict = comparing.compare(known, listed)
        if self._asks_again(step, verdict):
            return Following(again=(_once_more(step),))
        if self._is_news(verdict):
            comparing.believe_events(self._books, tournament_id, known, listed)
            self._tell_events(tournament_id, [raw for raw, _ in rows], missing(known, listed))
        return Following(event_ids=tuple(listed))

    def _tell_events(self, tournament_id: str, shown: list[msgspec.Raw], gone: list[str]) -> None:
        call = reading.SPORT_EVENTS
        self._outlet.wish(reading.message(call, tournament_id=tournament_id, sport_events=shown, gone=gone))

    def _take_markets(self, step: Step, response: HttpResponse) -> Following:
        found, again = reading.markets_of(response), []
        for event_id in step.ids:
            rows = found.get(event_id, [])
            markets = {text(info.id): comparing.read_market(info) for _, info in rows}
            verdict = comparing.compare_markets(self._books, event_id, markets)
            if self._asks_again(step, verdict):
                again.append(event_id)
            elif self._is_news(verdict):
                comparing.believe_markets(self._books, event_id, markets)
                self._outlet.wish(reading.message(step.call, event_id=event_id, markets=[raw for raw, _ in rows]))
        return Following(again=(_once_more(step, tuple(again)),) if again else ())

    def _take_wagers(self, response: HttpResponse) -> Following:
        members = reading.members_of(response)
        rows = reading.rows_of(members, "wagers" if "wagers" in members else "orders")
        newer = comparing.newer_wagers(self._books, [info for _, info in rows])
        self.read += len(rows)
        self.differing += len(newer)
        if newer:
            self._outlet.wish(reading.message(reading.WAGERS, wagers=[rows[index][0] for index in newer]))
        self._pages += 1
        cursor = reading.cursor_of(members)
        if not cursor:
            return Following()
        if self._pages >= MAX_WAGER_PAGES:
            self._outlet.notice("unread", f"there are more wagers than {MAX_WAGER_PAGES} pages; the rest is not read")
            return Following()
        return Following((Step(reading.WAGERS, cursor=cursor),))

    def _take_balance(self, response: HttpResponse) -> Following:
        members = reading.members_of(response)
        digest = reading.balance_digest(members)
        self.read += 1
        if digest != self._balance:
            self._balance = digest
            self.differing += 1
            self._outlet.wish(reading.message(reading.BALANCE, **members))
        return Following()

    def _asks_again(self, step: Step, verdict: Verdict) -> bool:
        return verdict is Verdict.LAGS and step.tries < self.patience

    def _is_news(self, verdict: Verdict) -> bool:
        self.read += 1
        self.differing += verdict is not Verdict.SAME
        return verdict is not Verdict.SAME


def _once_more(step: Step, ids: tuple[str, ...] | None = None) -> Step:
    return Step(step.call, step.ids if ids is None else ids, step.cursor, step.tries + 1)
