"""The sandbox exchange in a real hub: orders by REST, what is pushed of them on both channels, what REST shows then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from exchange_offers import AWAY, EVENT, HOME, MARKET, OFFERS, line

from .hubs import Answer, Hub
from .prophetx_clients import Client, partner

MakeHub = Callable[..., Hub]
BOOK = ("tournament_132", "market_selections")
BET = ("tournament_132", "matched_bet")
WAGER = ("wagers", "wager")


def operate(hub: Hub, **command: Any) -> Answer:
    return hub.admin("POST", "/hub/v1/sandbox/prophetx", command)


class Trader(Client):
    """A client that places wagers."""

    def call(self, name: str, **body: Any) -> Answer:
        return self.post(f"/mm/{name}", json.dumps(body))

    def place(self, external_id: str, line_id: str, odds: int, stake: float) -> dict[str, Any]:
        """Place a wager that is taken; as it is then."""
        answer = self.call("place_wager", external_id=external_id, line_id=line_id, odds=odds, stake=stake)
        assert answer.status == 200, answer
        wager: dict[str, Any] = answer.json["data"]["wager"]
        return wager

    def refused(self, name: str, **body: Any) -> tuple[int, str]:
        answer = self.call(name, **body)
        assert answer.json.keys() == {"error", "message"}
        assert answer.json["message"]
        return answer.status, answer.json["error"]

    def takes(self, *expected: tuple[str, str]) -> list[Any]:
        """The payloads of the changes that come next; each channel has its order, between them none is promised."""
        came = [self.change() for _ in expected]
        for private in (True, False):
            assert [one[:2] for one in came if (one[0] == "wagers") is private] == [
                one for one in expected if (one[0] == "wagers") is private
            ]
        return [payload for _, _, payload in sorted(came, key=lambda one: one[0] == "wagers")]

    def money(self) -> tuple[float, float, float]:
        """Balance, matched, unmatched."""
        data = self.get("/mm/get_balance").json["data"]
        return data["balance"], data["matched_wager_balance"], data["unmatched_wager_balance"]

    def book(self) -> list[list[tuple[int, float, float]]]:
        """Odds, stake and value of both sides' levels, as REST has them."""
        (market,) = self.get(f"/mm/get_markets?event_id={EVENT}").json["data"]["markets"]
        return levels(market["selections"])


def levels(selections: list[list[dict[str, Any]]]) -> list[list[tuple[int, float, float]]]:
    return [[(one["odds"], one["stake"], one["value"]) for one in side] for side in selections]


FAKE = [(0, 0, 0)]


@pytest.fixture
def floor(make_hub: MakeHub) -> Iterator[tuple[Hub, Trader, Trader]]:
    """A hub with one event to bet on, and two partners with both channels."""
    hub = make_hub(sandbox=["prophetx"], sandbox_pace=0)
    for command in OFFERS:
        answer = operate(hub, **command)
        assert answer.status == 200, answer
    alice, bob = (Trader(hub, partner(hub, name)) for name in ("alice", "bob"))
    with alice.subscribe_all(), bob.subscribe_all():
        yield hub, alice, bob


