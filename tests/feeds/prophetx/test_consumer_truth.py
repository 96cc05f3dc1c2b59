"""Whatever happens between the provider and the consumer role, who folds its messages ends with what REST shows.

A real session and real REST answer; pushes are delivered late, out of order and twice, answers are made at one moment
and delivered at another, the line breaks anywhere, and the exchange goes on all the time.
"""

from __future__ import annotations

import importlib
import json
import random
from collections import deque
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from touchline.feeds.base import Fetch, Hangup, Message, Notice, Open
from touchline.feeds.prophetx.consumer import Settings, connect
from touchline.feeds.prophetx.consumer.reconcile import COMPARE_SECONDS
from touchline.testing.roles import Line, respond, upgrade_request
from touchline.wire.http import HttpRequest, HttpResponse

from . import worlds
from .consumer_worlds import SEQ
from .folding import View

EVENTS, MARKETS, TOURNAMENTS = (71, 72), (51, 52), ("109", "132")
BARE = '"op":"d"'


class Exchange:
    """Publishes valid changes; numbers rise as the provider's do, or are not there at all."""

    def __init__(self, hub: worlds.Hub, *, numbered: bool) -> None:
        self.hub, self.numbered, self.count = hub, numbered, 0

    def _publish(self, kind: str, subject: str, value: dict[str, Any], op: str = "u") -> None:
        self.count += 1
        if self.numbered and "info" in value:
            value["info"]["sequence_number"] = SEQ + 1000 * self.count
        self.hub.publish(f"prophetx.{kind}", subject, worlds.dumped(value), op=op)

    def act(self, action: str, chance: random.Random) -> None:
        event, market = chance.choice(EVENTS), chance.choice(MARKETS)
        tournament = TOURNAMENTS[event == EVENTS[1]]
        status = chance.choice(("active", "suspended"))
        state = self.hub.fold(tournament)
        known = state.events.get(str(event)) if state is not None else None
        if action == "tournament":
            info: dict[str, Any] = {"id": int(tournament), "name": chance.choice("ABC")}
            self._publish(action, tournament, {"id": tournament, "info": info}, "c")
        elif action == "tournament gone" and known is None:
            self._publish("tournament", tournament, {"id": tournament}, "d")
        elif action == "wager":
            info = {"id": f"w{chance.randrange(3)}", "status": status, "matched_stake": chance.randrange(9)}
            self._publish(action, worlds.ALICE, {"info": info})
        elif action == "account":
            self._publish(action, worlds.ALICE, {"info": {"balance": chance.randrange(99)}})
        elif state is None or state.tournament is None:
            return  # REST shows nothing of a tournament that was not announced
        elif action == "event":
            info = {"event_id": event, "name": "A at B", "status": chance.choice(("not_started", "live"))}
            self._publish("sport_event", tournament, {"id": str(event), "tournament_id": tournament, "info": info}, "c")
        elif known is None or known.known is None:
            return
        elif action == "event gone":
            self._publish("sport_event", tournament, {"id": str(event), "tournament_id": tournament}, "d")
        elif action == "market":
            info = {"id": market, "sport_event_id": event, "name": "M", "status": status}
            self._publish(action, tournament, {"id": str(event), "info": info}, "c")
            for value in self._lines(market):
                for line_id in self._names(market, value):
                    self._line(tournament, event, market, value, line_id, "c")
        elif str(market) not in known.markets or known.markets[str(market)].known is None:
            return
        elif action == "market gone":
            info = {"id": market, "sport_event_id": event, "name": "M", "status": "closed"}
            self._publish("market", tournament, {"id": str(event), "info": info}, "d")
        elif action == "lines gone":
            value = chance.choice(self._lines(market))
            for line_id in self._names(market, value):
                self._line(tournament, event, market, value, line_id, "d")
        elif action in ("book", "book gone"):
            self._book(tournament, event, market, chance, "d" if action == "book gone" else "u")

    def _lines(self, market: int) -> tuple[float, ...]:
        return (0.0,) if market == MARKETS[0] else (-3.5, 1.5)

    def _names(self, market: int, value: float) -> tuple[str, str]:
        return f"a{market}{value}", f"b{market}{value}"

    def _line(self, tournament: str, event: int, market: int, value: float, line_id: str, op: str) -> None:
        info = {"id": abs(hash(line_id)) % 10**6, "sport_event_id": event, "market_id": market, "line_id": line_id}
        kind = "spread" if value else "moneyline"
        self._publish("market_line", tournament, {"id": 1, "info": info | {"line": value, "type": kind}}, op)

    def _book(self, tournament: str, event: int, market: int, chance: random.Random, op: str) -> None:
        value = chance.choice(self._lines(market))
        sides = [
            [
                {
                    "outcome_id": side,
                    "line_id": name,
                    "odds": chance.choice((0, 110, 120)),
                    "stake": chance.randrange(3),
                }
                for _ in range(chance.randrange(1, 3))
            ]
            for side, name in enumerate(self._names(market, value))
        ]
        info = {"id": market, "type": "spread" if value else "moneyline", "line": value, "selections": sides}
        self._publish("market_selections", tournament, {"sport_event_id": event, "market_id": market, "info": info}, op)


