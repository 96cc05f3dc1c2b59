"""Insights about what the other feeds' sandboxes play, written as they happen: seeded, pure, and adding up.

``basketball`` and ``hockey`` watch a game by its published events (they know the JSON, not the feed), ``scribe`` builds
the insight object, ``wording`` has the sentences in five languages, ``writer`` is the deriver that ties them together.
"""

from __future__ import annotations

from typing import Final

from touchline.feeds.base import SandboxCommand, SandboxSurface
from touchline.feeds.insights.sandbox.writer import Writer

SANDBOX: Final = SandboxSurface(
    simulate=None,
    derive=Writer,
    subject="nba/scoring/en",
    description="insights about the sandbox's basketball and hockey games: every score in five languages, season"
    " highs, and milestones such as a hat trick",
    topics=tuple(
        f"{league}/{rest}" for league in ("nba", "nhl") for rest in ("scoring/*", "highs/en", "milestones/en")
    ),
    commands=(
        SandboxCommand(
            "rest",
            "the insights so far of the hockey game, by Insights' own REST",
            # The number that the scribe gives to the game which the hockey sandbox plays.
            "curl -sS -H 'Authorization: <token>' <url>/insights/v2/nhl/en/scoring/game/sr:match:63320520",
        ),
    ),
)

__all__ = ["SANDBOX"]