def test_a_wager_from_placing_to_settlement(floor: tuple[Hub, Trader, Trader]) -> None:
    hub, alice, bob = floor
    assert alice.money() == bob.money() == (10_000, 0, 0), "the starting balance"

    placed = alice.place("a-1", HOME, 150, 20)
    assert (placed["status"], placed["matching_status"], placed["stake"]) == ("open", "unmatched", 20)
    book, told = alice.takes(BOOK, WAGER)
    assert told["info"] == placed, "the answer is what was pushed"
    assert levels(book["info"]["selections"]) == alice.book() == [FAKE, [(-150, 20, 30)]]
    assert alice.money() == (9_980, 0, 20)
    (seen,) = bob.takes(BOOK)
    assert seen == book, "everybody sees the same book, and nobody another's wager"

    taken = bob.place("b-1", AWAY, -150, 12)
    assert (taken["matching_status"], taken["totally_matched_stake"], taken["matched_odds"]) == (
        "fully_matched",
        12,
        -150,
    )
    book, bet, mine = alice.takes(BOOK, BET, WAGER)
    assert (mine["info"]["id"], mine["info"]["update_type"]) == (placed["id"], "matching")
    assert (mine["info"]["totally_matched_stake"], mine["info"]["unmatched_stake"]) == (8, 12)
    assert (bet["info"]["matched_stake"], bet["info"]["matched_odds"], bet["info"]["line_id"]) == (12, -150, AWAY)
    assert levels(book["info"]["selections"]) == alice.book() == [FAKE, [(-150, 12, 18)]]
    *_, created, matched = bob.takes(BOOK, BET, WAGER, WAGER)
    assert (created["info"]["update_type"], matched["info"]["update_type"]) == ("status", "matching")
    assert matched["info"] == taken
    assert alice.money() == (9_980, 8, 12)
    assert bob.money() == (9_988, 12, 0)

    cancelled = alice.call("cancel_wager", external_id="a-1", wager_id=placed["id"]).json["data"]["wager"]
    assert (cancelled["status"], cancelled["matching_status"], cancelled["unmatched_stake"]) == (
        "open",
        "fully_matched",
        0,
    )
    book, mine = alice.takes(BOOK, WAGER)
    assert mine["info"] == cancelled
    assert levels(book["info"]["selections"]) == alice.book() == [FAKE, FAKE]
    assert alice.money() == (9_992, 8, 0)
    bob.takes(BOOK)

    assert operate(hub, command="settle", line_id=HOME, result="win").status == 200
    settled = [(WAGER[0], WAGER[1])]
    *_, paid, closed = alice.takes(*[("tournament_132", "market")] * 1, *[("tournament_132", "market_line")] * 2,
                                   BOOK, *settled, *settled)  # fmt: skip
    assert [one["info"]["status"] for one in (paid, closed)] == ["settled", "closed"]
    assert closed["info"]["winning_status"] == "won"
    *_, lost = bob.takes(("tournament_132", "market"), *[("tournament_132", "market_line")] * 2, BOOK, WAGER)
    assert (lost["info"]["status"], lost["info"]["winning_status"]) == ("closed", "lost")
    assert alice.money() == (10_012, 0, 0)
    assert bob.money() == (9_988, 0, 0)
    assert alice.get(f"/mm/get_wager/{placed['id']}").json["data"]["status"] == "closed"
    assert bob.get(f"/mm/get_wager/{placed['id']}").status == 404
    assert alice.refused("place_wager", external_id="a-2", line_id=HOME, odds=150, stake=20) == (
        400,
        "event_not_available",
    )


def test_voiding_gives_everything_back(floor: tuple[Hub, Trader, Trader]) -> None:
    hub, alice, bob = floor
    alice.place("a-1", HOME, 100, 30)
    bob.place("b-1", AWAY, 100, 10)
    assert (alice.money(), bob.money()) == ((9_970, 10, 20), (9_990, 10, 0))
    assert operate(hub, command="void", line_id=AWAY).status == 200
    assert alice.money() == bob.money() == (10_000, 0, 0)
    for trader in (alice, bob):
        (wager,) = trader.get("/mm/get_wagers").json["data"]["wagers"]
        assert (wager["status"], wager["winning_status"]) == ("void", "no_result")
    assert alice.book() == [FAKE, FAKE]
    answer = operate(hub, command="void", line_id=AWAY)
    assert (answer.status, answer.json["error"]) == (404, "no_cancellable_wagers")


def test_many_at_once_each_with_its_own_result(floor: tuple[Hub, Trader, Trader]) -> None:
    _, alice, bob = floor
    orders = [{"external_id": f"a-{number}", "line_id": HOME, "odds": 110 + number, "stake": 5} for number in range(4)]
    orders[2]["odds"] = 13.5
    done = alice.call("place_multiple_wagers", data=orders).json["data"]
    assert [one["external_id"] for one in done["succeed_wagers"]] == ["a-0", "a-1", "a-3"]
    (failed,) = done["failed_wagers"]
    assert (failed["index"], failed["error"], failed["request"]) == (2, "wager_invalid_odds", orders[2])
    assert alice.money() == (9_985, 0, 15)
    first, second, third = done["succeed_wagers"]
    asked = [{"external_id": one["external_id"], "wager_id": one["id"]} for one in (first, second)]
    asked.append({"external_id": "a-3", "wager_id": first["id"]})
    undone = alice.call("cancel_multiple_wagers", data=asked).json["data"]
    assert [one["id"] for one in undone["succeed_wagers"]] == [first["id"], second["id"]]
    assert [one["error"] for one in undone["failed_wagers"]] == ["wager_not_matching_external_id"]
    assert bob.refused("cancel_wager", external_id="a-3", wager_id=third["id"]) == (404, "data_not_found")
    assert alice.refused("cancel_wagers_by_event", event_id=1) == (404, "sport_event_not_found")
    assert alice.refused("cancel_wagers_by_market", event_id=EVENT, market_id=1) == (400, "invalid_market_id")
    gone = alice.call("cancel_wagers_by_market", event_id=EVENT, market_id=MARKET, line_id=HOME).json["data"]
    assert [one["id"] for one in gone["cancelled_wagers"]] == [third["id"]]
    assert alice.refused("cancel_all_wagers") == (404, "no_cancellable_wagers")
    alice.place("a-9", HOME, 150, 1)
    assert len(alice.call("cancel_wagers_by_event", event_id=EVENT).json["data"]["cancelled_wagers"]) == 1
    alice.place("a-10", HOME, 150, 1)
    assert len(alice.call("cancel_all_wagers").json["data"]["cancelled_wagers"]) == 1
    assert alice.money() == (10_000, 0, 0)


