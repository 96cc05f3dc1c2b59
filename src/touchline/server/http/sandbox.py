"""``POST /hub/v1/sandbox/{feed}``: the operator's hand on a sandbox that the hub runs.

The body is one command of the feed's engine, named by its member ``command``: create and remove what is offered, void,
settle, pay in. It is carried out like everybody's, in its turn, and answered when it is durable.
"""

from __future__ import annotations

from typing import Final

import msgspec

from touchline.errors import EngineBusy
from touchline.feeds.base import Answered, Engine, Operation, Refusal
from touchline.model import Position
from touchline.server.http.access import admin_operation, refusal
from touchline.server.hub import Hub
from touchline.wire import position as position_token
from touchline.wire.http import HttpRequest, HttpResponse, json_response, problem

PATH: Final = "/hub/v1/sandbox/{feed}"


class Published(msgspec.Struct, frozen=True):
    """An event that the command led to."""

    id: str
    type: str
    subject: str


class Done(msgspec.Struct, frozen=True):
    """What a command led to; ``position`` is the head after it."""

    events: tuple[Published, ...]
    position: str


class SandboxAdmin:
    """The operator's operation on sandboxes."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def operations(self) -> list[Operation]:
        """One for each feed that has such a sandbox, whether it runs or not."""
        found = []
        for name, feed in self._hub.feeds.items():
            if feed.sandbox is not None and feed.sandbox.engine is not None:
                found.append(self._operation(name, feed.sandbox.engine))
        return found

    def _operation(self, feed: str, engine: Engine) -> Operation:
        async def handle(request: HttpRequest) -> HttpResponse:
            return await self._command(feed, request)

        return admin_operation(
            self._hub,
            "POST",
            PATH.format(feed=feed),
            f"sandbox_{feed}",
            f"Carry out an operator's command in the {feed} sandbox",
            handle,
            engine.commands,
            answers={200: Answered("done, durable and pushed", Done), 404: refusal("it does not run in this hub")},
        )

    async def _command(self, feed: str, request: HttpRequest) -> HttpResponse:
        owner = self._hub.engines.find(feed)
        if owner is None:
            return problem(
                404, "Not Found", f"the sandbox of {feed} does not run here; serve --sandbox {feed} starts it"
            )
        command = owner.engine.read(request.body)
        try:
            decided = await owner.command(command)
        except EngineBusy as busy:
            return problem(503, "Service Unavailable", f"{busy}; try again")
        if isinstance(decided, Refusal):
            return problem(decided.status, "Refused", decided.message, error=decided.error)
        log = self._hub.event_log
        events = tuple(Published(change.id, change.type, change.subject) for change in decided.changes)
        return json_response(Done(events, position_token.encode(Position(log.epoch, log.head))))
