"""The fold of a stream's records into its whole current state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

from touchline.feeds.base.sessions import Instant
from touchline.model import Event, Record

State = TypeVar("State")
Upgraded_co = TypeVar("Upgraded_co", covariant=True)


@runtime_checkable
class Owned(Protocol):
    """A state that may be one partner's alone: ``owner`` is its partner_id, or None when everybody may see it.

    Asked of the state, not of records: they expire, and then the log no longer says whose the stream is.
    """

    owner: str | None


@runtime_checkable
class Upgrading(Protocol[Upgraded_co]):
    """A fold that can also read checkpoints of other versions than its own (``SnapshotFold.version``)."""

    def upgrade(self, version: int, data: bytes) -> Upgraded_co | None:
        """The state of a checkpoint of that version, as this version's; None when it cannot be told from it."""


class SnapshotFold(Protocol, Generic[State]):
    """Folds the records of one stream into its whole current state."""

    version: int
    """Names the encoding of checkpoints: raise it when what ``decode`` reads or what a state holds has changed.

    A checkpoint of another version is never decoded. A fold that is ``Upgrading`` is given it, and goes on behind it.
    Otherwise the state is folded anew from the records that the log still has, and replaces the checkpoint; the hub
    does so with all checkpoints of another version before retention removes anything. What was removed before is
    missing then, which the hub says in a warning for each such stream; so offer an upgrade when records older than
    retention matter. A stream of which nothing is left keeps its checkpoint, for a version that can read it.
    """

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
