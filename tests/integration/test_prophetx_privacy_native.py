"""What belongs to one partner reaches nobody else: native reading by every transport and filter, and webhooks."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import quote

import pytest

from receivers import Receiver

from .hubs import cloud_event, read_until
from .prophetx_secrets import CANARY, NOBODYS_ID, WAGER_IDS, World, secret_wager, world
from .websockets import Client as Socket

__all__ = ["world"]

FILTERS = ("feed=prophetx", "type=prophetx.wager", "subject={alice}", "partner={alice}")


def queries(world: World) -> list[str]:
    """All combinations of filters that could single out what is alice's."""
    each = [one.format(alice=world.alice_id) for one in FILTERS]
    return ["&".join(some) for size in range(len(each) + 1) for some in itertools.combinations(each, size)]


def keys_of_others(world: World) -> dict[str, str]:
    """Native readers whose grants come near alice's, and do not open it."""
    hub, alice = world.hub, world.alice_id
    grants: dict[str, dict[str, list[str]]] = {
        "bob": {},
        "own": {"partner": [world.bob_id]},
        "upper": {"partner": [alice.upper()]},
        "bare": {"partner": [alice.replace("-", "")]},
        "name": {"partner": ["alice", "*", "prophetx"]},
        "stream": {"subject": [alice], "feed": ["prophetx"]},
        "kind": {"type": ["prophetx.wager", "prophetx.account"]},
        "hub": {"feed": ["hub", "prophetx"]},
    }
    return {name: hub.partner(f"n-{name}", "hub", grant)["key"] for name, grant in grants.items()}


def test_no_native_reader_without_the_grant_sees_a_private_record(world: World) -> None:
    hub, alice = world.hub, world.alice_id
    snapshots = [alice, alice.upper(), alice.replace("-", ""), quote(alice + " "), f"{alice}%00"]
    unknown = hub.get(f"/hub/v1/snapshots/prophetx/{NOBODYS_ID}", hub.admin_key)
    origin = hub.get("/hub/v1/events?limit=1", hub.admin_key).json["position"]
    for key in keys_of_others(world).values():
        for query in queries(world):
            for more in ("limit=1", "limit=1000"):
                answer = hub.get(f"/hub/v1/events?{query}&{more}", key)
                world.watch(answer)
                assert answer.status == 200
                assert not [one for one in answer.json["events"] if "partner" in one]
        world.watch(hub.get("/hub/v1/events", key, Accept="application/x-ndjson"))
        world.watch(hub.get(f"/hub/v1/events?after={origin}&subject={alice}", key))
        assert hub.get(f"/hub/v1/snapshots/prophetx/%2e%2e/{alice}", key).status == 404
        for subject in snapshots:
            answer = hub.get(f"/hub/v1/snapshots/prophetx/{subject}", key)
            world.watch(answer)
            assert (answer.status, answer.body) == (404, unknown.body)
    trusted = hub.partner("trusted", "hub", {"partner": [alice]})["key"]
    for key in (trusted, hub.admin_key):
        assert CANARY.encode() in hub.get(f"/hub/v1/events?subject={alice}", key).body
        assert CANARY.encode() in hub.get(f"/hub/v1/snapshots/prophetx/{alice}", key).body


