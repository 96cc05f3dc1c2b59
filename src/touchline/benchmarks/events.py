"""The events that measurements publish: a shot of a basketball game, which says when it was due to be sent."""

from __future__ import annotations

from typing import Final

MARK: Final = b'"sent":'
"""What stands before the monotonic nanoseconds at which an event was due; it passes through every server unchanged."""

FEED: Final = "shottracker"
FRAME_BYTES: Final = 560
"""About what an event of these is natively, for bare loops of writes."""
_EVENT: Final = (
    '{"specversion":"1.0","id":"%s","source":"/bench","type":"shottracker.shot","subject":"%s",'
    '"time":"2026-01-01T00:00:00.000Z","data":%s}'
)
_DATA: Final = (
    '{"sent":%d,"occurred_at":1500571319432,"team_id":461,"player_id":2623,"is_make":true,"is_3point":false,"zone":1,'
    '"hoop_player_x":685,"hoop_player_y":-475,"status":"RECORDED"%s}'
)


def event(event_id: str, subject: str, due_ns: int, padding: int = 0) -> bytes:
    """A CloudEvent in one line without its line end; ``padding`` bytes make it longer."""
    return (_EVENT % (event_id, subject, data(due_ns, padding))).encode()


def data(due_ns: int, padding: int = 0) -> str:
    """The event's data; ``padding`` of 8 bytes or more makes it exactly so much longer."""
    return _DATA % (due_ns, f',"pad":"{"x" * (padding - 9)}"' if padding >= 9 else "")
