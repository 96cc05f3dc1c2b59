"""The parsers of ``touchline.wire``: any bytes, and near-valid ones."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from touchline.errors import RemoteProtocolError
from touchline.feeds import registry
from touchline.model import MAX_OFFSET, Lane, Position, Record
from touchline.wire import cloudevents, gzip, javascript, position, rfc3339, sse
from touchline.wire.http import every, first, json_response, problem

from .bounds import examples
from .mutations import broken, byte_edits, changed, edits, near, near_json, texts
from .suites import events

CLOUD_EVENTS = [
    json.dumps(
        {
            "specversion": "1.0",
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "time": "2026-11-19T12:00:00.000Z",
            "datacontenttype": "application/json",
            "data": json.loads(event.data),
        }
        | dict(event.extensions)
    ).encode()
    for name in registry.NAMES
    for event in events(name)[:4]
]
RECORDS = [Record(7, 3, 1_795_089_600_000_000_000, event) for name in registry.NAMES for event in events(name)[:2]]


def _is_text(body: bytes) -> bool:
    """Whether it is UTF-8: whoever hands over a body has seen to that."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_decoded(found: cloudevents.Envelope | list[cloudevents.Problem]) -> None:
    if isinstance(found, list):
        assert found
        assert all(isinstance(field, str) and isinstance(detail, str) and detail for field, detail in found)
        assert all(len(detail) < 1000 and len(field) <= 64 for field, detail in found), "a problem is short"
        return
    assert min(map(len, (found.id, found.source, found.type, found.subject, found.data))) > 0
    assert max(map(len, (found.id, found.source, found.type, found.subject))) <= 2048
    assert found.occurred_at is None or -(2**63) <= found.occurred_at < 2**63
    assert (found.time is None) == (found.occurred_at is None)


@examples(300)
@given(near(CLOUD_EVENTS))
def test_cloud_events(body: bytes) -> None:
    if not _is_text(body):
        return
    found = cloudevents.decode(body)
    _check_decoded(found)
    if isinstance(found, cloudevents.Envelope):
        assert found.data in body
    for one in cloudevents.decode_lines(body):
        _check_decoded(one)


@examples(80)
@given(near(CLOUD_EVENTS), near([b"[]", b"[%b]" % CLOUD_EVENTS[0], b"[%b,%b]" % tuple(CLOUD_EVENTS[:2])]))
def test_batches_and_lines(event: bytes, batch: bytes) -> None:
    if not _is_text(batch + event):
        return
    for body in (batch, b"[" + event + b"," + event + b"]"):
        found = cloudevents.decode_batch(body)
        if isinstance(found, list):
            for one in found:
                _check_decoded(one)
        else:
            assert found[1]
    for one in cloudevents.decode_lines(event + b"\n\r\n" + event):
        _check_decoded(one)


@examples(150)
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from(
                    [
                        "ce-id",
                        "ce-source",
                        "ce-type",
                        "ce-subject",
                        "ce-specversion",
                        "ce-time",
                        "ce-",
                        "ce-a",
                        "content-type",
                    ]
                ),
                st.text(max_size=10).map("ce-".__add__),
            ),
            texts,
        ),
        max_size=12,
    ),
    near([event.data for name in registry.NAMES for event in events(name)[:2]]),
)
def test_binary_mode(headers: list[tuple[str, str]], body: bytes) -> None:
    usual = [("ce-specversion", "1.0"), ("ce-id", "e"), ("ce-source", "/s"), ("ce-type", "a.b"), ("ce-subject", "s")]
    for sent in (headers, usual, [*usual, *headers]):
        _check_decoded(cloudevents.decode_binary(sent, body))


_attributes = st.text(st.characters(min_codepoint=32, exclude_categories=["C"]), min_size=1, max_size=100)


@examples(80)
@given(st.sampled_from(RECORDS), near_json([record.event.data for record in RECORDS]), _attributes, _attributes)
def test_what_is_encoded_can_be_decoded(record: Record, data: bytes, text: str, other: str) -> None:
    extensions: dict[str, Any] = {"a": text, "b": True, "c": -7}
    event = msgspec.structs.replace(record.event, data=data, id=text, subject=other, extensions=extensions)
    stored = msgspec.structs.replace(record, event=event)
    for resume in (Position("epoch123", 9), None):
        encoded = cloudevents.encode(stored, resume)
        back = cloudevents.decode(encoded)
        assert isinstance(back, cloudevents.Envelope), back
        assert (back.id, back.source, back.type, back.subject) == (text, event.source, event.type, other)
        assert back.data == data
        assert back.extensions == extensions
        assert cloudevents.one_line(encoded).count(b"\n") == 0


