"""Readers that follow several things at once and share the work on what is due for them."""

from __future__ import annotations

import pytest

from touchline.delivery.fanout import FanoutLimits
from touchline.feeds.base import EndReason
from touchline.model import Lane

from .worlds import Choice, Encoding, FakeSink, World, event

SHARED = Choice(subject="shared")
MINE = Choice(subject="mine")
YOURS = Choice(subject="yours")
BOTH = Choice()


@pytest.fixture
def encoding() -> Encoding:
    return Encoding()


def follower(world: World, encoding: Encoding, *choices: Choice, high: int = 1 << 30) -> FakeSink:
    """A live session that follows all of these."""
    sink = world.attach(encoding, high)
    for number, choice in enumerate(choices, 1):
        world.follow(sink, choice, number=number)
    world.settle()
    return sink


def due(world: World, *choices: Choice) -> list[int]:
    """What a reader of these is to get, in the order of the log."""
    return sorted({offset for choice in choices for offset in world.offsets(choice)})


def batch(*subjects: str) -> list:  # type: ignore[type-arg]
    return [event(subject) for subject in subjects]


def test_bytes_are_joined_once_for_all_for_whom_the_same_is_due(encoding: Encoding) -> None:
    world = World()
    mine = [follower(world, encoding, SHARED, MINE) for _ in range(3)]
    yours = [follower(world, encoding, SHARED, YOURS) for _ in range(3)]
    solo = follower(world, encoding, SHARED)
    world.append(*batch("shared", "mine", "shared", "mine"))
    assert [len(sink.writes) for sink in (*mine, *yours, solo)] == [1] * 7
    assert all(sink.writes[0] is mine[0].writes[0] for sink in mine)
    assert all(sink.writes[0] is solo.writes[0] for sink in yours)
    assert mine[0].offsets == due(world, SHARED, MINE)
    assert yours[0].offsets == solo.offsets == due(world, SHARED)
    stats = world.fanout.stats
    assert (stats.writes, stats.frames) == (7, 3 * 4 + 4 * 2)
    assert stats.written_bytes == sum(len(write) for sink in (*mine, *yours, solo) for write in sink.writes)


@pytest.mark.parametrize("order", [("shared", "mine"), ("mine", "shared")])
def test_whatever_is_followed_first_the_order_is_that_of_the_log(encoding: Encoding, order: tuple[str, str]) -> None:
    world = World()
    sinks = [follower(world, encoding, *(Choice(subject=subject) for subject in order)) for _ in range(2)]
    world.append(*batch("mine", "shared", "mine", "mine", "shared", "shared", "mine"))
    for sink in sinks:
        assert sink.offsets == due(world, SHARED, MINE)


@pytest.mark.parametrize("join_bytes", [1, 200, 500, 1200])
def test_pieces_of_a_long_batch_keep_the_order(encoding: Encoding, join_bytes: int) -> None:
    """One channel has grown to a write's share long before the other: what is due in the other goes out with it."""
    world = World(FanoutLimits(join_bytes=join_bytes))
    sinks = [
        follower(world, encoding, SHARED, MINE),
        follower(world, encoding, YOURS, SHARED),
        follower(world, encoding, MINE, YOURS),
    ]
    solo = follower(world, encoding, YOURS)
    world.append(*batch(*("mine", "shared", "shared", "yours", "shared") * 20))
    for sink, choices in zip(sinks, ((SHARED, MINE), (YOURS, SHARED), (MINE, YOURS)), strict=True):
        assert sink.offsets == due(world, *choices)
    assert solo.offsets == due(world, YOURS)


@pytest.mark.parametrize("high", [60, 300, 900, 3000])
@pytest.mark.parametrize("join_bytes", [1, 500])
def test_blocked_by_a_piece_of_a_batch(encoding: Encoding, high: int, join_bytes: int) -> None:
    """It leaves all that it follows at the same record, also when several of them have that record for it."""
    world = World(FanoutLimits(join_bytes=join_bytes))
    blocked = follower(world, encoding, SHARED, MINE, high=high)
    twice = follower(world, encoding, SHARED, BOTH, high=high)
    others = [follower(world, encoding, SHARED, MINE) for _ in range(2)]
    world.append(*batch(*("mine", "shared", "shared") * 20))
    assert world.fanout.behind() == 2
    world.append(*batch("shared", "mine"))
    world.drain_all(blocked, twice)
    for sink in (blocked, *others):
        assert sink.offsets == due(world, SHARED, MINE)
    # A record that two selectors match comes for each of them.
    assert sorted(twice.offsets) == sorted([*world.offsets(SHARED), *world.offsets(BOTH)])
    assert twice.offsets == sorted(twice.offsets)
    assert world.fanout.behind() == 0


