"""Signatures of a webhook: none as the provider documents, its header as sheet 6 chooses it, or Standard Webhooks.

Over raw bytes and in constant time. Texts of refusals hold nothing of secrets, signatures or bodies.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Sequence
from hmac import compare_digest
from typing import Final

from touchline.errors import LocalProtocolError, RemoteProtocolError
from touchline.feeds.base import Instant, Trust
from touchline.wire import standard_webhooks
from touchline.wire.hmac import for_secret
from touchline.wire.http import Pairs, every, first

OPTION: Final = "signature"
NONE: Final = "none"
HMAC: Final = "hmac"
STANDARD: Final = "standard"
ED25519: Final = "ed25519"
SCHEMES: Final = (NONE, HMAC, STANDARD, ED25519)

SIGNATURE: Final = "x-hisports-signature"
DELIVERY: Final = "x-hisports-delivery"
TIMESTAMP: Final = "x-hisports-timestamp"

_LABEL: Final = "sha256="
_LABEL_BYTES: Final = _LABEL.encode()
_NS: Final = 1_000_000_000
_MAX_ID: Final = 256
_KEY_PAIR_HALVES: Final = ("whsk_", "whpk_")
"""A public key is no secret: taken as text for HMAC, it would let everybody sign."""


def sign(scheme: str, secrets: Sequence[str], message_id: str, now: Instant, body: bytes) -> Pairs:
    """The headers of a scheme. HMAC has room for one signature, which is by the newest secret; Standard Webhooks has
    one per secret. Raises LocalProtocolError when the secrets are none for the scheme.
    """
    if scheme == HMAC:
        if not secrets:
            raise LocalProtocolError("a message cannot be signed without a secret")
        return ((SIGNATURE, _LABEL + for_secret(secrets[0]).digest(body).hex()),)
    if scheme in (STANDARD, ED25519):
        return standard_webhooks.sign(secrets, message_id, now.wall_ns // _NS, body)
    return ()


def verify(headers: Pairs, body: bytes, trust: Trust, now: Instant) -> str | None:
    """The message's id, if it has one, of a message that may be believed. Raises RemoteProtocolError.

    With secrets a signature is required, by whichever scheme the sender uses. Under HMAC id and time are not signed:
    they serve to tell repetitions and stragglers, and keep nobody from sending an old body again.
    """
    signed = every(headers, SIGNATURE)
    if trust.secrets and not signed and every(headers, standard_webhooks.SIGNATURE):
        secrets = [secret for secret in trust.secrets if _is_standard(secret)]
        return standard_webhooks.verify(headers, body, secrets, now.wall_ns / _NS, trust.tolerance_seconds)
    if trust.secrets:
        _check_hmac(signed, body, trust.secrets)
    if trust.tolerance_seconds is not None:
        _check_age(every(headers, TIMESTAMP), trust.tolerance_seconds, now)
    return _message_id(headers)


def _check_hmac(signed: Sequence[str], body: bytes, secrets: Sequence[str]) -> None:
    if len(signed) != 1:
        fault = "given twice" if signed else f"missing, and so is {standard_webhooks.SIGNATURE}"
        raise RemoteProtocolError(
            f"the header {SIGNATURE} is {fault}; a secret is set here, so messages must be signed"
        )
    presented = signed[0].strip().encode("utf-8", "surrogatepass")
    good = False
    for secret in secrets:  # every one is tried, so that the time taken does not tell which one fits
        if not secret.startswith(_KEY_PAIR_HALVES):
            good |= compare_digest(presented, _LABEL_BYTES + hexlify(for_secret(secret).digest(body)))
    if not good:
        raise RemoteProtocolError(f"{SIGNATURE} is by no secret that is known here")


def _check_age(stamps: Sequence[str], tolerance_seconds: float, now: Instant) -> None:
    if not stamps:
        return
    stamp = stamps[0]
    if len(stamps) > 1 or not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
        raise RemoteProtocolError(f"{TIMESTAMP} is not a number of milliseconds")
    age = now.wall_ns / _NS - int(stamp) / 1000
    if abs(age) > tolerance_seconds:
        side = "old" if age > 0 else "in the future"
        raise RemoteProtocolError(f"the message is {abs(age):.0f} s {side}; {tolerance_seconds:.0f} s are allowed")


def _message_id(headers: Pairs) -> str | None:
    for name in (DELIVERY, standard_webhooks.ID):
        found = first(headers, name)
        if found and len(found) <= _MAX_ID and found.isascii() and found.isprintable():
            return found
    return None


def _is_standard(secret: str) -> bool:
    try:
        standard_webhooks.check(secret)
    except LocalProtocolError:
        return False
    return True
