"""What belongs to one partner reaches nobody else: every call of its REST, with every wrong token.

The calls are taken from the hub's own description of itself, so that one that is added is asked too.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from exchange_offers import EVENT, HOME, MARKET, OFFERS
from touchline.feeds.prophetx.channels import private_channel

from .hubs import Answer, Hub
from .prophetx_clients import Session, private
from .prophetx_secrets import CANARY, NOBODYS_ID, NOBODYS_WAGER, WAGER_IDS, World, world

__all__ = ["world"]

MORE_NAMES = ("partner", "partner_id", "user_id", "owner", "account", "wager_id", "external_id", "next_cursor", "id")
"""Parameters that a call does not declare, and that one might come to obey."""


class Call:
    """An operation as the hub describes it."""

    def __init__(self, method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
        self.method = method.upper()
        self.path = path
        self.is_open = operation.get("security") in (None, [])
        declared = operation.get("parameters", [])
        self.queries = [one["name"] for one in declared if one["in"] == "query"]
        self.variables = [one["name"] for one in declared if one["in"] == "path"]
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        self.members = sorted(members_of(schema, schemas))

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"

    def requests(self, value: str) -> Iterator[tuple[str, bytes | None]]:
        """Targets and bodies that hand over a value, one place after the other, and in all places at once."""
        path = self.path
        for name in self.variables:
            path = path.replace("{%s}" % name, quote(value, safe=""))  # noqa: UP031
        names = [*self.queries, *MORE_NAMES]
        for name in names:
            yield f"{path}?{urlencode({name: value})}", None
        yield f"{path}?{urlencode(dict.fromkeys(names, value))}", None
        if self.method == "POST":
            names = list(dict.fromkeys([*self.members, *MORE_NAMES]))
            for name in names:
                yield path, json.dumps({name: value}).encode()
            whole = dict.fromkeys(names, value)
            yield path, json.dumps(whole).encode()
            yield path, urlencode(whole).encode()
            yield path, json.dumps({"data": [whole]} | {name: value for name in names if name != "data"}).encode()


def members_of(schema: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """All names of members in a schema, also of what it is made of."""
    if "$ref" in schema:
        return members_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    found = set(schema.get("properties", {}))
    parts = [*schema.get("properties", {}).values(), *schema.get("prefixItems", []), *schema.get("anyOf", [])]
    if isinstance(schema.get("items"), dict):
        parts.append(schema["items"])
    return found.union(*(members_of(part, schemas) for part in parts))


def calls(hub: Hub) -> list[Call]:
    """Every operation of this provider's REST."""
    document = hub.get("/openapi.json").json
    schemas = document.get("components", {}).get("schemas", {})
    found = [
        Call(method, path, operation, schemas)
        for path, operations in document["paths"].items()
        if path.startswith("/partner/")
        for method, operation in operations.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]
    assert len(found) > 15
    return found


def ask(hub: Hub, call: Call, target: str, body: bytes | None, token: str) -> Answer:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return hub.request(call.method, target, body, headers)


def hers(world: World, wager_id: str) -> list[bytes]:
    """What alice sees of her own."""
    return [world.alices.get(f"/mm/{path}").body for path in ("get_wagers", f"get_wager/{wager_id}", "get_balance")]


def place(world: World, external_id: str = CANARY) -> str:
    """Let alice place a wager at the exchange that runs, with the canary as its name; the wager's id."""
    for command in OFFERS:
        assert world.hub.admin("POST", "/hub/v1/sandbox/prophetx", command).status == 200
    order = {"external_id": external_id, "line_id": HOME, "odds": 150, "stake": 20}
    answer = world.alices.post("/mm/place_wager", json.dumps(order))
    assert answer.status == 200, answer
    wager_id: str = answer.json["data"]["wager"]["id"]
    return wager_id


@pytest.mark.parametrize("world", [[], ["prophetx"]], indirect=True, ids=["passing on", "exchange"])
def test_no_call_tells_one_partner_of_another(world: World) -> None:
    """Asked for by its right name, what is another's is answered as what does not exist, byte for byte; and nothing of
    it is changed.
    """
    hub = world.hub
    known_id = place(world) if hub.running.hub.settings.sandbox else WAGER_IDS[0]
    before = hers(world, known_id)
    assert all(CANARY.encode() in body for body in before[:2]), "there is something to be found"
    token = world.bobs.tokens["access_token"]
    pairs = (
        (known_id, NOBODYS_ID if len(known_id) == len(NOBODYS_ID) else NOBODYS_WAGER),
        (world.alice_id, NOBODYS_ID),
        (world.alice_id.upper(), NOBODYS_ID.upper()),
        (private_channel(world.alice_id), private_channel(NOBODYS_ID)),
        (f"../get_wager/{WAGER_IDS[0]}", f"../get_wager/{NOBODYS_WAGER}"),
        (f"{WAGER_IDS[0]},{WAGER_IDS[1]}", f"{NOBODYS_WAGER},{WAGER_IDS[1]}"),
    )
    asked = 0
    for call, (known, unknown) in itertools.product(calls(hub), pairs):
        if call.is_open:
            continue  # it would be logging in
        for (target, body), (other_target, other_body) in zip(
            call.requests(known), call.requests(unknown), strict=True
        ):
            answer = ask(hub, call, target, body, token)
            other = ask(hub, call, other_target, other_body, token)
            world.watch(answer)
            assert answer.status < 500
            assert answer.status == other.status, (call, target, body)
            if not call.path.endswith("/mm/pusher"):  # that one says the time
                said = answer.body.replace(known.encode(), b"?")
                assert said == other.body.replace(unknown.encode(), b"?"), (call, target, body)
            asked += 1
    assert asked > 1000
    assert hers(world, known_id) == before


