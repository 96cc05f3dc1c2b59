"""Before retention removes records, states that lack them are written; only what somebody asked for stays loaded."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from touchline.feeds import registry
from touchline.feeds.base import Instant
from touchline.log.sqlite import SqliteLog
from touchline.model import Event
from touchline.server.snapshots import Snapshots
from touchline.testing.clock import FakeClock

STREAMS = 120


def tournament(number: int, name: str) -> Event:
    data = msgspec.json.encode({"id": str(number), "info": {"id": number, "name": name}})
    return Event("prophetx", "prophetx.tournament", str(number), "/t", f"{number}-{name}", data, 1, 1)


@pytest.mark.parametrize("asked_for", [None, "7"])
async def test_states_that_nobody_asked_for_are_written_and_let_go(tmp_path: Path, asked_for: str | None) -> None:
    log = SqliteLog(tmp_path, FakeClock())
    await log.start()
    snapshots = Snapshots(log, registry.feeds(), FakeClock())
    log.follow(snapshots.apply)
    await log.append([tournament(number, "first") for number in range(STREAMS)])
    if asked_for is not None:
        assert await snapshots.state("prophetx", asked_for) is not None
    await snapshots.before_trim(log.head)
    assert [subject for _, subject in snapshots._loaded] == ([] if asked_for is None else [asked_for])
    await log.trim(log.head)
    await log.append([tournament(7, "second")])
    later = Snapshots(log, registry.feeds(), FakeClock())
    for number in range(STREAMS):
        name = "second" if number == 7 else "first"
        for reader in (snapshots, later):
            state = await reader.state("prophetx", str(number))
            assert state is not None
            assert msgspec.json.decode(state.tournament.info)["name"] == name
    await log.close()


@pytest.mark.parametrize("use", ["asked for", "followed", "changed"])
async def test_a_state_that_is_not_used_leaves_memory_and_comes_back(tmp_path: Path, use: str) -> None:
    clock = FakeClock()
    log = SqliteLog(tmp_path, clock)
    await log.start()
    snapshots = Snapshots(log, registry.feeds(), clock)
    log.follow(snapshots.apply)
    await log.append([tournament(number, "first") for number in range(2)])
    for subject in ("0", "1"):
        await snapshots.state("prophetx", subject)
    for number in range(65):  # eleven minutes
        clock.advance(10.5)
        if use == "asked for":
            await snapshots.state("prophetx", "1")
        elif use == "followed":
            snapshots.derive([("prophetx", "1")], Instant(clock.wall_ns(), clock.monotonic()))
        else:
            await log.append([tournament(1, f"change {number}")])
        await snapshots.tick()
    assert list(snapshots._loaded) == [("prophetx", "1")]
    again = await snapshots.state("prophetx", "0")
    assert again is not None
    assert msgspec.json.decode(again.tournament.info)["name"] == "first"
    await log.close()
