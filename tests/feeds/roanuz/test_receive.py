"""The codec as consumer: everything that a provider or a proxy may make of a push, and what is none."""

from __future__ import annotations

import gzip
import json
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import Instant, Received, Trust
from touchline.feeds.intake import Intake
from touchline.feeds.roanuz import FEED
from touchline.feeds.roanuz.messages import Notification
from touchline.feeds.roanuz.overs import over_keys
from touchline.feeds.roanuz.webhooks import MAX_BODY_BYTES, WEBHOOKS
from touchline.model import Event
from touchline.wire import rfc3339
from touchline.wire.cloudevents import Envelope
from touchline.wire.http import Pairs

from .worlds import SCENARIOS, payload

NOW = Instant(1_795_089_600_000_000_000, 5.0)


def receive(body: bytes, *headers: tuple[str, str], secrets: tuple[str, ...] = ()) -> Received:
    return WEBHOOKS.receive(headers, body, Trust(secrets), NOW)


def event(body: bytes) -> Event:
    (found,) = receive(body).events
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_sample_of_the_seed(name: str) -> None:
    text = payload(name)
    received = receive(gzip.compress(text, mtime=0))
    (found,) = received.events
    seed = json.loads(text)
    assert found.type == f"roanuz.{SCENARIOS[name]}"
    assert found.subject == seed["data"]["matchkey"]
    assert found.data == b'{"notification":%b}' % text
    assert found.occurred_at == seed["data"]["ts"] * 10**9
    assert found.time is not None
    assert rfc3339.parse(found.time) == found.occurred_at
    assert (received.payload, received.kind, received.confirm_url) == (text, "event", None)
    assert received.answer.status == 200
    taken = Intake({"roanuz": FEED}).event(
        Envelope(found.id, found.source, found.type, found.subject, found.data, found.time, found.occurred_at), 5
    )
    assert isinstance(taken, Event), "what was received can be published"


BODIES: dict[str, tuple[Pairs, bytes]] = {
    "gzip without header": ((), gzip.compress(payload("ball_new"), mtime=0)),
    "gzip with header": ((("content-encoding", "gzip"),), gzip.compress(payload("ball_new"), mtime=0)),
    "header, undone by a proxy": ((("content-encoding", "gzip"),), payload("ball_new")),
    "plain JSON": ((("content-type", "application/json"),), payload("ball_new")),
    "JSON as text": ((("content-type", "text/plain"),), payload("ball_new")),
    "zlib": ((), zlib.compress(payload("ball_new"))),
    "zlib, least effort": ((), zlib.compress(payload("ball_new"), 1)),
    "gzipped again by a proxy": (
        (("content-encoding", "gzip"),),
        gzip.compress(gzip.compress(payload("ball_new"), mtime=0), mtime=0),
    ),
    "two members": (
        (),
        gzip.compress(payload("ball_new")[:50], mtime=0) + gzip.compress(payload("ball_new")[50:], mtime=0),
    ),
}


@pytest.mark.parametrize("how", BODIES)
def test_the_body_says_what_it_is(how: str) -> None:
    headers, body = BODIES[how]
    received = WEBHOOKS.receive(headers, body, Trust(), NOW)
    assert received.payload == payload("ball_new")
    assert received.message_id == receive(payload("ball_new")).message_id


@pytest.mark.parametrize(
    "data_kind", ["match-entry-update", "match-detail-update", "match-related-update", "new", None]
)
@pytest.mark.parametrize("name", ["ball_new", "toss"])
def test_the_data_kind_decides_nothing(name: str, data_kind: str | None) -> None:
    message = json.loads(payload(name)) | {"data_kind": data_kind}
    assert event(json.dumps(message).encode()).type == f"roanuz.{SCENARIOS[name]}"


