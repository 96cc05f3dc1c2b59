"""The demo's receiver: what feeds send there is verified, written down, and counted."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from touchline.clock import SystemClock
from touchline.feeds import registry
from touchline.feeds.base import EndpointView, Feed, Hosting, Instant, Outgoing, Received
from touchline.sandbox import sample_receiver
from touchline.sandbox.endpoints import DemoEndpoint, _asked, trust_for
from touchline.sandbox.sample_receiver import SampleReceiver

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PUSHED = [feed for feed in registry.feeds().values() if feed.webhook is not None]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[SampleReceiver]:
    made = SampleReceiver(socket.create_server(("127.0.0.1", 0)), tmp_path / sample_receiver.LOG_FILE)
    yield made
    made.close()


def endpoint_of(feed: Feed) -> DemoEndpoint:
    return DemoEndpoint(feed.name, "demo", "ep_1", SECRET, "http://127.0.0.1:1/")


def sample_of(feed: Feed, message_id: str = "7d5e9a52-5a2b-4a31-a9c6-0d2f4f0a8b11") -> Outgoing:
    """What the hub would send to the demo's endpoint of that feed."""
    codec = feed.webhook
    assert codec is not None
    topics, options = _asked(feed)
    view = EndpointView("ep_1", "demo", (SECRET,), topics, "demo", options)
    now = Instant(SystemClock().wall_ns(), 0.0)
    prepared = codec.prepare(codec.sample(view, now), codec.variant(view))
    assert prepared is not None
    signing = "" if codec.mint is None else codec.mint()
    return codec.finish(prepared, view, message_id, now, Hosting("http://127.0.0.1:1", signing))


def post(url: str, sent: Outgoing) -> int:
    return urllib3.request("POST", url, headers=dict(sent.headers), body=sent.body, retries=False, timeout=10).status


@pytest.mark.parametrize("feed", PUSHED, ids=lambda feed: feed.name)
def test_it_takes_what_each_feed_sends(receiver: SampleReceiver, feed: Feed) -> None:
    trust = trust_for(feed, endpoint_of(feed), frozenset())
    receiver.start({feed.name: (feed, trust)})
    url, sent = receiver.url_of(feed.name), sample_of(feed)
    assert post(url, sent) == 200
    assert post(url, sent) == 200
    assert feed.webhook is not None
    received = feed.webhook.receive(sent.headers, sent.body, trust, Instant(SystemClock().wall_ns(), 0.0))
    assert isinstance(received, Received)
    assert receiver.counts == {feed.name: 2 if received.message_id is None else 1}
    changed = Outgoing(sent.headers, sent.body[:-2] + b"  ")
    assert post(url, changed) in (400, 403)
    assert post(url + "/other", sent) == 404
    lines = receiver.log_path.read_text().splitlines()
    assert stat.S_IMODE(receiver.log_path.stat().st_mode) == 0o600
    assert f"{feed.name:<10} {feed.name}." in lines[0]
    assert all(len(line) <= sample_receiver.LINE_CHARACTERS for line in lines)
    assert any("-- refused: " in line for line in lines)


def test_a_feed_that_signs_is_checked_and_one_that_does_not_is_taken() -> None:
    for feed in PUSHED:
        trust = trust_for(feed, endpoint_of(feed), frozenset({"127.0.0.1:1"}))
        assert trust.hosts == {"127.0.0.1:1"}
        assert trust.secrets in ((SECRET,), ())
    native = registry.load("hub")
    assert trust_for(native, endpoint_of(native), frozenset()).secrets == (SECRET,)


def test_what_came_before_it_started_is_taken_then(receiver: SampleReceiver) -> None:
    feed = registry.load("hub")
    sent = sample_of(feed)
    host, port = receiver.url_of("hub").removeprefix("http://").split("/")[0].split(":")
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.headers)
    with socket.create_connection((host, int(port)), timeout=10) as early:
        early.sendall(f"POST /hub HTTP/1.1\r\nhost: x\r\n{head}content-length: {len(sent.body)}\r\n\r\n".encode())
        early.sendall(sent.body)
        receiver.start({"hub": (feed, trust_for(feed, endpoint_of(feed), frozenset()))})
        assert early.recv(12) == b"HTTP/1.1 200"


def test_the_file_is_cut_when_it_grows(receiver: SampleReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_receiver, "MAX_LOG_BYTES", 400)
    for number in range(20):
        receiver._write(f"{number} " + "x" * 50)
    older = receiver.log_path.with_name(receiver.log_path.name + ".old")
    assert receiver.log_path.stat().st_size < 500
    assert older.stat().st_size < 500
    assert receiver.log_path.read_text().splitlines()[-1].split()[1] == "19"


def test_it_closes_without_having_started(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    SampleReceiver(listener, tmp_path / "x.log").close()
    assert listener.fileno() == -1
