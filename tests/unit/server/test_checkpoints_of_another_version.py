"""A feed that raises its fold's version loses nothing that can be had: from the log, or by an upgrade of what is
stored. Retention once looked at how far a checkpoint reaches alone, whatever its version.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from touchline.feeds.base import Capabilities, Feed, Instant
from touchline.log.base import Checkpoint, EventLog
from touchline.log.memory import MemoryLog
from touchline.log.sqlite import SqliteLog
from touchline.model import Event, Lane, Record
from touchline.server.snapshots import Snapshots
from touchline.testing.clock import FakeClock

FEED = "f"


class Ids:
    """A state: the ids of all records of a stream."""

    def __init__(self, ids: list[str]) -> None:
        self.ids = ids


class Fold:
    """Writes its version before what it encodes, and reads no other."""

    def __init__(self, version: int) -> None:
        self.version = version

    def initial(self, subject: str) -> Ids:
        return Ids([])

    def apply(self, state: Ids, record: Record) -> None:
        if record.event.id not in state.ids:  # the newest of the state lane is applied at every loading
            state.ids.append(record.event.id)

    def encode(self, state: Ids) -> bytes:
        return msgspec.json.encode((self.version, state.ids))

    def decode(self, data: bytes) -> Ids:
        version, ids = msgspec.json.decode(data, type=tuple[int, list[str]])
        assert version == self.version
        return Ids(ids)

    def view(self, state: Ids) -> bytes:
        return msgspec.json.encode(state.ids)

    def derive(self, state: Ids, now: Instant) -> Sequence[Event]:
        return ()

    def is_over(self, state: Ids) -> bool:
        return False

    def first_seq(self, state: Ids) -> int:
        return 1


class UpgradingFold(Fold):
    """Reads version 1 too."""

    def upgrade(self, version: int, data: bytes) -> Ids | None:
        return Fold(1).decode(data) if version == 1 else None


class BrokenFold(Fold):
    """Means to."""

    def upgrade(self, version: int, data: bytes) -> Ids | None:
        raise KeyError(version)


def snapshots(log: EventLog, fold: Fold) -> Snapshots:
    feed = Feed(FEED, FEED, "", "", (), Capabilities(frozenset()), snapshot=fold)
    found = Snapshots(log, {FEED: feed}, FakeClock())
    log.follow(found.apply)
    return found


def event(name: str, subject: str, lane: Lane = Lane.EVENT) -> Event:
    return Event(FEED, "f.x", subject, "/t", name, b"{}", 1, 1, lane=lane, state_key="k" if lane is Lane.STATE else "")


async def ids(of: Snapshots, subject: str) -> list[str]:
    view = await of.view(FEED, subject)
    assert view is not None
    return msgspec.json.decode(view, type=list[str])


@pytest.fixture(params=["memory", "sqlite"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> EventLog:
    made: EventLog = MemoryLog(FakeClock()) if request.param == "memory" else SqliteLog(tmp_path, FakeClock())
    await made.start()
    return made


async def by_the_first_version(log: EventLog) -> int:
    """Two quiet streams and a busy one, all checkpointed by version 1; the offset between old and new."""
    await log.append([event("a1", "a"), event("b1", "b"), event("s1", "b", Lane.STATE), event("c1", "c")])
    middle = log.head
    await log.append([event("c2", "c")])
    await snapshots(log, Fold(1)).before_trim(log.head)
    found = await log.load_checkpoint(FEED, "c")
    assert found == Checkpoint(FEED, "c", log.head, 1, b'[1,["c1","c2"]]')
    return middle


@pytest.mark.parametrize(
    "fold", [Fold(2), UpgradingFold(2), BrokenFold(2), Fold(1)], ids=["anew", "upgrade", "broken", "same"]
)
async def test_what_the_log_still_has_is_folded_anew_before_it_is_removed(log: EventLog, fold: Fold) -> None:
    middle = await by_the_first_version(log)
    await snapshots(log, fold).before_trim(middle)
    await log.trim(middle)
    later = snapshots(log, Fold(fold.version))
    assert [await ids(later, subject) for subject in "abc"] == [["a1"], ["b1", "s1"], ["c1", "c2"]]
    await log.close()


async def test_what_somebody_asked_for_is_replaced_too(log: EventLog) -> None:
    middle = await by_the_first_version(log)
    second = snapshots(log, Fold(2))
    assert await ids(second, "a") == ["a1"]
    await log.append([event("a2", "a")])
    await second.checkpoint()
    assert await log.load_checkpoint(FEED, "a") == Checkpoint(FEED, "a", log.head, 2, b'[2,["a1","a2"]]')
    await second.before_trim(middle)
    assert await ids(second, "a") == ["a1", "a2"]
    await log.close()


async def test_what_was_removed_is_missing_and_told_of_once(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    middle = await by_the_first_version(log)
    await log.trim(middle)
    with caplog.at_level(logging.WARNING):
        second = snapshots(log, Fold(2))
        await second.before_trim(log.head)
        assert await ids(second, "c") == ["c2"]
        assert await ids(second, "a") == []
    told = [record.__dict__["stream"] for record in caplog.records if "lacks" in record.message]
    assert sorted(told) == [(FEED, "a"), (FEED, "b"), (FEED, "c")]
    assert second.lacking == 3
    assert await log.load_checkpoint(FEED, "c") == Checkpoint(FEED, "c", log.head, 2, b'[2,["c2"]]')
    kept = await log.load_checkpoint(FEED, "a")
    assert kept is not None
    assert (kept.version, kept.state) == (1, b'[1,["a1"]]')
    third = snapshots(log, UpgradingFold(3))
    assert await ids(third, "a") == ["a1"], "a version that can read what was kept"
    await log.append([event("a2", "a")])
    await third.before_trim(log.head)
    await log.trim(log.head)
    assert await ids(snapshots(log, Fold(3)), "a") == ["a1", "a2"]
    await log.close()


async def test_an_upgrade_goes_on_behind_the_checkpoint(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    middle = await by_the_first_version(log)
    await log.append([event("c3", "c")])
    await log.trim(middle)
    with caplog.at_level(logging.WARNING):
        second = snapshots(log, UpgradingFold(2))
        assert await ids(second, "c") == ["c1", "c2", "c3"]
        assert await ids(second, "a") == ["a1"]
    assert not caplog.records
    await second.before_trim(log.head)
    assert second.lacking == 0
    await log.trim(log.head)
    assert await ids(snapshots(log, Fold(2)), "c") == ["c1", "c2", "c3"]
    await log.close()
