"""What the hub offers to a feed's ``http.py``: directory, snapshots, log, engine, login limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from touchline.feeds.base.engines import EnginePort
from touchline.feeds.base.partners import Form, Member, Token
from touchline.feeds.base.sessions import Instant
from touchline.feeds.base.webhooks import SubscriptionPort
from touchline.model import Record


class DirectoryPort(Protocol):
    """Partners, credentials, grants and tokens, as a feed may use them. Look-ups answer from memory."""

    def member(self, feed: str, *, lookup: str | None = None, partner: str | None = None) -> Member | None:
        """The unsuspended member with this lookup credential, or of this partner name."""

    def find_token(self, value: str) -> Token | None:
        """The token, while it is good."""

    async def issue_token(
        self,
        feed: str,
        partner: str,
        purpose: str,
        subject: str,
        *,
        form: Form,
        expires_at: int | None,
        prefix: str = "",
    ) -> Token:
        """The token of this (feed, partner, purpose, subject): the one that is good, or a new one."""

    async def extend_token(self, value: str, expires_at: int | None) -> None:
        """Set when a token ends."""

    async def secret(self, name: str, make: Callable[[], str] | None = None) -> str:
        """The hub's own secret of this name (see FindSecret); ``make`` makes it where 32 random bytes will not do."""


class SnapshotPort(Protocol):
    """The folded state of streams, current up to the last record that was acknowledged."""

    async def state(self, feed: str, subject: str) -> Any | None:
        """The fold's state object of a stream (do not change it), or None when nothing is known of it."""


class ReadPort(Protocol):
    """Reading the log."""

    async def documents(self, feed: str, event_type: str) -> Sequence[Record]:
        """The newest record per subject of a type declared with ``document``."""

    async def document(self, feed: str, event_type: str, subject: str) -> Record | None:
        """The newest record of that type and subject."""

    async def records(
        self, feed: str, subject: str, *, after: int = 0, limit: int = 1000, types: frozenset[str] | None = None
    ) -> Sequence[Record]:
        """Records of one stream in log order, both lanes, after an offset."""


class LoginLimitPort(Protocol):
    """The limit on failed logins and signatures, per address and per name."""

    def blocked(self, address: str, name: str) -> float | None:
        """Seconds to wait, or None when a try is allowed."""

    def failed(self, address: str, name: str) -> None:
        """Count a failure."""


class Ports(Protocol):
    """All of it, handed to ``operations(ports)`` of a feed's ``http.py``."""

    @property
    def directory(self) -> DirectoryPort: ...
    @property
    def snapshots(self) -> SnapshotPort: ...
    @property
    def log(self) -> ReadPort: ...
    @property
    def logins(self) -> LoginLimitPort: ...
    @property
    def subscriptions(self) -> SubscriptionPort: ...
    @property
    def base_url(self) -> str: ...
    def engine(self, feed: str) -> EnginePort | None:
        """The feed's sandbox engine, where this hub runs it."""

    async def signing(self, feed: str) -> str:
        """What the feed's ``WebhookCodec.mint`` made for this hub (``Hosting.signing``)."""

    def now(self) -> Instant: ...
    def new_id(self) -> str:
        """A random UUID, for request ids."""
