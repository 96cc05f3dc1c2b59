"""What the consumer role reads by REST, when, and what of it is news; what waits meanwhile, and how long."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from touchline.feeds.prophetx.consumer import reconcile
from touchline.feeds.prophetx.consumer.reconcile import AGAIN_SECONDS, COMPARE_SECONDS, HOLD_SECONDS
from touchline.wire.http import HttpRequest, HttpResponse

from .consumer_worlds import PRIVATE, SEQ, Provider, book, good, market, query, refused, sides, sport_event, wager
from .folding import View

TOURNAMENTS, EVENTS, MARKETS, WAGERS, BALANCE = (
    "/mm/get_tournaments",
    "/mm/get_sport_events",
    "/mm/get_multiple_markets",
    "/mm/get_wagers",
    "/mm/get_balance",
)


class Exchange(Provider):
    """A provider with one tournament whose events all have one market, and a wager."""

    def __init__(self, events: int = 1, **settings: Any) -> None:
        self.numbers = dict.fromkeys(range(7, 7 + events), 10)
        self.odds = 120
        self.wagers = {"w1": 1}
        super().__init__(**settings)
        self.answers |= {
            TOURNAMENTS: good({"data": {"tournaments": [{"id": 109, "name": "MLB"}, {"id": 132, "name": "NBA"}]}}),
            EVENTS: self.events,
            MARKETS: self.markets,
            WAGERS: lambda _: good({"data": {"wagers": [wager(n, w)["info"] for w, n in self.wagers.items()]}}),
            BALANCE: good({"data": {"balance": 5, "unmatched_wager_last_synced_at": 1}}),
        }

    def events(self, request: HttpRequest) -> HttpResponse:
        there = self.numbers if query(request)["tournament_id"] == "109" else {}
        return good({"data": {"sport_events": [sport_event(1, event=event)["info"] for event in there]}})

    def markets(self, request: HttpRequest) -> HttpResponse:
        return good({"data": {event: [self.row(int(event))] for event in query(request)["event_ids"].split(",")}})

    def row(self, event: int) -> dict[str, Any]:
        info: dict[str, Any] = market(2, event=event)["info"]
        shown = {"selections": sides(self.odds), "selections_sequence_number": SEQ + self.numbers[event]}
        return info | shown | {"type": "moneyline", "updated_at": 1_687_278_019_199_067_361}


def test_everything_is_read_once_and_told_as_the_whole_of_its_scope() -> None:
    provider = Exchange().connect()
    provider.pass_time(3)
    assert provider.paths[3:] == [TOURNAMENTS, EVENTS, EVENTS, MARKETS, WAGERS, BALANCE]
    assert [query(request) for request in provider.requests[3:]] == [
        {},
        {"tournament_id": "109"},
        {"tournament_id": "132"},
        {"event_ids": "7"},
        {},
        {},
    ]
    assert provider.sources == [
        "get_tournaments",
        "get_sport_events",
        "get_multiple_markets",
        "get_wagers",
        "get_balance",
    ]
    for message in provider.messages:
        assert json.loads(message.raw) == {"call": message.source, "data": json.loads(message.data)}
    assert b'"updated_at": 1687278019199067361' in provider.messages[2].data, "bytes of a row leave as they came"
    assert json.loads(provider.messages[1].data).keys() == {"tournament_id", "sport_events", "gone"}
    assert provider.kinds == ["connected", "reconciled"]
    view = View(provider.messages)
    assert view.offers == {("7", "5", "0.0", 0, "l1", 120, 10)}
    assert view.wagers == {"w1": ("open", 0)}
    assert view.balance == 5


def test_pushes_wait_for_the_reads_and_only_the_newer_go_out() -> None:
    provider = Exchange().connect()
    for number in (9, 10, 11):
        provider.push("market_selections", book(number, 100 + number), at=number)
    provider.push("something_new", {"n": 1})
    provider.push("wager", wager(1), event="wagers")
    provider.push("wager", wager(2, matched=3), event="wagers")
    provider.settle()
    assert provider.sources == ["get_tournaments"]
    provider.pass_time(3)
    assert provider.sources[:3] == ["get_tournaments", "get_sport_events", "get_multiple_markets"]
    told = [(message.source, json.loads(message.data)) for message in provider.messages[3:]]
    numbers = [value["info"]["sequence_number"] - SEQ for source, value in told if source == "market_selections"]
    assert numbers == [11]
    assert [source for source, _ in told].count("wager") == 1
    assert [source for source, _ in told].count("something_new") == 1
    view = View(message for message in provider.messages if message.source != "something_new")
    assert view.offers == {("7", "5", "0.0", 0, "l1", 111, 10)}
    assert view.wagers == {"w1": ("open", 3)}


def test_after_a_break_only_what_differs_is_told() -> None:
    provider = Exchange(events=3).live()
    provider.push("market_selections", book(12, 130, event=8), at=12)
    provider.settle()
    provider.forget()
    provider.numbers[8], provider.numbers[9] = 12, 15
    provider.odds = 130
    provider.wagers = {"w1": 1, "w2": 4}

    def rows(request: HttpRequest) -> HttpResponse:
        unchanged = provider.row(7) | {"selections": sides(120)}
        return good({"data": {"7": [unchanged], "8": [provider.row(8)], "9": [provider.row(9)]}})

    provider.answers[MARKETS] = rows
    provider.close(1006)
    provider.pass_time(1)
    provider.join()
    provider.pass_time(3)
    assert [(m.source, json.loads(m.data).get("event_id")) for m in provider.messages] == [
        ("get_multiple_markets", "9"),
        ("get_wagers", None),
    ]
    assert [row["id"] for row in json.loads(provider.messages[1].data)["wagers"]] == ["w2"]
    assert provider.notices[-1].detail == "2 of 9 things read by REST were news"


def test_what_went_away_during_a_break_is_told() -> None:
    provider = Exchange(events=2)
    provider.live()
    del provider.numbers[8]
    provider.answers[TOURNAMENTS] = good({"data": {"tournaments": [{"id": 109, "name": "MLB"}]}})
    provider.close(1006)
    provider.pass_time(1)
    provider.join()
    provider.pass_time(3)
    assert [(m.source, json.loads(m.data)["gone"]) for m in provider.messages] == [
        ("get_tournaments", ["132"]),
        ("get_sport_events", ["8"]),
    ]


def test_many_events_are_read_in_parts_and_not_too_fast() -> None:
    provider = Exchange(events=130).connect()
    started = provider.seconds
    provider.pass_time(5)
    parts = [len(query(r)["event_ids"].split(",")) for r in provider.requests if "multiple" in r.url]
    assert sum(parts) == 130
    assert max(parts) <= 50
    assert "reconciled" in provider.kinds
    assert provider.sources.count("get_multiple_markets") == 130
    assert len(provider.requests) <= 50 * (provider.seconds - started)


def test_wagers_come_in_pages() -> None:
    provider = Exchange()

    def pages(request: HttpRequest) -> HttpResponse:
        page = int(query(request).get("next_cursor", "0"))
        rows = [wager(1, f"w{page}-{index}")["info"] for index in range(3)]
        return good({"data": {"wagers": rows, "next_cursor": str(page + 1) if page < 4 else ""}})

    provider.answers[WAGERS] = pages
    provider.connect()
    provider.pass_time(3)
    assert provider.paths.count(WAGERS) == 5
    assert len(View(provider.messages).wagers) == 15


def test_a_provider_without_the_private_reads_is_no_trouble() -> None:
    provider = Exchange()
    provider.answers[WAGERS] = provider.answers[BALANCE] = refused(404)
    provider.connect()
    provider.pass_time(3)
    assert provider.kinds == ["connected", "reconciled"]


def test_a_balance_that_was_only_looked_at_again_is_no_news() -> None:
    provider = Exchange().live()
    provider.answers[BALANCE] = good({"data": {"balance": 5, "unmatched_wager_last_synced_at": 2}})
    provider.pass_time(COMPARE_SECONDS + 3)
    assert provider.messages == []
    provider.answers[BALANCE] = good({"data": {"balance": 4.5, "unmatched_wager_last_synced_at": 3}})
    provider.pass_time(COMPARE_SECONDS)
    assert provider.sources == ["get_balance"]


def test_what_is_ones_own_is_read_when_its_channel_is_there() -> None:
    provider = Exchange()
    provider.settle()
    provider.greet()
    provider.settle()
    provider.confirm("private-broadcast-service=3-device_type=5")
    provider.pass_time(3)
    assert WAGERS not in provider.paths
    provider.confirm(PRIVATE)
    provider.pass_time(1)
    assert provider.paths[-2:] == [WAGERS, BALANCE]
    assert View(provider.messages).wagers == {"w1": ("open", 0)}


def test_pushes_only_reads_nothing_and_holds_nothing() -> None:
    provider = Exchange(pushes_only=True).connect()
    provider.push("market_selections", book(1, 120), at=1)
    provider.pass_time(COMPARE_SECONDS + 10)
    assert provider.sources == ["market_selections"]
    assert not any(path.startswith("/mm/get") for path in provider.paths)


def test_only_chosen_tournaments_are_read() -> None:
    provider = Exchange(tournaments=("132",)).connect()
    provider.pass_time(3)
    assert [query(request) for request in provider.requests if "sport_events" in request.url] == [
        {"tournament_id": "132"}
    ]
    assert json.loads(provider.messages[0].data) == {"tournaments": [{"id": 132, "name": "NBA"}], "gone": []}


# bounds


@pytest.mark.parametrize(("name", "value"), [("MAX_HELD", 50), ("MAX_HELD_BYTES", 20_000)])
def test_more_pushes_than_can_be_held_go_out_and_it_is_said(
    name: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, name, value)
    provider = Exchange()
    provider.connect()
    for number in range(1, 100):
        provider.push("market_selections", book(number, 100 + number), at=number)
    provider.settle()
    assert provider.sources.count("market_selections") == 99
    assert [n.kind for n in provider.notices if n.kind == "unreconciled"] == ["unreconciled"]
    provider.forget()
    provider.numbers[7], provider.odds = 120, 300
    provider.pass_time(AGAIN_SECONDS + 3)
    assert "get_multiple_markets" in provider.sources, "compared a minute later"
    assert provider.paths.count(TOURNAMENTS) == 1


def test_reads_that_take_too_long_are_given_up_and_made_up_for() -> None:
    provider = Exchange()
    provider.answers[MARKETS] = refused(500)
    provider.connect()
    provider.push("market_selections", book(20, 300), at=5)
    provider.pass_time(HOLD_SECONDS - 1)
    assert "market_selections" not in provider.sources
    provider.pass_time(2)
    assert "market_selections" in provider.sources
    assert provider.kinds.count("unreconciled") == 1
    provider.push("market_selections", book(21, 310), at=6)
    provider.settle()
    assert provider.sources.count("market_selections") == 2, "live"
    provider.answers[MARKETS] = provider.markets
    provider.numbers[7], provider.odds = 25, 320
    provider.pass_time(AGAIN_SECONDS + 3)
    assert View(provider.messages).offers == {("7", "5", "0.0", 0, "l1", 320, 10)}


def test_answers_that_are_too_large_are_asked_for_in_parts() -> None:
    provider = Exchange(events=20)

    def limited(request: HttpRequest) -> HttpResponse | None:
        return None if len(query(request)["event_ids"].split(",")) > 5 else provider.markets(request)

    provider.answers[MARKETS] = limited
    provider.connect()
    provider.pass_time(HOLD_SECONDS + AGAIN_SECONDS)
    assert provider.kinds.count("unreconciled") == 1
    provider.pass_time(60)
    assert provider.sources.count("get_multiple_markets") == 20
    assert provider.sources[-2:] == ["get_wagers", "get_balance"]


def test_reading_goes_on_while_pushes_come_without_a_pause() -> None:
    provider = Exchange().connect()
    for number in range(11, 60):
        provider.seconds += 0.01
        provider.push("market_selections", book(number, 100 + number), at=number)
        provider.settle()
    assert provider.kinds == ["connected", "reconciled"]
    assert View(provider.messages).offers == {("7", "5", "0.0", 0, "l1", 159, 10)}


def test_a_name_that_is_no_utf_8_is_read_and_compared() -> None:
    provider = Exchange()
    row = b'{"id":109,"name":"M\xfcnchen"}'
    provider.answers[TOURNAMENTS] = HttpResponse(200, b'{"data":{"tournaments":[%b]}}' % row)
    provider.connect()
    provider.pass_time(3)
    assert row in provider.messages[0].data
    provider.forget()
    provider.pass_time(COMPARE_SECONDS)
    assert (TOURNAMENTS in provider.paths, provider.messages) == (True, [])


def test_an_event_whose_markets_are_null_has_none() -> None:
    provider = Exchange(events=2)
    provider.answers[MARKETS] = lambda _: good({"data": {"7": None, "8": [provider.row(8)]}})
    provider.connect()
    provider.pass_time(3)
    assert provider.kinds == ["connected", "reconciled"]
    assert View(provider.messages).offers == {("8", "5", "0.0", 0, "l1", 120, 10)}


def test_a_break_hands_out_what_was_held() -> None:
    provider = Exchange().connect()
    provider.push("matched_bet", {"info": {"line_id": "l1", "sequence_number": 5}})
    provider.settle()
    assert "matched_bet" not in provider.sources
    provider.close(1006)
    provider.settle()
    assert provider.sources[-1] == "matched_bet"


def test_where_something_was_removed_meanwhile_is_read_once_more() -> None:
    """A market that was removed and made again before it was read: its old book is held, and older than its removal."""
    provider = Exchange().connect()
    provider.push("market_selections", book(3, 300, line=1.5), at=3)
    provider.push("market", market(1, "closed"), "d", at=4)
    provider.pass_time(3)
    assert provider.paths.count(MARKETS) == 2
    assert View(provider.messages).offers == {("7", "5", "0.0", 0, "l1", 120, 10)}
    provider.forget()
    provider.pass_time(COMPARE_SECONDS + 3)
    assert provider.messages == []


def test_lines_that_were_made_again_during_a_break_are_there_again() -> None:
    provider = Exchange().live()

    def line(name: str, op: str, at: int) -> None:
        info = {"sport_event_id": 7, "market_id": 5, "line_id": name, "sequence_number": SEQ + at}
        provider.push("market_line", {"id": 1, "info": info}, op, at=at)

    line("l1", "d", 20)
    line("l2", "d", 21)
    provider.numbers[7] = 30
    provider.close(1006)
    provider.pass_time(1)
    provider.join()
    provider.pass_time(3)
    line("l1", "d", 40)
    provider.settle()
    assert provider.sources == ["market_line", "market_line", "get_multiple_markets", "market_line"]
    provider.pass_time(COMPARE_SECONDS + 3)
    assert provider.sources[4:] == [], "the other line still has its book"


def test_a_tournament_that_ends_ends_events_of_which_only_markets_were_told() -> None:
    provider = Exchange().live()
    provider.push("market", market(5, event=70), at=50, event="tournament_132")
    provider.push("tournament", {"id": "132"}, "d", at=51, event="tournament_132")
    provider.answers[TOURNAMENTS] = good({"data": {"tournaments": [{"id": 109, "name": "MLB"}]}})
    provider.pass_time(COMPARE_SECONDS + 3)
    assert View(provider.messages).markets.get("70") is None
    assert provider.sources[2:] == ["get_tournaments", "get_sport_events"]


# comparing


def test_every_quarter_of_an_hour_what_was_missed_is_found() -> None:
    provider = Exchange().live()
    provider.pass_time(COMPARE_SECONDS + 3)
    assert (provider.messages, provider.kinds) == ([], []), "nothing was missed, nothing is said"
    assert MARKETS in provider.paths
    provider.numbers[7], provider.odds = 30, 140
    provider.pass_time(COMPARE_SECONDS)
    assert provider.sources == ["get_multiple_markets"]
    assert [notice.detail for notice in provider.notices] == ["1 of 6 things read by REST were news"]


def test_a_compare_holds_only_what_it_is_just_reading() -> None:
    provider = Exchange(events=2).live()
    compare_at = provider.seconds + COMPARE_SECONDS
    provider.pass_time(COMPARE_SECONDS - 5)
    while not any("multiple" in fetch.request.url for fetch in provider.waiting):
        if provider.waiting:
            provider.answer(provider.waiting.pop(0))
        provider.seconds += 0.05
        provider.health()
        provider.role.tick(provider.now)
        provider.settle(answering=False)
        assert provider.seconds < compare_at + 60
    provider.push("market_selections", book(31, 150, event=7), at=31)
    provider.push("market_selections", book(31, 150, event=12), at=31)
    provider.push("wager", wager(9), event="wagers")
    provider.settle(answering=False)
    assert provider.sources == ["market_selections", "wager"]
    provider.settle()
    assert provider.sources == ["market_selections", "wager", "market_selections"]


def lagging(provider: Exchange) -> Callable[[HttpRequest], HttpResponse]:
    """REST that stays behind the pushes."""
    provider.push("market_selections", book(50, 200), at=50)
    provider.settle()
    provider.forget()
    return provider.markets


def test_rest_that_lags_for_long_is_believed_in_the_end() -> None:
    """The provider's numbers may have been set back without a break of the line: then every push looked stale."""
    provider = Exchange().live()
    provider.answers[MARKETS] = lagging(provider)
    provider.push("market_selections", book(12, 205), at=70)
    provider.settle()
    assert provider.messages == []
    provider.pass_time(COMPARE_SECONDS + 6)
    assert provider.messages == [], "it is asked again with patience"
    provider.pass_time(25)
    assert provider.paths.count(MARKETS) == 4
    assert provider.sources == ["get_multiple_markets"]
    provider.push("market_selections", book(12, 205), at=80)
    provider.settle()
    assert provider.sources == ["get_multiple_markets", "market_selections"]


