"""Backup of a running log, and restore. A restore begins a new epoch and moves all numbers ahead, so that none that was
given out after the backup is used again.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from touchline.clock import Clock, SystemClock
from touchline.errors import LogFull, LogUnavailable
from touchline.log.sqlite import database
from touchline.log.sqlite.queries import query
from touchline.model import MAX_OFFSET

PARTIAL: Final = database.DATABASE + ".partial"
"""What a restore is working on; whatever stands there is of one that was cut off."""
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)

OFFSETS_AHEAD: Final = 2**36
SEQS_AHEAD: Final = 1_000_000
OFFSETS_A_SECOND: Final = 2**20
SEQS_A_SECOND: Final = 64
MAX_AGE_SECONDS: Final = 90 * 86_400
"""How far a restore moves the numbers ahead: by a fixed part, which is more than a hub appends to its log (or to one
stream) between a backup and its loss when clocks are wrong, and by a part for each second of the backup's age, which is
more than a hub appends in a second. The second part keeps two restores of the same backup apart as well: what the first
one handed out stays below where the second one begins. Of a day-old backup there is room for 28,000 restores with
offsets below 2^53, and for 300 with seqs below 2^31, for readers that keep a seq in 32 bits.
"""
_MADE_AT: Final = "backed_up_at"
_STEP_PAGES: Final = 4096


def backup(
    source: Path, target: Path, made_at: int, is_stopped: Callable[[], bool] = lambda: False, vfs: str | None = None
) -> None:
    """A consistent copy of the database into a new file (0600), which is complete once it has its name. It holds when
    it was made (wall ns). ``is_stopped`` is asked now and then whether to give up.

    Raises:
        LogFull: there is no room for it.
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
        _copy(source, partial, made_at, is_stopped, vfs)
        os.link(partial, target)  # unlike a rename it never replaces what somebody else has put there
        database.sync_directory(target.parent)
    except (apsw.Error, OSError) as error:
        if isinstance(error, apsw.FullError) or (isinstance(error, OSError) and error.errno in _NO_ROOM):
            raise LogFull(f"there is no room for the backup {target}; make room, or choose another disk") from error
        raise LogUnavailable(f"the backup to {target} failed: {error}") from error
    finally:
        for left in (partial, partial.with_name(partial.name + "-journal")):
            left.unlink(missing_ok=True)


def _copy(source: Path, target: Path, made_at: int, is_stopped: Callable[[], bool], vfs: str | None) -> None:
    reader = database.connect_reader(source, vfs)
    try:
        copy = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            # Within one reading: one snapshot, so that commits meanwhile do not make it begin again.
            with reader, copy.backup("main", reader, "main") as work:
                reader.execute(query("get_meta"), ("epoch",)).fetchone()  # the snapshot begins here
                while not work.step(_STEP_PAGES):
                    if is_stopped():
                        raise LogUnavailable("the backup was stopped")
            copy.pragma("journal_mode", "delete")
            with copy:
                copy.execute(query("set_meta"), (_MADE_AT, made_at))
        finally:
            copy.close(True)
    finally:
        reader.close(True)
    file = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def restore(source: Path, directory: Path, clock: Clock | None = None) -> None:
    """Make a data directory's database from a backup, as a new epoch. The directory must hold no database yet.

    Raises:
        LogFull: there is no room for it.
        LogUnavailable: there is one already, the backup is none, or another process has the directory.
    """
    database.prepare_directory(directory)
    lock = database.DirectoryLock(directory)
    lock.acquire()
    target = directory / database.DATABASE
    partial = directory / PARTIAL
    try:
        if target.exists():
            raise LogUnavailable(f"{target} exists already; restore into an empty directory")
        if not source.is_file():
            raise LogUnavailable(f"{source} is not there")
        partial.unlink(missing_ok=True)
        database.prepare_file(partial)
        shutil.copyfile(source, partial)
        _move_ahead(partial, (clock or SystemClock()).wall_ns())
        partial.rename(target)
        database.sync_directory(directory)
    except (apsw.Error, OSError) as error:
        if isinstance(error, apsw.FullError) or (isinstance(error, OSError) and error.errno in _NO_ROOM):
            raise LogFull(
                f"there is no room in {directory} for what {source} holds; make room, or choose another"
            ) from error
        raise LogUnavailable(f"{source} cannot be restored: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
        lock.release()


def _move_ahead(path: Path, now: int) -> None:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        if connection.pragma("application_id") != database.APPLICATION_ID:
            raise LogUnavailable("the file is no backup of a hub")
        connection.pragma("journal_mode", "delete")
        connection.pragma("synchronous", "full")
        database.migrate(connection)

        def meta(name: str) -> int:
            value: int = connection.execute(query("get_meta"), (name,)).get or 0
            return value

        with connection:
            last, _ = connection.execute(query("last_record")).get or (0, 0)
            head = max(last, meta("floor"), meta("reserved"))
            age = min(max(0, now - (meta(_MADE_AT) or now)), MAX_AGE_SECONDS * 10**9)
            offsets = OFFSETS_AHEAD + age * OFFSETS_A_SECOND // 10**9
            seqs = SEQS_AHEAD + age * SEQS_A_SECOND // 10**9
            if head + offsets > MAX_OFFSET // 2:  # leaves the restored hub as much room again
                raise LogUnavailable("the backup's numbers have come too far to be moved ahead once more")
            connection.execute(query("skip_seqs"), {"ahead": seqs})
            for name, value in (
                ("epoch", secrets.token_hex(8)),
                ("reserved", head + offsets),
                ("first_seq", meta("first_seq") + seqs),
                ("revision", meta("revision") + seqs),
            ):
                connection.execute(query("set_meta"), (name, value))
    finally:
        connection.close(True)
