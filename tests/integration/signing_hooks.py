"""Signs the requests that schemathesis makes to ShotTracker operations, so that it gets behind the door.

Loaded by the schemathesis command (SCHEMATHESIS_HOOKS); credentials come in the environment.
"""

from __future__ import annotations

import os
from typing import Any

import schemathesis

from acceptance.hubs import signature


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Sign what goes to the provider's paths; the rest gets an admin's key."""
    del context, kwargs
    path = case.formatted_path
    headers = {"Authorization": f"Bearer {os.environ['ADMIN_KEY']}"}
    if path.startswith("/v1/data"):
        headers = signature(
            os.environ["SIGNER_USERNAME"], os.environ["SIGNER_SECRET"], os.environ["SIGNER_HOST"], path, case.method
        )
    case.headers = {**(case.headers or {}), **headers}
