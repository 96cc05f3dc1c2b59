"""A disk that errs on command, as a VFS under SQLite, and what would be left of its files after a loss of power."""

from __future__ import annotations

import errno
import itertools
import shutil
from pathlib import Path
from typing import Any

import apsw

_numbers = itertools.count()


class FaultyDisk:
    """``full``: writes to the WAL find no room, nor do those beyond ``room`` bytes of it. ``broken``: syncs of the WAL
    fail. ``synced`` is the length up to which the WAL has last been synced.
    """

    def __init__(self) -> None:
        self.name = f"faulty-{next(_numbers)}"
        self.full = False
        self.room: int | None = None
        self.broken = False
        self.synced = 0
        self.syncs = 0
        self._vfs = _Disk(self)

    def after_power_loss(self, source: Path, target: Path) -> None:
        """Copy the database as it would be found: what was not synced is gone."""
        target.mkdir(parents=True)
        shutil.copyfile(source / "hub.db", target / "hub.db")
        wal = (source / "hub.db-wal").read_bytes()
        (target / "hub.db-wal").write_bytes(wal[: self.synced])


class _Disk(apsw.VFS):
    def __init__(self, disk: FaultyDisk) -> None:
        super().__init__(disk.name, "")
        self._disk = disk

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802 - SQLite's name
        return _File(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._is_wal = str(name if isinstance(name, str) else name.filename()).endswith("-wal") or bool(
            flags[0] & apsw.SQLITE_OPEN_WAL
        )

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        room = self._disk.room
        if self._is_wal and (self._disk.full or (room is not None and offset + len(data) > room)):
            raise apsw.FullError(f"[{errno.ENOSPC}] no space left")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._is_wal:
            if self._disk.broken:
                raise apsw.IOError(f"[{errno.EIO}] the disk errs")
            self._disk.syncs += 1
        super().xSync(flags)
        if self._is_wal:
            self._disk.synced = self.xFileSize()
