"""What a receiver of insights believes: HMAC, SNS signature, addresses that may be visited.

Takes the object raw or in an SNS envelope, text/plain or JSON, and SNS's handshakes. The HMAC covers what JavaScript
prints of the insight (seed), so it is compared with that; and with the bytes as they came, for senders that sign those
(sheet 3.3). An SNS signature proves that SNS sent it, not whose topic it is: the HMAC proves that.
"""

from __future__ import annotations

import re
from binascii import hexlify
from hmac import compare_digest
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

import msgspec
from msgspec import Raw, Struct

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import Instant, NeedCertificate, Received, Trust
from touchline.feeds.insights.messages import FEED_NAME, INSIGHT_TYPE
from touchline.feeds.insights.topics import by_name_in_arn, refusal
from touchline.model import Event
from touchline.wire import javascript, rfc3339, sns
from touchline.wire.gzip import inflate
from touchline.wire.hmac import for_secret
from touchline.wire.http import Pairs, first

HMAC: Final = "hmac"
SNS_SIGNATURE: Final = "sns_signature"
OPTIONS: Final = {HMAC: ("required", "optional"), SNS_SIGNATURE: ("required", "ignored")}
"""hmac=optional takes a message without one (a wrong one never); sns_signature=ignored does not look at SNS's, which
serves an SNS emulator. The first of each is the default."""

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
UNKNOWN_TOPIC: Final = "unknown"
"""``subject`` of an insight that neither its topic's ARN nor its own fields place."""

_SOURCE: Final = "urn:sportradar:insights"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_MS_IN_NS: Final = 1_000_000
_AMAZON: Final = re.compile(r"sns\.[a-z0-9-]{3,}\.amazonaws\.com(?:\.cn)?\Z")
_DEFAULT_PORTS: Final = {"https": "443", "http": "80"}
_URL: Final = re.compile(
    r"""(?P<scheme>https?)://
        (?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])
        (?::(?P<port>[0-9]{1,5}))?
        (?P<path>/[!"$-\[\]-~]*)\Z""",
    re.VERBOSE,
)
"""No user information, no fragment, no backslash, nothing outside printable ASCII."""
_MAX_MILLISECONDS_DIGITS: Final = 16


class _Message(Struct, frozen=True, gc=False):
    """A message as nearly every sender makes it, decoded in one go; whatever does not fit takes the careful way."""

    insight: Raw
    signature: str
    timestamp: str | Annotated[int, msgspec.Meta(ge=0, le=javascript.MAX_SAFE)]
    Type: None = None


class _Signed(Struct, frozen=True, gc=False):
    """An insight as it stands in the message, and what vouches for it: the timestamp as JavaScript puts it into the
    signed text ('' when there is none), and the signature (None when there is none)."""

    insight: bytes
    moment: str
    signature: str | None


class _Content(Struct):
    """What is looked at in an insight."""

    id: Any = None
    updatedAt: Any = None  # noqa: N815 - the provider's spelling
    league: Any = None
    type: Any = None


_message: Final = msgspec.json.Decoder(_Message).decode
_decode: Final = msgspec.json.Decoder(_Content).decode


def receive(headers: Pairs, body: bytes, trust: Trust, now: Instant) -> Received | NeedCertificate:
    """See ``feeds.base.WebhookCodec.receive``."""
    try:
        if body[:2] == _GZIP_MAGIC:
            body = inflate(body, MAX_BODY_BYTES)
        body.decode()  # also what no field is read from: it is handed on
        signed = _plain(body)
        if signed is None:
            fields = javascript.members(body)
            if _word(fields.get("Type")) in sns.TYPES:
                return _enveloped(headers, body, trust, now)
            signed = _carefully(body, fields, trust)
        return _insight(headers, body, signed, None, trust, now)
    except ValueError as error:
        raise RemoteProtocolError(str(error)[:300]) from None


