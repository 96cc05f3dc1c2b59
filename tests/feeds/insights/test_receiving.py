"""What a receiver of insights takes and what it does not (FAULTS 25), and the golden vectors that Node signed."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import Instant, NeedCertificate, Received, Trust
from touchline.feeds.insights.receiving import may_visit
from touchline.wire import sns
from touchline.wire.http import Pairs
from touchline.wire.javascript import normalise

from . import worlds
from .worlds import CODEC

VECTORS = json.loads((worlds.PAYLOADS / "javascript_vectors.json").read_bytes())
HEADERS: Pairs = (("content-type", "text/plain; charset=UTF-8"),)


def message(
    insight: str,
    timestamp: str = "1795089600000",
    secret: str = worlds.SECRET,
    changed: Mapping[str, str] | None = None,
) -> bytes:
    """A raw message, signed over the insight's own bytes; then some fields are changed ('' takes one out)."""
    plain = json.loads(timestamp)
    moment = plain if isinstance(plain, str) else timestamp
    signature = hmac.new(secret.encode(), f"{moment}.{insight}".encode(), hashlib.sha256).hexdigest()
    fields = {"timestamp": timestamp, "signature": json.dumps(signature), "insight": insight, **(changed or {})}
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items() if value) + "}").encode()


def receive(body: bytes, trust: Trust | None = None, headers: Pairs = HEADERS, now: Instant = worlds.NOW) -> Received:
    received = CODEC.receive(headers, body, trust or worlds.trust(), now)
    assert isinstance(received, Received)
    return received


def refused(body: bytes, trust: Trust | None = None, words: str | None = None, headers: Pairs = HEADERS) -> None:
    with pytest.raises(RemoteProtocolError, match=words):
        CODEC.receive(headers, body, trust or worlds.trust(), worlds.NOW)


# the HMAC


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["text"][:40])
def test_what_node_signed_is_taken(vector: Mapping[str, str]) -> None:
    body = f'{{"timestamp":{vector["timestamp"]},"signature":"{vector["signature"]}","insight":{vector["insight"]}}}'
    assert receive(body.encode(), worlds.trust(VECTORS["secret"])).kind == "event"


def test_a_message_is_decoded() -> None:
    sent = worlds.posted()
    received = receive(sent.body, headers=sent.headers)
    (event,) = received.events
    assert (received.kind, received.confirm_url, received.message_id) == ("event", None, worlds.MESSAGE_ID)
    assert (event.feed, event.type, event.subject, event.id) == (
        "insights",
        worlds.KIND,
        worlds.TOPIC,
        worlds.MESSAGE_ID,
    )
    assert event.data == normalise(worlds.INSIGHT)
    assert event.occurred_at == 1_795_089_570_000_000_000
    assert received.payload == sent.body
    assert received.answer.status == 200


@pytest.mark.parametrize("timestamp", ["1795089600000", '"1795089600000"', '"2026-11-19T12:00:00Z"', '"whenever"'])
def test_a_timestamp_is_signed_as_javascript_prints_it(timestamp: str) -> None:
    assert receive(message('{"a":1}', timestamp)).kind == "event"


@pytest.mark.parametrize(
    ("timestamp", "moment"),
    [
        ("1.7950896e12", "1795089600000"),
        ("1795089600000.0", "1795089600000"),
        ("9007199254740993", "9007199254740992"),
        ("-1", "-1"),
        ("-0", "0"),
        ("0.5", "0.5"),
    ],
)
def test_a_timestamp_that_javascript_spells_otherwise(timestamp: str, moment: str) -> None:
    signature = hmac.new(worlds.SECRET.encode(), f'{moment}.{{"a":1}}'.encode(), hashlib.sha256).hexdigest()
    assert receive(f'{{"timestamp":{timestamp},"signature":"{signature}","insight":{{"a":1}}}}'.encode())


def test_the_last_of_equal_names_counts() -> None:
    signed = message('{"id":"x"}')
    assert receive(signed[:1] + b'"insight":{"id":"y"},' + signed[1:]).events[0].data == b'{"id":"x"}'
    refused(signed[:-1] + b',"insight":{"id":"y"}}', words="signature is wrong")


def test_what_was_signed_as_it_stands_is_taken_too() -> None:
    assert receive(message('{"a": 1.0, "10":1, "2":2}')).kind == "event"


def test_a_signature_over_what_python_prints_is_not() -> None:
    reprinted = json.dumps({"a": 1.0, "é": 1e-7})
    signature = hmac.new(worlds.SECRET.encode(), f"1.{reprinted}".encode(), hashlib.sha256).hexdigest()
    refused(f'{{"timestamp":1,"signature":"{signature}","insight":{{"a":1,"é":1e-7}}}}'.encode(), words="wrong")


