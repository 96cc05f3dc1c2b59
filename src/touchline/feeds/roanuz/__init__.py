"""Roanuz Ball by Ball Push: the events that publishers may append. Its surfaces are not served yet."""

from __future__ import annotations

from typing import Final

import msgspec

from touchline.feeds.base import Capabilities, EventType, Feed, Transport
from touchline.model import Event

KINDS: Final = ("ball", "info", "toss", "play", "squad", "review", "result", "reward", "other")


class Match(msgspec.Struct):
    """``roanuz.match``: the match document as far as it is known."""

    match: dict[str, msgspec.Raw]


class NotificationData(msgspec.Struct):
    """``data`` of the provider's message; its match routes."""

    matchkey: str


class Notification(msgspec.Struct):
    """The provider's message."""

    data: NotificationData


class Push(msgspec.Struct):
    """A notification with what it brings to the REST side."""

    notification: Notification
    ball: dict[str, msgspec.Raw] | None = None
    match: dict[str, msgspec.Raw] | None = None


def _check(event: Event, push: Push) -> tuple[str, str] | None:
    if push.notification.data.matchkey != event.subject:
        return ("data.notification.data.matchkey", "must equal the subject")
    return None


FEED: Final = Feed(
    name="roanuz",
    title="Roanuz Ball by Ball Push",
    document="Roanuz, Ball by Ball Push via Webhook",
    compared_on="2026-11-20",
    types=(
        EventType("roanuz.match", Match, document=True),
        *(EventType(f"roanuz.{kind}", Push, check=_check) for kind in KINDS),
    ),
    capabilities=Capabilities(transports=frozenset({Transport.WEBHOOK, Transport.REST})),
    grant_keys=frozenset({"match_key"}),
)
