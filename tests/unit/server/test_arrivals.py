"""Newcomers get a share of a turn of the event loop, in order of arrival, and none is forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from touchline.server import arrivals as module
from touchline.server.arrivals import TURN_SECONDS, Arrivals
from touchline.testing.clock import FakeClock


class World:
    """Newcomers that each take a third of the share; ``story`` says who entered and where another callback ran."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.arrivals = Arrivals(self.clock)
        self.story: list[str] = []
        self.others = 0

    def tell(self) -> None:
        """Somebody else's callback, in every turn as long as anybody waits."""
        self.story.append("|")
        if len(self.arrivals):
            asyncio.get_running_loop().call_soon(self.tell)

    async def all_have_entered(self) -> None:
        async with asyncio.timeout(10):
            while len(self.arrivals):
                await asyncio.sleep(0)


class One:
    def __init__(self, world: World, name: str, then: Callable[[], None] = lambda: None) -> None:
        self.world = world
        self.name = name
        self.then = then
        self.aborted = False

    def enter(self) -> None:
        self.world.clock.advance(TURN_SECONDS / 3 + 1e-6)
        self.world.story.append(self.name)
        self.then()

    def abort(self) -> None:
        self.aborted = True


async def test_another_callback_runs_between_two_shares_and_the_order_is_kept() -> None:
    world = World()
    waits = [world.arrivals.come(One(world, name), 100) for name in "abcdefgh"]
    assert waits == [False] * 3 + [True] * 5
    asyncio.get_running_loop().call_soon(world.tell)
    await world.all_have_entered()
    assert "".join(world.story).rstrip("|") == "abcdef|gh", "two shares, then the others', then the next share"


async def test_who_comes_later_goes_behind_those_that_wait() -> None:
    world = World()
    late = One(world, "z")
    for name in "abcd":
        world.arrivals.come(One(world, name, lambda: None), 100)
    assert world.arrivals.come(late, 100)
    await world.all_have_entered()
    assert "".join(world.story) == "abcdz"


async def test_who_comes_while_somebody_enters_goes_behind_too() -> None:
    world = World()

    def bring() -> None:
        assert world.arrivals.come(One(world, "z"), 100)

    for one in (*(One(world, name) for name in "abc"), One(world, "d", bring), One(world, "e")):
        world.arrivals.come(one, 100)
    await world.all_have_entered()
    assert "".join(world.story) == "abcdez"


async def test_the_next_turn_has_a_share_of_its_own() -> None:
    world = World()
    for _ in range(5):
        assert [world.arrivals.come(One(world, name), 100) for name in "abc"] == [False] * 3
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_one_that_fails_does_not_keep_the_next_ones_out(caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    def fail() -> None:
        raise RuntimeError("an error of ours")

    bad = One(world, "d", fail)
    for one in (*(One(world, name) for name in "abc"), bad, One(world, "e")):
        world.arrivals.come(one, 100)
    with caplog.at_level(logging.CRITICAL, logger=module.__name__):
        await world.all_have_entered()
    assert "".join(world.story) == "abcde"
    assert bad.aborted


async def test_one_that_fails_at_once_is_its_callers_affair() -> None:
    world = World()

    def fail() -> None:
        raise RuntimeError("an error of ours")

    with pytest.raises(RuntimeError):
        world.arrivals.come(One(world, "a", fail), 100)
    assert [world.arrivals.come(One(world, name), 100) for name in "bcd"] == [False, False, True]
    await world.all_have_entered()


async def test_no_more_is_held_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_BYTES", 250)
    world = World()
    waits = [world.arrivals.come(One(world, name), 100) for name in "abcdefg"]
    assert waits == [False] * 3 + [True, True, False, False], "what does not fit is not held"
    await world.all_have_entered()
    assert "".join(world.story) == "abcfgde"
    assert [world.arrivals.come(One(world, name), 250) for name in "hi"][-1] is True, "there is room again"
    await world.all_have_entered()
