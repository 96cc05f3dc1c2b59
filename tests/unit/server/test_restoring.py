"""Where a backup may be put: never over what stands there, never under a running hub, and never half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from touchline.errors import ConfigError, LogFull, LogUnavailable
from touchline.log.directory import Directory
from touchline.log.sqlite import SqliteLog
from touchline.server import restoring
from touchline.server.first_keys import make_first_keys
from touchline.server.restoring import restore_into
from touchline.testing.clock import FakeClock


@pytest.fixture
async def backup(tmp_path: Path) -> Path:
    """Of a hub with its first keys."""
    clock = FakeClock()
    log = SqliteLog(tmp_path / "hub", clock)
    await log.start()
    directory = Directory(log.directory, clock, os.urandom)
    await directory.start()
    await make_first_keys(directory, tmp_path / "hub")
    await log.backup(str(tmp_path / "backup.db"))
    await log.close()
    return tmp_path / "backup.db"


async def keys(data: Path) -> list[tuple[str, str]]:
    log = SqliteLog(data, FakeClock())
    await log.start()
    directory = Directory(log.directory, FakeClock(), os.urandom)
    await directory.start()
    before = [(key.role, key.name) for key in directory.keys()]  # noqa: SIM118
    for role in ("admin", "publisher"):
        found = directory.find_key((data / f"{role}.key").read_text().strip())
        assert found is not None
        assert found.role == role
    await make_first_keys(directory, data)  # a start makes no more of them
    assert [(key.role, key.name) for key in directory.keys()] == before  # noqa: SIM118
    await log.close()
    return before


async def test_a_new_directory_has_keys_of_its_own(backup: Path, tmp_path: Path) -> None:
    data = tmp_path / "new" / "hub"
    restored = await restore_into(backup, data, FakeClock(), force=False)
    assert restored.moved_to is None
    assert sorted(os.listdir(data)) == ["admin.key", "hub.db", "hub.lock", "publisher.key"]
    assert (data / "admin.key").stat().st_mode & 0o777 == 0o600
    epoch = restored.position.epoch
    assert sorted(await keys(data)) == [
        ("admin", "admin.key"),
        ("admin", f"admin.key of {epoch}"),
        ("publisher", "publisher.key"),
        ("publisher", f"publisher.key of {epoch}"),
    ]
    assert (data / "admin.key").read_bytes() != (tmp_path / "hub" / "admin.key").read_bytes()


async def test_what_a_restore_left_that_was_cut_off_is_no_obstacle(backup: Path, tmp_path: Path) -> None:
    data = tmp_path / "cut"
    data.mkdir()
    (data / "hub.lock").write_text("123\n")
    (data / "hub.db.partial").write_bytes(b"half")
    assert (await restore_into(backup, data, FakeClock(), force=False)).moved_to is None
    assert len(await keys(data)) == 4


async def test_nothing_is_overwritten(backup: Path, tmp_path: Path) -> None:
    data = tmp_path / "mine"
    data.mkdir()
    (data / "notes.txt").write_text("precious")
    with pytest.raises(ConfigError, match="--force"):
        await restore_into(backup, data, FakeClock(), force=False)
    with pytest.raises(ConfigError, match="no directory"):
        await restore_into(backup, data / "notes.txt", FakeClock(), force=True)
    restored = await restore_into(backup, data, FakeClock(), force=True)
    assert restored.moved_to is not None
    assert restored.moved_to.parent == tmp_path
    assert (restored.moved_to / "notes.txt").read_text() == "precious"
    (data / "more.txt").write_text("precious too")
    with pytest.raises(ConfigError, match="there already"):  # the clock stands: the same name
        await restore_into(backup, data, FakeClock(), force=True)
    assert (data / "more.txt").exists()


async def test_a_running_hub_is_never_touched(backup: Path, tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "hub", FakeClock())
    await log.start()
    for force in (False, True):
        with pytest.raises(LogUnavailable, match="in use"):
            await restore_into(backup, tmp_path / "hub", FakeClock(), force=force)
    assert log.head == 0
    await log.directory.put("b", "k", b"still there")
    await log.close()


async def test_when_it_fails_all_stands_as_it_stood(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, directory: Path, clock: object) -> None:
        directory.mkdir()
        (directory / "hub.lock").touch()
        raise LogFull("no room")

    before = sorted(os.listdir(tmp_path / "hub"))
    monkeypatch.setattr(restoring, "restore", full)
    with pytest.raises(LogFull):
        await restore_into(backup, tmp_path / "hub", FakeClock(), force=True)
    assert sorted(os.listdir(tmp_path)) == ["backup.db", "hub"]
    assert sorted(os.listdir(tmp_path / "hub")) == before


async def test_a_directory_that_cannot_be_moved_is_said_to_be(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: Path, target: Path) -> Path:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", busy)
    with pytest.raises(ConfigError, match="Device or resource busy; it may be a mount"):
        await restore_into(backup, tmp_path / "hub", FakeClock(), force=True)
    monkeypatch.undo()
    assert len(await keys(tmp_path / "hub")) == 2
