"""One session as the fan-out sees it: a sink, what it follows, and how far it has got."""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Protocol

from touchline.feeds.base import EndReason, Selector
from touchline.model import Position, Record

if TYPE_CHECKING:
    from touchline.delivery.fanout.groups import Group


class Sink(Protocol):
    """A session's way out. ``write`` takes whole frames and never blocks; when it holds too much it tells the fan-out
    (``Fanout.blocked``), and when it has drained, again (``Fanout.drained``).
    """

    def write(self, data: bytes) -> None:
        """Send, in order."""

    def backlog(self) -> int:
        """Bytes taken and not yet gone."""

    def end(self, reason: EndReason) -> None:
        """The session is to end; called at most once."""


class Framing:
    """How a surface's messages become bytes of a transport: ``encode`` per record and variant, then ``frame``."""

    __slots__ = ("encode", "frame", "is_last", "name")

    def __init__(
        self,
        name: str,
        encode: Callable[[Record, Any, Position], str | bytes | None],
        frame: Callable[[str | bytes, Record, Position], bytes],
        is_last: Callable[[Record], bool] | None = None,
    ) -> None:
        self.name = name
        self.encode = encode
        self.frame = frame
        self.is_last = is_last

    def make(self, record: Record, variant: Hashable, position: Position) -> bytes | None:
        """The frame of a record, or None when the variant has nothing of it."""
        message = self.encode(record, variant, position)
        return None if message is None else self.frame(message, record, position)


class Mode(enum.Enum):
    """LIVE readers are pushed to; BEHIND ones pull from the log; DONE ones are forgotten."""

    LIVE = "live"
    BEHIND = "behind"
    DONE = "done"


class Following:
    """One selector of a reader: records at or below ``after`` are not for it."""

    __slots__ = ("after", "finite", "group", "number", "selector")

    def __init__(self, number: int, selector: Selector, after: int, finite: bool) -> None:
        self.number = number
        self.selector = selector
        self.after = after
        self.finite = finite
        self.group: Group | None = None


class Reader:
    """A session's place in the log. ``cursor``: everything at or below it was written (or was not for this reader)."""

    __slots__ = (
        "blocked",
        "blocked_backlog",
        "blocked_since",
        "chunk",
        "cursor",
        "followings",
        "framing",
        "mode",
        "pending",
        "pending_bytes",
        "queued",
        "sink",
        "state_seen",
        "written_at",
    )

    def __init__(self, sink: Sink, framing: Framing) -> None:
        self.sink = sink
        self.framing = framing
        self.mode = Mode.LIVE
        self.cursor = 0
        self.state_seen = 0
        self.written_at = 0.0
        self.blocked = False
        self.blocked_since = 0.0
        self.blocked_backlog = 0
        self.queued = False
        self.chunk: tuple[str | None, str | None, int] | None = None
        self.followings: dict[int, Following] = {}
        self.pending: list[bytes] = []
        self.pending_bytes = 0

    def single(self) -> Following | None:
        """The one following, when there is exactly one: the usual case and the quick path."""
        if len(self.followings) == 1:
            return next(iter(self.followings.values()))
        return None
