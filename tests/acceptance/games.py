"""A whole game to publish: the sandbox's own, cut to the length that a test wants."""

from __future__ import annotations

import random
from typing import NamedTuple

from touchline.feeds.base import SandboxOptions
from touchline.feeds.shottracker.sandbox.game import Lengths, simulate

from .hubs import cloud_event

START_NS = 1_790_000_000_000_000_000
STATE_TYPES = ("shottracker.location", "shottracker.clock")
DOCUMENT_TYPES = ("shottracker.game", "shottracker.team")


class Play(NamedTuple):
    """One event of the game; ``line`` is what is published."""

    id: str
    type: str
    subject: str
    data: bytes
    line: bytes

    @property
    def is_state(self) -> bool:
        """Whether it is of the state lane."""
        return self.type in STATE_TYPES

    @property
    def is_pushed(self) -> bool:
        """Whether ShotTracker sessions get it with a seq."""
        return not self.is_state and self.type not in DOCUMENT_TYPES


def sandbox_game(subject: str, *, seed: int = 1, quarter: int = 600, state_every: int = 200) -> list[Play]:
    """A game of teams 123 and 456 with all its sequenced events and some of the state lane."""
    plays: list[Play] = []
    options = SandboxOptions(start_ns=START_NS, subject=subject)
    lengths = Lengths(quarter=quarter, overtime=quarter)
    states = 0
    for event in simulate(random.Random(seed), options, lengths):
        if event.type in STATE_TYPES:
            states += 1
            if states % state_every:
                continue
        name = f"{subject}-{len(plays) + 1}"
        line = cloud_event(name, event.type, event.subject, event.data, "/venue/sandbox")
        plays.append(Play(name, event.type, event.subject, event.data, line))
    return plays
