"""What a published change must be: routing and folding need the ids and little else; all other members pass unchanged.

Field names and types are the seed's ("Payload structure"); an id is taken as a number and as text, since both are seen.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw, Struct

from touchline.feeds.prophetx.channels import BROADCAST_CHANGES, OPERATIONS, PREFIX, data_bytes
from touchline.model import Event
from touchline.wire.pusher import MAX_DATA_BYTES

Id = int | str

_PUBLIC: Final = frozenset(PREFIX + change for change in BROADCAST_CHANGES)


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
        return ("partner", "a private change has its owner's partner_id as subject and as partner")
    size = data_bytes(event.type.removeprefix(PREFIX), len(event.data))
    if size > MAX_DATA_BYTES:
        return ("data", f"{size} bytes when it is wrapped, and an event of this protocol has at most {MAX_DATA_BYTES}")
    return None
