"""Every feed's REST: any path parameters, queries, headers and bodies, from strangers and from partners."""

from __future__ import annotations

import importlib
import re
from typing import Any, Final
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.feeds import registry
from touchline.feeds.base import Operation
from touchline.testing.roles import respond
from touchline.wire.http import HttpRequest

from .bounds import examples
from .mutations import near, texts
from .suites import SIGNED, conversation, engine_of, events, operations

SERVING: Final = [name for name, feed in registry.feeds().items() if feed.http is not None]

_BODIES: Final = (
    b'{"access_key":"a","secret_key":"b"}',
    b'{"refresh_token":"a"}',
    b'{"api_key":"RS5:0123456789abcdef0123456789abcdef"}',
    b'{"method":"web_hook"}',
    b'{"external_id":"x-1","line_id":"line-1-h","odds":105,"stake":10.5}',
    b'{"data":[{"external_id":"x-1","line_id":"line-1-h","odds":105,"stake":10}]}',
    b'{"wager_id":"w","external_id":"x-1"}',
    b"socket_id=1.2&channel_name=private-x",
    b"{}",
    b"",
)


def _known(name: str) -> list[str]:
    """Texts that occur in the feed's world: ids, subjects, keys."""
    found = {event.subject for event in events(name)}
    for event in events(name)[:6]:
        found.update(re.findall(r'"([^"\\]{1,40})"', event.data.decode()), re.findall(r"\d+", event.data.decode()))
    hub, _ = operations(name)
    for member in hub.members:
        found.update((member.partner, *member.credentials.values()))
    return sorted(found)[:400]


@pytest.mark.parametrize("name", SERVING)
def test_rest(name: str) -> None:
    hub, declared = operations(name)
    known = _known(name)
    values = st.one_of(st.sampled_from(known), texts)
    names = sorted({parameter.name for operation in declared for parameter in operation.parameters})
    parameters = st.tuples(st.one_of(st.sampled_from([*names, "limit", "page"]), texts), values)
    sign = SIGNED.get(name)

    @examples(300)
    @given(
        st.sampled_from(declared),
        st.lists(values, min_size=4, max_size=4),
        st.lists(parameters, max_size=4),
        st.lists(parameters, max_size=3),
        near(_BODIES),
        st.sampled_from(["partner", "partner", "partner", "stranger"]),
        st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain", ""]),
    )
    def play(
        operation: Operation,
        path_values: list[str],
        query: list[tuple[str, str]],
        headers: list[tuple[str, str]],
        body: bytes,
        who: str,
        content_type: str,
    ) -> None:
        left = iter(path_values)
        target = re.sub(r"\{\w+\}", lambda _: quote(next(left, "x") or "x", safe=""), operation.path)
        asked = [(parameter.lower(), value) for parameter, value in headers]
        request = HttpRequest(
            operation.method,
            target,
            target,
            (*((parameter, "1") for parameter in operation.when_query), *query),
            (),
            body,
            hosts=("127.0.0.1:8080",),
            address="192.0.2.1",
        )
        signed = sign(hub, request) if sign is not None and who == "partner" else ()
        request = msgspec.structs.replace(request, headers=(*signed, ("content-type", content_type), *asked))
        response = respond(declared, request)
        assert 200 <= response.status < 600
        assert response.status not in (500, 502), response.body
        assert all(value.isprintable() for _, value in response.headers), "a header that could be split"
        if response.body and "json" in (response.header("content-type") or ""):
            msgspec.json.decode(response.body)
        hub.failures.clear()
        del hub.stored[500:]

    play()


@pytest.mark.parametrize("name", [name for name in registry.NAMES if engine_of(name) is not None])
def test_operators_commands(name: str) -> None:
    """An operator's JSON is a command or a ValueError; a command leads to a decision or a refusal."""
    engine = engine_of(name)
    assert engine is not None
    offers = [msgspec.json.encode(offer) for offer in importlib.import_module("exchange_offers").OFFERS]

    @examples(100)
    @given(st.lists(near(offers), max_size=4))
    def play(bodies: list[bytes]) -> None:
        hub, _ = operations(name)
        running: Any = hub.engine(name)
        for body in bodies:
            try:
                command = engine.read(body)
            except ValueError:
                continue
            decided = engine.decide(running.state, command, hub.wall_ns, hub.new_id)
            for change in getattr(decided, "changes", ()):
                msgspec.json.decode(change.data)
        assert engine.encode(engine.decode(engine.encode(running.state))) == engine.encode(running.state)

    play()


def test_the_client_roles_requests_are_served() -> None:
    """What the client roles fetch is answered as they expect: the fuzzing begins at a world that works."""
    for name, feed in registry.feeds().items():
        if feed.client is not None:
            responses = conversation(name).responses
            assert responses
            assert all(response.status in (200, 404) for response in responses)
            assert responses[0].status == 200
