"""The native feed by webhook, both roles; the public Standard Webhooks library checks what is sent."""

from __future__ import annotations

import random
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
import standardwebhooks

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import EndpointView, Feed, Grants, Hosting, Instant, Outgoing, Received, Transport, Trust
from touchline.feeds.hub import FEED
from touchline.feeds.hub.webhooks import SAMPLE_TYPE, HubWebhooks
from touchline.model import Event, Lane, Position, Record
from touchline.testing.feed import FeedSuite, Published
from touchline.wire import cloudevents, position, standard_webhooks

MESSAGE_ID = "8f14e45f-ceea-4e7a-9b7c-2f1c8a7b3d11"
SECRET = standard_webhooks.new_secret("hmac", random.Random(1).randbytes)
OLD_SECRET = standard_webhooks.new_secret("hmac", random.Random(2).randbytes)
PRIVATE = standard_webhooks.new_secret("ed25519", random.Random(3).randbytes)
NOW = Instant(1_767_225_600_123_456_789, 50.0)
HOSTING = Hosting("http://hub", epoch="abcdefgh")
CODEC = HubWebhooks()


class TestConformance(FeedSuite):
    """The native sessions have tests of their own; here they are taken off, the rest is the suite's."""

    feed_name = "hub"

    @property
    def feed(self) -> Feed:
        able = FEED.capabilities.transports - {Transport.WEBSOCKET}
        return msgspec.structs.replace(
            FEED, websocket=None, capabilities=msgspec.structs.replace(FEED.capabilities, transports=able)
        )

    def examples(self) -> Mapping[str, tuple[str, bytes]]:
        return {kind.name: ("ep_1", b'{"reason":"x1"}') for kind in FEED.types}

    def stream(self) -> Sequence[Published]:
        kinds = ("failing", "recovered") * 6
        return [(f"hub.endpoint.{kind}", "ep_1", b'{"at":"1%d"}' % at) for at, kind in enumerate(kinds)]

    def endpoint(self) -> EndpointView:
        return endpoint("hub.*", secrets=(SECRET, OLD_SECRET))


def endpoint(*topics: str, secrets: tuple[str, ...] = (SECRET,), **options: str) -> EndpointView:
    return EndpointView("ep_1", "acme", secrets, CODEC.topics(topics, options, {"feed": ALL}) or (), "", options)


ALL = frozenset({"hub", "shottracker", "insights", "prophetx", "hisports", "roanuz"})


def record(kind: str = "shottracker.shot", subject: str = "game-1", **more: Any) -> Record:
    event: dict[str, Any] = {"data": b'{"a": 1,\n "b":[2e0]}', "lane": Lane.EVENT, "extensions": {}} | more
    made = Event(
        kind.partition(".")[0],
        kind,
        subject,
        "/venue/12",
        "e-1",
        event["data"],
        5,
        6,
        "2026-01-01T00:00:00Z",
        event["lane"],
        extensions=event["extensions"],
    )
    return Record(77, 3, NOW.wall_ns, made)


def send(one: Record, to: EndpointView, now: Instant = NOW, hosting: Hosting = HOSTING) -> Outgoing:
    return CODEC.finish(CODEC.prepare(one, CODEC.variant(to)), to, MESSAGE_ID, now, hosting)


def test_what_is_sent_is_what_is_read_natively() -> None:
    one = record(extensions={"partner": "p1", "op": "c"})
    sent = send(one, endpoint("*"))
    native = cloudevents.encode(one, Position("abcdefgh", 77))
    assert msgspec.json.decode(sent.body) == msgspec.json.decode(native)
    assert one.event.data in sent.body, "data leaves unchanged"
    assert sent.headers == (
        ("content-type", "application/cloudevents+json"),
        ("webhook-id", MESSAGE_ID),
        ("webhook-timestamp", "1767225600"),
        ("webhook-signature", sent.headers[3][1]),
    )


def test_positions_need_an_epoch_and_a_place_in_the_log() -> None:
    read = msgspec.json.decode(send(record(), endpoint("*")).body)
    assert position.decode(read["position"]) == Position("abcdefgh", 77)
    assert "position" not in msgspec.json.decode(send(record(), endpoint("*"), hosting=Hosting("http://hub")).body)
    test = CODEC.sample(endpoint("*"), NOW)
    told = msgspec.json.decode(send(test, endpoint("*")).body)
    assert (told["type"], told["subject"]) == (SAMPLE_TYPE, "ep_1")
    assert "position" not in told, "resuming there would be resuming at the beginning"
    assert "seq" not in told