@examples(300)
@given(st.one_of(texts, st.from_regex(r"[0-9a-z]{7,33}-[0-9a-z]{0,12}", fullmatch=True)))
def test_positions(text: str) -> None:
    try:
        found = position.decode(text)
    except RemoteProtocolError:
        assert not position.is_token(text) or int(text.partition("-")[2], 36) > MAX_OFFSET
    else:
        assert position.is_token(text)
        assert 0 <= found.offset <= MAX_OFFSET
        assert position.decode(position.encode(found)) == found


@examples(100)
@given(st.from_regex(r"[0-9a-z]{8,32}", fullmatch=True), st.integers(0, MAX_OFFSET))
def test_every_position_has_a_token(epoch: str, offset: int) -> None:
    assert position.decode(position.encode(Position(epoch, offset))) == Position(epoch, offset)


@examples(400)
@given(
    st.one_of(
        texts,
        near([b"2026-11-19T12:00:00Z", b"2026-11-19T12:00:00.123456789+05:30", b"2016-12-31T23:59:60Z"]).map(
            lambda data: data.decode("utf-8", "replace")
        ),
        st.from_regex(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,20})?(Z|z|[+-]\d\d:\d\d)"),
    )
)
def test_times(text: str) -> None:
    try:
        found = rfc3339.parse(text)
    except ValueError:
        return
    if rfc3339.parse("0001-01-01T00:00:00Z") <= found < rfc3339.parse("9999-12-31T23:59:59Z"):
        assert rfc3339.parse(rfc3339.encode(found)) == found


@examples(100)
@given(st.integers(-62_135_596_800 * 10**9, 253_402_300_799 * 10**9))
def test_every_time_has_a_text(nanoseconds: int) -> None:
    assert rfc3339.parse(rfc3339.encode(nanoseconds)) == nanoseconds


@examples(150)
@given(st.binary(max_size=3000), byte_edits, st.integers(0, 4000), st.integers(1, 3))
def test_gzip(content: bytes, changes: list[tuple[int, int, int]], limit: int, members: int) -> None:
    whole = b"".join(gzip.deflate(content) for _ in range(members))
    assert gzip.inflate(whole, members * len(content)) == content * members
    for sent in (broken(whole, changes), content, whole + content):
        with contextlib.suppress(RemoteProtocolError):
            assert len(gzip.inflate(sent, limit)) <= limit


@examples(20)
@given(st.integers(1, 3), st.integers(0, 100_000))
def test_a_gzip_bomb_is_cut_off(rounds: int, limit: int) -> None:
    bomb = bytes(2_000_000)
    for _ in range(rounds):
        bomb = gzip.deflate(bomb)
    with contextlib.suppress(RemoteProtocolError):
        assert len(gzip.inflate(bomb, limit)) <= limit


_JSON = [event.data for name in registry.NAMES for event in events(name)[:3]] + [
    b'{"10":1,"9":2,"-1":3,"a":1e21,"b":1e-7,"c":-0,"d":123456789012345680000,"e":"\\ud83d\\ude00\\u2028"}'
]


@examples(250)
@given(near(_JSON))
def test_javascript(text: bytes) -> None:
    try:
        printed = javascript.stringify(text)
    except ValueError:
        printed = None
    else:
        assert javascript.stringify(printed) == printed, "printing again changes nothing"
        json.loads(printed)
    try:
        normal = javascript.normalise(text)
    except ValueError:
        pass
    else:
        assert normal == printed
    for read in (javascript.members, javascript.parse):
        with contextlib.suppress(ValueError):
            read(text)


@examples(200)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_javascript_numbers(value: float) -> None:
    assert float(javascript.number(value)) == value


@examples(60)
@given(near(_JSON), texts, texts)
def test_server_sent_events(data: bytes, event_id: str, name: str) -> None:
    """Whatever the data: one event, with as many data fields as lines, and nothing that ends it early."""
    made = sse.event(data, event_id="1", name="n")
    head, _, rest = made.partition(b"data: ")
    assert head == b"id: 1\nevent: n\n"
    assert made.endswith(b"\n\n")
    assert b"\r" not in made
    assert rest[:-2].replace(b"\ndata: ", b"\n") == data.replace(b"\r", b" ")
    assert all(a + b != b"\n\n" for a, b in pairwise([made[i : i + 1] for i in range(len(made) - 2)]))


@examples(60)
@given(st.lists(st.tuples(texts, texts), max_size=6), texts)
def test_http_shapes(pairs: list[tuple[str, str]], name: str) -> None:
    found = every(pairs, name)
    assert first(pairs, name) == (found[0] if found else None)
    for response in (problem(400, name, name, a=pairs), json_response({"a": pairs})):
        json.loads(response.body)


@examples(60)
@given(edits)
def test_edits_make_json(made: list[tuple[int, int, int]]) -> None:
    """The fuzzing itself: what it makes can be printed."""
    json.dumps(changed(json.loads(CLOUD_EVENTS[0]), made))


def test_lanes_are_covered() -> None:
    assert {record.event.lane for record in RECORDS} <= set(Lane)
    assert len(CLOUD_EVENTS) >= 4 * len(registry.NAMES) - 4
