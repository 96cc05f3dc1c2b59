"""Standard Webhooks signatures: HMAC-SHA256 (``v1``) and ed25519 (``v1a``), several secrets at once during a rotation.

What is signed is ``<webhook-id>.<webhook-timestamp>.<body>`` over the body's bytes as sent. Knows no feed and no clock.

Source: Standard Webhooks 1.0.0, Signature scheme and Webhook headers. Of a ``whsk_`` key it says only "base64 encoded";
those in use hold the 32-byte seed of RFC 8032 and the public key after it, so ours do (the seed alone is read too).
"""

from __future__ import annotations

from base64 import b64decode
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from functools import lru_cache
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, Literal

from touchline.errors import LocalProtocolError, RemoteProtocolError
from touchline.wire.hmac import KEYS_KEPT, HmacSha256
from touchline.wire.http import Pairs

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Scheme = Literal["hmac", "ed25519"]

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
_HEADERS: Final = (ID, TIMESTAMP, SIGNATURE)
TOLERANCE_SECONDS: Final = 300.0

_HMAC: Final = "whsec_"
_PRIVATE: Final = "whsk_"
_PUBLIC: Final = "whpk_"
_KEY_BYTES: Final = 32
_SEED_AND_PUBLIC_BYTES: Final = 64

_MAX_SIGNATURES: Final = 20
"""Looked at in one message; a public-key check costs 0.1 ms, and whoever sends chooses how many there are."""
_MAX_ID: Final = 256
_STAMPS_KEPT: Final = 64


def new_secret(scheme: Scheme, entropy: Callable[[int], bytes]) -> str:
    """A secret of 32 random bytes: ``whsec_…`` to be shared, or ``whsk_…`` of which only ``shown`` is given away."""
    random = entropy(_KEY_BYTES)
    if scheme == "hmac":
        return _HMAC + _base64(random)
    public = _private(_PRIVATE + _base64(random)).public_key().public_bytes_raw()
    return _PRIVATE + _base64(random + public)


def shown(secret: str) -> str:
    """What the receiver is given of a secret: itself, or for ``whsk_…`` its public key ``whpk_…``.

    Raises LocalProtocolError for a ``whsk_`` that is none.
    """
    if not secret.startswith(_PRIVATE):
        return secret
    return _PUBLIC + _base64(_private(secret).public_key().public_bytes_raw())


def scheme_of(secret: str) -> Scheme:
    """What a secret signs by."""
    return "ed25519" if secret.startswith((_PRIVATE, _PUBLIC)) else "hmac"


def check(secret: str) -> None:
    """Raises LocalProtocolError when a text (``whsec_…``, ``whpk_…``, ``whsk_…`` or plain base64) is no secret."""
    if secret.startswith((_PRIVATE, _PUBLIC)):
        _public(secret)
    else:
        _shared(secret)


