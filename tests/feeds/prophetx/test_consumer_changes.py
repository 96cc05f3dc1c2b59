"""What the consumer role makes of pushes: lossless, each once, nothing stale; and what it remembers."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.feeds.prophetx.consumer.books import MAX_MATCHES, Books
from touchline.feeds.prophetx.consumer.changes import decode

from .consumer_worlds import SEQ, Provider, book, market, sport_event, tournament, wager


def live(**settings: Any) -> Provider:
    """Live, with pushes alone: what REST adds is another matter."""
    provider = Provider(pushes_only=True, **settings).connect()
    provider.forget()
    return provider


def told(provider: Provider) -> list[tuple[str, Any]]:
    provider.settle()
    found = [(message.source, json.loads(message.data)) for message in provider.messages]
    provider.messages.clear()
    return found


def number_of(payload: Any) -> int:
    number: int = payload["info"]["sequence_number"] - SEQ
    return number


def test_a_push_comes_out_as_it_came_to_the_last_digit() -> None:
    provider = live()
    payload = b'{"info":{"updated_at":1687278019199067360, "x":1.0e2,"market_id":5,"n":9007199254740993},"id":"7"}'
    data = (
        '{"change_type":"something_new","op":"u","payload":"'
        + base64.b64encode(payload).decode()
        + '","timestamp":1687278241642408707,"more":[1.0]}'
    )
    provider.frame("tournament_109", data)
    provider.settle()
    (message,) = provider.messages
    assert (message.source, message.raw, message.data) == ("something_new", data.encode(), payload)
    assert message.resume == ""


@pytest.mark.parametrize("name", ["wager", "wagers", "order", "orders"])
def test_every_name_of_a_wager_is_taken(name: str) -> None:
    provider = live()
    for number in (1, 2, 2, 1, 3):
        provider.push(name, wager(number), at=number, event="wagers")
    assert [(source, number_of(payload)) for source, payload in told(provider)] == [(name, n) for n in (1, 2, 3)]


def test_the_later_vocabulary_is_keyed_too() -> None:
    provider = live()
    first = {"info": {"order_id": "o1", "sequence_number": 5}}
    provider.push("order", first, event="orders")
    provider.push("order", first, event="orders")
    strike = {"sport_event_id": 7, "market_id": 5, "info": {"strike": -3.5, "sequence_number": 9}}
    provider.push("market_selections", strike)
    provider.push("market_selections", strike)
    assert [source for source, _ in told(provider)] == ["order", "market_selections"]


def test_unknown_events_and_changes_pass() -> None:
    provider = live()
    provider.frame("price.ask.new", '{"n": 9007199254740993}')
    provider.frame("price.ask.new", {"object": 1})
    provider.push("something_new", b"no json at all")
    provider.frame("pusher_internal:subscription_count", '{"subscription_count":3}')
    provider.settle()
    assert [(message.source, message.data) for message in provider.messages] == [
        ("price.ask.new", b'{"n": 9007199254740993}'),
        ("price.ask.new", b'{"object": 1}'),
        ("something_new", b"no json at all"),
    ]
    assert provider.kinds == []


def test_a_payload_that_is_plain_json_is_taken() -> None:
    provider = live()
    data = {"change_type": "market", "op": "u", "payload": market(3), "timestamp": 1}
    provider.frame("tournament_109", json.dumps(data))
    assert told(provider) == [("market", market(3))]


@pytest.mark.parametrize(
    "data",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"change_type":7}',
        '{"change_type":"market","op":[]}',
        '{"change_type":"market","timestamp":"x"}',
        '{"change_type":"market","payload":"%%%"}',
        '{"change_type":"market","payload":"bm8="}',
        '{"change_type":"market","payload":"W10="}',
        '{"change_type":"market","payload":[]}',
        '{"change_type":"market","payload":{"info":7}}',
        '{"change_type":"market","payload":{"info":{"sequence_number":"x"}}}',
        '{"change_type":"market_selections","payload":' + "[" * 10_000,
        '{"change_type":"wager"}',
    ],
)
def test_a_broken_change_is_told_and_the_rest_goes_on(data: str) -> None:
    provider = live()
    provider.frame("tournament_109", data)
    provider.push("market", market(1))
    assert told(provider) == [("market", market(1))]
    assert provider.kinds == ["protocol_error"]
    assert provider.hangups == 0


@given(st.binary(max_size=200), st.sampled_from(["tournament_109", "wagers", "general", "x"]))
def test_no_payload_breaks_it(payload: bytes, event: str) -> None:
    provider = live()
    for change in ("market", "market_selections", "wager", "private_system_signal", "new"):
        provider.push(change, payload, event=event)
    provider.push("market", market(1))
    provider.settle()
    assert provider.hangups == 0
    assert provider.messages[-1].source == "market"


def test_only_chosen_tournaments_are_handed_out() -> None:
    provider = live(tournaments=("109",))
    provider.push("market", market(1), event="tournament_109")
    provider.push("market", market(2, event=8), event="tournament_132")
    provider.push("tournament", {"id": "132", "info": {"id": 132}}, event="general")
    provider.push("tournament", tournament(1), event="general")
    provider.push("wager", wager(1), event="wagers")
    provider.push("wager", wager(2) | {"tournament_id": "132"}, event="wagers")
    provider.push("new", {}, event="tournament_132")
    assert [source for source, _ in told(provider)] == ["market", "tournament", "wager", "wager"]


# stale


PUSHES = {
    "tournament": lambda n: ("tournament", tournament(n)),
    "sport_event": lambda n: ("sport_event", sport_event(n)),
    "market": lambda n: ("market", market(n)),
    "market_selections": lambda n: ("market_selections", book(n, 100 + (n or 0))),
    "market_line": lambda n: (
        "market_line",
        {"id": 1, "info": {"sport_event_id": 7, "market_id": 5, "line_id": "l1"} | tournament(n)["info"]},
    ),
    "wager": lambda n: ("wager", wager(n)),
}


@pytest.mark.parametrize("kind", PUSHES)
def test_what_has_no_higher_number_is_dropped(kind: str) -> None:
    provider = live()
    for number in (5, 5, 4, 7, 6, 8):
        change, payload = PUSHES[kind](number)
        provider.push(change, payload, at=100 + number)
    assert [number_of(payload) for _, payload in told(provider)] == [5, 7, 8]


@pytest.mark.parametrize("kind", PUSHES)
def test_without_numbers_the_outer_timestamp_decides(kind: str) -> None:
    provider = live()
    change, payload = PUSHES[kind](None)
    for at in (5, 5, 4, 7):
        provider.push(change, payload, at=at)
    assert len(told(provider)) == 2
    for _ in range(2):
        provider.push(change, payload, at=0)  # nothing is known of its age: better twice than never
    assert len(told(provider)) == 2


def test_keys_do_not_hide_each_other() -> None:
    provider = live()
    payloads = [
        book(9, 120),
        book(1, 120, line=-3.5),
        book(1, 120, line=3.5),
        book(1, 120, market=6),
        book(1, 120, event=8),
    ]
    for payload in payloads:
        provider.push("market_selections", payload)
    provider.push("market", market(1))
    provider.push("sport_event", sport_event(1))
    assert len(told(provider)) == 7


def test_a_bare_removal_is_told_and_what_is_older_is_stale() -> None:
    provider = live()
    provider.push("sport_event", sport_event(5), at=100)
    provider.push("market", market(6), at=101)
    provider.push("market_selections", book(7, 120), at=102)
    provider.push("sport_event", {"id": "7", "tournament_id": "109"}, "d", at=110)
    assert len(told(provider)) == 4
    provider.push("sport_event", {"id": "7", "tournament_id": "109"}, "d", at=110)
    provider.push("sport_event", sport_event(8), at=109)
    provider.push("market", market(9), at=109)
    provider.push("market_selections", book(9, 130), at=109)
    provider.push("market_line", PUSHES["market_line"](9)[1], at=110)
    assert told(provider) == []


@pytest.mark.parametrize("number", [11, 3])
def test_what_is_made_again_is_new(number: int) -> None:
    """Whether its numbers go on or begin anew; what is below it was forgotten with it."""
    provider = live()
    provider.push("sport_event", sport_event(10), at=100)
    provider.push("market", market(10), at=100)
    provider.push("market_selections", book(10, 120), at=100)
    provider.push("sport_event", {"id": "7", "tournament_id": "109"}, "d", at=110)
    told(provider)
    provider.push("sport_event", sport_event(number), "c", at=120)
    provider.push("market", market(number), "c", at=121)
    provider.push("market_selections", book(number, 130), at=122)
    assert [number_of(payload) for _, payload in told(provider)] == [number] * 3
    provider.push("market_selections", book(number, 140), at=123)
    provider.push("market_line", PUSHES["market_line"](10)[1], at=105)
    assert told(provider) == [], "not newer, and older than the removal"


def test_a_removal_of_an_event_with_info_goes_by_the_outer_id() -> None:
    provider = live()
    provider.push("sport_event", sport_event(5), at=100)
    gone = {"id": "7", "tournament_id": "109", "info": {"event_id": 0}}
    provider.push("sport_event", gone, "d", at=110)
    provider.push("sport_event", sport_event(6), at=105)
    assert [source for source, _ in told(provider)] == ["sport_event"] * 2


def test_below_a_market_that_was_removed_what_is_older_is_stale() -> None:
    provider = live()
    provider.push("market", market(5), at=100)
    provider.push("market", market(6, "closed"), "d", at=110)
    provider.push("market_selections", book(9, 130), at=109)
    provider.push("market_line", PUSHES["market_line"](9)[1], at=109)
    assert [source for source, _ in told(provider)] == ["market"] * 2
    provider.push("market_selections", book(9, 130), at=111)
    assert len(told(provider)) == 1


def test_a_tombstone_with_a_number_keeps_it() -> None:
    provider = live()
    provider.push("market", market(5), at=100)
    provider.push("market", market(8, "closed"), "d", at=110)
    provider.push("market", market(7), at=120)
    assert [number_of(payload) for _, payload in told(provider)] == [5, 8]
    provider.push("market", market(9), "c", at=121)
    assert len(told(provider)) == 1


def test_each_match_is_told_once() -> None:
    provider = live()
    first = {"info": {"line_id": "l1", "matched_stake": 5, "sequence_number": SEQ + 1}}
    second = {"info": {"line_id": "l1", "matched_stake": 6, "sequence_number": SEQ + 1}}
    for payload in (first, first, second, first, second):
        provider.push("matched_bet", payload)
    assert [payload for _, payload in told(provider)] == [first, second]


def test_matches_without_a_number_are_told_apart_by_their_time() -> None:
    provider = live()
    for at in (1, 1, 2, 1):
        provider.push("trade_execution", {"info": {"strike_id": "l1", "filled_quantity": 5}}, at=at)
    assert len(told(provider)) == 2


@pytest.mark.parametrize("name", [b'"M\xfcnchen"', b"1e999", b"9" * 5000])
def test_a_name_that_cannot_be_read_costs_no_message(name: bytes) -> None:
    provider = live()
    payload = b'{"id":"109","info":{"id":109,"name":%b,"sequence_number":1}}' % name
    provider.push("tournament", payload)
    provider.settle()
    assert [message.data for message in provider.messages] == [payload]


@pytest.mark.parametrize("at", ["2026-11-20T23:05:00Z", "", 1.5, "1687278019199067361"])
def test_a_time_in_another_form_costs_no_message(at: object) -> None:
    provider = live()
    payload = sport_event(1)
    payload["info"]["updated_at"] = at
    provider.push("sport_event", payload)
    assert [value for _, value in told(provider)] == [payload]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_in_any_order_the_newest_is_the_last_that_is_told(numbers: list[int], chance: random.Random) -> None:
    books, last, kinds = Books(), {}, list(PUSHES)
    for number in numbers:
        kind = chance.choice(kinds)
        change, payload = PUSHES[kind](number)
        data = {"change_type": change, "op": "u", "payload": payload, "timestamp": number}
        if books.take(decode("tournament_109", json.dumps(data).encode())):
            assert number > last.get(kind, 0)
            last[kind] = number
        assert last[kind] == max(number, last[kind])


# memory


def test_what_is_remembered_is_bounded_and_the_quiet_go_first() -> None:
    books = Books(max_entries=300)

    def push(change: str, payload: Any, at: int) -> bool:
        data = {"change_type": change, "op": "u", "payload": payload, "timestamp": at}
        return books.take(decode("tournament_109", json.dumps(data).encode()))

    for at in range(1, 2000):
        assert push("sport_event", sport_event(at, event=at), at)
        assert push("market_selections", book(at, 120, event=at), at)
        push("sport_event", sport_event(at, event=1), at)
        assert books.entries <= 303
        assert books.entries == sum(event.size for event in books.events.values())
    assert "1" in books.events
    assert not push("market_selections", book(1999, 120, event=1999), 1999), "what is new is remembered"
    assert push("market_selections", book(2, 120, event=2), 2), "what was forgotten is told again"
    for number in range(MAX_MATCHES + 10):
        push("matched_bet", {"info": {"sequence_number": number}}, 1)
    assert not push("matched_bet", {"info": {"sequence_number": MAX_MATCHES + 9}}, 1)
    assert push("matched_bet", {"info": {"sequence_number": 0}}, 1)


def test_removals_give_their_room_back() -> None:
    books = Books()

    def push(change: str, payload: Any, op: str, at: int) -> None:
        data = {"change_type": change, "op": op, "payload": payload, "timestamp": at}
        assert books.take(decode("tournament_109", json.dumps(data).encode()))

    at = 0
    for _ in range(5):
        for change, payload in (
            ("sport_event", sport_event(None)),
            ("market", market(None)),
            PUSHES["market_line"](None),
        ):
            push(change, payload, "c", at := at + 1)
        push("market_selections", book(None, 120), "u", at := at + 1)
        assert books.entries == 4
        push("market", market(None), "d", at := at + 1)
        assert books.entries == 2
        push("tournament", {"id": "109"}, "d", at := at + 1)
        assert books.entries == 1
        assert books.entries == sum(event.size for event in books.events.values())
