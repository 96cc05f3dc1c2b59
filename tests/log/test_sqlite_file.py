"""What is particular to the embedded log: its files, its commits, its checkpoints, backup and restore."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from touchline.errors import LogUnavailable, PositionGone
from touchline.log.base import Checkpoint
from touchline.log.sqlite import Limits, SqliteLog, queries, restore
from touchline.model import Record
from touchline.testing.clock import FakeClock
from touchline.testing.log import FEED, GAME, event, events, ids, read_all, state

VERSION_1 = Path(__file__).parent / "data" / "version_1.sql"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(tmp_path / "data", FakeClock())
    await log.start()
    yield log
    await log.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_files_are_the_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log = SqliteLog(tmp_path / "data", FakeClock())
        await log.start()
        await log.append(events(0, 1))
        await log.backup(str(tmp_path / "backup.db"))
        assert mode(tmp_path / "data") == 0o700
        names = {path.name: mode(path) for path in (tmp_path / "data").iterdir()}
        assert names == dict.fromkeys(("hub.db", "hub.db-wal", "hub.db-shm", "hub.lock"), 0o600)
        assert mode(tmp_path / "backup.db") == 0o600
        await log.close()
    finally:
        os.umask(before)


async def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, FakeClock())
    await log.start()
    await log.close()
    (tmp_path / "hub.db").chmod(0o644)
    await log.start()
    assert mode(tmp_path / "hub.db") == 0o600
    await log.close()


async def test_a_log_can_be_started_again_after_close(log: SqliteLog) -> None:
    await log.append(events(0, 2))
    await log.close()
    await log.start()
    assert (await log.append(events(0, 3))).duplicates == 2


async def test_a_clean_close_leaves_one_file_without_a_gap(log: SqliteLog, tmp_path: Path) -> None:
    await log.append([state("s")])
    await log.append(events(0, 1))
    head = log.head
    await log.close()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["hub.db", "hub.lock"]
    await log.start()
    assert log.head == head == 2


async def test_a_later_schema_is_refused(log: SqliteLog, tmp_path: Path) -> None:
    await log.close()
    connection = apsw.Connection(str(tmp_path / "data" / "hub.db"))
    connection.pragma("user_version", 999)
    connection.close()
    with pytest.raises(LogUnavailable, match="newer"):
        await log.start()


async def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "hub.db"))
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    with pytest.raises(LogUnavailable, match="another program"):
        await SqliteLog(tmp_path, FakeClock()).start()
    (tmp_path / "hub.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(LogUnavailable):
        await SqliteLog(tmp_path, FakeClock()).start()


async def test_version_1_stays_openable(tmp_path: Path) -> None:
    """``data/version_1.sql`` is a dump of a hub's file as the first release wrote it. Never change it."""
    connection = apsw.Connection(str(tmp_path / "hub.db"))
    connection.execute(VERSION_1.read_text("utf-8"))
    assert connection.pragma("user_version") == 1
    connection.close()
    log = SqliteLog(tmp_path, FakeClock())
    await log.start()
    assert log.epoch == "0123456789abcdef"
    assert (log.floor, log.head) == (2, 6)
    records = await read_all(log)
    assert [(record.offset, record.seq, record.event.id) for record in records] == [
        (3, 2, "e-2"),
        (4, 0, "s-1"),
        (5, 1, "g-2"),
        (6, 3, "full"),
    ]
    full = records[-1].event
    assert (full.time, full.extensions, full.document) == ("2026-01-02T03:04:05Z", {"partner": "p", "n": 1}, True)
    assert ids(await log.documents(FEED, GAME)) == ["g-1", "g-2"]
    assert (await log.append([event("e-2")])).duplicates == 1
    assert await log.load_checkpoint(FEED, "game-1") == Checkpoint(FEED, "game-1", 3, 1, b"state")
    entry = await log.directory.get("partners", "acme")
    assert entry is not None
    assert (entry.value, entry.revision) == (b"{}", 1)
    await log.append([event("next")])
    assert (await read_all(log))[-1].seq == 4
    await log.close()


