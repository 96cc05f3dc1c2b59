"""The one error tree.

TouchlineError
├── ConfigError            a setting is wrong: says which and what to do
├── ProtocolError
│   ├── LocalProtocolError     our side did what the protocol forbids: a bug of the caller
│   └── RemoteProtocolError    the peer did
├── InvalidEvents          a publish request holds events that cannot be taken; names index and field of each
├── LogError
│   ├── Conflict           the same source and id with other content
│   ├── PositionGone       the asked position is older than retention, ahead of the head, or of another epoch
│   ├── LogFull            no room to append; retry later
│   └── LogUnavailable     the log cannot be written or read now; retry later
├── DirectoryError
│   ├── AlreadyExists      a partner or key of that name is there
│   ├── NotFound           there is none
│   └── RevisionConflict   somebody else wrote the entry first
├── EngineBusy             a sandbox has more commands waiting than it may; retry later
└── UpstreamError          an HTTP or WebSocket peer that we are a client of refused or broke off

``retryable`` and ``retry_after`` (seconds) are data, so that a shell decides without knowing the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec


class TouchlineError(Exception):
    """Anything that Touchline raises on purpose."""

    retryable: ClassVar[bool] = False
    retry_after: float | None = None


class ConfigError(TouchlineError):
    """A setting is wrong."""


class ProtocolError(TouchlineError):
    """A rule of a wire protocol was broken."""


class LocalProtocolError(ProtocolError):
    """Our own side broke it."""


class RemoteProtocolError(ProtocolError):
    """The peer broke it."""


class EventProblem(msgspec.Struct, frozen=True):
    """Why one event of a publish request was refused: ``index`` from 0, ``field`` a dotted path ('' for the whole)."""

    index: int
    field: str
    detail: str


class InvalidEvents(TouchlineError):
    """Events of a publish request cannot be taken; ``problems`` names each."""

    def __init__(self, problems: Sequence[EventProblem]) -> None:
        super().__init__(problems[0].detail if problems else "invalid events")
        self.problems = tuple(problems)


class LogError(TouchlineError):
    """The event log cannot do what was asked."""


class Conflict(LogError):
    """Events whose source and id are taken by another event; ``indexes`` are their places in the batch."""

    def __init__(self, indexes: Sequence[int]) -> None:
        super().__init__("an event with this source and id is stored already with other content")
        self.indexes = tuple(indexes)


class PositionGone(LogError):
    """Reading cannot go on from there without a gap; ``reason`` is 'expired', 'ahead' or 'epoch'."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class LogFull(LogError):
    """No room to append now; nothing of the batch was stored."""

    retryable = True
    retry_after = 5.0


class LogUnavailable(LogError):
    """The log cannot be written or read now; nothing of the batch was acknowledged."""

    retryable = True
    retry_after = 1.0


class DirectoryError(TouchlineError):
    """The directory cannot do what was asked."""


class AlreadyExists(DirectoryError):
    """An entry of that name is there already."""


class NotFound(DirectoryError):
    """There is no such entry."""


class RevisionConflict(DirectoryError):
    """The entry was written by somebody else since it was read."""

    retryable = True


class EngineBusy(TouchlineError):
    """Too many commands wait for a sandbox engine; this one was not taken."""

    retryable = True
    retry_after = 1.0


class UpstreamError(TouchlineError):
    """A peer that we are a client of refused or broke off; ``status`` is its HTTP status or close code, if any."""

    retryable = True

    def __init__(self, detail: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after
