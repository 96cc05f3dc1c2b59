"""The embedded log keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from touchline.log.base import EventLog
from touchline.log.sqlite import SqliteLog
from touchline.log.sqlite.keyvalue import SqliteKeyValue
from touchline.testing.clock import FakeClock
from touchline.testing.log import KeyValueSuite, LogSuite, Reopen


class TestSqliteLog(LogSuite):
    @pytest.fixture
    async def log(self, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteLog]:
        log = SqliteLog(tmp_path / "data", clock)
        await log.start()
        yield log
        await log.close()

    @pytest.fixture
    async def reopen(self, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Reopen]:
        opened: list[SqliteLog] = []

        async def reopen(log: EventLog) -> EventLog:
            await log.close()
            again = SqliteLog(tmp_path / "data", clock)
            opened.append(again)
            await again.start()
            return again

        yield reopen
        for log in opened:
            await log.close()


class TestSqliteKeyValue(KeyValueSuite):
    @pytest.fixture
    async def kv(self, tmp_path: Path) -> AsyncIterator[SqliteKeyValue]:
        log = SqliteLog(tmp_path / "data", FakeClock())
        await log.start()
        yield log.directory
        await log.close()
