"""Gives the requests that schemathesis makes what the feeds' own operations ask for, so that it gets behind the door.

Loaded by the schemathesis command (SCHEMATHESIS_HOOKS); credentials come in the environment.
"""

from __future__ import annotations

import os
from typing import Any

import schemathesis

from acceptance.hubs import signature


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Sign what goes to the providers' paths; the rest gets an admin's key. A project's key stands in its paths."""
    del context, kwargs
    path = case.formatted_path
    headers = {"Authorization": f"Bearer {os.environ['ADMIN_KEY']}"}
    if path.startswith("/api/"):
        headers = {"Authorization": f"API-Key {os.environ['HOCKEY_KEY']}"}
    elif path.startswith("/partner/"):
        headers = {"Authorization": f"Bearer {os.environ['EXCHANGE_TOKEN']}"}
    elif path.startswith("/insights/"):
        headers = {"Authorization": os.environ["INSIGHTS_TOKEN"]}
    elif path.startswith("/v5/"):
        headers = {"rs-token": os.environ["CRICKET_TOKEN"]}
        known = {"project_key": os.environ["CRICKET_PROJECT"], "match_key": "m1"}
        case.path_parameters = {name: known.get(name, value) for name, value in (case.path_parameters or {}).items()}
    elif path.startswith("/v1/data"):
        headers = signature(
            os.environ["SIGNER_USERNAME"], os.environ["SIGNER_SECRET"], os.environ["SIGNER_HOST"], path, case.method
        )
    case.headers = {**(case.headers or {}), **headers}