def test_the_public_library_accepts_it_with_either_secret_of_a_rotation() -> None:
    now = Instant(time.time_ns(), 0.0)
    sent = send(record(), endpoint("*", secrets=(SECRET, OLD_SECRET)), now)
    for secret in (SECRET, OLD_SECRET):
        told = standardwebhooks.Webhook(secret).verify(sent.body, dict(sent.headers))
        assert told["type"] == "shottracker.shot"
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(b"another secret").verify(sent.body, dict(sent.headers))


def test_a_retry_is_signed_anew_over_the_same_body() -> None:
    first, again = send(record(), endpoint("*")), send(record(), endpoint("*"), Instant(NOW.wall_ns + 10**10, 60.0))
    assert first.body == again.body
    assert [name for (name, value), pair in zip(first.headers, again.headers, strict=True) if value != pair[1]] == [
        "webhook-timestamp",
        "webhook-signature",
    ]
    assert FEED.capabilities.resign_on_retry


@pytest.mark.parametrize(
    ("topics", "taken", "left"),
    [
        ((), ["shottracker.shot", "roanuz.ball", "hub.endpoint.failing"], []),
        (("*",), ["shottracker.shot", "roanuz.ball"], []),
        (("shottracker.shot",), ["shottracker.shot"], ["shottracker.shots", "shottracker.marker", "roanuz.ball"]),
        (("shottracker.*",), ["shottracker.shot", "shottracker.new"], ["roanuz.ball"]),
        (("hisports.game.*", "roanuz.ball"), ["hisports.game.create", "roanuz.ball"], ["hisports.scoresheet.update"]),
        (("endpoint.failing",), ["hub.endpoint.failing"], ["hub.endpoint.paused"]),
        (("publisher.*",), ["hub.publisher.stale"], ["hub.endpoint.paused"]),
    ],
)
def test_topics_are_event_types(topics: tuple[str, ...], taken: list[str], left: list[str]) -> None:
    to = endpoint(*topics)
    for kind in taken:
        assert CODEC.wants(record(kind), to), kind
    for kind in left:
        assert not CODEC.wants(record(kind), to), kind


def test_the_state_lane_is_not_delivered() -> None:
    assert not CODEC.wants(record("shottracker.clock", lane=Lane.STATE), endpoint("*"))


