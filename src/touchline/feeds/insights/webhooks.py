"""The webhook codec of insights: topics that are confirmed, an insight as it is posted, the handshakes around it.

Provider role here; what a receiver believes stands in ``receiving``. Everything that is posted is a function of the
record, the endpoint and the hub's signing material, so that retries and replays repeat the same bytes (DESIGN,
Delivery defaults). Sources: the seed; sheet 3 and 4.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

import msgspec

from touchline.feeds.base import (
    Admitted,
    EndpointView,
    Grants,
    Hosting,
    Instant,
    NeedCertificate,
    Outgoing,
    Prepared,
    Received,
    Subscription,
    Trust,
    subscription_id,
)
from touchline.feeds.insights import receiving
from touchline.feeds.insights.messages import FEED_NAME, INSIGHT_TYPE
from touchline.feeds.insights.topics import ARNS, TOPICS, chosen, matching, opened
from touchline.model import Event, Record
from touchline.wire import sns
from touchline.wire.hmac import for_secret
from touchline.wire.http import Pairs

DELIVERY: Final = "delivery"
CONTENT_TYPE: Final = "content_type"
SIGNATURE_VERSION: Final = "signature_version"

_RAW: Final = "raw"
_TEXT: Final = "text/plain; charset=UTF-8"
_JSON: Final = "application/json"
_USER_AGENT: Final = "Amazon Simple Notification Service Agent"
_MS_IN_NS: Final = 1_000_000
_SAMPLE_TEXT: Final = "This is a test: somebody asked the hub whether your endpoint takes insights."
_encode: Final = msgspec.json.Encoder().encode


def subscription_arn(endpoint: str, topic: str) -> str:
    """The ARN of an endpoint's subscription to a topic: that of the topic, a colon, and its id."""
    return f"{ARNS[topic]}:{subscription_id(endpoint, topic)}"


def mint() -> str:
    """The key that the hub's SNS messages are signed with, and its certificate."""
    return sns.make_signing("sns.touchline.invalid")


