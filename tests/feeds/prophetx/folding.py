"""What a user does with the messages of the consumer role: the smallest fold that follows its documented rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from touchline.feeds.base import Message

Json = dict[str, Any]


class View:
    """Tournaments and events by id, markets, the offers of each book, wagers, balance, matches."""

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self.tournaments: dict[str, Any] = {}
        self.events: dict[str, tuple[str, Any]] = {}
        self.markets: dict[str, dict[str, Any]] = {}
        self.gone_lines: dict[tuple[str, str], set[str]] = {}
        self.books: dict[str, dict[str, dict[str, list[list[Json]]]]] = {}
        self.wagers: dict[str, Any] = {}
        self.balance: Any = None
        self.matches: list[Json] = []
        for message in messages:
            self.take(message)

    @property
    def state(self) -> Mapping[str, Any]:
        """All of it but what REST cannot show again."""
        return {
            "tournaments": self.tournaments,
            "events": {key: status for key, (_, status) in self.events.items()},
            "markets": {key: markets for key, markets in self.markets.items() if markets},
            "offers": self.offers,
            "wagers": self.wagers,
            "balance": self.balance,
        }

    @property
    def offers(self) -> set[Any]:
        """Whatever may be taken: a placeholder offers nothing."""
        return {
            (event, market, line, side, one["line_id"], one["odds"], one["stake"])
            for event, markets in self.books.items()
            for market, books in markets.items()
            for line, sides in books.items()
            for side, ones in enumerate(sides)
            for one in ones
            if one["odds"] and one["stake"] > 0
        }

    def take(self, message: Message) -> None:
        raw, data = json.loads(message.raw), json.loads(message.data)
        if "call" in raw:
            assert (raw["call"], raw["data"]) == (message.source, data)
            getattr(self, f"_{message.source}")(data)
        else:
            assert raw["change_type"] == message.source
            getattr(self, f"_take_{message.source}")(data, raw["op"] == "d")

    # what was read

    def _get_tournaments(self, data: Json) -> None:
        listed = {str(row["id"]): row["name"] for row in data["tournaments"]}
        for gone in {*data["gone"], *(self.tournaments.keys() - listed.keys())}:
            self._end_tournament(gone)
        self.tournaments |= listed

    def _get_sport_events(self, data: Json) -> None:
        listed = {str(row["event_id"]): (data["tournament_id"], row["status"]) for row in data["sport_events"]}
        others = [key for key, (of, _) in self.events.items() if of == data["tournament_id"] and key not in listed]
        for gone in (*data["gone"], *others):
            self._end_event(gone)
        self.events |= listed

    def _get_multiple_markets(self, data: Json) -> None:
        event = data["event_id"]
        self.markets[event], self.books[event] = {}, {}
        for row in data["markets"]:
            market = str(row["id"])
            if "name" in row:
                self.markets[event][market] = row["status"]
            books = self.books[event][market] = {}
            if "selections" in row:
                books[repr(float(row.get("line", 0)))] = row["selections"]
            for line in row.get("market_lines", ()):
                if line["selections"]:
                    books[repr(float(line["line"]))] = line["selections"]
            named = {one["line_id"] for sides in books.values() for side in sides for one in side}
            self.gone_lines.get((event, market), set()).difference_update(named)

    def _get_wagers(self, data: Json) -> None:
        self.wagers |= {str(row["id"]): (row["status"], row["matched_stake"]) for row in data["wagers"]}

    def _get_balance(self, data: Json) -> None:
        self.balance = data["balance"]

    # what was pushed

    def _take_tournament(self, data: Json, gone: bool) -> None:
        if gone:
            self._end_tournament(str(data["id"]))
        else:
            self.tournaments[str(data["id"])] = data["info"]["name"]

    def _take_sport_event(self, data: Json, gone: bool) -> None:
        if gone:
            self._end_event(str(data["id"]))
        else:
            self.events[str(data["id"])] = (str(data["tournament_id"]), data["info"]["status"])

    def _take_market(self, data: Json, gone: bool) -> None:
        event, market = str(data["info"]["sport_event_id"]), str(data["info"]["id"])
        if gone:
            for part in (self.markets, self.books):
                part.get(event, {}).pop(market, None)  # type: ignore[attr-defined]
        else:
            self.markets.setdefault(event, {})[market] = data["info"]["status"]

    def _take_market_line(self, data: Json, gone: bool) -> None:
        info = data["info"]
        event, market = str(info["sport_event_id"]), str(info["market_id"])
        gone_lines = self.gone_lines.setdefault((event, market), set())
        if not gone:
            gone_lines.discard(info["line_id"])
            return
        gone_lines.add(info["line_id"])
        books = self.books.get(event, {}).get(market, {})
        for key, sides in list(books.items()):
            named = {one["line_id"] for side in sides for one in side}
            if info["line_id"] in named and named <= gone_lines:
                del books[key]

    def _take_market_selections(self, data: Json, gone: bool) -> None:
        event, market, key = str(data["sport_event_id"]), str(data["market_id"]), repr(float(data["info"]["line"]))
        books = self.books.setdefault(event, {}).setdefault(market, {})
        if gone:
            books.pop(key, None)
        else:
            books[key] = data["info"]["selections"]

    def _take_matched_bet(self, data: Json, gone: bool) -> None:
        self.matches.append(data["info"])

    def _take_wager(self, data: Json, gone: bool) -> None:
        info = data["info"]
        self.wagers[str(info["id"])] = (info["status"], info["matched_stake"])

    def _end_tournament(self, key: str) -> None:
        self.tournaments.pop(key, None)
        for event in [event for event, (of, _) in self.events.items() if of == key]:
            self._end_event(event)

    def _end_event(self, key: str) -> None:
        for part in (self.events, self.markets, self.books):
            part.pop(key, None)  # type: ignore[attr-defined]
