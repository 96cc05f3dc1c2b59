"""SNS's query actions, the certificate, and the REST feed (FAULTS 15a and the sheet's errors)."""

from __future__ import annotations

import asyncio
import random
from xml.etree import ElementTree

import msgspec
import pytest

from touchline.feeds import registry
from touchline.feeds.base import Member, Operation, Subscription, subscription_id
from touchline.feeds.insights.http import operations
from touchline.feeds.insights.messages import Results
from touchline.feeds.insights.topics import ARNS
from touchline.feeds.insights.webhooks import subscription_arn
from touchline.log.directory import Directory
from touchline.log.endpoints import Endpoints
from touchline.log.memory import MemoryKeyValue
from touchline.testing.clock import FakeClock
from touchline.testing.memory import MemoryHub, run
from touchline.wire import sns
from touchline.wire.http import HttpResponse, Pairs
from touchline.wire.javascript import normalise

from . import worlds

NS = "{http://sns.amazonaws.com/doc/2010-03-31/}"


def operation(hub: MemoryHub, name: str) -> Operation:
    return next(one for one in operations(hub) if one.name == name)


def act(hub: MemoryHub, method: str = "GET", **query: str) -> HttpResponse:
    request = worlds.get("/", tuple(query.items()), ())
    return run(operation(hub, "insights_sns_action").handler(msgspec.structs.replace(request, method=method)))


def xml(answer: HttpResponse, path: str) -> str | None:
    assert answer.header("content-type") == "text/xml"
    return ElementTree.fromstring(answer.body).findtext("/".join(NS + part for part in path.split("/")))


def confirm(hub: MemoryHub, one: Subscription, arn: str | None = None) -> HttpResponse:
    return act(hub, Action="ConfirmSubscription", TopicArn=arn or ARNS[one.topic], Token=one.token)


def with_subscription(topic: str = worlds.TOPIC, **grants: str) -> tuple[MemoryHub, Subscription]:
    hub = worlds.new_hub(**grants)
    hub.held.append(worlds.subscription(topic))
    return hub, hub.held[0]


# confirming


def test_a_confirmed_topic_and_the_same_token_again() -> None:
    hub, one = with_subscription()
    arn = subscription_arn("ep_1", worlds.TOPIC)
    for _ in range(3):
        answer = confirm(hub, one)
        assert answer.status == 200
        assert xml(answer, "ConfirmSubscriptionResult/SubscriptionArn") == arn
        assert xml(answer, "ResponseMetadata/RequestId")
    assert [held.state for held in hub.held] == ["confirmed"]
    assert hub.held[0].id == arn.rpartition(":")[2] == subscription_id("ep_1", worlds.TOPIC)


def _refused(answer: HttpResponse, status: int, code: str) -> None:
    assert (answer.status, xml(answer, "Error/Code"), xml(answer, "Error/Type")) == (status, code, "Sender")
    assert xml(answer, "RequestId")


def test_tokens_that_are_no_good() -> None:
    hub, one = with_subscription()
    other = worlds.subscription("nba/highs/en", number=7)
    hub.held.append(other)
    _refused(confirm(hub, msgspec.structs.replace(one, token="x" * 320)), 400, "InvalidParameter")
    _refused(confirm(hub, one, ARNS[other.topic]), 400, "InvalidParameter")  # the token of another topic
    _refused(confirm(hub, one, "arn:aws:sns:us-east-1:1:<no>"), 404, "NotFound")
    _refused(act(hub, Action="ConfirmSubscription", TopicArn=ARNS[one.topic]), 400, "InvalidParameter")
    _refused(act(hub, Action="ConfirmSubscription", Token=one.token), 400, "InvalidParameter")
    hub.advance(48 * 3600)
    _refused(confirm(hub, one), 400, "InvalidParameter")
    assert {held.state for held in hub.held} == {"pending"}


@pytest.mark.parametrize("action", ["Publish", "confirmsubscription", ""])
def test_other_actions(action: str) -> None:
    _refused(act(worlds.new_hub(), Action=action), 400, "InvalidAction")


def test_a_link_checker_confirms_nothing() -> None:
    hub, one = with_subscription()
    answer = act(hub, "HEAD", Action="ConfirmSubscription", TopicArn=ARNS[one.topic], Token=one.token)
    assert answer.status == 400
    assert hub.held == [one]


