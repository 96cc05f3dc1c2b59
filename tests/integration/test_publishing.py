"""Publishing over HTTP: what is taken, what is refused and how, and that nothing is stored of what is refused."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from touchline.errors import LogFull, LogUnavailable
from touchline.log.base import Appended

from .hubs import Answer, Hub, cloud_event, encoded, read_to_end, status_of

BATCH = "application/cloudevents-batch+json"
NDJSON = "application/x-ndjson"
MakeHub = Callable[..., Hub]


def refused(answer: Answer, status: int = 400) -> list[dict[str, Any]]:
    """The problems of a refusal in its documented form."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status
    assert problem["title"]
    errors: list[dict[str, Any]] = problem.get("errors", [])
    return errors


def stored(hub: Hub, subject: str) -> list[dict[str, Any]]:
    return hub.events(f"subject={subject}")


# forms


def test_one_event(hub: Hub, subject: str) -> None:
    event = cloud_event(subject=subject, time="2026-11-20T19:00:00.5Z", extra="yes", number=7)
    answer = hub.publish(json.dumps(event).encode())
    assert answer.status == 202
    assert answer.json.keys() == {"accepted", "duplicates", "position"}
    assert (answer.json["accepted"], answer.json["duplicates"]) == (1, 0)
    (found,) = stored(hub, subject)
    assert {name: found[name] for name in event} == event
    assert found["position"] == answer.json["position"]
    assert (found["seq"], found["lane"]) == (1, "event")
    assert found["appendedat"].endswith("Z")


def test_a_batch_ndjson_and_gzip(hub: Hub, subject: str) -> None:
    events = [cloud_event(subject=subject) for _ in range(6)]
    assert hub.publish(json.dumps(events[:2]).encode(), BATCH).json["accepted"] == 2
    lines = b"\n\r\n".join(json.dumps(event).encode() for event in events[2:4]) + b"\n"
    assert hub.publish(lines, NDJSON).json["accepted"] == 2
    packed = gzip.compress(json.dumps(events[4:]).encode(), mtime=0)
    assert hub.publish(packed, BATCH, Content_Encoding="gzip").json["accepted"] == 2
    assert [event["id"] for event in stored(hub, subject)] == [event["id"] for event in events]


def test_binary_mode(hub: Hub, subject: str) -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": f"binary-{subject}",
        "ce-source": "/venue/12",
        "ce-type": "shottracker.marker",
        "ce-subject": subject,
        "ce-note": "caf%C3%A9",
        "Content-Type": "application/json; charset=utf-8",
    }
    body = b'{"type": "CLOCK_START",\n "x": 1.50}'
    assert hub.request("POST", "/hub/v1/events", body, headers, key=hub.publisher_key).status == 202
    page = hub.get(f"/hub/v1/events?subject={subject}", hub.admin_key)
    assert b'"data":' + body in page.body, "byte for byte"
    assert page.json["events"][0]["note"] == "café"


@pytest.mark.parametrize(
    "data",
    [
        '{"type":"CLOCK_START","n":9007199254740993}',
        '{"type":"CLOCK_START","n":1e400}',
        '{"type":"CLOCK_START","n":-0.0,"m":1.10,"k":1E+2}',
        '{ "z":1 , "type" : "CLOCK_START", "a":[ ] }',
        '{"type":"CLOCK_START","s":"\\u00e9\\/é😀"}',
        '{"type":"CLOCK_START","a":1,"a":2}',
    ],
)
def test_the_bytes_of_data_stay_as_they_are(hub: Hub, subject: str, data: str) -> None:
    event = json.dumps(cloud_event(subject=subject, data="DATA")).replace('"DATA"', data)
    assert hub.publish(event.encode()).status == 202
    assert b'"data":' + data.encode() in hub.get(f"/hub/v1/events?subject={subject}", hub.admin_key).body


