"""Backup of a running log, and restore. A restore begins a new epoch and moves all numbers ahead, so that none that was
given out after the backup is used again.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Final

import apsw

from touchline.errors import LogUnavailable
from touchline.log.sqlite import database
from touchline.log.sqlite.queries import query

OFFSETS_AHEAD: Final = 2**36
"""More than any log can have appended between the backup and its loss; 2^53 has room for 131,000 restores."""
SEQS_AHEAD: Final = 1_000_000
"""More than one game has records; small enough for readers that keep a seq in 32 bits."""


def backup(source: Path, target: Path, vfs: str | None = None) -> None:
    """A consistent copy of the database into a new file (0600), which is complete once it has its name.

    Raises:
        LogUnavailable: the target exists, or it or the source cannot be used.
    """
    partial = target.with_name(target.name + ".partial")
    if target.exists():
        raise LogUnavailable(f"{target} exists already; choose another name")
    try:
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise LogUnavailable(f"{partial} cannot be made: {error.strerror}") from error
    try:
        _copy(source, partial, vfs)
        os.link(partial, target)  # unlike a rename it never replaces what somebody else has put there
        database.sync_directory(target.parent)
    except (apsw.Error, OSError) as error:
        raise LogUnavailable(f"the backup to {target} failed: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _copy(source: Path, target: Path, vfs: str | None) -> None:
    reader = database.connect_reader(source, vfs)
    try:
        copy = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            # In one step: one snapshot, so that commits meanwhile do not make it begin again.
            with copy.backup("main", reader, "main") as work:
                work.step(-1)
            copy.pragma("journal_mode", "delete")
        finally:
            copy.close(True)
    finally:
        reader.close(True)
    file = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def restore(source: Path, directory: Path) -> None:
    """Make a data directory's database from a backup, as a new epoch. The directory must hold no database yet.

    Raises:
        LogUnavailable: there is one already, the backup is none, or another process has the directory.
    """
    database.prepare_directory(directory)
    lock = database.DirectoryLock(directory)
    lock.acquire()
    target = directory / database.DATABASE
    partial = directory / (database.DATABASE + ".partial")
    try:
        if target.exists():
            raise LogUnavailable(f"{target} exists already; restore into an empty directory")
        if not source.is_file():
            raise LogUnavailable(f"{source} is not there")
        partial.unlink(missing_ok=True)
        database.prepare_file(partial)
        shutil.copyfile(source, partial)
        _move_ahead(partial)
        partial.rename(target)
        database.sync_directory(directory)
    except (apsw.Error, OSError) as error:
        raise LogUnavailable(f"{source} cannot be restored: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
        lock.release()


def _move_ahead(path: Path) -> None:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        if connection.pragma("application_id") != database.APPLICATION_ID:
            raise LogUnavailable("the file is no backup of a hub")
        connection.pragma("journal_mode", "delete")
        connection.pragma("synchronous", "full")
        database.migrate(connection)

        def meta(name: str) -> int:
            value: int = connection.execute(query("get_meta"), (name,)).get
            return value

        with connection:
            last, _ = connection.execute(query("last_record")).get or (0, 0)
            head = max(last, meta("floor"), meta("reserved"))
            connection.execute(query("skip_seqs"), {"ahead": SEQS_AHEAD})
            for name, value in (
                ("epoch", secrets.token_hex(8)),
                ("reserved", head + OFFSETS_AHEAD),
                ("first_seq", meta("first_seq") + SEQS_AHEAD),
                ("revision", meta("revision") + SEQS_AHEAD),
            ):
                connection.execute(query("set_meta"), (name, value))
    finally:
        connection.close(True)
