"""What belongs to one partner reaches nobody else: ways to ask for a channel, signatures, and what is published."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from touchline.feeds.prophetx.channels import BROADCAST, private_channel

from .hubs import cloud_event
from .prophetx_clients import ERROR, REFUSED, app_of, private, sign
from .prophetx_secrets import CANARY, NOBODYS_ID, World, secret_wager, world
from .websockets import Client as Socket

__all__ = ["world"]

FULL_WIDTH = {ord(letter): ord(letter) + 0xFEE0 for letter in "abcdefghijklmnopqrstuvwxyz0123456789=-"}
LOOK_ALIKE = str.maketrans("aceopr", "асеорг")

Respelling = Callable[[str], str]
RESPELLINGS: dict[str, Respelling] = {
    "as it is": lambda name: name,
    "upper": str.upper,
    "swapped": str.swapcase,
    "title": str.title,
    "quoted": lambda name: quote(name, safe=""),
    "all quoted": lambda name: "".join(f"%{byte:02x}" for byte in name.encode()),
    "quoted twice": lambda name: quote(quote(name, safe=""), safe=""),
    "no prefix": lambda name: name.removeprefix("private-"),
    "two prefixes": lambda name: f"private-{name}",
    "presence": lambda name: name.replace("private-", "presence-", 1),
    "encrypted": lambda name: name.replace("private-", "private-encrypted-", 1),
    "cached": lambda name: name.replace("private-", "private-cache-", 1),
    "another service": lambda name: name.replace("service=3", "service=6"),
    "no service": lambda name: name.replace("service=3-", ""),
    "no dashes": lambda name: name.replace("-", ""),
    "underlined": lambda name: name.replace("-", "_"),
    "space before": lambda name: f" {name}",
    "space behind": lambda name: f"{name} ",
    "tab": lambda name: f"{name}\t",
    "line": lambda name: f"{name}\n",
    "nul": lambda name: f"{name}\0",
    "nul within": lambda name: f"{name[:9]}\0{name[9:]}",
    "invisible": lambda name: "\u200b".join((name[:12], name[12:])),
    "byte order": lambda name: f"\ufeff{name}",
    "combining": lambda name: f"{name}\u0301",
    "full width": lambda name: name.translate(FULL_WIDTH),
    "look-alike": lambda name: name.translate(LOOK_ALIKE),
    "star": lambda name: f"{name}*",
    "colon behind": lambda name: f"{name}:",
    "colon before": lambda name: f":{name}",
    "path": lambda name: f"../{name}",
    "hash": lambda name: f"#{name}",
    "query": lambda name: f"{name}?x=y&channel_name={name}",
    "shorter": lambda name: name[:-1],
    "star for id": lambda name: f"{name.partition('user=')[0]}user=*",
    "no id": lambda name: f"{name.partition('user=')[0]}user=",
}


def names(world: World) -> st.SearchStrategy[str]:
    """Ways to write the name of alice's channel, alone and joined to one that is bob's."""
    own, other = private_channel(world.bob_id), private_channel(world.alice_id)
    bases = (other, other, f"private-service=3-device_type=5-user={world.alice_id}", world.alice_id, "alice")
    joins: tuple[Respelling, ...] = (
        lambda name: name,
        lambda name: name,
        lambda name: f"{own}:{name}",
        lambda name: f"{own},{name}",
        lambda name: f"{own}\n{name}",
        lambda name: f"{BROADCAST}&channel_name={name}",
        lambda name: f"{name}\0{own}",
    )
    spelt = st.lists(st.sampled_from(sorted(RESPELLINGS)), min_size=1, max_size=3)

    def write(base: str, how: list[str], join: Respelling) -> str:
        for each in how:
            base = RESPELLINGS[each](base)
        return join(base)

    return st.builds(write, st.sampled_from(bases), spelt, st.sampled_from(joins)).filter(
        lambda name: name not in (own, BROADCAST)
    )


def subscription(shape: str, channel: str, auth: str, own: str) -> str:
    """A subscribe message in one of the shapes that a client may send."""
    data: dict[str, object] = {"channel": channel, "auth": auth}
    if shape == "twice":
        text = json.dumps(data)
        return f'{{"event":"pusher:subscribe","data":{{"channel":{json.dumps(own)},{text[1:]}}}'
    if shape == "user":
        data["channel_data"] = json.dumps({"user_id": channel})
    value: object = json.dumps(data) if shape == "text" else [data] if shape == "list" else data
    if shape == "outside":
        return json.dumps({"event": "pusher:subscribe", "channel": channel, "data": {"auth": auth}})
    return json.dumps({"event": "pusher:subscribe", "channel": own, "data": value})


@pytest.mark.parametrize("at", ["bob's own key", "alice's key"])
def test_no_subscription_leads_to_another_s_channel(world: World, at: str) -> None:
    """With every signature that bob can make, get, cut or steal; also on a socket that he opened at alice's key."""
    hub = world.hub
    own, other = private_channel(world.bob_id), private_channel(world.alice_id)
    with world.client("alice") as hers, world.client() as his:
        socket = his.socket
        here, there = his.socket_id, hers.socket_id
        if at == "alice's key":
            socket = Socket(hub, f"/app/{app_of(hub, 'alice').key}?protocol=7")
            here = json.loads(socket.event()["data"])["socket_id"]
        made = sign(hub, "bob", here, other)
        auths: list[Callable[[str], str]] = [
            lambda name: sign(hub, "bob", here, name),
            lambda name: sign(hub, "bob", there, name),
            lambda name: sign(hub, "alice", there, name),
            lambda name: sign(hub, "bob", here, name).replace(app_of(hub, "bob").key, app_of(hub, "alice").key),
            lambda name: sign(hub, "alice", f"{there}:{name}", name),
            lambda name: (
                sign(hub, "alice", here, name)[:-1] if at != "bob's own key" else sign(hub, "alice", here, name)
            ),
            lambda name: sign(hub, "alice", here, BROADCAST) if name != BROADCAST else "",
            lambda _: made,
            lambda _: hers.channels[other]["auth"],
            lambda _: his.channels[own]["auth"],
            lambda _: his.channels[BROADCAST]["auth"],
            lambda _: f"{app_of(hub, 'alice').key}:{'0' * 64}",
            lambda _: app_of(hub, "alice").key + ":",
            lambda _: "",
        ]
        shapes = ("object", "object", "text", "list", "twice", "user", "outside")

        @settings(max_examples=300, deadline=None)
        @given(names(world), st.sampled_from(auths), st.sampled_from(shapes))
        def ask(channel: str, auth: Callable[[str], str], shape: str) -> None:
            socket.send_text(subscription(shape, channel, auth(channel), own))
            while (answer := socket.event())["event"] == "health_check":
                world.watch(repr(answer))
            world.watch(repr(answer))
            assert answer["event"] in (REFUSED, ERROR)
            if answer["event"] == REFUSED:
                assert answer["data"] == {
                    "type": "AuthError",
                    "error": "Not authorized for this channel",
                    "status": 401,
                }
            else:
                assert answer["data"]["code"] == 4300

        ask()
        followed = hub.on_loop(lambda: sum(len(reader.followings) for reader in hub.running.hub.fanout.readers))
        assert followed == 0
        his.subscribe_all()
        world.whisper()
        hub.publish_all([private(world.bob_id, 77)])
        world.told_until(his, "w77")
        socket.send_text('{"event":"pusher:ping","data":{}}')
        while (answer := socket.event())["event"] != "pusher:pong":
            world.watch(repr(answer))
            assert answer["event"] == "health_check"
        socket.plain.close()
        hers.subscribe_all()
        world.whisper()
        with pytest.raises(AssertionError, match="leaked"):
            world.told_until(hers, CANARY)  # and the eye sees: alice does get it


