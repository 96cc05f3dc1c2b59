"""A simulated T20 match that publishes like a scorer at the ground: seeded, and pure.

``teams`` are who plays, ``deliveries`` what comes of a ball, ``scorer`` what is written down, ``match`` what happens.
"""

from __future__ import annotations

from typing import Final

from touchline.feeds.base import SandboxSurface
from touchline.feeds.roanuz.sandbox.match import SUBJECT, simulate

SANDBOX: Final = SandboxSurface(
    simulate=simulate,
    subject=SUBJECT,
    description="a T20 cricket match, a ball every six seconds, with corrections, a deleted ball, result and review",
    endpoint_options={"subscribe": "all"},
)

__all__ = ["SANDBOX"]
