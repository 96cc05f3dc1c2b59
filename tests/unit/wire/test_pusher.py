"""The Pusher protocol's building block: frames, signatures, and both roles against each other."""

from __future__ import annotations

import json
import random

import pytest

from touchline.errors import RemoteProtocolError
from touchline.wire import pusher
from touchline.wire.pusher import ChannelEvent, CloseCode, Established, Failed, PusherClient, PusherServer, frames

KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
ID = "1234.1234"


def said(server: PusherServer) -> list[dict[str, object]]:
    return [json.loads(message) for message in server.drain()]


def open_server() -> PusherServer:
    server = PusherServer(ID, 0.0)
    server.drain()
    return server


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("private-foobar", "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"),
        (
            "private-broadcast-service=3-device_type=5",
            "8ae9639d181d179f3b15a6d7042014447f0800d71858d3cd3a06b1f818620013",
        ),
    ],
)
def test_signatures_are_those_of_the_documents(channel: str, expected: str) -> None:
    auth = pusher.authorize(KEY, SECRET, ID, channel)
    assert auth == f"{KEY}:{expected}"
    assert pusher.is_authorized(auth, KEY, SECRET, ID, channel)
    for wrong in ("", KEY, expected, f":{expected}", f"{KEY}:{expected.upper()}", auth + "0", auth[:-1], "\ud800"):
        assert not pusher.is_authorized(wrong, KEY, SECRET, ID, channel)
    assert not pusher.is_authorized(auth, KEY, SECRET, "1234.1235", channel)
    assert not pusher.is_authorized(auth, KEY, SECRET, ID, channel + "x")
    assert not pusher.is_authorized(auth, KEY, "other", ID, channel)


def test_nothing_but_two_numbers_is_a_socket_id() -> None:
    for made in (pusher.socket_id(random.Random(seed).randbytes) for seed in range(50)):
        assert pusher.is_socket_id(made)
        assert all(1 <= int(half) <= 10**9 for half in made.split("."))
    for text in (
        "",
        "1",
        "1.",
        ".1",
        "1.1:private-x",
        "1.1\n",
        "-1.1",
        "1.1.1",
        "１.１",
        "a.b",
        " 1.1",
        "1" * 30 + ".1",
    ):
        assert not pusher.is_socket_id(text), text


def test_the_greeting_is_text_in_text_and_has_a_time_out() -> None:
    (message,) = PusherServer(ID, 0.0).drain()
    greeting = json.loads(message)
    assert greeting["event"] == "pusher:connection_established"
    assert json.loads(greeting["data"]) == {"socket_id": ID, "activity_timeout": 120}


def test_events_keep_their_bytes_inside_the_string() -> None:
    data = b'{"a":1709130007835319001,"b":"\\u00e9 \\"x\\" \xc3\xa9","c":2e0}'
    message = json.loads(pusher.channel_event("tournament_1", "private-x", data))
    assert message == {"event": "tournament_1", "channel": "private-x", "data": data.decode()}
    assert "channel" not in json.loads(pusher.channel_event("health_check", None, b"{}"))


def test_versions() -> None:
    for good in (None, "", "5", "6", "7"):
        assert pusher.check_version(good) is None
    codes = {text: (pusher.check_version(text) or (0,))[0] for text in ("1", "4", "8", "999", "x", "-7", "7.0", "٧")}
    assert codes == {
        **dict.fromkeys(("1", "4", "8", "999"), CloseCode.UNSUPPORTED_PROTOCOL),
        **dict.fromkeys(("x", "-7", "7.0", "٧"), CloseCode.BAD_VERSION),
    }


@pytest.mark.parametrize("data", ['""', "{}", "null", '"{}"', "[1]"])
def test_a_ping_is_answered_whatever_it_carries(data: str) -> None:
    server = open_server()
    assert server.receive(f'{{"event":"pusher:ping","data":{data}}}', 1.0) is None
    assert said(server) == [{"event": "pusher:pong", "data": {}}]
    assert server.receive('{"data":"","event":"pusher:ping"}', 1.0) is None
    assert len(said(server)) == 1


