"""A consumer role with a clock and a scripted provider beside it: time, answers and frames are handed in."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from touchline.feeds.base import ClientWish, Fetch, Hangup, Instant, Message, Notice, Open
from touchline.feeds.prophetx.consumer import ExchangeClient, Settings, connect
from touchline.wire.http import HttpRequest, HttpResponse

WALL = 1_795_089_600
"""Thu, 19 Nov 2026 12:00:00 GMT, in seconds."""
BROADCAST, PRIVATE = "private-broadcast-service=3-device_type=5", "private-service=3-device_type=5-user=5f2c"
SEQ = 1_709_130_007_835_319_000

Answer = HttpResponse | None | Callable[[HttpRequest], HttpResponse | None]


def good(value: object, **headers: str) -> HttpResponse:
    return HttpResponse(200, json.dumps(value).encode(), tuple(headers.items()))


def refused(status: int, code: str = "nope", message: str = "no", **headers: str) -> HttpResponse:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpResponse(status, json.dumps({"error": code, "message": message}).encode(), pairs)


def session(token: str = "T1", refresh: str = "R1", life: float = 1200, now: float = WALL) -> HttpResponse:
    data = {"access_token": token, "refresh_token": refresh, "access_expire_time": int(now + life)}
    return good({"data": data}, date=formatdate(now, usegmt=True))


CONFIG = {"app_id": "1", "key": "k1", "cluster": "mt1", "ws_host": "push.test", "service": "pusher"}
CHANNELS = {
    "auth": "k1:00",
    "data": {
        "success": True,
        "authorized_channel": [
            {"channel_name": BROADCAST, "auth": "k1:aa", "binding_events": [{"name": "general"}]},
            {"channel_name": PRIVATE, "auth": "k1:bb", "binding_events": ["wagers"]},
        ],
    },
}


class Provider:
    """The role, what it asked for, and what the provider answers to each call; an empty exchange at first."""

    def __init__(self, **settings: Any) -> None:
        given = {"access_key": "ak", "secret_key": "sk", "url": "http://hub.test:8080"} | settings
        self.seconds = 1000.0
        self.wall_offset = 0.0
        self.healthy_at = self.seconds + 5
        self.answers: dict[str, Answer] = {
            "/auth/login": lambda _: session(now=self.wall),
            "/auth/refresh": lambda _: session("T2", "R2", now=self.wall),
            "/websocket/connection-config": good(CONFIG),
            "/mm/pusher": good(CHANNELS),
            "/mm/get_tournaments": good({"data": {"tournaments": []}}),
            "/mm/get_wagers": good({"data": {"wagers": [], "next_cursor": ""}}),
            "/mm/get_balance": refused(404),
        }
        self.requests: list[HttpRequest] = []
        self.opened: list[str] = []
        self.hangups = 0
        self.messages: list[Message] = []
        self.notices: list[Notice] = []
        self.sent: list[dict[str, Any]] = []
        self.is_open = False
        self.accepts = True
        self.waiting: list[Fetch] = []
        self.role: ExchangeClient = connect(Settings(**given), random.Random(1), self.now)

    @property
    def wall(self) -> float:
        """The provider's clock."""
        return WALL + self.seconds - 1000

    @property
    def now(self) -> Instant:
        """Ours, which may be wrong."""
        return Instant(int((self.wall + self.wall_offset) * 1e9), self.seconds)

    # turning the crank

    def settle(self, *, answering: bool = True) -> None:
        """Carry out wishes until there are none; requests stay in ``waiting`` when nobody answers."""
        for _ in range(10_000):
            wishes = self.role.events_received()
            for wish in wishes:
                self._carry_out(wish)
            self.sent += [json.loads(message) for message in self.role.data_to_send()]
            if answering and self.waiting:
                self.answer(self.waiting.pop(0))
            elif not wishes:
                return
        raise AssertionError("it does not come to rest")

    def answer(self, fetch: Fetch) -> None:
        self.requests.append(fetch.request)
        path = urlsplit(fetch.request.url).path.removeprefix("/partner")
        found = self.answers.get(path, refused(404))
        self.role.fetched(fetch.number, found(fetch.request) if callable(found) else found, self.now)

    def _carry_out(self, wish: ClientWish) -> None:
        match wish:
            case Fetch():
                self.waiting.append(wish)
            case Open():
                self.opened.append(wish.url)
                if self.accepts:
                    self.is_open = True
                    self.role.opened(self.now)
            case Hangup():
                self.hangups += 1
                self.close(None)
            case Message():
                self.messages.append(wish)
            case Notice():
                self.notices.append(wish)

    def pass_time(self, seconds: float, *, healthy: bool = True) -> None:
        """Time goes on, tick by tick; a health check every five seconds unless the provider is silent."""
        end = self.seconds + seconds
        while True:
            deadline = self.role.deadline()
            times = [end] + ([deadline] if deadline is not None else []) + ([self.healthy_at] if healthy else [])
            self.seconds = max(self.seconds, min(times))
            if self.seconds >= self.healthy_at:
                self.healthy_at = self.seconds + 5
                if healthy and self.is_open:
                    self.health()
            self.role.tick(self.now)
            self.settle()
            if self.seconds >= end:
                return

    def close(self, code: int | None, reason: str = "", status: int | None = None) -> None:
        self.is_open = False
        self.role.closed(code, reason, self.now, status)

    # what the provider's socket says

    def frame(self, event: str, data: object, channel: str | None = None) -> None:
        whole = {"event": event} | ({"channel": channel} if channel else {}) | {"data": data}
        self.role.receive_data(json.dumps(whole), self.now)

    def greet(self) -> None:
        self.frame("pusher:connection_established", json.dumps({"socket_id": "12.34", "activity_timeout": 120}))

    def confirm(self, channel: str) -> None:
        self.frame("pusher_internal:subscription_succeeded", "{}", channel)

    def health(self) -> None:
        data = {"change_type": "private_system_signal", "op": "u", "payload": "e30=", "timestamp": 1}
        self.frame("health_check", json.dumps(data), PRIVATE)

    def push(
        self, change: str, payload: object, op: str = "u", at: int = 0, event: str = "tournament_109", **more: Any
    ) -> None:
        text = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
        data = {"change_type": change, "op": op, "payload": base64.b64encode(text).decode(), "timestamp": at} | more
        self.frame(event, json.dumps(data), BROADCAST)

    # the usual way

    def connect(self) -> Provider:
        """Logged in, greeted and subscribed to both channels; the reads have begun."""
        self.settle()
        self.join()
        return self

    def join(self) -> None:
        assert self.is_open
        self.greet()
        self.settle()
        for channel in (PRIVATE, BROADCAST):
            self.confirm(channel)
        self.settle()

    def live(self) -> Provider:
        """The same, and everything was read."""
        self.connect()
        self.pass_time(3)
        assert "reconciled" in self.kinds, self.notices
        self.forget()
        return self

    def forget(self) -> None:
        for part in (self.messages, self.notices, self.requests, self.opened, self.sent):
            part.clear()

    # looking

    @property
    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.notices]

    @property
    def paths(self) -> list[str]:
        return [urlsplit(request.url).path.removeprefix("/partner") for request in self.requests]

    @property
    def sources(self) -> list[str]:
        return [message.source for message in self.messages]


