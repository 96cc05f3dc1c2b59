"""FAULTS 15a over the real courier: what is asked, confirmed, asked anew, ended, and what arrives meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from receivers import Receiver, Seen
from touchline.client import HubClient

from .hubs import Answer, Hub
from .webhook_worlds import SteppingClock, Traffic, insights, wait_for

MakeHub = Callable[..., Hub]

MILESTONES, HIGHS, SCORING = "nfl/milestones/en", "nfl/highs/en", "nba/scoring/fr"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def hub(make_hub: MakeHub, clock: SteppingClock) -> Hub:
    made = make_hub(clock, allow_network=["127.0.0.0/8"])
    made.partner("desk", "insights")
    return made


@pytest.fixture
def client(hub: Hub) -> Iterator[HubClient]:
    with HubClient(hub.url, hub.admin_key, retry_seconds=0) as client:
        yield client


def told(receiver: Receiver, name: str, kind: str, topic: str | None = None) -> list[dict[str, Any]]:
    """The handshakes of a kind that came to ``name``, for a topic."""
    found = [json.loads(one.body) for one in _of(receiver, name) if one.headers.get("x-amz-sns-message-type") == kind]
    words = (
        [] if topic is None else [word.capitalize() for word in topic.removesuffix("/en").replace("_", "/").split("/")]
    )
    return [one for one in found if f"-{''.join(words)}" in one["TopicArn"]]


def asked(receiver: Receiver, name: str, topic: str, count: int = 1) -> list[dict[str, Any]]:
    """The first so many SubscriptionConfirmations of a topic, as soon as they are there."""
    wait_for(lambda: len(told(receiver, name, "SubscriptionConfirmation", topic)) >= count, f"{count} handshakes")
    return told(receiver, name, "SubscriptionConfirmation", topic)


def arrived(receiver: Receiver, name: str) -> list[str]:
    """The ids of the insights that came to ``name``."""
    return [
        json.loads(one.body)["insight"]["id"]
        for one in _of(receiver, name)
        if one.headers.get("x-amz-sns-message-type") == "Notification"
    ]


def _of(receiver: Receiver, name: str) -> list[Seen]:
    return [one for one in list(receiver.seen) if one.target.strip("/").split("/")[0] == name]


def visit(hub: Hub, url: str) -> Answer:
    """GET an address of a message, at the hub that runs now."""
    parts = urlsplit(url)
    return hub.get(f"{parts.path}?{parts.query}")


def states(client: HubClient, endpoint: str) -> dict[str, str]:
    return {one["topic"]: one["state"] for one in client.endpoints.show(endpoint)["subscriptions"]}


def test_what_is_never_confirmed_is_never_delivered(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    name = client.endpoints.add("desk", receiver.url("desk"), "insights", topics=[MILESTONES, HIGHS])["endpoint"]
    (one,) = asked(receiver, "desk", HIGHS)
    asked(receiver, "desk", MILESTONES)
    insights(hub, HIGHS, "early")
    assert visit(hub, one["SubscribeURL"]).status == 200
    insights(hub, MILESTONES, "m1", "m2")
    insights(hub, HIGHS, "h1")
    wait_for(lambda: arrived(receiver, "desk") == ["h1"], "the confirmed one")
    wait_for(lambda: client.endpoints.show(name)["backlog"] == 0, "nothing is owed")
    assert arrived(receiver, "desk") == ["h1"]
    assert states(client, name) == {MILESTONES: "pending", HIGHS: "confirmed"}
    assert len(told(receiver, "desk", "SubscriptionConfirmation", MILESTONES)) == 1, "once it was answered"


def test_a_confirmation_that_is_answered_500_is_repeated_as_it_was(
    hub: Hub, client: HubClient, receiver: Receiver
) -> None:
    receiver.turn("desk", "status/500")
    name = client.endpoints.add("desk", receiver.url("desk"), "insights", topics=[MILESTONES])["endpoint"]
    first, again = asked(receiver, "desk", MILESTONES, 2)[:2]
    assert first == again, "the same bytes: id, token, time, signature"
    receiver.turn("desk", "ok")
    asked(receiver, "desk", MILESTONES, 3)
    wait_for(lambda: client.endpoints.attempts(name)[-1]["status"] == 200, "the answer is noted")
    assert states(client, name) == {MILESTONES: "pending"}, "a 2xx alone confirms nothing"
    assert visit(hub, first["SubscribeURL"]).status == 200
    insights(hub, MILESTONES, "a")
    wait_for(lambda: arrived(receiver, "desk") == ["a"], "the insight")


def test_confirming_twice_changes_nothing(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    client.endpoints.add("desk", receiver.url("desk"), "insights", topics=[MILESTONES])
    (one,) = asked(receiver, "desk", MILESTONES)
    first = visit(hub, one["SubscribeURL"])
    receiver.turn("desk", "status/503")
    insights(hub, MILESTONES, "a", "b")
    wait_for(lambda: len(arrived(receiver, "desk")) >= 1, "a try")
    second = visit(hub, one["SubscribeURL"])
    assert (first.status, second.status) == (200, 200)
    arn = b"<SubscriptionArn>"
    assert first.body.partition(arn)[2][:150] == second.body.partition(arn)[2][:150]
    receiver.turn("desk", "ok")
    insights(hub, MILESTONES, "c")
    wait_for(lambda: set(arrived(receiver, "desk")) == {"a", "b", "c"}, "also what waited when it was confirmed again")


def test_tokens_that_are_wrong_expired_or_of_another_topic(
    hub: Hub, client: HubClient, receiver: Receiver, clock: SteppingClock
) -> None:
    name = client.endpoints.add("desk", receiver.url("desk"), "insights", topics=[MILESTONES, HIGHS])["endpoint"]
    (one,), (other,) = asked(receiver, "desk", MILESTONES), asked(receiver, "desk", HIGHS)
    address = one["SubscribeURL"]
    for wrong in (
        address.replace(one["Token"], "0" * len(one["Token"])),
        address.replace(one["Token"], one["Token"][:-1]),
        address.replace(one["Token"], ""),
        address.replace(one["Token"], other["Token"]),
        address.replace(one["TopicArn"], other["TopicArn"]),
        address.replace("ConfirmSubscription", "Confirm"),
    ):
        answer = visit(hub, wrong)
        assert answer.status == 400, (wrong, answer)
        assert b"<ErrorResponse" in answer.body
        assert one["Token"].encode() not in answer.body
    clock.ahead_seconds = 49 * 3600
    late = visit(hub, address)
    assert late.status == 400
    assert b"expired" in late.body
    assert states(client, name) == {MILESTONES: "pending", HIGHS: "pending"}
    assert [one["expired"] for one in client.endpoints.show(name)["subscriptions"]] == [True, True]
    client.endpoints.update(name, resubscribe=True)
    fresh = asked(receiver, "desk", MILESTONES, 2)[-1]
    assert fresh["Token"] != one["Token"]
    assert visit(hub, address).status == 400, "the old token stays what it is"
    assert visit(hub, fresh["SubscribeURL"]).status == 200
    insights(hub, MILESTONES, "a")
    insights(hub, HIGHS, "b")
    wait_for(lambda: arrived(receiver, "desk") == ["a"], "the one that is confirmed")


def test_asking_anew_while_traffic_goes_on_makes_no_gap_and_no_duplicate(
    hub: Hub, client: HubClient, receiver: Receiver
) -> None:
    name = client.endpoints.add("desk", receiver.url("desk"), "insights", topics=[MILESTONES])["endpoint"]
    (one,) = asked(receiver, "desk", MILESTONES)
    assert visit(hub, one["SubscribeURL"]).status == 200
    with Traffic(lambda text: insights(hub, MILESTONES, text)) as traffic:
        for count in range(2, 6):
            traffic.go_on()
            client.endpoints.update(name, resubscribe=True)
            again = asked(receiver, "desk", MILESTONES, count)[-1]
            traffic.go_on()
            assert visit(hub, again["SubscribeURL"]).status == 200
        traffic.go_on()
    wait_for(lambda: len(arrived(receiver, "desk")) >= len(traffic.names), "everything")
    wait_for(lambda: client.endpoints.show(name)["backlog"] == 0, "everything is answered")
    assert sorted(arrived(receiver, "desk")) == sorted(traffic.names)


def test_topics_change_while_another_runs(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    name = client.endpoints.add("desk", receiver.url("desk"), "insights", topics=[MILESTONES, HIGHS])["endpoint"]
    for topic in (MILESTONES, HIGHS):
        assert visit(hub, asked(receiver, "desk", topic)[0]["SubscribeURL"]).status == 200
    with Traffic(lambda text: insights(hub, MILESTONES, text)) as traffic:
        traffic.go_on()
        client.endpoints.update(name, topics=[MILESTONES, SCORING])
        wait_for(lambda: len(told(receiver, "desk", "UnsubscribeConfirmation", HIGHS)) == 1, "the end is told")
        insights(hub, HIGHS, "gone")
        insights(hub, SCORING, "early")
        (new,) = asked(receiver, "desk", SCORING)
        assert visit(hub, new["SubscribeURL"]).status == 200
        insights(hub, SCORING, "points")
        (ended,) = told(receiver, "desk", "UnsubscribeConfirmation", HIGHS)
        assert visit(hub, ended["SubscribeURL"]).status == 403, "the operator took it away: it is not restored"
        traffic.go_on()
    everything = {*traffic.names, "points"}
    wait_for(lambda: set(arrived(receiver, "desk")) >= everything, "everything")
    wait_for(lambda: client.endpoints.show(name)["backlog"] == 0, "everything is answered")
    assert sorted(arrived(receiver, "desk")) == sorted(everything)
    assert len(told(receiver, "desk", "SubscriptionConfirmation", MILESTONES)) == 1, "it went on undisturbed"


def test_unsubscribing_by_the_address_in_a_message(hub: Hub, client: HubClient, receiver: Receiver) -> None:
    options = {"delivery": "envelope"}
    made = client.endpoints.add("desk", receiver.url("desk"), "insights", topics=[MILESTONES, HIGHS], options=options)
    for topic in (MILESTONES, HIGHS):
        assert visit(hub, asked(receiver, "desk", topic)[0]["SubscribeURL"]).status == 200
    insights(hub, MILESTONES, "a")
    wait_for(lambda: len(told(receiver, "desk", "Notification")) == 1, "a notification")
    leave = told(receiver, "desk", "Notification")[0]["UnsubscribeURL"]
    receiver.turn("desk", "status/503")  # what is owed when it unsubscribes is owed no more
    insights(hub, MILESTONES, "held-1", "held-2")
    wait_for(lambda: len(told(receiver, "desk", "Notification")) >= 2, "a try")
    assert visit(hub, leave).status == 200
    assert visit(hub, leave).status == 200, "twice is once"
    tried = len(told(receiver, "desk", "Notification"))
    receiver.turn("desk", "ok")
    insights(hub, MILESTONES, "late")
    insights(hub, HIGHS, "b")
    wait_for(lambda: len(told(receiver, "desk", "Notification", HIGHS)) == 1, "the other topic goes on")
    wait_for(lambda: client.endpoints.show(made["endpoint"])["backlog"] == 0, "nothing is owed")
    wait_for(lambda: len(told(receiver, "desk", "UnsubscribeConfirmation")) >= 1, "its end is told")
    wait_for(lambda: client.endpoints.attempts(made["endpoint"])[-1]["status"] == 200, "and that is answered")
    assert {one["TopicArn"] for one in told(receiver, "desk", "UnsubscribeConfirmation")} == {
        asked(receiver, "desk", MILESTONES)[0]["TopicArn"]
    }
    assert len(told(receiver, "desk", "Notification", MILESTONES)) <= tried + 1, "one may have been under way"
    assert states(client, made["endpoint"])[MILESTONES] == "ended"
    client.endpoints.update(made["endpoint"], options={"timeout_seconds": "5"})
    assert states(client, made["endpoint"]) == {MILESTONES: "ended", HIGHS: "confirmed"}, "an option asks nobody"
    client.endpoints.update(made["endpoint"], topics=[MILESTONES, HIGHS])
    assert states(client, made["endpoint"])[MILESTONES] != "ended", "naming the topics does"


def test_a_restart_in_the_middle_of_a_handshake(tmp_path: Path, receiver: Receiver) -> None:
    receiver.turn("desk", "never")
    settings: dict[str, object] = {"allow_network": ["127.0.0.0/8"]}
    with Hub(tmp_path, **settings) as hub, HubClient(hub.url, hub.admin_key, retry_seconds=0) as client:
        hub.partner("desk", "insights")
        topics = [MILESTONES, HIGHS]
        options = {"timeout_seconds": "0.5"}
        made = client.endpoints.add("desk", receiver.url("desk"), "insights", topics=topics, options=options)
        name = made["endpoint"]
        asked(receiver, "desk", HIGHS)
        one = asked(receiver, "desk", MILESTONES)[0]
        assert visit(hub, one["SubscribeURL"]).status == 200  # confirmed, though its POST was never answered
        insights(hub, HIGHS, "skipped")
    before = told(receiver, "desk", "SubscriptionConfirmation", HIGHS)
    finished = len(told(receiver, "desk", "SubscriptionConfirmation", MILESTONES))
    receiver.turn("desk", "ok")
    with Hub(tmp_path, **settings) as hub, HubClient(hub.url, hub.admin_key, retry_seconds=0) as client:
        insights(hub, MILESTONES, "a")
        wait_for(lambda: told(receiver, "desk", "SubscriptionConfirmation", HIGHS)[-1] not in before, "it is repeated")
        other, again = before[0], told(receiver, "desk", "SubscriptionConfirmation", HIGHS)[-1]
        assert [again[key] for key in ("MessageId", "Token", "Timestamp", "TopicArn")] == [
            other[key] for key in ("MessageId", "Token", "Timestamp", "TopicArn")
        ]
        assert visit(hub, other["SubscribeURL"]).status == 200, "the token of before the restart"
        insights(hub, HIGHS, "b")
        wait_for(lambda: set(arrived(receiver, "desk")) == {"a", "b"}, "both")
        assert states(client, name) == {MILESTONES: "confirmed", HIGHS: "confirmed"}
        assert len(told(receiver, "desk", "SubscriptionConfirmation", MILESTONES)) == finished, "it is not asked again"
