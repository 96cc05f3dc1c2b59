"""A hub in memory with two partners and a small exchange's story, and what tests say to it."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
from collections.abc import Mapping
from typing import Any

from touchline.feeds import registry
from touchline.feeds.base import Member
from touchline.feeds.prophetx import apps
from touchline.feeds.prophetx.channels import BROADCAST, private_channel
from touchline.model import Record
from touchline.testing.memory import MemoryHub, run
from touchline.testing.roles import Line, respond, upgrade_request
from touchline.wire import pusher
from touchline.wire.http import HttpRequest, HttpResponse, Pairs

TOURNAMENT, EVENT, MARKET = "109", 44285780, 219
ALICE = "5f2c0a3e-8a3f-4f5e-9f44-0d1b8e5a7c11"
BOB = "0e9d6c1b-2f7a-4b7d-8b1e-9c3f5a6d7e22"
KEYS = {"alice": ("a" * 32, "alice-secret"), "bob": ("b" * 32, "bob-secret")}
IDS = {"alice": ALICE, "bob": BOB}
PRIVATE_TYPES = ("prophetx.wager", "prophetx.private_system_signal", "prophetx.account")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def member(name: str, **grants: frozenset[str]) -> Member:
    access_key, secret_key = KEYS[name]
    credentials = {"access_key": access_key, "secret_key": digest(secret_key), "partner_id": IDS[name]}
    return Member(name, "prophetx", grants, credentials)


class Hub(MemoryHub):
    """Publishes with the extensions that this feed asks for."""

    def publish(self, event_type: str, subject: str, data: bytes, source: str = "/test", **extensions: str) -> Record:
        self.advance(0.000001)
        given = {"op": "u"} | ({"partner": subject} if event_type in PRIVATE_TYPES else {}) | extensions
        return super().publish(event_type, subject, data, source, **given)

    @property
    def apps_secret(self) -> str:
        return run(self.secret(apps.SECRET_NAME))


def new_hub(*members: Member) -> Hub:
    return Hub(registry.load("prophetx"), members or (member("alice"), member("bob")))


def dumped(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def tournament(number: int = 109, name: str = "MLB", sequence: int = 1) -> bytes:
    info = {
        "banner": "",
        "category": {"countryCode": "US", "id": 1, "name": "USA"},
        "id": number,
        "image": "",
        "name": name,
        "sport": {"id": 3, "name": "Baseball"},
        "sequence_number": 1_709_130_007_835_319_000 + sequence,
    }
    return dumped({"id": str(number), "info": info})


def sport_event(
    event: int = EVENT, status: str = "not_started", sequence: int = 2, tournament_id: str = "109"
) -> bytes:
    competitors = [
        {
            "abbreviation": "NYY",
            "country": "US",
            "display_name": "Yankees",
            "id": 11,
            "name": "Yankees",
            "side": "home",
        },
        {
            "abbreviation": "BOS",
            "country": "US",
            "display_name": "Red Sox",
            "id": 12,
            "name": "Red Sox",
            "side": "away",
        },
    ]
    info = {
        "competitors": competitors,
        "display_name": "Red Sox at Yankees",
        "event_id": event,
        "name": "Red Sox at Yankees",
        "scheduled": "2026-11-20T23:05:00Z",
        "sport_name": "Baseball",
        "status": status,
        "tournament_name": "MLB",
        "type": "match",
        "sequence_number": 1_709_130_007_835_319_000 + sequence,
    }
    return dumped({"id": str(event), "tournament_id": tournament_id, "info": info})


def market(number: int = MARKET, status: str = "active", sequence: int = 3, event: int = EVENT) -> bytes:
    info = {
        "id": number,
        "sport_event_id": event,
        "name": "Moneyline",
        "status": status,
        "description": "Who wins",
        "sequence_number": 1_709_130_007_835_319_000 + sequence,
    }
    return dumped({"id": str(event), "info": info})


def line(number: int, outcome: int, value: float = 0, kind: str = "moneyline", market_id: int = MARKET) -> bytes:
    info = {
        "id": number,
        "sport_event_id": EVENT,
        "market_id": market_id,
        "outcome_id": outcome,
        "line": value,
        "line_id": f"line{number}",
        "type": kind,
        "name": f"outcome {outcome}",
        "status": "active",
        "favourite": False,
        "sequence_number": 1_709_130_007_835_319_004,
    }
    return dumped({"id": number, "info": info})


def selection(outcome: int, odds: int, stake: float, value: float = 0) -> dict[str, Any]:
    return {
        "outcome_id": outcome,
        "name": f"outcome {outcome}",
        "competitor_id": outcome,
        "line": value,
        "line_id": f"line{outcome}",
        "odds": odds,
        "display_odds": f"{odds:+}" if odds else "",
        "display_line": "",
        "display_name": f"outcome {outcome}",
        "value": stake,
        "stake": stake,
        "updated_at": 1_709_130_007_835_319_111,
    }


def selections(
    odds: int = 124, sequence: int = 10, kind: str = "moneyline", value: float = 0, market_id: int = MARKET
) -> bytes:
    sides = [[selection(4, odds, 45.3, value)], [selection(5, 0, 0, value)]]
    info = {
        "id": market_id,
        "name": "Moneyline",
        "selections": sides,
        "type": kind,
        "line": value,
        "sequence_number": 1_709_130_007_835_319_000 + sequence,
    }
    return dumped({"sport_event_id": EVENT, "market_id": market_id, "info": info})


def matched_bet(sequence: int = 11) -> bytes:
    info = {
        "line": 0,
        "line_id": "line4",
        "market_id": MARKET,
        "matched_odds": 124,
        "matched_stake": 45.3,
        "odds": 124,
        "origin_market_line": 0,
        "outcome_id": 4,
        "sequence_number": 1_709_130_007_835_319_000 + sequence,
        "sport_event_id": EVENT,
    }
    return dumped({"info": info})


def wager(owner: str, number: str = "w1", stake: float = 10, matched: float = 0, **more: Any) -> bytes:
    info = {
        "id": number,
        "user_id": owner,
        "market_id": MARKET,
        "sport_event_id": EVENT,
        "outcome_id": 4,
        "odds": 124,
        "line": 0,
        "stake": stake,
        "profit": 12.4,
        "matched_stake": matched,
        "matched_odds": 124,
        "totally_matched_stake": matched,
        "unmatched_stake": stake - matched,
        "matching_status": "unmatched" if not matched else "partially_matched",
        "winning_status": "tbd",
        "status": "open",
        "external_id": f"x-{number}",
        "line_id": "line4",
        "update_type": "status",
        "sequence_number": 1_709_130_007_835_319_020,
    }
    return dumped({"info": info | more})


def account(balance: float = 990.5, matched: float = 0, unmatched: float = 9.5) -> bytes:
    info = {"balance": balance, "matched_wager_balance": matched, "unmatched_wager_balance": unmatched}
    return dumped({"info": info | {"sequence_number": 1_709_130_007_835_319_030}})


EXAMPLES: Mapping[str, tuple[str, bytes]] = {
    "prophetx.tournament": (TOURNAMENT, tournament()),
    "prophetx.sport_event": (TOURNAMENT, sport_event()),
    "prophetx.market": (TOURNAMENT, market()),
    "prophetx.market_line": (TOURNAMENT, line(4, 4)),
    "prophetx.market_selections": (TOURNAMENT, selections()),
    "prophetx.matched_bet": (TOURNAMENT, matched_bet()),
    "prophetx.wager": (ALICE, wager(ALICE)),
    "prophetx.private_system_signal": (ALICE, b"{}"),
    "prophetx.account": (ALICE, account()),
}

STORY = [
    ("prophetx.tournament", TOURNAMENT, tournament()),
    ("prophetx.sport_event", TOURNAMENT, sport_event()),
    ("prophetx.market", TOURNAMENT, market()),
    ("prophetx.market_line", TOURNAMENT, line(4, 4)),
    ("prophetx.market_line", TOURNAMENT, line(5, 5)),
    ("prophetx.market_selections", TOURNAMENT, selections()),
    ("prophetx.market_selections", TOURNAMENT, selections(126, 12)),
    ("prophetx.matched_bet", TOURNAMENT, matched_bet(13)),
    ("prophetx.market_selections", TOURNAMENT, selections(118, 14)),
    ("prophetx.sport_event", TOURNAMENT, sport_event(status="live", sequence=15)),
    ("prophetx.market", TOURNAMENT, market(status="suspended", sequence=16)),
]


# REST


def ask(
    hub: MemoryHub, method: str, path: str, body: bytes = b"", headers: Pairs = (), address: str = "192.0.2.1"
) -> HttpResponse:
    path, _, query = path.partition("?")
    pairs = tuple((name, value) for name, _, value in (part.partition("=") for part in query.split("&") if part))
    request = HttpRequest(method, path, path, pairs, headers, body, hosts=("127.0.0.1:8080",), address=address)
    key = id(hub)
    if key not in _OPERATIONS or _OPERATIONS[key][0] is not hub:
        _OPERATIONS[key] = (hub, importlib.import_module("touchline.feeds.prophetx.http").operations(hub))
    return respond(_OPERATIONS[key][1], request)


_OPERATIONS: dict[int, tuple[MemoryHub, Any]] = {}


def value(response: HttpResponse) -> Any:
    return json.loads(response.body)


def login(hub: MemoryHub, name: str = "alice") -> dict[str, Any]:
    access_key, secret_key = KEYS[name]
    response = ask(hub, "POST", "/partner/auth/login", dumped({"access_key": access_key, "secret_key": secret_key}))
    assert response.status == 200, response
    session: dict[str, Any] = value(response)["data"]
    return session


def bearer(hub: MemoryHub, name: str = "alice") -> Pairs:
    return (("authorization", f"Bearer {login(hub, name)['access_token']}"),)


# sockets


def open_line(hub: Hub, name: str = "alice", query: str = "?protocol=7&client=js") -> Line:
    key = apps.app_of(hub.apps_secret, name).key
    return Line(hub, upgrade_request(f"ws://127.0.0.1:8080/app/{key}{query}"))


def heard(messages: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def socket_id(line: Line) -> str:
    greeting = json.loads(line.messages[0])
    assert greeting["event"] == "pusher:connection_established"
    found: str = json.loads(greeting["data"])["socket_id"]
    return found


def subscribe(line: Line, name: str, channel: str, hub: Hub) -> list[dict[str, Any]]:
    app = apps.app_of(hub.apps_secret, name)
    return send_subscribe(line, channel, pusher.authorize(app.key, app.secret, socket_id(line), channel))


def send_subscribe(line: Line, channel: str, auth: str) -> list[dict[str, Any]]:
    wish = {"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth}}
    return heard(line.send(json.dumps(wish)))


def change(message: dict[str, Any]) -> tuple[str, str, str, bytes, int]:
    """Event, change_type, op, payload and timestamp of a message."""
    data = json.loads(message["data"])
    assert list(data) == ["change_type", "op", "payload", "timestamp"]
    payload = base64.b64decode(data["payload"], validate=True)
    return message["event"], data["change_type"], data["op"], payload, data["timestamp"]


__all__ = ["BROADCAST", "private_channel"]