def test_what_was_taken_away_is_not_confirmed() -> None:
    """The endpoint is gone, has the topic no more, or its partner is suspended or narrowed."""
    hub, one = with_subscription()
    hub.views.clear()
    _refused(confirm(hub, one), 404, "NotFound")
    hub.views.append(msgspec.structs.replace(worlds.endpoint(), topics=("nba/highs/en",)))
    _refused(confirm(hub, one), 403, "AuthorizationError")
    hub, one = with_subscription()
    hub.members[:] = [Member("acme", "insights", {"topic": frozenset({"nhl/*/*"})}, {"token": worlds.TOKEN})]
    _refused(confirm(hub, one), 403, "AuthorizationError")
    hub.members.clear()
    _refused(confirm(hub, one), 403, "AuthorizationError")
    assert hub.held == [one]


# ending


def test_unsubscribing_and_coming_back() -> None:
    hub, one = with_subscription()
    confirm(hub, one)
    arn = subscription_arn("ep_1", worlds.TOPIC)
    for _ in range(2):
        answer = act(hub, Action="Unsubscribe", SubscriptionArn=arn)
        assert answer.status == 200
        assert xml(answer, "ResponseMetadata/RequestId")
        assert (hub.held[0].state, hub.held[0].to_tell) == ("ended", True)
    told = worlds.CODEC.handshake(worlds.endpoint(), hub.held[0], "m", worlds.NOW, worlds.hosting())
    assert told is not None
    assert b"UnsubscribeConfirmation" in told.body
    assert confirm(hub, hub.held[0]).status == 200
    assert hub.held[0].state == "confirmed"


@pytest.mark.parametrize(
    ("arn", "status", "code"),
    [
        ("", 400, "InvalidParameter"),
        ("x", 400, "InvalidParameter"),
        (f"arn:aws:sns:us-east-1:1:<x>:{subscription_id('ep_1', worlds.TOPIC)}", 400, "InvalidParameter"),
        (f"{ARNS[worlds.TOPIC]}:nonsense", 404, "NotFound"),
        (f"{ARNS['nba/highs/en']}:{subscription_id('ep_1', worlds.TOPIC)}", 404, "NotFound"),
        (subscription_arn("ep_2", worlds.TOPIC), 404, "NotFound"),
    ],
)
def test_unsubscribing_from_what_is_not_there(arn: str, status: int, code: str) -> None:
    hub, one = with_subscription()
    confirm(hub, one)
    _refused(act(hub, Action="Unsubscribe", SubscriptionArn=arn), status, code)
    assert hub.held[0].state == "confirmed"


class _RealSubscriptions(MemoryHub):
    """A hub whose subscriptions are in the real directory of endpoints."""

    endpoints_directory: Endpoints

    @property
    def subscriptions(self) -> Endpoints:  # type: ignore[override]
        """The real ones."""
        return self.endpoints_directory


