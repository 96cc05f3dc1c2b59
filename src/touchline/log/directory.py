"""The typed directory: partners with their credentials and grants, keys, tokens, secrets, the same on every backend.

All entries are in memory from ``start`` on and kept current by the store's watch, so that look-ups answer at once.
Writes go to the store with compare-and-set. Owns no protocol: which credentials a feed wants is an argument.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from touchline.clock import Clock
from touchline.errors import AlreadyExists, NotFound, RevisionConflict
from touchline.feeds.base import Admission, CredentialField, Form, Member, Token
from touchline.log.base import KeyValue
from touchline.log.entries import (
    Entropy,
    Key,
    Membership,
    Partner,
    Role,
    StoredToken,
    check_partner_name,
    digest,
    mint,
    mint_membership,
    plain_grants,
)
from touchline.log.followers import Followers

_logger = logging.getLogger(__name__)

_PARTNERS: Final = "partners"
_KEYS: Final = "keys"
_TOKENS: Final = "tokens"
_SECRETS: Final = "secrets"
_TRIES: Final = 32
_PURGED_AT_ONCE: Final = 16
_NATIVE_FEED: Final = "hub"
_KEY_PREFIX: Final[Mapping[str, str]] = {"admin": "tla_", "publisher": "tlp_"}

OnChange = Callable[[str, str], None]
"""kind ('partner', 'key', 'token') and the partner's name, the key's id, the token's value"""

S = TypeVar("S", Partner, Key, StoredToken)