@pytest.mark.parametrize(
    "fields",
    [
        {"signature": ""},
        {"signature": '"' + "0" * 64 + '"'},
        {"signature": '"é☂"'},
        {"signature": '"\\ud800"'},
        {"signature": "17"},
        {"signature": "null"},
        {"signature": '["x"]'},
        {"timestamp": "1795089600001"},
        {"timestamp": "null"},
        {"timestamp": '{"a":1}'},
        {"timestamp": ""},
        {"insight": '{"a":2}'},
        {"insight": ""},
        {"insight": "[1]"},
    ],
    ids=str,
)
def test_wrong_or_missing_parts_are_refused(fields: Mapping[str, str]) -> None:
    refused(message('{"a":1}', changed=fields))


def test_an_insight_that_is_no_object_is_refused_though_signed() -> None:
    for text in ("[1]", '"text"', "1", "null"):
        refused(message(text), words="not an object")


def test_two_secrets_during_a_rotation() -> None:
    body = message('{"a":1}', secret="old")
    assert receive(body, worlds.trust("new", "old")).kind == "event"
    refused(body, worlds.trust("new"), "signature is wrong")
    assert receive(body, Trust()).kind == "event", "who shares no secret verifies none"


def test_a_stale_timestamp() -> None:
    body = message('{"a":1}')
    within = msgspec.structs.replace(worlds.trust(), tolerance_seconds=60.0)
    for seconds, good in ((0, True), (60, True), (61, False), (-61, False)):
        now = Instant(worlds.NOW.wall_ns + seconds * 10**9, 0.0)
        if good:
            assert receive(body, within, now=now).kind == "event"
        else:
            with pytest.raises(RemoteProtocolError, match="s old"):
                CODEC.receive(HEADERS, body, within, now)
    refused(message('{"a":1}', '"whenever"'), within, "no time")


def test_a_replayed_message_keeps_its_id() -> None:
    body = message('{"id":"x","updatedAt":"2026-11-19T12:00:00Z"}')
    assert receive(body).message_id == receive(body).message_id == "x:2026-11-19T12:00:00Z"
    assert receive(message("{}")).message_id is None


def test_a_message_without_a_topic_is_placed_by_its_own_words() -> None:
    assert receive(message('{"league":"NBA","type":"highs"}')).events[0].subject == "nba/highs/en"
    assert receive(message('{"league":"cricket"}')).events[0].subject == "unknown"


def test_compressed_with_and_without_saying_so() -> None:
    sent = worlds.posted()
    for headers in (sent.headers, (*sent.headers, ("content-encoding", "gzip"))):
        assert receive(gzip.compress(sent.body, mtime=0), headers=headers).message_id == worlds.MESSAGE_ID
        assert receive(sent.body, headers=headers).message_id == worlds.MESSAGE_ID
        refused(gzip.compress(sent.body, mtime=0)[:-9], headers=headers)
    refused(gzip.compress(b" " * 5_000_000, mtime=0), words="larger")


def test_lone_surrogates_are_verified() -> None:
    """Such text is not kept by the hub, but a receiver has to judge it."""
    assert receive(message('{"a":"\\ud800"}')).events[0].data == b'{"a":"\\ud800"}'


# without an HMAC


def test_a_message_without_a_signature_is_taken_only_where_that_was_asked_for() -> None:
    liberal = msgspec.structs.replace(worlds.trust(), options={"hmac": "optional"})
    unsigned = message('{"id":"x"}', changed={"signature": ""})
    refused(unsigned, words="no signature")
    assert receive(unsigned, liberal).events[0].data == b'{"id":"x"}'
    assert receive(b'{"id":"x"}', liberal).events[0].data == b'{"id":"x"}'
    refused(b'{"id":"x"}', words="no insight")
    refused(message('{"id":"x"}', secret="other"), liberal, "signature is wrong")
    refused(message('{"id":"x"}', changed={"signature": "null"}), liberal, "signature is wrong")
    refused(b'{"id":"x","signature":"y"}', liberal, "no insight")


# envelopes


def enveloped(**options: str) -> bytes:
    return worlds.posted(view=worlds.endpoint(delivery="envelope", **options)).body


def handshake(state: str = "pending", **changes: str) -> bytes:
    """A handshake, re-signed after the changes."""
    sent = CODEC.handshake(worlds.endpoint(), worlds.subscription(state=state), "m-1", worlds.NOW, worlds.hosting())
    assert sent is not None
    return resigned(sent.body, **changes)


def resigned(body: bytes, **changes: str) -> bytes:
    envelope = msgspec.structs.replace(msgspec.json.decode(body, type=sns.Envelope), **changes)
    signature = changes.get("Signature") or sns.sign(envelope, worlds.signing())
    return msgspec.json.encode(msgspec.structs.replace(envelope, Signature=signature))


