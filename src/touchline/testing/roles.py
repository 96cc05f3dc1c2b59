"""Both roles of a feed wired to each other without a socket: ``Line`` is one subscriber's connection to a
``MemoryHub``, ``RolePair`` runs the feed's client role against it and can cut the line wherever a test wants.
"""

from __future__ import annotations

import importlib
import random
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from touchline.feeds.base import (
    Accept,
    Ask,
    Close,
    EndReason,
    Fetch,
    Follow,
    Hangup,
    Identify,
    Message,
    Notice,
    Open,
    Operation,
    Refuse,
    Unfollow,
    WebSocketSurface,
)
from touchline.model import Position
from touchline.testing.memory import EPOCH, MemoryHub, run
from touchline.wire.http import HttpRequest, HttpResponse


def upgrade_request(url: str, headers: tuple[tuple[str, str], ...] = ()) -> HttpRequest:
    """The request of a WebSocket handshake to a URL, as a server would see it."""
    parts = urlsplit(url)
    return HttpRequest(
        "GET",
        unquote(parts.path) or "/",
        parts.path or "/",
        tuple(parse_qsl(parts.query, keep_blank_values=True)),
        headers or (("host", parts.netloc),),
        hosts=(parts.netloc,),
        address="192.0.2.1",
    )


class Line:
    """One subscriber's connection, driven as the shell does: wishes in order, then messages."""

    def __init__(self, hub: MemoryHub, request: HttpRequest) -> None:
        surface = hub.feed.websocket
        assert surface is not None, f"{hub.feed.name} has no WebSocket"
        self.hub = hub
        self.surface: WebSocketSurface = surface
        self.session = surface.open(request, hub.entropy, hub.now())
        self.asked: list[Ask] = []
        self.accepted: Accept | None = None
        self.refused: Refuse | None = None
        self.identity: Identify | None = None
        self.closed: Close | None = None
        self.follows: dict[int, Follow] = {}
        self.messages: list[str | bytes] = []
        self._cursors: dict[int, int] = {}
        self._states: dict[int, int] = {}
        self.settle()

    def settle(self) -> None:
        """Carry out the session's wishes until it has none."""
        while wishes := self.session.events_received():
            for wish in wishes:
                assert self.refused is None, f"{wish} after a refusal"
                assert self.closed is None, f"{wish} after a close"
                match wish:
                    case Ask():
                        self.asked.append(wish)
                        self.session.told(wish.number, self.hub.answer(wish.question), self.hub.now())
                    case Accept():
                        self.accepted = wish
                    case Refuse():
                        assert self.accepted is None, "refused after it was accepted"
                        self.refused = wish
                    case Identify():
                        self.identity = wish
                    case Follow():
                        assert self.accepted is not None, "followed before it was accepted"
                        self.follows[wish.number] = wish
                        head = self.hub.stored[-1].offset if self.hub.stored else 0
                        self._cursors[wish.number] = head if wish.after is None else wish.after
                        self._states[wish.number] = 0
                    case Unfollow():
                        self.follows.pop(wish.number, None)
                    case Close():
                        self.closed = wish
            self.messages += self.session.data_to_send()
        self.messages += self.session.data_to_send()

    def send(self, message: str | bytes) -> list[str | bytes]:
        """A message from the client; what the session says to it."""
        before = len(self.messages)
        self.session.receive_data(message, self.hub.now())
        self.settle()
        return self.messages[before:]

    def tick(self) -> None:
        """Let the session do what its deadline says."""
        deadline = self.session.deadline()
        if self.closed is None and deadline is not None and self.hub.monotonic >= deadline:
            self.session.tick(self.hub.now())
            self.settle()

    def read(self) -> list[str | bytes]:
        """All messages that are due, from the log and of the state lane; ends the session when nothing more comes."""
        before = len(self.messages)
        over = False
        for number, follow in list(self.follows.items()):
            latest: dict[tuple[str, str, str], int] = {}
            for index, record in enumerate(self.hub.stored):
                event = record.event
                if not record.seq:
                    latest[event.feed, event.subject, event.state_key] = index
                elif record.offset > self._cursors[number]:
                    self._cursors[number] = record.offset
                    over |= self._write(index, follow)
            for index in sorted(latest.values()):
                if index >= self._states[number]:
                    self._write(index, follow)
            self._states[number] = len(self.hub.stored)
            over |= follow.finite
        if over and self.closed is None:
            self.session.end(EndReason.FINISHED, self.hub.now())
            self.settle()
        return self.messages[before:]

    def _write(self, index: int, follow: Follow) -> bool:
        record = self.hub.stored[index]
        if not follow.selector.matches(record):
            return False
        message = self.surface.encode(record, follow.selector.variant, Position(EPOCH, record.offset))
        if message is not None:
            self.messages.append(message)
        return self.surface.is_last is not None and self.surface.is_last(record)


