"""``/hub/v1/endpoints`` on a real hub, by the SDK and by ``touchline endpoint``: real deliveries to a real receiver."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import standardwebhooks

from receivers import Receiver, Seen
from touchline.cli.root import run
from touchline.client import HubClient, HubRefused
from touchline.feeds.base import Instant, Trust
from touchline.feeds.hub.webhooks import SAMPLE_TYPE, HubWebhooks

from .hubs import PATIENCE_SECONDS, Hub, cloud_event

MakeHub = Callable[..., Hub]

CODEC = HubWebhooks()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def hub(make_hub: MakeHub) -> Hub:
    """A hub that may deliver to this machine, with a partner."""
    made = make_hub(allow_network=["127.0.0.0/8"])
    made.partner("acme", grants={"feed": ["shottracker", "roanuz", "hub"]})
    return made


@pytest.fixture
def client(hub: Hub) -> Iterator[HubClient]:
    with HubClient(hub.url, hub.admin_key, retry_seconds=0) as client:
        yield client


def ids(seen: list[Seen]) -> list[str]:
    return [json.loads(one.body)["id"] for one in seen]


def publish(hub: Hub, *names: str, **more: Any) -> None:
    hub.publish_all([cloud_event("roanuz.note", "m-1", {"n": name}, id=name, **more) for name in names])


def wait_for(condition: Callable[[], bool], what: str) -> None:
    for _ in range(int(PATIENCE_SECONDS / 0.01)):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"waited in vain for {what}")


def verified(one: Seen, secret: str) -> dict[str, Any]:
    """The event of a message, as the public library and our own consumer role take it."""
    told: dict[str, Any] = standardwebhooks.Webhook(secret).verify(one.body, dict(one.headers))
    pairs = tuple(one.headers.items())
    received = CODEC.receive(pairs, one.body, Trust((secret,), 300.0), Instant(time.time_ns(), 0.0))
    assert [event.id for event in received.events] == [told["id"]]
    return told


def test_what_is_published_arrives_signed_and_in_order(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    made = client.endpoints.add("acme", receiver.url("ok"), "hub", topics=["roanuz.*"], label="first")
    publish(hub, "a", "b", "c")
    hub.publish_all([cloud_event()])
    publish(hub, "d")
    seen = receiver.wait_for(4)
    assert ids(seen) == ["a", "b", "c", "d"]
    stored = {event["id"]: event for event in hub.events("feed=roanuz")}
    for one in seen:
        told = verified(one, made["secret"])
        assert told == stored[told["id"]], "as it is read natively, position and all"
        assert one.headers["content-type"] == "application/cloudevents+json"
    wait_for(lambda: client.endpoints.show(made["endpoint"])["delivered"] == 4, "four deliveries")
    view = client.endpoints.show(made["endpoint"])
    assert (view["state"], view["backlog"], view["success_rate"], view["failed"]) == ("active", 0, 1.0, 0)
    attempts = client.endpoints.attempts(made["endpoint"])
    assert [one["status"] for one in attempts] == [200] * 4
    assert {one["message_id"] for one in attempts} == {one.headers["webhook-id"] for one in seen}
    assert [one["endpoint"] for one in client.endpoints.all(feed="hub")] == [made["endpoint"]]
    assert made["secret"] not in json.dumps([view, attempts, client.endpoints.all()])


def test_both_secrets_are_good_during_a_rotation(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    made = client.endpoints.add("acme", receiver.url("ok"), "hub", topics=["roanuz.*"])
    new = client.endpoints.rotate_secret(made["endpoint"])
    publish(hub, "a")
    (first,) = receiver.wait_for(1)
    for secret in (made["secret"], new):
        assert verified(first, secret)["id"] == "a"
    assert client.endpoints.update(made["endpoint"], options={"signature": "ed25519"})["secret"].startswith("whpk_")
    public = client.endpoints.rotate_secret(made["endpoint"], "0s")
    publish(hub, "b")
    second = receiver.wait_for(2)[1]
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new).verify(second.body, dict(second.headers))
    trust = Trust((public,), 300.0)
    received = CODEC.receive(tuple(second.headers.items()), second.body, trust, Instant(time.time_ns(), 0.0))
    assert received.events[0].id == "b"


def test_pause_resume_and_replay(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    publish(hub, "before")
    name = client.endpoints.add("acme", receiver.url("ok"), "hub", topics=["roanuz.*"])["endpoint"]
    publish(hub, "a", "b")
    receiver.wait_for(2)
    assert client.endpoints.pause(name)["state"] == "paused"
    publish(hub, "c")
    wait_for(lambda: client.endpoints.show(name)["backlog"] == 1, "what is owed")
    assert len(receiver.seen) == 2
    client.endpoints.resume(name)
    first = receiver.wait_for(3)
    assert ids(first) == ["a", "b", "c"]
    client.endpoints.replay(name, "1h")
    again = receiver.wait_for(7)[3:]
    assert ids(again) == ["before", "a", "b", "c"], "also what came before it was made"
    assert {one.headers.get("touchline-replay") for one in first} == {None}
    assert {one.headers.get("touchline-replay") for one in again} == {"1"}
    assert [one.headers["webhook-id"] for one in again[1:]] == [one.headers["webhook-id"] for one in first]
    assert [one.body for one in again[1:]] == [one.body for one in first]
    after_b = json.loads(first[1].body)["position"]
    client.endpoints.replay(name, after_b)
    assert ids(receiver.wait_for(8)[7:]) == ["c"]
    for since in ("soon", "2020-01-01", "zzzzzzzz-1"):
        with pytest.raises(HubRefused):
            client.endpoints.replay(name, since)


def test_a_backlog_goes_to_the_address_that_is_given_later(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    name = client.endpoints.add("acme", receiver.url("status/500"), "hub", topics=["roanuz.*"])["endpoint"]
    publish(hub, "a", "b")
    receiver.wait_for(1)
    client.endpoints.update(name, url=receiver.url("ok"))
    client.endpoints.resume(name)
    wait_for(lambda: client.endpoints.show(name)["delivered"] == 2, "both")
    good = [one for one in receiver.seen if one.target == "/ok"]
    assert ids(good) == ["a", "b"]
    assert {one.headers["webhook-id"] for one in receiver.seen if one.target != "/ok"} <= {
        one.headers["webhook-id"] for one in good
    }


def test_private_records_go_to_whom_the_grants_name(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    hub.partner("owner", grants={"partner": ["p1"]})
    for partner in ("acme", "owner"):
        client.endpoints.add(partner, receiver.url(f"ok/{partner}"), "hub", topics=["roanuz.*"])
    publish(hub, "private", partner="p1")
    publish(hub, "public")
    seen = receiver.wait_for(3)
    assert ids([one for one in seen if one.target == "/ok/owner"]) == ["private", "public"]
    assert ids([one for one in seen if one.target == "/ok/acme"]) == ["public"]


def test_a_test_goes_out_at_once(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    made = client.endpoints.add("acme", receiver.url("ok"), "hub", topics=["roanuz.*"])
    attempt = client.endpoints.test(made["endpoint"])
    assert (attempt["status"], attempt["kind"]) == (200, "test")
    (one,) = receiver.wait_for(1)
    told = verified(one, made["secret"])
    assert told["type"] == SAMPLE_TYPE
    assert "position" not in told
    client.endpoints.update(made["endpoint"], url=receiver.url("status/503"))
    assert client.endpoints.test(made["endpoint"])["status"] == 503
    assert hub.events("feed=hub") == [], "it is in no log"


def test_what_is_gone_receives_no_more(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    gone = client.endpoints.add("acme", receiver.url("ok/gone"), "hub", topics=["roanuz.*"])["endpoint"]
    client.endpoints.add("acme", receiver.url("ok/there"), "hub", topics=["roanuz.*"])
    publish(hub, "a")
    receiver.wait_for(2)
    client.endpoints.remove(gone)
    publish(hub, "b")
    assert ids([one for one in receiver.wait_for(3) if one.target == "/ok/there"]) == ["a", "b"]
    hub.admin("DELETE", "/hub/v1/partners/acme")
    assert client.endpoints.all() == []
    with pytest.raises(HubRefused, match="404"):
        client.endpoints.show(gone)


def test_changes_while_requests_are_under_way(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    """FAULTS 13: paused, changed, rotated twice and removed, with a backlog and a request that nobody answers."""
    receiver.turn("slow", "never")
    options = {"timeout_seconds": "3"}  # who answers on a busy machine is in time all the same
    made = client.endpoints.add("acme", receiver.url("slow"), "hub", topics=["roanuz.*"], options=options)
    name = made["endpoint"]
    publish(hub, "a", "b", "c")
    receiver.wait_for(1, "slow")
    client.endpoints.pause(name)
    secrets = [made["secret"], client.endpoints.rotate_secret(name), client.endpoints.rotate_secret(name)]
    client.endpoints.update(name, url=receiver.url("ok"))
    assert client.endpoints.show(name)["status"] == "paused", "another address does not end a pause"
    client.endpoints.resume(name)
    wait_for(lambda: client.endpoints.show(name)["delivered"] == 3, "all three")
    good = [one for one in receiver.seen if one.target == "/ok"]
    assert ids(good) == ["a", "b", "c"]
    for one in good:
        for secret in secrets:
            verified(one, secret)
    client.endpoints.update(name, url=receiver.url("slow"))
    publish(hub, "d")
    receiver.wait_for(2, "slow")
    client.endpoints.remove(name)
    publish(hub, "e")
    assert client.endpoints.all() == []
    assert len(receiver.wait_for(2, "slow")) == 2


def test_what_is_refused_is_not_stored(hub: Hub, client: HubClient) -> None:
    for url, words in (
        ("http://10.1.2.3/", "--allow-network"),
        ("http://0x0a010203/", "--allow-network"),
        ("http://[fd00::1]/", "--allow-network"),
        ("http://a.example/ x", "spaces"),
    ):
        with pytest.raises(HubRefused, match=words):
            client.endpoints.add("acme", url, "hub")
    for options in ({"header.Content-Length": "5"}, {"header.X": "a\nb"}, {"header.X\n": "a"}, {"nope": "1"}):
        with pytest.raises(HubRefused, match="option"):
            client.endpoints.add("acme", "https://a.example/", "hub", options=options)
    hub.partner("shots", "shottracker")
    with pytest.raises(HubRefused, match="not delivered by webhooks"):
        client.endpoints.add("shots", "https://a.example/", "shottracker")
    with pytest.raises(HubRefused, match="404"):
        client.endpoints.add("nobody", "https://a.example/", "hub")
    assert client.endpoints.all() == []


def test_the_commands(
    hub: Hub,
    receiver: Receiver,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOUCHLINE_URL", hub.url)
    monkeypatch.setenv("TOUCHLINE_KEY", hub.admin_key)

    def touchline(*arguments: str, code: int = 0) -> Any:
        assert run(["endpoint", *arguments, "--json"]) == code
        out = capsys.readouterr().out
        assert out.count("\n") == (1 if out else 0)
        return json.loads(out) if out else None

    made = touchline("add", "acme", receiver.url("ok"), "--feed", "hub", "--topic", "roanuz.*", "--option", "window=4")
    assert made.keys() == {"endpoint", "secret", "state"}
    assert made["state"] == "active"
    name = made["endpoint"]
    publish(hub, "a")
    verified(receiver.wait_for(1)[0], made["secret"])
    wait_for(lambda: touchline("show", name)["delivered"] == 1, "the delivery")
    assert [one["endpoint"] for one in touchline("list")["endpoints"]] == [name]
    assert touchline("update", name, "--label", "new", "--drop-option", "window")["options"] == {}
    assert touchline("pause", name)["status"] == "paused"
    assert touchline("resume", name)["status"] == "active"
    assert touchline("test", name)["status"] == 200
    assert touchline("replay", name, "--since", "1h")["endpoint"] == name
    assert ids(receiver.wait_for(3)[2:]) == ["a"]
    assert touchline("rotate-secret", name, "--overlap", "1h")["secret"] != made["secret"]
    assert {one["status"] for one in touchline("attempts", name)["attempts"]} == {200}
    assert touchline("dead-letters", name) == {"dead_letters": []}
    assert touchline("dead-letters", name, "--redrive") == {"dead_letters": [], "redriven": 0}
    assert touchline("remove", name) == {"endpoint": name, "removed": True}
    assert touchline("show", name, code=1) is None
    assert touchline("add", "acme", "http://10.1.2.3/", "--feed", "hub", code=1) is None
