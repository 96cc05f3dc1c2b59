"""From what is published to what is pushed: intake, folds, and the encoding of every surface."""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.errors import RemoteProtocolError
from touchline.feeds import registry
from touchline.feeds.base import Feed, Instant
from touchline.feeds.intake import Intake
from touchline.model import Event, Lane, Position, Record
from touchline.testing.feed import MESSAGE_ID
from touchline.testing.memory import EPOCH
from touchline.testing.roles import Line
from touchline.wire import cloudevents

from .bounds import examples
from .mutations import broken, byte_edits, changed, edits, near, texts
from .suites import connecting, events, suite

INTAKE: Final = Intake(registry.feeds())
NOW: Final = Instant(1_795_089_600_000_000_000, 1000.0)
FOLDING: Final = [name for name, feed in registry.feeds().items() if feed.snapshot is not None]

_change = st.tuples(edits, byte_edits)


def _published(event: Event, made: Any) -> bytes:
    """The event as somebody publishes it, its data changed."""
    json_edits, bytes_edits = made
    data = json.dumps(changed(json.loads(event.data), json_edits)).encode() if json_edits else event.data
    whole = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": "2026-11-19T12:00:00.000Z",
    } | dict(event.extensions)
    return json.dumps(whole).encode()[:-1] + b',"data":' + broken(data, bytes_edits) + b"}"


def _taken(body: bytes) -> Event | None:
    """The event that the hub would store."""
    try:
        body.decode()
    except UnicodeDecodeError:  # the HTTP surface refuses it
        return None
    envelope = cloudevents.decode(body)
    if isinstance(envelope, list):
        return None
    found = INTAKE.event(envelope, NOW.wall_ns, from_within=True)
    if isinstance(found, tuple):
        field, detail = found
        assert isinstance(field, str)
        assert detail
        assert len(detail) < 2000, "a problem is short"
        return None
    return found


@pytest.mark.parametrize("name", registry.NAMES)
def test_intake(name: str) -> None:
    valid = events(name)
    seeds = [_published(event, ([], [])) for event in valid]

    @examples(150)
    @given(near(seeds), st.sampled_from(valid), _change)
    def play(body: bytes, event: Event, made: Any) -> None:
        _taken(body)
        found = _taken(_published(event, made))
        if found is not None:
            json.loads(found.data)
            assert found.feed == name
            assert (found.lane is Lane.STATE) or not found.state_key

    play()


def _surfaces(feed: Feed, record: Record, line: Line | None) -> None:
    """Every message that the feed makes of a record."""
    name = feed.name
    if feed.websocket is not None and line is not None:
        for follow in line.follows.values():
            if follow.selector.matches(record):
                message = feed.websocket.encode(record, follow.selector.variant, Position(EPOCH, record.offset))
                if message is not None:
                    json.loads(message)
        if feed.websocket.is_last is not None:
            assert feed.websocket.is_last(record) in (True, False)
    if feed.webhook is not None:
        one = suite(name)
        codec, endpoint = feed.webhook, one.endpoint()
        assert codec.permits({}, record, None) in (True, False)
        prepared = codec.prepare(record, codec.variant(endpoint)) if codec.wants(record, endpoint) else None
        if prepared is not None:
            hub = one.hub()
            outgoing = codec.finish(prepared, endpoint, MESSAGE_ID, NOW, one._hosting(hub))
            assert all(value.isascii() and value.isprintable() for _, value in outgoing.headers)
            # Of types that nobody declared the publisher alone knows what the receiver takes.
            with nullcontext() if record.event.type in registry.event_types() else suppress(RemoteProtocolError):
                codec.receive(outgoing.headers, outgoing.body, one.trust(endpoint.secrets), hub.now())


@pytest.mark.parametrize("name", FOLDING)
def test_folds_and_surfaces(name: str) -> None:
    """A stream with some of its events changed, as far as the hub would store them."""
    feed = registry.load(name)
    fold = feed.snapshot
    assert fold is not None
    stream = [event for event in events(name) if event.subject == events(name)[0].subject]
    line = Line(*connecting(name)) if feed.websocket is not None else None

    @examples(100)
    @given(st.lists(st.tuples(st.integers(0, len(stream) - 1), _change), min_size=1, max_size=3), st.booleans(), texts)
    def play(made: list[tuple[int, Any]], twice: bool, _: str) -> None:
        story = list(stream)
        fresh: list[Event] = []
        for at, change in made:
            found = _taken(_published(story[at], change))
            if found is not None:
                story[at] = found
                fresh.append(found)
        if not fresh:
            return
        state = fold.initial(stream[0].subject)
        for offset, event in enumerate(story * (1 + twice), 1):
            fold.apply(state, Record(offset, offset if event.lane is Lane.EVENT else 0, NOW.wall_ns + offset, event))
        kept = fold.encode(state)
        back = fold.decode(kept)
        view = fold.view(state)
        json.loads(view)
        assert fold.view(back) == view
        assert fold.encode(back) == kept
        assert fold.is_over(back) == fold.is_over(state)
        assert fold.first_seq(back) == fold.first_seq(state) >= 1
        for event in fold.derive(state, NOW):
            json.loads(event.data)
        for event in fresh:
            _surfaces(feed, Record(7, 7 if event.lane is Lane.EVENT else 0, NOW.wall_ns, event), line)

    play()


@pytest.mark.parametrize("name", FOLDING)
def test_a_checkpoint_that_was_damaged(name: str) -> None:
    """It is told from a good one by msgspec's errors alone, or it is one."""
    fold = registry.load(name).snapshot
    assert fold is not None
    hub = suite(name).filled()
    good = fold.encode(hub.fold(hub.stored[0].event.subject))

    @examples(60)
    @given(near([good]))
    def play(data: bytes) -> None:
        try:
            state = fold.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return
        assert state is not None

    play()
