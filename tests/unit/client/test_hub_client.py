"""HubClient against a scripted server: what it sends, what it makes of answers, and what it repeats."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from touchline.client import HubClient, HubRefused, Published
from touchline.errors import ConfigError, EventProblem, UpstreamError

PUBLISHED = {"accepted": 1, "duplicates": 0, "position": "abcdefgh-1"}


class StepClock:
    """Time that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def wall_ns(self) -> int:
        return int(self.seconds * 1e9)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += max(seconds, 0.01)


@pytest.fixture
def clock() -> StepClock:
    return StepClock()


@pytest.fixture
def hub(server: Any, clock: StepClock) -> Iterator[HubClient]:
    with HubClient(server.url, "the-key", clock=clock, sleep=clock.sleep) as client:
        yield client


def test_publishes_lines_as_they_are(server: Any, hub: HubClient) -> None:
    server.answer(202, PUBLISHED)
    assert hub.publish([b'{"id":"1"}\n', b'{ "id": "2" }']) == Published(1, 0, "abcdefgh-1")
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/hub/v1/events")
    assert asked.headers["authorization"] == "Bearer the-key"
    assert asked.headers["content-type"] == "application/x-ndjson"
    assert asked.body == b'{"id":"1"}\n{ "id": "2" }'


def test_packs_large_bodies(server: Any, hub: HubClient) -> None:
    server.answer(202, PUBLISHED)
    lines = [b'{"id":"%d"}' % number for number in range(1000)]
    hub.publish(lines, on_error="skip")
    (asked,) = server.asked
    assert asked.path == "/hub/v1/events?on_error=skip"
    assert asked.headers["content-encoding"] == "gzip"
    assert gzip.decompress(asked.body) == b"\n".join(lines)


def test_skipped_events_are_listed(server: Any, hub: HubClient) -> None:
    server.answer(202, PUBLISHED | {"errors": [{"index": 1, "field": "id", "detail": "missing"}]})
    assert hub.publish([b"{}", b"{}"], on_error="skip").errors == (EventProblem(1, "id", "missing"),)


def test_a_refusal_carries_the_hubs_own_words(server: Any, hub: HubClient) -> None:
    problem = {
        "title": "Bad Request",
        "detail": "1 event is bad",
        "errors": [{"index": 2, "field": "a", "detail": "b"}],
    }
    server.answer(400, problem, content_type="application/problem+json")
    with pytest.raises(HubRefused, match="400: Bad Request: 1 event is bad") as caught:
        hub.publish([b"{}"])
    assert caught.value.problems == (EventProblem(2, "a", "b"),)
    assert caught.value.status == 400
    assert not caught.value.retryable


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_hub_is_asked_again(server: Any, hub: HubClient, clock: StepClock, status: int) -> None:
    server.answer(status, {"title": "busy"}, retry_after="7")
    server.break_off()
    server.answer(202, PUBLISHED)
    assert hub.publish([b"{}"]).accepted == 1
    assert len(server.asked) == 3
    assert clock.slept[0] >= 7


def test_patience_ends(server: Any, hub: HubClient, clock: StepClock) -> None:
    server.answers = [(503, {}, b"{}")] * 1000
    with pytest.raises(UpstreamError, match="busy") as caught:
        hub.publish([b"{}"])
    assert caught.value.retryable
    assert 20 < clock.seconds <= 31


def test_what_may_not_be_repeated_is_not(server: Any, hub: HubClient) -> None:
    server.break_off()
    with pytest.raises(UpstreamError):
        hub.add_partner("p", "hub")
    server.answer(503)
    with pytest.raises(UpstreamError):
        hub.rotate("p", "hub")
    assert len(server.asked) == 2


def test_an_absent_hub_is_named(clock: StepClock) -> None:
    with socket.socket() as bound:  # nobody listens, and nobody else can: the port stays ours
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        hub = HubClient(f"http://127.0.0.1:{port}", clock=clock, sleep=clock.sleep, retry_seconds=2)
        with hub, pytest.raises(UpstreamError, match=f"127.0.0.1:{port}/hub/v1/status: connection refused"):
            hub.status()
    assert clock.slept


def test_redirects_are_not_followed(server: Any, hub: HubClient) -> None:
    server.answer(307, location=server.url + "/elsewhere")
    with pytest.raises(HubRefused, match="redirects are not followed"):
        hub.status()
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff", b'{"accepted":"x"}'])
def test_an_answer_that_no_hub_gives(server: Any, hub: HubClient, body: bytes) -> None:
    server.answer(202, body)
    with pytest.raises(UpstreamError, match="not as a hub does"):
        hub.publish([b"{}"])


def test_reads_page_after_page(server: Any, hub: HubClient) -> None:
    server.answer(200, {"events": [{"id": "1"}, {"id": "2"}], "position": "p2", "more": True})
    server.answer(200, b'{"events":[{"id": "3","data":{"n":9007199254740993}}],"position":"p3","more":false}')
    events = list(hub.events(feed="shottracker", subject="g/1", after="p0"))
    assert events == [b'{"id":"1"}', b'{"id":"2"}', b'{"id": "3","data":{"n":9007199254740993}}']
    assert [asked.path for asked in server.asked] == [
        "/hub/v1/events?feed=shottracker&subject=g%2F1&after=p0&limit=1000",
        "/hub/v1/events?feed=shottracker&subject=g%2F1&after=p2&limit=1000",
    ]


def test_partners_and_keys(server: Any, hub: HubClient) -> None:
    hub.add_partner("a b", "shottracker", grants={"team_id": ["1", "2"]}, options={"envelope": "event"})
    hub.grant("a/b", "hub", grants={})
    for call in (hub.suspend, hub.resume, hub.partner, hub.remove):
        call("p")
    hub.remove("p", "hub")
    server.answer(204, b"")
    hub.revoke_key("k1")
    server.answer(201, {"id": "k2", "role": "publisher", "name": "n", "feeds": ["hub"], "sources": [], "key": "s"})
    assert hub.create_key("publisher", "n", feeds=["hub"]).key == "s"
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("POST", "/hub/v1/partners"),
        ("PUT", "/hub/v1/partners/a%2Fb/feeds/hub"),
        ("POST", "/hub/v1/partners/p/suspend"),
        ("POST", "/hub/v1/partners/p/resume"),
        ("GET", "/hub/v1/partners/p"),
        ("DELETE", "/hub/v1/partners/p"),
        ("DELETE", "/hub/v1/partners/p/feeds/hub"),
        ("DELETE", "/hub/v1/keys/k1"),
        ("POST", "/hub/v1/keys"),
    ]
    assert msgspec.json.decode(server.asked[0].body) == {
        "name": "a b",
        "feed": "shottracker",
        "grants": {"team_id": ["1", "2"]},
        "options": {"envelope": "event"},
    }


@pytest.mark.parametrize("url", ["hub:8080", "ftp://hub", "http://", "http://hub?x=1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError):
        HubClient(url)
