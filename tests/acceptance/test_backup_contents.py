"""What a hub keeps beside its events comes back from a backup: dead letters, subscriptions, snapshots, a sandbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from exchange_offers import HOME, OFFERS

from .hubs import LOOPBACK, Answer, Hub, cloud_event, game, marker, native_headers, request, touchline, wait_for
from .receivers import Delivery, Reception, Reply

TOPIC = "nfl/milestones/en"


def insight(name: str) -> bytes:
    data = {"id": name, "insight_type": "milestones", "league": "nfl", "text": name}
    return cloud_event(name, "insights.insight", TOPIC, msgspec.json.encode(data), "/radar")


class Trader:
    """A partner of the exchange, by REST."""

    def __init__(self, hub: Hub, keys: dict[str, str]) -> None:
        self.hub = hub
        login = {name: keys[name] for name in ("access_key", "secret_key")}
        answer = hub.ask("POST", "/partner/auth/login", None, msgspec.json.encode(login))
        assert answer.status == 200, answer
        self.token: str = answer.json["data"]["access_token"]

    def call(self, method: str, path: str, body: object = None) -> Answer:
        content = b"" if body is None else msgspec.json.encode(body)
        return self.hub.ask(method, f"/partner{path}", {"Authorization": f"Bearer {self.token}"}, content)

    def place(self, name: str) -> str:
        wager = {"external_id": name, "line_id": HOME, "odds": 150, "stake": 20}
        answer = self.call("POST", "/mm/place_wager", wager)
        assert answer.status == 200, answer
        placed: str = answer.json["data"]["wager"]["id"]
        return placed

    def money(self) -> tuple[float, float]:
        data = self.call("GET", "/mm/get_balance").json["data"]
        return data["balance"], data["unmatched_wager_balance"]


def test_what_stands_beside_the_events_comes_back(make_hub: Callable[..., Hub], tmp_path: Path) -> None:
    with Reception() as reception:
        _check(make_hub, tmp_path, reception)


def _check(make_hub: Callable[..., Hub], tmp_path: Path, reception: Reception) -> None:
    options = (*LOOPBACK, "--sandbox", "prophetx")
    hub = make_hub(*options, data=tmp_path / "hub")
    for command in OFFERS:
        hub.admin("POST", "/hub/v1/sandbox/prophetx", command)
    keys = hub.add_partner("trader", "prophetx")
    hub.add_partner("acme", "hub")
    hub.add_partner("desk", "insights")

    # a confirmed subscription
    desk = hub.add_endpoint("desk", reception.url("desk"), "insights", TOPIC)
    (asked,) = (one.json for one in reception.reached("desk", 1))
    assert request("GET", asked["SubscribeURL"]).status == 200
    hub.publish(insight("i-1"))
    reception.until("desk", lambda got: "i-1" in _insights(got), "the first insight")

    # a dead letter
    broken = True

    def strict(delivery: Delivery) -> Reply:
        return Reply(500) if broken and delivery.json["id"] == "bad" else Reply()

    reception.behave["strict"] = strict
    endpoint = hub.add_endpoint(
        "acme", reception.url("strict"), "hub", "shottracker.marker", options={"max_block": "1"}
    )
    hub.publish(game("g"), marker("bad", "g"))
    numbers = iter(range(10_000))

    def given_up() -> list[dict[str, Any]]:
        hub.publish(marker(f"o{next(numbers)}", "other"))  # an endpoint that takes nothing at all is down, not poisoned
        return hub.dead_letters(endpoint.id)

    letters = wait_for(given_up, "a dead letter", 60)
    assert [one["id"] for one in letters] == ["bad"]

    # a wager
    trader = Trader(hub, keys)
    first = trader.place("a-1")
    assert trader.money() == (9_980, 20)

    file = tmp_path / "backup.db"
    assert hub.command("backup", file).code == 0
    snapshot = hub.ask("GET", "/hub/v1/snapshots/shottracker/g", native_headers(hub.admin_key)).body

    # what comes after it is lost
    second = trader.place("a-2")
    hub.publish(insight("lost"))
    hub.kill()
    hub.data.rename(tmp_path / "lost")
    assert touchline("restore", file, "--data", tmp_path / "restored").code == 0
    reception.mark()
    restored = make_hub(*options, data=tmp_path / "restored", port=hub.port)

    assert restored.ask("GET", "/hub/v1/snapshots/shottracker/g", native_headers(restored.admin_key)).body == snapshot
    assert [one["id"] for one in restored.dead_letters(endpoint.id)] == ["bad"]
    broken = False
    restored.admin("POST", f"/hub/v1/endpoints/{endpoint.id}/dead-letters/redrive")
    wait_for(lambda: restored.dead_letters(endpoint.id) == [], "the dead letter is delivered after all")
    assert "bad" in [one.json["id"] for one in reception.at("strict") if one.life == 1]

    restored.publish(insight("i-2"))
    reception.until(
        "desk", lambda got: "i-2" in _insights(got), "what comes after the restore, without a new handshake"
    )
    assert [one for one in reception.at("desk") if one.life == 1 and "SubscribeURL" in one.json] == []
    assert restored.endpoint_report(desk.id)["state"] == "active"

    again = Trader(restored, keys)
    assert again.money() == (9_980, 20), "the wager of the backup stands, the lost one does not"
    assert again.call("GET", f"/mm/get_wager/{first}").status == 200
    assert again.call("GET", f"/mm/get_wager/{second}").status == 404
    assert trader.call("GET", "/mm/get_balance").status == 200, "a token of before is good"
    third = again.place("a-2")
    assert third not in (first, second)
    cancelled = again.call("POST", "/mm/cancel_wager", {"external_id": "a-1", "wager_id": first})
    assert cancelled.status == 200, cancelled
    assert again.money() == (9_980, 20)
    events = restored.events(feed="prophetx")
    seqs = [(event.subject, event.seq) for event in events]
    assert len(seqs) == len(set(seqs))


def _insights(deliveries: list[Delivery]) -> list[str]:
    return [one.json["insight"]["id"] for one in deliveries if "insight" in one.json]
