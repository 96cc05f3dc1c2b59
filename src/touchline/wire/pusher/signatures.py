"""Channel authorisation: HMAC-SHA256 of ``socket_id:channel``, as ``key:hex`` (Pusher docs, auth signatures).

Nothing but the app's secret is needed to make or to judge one: any node may do either for a socket of any other.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

_SOCKET_ID: Final = re.compile(r"[0-9]{1,20}\.[0-9]{1,20}\Z")


def is_socket_id(text: str) -> bool:
    """Whether the text can be a socket's id: two decimal numbers. Sign for nothing else: a colon would forge a name."""
    return _SOCKET_ID.match(text) is not None


def authorize(key: str, secret: str, socket_id: str, channel: str) -> str:
    """The ``auth`` with which that socket may subscribe to that private channel."""
    signed = hmac.digest(secret.encode(), f"{socket_id}:{channel}".encode(), "sha256")
    return f"{key}:{signed.hex()}"


def is_authorized(auth: str, key: str, secret: str, socket_id: str, channel: str) -> bool:
    """Whether ``auth`` is that; in constant time, and never raising, whatever it is."""
    given = auth.encode("utf-8", "surrogatepass")
    return hmac.compare_digest(given, authorize(key, secret, socket_id, channel).encode())
