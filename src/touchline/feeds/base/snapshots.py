"""The fold of a stream's records into its whole current state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

from touchline.feeds.base.sessions import Instant
from touchline.model import Event, Record

State = TypeVar("State")


@runtime_checkable
class Owned(Protocol):
    """A state that may be one partner's alone: ``owner`` is its partner_id, or None when everybody may see it.

    Asked of the state, not of records: they expire, and then the log no longer says whose the stream is.
    """

    owner: str | None


class SnapshotFold(Protocol, Generic[State]):
    """Folds the records of one stream into its whole current state. ``version`` names the encoding of checkpoints."""

    version: int

    def initial(self, subject: str) -> State:
        """The state before the first record."""

    def apply(self, state: State, record: Record) -> None:
        """Take one record into account, in log order, both lanes."""

    def encode(self, state: State) -> bytes:
        """The state as a checkpoint."""

    def decode(self, data: bytes) -> State:
        """The state of a checkpoint of the same version."""

    def view(self, state: State) -> bytes:
        """The state as JSON text for readers."""

    def derive(self, state: State, now: Instant) -> Sequence[Event]:
        """State-lane events that follow from the fold; asked for at most once a second, while somebody follows."""

    def is_over(self, state: State) -> bool:
        """Whether no more records are expected."""

    def first_seq(self, state: State) -> int:
        """The seq at which a reader without a position begins (1 unless the stream runs in loops)."""
