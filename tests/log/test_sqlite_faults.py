"""The embedded log on a disk that fills up, errs, or loses power."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from faulty_disk import FaultyDisk

from touchline.errors import LogFull, LogUnavailable, PositionGone
from touchline.log.sqlite import SqliteLog
from touchline.log.sqlite.trouble import QUIET_SECONDS
from touchline.model import Record
from touchline.testing.clock import FakeClock
from touchline.testing.log import event, events, ids, read_all, state

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


@pytest.fixture
async def log(tmp_path: Path, disk: FaultyDisk) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(tmp_path / "data", FakeClock(), vfs=disk.name)
    await log.start()
    yield log
    disk.full = disk.broken = False
    await log.close()


async def opened(path: Path) -> SqliteLog:
    log = SqliteLog(path, FakeClock())
    await log.start()
    return log


async def test_a_full_disk_refuses_stores_nothing_and_recovers_by_itself(
    log: SqliteLog, disk: FaultyDisk, caplog: pytest.LogCaptureFixture
) -> None:
    await log.append(events(0, 3))
    shown: list[Record] = []
    log.follow(shown.extend)
    disk.full = True
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            with pytest.raises(LogFull) as caught:
                await log.append(events(3, 3))
            assert caught.value.retryable
        with pytest.raises(LogFull):
            await log.directory.put("b", "k", b"v")
    assert "FullError" in log.stats().trouble
    assert [entry.message for entry in caplog.records if entry.levelno >= logging.ERROR] == [
        "the log cannot be written"
    ]
    assert ids(await read_all(log)) == ["e-0", "e-1", "e-2"]
    assert shown == []
    assert await log.directory.get("b", "k") is None
    disk.full = False
    appended = await log.append(events(3, 3))
    assert log.stats().trouble == ""
    assert (appended.accepted, appended.duplicates) == (3, 0)
    assert [record.seq for record in await read_all(log)] == [1, 2, 3, 4, 5, 6]
    assert [record.seq for record in shown] == [4, 5, 6]


@pytest.mark.parametrize("room_comes", [True, False])
async def test_trouble_does_not_end_with_a_small_commit_that_still_fits(
    tmp_path: Path, disk: FaultyDisk, caplog: pytest.LogCaptureFixture, room_comes: bool
) -> None:
    clock = FakeClock()
    log = SqliteLog(tmp_path / "data", clock, vfs=disk.name)
    await log.start()
    large = [event(f"large-{number}", data=b'"' + b"x" * 2000 + b'"') for number in range(100)]
    with caplog.at_level(logging.INFO, "touchline.log.sqlite"):
        await log.append(events(0, 3))
        disk.room = (tmp_path / "data" / "hub.db-wal").stat().st_size + 60_000
        with pytest.raises(LogFull):
            await log.append(large)
        await log.append(events(3, 1))
        assert "FullError" in log.stats().trouble
        await log.append(events(0, 3) * 400)  # all known: it needs no room, whatever its size
        assert "FullError" in log.stats().trouble
        await asyncio.gather(log.append(events(0, 3) * 400), log.append(events(4, 1)))  # nor with something new
        assert "FullError" in log.stats().trouble
        if room_comes:
            disk.room = None
            await log.append(large)
        else:  # nobody repeats what was refused
            clock.advance(QUIET_SECONDS)
            await log.append(events(0, 3))  # writes nothing
            assert "FullError" in log.stats().trouble
            await log.append(events(5, 1))
        assert log.stats().trouble == ""
    assert [entry.message for entry in caplog.records] == ["the log cannot be written", "the log can be written again"]
    await log.close()


async def test_trouble_of_states_ends_with_states(log: SqliteLog, disk: FaultyDisk) -> None:
    await log.append(events(0, 1))
    disk.full = True
    await log.append([state("s-0")])  # goes on in memory
    while "FullError" not in log.stats().trouble:
        await asyncio.sleep(0.01)
    disk.full = False
    await log.append([state("s-1")])
    while log.stats().trouble:
        await asyncio.sleep(0.01)


async def test_states_go_on_while_the_disk_is_full(log: SqliteLog, disk: FaultyDisk) -> None:
    shown: list[Record] = []
    log.follow(shown.extend)
    disk.full = True
    assert (await log.append([state("s")])).accepted == 1
    assert ids(shown) == ["s"]
    assert await read_all(log) == []
    disk.full = False
    await log.append(events(0, 1))
    assert ids(await read_all(log)) == ["e-0"]


async def test_a_failed_sync_acknowledges_nothing_and_leaves_nothing(
    log: SqliteLog, disk: FaultyDisk, tmp_path: Path
) -> None:
    await log.append(events(0, 3))
    shown: list[Record] = []
    log.follow(shown.extend)
    disk.broken = True
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await log.append(events(3, 3))
    assert ids(await read_all(log)) == ["e-0", "e-1", "e-2"]
    assert shown == []
    disk.broken = False
    assert (await log.append([event("other")])).accepted == 1
    # Not even a crash now brings back what was refused.
    disk.after_power_loss(tmp_path / "data", tmp_path / "crashed")
    crashed = await opened(tmp_path / "crashed")
    assert ids(await read_all(crashed)) == ["e-0", "e-1", "e-2", "other"]
    await crashed.close()
    assert (await log.append(events(3, 3))).accepted == 3
    assert [record.seq for record in await read_all(log)] == list(range(1, 8))


async def test_what_was_acknowledged_was_synced_before(log: SqliteLog, disk: FaultyDisk, tmp_path: Path) -> None:
    for number in range(5):
        before = disk.syncs
        await asyncio.gather(*(log.append([event(f"e-{number}-{step}")]) for step in range(4)))
        assert disk.syncs > before
        await log.directory.put("b", "k", b"%d" % number)
        target = tmp_path / f"crashed-{number}"
        disk.after_power_loss(tmp_path / "data", target)
        crashed = await opened(target)
        assert ids(await read_all(crashed)) == [f"e-{n}-{step}" for n in range(number + 1) for step in range(4)]
        entry = await crashed.directory.get("b", "k")
        assert entry is not None
        assert entry.value == b"%d" % number
        await crashed.close()


async def test_states_are_not_synced_and_their_numbers_never_come_back(
    log: SqliteLog, disk: FaultyDisk, tmp_path: Path
) -> None:
    await log.append(events(0, 1))
    await log.append([state("reserves")])
    await read_all(log)
    before = disk.syncs
    for number in range(20):
        await log.append([state(f"s-{number}", "k")])
    used = {record.offset for record in await read_all(log)}
    assert len(used) == 22
    assert disk.syncs == before
    disk.after_power_loss(tmp_path / "data", tmp_path / "crashed")
    crashed = await opened(tmp_path / "crashed")
    assert len(await read_all(crashed)) == 2
    # Whoever was told one of the lost numbers can go on after it, and meets new ones only.
    page = await crashed.read(max(used), 10)
    assert page.records == ()
    await crashed.append([event("new")])
    (record,) = await read_all(crashed, max(used))
    assert (record.event.id, record.seq) == ("new", 2)
    assert record.offset not in used
    await crashed.close()


async def test_a_torn_wal_keeps_whole_batches_up_to_the_tear(log: SqliteLog, tmp_path: Path) -> None:
    for number in range(12):
        await log.append(events(10 * number, 5))
    data = tmp_path / "data"
    wal = (data / "hub.db-wal").read_bytes()
    complete = 60
    for number, cut in enumerate((1, 24, 3000, 4120, 20_000, len(wal) // 2, len(wal) - 10)):
        for damage in ("truncated", "flipped"):
            target = tmp_path / f"{damage}-{number}"
            target.mkdir()
            shutil.copyfile(data / "hub.db", target / "hub.db")
            torn = (
                wal[:-cut]
                if damage == "truncated"
                else wal[:-cut] + bytes([wal[-cut] ^ 0xFF]) + wal[len(wal) - cut + 1 :]
            )
            (target / "hub.db-wal").write_bytes(torn)
            again = SqliteLog(target, FakeClock())
            await again.start()
            records = await read_all(again)
            assert len(records) % 5 == 0
            assert [record.seq for record in records] == list(range(1, len(records) + 1))
            assert len(records) < complete
            assert (await again.append([event("new")])).accepted == 1
            await again.close()


async def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    log = None
    acknowledged: list[str] = []
    highest = 0
    for life in range(3):
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAMS / "append_for_ever.py"), str(data), str(life), stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        for _ in range(40):
            acknowledged += (await child.stdout.readline()).decode().split()
        child.send_signal(signal.SIGKILL)
        rest = await child.stdout.read()
        acknowledged += [
            word for line in rest.decode().splitlines(keepends=True) if line.endswith("\n") for word in line.split()
        ]
        await child.wait()
        log = await opened(data)
        records = await read_all(log, events_only=True)
        kept = ids(records)
        assert set(acknowledged) <= set(kept)
        assert len(kept) == len(set(kept))
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        fresh = [record.offset for record in records if record.event.id.startswith(f"{life}-")]
        assert min(fresh) > highest
        again = await log.append([record.event for record in records])
        assert (again.accepted, again.duplicates) == (0, len(records))
        highest = log.head
        await log.close()
    assert log is not None


async def test_a_second_process_on_the_directory_refuses_to_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAMS / "append_for_ever.py"), str(data), "0", stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    await child.stdout.readline()
    second = SqliteLog(data, FakeClock())
    with pytest.raises(LogUnavailable, match=rf"pid {child.pid}\b"):
        await second.start()
    child.kill()
    await child.stdout.read()
    await child.wait()
    await second.start()  # the lock has gone with the process
    with pytest.raises(LogUnavailable, match=rf"pid {os.getpid()}\b"):
        await SqliteLog(data, FakeClock()).start()
    await second.close()


def can_mount() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    return subprocess.run([unshare, "--mount", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="mounting a small file system needs rights that are not there")
def test_a_really_full_file_system(tmp_path: Path) -> None:
    program = PROGRAMS / "fill_the_disk.py"
    script = f"mount -t tmpfs -o size=4m tmpfs {tmp_path} && exec {sys.executable} {program} {tmp_path}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "recovered"


def test_a_limit_on_file_size(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / "fill_the_disk.py"), str(tmp_path), "1000000"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "recovered"


async def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in the place of the directory")
    with pytest.raises(LogUnavailable):
        await SqliteLog(tmp_path / "data", FakeClock()).start()


async def test_a_position_ahead_of_what_was_found_again_is_said_to_be(
    log: SqliteLog, disk: FaultyDisk, tmp_path: Path
) -> None:
    """As after copying back old files by hand, which is no restore: the answer is explicit all the same."""
    await log.append(events(0, 2))
    disk.after_power_loss(tmp_path / "data", tmp_path / "older")
    await log.append(events(2, 2))
    older = await opened(tmp_path / "older")
    with pytest.raises(PositionGone) as caught:
        await older.read(log.head, 1)
    assert caught.value.reason == "ahead"
    await older.close()
