"""Server-sent events (WHATWG HTML, 9.2): the text of an event and of a comment. Data must hold no line break."""

from __future__ import annotations


def event(data: bytes, *, event_id: str | None = None, name: str | None = None) -> bytes:
    """One event. ``event_id`` is what an EventSource hands back as Last-Event-ID."""
    head = b""
    if event_id is not None:
        head += b"id: %b\n" % event_id.encode()
    if name is not None:
        head += b"event: %b\n" % name.encode()
    return b"%bdata: %b\n\n" % (head, data)


def comment(text: str) -> bytes:
    """A line that readers pass over; keeps proxies and idle timers awake."""
    return b": %b\n\n" % text.encode()
