"""State values that a slow session never saw are counted; those that nobody missed are not."""

from __future__ import annotations

from touchline.delivery.fanout import FanoutLimits
from touchline.model import Lane

from .worlds import Choice, Encoding, World, event

GAME = Choice(subject="game")


def conflated(world: World) -> int:
    world.fanout.tick()
    return world.fanout.stats.conflated


def test_values_that_are_replaced_before_a_slow_session_saw_them() -> None:
    world, encoding = World(FanoutLimits()), Encoding()
    quick = world.reader(encoding, GAME)
    slow = world.reader(encoding, GAME, high=400)
    world.settle()
    for value in range(20):
        world.append(event("game", Lane.STATE, key="a", data=b"%d" % value))
    seen = len(slow.states)
    assert len(quick.states) == 20
    assert 0 < seen < 20
    assert conflated(world) == 20 - seen - 1, "all that it did not see but the newest, which waits for it"
    slow.high = 1 << 30
    slow.drain()
    world.settle()
    assert slow.states[-1] == ("game", "a", "19")
    assert len(slow.states) + conflated(world) == 20
    world.fanout.tick()
    for value in range(20, 40):
        world.append(event("game", Lane.STATE, key="a", data=b"%d" % value))
    assert conflated(world) == 20 - seen - 1, "nobody is slow any more"
    assert len(slow.states) + conflated(world) == 40


def test_it_is_counted_once_however_many_are_slow() -> None:
    world, encoding = World(FanoutLimits()), Encoding()
    slow = [world.reader(encoding, GAME, high=1000) for _ in range(3)]
    world.settle()
    for sink in slow:
        sink.stuff()
    for value in range(10):
        world.append(event("game", Lane.STATE, key="a", data=b"%d" % value))
    assert conflated(world) == 9
