"""CloudEvents in: nothing raises, every problem is named, the bytes of ``data`` stay. And out again."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.model import Event, Lane, Position, Record
from touchline.wire import cloudevents
from touchline.wire.cloudevents import Envelope, decode, decode_batch, decode_binary, decode_lines

GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/venue/12",
    "type": "shottracker.shot",
    "subject": "game-1",
    "data": {"a": 1},
}


def encoded(**changes: object) -> bytes:
    members = {**GOOD, **changes}
    return json.dumps({name: value for name, value in members.items() if value is not ...}).encode()


def fields(result: Envelope | list[tuple[str, str]]) -> set[str]:
    assert isinstance(result, list), result
    return {field for field, _ in result}


def test_a_plain_event_is_taken() -> None:
    result = decode(encoded(time="2026-01-31T18:00:00.5Z", datacontenttype="application/json"))
    assert isinstance(result, Envelope)
    assert (result.id, result.source, result.type, result.subject) == ("1", "/venue/12", "shottracker.shot", "game-1")
    assert result.time == "2026-01-31T18:00:00.5Z"
    assert result.occurred_at == 1_769_882_400_500_000_000


@pytest.mark.parametrize(
    "data",
    [
        b'{"n":9007199254740993}',
        b'{ "b" : 1.0 , "a":1e2,\r\n\t"b":-0 }',
        b'{"a":"\\u0000\\/\\u00e9","n":12345678901234567890.123456789e400}',
        b"[1,2,3]",
        b'"text"',
        b"null",
        '{"name":"Zoë  "}'.encode(),
    ],
)
def test_data_keeps_its_bytes(data: bytes) -> None:
    body = encoded(data=...)[:-1] + b',"data":' + data + b"}"
    for result in (decode(body), decode(body.replace(b'"id": "1"', b'"id": "1", "ext": "x"'))):
        assert isinstance(result, Envelope), result
        assert result.data == data


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "subject", "data"])
def test_a_missing_attribute_is_named(name: str) -> None:
    assert fields(decode(encoded(**{name: ...}))) == {name}


@pytest.mark.parametrize("value", [7, True, [], {}, "", "a\x00b", "a\nb", "\x7f", "x" * 3000])
@pytest.mark.parametrize("name", ["id", "source", "type", "subject"])
def test_a_wrong_attribute_is_named(name: str, value: object) -> None:
    assert fields(decode(encoded(**{name: value}))) == {name}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"time": "2026-01-31T18:00:00"}, "time"),
        ({"time": 12}, "time"),
        ({"time": "2026-02-30T00:00:00Z"}, "time"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"dataschema": 7}, "dataschema"),
        ({"Upper": "x"}, "Upper"),
        ({"has-dash": "x"}, "has-dash"),
        ({"ext": 1.5}, "ext"),
        ({"ext": 2**40}, "ext"),
        ({"ext": ["x"]}, "ext"),
        ({"source": "not a uri"}, "source"),
        ({"data_base64": "AAAA"}, "data_base64"),
    ],
)
def test_other_faults_are_named(changes: dict[str, object], field: str) -> None:
    assert fields(decode(encoded(**changes))) == {field}


def test_several_problems_are_named_at_once() -> None:
    assert fields(decode(encoded(id="", subject=..., time="soon"))) == {"id", "subject", "time"}


def test_extensions_are_kept_and_ours_are_taken_off() -> None:
    result = decode(
        encoded(op="u", partner="p1", flag=True, number=-7, position="x-1", seq=4, lane="event", appendedat="t")
    )
    assert isinstance(result, Envelope)
    assert result.extensions == {"op": "u", "partner": "p1", "flag": True, "number": -7}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"x"',
        b"null",
        b'{"id":NaN}',
        b'{"id":"\\ud800"}',
        b'{"data":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ],
    ids=lambda body: body[:12].decode(),
)
def test_what_is_no_event_is_said(body: bytes) -> None:
    assert isinstance(decode(body), list)


def test_of_duplicate_names_the_last_counts() -> None:
    result = decode(encoded()[:-1] + b',"id":"2"}')
    assert isinstance(result, Envelope)
    assert result.id == "2"


@given(st.binary(max_size=200))
def test_nothing_raises(body: bytes) -> None:
    decode(body)
    decode_lines(body)
    decode_batch(body)
    decode_binary((("content-type", "application/json"),), body)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(_json, st.sampled_from([None, 1, 2]))
def test_what_goes_in_comes_out_again(value: object, indent: int | None) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    body = encoded(data=..., ext="x")[:-1] + b',"data":' + data + b"}"
    result = decode(body)
    if isinstance(result, list):  # lone surrogates are no UTF-8
        assert b"\xed" in data
        return
    event = Event("shottracker", result.type, result.subject, result.source, result.id, result.data, 1, 1, result.time,
                  Lane.EVENT, extensions=result.extensions)  # fmt: skip
    again = decode(cloudevents.encode(Record(7, 3, 1, event), Position("abcdefgh", 7)))
    assert again == result


def test_an_encoded_record_has_our_attributes() -> None:
    event = Event("f", "f.x", "s", "/a", "1", b'{"x": 1}', 1, 1, "2026-01-01T00:00:00Z", extensions={"op": "c"})
    shown = msgspec.json.decode(
        cloudevents.encode(Record(36, 2, 1_769_882_400_000_000_000, event), Position("abcdefgh", 36))
    )
    assert shown == {
        "specversion": "1.0",
        "id": "1",
        "source": "/a",
        "type": "f.x",
        "subject": "s",
        "datacontenttype": "application/json",
        "position": "abcdefgh-10",
        "lane": "event",
        "appendedat": "2026-01-31T18:00:00.000Z",
        "time": "2026-01-01T00:00:00Z",
        "seq": 2,
        "op": "c",
        "data": {"x": 1},
    }
    state = msgspec.structs.replace(event, lane=Lane.STATE, time=None, extensions={})
    assert "seq" not in msgspec.json.decode(cloudevents.encode(Record(36, 0, 1, state), Position("abcdefgh", 36)))


def test_an_event_that_was_read_from_a_hub_is_taken_like_the_published_one() -> None:
    read = {"position": "abcdefgh-10", "seq": 4, "lane": "event", "appendedat": "2026-01-31T18:00:00.000Z"}
    assert decode(encoded(**read)) == decode(encoded())


@pytest.mark.parametrize("ours", [{"seq": "4"}, {"position": 7}, {"lane": None}, {"appendedat": True}])
def test_what_stands_in_place_of_our_attributes_is_taken_off_whatever_it_is(ours: dict[str, object]) -> None:
    assert decode(encoded(**ours)) == decode(encoded())


def test_lines_and_batches() -> None:
    lines = decode_lines(encoded() + b"\n\n  \r\n" + encoded(id="2") + b"\r\n{bad")
    assert [type(item) for item in lines] == [Envelope, Envelope, list]
    batch = decode_batch(b"[" + encoded() + b",7," + encoded(id="2") + b"]")
    assert isinstance(batch, list)
    assert [type(item) for item in batch] == [Envelope, list, Envelope]
    assert isinstance(decode_batch(b"{}"), tuple)
    assert isinstance(decode_batch(b"[" * 10_000 + b"]" * 10_000), tuple)


def test_events_of_one_stream_share_its_names() -> None:
    first, second = decode_lines(encoded() + b"\n" + encoded(id="2"))
    assert isinstance(first, Envelope)
    assert isinstance(second, Envelope)
    assert first.subject is second.subject
    assert first.source is second.source


def test_binary_mode() -> None:
    headers = (
        ("content-type", "application/json; charset=utf-8"),
        *((f"ce-{name}", str(value)) for name, value in GOOD.items() if name != "data"),
        ("ce-partner", "Z%C3%BCrich"),
        ("x-other", "1"),
    )
    result = decode_binary(headers, b'{ "a": 1.0 }')
    assert isinstance(result, Envelope)
    assert result.data == b'{ "a": 1.0 }'
    assert result.extensions == {"partner": "Zürich"}
    assert fields(decode_binary(headers, b"{")) == {"data"}
    assert fields(decode_binary(headers, b"")) == {"data"}
    assert fields(decode_binary((*headers, ("ce-bad", "%ff")), b"{}")) == {"ce-bad"}


def test_one_line_changes_only_white_space() -> None:
    text = b'{"a":"x\\ny",\r\n "b":\n1}'
    assert b"\n" not in cloudevents.one_line(text)
    assert json.loads(cloudevents.one_line(text)) == json.loads(text)
