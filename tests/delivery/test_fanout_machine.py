"""Readers that come, fill up, drain, follow more, leave and resume at random, while both lanes are appended at random:
each gets every matching event-lane record after its start exactly once and in order, and at last the newest value of
every key of the state lane.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from touchline.delivery.fanout import FanoutLimits
from touchline.feeds.base import EndReason
from touchline.model import Lane
from touchline.testing.memory import run

from .worlds import Choice, Encoding, FakeSink, World, event

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


class Model:
    """What a reader must have got. ``followings``: choice, its start, and the end of it (None: goes on)."""

    def __init__(self, sink: FakeSink) -> None:
        self.sink = sink
        self.followings: list[tuple[Choice, int, int]] = []
        self.current: Choice | None = None
        self.start = 0
        self.lost_values = False

    def __repr__(self) -> str:
        return f"<reader of {self.current}>"


class FanoutMachine(RuleBasedStateMachine):
    """See the module docstring. Each reader follows one choice at a time; ``test_fanout`` has several at a time."""

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
        after=st.one_of(st.none(), st.floats(0, 1)),
    )
    def attach(self, encoding: int, choice: Choice, high: int, after: float | None) -> Model:
        model = Model(self.world.attach(self.encodings[encoding], high))
        self.models.append(model)
        self._follow(model, choice, after)
        return model

    def _follow(self, model: Model, choice: Choice, after: float | None) -> None:
        log = self.world.log
        offset = None if after is None else log.floor + round(after * (log.head - log.floor))
        model.current = choice
        model.start = self.world.fanout.dispatched if offset is None else offset
        self.world.follow(model.sink, choice, offset)

    @rule(model=readers, count=st.one_of(st.none(), st.integers(1, 500)))
    def drain(self, model: Model, count: int | None) -> None:
        model.sink.drain(count)

    @rule(model=readers)
    def stuff(self, model: Model) -> None:
        if not model.sink.ended and model.sink.high < 1 << 30:
            model.sink.stuff()

    @rule(model=readers, choice=st.sampled_from(CHOICES), after=st.one_of(st.none(), st.floats(0, 1)))
    def follow_another(self, model: Model, choice: Choice, after: float | None) -> None:
        """Leaves what it followed and follows something else; may be what it had."""
        if model.sink.ended or model.sink.reader is None:
            return
        self._check(model)
        self.world.fanout.unfollow(model.sink.reader, 1)
        model.sink.writes.clear()
        self._follow(model, choice, after)

    @rule(target=readers, model=consumes(readers), high=st.sampled_from([50, 400, 1 << 30]))
    def resume(self, model: Model, high: int) -> Any:
        """Breaks off and comes back with the position of the last frame that it has got, whichever lane it is of."""
        got = model.sink.got
        assert model.sink.reader is not None
        self.world.fanout.detach(model.sink.reader)
        self._check(model)
        self.models.remove(model)
        start = got[-1].resume if got else model.start
        if model.sink.ended or start < self.world.log.floor:
            return multiple()
        assert model.current is not None
        seen = [one.offset for one in got if one.lane == "event"]
        expected = [o for o in self.world.offsets(model.current, model.start) if o <= start]
        assert seen[len(seen) - len(expected) :] == expected, "a position must not be ahead of what was sent"
        again = Model(self.world.attach(self.encodings[0], high))
        self.models.append(again)
        again.current, again.start = model.current, start
        self.world.follow(again.sink, model.current, start)
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
        assert model.current is not None
        got = model.sink.got
        seen = [one.offset for one in got if one.lane == "event"]
        assert seen == sorted(set(seen)), "once and in order"
        assert all(offset > model.start for offset in seen)
        kept = [offset for offset in seen if offset > self.world.log.floor]
        expected = self.world.offsets(model.current, model.start)
        if kept:
            assert expected[: len(kept)] == kept
        newest: dict[tuple[str, str, str], int] = {}
        for one in got:
            if one.lane == "state":
                key = (one.subject, one.kind, one.key)
                assert newest.get(key, 0) <= int(one.data), "an older value after a newer one"
                newest[key] = int(one.data)
        if model.sink.ended:
            assert model.sink.ended == [EndReason.GAP]

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
            assert model.current is not None
            seen = [offset for offset in model.sink.offsets if offset > self.world.log.floor]
            assert seen == self.world.offsets(model.current, model.start)
            newest = {(one.subject, one.kind, one.key): int(one.data) for one in model.sink.got if one.lane == "state"}
            choice = model.current
            wanted = {
                key: value
                for key, value in self.values.items()
                if (choice.subject in (None, key[0])) and (choice.types is None or key[1] in choice.types)
            }
            assert newest == wanted, "the newest value of every key arrives"
        for model in self.models:
            if model.sink.reader is not None:
                self.world.fanout.detach(model.sink.reader)
        assert not self.world.fanout._groups._groups
        assert not self.world.fanout.readers


TestFanoutMachine = FanoutMachine.TestCase
TestFanoutMachine.settings = settings(
    max_examples=int(os.environ.get("EXAMPLES","100")),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
