"""What is said of endpoints in JSON: the bodies that are asked for, and how an endpoint is shown, without secrets."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from touchline.delivery.courier.report import Attempt, DeadLetter, EndpointReport
from touchline.feeds.base import Subscription
from touchline.log.endpoints import Endpoint, Secret
from touchline.model import Position
from touchline.wire import position as position_token
from touchline.wire import rfc3339
from touchline.wire.standard_webhooks import scheme_of

DEFAULT_OVERLAP: Final = "24h"


class NewEndpoint(msgspec.Struct, forbid_unknown_fields=True):
    """A partner's webhook receiver. What ``topics`` and ``options`` may be is the feed's own; see its page."""

    partner: str
    url: str
    feed: str
    topics: list[str] = []
    label: str = ""
    options: dict[str, str] = {}


class Changes(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be changed; what is absent stays. ``topics`` replaces, ``options`` are merged (null takes one away).
    ``resubscribe`` asks the receiver anew for every topic, while those that are confirmed go on.
    """

    url: str | None = None
    topics: list[str] | None = None
    label: str | None = None
    options: dict[str, str | None] | None = None
    resubscribe: bool = False


class Replay(msgspec.Struct, forbid_unknown_fields=True):
    """From where on to deliver again: ``appended_at`` as RFC 3339, a duration such as 2h, or a position."""

    since: str


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """For how long the secret before the new one is good: a duration such as 24h; "0s" ends it at once."""

    overlap: str = DEFAULT_OVERLAP


class Redrive(msgspec.Struct, forbid_unknown_fields=True):
    """The offsets of the dead letters to deliver again; all when absent."""

    offsets: list[int] | None = None


def endpoint_document(
    endpoint: Endpoint, report: EndpointReport, subscriptions: list[Subscription], epoch: str, now_ns: int
) -> dict[str, Any]:
    """An endpoint as an operator sees it. ``status`` is what was asked of it, ``state`` how it does."""
    figures = msgspec.to_builtins(report)
    figures["cursor"] = position_token.encode(Position(epoch, report.cursor))
    figures["head"] = position_token.encode(Position(epoch, report.head))
    return {
        "endpoint": endpoint.id,
        "partner": endpoint.partner,
        "feed": endpoint.feed,
        "url": endpoint.url,
        "label": endpoint.label,
        "topics": list(endpoint.topics),
        "options": dict(endpoint.options),
        "status": endpoint.status,
        "by_hub": endpoint.by_hub,
        "reason": endpoint.reason,
        "created_at": rfc3339.encode(endpoint.created_at),
        "changed_at": rfc3339.encode(endpoint.changed_at),
        "secrets": [_secret(one) for one in endpoint.secrets if one.expires_at is None or one.expires_at > now_ns],
        "subscriptions": [_subscription(one, now_ns) for one in subscriptions],
        **figures,
    }


def _secret(secret: Secret) -> dict[str, Any]:
    return {
        "scheme": scheme_of(secret.value),
        "created_at": rfc3339.encode(secret.created_at),
        "expires_at": _time(secret.expires_at),
    }


def _subscription(one: Subscription, now_ns: int) -> dict[str, Any]:
    """``expired``: the newest handshake can no longer be answered."""
    return {
        "topic": one.topic,
        "state": one.state,
        "since": one.since,
        "asked_at": _time(one.issued_at or None),
        "expires_at": _time(one.expires_at),
        "expired": one.state == "pending" and one.expires_at is not None and one.expires_at <= now_ns,
    }


def attempt_document(attempt: Attempt) -> dict[str, Any]:
    """An attempt, with its time as RFC 3339."""
    return {**msgspec.to_builtins(attempt), "at": rfc3339.encode(attempt.at)}


def dead_letter_document(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter, with its times as RFC 3339."""
    times = {"appended_at": rfc3339.encode(letter.appended_at), "dead_at": rfc3339.encode(letter.dead_at)}
    return {**msgspec.to_builtins(letter), **times}


def _time(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else rfc3339.encode(nanoseconds)
