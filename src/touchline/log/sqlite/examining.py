"""Looking at a copy of a database before it is trusted: is it a hub's, whole, and of a version that is known."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import apsw
import msgspec

from touchline.errors import LogUnavailable
from touchline.log.sqlite import database
from touchline.log.sqlite.queries import migrations, query
from touchline.model import Position

_FAULTS_SHOWN: Final = 3


class Examined(msgspec.Struct, frozen=True):
    """What a good copy holds. ``position`` is that of its newest record: a reader of the hub that it was made of finds
    behind it what the copy lacks.
    """

    bytes: int
    position: Position


def examine(path: Path) -> Examined:
    """Check a copy, reading all of it. It must be a file that nobody writes.

    Raises:
        LogUnavailable: it is not there, damaged, of another program or of a later version; the text says which.
    """
    if not path.is_file():
        raise LogUnavailable(f"{path} is not there")
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise LogUnavailable(
            f"{path} is not the whole database: the rest is in {log.name}; 'touchline backup' makes a copy of a hub"
        )
    try:
        connection = apsw.Connection(
            f"{path.absolute().as_uri()}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        try:
            return Examined(path.stat().st_size, _position(connection, path))
        finally:
            connection.close(True)
    except apsw.NotADBError:
        raise LogUnavailable(f"{path} is no backup of a hub") from None
    except (apsw.Error, OSError) as error:
        raise LogUnavailable(f"{path} is damaged or cannot be read: {error}") from error


def _position(connection: apsw.Connection, path: Path) -> Position:
    if connection.pragma("application_id") != database.APPLICATION_ID:
        raise LogUnavailable(f"{path} is no backup of a hub")
    version = connection.pragma("user_version")
    if version > len(migrations()):
        raise LogUnavailable(
            f"{path} has schema version {version}, this program knows {len(migrations())}; use the newer one"
        )
    faults = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_FAULTS_SHOWN})")]
    if faults != ["ok"]:
        raise LogUnavailable(f"{path} is damaged: {'; '.join(faults)}")
    epoch = connection.execute(query("get_meta"), ("epoch",)).get
    if not epoch:
        raise LogUnavailable(f"{path} was never a hub's log: it has no epoch")
    last, _ = connection.execute(query("last_record")).get or (0, 0)
    return Position(epoch, max(last, connection.execute(query("get_meta"), ("floor",)).get))