@pytest.mark.parametrize("wrapped", [False, True])
def test_subscribing_takes_an_object_or_its_text(wrapped: bool) -> None:
    server = open_server()
    data = {"channel": "private-x", "auth": "k:1"}
    message = json.dumps({"event": "pusher:subscribe", "data": json.dumps(data) if wrapped else data})
    assert server.receive(message, 0.0) == pusher.Subscribe("private-x", "k:1")
    assert server.accept("private-x")
    assert not server.accept("private-x")
    assert (
        said(server) == [{"event": "pusher_internal:subscription_succeeded", "channel": "private-x", "data": "{}"}] * 2
    )
    leaving = '{"event":"pusher:unsubscribe","data":{"channel":"private-x"}}'
    assert server.receive(leaving, 0.0) == pusher.Unsubscribe("private-x")
    assert server.receive(leaving, 0.0) is None
    assert said(server) == []


def test_a_refused_subscription_is_an_error_of_the_channel_alone() -> None:
    server = open_server()
    server.refuse("private-y", 401, "no")
    assert said(server) == [
        {
            "event": "pusher:subscription_error",
            "channel": "private-y",
            "data": {"type": "AuthError", "error": "no", "status": 401},
        }
    ]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", 4300),
        ("[]", 4300),
        ("null", 4300),
        ('"text"', 4300),
        ('{"event":5}', 4300),
        ('{"data":{}}', 4300),
        ('{"event":"pusher:subscribe"}', 4300),
        ('{"event":"pusher:subscribe","data":"x"}', 4300),
        ('{"event":"pusher:subscribe","data":{"channel":7}}', 4300),
        ('{"event":"pusher:subscribe","data":{"channel":""}}', 4300),
        ('{"event":"pusher:subscribe","data":{"channel":"%s"}}' % ("c" * 201), 4300),
        ('{"event":"pusher:unsubscribe","data":[]}', 4300),
        ('{"event":"pusher:something"}', 4300),
        ('{"event":"pusher:ping","data":"%s"}' % ("x" * 10_241), 4300),
        ("[" * 9_000, 4300),
        ('{"event":"pusher:subscribe","data":' + "[" * 5000 + "]" * 5000 + "}", 4300),
        ("\ud800", 4300),
        (b'{"event":"pusher:ping"}', 4300),
        ('{"event":"client-typing","channel":"private-x","data":{}}', 4301),
        ('{"event":"client-typing","channel":"public","data":{}}', 4301),
    ],
)
def test_what_is_wrong_gets_an_error_that_leaves_the_socket_open(message: str | bytes, code: int) -> None:
    server = open_server()
    assert server.receive(message, 0.0) is None
    (complaint,) = said(server)
    assert complaint["event"] == "pusher:error"
    data = complaint["data"]
    assert isinstance(data, dict), "an object, not text: public clients come back only then"
    assert data["code"] == code
    assert server.receive('{"event":"pusher:ping"}', 0.0) is None
    assert said(server) == [{"event": "pusher:pong", "data": {}}]


def test_channels_and_answers_are_bounded() -> None:
    server = open_server()
    for number in range(100):
        server.accept(f"c{number}")
        server.drain()
    assert server.receive('{"event":"pusher:subscribe","data":{"channel":"one-more"}}', 0.0) is None
    (refusal,) = said(server)
    assert refusal["event"] == "pusher:subscription_error"
    assert server.receive('{"event":"pusher:subscribe","data":{"channel":"c7"}}', 0.0) == pusher.Subscribe("c7", "")
    for _ in range(1000):
        server.receive("garbage", 0.0)
    assert len(server.drain()) == 64


