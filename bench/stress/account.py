"""The account of (event, reader) pairs: each was delivered once and in order, or is named here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class Account(NamedTuple):
    """Of some readers. ``pairs`` are those that were due; of these ``pending`` wait at a position that the reader has,
    ``lost`` are the others that did not come. ``inversions`` came behind a later one, ``duplicates`` once more."""

    sessions: int = 0
    pairs: int = 0
    pending: int = 0
    lost: int = 0
    inversions: int = 0
    duplicates: int = 0

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong with it."""
        return not (self.lost or self.inversions or self.duplicates)


class Keeper(Protocol):
    """A reader that keeps account."""

    def account(self, head: int, *, pending: bool = False) -> Account:
        """Of what was due up to ``head``; ``pending``: what stands after its last one has not been waited for."""


def total(accounts: Iterable[Account]) -> Account:
    """All together."""
    return Account(*map(sum, zip(Account(), *accounts, strict=True)))


class Book:
    """The account of one reader of a stream whose records are numbered from one on. ``seq`` is the last that it has."""

    __slots__ = ("_duplicates", "_first", "_inversions", "_missing", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self._first = seq
        self._missing: set[int] = set()
        self._inversions = self._duplicates = 0

    def enter(self, seq: int) -> None:
        """A record came."""
        if seq == self.seq + 1:
            self.seq = seq
        elif seq > self.seq:
            self._missing.update(range(self.seq + 1, seq))
            self.seq = seq
        elif seq in self._missing:
            self._missing.discard(seq)
            self._inversions += 1
        else:
            self._duplicates += 1

    def account(self, head: int, *, pending: bool = False) -> Account:
        """See ``Keeper``."""
        behind = max(0, head - self.seq)
        lost = len(self._missing) + (0 if pending else behind)
        waiting = behind if pending else 0
        return Account(1, max(0, head - self._first), waiting, lost, self._inversions, self._duplicates)
