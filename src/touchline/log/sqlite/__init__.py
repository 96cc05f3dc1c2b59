"""The embedded log: SQLite in WAL mode with group commit, for one hub process and no service beside it."""

from touchline.log.sqlite.copying import PARTIAL, restore
from touchline.log.sqlite.eventlog import Limits, SqliteLog
from touchline.log.sqlite.examining import Examined, examine

__all__ = ["PARTIAL", "Examined", "Limits", "SqliteLog", "examine", "restore"]