def test_rest_that_lags_and_catches_up_is_believed() -> None:
    provider = Exchange().live()
    lagging(provider)
    answers = iter([provider.numbers[7], 55])

    def slow(request: HttpRequest) -> HttpResponse:
        provider.numbers[7] = next(answers)
        return provider.markets(request)

    provider.answers[MARKETS] = slow
    provider.close(1006)
    provider.pass_time(1)
    provider.join()
    provider.pass_time(4)
    assert provider.sources == ["get_multiple_markets"]
    assert provider.paths.count(MARKETS) == 2


def test_after_a_break_rest_is_the_truth_even_with_lower_numbers() -> None:
    """As after a provider's history was set back: what follows then is not stale."""
    provider = Exchange().live()
    provider.answers[MARKETS] = lagging(provider)
    provider.close(1006)
    provider.pass_time(1)
    provider.join()
    provider.pass_time(6)
    assert provider.sources == ["get_multiple_markets"]
    provider.push("market_selections", book(11, 210), at=60)
    provider.settle()
    assert provider.sources == ["get_multiple_markets", "market_selections"]


def test_books_are_compared_by_what_they_offer_where_rest_has_no_numbers() -> None:
    provider = Exchange()
    row = {"id": 5, "name": "Moneyline", "status": "active", "type": "moneyline", "selections": sides(120)}
    provider.answers[MARKETS] = lambda _: good({"data": {"7": [row]}})
    provider.live()
    provider.pass_time(COMPARE_SECONDS + 3)
    assert provider.messages == []
    for nothing in ([], None):  # the same offer, without its placeholder
        row["selections"] = [sides(120.0, 10.0)[0], nothing]
        provider.pass_time(COMPARE_SECONDS)
        assert provider.messages == []
    row["selections"] = sides(121)
    provider.pass_time(COMPARE_SECONDS)
    assert provider.sources == ["get_multiple_markets"]


