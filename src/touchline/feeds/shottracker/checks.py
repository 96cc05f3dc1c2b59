"""What the types alone do not say of a published event: does it name its stream, and is that the same in its body."""

from __future__ import annotations

from typing import Any

from touchline.feeds.shottracker.messages import Game, Team, id_text
from touchline.model import Event

Refused = tuple[str, str] | None


def check_stream(event: Event, data: Any) -> Refused:
    """Every event belongs to a game, whose event_id is the subject."""
    del data
    return None if event.subject.strip() else ("subject", "the game's event_id is needed as subject")


def check_game(event: Event, data: Game) -> Refused:
    """A row's own event_id, when it has one, is the subject."""
    named = id_text(data.event_id)
    if named and named != event.subject:
        return ("data.event_id", f"{named[:64]!r} is not the subject {event.subject[:64]!r}")
    return check_stream(event, data)


def check_team(event: Event, data: Team) -> Refused:
    """A team's id, as text, is the subject."""
    if id_text(data.id) != event.subject:
        return ("data.id", f"{id_text(data.id)[:64]!r} is not the subject {event.subject[:64]!r}")
    return None
