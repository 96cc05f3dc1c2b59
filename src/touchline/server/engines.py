"""The sandbox engines that live in this hub: one owner task each, whose state is the fold of what it appended.

Commands are carried out one at a time, in the order of their coming: decided on the state, appended as one batch, and
applied once that is durable; only then is the sender told. When a batch cannot be stored, nothing was done. A command
that is too large for one batch goes in parts, with nothing else between them; should the hub end or the log fail there,
the parts that were stored stand, and the same command does the rest. Between commands the engine's players have their
turn, and what time itself demands is done. Owns no rule of any engine.

A start loads the newest checkpoint and applies what the log has of the engine's source behind it. A checkpoint is
written now and then, before retention removes what it lacks, and at the end; and at the start of a hub that does not
run the engine, since such a hub removes records too.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from touchline.clock import Clock
from touchline.errors import ConfigError, EngineBusy, LogError, LogUnavailable, TouchlineError
from touchline.feeds.base import Change, Engine, Feed, Refusal
from touchline.feeds.intake import Intake
from touchline.log.base import Checkpoint, EventLog
from touchline.model import Event
from touchline.wire.cloudevents import Envelope

_log: Final = logging.getLogger(__name__)

MAX_WAITING: Final = 1000
"""Commands that wait for their turn; further ones are turned away."""
CHECKPOINT_SECONDS: Final = 30.0
DUE_SECONDS: Final = 0.25
"""How often it is looked at what time demands."""
_PAGE: Final = 1000
_RETRY_SECONDS: Final = 1.0
_CHECKPOINT_SUBJECT: Final = "\x00engine"
"""No stream has this name: a CloudEvents subject holds no control characters."""


class EngineOwner:
    """See the module docstring. Implements ``feeds.base.EnginePort``. ``pace_seconds`` 0: nobody plays."""

    def __init__(
        self,
        feed: str,
        engine: Engine,
        log: EventLog,
        intake: Intake,
        clock: Clock,
        new_id: Callable[[], str],
        dice: random.Random,
        pace_seconds: float,
    ) -> None:
        self.feed = feed
        self.engine = engine
        self.state: Any = engine.initial()
        self.commands = 0
        self._log = log
        self._intake = intake
        self._clock = clock
        self._new_id = new_id
        self._dice = dice
        self._players = engine.players(dice)
        self._pace_seconds = pace_seconds
        self._waiting: asyncio.Queue[tuple[Any, asyncio.Future[Any]]] = asyncio.Queue(MAX_WAITING)
        self._offset = 0
        self._wall_ahead_ns: int | None = None
        self._is_dirty = False
        self._stopping = False
        self._ended = asyncio.Event()

    def __len__(self) -> int:
        return self._waiting.qsize()

    async def command(self, command: Any) -> Any:
        """See ``EnginePort``."""
        if self._stopping:
            raise LogUnavailable("the hub stops")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((command, answer))
        except asyncio.QueueFull:
            raise EngineBusy(f"{MAX_WAITING} commands wait already") from None
        return await answer

    async def load(self) -> None:
        """The state as the log has it. Raises LogError."""
        engine, state, offset = self.engine, self.engine.initial(), 0
        checkpoint = await self._log.load_checkpoint(self.feed, _CHECKPOINT_SUBJECT)
        if checkpoint is not None and checkpoint.version == engine.version:
            state, offset = engine.decode(checkpoint.state), checkpoint.offset
        elif checkpoint is not None and self._log.floor:
            about = {"feed": self.feed, "version": checkpoint.version}
            _log.warning("a sandbox lacks what only a checkpoint of another version has", extra=about)
        offset, more = max(offset, self._log.floor), True
        while more:
            page = await self._log.read(offset, _PAGE, feed=self.feed, events_only=True)
            for record in page.records:
                if record.event.source == engine.source:
                    engine.apply(state, record.event)
            offset, more = page.next_after, page.more
        self.state, self._offset, self._is_dirty = state, offset, True

    async def catch_up(self) -> None:
        """In a hub that does not run this engine: write what a killed hub left to be folded. Raises LogError.

        Retention goes on, and would remove it.
        """
        checkpoint = await self._log.load_checkpoint(self.feed, _CHECKPOINT_SUBJECT)
        if checkpoint is not None and checkpoint.version == self.engine.version:
            await self.load()
            await self.checkpoint()

    async def run(self) -> None:
        """Carry out commands until ``stop``; the task that owns the state."""
        next_move = self._clock.monotonic() + self._pause()
        try:
            while not self._stopping:
                wait = min(DUE_SECONDS, max(0.0, next_move - self._clock.monotonic()))
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        command, answer = await self._waiting.get()
                    await self._answer(command, answer)
                    await asyncio.sleep(0)  # what is refused waits for nothing, and others have their turn too
                try:
                    await self._carry_out(self.engine.due(self.state, self._now()))
                    if self._clock.monotonic() >= next_move:
                        next_move = self._clock.monotonic() + self._pause()
                        await self._carry_out(self._players.next(self.state, self._now()))
                except LogError:
                    await asyncio.sleep(_RETRY_SECONDS)  # the log has said why; what was to be done is decided anew
                except Exception:  # the top of a task: a fault of those who play must not end the engine
                    _log.exception("a sandbox could not go on by itself", extra={"feed": self.feed})
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._stopping = True
            while not self._waiting.empty():
                _, answer = self._waiting.get_nowait()
                if not answer.done():
                    answer.set_exception(LogUnavailable("the hub stops"))
            self._ended.set()

    async def stop(self) -> None:
        """Finish the command that is under way, turn away the others, and write the state. Raises LogError."""
        self._stopping = True
        await self._ended.wait()
        await self.checkpoint()

    def _pause(self) -> float:
        """Seconds until the players' next turn; about the pace, never quite regular."""
        return self._pace_seconds * self._dice.uniform(0.5, 1.5) if self._pace_seconds else float("inf")

    def _now(self) -> int:
        """UTC nanoseconds; where the wall clock is set back they go on, or all that is due would wait as long."""
        wall_ns = self._clock.wall_ns()  # read first: an interruption between the two must not count as a step forth
        monotonic_ns = int(self._clock.monotonic() * 1e9)
        ahead = wall_ns - monotonic_ns
        self._wall_ahead_ns = ahead if self._wall_ahead_ns is None else max(ahead, self._wall_ahead_ns)
        return monotonic_ns + self._wall_ahead_ns

    async def _answer(self, command: Any, answer: asyncio.Future[Any]) -> None:
        try:
            decided = await self._do(command)
        except Exception as problem:  # goes to whoever sent the command, and the engine lives on
            if not answer.done():
                answer.set_exception(problem)
        else:
            if not answer.done():  # the sender may be gone; what was done is done
                answer.set_result(decided)

    async def _carry_out(self, commands: Sequence[Any]) -> None:
        for command in commands:
            decided = await self._do(command)
            if isinstance(decided, Refusal):
                _log.debug("a sandbox refused its own command", extra={"feed": self.feed, "error": decided.error})

    async def _do(self, command: Any) -> Any:
        self.commands += 1
        while True:
            decided = await self._do_part(command)
            if isinstance(decided, Refusal) or not decided.more:
                return decided
            await asyncio.sleep(0)
            if self._stopping:
                raise LogUnavailable("the hub stops; a part of this was done, and repeating it does the rest")

    async def _do_part(self, command: Any) -> Any:
        now = self._now()
        decided = self.engine.decide(self.state, command, now, self._new_id)
        if isinstance(decided, Refusal) or not decided.changes:
            return decided
        events = [self._event(change, now) for change in decided.changes]
        done = await self._log.append(events)
        try:
            for event in events:
                self.engine.apply(self.state, event)
        except Exception:  # what is stored is the truth: the state is made of it anew
            _log.exception("a sandbox could not apply what it decided", extra={"feed": self.feed})
            await self.load()
        # Nobody else appends under this source: whatever the head is, the state has all of it.
        self._offset, self._is_dirty = done.head, True
        return decided

    def _event(self, change: Change, now: int) -> Event:
        envelope = Envelope(
            change.id, self.engine.source, change.type, change.subject, change.data, extensions=change.extensions
        )
        event = self._intake.event(envelope, now, from_within=True)
        if isinstance(event, tuple):
            raise TouchlineError(f"the sandbox of {self.feed} made what no publisher may: {event[0]} {event[1]}")
        return event

    async def checkpoint(self) -> None:
        """Write the state, if it changed. Raises LogError."""
        if not self._is_dirty:
            return
        self._is_dirty = False
        encoded = self.engine.encode(self.state)
        try:
            await self._log.save_checkpoints(
                [Checkpoint(self.feed, _CHECKPOINT_SUBJECT, self._offset, self.engine.version, encoded)]
            )
        except LogError:
            self._is_dirty = True
            raise


