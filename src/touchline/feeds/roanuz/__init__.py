"""Roanuz Ball by Ball Push: cricket notifications by webhook, with a REST that has the details before they leave."""

from __future__ import annotations

from typing import Final

from touchline.feeds.base import Capabilities, CredentialField, EventType, Feed, Form, Keep, Order, Resume, Transport
from touchline.feeds.roanuz.checks import check_match, check_push
from touchline.feeds.roanuz.kinds import FEED_NAME, GRANT, KINDS, MATCH_TYPE, PREFIX
from touchline.feeds.roanuz.messages import Announcement, Push
from touchline.feeds.roanuz.sandbox import SANDBOX
from touchline.feeds.roanuz.state import MatchFold
from touchline.feeds.roanuz.webhooks import WEBHOOKS

FEED: Final = Feed(
    name=FEED_NAME,
    title="Roanuz Ball by Ball Push",
    document="Roanuz Cricket v5, Ball by Ball Push via Webhook",
    compared_on="2026-11-21",
    types=(
        EventType(MATCH_TYPE, Announcement, document=True, check=check_match),
        *(EventType(PREFIX + kind, Push, check=check_push) for kind in KINDS),
    ),
    capabilities=Capabilities(
        transports=frozenset({Transport.WEBHOOK, Transport.REST}),
        resume=Resume.NONE,
        order=Order.STREAM,
        resign_on_retry=False,
    ),
    credentials=(
        CredentialField("project_key", Form.DIGITS, Keep.PLAIN, lookup=True, prefix="RS_P_", permanent=True),
        CredentialField("api_key", Form.HEX32, Keep.HASHED, prefix="RS5:"),
    ),
    grant_keys=frozenset({GRANT}),
    webhook=WEBHOOKS,
    http="touchline.feeds.roanuz.http",
    snapshot=MatchFold(),
    sandbox=SANDBOX,
)
