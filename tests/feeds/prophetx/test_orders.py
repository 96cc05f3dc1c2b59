"""The exchange behind REST, without a socket: whoever folds what is pushed has what REST shows, after every command."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from touchline.feeds.base import Refusal
from touchline.feeds.prophetx.channels import BROADCAST, encode, private_channel
from touchline.feeds.prophetx.exchange.makers import Crowd, Times
from touchline.model import Position
from touchline.testing.memory import EPOCH, run
from touchline.wire.http import Pairs

from .worlds import ALICE, BOB, Hub, ask, bearer, change, new_hub, value

SUBJECT = "990001"


class Watcher:
    """A client of both channels that keeps what it was pushed, as the provider's example does."""

    def __init__(self, partner_id: str, bearer: Pairs) -> None:
        self.bearer = bearer
        self.channels = (BROADCAST, private_channel(partner_id))
        self.books: dict[tuple[int, int, str], Any] = {}
        self.statuses: dict[tuple[int, int], str] = {}
        self.events: dict[int, str] = {}
        self.wagers: dict[str, Any] = {}
        self._taken = 0

    def watch(self, hub: Hub) -> None:
        for record in hub.stored[self._taken :]:
            for channel in self.channels:
                message = encode(record, channel, Position(EPOCH, record.offset))
                if message is not None:
                    _, kind, op, payload, _ = change(json.loads(message))
                    self._take(kind, op, json.loads(payload))
        self._taken = len(hub.stored)

    def _take(self, kind: str, op: str, payload: dict[str, Any]) -> None:
        info = payload.get("info", {})
        if kind == "market_selections":
            first = info["selections"][0][0]["line_id"]
            self.books[payload["sport_event_id"], payload["market_id"], first] = info["selections"]
        elif kind == "market":
            self.statuses[info["sport_event_id"], info["id"]] = info["status"]
            if op == "d":
                del self.statuses[info["sport_event_id"], info["id"]]
        elif kind == "market_line" and op == "d":
            self.books.pop((info["sport_event_id"], info["market_id"], info["line_id"]), None)
        elif kind == "sport_event":
            number = int(payload["id"])
            self.events[number] = info.get("status", "")
            if op == "d":
                del self.events[number]
        elif kind == "wager":
            self.wagers[info["id"]] = info

    def check(self, hub: Hub) -> None:
        shown = value(ask(hub, "GET", f"/partner/mm/get_sport_events?tournament_id={SUBJECT}", headers=self.bearer))
        assert {one["event_id"]: one["status"] for one in shown["data"]["sport_events"]} == self.events
        hub.advance(1)  # not too many requests a second
        numbers = ",".join(map(str, self.events)) or "1"
        path = f"/partner/mm/get_multiple_markets?event_ids={numbers}"
        books, statuses = {}, {}
        for event, markets in value(ask(hub, "GET", path, headers=self.bearer))["data"].items():
            for market in markets:
                statuses[int(event), market["id"]] = market["status"]
                for row in market.get("market_lines", [market]):
                    if row["selections"]:
                        books[int(event), market["id"], row["selections"][0][0]["line_id"]] = row["selections"]
        assert statuses == self.statuses
        assert books == self.books
        rows = value(ask(hub, "GET", "/partner/mm/get_wagers", headers=self.bearer))["data"]["wagers"]
        assert {row["id"]: {k: v for k, v in row.items() if k != "updated_at"} for row in rows} == self.wagers


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.integers(10, 80))
def test_what_is_pushed_and_folded_is_what_rest_shows(seed: int, moves: int) -> None:
    dice, hub = random.Random(seed), new_hub()
    hub.run_engine()
    engine = hub._engine
    assert engine is not None
    crowd = Crowd(dice, Times(games=1, before_seconds=3, play_seconds=6, after_seconds=2))
    watchers = {"alice": Watcher(ALICE, bearer(hub, "alice")), "bob": Watcher(BOB, bearer(hub, "bob"))}
    for _ in range(moves):
        hub.advance(dice.choice((0.1, 0.5)))
        for command in crowd.next(engine.state, hub.wall_ns):
            run(engine.command(command))
        trader = dice.choice(("alice", "bob"))
        _trade(hub, watchers[trader].bearer, dice)
        for watcher in watchers.values():
            watcher.watch(hub)
            if dice.random() < 0.2:
                watcher.check(hub)
    for watcher in watchers.values():
        watcher.check(hub)
    accounts = engine.state.accounts.values()
    assert sum(one.balance + one.matched + one.unmatched for one in accounts if one.partner in (ALICE, BOB)) > 0


def _trade(hub: Hub, bearer: Pairs, dice: random.Random) -> None:
    engine = hub._engine
    assert engine is not None
    if dice.random() < 0.2:
        answer = ask(hub, "POST", "/partner/mm/cancel_all_wagers", b"{}", bearer)
        assert answer.status in (200, 404), answer
    elif engine.state.twins:
        resting = [place for book in engine.state.books.values() for place in book]
        line_id = dice.choice(sorted(engine.state.twins))
        odds = dice.choice((-110, 100, 110))
        if resting and dice.random() < 0.5:
            wager = engine.state.wagers[dice.choice(resting)[2]]
            first, second = engine.state.twins[wager.line_id]
            line_id, odds = (second if wager.line_id == first else first), -wager.odds if abs(wager.odds) > 100 else 100
        body = {"external_id": str(len(hub.stored)), "line_id": line_id, "odds": odds, "stake": dice.randint(1, 50)}
        answer = ask(hub, "POST", "/partner/mm/place_wager", json.dumps(body).encode(), bearer)
        assert answer.status == 200 or value(answer)["error"] in ("event_not_available", "insufficient_amount"), answer


def test_a_refused_item_is_told_back_as_it_came() -> None:
    hub = new_hub()
    hub.run_engine()
    sent = '{"external_id":"a","line_id":"x","odds":"NaN","stake":5.10,"mine":[1]}'
    infinite = '{"external_id":"b","line_id":"x","odds":100,"stake":"Infinity"}'
    body = f'{{"data":[{sent},{infinite}]}}'.encode()
    answer = ask(hub, "POST", "/partner/mm/place_multiple_wagers", body, bearer(hub))
    failed = msgspec.json.decode(answer.body)["data"]["failed_wagers"]  # strict: NaN is no word of JSON
    assert [one["request"] for one in failed] == [json.loads(sent), json.loads(infinite)]
    assert sent.encode() in answer.body


def test_amounts_are_exact_on_the_wire() -> None:
    hub = new_hub()
    hub.run_engine()
    engine = hub._engine
    assert engine is not None
    crowd = Crowd(random.Random(7), Times(games=1))
    while not engine.state.twins:
        hub.advance(0.1)
        for command in crowd.next(engine.state, hub.wall_ns):
            assert not isinstance(run(engine.command(command)), Refusal)
    body = {"external_id": "x", "line_id": min(engine.state.twins), "odds": 100, "stake": 0}
    text = json.dumps(body).replace('"stake": 0', '"stake": 1234.10')
    answer = ask(hub, "POST", "/partner/mm/place_wager", text.encode(), bearer(hub))
    assert b'"stake":1234.1,' in answer.body
    assert engine.state.accounts[ALICE].unmatched == 123_410
    assert engine.state.accounts[ALICE].balance == int((Decimal(10_000) - Decimal("1234.10")) * 100)
