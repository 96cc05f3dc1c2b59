"""A simulated T20 match that publishes like a scorer at the ground: seeded, and pure.

``teams`` are who plays, ``deliveries`` what comes of a ball, ``scorer`` what is written down, ``match`` what happens.
"""

from __future__ import annotations

from typing import Final

from touchline.feeds.base import SandboxCommand, SandboxSurface
from touchline.feeds.roanuz.sandbox.match import SUBJECT, simulate

SANDBOX: Final = SandboxSurface(
    simulate=simulate,
    subject=SUBJECT,
    description="a T20 cricket match, a ball every six seconds, with corrections, a deleted ball, result and review",
    endpoint_options={"subscribe": "all"},
    commands=(
        SandboxCommand(
            "rest",
            "the over of the cricket match now, by Roanuz' own REST: a token for the key, then the call",
            """curl -sS -H "rs-token: $(curl -sS -H 'content-type: application/json' -d '{"api_key":"<api_key>"}' """
            """<url>/v5/core/<project_key>/auth/ | sed 's/.*"token":"\\([^"]*\\)".*/\\1/')" """
            "<url>/v5/cricket/<project_key>/match/<subject>/ball-by-ball/",
        ),
    ),
)

__all__ = ["SANDBOX"]