def test_no_request_is_answered_with_a_signature_for_another_s_channel(world: World) -> None:
    """Every signature that bob is given is one of those that are his: for the very socket id that he sent."""
    hub = world.hub
    own = private_channel(world.bob_id)
    other = private_channel(world.alice_id)
    with world.client("alice") as hers:
        there = hers.socket_id
    socket_ids = st.sampled_from(
        [
            "1.1",
            there,
            f"1.1:{other}",
            f"{there}:{other}",
            f"1.1:{other}:x",
            ":1.1",
            "1.1\n",
            "1.1\0",
            " 1.1",
            "1.1.1",
            "\u0661.\u0661",
            "1",
            "",
            "1.1,2.2",
            f"{'1' * 30}.1",
        ]
    )
    shapes = st.sampled_from(["form", "json", "form twice", "json twice", "query", "nested", "list"])

    def body_of(shape: str, socket_id: str, channel: str) -> tuple[str, bytes]:
        pair = {"socket_id": socket_id, "channel_name": channel}
        match shape:
            case "json":
                return "", json.dumps(pair).encode()
            case "form twice":
                return "", f"{urlencode({'channel_name': own})}&{urlencode(pair)}".encode()
            case "json twice":
                return "", (f'{{"channel_name":{json.dumps(own)},' + json.dumps(pair)[1:]).encode()
            case "query":
                return f"?{urlencode(pair)}", urlencode({"socket_id": socket_id}).encode()
            case "nested":
                return "", json.dumps(pair | {"channel_name": {"channel_name": channel}}).encode()
            case "list":
                return "", json.dumps(pair | {"channel_name": [own, channel]}).encode()
        return "", urlencode(pair).encode()

    @settings(max_examples=300, deadline=None)
    @given(names(world), socket_ids, shapes)
    def ask(channel: str, socket_id: str, shape: str) -> None:
        query, body = body_of(shape, socket_id, channel)
        headers = {"Authorization": f"Bearer {world.bobs.tokens['access_token']}"}
        answer = hub.request("POST", f"/partner/mm/pusher{query}", body, headers)
        world.watch(answer)
        if answer.status != 200:
            assert answer.status in (400, 403), answer
            assert b"auth" not in answer.body.replace(b"authorization", b"")
            return
        assert shape == "query", "the name was read, and it is not bob's"
        assert socket_id in ("1.1", there)
        found = {answer.json["auth"]} | {one["auth"] for one in answer.json["data"]["authorized_channel"]}
        assert found <= {sign(hub, "bob", socket_id, channel) for channel in (own, BROADCAST)}
        assert {one["channel_name"] for one in answer.json["data"]["authorized_channel"]} == {own, BROADCAST}

    ask()


