"""Changes of the file other than appends: the directory's entries, checkpoints, retention. Each is a function of the
writer's connection and counters, called inside its transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw

from touchline.errors import RevisionConflict
from touchline.log.base import Checkpoint
from touchline.log.sqlite.appending import Counters
from touchline.log.sqlite.queries import query


def put_entry(connection: apsw.Connection, bucket: str, key: str, value: bytes, revision: int | None) -> int:
    """Write an entry; with ``revision`` only over that one. Returns the new revision."""
    if revision is not None:
        row = connection.execute(query("get_entry"), (bucket, key)).get
        if revision != (0 if row is None else row[1]):
            raise RevisionConflict(f"{bucket}/{key} was written by somebody else; read it again")
    number = _next_revision(connection)
    connection.execute(query("put_entry"), (bucket, key, value, number))
    return number


def put_entries(connection: apsw.Connection, bucket: str, values: Mapping[str, bytes]) -> None:
    """Write several, whatever was there."""
    for key, value in values.items():
        connection.execute(query("put_entry"), (bucket, key, value, _next_revision(connection)))


def delete_entry(connection: apsw.Connection, bucket: str, key: str) -> bool:
    """Remove an entry; whether it was there."""
    connection.execute(query("delete_entry"), (bucket, key))
    return connection.changes() > 0


def _next_revision(connection: apsw.Connection) -> int:
    # One count for all entries: a revision does not come back after its entry was deleted and made again.
    number: int = connection.execute(query("get_meta"), ("revision",)).get + 1
    connection.execute(query("set_meta"), ("revision", number))
    return number


def save_checkpoints(connection: apsw.Connection, checkpoints: Sequence[Checkpoint]) -> None:
    """Store snapshots; one never replaces a later one."""
    connection.executemany(
        query("save_checkpoint"),
        [(item.feed, item.subject, item.offset, item.version, item.state) for item in checkpoints],
    )


def trim_step(connection: apsw.Connection, counters: Counters, through: int, rows: int) -> int:
    """Remove the oldest ``rows`` records at or below ``through``; returns how many there were."""
    boundary, count = connection.execute(query("trim_boundary"), (min(through, counters.head), rows)).get
    if count < rows:  # the last step
        connection.execute(query("drop_old_documents"))
    if not count:
        return 0
    connection.execute(query("keep_documents"), (boundary,))
    connection.execute(query("keep_counters"), (boundary,))
    connection.execute(query("delete_through"), (boundary,))
    left = counters.records - count
    for name, value in (("floor", boundary), ("counted", left), ("counted_through", counters.head)):
        connection.execute(query("set_meta"), (name, value))
    counters.floor, counters.records = boundary, left
    return int(count)