def test_an_unknown_type_of_a_known_feed_is_kept(hub: Hub, subject: str) -> None:
    for kind in ("shottracker.something_new", "prophetx.whatever", "roanuz.x.y"):
        hub.publish_all([cloud_event(kind, subject, [1, None, "x"])])
    assert [event["type"] for event in stored(hub, subject)] == [
        "shottracker.something_new",
        "prophetx.whatever",
        "roanuz.x.y",
    ]


def test_what_was_read_can_be_published_elsewhere(hub: Hub, make_hub: MakeHub, subject: str) -> None:
    """The attributes that the hub adds are its own and are made anew."""
    hub.publish_all([cloud_event(subject=subject)])
    (read,) = stored(hub, subject)
    other = make_hub()
    other.publish_all([cloud_event(), read])
    again = stored(other, subject)[0]
    assert again["position"] != read["position"]
    ours = ("position", "seq", "lane", "appendedat")
    assert {k: v for k, v in again.items() if k not in ours} == {k: v for k, v in read.items() if k not in ours}


# bodies that are no body of events


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/cloudevents+json"),
        (b"", BATCH),
        (b"", NDJSON),
        (b"[]", BATCH),
        (b"\n \n\r\n", NDJSON),
        (b"   ", "application/cloudevents+json"),
        (encoded()[:-5], "application/cloudevents+json"),
        (b"[" + encoded() + b",", BATCH),
        (b"[" + encoded() + b"]", "application/cloudevents+json"),
        (encoded(), BATCH),
        (b"null", BATCH),
        (b'"x"', "application/cloudevents+json"),
        (b"\xef\xbb\xbf" + encoded(), "application/cloudevents+json"),
        (encoded() + b"x", "application/cloudevents+json"),
        (b"[" * 10_000 + b"]" * 10_000, BATCH),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "application/cloudevents+json"),
        (encoded().replace(b"CLOCK", b"\xff"), "application/cloudevents+json"),
        (encoded().replace(b"CLOCK", b"\xc0\x80"), BATCH),
        (encoded() + b"\n" + encoded().replace(b"CLOCK", b"\xed\xa0\x80"), NDJSON),
    ],
)
def test_bodies_that_cannot_be_read(hub: Hub, body: bytes, content_type: str) -> None:
    head = hub.on_loop(lambda: hub.running.hub.event_log.head)
    refused(hub.publish(body, content_type))
    assert hub.on_loop(lambda: hub.running.hub.event_log.head) == head, "nothing was stored"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/json",
        "",
        "application/cloudevents+xml",
        "application/cloudevents+json; charset=latin-1",
    ],
)
def test_content_types_that_are_not_taken(hub: Hub, content_type: str) -> None:
    refused(hub.publish(encoded(), content_type), 415)


def test_encodings(hub: Hub, subject: str) -> None:
    body = encoded(subject=subject)
    refused(hub.publish(body, Content_Encoding="br"), 415)
    refused(hub.publish(body, Content_Encoding="gzip"))
    refused(hub.publish(gzip.compress(body, mtime=0)[:-9], Content_Encoding="gzip"))
    refused(hub.publish(gzip.compress(body, mtime=0) + b"junk", Content_Encoding="gzip"))
    refused(hub.publish(gzip.compress(gzip.compress(body, mtime=0), mtime=0), Content_Encoding="gzip"))
    assert stored(hub, subject) == []
    assert hub.publish(body, Content_Encoding="identity").status == 202


def test_a_gzip_bomb(hub: Hub) -> None:
    bomb = gzip.compress(gzip.compress(b" " * 200_000_000, 1, mtime=0), 9, mtime=0)
    refused(hub.publish(gzip.compress(b" " * 40_000_000, mtime=0), Content_Encoding="gzip"), 413)
    refused(hub.publish(bomb, Content_Encoding="gzip"))
    refused(hub.publish(gzip.compress(b"", mtime=0) * 200_000, Content_Encoding="gzip"))


