"""The conformance suite of a feed. A feed's test is a subclass of a few lines; see ``FeedSuite``.

It branches on what a feed declares (capabilities, surfaces), never on its name; a surface that a feed does not have
skips its tests. pytest collects the ``test_…`` methods of the subclass.
"""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from touchline.errors import RemoteProtocolError
from touchline.feeds import registry
from touchline.feeds.base import (
    Accept,
    Ask,
    Close,
    EndpointView,
    EndReason,
    Feed,
    Hosting,
    Instant,
    Message,
    Outgoing,
    Received,
    Refuse,
    Resume,
    SnapshotFold,
    Transport,
    Trust,
    WebhookCodec,
    WebSocketSurface,
)
from touchline.model import Lane, Position, Record
from touchline.testing.memory import EPOCH, MemoryHub, run
from touchline.testing.roles import Line, RolePair
from touchline.wire.http import HttpRequest

MESSAGE_ID = "0b5f9b0e-5d1f-4c35-9b3a-6f3a6f1f2c11"

Published = tuple[str, str, bytes]
"""An event as a suite publishes it: type, subject, data."""

_STEP_SECONDS = 2.0
"""Between two records, for a client that has work of its own to do."""

_MARK = "left as it was \\u00e9 2e0 9007199254740993"
_UNKNOWN = b'"touchline_unknown_field":{"b":"%b","a":9007199254740993}' % _MARK.encode()


