"""The courier: takes what the log appended, and sees that every endpoint receives what it is owed.

Puts the parts together, keeps the lines (one per endpoint) current, and shares the event loop: work is done in turns of
a few milliseconds. Everything runs on the event loop. Connect ``dispatch`` to the log before anything is appended after
the courier was made; call ``tick`` about once a second.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from touchline.clock import Clock
from touchline.delivery.courier.announcing import Announcing, Append
from touchline.delivery.courier.attempts import Attempts
from touchline.delivery.courier.backlog import Lane
from touchline.delivery.courier.handshakes import Handshakes
from touchline.delivery.courier.lagging import Lag, measure
from touchline.delivery.courier.letters import Letter, Letters
from touchline.delivery.courier.limits import CourierLimits, CourierStats
from touchline.delivery.courier.line import NATIVE_FEED, Line
from touchline.delivery.courier.lines import Lines
from touchline.delivery.courier.policy import Ordering
from touchline.delivery.courier.reading import Reading, States
from touchline.delivery.courier.recent import Recent, Spawn
from touchline.delivery.courier.report import Attempt, DeadLetter, EndpointReport
from touchline.delivery.courier.reporting import Reporting
from touchline.delivery.courier.saving import Saver
from touchline.delivery.courier.scheduler import Scheduler
from touchline.delivery.courier.sending import Hooks, Sender
from touchline.delivery.courier.transport import Transport
from touchline.errors import LogError, NotFound
from touchline.feeds.base import Feed, Hosting
from touchline.log.base import EventLog
from touchline.log.endpoints import Endpoints, Status
from touchline.model import Record
from touchline.wire.backoff import Uniform

_log: Final = logging.getLogger(__name__)

_EARLY_SECONDS: Final = 0.001
"""A timer may ring a hair early by the other clock: what is due in a millisecond is due."""
_BETWEEN_LOOKS: Final = 4
"""After so many requests in a row the clock is read again: an RSA signature in one takes half a millisecond."""

CallSoon = Callable[[Callable[[], None]], object]


class Timer(Protocol):
    """What ``call_later`` gives."""

    def cancel(self) -> None:
        """Do not call."""


CallLater = Callable[[float, Callable[[], None]], Timer]


class Courier(Hooks):
    """See the module docstring. ``hosting`` is None for a feed whose signing material is not made yet;
    ``call_later`` is the running loop's unless given."""

    def __init__(
        self,
        log: EventLog,
        endpoints: Endpoints,
        feeds: Mapping[str, Feed],
        states: States,
        transport: Transport,
        clock: Clock,
        *,
        call_soon: CallSoon,
        spawn: Spawn,
        dice: Uniform,
        hosting: Callable[[str], Hosting | None],
        append: Append,
        limits: CourierLimits | None = None,
        call_later: CallLater | None = None,
    ) -> None:
        self._log = log
        self._endpoints = endpoints
        self._clock = clock
        self._call_soon = call_soon
        self._call_later = call_later
        self.limits = limits = limits or CourierLimits()
        self._stats = stats = CourierStats()
        self._scans: dict[Line, None] = {}
        self._alarms: list[tuple[float, int, Line, Lane | None]] = []
        self._count = itertools.count()
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._turning = False
        self._stopping = False
        self._started = False
        self._refreshed_at = clock.monotonic()
        self._end_changes: Callable[[], None] | None = None
        self._recent = Recent(log.head, max_records=limits.recent_records, max_bytes=limits.recent_bytes)
        self._letters = Letters(log.directory)
        self._scheduler = Scheduler(limits.healthy_requests, limits.suspect_requests)
        self._reading = Reading(
            log, endpoints, states, self._recent, self._letters, spawn, limits, stats, self.ready, self.rest
        )
        self._sender = Sender(transport, clock, dice, self._scheduler, self._reading, hosting, limits, stats, self)
        self._saver = Saver(log, self._letters, clock, spawn, self._later, limits, stats, self.ready)
        self._announcing = Announcing(append, clock, spawn)
        self._handshakes = Handshakes(
            endpoints, clock, dice, self._scheduler, self._sender, hosting, spawn, limits, stats, self
        )
        self._lines = Lines(
            log,
            endpoints,
            feeds,
            clock,
            self._scheduler,
            self._reading,
            self._sender,
            self._saver,
            self._letters,
            self._handshakes,
            self._announcing,
            spawn,
            limits,
            self,
        )
        self._reporting = Reporting(log, self._reading, self._letters, self._sender, hosting, clock, limits)

    # life

    async def start(self) -> None:
        """Go on where the last process was."""
        stored = await self._saver.load()
        for endpoint in self._endpoints.all():
            await self._lines.begin(endpoint, stored.pop(endpoint.id, None))
        for gone in stored:  # its removal was cut off
            await self._saver.forget(gone)
        self._end_changes = self._endpoints.on_change(self._changed)
        self._started = True
        # What changed while this was read.
        for endpoint in self._endpoints.all():
            self._lines.refresh(endpoint.id)
        self._handshakes.refresh(self._lines.by_id)
        for line in self._lines.by_id.values():
            self.ready(line)

    async def stop(self) -> None:
        """Start nothing more, wait a little for what is under way, and save where everything stands."""
        self._stopping = True
        if self._end_changes is not None:
            self._end_changes()
        deadline = self._clock.monotonic() + self.limits.stop_seconds
        under_way = [line for line in self._lines.by_id.values() if line.flights]
        while under_way and self._clock.monotonic() < deadline:
            await asyncio.sleep(0.02)
            under_way = [line for line in under_way if line.flights]
        for line in self._lines.by_id.values():
            self._lines.cancel(line)
        if self._timer is not None:
            self._timer.cancel()
        self._mark_moved()
        try:
            await self._saver.flush()
        except LogError as error:
            _log.warning(
                "the cursors could not be saved at the end; a little is sent twice", extra={"reason": str(error)}
            )

    # changes of the directory

    def changed(self, kind: str, name: str) -> None:
        """For the directory's ``on_change``: a partner may be suspended, narrowed or gone."""
        if kind == "partner" and self._started:
            for line in list(self._lines.by_id.values()):
                if line.endpoint.partner == name:
                    self._lines.refresh(line.endpoint.id)

    def _changed(self, kind: str, name: str) -> None:
        if kind == "endpoint":
            self._lines.refresh(name)
            return
        subscription = self._endpoints.subscription(name)
        if subscription is None:  # it has ended, and whose it was is forgotten
            for one in self._lines.by_id.values():
                one.backlog.decision += 1
        elif (line := self._lines.by_id.get(subscription.endpoint)) is not None:
            line.backlog.decision += 1
            self._handshakes.take(line, subscription)

    # records in

    def dispatch(self, records: Sequence[Record]) -> None:
        """The log's follower: note what is new, for whom; the work is done in the next turns."""
        feeds = self._recent.add(records)
        if not feeds or not self._lines.by_id:
            return
        for feed in feeds | {NATIVE_FEED}:
            for line in self._lines.by_feed.get(feed, ()):
                if not line.scan_queued and not line.scanning:
                    line.scan_queued = True
                    self._scans[line] = None
        if self._scans:
            self._call_turn()

    # turns

    def ready(self, line: Line) -> None:
        """It may have something to do: look at it in the next turn."""
        if line.removed:
            return
        if not line.scan_queued:
            line.scan_queued = True
            self._scans[line] = None
        self._call_turn()

    def _call_turn(self) -> None:
        if not self._turning and self._started and not self._stopping:
            self._turning = True
            self._call_soon(self._turn)

    def _turn(self) -> None:
        self._turning = False
        if self._stopping:
            return
        clock, scheduler, scans = self._clock, self._scheduler, self._scans
        now = clock.monotonic() + _EARLY_SECONDS
        deadline = now + self.limits.turn_seconds
        count = 0
        while True:
            if scans:
                line = next(iter(scans))
                del scans[line]
                line.scan_queued = False
                self._look_at(line, now)
            share = scheduler.next(now)
            if share is not None:
                found = self._lines.by_share.get(share)
                if found is None or not self._start(found, now):
                    scheduler.idle(share)
            elif not scans:
                break
            count += 1
            if count % _BETWEEN_LOOKS == 0:
                now = clock.monotonic() + _EARLY_SECONDS
                if now > deadline:
                    self._call_turn()
                    break
        overdue = scheduler.next_overdue()
        if overdue is not None:
            self._arm(overdue)

    def _look_at(self, line: Line, now: float) -> None:
        reading = self._reading
        if not line.removed and not line.scanning and not line.stalled:
            if line.backlog.cursor < self._recent.last and reading.is_behind(line):
                reading.scan(line)
                if line.wants_more(self.limits) and reading.is_behind(line):
                    self.ready(line)
            if not line.share.queued and (
                line.next_lane(now, self.limits) is not None or self._handshakes.next(line, now) is not None
            ):
                self._scheduler.add(line.share)

    def _start(self, line: Line, now: float) -> bool:
        if line.view_until is not None and self._clock.wall_ns() >= line.view_until:
            self._lines.look_anew(line)
        if line.telling and (telling := self._handshakes.next(line, now)) is not None:
            return self._handshakes.start(line, telling, now)
        return self._sender.start(line, now)

    # timers

    def rest(self, line: Line, lane: Lane, seconds: float) -> None:
        """Put a lane off."""
        due = self._clock.monotonic() + seconds
        line.backlog.again(lane, due)
        if lane.due is not None:
            heapq.heappush(self._alarms, (due, next(self._count), line, lane))
            self._arm(due)

    def alarm(self, line: Line, at: float) -> None:
        """Look at a line again at a time (monotonic)."""
        heapq.heappush(self._alarms, (at, next(self._count), line, None))
        self._arm(at)

    def _later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return (self._call_later or asyncio.get_running_loop().call_later)(seconds, callback)

    def _arm(self, at: float) -> None:
        if self._stopping or (self._timer is not None and self._timer_at <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._later(max(0.0, at - self._clock.monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._clock.monotonic() + _EARLY_SECONDS
        alarms = self._alarms
        while alarms and alarms[0][0] <= now:
            due, _, line, lane = heapq.heappop(alarms)
            if line.removed:
                continue
            if lane is not None and lane.due == due and not lane.busy:
                line.backlog.wake(lane)
            self.ready(line)
        if alarms:
            self._arm(alarms[0][0])
        self._call_turn()

    def tick(self) -> None:
        """About once a second: what no event brings about."""
        if not self._started or self._stopping:
            return
        now = self._clock.monotonic()
        for line in list(self._lines.by_id.values()):
            self._lines.check(line)
            self._lines.judge_long_outage(line, now)
        self._handshakes.refresh(self._lines.by_id)
        self._announcing.tick()
        if now - self._refreshed_at >= self.limits.refresh_seconds:
            self._refreshed_at = now
            self._mark_moved()

    def _mark_moved(self) -> None:
        """Cursors that only passed over what is not wanted are written now and then too."""
        for line in self._lines.by_id.values():
            backlog = line.backlog
            if backlog.cursor >= self._recent.floor and not self._reading.is_behind(line):
                backlog.cursor = max(backlog.cursor, self._recent.last)
            elif backlog.cursor < self._recent.floor:
                # Of a quiet feed on a busy hub: nothing calls it, and retention must not come to where it stands.
                self.ready(line)
            if backlog.cursor != line.saved_cursor or line.unsaved:
                self._saver.mark(line)

    # what the sender finds out

    def settled(self, line: Line) -> None:
        """Something of it is to be made durable."""
        full = line.share.in_flight + line.unsaved >= self.limits.undurable
        self._saver.mark(line, urgent=full)

    def failing(self, line: Line) -> None:
        """Its breaker has opened."""
        self._lines.failing(line)

    def succeeded(self, line: Line, *, closed: bool) -> None:
        """It took a record."""
        self._lines.succeeded(line, closed=closed)

    def set_status(self, line: Line, status: Status, why: str) -> None:
        """The hub pauses or disables it, or takes that back."""
        self._lines.set_status(line, status, why)

    # what operators ask

    def _line(self, endpoint_id: str) -> Line:
        line = self._lines.by_id.get(endpoint_id)
        if line is None:
            raise NotFound(f"there is no endpoint {endpoint_id[:80]!r}")
        return line

    def wake(self, endpoint_id: str) -> None:
        """Forget back-off, breaker and Retry-After, and try at once. Raises NotFound."""
        line = self._line(endpoint_id)
        self._lines.forgive(line)
        if line.hourly_at is not None:
            line.hourly_at = self._clock.monotonic()
        if line.announced_failing:
            # It has not taken anything yet: should it fail again, that is no change.
            self._saver.mark(line)
        for telling in (line.telling or {}).values():
            telling.due = None
        self.ready(line)

    async def replay(self, endpoint_id: str, after: int) -> None:
        """Deliver again everything after an offset, in order; returns when that is durable. Raises NotFound."""
        line = self._line(endpoint_id)
        backlog = line.backlog
        if self._reading.is_behind(line) is False:
            backlog.cursor = max(backlog.cursor, self._recent.last)
        backlog.rewind(max(0, after, self._log.floor))
        line.place = None
        self._saver.mark(line)
        await self._saver.flush()
        self.ready(line)

    async def redrive(self, endpoint_id: str, offsets: Collection[int] | None = None) -> int:
        """Deliver dead letters again (None: all): a stream in order from there to its head, a record of an endpoint
        without order alone. How many there were; each goes away when it is delivered. Raises NotFound."""
        line = self._line(endpoint_id)
        wanted = {offset for offset in line.dead if offsets is None or offset in offsets}
        letters = [one for one in await self._letters.all(endpoint_id) if one.about.offset in wanted]
        if not letters or line.removed:
            return 0
        if line.backlog.ordering is Ordering.STRICT:
            self._redrive_strictly(line, letters)
        else:
            for letter in letters:
                record = letter.record
                line.backlog.redrive(record.stream, line.backlog.key(record), record.offset)
        self._saver.mark(line)
        await self._saver.flush()
        self.ready(line)
        return len(letters)

    def _redrive_strictly(self, line: Line, letters: list[Letter]) -> None:
        backlog, floor = line.backlog, self._log.floor
        after = max(letters[0].about.offset - 1, floor)
        backlog.rewind(after)
        for letter in letters:
            if letter.about.offset <= floor:  # the log has it no more
                backlog.take(letter.record, judged=False)
        backlog.cursor = after
        backlog.replay_from = min(backlog.replay_from, letters[0].about.offset - 1)

    async def test(self, endpoint_id: str) -> Attempt:
        """One POST of a made-up record, now, past the queues and not counted. Raises NotFound."""
        line = self._line(endpoint_id)
        return await self._reporting.test(line)

    def attempts(self, endpoint_id: str) -> Sequence[Attempt]:
        """The last attempts, oldest first. Raises NotFound."""
        attempts: Attempts | None = self._line(endpoint_id).attempts
        return [] if attempts is None else attempts.all()

    async def dead_letters(self, endpoint_id: str, limit: int = 1000) -> Sequence[DeadLetter]:
        """The dead letters, by offset, at most so many. Raises NotFound."""
        self._line(endpoint_id)
        return [letter.about for letter in (await self._letters.all(endpoint_id))[:limit]]

    async def report(self, endpoint_id: str) -> EndpointReport:
        """How an endpoint does. Raises NotFound."""
        return await self._reporting.report(self._line(endpoint_id), self._recent.last)

    def state(self, endpoint_id: str) -> str:
        """How it does in a word (``EndpointReport.state``). Raises NotFound."""
        return self._line(endpoint_id).state(self._clock.monotonic())

    async def lag(self) -> dict[str, Lag]:
        """How far the endpoints are behind, by state (``EndpointReport.state``)."""
        lines = list(self._lines.by_id.values())
        return await measure(lines, self._recent, self._log, self._clock.monotonic(), self._clock.wall_ns())

    @property
    def stats(self) -> CourierStats:
        """Counters, with what is under way and the endpoints by state counted now."""
        now, states = self._clock.monotonic(), dict[str, int]()
        for line in self._lines.by_id.values():
            state = line.state(now)
            states[state] = states.get(state, 0) + 1
        self._stats.endpoints = states
        self._stats.letters = sum(len(line.dead) for line in self._lines.by_id.values())
        self._stats.in_flight = self._scheduler.healthy + self._scheduler.suspect
        return self._stats
