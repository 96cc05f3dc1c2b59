"""The typed directory: partners with their credentials and grants, keys, tokens, secrets, the same on every backend.

All entries are in memory from ``start`` on and kept current by the store's watch, so that look-ups answer at once.
Writes go to the store with compare-and-set, and come back by the watch before they return. Owns no protocol: which
credentials a feed wants is an argument.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, TypeVar

import msgspec

from touchline.clock import Clock
from touchline.errors import AlreadyExists, NotFound, RevisionConflict
from touchline.feeds.base import Admission, CredentialField, Form, Member, Token
from touchline.log.base import KeyValue
from touchline.log.directory_index import BUCKETS, KEYS, PARTNERS, SECRETS, TOKENS, DirectoryIndex
from touchline.log.entries import (
    Entropy,
    Key,
    Membership,
    Partner,
    Role,
    StoredToken,
    allow_all_of,
    check_partner_name,
    digest,
    mint,
    mint_membership,
    plain_grants,
)
from touchline.log.updating import update

__all__ = ["Directory", "Key", "Membership", "OnChange", "Partner", "Role"]

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
        self._index = DirectoryIndex(clock)

    async def start(self) -> None:
        """Load everything, and keep it current from then on."""
        # What the watch tells while the lists are read is newer than they are.
        self._loading = set()
        self._end_watch = self._kv.watch(self._watched)
        for bucket in BUCKETS:
            for key, entry in (await self._kv.list(bucket)).items():
                if (bucket, key) not in self._loading:
                    self._index.apply(bucket, key, entry.value)
        self._loading = None
        await self._purge(len(self._index.tokens))

    async def close(self) -> None:
        """End the watch."""
        if self._end_watch is not None:
            self._end_watch()
            self._end_watch = None

    def on_change(self, callback: OnChange) -> Callable[[], None]:
        """Call after every change of a partner, key or token, by whichever node: ask again whether it is good."""
        return self._index.changes.add(callback)

    # partners

    def partners(self) -> list[Partner]:
        """All, by name."""
        return [self._index.partners[name] for name in sorted(self._index.partners)]

    def partner(self, name: str) -> Partner:
        """The partner. Raises NotFound."""
        partner = self._index.partners.get(name)
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

        await self._update(PARTNERS, partner, Partner, add)
        return plain

    async def set_grants(
        self,
        partner: str,
        feed: str,
        grants: Mapping[str, Iterable[str]],
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Replace the grants, and the options if given. Raises NotFound.

        Tokens were issued under the old grants: unless the new ones allow all of that too, the tokens of that feed end.
        """
        before = self.partner(partner).members.get(feed)

        def change(old: Membership) -> Membership:
            kept, new = old.options if options is None else dict(options), plain_grants(grants)
            # With the write itself, so that a crash before the clean-up revives none.
            generation = old.generation if allow_all_of(new, old.grants) else self._entropy(8).hex()
            return msgspec.structs.replace(old, grants=new, options=kept, generation=generation)

        await self._change_member(partner, feed, change)
        if before is not None and not allow_all_of(plain_grants(grants), before.grants):
            await self._drop_tokens(partner, feed)

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
            partner, fields, {}, {}, self._clock.wall_ns() if old is None else old.created_at, self._entropy, old
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
        if not await self._kv.delete(PARTNERS, name):
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
        return self._index.member(feed, lookup=lookup, partner=partner)

    def membership(self, partner: str, feed: str) -> Membership | None:
        """A partner's membership in a feed, also of a suspended one."""
        found = self._index.partners.get(partner)
        return None if found is None else found.members.get(feed)

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
        """A key with a text that was made elsewhere; names that are not empty are taken once. Raises AlreadyExists."""
        if name and any(key.name == name and key.revoked_at is None for key in self._index.keys.values()):
            raise AlreadyExists(f"there is a key named {name[:80]!r}; revoke it or choose another name")
        if self._index.knows_key(plain):
            raise AlreadyExists("this key is known already")
        key = Key(
            self._entropy(8).hex(), role, name, tuple(feeds), tuple(sources), digest(plain), self._clock.wall_ns()
        )
        await self._update(KEYS, key.id, Key, lambda _: key)
        return key

    def keys(self) -> list[Key]:
        """All, revoked ones too, oldest first."""
        return sorted(self._index.keys.values(), key=lambda key: (key.created_at, key.id))

    async def revoke_key(self, key_id: str) -> None:
        """End a key for good. Raises NotFound."""
        now = self._clock.wall_ns()

        def revoke(old: Key | None) -> Key:
            if old is None:
                raise NotFound(f"there is no key {key_id[:80]!r}")
            return old if old.revoked_at is not None else msgspec.structs.replace(old, revoked_at=now)

        await self._update(KEYS, key_id, Key, revoke)

    def find_key(self, plain: str) -> Key | None:
        """The key, while it is good."""
        return self._index.find_key(plain)

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
        return self._index.find_token(value)

    def tokens_of(self, partner: str) -> list[Token]:
        """The partner's good tokens."""
        return [
            token.token()
            for token in self._index.tokens.values()
            if token.partner == partner and self._index.is_good(token)
        ]

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
        """The token of this (feed, partner, purpose, subject): the one that is good, or a new one.

        Raises NotFound when the partner does not have that feed, or is suspended.
        """
        generation = self._index.generation(partner, feed)
        if generation is None:
            raise NotFound(f"partner {partner[:80]!r} does not have feed {feed!r}, or is suspended")
        value = prefix + mint(form, partner, self._entropy)
        new = StoredToken(value, feed, partner, purpose, subject, expires_at, generation)
        entry = digest(msgspec.json.encode((feed, partner, purpose, subject)).decode())
        known = self._index.tokens.get(entry)
        if known is not None and self._index.is_good(known):
            return known.token()
        await self._purge(_PURGED_AT_ONCE)
        stored = await self._update(
            TOKENS, entry, StoredToken, lambda old: old if old is not None and self._index.is_good(old) else new
        )
        return stored.token()

    async def extend_token(self, value: str, expires_at: int | None) -> None:
        """Set when a token ends. Raises NotFound when it is not good."""

        def extend(old: StoredToken | None) -> StoredToken:
            if old is None or old.value != value or not self._index.is_good(old):
                raise NotFound("this token is not good (any more)")
            return msgspec.structs.replace(old, expires_at=expires_at)

        await self._update(TOKENS, self._index.token_entry(value), StoredToken, extend)

    async def end_tokens(self, feed: str, subject: str, expires_at: int) -> None:
        """Let the tokens of a stream that have no end yet end then: the stream is over."""

        def end(old: StoredToken | None) -> StoredToken:
            if old is None:
                raise NotFound("this token is gone")
            return old if old.expires_at is not None else msgspec.structs.replace(old, expires_at=expires_at)

        for entry, token in tuple(self._index.tokens.items()):
            if token.feed == feed and token.subject == subject and token.expires_at is None:
                with contextlib.suppress(NotFound):  # removed meanwhile; those of a suspended partner must end as well
                    await self._update(TOKENS, entry, StoredToken, end)

    # secrets

    async def secret(self, name: str, make: Callable[[], str] | None = None) -> str:
        """The hub's own secret of this name, made once for all nodes: 64 hex digits, or what ``make`` makes."""
        known = self._index.secrets.get(name)
        if known is not None:
            return known
        value = (self._entropy(32).hex() if make is None else await asyncio.to_thread(make)).encode()
        try:
            await self._kv.put(SECRETS, name, value, revision=0)
        except RevisionConflict:
            entry = await self._kv.get(SECRETS, name)
            if entry is None:
                raise
            value = entry.value
        return value.decode()

    # writing

    async def _update(self, bucket: str, key: str, kind: type[S], change: Callable[[S | None], S]) -> S:
        return await update(self._kv, bucket, key, kind, change)

    async def _change_partner(self, name: str, change: Callable[[Partner], Partner]) -> None:
        def changed(old: Partner | None) -> Partner:
            if old is None:
                raise NotFound(f"there is no partner {name[:80]!r}")
            return change(old)

        await self._update(PARTNERS, name, Partner, changed)

    async def _change_member(self, name: str, feed: str, change: Callable[[Membership], Membership]) -> None:
        def changed(old: Partner) -> Partner:
            if feed not in old.members:
                raise NotFound(f"partner {name!r} does not have feed {feed!r}")
            return msgspec.structs.replace(old, members={**old.members, feed: change(old.members[feed])})

        await self._change_partner(name, changed)

    async def _drop_tokens(self, partner: str, feed: str | None) -> None:
        """Clean up: these are dead already, because their generation is."""
        dead = [
            entry
            for entry, stored in self._index.tokens.items()
            if stored.partner == partner and feed in (None, stored.feed)
        ]
        await asyncio.gather(*(self._kv.delete(TOKENS, entry) for entry in dead))

    async def _purge(self, at_most: int) -> None:
        expired = islice(self._index.expired_tokens(), at_most)
        await asyncio.gather(*(self._kv.delete(TOKENS, entry) for entry in expired))

    def _watched(self, bucket: str, key: str, value: bytes | None) -> None:
        if self._loading is not None:
            self._loading.add((bucket, key))
        self._index.apply(bucket, key, value)
