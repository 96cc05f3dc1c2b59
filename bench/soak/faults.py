"""What is wrong with a webhook endpoint, and when."""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator
from typing import Final

import msgspec

PICKY_OF: Final = 997
"""A picky endpoint never takes a record of a burst whose offset leaves this rest."""
PICKY_REST: Final = 3
BURST: Final = "burst-"
"""How the streams of bursts begin."""


class Role(enum.Enum):
    """``PICKY`` refuses a few records for good and takes the others, ``GONE`` answers 410."""

    HEALTHY = "healthy"
    SLOW = "slow"
    FAILING = "failing"
    BLACK = "black-holed"
    REFUSING = "refusing"
    PICKY = "picky"
    GONE = "gone"


class Fault(msgspec.Struct, frozen=True):
    """From when until when, in seconds after the start."""

    begins: float
    ends: float


def windows(role: Role, dice: random.Random, seconds: float) -> Iterator[Fault]:
    """When an endpoint that fails for a while does so."""
    if role not in (Role.FAILING, Role.BLACK):
        return
    at = dice.uniform(0.05, 0.3) * seconds
    while at < seconds:
        length = dice.uniform(0.02, 0.08) * seconds
        yield Fault(at, at + length)
        at += length + dice.uniform(0.1, 0.4) * seconds


def refuses(offset: int, subject: str) -> bool:
    """Whether a picky endpoint refuses the record."""
    return subject.startswith(BURST) and offset % PICKY_OF == PICKY_REST
