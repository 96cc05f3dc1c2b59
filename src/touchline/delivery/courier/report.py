"""What an operator is shown of endpoints: their state, their attempts, their dead letters."""

from __future__ import annotations

import msgspec


class Attempt(msgspec.Struct, frozen=True):
    """One try at a delivery (or at a handshake or test, which ``kind`` says). Times in nanoseconds.

    ``excerpt`` is the beginning of the answer's body as text, '' where the feed's payloads are personal.
    """

    at: int
    kind: str
    message_id: str
    offset: int
    type: str
    subject: str
    number: int
    status: int | None
    trouble: str
    detail: str
    seconds: float
    excerpt: str
    replay: bool = False


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that was given up for an endpoint. The stored copy of its data stays inside."""

    offset: int
    seq: int
    feed: str
    type: str
    subject: str
    source: str
    id: str
    message_id: str
    appended_at: int
    dead_at: int
    attempts: int
    status: int | None
    reason: str


class EndpointReport(msgspec.Struct, frozen=True):
    """How an endpoint does.

    ``state`` is 'active', 'failing' (down as a whole: its cursor stands, it is probed), 'waiting' (it asked for a
    pause by Retry-After), 'paused', 'disabled' or 'suspended' (its partner is). ``backlog`` counts the records that
    are owed and not delivered, up to a bound (``backlog_is_bound``: there are at least so many).
    ``oldest_undelivered_seconds`` is the age of the oldest of them since it was appended (None: nothing is owed).
    ``success_rate`` is the share of 2xx among the attempts of the last five minutes (None: there were none).
    ``expired`` says how many offsets retention overtook since the start.
    """

    state: str
    cursor: int
    head: int
    backlog: int
    backlog_is_bound: bool
    oldest_undelivered_seconds: float | None
    success_rate: float | None
    delivered: int
    failed: int
    in_flight: int
    window: int
    open_streams: int
    dead_letters: int
    expired: int
    next_try_seconds: float | None
    last_error: str
