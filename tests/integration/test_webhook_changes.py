"""FAULTS 8, 13, 14 and an endpoint's events, end to end: what is changed, or answers otherwise, while records are owed
and requests are under way.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import pytest
import standardwebhooks

from receivers import Receiver, Seen
from touchline.client import HubClient, HubRefused

from .hubs import Hub, cloud_event
from .webhook_worlds import changes, ids, publish, wait_for

MakeHub = Callable[..., Hub]

NOTE = "roanuz.note"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def hub(make_hub: MakeHub) -> Hub:
    made = make_hub(allow_network=["127.0.0.0/8"])
    made.partner("acme", grants={"feed": ["roanuz"]})
    return made


@pytest.fixture
def client(hub: Hub) -> Iterator[HubClient]:
    with HubClient(hub.url, hub.admin_key, retry_seconds=0) as client:
        yield client


def add(client: HubClient, receiver: Receiver, path: str, partner: str = "acme", **options: str) -> dict[str, Any]:
    topics = options.pop("topics", "roanuz.*").split(",")
    made: dict[str, Any] = client.endpoints.add(partner, receiver.url(path), "hub", topics=topics, options=options)
    return made


def at(receiver: Receiver, path: str) -> list[Seen]:
    return [one for one in list(receiver.seen) if one.target.strip("/").partition("?")[0].split("/")[0] == path]


def idle(client: HubClient, name: str) -> None:
    """Wait until nothing is owed or under way."""
    wait_for(lambda: client.endpoints.show(name)["backlog"] == 0, "nothing is owed")


# FAULTS 13


def test_the_address_changes_with_a_backlog_and_a_request_under_way(
    hub: Hub, client: HubClient, receiver: Receiver
) -> None:
    receiver.turn("old", "never")
    name = add(client, receiver, "old", timeout_seconds="3")["endpoint"]  # "new" is in time on a busy machine too
    publish(hub, NOTE, "m-1", "a", "b", "c")
    publish(hub, NOTE, "m-2", "d", "e")
    receiver.wait_for(1, "old")
    client.endpoints.update(name, url=receiver.url("new"))
    wait_for(lambda: len(at(receiver, "new")) >= 5, "everything")
    idle(client, name)
    got = ids(at(receiver, "new"))
    assert ([one for one in got if one in "abc"], [one for one in got if one in "de"]) == (list("abc"), list("de"))


def test_topics_that_are_taken_away_with_a_backlog(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    receiver.turn("x", "status/500")
    name = add(client, receiver, "x", topics="roanuz.note,roanuz.remark")["endpoint"]
    publish(hub, NOTE, "m-1", "a", "b")
    publish(hub, "roanuz.remark", "m-2", "c")
    receiver.wait_for(2, "x")
    client.endpoints.update(name, topics=["roanuz.remark"])
    tried = len(at(receiver, "x"))
    receiver.turn("x", "ok")
    client.endpoints.resume(name)
    publish(hub, "roanuz.remark", "m-2", "d")
    wait_for(lambda: "d" in ids(at(receiver, "x")), "what is left")
    idle(client, name)
    after = ids(at(receiver, "x")[tried:])
    assert [one for one in after if one in "cd"][-2:] == ["c", "d"]
    assert "b" not in after
    assert after.count("a") <= 1, "one try may have been under way"


def test_grants_that_are_narrowed_with_a_backlog(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    receiver.turn("x", "status/500")
    name = add(client, receiver, "x")["endpoint"]
    publish(hub, NOTE, "m-1", "a", "b")
    publish(hub, NOTE, "m-2", "c")
    receiver.wait_for(2, "x")
    client.endpoints.pause(name)
    answer = hub.admin("PUT", "/hub/v1/partners/acme/feeds/hub", {"grants": {"subject": ["m-2"]}})
    assert answer.status == 200, answer
    wait_for(lambda: client.endpoints.show(name)["backlog"] == 1, "the rest is owed no more")
    tried = len(at(receiver, "x"))
    receiver.turn("x", "ok")
    client.endpoints.resume(name)
    publish(hub, NOTE, "m-2", "d")
    wait_for(lambda: "d" in ids(at(receiver, "x")), "what is left")
    idle(client, name)
    assert ids(at(receiver, "x")[tried:]) == ["c", "d"]


def test_secrets_rotate_twice_during_a_retry(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    receiver.turn("x", "status/500")
    made = add(client, receiver, "x", retry_cap_seconds="0.3")
    name, first = made["endpoint"], made["secret"]
    publish(hub, NOTE, "m-1", "a")
    receiver.wait_for(1, "x")
    second = client.endpoints.rotate_secret(name, "0s")
    receiver.wait_for(len(at(receiver, "x")) + 1, "x")
    third = client.endpoints.rotate_secret(name)
    # One try may have been under way, signed as before; the next is signed anew.
    receiver.wait_for(len(at(receiver, "x")) + 2, "x")
    receiver.turn("x", "ok")
    client.endpoints.resume(name)
    idle(client, name)
    wait_for(lambda: client.endpoints.show(name)["delivered"] == 1, "the delivery")
    tries = at(receiver, "x")
    assert {(one.body, one.headers["webhook-id"]) for one in tries} == {(tries[0].body, tries[0].headers["webhook-id"])}
    good = {secret: [_verifies(one, secret) for one in (tries[0], tries[-1])] for secret in (first, second, third)}
    assert good == {first: [True, False], second: [False, True], third: [False, True]}


def _verifies(one: Seen, secret: str) -> bool:
    try:
        standardwebhooks.Webhook(secret).verify(one.body, dict(one.headers))
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


def test_a_pause_with_a_request_under_way(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    receiver.turn("x", "delay/1000")
    name = add(client, receiver, "x")["endpoint"]
    publish(hub, NOTE, "m-1", *"abcdef")
    receiver.wait_for(1, "x")
    client.endpoints.pause(name)
    under_way = len(at(receiver, "x"))
    receiver.turn("x", "ok")
    wait_for(lambda: client.endpoints.show(name)["delivered"] >= under_way, "what is under way is answered")
    assert len(at(receiver, "x")) <= under_way + 1
    owed = client.endpoints.show(name)["backlog"]
    assert owed >= 3
    publish(hub, NOTE, "m-1", "g")
    wait_for(lambda: client.endpoints.show(name)["backlog"] == owed + 1, "it is owed")
    client.endpoints.resume(name)
    wait_for(lambda: ids(at(receiver, "x")) == list("abcdefg"), "everything, once and in order")


def test_a_partner_goes_with_requests_under_way(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    hub.partner("gone", grants={"feed": ["roanuz"]})
    names = {}
    for partner in ("acme", "gone"):
        receiver.turn(partner, "never")
        names[partner] = add(client, receiver, partner, partner, timeout_seconds="300")["endpoint"]
    publish(hub, NOTE, "m-1", "a", "b")
    for partner in ("acme", "gone"):
        receiver.wait_for(1, partner)
    assert hub.admin("POST", "/hub/v1/partners/acme/suspend").status == 200
    assert hub.admin("DELETE", "/hub/v1/partners/gone").status == 204
    receiver.wait_closed()  # broken off, long before the time-out
    assert client.endpoints.show(names["acme"])["state"] == "suspended"
    with pytest.raises(HubRefused, match="404"):
        client.endpoints.show(names["gone"])
    receiver.turn("acme", "ok")
    publish(hub, NOTE, "m-1", "c")
    hub.partner("gone", grants={"feed": ["roanuz"]})
    assert hub.admin("POST", "/hub/v1/partners/acme/resume").status == 200
    wait_for(lambda: ids(at(receiver, "acme"))[1:] == ["a", "b", "c"], "everything, in order")
    assert len(at(receiver, "gone")) == 1, "another of the same name inherits nothing"


# FAULTS 8


def test_410_with_a_backlog(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    receiver.turn("x", "status/410")
    name = add(client, receiver, "x")["endpoint"]
    for stream in ("m-1", "m-2", "m-3"):
        publish(hub, NOTE, stream, *(f"{stream}/{number}" for number in range(4)))
    wait_for(lambda: client.endpoints.show(name)["status"] == "disabled", "it is disabled")
    wait_for(lambda: changes(hub, name) == ["disabled"], "the event")
    view = client.endpoints.show(name)
    assert (view["backlog"], view["by_hub"], "410" in view["reason"]) == (12, True, True)
    tried = len(at(receiver, "x"))
    receiver.turn("x", "ok")
    publish(hub, NOTE, "m-1", "m-1/4")
    wait_for(lambda: client.endpoints.show(name)["backlog"] == 13, "what came since is owed too")
    assert len(at(receiver, "x")) == tried
    client.endpoints.resume(name)
    idle(client, name)
    after = ids(at(receiver, "x")[tried:])
    for stream, count in (("m-1", 5), ("m-2", 4), ("m-3", 4)):
        assert [one for one in after if one.startswith(stream)] == [f"{stream}/{number}" for number in range(count)]
    assert client.endpoints.dead_letters(name) == []
    wait_for(lambda: changes(hub, name) == ["disabled", "recovered"], "once each")


@pytest.mark.parametrize("status", [429, 503])
def test_what_retry_after_may_say(hub: Hub, client: HubClient, receiver: Receiver, status: int) -> None:
    forms = {
        "seconds": "30",
        "date": formatdate(time.time() + 600, usegmt=True).replace(" ", "%20"),
        "far": "Fri,%2031%20Dec%209999%2023:59:59%20GMT",
        "long": "9" * 40,
        "zero": "0",
        "negative": "-7",
        "garbage": "soon",
        "past": "Mon,%2001%20Jan%201990%2000:00:00%20GMT",
    }
    understood = {"seconds", "date", "far", "long"}
    names = {form: add(client, receiver, f"status/{status}/{form}?retry-after={text}")["endpoint"]
             for form, text in forms.items()}  # fmt: skip
    publish(hub, NOTE, "m-1", "a", "b")
    wait_for(lambda: all(client.endpoints.attempts(name) for name in names.values()), "each is tried")
    wait_for(lambda: all(len(client.endpoints.attempts(names[form])) > 1 for form in forms.keys() - understood), "more")
    for form in understood:
        view = client.endpoints.show(names[form])
        assert (view["state"], view["failed"], view["backlog"]) == ("waiting", 0, 2), (form, view)
        assert len(client.endpoints.attempts(names[form])) == 1, form
    for form in forms.keys() - understood:
        assert client.endpoints.show(names[form])["failed"] >= 1, form
    assert [client.endpoints.dead_letters(name) for name in names.values()] == [[]] * len(names)
    client.endpoints.update(names["far"], url=receiver.url("later"))
    client.endpoints.resume(names["far"])
    wait_for(lambda: ids(at(receiver, "later")) == ["a", "b"], "resume forgets what it asked for")


def test_a_short_pause_is_kept_and_over(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    receiver.turn("x", "status/429")
    name = client.endpoints.add("acme", receiver.url("x?retry-after=2"), "hub", topics=["roanuz.*"])["endpoint"]
    begun = time.monotonic()
    publish(hub, NOTE, "m-1", "a", "b")
    receiver.wait_for(1, "x")
    receiver.turn("x", "ok")
    wait_for(lambda: len(at(receiver, "x")) == 3, "both")
    assert time.monotonic() - begun >= 2.0
    assert ids(at(receiver, "x")) == ["a", "a", "b"]
    idle(client, name)
    assert client.endpoints.show(name)["failed"] == 0


# FAULTS 14


def test_headers_that_would_be_others_are_refused(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    good = add(client, receiver, "ok", **{"header.X-Team": "blue", "header.Authorization": "Bearer t0p"})
    for option, value in (
        ("header.X", "a\r\nX-Evil: 1"),
        ("header.X", "a\nb"),
        ("header.X", "a\rb"),
        ("header.X", "caf\u00e9"),
        ("header.X", "a\x00b"),
        ("header.X", "v" * 8192),
        ("header.X\r\nX-Evil", "1"),
        ("header.X Y", "1"),
        ("header.", "1"),
        ("header.Host", "elsewhere.example"),
        ("header.CONTENT-LENGTH", "5"),
        ("header.Transfer-Encoding", "chunked"),
        ("header.webhook-id", "mine"),
        ("header.Webhook-Signature", "v1,AAAA"),
        ("header.touchline-replay", "1"),
        ("header.User-Agent", "curl"),
    ):
        with pytest.raises(HubRefused, match=r"option|header"):
            add(client, receiver, "ok", **{option: value})
        with pytest.raises(HubRefused, match=r"option|header"):
            client.endpoints.update(good["endpoint"], options={option: value})
    assert [one["endpoint"] for one in client.endpoints.all()] == [good["endpoint"]]
    publish(hub, NOTE, "m-1", "a")
    (one,) = receiver.wait_for(1)
    assert (one.headers["x-team"], one.headers["authorization"]) == ("blue", "Bearer t0p")
    for name in (b"host", b"content-length", b"content-type", b"webhook-id", b"user-agent"):
        assert sum(line.lower().startswith(name + b":") for line in one.lines) == 1
    assert int(one.headers["content-length"]) == len(one.body)


@pytest.mark.parametrize(
    ("feed", "name"),
    [
        ("insights", "X-Amz-Sns-Message-Type"),
        ("insights", "x-amz-sns-topic-arn"),
        ("hisports", "X-Hisports-Signature"),
        ("roanuz", "RS-API-Key"),
    ],
)
def test_headers_of_the_feeds_own_are_refused(hub: Hub, client: HubClient, feed: str, name: str) -> None:
    hub.partner("desk", feed)
    with pytest.raises(HubRefused, match="reserved"):
        client.endpoints.add("desk", "http://127.0.0.1:9/", feed, options={f"header.{name}": "1"})
    assert client.endpoints.all(feed=feed) == []


def test_nothing_of_an_event_becomes_a_header(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    made = add(client, receiver, "ok")
    odd = cloud_event(
        NOTE, "m-1\u00e9", {"webhook-id": "x\r\nX-Evil: 1"}, source="/a?b=c", id="webhook-id: x", host="elsewhere",
        webhookid="mine", contentlength="5", lane="state", seq="999", position="none",
    )  # fmt: skip
    hub.publish_all([odd])
    (one,) = receiver.wait_for(1)
    told = json.loads(one.body)
    stored = hub.events("feed=roanuz")[0]
    assert told == stored
    assert (told["lane"], told["seq"]) == ("event", 1)
    assert told["position"] != "none"
    assert (told["host"], told["webhookid"], told["id"]) == ("elsewhere", "mine", "webhook-id: x")
    assert one.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert one.headers["webhook-id"] not in ("mine", "webhook-id: x")
    assert not any(b"evil" in line.lower() for line in one.lines)
    assert _verifies(one, made["secret"])


# an endpoint's events


def test_each_change_is_told_once_to_whom_it_concerns(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    grants = {"all": {"feed": ["roanuz", "hub"]}, "some": {"feed": ["roanuz"]}, "none": {}}
    keys = {partner: hub.partner(partner, grants=given)["key"] for partner, given in grants.items()}
    for partner in keys:
        client.endpoints.add(partner, receiver.url(partner), "hub", topics=["*"])
    receiver.turn("x", "status/500")
    name = add(client, receiver, "x", retry_cap_seconds="0.2")["endpoint"]
    for number in range(6):
        publish(hub, NOTE, f"m-{number}", f"e{number}")
    wait_for(lambda: changes(hub, name) == ["failing"], "it is failing")
    assert client.endpoints.show(name)["state"] == "failing"
    receiver.turn("x", "ok")
    client.endpoints.resume(name)
    wait_for(lambda: changes(hub, name) == ["failing", "recovered"], "it has recovered")
    for _ in range(2):
        client.endpoints.pause(name)
    wait_for(lambda: changes(hub, name)[2:] == ["paused"], "it is paused")
    for _ in range(2):
        client.endpoints.resume(name)
    wait_for(lambda: changes(hub, name)[3:] == ["recovered"], "it is resumed")
    receiver.turn("x", "status/410")
    publish(hub, NOTE, "m-1", "last")
    wait_for(lambda: changes(hub, name)[4:] == ["disabled"], "it is disabled")
    expected = ["failing", "recovered", "paused", "recovered", "disabled"]

    def pushed(partner: str) -> list[str]:
        bodies = [json.loads(one.body) for one in at(receiver, partner)]
        return [one["type"].removeprefix("hub.endpoint.") for one in bodies if one.get("subject") == name]

    wait_for(lambda: len(pushed("all")) >= len(expected), "who has the grant is told")
    assert pushed("all") == expected
    page = hub.get(f"/hub/v1/events?feed=hub&subject={name}", keys["all"]).json["events"]
    assert [one["type"].removeprefix("hub.endpoint.") for one in page] == expected
    assert len({one["id"] for one in page}) == len(expected)
    publish(hub, NOTE, "m-9", "marker")
    for partner in ("some", "none"):
        closed = hub.get(f"/hub/v1/events?feed=hub&subject={name}", keys[partner])
        assert closed.status == 403 or closed.json["events"] == [], closed
        everything = hub.get("/hub/v1/events?limit=1000", keys[partner]).json["events"]
        assert everything
        assert not [one for one in everything if one["type"].startswith("hub.")]
        wait_for(lambda partner=partner: "marker" in ids(at(receiver, partner)), "the marker")  # type: ignore[misc]
        assert pushed(partner) == []
    assert changes(hub, name) == expected