@pytest.mark.parametrize("world", [["prophetx"]], indirect=True, ids=["exchange"])
def test_no_order_reaches_the_wager_of_another(world: World) -> None:
    """Though both of its names are known; and cancelling everything cancels one's own."""
    placed = place(world, "a-1")
    before = hers(world, placed)
    known, unknown = ({"external_id": "a-1", "wager_id": one} for one in (placed, NOBODYS_ID))

    def cancelled(ids: dict[str, str]) -> list[tuple[int, bytes]]:
        answers = [
            world.bobs.post("/mm/cancel_wager", json.dumps(ids)),
            world.bobs.post("/mm/cancel_multiple_wagers", json.dumps({"data": [ids, ids]})),
        ]
        return [(one.status, one.body.replace(ids["wager_id"].encode(), b"?")) for one in answers]

    assert world.bobs.get("/mm/get_balance").status == 200  # that opens his account
    assert cancelled(known) == cancelled(unknown)
    assert cancelled(known)[0][0] == 404
    everything = {
        "cancel_all_wagers": {},
        "cancel_wagers_by_event": {"event_id": EVENT},
        "cancel_wagers_by_market": {"event_id": EVENT, "market_id": MARKET, "line_id": HOME},
    }
    for call, body in everything.items():
        answer = world.bobs.post(f"/mm/{call}", json.dumps(body))
        assert (answer.status, answer.json["error"]) == (404, "no_cancellable_wagers")
    assert hers(world, placed) == before
    mine = world.alices.post("/mm/cancel_wager", json.dumps(known))
    assert mine.status == 200, "alice can"


def test_no_token_opens_what_it_is_not_for(world: World) -> None:
    """Refresh tokens, tokens of another feed, hub keys, ended ones and pieces of good ones: to every call, the same."""
    hub = world.hub
    directory, now = hub.running.hub.directory, hub.running.hub.clock.wall_ns
    access = world.alices.tokens["access_token"]
    ended = Session(hub, world.alice)
    hub.wait(directory.extend_token(ended.tokens["access_token"], now() - 1))
    wrong = [
        "",
        "x",
        access[:-1],
        access + "x",
        access.swapcase(),
        f"{access},{world.bobs.tokens['access_token']}",
        f"{world.bobs.tokens['access_token']} {access}",
        ended.tokens["access_token"],
        world.alices.tokens["refresh_token"],
        world.bobs.tokens["refresh_token"],
        world.alice["access_key"],
        world.alice_id,
        hub.partner("bob")["key"],
        hub.publisher_key,
        hub.admin_key,
    ]
    for call in calls(hub):
        target = call.path.replace("{wager_id}", WAGER_IDS[0])
        if call.is_open:
            bodies: list[dict[str, Any]] = [
                {"access_key": world.alice["access_key"], "secret_key": secret}
                for secret in (*wrong, world.bob["secret_key"], world.alice["secret_key"][:-1])
            ]
            refreshing = [{"refresh_token": token} for token in (*wrong, access) if token not in refresh_tokens(world)]
            for body in bodies + refreshing:
                answer = hub.request(call.method, target, json.dumps(body).encode())
                world.watch(answer)
                assert answer.status in (400, 401), (call, body)
            continue
        answers = [ask(hub, call, target, b"{}" if call.method == "POST" else None, token) for token in wrong]
        for answer in answers:
            world.watch(answer)
        assert {answer.status for answer in answers} == {401}, call
        assert len({answer.body for answer in answers}) == 1, call


def refresh_tokens(world: World) -> tuple[str, str]:
    return world.alices.tokens["refresh_token"], world.bobs.tokens["refresh_token"]


def test_cursors_of_another_are_none(world: World) -> None:
    """Pages of bob's own wagers never lead into alice's, whatever the cursor."""
    hub = world.hub
    hub.publish_all([private(world.bob_id, number) for number in range(5)])
    first = world.bobs.get("/mm/get_wagers?limit=2").json["data"]
    assert [one["id"] for one in first["wagers"]] == ["w0", "w1"]
    cursors = (*WAGER_IDS, NOBODYS_WAGER, world.alice_id, "0", "-1", "1e9", "%00", "w1%20")
    answers = {}
    for cursor in cursors:
        answer = world.bobs.get(f"/mm/get_wagers?next_cursor={cursor}")
        world.watch(answer)
        answers[cursor] = (answer.status, answer.body)
    assert len(set(answers.values())) == 1
    assert answers[NOBODYS_WAGER][0] == 400
    rest = world.bobs.get(f"/mm/get_wagers?next_cursor={first['next_cursor']}").json["data"]
    assert [one["id"] for one in rest["wagers"]] == ["w2", "w3", "w4"]
