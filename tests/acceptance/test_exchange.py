"""Partners trade on the sandbox exchange by REST while the hub is killed under them: nothing that was told is untrue.

Six partners place and cancel as quickly as they may, each with a Pusher socket on both channels; makers and takers of
the hub's own play beside them. At the end the log is folded here, the slow and obvious way, and everything that anybody
was told is held against it: answers, pushes, balances, wagers and books.
"""

from __future__ import annotations

import base64
import random
import threading
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from http.client import HTTPException
from pathlib import Path
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from exchange_offers import AWAY, EVENT, HOME, MARKET, OFFERS

from .hubs import Answer, Event, Hub, wait_for

SEED = 20261127
BROADCAST = "private-broadcast-service=3-device_type=5"
SOURCE = "/sandbox/exchange"
TRADERS = 6
KILLS = 4
ORDERS_BETWEEN_KILLS = 120
STARTING_CENTS = 10_000_00
ODDS = (-150, -140, -130, -120, -110, 100, 110, 120, 130, 140, 150)


class Pushed:
    """The changes of one connection, by channel: the payloads in the order of their coming."""

    def __init__(self) -> None:
        self.public: list[bytes] = []
        self.private: list[bytes] = []


class Trader:
    """A partner: one thread that trades, one that takes what is pushed. Both live through restarts of the hub."""

    def __init__(self, hub: Hub, name: str, dice: random.Random) -> None:
        self.hub = hub
        self.keys = hub.add_partner(name, "prophetx")
        self.id = self.keys["partner_id"]
        self.dice = dice
        self.acknowledged: list[dict[str, Any]] = []
        self.cancelled: list[dict[str, Any]] = []
        self.connections: list[Pushed] = []
        self.problems: list[str] = []
        self.placed = 0
        self._token = ""
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._guarded, args=(work,)) for work in (self._trade, self._listen)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        assert self.problems == []

    def _guarded(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                work()
            except (OSError, EOFError, HTTPException, ConnectionClosed, InvalidHandshake, msgspec.DecodeError):
                self._stop.wait(0.02)  # the hub is away
            except AssertionError as problem:
                self.problems.append(repr(problem))
                return

    # by REST

    def call(self, method: str, path: str, body: object = None) -> Answer:
        if not self._token:
            keys = {name: self.keys[name] for name in ("access_key", "secret_key")}
            answer = self.hub.ask("POST", "/partner/auth/login", None, msgspec.json.encode(keys))
            if answer.status != 200:
                raise OSError(f"not logged in: {answer.status}")
            self._token = answer.json["data"]["access_token"]
        content = b"" if body is None else msgspec.json.encode(body)
        return self.hub.ask(method, f"/partner{path}", {"Authorization": f"Bearer {self._token}"}, content)

    def call_within_limits(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of a call that is sent again as long as this second's requests are used up."""
        while (answer := self.call(method, path, body)).status == 429:
            threading.Event().wait(0.2)
        assert answer.status == 200, answer
        return answer.json

    def _trade(self) -> None:
        while not self._stop.is_set():
            if self.dice.random() < 0.15:
                answer = self.call("POST", "/mm/cancel_all_wagers", {})
                if answer.status == 200:
                    self.cancelled += answer.json["data"]["cancelled_wagers"]
                else:
                    assert answer.status in (404, 429, 503), answer
                continue
            orders = [self._order() for _ in range(self.dice.randint(1, 6))]
            answer = self.call("POST", "/mm/place_multiple_wagers", {"data": orders})
            if answer.status == 200:
                self.acknowledged += answer.json["data"]["succeed_wagers"]
                self.placed += 1
                failed = {one["error"] for one in answer.json["data"]["failed_wagers"]}
                assert failed <= {"insufficient_amount"}, failed
            else:
                assert answer.status in (429, 503), answer
                self._stop.wait(0.05)

    def _order(self) -> dict[str, Any]:
        order: dict[str, Any] = {
            "external_id": f"{self.dice.getrandbits(60):x}",
            "line_id": self.dice.choice((HOME, AWAY)),
            "odds": self.dice.choice(ODDS),
            "stake": self.dice.randint(100, 4000) / 100,
        }
        return order | ({"wager_strategy": "fillOrKill"} if self.dice.random() < 0.1 else {})

    # what is pushed

    def _listen(self) -> None:
        config = self.call("GET", "/websocket/connection-config")
        if config.status != 200:
            raise OSError("no config now")
        with connect(f"ws://127.0.0.1:{self.hub.port}/app/{config.json['key']}?protocol=7", proxy=None) as socket:
            socket_id = msgspec.json.decode(msgspec.json.decode(socket.recv(10))["data"])["socket_id"]
            found = self.call("POST", "/mm/pusher", {"socket_id": socket_id})
            if found.status != 200:
                raise OSError("no signatures now")
            for channel in found.json["data"]["authorized_channel"]:
                data = {"channel": channel["channel_name"], "auth": channel["auth"]}
                socket.send(msgspec.json.encode({"event": "pusher:subscribe", "data": data}).decode())
            pushed = Pushed()
            self.connections.append(pushed)
            while not self._stop.is_set():
                try:
                    self._take(msgspec.json.decode(socket.recv(0.2)), pushed)
                except TimeoutError:
                    continue

    @staticmethod
    def _take(message: dict[str, Any], pushed: Pushed) -> None:
        if message["event"].startswith(("tournament_", "general", "wagers")):
            payload = base64.b64decode(msgspec.json.decode(message["data"])["payload"])
            (pushed.public if message["channel"] == BROADCAST else pushed.private).append(payload)


class Truth:
    """The exchange as the log has it, folded without any of its own code."""

    def __init__(self, events: list[Event]) -> None:
        self.events = [event for event in events if event.source == SOURCE]
        assert len(self.events) == len(events), "nobody else published"
        self.public = [bytes(event.data) for event in self.events if event.partner is None]
        self.private: dict[str, list[bytes]] = {}
        self.accounts: dict[str, dict[str, Any]] = {}
        self.wagers: dict[str, dict[str, Any]] = {}
        self.created: dict[str, int] = {}
        for event in self.events:
            if event.type == "prophetx.account":
                self.accounts[event.subject] = decoded(bytes(event.data))
            elif event.type == "prophetx.wager":
                self.private.setdefault(event.subject, []).append(bytes(event.data))
                info = decoded(bytes(event.data))
                self.wagers[info["id"]] = info
                self.created.setdefault(info["id"], info["sequence_number"])

    def of(self, partner: str) -> list[dict[str, Any]]:
        """The partner's wagers as they are last."""
        return [wager for wager in self.wagers.values() if wager["user_id"] == partner]

    def book(self, line_id: str) -> list[tuple[int, Decimal]]:
        """What rests on an outcome: odds and stake of each level as its own side has them, best for a taker first."""
        rests: dict[int, Decimal] = {}
        for wager in self.wagers.values():
            if wager["line_id"] == line_id and wager["status"] == "open" and wager["unmatched_stake"]:
                rests[wager["odds"]] = rests.get(wager["odds"], Decimal(0)) + wager["unmatched_stake"]
        return sorted(rests.items(), key=lambda level: payout(level[0]))


def decoded(data: bytes) -> dict[str, Any]:
    """``info`` of a payload; amounts exact."""
    info: dict[str, Any] = msgspec.json.decode(data, type=dict[str, msgspec.Raw])["info"]  # type: ignore[assignment]
    members = msgspec.json.decode(info, type=dict[str, msgspec.Raw])
    return {name: exact(bytes(raw)) for name, raw in members.items()}


def exact(raw: bytes) -> Any:
    if raw[:1] in b'"{[tfn':
        return msgspec.json.decode(raw)
    return int(raw) if raw.lstrip(b"-").isdigit() else Decimal(raw.decode())


def payout(odds: int) -> Fraction:
    return Fraction(odds, 100) if odds > 0 else Fraction(100, -odds)


def cents(amount: Decimal | int) -> int:
    return int(Decimal(amount) * 100)


def check_pushed(pushed: list[bytes], logged: list[bytes]) -> int:
    """One connection has a run of the log without a hole, each once, in order; how many."""
    if pushed:
        start = logged.index(pushed[0])
        assert pushed == logged[start : start + len(pushed)]
    return len(pushed)


def at_rest(hub: Hub) -> Truth | None:
    """The exchange when nobody trades any more and nothing expires: what REST shows later is still this."""
    truth = Truth(hub.events(feed="prophetx"))
    expiring = [wager for wager in truth.wagers.values() if wager.get("wager_strategy") and wager["unmatched_stake"]]
    return None if any(wager["status"] == "open" for wager in expiring) else truth


def test_traders_and_a_hub_that_is_killed_under_them(make_hub: Callable[..., Hub], tmp_path: Path) -> None:
    settings = tmp_path / "touchline.toml"
    settings.write_text("sandbox_pace = 0.05\n")
    hub = make_hub("--sandbox", "prophetx", "--config", settings)
    for command in OFFERS:
        hub.admin("POST", "/hub/v1/sandbox/prophetx", command)
    traders = [Trader(hub, f"trader-{number}", random.Random(SEED + number)) for number in range(TRADERS)]
    for trader in traders:
        trader.start()
    try:
        for _ in range(KILLS):
            before = sum(trader.placed for trader in traders)
            wait_for(
                lambda before=before: (
                    sum(trader.placed for trader in traders) >= before + ORDERS_BETWEEN_KILLS
                    or any(trader.problems for trader in traders)
                ),
                "orders are taken",
                30,
            )
            hub.restart()
        wait_for(lambda: all(len(trader.connections) > KILLS for trader in traders), "all are back", 20)
        opened = [trader.connections[-1] for trader in traders]
        wait_for(lambda: all(one.public and one.private for one in opened), "all are pushed to again", 20)
    finally:
        for trader in traders:
            trader.stop()

    truth = wait_for(lambda: at_rest(hub), "what was to be filled at once is cancelled", 20)
    numbers = [int(event.id) for event in truth.events]
    assert numbers == sorted(set(numbers)), "no number is used twice, not even around a crash"
    pushed = acknowledged = 0
    for trader in traders:
        own = truth.of(trader.id)
        for answered in (*trader.acknowledged, *trader.cancelled):
            assert answered["id"] in truth.wagers, "what was answered was stored"
            assert truth.wagers[answered["id"]]["sequence_number"] >= answered["sequence_number"]
        acknowledged += len(trader.acknowledged)
        assert len({wager["external_id"] for wager in own}) == len(own), "nothing was placed twice"
        for connection in trader.connections:
            pushed += check_pushed(connection.private, truth.private[trader.id])
            pushed += check_pushed(connection.public, truth.public)
        check_money(trader, truth, own)
    check_sides(truth)
    assert (
        sum(
            cents(truth.accounts[trader.id][part])
            for trader in traders
            for part in ("balance", "matched_wager_balance", "unmatched_wager_balance")
        )
        == len(traders) * STARTING_CENTS
    ), "no cent came or went"
    check_book(traders[0], truth)
    trades = sum(event.type == "prophetx.matched_bet" for event in truth.events)
    assert trades > 100, "it was in the middle of matching"
    print(f"{acknowledged} wagers, {trades} trades, {KILLS} kills, {pushed} pushes: all accounted for")

    assert traders[0].call_within_limits("POST", "/mm/place_wager", {**traders[0]._order(), "stake": 1}), (
        "and it goes on"
    )


def check_money(trader: Trader, truth: Truth, own: list[dict[str, Any]]) -> None:
    """The account in the log and by REST is what the wagers say, and REST shows the same wagers."""
    matched = sum(cents(wager["totally_matched_stake"]) for wager in own if wager["status"] == "open")
    unmatched = sum(cents(wager["unmatched_stake"]) for wager in own if wager["status"] == "open")
    expected = (STARTING_CENTS - matched - unmatched, matched, unmatched)
    parts = ("balance", "matched_wager_balance", "unmatched_wager_balance")
    assert tuple(cents(truth.accounts[trader.id][part]) for part in parts) == expected
    shown = trader.call_within_limits("GET", "/mm/get_balance")["data"]
    assert tuple(round(shown[part] * 100) for part in parts) == expected
    rows: dict[str, Any] = {}
    cursor = ""
    while True:
        page = trader.call_within_limits("GET", f"/mm/get_wagers?next_cursor={cursor}")["data"]
        rows |= {row["id"]: row for row in page["wagers"]}
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert {key: row["sequence_number"] for key, row in rows.items()} == {
        wager["id"]: wager["sequence_number"] for wager in own
    }


def check_sides(truth: Truth) -> None:
    """What one side staked in matches is what the other side can win of them."""
    sides: dict[str, list[int]] = {HOME: [0, 0], AWAY: [0, 0]}
    for wager in truth.wagers.values():
        if wager["line_id"] in sides and wager["status"] == "open":
            rest = round_half_up(cents(wager["unmatched_stake"]) * payout(wager["odds"]))
            sides[wager["line_id"]][0] += cents(wager["totally_matched_stake"])
            sides[wager["line_id"]][1] += cents(wager["profit"]) - rest
    assert sides[HOME] == sides[AWAY][::-1]
    assert sides[HOME][0] > 0


def round_half_up(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


def check_book(trader: Trader, truth: Truth) -> None:
    """REST shows what rests, ten levels a side, as what a taker gets of it."""
    answer = trader.call_within_limits("GET", f"/mm/get_markets?event_id={EVENT}")
    (market,) = [row for row in answer["data"]["markets"] if row["id"] == MARKET]
    for shown, other in zip(market["selections"], (AWAY, HOME), strict=True):
        expected = [(100 if odds == 100 else -odds, stake) for odds, stake in truth.book(other)][:10] or [(0, 0)]
        assert [(level["odds"], cents(Decimal(str(level["stake"])))) for level in shown] == [
            (odds, cents(stake)) for odds, stake in expected
        ]
