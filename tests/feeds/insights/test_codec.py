"""What insights posts: topics and grants, the body and its HMAC, SNS headers, handshakes after the seed's example."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import msgspec
import pytest

from touchline.feeds.base import Admitted, Grants, Instant
from touchline.feeds.insights import topics
from touchline.feeds.insights.webhooks import subscription_arn
from touchline.wire import sns
from touchline.wire.http import first
from touchline.wire.javascript import normalise

from . import worlds
from .worlds import CODEC

SEED = json.loads((worlds.PAYLOADS / "subscription_confirmation.json").read_bytes())


def granted(*patterns: str) -> Grants:
    return {"topic": frozenset(patterns)} if patterns else {}


# topics


def test_there_are_78_topics_and_as_many_arns() -> None:
    assert len(topics.TOPICS) == len(set(topics.ARNS.values())) == 78
    assert topics.ARNS["nfl/milestones/en"] == SEED["TopicArn"]
    for topic, arn in topics.ARNS.items():
        assert topics.by_arn(arn) == topics.by_name_in_arn(arn) == topic
        assert len(arn.rpartition("-")[2]) == 12


@pytest.mark.parametrize(
    ("arn", "topic"),
    [
        ("arn:aws:sns:eu-west-1:123456789012:dev-NcaafbTeamBettingTrendsPushTopic-X", "ncaafb/team_betting_trends/en"),
        ("arn:aws:sns:us-east-1:123456789012:radar360-push-dev-NbaScoringItPushTopic", "nba/scoring/it"),
        ("arn:aws:sns:us-east-1:123456789012:insights", None),
        ("arn:aws:sns:us-east-1:123456789012:radar360-push-dev-NbaHighsFrPushTopic-X", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_topic_that_another_accounts_arn_names(arn: str, topic: str | None) -> None:
    assert topics.by_name_in_arn(arn) == topic


def test_patterns_expand_to_what_exists_and_is_granted() -> None:
    assert CODEC.topics(("*/*/*",), {}, {}) == topics.TOPICS
    assert CODEC.topics(("nba/highs/*", "nba/highs/en"), {}, {}) == ("nba/highs/en",)
    assert CODEC.topics(("nhl/scoring/*",), {}, granted("*/*/fr", "nhl/*/en")) == ("nhl/scoring/en", "nhl/scoring/fr")
    assert CODEC.topics(("*/scoring/de",), {}, {}) == tuple(f"{league}/scoring/de" for league in topics.LEAGUES)


@pytest.mark.parametrize(
    ("texts", "grants", "words"),
    [
        ((), (), "needs topics"),
        (("nba",), (), "<league>/<insightType>/<locale>"),
        (("nba/highs/en/x",), (), "<league>/<insightType>/<locale>"),
        (("nba//en",), (), "<league>/<insightType>/<locale>"),
        (("*",), (), "<league>/<insightType>/<locale>"),
        (("cricket/highs/en",), (), "no league"),
        (("nba/goals/en",), (), "no insight type"),
        (("nba/highs/jp",), (), "no locale"),
        (("NBA/highs/en",), (), "no league"),
        (("nba/highs/fr",), (), "scoring only"),
        (("*/highs/fr",), (), "scoring only"),
        (("nba/highs/en", "nhl/highs/en"), ("nba/*/*",), "not open to this partner"),
        (("nhl/*/*",), ("nba/*/*",), "not open to this partner"),
        (("nba/*/*",), ("nonsense",), "not open to this partner"),
    ],
)
def test_what_is_no_topic_is_refused_with_the_reason(
    texts: tuple[str, ...], grants: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        CODEC.topics(texts, {}, granted(*grants))


@pytest.mark.parametrize("subject", ["nba/highs/fr", "nba/highs", "*/highs/en", "x/highs/en", "nba/highs/en/"])
def test_publishing_to_what_is_no_topic_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        worlds.new_hub().publish(worlds.KIND, subject, b"{}")


def test_who_gets_what() -> None:
    hub, view = worlds.new_hub(), worlds.endpoint()
    milestones = hub.publish(worlds.KIND, worlds.TOPIC, b"{}")
    french = hub.publish(worlds.KIND, "nhl/scoring/fr", b"{}")
    english = hub.publish(worlds.KIND, "nhl/scoring/en", b"{}")
    unknown = hub.publish("insights.other", worlds.TOPIC, b"{}")
    elsewhere = hub.publish("insights.other", "anywhere", b"{}")
    assert [CODEC.wants(record, view) for record in hub.stored] == [True, True, False, False, False]
    assert [CODEC.permits(granted("nba/*/*"), record, None) for record in (milestones, french)] == [True, False]
    assert CODEC.permits({}, english, None)
    assert CODEC.topic(french) == "nhl/scoring/fr"
    assert CODEC.prepare(unknown, None) is None
    assert CODEC.prepare(elsewhere, None) is None
    assert CODEC.admitted_for(view) is Admitted.CONFIRMED


# the message


def test_the_body_holds_the_insight_verbatim_and_is_signed_over_it() -> None:
    sent = worlds.posted()
    text = normalise(worlds.INSIGHT)
    moment = str(worlds.NOW.wall_ns // 1_000_000)
    signature = hmac.new(worlds.SECRET.encode(), moment.encode() + b"." + text, hashlib.sha256).hexdigest()
    assert sent.body == b'{"timestamp":%b,"signature":"%b","insight":%b}' % (moment.encode(), signature.encode(), text)
    assert dict(sent.headers) == {
        "content-type": "text/plain; charset=UTF-8",
        "user-agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": worlds.MESSAGE_ID,
        "x-amz-sns-topic-arn": topics.ARNS[worlds.TOPIC],
        "x-amz-sns-subscription-arn": subscription_arn("ep_1", worlds.TOPIC),
        "x-amz-sns-rawdelivery": "true",
    }


def test_the_newest_secret_signs() -> None:
    view = msgspec.structs.replace(worlds.endpoint(), secrets=("new", worlds.SECRET))
    assert worlds.posted(view=view).body == worlds.posted(view=msgspec.structs.replace(view, secrets=("new",))).body
    assert worlds.posted(view=view).body != worlds.posted().body


@pytest.mark.parametrize("version", sns.VERSIONS)
def test_the_envelope(version: str) -> None:
    raw = worlds.posted()
    sent = worlds.posted(view=worlds.endpoint(delivery="envelope", signature_version=version, content_type="json"))
    made = json.loads(sent.body)
    assert list(made) == [
        "Type", "MessageId", "TopicArn", "Message", "Timestamp", "SignatureVersion", "Signature", "SigningCertURL",
        "UnsubscribeURL",
    ]  # fmt: skip
    assert made["Message"].encode() == raw.body
    assert made["Timestamp"] == "2026-11-19T12:00:00.000Z"
    arn = subscription_arn("ep_1", worlds.TOPIC)
    assert made["UnsubscribeURL"] == f"{worlds.BASE_URL}/?Action=Unsubscribe&SubscriptionArn={arn}"
    assert first(sent.headers, "content-type") == "application/json"
    assert first(sent.headers, "x-amz-sns-rawdelivery") is None
    sns.verify(msgspec.json.decode(sent.body, type=sns.Envelope), sns.certificate(worlds.signing()))


def test_a_later_attempt_has_the_same_bytes() -> None:
    view = worlds.endpoint(delivery="envelope", signature_version="2")
    record = worlds.new_hub().publish(worlds.KIND, worlds.TOPIC, worlds.INSIGHT)
    prepared = CODEC.prepare(record, None)
    assert prepared is not None
    moments = (worlds.NOW, Instant(worlds.NOW.wall_ns + 10**12, 5000.0))
    once, again = (CODEC.finish(prepared, view, worlds.MESSAGE_ID, now, worlds.hosting()) for now in moments)
    assert once == again


# handshakes


def test_a_handshake_is_as_in_the_seed() -> None:
    """With the seed's own token, address and time, all that differs is what the key of its sender makes."""
    asked = msgspec.structs.replace(
        worlds.subscription("nfl/milestones/en"), token=SEED["Token"], issued_at=1_698_166_527_813_000_000
    )
    hosting = msgspec.structs.replace(worlds.hosting(), base_url="https://sns.us-east-1.amazonaws.com")
    sent = CODEC.handshake(worlds.endpoint(), asked, SEED["MessageId"], worlds.NOW, hosting)
    assert sent is not None
    made = json.loads(sent.body)
    assert list(made) == list(SEED)
    of_the_key = ("Signature", "SigningCertURL")
    assert {name: made[name] for name in SEED if name not in of_the_key} == {
        name: SEED[name] for name in SEED if name not in of_the_key
    }
    assert made["SigningCertURL"] == f"https://sns.us-east-1.amazonaws.com/{sns.certificate_name(worlds.signing())}"
    assert len(base64.b64decode(made["Signature"])) == len(base64.b64decode(SEED["Signature"]))
    sns.verify(msgspec.json.decode(sent.body, type=sns.Envelope), sns.certificate(worlds.signing()))
    assert dict(sent.headers) == {
        "content-type": "text/plain; charset=UTF-8",
        "user-agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": "SubscriptionConfirmation",
        "x-amz-sns-message-id": SEED["MessageId"],
        "x-amz-sns-topic-arn": SEED["TopicArn"],
    }