def sign(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> Pairs:
    """The three headers of a message, with one signature per secret. ``timestamp`` is in whole seconds.

    Raises LocalProtocolError: no secret, one that cannot sign, or an id that could be read in two ways.
    """
    if not secrets:
        raise LocalProtocolError("a message cannot be signed without a secret")
    if not _is_id(message_id):
        raise LocalProtocolError("a webhook id has 1 to 256 printable ASCII characters, no space and no full stop")
    stamp = str(timestamp)
    content = f"{message_id}.{stamp}.".encode() + body
    if len(secrets) == 1:
        signatures = _signature(secrets[0], content)
    else:
        signatures = " ".join([_signature(secret, content) for secret in secrets])
    return ((ID, message_id), (TIMESTAMP, stamp), (SIGNATURE, signatures))


def verify(
    headers: Pairs,
    body: bytes,
    secrets: Sequence[str],
    now_seconds: float,
    tolerance_seconds: float | None = TOLERANCE_SECONDS,
) -> str:
    """The id of a message that one of the secrets signed, and not longer ago (or later) than the tolerance.

    ``secrets`` are ``whsec_…`` or plain base64 for ``v1`` and ``whpk_…`` for ``v1a``; each signature is tried with each
    secret of its kind, in constant time. Header names are in lower case.

    Raises:
        RemoteProtocolError: the message is to be refused; the text holds nothing of secrets or signatures.
        LocalProtocolError: one of ``secrets`` is none (``check`` says so beforehand).
    """
    found = dict(headers)
    message_id, stamp, signatures = found.get(ID, ""), found.get(TIMESTAMP, ""), found.get(SIGNATURE, "")
    if not (message_id and stamp and signatures) or len(found) != len(headers):
        _check_once(headers)  # nearly no message has a header twice, and those that have may have others so
    if not _is_id(message_id):
        raise RemoteProtocolError(f"{ID} has 1 to 256 printable ASCII characters, no space and no full stop")
    sent_seconds = _seconds(stamp)
    content = f"{message_id}.{stamp}.".encode() + body
    text = signatures.encode("utf-8", "surrogatepass")
    presented = text.split(b" ", _MAX_SIGNATURES)[:_MAX_SIGNATURES] if b" " in text else (text,)
    good = False
    for secret in secrets:  # every one is tried, so that the time taken does not tell which one fits
        key = _verifying(secret)
        if isinstance(key, HmacSha256):
            expected = b"v1," + b2a_base64(key.digest(content), newline=False)
            for text in presented:
                good |= compare_digest(expected, text)
        else:
            good |= True in [_is_ed25519(key, content, text[4:]) for text in presented if text[:4] == b"v1a,"]
    if not good:
        raise RemoteProtocolError("no signature of the message is by a secret that is known here")
    if tolerance_seconds is not None and abs(age := now_seconds - sent_seconds) > tolerance_seconds:
        side = "old" if age > 0 else "in the future"
        raise RemoteProtocolError(f"the message is {abs(age):.0f} s {side}; {tolerance_seconds:.0f} s are allowed")
    return message_id


def _signature(secret: str, content: bytes) -> str:
    if secret.startswith(_PRIVATE):
        return "v1a," + _base64(_private(secret).sign(content))
    return "v1," + _base64(_shared(secret).digest(content))


def _is_ed25519(key: Ed25519PublicKey, content: bytes, text: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(b64decode(text, validate=True), content)
    except (InvalidSignature, ValueError):  # ValueError: no base64
        return False
    return True


def _check_once(headers: Pairs) -> None:
    """Raises RemoteProtocolError unless each of the three headers is there once."""
    found = set()
    for name, value in headers:
        if name in _HEADERS:
            if name in found or not value:
                raise RemoteProtocolError(f"the header {name} is empty or given twice")
            found.add(name)
    if len(found) != len(_HEADERS):
        raise RemoteProtocolError(f"the header {next(name for name in _HEADERS if name not in found)} is missing")


def _is_id(text: str) -> bool:
    """A full stop in it would move the borders of what is signed (Signature scheme)."""
    return 0 < len(text) <= _MAX_ID and text.isascii() and text.isprintable() and "." not in text and " " not in text


@lru_cache(_STAMPS_KEPT)
def _seconds(stamp: str) -> int:
    """A time stamp, which many messages share when it matters what they cost. Raises RemoteProtocolError."""
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
        raise RemoteProtocolError(f"{TIMESTAMP} is not a number of seconds")
    return int(stamp)


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


@lru_cache(KEYS_KEPT)
def _verifying(secret: str) -> HmacSha256 | Ed25519PublicKey:
    return _public(secret) if secret.startswith((_PUBLIC, _PRIVATE)) else _shared(secret)


@lru_cache(KEYS_KEPT)
def _shared(secret: str) -> HmacSha256:
    text = secret.removeprefix(_HMAC)
    key = _decoded(text + "=" * (-len(text) % 4))  # some senders leave the padding away
    if not key:
        raise _no_secret()
    return HmacSha256(key)


@lru_cache(KEYS_KEPT)
def _private(secret: str) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    data = _decoded(secret.removeprefix(_PRIVATE))
    if len(data) not in (_KEY_BYTES, _SEED_AND_PUBLIC_BYTES):
        raise _no_secret()
    key = Ed25519PrivateKey.from_private_bytes(data[:_KEY_BYTES])
    if data[_KEY_BYTES:] and data[_KEY_BYTES:] != key.public_key().public_bytes_raw():
        raise _no_secret()
    return key


@lru_cache(KEYS_KEPT)
def _public(secret: str) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if secret.startswith(_PRIVATE):
        return _private(secret).public_key()
    data = _decoded(secret.removeprefix(_PUBLIC))
    if len(data) != _KEY_BYTES:
        raise _no_secret()
    return Ed25519PublicKey.from_public_bytes(data)


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise _no_secret() from None


def _no_secret() -> LocalProtocolError:
    return LocalProtocolError(
        "a Standard Webhooks secret is whsec_ or whpk_ and base64 (or base64 alone); the one given is not"
    )
