"""Sessions are called when their time has come: together, never early, and none for another's fault."""

from __future__ import annotations

import asyncio

import pytest

from touchline.clock import SystemClock
from touchline.server import deadlines as module
from touchline.server.deadlines import TOGETHER_SECONDS, Deadlines


class One:
    """Notes when it was called; may fail, move or send another away."""

    def __init__(self, deadlines: Deadlines) -> None:
        self.deadlines = deadlines
        self.moment: int | None = None
        self.called: list[float] = []
        self.aborted = 0
        self.then = lambda: None

    def at(self, due: float | None) -> None:
        self.moment = self.deadlines.move(self, self.moment, due)

    def due(self) -> None:
        self.at(None)
        self.called.append(asyncio.get_running_loop().time())
        self.then()

    def abort(self) -> None:
        self.aborted += 1


async def comes(*ones: One) -> None:
    """Wait until all of them were called."""
    async with asyncio.timeout(10):
        while not all(one.called for one in ones):
            await asyncio.sleep(0.001)


async def test_those_of_one_moment_are_called_together_and_not_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TURN_SECONDS", 60.0)  # a busy machine may stop us between two of them for longer
    clock = SystemClock()
    deadlines = Deadlines(clock)
    ones = [One(deadlines) for _ in range(50)]
    start = (int(clock.monotonic() / TOGETHER_SECONDS) + 2) * TOGETHER_SECONDS
    rounds: list[set[int]] = []
    turn = 0

    def count() -> None:
        nonlocal turn
        turn += 1
        asyncio.get_running_loop().call_soon(count)

    asyncio.get_running_loop().call_soon(count)
    early = 0
    for number, one in enumerate(ones, 1):
        due = start + number * TOGETHER_SECONDS / 60

        def then(due: float = due) -> None:
            nonlocal early
            early += clock.monotonic() < due
            rounds.append({turn})

        one.then = then
        one.at(due)
    await comes(*ones)
    assert early == 0
    assert len(set.union(*rounds)) == 1, "all in the same turn of the loop"
    assert [len(one.called) for one in ones] == [1] * 50


async def test_whoever_has_left_is_not_called_and_whoever_moved_is_called_once() -> None:
    clock = SystemClock()
    deadlines = Deadlines(clock)
    gone, moved, last = (One(deadlines) for _ in range(3))
    now = clock.monotonic()
    gone.at(now + 0.01)
    moved.at(now + 0.01)
    last.at(now + 4 * TOGETHER_SECONDS)
    gone.at(None)
    moved.at(now + 2 * TOGETHER_SECONDS)
    moved.at(now + 2 * TOGETHER_SECONDS)
    await comes(last)
    assert (len(gone.called), len(moved.called)) == (0, 1)


async def test_sent_away_by_another_at_the_same_moment() -> None:
    clock = SystemClock()
    deadlines = Deadlines(clock)
    one, other, last = (One(deadlines) for _ in range(3))
    due = clock.monotonic() + 0.01
    one.then, other.then = lambda: other.at(None), lambda: one.at(None)
    one.at(due)
    other.at(due)
    last.at(due + TOGETHER_SECONDS)
    await comes(last)
    assert len(one.called) + len(other.called) == 1


async def test_a_fault_of_one_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    clock = SystemClock()
    deadlines = Deadlines(clock)
    ones = [One(deadlines) for _ in range(3)]

    def fails() -> None:
        raise RuntimeError("a bug")

    ones[1].then = fails
    due = clock.monotonic() + 0.01
    for one in ones:
        one.at(due)
    await comes(*ones)
    assert [one.aborted for one in ones] == [0, 1, 0]
    assert caplog.records


async def test_again_and_again() -> None:
    """Who asks anew while it is called has another moment; a time that is over comes at once."""
    clock = SystemClock()
    deadlines = Deadlines(clock)
    one = One(deadlines)
    one.then = lambda: one.at(clock.monotonic() - 1) if len(one.called) < 3 else None
    one.at(clock.monotonic())
    async with asyncio.timeout(10):
        while len(one.called) < 3:
            await asyncio.sleep(0.001)
    assert one.moment is None


class Hurried(SystemClock):
    """A clock that can be put forward."""

    ahead_seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_seconds


async def test_many_of_one_moment_let_others_have_their_turn() -> None:
    clock = Hurried()
    deadlines = Deadlines(clock)
    ones = [One(deadlines) for _ in range(12)]
    later = One(deadlines)
    called: list[int] = []
    between: list[int] = []

    def other() -> None:
        between.append(len(called))

    for number, one in enumerate(ones):

        def then(number: int = number) -> None:
            clock.ahead_seconds += 0.0015  # so long each of them takes
            called.append(number)
            if number == 0:
                asyncio.get_running_loop().call_soon(other)
                ones[-1].at(None)
                later.at(clock.monotonic() - TOGETHER_SECONDS)

        one.then = then
    due = clock.monotonic() + 0.01
    for one in ones:
        one.at(due)
    await comes(*ones[:-1], later)
    assert between
    assert 0 < between[0] < len(called), "somebody else was called between two of them"
    assert called == list(range(11)), "each once, in the order in which they asked, and not who was sent away"
    assert len(later.called) == 1