def test_a_body_over_the_limit(make_hub: MakeHub) -> None:
    hub = make_hub(max_body_bytes=100_000)
    line = encoded(data={"type": "x" * 120_000})
    refused(hub.publish(line), 413)
    with hub.connect() as plain:  # without a declared length
        head = f"POST /hub/v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.publisher_key}\r\n"
        plain.sendall(
            head.encode() + b"Content-Type: application/cloudevents+json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(3):
            plain.sendall(b"c350\r\n" + b" " * 50_000 + b"\r\n")
        assert status_of(plain.recv(100_000)) == 413
    assert hub.publish(encoded()).status == 202


def test_a_line_of_ten_megabytes(hub: Hub, subject: str) -> None:
    big = encoded(subject=subject, data={"type": "x" * 10_000_000})
    errors = refused(hub.publish(encoded(subject=subject) + b"\n" + big, NDJSON))
    assert [(error["index"], error["field"]) for error in errors] == [(1, "data")]
    assert stored(hub, subject) == []


def test_more_events_than_a_batch_may_hold(make_hub: MakeHub) -> None:
    hub = make_hub(max_batch_events=10)
    events = [cloud_event() for _ in range(11)]
    refused(hub.publish(json.dumps(events).encode(), BATCH), 413)
    refused(hub.publish(b"\n".join(json.dumps(event).encode() for event in events), NDJSON), 413)
    refused(hub.publish(b"x\n" * 1_000_000, NDJSON), 413)
    assert hub.events() == []
    assert hub.publish(json.dumps(events[:10]).encode(), BATCH).json["accepted"] == 10


# lengths and slowness, on the socket


def raw_publish(hub: Hub, body: bytes, *, length: int | str | None = None, more: str = "") -> bytes:
    length = len(body) if length is None else length
    return (
        f"POST /hub/v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.publisher_key}\r\n"
        f"Content-Type: application/cloudevents+json\r\nContent-Length: {length}\r\n{more}\r\n"
    ).encode() + body


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999999999999999999", "5, 6"])
def test_a_content_length_that_is_none(hub: Hub, length: str) -> None:
    assert status_of(hub.exchange(raw_publish(hub, encoded(), length=length))) == 400


def test_a_content_length_above_the_limit(hub: Hub) -> None:
    answer = hub.exchange(raw_publish(hub, b"", length=40_000_000, more="Connection: close\r\n"))
    assert status_of(answer) == 413


def test_a_content_length_that_is_too_short(hub: Hub, subject: str) -> None:
    body = encoded(subject=subject)
    answer = hub.exchange(raw_publish(hub, body, length=len(body) - 3, more="Connection: close\r\n"))
    assert status_of(answer) == 400
    assert stored(hub, subject) == []


def test_a_content_length_that_is_too_long(make_hub: MakeHub) -> None:
    hub = make_hub(body_seconds=0.1)
    body = encoded()
    answer = hub.exchange(raw_publish(hub, body, length=len(body) + 3))
    assert status_of(answer) == 408
    assert hub.events() == []


def test_a_body_that_drips(make_hub: MakeHub) -> None:
    """However often something comes: the whole has a deadline."""
    hub = make_hub(body_seconds=0.3)
    body = encoded()
    with hub.connect() as plain:
        plain.sendall(raw_publish(hub, b"", length=len(body)))
        ended = threading.Event()

        def drip() -> None:
            for index in range(len(body)):
                try:
                    plain.sendall(body[index : index + 1])
                except OSError:
                    return
                if ended.wait(0.02):
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            answer = read_to_end(plain)
        finally:
            ended.set()
            dripping.join()
    assert status_of(answer) == 408
    assert hub.events() == []
    # In one piece: between two a busy machine may take longer than the deadline.
    assert status_of(hub.exchange(raw_publish(hub, encoded(), more="Connection: close\r\n"))) == 202


def test_a_client_that_goes_away_in_the_middle(hub: Hub, subject: str) -> None:
    body = encoded(subject=subject)
    for cut in (0, 1, len(body) - 1):
        with hub.connect() as plain:
            plain.sendall(raw_publish(hub, body[:cut], length=len(body)))
    with hub.connect() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closing resets
        plain.sendall(raw_publish(hub, body[:10], length=len(body)))
    assert stored(hub, subject) == []


def test_expect_continue(hub: Hub, subject: str) -> None:
    body = encoded(subject=subject)
    with hub.connect() as plain:
        plain.sendall(raw_publish(hub, b"", length=len(body), more="Expect: 100-continue\r\n"))
        assert plain.recv(1000).startswith(b"HTTP/1.1 100 ")
        plain.sendall(body)
        assert status_of(plain.recv(10_000)) == 202


def test_many_requests_in_one_segment(hub: Hub, subject: str) -> None:
    bodies = [encoded(subject=subject) for _ in range(20)]
    last = raw_publish(hub, encoded(subject=subject), more="Connection: close\r\n")
    answers = hub.exchange(b"".join(raw_publish(hub, body) for body in bodies) + last)
    assert answers.count(b"HTTP/1.1 202 ") == 21
    assert [event["seq"] for event in stored(hub, subject)] == list(range(1, 22))


# events that are refused


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": None}, "specversion"),
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": 1}, "specversion"),
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": 5}, "id"),
        ({"id": "x" * 600}, "id"),
        ({"id": "a\x00b"}, "id"),
        ({"source": None}, "source"),
        ({"source": ["x"]}, "source"),
        ({"source": "a b"}, "source"),
        ({"type": None}, "type"),
        ({"type": "nosuchfeed.event"}, "type"),
        ({"type": "shottracker"}, "type"),
        ({"type": "shottracker."}, "type"),
        ({"type": "hub.publisher.alive"}, "type"),
        ({"type": "shottracker.a\x07b"}, "type"),
        ({"type": "shottracker." + "x" * 300}, "type"),
        ({"subject": None}, "subject"),
        ({"subject": ""}, "subject"),
        ({"subject": {"x": 1}}, "subject"),
        ({"time": "2026-11-20T19:00:00"}, "time"),
        ({"time": "2026-11-20"}, "time"),
        ({"time": "2026-02-30T19:00:00Z"}, "time"),
        ({"time": 1_700_000_000}, "time"),
        ({"time": "9999-01-01T00:00:00Z"}, "time"),
        ({"time": "0001-01-01T00:00:00Z"}, "time"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"data_base64": "AAAA"}, "data_base64"),
        ({"Extra": 1}, "Extra"),
        ({"extra": 1.5}, "extra"),
        ({"extra": {"x": 1}}, "extra"),
        ({"data": []}, "data"),
        ({"data": "text"}, "data"),
        ({"data": {}}, "data"),
        ({"data": {"type": 5}}, "data.type"),
    ],
)
def test_attributes_that_are_wrong(hub: Hub, subject: str, change: dict[str, Any], field: str) -> None:
    event = {k: v for k, v in (cloud_event(subject=subject) | change).items() if v is not None}
    good = cloud_event(subject=subject)
    errors = refused(hub.publish(json.dumps([good, event]).encode(), BATCH))
    assert [error["index"] for error in errors] == [1] * len(errors)
    assert field in {error["field"] for error in errors}
    assert all(error["detail"] for error in errors)
    assert stored(hub, subject) == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "01", "1.", "+1", "0x1"])
