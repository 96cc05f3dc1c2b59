"""Dead letters: records that were given up for an endpoint, each with a copy that retention cannot take.

One bucket of the directory's store per endpoint, keyed by offset, so that nobody reads another's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from touchline.delivery.courier.report import DeadLetter
from touchline.log.base import KeyValue
from touchline.model import Record

_BUCKET: Final = "dead_letters."


class Letter(msgspec.Struct, frozen=True):
    """A dead letter as it is stored."""

    about: DeadLetter
    record: Record


class Letters:
    """Reads and writes them. Which offsets an endpoint has is the line's to know (``Line.dead``)."""

    def __init__(self, kv: KeyValue) -> None:
        self._kv = kv

    async def offsets(self, endpoint_id: str) -> set[int]:
        """The offsets of an endpoint's dead letters."""
        return {int(key) for key in await self._kv.list(_BUCKET + endpoint_id)}

    async def all(self, endpoint_id: str) -> list[Letter]:
        """An endpoint's, by offset."""
        stored = await self._kv.list(_BUCKET + endpoint_id)
        found = [msgspec.json.decode(entry.value, type=Letter) for entry in stored.values()]
        return sorted(found, key=lambda letter: letter.about.offset)

    async def put(self, endpoint_id: str, letters: Iterable[Letter]) -> None:
        """Store several; durable when it returns."""
        encoded: Mapping[str, bytes] = {str(one.about.offset): msgspec.json.encode(one) for one in letters}
        await self._kv.put_many(_BUCKET + endpoint_id, encoded)

    async def delete(self, endpoint_id: str, offsets: Iterable[int]) -> None:
        """Remove some."""
        for offset in offsets:
            await self._kv.delete(_BUCKET + endpoint_id, str(offset))

    async def clear(self, endpoint_id: str) -> None:
        """Remove all."""
        await self.delete(endpoint_id, await self.offsets(endpoint_id))
