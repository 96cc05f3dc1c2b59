"""A hub with two partners of the exchange, one with secrets and one who is curious, and an eye on all the curious gets.

The secrets are canaries: text that stands in the first partner's wagers and account and nowhere else. They are looked
for as they are and in base64 at each of its three alignments, since payloads travel in it.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from said import SAID

from .hubs import Answer, Hub, cloud_event
from .prophetx_clients import REFUSED, Client, Session, app_of, partner

CANARY = "Zk7-canary-of-alice-Q9x"
SAID.never(CANARY)
WAGER_IDS = ("w-alice-0001", "w-alice-0002")
"""Known to the curious, who asks for them by name."""
NOBODYS_WAGER = "w-nobod-0001"
NOBODYS_ID = "0e9d6c1b-2f7a-4b7d-8b1e-9c3f5a6d7e22"


def forms(secret: str) -> set[bytes]:
    """The secret as it may stand in a body: plain, and within a longer text in base64."""
    found = {secret.encode(), secret.encode().hex().encode()}
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + secret.encode())
        # What stands at the edges depends on the neighbours.
        middle = whole[4 if before else 0 : len(whole) // 4 * 4 - 4]
        found |= {middle, middle.replace(b"+", b"-").replace(b"/", b"_")}
    return found


class Watch:
    """Sees everything that somebody received, and fails when a secret is in it."""

    def __init__(self, *secrets: str) -> None:
        self._forms = {form: secret for secret in secrets for form in forms(secret)}
        self.seen = 0

    def __call__(self, received: bytes | str | Answer) -> None:
        data = received
        if isinstance(data, Answer):
            data = data.body + repr(data.headers).encode()
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogatepass")
        self.seen += 1
        for form in self._forms:
            assert form not in data, f"a secret leaked: {data[:500]!r}"


def secret_wager(partner_id: str, wager_id: str, number: int) -> dict[str, Any]:
    """A private change whose payload has the canary at another alignment for each number."""
    info = {"id": wager_id, "status": "open", "external_id": f"{'x' * number}{CANARY}", "stake": 31337.0625}
    return cloud_event("prophetx.wager", partner_id, {"info": info}, op="u", partner=partner_id)


class World:
    """Alice has wagers and an account with canaries in them; bob has the same feed and much curiosity."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.alice, self.bob = partner(hub, "alice"), partner(hub, "bob")
        self.alice_id, self.bob_id = self.alice["partner_id"], self.bob["partner_id"]
        self.watch = Watch(CANARY)
        self.alices, self.bobs = Session(hub, self.alice), Session(hub, self.bob)
        self.whisper()
        hub.publish_all([cloud_event("prophetx.tournament", "109", {"id": "109", "info": {"id": 109}}, op="c")])

    def whisper(self) -> None:
        """Publish what belongs to alice alone."""
        account = {"info": {"balance": 100, "note": CANARY}}
        self.hub.publish_all(
            [
                *(secret_wager(self.alice_id, WAGER_IDS[number % 2], number) for number in range(4)),
                cloud_event("prophetx.account", self.alice_id, account, op="u", partner=self.alice_id),
                cloud_event(
                    "prophetx.private_system_signal", self.alice_id, {"c": CANARY}, op="u", partner=self.alice_id
                ),
                cloud_event("prophetx.something_new", self.alice_id, {"c": CANARY}, op="u", partner=self.alice_id),
            ]
        )

    def client(self, name: str = "bob") -> Client:
        """A socket of one of them."""
        return Client(self.hub, {}, session=self.bobs if name == "bob" else self.alices)

    def told_until(self, client: Client, mark: str) -> list[dict[str, Any]]:
        """All messages up to the one that holds the mark in its payload; each is watched."""
        found = []
        while True:
            message = client.next()
            self.watch(repr(message))
            found.append(message)
            if message.get("channel") is not None and message["event"] not in ("health_check", REFUSED):
                payload = base64.b64decode(json.loads(message["data"])["payload"])
                self.watch(payload)
                if mark.encode() in payload:
                    return found


@pytest.fixture
def world(
    make_hub: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> Iterator[World]:
    """Its parameter names the sandboxes that the hub runs. Afterwards neither the hub's open pages nor its log show a
    secret.
    """
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("touchline.feeds.prophetx.access.REQUESTS_PER_SECOND", 1_000_000)
    world = World(
        make_hub(
            allow_network=["127.0.0.0/8"],
            login_failures_per_address=1_000_000,
            sandbox=getattr(request, "param", []),
            sandbox_pace=0,
        )
    )
    yield world
    hub = world.hub
    for path in ("/metrics", "/openapi.json", "/asyncapi.json", "/healthz", "/readyz", "/", "/nosuch"):
        world.watch(hub.get(path))
    of_alice = (*world.alices.tokens.values(), world.alice["secret_key"], app_of(hub, "alice").secret)
    quiet = Watch(CANARY, *(str(secret) for secret in of_alice if isinstance(secret, str)))
    for record in caplog.records:
        quiet(f"{record.getMessage()} {vars(record)!r}")