def test_numbers_that_are_no_json(hub: Hub, subject: str, number: str) -> None:
    body = encoded(subject=subject, data={"type": "x", "n": "N"}).replace(b'"N"', number.encode())
    refused(hub.publish(body))
    assert stored(hub, subject) == []


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00\\ud800", "\\ud83d x"])
@pytest.mark.parametrize("where", ["id", "data", "extra"])
def test_lone_surrogates(hub: Hub, subject: str, text: str, where: str) -> None:
    """What no reader could write down again as UTF-8 is not taken."""
    change = {"data": {"type": "x", "s": "HERE"}} if where == "data" else {where: "HERE"}
    refused(hub.publish(encoded(subject=subject, **change).replace(b"HERE", text.encode())))


def test_the_last_of_duplicate_attributes_counts(hub: Hub, subject: str) -> None:
    body = encoded(subject="first-of-two").replace(
        b'"subject": "first-of-two"', b'"subject":"a","subject":"%b"' % subject.encode()
    )
    assert hub.publish(body).status == 202
    assert len(stored(hub, subject)) == 1


def test_one_bad_event_in_five_hundred(hub: Hub, subject: str) -> None:
    events = [cloud_event(subject=subject) for _ in range(500)]
    events[321]["time"] = "yesterday"
    events[77]["data"] = {"type": 7}
    errors = refused(hub.publish(json.dumps(events).encode(), BATCH))
    assert [(error["index"], error["field"]) for error in errors] == [(77, "data.type"), (321, "time")]
    assert stored(hub, subject) == []
    answer = hub.publish(json.dumps(events).encode(), BATCH, query="?on_error=skip")
    assert (answer.status, answer.json["accepted"]) == (202, 498)
    assert [error["index"] for error in answer.json["errors"]] == [77, 321]
    assert [event["seq"] for event in stored(hub, subject)] == list(range(1, 499))