def test_what_cannot_be_placed_is_refused_in_the_provider_s_form(floor: tuple[Hub, Trader, Trader]) -> None:
    _, alice, _ = floor
    good: dict[str, Any] = {"external_id": "a-1", "line_id": HOME, "odds": 150, "stake": 20}
    wrong: list[tuple[dict[str, Any], tuple[int, str]]] = [
        ({"odds": 123}, (400, "wager_invalid_odds")),
        ({"stake": 0}, (400, "invalid_stake")),
        ({"stake": 0.999}, (400, "invalid_stake")),
        ({"stake": 100_000_001}, (400, "wager_stake_exceeds_max")),
        ({"stake": 10_000.01}, (403, "insufficient_amount")),
        ({"stake": "many"}, (400, "invalid_request")),
        ({"stake": None}, (400, "invalid_request")),
        ({"line_id": "nowhere"}, (400, "invalid_line_id")),
        ({"external_id": "ä"}, (400, "invalid_param")),
        ({"external_id": "x" * 101}, (400, "invalid_param")),
        ({"external_id": 5}, (400, "invalid_request")),
        ({"wager_strategy": "ALO"}, (400, "err_add_liquidity_only_disabled")),
        ({"wager_strategy": "maybe"}, (400, "invalid_param")),
    ]
    for change, expected in wrong:
        assert alice.refused("place_wager", **(good | change)) == expected, change
    for body in ("[]", "{", "1", "null", '{"odds":1e999999999,"stake":1,"line_id":"l","external_id":"e"}'):
        answer = alice.post("/mm/place_wager", body)
        assert answer.status == 400, (body, answer)
        assert answer.json.keys() == {"error", "message"}
    for member, expected in (("stake", "wager_stake_exceeds_max"), ("odds", "wager_invalid_odds")):
        for number in ("1e999999999", "-1e-999999999"):
            body = json.dumps(good | {member: 0}).replace(f'"{member}": 0', f'"{member}": {number}')
            assert alice.post("/mm/place_wager", body).json["error"] in (expected, "invalid_stake"), body
    for body in ({"data": []}, {"data": [good] * 21}):
        assert alice.refused("place_multiple_wagers", **body)[0] == 400
    assert alice.refused("place_multiple_wagers", data="all") == (400, "invalid_request")
    assert alice.money() == (10_000, 0, 0)
    form = f"external_id=a-1&line_id={HOME}&odds=150&stake=2.50"
    assert alice.post("/mm/place_wager", form).json["data"]["wager"]["stake"] == 2.5, "a form does as well"
    assert alice.refused("place_wager", **good) == (400, "wager_external_id_existed")


def test_the_operator_creates_changes_and_removes_what_is_offered(floor: tuple[Hub, Trader, Trader]) -> None:
    hub, alice, _ = floor
    resting = alice.place("a-1", HOME, 150, 20)
    alice.takes(BOOK, WAGER)
    done = operate(hub, command="put_line", sides=[{**line(1, side), "status": "suspended"} for side in (0, 1)])
    assert [event["type"] for event in done.json["events"]] == ["prophetx.market_line"] * 2 + [
        "prophetx.market_selections"
    ]
    first, second, _ = alice.takes(*[("tournament_132", "market_line")] * 2, BOOK)
    assert {first["info"]["status"], second["info"]["status"]} == {"suspended"}
    assert alice.refused("place_wager", external_id="a-2", line_id=HOME, odds=150, stake=1)[1] == "event_not_available"
    done = operate(hub, command="remove", event_id=EVENT)
    assert done.status == 200
    *_, void = alice.takes(
        *[("tournament_132", "market_line")] * 2, ("tournament_132", "market"), ("tournament_132", "sport_event"), WAGER
    )
    assert (void["info"]["id"], void["info"]["status"]) == (resting["id"], "void")
    assert alice.money() == (10_000, 0, 0)
    assert alice.get(f"/mm/get_markets?event_id={EVENT}").status == 404
    owner = alice.get("/mm/get_balance").json["data"]["user_id"]
    assert operate(hub, command="deposit", partner=owner, cents=12_345).status == 200
    assert alice.money() == (10_123.45, 0, 0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"command": "settle", "line_id": "nowhere", "result": "win"}, 400),
        ({"command": "settle", "line_id": HOME, "result": "maybe"}, 400),
        ({"command": "explode"}, 400),
        ({"command": "place"}, 400),
        ({"command": "remove", "everything": True}, 400),
        ({"command": "put_market", "market": {"id": 5, "sport_event_id": 1, "name": "x"}}, 404),
        ({}, 400),
        ([], 400),
    ],
)
def test_an_operator_s_mistakes_are_told(make_hub: MakeHub, body: Any, status: int) -> None:
    hub = make_hub(sandbox=["prophetx"], sandbox_pace=0)
    answer = hub.admin("POST", "/hub/v1/sandbox/prophetx", body)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    answer = hub.request("POST", "/hub/v1/sandbox/prophetx", json.dumps(body).encode(), key=hub.publisher_key)
    assert answer.status == 403
    assert hub.events() == []


