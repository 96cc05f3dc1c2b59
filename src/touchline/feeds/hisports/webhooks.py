"""The three webhooks, both roles: ``{"type":…,"game":…,"scoresheet":…}`` as JSON, values byte for byte as published.

Owns the body and who gets it; ``signatures`` owns the headers that vouch for it. Method, success and repetition are
the courier's. Sources: seed (Webhook Payload), sheet 4 and 6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct

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
from touchline.feeds.hisports import messages, signatures
from touchline.feeds.hisports.facts import Facts, facts_of, is_reference, may_see
from touchline.feeds.hisports.kinds import FEED_NAME, GAME_UPDATE, PREFIX, TYPES
from touchline.feeds.hisports.state import GameState, part
from touchline.model import Event, Lane, Record
from touchline.wire.http import Pairs

TRACE: Final = "trace"
CONTENT_TYPE: Final = "application/json; charset=utf-8"
SAMPLE_SUBJECT: Final = "0"

_SOURCE: Final = "/hisports/webhooks"
_ALL: Final = "*"
_GAME: Final = "game"
_TYPE: Final = "type"
_FIRST: Final = (_GAME, "scoresheet")
_WHOLE_NUMBER: Final = re.compile(r"(?:0|[1-9][0-9]{0,17})\Z")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(?:\.[A-Za-z0-9_-]{1,64}){0,7}\Z")
_MAX_SUBJECT: Final = 256
_TOPICS_KEPT: Final = 4096
_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])
_text: Final = msgspec.json.Encoder().encode


class _Message(messages.Payload, frozen=True, kw_only=True):
    type: str


_MESSAGE: Final = msgspec.json.Decoder(_Message)


class _Parts(Struct, frozen=True):
    game: Raw = Raw(b"null")


_PARTS: Final = msgspec.json.Decoder(_Parts)


class HisportsWebhooks:
    """See ``touchline.feeds.base.WebhookCodec``."""

    def __init__(self) -> None:
        # The facts of the record that was judged last: it is judged once for every endpoint with grants.
        self._judged: tuple[bytes, Facts | None] = (b"", None)

    @property
    def admitted(self) -> Admitted:
        """Nobody is asked first: receivers are registered by hand (sheet 6)."""
        return Admitted.AT_ONCE

    @property
    def options(self) -> Mapping[str, tuple[str, ...]]:
        """``signature`` (when absent: none) and ``trace`` (when absent: off)."""
        return {signatures.OPTION: signatures.SCHEMES, TRACE: ("on", "off")}

    @property
    def receiver_options(self) -> Mapping[str, tuple[str, ...]]:
        """None: a receiver sees which scheme was used."""
        return {}

    @property
    def own_headers(self) -> frozenset[str]:
        """Those that its options add."""
        return frozenset({"x-hisports-", "webhook-"})

    @property
    def needs_state(self) -> bool:
        """A message may hold a scoresheet alone; whose game it is, the fold knows."""
        return True

    @property
    def mint(self) -> Callable[[], str] | None:
        """Each endpoint has its own secret; the hub has none."""
        return None

    # provider role

    def topics(self, texts: tuple[str, ...], options: Mapping[str, str], grants: Grants) -> tuple[str, ...]:
        """Event types with or without ``hisports.``, or ``*``; none is all. Raises ValueError for any other text."""
        del options, grants
        named = tuple(dict.fromkeys(_topic(text) for text in texts))
        return (_ALL,) if _ALL in named or not named else named

    def admitted_for(self, endpoint: EndpointView) -> Admitted:
        """As ``admitted``."""
        del endpoint
        return Admitted.AT_ONCE

    def topic(self, record: Record) -> str:
        """Nothing is subscribed to."""
        del record
        return ""

    def wants(self, record: Record, endpoint: EndpointView) -> bool:
        """Its type is named. A type that is not known yet goes to those who take all."""
        if record.event.lane is not Lane.EVENT:
            return False
        chosen = _chosen(endpoint.topics)
        return not chosen or record.event.type in chosen

    def permits(self, grants: Grants, record: Record, state: Any | None) -> bool:
        """By the game in the record itself, or else by what the fold knows of it."""
        if record.event.partner is not None:
            return False  # this feed has no private records, so it belongs to somebody else
        if not any(grants.values()):
            return True
        facts = self._facts(record.event.data)
        if facts is None and isinstance(state, GameState):
            facts = state.facts
        return may_see(grants, facts)

    def _facts(self, data: bytes) -> Facts | None:
        if self._judged[0] is not data:
            try:
                game = part(_PARTS.decode(data).game)
                facts = None if game is None or is_reference(game) else facts_of(game)
            except (msgspec.MsgspecError, RecursionError):
                facts = None  # an unknown type of any shape
            self._judged = (data, facts)
        return self._judged[1]

    def variant(self, endpoint: EndpointView) -> str:
        """There is one."""
        del endpoint
        return ""

    def prepare(self, record: Record, variant: Any) -> Prepared | None:
        """The body: ``type``, ``game``, ``scoresheet``, then whatever else was published; None when it is no object.

        A scoresheet that was published alone gets ``{"id":…}`` for its game: without it nobody could tell whose it is.
        """
        del variant
        event = record.event
        try:
            members = _MEMBERS.decode(event.data)
        except (msgspec.MsgspecError, RecursionError):
            return None
        if part(members.get(_GAME, UNSET)) is None:
            members[_GAME] = Raw(b'{"id":%b}' % _id_of(event.subject))
        names: list[str] = [name for name in _FIRST if name in members]
        names += [name for name in members if name not in (_TYPE, *_FIRST)]
        parts = [b'{"type":%b' % _text(event.type.removeprefix(PREFIX))]
        parts += [b",%b:%b" % (_text(name), members[name]) for name in names]
        return Prepared(record, b"".join(parts) + b"}")

    def finish(
        self, prepared: Prepared, endpoint: EndpointView, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing:
        """Content type, and what the options ask for beyond what the provider documents."""
        del hosting
        options, body = endpoint.options, prepared.body
        headers: Pairs = (("content-type", CONTENT_TYPE),)
        scheme = options.get(signatures.OPTION, signatures.NONE)
        headers += signatures.sign(scheme, endpoint.secrets, message_id, now, body)
        if options.get(TRACE) == "on":
            milliseconds = str(now.wall_ns // 1_000_000)
            headers += ((signatures.DELIVERY, message_id), (signatures.TIMESTAMP, milliseconds))
        return Outgoing(headers, body)

    def handshake(
        self, endpoint: EndpointView, subscription: Subscription, message_id: str, now: Instant, hosting: Hosting
    ) -> Outgoing | None:
        """Nothing is to be confirmed."""
        del endpoint, subscription, message_id, now, hosting
        return None

    def sample(self, endpoint: EndpointView, now: Instant) -> Record:
        """A ``game.update`` of a game 0 that nobody plays (the provider has no test event; sheet 6)."""
        del endpoint
        data = b'{"game":{"id":0,"number":"TEST","status":"Active","comments":"endpoint test","isApproved":false}}'
        event_id = f"test-{now.wall_ns}"
        event = Event(FEED_NAME, GAME_UPDATE, SAMPLE_SUBJECT, "/hub", event_id, data, now.wall_ns, now.wall_ns)
        return Record(0, 0, now.wall_ns, event)

    # consumer role

    def receive(self, headers: Pairs, body: bytes, trust: Trust, now: Instant) -> Received:
        """One message. Its ``message_id`` is None unless the sender adds one: every message is a whole state, so a
        repetition does no harm. Raises RemoteProtocolError.
        """
        message_id = signatures.verify(headers, body, trust, now)
        message, data = _decoded(body)
        if not _NAME.match(message.type):
            raise RemoteProtocolError("type is no event type")
        subject = "" if message.game is None or message.game is UNSET else str(message.game.id)
        if not subject:
            raise RemoteProtocolError("game.id is missing: it is not said which game this is about")
        if len(subject) > _MAX_SUBJECT or not subject.isprintable():
            raise RemoteProtocolError("game.id is too long or holds a control character")
        event_id = message_id or f"{subject}-{now.wall_ns}"
        kind = PREFIX + message.type
        event = Event(FEED_NAME, kind, subject, _SOURCE, event_id, data, now.wall_ns, now.wall_ns)
        return Received("event", f"{message.type} of game {subject}", (event,), None, message_id, body)


def _decoded(body: bytes) -> tuple[_Message, bytes]:
    """A message, typed, and its members beside ``type`` as JSON text. Raises RemoteProtocolError; the text names fields
    and no values.
    """
    try:
        if not body.isascii():
            body.decode()  # what is skipped in decoding is not looked at closely
        message = _MESSAGE.decode(body)
        beginning = b'{"type":%b,' % _text(message.type)
        if body.startswith(beginning):
            # As a hub writes it. Decoding takes the last of equal names, so a ``type`` that may follow says the same.
            return message, b"{" + body[len(beginning) :].rstrip()
        members = _MEMBERS.decode(body)
        del members[_TYPE]
        return message, _text(members)
    except RecursionError:
        raise RemoteProtocolError("the JSON is nested too deeply") from None
    except UnicodeDecodeError:
        raise RemoteProtocolError("the body is not UTF-8") from None
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError(f"the body is no HiSports webhook: {error}") from None


def _topic(text: str) -> str:
    """One topic in its full spelling. Raises ValueError."""
    kind = text if text == _ALL or text.startswith(PREFIX) else PREFIX + text
    if kind != _ALL and kind not in TYPES:
        names = ", ".join(name.removeprefix(PREFIX) for name in TYPES)
        raise ValueError(f"{text[:64]!r} is no topic of hisports: topics are {names}, and * for all")
    return kind


@lru_cache(_TOPICS_KEPT)
def _chosen(topics: tuple[str, ...]) -> frozenset[str]:
    """The full types that an endpoint takes; empty: all."""
    kinds = frozenset(_topic(text) for text in topics)
    return frozenset() if _ALL in kinds else kinds


def _id_of(subject: str) -> bytes:
    """A subject as the JSON value of an id: a number where it reads as one."""
    return subject.encode() if _WHOLE_NUMBER.match(subject) else _text(subject)
