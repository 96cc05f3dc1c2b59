"""The owner of an engine: one command at a time, all or nothing, and the state is always the fold of the log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from touchline.errors import ConfigError, EngineBusy, LogFull, LogUnavailable
from touchline.feeds import registry
from touchline.feeds.base import Change, Engine, Refusal
from touchline.feeds.intake import Intake
from touchline.log.base import Appended
from touchline.log.sqlite import SqliteLog
from touchline.model import Event
from touchline.server import engines
from touchline.server.engines import EngineOwner, Engines, make_engines
from touchline.testing.clock import FakeClock

FEED = "prophetx"
TYPE = "prophetx.a_count"


class Counted(msgspec.Struct):
    """A state: what was added, in order."""

    added: list[int] = []


class Added(msgspec.Struct, frozen=True):
    changes: tuple[Change, ...]
    more: bool = False


LARGE = 1000
"""A command of so much and n more goes on, by parts of two, until n were added."""


class Bug(Exception):
    pass


def decide(state: Counted, command: Any, now: int, new_id: Callable[[], str]) -> Added | Refusal:
    if command == "bug":
        raise Bug
    if command == "nothing":
        return Added(())
    if command < 0:
        return Refusal(400, "negative", "no")
    first = len(state.added)
    numbers = range(first, first + 2)
    changes = tuple(Change(f"n{n}", TYPE, "s", b'{"info":{"add":%d}}' % command, {"op": "c"}) for n in numbers)
    return Added(changes, more=command >= LARGE and first + 2 < command - LARGE)


def apply(state: Counted, event: Event) -> None:
    state.added.append(msgspec.json.decode(event.data)["info"]["add"])


class Player:
    """Adds 7 at each turn, as often as it may."""

    turns = 0

    def next(self, state: Counted, now: int) -> Sequence[int]:
        self.turns += 1
        return [7] if self.turns <= 3 else []


ENGINE = Engine(
    source="/sandbox/counter",
    version=1,
    initial=Counted,
    decide=decide,
    apply=apply,
    encode=msgspec.json.encode,
    decode=lambda data: msgspec.json.decode(data, type=Counted),
    due=lambda state, now: (),
    players=lambda dice: Player(),
    read=msgspec.json.decode,
    commands=int,
)


class TroubledLog:
    """A log whose appends fail while ``trouble`` says so."""

    def __init__(self, log: SqliteLog) -> None:
        self.log = log
        self.trouble: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)

    async def append(self, events: Sequence[Event], *, skip_conflicts: bool = False) -> Appended:
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        return await self.log.append(events, skip_conflicts=skip_conflicts)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[TroubledLog]:
    log = SqliteLog(tmp_path, FakeClock())
    await log.start()
    yield TroubledLog(log)
    await log.close()


class Running:
    """An owner with its task."""

    def __init__(self, log: TroubledLog, engine: Engine = ENGINE, pace_seconds: float = 0.0) -> None:
        ids = count()
        self.clock = FakeClock()
        self.owner = EngineOwner(
            FEED,
            engine,
            log,
            Intake(registry.feeds()),
            self.clock,
            lambda: str(next(ids)),
            random.Random(1),
            pace_seconds,
        )

    async def __aenter__(self) -> EngineOwner:
        await self.owner.load()
        self.task = asyncio.create_task(self.owner.run())
        return self.owner

    async def __aexit__(self, *_: object) -> None:
        await self.owner.stop()
        await self.task


async def test_a_command_is_stored_before_it_is_answered_and_survives(log: TroubledLog) -> None:
    async with Running(log) as owner:
        decided = await owner.command(5)
        assert len(decided.changes) == 2
        stored = (await log.read(0, 10, feed=FEED)).records
        assert [record.event.source for record in stored] == ["/sandbox/counter"] * 2
        assert owner.state.added == [5, 5]
        assert isinstance(await owner.command(-1), Refusal)
        assert (await owner.command("nothing")).changes == ()
        assert len((await log.read(0, 10, feed=FEED)).records) == 2
        # Killed here: nothing but the log is left.
        async with Running(log) as again:
            assert again.state.added == [5, 5]


async def test_what_cannot_be_stored_was_not_done(log: TroubledLog) -> None:
    async with Running(log) as owner:
        for trouble in (LogFull("full"), LogUnavailable("broken")):
            log.trouble = trouble
            with pytest.raises(type(trouble)):
                await owner.command(5)
            assert owner.state.added == []
        log.trouble = None
        await owner.command(6)
        assert owner.state.added == [6, 6]


async def test_what_is_too_large_for_one_batch_goes_in_parts(log: TroubledLog) -> None:
    async with Running(log) as owner:
        large, other = (asyncio.create_task(owner.command(number)) for number in (LARGE + 8, 1))
        await asyncio.gather(large, other)
        assert owner.state.added == [*[LARGE + 8] * 8, 1, 1], "nothing came between two parts"
    async with Running(log) as again:
        assert again.state == owner.state


async def test_what_was_broken_off_between_two_parts_goes_on_when_it_is_repeated(log: TroubledLog) -> None:
    async with Running(log) as owner:
        append, done = log.log.append, count()

        async def fails_later(events: Sequence[Event], *, skip_conflicts: bool = False) -> Appended:
            if next(done) >= 2:
                raise LogFull("full")
            return await append(events, skip_conflicts=skip_conflicts)

        log.append = fails_later  # type: ignore[method-assign]  # a fault of this log alone
        with pytest.raises(LogFull):
            await owner.command(LARGE + 8)
        assert len(owner.state.added) == 4
        log.append = append  # type: ignore[method-assign]  # the same
    async with Running(log) as again:
        assert len(again.state.added) == 4
        await again.command(LARGE + 8)
        assert again.state.added == [LARGE + 8] * 8


async def test_a_hub_that_stops_does_not_wait_for_all_parts(log: TroubledLog) -> None:
    async with Running(log) as owner:
        log.gate.clear()
        large = asyncio.create_task(owner.command(LARGE + 100))
        while not owner.commands:
            await asyncio.sleep(0)
        stopping = asyncio.create_task(owner.stop())
        await asyncio.sleep(0)
        log.gate.set()
        await stopping
        with pytest.raises(LogUnavailable, match="repeating it does the rest"):
            await large
        assert len(owner.state.added) == 2


async def test_a_fault_reaches_its_sender_alone(log: TroubledLog) -> None:
    async with Running(log) as owner:
        with pytest.raises(Bug):
            await owner.command("bug")
        await owner.command(1)
        assert owner.state.added == [1, 1]


async def test_commands_are_carried_out_in_their_order_and_bounded(log: TroubledLog) -> None:
    async with Running(log) as owner:
        log.gate.clear()
        waiting = [asyncio.create_task(owner.command(0))]
        while not owner.commands:
            await asyncio.sleep(0)
        waiting += [asyncio.create_task(owner.command(number + 1)) for number in range(engines.MAX_WAITING)]
        while len(owner) < engines.MAX_WAITING:
            await asyncio.sleep(0)
        with pytest.raises(EngineBusy):
            await owner.command(-1)
        log.gate.set()
        await asyncio.gather(*waiting)
        assert owner.state.added == [number for number in range(engines.MAX_WAITING + 1) for _ in "ab"]


async def test_many_refused_commands_do_not_hold_up_the_hub(log: TroubledLog) -> None:
    async with Running(log) as owner:
        answers = [asyncio.create_task(owner.command(-1)) for _ in range(100)]
        turns = 0
        while not all(answer.done() for answer in answers):
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 100


async def test_a_sender_who_goes_away_changes_nothing(log: TroubledLog) -> None:
    async with Running(log) as owner:
        log.gate.clear()
        gone = asyncio.create_task(owner.command(1))
        stays = asyncio.create_task(owner.command(2))
        while not owner.commands:
            await asyncio.sleep(0)
        gone.cancel()
        log.gate.set()
        await stays
        assert owner.state.added == [1, 1, 2, 2]


async def test_a_checkpoint_stands_for_what_retention_removed(log: TroubledLog) -> None:
    async with Running(log) as owner:
        await owner.command(1)
        await owner.checkpoint()
        await owner.command(2)
        await owner.checkpoint()
        await log.trim(log.head)
        async with Running(log) as again:
            assert again.state.added == [1, 1, 2, 2]
            await again.command(3)
        async with Running(log) as later:
            assert later.state.added == [1, 1, 2, 2, 3, 3]


async def test_a_hub_that_does_not_run_it_forgets_nothing_of_it(log: TroubledLog) -> None:
    running = Running(log)
    async with running as owner:
        await owner.command(1)
        await owner.checkpoint()
        await owner.command(2)
        # Killed here. The next hub runs without it, and its retention removes all.
        idle = Engines({}, [Running(log).owner], running.clock)
        await idle.load()
        await log.trim(log.head)
        async with Running(log) as again:
            assert again.state.added == [1, 1, 2, 2]


async def test_others_of_its_feed_are_not_its_state(log: TroubledLog) -> None:
    async with Running(log) as owner:
        await owner.command(1)
    await log.append([Event(FEED, TYPE, "s", "/venue", "x", b'{"info":{"add":9}}', 1, 1)])
    async with Running(log) as again:
        assert again.state.added == [1, 1]


async def test_a_state_that_could_not_be_applied_is_made_anew(log: TroubledLog) -> None:
    failing = iter([True])

    def clumsy(state: Counted, event: Event) -> None:
        apply(state, event)
        if next(failing, False):
            raise Bug

    async with Running(log, msgspec.structs.replace(ENGINE, apply=clumsy)) as owner:
        await owner.command(4)
        assert owner.state.added == [4, 4]


async def test_players_have_their_turn_and_time_its_due(log: TroubledLog) -> None:
    asked: list[int] = []

    def due(state: Counted, now: int) -> Sequence[int]:
        asked.append(now)
        return [1] if len(state.added) == 2 else []

    running = Running(log, msgspec.structs.replace(ENGINE, due=due), pace_seconds=0.001)
    async with running as owner:
        while len(owner.state.added) < 8:
            running.clock.advance(0.0001)
            await asyncio.sleep(0.001)
        assert owner.state.added == [7, 7, 1, 1, 7, 7, 7, 7]


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_a_clock_that_is_set_holds_up_nothing_that_is_due(log: TroubledLog, step: float) -> None:
    asked: list[int] = []

    def due(state: Counted, now: int) -> Sequence[int]:
        asked.append(now)
        return ()

    running = Running(log, msgspec.structs.replace(ENGINE, due=due))
    async with running as owner:
        await owner.command(1)
        while not asked:
            await asyncio.sleep(0)
        before = asked[-1]
        running.clock.advance(1.0)
        running.clock.step_wall(step)
        running.clock.advance(1.0)
        await owner.command(1)
        while asked[-1] == before:
            await asyncio.sleep(0)
        passed = asked[-1] - before
        assert passed == pytest.approx(2e9 + max(step, 0.0) * 1e9, abs=1e6)


async def test_at_the_end_nobody_waits_for_ever(log: TroubledLog) -> None:
    async with Running(log) as owner:
        log.gate.clear()
        first, second = (asyncio.create_task(owner.command(number)) for number in (1, 2))
        while not owner.commands:
            await asyncio.sleep(0)
        stopping = asyncio.create_task(owner.stop())
        await asyncio.sleep(0)
        log.gate.set()
        await stopping
        assert (await first).changes, "what was under way is finished"
        with pytest.raises(LogUnavailable):
            await second
        with pytest.raises(LogUnavailable):
            await owner.command(3)
    assert owner.state.added == [1, 1]


async def test_only_what_is_there_can_be_run(log: TroubledLog) -> None:
    for name in ("shottracker", "nobody"):
        with pytest.raises(ConfigError, match="prophetx"):
            make_engines([name], registry.feeds(), log, Intake(registry.feeds()), FakeClock(), str, 0.4, "")
