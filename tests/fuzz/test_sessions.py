"""Every feed's WebSocket session, server and client: anything may come, in any order."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.feeds import registry
from touchline.feeds.base import (
    Accept,
    Ask,
    ClientRole,
    Close,
    EndReason,
    Fetch,
    Hangup,
    Instant,
    Message,
    Notice,
    Open,
    Refuse,
    ServerSession,
)
from touchline.testing.roles import Line
from touchline.wire.http import HttpResponse

from .bounds import examples
from .mutations import broken, changed, near, texts
from .suites import connecting, conversation, spoken, suite

SERVING: Final = [name for name, feed in registry.feeds().items() if feed.websocket is not None]
CONSUMING: Final = [name for name, feed in registry.feeds().items() if feed.client is not None]

_MAX_HELD: Final = 200
"""Messages that a session may hold while nobody drains it."""
_MAX_GROWTH_BYTES: Final = 100_000


def size_of(value: object) -> int:
    """Bytes of an object of ours with all that it holds."""
    seen: set[int] = set()
    waiting: list[Any] = [value]
    total = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type) or callable(one):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += one
        elif type(one).__module__.startswith("touchline"):
            fields = [*getattr(one, "__struct_fields__", ()), *getattr(type(one), "__slots__", ())]
            waiting += [getattr(one, name, None) for name in fields]
            waiting.append(getattr(one, "__dict__", None))
    return total


def _near_texts(seeds: Sequence[bytes]) -> st.SearchStrategy[str]:
    return near(seeds).map(lambda data: data.decode("utf-8", "replace"))


def _steps(seeds: Sequence[bytes]) -> st.SearchStrategy[list[tuple[str, Any]]]:
    step = st.one_of(
        st.tuples(st.just("message"), st.one_of(_near_texts(seeds), near(seeds))),
        st.tuples(st.just("message"), st.sampled_from([seed.decode() for seed in seeds])),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.5, 5.0, 31.0, 121.0, 1e6])),
        st.tuples(st.just("told"), st.integers(-1, 9)),
        st.tuples(st.just("drained"), st.none()),
        st.tuples(st.just("end"), st.sampled_from(list(EndReason))),
    )
    return st.lists(step, max_size=12)


@pytest.mark.parametrize("name", SERVING)
def test_a_server_session(name: str) -> None:
    seeds = spoken(name)

    @examples(120)
    @given(_steps(seeds))
    def play(steps: list[tuple[str, Any]]) -> None:
        hub, request = connecting(name)
        line = Line(hub, request)
        assert line.accepted is not None
        for kind, value in steps:
            if line.closed is not None:
                # The shell calls no more but for its own end; nothing may come of it.
                line.session.end(EndReason.FAULT, hub.now())
                assert line.session.events_received() == []
                return
            match kind:
                case "message":
                    line.send(value)
                case "wait":
                    hub.advance(value)
                    line.tick()
                case "told":
                    line.session.told(value, None, hub.now())
                case "drained":
                    line.session.drained(hub.now())
                case "end":
                    line.session.end(value, hub.now())
            line.settle()
            deadline = line.session.deadline()
            assert deadline is None or deadline > hub.monotonic or line.closed or line.session.events_received() == []
            assert len(line.follows) <= 10
        for message in line.messages:
            msgspec.json.decode(message)

    play()


@pytest.mark.parametrize("name", SERVING)
def test_a_handshake(name: str) -> None:
    """Whatever the request and the answers: it asks, and then accepts or refuses once."""
    queries = st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from(["token", "last_seq", "source", "after", "feed", "subject", "type", "protocol"]), texts
            ),
            texts,
        ),
        max_size=5,
    )

    @examples(80)
    @given(
        queries, st.booleans(), st.lists(st.tuples(texts, texts), max_size=2), st.booleans(), texts, st.integers(0, 3)
    )
    def play(
        query: list[tuple[str, str]],
        kept: bool,
        headers: list[tuple[str, str]],
        kept_headers: bool,
        path: str,
        strangers: int,
    ) -> None:
        hub, request = connecting(name)
        request = msgspec.structs.replace(
            request,
            query=(*(request.query if kept else ()), *query),
            headers=(*(request.headers if kept_headers else ()), *headers),
            path=path if strangers == 3 else request.path,
        )
        surface = registry.load(name).websocket
        assert surface is not None
        session = surface.open(request, hub.entropy, hub.now())
        settled: list[object] = []
        for _ in range(10):
            for wish in session.events_received():
                if isinstance(wish, Ask):
                    answer = None if strangers == 1 else hub.answer(wish.question)
                    session.told(wish.number, answer, hub.now())
                elif isinstance(wish, Accept | Refuse):
                    settled.append(wish)
                    if isinstance(wish, Refuse):
                        assert 400 <= wish.response.status < 600
        if not settled:
            session.end(EndReason.FAULT, hub.now())
            settled = [wish for wish in session.events_received() if isinstance(wish, Refuse | Close)]
        assert len(settled) == 1

    play()


@pytest.mark.parametrize("name", SERVING)
def test_a_session_holds_little_while_nobody_drains_it(name: str) -> None:
    seeds = [seed.decode() for seed in spoken(name)]
    hub, request = connecting(name)
    session: ServerSession = Line(hub, request).session
    for number in range(3000):
        session.receive_data(seeds[number % len(seeds)], hub.now())
        session.events_received()
    assert len(session.data_to_send()) <= _MAX_HELD


@pytest.mark.parametrize("name", SERVING)
def test_a_session_does_not_grow(name: str) -> None:
    """Thousands of messages, each with texts of its own: the session is as large as after the first hundred."""
    dice = random.Random(3)
    hub, request = connecting(name)
    line = Line(hub, request)
    sizes = []
    seeds = spoken(name)
    for number in range(3000):
        made = [(dice.randrange(8), dice.randrange(4096), dice.randrange(40)) for _ in range(dice.randrange(3))]
        message = seeds[number % len(seeds)].replace(b'"c"', b'"c%d"' % number)
        try:
            message = msgspec.json.encode(changed(msgspec.json.decode(message), made))
        except (msgspec.MsgspecError, RecursionError):
            message = broken(message, made)
        line.send(message.decode("utf-8", "replace"))
        if line.closed is not None:
            line = Line(hub, request)
        line.messages.clear()
        if number in (100, 2999):
            sizes.append(size_of(line.session))
    assert sizes[1] < sizes[0] + _MAX_GROWTH_BYTES


class _World:
    """What surrounds a client role: it obliges as far as the script says."""

    def __init__(self, client: ClientRole) -> None:
        self.client = client
        self.at = 1000.0
        self.fetches: list[int] = []
        self.opening = False
        self.is_open = False
        self.said = 0
        self.drain()

    @property
    def now(self) -> Instant:
        return Instant(1_795_089_600_000_000_000 + int(self.at * 1e9), self.at)

    def drain(self) -> None:
        wishes = self.client.events_received()
        assert len(wishes) < 10_000
        for wish in wishes:
            match wish:
                case Fetch(number):
                    self.fetches.append(number)
                case Open():
                    assert not self.is_open, "it opens a second time"
                    self.opening = True
                case Hangup():
                    self.is_open = self.opening = False
                    self.client.closed(wish.code, "", self.now)
                    self.drain()
                case Message() | Notice():
                    pass
        self.said += len(self.client.data_to_send())
        assert self.client.close_reason is None or isinstance(self.client.close_reason, str)

    def waits_for_nothing(self) -> bool:
        """Alive, and nothing will ever happen to it."""
        return not (
            self.client.close_reason is not None
            or self.fetches
            or self.opening
            or self.is_open
            or self.client.deadline() is not None
        )


@pytest.mark.parametrize("name", CONSUMING)
def test_a_client_role(name: str) -> None:
    """It survives any server, asks for nothing without end, and never waits for what cannot come."""
    talk = conversation(name)
    heard = list(dict.fromkeys(talk.heard))
    bodies = [response.body for response in talk.responses]
    steps = st.lists(
        st.one_of(
            st.tuples(st.just("as it should"), st.integers(0, 200)),
            st.tuples(st.just("as it should"), st.integers(0, 200)),
            st.tuples(st.just("message"), st.one_of(_near_texts(heard), near(heard))),
            st.tuples(
                st.just("response"),
                st.one_of(
                    st.none(),
                    st.builds(
                        HttpResponse,
                        st.sampled_from([200, 200, 200, 204, 301, 400, 401, 403, 404, 410, 429, 500, 503]),
                        near(bodies),
                        st.sampled_from([(("content-type", "application/json"),), (), (("retry-after", "x"),)]),
                    ),
                ),
            ),
            st.tuples(
                st.just("closed"),
                st.tuples(st.sampled_from([None, 1000, 1001, 1006, 1008, 4000, 4100, 4200, 4410, 4999]), texts),
            ),
            st.tuples(st.just("refused"), st.sampled_from([400, 401, 403, 404, 410, 429, 500, 503])),
            st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 6.0, 31.0, 121.0, 4000.0])),
        ),
        max_size=25,
    )

    @examples(120)
    @given(steps)
    def play(script: list[tuple[str, Any]]) -> None:
        one = suite(name)
        surface = registry.load(name).client
        assert surface is not None
        world = _World(surface.connect(one.settings(one.hub()), random.Random(1), Instant(0, 1000.0)))
        client = world.client
        for kind, value in script:
            if client.close_reason is not None:
                return
            match kind:
                case "as it should":
                    if world.fetches:
                        client.fetched(world.fetches.pop(0), talk.responses[value % len(bodies)], world.now)
                    elif world.opening:
                        world.opening, world.is_open = False, True
                        client.opened(world.now)
                    elif world.is_open:
                        client.receive_data(heard[value % len(heard)].decode(), world.now)
                case "message" if world.is_open:
                    client.receive_data(value, world.now)
                case "response" if world.fetches:
                    client.fetched(world.fetches.pop(0), value, world.now)
                case "closed" if world.is_open:
                    world.is_open = False
                    client.closed(value[0], value[1], world.now)
                case "refused" if world.opening:
                    world.opening = False
                    client.closed(None, "refused", world.now, value)
                case "wait":
                    world.at += value
                    client.tick(world.now)
            world.drain()
            assert not world.waits_for_nothing()

    play()


@pytest.mark.parametrize("name", CONSUMING)
def test_a_client_that_hears_a_lot(name: str) -> None:
    """A long session with near-valid messages: what the client keeps and says is bounded."""
    talk = conversation(name)
    heard = list(dict.fromkeys(talk.heard))
    one = suite(name)
    surface = registry.load(name).client
    assert surface is not None
    world = _World(surface.connect(one.settings(one.hub()), random.Random(1), Instant(0, 1000.0)))
    dice = random.Random(5)
    sizes = []
    for number in range(2000):
        if world.fetches:
            world.client.fetched(world.fetches.pop(0), dice.choice(talk.responses), world.now)
        elif world.opening:
            world.opening, world.is_open = False, True
            world.client.opened(world.now)
        elif world.is_open:
            made = [(dice.randrange(8), dice.randrange(4096), dice.randrange(40)) for _ in range(dice.randrange(3))]
            message = msgspec.json.encode(changed(msgspec.json.decode(dice.choice(heard)), made))
            world.client.receive_data(message.decode(), world.now)
        world.at += 0.01
        world.client.tick(world.now)
        world.drain()
        if number in (300, 1999):
            sizes.append(size_of(world.client))
    assert sizes[1] < sizes[0] + _MAX_GROWTH_BYTES
