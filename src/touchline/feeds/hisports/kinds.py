"""The webhook types, and what a published event must satisfy beyond the shapes in ``messages``."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from touchline.feeds.hisports.messages import Payload
from touchline.model import Event

FEED_NAME: Final = "hisports"
PREFIX: Final = "hisports."
GAME_CREATE: Final = "hisports.game.create"
GAME_UPDATE: Final = "hisports.game.update"
SCORESHEET_UPDATE: Final = "hisports.scoresheet.update"

GAME_TYPES: Final = (GAME_CREATE, GAME_UPDATE)
TYPES: Final = (*GAME_TYPES, SCORESHEET_UPDATE)

STARTED: Final = "started"
ENDED: Final = "ended"
APPROVED: Final = "approved"


def check(event: Event, payload: Payload) -> tuple[str, str] | None:
    """``game.…`` is about a game, ``scoresheet.update`` about a scoresheet; a game named is the subject's.

    The seed does not say which member comes with which type; either one is enough here, and more is passed on.
    """
    game, sheet = payload.game, payload.scoresheet
    if (game is None or game is UNSET) and (sheet is None or sheet is UNSET):
        return ("data", "must hold game or scoresheet")
    if game is not None and game is not UNSET and str(game.id) != event.subject:
        return ("data.game.id", "must equal the subject")
    return None
