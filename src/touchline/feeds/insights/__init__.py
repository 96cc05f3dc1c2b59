"""Sportradar Insights Push: the events that publishers may append. Its surfaces are not served yet."""

from __future__ import annotations

from typing import Final

import msgspec

from touchline.feeds.base import Capabilities, EventType, Feed, Order, Transport
from touchline.model import Event


class Insight(msgspec.Struct):
    """An insight; identity is in the topic, everything else passes (types of the rest are not published)."""

    id: str | msgspec.UnsetType = msgspec.UNSET


def _check(event: Event, _: Insight) -> tuple[str, str] | None:
    parts = event.subject.split("/")
    if len(parts) != 3 or not all(parts):
        return ("subject", "must be <league>/<insightType>/<locale>")
    return None


FEED: Final = Feed(
    name="insights",
    title="Sportradar Insights Push",
    document="developer.sportradar.com, Push Overview",
    compared_on="2026-11-20",
    types=(EventType("insights.insight", Insight, check=_check),),
    capabilities=Capabilities(
        transports=frozenset({Transport.WEBHOOK, Transport.REST}), order=Order.NONE, resign_on_retry=False
    ),
    grant_keys=frozenset({"topic"}),
)
