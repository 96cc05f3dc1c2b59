"""What the directory stores: partners, keys, tokens, and how credentials are made and kept.

Pure: entropy and time are arguments. Secrets do not show in ``repr``.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import msgspec

from touchline.feeds.base import CredentialField, Form, Keep, Member, Token

Role = Literal["admin", "publisher"]
Entropy = Callable[[int], bytes]
"""Gives so many random bytes."""

_PARTNER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_MASK: Final = "***"


class Membership(msgspec.Struct, frozen=True):
    """A partner in one feed. ``hashed`` names the credentials that are kept as hex SHA-256; ``lookup`` the one that a
    request names. ``generation`` is made anew with the credentials: a token of another one is dead, whatever
    else is still stored of it.
    """

    grants: dict[str, list[str]]
    credentials: dict[str, str]
    options: dict[str, str]
    created_at: int
    generation: str
    lookup: str | None = None
    hashed: list[str] = []

    def __repr__(self) -> str:
        names = dict.fromkeys(self.credentials, _MASK)
        return f"Membership(grants={self.grants!r}, credentials={names!r}, options={self.options!r})"

    def member(self, partner: str, feed: str) -> Member:
        """As the feed sees it."""
        grants = {key: frozenset(values) for key, values in self.grants.items()}
        return Member(partner, feed, grants, self.credentials, self.options)

    def lookup_key(self) -> tuple[bool, str] | None:
        """(is it a hash, the stored value) by which a request finds it. A hash never counts as a plain value."""
        if self.lookup is None or self.lookup not in self.credentials:
            return None
        return (self.lookup in self.hashed, self.credentials[self.lookup])


class Partner(msgspec.Struct, frozen=True):
    """Who may receive: its memberships by feed. ``created_at`` in nanoseconds."""

    name: str
    created_at: int
    suspended: bool
    members: dict[str, Membership]


class Key(msgspec.Struct, frozen=True):
    """A key of an admin or a publisher; of the key itself only the SHA-256 is kept.

    ``feeds`` and ``sources`` are what a publisher may append to; empty means all; a source that ends in ``*`` stands
    for every source that begins so.
    """

    id: str
    role: Role
    name: str
    feeds: tuple[str, ...]
    sources: tuple[str, ...]
    hash: str
    created_at: int
    revoked_at: int | None = None

    def __repr__(self) -> str:
        scope = f"feeds={self.feeds!r}, sources={self.sources!r}, revoked_at={self.revoked_at!r}"
        return f"Key(id={self.id!r}, role={self.role!r}, name={self.name!r}, {scope})"

    def may_publish(self, feed: str, source: str) -> bool:
        """Whether the key's scope takes events of this feed and source."""
        if self.feeds and feed not in self.feeds:
            return False
        return not self.sources or any(
            source.startswith(scope[:-1]) if scope.endswith("*") else source == scope for scope in self.sources
        )


class StoredToken(msgspec.Struct, frozen=True):
    """A token as it is kept: in plain text, because the same one is handed out again while it is good."""

    value: str
    feed: str
    partner: str
    purpose: str
    subject: str
    expires_at: int | None
    generation: str

    def __repr__(self) -> str:
        about = f"feed={self.feed!r}, partner={self.partner!r}, purpose={self.purpose!r}, subject={self.subject!r}"
        return f"StoredToken(value={_MASK!r}, {about}, expires_at={self.expires_at!r})"

    def token(self) -> Token:
        """As a feed sees it."""
        return Token(self.value, self.feed, self.partner, self.purpose, self.subject, self.expires_at)


def check_partner_name(name: str) -> None:
    """Raises ValueError when a partner cannot have that name."""
    if not _PARTNER_NAME.match(name):
        raise ValueError(
            f"{name[:80]!r} cannot be a partner's name: use 1 to 64 letters, digits, '_', '.' and '-', "
            "beginning with a letter or digit"
        )


def digest(value: str) -> str:
    """The hex SHA-256 by which a secret is kept where a hash does."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def mint(form: Form, partner: str, entropy: Entropy) -> str:
    """A new credential of that form."""
    match form:
        case Form.NAME:
            return partner
        case Form.HEX:
            return entropy(20).hex()
        case Form.HEX32:
            return entropy(16).hex()
        case Form.DIGITS:
            return str(10**18 + int.from_bytes(entropy(16)) % (9 * 10**18))
        case Form.UUID:
            return str(uuid.UUID(bytes=entropy(16), version=4))
        case Form.TOKEN:
            return base64.urlsafe_b64encode(entropy(32)).rstrip(b"=").decode("ascii")


def mint_membership(
    partner: str,
    fields: Iterable[CredentialField],
    grants: Mapping[str, Iterable[str]],
    options: Mapping[str, str],
    created_at: int,
    entropy: Entropy,
    kept_from: Membership | None = None,
) -> tuple[Membership, dict[str, str]]:
    """A membership with new credentials, and those credentials in plain text, which is told only once.

    Of ``kept_from``, which is being replaced, the permanent ones stay.
    """
    plain, kept, hashed, lookup = {}, {}, [], None
    for field in fields:
        old = kept_from.credentials.get(field.name) if kept_from is not None and field.permanent else None
        value = plain[field.name] = old or field.prefix + mint(field.form, partner, entropy)
        if field.keep is Keep.HASHED:
            hashed.append(field.name)
            value = digest(value)
        kept[field.name] = value
        if field.lookup:
            lookup = field.name
    membership = Membership(
        plain_grants(grants), kept, dict(options), created_at, entropy(8).hex(), lookup=lookup, hashed=hashed
    )
    return membership, plain


def plain_grants(grants: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Grants as they are stored: sorted, without empty ones."""
    return {key: sorted(set(values)) for key, values in sorted(grants.items()) if values}


def allow_all_of(new: Mapping[str, Iterable[str]], old: Mapping[str, Iterable[str]]) -> bool:
    """Whether the new grants take in whatever the old ones did: no key narrows that did not narrow at least as much."""
    return all(key in old and set(old[key]) <= set(values) for key, values in new.items())
