"""Readers that come, fill up, drain, follow more, leave and resume at random, while both lanes are appended at random:
each gets every matching event-lane record after its start exactly once and in order, and at last the newest value of
every key of the state lane.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from touchline.delivery.fanout import FanoutLimits
from touchline.feeds.base import EndReason
from touchline.model import Lane
from touchline.testing.memory import run

from .worlds import Choice, Encoding, FakeSink, Got, World, event

SUBJECTS = ("a", "b", "c")
CHOICES = (
    *(Choice(subject=subject) for subject in SUBJECTS),
    Choice(subject="a", types=frozenset({"f.y"})),
    Choice(),
    Choice(types=frozenset({"f.x"})),
    Choice(feed=None),
)

items = st.tuples(
    st.sampled_from(SUBJECTS),
    st.sampled_from(["x", "y"]),
    st.sampled_from(["event", "event", "state"]),
    st.integers(0, 3),
)


starts = st.sampled_from(["live", "oldest", "middle", "recent", "head"])


class Model:
    """What a reader must have got: of each choice everything above its start. The choices do not overlap."""

    def __init__(self, sink: FakeSink) -> None:
        self.sink = sink
        self.wanted: list[tuple[Choice, int]] = []
        self.had = 0
        """How many frames it had got when it last followed something: what may go back to older records."""

    def __repr__(self) -> str:
        return f"<reader of {self.wanted}>"


class FanoutMachine(RuleBasedStateMachine):
    """See the module docstring. What a reader follows at a time does not overlap."""

    readers: Bundle[Model] = Bundle("readers")

    @initialize(
        tail=st.sampled_from([2, 8, 1000]), chunk=st.sampled_from([1, 3, 50]), join=st.sampled_from([1, 300, 5000])
    )
    def begin(self, tail: int, chunk: int, join: int) -> None:
        self.world = World(
            FanoutLimits(
                tail_records=tail,
                chunk_records=chunk,
                chunks_bytes=5000,
                join_bytes=join,
                pull_bytes=2 * join,
                stall_seconds=1e9,
            )
        )
        self.encodings = [Encoding("one"), Encoding("two")]
        self.models: list[Model] = []
        self.values: dict[tuple[str, str, str], int] = {}
        self.count = 0

    # what happens

    @rule(batch=st.lists(items, min_size=1, max_size=12), hold=st.booleans())
    def append(self, batch: list[tuple[str, str, str, int]], hold: bool) -> None:
        self.world.holding = self.world.holding or hold
        events = []
        for subject, kind, lane, key in batch:
            self.count += 1
            data = str(self.count).encode()
            if lane == "state":
                events.append(event(subject, Lane.STATE, key=str(key), data=data, kind=kind))
                self.values[subject, f"f.{kind}", str(key)] = self.count
            else:
                events.append(event(subject, data=data, kind=kind))
        self.world.append(*events)

    @rule()
    def release(self) -> None:
        self.world.release()

    @rule(turns=st.integers(1, 5))
    def turn(self, turns: int) -> None:
        for _ in range(turns):
            self.world.turn()

    @rule()
    def tick(self) -> None:
        self.world.clock.advance(1)
        self.world.fanout.tick()

    @rule(share=st.floats(0, 1))
    def trim(self, share: float) -> None:
        log = self.world.log
        through = log.floor + int(share * (self.world.fanout.dispatched - log.floor))
        if through > log.floor:
            run(log.trim(through))

    @rule(
        target=readers,
        encoding=st.integers(0, 1),
        choice=st.sampled_from(CHOICES),
        high=st.sampled_from([50, 400, 2000, 1 << 30]),
        start=starts,
    )
    def attach(self, encoding: int, choice: Choice, high: int, start: str) -> Model:
        model = Model(self.world.attach(self.encodings[encoding], high))
        self.models.append(model)
        self._follow(model, choice, self._offset(start))
        return model

    def _offset(self, start: str) -> int | None:
        log, dispatched = self.world.log, self.world.fanout.dispatched
        match start:
            case "live":
                return None
            case "oldest":
                return log.floor
            case "middle":
                return (log.floor + dispatched) // 2
            case "recent":
                return max(log.floor, dispatched - 3)
            case _:
                return log.head

    def _follow(self, model: Model, choice: Choice, after: int | None) -> None:
        model.wanted.append((choice, self.world.fanout.dispatched if after is None else after))
        model.had = len(model.sink.got)
        self.world.follow(model.sink, choice, after, number=len(model.wanted))

    @rule(model=readers, count=st.one_of(st.none(), st.integers(1, 500)))
    def drain(self, model: Model, count: int | None) -> None:
        model.sink.drain(count)

    @rule(model=readers)
    def stuff(self, model: Model) -> None:
        if not model.sink.ended and model.sink.high < 1 << 30:
            model.sink.stuff()

    @rule(model=readers, choice=st.sampled_from(CHOICES), start=starts)
    def follow_another(self, model: Model, choice: Choice, start: str) -> None:
        """Leaves what it followed and follows something else; may be what it had."""
        if model.sink.ended or model.sink.reader is None:
            return
        self._check(model)
        for number in range(len(model.wanted)):
            self.world.fanout.unfollow(model.sink.reader, number + 1)
        model.sink.writes.clear()
        model.wanted.clear()
        self._follow(model, choice, self._offset(start))

    @rule(model=readers, subject=st.sampled_from(SUBJECTS), start=starts)
    def follow_more(self, model: Model, subject: str, start: str) -> None:
        """Follows another stream beside those that it has."""
        taken = {choice.subject for choice, _ in model.wanted}
        if not model.sink.ended and not taken & {None, subject}:
            self._follow(model, Choice(subject=subject), self._offset(start))

    @rule(target=readers, model=consumes(readers), high=st.sampled_from([50, 400, 1 << 30]))
    def resume(self, model: Model, high: int) -> Any:
        """Breaks off and comes back with the position of the last frame that it has got, whichever lane it is of."""
        got = model.sink.got
        assert model.sink.reader is not None
        self.world.fanout.detach(model.sink.reader)
        self._check(model)
        self.models.remove(model)
        if model.sink.ended or len(model.wanted) > 1:
            return multiple()
        ((choice, start),) = model.wanted
        position = got[-1].resume if got else start
        if position < self.world.log.floor:
            return multiple()
        expected = [offset for offset in self.world.offsets(choice, start) if offset <= position]
        seen = [one.offset for one in got if one.lane == "event" and one.offset > self.world.log.floor]
        assert seen == expected, "a position must not be ahead of what was sent"
        again = Model(self.world.attach(self.encodings[0], high))
        self.models.append(again)
        self._follow(again, choice, position)
        return again

    @rule(model=consumes(readers))
    def detach(self, model: Model) -> None:
        assert model.sink.reader is not None
        self.world.fanout.detach(model.sink.reader)
        self._check(model)
        self.models.remove(model)

    # what must be true

    def _check(self, model: Model) -> None:
        """So far: an unbroken beginning of what it is to get, and no value older than one that it has got."""
        got = model.sink.got
        together = [one.offset for one in got[model.had :] if one.lane == "event"]
        assert together == sorted(set(together)), "the order of the log, across all that it follows"
        for choice, start in model.wanted:
            seen = [one.offset for one in got if one.lane == "event" and self._is_of(one, choice)]
            assert seen == sorted(set(seen)), "once and in order"
            assert all(offset > start for offset in seen)
            kept = [offset for offset in seen if offset > self.world.log.floor]
            if kept:
                assert self.world.offsets(choice, start)[: len(kept)] == kept
        newest: dict[tuple[str, str, str], int] = {}
        for one in got:
            if one.lane == "state":
                key = (one.subject, one.kind, one.key)
                assert newest.get(key, 0) <= int(one.data), "an older value after a newer one"
                newest[key] = int(one.data)
        if model.sink.ended:
            assert model.sink.ended == [EndReason.GAP]

    @staticmethod
    def _is_of(one: Got, choice: Choice) -> bool:
        return choice.subject in (None, one.subject) and (choice.types is None or one.kind in choice.types)

    @invariant()
    def nobody_has_a_hole(self) -> None:
        for model in getattr(self, "models", []):
            self._check(model)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.release()
        self.world.drain_all(*(model.sink for model in self.models if not model.sink.ended))
        for model in self.models:
            self._check(model)
            if model.sink.ended:
                continue
            got = model.sink.got
            newest = {(one.subject, one.kind, one.key): int(one.data) for one in got if one.lane == "state"}
            wanted: dict[tuple[str, str, str], int] = {}
            for choice, start in model.wanted:
                seen = [one.offset for one in got if one.lane == "event" and self._is_of(one, choice)]
                assert [offset for offset in seen if offset > self.world.log.floor] == self.world.offsets(choice, start)
                wanted |= {
                    key: value
                    for key, value in self.values.items()
                    if choice.subject in (None, key[0]) and (choice.types is None or key[1] in choice.types)
                }
            assert newest == wanted, "the newest value of every key arrives"
        for model in self.models:
            if model.sink.reader is not None:
                self.world.fanout.detach(model.sink.reader)
        assert not self.world.fanout._groups._groups
        assert not self.world.fanout.readers


TestFanoutMachine = FanoutMachine.TestCase
TestFanoutMachine.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