async def test_many_appends_share_commits(log: SqliteLog) -> None:
    before = log.stats().commits

    async def publish(client: int) -> None:
        for number in range(20):
            await log.append([event(f"{client}-{number}")])

    await asyncio.gather(*(publish(client) for client in range(32)))
    assert log.stats().records == 640
    assert log.stats().commits - before < 640 // 4


async def test_an_event_that_cannot_be_stored_hurts_nobody_else(log: SqliteLog) -> None:
    results = await asyncio.gather(
        log.append([event("a")]),
        log.append([event("b"), event("c", time="\ud800")]),
        log.append([event("d", occurred_at=2**70)]),
        log.append([event("e")]),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["Appended", "LogUnavailable", "LogUnavailable", "Appended"]
    assert [(record.seq, record.event.id) for record in await read_all(log)] == [(1, "a"), (2, "e")]


async def test_a_cancelled_append_leaves_the_log_working(log: SqliteLog) -> None:
    appending = asyncio.ensure_future(log.append(events(0, 3)))
    await asyncio.sleep(0)
    appending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await appending
    await log.append(events(3, 1))
    assert log.stats().waiting_events == 0
    assert [record.seq for record in await read_all(log)] == [1, 2, 3, 4]


async def test_what_waits_is_bounded(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, FakeClock(), Limits(waiting_events=50, waiting_bytes=20_000))
    await log.start()
    results = await asyncio.gather(*(log.append(events(10 * n, 10)) for n in range(30)), return_exceptions=True)
    refused = [number for number, result in enumerate(results) if isinstance(result, LogUnavailable)]
    assert refused == list(range(5, 30))
    results = await asyncio.gather(
        *(log.append([event(f"big-{n}", data=b"x" * 9_000)]) for n in range(4)), return_exceptions=True
    )
    assert [isinstance(result, LogUnavailable) for result in results] == [False, False, True, True]
    stats = log.stats()
    assert (stats.records, stats.waiting_events, stats.waiting_bytes) == (52, 0, 0)
    await log.close()


async def test_the_wal_stays_bounded(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, FakeClock(), Limits(checkpoint_bytes=100_000, wal_bytes=400_000))
    await log.start()
    longest = 0
    for number in range(150):
        await log.append([event(f"e-{number}-{step}", data=b"x" * 1000) for step in range(50)])
        longest = max(longest, (tmp_path / "hub.db-wal").stat().st_size)
    assert longest < 4_000_000  # of more than 8 MB that went through it
    assert len(await read_all(log)) == 7500
    await log.close()


async def test_trimming_gives_room_back(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, FakeClock(), Limits(trim_rows=100))
    await log.start()
    for number in range(20):
        await log.append([event(f"e-{number}-{step}", data=b"x" * 1000) for step in range(50)])
    full = log.stats().size_bytes
    assert await log.trim(log.head) == 1000
    empty = log.stats().size_bytes
    assert empty < full // 4
    for number in range(20):
        await log.append([event(f"f-{number}-{step}", data=b"x" * 1000) for step in range(50)])
    await log.close()
    assert (tmp_path / "hub.db").stat().st_size < full * 1.5


async def test_retention_by_size_gets_there_step_by_step(log: SqliteLog) -> None:
    for number in range(20):
        await log.append([event(f"e-{number}-{step}", data=b"x" * (100 + 50 * step)) for step in range(60)])
    await log.trim(10)  # brings the figures up to date
    target = log.stats().size_bytes // 3
    for _ in range(20):
        point = await log.trim_point(appended_before=None, max_bytes=target)
        if point == log.floor:
            break
        await log.trim(point)
    assert log.stats().size_bytes <= target
    assert log.stats().records > 100


async def test_a_filtered_reading_over_a_long_log_gets_on(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchline.log.sqlite.reading._SCAN", 20)
    await log.append([event("first", "1", "hisports.game.update")])
    await log.append(events(0, 500))
    await log.append([event("last", "1", "hisports.game.update")])
    page = await log.read(1, 10, feed="hisports")
    assert (page.records, page.more) == ((), True)
    assert ids(await read_all(log, feed="hisports")) == ["first", "last"]


async def test_a_backup_of_a_running_log_is_one_moment_of_it(log: SqliteLog, tmp_path: Path) -> None:
    await log.directory.put("partners", "p", b"value")
    appending = [asyncio.ensure_future(log.append(events(10 * number, 10))) for number in range(40)]
    await appending[0]
    await log.backup(str(tmp_path / "backup.db"))
    await asyncio.gather(*appending)
    restore(tmp_path / "backup.db", tmp_path / "restored")
    restored = SqliteLog(tmp_path / "restored", FakeClock())
    await restored.start()
    kept = await read_all(restored)
    assert len(kept) % 10 == 0
    assert 10 <= len(kept) <= 400
    assert kept == (await read_all(log))[: len(kept)]
    assert await restored.directory.get("partners", "p") == await log.directory.get("partners", "p")
    await restored.close()


async def test_after_a_restore_no_number_is_used_twice(log: SqliteLog, tmp_path: Path) -> None:
    await log.append([*events(0, 5), state("s")])
    await log.backup(str(tmp_path / "backup.db"))
    lost: list[Record] = []
    log.follow(lost.extend)
    revision = await log.directory.put("b", "k", b"lost")
    await log.append([*events(5, 5), event("x", "only-later")])
    restore(tmp_path / "backup.db", tmp_path / "restored")
    restored = SqliteLog(tmp_path / "restored", FakeClock())
    await restored.start()
    assert restored.epoch != log.epoch
    assert restored.head > lost[-1].offset
    assert len(await read_all(restored)) == 6
    with pytest.raises(PositionGone):
        await restored.read(restored.head + 1, 1)
    shown: list[Record] = []
    restored.follow(shown.extend)
    await restored.append([event("new"), event("y", "only-later"), event("e-5")])
    assert min(record.offset for record in shown) > max(record.offset for record in lost)
    used = {(record.stream, record.seq) for record in lost}
    assert used.isdisjoint((record.stream, record.seq) for record in shown)
    assert shown[2].seq == shown[0].seq + 1
    assert await restored.directory.put("b", "k", b"new", revision=0) > revision
    await restored.close()


async def test_a_backup_replaces_nothing(log: SqliteLog, tmp_path: Path) -> None:
    target = tmp_path / "there.db"
    target.write_text("precious")
    with pytest.raises(LogUnavailable, match="exists"):
        await log.backup(str(target))
    with pytest.raises(LogUnavailable):
        await log.backup(str(tmp_path / "absent" / "backup.db"))
    assert target.read_text() == "precious"
    with pytest.raises(LogUnavailable, match="in use"):
        restore(target, tmp_path / "data")
    with pytest.raises(LogUnavailable):
        restore(target, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere" / "hub.db").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "elsewhere", "there.db"]


async def test_a_restore_needs_an_empty_directory(log: SqliteLog, tmp_path: Path) -> None:
    await log.backup(str(tmp_path / "backup.db"))
    await log.close()
    with pytest.raises(LogUnavailable, match="exists"):
        restore(tmp_path / "backup.db", tmp_path / "data")


def test_every_query_is_used_and_known() -> None:
    sources = "".join(path.read_text("utf-8") for path in Path(queries.__file__).parent.glob("*.py"))
    used = set(re.findall(r'(?:query|for_rows|_get|_insert)\(\s*"(\w+)"', sources))
    assert used == set(queries._queries())


@pytest.mark.parametrize("rows", [1, 2, 3, 100, 127, 128, 129, 5000])
def test_steps_add_up(rows: int) -> None:
    assert sum(queries.steps(rows)) == rows
    assert len(queries.steps(rows)) <= 8 + rows // 128


async def test_what_was_accepted_in_the_turn_of_the_close_is_written(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "data", FakeClock())
    await log.start()
    appending = asyncio.create_task(log.append(events(0, 3)))
    await asyncio.sleep(0)
    await log.close()
    assert (await appending).accepted == 3
    await log.start()
    assert ids(await read_all(log)) == ids([Record(0, 0, 0, one) for one in events(0, 3)])
    await log.close()