def test_a_broken_socket_costs_the_others_nothing(encoding: Encoding, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeSink):
        def write(self, data: bytes) -> None:
            raise RuntimeError("a bug")

    world = World()
    before, alike = follower(world, encoding, SHARED, MINE), follower(world, encoding, SHARED)
    broken = Broken(world.fanout)
    broken.reader = world.fanout.attach(broken, encoding.framing)
    world.follow(broken, SHARED)
    world.follow(broken, MINE, number=2)
    world.settle()
    after = follower(world, encoding, SHARED, MINE)
    world.append(*batch("shared", "mine"))
    world.append(*batch("mine", "shared"))
    assert broken.ended == [EndReason.FAULT]
    assert before.offsets == after.offsets == due(world, SHARED, MINE)
    assert alike.offsets == due(world, SHARED)
    assert caplog.records


def test_a_channel_that_cannot_be_encoded_ends_its_readers_alone(
    encoding: Encoding, caplog: pytest.LogCaptureFixture
) -> None:
    """Also in the middle of a batch, with something due for them elsewhere."""
    world = World()
    victim, neighbour = follower(world, encoding, SHARED, MINE), follower(world, encoding, SHARED, YOURS)
    encoding.fails_on = "f.bad"
    world.append(event("shared"), event("mine", kind="bad"), event("shared"))
    assert victim.ended == [EndReason.FAULT]
    assert victim.offsets == []
    assert neighbour.ended == []
    world.append(*batch("yours", "shared"))
    assert neighbour.offsets == due(world, SHARED, YOURS)
    assert caplog.records


def test_the_last_record_of_one_of_two_followings_ends_the_reader() -> None:
    ending = Encoding("ending", last="f.over")
    world = World()
    sink, other = follower(world, ending, SHARED, MINE), follower(world, ending, SHARED)
    world.append(event("mine"), event("mine", kind="over"), event("shared"))
    assert sink.ended == [EndReason.FINISHED]
    assert sink.offsets == [1, 2, 3]
    assert other.ended == []


def test_one_following_that_begins_ahead_holds_only_itself_back(encoding: Encoding) -> None:
    """What is on its way when a following begins is not for it; the other following gets it."""
    world = World()
    sink = follower(world, encoding, SHARED)
    neighbour = follower(world, encoding, SHARED, MINE)
    world.holding = True
    world.append(*batch("mine", "shared"))
    world.follow(sink, MINE, world.log.head, number=2)
    world.settle()
    world.release()
    later = world.append(*batch("mine", "shared"))
    assert sink.offsets == [2, *later]
    assert neighbour.offsets == [1, 2, *later]
    world.fanout.tick()
    world.append(*batch("shared", "shared"))
    assert sink.writes[-1] is neighbour.writes[-1], "once it is on its way it shares"


def test_state_values_and_records_come_in_the_order_of_their_dispatch(encoding: Encoding) -> None:
    world = World()
    sink, alike = follower(world, encoding, SHARED, MINE), follower(world, encoding, MINE, SHARED)
    world.append(
        event("shared"), event("mine", Lane.STATE, key="k", data=b"1"), event("mine"), event("shared", Lane.STATE)
    )
    expected = [(one.lane, one.subject) for one in alike.got]
    assert [(one.lane, one.subject) for one in sink.got] == expected
    assert len(expected) == 4
    assert sink.offsets == due(world, SHARED, MINE)


def test_unfollowing_one_leaves_the_other_with_all_who_have_it_alone(encoding: Encoding) -> None:
    world = World()
    sink, solo = follower(world, encoding, SHARED, MINE), follower(world, encoding, SHARED)
    world.append(*batch("mine", "shared"))
    assert sink.reader is not None
    world.fanout.unfollow(sink.reader, 2)
    world.append(*batch("shared", "mine", "shared"))
    assert sink.offsets == [1, 2, 3, 5]
    assert sink.writes[-1] is solo.writes[-1]
