"""A started hub (real log and directory), the operations on endpoints, and a courier that keeps what it was asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from touchline.delivery.courier.report import Attempt, DeadLetter, EndpointReport
from touchline.errors import NotFound
from touchline.feeds.base import Operation
from touchline.model import Event
from touchline.server import config
from touchline.server.app import Running
from touchline.server.http.endpoints import EndpointAdmin
from touchline.server.hub import Hub
from touchline.testing.clock import FakeClock
from touchline.wire.http import HttpRequest, HttpResponse


class KeepingCourier:
    """Implements ``server.http.endpoints.CourierPort``."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.letters: list[DeadLetter] = []
        self.tried: list[Attempt] = []
        self.gone: set[str] = set()

    async def report(self, endpoint_id: str) -> EndpointReport:
        if endpoint_id in self.gone:
            raise NotFound(f"there is no endpoint {endpoint_id!r}")
        return EndpointReport("active", 5, 9, 4, False, 1.5, 0.5, 10, 3, 1, 2, 1, len(self.letters), 0, None, "")

    def attempts(self, endpoint_id: str) -> Sequence[Attempt]:
        self.asked.append(("attempts", endpoint_id))
        return self.tried

    async def dead_letters(self, endpoint_id: str, limit: int) -> Sequence[DeadLetter]:
        self.asked.append(("dead_letters", endpoint_id, limit))
        return self.letters[:limit]

    async def redrive(self, endpoint_id: str, offsets: Collection[int] | None) -> int:
        self.asked.append(("redrive", endpoint_id, offsets))
        return len(self.letters) if offsets is None else len(offsets)

    async def replay(self, endpoint_id: str, after: int) -> None:
        self.asked.append(("replay", endpoint_id, after))

    def wake(self, endpoint_id: str) -> None:
        self.asked.append(("wake", endpoint_id))

    async def test(self, endpoint_id: str) -> Attempt:
        self.asked.append(("test", endpoint_id))
        return attempt()


def attempt() -> Attempt:
    """One of 2023."""
    return Attempt(1_700_000_000_000_000_000, "test", "m-1", 0, "hub.endpoint.test", "ep", 1, 204, "", "", 0.25, "")


def letter(offset: int) -> DeadLetter:
    """A record that was given up."""
    at = 1_700_000_000_000_000_000
    return DeadLetter(offset, 3, "hub", "a.b", "s", "/x", "e", f"m-{offset}", at, at + 10**9, 7, 500, "500 for 60 s")


class World:
    """See the module docstring; a partner ``acme`` has some feeds."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        settings = config.load({"data": str(directory), "allow_network": ["127.0.0.0/8"]}, {}, directory)
        self.running = Running(settings, self.clock)
        self.courier = KeepingCourier()
        self.operations: dict[str, Operation] = {}
        self.key = ""

    async def start(self) -> None:
        await self.running.start()
        self.operations = {one.name: one for one in EndpointAdmin(self.hub, self.courier).operations()}
        self.key = (self.running.settings.data_dir / "admin.key").read_text().strip()
        for feed in ("hub", "shottracker", "insights"):
            await self.hub.directory.add_member("acme", feed, self.hub.feeds[feed].credentials, {}, {})

    @property
    def hub(self) -> Hub:
        return self.running.hub

    async def call(
        self, name: str, endpoint: str = "", body: object = None, *, key: str | None = None, **query: str
    ) -> HttpResponse:
        """One operation by its name; ``body`` is made JSON unless it is bytes."""
        operation = self.operations[name]
        encoded = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        request = HttpRequest(
            operation.method,
            query=tuple(query.items()),
            headers=(("authorization", f"Bearer {self.key if key is None else key}"),),
            body=encoded,
            path_params={"id": endpoint} if endpoint else {},
        )
        answer = await operation.handler(request)
        assert answer.status in operation.answers, "every answer is documented"
        return answer

    async def add(self, **more: object) -> dict[str, Any]:
        """An endpoint, which must be taken."""
        body = {"partner": "acme", "feed": "hub", "url": "https://a.example/hook"} | more
        answer = await self.call("add_endpoint", body=body)
        assert answer.status == 201, answer
        return document(answer)

    async def publish(self, count: int = 1) -> None:
        """Records, each a second after the one before."""
        for number in range(count):
            self.clock.advance(1.0)
            now = self.clock.wall_ns()
            event = Event("roanuz", "roanuz.ball", "m", "/v", f"e{now}-{number}", b"{}", now, now)
            await self.hub.event_log.append([event])


def document(answer: HttpResponse) -> dict[str, Any]:
    """The JSON of an answer."""
    found: dict[str, Any] = msgspec.json.decode(answer.body)
    return found
