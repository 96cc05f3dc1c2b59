"""What a client of the exchange's socket may say: what is wrong is told to it alone, and the socket stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from touchline.feeds.prophetx.channels import BROADCAST, data_bytes, private_channel
from touchline.wire import pusher
from touchline.wire.pusher import MAX_DATA_BYTES

from .hubs import Hub, cloud_event
from .prophetx_clients import ERROR, REFUSED, SUCCEEDED, Client, Session, app_of, numbered, partner, private, sign
from .websockets import TEXT, frame
from .websockets import Client as Socket

MakeHub = Callable[..., Hub]
SUBSCRIBE = "pusher:subscribe"


@pytest.fixture
def client(hub: Hub, subject: str) -> Iterator[Client]:
    with Client(hub, partner(hub, subject)) as client:
        yield client


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", 4300),
        ("[]", 4300),
        ("{", 4300),
        ("[" * 10_000, 4300),
        ('{"event":"pusher:subscribe","data":' + '{"a":' * 1600 + "1" + "}" * 1600 + "}", 4300),
        ('{"event":"pusher:ping","data":"' + "x" * 10_240 + '"}', 4300),
        ('{"event":"pusher:ping","data":"' + "x" * 60_000 + '"}', 4300),
        ('{"event":7,"data":{}}', 4300),
        ('{"event":{"event":"pusher:ping"}}', 4300),
        ('{"event":["pusher:ping"]}', 4300),
        ('{"event":"pusher:signin","data":{"auth":"x","user_data":"{}"}}', 4300),
        ('{"event":"pusher_internal:subscription_succeeded","channel":"x","data":"{}"}', 4300),
        ('{"event":"wagers","channel":"$B","data":"{}"}', 4300),
        ('{"event":"pusher:subscribe"}', 4300),
        ('{"event":"pusher:subscribe","data":"private-x"}', 4300),
        ('{"event":"pusher:subscribe","data":["private-x"]}', 4300),
        ('{"event":"pusher:subscribe","data":{"channel":{"name":"x"}}}', 4300),
        ('{"event":"pusher:subscribe","data":{"channel":["$B"]}}', 4300),
        ('{"event":"pusher:subscribe","data":{"channel":"$B","auth":{}}}', 4300),
        ('{"event":"pusher:subscribe","data":{"channel":"$B","auth":1e400}}', 4300),
        ('{"event":"pusher:subscribe","data":{"channel":"%s"}}' % ("é" * 201), 4300),
        ('{"event":"pusher:unsubscribe","data":7}', 4300),
        ('{"event":"client-typing","channel":"$B","data":{}}', 4301),
        ('{"event":"client-typing","channel":"public","data":{}}', 4301),
    ],
)
def test_what_is_wrong_is_told_and_the_socket_stays(client: Client, message: str, code: int) -> None:
    client.socket.send_text(message.replace("$B", BROADCAST))
    told = client.next()
    assert (told["event"], told["data"]["code"]) == (ERROR, code)
    assert client.is_alive()


def test_a_message_that_no_message_can_be_closes_the_socket(client: Client) -> None:
    client.socket.send(frame(TEXT, length=70_000))
    assert client.socket.closed() == 1009


@pytest.mark.parametrize("data", ['"{}"', '""', "{}", "null", '"{\\"a\\":1}"', "[]"])
def test_a_ping_may_carry_text_or_an_object(client: Client, data: str) -> None:
    client.socket.send_text(f'{{"event":"pusher:ping","data":{data}}}')
    assert client.next() == {"event": "pusher:pong", "data": {}}


@pytest.mark.parametrize("query", ["protocol=7&client=js", "protocol=6&client=Pysher"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_subscribing_takes_an_object_or_its_text_in_both_versions(
    hub: Hub, subject: str, query: str, wrapped: bool
) -> None:
    with Client(hub, partner(hub, subject), query) as client:
        data = {"channel": client.private, "auth": sign(hub, subject, client.socket_id, client.private)}
        client.send({"event": SUBSCRIBE, "data": json.dumps(data) if wrapped else data})
        assert client.next() == {"event": SUCCEEDED, "channel": client.private, "data": "{}"}


def test_a_client_event_reaches_nobody(hub: Hub, subject: str) -> None:
    credentials = partner(hub, subject)
    session = Session(hub, credentials)
    with Client(hub, credentials, session=session) as one, Client(hub, credentials, session=session) as two:
        for client in (one, two):
            client.subscribe_all()
        for channel in (BROADCAST, one.private, "public", private_channel("another")):
            one.send({"event": "client-canary", "channel": channel, "data": {"canary": True}})
            assert one.next()["data"]["code"] == 4301
        hub.publish_all(numbered([1], subject))
        assert two.numbers(1) == [1], "nothing came before it"


def test_a_subscription_without_a_good_signature_is_refused_in_the_same_words(hub: Hub, subject: str) -> None:
    """Whatever is wrong, and whether the channel exists: the answers differ in nothing but the name that was asked."""
    credentials, others = partner(hub, subject), partner(hub, f"{subject}-other")
    with Client(hub, credentials) as client, Client(hub, others) as other:
        name, stranger = subject, f"{subject}-other"
        mine, theirs, nobodys = client.private, other.private, private_channel("0e9d6c1b-2f7a-4b7d-8b1e-9c3f5a6d7e22")
        app, here, there = app_of(hub, name), client.socket_id, other.socket_id
        auths: list[str | None] = [
            None,
            "",
            "x",
            app.key,
            f"{app.key}:",
            f"{app.key}:{'0' * 64}",
            sign(hub, name, there, mine),
            sign(hub, name, here, BROADCAST)[:-1],
            sign(hub, stranger, there, theirs),
            sign(hub, stranger, here, theirs),
            sign(hub, stranger, here, mine),
            sign(hub, stranger, here, mine).replace(app_of(hub, stranger).key, app.key),
        ]
        for channel in (mine, theirs, nobodys, BROADCAST, "public", "presence-x", "private-encrypted-x"):
            for auth in auths:
                client.send(
                    {"event": SUBSCRIBE, "data": {"channel": channel} | ({} if auth is None else {"auth": auth})}
                )
                received = client.socket.receive()
                assert received is not None
                assert received[1].replace(channel.encode(), b"?") == (
                    b'{"event":"pusher:subscription_error","channel":"?",'
                    b'"data":{"type":"AuthError","error":"Not authorized for this channel","status":401}}'
                )
        for channel in (theirs, nobodys):  # also with what this partner's own app would have signed
            assert client.subscribe_with(channel, sign(hub, name, here, channel))["event"] == REFUSED
        hub.publish_all([private(others["partner_id"], 1), *numbered([1], subject)])
        assert client.is_alive(), "it follows nothing"
        assert client.subscribe(mine)["event"] == SUCCEEDED


def test_the_authorisation_of_another_s_channel_does_not_tell_whether_it_exists(hub: Hub, subject: str) -> None:
    other = private_channel(partner(hub, f"{subject}-other")["partner_id"])
    nobodys = private_channel("0e9d6c1b-2f7a-4b7d-8b1e-9c3f5a6d7e22")
    session = Session(hub, partner(hub, subject))
    answers = [session.post("/mm/pusher", f"socket_id=1.1&channel_name={channel}") for channel in (other, nobodys)]
    assert [answer.status for answer in answers] == [403, 403]
    assert answers[0].body == answers[1].body
    assert answers[0].headers.keys() == answers[1].headers.keys()


def test_refused_channels_do_not_use_up_the_quota(client: Client) -> None:
    for number in range(150):
        assert client.subscribe_with(f"private-{number}", "x")["event"] == REFUSED
    client.subscribe_all()


def test_before_the_greeting_and_twice(hub: Hub, subject: str) -> None:
    """What comes before the greeting has no signature that could be good; a second subscribe changes nothing."""
    credentials = partner(hub, subject)
    early = json.dumps({"event": SUBSCRIBE, "data": {"channel": BROADCAST, "auth": "x"}}).encode()
    with Socket(hub, f"/app/{app_of(hub, subject).key}?protocol=7", behind=frame(TEXT, early)) as socket:
        assert [socket.event()["event"] for _ in range(2)] == ["pusher:connection_established", REFUSED]
    with Client(hub, credentials) as client:
        for _ in range(3):
            client.subscribe_all()
        hub.publish_all([*numbered(range(20), subject), private(credentials["partner_id"], 7)])
        got = [client.change()[:2] for _ in range(21)]
        assert sorted(got) == [(f"tournament_{subject}", "market")] * 20 + [("wagers", "wager")]
        assert client.is_alive(), "each came once"
        client.send({"event": "pusher:unsubscribe", "data": {"channel": BROADCAST}})
        client.send({"event": "pusher:unsubscribe", "data": {"channel": BROADCAST}})
        assert client.is_alive()
        hub.publish_all([*numbered([99], subject), private(credentials["partner_id"], 8)])
        assert client.change()[2] == {"info": {"id": "w8"}}


@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_an_access_token_that_ends_ends_no_subscription_but_gives_none(hub: Hub, subject: str, end: str) -> None:
    directory, now = hub.running.hub.directory, hub.running.hub.clock.wall_ns
    with Client(hub, partner(hub, subject)) as client:
        client.subscribe(BROADCAST)
        tokens = client.session.tokens
        names = ["access_token"] if end == "expired" else ["access_token", "refresh_token"]
        for name in names:
            hub.wait(directory.extend_token(tokens[name], now() - 1))
        refused = client.post("/mm/pusher", f"socket_id={client.socket_id}&channel_name={client.private}")
        client.session.tokens = tokens | {"access_token": "never-issued"}
        unknown = client.post("/mm/pusher", f"socket_id={client.socket_id}&channel_name={client.private}")
        assert (refused.status, refused.body) == (401, unknown.body)
        hub.publish_all(numbered(range(10), subject))
        assert client.numbers(9) == list(range(10)), "the socket stays"
        body = json.dumps({"refresh_token": tokens["refresh_token"]}).encode()
        refreshed = hub.request("POST", "/partner/auth/refresh", body)
        if end == "revoked":
            assert refreshed.status == 401
        else:
            client.session.tokens = refreshed.json["data"]
            assert client.subscribe(client.private)["event"] == SUCCEEDED
        assert client.is_alive()


@pytest.mark.parametrize("kind", ["market", "something_new"])
def test_what_is_too_long_for_the_protocol_is_refused_at_publishing(hub: Hub, subject: str, kind: str) -> None:
    """Also of a type that is not known; and what just fits leaves whole."""
    with Client(hub, partner(hub, subject)) as client:
        client.subscribe(BROADCAST)
        longest = max(size for size in range(7_000, 8_000) if data_bytes(kind, size) <= MAX_DATA_BYTES)
        frame_bytes = len(json.dumps({"id": "1", "info": {"x": ""}}, separators=(",", ":")))
        for more, status in ((1, 400), (0, 202)):
            value = {"id": "1", "info": {"x": "y" * (longest - frame_bytes + more)}}
            event = cloud_event(f"prophetx.{kind}", subject, value, op="u")
            answer = hub.publish(json.dumps(event, separators=(",", ":")).encode())
            assert answer.status == status, answer
            if status == 400:
                assert answer.json["errors"][0]["field"] == "data"
        message = client.next()
        assert message["event"] == f"tournament_{subject}"
        assert MAX_DATA_BYTES - 4 < len(message["data"]) <= MAX_DATA_BYTES


def test_many_partners_sign_for_themselves_alone(hub: Hub, subject: str) -> None:
    """The key in the address says whose socket it is: the same socket id signed by another app is worth nothing."""
    for number in range(3):
        partner(hub, f"{subject}-{number}")
    for holder in range(3):
        key = app_of(hub, f"{subject}-{holder}").key
        with Socket(hub, f"/app/{key}?protocol=7") as socket:
            socket_id = json.loads(socket.event()["data"])["socket_id"]
            assert pusher.is_socket_id(socket_id)
            for signer in range(3):
                auth = sign(hub, f"{subject}-{signer}", socket_id, BROADCAST)
                data = {"channel": BROADCAST, "auth": auth}
                socket.send_text(json.dumps({"event": SUBSCRIBE, "data": data}))
                assert socket.event()["event"] == (SUCCEEDED if signer == holder else REFUSED)
