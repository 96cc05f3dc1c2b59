"""SNS handshakes over kills, refusals and changes of topics, with traffic going on; and every insight accounted for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from .hubs import LOOPBACK, Hub, cloud_event, request, wait_for
from .receivers import Delivery, Reception, Reply

SCORING = [f"nba/scoring/{locale}" for locale in ("en", "fr", "de", "it", "es")]
MOST_IN_FLIGHT = 32
ENDPOINTS = 8
ROUNDS = 60


def insight(number: int, topic: str) -> bytes:
    """A line that publishes one; its id is its number."""
    data = msgspec.json.encode({"id": f"{topic}#{number}", "league": topic.partition("/")[0], "content": "x" * 200})
    return cloud_event(f"{topic}#{number}", "insights.insight", topic, data, "/radar")


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    """A hub whose webhooks may stay on this machine, with a news desk."""
    made = make_hub(*LOOPBACK)
    made.add_partner("desk", "insights")
    return made


@pytest.fixture
def reception() -> Iterator[Reception]:
    """Where they arrive."""
    with Reception() as opened:
        yield opened


async def confirming(delivery: Delivery) -> Reply:
    """A receiver that confirms what it is asked, after it has answered."""
    if delivery.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation":
        asyncio.get_running_loop().run_in_executor(None, request, "GET", delivery.json["SubscribeURL"])
    return Reply()


def kinds(got: list[Delivery]) -> Counter[str]:
    """How many of each kind of message came."""
    return Counter(one.headers["x-amz-sns-message-type"] for one in got)


def insights(got: list[Delivery]) -> list[str]:
    """The ids of the insights that came."""
    return [one.json["insight"]["id"] for one in got if one.headers["x-amz-sns-message-type"] == "Notification"]


def confirmed(hub: Hub, endpoint: str) -> set[str]:
    """The topics that are confirmed."""
    subscriptions: list[dict[str, Any]] = hub.endpoint_report(endpoint)["subscriptions"]
    return {one["topic"] for one in subscriptions if one["state"] == "confirmed"}


def test_a_handshake_is_repeated_until_it_is_answered_also_after_a_kill(hub: Hub, reception: Reception) -> None:
    reception.behave["desk"] = lambda _: Reply(500)
    endpoint = hub.add_endpoint("desk", reception.url("desk"), "insights", "nfl/highs/en")
    first = reception.reached("desk", 1)[0]
    hub.publish(insight(1, "nfl/highs/en"))
    hub.kill()
    reception.mark()
    reception.behave["desk"] = confirming
    hub.start()
    second = reception.until("desk", lambda got: got[-1].life == 1, "the handshake of the next life")[-1]
    assert second.body == first.body  # the same token, signature and message id
    assert second.headers["x-amz-sns-message-id"] == first.headers["x-amz-sns-message-id"]
    wait_for(lambda: confirmed(hub, endpoint.id) == {"nfl/highs/en"}, "it is confirmed")
    hub.publish(insight(2, "nfl/highs/en"))
    got = reception.until("desk", lambda got: bool(insights(got)), "an insight")
    assert insights(got) == ["nfl/highs/en#2"]
    assert hub.dead_letters(endpoint.id) == []


def test_topics_change_and_are_asked_for_anew_while_the_others_go_on(hub: Hub, reception: Reception) -> None:
    reception.behave["desk"] = confirming
    endpoint = hub.add_endpoint("desk", reception.url("desk"), "insights", "nba/scoring/en", "nba/scoring/fr")
    wait_for(lambda: len(confirmed(hub, endpoint.id)) == 2, "both are confirmed")
    hub.publish(insight(1, "nba/scoring/en"), insight(1, "nba/scoring/fr"), insight(1, "nba/scoring/de"))
    # What is still owed of a topic is owed no more when that is taken away.
    reception.until("desk", lambda got: "nba/scoring/fr#1" in insights(got), "French while it is there")

    reception.behave.clear()  # from now on nothing is confirmed
    topics = [word for topic in ("nba/scoring/en", "nba/scoring/de") for word in ("--topic", topic)]
    done = hub.command("endpoint", "update", endpoint.id, *topics, "--json")
    assert done.code == 0, done
    reception.until("desk", lambda got: kinds(got)["UnsubscribeConfirmation"] == 1, "French has ended")
    reception.until("desk", lambda got: kinds(got)["SubscriptionConfirmation"] == 3, "German is asked for")
    hub.publish(insight(2, "nba/scoring/en"), insight(2, "nba/scoring/fr"), insight(2, "nba/scoring/de"))

    done = hub.command("endpoint", "update", endpoint.id, "--resubscribe", "--json")
    assert done.code == 0, done
    got = reception.until("desk", lambda got: kinds(got)["SubscriptionConfirmation"] == 5, "both are asked anew")
    hub.publish(insight(3, "nba/scoring/en"), insight(3, "nba/scoring/de"))
    reception.until("desk", lambda got: "nba/scoring/en#3" in insights(got), "English goes on unconfirmed")
    german = [
        one.json
        for one in got
        if one.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation" and "ScoringDe" in one.json["TopicArn"]
    ]
    assert len({told["Token"] for told in german}) == 2
    assert 400 <= request("GET", german[0]["SubscribeURL"]).status < 500  # the token of the first asking
    assert request("GET", german[-1]["SubscribeURL"]).status == 200
    hub.publish(insight(4, "nba/scoring/en"), insight(4, "nba/scoring/de"))
    got = reception.until("desk", lambda got: {"nba/scoring/en#4", "nba/scoring/de#4"} <= set(insights(got)), "both")
    assert sorted(insights(got)) == [
        "nba/scoring/de#4",
        *(f"nba/scoring/en#{number}" for number in (1, 2, 3, 4)),
        "nba/scoring/fr#1",
    ]


def test_every_insight_reaches_every_endpoint_though_the_hub_is_killed(
    hub: Hub, reception: Reception, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"desk-{number}" for number in range(ENDPOINTS)]
    endpoints = []
    for name in names:
        reception.behave[name] = confirming
        options = {"delivery": "raw"}
        endpoints.append(hub.add_endpoint("desk", reception.url(name), "insights", "nba/scoring/*", options=options))
    for endpoint in endpoints:
        wait_for(lambda one=endpoint: confirmed(hub, one.id) == set(SCORING), "all are confirmed")  # type: ignore[misc]
    owed = {f"{topic}#{number}" for topic in SCORING for number in range(ROUNDS)}
    begun = reception.total
    hub.publish(*(insight(number, topic) for number in range(ROUNDS) for topic in SCORING))
    for count in (200, 1200):
        wait_for(lambda count=count: reception.total >= begun + count, f"{count} requests", 30)  # type: ignore[misc]
        hub.kill()
        reception.mark()
        hub.start()
    for name in names:
        reception.until(name, lambda got: set(insights(got)) >= owed, "everything", 40)
    repeated = []
    for name, endpoint in zip(names, endpoints, strict=True):
        wait_for(lambda one=endpoint: hub.endpoint_report(one.id)["backlog"] == 0, "all is answered")  # type: ignore[misc]
        got = [one for one in reception.at(name) if one.headers["x-amz-sns-message-type"] == "Notification"]
        assert set(insights(got)) == owed
        lives = [insights([one for one in got if one.life == life]) for life in range(3)]
        assert all(len(life) == len(set(life)) for life in lives), "twice without a crash"
        for life in (1, 2):
            again = set(lives[life]) & {one for earlier in lives[:life] for one in earlier}
            assert len(again) <= MOST_IN_FLIGHT
            repeated.append(len(again))
        identities = {(one.headers["x-amz-sns-message-id"], one.body) for one in got}
        assert len(identities) == len({message for message, _ in identities}) == len(owed)  # to the byte the same again
        assert hub.dead_letters(endpoint.id) == []
    with capsys.disabled():
        print(
            f"\n  insights: {len(owed)} events, {ENDPOINTS} endpoints, {len(owed) * ENDPOINTS} pairs "
            f"delivered, lost 0; 2 kills, {sum(repeated)} duplicates, at most {max(repeated)} an endpoint and crash"
        )
