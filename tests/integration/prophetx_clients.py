"""A client of the ProphetX feed as the provider's own example is one, with raw frames, and what tests publish to it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from typing import Any, Self

from touchline.feeds.prophetx import apps
from touchline.server.websocket import WebSocketConnection
from touchline.wire import pusher

from .hubs import PATIENCE_SECONDS, Answer, Hub, cloud_event
from .websockets import CLOSE, TEXT, frame
from .websockets import Client as Socket

SUCCEEDED = "pusher_internal:subscription_succeeded"
REFUSED = "pusher:subscription_error"
ERROR = "pusher:error"


class Session:
    """A login, and the REST calls that are made with it."""

    def __init__(self, hub: Hub, credentials: Mapping[str, str]) -> None:
        self.hub = hub
        keys = {name: credentials[name] for name in ("access_key", "secret_key")}
        # As the example does: JSON without a Content-Type.
        answer = hub.request("POST", "/partner/auth/login", json.dumps(keys).encode())
        assert answer.status == 200, answer
        self.tokens: dict[str, Any] = answer.json["data"]
        self.config = self.get("/websocket/connection-config").json

    def get(self, path: str) -> Answer:
        return self.hub.request(
            "GET", f"/partner{path}", headers={"Authorization": f"Bearer {self.tokens['access_token']}"}
        )

    def post(self, path: str, body: str) -> Answer:
        headers = {
            "Authorization": f"Bearer {self.tokens['access_token']}",
            "Content-Type": "application/x-www-form-urlencoded",
            "header-subscriptions": '[{"type":"tournament","ids":[]}]',
        }
        return self.hub.request("POST", f"/partner{path}", body.encode(), headers)


class Client:
    """What the provider's own example does. ``session`` shares a login among sockets."""

    def __init__(
        self,
        hub: Hub,
        credentials: Mapping[str, str],
        query: str = "protocol=7&client=js",
        *,
        session: Session | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        self.session = session or Session(hub, credentials)
        self.config = self.session.config
        self._query = query
        self._receive_buffer = receive_buffer
        self.connect(hub)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.plain.close()

    @property
    def hub(self) -> Hub:
        return self.session.hub

    def connect(self, hub: Hub) -> None:
        """Open a socket, also after another one: with the signatures for its channels, and subscribed to none."""
        self.session.hub = hub
        self._kept: list[dict[str, Any]] = []
        self.socket = Socket(hub, f"/app/{self.config['key']}?{self._query}", receive_buffer=self._receive_buffer)
        with ExitStack() as stack:
            stack.callback(self.socket.plain.close)
            greeting = self.next()
            assert greeting["event"] == "pusher:connection_established"
            self.socket_id = json.loads(greeting["data"])["socket_id"]
            found = self.post("/mm/pusher", f"socket_id={self.socket_id}")
            assert found.status == 200, found
            stack.pop_all()
        self.channels = {one["channel_name"]: one for one in found.json["data"]["authorized_channel"]}
        self.private = next(name for name in self.channels if "broadcast" not in name)

    def get(self, path: str) -> Answer:
        return self.session.get(path)

    def post(self, path: str, body: str) -> Answer:
        return self.session.post(path, body)

    def next(self) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = self._kept.pop(0) if self._kept else self.socket.event()
        return message

    def _answer(self) -> dict[str, Any]:
        """The next message of the protocol itself; changes that come before it are kept."""
        while ":" not in (message := self.socket.event())["event"]:
            self._kept.append(message)
        return message

    def send(self, value: object) -> None:
        self.socket.send_text(json.dumps(value))

    def subscribe(self, channel: str) -> dict[str, Any]:
        """As a Pusher library does: the signature is asked for at the same address, then handed on."""
        auth = self.post("/mm/pusher", f"channel_name={channel}&socket_id={self.socket_id}").json["auth"]
        return self.subscribe_with(channel, auth)

    def subscribe_with(self, channel: object, auth: object) -> dict[str, Any]:
        """Subscribe with whatever is given; the answer."""
        self.send({"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth}})
        return self._answer()

    def subscribe_all(self) -> Self:
        """To both channels, with the signatures that it has."""
        for name, one in self.channels.items():
            assert self.subscribe_with(name, one["auth"])["event"] == SUCCEEDED
        return self

    def change(self) -> tuple[str, str, Any]:
        """Event, change_type and payload of the next change."""
        while True:
            message = self.next()
            assert message["event"] != ERROR, message
            data = json.loads(message["data"])
            if message["event"] != "health_check":
                return message["event"], data["change_type"], json.loads(base64.b64decode(data["payload"]))

    def numbers(self, last: int) -> list[int]:
        """The numbers of the changes that come (``numbered``), up to and with the last."""
        found: list[int] = []
        while not found or found[-1] != last:
            found.append(int(self.change()[2]["id"]))
        return found

    def is_alive(self) -> bool:
        """Whether the socket answers a ping of the protocol; what comes before the answer must be a health check."""
        self.send({"event": "pusher:ping", "data": {}})
        while (message := self.next())["event"] == "health_check":
            pass
        return message == {"event": "pusher:pong", "data": {}}


def everything(client: Client) -> tuple[list[int], dict[str, object], int | None]:
    """What is still to be read: numbers of changes, the last error, and the code of the close (None: there is none)."""
    numbers: list[int] = []
    error: dict[str, object] = {}
    code = None
    while (got := client.socket.receive()) is not None:
        if got[0] == CLOSE:
            code = int.from_bytes(got[1][:2])
            with suppress(OSError):
                client.socket.send(frame(CLOSE, got[1][:2]))
        elif got[0] == TEXT:
            message = json.loads(got[1])
            if message["event"] == ERROR:
                error = message["data"]
            elif message["event"].startswith("tournament"):
                payload = json.loads(base64.b64decode(json.loads(message["data"])["payload"]))
                numbers += [int(payload["id"])] if "id" in payload else []
    return numbers, error, code


def last_words(socket: Socket) -> tuple[dict[str, Any], int]:
    """The last message before the close, and the close's code."""
    last: dict[str, Any] = {}
    end = time.monotonic() + PATIENCE_SECONDS
    while (got := socket.receive()) is not None:
        if got[0] == TEXT:
            last = json.loads(got[1])
            assert time.monotonic() < end, "health checks come, and no end"
        elif got[0] == CLOSE:
            socket.plain.close()
            return last, int.from_bytes(got[1][:2])
    raise AssertionError("closed without a close frame")


def told(socket: Socket) -> tuple[int, int]:
    """The code of the error that is told last, and that of the close behind it."""
    last, code = last_words(socket)
    assert last["event"] == ERROR, last
    return last["data"]["code"], code


def partner(hub: Hub, name: str, grants: dict[str, list[str]] | None = None) -> dict[str, str]:
    credentials = hub.partner(name, "prophetx", grants)
    assert credentials.keys() == {"access_key", "secret_key", "partner_id"}
    return credentials


def app_of(hub: Hub, name: str) -> apps.App:
    """The app of a partner, which only the hub knows whole."""
    return apps.app_of(hub.wait(hub.running.hub.directory.secret(apps.SECRET_NAME)), name)


def sign(hub: Hub, name: str, socket_id: str, channel: str) -> str:
    """The signature that the hub would give that partner."""
    app = app_of(hub, name)
    return pusher.authorize(app.key, app.secret, socket_id, channel)


def private(partner_id: str, number: int) -> dict[str, Any]:
    return cloud_event("prophetx.wager", partner_id, {"info": {"id": f"w{number}"}}, op="u", partner=partner_id)


def numbered(numbers: Iterable[int], subject: str = "109", pad_bytes: int = 0) -> list[dict[str, Any]]:
    """Public changes with these numbers as their ids."""
    pad = {"pad": "x" * pad_bytes} if pad_bytes else {}
    return [cloud_event("prophetx.market", subject, {"id": str(number), "info": pad}, op="u") for number in numbers]


EVENT = 7


def book(market: int, sequence: int) -> dict[str, Any]:
    """The whole book of a market as of a sequence number."""
    sides = [[{"line_id": f"l{market}", "odds": 100 + sequence, "stake": 1}], []]
    info = {"id": market, "type": "moneyline", "line": 0, "selections": sides, "sequence_number": sequence}
    value = {"sport_event_id": EVENT, "market_id": market, "info": info}
    return cloud_event("prophetx.market_selections", "109", value, op="u")


def announce(hub: Hub) -> None:
    hub.publish_all([cloud_event("prophetx.tournament", "109", {"id": "109", "info": {"id": 109}}, op="c")])


def by_rest(session: Session) -> dict[int, int]:
    """The sequence number of each market's book."""
    answer = session.get(f"/mm/get_markets?event_id={EVENT}")
    assert answer.status in (200, 404), answer
    if answer.status == 404:
        return {}
    markets = answer.json["data"]["markets"]
    assert all(one["selections"][0][0]["odds"] == 100 + one["selections_sequence_number"] for one in markets)
    return {one["id"]: one["selections_sequence_number"] for one in markets}


PAD_BYTES = 7_000
MANY = 1_000
"""So many changes of that size are more than the systems of both sides hold (10 MB on the wire)."""


def pour(hub: Hub, begin: int = 0, end: int = MANY) -> None:
    """Publish large changes with these numbers."""
    for start in range(begin, end, 100):
        hub.publish_all(numbered(range(start, min(end, start + 100)), "31", pad_bytes=PAD_BYTES))


def connections(hub: Hub) -> list[WebSocketConnection]:
    return [one for one in hub.running.sessions._open if isinstance(one, WebSocketConnection)]


def tick(hub: Hub) -> None:
    """What the hub does once a second."""
    hub.on_loop(hub.running.hub.fanout.tick)
    hub.wait(hub.running.sessions.tick())


def due(hub: Hub) -> None:
    """What sockets' own timers do, for a clock that a test moves."""

    def call() -> None:
        now = hub.running.hub.clock.monotonic()
        for one in connections(hub):
            at = None if one._session is None else one._session.deadline()
            if at is not None and at <= now:
                one.due()

    hub.on_loop(call)
