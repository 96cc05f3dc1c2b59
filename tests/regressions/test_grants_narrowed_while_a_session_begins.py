"""Grants that were narrowed between a session's admission and its beginning went unnoticed for its whole life."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from touchline.feeds.base import EndReason, Identify, Member
from touchline.server.sessions import Identity, Sessions


def test_a_session_admitted_with_wider_grants_is_sent_round() -> None:
    narrowed = Member("acme", "hub", {"feed": frozenset({"roanuz"})}, {"key": "hash"})
    directory = SimpleNamespace(member=lambda feed, partner: narrowed, find_token=lambda value: None, keys=list)
    sessions = object.__new__(Sessions)
    sessions.hub = cast("Any", SimpleNamespace(directory=directory))
    ended: list[EndReason] = []
    for admitted_with in (narrowed.grants, {}):
        identity = sessions.identity("hub", Identify("acme", key_id="partner:acme", grants=admitted_with))
        sessions._open = {_Session(identity, ended.append): None}
        sessions.recheck()
    assert ended == [EndReason.SHUTDOWN]


class _Session:
    """A session as far as the check looks at it."""

    def __init__(self, identity: Identity, end: Callable[[EndReason], None]) -> None:
        self.identity: Identity | None = identity
        self.end = end

    def tick(self, now: float) -> None:
        """Nothing."""
