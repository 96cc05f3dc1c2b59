"""One rule at a time: placing, matching, cancelling, settling, and what is published of each."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from touchline.errors import LocalProtocolError
from touchline.feeds.prophetx import exchange
from touchline.feeds.prophetx.channels import data_bytes
from touchline.feeds.prophetx.exchange import (
    Cancel,
    Cancellation,
    CancelMany,
    CancelWhere,
    Change,
    Expire,
    Place,
    PlaceMany,
    PutLine,
    PutMarket,
    PutSportEvent,
    Refusal,
    Remove,
    Result,
    Settle,
    Void,
    payloads,
    running,
    state,
    wagering,
)
from touchline.wire.pusher import MAX_DATA_BYTES

from . import worlds
from .worlds import AWAY, EVENT, HOME, MONEYLINE, TOURNAMENT, A, H, of_type, open_floor, order

SECOND = 1_000_000_000


def book(changes: tuple[Change, ...]) -> list[list[tuple[int, float, float]]]:
    """(odds, stake, value) per level of the only market_selections of a batch."""
    [payload] = of_type(changes, payloads.MARKET_SELECTIONS)
    info = payload["info"]
    assert isinstance(info, dict)
    return [[(one["odds"], one["stake"], one["value"]) for one in side] for side in info["selections"]]


def test_a_wager_that_finds_nobody_rests_and_holds_its_stake() -> None:
    floor = open_floor("ann")
    answer = floor.accepted(Place("ann", order("a1", H, 122, "32.46")))
    assert [change.type for change in answer.changes] == [
        payloads.MARKET_SELECTIONS,
        payloads.WAGER,
        payloads.ACCOUNT,
    ]
    wager = answer.changes[1]
    assert (wager.subject, wager.extensions["partner"], wager.extensions["op"]) == ("ann", "ann", "c")
    assert msgspec.json.decode(wager.data)["info"] == {
        "id": "partner_00000001",
        "user_id": "ann",
        "market_id": 219,
        "sport_event_id": 7001,
        "outcome_id": 4,
        "odds": 122,
        "line": 0,
        "stake": 32.46,
        "profit": 39.6,
        "matched_stake": 0,
        "matched_odds": 0,
        "totally_matched_stake": 0,
        "unmatched_stake": 32.46,
        "matching_status": "unmatched",
        "winning_status": "tbd",
        "status": "open",
        "external_id": "a1",
        "line_id": H,
        "update_type": "status",
        "sequence_number": int(wager.id),
    }
    # The published sample: 32.46 at -122 goes with value 39.60 (sheet 5). It is offered to who takes the other side.
    assert book(answer.changes) == [[(0, 0, 0)], [(-122, 32.46, 39.6)]]
    assert answer.changes[0].subject == "132"
    assert floor.money("ann") == (1000_00 - 32_46, 0, 32_46)
    assert of_type(answer.changes, payloads.ACCOUNT) == [
        {
            "info": {
                "user_id": "ann",
                "balance": 967.54,
                "matched_wager_balance": 0,
                "unmatched_wager_balance": 32.46,
                "sequence_number": int(answer.changes[2].id),
            }
        }
    ]


def test_the_fake_selection_is_the_real_outcome_with_nothing_to_take() -> None:
    floor = open_floor()
    [pushed] = of_type(floor.published, payloads.MARKET_SELECTIONS)
    assert pushed["info"] == {
        "id": 219,
        "name": "Moneyline",
        "type": "moneyline",
        "line": 0,
        "sequence_number": pushed["info"]["sequence_number"],
        "selections": [
            [
                {
                    "outcome_id": outcome,
                    "name": name,
                    "competitor_id": competitor,
                    "line": 0,
                    "line_id": line_id,
                    "odds": 0,
                    "display_odds": "",
                    "display_line": "",
                    "display_name": name,
                    "value": 0,
                    "stake": 0,
                    "updated_at": 0,
                }
            ]
            for outcome, name, competitor, line_id in ((4, "Bulls", 11, H), (5, "Hawks", 12, A))
        ],
    }


def test_a_match_is_told_to_everybody_and_to_both_sides() -> None:
    floor = open_floor("ann", "bob")
    maker = floor.place("ann", "a1", H, 124, "100")
    answer = floor.accepted(Place("bob", order("b1", A, -130, "62")))
    assert [change.type.split(".")[1] for change in answer.changes] == [
        "market_selections",
        "matched_bet",
        "wager",
        "wager",
        "wager",
        "account",
        "account",
    ]
    [bet] = of_type(answer.changes, payloads.MATCHED_BET)
    assert bet["info"] == {
        "line": 0,
        "line_id": A,
        "market_id": 219,
        "matched_odds": -124,
        "matched_stake": 62,
        "odds": -130,
        "origin_market_line": 0,
        "outcome_id": 5,
        "sequence_number": bet["info"]["sequence_number"],
        "sport_event_id": 7001,
    }
    assert book(answer.changes) == [[(0, 0, 0)], [(-124, 50, 62)]]
    taker = answer.wagers[0]
    assert (taker.matching_status, taker.matched_odds, taker.profit) == ("fully_matched", -124, 50)
    assert taker.update_type == "matching"
    rest = floor.wager(maker.id)
    assert (rest.matching_status, rest.matched, rest.unmatched, rest.win) == ("partially_matched", 50_00, 50_00, 62_00)
    assert floor.money("ann") == (900_00, 50_00, 50_00)
    assert floor.money("bob") == (938_00, 62_00, 0)


def test_best_price_first_then_first_come_first_served() -> None:
    floor = open_floor("ann", "bob", "cat", "dan")
    late = floor.place("cat", "c1", H, 110, "10")
    worse = floor.place("ann", "a1", H, 120, "10")
    early = floor.place("bob", "b1", H, 105, "10")
    next_in_line = floor.place("ann", "a2", H, 110, "10")
    floor.place("dan", "d1", A, -115, "100")
    fills = [floor.wager(one.id).matched for one in (early, late, next_in_line, worse)]
    assert fills == [10_00, 10_00, 10_00, 0]
    rest = floor.state.book(A)
    assert len(rest) == 1
    assert floor.wager(rest[0][2]).unmatched == 100_00 - 10_50 - 11_00 - 11_00


def test_a_partial_match_keeps_its_place_in_the_queue() -> None:
    floor = open_floor("ann", "bob", "cat")
    first = floor.place("ann", "a1", H, 110, "10")
    second = floor.place("bob", "b1", H, 110, "10")
    floor.place("cat", "c1", A, -110, "5.50")
    floor.place("cat", "c2", A, -110, "5.50")
    assert (floor.wager(first.id).matched, floor.wager(second.id).matched) == (10_00, 0)


def test_what_one_batch_places_stands_behind_what_was_there() -> None:
    floor = open_floor("ann", "bob")
    there = floor.place("bob", "b1", H, 110, "10")
    answer = floor.accepted(PlaceMany("ann", (order("a1", H, 110, "10"), order("a2", A, -110, "11"))))
    assert floor.wager(there.id).matched == 10_00
    assert [(one.matching_status, one.status) for one in answer.wagers] == [
        ("unmatched", "open"),
        ("fully_matched", "open"),
    ]


def test_nobody_trades_with_himself_the_older_wager_gives_way() -> None:
    floor = open_floor("ann", "bob")
    own = floor.place("ann", "a1", H, 110, "10")
    other = floor.place("bob", "b1", H, 110, "10")
    floor.place("ann", "a2", A, -110, "11")
    assert floor.wager(own.id).status == "canceled"
    assert floor.wager(other.id).matched == 10_00


def test_a_rest_that_cannot_win_a_cent_is_let_go() -> None:
    floor = open_floor("ann", "bob")
    maker = floor.place("ann", "a1", H, -10000, "150")
    floor.accepted(Place("bob", order("b1", A, 10000, "1")))
    assert (floor.wager(maker.id).matched, floor.wager(maker.id).unmatched) == (100_00, 50_00)
    small = floor.place("ann", "a2", A, 10000, "1")
    assert small.matching_status == "unmatched"
    floor.place("bob", "b2", H, -10000, "100.40")
    wager = next(one for one in floor.state.wagers.values() if one.external_id == "b2")
    assert (wager.matched, wager.unmatched, wager.matching_status) == (100_00, 0, "fully_matched")
    assert floor.money("bob")[2] == 0


@pytest.mark.parametrize(
    ("result", "ann", "bob", "said"),
    [
        (Result.WIN, 1062_00, 938_00, [("ann", "settled", "won"), ("ann", "closed", "won"), ("bob", "closed", "lost")]),
        (
            Result.LOSE,
            950_00,
            1050_00,
            [("ann", "closed", "lost"), ("bob", "settled", "won"), ("bob", "closed", "won")],
        ),
        (Result.PUSH, 1000_00, 1000_00, [("ann", "closed", "push"), ("bob", "closed", "push")]),
    ],
)
def test_settling_pays_the_winner_and_gives_back_what_was_not_matched(
    result: Result, ann: int, bob: int, said: list[tuple[str, str, str]]
) -> None:
    floor = open_floor("ann", "bob", "cat")
    floor.place("ann", "a1", H, 124, "100")
    floor.place("bob", "b1", A, -124, "62")
    floor.place("cat", "c1", H, 140, "10")
    answer = floor.accepted(Settle(H, result))
    told = [payload["info"] for payload in of_type(answer.changes, payloads.WAGER)]
    assert [(one["user_id"], one["status"], one["winning_status"]) for one in told] == sorted(
        [*said, ("cat", "canceled", "tbd")], key=lambda one: {"ann": 0, "cat": 1, "bob": 2}[one[0]]
    )
    assert [floor.money(one) for one in ("ann", "bob", "cat")] == [(ann, 0, 0), (bob, 0, 0), (1000_00, 0, 0)]
    assert [one["info"]["status"] for one in of_type(answer.changes, payloads.MARKET_LINE)] == ["settled", "settled"]
    assert [one["info"]["status"] for one in of_type(answer.changes, payloads.MARKET)] == ["settled"]
    assert book(answer.changes) == [[(0, 0, 0)], [(0, 0, 0)]]
    worlds.check_money(floor)
    assert floor.refused(Place("ann", order("a2", H, 110, "5"))).error == "event_not_available"
    assert floor.refused(Settle(A, result)).error == "market_line_invalid"
    assert floor.refused(PutLine((HOME, AWAY))).error == "market_line_invalid"


@pytest.mark.parametrize("command", [Void(H), Void(A), Void(event_id=7001, market_id=219)])
def test_voiding_gives_everything_back(command: Void) -> None:
    floor = open_floor("ann", "bob")
    floor.place("ann", "a1", H, 124, "100")
    floor.place("bob", "b1", A, -124, "62")
    answer = floor.accepted(command)
    told = [payload["info"] for payload in of_type(answer.changes, payloads.WAGER)]
    assert {(one["status"], one["winning_status"]) for one in told} == {("void", "no_result")}
    assert floor.money("ann") == floor.money("bob") == (1000_00, 0, 0)
    assert floor.refused(command).error == "no_cancellable_wagers"
    voided = told[0]
    refusal = floor.refused(Cancel("ann", Cancellation(voided["external_id"], voided["id"])))
    assert refusal.error == "wager_already_cancelled"


def test_cancelling_frees_the_rest_and_keeps_what_was_matched() -> None:
    floor = open_floor("ann", "bob")
    maker = floor.place("ann", "a1", H, 124, "100")
    floor.place("bob", "b1", A, -124, "62")
    answer = floor.accepted(Cancel("ann", Cancellation("a1", maker.id)))
    assert (answer.wagers[0].status, answer.wagers[0].matching_status) == ("open", "fully_matched")
    assert floor.money("ann") == (950_00, 50_00, 0)
    assert not of_type(answer.changes, payloads.MATCHED_BET)
    assert floor.refused(Cancel("ann", Cancellation("a1", maker.id))).error == "wager_already_matched"
    untouched = floor.place("ann", "a2", H, 124, "10")
    assert floor.refused(Cancel("ann", Cancellation("a1", untouched.id))).error == "wager_not_matching_external_id"
    assert floor.refused(Cancel("bob", Cancellation("a2", untouched.id))) == Refusal(
        404, "data_not_found", "there is no wager of this id"
    )
    assert floor.accepted(Cancel("ann", Cancellation("a2", untouched.id))).wagers[0].status == "canceled"
    assert floor.refused(Cancel("ann", Cancellation("a2", untouched.id))).error == "wager_already_cancelled"


def test_an_id_given_twice_is_a_bug_of_the_caller() -> None:
    floor = open_floor("ann")
    placed = floor.place("ann", "a1", H, 124, "10")
    used = placed.id.removeprefix("partner_")
    with pytest.raises(LocalProtocolError):
        exchange.decide(floor.state, Place("ann", order("a2", H, 124, "10")), floor.now, lambda: used)


def test_many_at_once_each_with_its_own_result() -> None:
    floor = open_floor("ann")
    answer = floor.accepted(
        PlaceMany("ann", (order("a1", H, 120, "10"), order("a1", H, 120, "10"), order("a2", H, 121, "10")))
    )
    assert [one.external_id for one in answer.wagers] == ["a1"]
    assert [(one.index, one.refusal.error) for one in answer.failures] == [
        (1, "wager_external_id_existed"),
        (2, "wager_invalid_odds"),
    ]
    assert len(of_type(answer.changes, payloads.MARKET_SELECTIONS)) == 1
    many = tuple(order(f"m{index}", H, 120, "1") for index in range(21))
    assert floor.refused(PlaceMany("ann", many)).error == "wager_limit_exceeded"
    assert floor.refused(PlaceMany("ann", ())).error == "invalid_param"
    placed = floor.accepted(PlaceMany("ann", many[:20])).wagers
    asked = tuple(Cancellation(one.external_id, one.id) for one in placed[:3])
    cancelled = floor.accepted(CancelMany("ann", (*asked, asked[0])))
    assert (len(cancelled.wagers), [one.refusal.error for one in cancelled.failures]) == (
        3,
        ["wager_already_cancelled"],
    )
    assert floor.money("ann") == (1000_00 - 27_00, 0, 27_00)


def test_only_refused_items_publish_nothing() -> None:
    floor = open_floor("ann")
    answer = floor.accepted(PlaceMany("ann", (order("a1", "none", 120, "10"),)))
    assert (answer.changes, answer.wagers, len(answer.failures)) == ((), (), 1)


def test_cancelling_all_by_event_and_by_market() -> None:
    floor = open_floor("ann", "bob")
    for index, line_id in enumerate((H, H, A)):
        floor.place("ann", f"a{index}", line_id, 130, "10")
    floor.place("bob", "b", H, 130, "10")
    assert floor.refused(CancelWhere("ann", 8)).error == "sport_event_not_found"
    assert floor.refused(CancelWhere("ann", 7001, 8)).error == "invalid_market_id"
    assert floor.refused(CancelWhere("ann", None, 219)).error == "invalid_param"
    assert floor.refused(CancelWhere("ann", 7001, 219, "x")).error == "invalid_line_id"
    assert len(floor.accepted(CancelWhere("ann", 7001, 219, A)).wagers) == 1
    assert len(floor.accepted(CancelWhere("ann", 7001)).wagers) == 2
    assert floor.refused(CancelWhere("ann")) == Refusal(
        404, "no_cancellable_wagers", "there are no wagers that could be cancelled"
    )
    assert floor.money("ann") == (1000_00, 0, 0)
    assert floor.money("bob") == (990_00, 0, 10_00)


@pytest.mark.parametrize(
    ("wanted", "status", "error"),
    [
        (order("a1", "none", 120, "10"), 400, "invalid_line_id"),
        (order("a1", H, 121, "10"), 400, "wager_invalid_odds"),
        (order("a1", H, -100, "10"), 400, "wager_invalid_odds"),
        (order("a1", H, 0, "10"), 400, "wager_invalid_odds"),
        (exchange.Order("a1", H, Decimal("110.5"), Decimal(10)), 400, "wager_invalid_odds"),
        (exchange.Order("a1", H, Decimal("Infinity"), Decimal(10)), 400, "wager_invalid_odds"),
        (order("a1", H, 120, "0"), 400, "invalid_stake"),
        (order("a1", H, 120, "-10"), 400, "invalid_stake"),
        (order("a1", H, 120, "0.99"), 400, "invalid_stake"),
        (order("a1", H, 120, "10.005"), 400, "invalid_stake"),
        (order("a1", H, 120, "NaN"), 400, "invalid_stake"),
        (order("a1", H, 120, "100000000.01"), 400, "wager_stake_exceeds_max"),
        (order("a1", H, 120, "1E+999999"), 400, "wager_stake_exceeds_max"),
        (order("a1", H, 120, "1000.01"), 403, "insufficient_amount"),
        (order("", H, 120, "10"), 400, "invalid_param"),
        (order("a b", H, 120, "10"), 400, "invalid_param"),
        (order("a\n", H, 120, "10"), 400, "invalid_param"),
        (order("a" * 101, H, 120, "10"), 400, "invalid_param"),
        (order("used", H, 120, "10"), 400, "wager_external_id_existed"),
        (order("a1", H, 120, "10", "ALO"), 400, "err_add_liquidity_only_disabled"),
        (order("a1", H, 120, "10", "never"), 400, "invalid_param"),
    ],
)
def test_bad_wagers_are_refused_in_the_providers_words(wanted: exchange.Order, status: int, error: str) -> None:
    floor = open_floor("ann")
    used = floor.place("ann", "used", H, 120, "1")
    floor.accepted(Cancel("ann", Cancellation("used", used.id)))
    refusal = floor.refused(Place("ann", wanted))
    assert (refusal.status, refusal.error) == (status, error)
    assert refusal.message
    assert floor.refused(Place("nobody", wanted)).error == "wallet_not_found"


@pytest.mark.parametrize(
    "command",
    [
        PutLine((msgspec.structs.replace(HOME, status="suspended"), msgspec.structs.replace(AWAY, status="suspended"))),
        PutMarket(msgspec.structs.replace(MONEYLINE, status="suspended")),
        PutSportEvent(msgspec.structs.replace(EVENT, status="ended")),
        PutSportEvent(msgspec.structs.replace(EVENT, status="cancelled")),
    ],
)
def test_nothing_is_placed_on_what_is_suspended_or_over(command: exchange.Command) -> None:
    floor = open_floor("ann")
    resting = floor.place("ann", "a1", H, 120, "10")
    floor.accepted(command)
    assert floor.refused(Place("ann", order("a2", H, 120, "10"))).error == "event_not_available"
    if isinstance(command, PutSportEvent):
        assert floor.wager(resting.id).status == "wiped"
    else:
        assert floor.accepted(Cancel("ann", Cancellation("a1", resting.id))).wagers[0].status == "canceled"
    assert floor.money("ann") == (1000_00, 0, 0)


def test_what_rests_from_before_the_game_is_wiped_when_it_begins_and_matches_stay() -> None:
    floor = open_floor("ann", "bob")
    maker = floor.place("ann", "a1", H, 124, "100")
    floor.place("bob", "b1", A, -124, "62")
    floor.accepted(PutSportEvent(msgspec.structs.replace(EVENT, status="live")))
    assert (floor.wager(maker.id).status, floor.wager(maker.id).unmatched) == ("open", 0)
    assert floor.money("ann") == (950_00, 50_00, 0)
    assert floor.place("ann", "a2", H, 124, "1").status == "open"


def test_fill_or_kill_is_cancelled_after_two_seconds() -> None:
    floor = open_floor("ann", "bob")
    floor.accepted(Place("ann", order("a1", H, 124, "10", exchange.FILL_OR_KILL)))
    due = floor.state.next_expiry
    assert due is not None
    floor.now = due - SECOND
    assert floor.accepted(Expire()).changes == ()
    assert worlds.rebuilt(floor.published).next_expiry == due
    floor.now = due
    answer = floor.accepted(Expire())
    assert [one["info"]["status"] for one in of_type(answer.changes, payloads.WAGER)] == ["canceled"]
    assert floor.state.next_expiry is None


def test_removing_takes_all_below_with_it_and_gives_the_money_back() -> None:
    floor = open_floor("ann", "bob")
    floor.place("ann", "a1", H, 124, "100")
    floor.place("bob", "b1", A, -124, "62")
    answer = floor.accepted(Remove(tournament_id=132))
    removed = [(change.type.split(".")[1], change.data) for change in answer.changes if change.extensions["op"] == "d"]
    assert [kind for kind, _ in removed] == ["market_line", "market_line", "market", "sport_event", "tournament"]
    assert removed[3][1] == b'{"id":"7001","tournament_id":"132"}'
    assert not of_type(answer.changes, payloads.MARKET_SELECTIONS)
    assert floor.money("ann") == floor.money("bob") == (1000_00, 0, 0)
    left = floor.state
    assert not any((left.tournaments, left.events, left.markets, left.lines, left.twins, left.books, left.alive))
    for command in (Remove(tournament_id=132), Remove(event_id=7001), Remove(line_id=H), Remove()):
        floor.refused(command)


def test_a_number_is_never_used_twice_even_after_a_bare_removal() -> None:
    floor = open_floor()
    floor.accepted(Remove(event_id=7001))
    last = int(floor.published[-1].id)
    again = worlds.rebuilt(floor.published)
    assert again.last_sequence == last
    answer = exchange.decide(again, PutSportEvent(EVENT), 0, str)
    assert isinstance(answer, exchange.Accepted)
    assert int(answer.changes[0].id) == last + 1000


@pytest.mark.parametrize(
    "command",
    [
        PutSportEvent(msgspec.structs.replace(EVENT, tournament_id=1)),
        PutSportEvent(msgspec.structs.replace(EVENT, event_id=0)),
        PutSportEvent(msgspec.structs.replace(EVENT, status="open")),
        *(
            PutSportEvent(msgspec.structs.replace(EVENT, scheduled=text))
            for text in ("", "whenever", "2026-11-21", "2026-11-21T20:00:00")
        ),
        PutSportEvent(msgspec.structs.replace(EVENT, competitors=(payloads.Competitor(10**30, "Bulls", "Bulls"),))),
        PutLine((HOME, msgspec.structs.replace(AWAY, outcome_id=2**31))),
        PutMarket(msgspec.structs.replace(MONEYLINE, sport_event_id=1)),
        PutMarket(msgspec.structs.replace(MONEYLINE, status="settled")),
        PutMarket(msgspec.structs.replace(MONEYLINE, id=2**31)),
        PutLine((HOME, HOME)),
        PutLine((AWAY, HOME)),
        PutLine((msgspec.structs.replace(HOME, name="N" * 33), AWAY)),
        PutLine((msgspec.structs.replace(HOME, id=0), AWAY)),
        PutMarket(msgspec.structs.replace(MONEYLINE, name="é" * 17)),
        PutLine((HOME, msgspec.structs.replace(AWAY, line=Decimal(1)))),
        PutLine(
            tuple(msgspec.structs.replace(one, line_id=one.line_id + "2", line=Decimal("0.1")) for one in (HOME, AWAY))
        ),
        PutLine(
            tuple(msgspec.structs.replace(one, line_id=one.line_id + "2", line=Decimal(1001)) for one in (HOME, AWAY))
        ),
        PutLine((msgspec.structs.replace(HOME, line_id="x"), msgspec.structs.replace(AWAY, line_id="y"))),
        *(PutLine((HOME, msgspec.structs.replace(AWAY, line=Decimal(text)))) for text in ("NaN", "sNaN", "-Infinity")),
        PutSportEvent(msgspec.structs.replace(EVENT, competitors=EVENT.competitors * 60)),
        exchange.PutTournament(msgspec.structs.replace(TOURNAMENT, id=-1)),
        exchange.OpenAccount("ann", 5),
        exchange.OpenAccount("zoe", -5),
        exchange.OpenAccount("", 5),
        exchange.OpenAccount("zoe", 10**15 + 1),
        exchange.Deposit("ann", 10**15),
    ],
)
def test_the_house_is_told_what_it_got_wrong(command: exchange.Command) -> None:
    refusal = open_floor("ann").refused(command)
    assert refusal.status in (400, 404)
    assert refusal.message


def test_a_full_book_shows_ten_levels_a_side_and_fits_the_message_limit() -> None:
    floor = open_floor("ann", dollars=10_000_000)
    prices = [price for price in exchange.LADDER if price > 120][:12]
    for index, price in enumerate(prices):
        for line_id in (H, A):
            floor.accepted(Place("ann", order(f"{line_id}{index}", line_id, price, "100000.01")))
    last = [change for change in floor.published if change.type == payloads.MARKET_SELECTIONS][-1]
    sides = msgspec.json.decode(last.data)["info"]["selections"]
    assert [[one["odds"] for one in side] for side in sides] == [[-price for price in prices[:10]]] * 2
    assert [one["display_odds"] for one in sides[0][:2]] == ["-122", "-124"]
    assert len(last.data) * 4 / 3 < 10 * 1024


def test_the_longest_book_that_can_be_offered_fits_the_message_limit() -> None:
    floor = open_floor("ann", dollars=10**12)
    name = "N" * running.MAX_NAME_BYTES
    market = msgspec.structs.replace(worlds.SPREAD, id=2**31 - 1, name=name)
    competitors = tuple(payloads.Competitor(2**31 - 1 - side, name[side:], name) for side in (0, 1))
    floor.accepted(PutSportEvent(msgspec.structs.replace(EVENT, competitors=competitors)))
    floor.accepted(PutMarket(market))
    home, away = (
        payloads.Line(
            id=2**31 - 1 - side,
            sport_event_id=7001,
            market_id=market.id,
            outcome_id=2**31 - 1 - side,
            line=Decimal("999.75") * (1, -1)[side],
            line_id=f"{side}" * 32,
            type="spread",
            name=name,
        )
        for side in (0, 1)
    )
    floor.accepted(PutLine((home, away)))
    prices = exchange.LADDER[-10:]
    for index in range(20):
        for side in (home, away):
            many = tuple(
                order(f"{side.line_id}-{index}-{price}", side.line_id, price, "99999999.99") for price in prices
            )
            assert not floor.accepted(PlaceMany("ann", many)).failures
    pushed = [change for change in floor.published if change.type == payloads.MARKET_SELECTIONS][-1]
    assert [len(side) for side in msgspec.json.decode(pushed.data)["info"]["selections"]] == [10, 10]
    assert data_bytes("market_selections", len(pushed.data)) <= MAX_DATA_BYTES


def test_a_level_sums_its_wagers_and_is_as_new_as_the_newest() -> None:
    floor = open_floor("ann", "bob")
    floor.place("ann", "a1", H, 110, "10")
    second = floor.place("bob", "b1", H, 110, "2.50")
    [*_, pushed] = of_type(floor.published, payloads.MARKET_SELECTIONS)
    [level] = pushed["info"]["selections"][1]
    assert (level["odds"], level["stake"], level["value"]) == (-110, 12.5, 13.75)
    assert level["updated_at"] == second.sequence_number


@pytest.mark.parametrize(
    ("command", "field", "shown"),
    [
        (PutMarket(msgspec.structs.replace(MONEYLINE, name="Winner")), "name", "Winner"),
        (PutLine((msgspec.structs.replace(HOME, name="Hosts"), AWAY)), "first", "Hosts"),
        (PutSportEvent(msgspec.structs.replace(EVENT, competitors=EVENT.competitors[1:])), "competitor", 0),
    ],
)
def test_what_a_book_shows_of_names_is_pushed_when_they_change(
    command: exchange.Command, field: str, shown: object
) -> None:
    floor = open_floor()
    [pushed] = of_type(floor.accepted(command).changes, payloads.MARKET_SELECTIONS)
    first = pushed["info"]["selections"][0][0]
    assert {"name": pushed["info"]["name"], "first": first["name"], "competitor": first["competitor_id"]}[
        field
    ] == shown


def test_open_wagers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wagering, "MOST_OPEN", 3)
    floor = open_floor("ann", "bob")
    placed = floor.accepted(PlaceMany("ann", tuple(order(f"a{index}", H, 110, "1") for index in range(4))))
    assert [one.refusal.error for one in placed.failures] == ["wager_limit_exceeded"]
    floor.place("bob", "b1", H, 110, "1")
    assert floor.refused(Place("ann", order("a9", H, 110, "1"))).error == "wager_limit_exceeded"
    floor.accepted(CancelWhere("ann"))
    floor.place("ann", "a9", H, 110, "1")


def test_a_deposit_adds_to_the_balance() -> None:
    floor = open_floor("ann")
    answer = floor.accepted(exchange.Deposit("ann", 5_01))
    assert [(change.type, change.extensions["op"]) for change in answer.changes] == [(payloads.ACCOUNT, "u")]
    assert floor.money("ann") == (1005_01, 0, 0)
    assert floor.refused(exchange.Deposit("ann", 0)).error == "invalid_param"
    assert floor.refused(exchange.Deposit("bob", 1)).error == "wallet_not_found"


def test_spread_lines_show_their_sign() -> None:
    floor = open_floor()
    floor.accepted(PutMarket(worlds.SPREAD))
    sides = (worlds.line(0, worlds.SPREAD, 1, "-3.5"), worlds.line(1, worlds.SPREAD, 1, "-3.5"))
    answer = floor.accepted(PutLine(sides))
    [pushed] = of_type(answer.changes, payloads.MARKET_SELECTIONS)
    shown = [side[0] for side in pushed["info"]["selections"]]
    assert [(one["line"], one["display_line"], one["display_name"]) for one in shown] == [
        (-3.5, "-3.5", "Bulls -3.5"),
        (3.5, "+3.5", "Hawks +3.5"),
    ]


def test_finished_wagers_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "FINISHED_KEPT", 3)
    floor = open_floor("ann")
    for index in range(5):
        placed = floor.place("ann", f"a{index}", H, 124, "10")
        floor.accepted(Cancel("ann", Cancellation(f"a{index}", placed.id)))
    assert [one.external_id for one in floor.state.wagers.values()] == ["a2", "a3", "a4"]
    assert worlds.fingerprint(worlds.rebuilt(floor.published)) == worlds.fingerprint(floor.state)
    assert worlds.fingerprint(exchange.decode(exchange.encode(floor.state))) == worlds.fingerprint(floor.state)


def test_who_trades_all_the_time_does_not_make_others_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "FINISHED_KEPT", 4)
    floor = open_floor("ann", "bob", "eve")
    first = floor.place("ann", "once", H, 124, "10")
    floor.accepted(Cancel("ann", Cancellation("once", first.id)))
    for index in range(9):
        for partner in ("bob", "eve") if index % 3 == 0 else ("bob",):
            placed = floor.place(partner, f"{partner}{index}", H, 124, "10")
            floor.accepted(Cancel(partner, Cancellation(f"{partner}{index}", placed.id)))
    assert sorted(one.external_id for one in floor.state.wagers.values()) == ["bob8", "eve3", "eve6", "once"]
    assert floor.refused(Place("ann", order("once", H, 124, "10"))).error == "wager_external_id_existed"
    assert floor.refused(Cancel("ann", Cancellation("once", first.id))).error == "wager_already_cancelled"
    assert worlds.fingerprint(worlds.rebuilt(floor.published)) == worlds.fingerprint(floor.state)
    assert worlds.fingerprint(exchange.decode(exchange.encode(floor.state))) == worlds.fingerprint(floor.state)


def test_what_is_not_granted_is_not_said_to_exist_when_cancelling() -> None:
    floor = open_floor("ann")
    floor.place("ann", "a", H, 150, "10")
    hidden = floor.refused(exchange.CancelWhere("ann", EVENT.event_id, granted=frozenset({"109"})))
    assert hidden == floor.refused(exchange.CancelWhere("ann", 5, granted=frozenset({"109"})))
    assert len(floor.accepted(exchange.CancelWhere("ann", EVENT.event_id, granted=frozenset({"132"}))).wagers) == 1


def test_an_account_is_not_named_like_a_tournament() -> None:
    assert open_floor().refused(exchange.OpenAccount("132", 100)).error == "invalid_param"
