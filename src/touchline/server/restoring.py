"""Making a data directory from a backup, offline: the database as a new epoch, and a way in for the operator."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from touchline.clock import Clock
from touchline.errors import ConfigError, LogError
from touchline.log.directory import Directory
from touchline.log.sqlite import PARTIAL, SqliteLog, restore
from touchline.log.sqlite.database import LOCK, DirectoryLock
from touchline.model import Position
from touchline.server.first_keys import make_keys_of_epoch


class Restored(msgspec.Struct, frozen=True):
    """What became of it: where the new epoch begins, and where the directory that stood there is now (None: none
    did).
    """

    position: Position
    moved_to: Path | None


def make_room(data: Path, clock: Clock, *, force: bool) -> Path | None:
    """See that nothing stands in the directory. With ``force`` what stands there is moved aside, whole, never removed;
    returns where to.

    Raises:
        ConfigError: something stands there, or it cannot be moved aside.
        LogUnavailable: a hub runs on it.
    """
    if not data.exists():
        return None
    if not data.is_dir():
        raise ConfigError(f"{data} is no directory; choose another --data")
    lock = DirectoryLock(data)
    names = set(os.listdir(data))
    if LOCK in names:
        lock.acquire()  # a hub that runs has it
    try:
        if names <= {LOCK, PARTIAL}:  # what a restore leaves that was cut off
            return None
        if not force:
            raise ConfigError(f"{data} is not empty; choose another --data, or --force moves it aside")
        stamp = datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC).strftime("%Y%m%dT%H%M%S")
        aside = data.with_name(f"{data.name}.before-{stamp}")
        if aside.exists():
            raise ConfigError(f"{aside} is there already; try again in a second")
        try:
            data.rename(aside)
        except OSError as error:
            raise ConfigError(
                f"{data} cannot be moved aside ({error.strerror}; it may be a mount): move what is in it away by hand"
            ) from None
        return aside
    finally:
        lock.release()


async def restore_into(backup: Path, data: Path, clock: Clock, *, force: bool) -> Restored:
    """Put a backup in place. It must have been examined (``touchline.log.sqlite.examine``).

    Raises:
        ConfigError: the directory is not fit for it.
        LogFull: there is no room for it.
        LogUnavailable: a hub runs there, or the backup cannot be used.
    """
    moved_to = _place(backup, data, clock, force=force)
    log = SqliteLog(data, clock)
    await log.start()
    try:
        directory = Directory(log.directory, clock, os.urandom)
        await directory.start()
        await make_keys_of_epoch(directory, data, log.epoch)
        return Restored(Position(log.epoch, log.head), moved_to)
    finally:
        await log.close()


def _place(backup: Path, data: Path, clock: Clock, *, force: bool) -> Path | None:
    moved_to = make_room(data, clock, force=force)
    try:
        restore(backup, data, clock)
    except LogError:
        if moved_to is not None and set(os.listdir(data)) <= {LOCK}:  # nothing has come of it: all stands as it stood
            (data / LOCK).unlink(missing_ok=True)
            data.rmdir()
            moved_to.rename(data)
        raise
    return moved_to