def may_visit(url: str | None, trust: Trust) -> re.Match[str] | None:
    """The parts of an address that a receiver may be sent to: https on a host of Amazon's SNS or a trusted one, or
    plain http on a trusted one where that is allowed; else None.
    """
    match = None if url is None else _URL.match(url)
    if match is None:
        return None
    scheme, host = match["scheme"], match["host"].lower()
    usual = _DEFAULT_PORTS[scheme]
    port = match["port"] or usual
    if scheme == "https" and port == usual and _AMAZON.match(host):
        return match
    names = {f"{host}:{port}"} | ({host} if port == usual else set())
    trusted = bool(names & {name.lower() for name in trust.hosts})
    return match if trusted and (scheme == "https" or trust.plain_http) else None


def _word(raw: bytes | None) -> str:
    value = None if raw is None or raw[:1] != b'"' else javascript.parse(raw)
    return value if isinstance(value, str) else ""


def _enveloped(headers: Pairs, body: bytes, trust: Trust, now: Instant) -> Received | NeedCertificate:
    try:
        envelope = msgspec.convert(javascript.parse(body), type=sns.Envelope)
    except msgspec.ValidationError as error:
        raise ValueError(f"the SNS envelope is wrong: {error}") from None
    if trust.options.get(SNS_SIGNATURE) != "ignored":
        # Judged before anything in it is used, its certificate's address first of all.
        match = may_visit(envelope.SigningCertURL, trust)
        if match is None or "?" in match["path"] or not match["path"].endswith(".pem"):
            raise ValueError(f"SigningCertURL {envelope.SigningCertURL[:120]!r} is not to be trusted")
        certificate = trust.certificates.get(envelope.SigningCertURL)
        if certificate is None:
            sns.string_to_sign(envelope)
            return NeedCertificate(envelope.SigningCertURL)
        sns.verify(envelope, certificate)
    if envelope.Type == sns.NOTIFICATION:
        text = envelope.Message.encode()
        signed = _plain(text) or _carefully(text, javascript.members(text), trust)
        return _insight(headers, text, signed, envelope, trust, now)
    _check_age(_nanoseconds(envelope.Timestamp), trust, now)
    if envelope.Type == sns.UNSUBSCRIBE_CONFIRMATION:
        # Never confirmed: a GET of its SubscribeURL would undo what was wanted (sheet 4).
        detail = f"unsubscribed from {envelope.TopicArn[:300]}"
        return Received("unsubscribed", detail, message_id=envelope.MessageId, payload=body)
    return _confirmation(envelope, body, trust)


def _confirmation(envelope: sns.Envelope, body: bytes, trust: Trust) -> Received:
    match = may_visit(envelope.SubscribeURL, trust)
    asked = parse_qs(match["path"].partition("?")[2]).get("Action") if match else None
    good = asked == ["ConfirmSubscription"]
    topic = envelope.TopicArn[:300]
    detail = f"asked to confirm {topic}"
    if not good:
        detail += f"; not confirmed, since SubscribeURL {(envelope.SubscribeURL or '')[:120]!r} is not to be trusted"
    return Received(
        "confirmation",
        detail,
        confirm_url=envelope.SubscribeURL if good else None,
        message_id=envelope.MessageId,
        payload=body,
    )


def _plain(text: bytes) -> _Signed | None:
    """The parts of a message like most; None: it needs a closer look."""
    try:
        message = _message(text)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return _Signed(bytes(message.insight), str(message.timestamp), message.signature)


def _carefully(text: bytes, fields: dict[str, bytes], trust: Trust) -> _Signed:
    """The same of any message by its members. Raises ValueError."""
    insight = fields.get("insight")
    if insight is None:
        if _is_optional(trust) and "signature" not in fields:
            return _Signed(text, "", None)
        raise ValueError("the message holds no insight")
    raw = fields.get("timestamp")
    if raw is None:
        moment = ""
    elif raw[:1] == b'"':
        moment = _word(raw)
    elif raw[:1] in b"-0123456789":
        moment = javascript.stringify(raw).decode()
    else:
        raise ValueError("the timestamp is neither a number nor a text")
    return _Signed(insight, moment, _word(fields["signature"]) if "signature" in fields else None)