@pytest.mark.parametrize("version", sns.VERSIONS)
def test_an_envelope_is_opened(version: str) -> None:
    received = receive(enveloped(signature_version=version), headers=())
    assert received.message_id == worlds.MESSAGE_ID
    assert received.events[0].subject == worlds.TOPIC
    assert received.events[0].data == normalise(worlds.INSIGHT)
    assert received.payload == worlds.posted().body


def test_the_certificate_is_asked_for_once_and_only_from_a_trusted_host() -> None:
    bare = msgspec.structs.replace(worlds.trust(), certificates={})
    url = f"{worlds.BASE_URL}/{sns.certificate_name(worlds.signing())}"
    for body in (enveloped(), handshake(), handshake("ended")):
        assert CODEC.receive((), body, bare, worlds.NOW) == NeedCertificate(url)
        refused(body, msgspec.structs.replace(bare, hosts=frozenset()), "not to be trusted")
        refused(body, msgspec.structs.replace(worlds.trust(), hosts=frozenset({"hub.example"})), "not to be trusted")
        refused(body, msgspec.structs.replace(bare, certificates={url: b"garbage"}), "certificate")


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-x.pem",
        "https://evil.example/SimpleNotificationService-x.pem",
        "https://sns.us-east-1.amazonaws.com.evil.example/x.pem",
        "https://sns.us-east-1.amazonaws.com@evil.example/x.pem",
        "https://user:pw@sns.us-east-1.amazonaws.com/x.pem",
        "https://user@hub.example:8443/x.pem",
        "https://evil.example\\@hub.example:8443/x.pem",
        "https://evil.example#@sns.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com:444/x.pem",
        "https://snsXus-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com/x.pem?y",
        "https://sns.us-east-1.amazonaws.com/?x.pem",
        "https://sns.us-east-1.amazonaws.com/x.crt",
        "https://sns.us-east-1.amazonaws.com/x.pem#",
        "https://sns.us-east-1.amazonaws.com/x.pem\n",
        "https://sns.us-east-1.amazonaws.com\r\n/x.pem",
        "https://sns.ü.amazonaws.com/x.pem",
        "https://hub.example/x.pem",
        "http://hub.example:8443/x.pem",
        "ftp://hub.example:8443/x.pem",
        "file:///x.pem",
        "//hub.example:8443/x.pem",
        "",
        "x",
    ],
)
def test_a_certificate_of_somewhere_else_is_never_fetched(url: str) -> None:
    for body in (enveloped(), handshake()):
        refused(resigned(body, SigningCertURL=url), words="not to be trusted")


@pytest.mark.parametrize(
    ("url", "hosts", "plain", "good"),
    [
        ("https://sns.us-east-1.amazonaws.com/x.pem", (), False, True),
        ("https://sns.us-east-1.amazonaws.com:443/x.pem", (), False, True),
        ("https://SNS.us-east-1.amazonaws.com/x.pem", (), False, True),
        ("https://sns.cn-north-1.amazonaws.com.cn/x.pem", (), False, True),
        ("http://sns.us-east-1.amazonaws.com/x.pem", (), True, False),
        ("https://sns.eu.amazonaws.com/x.pem", (), False, False),
        ("http://127.0.0.1:8080/x.pem", ("127.0.0.1:8080",), True, True),
        ("http://127.0.0.1:8080/x.pem", ("127.0.0.1:8080",), False, False),
        ("http://127.0.0.1:8080/x.pem", ("127.0.0.1",), True, False),
        ("http://127.0.0.1/x.pem", ("127.0.0.1:80",), True, True),
        ("https://hub.example:443/x.pem", ("Hub.Example",), False, True),
        ("https://[::1]:8443/x.pem", ("[::1]:8443",), False, True),
        ("https://sub.hub.example/x.pem", ("hub.example",), False, False),
    ],
)
def test_which_hosts_are_trusted(url: str, hosts: tuple[str, ...], plain: bool, good: bool) -> None:
    assert (may_visit(url, Trust(hosts=frozenset(hosts), plain_http=plain)) is not None) is good


@pytest.mark.parametrize(
    "changes", [{"Signature": "EXAMPLE"}, {"Signature": "é"}, {"SignatureVersion": "2", "Signature": "AAAA"}]
)
def test_an_envelope_with_a_wrong_signature(changes: dict[str, str]) -> None:
    for body in (enveloped(), handshake(), handshake("ended")):
        refused(resigned(body, **changes))


def test_an_envelope_with_a_right_signature_and_a_wrong_hmac() -> None:
    refused(resigned(enveloped(), Message=message('{"a":1}', secret="other").decode()), words="signature is wrong")
    refused(resigned(enveloped(), Message="hello"))
    refused(resigned(enveloped(), Message="[1]"))


