"""``touchline`` with one more feed, whose webhooks are signed with a plain HMAC: for the tests of ``listen``."""

from __future__ import annotations

import hashlib
import hmac
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from touchline.cli import main
from touchline.errors import RemoteProtocolError
from touchline.feeds import registry
from touchline.feeds.base import Capabilities, Feed, Received, Transport
from touchline.model import Event


class ToyCodec:
    """Consumer role only. Bodies of another ``kind`` than the option ``kind`` asks for are refused."""

    receiver_options: Mapping[str, tuple[str, ...]] = {"kind": ("shot", "goal"), "note": ()}

    def receive(self, headers: Any, body: bytes, trust: Any, now: Any) -> Received:
        given = dict(headers).get("x-signature", "")
        if trust.secrets and not any(hmac.compare_digest(given, sign(body, one)) for one in trust.secrets):
            raise RemoteProtocolError("the signature does not match")
        try:
            message = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise RemoteProtocolError("not JSON") from None
        if trust.options.get("kind", message["kind"]) != message["kind"]:
            raise RemoteProtocolError(f"this is a {message['kind']}")
        if "confirm" in message:
            if message["confirm"].split("/")[2] not in trust.hosts:
                raise RemoteProtocolError("that host is not trusted")
            return Received("confirmation", "topic t", (), message["confirm"], message["id"], body)
        event = Event("toy", f"toy.{message['kind']}", "g\x1b1", "/toy", message["id"], body, 0, 0)
        return Received("event", "", (event,), None, message["id"], body)


def sign(body: bytes, secret: str) -> str:
    """The hex HMAC-SHA256 that ``x-signature`` carries."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


TOY = Feed("toy", "Toy", "", "", (), Capabilities(frozenset({Transport.WEBHOOK})), webhook=ToyCodec())  # type: ignore[arg-type]

if __name__ == "__main__":
    registry.load = lambda name: TOY  # type: ignore[assignment]
    sys.exit(main())