# what goes wrong


def test_a_call_that_is_refused_for_one_of_its_events_is_made_in_parts() -> None:
    provider = Exchange(events=20)

    def picky(request: HttpRequest) -> HttpResponse:
        ids = query(request)["event_ids"].split(",")
        return refused(404, "sport_event_not_found") if "13" in ids else provider.markets(request)

    provider.answers[MARKETS] = picky
    provider.connect()
    provider.pass_time(5)
    assert provider.sources.count("get_multiple_markets") == 19
    assert provider.kinds == ["connected", "reconciled"]


@pytest.mark.parametrize("call", [TOURNAMENTS, EVENTS, MARKETS, WAGERS, BALANCE])
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'{"data":7}', b"[" * 10_000, b"\xff"],
)
def test_an_answer_that_is_garbage_is_told_and_the_rest_goes_on(call: str, body: bytes) -> None:
    provider = Exchange()
    provider.answers[call] = HttpResponse(200, body)
    provider.connect()
    provider.pass_time(5)
    assert "protocol_error" in provider.kinds
    assert provider.kinds[-1] == "reconciled"
    provider.push("wager", wager(5), event="wagers")
    provider.settle()
    assert provider.sources[-1] == "wager"


@pytest.mark.parametrize("call", [TOURNAMENTS, EVENTS, MARKETS, WAGERS])
def test_rows_that_are_no_list_are_told(call: str) -> None:
    provider = Exchange()
    provider.answers[call] = good({"data": {"tournaments": 7, "sport_events": {}, "7": 7, "wagers": "x"}})
    provider.connect()
    provider.pass_time(5)
    assert "protocol_error" in provider.kinds
    assert provider.kinds[-1] == "reconciled"


