"""The fan-out, one situation at a time."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from touchline.delivery.fanout import FanoutLimits
from touchline.errors import LogUnavailable
from touchline.feeds.base import EndReason
from touchline.log.base import Page
from touchline.model import Lane
from touchline.testing.memory import run

from .worlds import Choice, Encoding, FakeSink, World, event

GAME = Choice(subject="game")
OTHER = Choice(subject="other")
FEED = Choice()
EVERYTHING = Choice(feed=None)

SMALL = FanoutLimits(
    tail_records=8, tail_bytes=1 << 20, chunk_records=4, chunks_bytes=1 << 20, join_bytes=400, pull_bytes=800
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def small() -> World:
    return World(SMALL)


@pytest.fixture
def encoding() -> Encoding:
    return Encoding()


# live


def test_live_readers_get_what_is_appended_after_they_came(world: World, encoding: Encoding) -> None:
    world.append(event("game"))
    sink = world.reader(encoding, GAME)
    world.settle()
    assert sink.got == []
    first = world.append(event("game"), event("other"), event("game"))
    second = world.append(event("game"))
    assert sink.offsets == [first[0], first[2], *second]


@pytest.mark.parametrize("choice", [GAME, FEED, EVERYTHING, Choice(types=frozenset({"f.x"}))])
def test_selectors_of_every_width(world: World, encoding: Encoding, choice: Choice) -> None:
    sink = world.reader(encoding, choice)
    world.settle()
    world.append(event("game"), event("other"), event("game", kind="y"))
    world.append(event("other", kind="y"))
    assert sink.offsets == world.offsets(choice)


def test_readers_of_equal_selectors_hold_one_between_them(world: World, encoding: Encoding) -> None:
    sinks = [world.reader(encoding, Choice(subject="game", types=frozenset({"f.x"}))) for _ in range(3)]
    world.settle()
    held = {id(sink.reader.followings[1].selector) for sink in sinks if sink.reader is not None}
    assert len(held) == 1
    offsets = world.append(event("game"))
    assert [sink.offsets for sink in sinks] == [offsets] * 3


def test_a_reader_that_follows_between_append_and_dispatch_gets_the_record(world: World, encoding: Encoding) -> None:
    world.holding = True
    offsets = world.append(event("game"))
    sink = world.reader(encoding, GAME)
    world.settle()
    world.release()
    assert sink.offsets == offsets


def test_a_detached_reader_gets_nothing_more(world: World, encoding: Encoding) -> None:
    sink = world.reader(encoding, GAME)
    world.settle()
    assert sink.reader is not None
    world.fanout.detach(sink.reader)
    world.append(event("game"))
    world.settle()
    assert sink.got == []
    assert not world.fanout.readers


def test_frames_say_where_to_resume(world: World, encoding: Encoding) -> None:
    sink = world.reader(encoding, GAME)
    world.settle()
    first, second = world.append(event("game"), event("game", Lane.STATE, key="a"), event("game"))
    assert [(got.lane, got.resume) for got in sink.got] == [("event", first), ("state", first), ("event", second)]


# resume


def test_resume_from_every_offset(world: World, encoding: Encoding) -> None:
    for number in range(30):
        world.append(event("game" if number % 3 else "other"))
    for choice in (GAME, FEED):
        for after in range(world.log.head + 1):
            sink = world.reader(encoding, choice, after)
            world.settle()
            assert sink.offsets == world.offsets(choice, after), f"after {after}"


def test_resume_from_every_offset_out_of_the_log(encoding: Encoding) -> None:
    world = World(SMALL)
    for number in range(40):
        world.append(event("game" if number % 3 else "other"), event("game", Lane.STATE, key="a"))
    world.restart()
    sinks = [
        (choice, after, world.reader(encoding, choice, after))
        for choice in (GAME, FEED, EVERYTHING)
        for after in range(0, world.log.head + 1, 3)
    ]
    world.settle()
    for choice, after, sink in sinks:
        assert sink.offsets == world.offsets(choice, after), f"{choice} after {after}"


def test_splice_while_records_come_in(small: World, encoding: Encoding) -> None:
    """Between any two steps of a catch-up something is appended: neither gap nor duplicate."""
    for _ in range(30):
        small.append(event("game"), event("other"))
    small.restart()
    sinks = [small.reader(encoding, choice, after) for choice in (GAME, FEED) for after in (0, 7, 31, 60)]
    for _ in range(60):
        small.turn()
        small.append(event("game"))
    small.settle()
    for sink, (choice, after) in zip(sinks, [(c, a) for c in (GAME, FEED) for a in (0, 7, 31, 60)], strict=True):
        assert sink.offsets == small.offsets(choice, after)


def test_an_early_start_waits_for_what_is_on_its_way(world: World, encoding: Encoding) -> None:
    """The asked position is ahead of what was dispatched: what it has seen already is not sent again."""
    sink_live = world.reader(encoding, GAME)
    world.settle()
    world.holding = True
    seen = world.append(event("game"), event("game"))
    sink = world.reader(encoding, GAME, seen[0])
    world.settle()
    world.release()
    assert sink.offsets == seen[1:]
    assert sink_live.offsets == seen
    world.fanout.tick()
    later = world.append(event("game"))
    assert sink.offsets == [seen[1], *later]


def test_an_early_start_beside_another_following(world: World, encoding: Encoding) -> None:
    sink = world.reader(encoding, OTHER)
    world.settle()
    world.holding = True
    game = world.append(event("game"), event("game"))
    other = world.append(event("other"))
    world.follow(sink, GAME, game[0], number=2)
    world.settle()
    world.release()
    world.settle()
    assert sink.offsets == [game[1], *other]


def test_a_catch_up_that_reads_past_what_was_dispatched(small: World, encoding: Encoding) -> None:
    """The log has more than the fan-out was told of: what was read there is not pushed again."""
    small.append(*[event("game") for _ in range(20)])
    small.holding = True
    small.append(*[event("game") for _ in range(5)])
    sinks = [small.reader(encoding, choice, 0) for choice in (GAME, FEED)]
    small.settle()
    small.append(event("game"))
    small.release()
    small.append(event("game"))
    for sink in sinks:
        assert sink.offsets == small.offsets(GAME)


# slow readers


def test_a_slow_reader_becomes_a_cursor_and_comes_back(world: World, encoding: Encoding) -> None:
    sink = world.reader(encoding, GAME, high=2000)
    quick = world.reader(encoding, GAME)
    world.settle()
    for _ in range(200):
        world.append(event("game"))
    assert sink.reader is not None
    assert sink.reader.blocked
    assert sink.most_held < 4000, "what it does not take is not kept for it"
    while sink.offsets != world.offsets(GAME):
        sink.drain()
        world.settle()
    assert quick.offsets == world.offsets(GAME)
    sink.drain()
    world.settle()
    later = world.append(event("game"))
    assert sink.offsets[-1:] == later, "live again"
    assert sink.offsets == world.offsets(GAME)
    assert world.fanout.stats.slowed == 1


def test_blocked_in_the_middle_of_a_batch(world: World, encoding: Encoding) -> None:
    """A long batch goes out in pieces; whoever fills up between two pieces goes on at the right record."""
    world = World(FanoutLimits(join_bytes=500))
    sinks = [world.reader(encoding, GAME, high=high) for high in (300, 700, 1500, 5000)]
    two = world.attach(encoding, 600)
    world.follow(two, GAME)
    world.follow(two, OTHER, number=2)
    world.settle()
    world.append(*[event("game" if number % 4 else "other") for number in range(100)])
    world.append(*[event("game") for _ in range(50)])
    world.drain_all(*sinks, two)
    for sink in sinks:
        assert sink.offsets == world.offsets(GAME)
    assert two.offsets == world.offsets(FEED)


def test_a_socket_that_fills_up_between_two_batches(world: World, encoding: Encoding) -> None:
    sink = world.reader(encoding, GAME, high=10_000)
    world.settle()
    first = world.append(event("game"))
    sink.stuff()
    second = world.append(event("game"))
    assert sink.offsets == first
    sink.drain()
    world.settle()
    assert sink.offsets == first + second


def test_blocked_again_while_catching_up(small: World, encoding: Encoding) -> None:
    sink = small.reader(encoding, GAME, high=500)
    small.settle()
    for _ in range(60):
        small.append(event("game"), event("other"))
    rounds = 0
    while sink.held:
        sink.drain(200)
        small.settle()
        rounds += 1
    assert rounds > 10
    assert sink.most_held < 500 + 2 * 400 + 200
    assert sink.offsets == small.offsets(GAME)


def test_the_tail_leaves_and_the_log_is_read_in_its_place(small: World, encoding: Encoding) -> None:
    sink = small.reader(encoding, GAME, high=100)
    small.settle()
    small.append(event("game"))
    small.append(*[event("game" if number % 2 else "other") for number in range(100)])
    assert small.log.reads == 0
    small.drain_all(sink)
    assert small.log.reads > 1
    assert sink.offsets == small.offsets(GAME)


def test_readers_at_the_same_place_share_readings_and_frames(encoding: Encoding) -> None:
    world = World(FanoutLimits(tail_records=4, chunk_records=16))
    world.append(*[event("game") for _ in range(200)])
    sinks = [world.reader(encoding, GAME, 0) for _ in range(50)]
    world.settle()
    for sink in sinks:
        assert sink.offsets == world.offsets(GAME)
    assert world.log.reads < 20
    assert encoding.calls <= 200 + 4


def test_readers_that_begin_apart_come_together(monkeypatch: pytest.MonkeyPatch, encoding: Encoding) -> None:
    monkeypatch.setattr("touchline.delivery.fanout.catchup._ALIGN", 16)
    world = World(FanoutLimits(tail_records=4, chunk_records=20))
    offsets = world.append(*[event("game") for _ in range(400)])
    sinks = [world.reader(encoding, GAME, offsets[number]) for number in range(20)]
    world.settle()
    for number, sink in enumerate(sinks):
        assert sink.offsets == offsets[number + 1 :]
    assert world.log.reads < 60, "each for itself would be more than 400"


# several followings


def test_several_followings_of_one_reader_keep_the_order_of_the_log(world: World, encoding: Encoding) -> None:
    sink = world.attach(encoding)
    world.follow(sink, GAME)
    world.follow(sink, OTHER, number=2)
    world.settle()
    world.append(event("game"), event("other"), event("third"), event("game"))
    world.append(event("other"))
    assert sink.offsets == [o for o in world.offsets(FEED) if o not in world.offsets(Choice(subject="third"))]
    assert sink.reader is not None
    world.fanout.unfollow(sink.reader, 1)
    before = len(sink.got)
    world.append(event("game"), event("other"))
    assert [got.subject for got in sink.got[before:]] == ["other"]


def test_a_second_following_does_not_repeat_the_first(world: World, encoding: Encoding) -> None:
    old = [world.append(event("game"), event("other")) for _ in range(10)]
    sink = world.reader(encoding, GAME, old[4][1])
    world.settle()
    assert sink.offsets == [game for game, _ in old[5:]]
    world.follow(sink, OTHER, old[7][1], number=2)
    live = world.append(event("game"), event("other"))
    world.settle()
    assert sink.offsets == [*[game for game, _ in old[5:]], *[other for _, other in old[8:]], *live]


def test_a_second_following_while_the_first_still_catches_up(small: World, encoding: Encoding) -> None:
    """What was read for the first stream alone must not be taken for all that there is."""
    old = [small.append(event("game"), event("other")) for _ in range(40)]
    sink = small.reader(encoding, GAME, 0)
    for _ in range(3):
        small.turn()
    assert 0 < len(sink.offsets) < 40, "it is in the middle"
    small.follow(sink, OTHER, 0, number=2)
    small.settle()
    assert [o for o in sink.offsets if o in {game for game, _ in old}] == [game for game, _ in old]
    assert [o for o in sink.offsets if o in {other for _, other in old}] == [other for _, other in old]


def test_a_second_following_in_the_middle_of_what_was_read_for_the_first(encoding: Encoding) -> None:
    world = World(FanoutLimits(tail_records=4, chunk_records=64, join_bytes=100))
    for _ in range(40):
        world.append(event("game"), event("other"))
    sink = world.reader(encoding, GAME, 0, high=1000)
    world.settle()
    assert 0 < len(sink.offsets) < 40, "blocked in the middle of a chunk"
    world.follow(sink, OTHER, 0, number=2)
    world.drain_all(sink)
    assert [o for o in sink.offsets if o in set(world.offsets(GAME))] == world.offsets(GAME)
    assert [o for o in sink.offsets if o in set(world.offsets(OTHER))] == world.offsets(OTHER)


@pytest.mark.parametrize("steps", range(12))
def test_following_and_leaving_at_every_step_of_a_catch_up(steps: int, encoding: Encoding) -> None:
    world = World(SMALL)
    old = [world.append(event("game"), event("other"), event("third")) for _ in range(30)]
    sink = world.reader(encoding, GAME, 0)
    world.follow(sink, Choice(subject="third"), 0, number=3)
    for _ in range(steps):
        world.turn()
    assert sink.reader is not None
    world.fanout.unfollow(sink.reader, 3)
    world.follow(sink, OTHER, old[5][1], number=2)
    for _ in range(steps):
        world.turn()
        world.append(event("game"), event("other"))
    world.settle()
    assert [o for o in sink.offsets if o in set(world.offsets(GAME))] == world.offsets(GAME)
    assert [o for o in sink.offsets if o in set(world.offsets(OTHER))] == world.offsets(OTHER, old[5][1])


def test_a_reader_that_follows_nothing_reads_nothing(small: World, encoding: Encoding) -> None:
    small.append(*[event("game") for _ in range(50)])
    sink = small.reader(encoding, GAME, 0)
    assert sink.reader is not None
    small.fanout.unfollow(sink.reader, 1)
    small.settle()
    assert small.log.reads == 0
    run(small.log.trim(30))
    small.follow(sink, GAME, 45)
    small.settle()
    assert sink.offsets == list(range(46, 51))
    assert sink.ended == []


# ends


def test_a_gap_is_told_and_not_skipped(small: World, encoding: Encoding) -> None:
    small.append(*[event("game") for _ in range(50)])
    sink = small.reader(encoding, GAME, 3)
    run(small.log.trim(20))
    small.settle()
    assert sink.ended == [EndReason.GAP]
    assert sink.got == []
    assert small.fanout.stats.gaps == 1


def test_retention_overtakes_a_slow_reader(small: World, encoding: Encoding) -> None:
    sink = small.reader(encoding, GAME, high=100)
    small.settle()
    small.append(*[event("game") for _ in range(50)])
    received = len(sink.offsets)
    run(small.log.trim(40))
    sink.drain()
    small.settle()
    assert sink.ended == [EndReason.GAP]
    assert sink.offsets == small_prefix(received)


def small_prefix(count: int) -> list[int]:
    return list(range(1, count + 1))


def test_the_tail_covers_what_retention_removed(world: World, encoding: Encoding) -> None:
    world.append(*[event("game") for _ in range(50)])
    run(world.log.trim(40))
    sink = world.reader(encoding, GAME, 10)
    world.settle()
    assert sink.offsets == list(range(11, 51))
    assert sink.ended == []


def test_a_log_that_cannot_be_read_ends_the_reader_as_a_fault(
    small: World, encoding: Encoding, caplog: pytest.LogCaptureFixture
) -> None:
    small.append(*[event("game") for _ in range(50)])
    small.log.failing = LogUnavailable("the disk errs")
    sinks = [small.reader(encoding, GAME, 0) for _ in range(3)]
    small.settle()
    assert [sink.ended for sink in sinks] == [[EndReason.FAULT]] * 3
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1, "said once"
    small.log.failing = None
    again = small.reader(encoding, GAME, 0)
    small.settle()
    assert again.offsets == small.offsets(GAME)


def test_an_error_nobody_thought_of_leaves_no_reader_waiting(
    small: World, encoding: Encoding, caplog: pytest.LogCaptureFixture
) -> None:
    small.append(*[event("game") for _ in range(50)])
    small.log.failing = RuntimeError("a bug")
    sink = small.reader(encoding, GAME, 0)
    small.settle()
    assert sink.ended == [EndReason.FAULT]
    assert "a bug" in caplog.text
    small.log.failing = None
    again = small.reader(encoding, GAME, 0)
    small.settle()
    assert again.offsets == small.offsets(GAME)


def test_a_reader_without_any_progress_is_ended(world: World, encoding: Encoding) -> None:
    stuck, slow, fine = (world.reader(encoding, GAME, high=1000) for _ in range(3))
    world.settle()
    while not stuck.reader or not stuck.reader.blocked:
        world.append(event("game"))
        fine.drain()
    for _ in range(3):
        world.clock.advance(40)
        slow.held -= 10
        world.fanout.tick()
    assert stuck.ended == [EndReason.STALLED]
    assert slow.ended == fine.ended == []
    assert world.fanout.stats.stalled == 1
    world.clock.advance(61)
    world.fanout.tick()
    assert slow.ended == [EndReason.STALLED]
    fine.drain()
    world.settle()
    assert fine.offsets == world.offsets(GAME)


def test_a_finite_following_ends_when_all_is_sent(small: World, encoding: Encoding) -> None:
    small.append(*[event("game") for _ in range(30)])
    sink = small.reader(encoding, GAME, 5, finite=True, high=400)
    while not sink.ended:
        small.settle()
        if not sink.ended:
            assert sink.held, "it waits for its sink alone"
            sink.drain()
    assert sink.ended == [EndReason.FINISHED]
    assert sink.offsets == list(range(6, 31))


@pytest.fixture
def ending() -> Encoding:
    return Encoding(last="f.last")


def test_the_last_record_ends_live_readers_after_it_went_out(world: World, ending: Encoding) -> None:
    sink, neighbour = world.reader(ending, GAME), world.reader(ending, OTHER)
    world.settle()
    offsets = world.append(event("game"), event("game", kind="last"))
    world.append(event("other"))
    assert sink.offsets == offsets
    assert sink.ended == [EndReason.FINISHED]
    assert neighbour.ended == []
    assert len(neighbour.offsets) == 1


def test_the_last_record_ends_readers_that_come_from_behind(small: World, ending: Encoding) -> None:
    offsets = small.append(*[event("game") for _ in range(20)], event("game", kind="last"))
    sink = small.reader(ending, GAME, 0)
    small.settle()
    assert sink.offsets == offsets
    assert sink.ended == [EndReason.FINISHED]


def test_the_last_record_ends_a_reader_that_it_blocked(world: World, ending: Encoding) -> None:
    """The frame that fills the sink is the last one: when it has drained there is nothing left but the end."""
    sink = world.reader(ending, GAME, high=50)
    world.settle()
    offsets = world.append(event("game", kind="last"))
    assert sink.ended == []
    sink.drain()
    world.settle()
    assert sink.offsets == offsets
    assert sink.ended == [EndReason.FINISHED]


def test_the_last_record_in_a_batch_that_blocks(ending: Encoding) -> None:
    world = World(FanoutLimits(join_bytes=300))
    sink = world.reader(ending, GAME, high=200)
    two = world.attach(ending, 200)
    world.follow(two, GAME)
    world.follow(two, OTHER, number=2)
    world.settle()
    offsets = world.append(*[event("game") for _ in range(5)], event("game", kind="last"))
    for _ in range(10):
        sink.drain()
        two.drain()
        world.settle()
    assert sink.offsets == two.offsets == offsets
    assert sink.ended == two.ended == [EndReason.FINISHED]


# the state lane


def state(key: str, value: int, subject: str = "game") -> Any:
    return event(subject, Lane.STATE, key=key, data=str(value).encode())


def test_state_values_are_conflated_for_a_slow_reader_and_the_last_is_never_lost(
    world: World, encoding: Encoding
) -> None:
    sink = world.reader(encoding, GAME, high=1000)
    world.settle()
    sink.stuff()
    for value in range(100):
        world.append(state("a", value))
        world.append(state("b", value))
        if value % 10 == 0:
            world.append(event("game"))
    assert sink.got == []
    world.drain_all(sink)
    assert sink.states == [("game", "a", "99"), ("game", "b", "99")]
    assert sink.offsets == world.offsets(GAME)
    world.append(state("a", 100))
    assert sink.states[-1] == ("game", "a", "100")


def test_a_value_that_went_out_is_not_sent_again_after_blocking(world: World, encoding: Encoding) -> None:
    sink = world.reader(encoding, GAME, high=1000)
    world.settle()
    world.append(state("a", 1))
    sink.stuff()
    world.append(state("b", 2))
    sink.drain()
    world.settle()
    assert sink.states == [("game", "a", "1"), ("game", "b", "2")]


def test_a_new_reader_gets_the_values_that_are_current(world: World, encoding: Encoding) -> None:
    world.append(state("a", 1), state("a", 2), state("b", 3), state("a", 4, "other"))
    sinks = [world.reader(encoding, choice) for choice in (GAME, FEED, EVERYTHING)]
    world.settle()
    assert sinks[0].states == [("game", "a", "2"), ("game", "b", "3")]
    assert sinks[1].states == sinks[2].states == [("game", "a", "2"), ("game", "b", "3"), ("other", "a", "4")]


def test_a_following_that_is_added_while_blocked_gets_the_current_values(world: World, encoding: Encoding) -> None:
    world.append(state("a", 1, "other"))
    sink = world.reader(encoding, GAME, high=1000)
    world.settle()
    sink.stuff()
    world.follow(sink, OTHER, number=2)
    sink.drain()
    world.settle()
    assert ("other", "a", "1") in sink.states


def test_state_within_a_batch_that_blocks(encoding: Encoding) -> None:
    world = World(FanoutLimits(join_bytes=300))
    sink = world.reader(encoding, GAME, high=200)
    world.settle()
    world.append(*[item for value in range(20) for item in (event("game"), state("a", value), state("b", value))])
    world.drain_all(sink)
    assert sink.offsets == world.offsets(GAME)
    values = [int(data) for _, key, data in sink.states if key == "a"]
    assert values == sorted(set(values)), "never an older one after a newer one, never twice"
    assert values[-1] == 19


def test_whoever_resumes_at_a_state_value_misses_nothing(small: World, encoding: Encoding) -> None:
    """A reader that is far behind is told current values in between; they must not say that it is up to date."""
    small.append(*[event("game") for _ in range(60)])
    sink = small.reader(encoding, GAME, 0, high=700)
    for value in range(12):
        small.append(state("a", value))
        small.turn()
        sink.drain()
    assert sink.states
    seen: list[int] = []
    for got in sink.got:
        if got.lane == "event":
            seen.append(got.offset)
        else:
            assert got.resume <= (seen[-1] if seen else 0), "events between would be lost by resuming here"
    small.drain_all(sink)
    assert sink.offsets == small.offsets(GAME)


@pytest.mark.parametrize("followings", [1, 2])
def test_many_current_values_are_sent_as_the_sink_takes_them(encoding: Encoding, followings: int) -> None:
    """Whoever follows much is not sent all values in one piece, and gets them all."""
    world = World(FanoutLimits(join_bytes=2000, pull_bytes=4000))
    world.append(*[state(str(number), number, "game" if number % 2 else "other") for number in range(500)])
    sink = world.attach(encoding, 3000)
    if followings == 1:
        world.follow(sink, FEED)
    else:
        world.follow(sink, GAME)
        world.follow(sink, OTHER, number=2)
    world.settle()
    assert 0 < len(sink.states) < 100
    world.append(event("game"), state("7", 1007), state("499", 1499))
    world.drain_all(sink)
    assert sink.most_held < 3000 + 2 * 2000
    newest = {key: int(data) for _, key, data in sink.states}
    assert newest == {str(number): number for number in range(500)} | {"7": 1007, "499": 1499}
    assert sink.offsets == world.offsets(GAME)
    assert sink.reader is not None
    assert not sink.reader.blocked
    world.append(state("3", 2000))
    assert sink.states[-1] == ("game", "3", "2000"), "live at last"


def test_the_number_of_streams_with_kept_values_is_bounded(encoding: Encoding) -> None:
    world = World(FanoutLimits(state_streams=3))
    for number in range(6):
        world.append(state("a", number, f"game{number}"))
    sink = world.reader(encoding, FEED)
    world.settle()
    assert [subject for subject, _, _ in sink.states] == ["game3", "game4", "game5"]


# sharing and bounds


def test_a_record_is_encoded_once_however_many_readers_there_are(world: World) -> None:
    encoding, other = Encoding("one"), Encoding("two")
    sinks = [world.reader(encoding, GAME) for _ in range(20)]
    sinks += [world.reader(encoding, FEED) for _ in range(20)]
    sinks += [world.reader(other, GAME) for _ in range(5)]
    variant = [world.reader(encoding, Choice(subject="game", variant="v")) for _ in range(5)]
    slow = world.reader(encoding, GAME, high=10)
    world.settle()
    slow.stuff()
    world.append(*[event("game") for _ in range(10)])
    world.append(*[event("game") for _ in range(10)])
    world.drain_all(slow)
    assert encoding.calls == 40, "20 records, two variants"
    assert other.calls == 20
    assert {sink.writes[0] for sink in sinks[:40]} == {sinks[0].writes[0]}
    assert [got.variant for got in variant[0].got] == ["v"] * 20
    assert slow.offsets == world.offsets(GAME)


def test_what_is_due_together_leaves_in_one_write(world: World, encoding: Encoding) -> None:
    sink = world.reader(encoding, GAME)
    two = world.attach(encoding)
    world.follow(two, GAME)
    world.follow(two, OTHER, number=2)
    world.settle()
    world.append(*[event("game") for _ in range(20)], *[event("other") for _ in range(20)])
    assert len(sink.writes) == 1
    assert len(two.writes) == 1


def test_big_batches_leave_in_pieces(encoding: Encoding) -> None:
    limits = FanoutLimits(join_bytes=2000, pull_bytes=4000)
    world = World(limits)
    live = world.reader(encoding, GAME)
    world.settle()
    world.append(*[event("game", data=b'"%s"' % (b"x" * 100)) for _ in range(300)])
    behind = world.reader(encoding, GAME, 0)
    world.settle()
    assert live.offsets == behind.offsets == world.offsets(GAME)
    frame = max(len(line) for line in b"".join(live.writes).splitlines()) + 1
    assert max(map(len, live.writes)) < limits.join_bytes + frame
    assert max(map(len, behind.writes)) < limits.join_bytes + frame


def test_one_huge_record(small: World, encoding: Encoding) -> None:
    sink = small.reader(encoding, GAME, high=100)
    small.settle()
    small.append(event("game", data=b'"%s"' % (b"x" * 100_000)))
    small.append(event("game"))
    small.drain_all(sink)
    assert sink.offsets == small.offsets(GAME)


def test_a_type_that_a_variant_has_nothing_of(world: World, encoding: Encoding) -> None:
    encoding.silent_on = "f.quiet"
    sink = world.reader(encoding, GAME)
    world.settle()
    world.append(event("game"), event("game", kind="quiet"), event("game"))
    behind = world.reader(encoding, GAME, 0)
    world.settle()
    assert sink.offsets == behind.offsets == [1, 3]


def test_nothing_is_left_when_everybody_has_gone(world: World, encoding: Encoding) -> None:
    """Neither groups, shelves nor readers stay behind, whatever names the readers asked for."""
    for number in range(200):
        sink = world.reader(encoding, Choice(feed=f"feed{number}", subject="s" if number % 2 else None))
        world.settle()
        assert sink.reader is not None
        world.fanout.detach(sink.reader)
    groups = world.fanout._groups
    assert not groups._groups
    assert not groups._by_stream
    assert not groups._by_feed
    assert not groups._everywhere
    assert not world.fanout.readers


# our own faults


def test_a_record_that_cannot_be_encoded_is_no_silent_gap(
    world: World, encoding: Encoding, caplog: pytest.LogCaptureFixture
) -> None:
    encoding.fails_on = "f.bad"
    other = Encoding("other")
    live, neighbour = world.reader(encoding, GAME), world.reader(other, GAME)
    world.settle()
    offsets = world.append(event("game"), event("game", kind="bad"), event("game"))
    assert live.ended == [EndReason.FAULT]
    assert live.offsets in ([], offsets[:1])
    behind = world.reader(encoding, GAME, 0)
    world.settle()
    assert behind.ended == [EndReason.FAULT]
    assert behind.offsets in ([], offsets[:1])
    assert neighbour.offsets == offsets
    assert neighbour.ended == []
    assert caplog.records


@pytest.mark.parametrize("fault", ["matches", "write", "write beside others", "is_last"])
def test_a_fault_in_one_place_costs_nobody_a_record(
    world: World, encoding: Encoding, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever raises within a dispatch: no reader goes on with a hole."""
    ending = Encoding("ending", last="f.never")
    victim = world.reader(ending, Choice(types=frozenset({"f.x"})))
    neighbour = world.reader(encoding, GAME)
    world.settle()
    world.append(event("game"))

    def fails(*_: object) -> Any:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        if fault.startswith("write"):
            if fault == "write beside others":
                world.follow(victim, Choice(subject="none"), number=2)
                world.settle()
            patched.setattr(victim, "writes", type("Broken", (list,), {"append": fails})(victim.writes))
        elif fault == "matches":
            patched.setattr(Choice, "matches", fails)
        else:
            patched.setattr(ending.framing, "is_last", fails)
        world.append(event("game"))
        world.append(event("other"))
        if fault.startswith("write"):
            assert victim.ended == [EndReason.FAULT]
            assert neighbour.ended == [], "it is nobody else's fault"
    world.append(event("game"))
    assert caplog.records
    world.settle()
    for sink, choice in ((victim, Choice()), (neighbour, GAME)):
        expected = world.offsets(choice)
        if sink.ended:
            assert sink.ended == [EndReason.FAULT]
            assert sink.offsets == expected[: len(sink.offsets)]
        else:
            assert sink.offsets == expected
    again = world.reader(encoding, FEED, 0)
    world.settle()
    assert again.offsets == world.offsets(FEED), "what is kept in memory has no hole either"


def test_a_reading_that_says_more_without_records_goes_on(small: World, encoding: Encoding) -> None:
    small.append(*[event("other") for _ in range(30)], *[event("game") for _ in range(20)])
    plain = small.log.read

    async def scant(after: int, limit: int, **narrowing: Any) -> Page:
        """As a backend may do that looks at so many records and finds none that match."""
        if after < 20:
            return Page((), after + 5, more=True)
        return await plain(after, limit, **narrowing)

    small.log.read = scant  # type: ignore[method-assign]
    sink = small.reader(encoding, GAME, 0)
    small.settle()
    assert sink.offsets == small.offsets(GAME)


def test_a_sink_that_is_detached_while_its_catch_up_reads(small: World, encoding: Encoding) -> None:
    small.append(*[event("game") for _ in range(50)])
    leaving, staying = small.reader(encoding, GAME, 0), small.reader(encoding, GAME, 0)
    assert small.turn()
    assert isinstance(leaving, FakeSink)
    assert leaving.reader is not None
    small.fanout.detach(leaving.reader)
    before = len(leaving.got)
    small.settle()
    assert len(leaving.got) == before
    assert staying.offsets == small.offsets(GAME)
