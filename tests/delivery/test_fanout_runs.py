"""Those who catch up from one place share what was joined for the first of them, and nobody gets what is not his."""

from __future__ import annotations

from touchline.delivery.fanout import FanoutLimits
from touchline.delivery.fanout.runs import Run, Runs

from .worlds import Choice, Encoding, FakeSink, World, event

RECORDS = 100
SMALL = FanoutLimits(join_bytes=2000, pull_bytes=8000, runs_bytes=1_000_000)


def world(limits: FanoutLimits = SMALL) -> World:
    """A log with records of one stream."""
    made = World(limits)
    made.append(*(event("game", kind="xy"[number % 2]) for number in range(RECORDS)))
    return made


def settle(made: World) -> None:
    """Turn the loop until nothing is left to do."""
    while made.turn():
        pass


def shared(one: FakeSink, other: FakeSink) -> int:
    """How many writes were the very same bytes in memory."""
    return sum(mine is theirs for mine, theirs in zip(one.writes, other.writes, strict=False))


def test_those_who_stand_at_one_place_share_the_bytes() -> None:
    made, encoding, choice = world(), Encoding(), Choice(subject="game")
    first = made.reader(encoding, choice, 10)
    settle(made)
    second = made.reader(encoding, Choice(subject="game"), 10)
    settle(made)
    assert second.offsets == first.offsets == made.offsets(choice, 10)
    assert len(first.writes) > 3
    assert shared(first, second) == len(first.writes)
    made.append(event("game"))
    assert second.offsets == made.offsets(choice, 10), "it is live behind what was shared"


def test_what_came_since_is_sent_behind_it() -> None:
    made, encoding, choice = world(), Encoding(), Choice(subject="game")
    first = made.reader(encoding, choice, 0)
    settle(made)
    made.append(*(event("game") for _ in range(30)))
    second = made.reader(encoding, choice, 0)
    settle(made)
    assert second.offsets == made.offsets(choice)
    assert shared(first, second) > 3


def test_another_choice_framing_or_place_shares_nothing() -> None:
    made, encoding = world(), Encoding()
    first = made.reader(encoding, Choice(subject="game"), 0)
    settle(made)
    narrow, later = Choice(subject="game", types=frozenset({"f.y"})), Choice(subject="game", variant="other")
    for choice, after in ((narrow, 0), (later, 0), (Choice(subject="game"), 3)):
        other = made.reader(encoding, choice, after)
        settle(made)
        assert other.offsets == made.offsets(choice, after)
        assert shared(first, other) == 0
    other = made.reader(Encoding("another"), Choice(subject="game"), 0)
    settle(made)
    assert other.offsets == first.offsets
    assert shared(first, other) == 0


def test_a_sink_that_fills_up_goes_on_where_it_was() -> None:
    made, encoding, choice = world(), Encoding(), Choice(subject="game")
    made.reader(encoding, choice, 0)
    settle(made)
    slow = made.reader(encoding, choice, 0, high=3000)
    settle(made)
    assert 0 < len(slow.offsets) < RECORDS
    assert slow.most_held < 3000 + 2 * SMALL.join_bytes, "no more than a run beyond its mark"
    while slow.held:
        slow.drain()
        settle(made)
    assert slow.offsets == made.offsets(choice)


def test_a_turn_is_no_longer_because_the_bytes_are_there() -> None:
    made, encoding, choice = world(), Encoding(), Choice(subject="game")
    made.reader(encoding, choice, 0)
    settle(made)
    second = made.reader(encoding, choice, 0)
    made.turn()
    assert len(second.offsets) < RECORDS
    assert SMALL.pull_bytes <= sum(map(len, second.writes)) < SMALL.pull_bytes + 2 * SMALL.join_bytes
    settle(made)
    assert second.offsets == made.offsets(choice)


def test_an_end_that_depends_on_a_record_is_looked_for_by_everyone() -> None:
    made, encoding, choice = world(), Encoding(last="f.end"), Choice(subject="game")
    made.append(event("game", kind="end"))
    first, second = made.reader(encoding, choice, 0), made.reader(encoding, choice, 0)
    settle(made)
    assert second.offsets == first.offsets == made.offsets(choice)
    assert first.ended == second.ended != [], "both came to the end"
    assert 3 < shared(first, second) < len(first.writes), "all but the last bytes, which hold the end"


def test_what_is_kept_is_bounded() -> None:
    runs, framing, choice = Runs(10_000), Encoding().framing, Choice()
    for offset in range(100):
        runs.put((framing, choice, offset), Run(b"x" * 1000, 10, offset + 10))
        assert runs.size_bytes <= 10_000
    kept = [offset for offset in range(100) if runs.get((framing, choice, offset)) is not None]
    assert kept == list(range(100 - len(kept), 100)), "the newest are kept"
    assert len(kept) > 3
    runs.put((framing, choice, 99), Run(b"x" * 2000, 20, 120))
    assert runs.size_bytes <= 10_000, "what is replaced is counted no more"
    runs.put((framing, choice, 500), Run(b"x" * 20_000, 10, 510))
    assert runs.size_bytes == 0, "what is larger than all may be leaves again"


def test_few_frames_are_not_worth_it() -> None:
    runs, framing = Runs(10_000), Encoding().framing
    runs.put((framing, Choice(), 0), Run(b"x", 1, 1))
    assert runs.size_bytes == 0
