"""Copies of the embedded log: what a good one is, what a restore makes of it, reading over the hole that it leaves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from touchline.errors import LogFull, LogUnavailable
from touchline.log.sqlite import SqliteLog, copying, examine, restore
from touchline.model import MAX_OFFSET, Record
from touchline.testing.clock import FakeClock
from touchline.testing.log import FEED, event, events, ids, read_all, state

OTHER_TYPE = "hisports.game.update"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(tmp_path / "data", FakeClock())
    await log.start()
    yield log
    await log.close()


async def started(directory: Path, clock: FakeClock | None = None) -> SqliteLog:
    log = SqliteLog(directory, clock or FakeClock())
    await log.start()
    return log


async def test_a_good_copy_tells_where_it_ends(log: SqliteLog, tmp_path: Path) -> None:
    await log.append([*events(0, 5), state("s")])
    copy = tmp_path / "copy.db"
    await log.backup(str(copy))
    found = examine(copy)
    assert (found.bytes, found.position.epoch, found.position.offset) == (copy.stat().st_size, log.epoch, 6)
    await log.trim(6)
    await log.backup(str(tmp_path / "trimmed.db"))
    assert examine(tmp_path / "trimmed.db").position.offset == 6


async def test_what_is_no_good_copy_is_refused_with_the_reason(log: SqliteLog, tmp_path: Path) -> None:
    await log.append([event(f"e-{n}", data=b"x" * 5000) for n in range(200)])
    good = tmp_path / "good.db"
    await log.backup(str(good))
    with pytest.raises(LogUnavailable, match="not there"):
        examine(tmp_path / "absent.db")
    (tmp_path / "text.db").write_text("no database at all, but long enough to be read as one" * 100)
    with pytest.raises(LogUnavailable, match="no backup"):
        examine(tmp_path / "text.db")
    (tmp_path / "short.db").write_bytes(good.read_bytes()[:-40_000])
    with pytest.raises(LogUnavailable, match="damaged"):
        examine(tmp_path / "short.db")
    content = bytearray(good.read_bytes())
    content[8192:9192] = os.urandom(1000)
    (tmp_path / "flipped.db").write_bytes(content)
    with pytest.raises(LogUnavailable, match="damaged"):
        examine(tmp_path / "flipped.db")
    apsw.Connection(str(tmp_path / "other.db")).execute("CREATE TABLE t (x)")
    with pytest.raises(LogUnavailable, match="no backup of a hub"):
        examine(tmp_path / "other.db")
    with pytest.raises(LogUnavailable, match="touchline backup"):
        examine(tmp_path / "data" / "hub.db")  # a running hub's: the rest stands in the write-ahead log


async def test_a_newer_schema_is_refused_clearly(log: SqliteLog, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    await log.backup(str(copy))
    connection = apsw.Connection(str(copy))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(LogUnavailable, match=r"schema version 99, this program knows \d+; use the newer one"):
        examine(copy)
    with pytest.raises(LogUnavailable, match="schema version 99"):
        restore(copy, tmp_path / "restored")
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "hub.db").write_bytes(copy.read_bytes())
    with pytest.raises(LogUnavailable, match="schema version 99"):
        await SqliteLog(tmp_path / "newer", FakeClock()).start()


async def test_two_restores_of_one_backup_share_no_number(log: SqliteLog, tmp_path: Path) -> None:
    """What the first restored hub handed out is lost with it; the second one must not hand it out again."""
    await log.append(events(0, 5))
    copy = tmp_path / "copy.db"
    await log.backup(str(copy))
    clock = FakeClock()
    used: list[set[int]] = []
    seqs: list[set[int]] = []
    for attempt in range(3):
        clock.advance(120.0)
        directory = tmp_path / f"restored-{attempt}"
        restore(copy, directory, clock)
        restored = await started(directory, clock)
        shown: list[Record] = []
        restored.follow(shown.extend)
        await restored.append(events(100, 50))
        await restored.append([event("fresh", "another-game")])
        used.append({record.offset for record in shown})
        seqs.append({record.seq for record in shown if record.event.subject != "another-game"})
        await restored.close()
    for numbers in (used, seqs):
        assert max(numbers[0]) < min(numbers[1])
        assert max(numbers[1]) < min(numbers[2])
    assert max(used[2]) < MAX_OFFSET
    assert max(seqs[2]) < 2**31


async def test_restore_after_restore_stays_below_the_bound(log: SqliteLog, tmp_path: Path) -> None:
    await log.append(events(0, 3))
    source, clock = tmp_path / "0.db", FakeClock()
    await log.backup(str(source))
    heads = []
    for number in range(1, 6):
        clock.advance(86_400.0)
        directory = tmp_path / str(number)
        restore(source, directory, clock)
        restored = await started(directory, clock)
        await restored.append(events(10 * number, 3))
        heads.append(restored.head)
        source = tmp_path / f"{number}.db"
        await restored.backup(str(source))
        await restored.close()
    assert heads == sorted(set(heads))
    assert heads[-1] < 2**44


async def test_a_backup_whose_numbers_have_no_room_is_refused(log: SqliteLog, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    await log.backup(str(copy))
    connection = apsw.Connection(str(copy))
    connection.execute("UPDATE meta SET value = ? WHERE name = 'reserved'", (MAX_OFFSET // 2,))
    connection.close()
    with pytest.raises(LogUnavailable, match="too far"):
        restore(copy, tmp_path / "restored")
    assert [path.name for path in (tmp_path / "restored").iterdir()] == ["hub.lock"]


async def test_a_filtered_reading_passes_the_hole_that_a_restore_leaves(log: SqliteLog, tmp_path: Path) -> None:
    """The hole is billions of numbers wide: a reading that stepped through it would take hours."""
    await log.append([event("first", "1", OTHER_TYPE), *events(0, 3)])
    await log.backup(str(tmp_path / "copy.db"))
    restore(tmp_path / "copy.db", tmp_path / "restored")
    restored = await started(tmp_path / "restored")
    for asked in ({"feed": FEED}, {"types": frozenset({OTHER_TYPE})}, {"feed": "prophetx"}, {}):
        page = await restored.read(0, 100, **asked)  # type: ignore[arg-type]
        assert (page.next_after, page.more) == (restored.head, False), asked
    await restored.append([event("last", "1", OTHER_TYPE), *events(10, 2)])
    page = await restored.read(0, 100, feed="hisports")
    assert (ids(page.records), page.more) == (["first", "last"], False)
    page = await restored.read(page.records[0].offset, 1, feed="hisports")
    assert (ids(page.records), page.next_after, page.more) == (["last"], restored.head, False)
    page = await restored.read(0, 100, types=frozenset({OTHER_TYPE}), events_only=True)
    assert ids(page.records) == ["first", "last"]
    assert await restored.trim(restored.head) == 7
    assert ids(await read_all(restored)) == []
    await restored.close()


async def test_a_seq_of_before_the_loss_finds_what_comes_after_the_restore(log: SqliteLog, tmp_path: Path) -> None:
    """A reader that resumes by a seq which the backup lacks gets all that was appended since, and nothing twice."""
    await log.append(events(0, 5))
    await log.backup(str(tmp_path / "copy.db"))
    await log.append(events(5, 5))  # lost; a reader has seen seq 10
    restore(tmp_path / "copy.db", tmp_path / "restored")
    restored = await started(tmp_path / "restored")
    subject = event("e").subject
    info = await restored.stream(FEED, subject)
    assert info is not None
    assert info.last_seq >= 10
    assert await restored.offset_before(FEED, subject, 11) == restored.head
    await restored.append(events(20, 3))
    after = await restored.offset_before(FEED, subject, 11)
    page = await restored.read(after, 10, feed=FEED, subject=subject)
    assert ids(page.records) == ["e-20", "e-21", "e-22"]
    assert [record.seq for record in page.records] == [info.last_seq + n for n in (1, 2, 3)]
    await restored.close()


async def test_a_cancelled_backup_stops_and_leaves_nothing(
    log: SqliteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_STEP_PAGES", 1)
    await log.append([event(f"e-{n}", data=b"x" * 5000) for n in range(200)])
    stopped = iter([False, False, True])
    with pytest.raises(LogUnavailable, match="stopped"):
        copying.backup(tmp_path / "data" / "hub.db", tmp_path / "copy.db", 0, lambda: next(stopped))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    task = asyncio.create_task(log.backup(str(tmp_path / "copy.db")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await log.backup(str(tmp_path / "other.db"))
    assert examine(tmp_path / "other.db").position.offset == log.head


async def test_commits_in_the_middle_of_a_backup_are_not_in_it(
    log: SqliteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is one moment, however many steps it takes."""
    monkeypatch.setattr(copying, "_STEP_PAGES", 1)
    await log.append([event(f"e-{n}", data=b"x" * 3000) for n in range(100)])
    loop, steps = asyncio.get_running_loop(), 0

    def append_meanwhile() -> bool:
        nonlocal steps
        steps += 1
        if steps <= 3:
            asyncio.run_coroutine_threadsafe(log.append([event(f"m-{steps}", "m")]), loop).result(10)
        return False

    source, target = tmp_path / "data" / "hub.db", tmp_path / "copy.db"
    await asyncio.to_thread(copying.backup, source, target, 0, append_meanwhile)
    assert steps > 50, "the copy did not begin anew"
    assert log.head == 103
    assert examine(target).position.offset == 100


async def test_no_room_is_said_as_such(log: SqliteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise apsw.FullError("database or disk is full")

    await log.backup(str(tmp_path / "copy.db"))
    monkeypatch.setattr(copying, "_copy", full)
    with pytest.raises(LogFull, match="no room"):
        await log.backup(str(tmp_path / "second.db"))
    monkeypatch.setattr(copying, "_move_ahead", full)
    with pytest.raises(LogFull, match="no room"):
        restore(tmp_path / "copy.db", tmp_path / "restored")
    assert not (tmp_path / "restored" / "hub.db").exists()
