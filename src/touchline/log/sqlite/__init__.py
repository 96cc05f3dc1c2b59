"""The embedded log: SQLite in WAL mode with group commit, for one hub process and no service beside it."""

from touchline.log.sqlite.copying import restore
from touchline.log.sqlite.eventlog import Limits, SqliteLog

__all__ = ["Limits", "SqliteLog", "restore"]
