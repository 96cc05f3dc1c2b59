"""The directory as it is in memory: everything that look-ups need, taken from the store's entries one at a time.

Knows nothing of the store and writes nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

import msgspec

from touchline.clock import Clock
from touchline.feeds.base import Member, Token
from touchline.log.entries import Key, Partner, StoredToken, digest
from touchline.log.followers import Followers

PARTNERS: Final = "partners"
KEYS: Final = "keys"
TOKENS: Final = "tokens"
SECRETS: Final = "secrets"
BUCKETS: Final = (PARTNERS, KEYS, TOKENS, SECRETS)


class DirectoryIndex:
    """See the module docstring. ``changes`` is told of every change: (kind, what), see Directory.on_change."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.partners: dict[str, Partner] = {}
        self.keys: dict[str, Key] = {}
        self.tokens: dict[str, StoredToken] = {}
        self.secrets: dict[str, str] = {}
        self.changes: Followers[[str, str]] = Followers()
        self._members: dict[tuple[str, str], Member] = {}
        self._lookups: dict[tuple[str, bool, str], str] = {}
        self._keys_by_hash: dict[str, Key] = {}
        self._token_entries: dict[str, str] = {}
        self._expiring: list[tuple[int, str]] = []

    def member(self, feed: str, *, lookup: str | None = None, partner: str | None = None) -> Member | None:
        """The unsuspended member with this lookup credential (as presented), or of this partner name."""
        if lookup is not None:
            found = self._lookups.get((feed, False, lookup)) or self._lookups.get((feed, True, digest(lookup)))
            if found is None or partner not in (None, found):
                return None
            partner = found
        if partner is None or (entry := self.partners.get(partner)) is None or entry.suspended:
            return None
        return self._members.get((partner, feed))

    def knows_key(self, plain: str) -> bool:
        """Whether a key of that text was ever made, good or not."""
        return digest(plain) in self._keys_by_hash

    def find_key(self, plain: str) -> Key | None:
        """The key, while it is good. Found by the hash of the whole text, so that time tells nothing of it."""
        key = self._keys_by_hash.get(digest(plain))
        return None if key is None or key.revoked_at is not None else key

    def find_token(self, value: str) -> Token | None:
        """The token while it is good: not expired, its partner not removed, suspended or given new credentials."""
        entry = self._token_entries.get(value)
        stored = None if entry is None else self.tokens.get(entry)
        return stored.token() if stored is not None and self.is_good(stored) else None

    def token_entry(self, value: str) -> str:
        """The store's key of a token ('' when there is none)."""
        return self._token_entries.get(value, "")

    def expired_tokens(self) -> Iterator[str]:
        """The store's keys of expired tokens, each given once."""
        now = self._clock.wall_ns()
        while self._expiring and self._expiring[0][0] <= now:
            _, entry = heapq.heappop(self._expiring)
            stored = self.tokens.get(entry)
            if stored is not None and stored.expires_at is not None and stored.expires_at <= now:
                yield entry

    def generation(self, partner: str, feed: str) -> str | None:
        """Which credentials the partner has now in that feed; None when it is suspended or not there."""
        entry = self.partners.get(partner)
        membership = None if entry is None or entry.suspended else entry.members.get(feed)
        return None if membership is None else membership.generation

    def is_good(self, stored: StoredToken) -> bool:
        """Neither expired nor of earlier credentials."""
        if stored.expires_at is not None and stored.expires_at <= self._clock.wall_ns():
            return False
        return stored.generation == self.generation(stored.partner, stored.feed)

    def apply(self, bucket: str, key: str, value: bytes | None) -> None:
        """Take a stored entry (None: deleted) into memory. What is known already changes nothing and tells nobody."""
        match bucket:
            case "partners":
                self._apply_partner(key, None if value is None else msgspec.json.decode(value, type=Partner))
            case "keys":
                self._apply_key(key, None if value is None else msgspec.json.decode(value, type=Key))
            case "tokens":
                self._apply_token(key, None if value is None else msgspec.json.decode(value, type=StoredToken))
            case "secrets" if value is not None:
                self.secrets[key] = value.decode()

    def _apply_partner(self, name: str, new: Partner | None) -> None:
        old = self.partners.pop(name, None)
        if old is not None:
            for feed, membership in old.members.items():
                self._members.pop((name, feed), None)
                if (lookup := membership.lookup_key()) is not None and self._lookups.get((feed, *lookup)) == name:
                    del self._lookups[feed, *lookup]
        if new is not None:
            self.partners[name] = new
            for feed, membership in new.members.items():
                self._members[name, feed] = membership.member(name, feed)
                if (lookup := membership.lookup_key()) is not None:
                    self._lookups[feed, *lookup] = name
        if new != old:
            self.changes.call("partner", name)

    def _apply_key(self, key_id: str, new: Key | None) -> None:
        old = self.keys.pop(key_id, None)
        if old is not None:
            self._keys_by_hash.pop(old.hash, None)
        if new is not None:
            self.keys[key_id] = self._keys_by_hash[new.hash] = new
        if new != old:
            self.changes.call("key", key_id)

    def _apply_token(self, entry: str, new: StoredToken | None) -> None:
        old = self.tokens.pop(entry, None)
        if old is not None:
            self._token_entries.pop(old.value, None)
        if new is not None:
            self.tokens[entry] = new
            self._token_entries[new.value] = entry
            if new.expires_at is not None and (old is None or old.expires_at != new.expires_at):
                heapq.heappush(self._expiring, (new.expires_at, entry))
        if old is not None and new != old:
            self.changes.call("token", old.value)