async def test_a_subscription_in_the_real_directory_from_asking_to_asking_again() -> None:
    """Its ARN finds it; asked for again while it is confirmed, it goes on, and only the newest token is good."""
    member = Member("acme", "insights", {}, {"token": worlds.TOKEN})
    hub = _RealSubscriptions(registry.load("insights"), [member], worlds.BASE_URL)
    kv, clock, entropy = MemoryKeyValue(), FakeClock(hub.wall_ns), random.Random(1).randbytes
    directory = Directory(kv, clock, entropy)
    await directory.start()
    await directory.add_member("acme", "insights", hub.feed.credentials, {}, {})
    head = 7
    endpoints = Endpoints(kv, directory, clock, entropy, lambda: head, {"insights": worlds.CODEC.options})
    await endpoints.start()
    hub.endpoints_directory = endpoints
    made = await endpoints.add(
        "acme", "insights", "https://a.example/", topics=("nba/*/*",), label="", options={}, secret="s",
        ask=[worlds.TOPIC],
    )  # fmt: skip
    handler = operation(hub, "insights_sns_action").handler

    async def call(**query: str) -> HttpResponse:
        return await handler(worlds.get("/", tuple(query.items()), ()))

    def standing() -> Subscription:
        (one,) = endpoints.subscriptions_of(made.id)
        return one

    arn = subscription_arn(made.id, worlds.TOPIC)
    first = standing().token
    asked = {"Action": "ConfirmSubscription", "TopicArn": ARNS[worlds.TOPIC]}
    answer = await call(**asked, Token=first)
    assert xml(answer, "ConfirmSubscriptionResult/SubscriptionArn") == arn
    head = 20
    await endpoints.change(made.id, ask=[worlds.TOPIC], again=True)
    assert (standing().state, standing().since) == ("confirmed", 7), "what it is owed does not change meanwhile"
    _refused(await call(**asked, Token=first), 400, "InvalidParameter")
    answer = await call(**asked, Token=standing().token)
    assert xml(answer, "ConfirmSubscriptionResult/SubscriptionArn") == arn
    assert (standing().state, standing().since) == ("confirmed", 7)
    assert (await call(Action="Unsubscribe", SubscriptionArn=arn)).status == 200
    assert (standing().state, standing().to_tell) == ("ended", True)
    assert (await call(**asked, Token=standing().token)).status == 200
    assert (standing().state, standing().since) == ("confirmed", 20)
    await endpoints.change(made.id, topics=("nba/highs/en",), ask=["nba/highs/en"])
    ended = next(one for one in endpoints.subscriptions_of(made.id) if one.topic == worlds.TOPIC)
    _refused(await call(**asked, Token=ended.token), 403, "AuthorizationError")
    await endpoints.remove(made.id)
    _refused(await call(**asked, Token=ended.token), 400, "InvalidParameter")
    _refused(await call(Action="Unsubscribe", SubscriptionArn=arn), 404, "NotFound")
    await endpoints.close()
    await directory.close()


# the certificate


def test_the_certificate_is_served_under_its_own_name_alone() -> None:
    hub = worlds.new_hub()
    name = sns.certificate_name(worlds.signing())
    handler = operation(hub, "insights_signing_certificate").handler
    right = name.removeprefix("SimpleNotificationService-").removesuffix(".pem")
    answer = run(handler(worlds.get("/", id=right)))
    assert (answer.status, answer.body) == (200, sns.certificate(worlds.signing()))
    assert b"PRIVATE" not in answer.body
    for wrong in ("0" * 32, right[:-1], right.upper() + "x", "../etc"):
        assert run(handler(worlds.get("/", id=wrong))).status == 404


# REST


def ask(
    hub: MemoryHub, query: Pairs = (), headers: Pairs = (("authorization", worlds.TOKEN),), **path: str
) -> HttpResponse:
    parts = {
        "league": "nba",
        "language": "en",
        "insight_type": "milestones",
        "subject": "team",
        "subjectId": "t1",
    } | path
    request = worlds.get("/", query, headers, **parts)
    return run(operation(hub, "insights_v2").handler(request))


def results(answer: HttpResponse) -> list[bytes]:
    assert answer.status == 200
    return [bytes(one) for one in msgspec.json.decode(answer.body, type=Results).results]


def many(hub: MemoryHub, count: int, **fields: str) -> None:
    for number in range(count):
        data = {"id": f"i{len(hub.stored)}", "number": number, "event": {"teamId": "t1"}, **fields}
        hub.publish(worlds.KIND, worlds.TOPIC, msgspec.json.encode(data))


@pytest.mark.parametrize(
    ("subject", "subject_id"),
    [
        ("game", "027115fa-c2c0-4752-a753-8bf5e5460cf3"),
        ("game", "sr:match:45785631"),
        ("team", "583eccfa-fb46-11e1-82cb-f4ce4684ea4c"),
        ("team", "sr:competitor:3422"),
        ("player", "d0c7135a-1aea-40cb-ba20-df656de71749"),
        ("player", "sr:player:1876136"),
    ],
)
def test_every_pushed_insight_is_its_rest_item_byte_for_byte(subject: str, subject_id: str) -> None:
    hub = worlds.new_hub()
    record = hub.publish(worlds.KIND, worlds.TOPIC, worlds.INSIGHT)
    (item,) = results(ask(hub, subject=subject, subjectId=subject_id))
    assert item == normalise(worlds.INSIGHT)
    assert b'"insight":' + item + b"}" in worlds.posted().body
    assert record.event.data == item
    assert results(ask(hub, subject=subject, subjectId="somebody-else")) == []


