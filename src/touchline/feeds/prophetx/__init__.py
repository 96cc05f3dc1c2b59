"""ProphetX Service API: the events that publishers may append. Its surfaces are not served yet."""

from __future__ import annotations

from typing import Final

import msgspec

from touchline.feeds.base import Capabilities, EventType, Feed, Transport
from touchline.model import Event

CHANGES: Final = (
    "tournament",
    "sport_event",
    "market",
    "market_line",
    "market_selections",
    "matched_bet",
    "wager",
    "private_system_signal",
)


class Payload(msgspec.Struct):
    """A change's payload, decoded; passed on unchanged."""

    info: dict[str, msgspec.Raw] | None = None


def _check(event: Event, _: Payload) -> tuple[str, str] | None:
    if event.extensions.get("op") not in ("c", "u", "d"):
        return ("op", "must be c, u or d")
    if event.partner is not None and event.partner != event.subject:
        return ("partner", "a private change has its owner's partner_id as subject and as partner")
    return None


FEED: Final = Feed(
    name="prophetx",
    title="ProphetX Service API WebSocket events",
    document="ProphetX Service API, WebSocket Events",
    compared_on="2026-11-20",
    types=tuple(EventType(f"prophetx.{change}", Payload, check=_check) for change in CHANGES),
    capabilities=Capabilities(transports=frozenset({Transport.WEBSOCKET, Transport.REST}), max_message_bytes=10 * 1024),
    grant_keys=frozenset({"tournament_id"}),
)