class Directory:
    """See the module docstring; implements ``touchline.feeds.base.DirectoryPort``. ``start`` first, ``close`` last."""

    def __init__(self, kv: KeyValue, clock: Clock, entropy: Entropy) -> None:
        self._kv = kv
        self._clock = clock
        self._entropy = entropy
        self._end_watch: Callable[[], None] | None = None
        self._loading: set[tuple[str, str]] | None = None
        self._partners: dict[str, Partner] = {}
        self._members: dict[tuple[str, str], Member] = {}
        self._lookups: dict[tuple[str, bool, str], str] = {}
        self._keys: dict[str, Key] = {}
        self._keys_by_hash: dict[str, Key] = {}
        self._tokens: dict[str, StoredToken] = {}
        self._token_entries: dict[str, str] = {}
        self._expiring: list[tuple[int, str]] = []
        self._secrets: dict[str, str] = {}
        self._changes: Followers[[str, str]] = Followers()

    async def start(self) -> None:
        """Load everything, and keep it current from then on."""
        # What the watch tells while the lists are read is newer than they are.
        self._loading = set()
        self._end_watch = self._kv.watch(self._watched)
        for bucket in (_PARTNERS, _KEYS, _TOKENS, _SECRETS):
            for key, entry in (await self._kv.list(bucket)).items():
                if (bucket, key) not in self._loading:
                    self._apply(bucket, key, entry.value)
        self._loading = None
        await self._purge(len(self._tokens))

    async def close(self) -> None:
        """End the watch."""
        if self._end_watch is not None:
            self._end_watch()
            self._end_watch = None

    def on_change(self, callback: OnChange) -> Callable[[], None]:
        """Call after every change of a partner, key or token, by whichever node: ask again whether it is good."""
        return self._changes.add(callback)

    # partners

    def partners(self) -> list[Partner]:
        """All, by name."""
        return [self._partners[name] for name in sorted(self._partners)]

    def partner(self, name: str) -> Partner:
        """The partner. Raises NotFound."""
        partner = self._partners.get(name)
        if partner is None:
            raise NotFound(f"there is no partner {name[:80]!r}")
        return partner

    async def add_member(
        self,
        partner: str,
        feed: str,
        fields: Sequence[CredentialField],
        grants: Mapping[str, Iterable[str]],
        options: Mapping[str, str],
    ) -> dict[str, str]:
        """Let a partner (made when new) receive a feed; returns its credentials, which are told only now.

        Raises:
            ValueError: the name cannot be a partner's.
            AlreadyExists: the partner has that feed.
        """
        check_partner_name(partner)
        now = self._clock.wall_ns()
        membership, plain = mint_membership(partner, fields, grants, options, now, self._entropy)

        def add(old: Partner | None) -> Partner:
            old = old or Partner(partner, now, suspended=False, members={})
            if feed in old.members:
                raise AlreadyExists(
                    f"partner {partner!r} has feed {feed!r} already; rotate its credentials or remove it"
                )
            return msgspec.structs.replace(old, members={**old.members, feed: membership})

        await self._update(_PARTNERS, partner, Partner, add)
        return plain

    async def set_grants(
        self,
        partner: str,
        feed: str,
        grants: Mapping[str, Iterable[str]],
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Replace the grants, and the options if given. Raises NotFound."""

        def change(old: Membership) -> Membership:
            kept = old.options if options is None else dict(options)
            return msgspec.structs.replace(old, grants=plain_grants(grants), options=kept)

        await self._change_member(partner, feed, change)

    async def suspend(self, name: str) -> None:
        """Make the partner, its credentials and tokens no good until ``resume``. Raises NotFound."""
        await self._change_partner(name, lambda old: msgspec.structs.replace(old, suspended=True))

    async def resume(self, name: str) -> None:
        """End a suspension. Raises NotFound."""
        await self._change_partner(name, lambda old: msgspec.structs.replace(old, suspended=False))

    async def rotate(self, partner: str, feed: str, fields: Sequence[CredentialField]) -> dict[str, str]:
        """New credentials (a partner's own name stays); the old ones and all tokens of that feed end at once.

        Raises NotFound.
        """
        old = self.partner(partner).members.get(feed)
        membership, plain = mint_membership(
            partner, fields, {}, {}, self._clock.wall_ns() if old is None else old.created_at, self._entropy
        )

        def change(old: Membership) -> Membership:
            return msgspec.structs.replace(
                membership, grants=old.grants, options=old.options, created_at=old.created_at
            )

        await self._change_member(partner, feed, change)
        await self._drop_tokens(partner, feed)
        return plain

    async def remove(self, name: str) -> None:
        """Remove the partner, its credentials and its tokens. Raises NotFound."""
        self.partner(name)
        if not await self._delete(_PARTNERS, name):
            raise NotFound(f"there is no partner {name[:80]!r}")
        await self._drop_tokens(name, None)

    async def remove_member(self, name: str, feed: str) -> None:
        """Remove the partner from one feed, with the tokens of that feed. Raises NotFound."""

        def change(old: Partner) -> Partner:
            if feed not in old.members:
                raise NotFound(f"partner {name!r} does not have feed {feed!r}")
            return msgspec.structs.replace(old, members={key: m for key, m in old.members.items() if key != feed})

        await self._change_partner(name, change)
        await self._drop_tokens(name, feed)

    def member(self, feed: str, *, lookup: str | None = None, partner: str | None = None) -> Member | None:
        """The unsuspended member with this lookup credential (as presented), or of this partner name."""
        if lookup is not None:
            found = self._lookups.get((feed, False, lookup)) or self._lookups.get((feed, True, digest(lookup)))
            if found is None or partner not in (None, found):
                return None
            partner = found
        if partner is None or (entry := self._partners.get(partner)) is None or entry.suspended:
            return None
        return self._members.get((partner, feed))

    # keys

    async def create_key(
        self, role: Role, name: str, feeds: Iterable[str] = (), sources: Iterable[str] = ()
    ) -> tuple[Key, str]:
        """A new key and its text, which is told only now. Raises AlreadyExists when an unrevoked one has the name."""
        plain = _KEY_PREFIX[role] + mint(Form.TOKEN, name, self._entropy)
        return await self.import_key(role, name, plain, feeds, sources), plain

    async def import_key(
        self, role: Role, name: str, plain: str, feeds: Iterable[str] = (), sources: Iterable[str] = ()
    ) -> Key:
        """A key with a text that was made elsewhere. Raises AlreadyExists."""
        if any(key.name == name and key.revoked_at is None for key in self._keys.values()):
            raise AlreadyExists(f"there is a key named {name[:80]!r}; revoke it or choose another name")
        if digest(plain) in self._keys_by_hash:
            raise AlreadyExists("this key is known already")
        key = Key(
            self._entropy(8).hex(), role, name, tuple(feeds), tuple(sources), digest(plain), self._clock.wall_ns()
        )
        await self._update(_KEYS, key.id, Key, lambda _: key)
        return key

    def keys(self) -> list[Key]:
        """All, revoked ones too, oldest first."""
        return sorted(self._keys.values(), key=lambda key: (key.created_at, key.id))

    async def revoke_key(self, key_id: str) -> None:
        """End a key for good. Raises NotFound."""
        now = self._clock.wall_ns()

        def revoke(old: Key | None) -> Key:
            if old is None:
                raise NotFound(f"there is no key {key_id[:80]!r}")
            return old if old.revoked_at is not None else msgspec.structs.replace(old, revoked_at=now)

        await self._update(_KEYS, key_id, Key, revoke)

    def find_key(self, plain: str) -> Key | None:
        """The key, while it is good. Found by the hash of the whole text, so that time tells nothing of it."""
        key = self._keys_by_hash.get(digest(plain))
        return None if key is None or key.revoked_at is not None else key

    def admission(self, plain: str) -> Admission | None:
        """Who reads natively with this key: an admin, or a partner of the native feed."""
        key = self.find_key(plain)
        if key is not None:
            return Admission(key.id, None, {}) if key.role == "admin" else None
        member = self.member(_NATIVE_FEED, lookup=plain)
        return None if member is None else Admission(f"partner:{member.partner}", member.partner, member.grants)

    # tokens

    def find_token(self, value: str) -> Token | None:
        """The token while it is good: not expired, its partner not removed, suspended or given new credentials."""
        entry = self._token_entries.get(value)
        stored = None if entry is None else self._tokens.get(entry)
        return stored.token() if stored is not None and self._is_good(stored) else None

    def tokens_of(self, partner: str) -> list[Token]:
        """The partner's good tokens."""
        return [
            stored.token() for stored in self._tokens.values() if stored.partner == partner and self._is_good(stored)
        ]

    async def issue_token(
        self, feed: str, partner: str, purpose: str, subject: str, *, form: Form, expires_at: int | None
    ) -> Token:
        """The token of this (feed, partner, purpose, subject): the one that is good, or a new one.

        Raises NotFound when the partner does not have that feed, or is suspended.
        """
        generation = self._generation(partner, feed)
        if generation is None:
            raise NotFound(f"partner {partner[:80]!r} does not have feed {feed!r}, or is suspended")
        value = mint(form, partner, self._entropy)
        new = StoredToken(value, feed, partner, purpose, subject, expires_at, generation)
        entry = digest(msgspec.json.encode((feed, partner, purpose, subject)).decode())
        known = self._tokens.get(entry)
        if known is not None and self._is_good(known):
            return known.token()
        await self._purge(_PURGED_AT_ONCE)
        stored = await self._update(
            _TOKENS, entry, StoredToken, lambda old: old if old is not None and self._is_good(old) else new
        )
        return stored.token()

    async def extend_token(self, value: str, expires_at: int | None) -> None:
        """Set when a token ends. Raises NotFound when it is not good."""

        def extend(old: StoredToken | None) -> StoredToken:
            if old is None or old.value != value or not self._is_good(old):
                raise NotFound("this token is not good (any more)")
            return msgspec.structs.replace(old, expires_at=expires_at)

        await self._update(_TOKENS, self._token_entries.get(value, ""), StoredToken, extend)

    # secrets

    async def secret(self, name: str) -> str:
        """The hub's own secret of this name: 64 hex digits, made once for all nodes."""
        known = self._secrets.get(name)
        if known is not None:
            return known
        value = self._entropy(32).hex().encode()
        try:
            await self._kv.put(_SECRETS, name, value, revision=0)
        except RevisionConflict:
            entry = await self._kv.get(_SECRETS, name)
            if entry is None:
                raise
            value = entry.value
        self._apply(_SECRETS, name, value)
        return value.decode()

    # writing

    async def _update(self, bucket: str, key: str, kind: type[S], change: Callable[[S | None], S]) -> S:
        """Write what ``change`` makes of the stored entry; asked again when somebody else was faster."""
        for _ in range(_TRIES):
            entry = await self._kv.get(bucket, key)
            old = None if entry is None else msgspec.json.decode(entry.value, type=kind)
            new = change(old)
            if new == old:
                return new
            value = msgspec.json.encode(new)
            try:
                await self._kv.put(bucket, key, value, revision=0 if entry is None else entry.revision)
            except RevisionConflict:
                continue
            self._apply(bucket, key, value)
            return new
        raise RevisionConflict("the entry is being written by others all the time; repeat later")

    async def _change_partner(self, name: str, change: Callable[[Partner], Partner]) -> None:
        def changed(old: Partner | None) -> Partner:
            if old is None:
                raise NotFound(f"there is no partner {name[:80]!r}")
            return change(old)

        await self._update(_PARTNERS, name, Partner, changed)

    async def _change_member(self, name: str, feed: str, change: Callable[[Membership], Membership]) -> None:
        def changed(old: Partner) -> Partner:
            if feed not in old.members:
                raise NotFound(f"partner {name!r} does not have feed {feed!r}")
            return msgspec.structs.replace(old, members={**old.members, feed: change(old.members[feed])})

        await self._change_partner(name, changed)

    async def _delete(self, bucket: str, key: str) -> bool:
        was_there = await self._kv.delete(bucket, key)
        self._apply(bucket, key, None)
        return was_there

    async def _drop_tokens(self, partner: str, feed: str | None) -> None:
        """Clean up: these are dead already, because their generation is."""
        for entry, stored in tuple(self._tokens.items()):
            if stored.partner == partner and feed in (None, stored.feed):
                await self._delete(_TOKENS, entry)

    async def _purge(self, at_most: int) -> None:
        now = self._clock.wall_ns()
        for _ in range(at_most):
            if not self._expiring or self._expiring[0][0] > now:
                return
            _, entry = heapq.heappop(self._expiring)
            stored = self._tokens.get(entry)
            if stored is not None and stored.expires_at is not None and stored.expires_at <= now:
                await self._delete(_TOKENS, entry)

    # reading

    def _generation(self, partner: str, feed: str) -> str | None:
        entry = self._partners.get(partner)
        membership = None if entry is None or entry.suspended else entry.members.get(feed)
        return None if membership is None else membership.generation

    def _is_good(self, stored: StoredToken) -> bool:
        if stored.expires_at is not None and stored.expires_at <= self._clock.wall_ns():
            return False
        return stored.generation == self._generation(stored.partner, stored.feed)

    # keeping current

    def _watched(self, bucket: str, key: str, value: bytes | None) -> None:
        if self._loading is not None:
            self._loading.add((bucket, key))
        self._apply(bucket, key, value)

    def _apply(self, bucket: str, key: str, value: bytes | None) -> None:
        """Take a stored entry (None: deleted) into memory. What is known already changes nothing and tells nobody."""
        match bucket:
            case "partners":
                self._apply_partner(key, None if value is None else msgspec.json.decode(value, type=Partner))
            case "keys":
                self._apply_key(key, None if value is None else msgspec.json.decode(value, type=Key))
            case "tokens":
                self._apply_token(key, None if value is None else msgspec.json.decode(value, type=StoredToken))
            case "secrets" if value is not None:
                self._secrets[key] = value.decode()

    def _apply_partner(self, name: str, new: Partner | None) -> None:
        old = self._partners.pop(name, None)
        if old is not None:
            for feed, membership in old.members.items():
                self._members.pop((name, feed), None)
                if (lookup := membership.lookup_key()) is not None and self._lookups.get((feed, *lookup)) == name:
                    del self._lookups[feed, *lookup]
        if new is not None:
            self._partners[name] = new
            for feed, membership in new.members.items():
                self._members[name, feed] = membership.member(name, feed)
                if (lookup := membership.lookup_key()) is not None:
                    self._lookups[feed, *lookup] = name
        if new != old:
            self._changes.call("partner", name)

    def _apply_key(self, key_id: str, new: Key | None) -> None:
        old = self._keys.pop(key_id, None)
        if old is not None:
            self._keys_by_hash.pop(old.hash, None)
        if new is not None:
            self._keys[key_id] = self._keys_by_hash[new.hash] = new
        if new != old:
            self._changes.call("key", key_id)

    def _apply_token(self, entry: str, new: StoredToken | None) -> None:
        old = self._tokens.pop(entry, None)
        if old is not None:
            self._token_entries.pop(old.value, None)
        if new is not None:
            self._tokens[entry] = new
            self._token_entries[new.value] = entry
            if new.expires_at is not None and (old is None or old.expires_at != new.expires_at):
                heapq.heappush(self._expiring, (new.expires_at, entry))
        if old is not None and new != old:
            self._changes.call("token", old.value)
