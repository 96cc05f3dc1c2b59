"""What is done each second to all sessions is done in shares, so that what is due to one of them need not wait."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

from touchline.clock import SystemClock
from touchline.feeds.base import EndReason
from touchline.server.sessions import Identity, Sessions

SESSIONS = 1000


class _Session:
    """A session as far as it is looked at each second."""

    def __init__(self, key: str) -> None:
        self.identity: Identity | None = Identity("hub", None, None, key)
        self.ticks = 0
        self.aborted = 0
        self.ended: list[EndReason] = []

    def tick(self, now: float) -> None:
        self.ticks += 1

    def end(self, reason: EndReason) -> None:
        self.ended.append(reason)

    def abort(self) -> None:
        self.aborted += 1


class _Faulty(_Session):
    """A feed's code fails."""

    def tick(self, now: float) -> None:
        raise RuntimeError("a bug")


def _sessions(ones: list[_Session], good: str = "good") -> Sessions:
    keys = [SimpleNamespace(id=good, revoked_at=None), SimpleNamespace(id="revoked", revoked_at=1)]
    sessions = object.__new__(Sessions)
    sessions.hub = cast("Any", SimpleNamespace(clock=SystemClock(), directory=SimpleNamespace(keys=lambda: keys)))
    sessions._open = dict.fromkeys(ones)
    sessions._ticks = 0
    return sessions


async def test_others_have_their_turn_between_shares() -> None:
    ones = [_Session("good") for _ in range(SESSIONS)]
    sessions = _sessions(ones)
    seen: list[int] = []

    async def watch() -> None:
        while not seen or seen[-1] < SESSIONS:
            seen.append(sum(one.ticks for one in ones))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await sessions.tick()
    async with asyncio.timeout(10):
        await watching
    steps = [after - before for before, after in pairwise(seen)]
    assert max(steps) <= SESSIONS // 10
    assert [one.ticks for one in ones] == [1] * SESSIONS


async def test_who_leaves_meanwhile_is_passed_over() -> None:
    ones = [_Session("good") for _ in range(SESSIONS)]
    sessions = _sessions(ones)
    ticking = asyncio.create_task(sessions.tick())
    await asyncio.sleep(0)
    assert ones[0].ticks == 1
    assert ones[-1].ticks == 0
    sessions.remove(ones[-1])
    await ticking
    assert [one.ticks for one in ones[-2:]] == [1, 0]


async def test_a_revoked_key_ends_sessions_within_two_seconds_and_a_fault_those_of_nobody_else() -> None:
    ones = [_Session("good"), _Session("revoked"), _Faulty("good"), _Session("good")]
    sessions = _sessions(ones)
    await sessions.tick()
    await sessions.tick()
    assert [one.ended for one in ones] == [[], [EndReason.REVOKED], [], []]
    assert [one.aborted for one in ones] == [0, 0, 2, 0]
    assert [one.ticks for one in ones] == [2, 2, 0, 2]


async def test_a_key_that_is_made_meanwhile_is_good() -> None:
    """Shares let others have their turn: a session may have been let in with a key that was none when they began."""
    ones = [_Session("good") for _ in range(SESSIONS)]
    sessions = _sessions(ones)
    await sessions.tick()
    ticking = asyncio.create_task(sessions.tick())
    await asyncio.sleep(0)
    assert [one.ticks for one in (ones[0], ones[-1])] == [2, 1]
    keys = cast("list[object]", sessions.hub.directory.keys())
    keys.append(SimpleNamespace(id="new", revoked_at=None))
    ones[-1].identity = Identity("hub", None, None, "new")
    await ticking
    assert ones[-1].ticks == 2
    assert ones[-1].ended == []
