"""The log in memory keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from touchline.log.memory import MemoryKeyValue, MemoryLog
from touchline.testing.clock import FakeClock
from touchline.testing.log import KeyValueSuite, LogSuite


class TestMemoryLog(LogSuite):
    @pytest.fixture
    async def log(self, clock: FakeClock) -> AsyncIterator[MemoryLog]:
        log = MemoryLog(clock)
        await log.start()
        yield log
        await log.close()


class TestMemoryKeyValue(KeyValueSuite):
    @pytest.fixture
    def kv(self) -> MemoryKeyValue:
        return MemoryKeyValue()
