"""Changing one entry of the directory's store that others may be changing too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from touchline.errors import RevisionConflict
from touchline.log.base import KeyValue

_TRIES: Final = 32

S = TypeVar("S", bound=msgspec.Struct)


async def update(kv: KeyValue, bucket: str, key: str, kind: type[S], change: Callable[[S | None], S]) -> S:
    """Write what ``change`` makes of the stored entry (None: absent); asked again when somebody else was faster.

    Raises RevisionConflict when that never ends, and whatever ``change`` raises.
    """
    for _ in range(_TRIES):
        entry = await kv.get(bucket, key)
        old = None if entry is None else msgspec.json.decode(entry.value, type=kind)
        new = change(old)
        if new == old:
            return new
        try:
            await kv.put(bucket, key, msgspec.json.encode(new), revision=0 if entry is None else entry.revision)
        except RevisionConflict:
            continue
        return new
    raise RevisionConflict("the entry is being written by others all the time; repeat later")
