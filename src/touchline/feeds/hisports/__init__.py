"""HiSports WebHooks: the events that publishers may append. Its surfaces are not served yet."""

from __future__ import annotations

from typing import Final

import msgspec

from touchline.feeds.base import Capabilities, EventType, Feed, Transport
from touchline.model import Event


class Game(msgspec.Struct):
    """A game; its id routes, the rest passes."""

    id: int | str


class Payload(msgspec.Struct):
    """``game`` and ``scoresheet`` of a webhook; at least one of them."""

    game: Game | None = None
    scoresheet: dict[str, msgspec.Raw] | None = None


def _check(event: Event, payload: Payload) -> tuple[str, str] | None:
    if payload.game is None and payload.scoresheet is None:
        return ("data", "must hold game or scoresheet")
    if payload.game is not None and str(payload.game.id) != event.subject:
        return ("data.game.id", "must equal the subject")
    return None


FEED: Final = Feed(
    name="hisports",
    title="HiSports WebHooks",
    document="spordle.atlassian.net, SPR, WebHooks",
    compared_on="2026-11-20",
    types=tuple(
        EventType(f"hisports.{name}", Payload, check=_check)
        for name in ("game.create", "game.update", "scoresheet.update")
    ),
    capabilities=Capabilities(transports=frozenset({Transport.WEBHOOK, Transport.REST})),
    grant_keys=frozenset({"office_id", "schedule_id", "team_id"}),
)
