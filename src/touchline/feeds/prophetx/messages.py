"""What a published change must be: routing and folding need the ids and little else; all other members pass unchanged.

Field names and types are the seed's ("Payload structure"); an id is taken as a number and as text, since both are seen.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw, Struct

from touchline.feeds.prophetx.channels import (
    ACCOUNT,
    BROADCAST_CHANGES,
    OPERATIONS,
    PREFIX,
    PRIVATE_CHANGES,
    data_bytes,
)
from touchline.model import Event
from touchline.wire.pusher import MAX_DATA_BYTES

Id = int | str

_PUBLIC: Final = frozenset(PREFIX + change for change in BROADCAST_CHANGES)
_PRIVATE_SPELT: Final = frozenset({*PRIVATE_CHANGES, ACCOUNT, "wagers", "order", "orders"})
"""What the provider's pages and clients call that which belongs to one partner (sheet §5)."""
_NEEDS_OWNER: Final = ("partner", "a private change has its owner's partner_id as subject and as partner")


class Payload(Struct):
    """A change's payload, decoded; passed on unchanged."""

    info: dict[str, Raw] | None = None


def check(event: Event, _: Payload) -> tuple[str, str] | None:
    """Why a change is refused, as (field, detail).

    Whether it is private is no matter of the publisher's care: a wager without its owner would be told to everybody.
    """
    if event.extensions.get("op") not in OPERATIONS:
        return ("op", "must be c, u or d")
    if event.type in _PUBLIC:
        if event.partner is not None:
            return ("partner", "this change is for everybody; only wagers, accounts and signals belong to a partner")
    elif event.partner is None or event.partner != event.subject:
        return _NEEDS_OWNER
    return _too_long(event)


def check_unknown(event: Event) -> tuple[str, str] | None:
    """Why a change of a type that is not declared is refused. Others are for everybody; with an owner they go to its
    channel if they stand in its stream, and else are read natively alone.

    A wager under another of its names, or in other letters, must not be told to everybody either.
    """
    word = event.type.removeprefix(PREFIX).strip().casefold()
    if word in _PRIVATE_SPELT and event.partner != event.subject:
        return _NEEDS_OWNER
    return _too_long(event)


def _too_long(event: Event) -> tuple[str, str] | None:
    size = data_bytes(event.type.removeprefix(PREFIX), len(event.data))
    if size > MAX_DATA_BYTES:
        return ("data", f"{size} bytes when it is wrapped, and an event of this protocol has at most {MAX_DATA_BYTES}")
    return None
