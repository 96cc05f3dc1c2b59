"""The native feed: CloudEvents of any feed, resumable by position everywhere. Its types are made by the hub itself."""

from __future__ import annotations

from typing import Final

import msgspec

from touchline.feeds.base import (
    Capabilities,
    CredentialField,
    EventType,
    Feed,
    Form,
    Keep,
    Resume,
    Transport,
    WebSocketSurface,
)
from touchline.feeds.hub.selection import encode
from touchline.feeds.hub.session import PATH, SUBPROTOCOL, HubSession
from touchline.feeds.hub.webhooks import HubWebhooks


class Change(msgspec.Struct):
    """What changed; free for the hub to extend."""


FEED: Final = Feed(
    name="hub",
    title="Touchline native feed",
    document="Touchline contract, Reading natively",
    compared_on="2026-11-20",
    types=tuple(
        EventType(f"hub.{name}", Change)
        for name in (
            "endpoint.failing",
            "endpoint.paused",
            "endpoint.recovered",
            "endpoint.disabled",
            "publisher.stale",
            "publisher.alive",
        )
    ),
    capabilities=Capabilities(
        transports=frozenset({Transport.WEBSOCKET, Transport.SSE, Transport.REST, Transport.WEBHOOK}),
        resume=Resume.POSITION,
    ),
    credentials=(CredentialField("key", Form.TOKEN, Keep.HASHED, lookup=True),),
    grant_keys=frozenset({"feed", "subject", "type", "partner"}),
    websocket=WebSocketSurface(
        path=PATH,
        open=HubSession,
        encode=encode,
        subprotocols=(SUBPROTOCOL,),
        idle_seconds=None,
    ),
    webhook=HubWebhooks(),
)