class World:
    """The role and the hub, with everything between them in the test's hands."""

    def __init__(self, hub: worlds.Hub, chance: random.Random) -> None:
        self.hub, self.chance = hub, chance
        access_key, secret_key = worlds.KEYS["alice"]
        given = Settings(access_key=access_key, secret_key=secret_key, url=hub.base_url)
        self.operations = importlib.import_module("touchline.feeds.prophetx.http").operations(hub)
        self.role = connect(given, random.Random(3), hub.now())
        self.line: Line | None = None
        self.pending: deque[str] = deque()
        self.delivered: list[str] = []
        self.waiting: list[tuple[Fetch, HttpResponse | None]] = []
        self.messages: list[Message] = []
        self.notices: list[Notice] = []
        self._passed = 0
        self.settle()

    def settle(self) -> None:
        while True:
            wishes = self.role.events_received()
            for wish in wishes:
                match wish:
                    case Fetch():
                        self.waiting.append((wish, None))
                    case Open():
                        self.line, self._passed = Line(self.hub, upgrade_request(wish.url)), 0
                        self.role.opened(self.hub.now())
                    case Hangup():
                        self.cut()
                    case Message():
                        self.messages.append(wish)
                    case Notice():
                        self.notices.append(wish)
            for message in self.role.data_to_send():
                if self.line is not None:
                    self.line.send(message)
            self.collect()
            if not wishes:
                return

    def collect(self) -> None:
        """What the session says now waits to be delivered."""
        if self.line is not None:
            self.line.read()
            new = self.line.messages[self._passed :]
            self._passed += len(new)
            self.pending.extend(message if isinstance(message, str) else message.decode() for message in new)

    def compute(self) -> None:
        """The provider answers what was asked; the answer is under way."""
        for index, (fetch, made) in enumerate(self.waiting):
            if made is None:
                self.waiting[index] = fetch, self._answer(fetch.request)
                return

    def _answer(self, request: HttpRequest) -> HttpResponse:
        parts = urlsplit(request.url)
        asked = HttpRequest(
            request.method,
            parts.path,
            parts.path,
            tuple(parse_qsl(parts.query)),
            request.headers,
            request.body,
            hosts=(parts.netloc,),
            address="192.0.2.1",
        )
        return respond(self.operations, asked)

    def answer(self) -> None:
        """An answer that is under way arrives."""
        for index, (fetch, made) in enumerate(self.waiting):
            if made is not None:
                del self.waiting[index]
                self.role.fetched(fetch.number, made, self.hub.now())
                self.settle()
                return

    def deliver(self, *, jumbled: bool = False) -> None:
        """A push arrives: the next one, or one that overtakes others; removals neither overtake nor are overtaken."""
        if not self.pending:
            return
        reach = 0
        if jumbled:
            while reach < min(4, len(self.pending)) and self._may_move(self.pending[reach]):
                reach += 1
        at = self.chance.randrange(reach) if reach else 0
        message = self.pending[at]
        del self.pending[at]
        self.delivered.append(message)
        self.role.receive_data(message, self.hub.now())
        self.settle()

    def repeat(self) -> None:
        """One of the last pushes of this connection arrives once more."""
        moving = [message for message in self.delivered[-5:] if self._may_move(message)]
        if moving and self.line is not None:
            self.role.receive_data(self.chance.choice(moving), self.hub.now())
            self.settle()

    def _may_move(self, message: str) -> bool:
        frame = json.loads(message)
        return not frame["event"].startswith("pusher") and BARE not in frame["data"]

    def tick(self, seconds: float = 0.04) -> None:
        self.hub.advance(seconds)
        if self.line is not None:
            self.line.tick()
            self.collect()
        self.role.tick(self.hub.now())
        self.settle()

    def cut(self) -> None:
        if self.line is not None:
            self.line = None
            self.pending.clear()
            self.delivered.clear()
            self.role.closed(None, "cut", self.hub.now())
            self.settle()

    def rest(self, seconds: float = 40.0) -> None:
        """Everything that is under way arrives, in order."""
        end = self.hub.monotonic + seconds
        while self.hub.monotonic < end:
            while self.waiting or self.pending:
                self.compute()
                self.answer()
                self.deliver()
            deadline = self.role.deadline()
            assert deadline is not None
            self.tick(max(0.001, min(deadline, end, self.hub.monotonic + 4) - self.hub.monotonic))


