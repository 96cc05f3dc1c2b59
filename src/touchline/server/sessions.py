"""All open sessions: what they are, whom they act for, and when they must end.

Knows which surface answers which path, ends sessions whose token, key or partner is no longer good, keeps idle ones in
check, and closes all of them, spread over time, when the hub stops. WebSocket and SSE sessions are both here.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import resource
from typing import Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

import msgspec

from touchline.delivery.fanout import Framing
from touchline.feeds.base import EndReason, Feed, Identify, Member, WebSocketSurface
from touchline.model import Position, Record
from touchline.server.config import Settings
from touchline.server.deadlines import Deadlines
from touchline.server.hub import Hub
from touchline.server.metrics import Metrics
from touchline.wire import frames

_log: Final = logging.getLogger(__name__)

_RECHECK_TICKS: Final = 2
_SHARES: Final = 16
"""In which each second's look at the sessions is done: what is due to all of them does not wait for the whole."""
_OWN_DESCRIPTORS: Final = 80
"""For the log, the listeners and what is opened in passing."""
_TOLD: Final = frozenset({EndReason.REVOKED, EndReason.STALLED, EndReason.GAP, EndReason.FAULT})
"""Ends that are somebody's trouble; the others are the usual way of things, and thousands come at once."""
_ROOM_AGAIN: Final = 0.9
"""Of the limit: once it was reached, it is said again only after it was left so far behind."""


class Identity(msgspec.Struct, frozen=True):
    """Whom a session acts for. ``member`` is the partner as it was when the session began; None for an admin."""

    feed: str
    partner: str | None
    token: str | None
    key_id: str | None
    member: Member | None = None


@runtime_checkable
class Session(Protocol):
    """An open session, whatever its transport."""

    identity: Identity | None

    def end(self, reason: EndReason) -> None:
        """Word the end in the session's protocol and close."""

    def abort(self) -> None:
        """Close without a word."""

    def tick(self, now: float) -> None:
        """Once a second: keep-alive and idleness."""


class Route(msgspec.Struct, frozen=True):
    """A WebSocket surface with its path as a pattern and its ready framing."""

    feed: str
    pattern: re.Pattern[str]
    surface: WebSocketSurface
    framing: Framing


def _route(feed: Feed, surface: WebSocketSurface) -> Route:
    pattern = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(surface.path)) + r"\Z")

    def frame(message: str | bytes, record: Record, position: Position) -> bytes:
        del record, position
        return frames.text(message)

    return Route(feed.name, pattern, surface, Framing(f"{feed.name}:websocket", surface.encode, frame, surface.is_last))