def test_a_confirmed_subscription_is_asked_for_again_in_the_same_words() -> None:
    pending, confirmed = worlds.subscription(), worlds.subscription(state="confirmed")
    sent = [CODEC.handshake(worlds.endpoint(), one, "m", worlds.NOW, worlds.hosting()) for one in (pending, confirmed)]
    assert sent[0] == sent[1]


def test_the_end_of_a_subscription_is_told() -> None:
    sent = CODEC.handshake(worlds.endpoint(), worlds.subscription(state="ended"), "m", worlds.NOW, worlds.hosting())
    assert sent is not None
    made = json.loads(sent.body)
    arn = subscription_arn("ep_1", worlds.TOPIC)
    assert made["Type"] == "UnsubscribeConfirmation"
    assert made["Message"].startswith(f"You have chosen to deactivate subscription {arn}.\n")
    assert "Action=ConfirmSubscription" in made["SubscribeURL"]
    assert first(sent.headers, "x-amz-sns-subscription-arn") == arn
    sns.verify(msgspec.json.decode(sent.body, type=sns.Envelope), sns.certificate(worlds.signing()))


def test_a_topic_that_is_none_is_not_asked_for() -> None:
    gone = msgspec.structs.replace(worlds.subscription(), topic="nba/gone/en")
    assert CODEC.handshake(worlds.endpoint(), gone, "m", worlds.NOW, worlds.hosting()) is None


def test_what_is_minted_signs() -> None:
    assert CODEC.mint is not None
    made = CODEC.mint()
    assert sns.certificate_name(made) != sns.certificate_name(worlds.signing())


def test_a_sample_is_of_a_topic_of_the_endpoint() -> None:
    view = msgspec.structs.replace(worlds.endpoint(), topics=("nhl/scoring/fr",))
    record = CODEC.sample(view, worlds.NOW)
    assert record.event.subject == "nhl/scoring/fr"
    assert normalise(record.event.data) == record.event.data
    assert CODEC.wants(record, view)
