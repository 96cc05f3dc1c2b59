"""What the types alone do not say of a published event: do its parts speak of the same match, kind and ball."""

from __future__ import annotations

from msgspec import UNSET

from touchline.feeds.roanuz.kinds import BALL_TYPE, PREFIX
from touchline.feeds.roanuz.messages import Announcement, Match, Push
from touchline.model import Event

Refused = tuple[str, str] | None


def check_match(event: Event, data: Announcement) -> Refused:
    """The document's own key, when it has one, is the subject."""
    if not event.subject.strip():
        return ("subject", "the match key is needed as subject")
    return _document(event, data.match)


def check_push(event: Event, data: Push) -> Refused:
    """A push belongs to the match and the kind that the event names, and its parts to one ball."""
    pushed = data.notification.data
    if not event.subject.strip():
        return ("subject", "the match key is needed as subject")
    if pushed.matchkey != event.subject:
        return (
            "data.notification.data.matchkey",
            f"{pushed.matchkey[:64]!r} is not the subject {event.subject[:64]!r}",
        )
    kind = event.type.removeprefix(PREFIX)
    if isinstance(pushed.match_push_kind, str) and pushed.match_push_kind.lower() != kind:
        named = pushed.match_push_kind[:64]
        return ("data.notification.data.match_push_kind", f"{named!r} does not belong into {event.type}")
    if event.type == BALL_TYPE and pushed.ball is None:
        return ("data.notification.data.ball", "a ball push names its ball")
    if data.ball and (refused := _detail(data)) is not None:
        return refused
    return _document(event, data.match) if data.match else None


def _detail(data: Push) -> Refused:
    """The number is an integer in the push and a text in REST: compared as text (sheet §5)."""
    pushed, detail = data.notification.data.ball, data.ball
    assert detail
    if pushed is None:
        return ("data.ball", "the detail of a ball needs a notification that names the ball")
    if detail.key is not UNSET and detail.key is not None and str(detail.key) != str(pushed.ball_key):
        return ("data.ball.key", f"{str(detail.key)[:64]!r} is not the ball {pushed.ball_key} of the notification")
    return None


def _document(event: Event, match: Match) -> Refused:
    if isinstance(match.key, str) and match.key != event.subject:
        return ("data.match.key", f"{match.key[:64]!r} is not the subject {event.subject[:64]!r}")
    return None