def test_a_thousand_bad_events_are_counted_and_the_first_are_listed(hub: Hub) -> None:
    answer = hub.publish(b"{}\n" * 1000, NDJSON)
    assert len(refused(answer)) == 100
    assert answer.json["error_count"] == 5000 + 1000
    refused(hub.publish(b"{}\n" * 10, NDJSON, query="?on_error=skip"))
    refused(hub.publish(encoded(), query="?on_error=maybe"))


# idempotency


def test_the_same_event_from_fifty_connections_at_once_is_stored_once(hub: Hub, subject: str) -> None:
    body = encoded(subject=subject)
    barrier = threading.Barrier(50)

    def publish(_: int) -> Answer:
        barrier.wait()
        return hub.publish(body)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(publish, range(50)))
    assert {answer.status for answer in answers} == {202}
    assert sum(answer.json["accepted"] for answer in answers) == 1
    assert sum(answer.json["duplicates"] for answer in answers) == 49
    assert len(stored(hub, subject)) == 1


def test_the_same_id_with_other_content_conflicts(hub: Hub, subject: str) -> None:
    first = cloud_event(subject=subject)
    hub.publish_all([first])
    for change in ({"data": {"type": "OTHER"}}, {"subject": subject + "x"}, {"type": "shottracker.other"}):
        errors = refused(hub.publish(json.dumps([cloud_event(subject=subject), first | change]).encode(), BATCH), 409)
        assert [(error["index"], error["field"]) for error in errors] == [(1, "id")]
    assert len(stored(hub, subject)) == 1
    batch = [cloud_event(subject=subject), first | {"data": {"type": "OTHER"}}, first, {"bad": 1}]
    answer = hub.publish(json.dumps(batch).encode(), BATCH, query="?on_error=skip").json
    assert (answer["accepted"], answer["duplicates"]) == (1, 1)
    assert sorted({error["index"] for error in answer["errors"]}) == [1, 3]
    assert len(stored(hub, subject)) == 2
    hub.publish_all([first | {"source": "/elsewhere"}])


def test_a_conflict_within_one_batch(hub: Hub, subject: str) -> None:
    event = cloud_event(subject=subject)
    body = json.dumps([event, event, event | {"data": {"type": "OTHER"}}]).encode()
    assert [error["index"] for error in refused(hub.publish(body, BATCH), 409)] == [2]
    assert stored(hub, subject) == []


# a log that cannot write


@pytest.mark.parametrize("error", [LogFull("no room"), LogUnavailable("the disk errs")])
def test_a_full_disk_is_told_and_recovers(make_hub: MakeHub, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk itself is made full in the log's own suite; here: what the publisher is told."""
    hub = make_hub()
    log = hub.running.hub.event_log

    async def append(*_: object, **__: object) -> Appended:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(log, "append", append)
        answer = hub.publish(encoded())
        refused(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
    assert hub.publish(encoded()).status == 202
    assert len(hub.events()) == 1