def test_the_starting_balance_is_the_partner_s_option(make_hub: MakeHub) -> None:
    hub = make_hub(sandbox=["prophetx"], sandbox_pace=0)
    body = {"name": "rich", "feed": "prophetx", "options": {"starting_balance": "1234567.89"}}
    rich = hub.admin("POST", "/hub/v1/partners", body).json["credentials"]
    with Trader(hub, rich) as trader:
        assert trader.money() == (1_234_567.89, 0, 0)
    for text in ("much", "-1", "1.001", "1e99", "nan", ""):
        body = {"name": "poor", "feed": "prophetx", "options": {"starting_balance": text}}
        answer = hub.admin("POST", "/hub/v1/partners", body)
        assert answer.status == 400, text
        assert "starting_balance" in answer.json["detail"]


def test_what_is_not_granted_cannot_be_bet_on(floor: tuple[Hub, Trader, Trader]) -> None:
    hub, _, _ = floor
    with Trader(hub, partner(hub, "narrow", {"tournament_id": ["109"]})) as narrow:
        wager = {"external_id": "n-1", "line_id": HOME, "odds": 150, "stake": 1}
        assert narrow.refused("place_wager", **wager) == (400, "invalid_line_id")
        assert narrow.refused("place_wager", **wager) == narrow.refused("place_wager", **(wager | {"line_id": "none"}))
        (failed,) = narrow.call("place_multiple_wagers", data=[wager]).json["data"]["failed_wagers"]
        assert failed["error"] == "invalid_line_id"
    with Trader(hub, partner(hub, "wide", {"tournament_id": ["109", "132"]})) as wide:
        wide.place("w-1", HOME, 150, 1)


def test_without_an_exchange_orders_say_why_not(hub: Hub, subject: str) -> None:
    with Trader(hub, partner(hub, subject)) as trader:
        assert trader.refused("place_wager") == (403, "trading_not_available")
        assert trader.get("/mm/get_balance").status == 404
    answer = operate(hub, command="remove", event_id=1)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")


def test_nobody_else_publishes_as_the_exchange(hub: Hub) -> None:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/sandbox/exchange",
        "type": "prophetx.account",
        "subject": "p",
        "op": "u",
        "partner": "p",
        "data": {"info": {"user_id": "p", "balance": 1_000_000}},
    }
    answer = hub.publish(json.dumps(event).encode())
    assert (answer.status, answer.json["errors"][0]["field"]) == (400, "source")


def test_an_exchange_goes_on_after_a_restart_and_after_retention(make_hub: MakeHub) -> None:
    hub = make_hub(sandbox=["prophetx"], sandbox_pace=0)
    for command in OFFERS:
        assert operate(hub, **command).status == 200
    keys = partner(hub, "alice"), partner(hub, "bob")
    with Trader(hub, keys[0]) as alice:
        alice.place("a-1", HOME, 150, 20)
    running = hub.running.hub

    async def expire() -> None:
        await running.snapshots.before_trim(running.event_log.head)
        await running.engines.checkpoint()
        await running.event_log.trim(running.event_log.head)

    hub.wait(expire())
    hub.stop()
    with (
        Hub(hub.directory, sandbox=["prophetx"], sandbox_pace=0) as again,
        Trader(again, keys[1]) as bob,
        Trader(again, keys[0]) as alice,
    ):
        taken = bob.place("b-1", AWAY, -150, 30)
        assert taken["matching_status"] == "fully_matched"
        assert alice.money() == (9_980, 20, 0)
        refused = alice.refused("place_wager", external_id="a-1", line_id=HOME, odds=150, stake=1)
        assert refused == (400, "wager_external_id_existed")
