"""Ready messages: a record is prepared once for all endpoints of a variant, and named the same on every attempt."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import Final

from touchline.feeds.base import Prepared, WebhookCodec
from touchline.model import Record

_VARIANT: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def message_id(endpoint_id: str, *parts: object) -> str:
    """The UUID of a message: equal on every attempt, replay and restart, and different for every endpoint.

    It has the shape of a name-based one (version 5, which every validator knows), made by SHA-256.
    """
    text = "/".join((endpoint_id, *map(str, parts)))
    made = hashlib.sha256(text.encode()).hexdigest()
    return f"{made[:8]}-{made[8:12]}-5{made[13:16]}-{_VARIANT[made[16]]}{made[17:20]}-{made[20:32]}"


class Unfit:
    """The codec could not make a message of a record; ``error`` is what it raised, for the log, once."""

    __slots__ = ("error", "reason")

    def __init__(self, error: Exception) -> None:
        self.reason = f"the feed could not encode it: {type(error).__name__}"
        self.error: Exception | None = error


class Messages:
    """Prepared records by (feed, variant, offset), in two generations: when the younger is full the older leaves."""

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._max_records = max_records // 2
        self._max_bytes = max_bytes // 2
        self._bytes = 0
        self._young: dict[Hashable, Prepared | Unfit | None] = {}
        self._old: dict[Hashable, Prepared | Unfit | None] = {}

    def prepare(self, feed: str, codec: WebhookCodec, variant: Hashable, record: Record) -> Prepared | Unfit | None:
        """The record made ready; None when nothing of it is sent."""
        key = (feed, variant, record.offset)
        try:
            found = self._young[key]
        except KeyError:
            found = self._old[key] if key in self._old else self._make(codec, variant, record)
            self._keep(key, found)
        return found

    @staticmethod
    def _make(codec: WebhookCodec, variant: Hashable, record: Record) -> Prepared | Unfit | None:
        try:
            return codec.prepare(record, variant)
        except Exception as error:  # a feed's code; one record of its must not stop an endpoint
            return Unfit(error)

    def _keep(self, key: Hashable, found: Prepared | Unfit | None) -> None:
        self._young[key] = found
        self._bytes += len(found.body) if isinstance(found, Prepared) else 0
        if len(self._young) > self._max_records or self._bytes > self._max_bytes:
            self._old, self._young, self._bytes = self._young, {}, 0