def test_an_insight_that_came_again_is_there_once() -> None:
    hub = worlds.new_hub()
    for number in (1, 2):
        hub.publish(worlds.KIND, worlds.TOPIC, b'{"id":"x","n":%d,"event":{"teamId":"t1"}}' % number)
    assert results(ask(hub)) == [b'{"id":"x","n":2,"event":{"teamId":"t1"}}']


def test_pages_of_fifty_lose_and_repeat_nothing_while_more_is_published() -> None:
    hub = worlds.new_hub()
    many(hub, 120)
    seen: list[bytes] = []
    query: Pairs = ()
    sizes = []
    while True:
        answer = ask(hub, query)
        page = results(answer)
        sizes.append(len(page))
        seen += page
        token = msgspec.json.decode(answer.body).get("pageToken")
        if token is None:
            break
        query = (("pageToken", token),)
        many(hub, 3)
    assert sizes == [50, 50, 20]
    assert [msgspec.json.decode(one)["id"] for one in seen] == [f"i{number}" for number in reversed(range(120))]


def test_exactly_one_page_has_no_token() -> None:
    hub = worlds.new_hub()
    many(hub, 50)
    assert "pageToken" not in msgspec.json.decode(ask(hub).body)


@pytest.mark.parametrize("token", ["x", "", "=", "é", "A" * 10_000, "aW5zaWdodHMtdjI6LTE", "aW5zaWdodHMtdjI6MTA=="])
def test_a_page_token_that_is_none(token: str) -> None:
    answer = ask(worlds.new_hub(), (("pageToken", token),))
    assert (answer.status, msgspec.json.decode(answer.body)) == (400, {"message": "pageToken is not valid"})


def test_the_book_filter() -> None:
    hub = worlds.new_hub()
    many(hub, 2, bookId="sr:book:1")
    many(hub, 3, bookId="sr:book:2")
    many(hub, 1)
    assert [len(results(ask(hub, query))) for query in ((), (("bookId", "sr:book:2"),), (("bookId", "x"),))] == [
        6,
        3,
        0,
    ]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ({"league": "cricket"}, 404, "Not Found"),
        ({"insight_type": "goals"}, 404, "Not Found"),
        ({"subject": "venue"}, 404, "Not Found"),
        ({"language": "jp"}, 400, "language must be one of"),
        ({"language": "fr"}, 400, "scoring only"),
        ({"language": "fr", "insight_type": "scoring"}, 200, ""),
    ],
)
def test_what_is_not_there(path: dict[str, str], status: int, words: str) -> None:
    answer = ask(worlds.new_hub(), **path)
    assert answer.status == status
    assert words in msgspec.json.decode(answer.body).get("message", "")


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ((), 401, "Unauthorized"),
        ((("authorization", ""),), 401, "Unauthorized"),
        ((("authorization", "wrong"),), 403, "Forbidden"),
        ((("authorization", f"Bearer {worlds.TOKEN}"),), 403, "Forbidden"),
        ((("authorization", "\xfc\xff"),), 403, "Forbidden"),
    ],
)
def test_who_may_not_ask(headers: Pairs, status: int, words: str) -> None:
    hub = worlds.new_hub()
    answer = ask(hub, headers=headers)
    assert (answer.status, msgspec.json.decode(answer.body)) == (status, {"message": words})
    assert len(hub.failures) == (status == 403)
    assert worlds.TOKEN not in repr(hub.failures)


def test_too_many_wrong_tokens() -> None:
    hub = worlds.new_hub()
    hub.locked["192.0.2.7"] = 12.2
    answer = ask(hub)
    assert (answer.status, answer.header("retry-after")) == (429, "13")


def test_grants_close_topics_in_rest_too() -> None:
    hub = worlds.new_hub(topic="nhl/*/*")
    assert ask(hub).status == 403
    assert ask(hub, league="nhl").status == 200


def test_a_path_of_the_feed_does_not_take_the_console() -> None:
    found = operation(worlds.new_hub(), "insights_sns_action")
    assert (found.path, found.when_query) == ("/", ("Action",))
    assert asyncio.iscoroutinefunction(found.handler)
