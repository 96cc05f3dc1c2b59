"""HiSports WebHooks: ice hockey games and scoresheets, each message a whole state; REST to catch up with."""

from __future__ import annotations

from typing import Final

from touchline.feeds.base import Capabilities, CredentialField, EventType, Feed, Form, Keep, Order, Transport
from touchline.feeds.hisports.facts import GRANT_KEYS
from touchline.feeds.hisports.kinds import FEED_NAME, GAME_TYPES, TYPES, check
from touchline.feeds.hisports.messages import Payload
from touchline.feeds.hisports.sandbox import SANDBOX
from touchline.feeds.hisports.state import GameFold
from touchline.feeds.hisports.webhooks import HisportsWebhooks

FEED: Final = Feed(
    name=FEED_NAME,
    title="HiSports WebHooks",
    document="spordle.atlassian.net, SPR, WebHooks",
    compared_on="2026-11-20",
    types=tuple(EventType(name, Payload, document=name in GAME_TYPES, check=check) for name in TYPES),
    capabilities=Capabilities(
        transports=frozenset({Transport.WEBHOOK, Transport.REST}), order=Order.STREAM, personal=True
    ),
    credentials=(CredentialField("api_key", Form.HEX, Keep.HASHED, lookup=True),),
    grant_keys=GRANT_KEYS,
    webhook=HisportsWebhooks(),
    http="touchline.feeds.hisports.http",
    snapshot=GameFold(),
    sandbox=SANDBOX,
)