class Engines:
    """The engines that this hub runs, by their feeds' names, and until they are loaded those that it does not."""

    def __init__(self, owners: Mapping[str, EngineOwner], idle: Sequence[EngineOwner], clock: Clock) -> None:
        self._owners = owners
        self._idle = idle
        self._clock = clock
        self._checkpointed_at = clock.monotonic()

    def find(self, feed: str) -> EngineOwner | None:
        """The engine of a feed, if it runs here."""
        return self._owners.get(feed)

    def all(self) -> Sequence[EngineOwner]:
        """Every engine that runs here."""
        return tuple(self._owners.values())

    async def load(self) -> None:
        """All states as the log has them. Raises LogError."""
        for owner in self._owners.values():
            await owner.load()
        for owner in self._idle:
            await owner.catch_up()
        self._idle = ()

    async def tick(self) -> None:
        """Once a second: a checkpoint now and then."""
        now = self._clock.monotonic()
        if now - self._checkpointed_at >= CHECKPOINT_SECONDS:
            self._checkpointed_at = now
            await self.checkpoint()

    async def stop(self) -> None:
        """Let every engine finish what it does. Raises LogError."""
        for owner in self._owners.values():
            await owner.stop()

    async def checkpoint(self) -> None:
        """Write every state that changed, as before retention removes records. Raises LogError."""
        for owner in self._owners.values():
            await owner.checkpoint()


def make_engines(
    names: Sequence[str],
    feeds: Mapping[str, Feed],
    log: EventLog,
    intake: Intake,
    clock: Clock,
    new_id: Callable[[], str],
    pace_seconds: float,
    seed: str,
) -> Engines:
    """The engines of the feeds that are named. With a ``seed`` their players play the same when they are asked alike.

    Raises:
        ConfigError: a feed has none.
    """
    known = {
        name: feed.sandbox.engine
        for name, feed in feeds.items()
        if feed.sandbox is not None and feed.sandbox.engine is not None
    }
    for name in names:
        if name not in known:
            raise ConfigError(f"sandbox: {name!r} is none that the hub runs itself; it runs {', '.join(known)}")
    owners: dict[str, EngineOwner] = {}
    idle: list[EngineOwner] = []
    for name, engine in known.items():
        # A game, not a secret; without a seed every start plays another one.
        dice = random.Random(f"{seed}:{name}" if seed else None)  # noqa: S311
        owner = EngineOwner(name, engine, log, intake, clock, new_id, dice, pace_seconds)
        if name in names:
            owners[name] = owner
        else:
            idle.append(owner)
    return Engines(owners, idle, clock)