def test_odd_headers_are_refused_and_not_fatal(world: World) -> None:
    """What once were faults of the hub's own: subscriptions that end within their text, a Host that is none."""
    token = {"Authorization": f"Bearer {world.bobs.tokens['access_token']}"}
    for text in (
        '"',
        '"x',
        '"\\ud800"',
        '[{"type":"tournament","ids":[9e99]}]',
        "[" * 9000,
        '"[{\\"type\\":1}]"',
        "\xff",
    ):
        answer = world.hub.request(
            "POST", "/partner/mm/pusher", b"socket_id=1.1", token | {"header-subscriptions": text}
        )
        world.watch(answer)
        assert (answer.status, answer.json["error"]) == (400, "invalid_param"), text
    for host in ("[", "a]b", "[::1]:x", "h:99999"):
        answer = world.hub.request("GET", "/partner/websocket/connection-config", headers=token | {"Host": host})
        assert answer.status == 200
        assert answer.json["key"] == world.bobs.config["key"]


def test_no_publication_goes_to_the_wrong_channel(world: World) -> None:
    """Whatever a publisher says of kind, subject and owner: a private change goes to its owner or is refused."""
    hub = world.hub
    ids = (world.alice_id, world.bob_id, NOBODYS_ID)
    spelt = [spelling for value in ids for spelling in (value, value.upper(), value.replace("-", ""))]
    kinds = ["wager", "Wager", "WAGERS", "wagers", "order", "orders", "Order", "account", "private_system_signal"]
    taken: list[tuple[str, str | None, str]] = []

    @settings(max_examples=250, deadline=None)
    @given(
        st.sampled_from([*kinds, "market", "tournament", "something_new"]),
        st.sampled_from([*spelt, "109"]),
        st.sampled_from([None, None, "=", "=", "=", *spelt, "", "109", 5, True, "*"]),
        st.sampled_from(["c", "u", "d", None]),
    )
    def publish(kind: str, subject: str, owner: str | int | None, op: str | None) -> None:
        owner = subject if owner == "=" else owner
        more: dict[str, Any] = {} if owner is None else {"partner": owner}
        if op is not None:
            more["op"] = op
        mark = f"p{len(taken)}"
        event = cloud_event(f"prophetx.{kind}", subject, {"info": {"id": mark}}, **more)
        answer = hub.publish(json.dumps(event).encode())
        world.watch(answer)
        if answer.status != 202:
            assert answer.status == 400
            return
        # A new kind in another's stream is nobody's on this feed: it is read natively alone.
        told = owner is None or owner == subject
        taken.append((mark, None if owner is None else str(owner), kind if told else "account"))
        if kind in kinds:
            assert owner == subject, "what is private by its kind has an owner"

    with world.client() as his:
        his.subscribe_all()
        publish()
        world.whisper()
        hub.publish_all([private(world.bob_id, 4242)])
        got: dict[str | None, list[str]] = {BROADCAST: [], his.private: []}
        for message in world.told_until(his, "w4242")[:-1]:
            payload = json.loads(base64.b64decode(json.loads(message["data"])["payload"]))
            if payload:  # the hub's own health checks have none
                got[message["channel"]].append(payload["info"]["id"])
        hub.publish_all([cloud_event("prophetx.market", "109", {"info": {"id": "end"}}, op="u")])
        if not got[BROADCAST] or got[BROADCAST][-1] != "end":
            for message in world.told_until(his, '"end"'):
                payload = json.loads(base64.b64decode(json.loads(message["data"])["payload"]))
                if payload:
                    got[message["channel"]].append(payload["info"]["id"])
    assert len(taken) > 10
    assert got[his.private] == [mark for mark, owner, kind in taken if owner == world.bob_id and kind != "account"]
    assert got[BROADCAST] == [mark for mark, owner, _ in taken if owner is None] + ["end"]


def test_a_record_of_alice_is_hers_alone_also_when_it_says_bob(world: World) -> None:
    """A payload that names somebody else as its user changes nothing: the owner is what the publisher declared."""
    event = secret_wager(world.alice_id, "w-1", 0)
    event["data"]["info"]["user_id"] = world.bob_id
    with world.client() as his:
        his.subscribe_all()
        world.hub.publish_all([event, private(world.bob_id, 5)])
        assert len([one for one in world.told_until(his, "w5") if one["event"] == "wagers"]) == 1
        world.watch(his.get("/mm/get_wagers"))
        assert [one["id"] for one in his.get("/mm/get_wagers").json["data"]["wagers"]] == ["w5"]
