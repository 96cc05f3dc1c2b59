"""Who may receive: grants, credentials, members, tokens, admissions."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

Grants = Mapping[str, frozenset[str]]
"""Grant key → allowed values. Same key more than once is OR, different keys are AND, empty means the whole feed."""


class Keep(enum.Enum):
    """How a credential is stored: readable, or as a hash where a hash does."""

    PLAIN = "plain"
    HASHED = "hashed"


class Form(enum.Enum):
    """What a credential looks like when the hub makes it."""

    NAME = "name"
    """the partner's own name"""
    HEX = "hex"
    """40 lower-case hex digits"""
    HEX32 = "hex32"
    """32 lower-case hex digits"""
    DIGITS = "digits"
    """19 decimal digits, the first not 0"""
    UUID = "uuid"
    TOKEN = "token"  # noqa: S105
    """43 URL-safe characters (256 bits)"""


class CredentialField(msgspec.Struct, frozen=True):
    """One member of ``credentials`` that ``partner add`` prints. ``lookup`` marks the one that a request names;
    ``prefix`` stands before what is made; ``permanent`` is the partner's identity, which a rotation leaves.
    """

    name: str
    form: Form
    keep: Keep
    lookup: bool = False
    prefix: str = ""
    permanent: bool = False


class Member(msgspec.Struct, frozen=True):
    """A partner as one feed sees it: name, grants, options, and credentials by name (hashed ones as hex SHA-256)."""

    partner: str
    feed: str
    grants: Grants
    credentials: Mapping[str, str]
    options: Mapping[str, str] = {}

    def __repr__(self) -> str:
        names = dict.fromkeys(self.credentials, "***")
        return f"Member({self.partner!r}, {self.feed!r}, {self.grants!r}, {names!r}, {self.options!r})"


class Token(msgspec.Struct, frozen=True):
    """A token that the hub issued: random, durable, valid on every node until ``expires_at`` (ns) or revoked."""

    value: str
    feed: str
    partner: str
    purpose: str
    subject: str
    expires_at: int | None

    def __repr__(self) -> str:
        about = f"{self.feed!r}, {self.partner!r}, {self.purpose!r}, {self.subject!r}, {self.expires_at!r}"
        return f"Token('***', {about})"


class Admission(msgspec.Struct, frozen=True):
    """Who a native reader is: an admin (``partner`` None) or a hub partner with its grants. Keys may be revoked."""

    key_id: str
    partner: str | None
    grants: Grants