def test_a_silent_client_is_pinged_and_then_given_up() -> None:
    server = open_server()
    assert server.deadline() == 120
    assert server.tick(119.0) is None
    assert server.tick(120.0) is None
    assert said(server) == [{"event": "pusher:ping", "data": {}}]
    server.receive('{"event":"pusher:pong","data":{}}', 140.0)
    assert server.deadline() == 260
    assert server.tick(260.0) is None
    assert server.deadline() == 290
    assert server.tick(290.0) == pusher.Expired(CloseCode.NO_PONG)


def test_a_tick_that_comes_late_says_nothing_about_the_client() -> None:
    """A process that stood still has its answer lying unread: it asks again before it gives up."""
    server = open_server()
    server.tick(120.0)
    server.drain()
    assert server.tick(155.0) is None
    assert said(server) == [{"event": "pusher:ping", "data": {}}]
    assert server.tick(184.9) is None
    assert server.tick(185.0) == pusher.Expired(CloseCode.NO_PONG)


def test_a_sign_of_life_is_as_good_as_an_answer() -> None:
    server = open_server()
    server.tick(120.0)
    server.heard(149.0)
    assert server.deadline() == 269
    assert server.tick(150.0) is None


def test_close_codes_by_class() -> None:
    assert [code for code in CloseCode if code.is_final] == [4001, 4003, 4006, 4007, 4009]
    assert [code for code in CloseCode if code.needs_pause] == [4100]


def test_both_roles_understand_each_other() -> None:
    server, client = PusherServer(ID, 0.0), PusherClient(0.0)
    (greeting,) = server.drain()
    assert client.receive(greeting, 0.0) == Established(ID)
    client.subscribe("private-x", pusher.authorize(KEY, SECRET, ID, "private-x"))
    (wish,) = client.drain()
    asked = server.receive(wish, 0.0)
    assert isinstance(asked, pusher.Subscribe)
    assert pusher.is_authorized(asked.auth, KEY, SECRET, ID, asked.channel)
    server.accept("private-x")
    server.refuse("private-y", 401, "no")
    answers = [client.receive(message, 0.0) for message in server.drain()]
    assert answers == [pusher.Subscribed("private-x"), pusher.SubscriptionRefused("private-y", 401, "no")]
    data = b'{"n":1709130007835319001}'
    assert client.receive(pusher.channel_event("e", "private-x", data), 0.0) == ChannelEvent("e", "private-x", data)
    assert client.receive(pusher.error(4200, "come back"), 0.0) == Failed(4200, "come back")
    client.unsubscribe("private-x")
    assert server.receive(client.drain()[0], 0.0) == pusher.Unsubscribe("private-x")
    assert server.tick(120.0) is None
    assert client.receive(server.drain()[0], 100.0) is None
    assert server.receive(client.drain()[0], 121.0) is None
    assert server.deadline() == 241
    assert not client.tick(220.0)
    server.receive(client.drain()[0], 220.0)
    assert client.receive(server.drain()[0], 220.0) is None
    assert not client.tick(340.0)
    assert client.tick(370.0), "no answer to a ping"


def test_a_client_takes_the_shorter_time_out_and_error_data_in_text() -> None:
    client = PusherClient(0.0)
    client.receive('{"event":"pusher:connection_established","data":{"socket_id":"1.2","activity_timeout":30}}', 0.0)
    assert client.deadline() == 30
    assert client.receive('{"event":"pusher:error","data":"{\\"code\\":\\"4001\\"}"}', 0.0) == Failed(4001, "")
    assert client.receive('{"event":"pusher:error","data":{"code":null,"message":null}}', 0.0) == Failed(None, "")
    for garbage in ("", "[]", '{"event":"pusher:connection_established","data":"x"}', '{"event":"pusher:error"}'):
        with pytest.raises(RemoteProtocolError):
            client.receive(garbage, 0.0)
    assert frames.MAX_DATA_BYTES == 10_240