def _room(settings: Settings) -> int:
    """How many connections are taken: no more than the system gives descriptors for beside our own work. Without one
    left nobody could be told to come back, and the log could not be opened for a reading.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return settings.max_connections
    own = _OWN_DESCRIPTORS + settings.webhook_requests + settings.webhook_suspect_requests
    return min(settings.max_connections, max(allowed // 2, allowed - own))


class Counts:
    """How many WebSocket sessions of a feed are open, and were. Metrics are looked up once."""

    def __init__(self, metrics: Metrics, feed: str) -> None:
        self._open = metrics.sessions.labels(feed, "websocket")
        self._opened = metrics.sessions_opened.labels(feed, "websocket")

    def begin(self) -> None:
        """One more is open."""
        self._open.inc()
        self._opened.inc()

    def end(self) -> None:
        """One of them is gone."""
        self._open.dec()


class Sessions:
    """See the module docstring."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.settings: Settings = hub.settings
        self.routes = [_route(feed, feed.websocket) for feed in hub.feeds.values() if feed.websocket is not None]
        host = urlsplit(hub.settings.base_url).netloc if hub.settings.base_url else ""
        self.public_host: str | None = host or None
        self.deadlines = Deadlines(hub.clock)
        self._counts: dict[str, Counts] = {}
        self._open: dict[Session, None] = {}
        self._full = False
        self._ticks = 0

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, http_connections: int) -> bool:
        """Whether one more connection fits."""
        if self.hub.stopping:
            return False
        count, limit = http_connections + len(self._open), _room(self.settings)
        if count > limit and not self._full:
            _log.warning("no more connections fit; others are asked to come back later", extra={"limit": limit})
        self._full = count > limit or (self._full and count > limit * _ROOM_AGAIN)
        return count <= limit

    def find(self, path: str) -> tuple[Route, dict[str, str]] | None:
        """The surface that answers a path, with the path's parameters."""
        for route in self.routes:
            match = route.pattern.match(path)
            if match:
                return route, match.groupdict()
        return None

    def add(self, session: Session) -> None:
        """A session begins (or its handshake does)."""
        self._open[session] = None

    def counts(self, feed: str) -> Counts:
        """Where a feed's WebSocket sessions are counted."""
        found = self._counts.get(feed)
        if found is None:
            found = self._counts[feed] = Counts(self.hub.metrics, feed)
        return found

    def remove(self, session: Session) -> None:
        """A session is gone."""
        self._open.pop(session, None)

    def ended(self, session: Session, feed: str, reason: EndReason) -> None:
        """The hub ends a session: counted, and told where somebody will ask why."""
        self.hub.metrics.sessions_ended.labels(feed, reason.value).inc()
        partner = None if session.identity is None else session.identity.partner
        level = logging.INFO if reason in _TOLD else logging.DEBUG
        _log.log(level, "a session is ended", extra={"feed": feed, "partner": partner, "reason": reason.value})

    def identity(self, feed: str, wish: Identify) -> Identity:
        """Whom a session acts for, as of now."""
        member = None if wish.partner is None else self.hub.directory.member(feed, partner=wish.partner)
        if member is not None and wish.grants is not None:
            member = msgspec.structs.replace(member, grants=wish.grants)
        return Identity(feed, wish.partner, wish.token, wish.key_id, member)

    def _why_end(self, identity: Identity, good_keys: frozenset[str]) -> EndReason | None:
        """Why a session must end now, or None. Changed rights end it as one that may come back with the new ones."""
        directory = self.hub.directory
        if identity.token is not None and directory.find_token(identity.token) is None:
            return EndReason.REVOKED
        if identity.partner is None:
            return EndReason.REVOKED if identity.key_id is not None and identity.key_id not in good_keys else None
        member = directory.member(identity.feed, partner=identity.partner)
        if member is None or identity.member is None or member.credentials != identity.member.credentials:
            return EndReason.REVOKED
        if (member.grants, member.options) != (identity.member.grants, identity.member.options):
            return EndReason.SHUTDOWN
        return None

    def changed(self, kind: str, name: str) -> None:
        """The directory changed. A token that is good ends nobody's session: tokens are extended all the time."""
        if kind != "token" or self.hub.directory.find_token(name) is None:
            self.recheck()

    @staticmethod
    def _end(session: Session, reason: EndReason) -> None:
        """No session's fault may keep the next one open."""
        try:
            session.end(reason)
        except Exception:  # a feed's code; revocation must not depend on it
            _log.exception("a session could not word its end", extra={"reason": reason.value})
            session.abort()

    def recheck(self) -> None:
        """Look at every session again, since rights changed."""
        good_keys = self._good_keys()
        for session in list(self._open):
            self._check(session, good_keys)

    def _good_keys(self) -> frozenset[str]:
        return frozenset(key.id for key in self.hub.directory.keys() if key.revoked_at is None)  # noqa: SIM118

    def _check(self, session: Session, good_keys: frozenset[str]) -> None:
        if session.identity is not None and (reason := self._why_end(session.identity, good_keys)) is not None:
            self._end(session, reason)

    async def tick(self) -> None:
        """Once a second: each session's own periodic work and, every few seconds, whether its rights have expired."""
        now = self.hub.clock.monotonic()
        self._ticks += 1
        good_keys = self._good_keys() if self._ticks % _RECHECK_TICKS == 0 else None
        sessions = list(self._open)
        share = len(sessions) // _SHARES + 1
        for number, session in enumerate(sessions, 1):
            if session not in self._open:  # it ended meanwhile
                continue
            try:
                session.tick(now)
            except Exception:  # a feed's code; the sessions behind it have their second too
                _log.exception("a session's periodic work failed")
                session.abort()
            if good_keys is not None:
                self._check(session, good_keys)
            if number % share == 0:
                await asyncio.sleep(0)
                if good_keys is not None:  # a key may have been made meanwhile, and a session behind have it already
                    good_keys = self._good_keys()

    async def drain(self) -> None:
        """Tell every session to come back, spread so that they do not all come at once."""
        sessions = list(self._open)
        random.shuffle(sessions)
        seconds = min(self.settings.drain_seconds, len(sessions) * 0.002)
        steps = max(1, int(seconds / 0.05))
        for step in range(steps):
            for session in sessions[step::steps]:
                self._end(session, EndReason.SHUTDOWN)
            if step < steps - 1:
                await asyncio.sleep(0.05)
        for _ in range(20):
            if not self._open:
                break
            await asyncio.sleep(0.05)
        for session in list(self._open):  # whoever did not answer the close is not waited for
            session.abort()
        await asyncio.sleep(0)
