"""Every feed's world, as the suites that it passes know it, and what of a feed must be said besides."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from exchange_offers import OFFERS
from touchline.feeds import registry
from touchline.feeds.base import (
    Admission,
    Answer,
    Engine,
    FindAdmission,
    FindPosition,
    Operation,
    PositionView,
    Question,
)
from touchline.model import Event, Position
from touchline.testing.feed import FeedSuite
from touchline.testing.memory import EPOCH, MemoryHub, run
from touchline.testing.roles import Line, RolePair, upgrade_request
from touchline.wire import position
from touchline.wire.http import HttpRequest, HttpResponse, Pairs

_FEEDS: Final = Path(__file__).parent.parent / "feeds"
if str(_FEEDS) not in sys.path:  # as pytest has it when it collects them
    sys.path.insert(0, str(_FEEDS))


@cache
def suites(name: str) -> tuple[FeedSuite, ...]:
    """Every suite that the feed passes."""
    found = []
    for path in sorted((_FEEDS / name).glob("test_*.py")):
        if "FeedSuite" in path.read_text():
            module = importlib.import_module(f"{name}.{path.stem}")
            kinds = [value for value in vars(module).values() if isinstance(value, type)]
            found += [kind() for kind in kinds if issubclass(kind, FeedSuite) and kind.__name__.startswith("Test")]
    return tuple(found)


def suite(name: str) -> FeedSuite:
    """The first of them."""
    return suites(name)[0]


@cache
def events(name: str) -> tuple[Event, ...]:
    """Valid events of a feed as they are published: its stream, and an example of every type."""
    one = suite(name)
    examples = [(kind, subject, data) for kind, (subject, data) in one.examples().items()]
    hub = one.hub()
    for kind, subject, data in (*one.stream(), *examples):
        hub.publish(kind, subject, data)
    return tuple(record.event for record in hub.stored)


class _NativeHub(MemoryHub):
    """Also lets native readers in."""

    def answer(self, question: Question) -> Answer:
        if isinstance(question, FindAdmission):
            return Admission("k1", "acme", {}) if question.key == "good" else None
        if isinstance(question, FindPosition):
            token = position.encode(Position(EPOCH, len(self.stored)))
            gone = None if question.token is None or position.is_token(question.token) else "invalid"
            return PositionView(0, token, token, gone, "no position" if gone else "")
        return super().answer(question)


def _native() -> tuple[MemoryHub, HttpRequest]:
    hub = _NativeHub(registry.load("hub"))
    for kind, subject, data in suite("hub").stream():
        hub.publish(kind, subject, data)
    request = upgrade_request("ws://h/hub/v1/ws?feed=hub&subject=ep_1&after=testepoch1-1")
    return hub, msgspec.structs.replace(request, headers=(("authorization", "Bearer good"),))


def connecting(name: str) -> tuple[MemoryHub, HttpRequest]:
    """A hub with the stream, and the upgrade request of somebody who is let in."""
    if name == "hub":
        return _native()
    one = suite(name)
    hub = one.filled()
    return hub, one.upgrade(hub)


class Recorder(RolePair):
    """Keeps what a client said and heard."""

    def __init__(self, hub: MemoryHub, settings: object) -> None:
        super().__init__(hub, settings)
        self.said: list[bytes] = []
        self.heard: list[bytes] = []
        self.responses: list[HttpResponse] = []
        drain = self.client.data_to_send

        def data_to_send() -> list[str | bytes]:
            sent = drain()
            self.said += [_bytes(message) for message in sent]
            return sent

        self.client.data_to_send = data_to_send  # type: ignore[method-assign]

    def _fetch(self, request: HttpRequest) -> HttpResponse:
        self.responses.append(super()._fetch(request))
        return self.responses[-1]

    def _pass(self, line: Line, cuts: Sequence[int]) -> bool:
        before = len(line.messages)
        happened = super()._pass(line, cuts)
        self.heard += [_bytes(message) for message in (line.messages if happened else line.messages[before:])]
        return happened


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


@cache
def conversation(name: str) -> Recorder:
    """What both roles of a feed say to each other."""
    one = suite(name)
    hub = one.filled()
    pair = Recorder(hub, one.settings(hub))
    pair.run(seconds=10.0)
    return pair


_SPOKEN: Final[Mapping[str, tuple[bytes, ...]]] = {
    "prophetx": (
        b'{"event":"pusher:ping","data":{}}',
        b'{"event":"pusher:unsubscribe","data":{"channel":"broadcast"}}',
        b'{"event":"client-x","channel":"c","data":"{}"}',
    ),
}
_ANYTHING: Final = (b'{"action":"ping"}', b'{"event":"ping","data":{"channel":"c","auth":"a:b"}}', b"[]", b"1", b"")


def spoken(name: str) -> tuple[bytes, ...]:
    """Messages that clients send to a feed's endpoint, those of its own client role first."""
    said = tuple(dict.fromkeys(conversation(name).said)) if registry.load(name).client is not None else ()
    return (*said, *_SPOKEN.get(name, ()), *_ANYTHING)


Signed = Callable[[MemoryHub, HttpRequest], Pairs]
"""The headers that let a request in."""


def _shottracker(hub: MemoryHub, request: HttpRequest) -> Pairs:
    worlds = importlib.import_module("shottracker.worlds")
    return tuple(worlds.signed(hub, request.target_path).headers)


def _prophetx(hub: MemoryHub, request: HttpRequest) -> Pairs:
    hub.tokens.clear()  # there may be so many sessions
    return importlib.import_module("prophetx.worlds").bearer(hub)  # type: ignore[no-any-return]


def _roanuz(hub: MemoryHub, request: HttpRequest) -> Pairs:
    return (("rs-token", importlib.import_module("roanuz.worlds").token(hub)),)


def _hisports(hub: MemoryHub, request: HttpRequest) -> Pairs:
    return (("authorization", f"API-Key {importlib.import_module('hisports.worlds').KEY}"),)


def _insights(hub: MemoryHub, request: HttpRequest) -> Pairs:
    return (("authorization", importlib.import_module("insights.worlds").TOKEN),)


SIGNED: Final[Mapping[str, Signed]] = {
    "shottracker": _shottracker,
    "prophetx": _prophetx,
    "roanuz": _roanuz,
    "hisports": _hisports,
    "insights": _insights,
}


def operations(name: str) -> tuple[MemoryHub, Sequence[Operation]]:
    """A feed's REST over a hub with the stream, its sandbox running where it takes orders."""
    hub = suite(name).filled()
    engine = engine_of(name)
    if engine is not None:
        hub.run_engine()
        running = hub.engine(name)
        assert running is not None
        for offer in OFFERS:
            run(running.command(engine.read(json.dumps(offer).encode())))
    feed = registry.load(name)
    assert feed.http is not None
    return hub, importlib.import_module(feed.http).operations(hub)


def engine_of(name: str) -> Engine | None:
    sandbox = registry.load(name).sandbox
    return None if sandbox is None else sandbox.engine
