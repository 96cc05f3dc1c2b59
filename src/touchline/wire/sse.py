"""Server-sent events (WHATWG HTML, 9.2): the text of an event and of a comment."""

from __future__ import annotations


def event(data: bytes, *, event_id: str | None = None, name: str | None = None) -> bytes:
    """One event. ``event_id`` is what an EventSource hands back as Last-Event-ID.

    Each line of the data is a field of its own, which readers join with line feeds again; a carriage return, which no
    field can carry, becomes a space.
    """
    head = b""
    if event_id is not None:
        head += b"id: %b\n" % event_id.encode()
    if name is not None:
        head += b"event: %b\n" % name.encode()
    return b"%bdata: %b\n\n" % (head, data.replace(b"\r", b" ").replace(b"\n", b"\ndata: "))


def comment(text: str) -> bytes:
    """A line that readers pass over; keeps proxies and idle timers awake."""
    return b": %b\n\n" % text.encode()