@pytest.mark.parametrize("transport", ["socket", "sse"])
def test_no_native_stream_carries_a_private_record(world: World, transport: str) -> None:
    """From the first record on and live, under every filter; a mark of the reader's own ends the reading."""
    hub = world.hub
    oldest = hub.running.hub.position(None).oldest
    key = hub.partner("bob")["key"]
    for number, query in enumerate(queries(world)):
        mark = f"mark-{number}"
        # What ends the reading must pass the filter: a public record that is like alice's in all but its owner.
        subject = world.alice_id if "subject=" in query else "109"
        event = cloud_event("prophetx.wagering", subject, {"mark": mark}, op="u")
        if "type=" in query:
            query = query.replace("prophetx.wager", "prophetx.wagering") + "&type=prophetx.wager"
        target = f"?{query}&after={oldest}".replace("?&", "?")
        if transport == "socket":
            with Socket(hub, f"/hub/v1/ws{target}", key=key) as socket:
                world.whisper()
                hub.publish_all([event])
                while mark not in (text := json.dumps(socket.event())):
                    world.watch(text)
        else:
            with hub.connect() as plain:
                head = f"GET /hub/v1/stream{target} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\r\n"
                plain.sendall(head.encode())
                read_until(plain, b"connected")
                world.whisper()
                hub.publish_all([event])
                world.watch(read_until(plain, mark.encode()))


# webhooks


def test_no_webhook_carries_another_s_private_record(world: World) -> None:
    """Topics of this feed, options that name alice's stream, a replay, and what is told of attempts."""
    hub = world.hub
    hub.partner("bob")
    with Receiver() as receiver:
        endpoints = []
        for number, (topics, options) in enumerate(
            [
                (["prophetx.*"], {}),
                (["*"], {}),
                (["prophetx.wager", "prophetx.account", "prophetx.mark"], {}),
                (["*"], {"feed": "prophetx"}),
                (["*"], {"subject": f"{world.alice_id},109"}),
            ]
        ):
            receiver.turn(f"hook{number}", "ok")
            wish = {
                "partner": "bob",
                "url": receiver.url(f"hook{number}"),
                "feed": "hub",
                "topics": topics,
                "options": options,
            }
            answer = hub.admin("POST", "/hub/v1/endpoints", wish)
            assert answer.status == 201, answer
            endpoints.append(answer.json["endpoint"])
        world.whisper()
        hub.publish_all([cloud_event("prophetx.mark", "109", {"mark": "first"}, op="u")])
        for number in range(len(endpoints)):
            receiver.wait_for(1, f"hook{number}")
        for endpoint in endpoints:
            since = {"since": "1h"}
            assert hub.admin("POST", f"/hub/v1/endpoints/{endpoint}/replay", since).status < 300
        hub.publish_all([cloud_event("prophetx.mark", "109", {"mark": "last"}, op="u")])
        for number, endpoint in enumerate(endpoints):
            hub.until(lambda at=number: any(b"last" in one.body for one in of(receiver, at)), "the mark to come")
            for one in of(receiver, number):
                world.watch(one.body)
                world.watch(repr(one.headers))
                assert "partner" not in json.loads(one.body)
            world.watch(hub.admin("GET", f"/hub/v1/endpoints/{endpoint}/attempts"))
            world.watch(hub.admin("GET", f"/hub/v1/endpoints/{endpoint}"))


def of(receiver: Receiver, number: int) -> list[Any]:
    return [one for one in receiver.seen if one.target.strip("/") == f"hook{number}"]


def test_expired_records_stay_private(world: World) -> None:
    """When retention has removed the records, the state that they left is still its owner's alone."""
    hub = world.hub
    log, snapshots = hub.running.hub.event_log, hub.running.hub.snapshots

    async def expire() -> None:
        await snapshots.before_trim(log.head)
        await log.trim(log.head)

    hub.wait(expire())
    for key in keys_of_others(world).values():
        answer = hub.get(f"/hub/v1/snapshots/prophetx/{world.alice_id}", key)
        world.watch(answer)
        assert answer.status == 404
    world.watch(world.bobs.get("/mm/get_wagers"))
    world.watch(world.bobs.get(f"/mm/get_wager/{WAGER_IDS[0]}"))
    assert CANARY.encode() in world.alices.get("/mm/get_wagers").body
    hub.publish_all([secret_wager(world.alice_id, WAGER_IDS[0], 1)])
    assert CANARY.encode() in world.alices.get(f"/mm/get_wager/{WAGER_IDS[0]}").body
