"""The push: gzip bytes of the provider's message, without a Content-Encoding (seed; sheet §3), both roles.

Nothing of it is signed. ``rs-api-key`` goes along where an endpoint has one, and is compared where a receiver has some.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from hmac import compare_digest
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import (
    Admitted,
    EndpointView,
    Grants,
    Hosting,
    Instant,
    Outgoing,
    Prepared,
    Received,
    Subscription,
    Trust,
)
from touchline.feeds.roanuz.kinds import (
    BALL_TYPE,
    ENTRY_UPDATE,
    FEED_NAME,
    GRANT,
    MATCH_TYPE,
    PREFIX,
    RELATED_UPDATE,
)
from touchline.feeds.roanuz.messages import Notification, NotificationData, PushedBall
from touchline.model import Event, Lane, Record
from touchline.wire import gzip, rfc3339
from touchline.wire.http import HttpResponse, Pairs, every

MAX_BODY_BYTES: Final = 1024 * 1024
"""A push is below 1 KiB (sheet §3); what inflates to more than this is none."""
MAX_KEY_CHARACTERS: Final = 256

CONTENT_TYPE: Final = "application/octet-stream"
"""What both of the vendor's receivers take (tested, sheet §3): a JSON type makes theirs fail."""
KEY_HEADER: Final = "rs-api-key"

SUBSCRIBE: Final = "subscribe"
LEGACY: Final = "legacy_data_kind"
WEBHOOK_KEY: Final = "webhook_key"
SAMPLE_MATCH: Final = "touchline-test"

_SOURCE: Final = "/roanuz/push"
_ANSWER: Final = HttpResponse(200, b'{"status":true}')
_KINDS_KEPT: Final = 256
_LATEST_SECONDS: Final = 253_402_300_799
_NUMBER: Final = (int, float)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])
_DIGEST: Final = hashlib.blake2b(digest_size=12)
"""Of nothing yet: a copy is there sooner than a new one."""


class _Body(Struct):
    notification: Raw | UnsetType = UNSET


class _ReceivedBall(PushedBall, frozen=True, kw_only=True, gc=False):
    detail: Raw | UnsetType = UNSET


class _ReceivedData(NotificationData, frozen=True, kw_only=True):
    ball: _ReceivedBall | None = None


class _Received(Notification, frozen=True, kw_only=True):
    data: _ReceivedData


_BODY: Final = msgspec.json.Decoder(_Body)
_RECEIVED: Final = msgspec.json.Decoder(_Received)