def query(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query))


# payloads, short


def book(number: int | None, odds: int, event: int = 7, market: int = 5, line: float = 0, stake: float = 10) -> Any:
    info: dict[str, Any] = {"id": market, "type": "moneyline", "line": line, "selections": sides(odds, stake)}
    return {"sport_event_id": event, "market_id": market, "info": info | numbered(number)}


def sides(odds: int, stake: float = 10) -> list[list[dict[str, Any]]]:
    offer = {"outcome_id": 1, "line_id": "l1", "odds": odds, "stake": stake}
    nothing = {"outcome_id": 2, "line_id": "l2", "odds": 0, "stake": 0}
    return [[offer], [nothing]]


def market(number: int | None, status: str = "active", event: int = 7, market: int = 5) -> Any:
    info = {"id": market, "sport_event_id": event, "name": "Moneyline", "status": status}
    return {"id": str(event), "info": info | numbered(number)}


def sport_event(number: int | None, status: str = "not_started", event: int = 7) -> Any:
    info = {"event_id": event, "name": "A at B", "status": status, "scheduled": "2026-11-20T23:05:00Z"}
    return {"id": str(event), "tournament_id": "109", "info": info | numbered(number)}


def tournament(number: int | None, name: str = "MLB") -> Any:
    return {"id": "109", "info": {"id": 109, "name": name} | numbered(number)}


def wager(number: int | None, wager_id: str = "w1", matched: float = 0) -> Any:
    info = {"id": wager_id, "status": "open", "matched_stake": matched}
    return {"info": info | numbered(number)}


def numbered(number: int | None) -> dict[str, int]:
    return {} if number is None else {"sequence_number": SEQ + number}