def test_options_narrow() -> None:
    to = endpoint("*", feed="shottracker,roanuz", subject="game-1,m,")
    assert CODEC.wants(record(), to)
    assert CODEC.wants(record("roanuz.ball", "m"), to)
    assert not CODEC.wants(record("hisports.game.create"), to)
    assert not CODEC.wants(record(subject="game-2"), to)
    both = endpoint("shottracker.shot", feed="roanuz")
    assert not CODEC.wants(record(), both)
    assert not CODEC.wants(record("roanuz.ball"), both)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no topic"),
        ("shot", "feeds are"),
        ("cricket.ball", "feeds are"),
        ("shottracker.", "is no topic"),
        ("shottracker", "is no topic"),
        ("shottracker*", "is no topic"),
        ("shottracker.*.x", "at the end"),
        ("shottracker.s*", "at the end"),
        ("**", "is no topic"),
        ("shottracker.\n", "is no topic"),
        ("shottracker." + "x" * 300, "is no topic"),
    ],
)
def test_what_is_no_topic(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CODEC.topics(("*", text), {}, {})


def test_topics_that_the_grants_do_not_open_are_refused() -> None:
    some: Grants = {"feed": frozenset({"roanuz"})}
    assert CODEC.topics(("roanuz.ball", "*", "roanuz.ball"), {"feed": "roanuz"}, some) == ("roanuz.ball", "*")
    for topics, options in ((("shottracker.shot",), {}), (("*",), {"feed": "hisports"}), (("hub.*",), {})):
        with pytest.raises(ValueError, match="grants do not hold"):
            CODEC.topics(topics, options, some)
    with pytest.raises(ValueError, match="feed=hub"):
        CODEC.topics(("endpoint.failing",), {}, {})
    with pytest.raises(ValueError, match="unknown feed 'nope'"):
        CODEC.topics((), {"feed": "roanuz,nope"}, {})
    assert CODEC.topics(("hub.endpoint.failing",), {}, {"feed": frozenset({"hub"})}) == ("hub.endpoint.failing",)


def test_grants_open_what_they_open_for_readers() -> None:
    private = record("prophetx.wager", extensions={"partner": "p1"})
    own = record("hub.endpoint.failing")
    assert CODEC.permits({}, record(), None)
    assert not CODEC.permits({}, private, None)
    assert not CODEC.permits({"partner": frozenset({"p2"})}, private, None)
    assert CODEC.permits({"partner": frozenset({"p1"})}, private, None)
    assert not CODEC.permits({}, own, None)
    assert CODEC.permits({"feed": frozenset({"hub"})}, own, None)
    for key, value in (("feed", "roanuz"), ("subject", "game-2"), ("type", "shottracker.marker")):
        assert not CODEC.permits({key: frozenset({value})}, record(), None)
    assert CODEC.permits({"subject": frozenset({"game-1"}), "type": frozenset({"shottracker.shot"})}, record(), None)


def test_a_receiver_gets_the_event_back() -> None:
    sent = send(record(extensions={"op": "c"}), endpoint("*", secrets=(PRIVATE, SECRET)))
    for secret in (SECRET, standard_webhooks.shown(PRIVATE)):
        received = CODEC.receive(sent.headers, sent.body, Trust((OLD_SECRET, secret), 300.0), NOW)
        assert received.message_id == MESSAGE_ID
        assert received.payload == sent.body
        assert (received.kind, received.confirm_url, received.answer.status) == ("event", None, 200)
        (event,) = received.events
        assert (event.feed, event.type, event.subject) == ("shottracker", "shottracker.shot", "game-1")
        assert (event.source, event.id, event.data) == ("/venue/12", "e-1", record().event.data)
        assert (event.occurred_at, event.received_at) == (1_767_225_600_000_000_000, NOW.wall_ns)
        assert event.extensions == {"op": "c"}, "what the hub adds is taken off again"
        assert received.detail == "shottracker.shot of game-1"


def test_a_receiver_judges_the_age() -> None:
    sent = send(record(), endpoint("*"))
    later = Instant(NOW.wall_ns + 301 * 10**9, 0.0)
    assert isinstance(CODEC.receive(sent.headers, sent.body, Trust((SECRET,)), later), Received)
    with pytest.raises(RemoteProtocolError, match="old"):
        CODEC.receive(sent.headers, sent.body, Trust((SECRET,), 300.0), later)


def test_a_receiver_without_secrets_believes_everybody() -> None:
    sent = send(record(), endpoint("*"))
    headers = (("content-type", "Application/CloudEvents+JSON; charset=utf-8"),)
    received = CODEC.receive(headers, sent.body, Trust(), NOW)
    assert received.message_id is None
    assert len(received.events) == 1
    assert CODEC.receive(sent.headers, sent.body, Trust(), NOW).message_id == MESSAGE_ID


def test_batches() -> None:
    one, other = record(), record("roanuz.ball", "m-1")
    body = b"[" + b",".join(cloudevents.encode(each, None) for each in (one, other)) + b"]"
    signed = standard_webhooks.sign([SECRET], MESSAGE_ID, NOW.wall_ns // 10**9, body)
    headers = (("content-type", cloudevents.BATCH_TYPE), *signed)
    received = CODEC.receive(headers, body, Trust((SECRET,), 300.0), NOW)
    assert [event.subject for event in received.events] == ["game-1", "m-1"]
    assert received.detail == "2 events"


GOOD = cloudevents.encode(record(), None)


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("application/json", GOOD, "content type"),
        ("", GOOD, "content type"),
        (cloudevents.JSON_TYPE, b"", "not a CloudEvent"),
        (cloudevents.JSON_TYPE, b"{}", "specversion"),
        (cloudevents.JSON_TYPE, b"[]", "not a CloudEvent"),
        (cloudevents.JSON_TYPE, b"\xff", "UTF-8"),
        (cloudevents.JSON_TYPE, GOOD[:-1], "not a CloudEvent"),
        (cloudevents.JSON_TYPE, GOOD.replace(b"shottracker.shot", b"shot"), "event type"),
        (cloudevents.JSON_TYPE, b"[" * 100_000, "not a CloudEvent"),
        (cloudevents.BATCH_TYPE, GOOD, "not a JSON array"),
        (cloudevents.BATCH_TYPE, b"[]", "empty"),
        (cloudevents.BATCH_TYPE, b"[%b,{}]" % GOOD, "specversion"),
        (cloudevents.BATCH_TYPE, b"[" * 100_000, "nested|array"),
    ],
)
def test_what_a_receiver_refuses_though_it_is_signed(content_type: str, body: bytes, words: str) -> None:
    signed = standard_webhooks.sign([SECRET], MESSAGE_ID, NOW.wall_ns // 10**9, body)
    with pytest.raises(RemoteProtocolError, match=words):
        CODEC.receive((("content-type", content_type), *signed), body, Trust((SECRET,), 300.0), NOW)


def test_secrets_stay_out_of_what_is_sent() -> None:
    sent = send(record(), endpoint("*", secrets=(SECRET, PRIVATE)))
    text = repr(sent)
    for secret in (SECRET, PRIVATE):
        assert secret[6:] not in text
        assert b64encode(secret.encode()).decode() not in text