class RoanuzWebhooks:
    """See ``feeds.base.WebhookCodec``."""

    admitted = Admitted.CALLED
    options: Mapping[str, tuple[str, ...]] = {
        SUBSCRIBE: ("called", "all"),
        LEGACY: ("true", "false"),
        WEBHOOK_KEY: (),
    }
    receiver_options: Mapping[str, tuple[str, ...]] = {}
    own_headers = frozenset({"rs-api-key"})
    needs_state = False
    mint: Callable[[], str] | None = None

    # provider role

    def topics(self, texts: tuple[str, ...], options: Mapping[str, str], grants: Grants) -> tuple[str, ...]:
        """None: matches are chosen by the subscribe call. Raises ValueError for any, and for a key no header can be."""
        del grants
        if texts:
            raise ValueError(
                f"a roanuz endpoint takes no topics (got {texts[0][:64]!r}): its matches are chosen by the feed's own "
                f"updates-subscribe call, or all of them by the option {SUBSCRIBE}=all"
            )
        key = options.get(WEBHOOK_KEY)
        if key is not None and not _is_header_value(key):
            raise ValueError(
                f"{WEBHOOK_KEY} is sent as the header {KEY_HEADER}: 1 to {MAX_KEY_CHARACTERS} visible ASCII characters"
            )
        return ()

    def admitted_for(self, endpoint: EndpointView) -> Admitted:
        """By the call, unless it wants every match."""
        return Admitted.AT_ONCE if endpoint.options.get(SUBSCRIBE) == "all" else Admitted.CALLED

    def topic(self, record: Record) -> str:
        """The match key."""
        return record.event.subject

    def wants(self, record: Record, endpoint: EndpointView) -> bool:
        """Every push; the announcement of a match is ours and not pushed."""
        del endpoint
        return record.event.type != MATCH_TYPE and record.event.lane is Lane.EVENT

    def permits(self, grants: Grants, record: Record, state: Any | None) -> bool:
        """Matches that the grants name, all without any; nothing that belongs to one partner alone."""
        del state
        matches = grants.get(GRANT)
        return record.event.partner is None and (not matches or record.event.subject in matches)

    def variant(self, endpoint: EndpointView) -> Hashable:
        """Whether the older name of the data kind is sent."""
        return endpoint.options.get(LEGACY) == "true"

    def prepare(self, record: Record, variant: Any) -> Prepared | None:
        """The provider's message as published, gzipped; None when an event of an unknown type holds none."""
        try:
            message = _BODY.decode(record.event.data).notification
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        text = bytes(message) if isinstance(message, Raw) else b""
        if text[:1] != b"{":
            return None
        return Prepared(record, gzip.deflate(_legacy(text) if variant else text))

    def finish(
        self, prepared: Prepared, endpoint: EndpointView, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing:
        """The same bytes to everybody, with the endpoint's key if it has one."""
        del message_id, now, hosting
        key = endpoint.options.get(WEBHOOK_KEY)
        headers: Pairs = (("content-type", CONTENT_TYPE),)
        return Outgoing((*headers, (KEY_HEADER, key)) if key else headers, prepared.body)

    def handshake(
        self, endpoint: EndpointView, subscription: Subscription, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing | None:
        """There is none (sheet §4)."""
        del endpoint, subscription, message_id, now, hosting
        return None

    def sample(self, endpoint: EndpointView, now: Instant) -> Record:
        """A match update without a ball (seed, first scenario) of a match that is none."""
        del endpoint
        pushed = {
            "matchkey": SAMPLE_MATCH,
            "ball": None,
            "push_reason": "Other",
            "match_push_kind": "Other",
            "ts": now.wall_ns // 1_000_000_000,
        }
        message = {"sport": "cricket", "data_kind": ENTRY_UPDATE, "data": pushed}
        data = msgspec.json.encode({"notification": message})
        event = Event(FEED_NAME, f"{PREFIX}other", SAMPLE_MATCH, "/test", "test", data, now.wall_ns, now.wall_ns)
        return Record(0, 0, now.wall_ns, event)

    # consumer role

    def receive(self, headers: Pairs, body: bytes, trust: Trust, now: Instant) -> Received:
        """Check the key where the receiver has one, inflate, and tell by kind and ball what it is.

        All three data kinds are taken and none decides anything (sheet §5). Age is not checked: ``ts`` is when the
        match changed, and a push may come late. Raises RemoteProtocolError.
        """
        _check_key(headers, trust.secrets)
        text = _content(headers, body)
        try:
            if not text.isascii():
                text.decode()  # also what no field is read from: it is handed on
            notification = _RECEIVED.decode(text)
        except RecursionError:
            raise RemoteProtocolError("the JSON is nested too deeply") from None
        except (msgspec.MsgspecError, ValueError) as error:
            raise RemoteProtocolError(f"this is no push of the ball-by-ball feed: {error}") from None
        return _received(notification.data, text, now)


def _is_header_value(text: str) -> bool:
    return 0 < len(text) <= MAX_KEY_CHARACTERS and text.isascii() and text.isprintable() and " " not in text


def _legacy(text: bytes) -> bytes:
    """The message under the data kind that older pages of the provider give the same scenarios (sheet §5)."""
    members = _MEMBERS.decode(text)
    if "data_kind" not in members or msgspec.json.decode(members["data_kind"]) != ENTRY_UPDATE:
        return text
    return msgspec.json.encode(members | {"data_kind": Raw(b'"%b"' % RELATED_UPDATE.encode())})


def _check_key(headers: Pairs, secrets: tuple[str, ...]) -> None:
    if not secrets:
        return
    given = None
    for name, value in headers:
        if name == KEY_HEADER:
            if given is not None:
                raise RemoteProtocolError(f"the header {KEY_HEADER} is repeated")
            given = value
    if given is None:
        raise RemoteProtocolError(f"the header {KEY_HEADER} is missing")
    presented = given.encode("utf-8", "surrogateescape")
    good = False
    for secret in secrets:  # every one is tried, so that the time taken does not tell which one fits
        good |= compare_digest(presented, secret.encode("utf-8", "surrogateescape"))
    if not good:
        raise RemoteProtocolError(f"the header {KEY_HEADER} holds another key")


def _content(headers: Pairs, body: bytes) -> bytes:
    """The JSON text, whatever the headers say: the bytes tell. A proxy may have gzipped what was gzip already."""
    text = body
    if _is_compressed(text):
        text = gzip.inflate(text, MAX_BODY_BYTES)
        if _is_compressed(text) and "gzip" in [value.strip().lower() for value in every(headers, "content-encoding")]:
            text = gzip.inflate(text, MAX_BODY_BYTES)
    if len(text) > MAX_BODY_BYTES:
        raise RemoteProtocolError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    return text


def _is_compressed(data: bytes) -> bool:
    """gzip, or zlib, which the vendor's own receiver would take too; JSON begins with neither."""
    return data[:2] == b"\x1f\x8b" or (data[:1] == b"\x78" and len(data) > 1 and int.from_bytes(data[:2]) % 31 == 0)


@lru_cache(_KINDS_KEPT)
def _event_type(kind: str) -> str:
    """Raises RemoteProtocolError."""
    word = kind.lower()
    event_type = PREFIX + word
    if not word.isascii() or not word.replace("_", "").isalnum() or len(word) > 64 or event_type == MATCH_TYPE:
        raise RemoteProtocolError(f"{word[:64]!r} is no kind of push")
    return event_type


def _received(pushed: _ReceivedData, text: bytes, now: Instant) -> Received:
    match, ball, ts = pushed.matchkey, pushed.ball, pushed.ts
    if not match or match.isspace():
        raise RemoteProtocolError("the push names no match")
    kind = pushed.match_push_kind if isinstance(pushed.match_push_kind, str) else ""
    event_type = _event_type(kind or ("other" if ball is None else "ball"))
    reason = pushed.push_reason if isinstance(pushed.push_reason, str) else ""
    data = b'{"notification":%b}' % text
    if ball is None:
        if event_type == BALL_TYPE:
            raise RemoteProtocolError("the push is about a ball and names none")
        name, told = "", f"{kind[:64] or 'push'} of match {match[:64]}"
    else:
        name = str(ball.ball_key)
        done = "deleted" if ball.is_delete else "updated" if reason == "Update" else "entered"
        told = f"ball {name} of match {match[:64]} {done}"
        if isinstance(ball.detail, Raw) and bytes(ball.detail)[:1] == b"{":
            # The detail push, another product, carries what REST would answer (sheet §5).
            data = b'{"notification":%b,"ball":%b}' % (text, bytes(ball.detail))
    occurred_at, time, moment = now.wall_ns, None, ""
    if isinstance(ts, _NUMBER):
        moment = str(ts)
        if 0 < ts <= _LATEST_SECONDS:
            occurred_at = int(ts * 1_000_000_000)
            time = rfc3339.encode(occurred_at)
    # What tells a repetition from news (sheet §6.13); ``ts`` is in whole seconds, so the text has its say too.
    digest = _DIGEST.copy()
    digest.update(text)
    message_id = f"{match[:128]}:{name}:{reason[:32]}:{moment}:{digest.hexdigest()}"
    event = Event(FEED_NAME, event_type, match, _SOURCE, message_id, data, occurred_at, now.wall_ns, time)
    return Received("event", told, (event,), None, message_id, text, _ANSWER)


WEBHOOKS: Final = RoanuzWebhooks()