ACTIONS = (
    ["book"] * 6
    + ["market", "event", "tournament", "wager", "lines gone", "book gone", "market gone", "event gone", "account"] * 2
    + ["tournament gone"]
)
STEPS = (
    ["act"] * 6 + ["deliver"] * 6 + ["jumble"] * 3 + ["repeat"] * 2 + ["compute"] * 4 + ["answer"] * 4 + ["tick"] * 6
)


def truth(hub: worlds.Hub) -> Any:
    """What a client has that has just come and read everything."""
    fresh = World(hub, random.Random(0))
    fresh.rest(20)
    return View(fresh.messages).state


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.integers(5, 250))
def test_who_folds_the_messages_has_what_rest_shows(seed: int, numbered: bool, length: int) -> None:
    chance = random.Random(seed)
    hub = worlds.new_hub()
    exchange = Exchange(hub, numbered=numbered)
    for action in ("tournament", "event", "market", "book", "event", "market"):
        exchange.act(action, chance)
    world = World(hub, chance)
    for _ in range(length):
        step = chance.choice(STEPS)
        if chance.random() < 0.02:
            world.cut()
        elif step == "act":
            exchange.act(chance.choice(ACTIONS), chance)
            world.collect()
        elif step == "deliver":
            world.deliver()
        elif step == "jumble":
            world.deliver(jumbled=True)
        elif step == "tick":
            world.tick()
        else:
            getattr(world, step)()
    world.rest()
    assert "reconciled" in {notice.kind for notice in world.notices}, world.notices
    expected = truth(hub)
    expected["balance"] = View(world.messages).balance  # nothing pushes it: it is as old as the last read
    assert View(world.messages).state == expected
    before = len(world.messages)
    world.rest(COMPARE_SECONDS + 10)
    news = [message for message in world.messages[before:] if message.source != "get_balance"]
    assert news == [], "a compare finds nothing where nothing was missed"
    assert View(world.messages).state == truth(hub)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_a_compare_finds_what_was_missed(seed: int, numbered: bool) -> None:
    """Pushes that the provider lost, with no break of the line, are made up for within a quarter of an hour."""
    chance = random.Random(seed)
    hub = worlds.new_hub()
    exchange = Exchange(hub, numbered=numbered)
    for action in ("tournament", "event", "market", "book") * 4:
        exchange.act(action, chance)
    world = World(hub, chance)
    world.rest(10)
    for _ in range(30):
        exchange.act(chance.choice(ACTIONS), chance)
        world.collect()
        if chance.random() < 0.5:
            world.pending.clear()
        else:
            world.rest(0.01)
    connections = [notice for notice in world.notices if notice.kind == "connected"]
    world.rest(COMPARE_SECONDS + 10)
    assert View(world.messages).state == truth(hub)
    assert [notice for notice in world.notices if notice.kind == "connected"] == connections
