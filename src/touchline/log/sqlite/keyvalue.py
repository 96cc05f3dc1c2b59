"""The directory's store, in the log's own file and through its writer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import apsw

from touchline.log.base import Entry, Watcher
from touchline.log.followers import Followers
from touchline.log.sqlite import changes
from touchline.log.sqlite.appending import Counters
from touchline.log.sqlite.queries import query
from touchline.log.sqlite.reading import Reader, Readers

T = TypeVar("T")


class Write(Protocol):
    """Has the writer make a change; ``done`` is called on the loop with its result before it is returned."""

    def __call__(
        self, run: Callable[[apsw.Connection, Counters], T], done: Callable[[T], None] | None = None
    ) -> Awaitable[T]: ...


class SqliteKeyValue:
    """The contract of ``touchline.log.base.KeyValue``. Every change is synced before it is acknowledged."""

    def __init__(self, readers: Readers, write: Write) -> None:
        self._readers = readers
        self._write = write
        self._watchers: Followers[[str, str, bytes | None]] = Followers()

    async def get(self, bucket: str, key: str) -> Entry | None:
        """The entry, or None."""
        return await self._readers.run(_get, bucket, key)

    async def list(self, bucket: str) -> Mapping[str, Entry]:
        """All entries of a bucket."""
        return await self._readers.run(_list, bucket)

    async def put(self, bucket: str, key: str, value: bytes, *, revision: int | None = None) -> int:
        """Write; returns the new revision. Raises RevisionConflict."""
        return await self._write(
            lambda connection, _: changes.put_entry(connection, bucket, key, value, revision),
            lambda _: self._watchers.call(bucket, key, value),
        )

    async def put_many(self, bucket: str, values: Mapping[str, bytes]) -> None:
        """Write several, in one transaction."""
        values = dict(values)

        def tell(_: None) -> None:
            for key, value in values.items():
                self._watchers.call(bucket, key, value)

        await self._write(lambda connection, _: changes.put_entries(connection, bucket, values), tell)

    async def delete(self, bucket: str, key: str) -> bool:
        """Remove; whether it was there."""

        def tell(was_there: bool) -> None:
            if was_there:
                self._watchers.call(bucket, key, None)

        return await self._write(lambda connection, _: changes.delete_entry(connection, bucket, key), tell)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` after every change from now on; returns what ends it."""
        return self._watchers.add(watcher)


def _get(reader: Reader, bucket: str, key: str) -> Entry | None:
    row: Any = reader.connection.execute(query("get_entry"), (bucket, key)).get
    return None if row is None else Entry(*row)


def _list(reader: Reader, bucket: str) -> dict[str, Entry]:
    rows = reader.connection.execute(query("list_entries"), (bucket,))
    return {key: Entry(value, revision) for key, value, revision in rows}