def test_a_push_without_a_kind_is_told_by_its_ball() -> None:
    for name, kind in (("ball_new", "ball"), ("toss", "other")):
        message = json.loads(payload(name))
        del message["data"]["match_push_kind"]
        assert event(json.dumps(message).encode()).type == f"roanuz.{kind}"


def test_a_new_kind_is_kept() -> None:
    assert event(payload("toss").replace(b'"Toss"', b'"Super_Over2"')).type == "roanuz.super_over2"


def test_the_detail_push_brings_its_ball_along() -> None:
    detail = payload("synthetic_ball")
    text = payload("ball_new").replace(b'"is_delete": false', b'"is_delete": false, "detail": ' + detail)
    assert event(text).data == b'{"notification":%b,"ball":%b}' % (text, detail)
    assert event(text.replace(detail, b"null")).data == b'{"notification":%b}' % text.replace(detail, b"null")


def test_times_that_are_none() -> None:
    for ts in (b"-5", b"1e300", b"null", b"0", b"253402300800"):
        found = event(payload("toss").replace(b"1733148590", ts))
        assert (found.occurred_at, found.time) == (NOW.wall_ns, None)
    assert event(payload("toss").replace(b"1733148590", b"1.5")).occurred_at == 1_500_000_000


# --- repetitions ---


def test_a_repetition_has_the_same_id_and_anything_else_another() -> None:
    texts = [payload(name) for name in SCENARIOS]
    texts += [
        payload("ball_new").replace(b"1234567890", b"1234567891"),
        payload("ball_new").replace(b"1049280", b"1049281"),
        payload("ball_new").replace(b'"over": 1', b'"over": 2'),
        payload("toss").replace(b'"match_key"', b'"other"'),
        payload("toss").replace(b'"ball": null', b'"ball": null, "new": 1'),
        payload("toss").replace(b"match-detail-update", b"match-entry-update"),
    ]
    ids = [receive(text).message_id for text in texts]
    assert len(set(ids)) == len(texts)
    assert ids == [receive(gzip.compress(text, 1, mtime=0)).message_id for text in texts]
    assert receive(payload("toss").replace(b'"match_key"', b'"%b"' % (b"x" * 5000))).events[0].id.startswith("x" * 128)


# --- the key ---


def test_a_key_is_asked_for_only_where_the_receiver_has_one() -> None:
    body = gzip.compress(payload("toss"), mtime=0)
    assert receive(body, ("rs-api-key", "anything"))
    assert receive(body, ("rs-api-key", "new"), secrets=("new", "old"))
    assert receive(body, ("rs-api-key", "old"), secrets=("new", "old"))


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("rs-api-key", ""),),
        (("rs-api-key", "wrong"),),
        (("rs-api-key", "ne"),),
        (("rs-api-key", "new "),),
        (("rs-api-key", "né"),),
        (("rs-api-key", "\udcff"),),
        (("rs-api-key", "new"), ("rs-api-key", "new")),
        (("api-key", "new"),),
    ],
)
def test_without_the_right_key_nothing_is_believed(headers: Pairs) -> None:
    for body in (gzip.compress(payload("toss"), mtime=0), b"garbage"):
        with pytest.raises(RemoteProtocolError, match="rs-api-key"):
            WEBHOOKS.receive(headers, body, Trust(("new", "old")), NOW)


# --- what is no push ---


