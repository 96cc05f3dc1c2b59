"""Both real backends and the one in memory give the same answers to the same appends."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from touchline.errors import Conflict
from touchline.log.base import EventLog
from touchline.log.memory import MemoryLog
from touchline.log.sqlite import Limits, SqliteLog
from touchline.model import Event, Lane, Record
from touchline.testing.clock import FakeClock
from touchline.testing.log import FEED, GAME, SHOT, event, read_all

EVENTS = st.builds(
    event,
    st.sampled_from("abcdefghijkl"),
    st.sampled_from(["game-1", "game-2"]),
    st.sampled_from([SHOT, GAME]),
    data=st.sampled_from([b"1", b"1", b"1", b"2"]),
    source=st.sampled_from(["/one", "/two"]),
    lane=st.sampled_from([Lane.EVENT, Lane.EVENT, Lane.EVENT, Lane.STATE]),
    state_key=st.sampled_from(["", "k"]),
    document=st.booleans(),
)
APPENDS = st.tuples(st.just("append"), st.lists(EVENTS, min_size=1, max_size=6), st.booleans())
TRIMS = st.tuples(st.just("trim"), st.floats(0, 1), st.none())
STEPS = st.lists(st.one_of(APPENDS, APPENDS, APPENDS, TRIMS), min_size=1, max_size=12)


async def play(log: EventLog, clock: FakeClock, steps: list[tuple[str, Any, Any]]) -> list[Any]:
    """Everything that can be seen of the log while and after the steps are taken."""
    await log.start()
    seen: list[Any] = []
    shown: list[Record] = []
    log.follow(shown.extend)
    for kind, what, skip in steps:
        clock.advance(1)
        if kind == "append":
            try:
                seen.append(await log.append(what, skip_conflicts=skip))
            except Conflict as error:
                seen.append(error.indexes)
        else:
            seen.append(await log.trim(int(what * log.head)))
        await log.streams(FEED)  # waits for the state lane
        seen.append((log.head, log.floor))
    seen.append(await read_all(log))
    seen.append(shown)
    for subject in ("game-1", "game-2"):
        seen.append(await log.stream(FEED, subject))
        seen.append(await log.latest_state(FEED, subject))
        seen.append(await read_all(log, feed=FEED, subject=subject))
        seen.append(await read_all(log, types=frozenset({GAME}), events_only=True))
        seen += [await log.offset_before(FEED, subject, seq) for seq in range(-1, 12)]
    seen.append(await log.documents(FEED, GAME))
    start = clock.wall_ns()
    seen += [await log.offset_at(start - number * 500_000_000) for number in range(26)]
    seen.append(sorted(info.subject for info in await log.streams_to_trim(log.head // 2)))
    seen.append(log.stats().records)
    await log.close()
    return seen


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_memory_and_sqlite_agree(steps: list[tuple[str, list[Event] | float, bool | None]]) -> None:
    memory_clock, sqlite_clock = FakeClock(), FakeClock()
    expected = asyncio.run(play(MemoryLog(memory_clock), memory_clock, steps))
    with tempfile.TemporaryDirectory() as path:
        log = SqliteLog(Path(path), sqlite_clock, Limits(trim_rows=3))
        assert asyncio.run(play(log, sqlite_clock, steps)) == expected
