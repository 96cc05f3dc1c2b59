"""The Pusher app of a partner: id, key and secret, made from one secret of the hub's own.

OUR CHOICE: an app a partner, where the provider has one for all. A client reads its key from connection-config and
does not notice; the hub knows from the handshake whose socket it is, so that a suspended partner's sockets end though
they subscribed to nothing, grants narrow the shared channel, and no partner's signature is good on another's socket.
A key tells by its first half that this hub made it, so that nobody can find out by guessing who is a partner here.
"""

from __future__ import annotations

import hmac
from typing import Final

from msgspec import Struct

SECRET_NAME: Final = "prophetx.apps"  # noqa: S105 - a name
_TAG_CHARS: Final = 20
_MAX_KEY_CHARS: Final = 256


class App(Struct, frozen=True):
    """What connection-config tells, and the secret that signs for its channels."""

    id: str
    key: str
    secret: str

    def __repr__(self) -> str:
        return f"App({self.id!r}, {self.key!r}, ***)"


def _derive(hub_secret: str, use: str, partner: str) -> str:
    return hmac.digest(hub_secret.encode(), f"{use}:{partner}".encode(), "sha256").hex()


def app_of(hub_secret: str, partner: str) -> App:
    """The app of a partner (its name)."""
    key = _derive(hub_secret, "key", partner)[:_TAG_CHARS] + partner.encode().hex()
    # A public server library takes an id of digits alone.
    number = int(_derive(hub_secret, "id", partner)[:8], 16) + 1_000_000
    return App(str(number), key, _derive(hub_secret, "secret", partner))


def partner_of(hub_secret: str, key: str) -> str | None:
    """The name of the partner whose app has this key; None when this hub made no such key."""
    if not _TAG_CHARS < len(key) <= _MAX_KEY_CHARS:
        return None
    try:
        partner = bytes.fromhex(key[_TAG_CHARS:]).decode()
    except ValueError:
        return None
    expected = app_of(hub_secret, partner).key
    return partner if hmac.compare_digest(expected.encode(), key.encode("utf-8", "surrogatepass")) else None
