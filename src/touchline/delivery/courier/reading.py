"""Moves cursors over the log and decides what is owed; fetches again what a lane has spilled.

Endpoints that keep up read the window of new records, those behind read chunks of the log. What is not owed is passed
over, never held. Sends nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from touchline.delivery.courier.backlog import Item, Lane
from touchline.delivery.courier.letters import Letters
from touchline.delivery.courier.limits import CourierLimits, CourierStats
from touchline.delivery.courier.line import Line, Span
from touchline.delivery.courier.recent import Chunk, Chunks, Recent, Spawn
from touchline.errors import PositionGone
from touchline.feeds.base import Admitted
from touchline.log.base import EventLog
from touchline.log.endpoints import Endpoints
from touchline.model import Record

_log: Final = logging.getLogger(__name__)

_SLICE: Final = 64
"""How many records are looked at before others have their turn."""
_RETRY_SECONDS: Final = 1.0

States = Callable[[str, str], Awaitable[Any | None]]
Owed = bool | str
"""Whether a record is owed; text: why that cannot be known."""


class Reading:
    """See the module docstring. ``ready`` is told of a line that can go on, ``rest`` puts a lane off for a while."""

    def __init__(
        self,
        log: EventLog,
        endpoints: Endpoints,
        states: States,
        recent: Recent,
        letters: Letters,
        spawn: Spawn,
        limits: CourierLimits,
        stats: CourierStats,
        ready: Callable[[Line], None],
        rest: Callable[[Line, Lane, float], None],
    ) -> None:
        self._log = log
        self._endpoints = endpoints
        self._states = states
        self._recent = recent
        self._letters = letters
        self._spawn = spawn
        self._limits = limits
        self._stats = stats
        self._ready = ready
        self._rest = rest
        self._chunks = Chunks(log, limits, stats)

    # forward

    def is_behind(self, line: Line) -> bool:
        """Whether there is anything above its cursor to look at."""
        cursor = line.backlog.cursor
        return cursor < self._recent.floor or self._recent.has_after(line.reads, cursor)

    def scan(self, line: Line) -> None:
        """Look at the next few records for a line; it is to be called again while it ``is_behind`` and wants more."""
        if line.alone and not line.backlog.lanes:
            line.alone = False
            line.backlog.ordering = line.policy.order
        if not line.wants_more(self._limits):
            return
        backlog, recent = line.backlog, self._recent
        if backlog.cursor >= recent.floor:
            records, index = recent.after(line.reads, backlog.cursor)
            self._look(line, records[index : index + _SLICE], recent.last if index + _SLICE >= len(records) else None)
            return
        chunk = self._chunks.get(line.place, backlog.cursor)
        if chunk is None:
            self._read(line)
            return
        rest = chunk.after(backlog.cursor)
        self._look(line, rest[:_SLICE], chunk.reached if len(rest) <= _SLICE else None)

    def _read(self, line: Line) -> None:
        self.expire(line)
        backlog = line.backlog
        if backlog.cursor >= self._recent.floor:
            self._ready(line)
            return
        line.place = place = (line.reads, None, backlog.cursor)
        if self._chunks.get(place, backlog.cursor) is not None:
            self._ready(line)
            return
        line.scanning = True

        def done(failure: Exception | None) -> None:
            line.scanning = False
            if isinstance(failure, PositionGone):
                self.expire(line)
            elif failure is not None:
                _log.warning("the log cannot be read for an endpoint", extra={"endpoint": line.endpoint.id},
                             exc_info=failure)  # fmt: skip
                line.stalled = True
            self._ready(line)

        self._chunks.read(place, self._spawn, done)

    def expire(self, line: Line) -> None:
        """Go on at the log's floor when retention has overtaken the cursor."""
        floor = self._log.floor
        self._expired(line, line.backlog.expire(floor), floor)

    def _expired(self, line: Line, passed: int, floor: int) -> None:
        """So many offsets up to the floor were passed over. Those that another lane passed over before count once."""
        passed, line.expired_spans = with_span(line.expired_spans, floor - passed, floor)
        if passed:
            line.expired += passed
            self._stats.expired += passed
            about = {"endpoint": line.endpoint.id, "floor": floor, "offsets": passed}
            _log.warning("retention overtook an endpoint; what it had not received is gone", extra=about)

    def _look(self, line: Line, records: Sequence[Record], reached: int | None) -> None:
        """Take or pass over records; ``reached`` is where the cursor stands when these were all."""
        backlog, limits = line.backlog, self._limits
        for index, record in enumerate(records):
            owed = self.owed(line, record)
            if owed is None:
                self._look_slowly(line, records[index:], reached)
                return
            self._take(line, record, owed)
            if not line.wants_more(limits):
                if index + 1 < len(records):
                    return
                break
        if reached is not None:
            backlog.cursor = max(backlog.cursor, reached)

    @staticmethod
    def _take(line: Line, record: Record, owed: Owed) -> None:
        if owed is False:
            line.backlog.cursor = record.offset
        else:
            line.backlog.take(record, "" if owed is True else str(owed))

    def _look_slowly(self, line: Line, records: Sequence[Record], reached: int | None) -> None:
        """The same where the state of a stream has to be asked for."""
        line.scanning = True
        backlog = line.backlog

        async def look() -> None:
            try:
                for index, record in enumerate(records):
                    before = backlog.cursor, backlog.decision
                    owed = await self._owed_with_state(line, record)
                    if (backlog.cursor, backlog.decision) != before or not line.is_driven:
                        return  # rewound or to be judged anew meanwhile, or no longer ours to send
                    self._take(line, record, owed)
                    line.scanning = False
                    wants = line.wants_more(self._limits)
                    line.scanning = True
                    if not wants and index + 1 < len(records):
                        return
                if reached is not None:
                    backlog.cursor = max(backlog.cursor, reached)
            except Exception:  # the top of a task: the next tick tries again
                _log.exception("a state could not be had for an endpoint", extra={"endpoint": line.endpoint.id})
                line.stalled = True
            finally:
                line.scanning = False
                self._ready(line)

        self._spawn(look)

    # what is owed

    def owed(self, line: Line, record: Record, again_until: int = 0) -> Owed | None:
        """Whether a record is owed to an endpoint; None: the state of its stream is needed to say so. Through
        ``again_until`` it was owed before."""
        codec, member = line.codec, line.member
        if member is None:
            return False
        try:
            if not codec.wants(record, line.view):
                return False
            if line.admitted is not Admitted.AT_ONCE and not self._is_subscribed(line, record, again_until):
                return False
            if codec.needs_state and member.grants:
                return None
            return codec.permits(member.grants, record, None)
        except Exception as error:  # a feed's code; one record of its must not stop an endpoint
            return self._fault(line, record, error)

    async def _owed_with_state(self, line: Line, record: Record, again_until: int = 0) -> Owed:
        owed = self.owed(line, record, again_until)
        if owed is not None:
            return owed
        state = await self._states(*record.stream)
        if line.member is None:
            return False
        try:
            return line.codec.permits(line.member.grants, record, state)
        except Exception as error:  # a feed's code, as above
            return self._fault(line, record, error)

    def _fault(self, line: Line, record: Record, error: Exception) -> str:
        self._stats.faults += 1
        about = {"endpoint": line.endpoint.id, "offset": record.offset, "type": record.event.type}
        _log.error("a record could not be matched with an endpoint", extra=about, exc_info=error)
        return f"the feed could not tell whether it is owed: {type(error).__name__}"

    def _is_subscribed(self, line: Line, record: Record, again_until: int) -> bool:
        endpoint, backlog = line.endpoint, line.backlog
        owner = endpoint.id if line.admitted is Admitted.CONFIRMED else ""
        found = self._endpoints.find(endpoint.feed, endpoint.partner, line.codec.topic(record), owner)
        if found is None or found.state != "confirmed":
            return False
        if record.offset <= again_until:
            return True
        return record.offset > found.since or backlog.replay_from < record.offset <= backlog.replay_until

    def look_again(self, line: Line, lane: Lane) -> None:
        """Judge the head of a lane again, as what decides has changed since it was taken: grants, topics, options or
        subscriptions. What is owed no more is passed over."""
        item = lane.items[0]
        line.backlog.begin(lane)
        owed = self.owed(line, item.record, lane.replay_until)
        if owed is None:
            self._spawn(lambda: self._look_again_slowly(line, lane, item))
        else:
            self._looked_again(line, lane, item, owed)

    async def _look_again_slowly(self, line: Line, lane: Lane, item: Item) -> None:
        backlog = line.backlog
        before = backlog.decision
        try:
            owed = await self._owed_with_state(line, item.record, lane.replay_until)
        except Exception:  # the top of a task: the lane waits and tries again
            _log.exception("a state could not be had for an endpoint", extra={"endpoint": line.endpoint.id})
            self._rest(line, lane, _RETRY_SECONDS)
            return
        if backlog.decision != before or line.member is None:
            backlog.again(lane, None)
            self._ready(line)
        else:
            self._looked_again(line, lane, item, owed)

    def _looked_again(self, line: Line, lane: Lane, item: Item, owed: Owed) -> None:
        backlog = line.backlog
        if owed is False:
            backlog.done(lane)
        else:
            item.decision = backlog.decision
            item.fault = "" if owed is True else owed
            backlog.again(lane, None)
        self._ready(line)

    # spilled lanes

    def refill(self, line: Line, lane: Lane) -> None:
        """Fetch the head of a lane that holds nothing."""
        backlog = line.backlog
        backlog.begin(lane)
        floor = self._log.floor
        if lane.through < floor:
            copies = [offset for offset in line.dead if lane.through < offset <= floor]
            if copies:
                self._spawn(lambda: self._refill_from_letters(line, lane, floor))
                return
            self._expired(line, backlog.expire_lane(lane, floor), floor)
            backlog.again(lane, None)
            self._ready(line)
            return
        chunk = self._chunks.get(lane.place, lane.through)
        if chunk is None:
            lane.place = (*lane.stream, lane.through)
            chunk = self._chunks.get(lane.place, lane.through)
        if chunk is not None:
            self._fill(line, lane, chunk)
            return
        place = lane.place or (*lane.stream, lane.through)

        def done(failure: Exception | None) -> None:
            if failure is not None and not isinstance(failure, PositionGone):
                _log.warning("the log cannot be read for an endpoint", extra={"endpoint": line.endpoint.id},
                             exc_info=failure)  # fmt: skip
                self._rest(line, lane, _RETRY_SECONDS)
                return
            found = self._chunks.get(place, lane.through)
            if found is None or lane.stale:  # retention or a rewinding was quicker: begin again
                backlog.again(lane, None)
                self._ready(line)
            else:
                self._fill(line, lane, found)

        self._chunks.read(place, self._spawn, done)

    async def _refill_from_letters(self, line: Line, lane: Lane, floor: int) -> None:
        backlog = line.backlog
        try:
            letters = await self._letters.all(line.endpoint.id)
        except Exception:  # the top of a task: the lane waits and tries again
            _log.exception("dead letters cannot be read", extra={"endpoint": line.endpoint.id})
            self._rest(line, lane, _RETRY_SECONDS)
            return
        copies = [(one.record, "") for one in letters
                  if one.record.stream == lane.stream and lane.through < one.record.offset <= floor]  # fmt: skip
        if not lane.stale:
            reached = (
                floor if len(copies) <= self._limits.lane_records else copies[self._limits.lane_records - 1][0].offset
            )
            # What was owed when it was given up may be no more.
            backlog.refill(lane, copies[: self._limits.lane_records], reached, judged=False)
        backlog.again(lane, None)
        self._ready(line)

    def _fill(self, line: Line, lane: Lane, chunk: Chunk) -> None:
        backlog = line.backlog
        records = [record for record in chunk.after(lane.through) if record.offset <= backlog.cursor]
        reached = chunk.reached
        owed: list[tuple[Record, str]] = []
        for record in records:
            answer = self.owed(line, record, lane.replay_until)
            if answer is None:
                self._spawn(lambda: self._fill_slowly(line, lane, records, chunk.reached))
                return
            if answer is not False:
                owed.append((record, "" if answer is True else str(answer)))
                if len(owed) >= self._limits.lane_records:
                    reached = record.offset
                    break
        self._filled(line, lane, owed, reached)

    async def _fill_slowly(self, line: Line, lane: Lane, records: Sequence[Record], reached: int) -> None:
        owed: list[tuple[Record, str]] = []
        before = line.backlog.decision
        try:
            for record in records:
                answer = await self._owed_with_state(line, record, lane.replay_until)
                if answer is not False:
                    owed.append((record, "" if answer is True else str(answer)))
                    if len(owed) >= self._limits.lane_records:
                        reached = record.offset
                        break
        except Exception:  # the top of a task: the lane waits and tries again
            _log.exception("a state could not be had for an endpoint", extra={"endpoint": line.endpoint.id})
            self._rest(line, lane, _RETRY_SECONDS)
            return
        if line.backlog.decision != before:  # begin again
            line.backlog.again(lane, None)
            self._ready(line)
            return
        self._filled(line, lane, owed, reached)

    def _filled(self, line: Line, lane: Lane, owed: list[tuple[Record, str]], reached: int) -> None:
        if not lane.stale and line.member is not None:
            line.backlog.refill(lane, owed, reached)
        line.backlog.again(lane, None)
        self._ready(line)


def with_span(spans: Sequence[Span], after: int, through: int) -> tuple[int, list[Span]]:
    """How many offsets behind ``after`` and through ``through`` lie in none of the spans, and the spans with these."""
    new = through - after - sum(max(0, min(end, through) - max(begin, after)) for begin, end in spans)
    apart = [span for span in spans if span[0] > through or span[1] < after]
    touching = [span for span in spans if span not in apart]
    whole = (min([after, *(begin for begin, _ in touching)]), max([through, *(end for _, end in touching)]))
    return new, [*apart, whole] if through > after else list(spans)