def respond(operations: Sequence[Operation], request: HttpRequest) -> HttpResponse:
    """What a feed's REST answers, routed by the declared paths; 404 without a body when none fits."""
    for operation in operations:
        pattern = "".join(
            f"(?P<{part[1:-1]}>[^/]+?)" if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{\w+\})", operation.path)
        )
        match = re.fullmatch(pattern, request.target_path)
        queried = all(request.param(name) is not None for name in operation.when_query)
        if match is not None and operation.method == request.method and queried:
            params = {name: unquote(value) for name, value in match.groupdict().items()}
            handler: Any = operation.handler
            routed = HttpRequest(
                request.method,
                request.path,
                request.target_path,
                request.query,
                request.headers,
                request.body,
                request.url,
                request.scheme,
                request.hosts,
                request.address,
                params,
            )
            response = run(handler(routed))
            assert isinstance(response, HttpResponse)
            return response
    return HttpResponse(404)


class RolePair:
    """The feed's client role against a hub. ``messages`` is what it handed to its user, ``notices`` what it said.

    ``while_cut`` is called whenever the line was cut, before the client knows it: to publish what it then misses.
    ``passed`` says how many messages went over each connection.
    """

    def __init__(self, hub: MemoryHub, settings: object, while_cut: Callable[[], None] | None = None) -> None:
        feed = hub.feed
        assert feed.client is not None, f"{feed.name} has no client role"
        self.hub = hub
        self.operations: Sequence[Operation] = (
            importlib.import_module(feed.http).operations(hub) if feed.http is not None else ()
        )
        self.client = feed.client.connect(settings, random.Random(7), hub.now())  # noqa: S311 - reproducible
        self.line: Line | None = None
        self.messages: list[Message] = []
        self.notices: list[Notice] = []
        self.passed: list[int] = []
        self._while_cut = while_cut

    @property
    def connections(self) -> int:
        """How many there were."""
        return len(self.passed)

    def run(self, cuts: Sequence[int] = (), rounds: int = 1000, seconds: float = 0.0) -> None:
        """Until the client ends, or nothing happens any more. The line breaks after as many messages of a connection as
        ``cuts`` says, one number a connection; later connections hold. While the line is open ``seconds`` pass, and
        both sides do what their deadlines say; while it is not, time goes on until the client comes back.
        """
        left = seconds
        for _ in range(rounds):
            if self._step(cuts):
                continue
            if self.client.close_reason is not None:
                return
            deadlines = [self.client.deadline(), None if self.line is None else self.line.session.deadline()]
            deadline = min((one for one in deadlines if one is not None), default=None)
            if deadline is None:
                return
            wait = max(0.0, deadline - self.hub.monotonic) + 0.001
            if self.line is not None:
                if wait > left:
                    return
                left -= wait
            self.hub.advance(wait)
            self.client.tick(self.hub.now())
            if self.line is not None:
                self.line.tick()
        raise AssertionError("the client neither ended nor came to rest")

    def _step(self, cuts: Sequence[int]) -> bool:
        """One turn of both sides; whether anything happened."""
        happened = False
        for wish in self.client.events_received():
            happened = True
            match wish:
                case Fetch():
                    self.client.fetched(wish.number, self._fetch(wish.request), self.hub.now())
                case Open():
                    self._open(wish)
                case Hangup():
                    self.line = None
                    self.client.closed(wish.code, "", self.hub.now())
                case Message():
                    self.messages.append(wish)
                case Notice():
                    self.notices.append(wish)
        if self.line is not None:
            happened |= self._pass(self.line, cuts)
        return happened

    def _fetch(self, request: HttpRequest) -> HttpResponse:
        return respond(
            self.operations,
            HttpRequest(
                request.method,
                request.path,
                urlsplit(request.url).path or request.target_path,
                tuple(parse_qsl(urlsplit(request.url).query)) or request.query,
                request.headers,
                request.body,
                hosts=(request.header("host") or urlsplit(request.url).netloc,),
                address="192.0.2.1",
            ),
        )

    def _open(self, wish: Open) -> None:
        line = Line(self.hub, upgrade_request(wish.url, wish.headers))
        self.passed.append(0)
        if line.refused is not None:
            response = line.refused.response
            self.client.closed(None, response.body.decode(), self.hub.now(), response.status)
            return
        self.line = line
        self.client.opened(self.hub.now())

    def _pass(self, line: Line, cuts: Sequence[int]) -> bool:
        """Pass messages both ways; whether there were any."""
        for message in self.client.data_to_send():
            line.send(message)
        line.read()
        cut = cuts[self.connections - 1] if self.connections <= len(cuts) else None
        fresh = line.messages[self.passed[-1] :]
        for message in fresh:
            if cut is not None and self.passed[-1] >= cut:
                break
            self.passed[-1] += 1
            self.client.receive_data(message, self.hub.now())
        if cut is not None and self.passed[-1] >= cut:
            self.line = None
            if self._while_cut is not None:
                self._while_cut()
            self.client.closed(None, "cut", self.hub.now())
            return True
        if line.closed is not None:
            self.line = None
            self.client.closed(line.closed.code, line.closed.reason, self.hub.now())
            return True
        return bool(fresh)