class InsightsCodec:
    """See ``feeds.base.WebhookCodec``."""

    admitted: Admitted = Admitted.CONFIRMED
    options: Mapping[str, tuple[str, ...]] = {
        DELIVERY: (_RAW, "envelope"),
        CONTENT_TYPE: ("text", "json"),
        SIGNATURE_VERSION: sns.VERSIONS,
    }
    receiver_options: Mapping[str, tuple[str, ...]] = receiving.OPTIONS
    own_headers: frozenset[str] = frozenset({"x-amz-"})
    needs_state: bool = False
    mint: Callable[[], str] | None = staticmethod(mint)

    # provider role

    def topics(self, texts: tuple[str, ...], options: Mapping[str, str], grants: Grants) -> tuple[str, ...]:
        """Each topic that the texts name and the grants open; it is asked for by a handshake of its own."""
        del options
        return chosen(texts, grants)

    def admitted_for(self, endpoint: EndpointView) -> Admitted:
        """Every topic is confirmed (seed, Subscription Confirmation)."""
        del endpoint
        return self.admitted

    def topic(self, record: Record) -> str:
        """The subject is the topic."""
        return record.event.subject

    def wants(self, record: Record, endpoint: EndpointView) -> bool:
        """Insights alone are pushed."""
        return record.event.type == INSIGHT_TYPE and record.event.subject in matching(endpoint.topics)

    def permits(self, grants: Grants, record: Record, state: Any | None) -> bool:
        """Grants open topics."""
        del state
        return record.event.partner is None and record.event.subject in opened(grants)

    def variant(self, endpoint: EndpointView) -> Hashable:
        """One body for all: what differs is signed per endpoint."""
        del endpoint
        return None

    def prepare(self, record: Record, variant: Any) -> Prepared | None:
        """The text that is signed, and the insight in it; both as they were normalised at publishing."""
        del variant
        if record.event.type != INSIGHT_TYPE or record.event.subject not in ARNS:
            return None
        # OUR CHOICE (sheet 3.3): epoch milliseconds; of the append, so that it is equal on every repetition.
        moment = b"%d" % (record.appended_at // _MS_IN_NS)
        return Prepared(record, b"%b.%b" % (moment, record.event.data), (moment, record.event.data))

    def finish(
        self, prepared: Prepared, endpoint: EndpointView, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing:
        """``{"timestamp","signature","insight"}``, alone or in a Notification; the HMAC is of the newest secret."""
        del now
        moment, insight = prepared.parts
        signature = for_secret(endpoint.secrets[0]).digest(prepared.body).hex()
        body = b'{"timestamp":%b,"signature":"%b","insight":%b}' % (moment, signature.encode(), insight)
        topic = prepared.record.event.subject
        arn = subscription_arn(endpoint.id, topic)
        raw = endpoint.options.get(DELIVERY, _RAW) == _RAW
        if not raw:
            body = self._signed(
                sns.Envelope(
                    sns.NOTIFICATION,
                    message_id,
                    TopicArn=ARNS[topic],
                    Message=body.decode(),
                    Timestamp=sns.timestamp(prepared.record.appended_at),
                    UnsubscribeURL=f"{hosting.base_url}/?Action=Unsubscribe&SubscriptionArn={arn}",
                ),
                endpoint,
                hosting,
            )
        return Outgoing(_headers(sns.NOTIFICATION, message_id, topic, endpoint, arn, raw=raw), body)

    def handshake(
        self, endpoint: EndpointView, subscription: Subscription, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing | None:
        """SubscriptionConfirmation, or UnsubscribeConfirmation for one that has ended (sheet 4)."""
        del now
        topic = subscription.topic
        topic_arn = ARNS.get(topic)
        if topic_arn is None:
            return None
        if subscription.state == "ended":
            kind, arn = sns.UNSUBSCRIBE_CONFIRMATION, subscription_arn(endpoint.id, topic)
            words = (
                f"You have chosen to deactivate subscription {arn}.\nTo cancel this operation and restore the"
                " subscription, visit the SubscribeURL included in this message."
            )
        else:
            kind, arn = sns.SUBSCRIPTION_CONFIRMATION, ""
            words = (
                f"You have chosen to subscribe to the topic {topic_arn}.\nTo confirm the subscription,"
                " visit the SubscribeURL included in this message."
            )
        # Not percent-encoded, as in the seed.
        url = f"{hosting.base_url}/?Action=ConfirmSubscription&TopicArn={topic_arn}&Token={subscription.token}"
        body = self._signed(
            sns.Envelope(
                kind,
                message_id,
                subscription.token,
                topic_arn,
                Message=words,
                SubscribeURL=url,
                Timestamp=sns.timestamp(subscription.issued_at),
            ),
            endpoint,
            hosting,
        )
        return Outgoing(_headers(kind, message_id, topic, endpoint, arn, raw=False), body)

    def sample(self, endpoint: EndpointView, now: Instant) -> Record:
        """An insight of the endpoint's first topic that says that it is a test."""
        topics = matching(endpoint.topics)
        topic = next((one for one in TOPICS if one in topics), TOPICS[0])
        league, kind, _ = topic.split("/")
        made_at = sns.timestamp(now.wall_ns)
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"touchline:sample:{endpoint.id}:{now.wall_ns}"))
        data = _encode(
            {
                "id": name,
                "league": league,
                "type": kind,
                "source": "touchline",
                "content": _SAMPLE_TEXT,
                "createdAt": made_at,
                "updatedAt": made_at,
            }
        )
        event = Event(FEED_NAME, INSIGHT_TYPE, topic, "urn:touchline:test", name, data, now.wall_ns, now.wall_ns)
        return Record(0, 0, now.wall_ns, event)

    @staticmethod
    def _signed(envelope: sns.Envelope, endpoint: EndpointView, hosting: Hosting) -> bytes:
        version = endpoint.options.get(SIGNATURE_VERSION, sns.VERSIONS[0])
        url = f"{hosting.base_url}/{sns.certificate_name(hosting.signing)}"
        envelope = msgspec.structs.replace(envelope, SignatureVersion=version, SigningCertURL=url)
        return _encode(msgspec.structs.replace(envelope, Signature=sns.sign(envelope, hosting.signing)))

    # consumer role

    def receive(self, headers: Pairs, body: bytes, trust: Trust, now: Instant) -> Received | NeedCertificate:
        """See ``receiving``."""
        return receiving.receive(headers, body, trust, now)


def _headers(kind: str, message_id: str, topic: str, endpoint: EndpointView, arn: str, *, raw: bool) -> Pairs:
    """SNS's headers (sheet 3.1), with names in lower case."""
    found = [
        ("content-type", _JSON if endpoint.options.get(CONTENT_TYPE) == "json" else _TEXT),
        ("user-agent", _USER_AGENT),
        ("x-amz-sns-message-type", kind),
        ("x-amz-sns-message-id", message_id),
        ("x-amz-sns-topic-arn", ARNS[topic]),
    ]
    if arn:
        found.append(("x-amz-sns-subscription-arn", arn))
    if raw:
        found.append(("x-amz-sns-rawdelivery", "true"))
    return tuple(found)
