"""Fills the file system (or, with argv[2], its own limit on file sizes) under the log in argv[1]/data, checks that
nothing half is stored, makes room, and goes on. Prints ``recovered`` at the end.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from touchline.errors import LogFull, LogUnavailable
from touchline.log.sqlite import Limits, SqliteLog
from touchline.testing.clock import FakeClock
from touchline.testing.log import event, ids, read_all


async def main(path: Path, limit: int | None) -> None:
    ballast = path / "ballast"
    if limit is None:
        ballast.write_bytes(b"x" * 1_500_000)
    # No checkpoint: it is the WAL that must run into the limit.
    log = SqliteLog(path / "data", FakeClock(), Limits(checkpoint_bytes=2**40))
    await log.start()
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    shown: list[str] = []
    log.follow(lambda records: shown.extend(ids(records)))
    stored: list[str] = []
    expected = LogFull if limit is None else LogUnavailable
    for number in range(1000):
        batch = [event(f"e-{number}-{step}", data=b"x" * 1000) for step in range(20)]
        try:
            await log.append(batch)
        except expected:
            break
        stored += [item.id for item in batch]
    else:
        raise AssertionError("it never became full")
    assert stored
    assert shown == stored
    assert ids(await read_all(log)) == stored
    if limit is None:
        ballast.unlink()
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    appended = await log.append(batch)
    assert (appended.accepted, appended.duplicates) == (20, 0)
    records = await read_all(log)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert shown == ids(records)
    await log.close()
    log = SqliteLog(path / "data", FakeClock())
    await log.start()
    assert await read_all(log) == records
    await log.close()
    print("recovered")


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
