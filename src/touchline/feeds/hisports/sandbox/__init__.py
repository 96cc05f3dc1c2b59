"""A simulated ice hockey game that publishes like a scorekeeper's device: seeded, pure, its whole state each time.

``roster`` is who plays, ``sheet`` what is written down, ``play`` what happens in a second of the game clock, ``game``
the course from the announcement to the signatures.
"""

from __future__ import annotations

from typing import Final

from touchline.feeds.base import SandboxCommand, SandboxSurface
from touchline.feeds.hisports.sandbox.game import SUBJECT, simulate

SANDBOX: Final = SandboxSurface(
    simulate=simulate,
    subject=SUBJECT,
    description="an ice hockey game of three periods in about six minutes: lineups, goals, penalties, goalie changes, "
    "overtime or shootout when tied, signatures, and a correction afterwards",
    topics=("*",),
    endpoint_options={"signature": "hmac", "trace": "on"},
    commands=(
        SandboxCommand(
            "rest",
            "the box score of the hockey game, by HiSports' own REST",
            "curl -sS -H 'Authorization: API-Key <api_key>' <url>/api/games/<subject>/boxScore",
        ),
    ),
)

__all__ = ["SANDBOX"]
