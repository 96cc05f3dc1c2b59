"""Sportradar Insights Push: topics that are confirmed as SNS does, insights by webhook, the same by REST."""

from __future__ import annotations

from typing import Final

from touchline.feeds.base import Capabilities, CredentialField, EventType, Feed, Form, Keep, Order, Transport
from touchline.feeds.insights.messages import FEED_NAME, INSIGHT_TYPE, Insight, check
from touchline.feeds.insights.sandbox import SANDBOX
from touchline.feeds.insights.state import InsightsFold
from touchline.feeds.insights.topics import GRANT_KEY
from touchline.feeds.insights.webhooks import InsightsCodec
from touchline.wire.javascript import normalise

FEED: Final = Feed(
    name=FEED_NAME,
    title="Sportradar Insights Push",
    document="developer.sportradar.com, Insights, Push Overview",
    compared_on="2026-11-20",
    types=(EventType(INSIGHT_TYPE, Insight, check=check, normalise=normalise),),
    capabilities=Capabilities(
        transports=frozenset({Transport.WEBHOOK, Transport.REST}), order=Order.NONE, resign_on_retry=False
    ),
    credentials=(CredentialField("token", Form.TOKEN, Keep.HASHED, lookup=True),),
    grant_keys=frozenset({GRANT_KEY}),
    webhook=InsightsCodec(),
    http="touchline.feeds.insights.http",
    snapshot=InsightsFold(),
    sandbox=SANDBOX,
)
