"""Webhook endpoints: ``/hub/v1/endpoints``, for admins.

A secret is shown once, when it is made. What an endpoint is stands in the directory (``log.endpoints``); how it does,
and every verb about its deliveries, is the courier's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import msgspec

from touchline.delivery.courier.report import Attempt, DeadLetter, EndpointReport
from touchline.errors import NotFound, PositionGone
from touchline.feeds.base import Answered, Operation, Parameter
from touchline.log.endpoints import Endpoint
from touchline.model import Position
from touchline.server.http.access import admin_operation, refusal
from touchline.server.http.endpoint_checks import check_endpoint, check_label, check_overlap
from touchline.server.http.endpoint_documents import (
    DEFAULT_OVERLAP,
    Changes,
    NewEndpoint,
    Redrive,
    Replay,
    Rotation,
    attempt_document,
    dead_letter_document,
    endpoint_document,
)
from touchline.server.http.endpoint_replay import find_replay_point
from touchline.server.hub import Hub
from touchline.wire import position as position_token
from touchline.wire import standard_webhooks
from touchline.wire.http import HttpRequest, HttpResponse, json_response, problem

_log: Final = logging.getLogger("touchline.endpoints")

ENDPOINTS: Final = "/hub/v1/endpoints"
MAX_ENDPOINTS: Final = 10_000
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

Body = TypeVar("Body")


class CourierPort(Protocol):
    """What is asked of the courier. Each call raises NotFound for an endpoint that it does not know."""

    async def report(self, endpoint_id: str) -> EndpointReport: ...
    def attempts(self, endpoint_id: str) -> Sequence[Attempt]: ...
    async def dead_letters(self, endpoint_id: str, limit: int) -> Sequence[DeadLetter]: ...
    async def redrive(self, endpoint_id: str, offsets: Collection[int] | None) -> int: ...
    async def replay(self, endpoint_id: str, after: int) -> None: ...
    def wake(self, endpoint_id: str) -> None: ...
    async def test(self, endpoint_id: str) -> Attempt: ...


class EndpointAdmin:
    """The administrative operations on endpoints."""

    def __init__(self, hub: Hub, courier: CourierPort) -> None:
        self._hub = hub
        self._courier = courier

    def operations(self) -> list[Operation]:
        """Their declarations."""
        one = ENDPOINTS + "/{id}"
        endpoint = Parameter("id", "path", "the endpoint", required=True)
        filters = (
            Parameter("partner", "query", "of this partner only"),
            Parameter("feed", "query", "of this feed only"),
        )
        limit = Parameter(
            "limit", "query", "the most to be answered", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}
        )
        after = Parameter("after", "query", "go on after this endpoint: the `next` of an answer")
        view = Answered("the endpoint, and how it does", {"type": "object"})
        secret = {"endpoint": {"type": "string"}, "secret": {"type": "string"}}
        shown = {"type": "object", "properties": secret, "required": list(secret)}
        document = Answered("as asked", {"type": "object"})
        declare = partial(admin_operation, self._hub)
        verb = partial(declare, parameters=(endpoint,))
        return [
            declare("POST", ENDPOINTS, "add_endpoint", "Add a partner's webhook receiver", self._add, NewEndpoint,
                    answers={201: Answered("the endpoint, with its secret, which is shown this once", shown),
                             404: refusal("the partner does not have that feed"),
                             409: refusal("there are too many endpoints")}),
            declare("GET", ENDPOINTS, "list_endpoints", "List endpoints", self._list,
                    parameters=(*filters, limit, after),
                    answers={200: Answered("endpoints, oldest first; `next` when there are more", {"type": "object"})}),
            verb("GET", one, "show_endpoint", "Show an endpoint", self._show, answers={200: view}),
            verb("PATCH", one, "update_endpoint", "Change address, topics, label or options", self._update, Changes,
                 answers={200: view}),
            verb("DELETE", one, "remove_endpoint", "Remove an endpoint for good", self._remove,
                 answers={204: Answered("removed")}),
            verb("POST", one + "/pause", "pause_endpoint", "Deliver nothing until it is resumed", self._pause,
                 answers={200: view}),
            verb("POST", one + "/resume", "resume_endpoint", "Forget back-off and try at once", self._resume,
                 answers={200: view}),
            verb("POST", one + "/replay", "replay_endpoint", "Deliver again from a time or position on", self._replay,
                 Replay, answers={200: document, 410: refusal("retention has removed records of then: `reason`, "
                                                              "`oldest`, `head`")}),
            verb("POST", one + "/test", "test_endpoint", "Send a made-up message now", self._test,
                 answers={200: Answered("the attempt, whatever came of it", {"type": "object"})}),
            verb("POST", one + "/rotate-secret", "rotate_endpoint_secret", "Make a new secret", self._rotate, Rotation,
                 body_required=False, answers={200: Answered("the secret, shown this once", shown)}),
            verb("GET", one + "/attempts", "list_attempts", "The latest attempts", self._attempts,
                 answers={200: document}),
            verb("GET", one + "/dead-letters", "list_dead_letters", "What was given up", self._dead_letters,
                 parameters=(endpoint, limit), answers={200: document}),
            verb("POST", one + "/dead-letters/redrive", "redrive_dead_letters", "Deliver dead letters again",
                 self._redrive, Redrive, body_required=False, answers={200: document}),
        ]  # fmt: skip

    # what an endpoint is

    async def _add(self, request: HttpRequest) -> HttpResponse:
        hub, new = self._hub, msgspec.json.decode(request.body, type=NewEndpoint)
        checked = check_endpoint(
            hub, new.partner, new.feed, url=new.url, topics=new.topics, label=new.label, options=new.options
        )
        if len(hub.endpoints.all()) >= MAX_ENDPOINTS:
            return problem(409, "Conflict", f"the hub has {MAX_ENDPOINTS} endpoints; remove some first")
        secret = _new_secret(checked.options)
        endpoint = await hub.endpoints.add(
            new.partner,
            new.feed,
            checked.url,
            topics=checked.topics,
            label=checked.label,
            options=checked.options,
            secret=secret,
            ask=checked.ask or (),
        )
        _note("endpoint added", endpoint)
        document = await self._document(endpoint)
        return json_response({**document, "secret": standard_webhooks.shown(secret)}, 201)

    async def _list(self, request: HttpRequest) -> HttpResponse:
        limit = _limit(request)
        partner, feed, after = (request.param(name) for name in ("partner", "feed", "after"))
        chosen = [
            one
            for one in self._hub.endpoints.all()
            if (partner is None or one.partner == partner) and (feed is None or one.feed == feed)
        ]
        if after is not None:
            last = self._hub.endpoints.get(after)
            chosen = [one for one in chosen if (one.created_at, one.id) > (last.created_at, last.id)]
        documents = []
        for one in chosen[:limit]:
            with suppress(NotFound):  # it was removed while the others were asked about
                documents.append(await self._document(one))
        answer: dict[str, Any] = {"endpoints": documents}
        if len(chosen) > limit:
            answer["next"] = chosen[limit - 1].id
        return json_response(answer)

    async def _show(self, request: HttpRequest) -> HttpResponse:
        return await self._answer(self._endpoint(request))

    async def _update(self, request: HttpRequest) -> HttpResponse:
        hub, endpoint = self._hub, self._endpoint(request)
        changes = msgspec.json.decode(request.body, type=Changes)
        if changes.label is not None and changes == Changes(label=changes.label):
            # Topics are as good as they were: grants that were narrowed since do not forbid another label.
            check_label(changes.label)
            return await self._answer(await hub.endpoints.change(endpoint.id, label=changes.label))
        options = _merged(endpoint.options, changes.options or {})
        checked = check_endpoint(
            hub,
            endpoint.partner,
            endpoint.feed,
            url=endpoint.url if changes.url is None else changes.url,
            topics=endpoint.topics if changes.topics is None else changes.topics,
            label=endpoint.label if changes.label is None else changes.label,
            options=options,
        )
        if changes.resubscribe and checked.ask is None:
            raise ValueError(f"nothing is confirmed on {endpoint.feed}: there is nothing to ask for anew")
        # What was asked for while the options were others ends, where nothing is asked for now.
        ask = () if checked.ask is None and hub.endpoints.subscriptions_of(endpoint.id) else checked.ask
        if ask and changes.topics is None and changes.url is None and not changes.resubscribe:
            ask = None  # options alone ask nobody: a receiver that has unsubscribed stays so
        secret = await self._fit_secret(endpoint, options)
        endpoint = await hub.endpoints.change(
            endpoint.id,
            url=checked.url,
            topics=checked.topics,
            label=checked.label,
            options=options,
            ask=ask,
            again=changes.resubscribe,
        )
        _note("endpoint changed", endpoint)
        return json_response({**await self._document(endpoint), **secret})

    async def _fit_secret(self, endpoint: Endpoint, options: Mapping[str, str]) -> dict[str, str]:
        """A key pair cannot sign by HMAC, nor the reverse: where the options now demand the other kind, a new secret,
        to be shown. The one before stays good for the usual overlap.
        """
        if standard_webhooks.scheme_of(endpoint.secrets[0].value) == _scheme(options):
            return {}
        secret = _new_secret(options)
        await self._hub.endpoints.rotate_secret(endpoint.id, secret, check_overlap(DEFAULT_OVERLAP))
        return {"secret": standard_webhooks.shown(secret)}

    async def _remove(self, request: HttpRequest) -> HttpResponse:
        endpoint = self._endpoint(request)
        await self._hub.endpoints.remove(endpoint.id)
        _note("endpoint removed", endpoint)
        return HttpResponse(204, b"", ())

    async def _rotate(self, request: HttpRequest) -> HttpResponse:
        endpoint = self._endpoint(request)
        overlap = check_overlap(_optional(request, Rotation).overlap)
        secret = _new_secret(endpoint.options)
        endpoint = await self._hub.endpoints.rotate_secret(endpoint.id, secret, overlap)
        _note("an endpoint has a new secret", endpoint)
        return json_response({"endpoint": endpoint.id, "secret": standard_webhooks.shown(secret)})

    # how it is delivered to

    async def _pause(self, request: HttpRequest) -> HttpResponse:
        endpoint = await self._hub.endpoints.set_status(self._endpoint(request).id, "paused")
        _note("endpoint paused", endpoint)
        return await self._answer(endpoint)

    async def _resume(self, request: HttpRequest) -> HttpResponse:
        endpoint = await self._hub.endpoints.set_status(self._endpoint(request).id, "active")
        self._courier.wake(endpoint.id)
        _note("endpoint resumed", endpoint)
        return await self._answer(endpoint)

    async def _replay(self, request: HttpRequest) -> HttpResponse:
        hub, endpoint = self._hub, self._endpoint(request)
        since = msgspec.json.decode(request.body, type=Replay).since
        try:
            after = await find_replay_point(hub, since)
            await self._courier.replay(endpoint.id, after)
        except PositionGone as error:
            view = hub.position(None)
            return problem(410, "Gone", str(error), reason=error.reason, oldest=view.oldest, head=view.head)
        _note("an endpoint is replayed", endpoint)
        token = position_token.encode(Position(hub.event_log.epoch, after))
        return json_response({"endpoint": endpoint.id, "after": token})

    async def _test(self, request: HttpRequest) -> HttpResponse:
        return json_response(attempt_document(await self._courier.test(self._endpoint(request).id)))

    async def _attempts(self, request: HttpRequest) -> HttpResponse:
        endpoint = self._endpoint(request)
        attempts = self._courier.attempts(endpoint.id)
        return json_response({"endpoint": endpoint.id, "attempts": [attempt_document(one) for one in attempts]})

    async def _dead_letters(self, request: HttpRequest) -> HttpResponse:
        endpoint = self._endpoint(request)
        letters = await self._courier.dead_letters(endpoint.id, _limit(request))
        return json_response({"endpoint": endpoint.id, "dead_letters": [dead_letter_document(one) for one in letters]})

    async def _redrive(self, request: HttpRequest) -> HttpResponse:
        endpoint = self._endpoint(request)
        offsets = _optional(request, Redrive).offsets
        redriven = await self._courier.redrive(endpoint.id, None if offsets is None else frozenset(offsets))
        _note("an endpoint has dead letters redriven", endpoint)
        return json_response({"endpoint": endpoint.id, "redriven": redriven})

    def _endpoint(self, request: HttpRequest) -> Endpoint:
        """Raises NotFound."""
        return self._hub.endpoints.get(request.path_params["id"])

    async def _answer(self, endpoint: Endpoint) -> HttpResponse:
        return json_response(await self._document(endpoint))

    async def _document(self, endpoint: Endpoint) -> dict[str, Any]:
        hub = self._hub
        report = await self._courier.report(endpoint.id)
        subscriptions = hub.endpoints.subscriptions_of(endpoint.id)
        return endpoint_document(endpoint, report, subscriptions, hub.event_log.epoch, hub.clock.wall_ns())


def _scheme(options: Mapping[str, str]) -> standard_webhooks.Scheme:
    return "ed25519" if options.get("signature") == "ed25519" else "hmac"


def _new_secret(options: Mapping[str, str]) -> str:
    return standard_webhooks.new_secret(_scheme(options), os.urandom)


def _merged(options: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    merged: dict[str, str | None] = {**options, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _optional(request: HttpRequest, kind: type[Body]) -> Body:
    """The body, or its defaults when there is none."""
    return msgspec.json.decode(request.body or b"{}", type=kind)


def _limit(request: HttpRequest) -> int:
    text = request.param("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MAX_LIMIT):
        raise ValueError(f"limit is a number from 1 to {MAX_LIMIT}")
    return int(text)


def _note(what: str, endpoint: Endpoint) -> None:
    about = {"endpoint": endpoint.id, "partner": endpoint.partner, "feed": endpoint.feed}
    _log.info(what, extra=about)