@pytest.mark.parametrize("row", [7, {"id": []}, {"id": 5, "market_lines": 7}, {"id": 5, "sequence_number": "x"}])
def test_rows_that_are_odd_are_told_and_the_rest_goes_on(row: Any) -> None:
    provider = Exchange()
    provider.answers[MARKETS] = good({"data": {"7": [row]}})
    provider.connect()
    provider.pass_time(5)
    assert provider.kinds == ["connected", "protocol_error", "reconciled"]


@pytest.mark.parametrize("call", [WAGERS, BALANCE])
def test_a_read_that_no_token_is_good_for_is_told_and_the_rest_goes_on(call: str) -> None:
    provider = Exchange()
    provider.answers[call] = refused(401, "unauthorized")
    provider.connect()
    provider.pass_time(AGAIN_SECONDS * 5)
    assert provider.kinds == ["connected", "unread", "reconciled"]
    assert provider.paths.count("/auth/refresh") == 1
    assert provider.paths.count(TOURNAMENTS) == 1


def test_a_refused_read_is_told_and_the_rest_goes_on() -> None:
    provider = Exchange()
    provider.answers[EVENTS] = refused(400, "invalid_param", "no")
    provider.connect()
    provider.pass_time(3)
    assert [n.detail for n in provider.notices if n.kind == "unread"] == [
        "get_sport_events 109 was refused with 400 no",
        "get_sport_events 132 was refused with 400 no",
    ]
    assert provider.kinds[-1] == "reconciled"
