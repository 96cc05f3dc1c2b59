"""Which records a native reader sees: what it asked for, narrowed by what it may see. Shared by all three transports.

Grants (contract, Partners): ``feed``, ``subject``, ``type`` narrow; ``partner`` opens that partner's private records.
Private records of others are never seen; records of the hub itself are for admins and for readers granted ``feed=hub``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import Admission, Grants
from touchline.model import Position, Record
from touchline.wire import cloudevents
from touchline.wire.http import HttpRequest, every


class HubSelector(msgspec.Struct, frozen=True):
    """A native reader's filter. Empty sets do not narrow; ``granted_*`` come from the grants of a partner."""

    feeds: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    granted_feeds: frozenset[str] = frozenset()
    granted_subjects: frozenset[str] = frozenset()
    granted_types: frozenset[str] = frozenset()
    private_of: frozenset[str] = frozenset()
    admin: bool = False
    variant: str = ""

    @property
    def feed(self) -> str | None:
        """The one feed that it looks at, if it is one."""
        return next(iter(self.feeds)) if len(self.feeds) == 1 else None

    @property
    def subject(self) -> str | None:
        """The one stream of that feed, if it is one."""
        return next(iter(self.subjects)) if len(self.feeds) == 1 and len(self.subjects) == 1 else None

    def matches(self, record: Record) -> bool:
        """Whether the reader asked for this record and may see it."""
        event = record.event
        if (
            (self.feeds and event.feed not in self.feeds)
            or (self.subjects and event.subject not in self.subjects)
            or (self.types and event.type not in self.types)
        ):
            return False
        if self.admin:
            return True
        if (
            (self.granted_feeds and event.feed not in self.granted_feeds)
            or (self.granted_subjects and event.subject not in self.granted_subjects)
            or (self.granted_types and event.type not in self.granted_types)
        ):
            return False
        owner = event.partner
        if owner is not None and owner not in self.private_of:
            return False
        return event.feed != "hub" or "hub" in self.granted_feeds


def selector(admission: Admission, request: HttpRequest, known_feeds: Sequence[str] = ()) -> HubSelector:
    """The filter of a request's ``feed``, ``subject`` and ``type`` parameters (each may repeat) under an admission.

    Raises:
        RemoteProtocolError: an unknown feed is asked for.
    """
    feeds = frozenset(every(request.query, "feed")) - {""}
    if known_feeds and not feeds <= set(known_feeds):
        unknown = ", ".join(sorted(feeds - set(known_feeds)))
        raise RemoteProtocolError(f"unknown feed {unknown[:64]!r}; feeds are {', '.join(known_feeds)}")
    return msgspec.structs.replace(
        granted(admission.grants),
        feeds=feeds,
        subjects=frozenset(every(request.query, "subject")) - {""},
        types=frozenset(every(request.query, "type")) - {""},
        admin=admission.partner is None,
    )


def granted(grants: Grants) -> HubSelector:
    """What a partner with these grants may see, all of it."""
    return HubSelector(
        granted_feeds=grants.get("feed", frozenset()),
        granted_subjects=grants.get("subject", frozenset()),
        granted_types=grants.get("type", frozenset()),
        private_of=grants.get("partner", frozenset()),
    )


def encode(record: Record, variant: Any, position: Position) -> bytes:
    """The record as a CloudEvent in JSON event format; there is one variant."""
    del variant
    return cloudevents.encode(record, position)


def presented_key(request: HttpRequest) -> str:
    """The key of a native request ('' when there is none): ``Authorization: Bearer``, or the query's ``access_token``
    where a browser cannot set headers (RFC 6750, 2.1 and 2.3).
    """
    scheme, _, key = (request.header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return request.param("access_token") or ""
