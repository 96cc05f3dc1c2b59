"""A simulated basketball game that publishes like a venue: seeded, driven by a clock that is handed in, and pure.

``court`` is geometry, ``roster`` who plays, ``motion`` and ``floor`` where they are, ``boxscore`` what adds up,
``table`` what gets booked, ``announcer`` how it is worded, ``possession`` and ``game`` what happens.
"""

from __future__ import annotations

from typing import Final

from touchline.feeds.base import SandboxSurface
from touchline.feeds.shottracker.sandbox.game import SUBJECT, simulate

SANDBOX: Final = SandboxSurface(
    simulate=simulate,
    subject=SUBJECT,
    description="a basketball game in four quarters of five minutes: players and ball at 10 Hz, shots, box score, "
    "play-by-play, substitutions, and now and then a correction",
    tail={"game": SUBJECT},
)

__all__ = ["SANDBOX"]