GARBAGE = {
    "a bomb": gzip.compress(b'{"a":"' + b" " * MAX_BODY_BYTES + b'"}', mtime=0),
    "large JSON": payload("toss") + b" " * MAX_BODY_BYTES,
    "a bomb in gzip": gzip.compress(gzip.compress(b" " * 50 * MAX_BODY_BYTES, mtime=0), mtime=0),
    "gzip cut short": gzip.compress(payload("toss"), mtime=0)[:-1],
    "gzip and more": gzip.compress(payload("toss"), mtime=0) + b"x",
    "gzip with a wrong sum": gzip.compress(payload("toss"), mtime=0)[:-8] + b"12345678",
    "not UTF-8": payload("toss").replace(b'"sport": "cricket"', b'"sport": "cricket", "x": "\xff"'),
    "deep": b'{"data":' * 10_000 + b"1" + b"}" * 10_000,
    "deep beside": payload("toss")[:-1] + b',"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "two messages": payload("toss") * 2,
    "the match push, another product": b'{"data":{"key":"m","status":"started"}}',
    "no match": payload("toss").replace(b'"match_key"', b'" "'),
    "a kind that is none": payload("toss").replace(b'"Toss"', b'"../x"'),
    "a kind without end": payload("toss").replace(b'"Toss"', b'"%b"' % (b"x" * 65)),
    "our own kind": payload("toss").replace(b'"Toss"', b'"Match"'),
    "a ball without a ball": payload("toss").replace(b'"Toss"', b'"Ball"'),
    "a ball of text": payload("ball_new").replace(b"1049280", b'"1049280"'),
    "ts of text": payload("toss").replace(b"1733148590", b'"1733148590"'),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_no_push_is_refused(what: str) -> None:
    for headers in ((), (("content-encoding", "gzip"),)):
        with pytest.raises(RemoteProtocolError):
            WEBHOOKS.receive(headers, GARBAGE[what], Trust(), NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
pushes = st.fixed_dictionaries(
    {},
    optional={
        "sport": json_values,
        "data_kind": json_values,
        "data": st.fixed_dictionaries(
            {},
            optional={
                "matchkey": st.text() | json_values,
                "ball": json_values
                | st.fixed_dictionaries(
                    {"ball_key": st.integers(), "over": st.integers(), "batting_order": st.integers()},
                    optional={"is_delete": st.booleans(), "detail": json_values},
                ),
                "match_push_kind": st.sampled_from(["Ball", "Toss", "Match", "", "É"]) | json_values,
                "push_reason": json_values,
                "ts": st.integers() | st.floats(allow_nan=False, allow_infinity=False) | json_values,
            },
        ),
    },
)
header_pairs = st.lists(
    st.tuples(st.sampled_from(["content-encoding", "rs-api-key", "content-type"]), st.text()), max_size=3
)
bodies = st.binary() | pushes.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))


@given(bodies, header_pairs, st.booleans(), st.lists(st.text(), max_size=2))
def test_whatever_comes_is_taken_or_refused(
    body: bytes, headers: list[tuple[str, str]], zipped: bool, secrets: list[str]
) -> None:
    sent = gzip.compress(body, mtime=0) if zipped else body
    try:
        received = WEBHOOKS.receive(tuple(headers), sent, Trust(tuple(secrets)), NOW)
    except RemoteProtocolError:
        return
    (found,) = received.events
    assert received.payload == body
    assert msgspec.json.decode(found.data)["notification"] == msgspec.json.decode(body)
    assert received.message_id


@given(st.data())
def test_a_push_with_a_bit_turned_raises_nothing_else(data: st.DataObject) -> None:
    body = bytearray(gzip.compress(payload("ball_new"), mtime=0) if data.draw(st.booleans()) else payload("ball_new"))
    body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        receive(bytes(body))
    except RemoteProtocolError:
        return


# --- which over to ask for ---


def test_the_overs_to_try() -> None:
    second_innings = msgspec.json.decode(payload("ball_new"), type=Notification)
    assert over_keys(second_innings, ("b_1", "a_1")) == ("a_1_2", "a_1_1", "a_1_3")
    assert over_keys(second_innings)[:2] == ("b_1_2", "a_1_2")
    first_over = msgspec.json.decode(payload("ball_new").replace(b'"over": 1', b'"over": 0'), type=Notification)
    assert over_keys(first_over, ("b_1", "a_1")) == ("a_1_1", "a_1_2")
    assert over_keys(msgspec.json.decode(payload("toss"), type=Notification)) == ()