class FeedSuite(ABC):
    """Subclass it as ``TestConformance`` with ``feed_name``, ``examples`` and ``stream``; then what the feed has:
    ``upgrade`` and ``resume_after`` (WebSocket), ``settings`` (client role; ``client_state`` when there is no resume),
    ``endpoint`` (webhooks).
    """

    feed_name = ""
    signed = True
    """Whether the messages to ``endpoint`` are signed."""

    # what a feed's test gives

    @abstractmethod
    def examples(self) -> Mapping[str, tuple[str, bytes]]:
        """Subject and data of one valid event of every declared type."""

    @abstractmethod
    def stream(self) -> Sequence[Published]:
        """One stream from its beginning to its end, both lanes; at least ten records."""

    def hub(self) -> MemoryHub:
        """A hub with the members that the requests below speak for; empty of records."""
        return MemoryHub(self.feed)

    def upgrade(self, hub: MemoryHub, resume: str | None = None) -> HttpRequest:  # noqa: ARG002 - for subclasses
        """The WebSocket request of a subscriber to the stream that goes on after ``resume``."""
        pytest.fail("a feed with a WebSocket gives 'upgrade'")

    def resume_after(self, message: str | bytes) -> str | None:  # noqa: ARG002 - for subclasses
        """What a subscriber that has received this message hands back; None when the message has no such number."""
        pytest.fail("a feed with a WebSocket gives 'resume_after'")

    def settings(self, hub: MemoryHub) -> object:  # noqa: ARG002 - for subclasses
        """Settings of the client role for the same subscription."""
        pytest.skip("no client settings given")

    def client_state(self, messages: Sequence[Message]) -> object:  # noqa: ARG002 - for subclasses
        """What a user has who folds what the client role handed out; compared with ``==``. Where there is no resume."""
        pytest.fail("a client role without resume gives 'client_state'")

    def endpoint(self) -> EndpointView:
        """A webhook endpoint that takes the stream."""
        pytest.skip("no endpoint given")

    def trust(self, secrets: tuple[str, ...]) -> Trust:
        """What a receiver of that endpoint believes, with these secrets."""
        return Trust(secrets)

    def signed_at(self, body: bytes) -> int:
        """Where a byte of the body stands that the signature covers, and whose lowest bit may be turned in JSON."""
        return body.rindex(b"1")

    def payload(self, message: bytes) -> bytes:
        """The published part of a message where it is wrapped in text, such as base64 or an envelope's string."""
        return message

    # at hand

    @property
    def feed(self) -> Feed:
        """The feed under test."""
        return registry.load(self.feed_name)

    def filled(self, count: int | None = None) -> MemoryHub:
        """The hub with the stream, or its first so many records."""
        hub = self.hub()
        for event_type, subject, data in self.stream()[:count]:
            hub.publish(event_type, subject, data)
        return hub

    def _surface(self) -> WebSocketSurface:
        if self.feed.websocket is None:
            pytest.skip("no WebSocket")
        return self.feed.websocket

    def _fold(self) -> SnapshotFold[Any]:
        if self.feed.snapshot is None:
            pytest.skip("no snapshot")
        return self.feed.snapshot

    def _example_records(self) -> Iterator[Record]:
        hub = self.hub()
        for event_type, (subject, data) in self.examples().items():
            yield hub.publish(event_type, subject, data)

    # what it declares

    def test_the_registry_names_it_as_its_folder(self) -> None:
        folders = {path.parent.name for path in Path(registry.__file__).parent.glob("*/__init__.py")}
        assert self.feed.name == self.feed_name
        assert self.feed_name in registry.NAMES
        assert self.feed_name in folders

    def test_declarations_are_whole(self) -> None:
        feed = self.feed
        names = [kind.name for kind in feed.types]
        assert len(names) == len(set(names))
        for kind in feed.types:
            assert kind.name.startswith(f"{feed.name}.")
            assert kind.state_key is None or kind.lane is Lane.STATE, f"{kind.name}: only the state lane has keys"
        assert sum(field.lookup for field in feed.credentials) <= 1
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", feed.compared_on)
        assert feed.document
        assert (Transport.WEBSOCKET in feed.capabilities.transports) == (feed.websocket is not None)
        assert (Transport.WEBHOOK in feed.capabilities.transports) == (feed.webhook is not None)

    def test_state_keys_tell_things_apart(self) -> None:
        hub = self.hub()
        keys: dict[tuple[str, str], str] = {}
        for event_type, (subject, data) in self.examples().items():
            record = hub.publish(event_type, subject, data)
            if record.event.lane is Lane.STATE:
                other = keys.setdefault((subject, record.event.state_key), event_type)
                assert other == event_type, f"{event_type} and {other} would overwrite each other in one stream"

    def test_its_http_module_loads(self) -> None:
        if self.feed.http is None:
            pytest.skip("no REST")
        operations = importlib.import_module(self.feed.http).operations(self.hub())
        assert operations
        assert len({operation.name for operation in operations}) == len(operations)
        for operation in operations:
            declared = {parameter.name for parameter in operation.parameters if parameter.where == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", operation.path)), operation.path
            assert operation.answers
            types = [answer.body for answer in operation.answers.values() if isinstance(answer.body, type)]
            msgspec.json.schema_components(types)

    # its events

    def test_every_type_takes_its_example(self) -> None:
        examples = self.examples()
        assert examples.keys() == {kind.name for kind in self.feed.types}
        for record in self._example_records():
            assert record.event.type in examples

    def test_data_must_be_an_object(self) -> None:
        for kind in self.feed.types:
            for data in (b"[]", b'"text"', b"1", b"null", b"true"):
                with pytest.raises(msgspec.ValidationError):
                    msgspec.json.decode(data, type=kind.data)

    def test_unknown_fields_survive(self) -> None:
        hub = self.hub()
        for event_type, (subject, data) in self.examples().items():
            marked = data.rstrip()[:-1] + (b"," if len(data.strip()) > 2 else b"") + _UNKNOWN + b"}"
            record = hub.publish(event_type, subject, marked)
            for message in self._messages_of(record):
                assert _UNKNOWN in self.payload(message), f"{event_type} loses an unknown field"

    def _messages_of(self, record: Record) -> list[bytes]:
        """Every message that surfaces make of a record, as bytes."""
        found: list[str | bytes | None] = []
        if self.feed.websocket is not None:
            line = Line(self.filled(0), self.upgrade(self.filled(0)))
            variants = [follow.selector.variant for follow in line.follows.values()]
            found += [self.feed.websocket.encode(record, variant, Position(EPOCH, 1)) for variant in variants]
        if self.feed.webhook is not None:
            codec, endpoint = self.feed.webhook, self.endpoint()
            prepared = codec.prepare(record, codec.variant(endpoint)) if codec.wants(record, endpoint) else None
            hosting = self._hosting(self.hub())
            if prepared is not None:
                found.append(codec.finish(prepared, endpoint, MESSAGE_ID, Instant(0, 0.0), hosting).body)
        return [each.encode() if isinstance(each, str) else each for each in found if each is not None]

    def test_encoding_is_pure(self) -> None:
        for record in self._example_records():
            before = msgspec.structs.replace(record)
            assert self._messages_of(record) == self._messages_of(msgspec.structs.replace(record))
            assert record == before

    # WebSocket sessions

    def test_a_session_asks_before_it_accepts(self) -> None:
        surface, hub = self._surface(), self.filled()
        session = surface.open(self.upgrade(hub), hub.entropy, hub.now())
        first = session.events_received()
        assert first
        assert all(isinstance(wish, Ask | Refuse | Accept) for wish in first)
        for wish in first:
            if isinstance(wish, Ask):
                session.told(wish.number + 1000, None, hub.now())
                assert session.events_received() == [], "it took an answer to a question that it did not ask"
                session.told(wish.number, None, hub.now())
                assert isinstance(session.events_received()[0], Refuse), "nobody is let in whom nobody knows"

    def test_whatever_a_client_sends_is_survived(self) -> None:
        self._surface()
        hub = self.filled()
        nasty: list[str | bytes] = [
            "",
            "ping",
            "null",
            "[]",
            "1e999",
            '{"action":5}',
            '{"event":[]}',
            '{"action":"subscribe"}',
            '{"action":"ping","x":' + "[" * 10_000 + "]" * 10_000 + "}",
            "[" * 10_000,
            "\ud800",
            "x" * 65_536,
            b"",
            b"\xff\xfe",
            b'{"action":"ping"}',
        ]
        line = Line(hub, self.upgrade(hub))
        assert line.accepted is not None
        for message in nasty:
            if line.closed is None:
                line.send(message)

    def test_every_end_closes_once_with_a_code_that_may_be_sent(self) -> None:
        self._surface()
        for reason in EndReason:
            hub = self.filled()
            line = Line(hub, self.upgrade(hub))
            line.session.end(reason, hub.now())
            line.session.end(reason, hub.now())
            wishes = line.session.events_received()
            assert [type(wish) for wish in wishes] == [Close], reason
            assert isinstance(wishes[0], Close)
            assert wishes[0].code in {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}, reason
            assert len(wishes[0].reason.encode()) <= 123, reason

    def test_a_session_resumes_after_every_message(self) -> None:
        """The line is cut after each message in turn: what came before and after is the whole, each once, in order."""
        self._surface()
        if self.feed.capabilities.resume is Resume.NONE:
            pytest.skip("no resume")
        hub = self.filled()
        whole = [message for message in Line(hub, self.upgrade(hub)).read() if self.resume_after(message) is not None]
        assert whole
        for cut in range(len(whole) + 1):
            resume = self.resume_after(whole[cut - 1]) if cut else None
            rest = [each for each in Line(hub, self.upgrade(hub, resume)).read() if self.resume_after(each) is not None]
            assert whole[:cut] + rest == whole, f"cut after {cut} messages"

    def test_a_subscriber_who_was_there_all_the_time_sees_the_same(self) -> None:
        self._surface()
        if self.feed.capabilities.resume is Resume.NONE:
            pytest.skip("no resume")
        hub = self.hub()
        line = Line(hub, self.upgrade(hub))
        assert line.accepted is not None
        live: list[str | bytes] = []
        for event_type, subject, data in self.stream():
            hub.publish(event_type, subject, data)
            if line.closed is None:
                live += line.read()
        later = Line(hub, self.upgrade(hub)).read()
        assert [m for m in live if self.resume_after(m) is not None] == [
            m for m in later if self.resume_after(m) is not None
        ]

    # both roles

    def test_the_client_loses_nothing_wherever_the_line_is_cut(self) -> None:
        if self.feed.client is None or self.feed.websocket is None:
            pytest.skip("no client role over a WebSocket")
        if self.feed.capabilities.resume is Resume.NONE:
            pytest.skip("no resume: the state at the end counts")
        hub = self.filled()
        whole = RolePair(hub, self.settings(hub))
        whole.run()
        expected = [(message.resume, message.raw) for message in whole.messages if message.resume]
        assert expected
        for cut in range(1, len(expected) + 1):
            hub = self.filled()
            pair = RolePair(hub, self.settings(hub))
            pair.run(cuts=[cut, 1])
            assert [(message.resume, message.raw) for message in pair.messages if message.resume] == expected, cut

    def test_the_client_has_the_same_state_wherever_the_line_is_cut(self) -> None:
        """Without resume: what is published while the line is cut is never told, and yet the state is the same."""
        if self.feed.client is None or self.feed.websocket is None:
            pytest.skip("no client role over a WebSocket")
        if self.feed.capabilities.resume is not Resume.NONE:
            pytest.skip("it resumes")
        whole = self._received([])
        expected = self.client_state(whole.messages)
        assert expected != self.client_state([])
        assert whole.connections == 1
        for cut in range(1, whole.passed[0] + 1):
            pair = self._received([cut, 1])
            assert self.client_state(pair.messages) == expected, f"cut after {cut} messages"

    def _received(self, cuts: Sequence[int]) -> RolePair:
        """The client, from before the middle of the stream to its end, two records going out at every cut."""
        hub, story = self.hub(), deque(self.stream())

        def publish(count: int) -> None:
            for _ in range(min(count, len(story))):
                hub.publish(*story.popleft())

        publish(len(story) // 3)
        pair = RolePair(hub, self.settings(hub), lambda: publish(2))
        pair.run(cuts, seconds=_STEP_SECONDS)
        while story:
            publish(1)
            pair.run(cuts, seconds=_STEP_SECONDS)
        assert pair.client.close_reason is None
        return pair

    # webhooks

    def _codec(self) -> WebhookCodec:
        if self.feed.webhook is None:
            pytest.skip("no webhooks")
        return self.feed.webhook

    def _sent(self, hub: MemoryHub) -> Iterator[tuple[Record, Outgoing]]:
        codec, endpoint = self._codec(), self.endpoint()
        hosting = self._hosting(hub)
        for record in hub.stored:
            prepared = codec.prepare(record, codec.variant(endpoint)) if codec.wants(record, endpoint) else None
            if prepared is not None:
                yield record, codec.finish(prepared, endpoint, MESSAGE_ID, hub.now(), hosting)

    def _hosting(self, hub: MemoryHub) -> Hosting:
        return Hosting(hub.base_url, run(hub.signing(self.feed_name)))

    def test_what_is_sent_is_taken_with_any_of_the_secrets(self) -> None:
        codec, hub, endpoint = self._codec(), self.filled(), self.endpoint()
        sent = list(self._sent(hub))
        assert sent
        for record, outgoing in sent:
            trust = self.trust(endpoint.secrets)
            received = codec.receive(outgoing.headers, outgoing.body, trust, hub.now())
            assert isinstance(received, Received)
            assert [event.feed for event in received.events] == [self.feed_name] * len(received.events)
            assert received.events
            assert all(event.subject == record.event.subject for event in received.events)
            msgspec.json.decode(received.payload)
            rotated = self.trust(("whsec_AAAA", *endpoint.secrets))
            assert codec.receive(outgoing.headers, outgoing.body, rotated, hub.now()) == received

    def test_what_was_changed_or_signed_by_another_is_not_taken(self) -> None:
        codec, hub, endpoint = self._codec(), self.filled(), self.endpoint()
        if not self.signed:
            pytest.skip("this feed's messages carry no signature")
        for _, outgoing in self._sent(hub):
            at = self.signed_at(outgoing.body)
            changed = outgoing.body[:at] + bytes([outgoing.body[at] ^ 1]) + outgoing.body[at + 1 :]
            with pytest.raises(RemoteProtocolError):
                codec.receive(outgoing.headers, changed, self.trust(endpoint.secrets), hub.now())
            with pytest.raises(RemoteProtocolError):
                other = self.trust(("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",))
                codec.receive(outgoing.headers, outgoing.body, other, hub.now())

    def test_a_retry_says_the_same_under_the_same_id(self) -> None:
        hub = self.filled()
        before = list(self._sent(hub))
        hub.advance(3600)
        after = list(self._sent(hub))
        assert [sent.body for _, sent in before] == [sent.body for _, sent in after]
        if not self.feed.capabilities.resign_on_retry:
            assert before == after

    def test_headers_are_lower_case_and_hold_no_line_ends(self) -> None:
        for _, outgoing in self._sent(self.filled()):
            names = [name for name, _ in outgoing.headers]
            assert "content-type" in names
            assert len(set(names)) == len(names)
            assert all(name == name.lower() for name in names)
            assert all(value.isprintable() and value.isascii() for _, value in outgoing.headers)
            own = self._codec().own_headers
            beginnings = tuple(name for name in own if name.endswith("-"))
            custom = [name for name in names if name not in own and not name.startswith(beginnings)]
            assert set(custom) <= {"content-type", "user-agent"}

    def test_a_receiver_takes_garbage_for_garbage(self) -> None:
        codec, hub = self._codec(), self.filled()
        _, good = next(self._sent(hub))
        trust = self.trust(self.endpoint().secrets)
        bodies = [
            b"",
            b"{",
            b"[]",
            b"null",
            b"\x1f\x8b",
            b"\xff\xfe",
            b"{}",
            b"[" * 100_000,
            good.body[:-1],
            good.body[: len(good.body) // 2],
        ]
        for headers in (good.headers, ()):
            for body in bodies:
                with pytest.raises(RemoteProtocolError):
                    codec.receive(headers, body, trust, hub.now())

    def test_private_records_of_others_are_never_permitted(self) -> None:
        codec, hub = self._codec(), self.filled()
        for record in hub.stored:
            owned = msgspec.structs.replace(record.event, extensions={"partner": "somebody-else"})
            assert not codec.permits({}, msgspec.structs.replace(record, event=owned), None)

    def test_a_sample_goes_out_like_any_other(self) -> None:
        codec, hub, endpoint = self._codec(), self.hub(), self.endpoint()
        record = codec.sample(endpoint, hub.now())
        prepared = codec.prepare(record, codec.variant(endpoint))
        assert prepared is not None
        outgoing = codec.finish(prepared, endpoint, MESSAGE_ID, hub.now(), self._hosting(hub))
        trust = self.trust(endpoint.secrets)
        assert isinstance(codec.receive(outgoing.headers, outgoing.body, trust, hub.now()), Received)

    # the fold

    def test_a_checkpoint_at_every_record_changes_nothing(self) -> None:
        fold, hub = self._fold(), self.filled()
        subject = hub.stored[0].event.subject
        straight, stored = fold.initial(subject), fold.initial(subject)
        for record in hub.stored:
            fold.apply(straight, record)
            fold.apply(stored, record)
            stored = fold.decode(fold.encode(stored))
            assert fold.view(stored) == fold.view(straight), record
            assert fold.is_over(stored) == fold.is_over(straight)
            assert fold.first_seq(stored) == fold.first_seq(straight)
        assert isinstance(msgspec.json.decode(fold.view(straight)), dict)

    def test_the_fold_derives_the_same_from_the_same(self) -> None:
        fold, hub = self._fold(), self.filled()
        state = hub.fold(hub.stored[0].event.subject)
        before = fold.view(state)
        once, again = fold.derive(state, Instant(5, 0.0)), fold.derive(state, Instant(5, 0.0))
        assert once == again
        assert fold.view(state) == before
        for event in once:
            assert event.lane is Lane.STATE
            assert event.feed == self.feed_name
            msgspec.json.decode(event.data)

    def test_the_fold_takes_types_that_it_does_not_know(self) -> None:
        fold, hub = self._fold(), self.filled()
        subject = hub.stored[0].event.subject
        hub.publish(f"{self.feed_name}.something_new", subject, b'[1,{"a":null}]')
        assert msgspec.json.decode(fold.view(hub.fold(subject)))