@pytest.mark.parametrize("body", [b'{"Type":"Notification"}', b'{"Type":"SubscriptionConfirmation","MessageId":7}'])
def test_an_envelope_that_is_none(body: bytes) -> None:
    refused(body, words="envelope is wrong")


def test_an_envelope_of_an_unknown_type_is_no_envelope() -> None:
    refused(resigned(enveloped()).replace(b'"Notification"', b'"Other"'), words="no insight")


# handshakes


def test_a_handshake_says_where_to_confirm() -> None:
    received = receive(handshake())
    assert (received.kind, received.events, received.message_id) == ("confirmation", (), "m-1")
    assert received.confirm_url == json.loads(received.payload)["SubscribeURL"]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?Action=ConfirmSubscription&Token=x",
        "http://169.254.169.254/?Action=ConfirmSubscription",
        "https://user@hub.example:8443/?Action=ConfirmSubscription",
        "http://hub.example:8443/?Action=ConfirmSubscription",
        "https://hub.example:8443/?Action=DeleteTopic",
        "https://hub.example:8443/?Action=ConfirmSubscription&Action=DeleteTopic",
        "https://hub.example:8443/",
        "",
    ],
)
def test_a_handshake_that_leads_elsewhere_is_not_followed(url: str) -> None:
    received = receive(handshake(SubscribeURL=url))
    assert received.kind == "confirmation"
    assert received.confirm_url is None
    assert "not confirmed" in received.detail


def test_an_unsubscribe_confirmation_is_never_confirmed() -> None:
    received = receive(handshake("ended"))
    assert (received.kind, received.confirm_url) == ("unsubscribed", None)


def test_a_stale_handshake() -> None:
    within = msgspec.structs.replace(worlds.trust(), tolerance_seconds=60.0)
    assert receive(handshake(), within).kind == "confirmation"
    with pytest.raises(RemoteProtocolError, match="s old"):
        CODEC.receive((), handshake(), within, Instant(worlds.NOW.wall_ns + 3600 * 10**9, 0.0))


def test_the_seeds_own_handshake_needs_amazons_certificate() -> None:
    body = (worlds.PAYLOADS / "subscription_confirmation.json").read_bytes()
    url = json.loads(body)["SigningCertURL"]
    assert CODEC.receive((), body, Trust(), worlds.NOW) == NeedCertificate(url)
    refused(body, Trust(certificates={url: sns.certificate(worlds.signing())}), "SNS signature is wrong")
    ignored = receive(body, Trust(options={"sns_signature": "ignored"}))
    assert ignored.confirm_url == json.loads(body)["SubscribeURL"]


# anything


@settings(max_examples=400, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=80),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
            lambda inner: st.dictionaries(
                st.sampled_from(
                    ["timestamp", "signature", "insight", "Type", "Message", "MessageId", "SigningCertURL"]
                ),
                st.one_of(inner, st.sampled_from([*sns.TYPES, "https://hub.example:8443/x.pem"])),
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
    options=st.sampled_from(
        [{}, {"hmac": "optional"}, {"sns_signature": "ignored"}, {"hmac": "optional", "sns_signature": "ignored"}]
    ),
)
def test_nothing_but_a_protocol_error(body: bytes, options: dict[str, str]) -> None:
    try:
        received = CODEC.receive(HEADERS, body, msgspec.structs.replace(worlds.trust(), options=options), worlds.NOW)
    except RemoteProtocolError:
        return
    assert isinstance(received, Received | NeedCertificate)
    assert options or isinstance(received, NeedCertificate), "nothing unsigned is taken without being asked for"


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 10_000), turned=st.integers(1, 255), which=st.sampled_from(["raw", "envelope", "handshake"]))
def test_a_turned_byte_is_refused_or_changes_nothing(at: int, turned: int, which: str) -> None:
    body = {"raw": _RAW, "envelope": _ENVELOPE, "handshake": _HANDSHAKE}[which]
    at %= len(body)
    changed = body[:at] + bytes([body[at] ^ turned]) + body[at + 1 :]
    try:
        received = CODEC.receive(HEADERS, changed, worlds.trust(), worlds.NOW)
    except RemoteProtocolError:
        return
    if isinstance(received, Received):
        original = receive(body)
        assert [event.data for event in received.events] == [event.data for event in original.events]
        assert received.confirm_url == original.confirm_url


_RAW = worlds.posted(b'{"id":"x","content":"short"}').body
_ENVELOPE = worlds.posted(b'{"id":"x"}', view=worlds.endpoint(delivery="envelope")).body
_HANDSHAKE = handshake()
