"""The fold and what REST reads out of it: the same as was pushed, each partner's own alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from touchline.feeds.prophetx import state as folds
from touchline.feeds.prophetx.state import ExchangeFold, ExchangeState

from . import worlds
from .worlds import ALICE, BOB, EVENT, MARKET, Hub, ask, bearer, dumped, member, new_hub, value

NS = 1_709_130_007_835_319_000


def filled(*members: Any) -> Hub:
    hub = new_hub(*members)
    for kind, subject, data in worlds.STORY:
        hub.publish(kind, subject, data, op="u" if kind != "prophetx.tournament" else "c")
    return hub


def read(hub: Hub, path: str, name: str = "alice") -> Any:
    answer = ask(hub, "GET", f"/partner/mm/{path}", headers=bearer(hub, name))
    assert answer.status == 200, answer
    return value(answer)["data"]


def refused(hub: Hub, path: str, name: str = "alice") -> tuple[int, str]:
    answer = ask(hub, "GET", f"/partner/mm/{path}", headers=bearer(hub, name))
    return answer.status, value(answer)["error"]


def info(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(data)["info"]
    return found


def test_tournaments_and_events_are_as_they_were_published_last() -> None:
    hub = filled()
    (tournament,) = read(hub, "get_tournaments")["tournaments"]
    assert tournament.pop("updated_at") == hub.stored[0].appended_at
    assert tournament == info(worlds.tournament())
    for query in ("tournament_id=109", f"event_ids={EVENT}", f"event_ids=1,{EVENT},2"):
        (event,) = read(hub, f"get_sport_events?{query}")["sport_events"]
        assert event.pop("updated_at") == hub.stored[9].appended_at
        assert event.pop("tournament_id") == 109
        assert event == info(worlds.sport_event(status="live", sequence=15))
    assert read(hub, "get_sport_events?tournament_id=31")["sport_events"] == []
    assert len(read(hub, "get_tournaments?has_active_events=true")["tournaments"]) == 1
    hub.publish("prophetx.sport_event", "109", worlds.sport_event(status="ended"))
    assert read(hub, "get_tournaments?has_active_events=true")["tournaments"] == []


def test_a_market_shows_the_book_that_was_pushed_last() -> None:
    hub = filled()
    (market,) = read(hub, f"get_markets?event_id={EVENT}")["markets"]
    assert market["selections"] == info(worlds.selections(118, 14))["selections"]
    assert market["selections_sequence_number"] == NS + 14
    assert (market["id"], market["status"], market["type"]) == (MARKET, "suspended", "moneyline")
    assert "market_lines" not in market
    several = read(hub, f"get_multiple_markets?event_ids={EVENT},7")
    assert several == {str(EVENT): [market], "7": []}


def test_bytes_of_numbers_are_kept() -> None:
    hub = new_hub()
    hub.publish("prophetx.tournament", "109", worlds.tournament(), op="c")
    book = (
        worlds.selections()
        .replace(b'"odds":124', b'"odds":124.50')
        .replace(b'"stake":45.3', b'"stake":9007199254740993')
    )
    hub.publish("prophetx.market_selections", "109", book)
    raw = ask(hub, "GET", f"/partner/mm/get_markets?event_id={EVENT}", headers=bearer(hub)).body
    assert b'"odds":124.50' in raw
    assert b'"stake":9007199254740993' in raw
    assert b'"updated_at":1709130007835319111' in raw


def test_a_market_of_lines_has_a_row_a_line() -> None:
    hub = new_hub()
    hub.publish("prophetx.tournament", "109", worlds.tournament(), op="c")
    hub.publish("prophetx.market", "109", worlds.market(5))
    for number, outcome, spread in ((4, 4, -3.5), (5, 5, 3.5), (6, 4, -4.5)):
        hub.publish("prophetx.market_line", "109", worlds.line(number, outcome, spread, "spread", 5))
    hub.publish("prophetx.market_selections", "109", worlds.selections(110, 9, "spread", -3.5, 5))
    (market,) = read(hub, f"get_markets?event_id={EVENT}")["markets"]
    assert "selections" not in market
    booked, bare = market["market_lines"]
    assert (booked["line"], booked["id"], booked["status"]) == (-3.5, 4, "active")
    assert booked["selections"] == info(worlds.selections(110, 9, "spread", -3.5, 5))["selections"]
    assert booked["sequence_number"] == NS + 9
    assert (bare["line"], bare["selections"]) == (-4.5, [])
    for number, outcome, spread in ((4, 4, -3.5), (5, 5, 3.5)):
        assert len(read(hub, f"get_markets?event_id={EVENT}")["markets"][0]["market_lines"]) == 2
        hub.publish("prophetx.market_line", "109", worlds.line(number, outcome, spread, "spread", 5), op="d")
    (market,) = read(hub, f"get_markets?event_id={EVENT}")["markets"]
    assert [row["line"] for row in market["market_lines"]] == [-4.5], "with its last line a book is gone"


def test_what_is_taken_down_is_gone() -> None:
    hub = filled()
    hub.publish("prophetx.market", "109", worlds.market(), op="d")
    assert read(hub, f"get_markets?event_id={EVENT}")["markets"] == []
    hub.publish("prophetx.sport_event", "109", dumped({"id": str(EVENT), "tournament_id": "109"}), op="d")
    assert refused(hub, f"get_markets?event_id={EVENT}") == (404, "sport_event_not_found")
    assert read(hub, "get_sport_events?tournament_id=109")["sport_events"] == []
    hub.publish("prophetx.tournament", "109", dumped({"id": "109"}), op="d")
    assert read(hub, "get_tournaments")["tournaments"] == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("get_markets", (400, "market_invalid_event")),
        ("get_markets?event_id=0", (400, "market_invalid_event")),
        ("get_markets?event_id=-1", (400, "market_invalid_event")),
        ("get_markets?event_id=2147483648", (400, "market_invalid_event")),
        ("get_markets?event_id=x", (400, "market_invalid_event")),
        ("get_markets?event_id=7", (404, "sport_event_not_found")),
        ("get_markets?event_id=7,8", (400, "market_event_limit_exceeded")),
        ("get_multiple_markets", (400, "market_invalid_event")),
        ("get_multiple_markets?event_ids=" + ",".join(map(str, range(1, 52))), (400, "market_event_limit_exceeded")),
        ("get_sport_events", (400, "invalid_param")),
        ("get_sport_events?event_ids=", (400, "market_invalid_event")),
        ("get_wager/nothing", (404, "data_not_found")),
        ("get_balance", (404, "data_not_found")),
        ("get_wagers?limit=0", (400, "invalid_param")),
        ("get_wagers?limit=101", (400, "invalid_param")),
        ("get_wagers?next_cursor=x", (400, "invalid_param")),
    ],
)
def test_wrong_questions_get_the_provider_s_errors(path: str, expected: tuple[int, str]) -> None:
    assert refused(filled(), path) == expected


def test_grants_hide_other_tournaments() -> None:
    hub = filled(member("alice", tournament_id=frozenset({"31"})), member("bob"))
    assert read(hub, "get_tournaments")["tournaments"] == []
    assert read(hub, "get_sport_events?tournament_id=109")["sport_events"] == []
    assert refused(hub, f"get_markets?event_id={EVENT}") == (404, "sport_event_not_found")
    assert read(hub, f"get_multiple_markets?event_ids={EVENT}") == {str(EVENT): []}
    assert len(read(hub, "get_tournaments", "bob")["tournaments"]) == 1


def test_wagers_and_balance_are_the_caller_s_own() -> None:
    hub = filled()
    hub.publish("prophetx.wager", ALICE, worlds.wager(ALICE, "w1"))
    hub.publish("prophetx.wager", ALICE, worlds.wager(ALICE, "w2", status="settled"))
    hub.publish("prophetx.wager", ALICE, worlds.wager(ALICE, "w1", matched=4))
    hub.publish("prophetx.account", ALICE, worlds.account())
    shown = read(hub, "get_wager/w1")
    assert shown.pop("updated_at") == hub.stored[-2].appended_at
    assert shown == info(worlds.wager(ALICE, "w1", matched=4))
    assert [one["id"] for one in read(hub, "get_wagers")["wagers"]] == ["w1", "w2"]
    assert [one["id"] for one in read(hub, "get_wagers?status=settled")["wagers"]] == ["w2"]
    page = read(hub, "get_wagers?limit=1")
    assert ([one["id"] for one in page["wagers"]], page["next_cursor"]) == (["w1"], "w1")
    page = read(hub, "get_wagers?limit=1&next_cursor=w1")
    assert ([one["id"] for one in page["wagers"]], page["next_cursor"]) == (["w2"], "")
    balance = read(hub, "get_balance")
    assert (balance["balance"], balance["unmatched_wager_balance"]) == (990.5, 9.5)
    assert refused(hub, "get_wager/w1", "bob") == (404, "data_not_found")
    assert refused(hub, "get_balance", "bob") == (404, "data_not_found")
    assert read(hub, "get_wagers", "bob")["wagers"] == []


def test_the_ladder_is_symmetric_and_rises() -> None:
    ladder = read(new_hub(), "get_odds_ladder")
    assert ladder == sorted(ladder)
    assert (ladder[0], ladder[-1]) == (-10000, 10000)
    assert 100 in ladder
    assert -100 not in ladder


def test_a_state_says_whose_it_is_also_from_a_checkpoint() -> None:
    hub, fold = new_hub(), ExchangeFold()
    hub.publish("prophetx.something_new", ALICE, b"{}", partner=ALICE)
    hub.publish("prophetx.something_new", ALICE, b"{}")
    hub.publish("prophetx.something_new", "109", b"{}", partner=ALICE)
    mine = hub.fold(ALICE)
    assert isinstance(mine, ExchangeState)
    assert fold.decode(fold.encode(mine)).owner == ALICE
    hub.publish("prophetx.tournament", "109", worlds.tournament())
    public = hub.fold("109")
    assert isinstance(public, ExchangeState)
    assert public.owner is None
    assert json.loads(fold.view(public))["tournament"]["name"] == "MLB"


def test_finished_wagers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "MAX_FINISHED_WAGERS", 5)
    hub = new_hub()
    hub.publish("prophetx.wager", ALICE, worlds.wager(ALICE, "alive"))
    for number in range(20):
        hub.publish("prophetx.wager", ALICE, worlds.wager(ALICE, f"w{number}", status="closed"))
    state = hub.fold(ALICE)
    assert isinstance(state, ExchangeState)
    assert list(state.wagers) == ["alive", *(f"w{number}" for number in range(15, 20))]
    assert BOB not in state.wagers


def test_what_ended_last_is_kept_however_old_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "MAX_FINISHED_WAGERS", 3)
    hub = new_hub()
    for name in ("old", "again"):
        hub.publish("prophetx.wager", ALICE, worlds.wager(ALICE, name))
    for number in range(3):
        hub.publish("prophetx.wager", ALICE, worlds.wager(ALICE, f"w{number}", status="closed"))
    for status in ("canceled", "open"):
        hub.publish("prophetx.wager", ALICE, worlds.wager(ALICE, "again", status=status))
    hub.publish("prophetx.wager", ALICE, worlds.wager(ALICE, "old", status="canceled"))
    assert read(hub, "get_wager/old")["status"] == "canceled", "just told, and found by REST"
    state = hub.fold(ALICE)
    assert isinstance(state, ExchangeState)
    assert list(state.wagers) == ["old", "again", "w1", "w2"]
    assert list(state.finished) == ["w1", "w2", "old"]
    again = ExchangeFold().decode(ExchangeFold().encode(state))
    assert (list(again.wagers), list(again.finished)) == (list(state.wagers), list(state.finished))


def test_odd_shapes_are_survived() -> None:
    hub = new_hub()
    for kind in ("market", "market_line", "market_selections", "sport_event", "tournament", "matched_bet"):
        for data in (b"{}", b'{"info":null}', b'{"info":{}}', b'{"info":{"id":"x","line":"y"}}', b'{"id":[1]}'):
            for op in ("u", "d"):
                hub.publish(f"prophetx.{kind}", "109", data, op=op)
    assert json.loads(ExchangeFold().view(hub.fold("109")))
    headers = bearer(hub)
    for path in ("get_tournaments", "get_sport_events?tournament_id=109", "get_multiple_markets?event_ids=1"):
        assert ask(hub, "GET", f"/partner/mm/{path}", headers=headers).status == 200