def _insight(
    headers: Pairs, text: bytes, signed: _Signed, envelope: sns.Envelope | None, trust: Trust, now: Instant
) -> Received:
    if trust.secrets:
        _check_hmac(signed, trust)
    content = _content(signed.insight)
    occurred_at = _nanoseconds(_member(content.updatedAt))
    if not occurred_at or trust.tolerance_seconds is not None:
        sent_at = _nanoseconds(signed.moment or (envelope.Timestamp if envelope else ""))
        _check_age(sent_at, trust, now)
        occurred_at = occurred_at or sent_at or now.wall_ns
    message_id = envelope.MessageId if envelope else first(headers, "x-amz-sns-message-id")
    message_id = message_id or _identity(content)
    arn = (envelope.TopicArn if envelope else first(headers, "x-amz-sns-topic-arn")) or ""
    subject = by_name_in_arn(arn) or _topic_of(content)
    event = Event(
        FEED_NAME,
        INSIGHT_TYPE,
        subject,
        _SOURCE,
        message_id or "",
        signed.insight,
        occurred_at,
        now.wall_ns,
    )
    detail = f"insight {_member(content.id)[:80] or 'without id'} of {subject}"
    return Received("event", detail, (event,), None, message_id, text)


def _is_optional(trust: Trust) -> bool:
    return trust.options.get(HMAC) == "optional"


def _check_hmac(signed: _Signed, trust: Trust) -> None:
    """Raises ValueError unless one of the secrets signed it."""
    if signed.signature is None:
        if _is_optional(trust):
            return
        raise ValueError("the message has no signature")
    given = signed.signature.encode("utf-8", "replace")
    # Most senders print as JavaScript does, so the bytes as they came are right already, and cost nothing to make.
    if not _is_signed(given, signed.moment, signed.insight, trust) and not _is_signed(
        given, signed.moment, javascript.stringify(signed.insight), trust
    ):
        raise ValueError("the signature is wrong")


def _is_signed(given: bytes, moment: str, text: bytes, trust: Trust) -> bool:
    """Whether one of the secrets signed this text. All are tried, so that the time taken does not tell which."""
    signed = f"{moment}.".encode() + text
    good = False
    for secret in trust.secrets:
        good |= compare_digest(hexlify(for_secret(secret).digest(signed)), given)
    return good


def _nanoseconds(moment: str) -> int | None:
    """A timestamp (epoch milliseconds, or a date-time) in nanoseconds; None when it is neither."""
    if moment.isdecimal() and moment.isascii() and len(moment) <= _MAX_MILLISECONDS_DIGITS:
        return int(moment) * _MS_IN_NS
    try:
        return rfc3339.parse(moment)
    except ValueError:
        return None


def _check_age(sent_at: int | None, trust: Trust, now: Instant) -> None:
    if trust.tolerance_seconds is None:
        return
    if sent_at is None:
        raise ValueError("the message says no time that could be checked")
    age = (now.wall_ns - sent_at) / 1e9
    if abs(age) > trust.tolerance_seconds:
        raise ValueError(f"the message is {age:.0f} s old, more than {trust.tolerance_seconds:g} s")


def _content(insight: bytes) -> _Content:
    """Raises ValueError."""
    try:
        return _decode(insight)
    except msgspec.MsgspecError:
        value = javascript.parse(insight)  # msgspec has no texts for lone surrogates, JavaScript has
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("the insight is not an object")
    return _Content(**{name: value.get(name) for name in _Content.__struct_fields__})


def _member(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _identity(content: _Content) -> str | None:
    """``id`` and ``updatedAt`` of an insight, which are equal on every repetition (sheet 6.10)."""
    name = _member(content.id)
    return f"{name}:{_member(content.updatedAt)}" if name else None


def _topic_of(content: _Content) -> str:
    """The topic by an insight's own fields; its locale is taken to be English."""
    topic = "/".join((_member(content.league).lower(), _member(content.type).lower(), "en"))
    return topic if refusal(topic) is None else UNKNOWN_TOPIC
