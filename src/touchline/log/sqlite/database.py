"""The database file: where it lies, who may open it, how a connection is set up, which schema it has.

Everything that speaks of files and of SQLite's settings is here; what the tables mean is not.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

import apsw

from touchline.errors import LogError, LogFull, LogUnavailable
from touchline.log.sqlite import queries

DATABASE: Final = "hub.db"
LOCK: Final = "hub.lock"
APPLICATION_ID: Final = 0x544C4E45  # "TLNE": what file(1) and a careful reader see
_BUSY_MS: Final = 10_000
_WRITER_CACHE_KIB: Final = 65_536
_READER_CACHE_KIB: Final = 16_384


def as_log_error(error: Exception) -> LogError:
    """What to tell a caller about an error of SQLite or of the file system."""
    if isinstance(error, LogError):
        return error
    if isinstance(error, apsw.FullError):
        return LogFull("the disk or the database is full; nothing was stored: make room, then repeat")
    return LogUnavailable(f"the database cannot be used now ({type(error).__name__}: {error}); repeat later")


class DirectoryLock:
    """One process per data directory, for as long as the process lives."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK
        self._file: int | None = None

    def acquire(self) -> None:
        """Take it. Raises LogUnavailable, naming who has it."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            raise LogUnavailable(
                f"{self._path.parent} is in use by another process (pid {holder}); stop it or choose another directory"
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Give it back. The file stays: removing it would let two processes lock two files of one name."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def prepare_directory(directory: Path) -> None:
    """Make the directory (0700) if it is not there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def prepare_file(path: Path) -> None:
    """Make the database file (0600) if it is not there; SQLite gives its -wal and -shm files the same mode."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(file).st_mode & 0o077:
            os.fchmod(file, 0o600)  # it holds the plain credentials that signatures need
    finally:
        os.close(file)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the directory's entries durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def connect_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """The one connection that writes: WAL, every commit synced, no checkpoint inside COMMIT."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.set_busy_timeout(_BUSY_MS)
    if connection.pragma("journal_mode", "wal") != "wal":
        raise LogUnavailable(f"{path} cannot be put into WAL mode; is it on a network file system?")
    connection.pragma("synchronous", "full")
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("cache_size", -_WRITER_CACHE_KIB)
    connection.pragma("temp_store", "memory")
    return connection


def connect_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection that only reads."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.set_busy_timeout(_BUSY_MS)
    connection.pragma("query_only", True)
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("cache_size", -_READER_CACHE_KIB)
    connection.pragma("temp_store", "memory")
    return connection


def connect_checkpointer(path: Path, wal_keep_bytes: int, vfs: str | None = None) -> apsw.Connection:
    """The connection that moves the WAL into the database; it gives way to readers instead of waiting for them."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.set_busy_timeout(10)
    connection.pragma("synchronous", "full")
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("journal_size_limit", wal_keep_bytes)
    return connection


def used_bytes(connection: apsw.Connection) -> int:
    """What the database holds. The file does not shrink: what retention has freed is used again first."""
    pages: int = connection.pragma("page_count") - connection.pragma("freelist_count")
    size: int = connection.pragma("page_size")
    return pages * size


def migrate(connection: apsw.Connection) -> None:
    """Bring the schema forward to this version, each script in one transaction.

    Raises:
        LogUnavailable: the file is of a later version, or of another program.
    """
    scripts = queries.migrations()
    version = connection.pragma("user_version")
    known = connection.pragma("application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if known != APPLICATION_ID and (known or version or tables):
        raise LogUnavailable(f"{connection.filename} is a database of another program; choose another directory")
    if version > len(scripts):
        raise LogUnavailable(
            f"{connection.filename} has schema version {version}, this program knows {len(scripts)}; use the newer one"
        )
    for number in range(version, len(scripts)):
        with connection:
            connection.execute(scripts[number])
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", number + 1)
