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
from touchline.delivery.courier.backlog import Backlog, Lane, Saved
from touchline.delivery.courier.handshakes import Handshakes
from touchline.delivery.courier.letters import Letter, Letters
from touchline.delivery.courier.limits import CourierLimits, CourierStats
from touchline.delivery.courier.line import NATIVE_FEED, Line
from touchline.delivery.courier.policy import Ordering, Policy, parse_policy
from touchline.delivery.courier.reading import Reading, States
from touchline.delivery.courier.recent import Recent, Spawn
from touchline.delivery.courier.report import Attempt, DeadLetter, EndpointReport
from touchline.delivery.courier.reporting import Reporting
from touchline.delivery.courier.saving import Saver
from touchline.delivery.courier.scheduler import Scheduler, Share
from touchline.delivery.courier.sending import Hooks, Sender
from touchline.delivery.courier.transport import Transport
from touchline.errors import NotFound
from touchline.feeds.base import Feed, Hosting
from touchline.log.base import EventLog
from touchline.log.endpoints import Endpoint, Endpoints, Status
from touchline.model import Record
from touchline.wire.backoff import Uniform

_log: Final = logging.getLogger(__name__)

_EARLY_SECONDS: Final = 0.001
"""A timer may ring a hair early by the other clock: what is due in a millisecond is due."""
_BETWEEN_LOOKS: Final = 16
"""After so many requests in a row the clock is read again."""

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
        self._feeds = feeds
        self._clock = clock
        self._call_soon = call_soon
        self._call_later = call_later
        self._spawn = spawn
        self._dice = dice
        self.limits = limits = limits or CourierLimits()
        self._stats = stats = CourierStats()
        self._lines: dict[str, Line] = {}
        self._by_feed: dict[str, dict[Line, None]] = {}
        self._by_share: dict[Share, Line] = {}
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
        self._reporting = Reporting(log, self._reading, self._letters, self._sender, hosting, clock, limits)

    # life

    async def start(self) -> None:
        """Go on where the last process was."""
        stored = await self._saver.load()
        for endpoint in self._endpoints.all():
            await self._begin(endpoint, stored.pop(endpoint.id, None))
        for gone in stored:  # its removal was cut off
            await self._saver.forget(gone)
        self._end_changes = self._endpoints.on_change(self._changed)
        self._started = True
        # What changed while this was read.
        for endpoint in self._endpoints.all():
            self._refresh(endpoint.id)
        self._handshakes.refresh(self._lines)
        for line in self._lines.values():
            self.ready(line)

    async def stop(self) -> None:
        """Start nothing more, wait a little for what is under way, and save where everything stands."""
        self._stopping = True
        if self._end_changes is not None:
            self._end_changes()
        deadline = self._clock.monotonic() + self.limits.stop_seconds
        while any(line.flights for line in self._lines.values()) and self._clock.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for line in self._lines.values():
            self._cancel(line)
        if self._timer is not None:
            self._timer.cancel()
        self._mark_moved()
        await self._saver.flush()

    async def _begin(self, endpoint: Endpoint, saved: Saved | None) -> None:
        feed = self._feeds.get(endpoint.feed)
        if feed is None or feed.webhook is None:
            _log.error("an endpoint's feed has no webhooks", extra={"endpoint": endpoint.id, "feed": endpoint.feed})
            return
        line = Line(endpoint, feed, feed.webhook, self._policy(endpoint, feed))
        self._take_over(line, saved)
        line.dead = await self._letters.offsets(endpoint.id) if saved is not None else set()
        self._enter(line)

    def _enter(self, line: Line) -> None:
        endpoint = line.endpoint
        self._lines[endpoint.id] = line
        self._by_feed.setdefault(endpoint.feed, {})[line] = None
        self._by_share[line.share] = line
        self._update(line, endpoint)

    def _take_over(self, line: Line, saved: Saved | None) -> None:
        """The backlog of an endpoint, as it was stored."""
        endpoint, limits, head = line.endpoint, self.limits, self._log.head
        ordering = line.policy.order if saved is None or not saved.open else saved.order
        cursor = endpoint.begins if saved is None else saved.cursor
        if (saved is not None and saved.epoch != self._log.epoch) or cursor > head:
            about = {"endpoint": endpoint.id, "cursor": cursor, "head": head}
            _log.warning(
                "the log is not the one in which an endpoint stood; it goes on at the head at most", extra=about
            )
            cursor = min(cursor, head)
        line.alone = ordering is not line.policy.order
        line.backlog = Backlog(cursor, ordering, lane_records=limits.lane_records, held_bytes=limits.held_bytes)
        if saved is None:
            return
        line.backlog.load(saved)
        now = self._clock.monotonic()
        if saved.failing:
            line.announced_failing = True
            line.health.open_at(now)
            line.share.suspect = True
        if saved.failing_since is not None:
            line.health.failing_since = now - max(0.0, (self._clock.wall_ns() - saved.failing_since) / 1e9)
            line.health.failures_since = saved.failures
        line.saved_cursor = saved.cursor

    def _policy(self, endpoint: Endpoint, feed: Feed) -> Policy:
        try:
            return parse_policy(endpoint.options, feed.capabilities.order)
        except ValueError as error:
            about = {"endpoint": endpoint.id, "reason": str(error)}
            _log.warning("an endpoint's stored options are no good; the defaults are used", extra=about)
            return parse_policy({}, feed.capabilities.order)

    # changes of the directory

    def changed(self, kind: str, name: str) -> None:
        """For the directory's ``on_change``: a partner may be suspended, narrowed or gone."""
        if kind == "partner" and self._started:
            for line in list(self._lines.values()):
                if line.endpoint.partner == name:
                    self._refresh(line.endpoint.id)

    def _changed(self, kind: str, name: str) -> None:
        if kind == "endpoint":
            self._refresh(name)
            return
        subscription = self._endpoints.subscription(name)
        if subscription is not None and (line := self._lines.get(subscription.endpoint)) is not None:
            self._handshakes.take(line, subscription)

    def _refresh(self, endpoint_id: str) -> None:
        """An endpoint may have come, changed or gone."""
        line = self._lines.get(endpoint_id)
        try:
            endpoint = self._endpoints.get(endpoint_id)
        except NotFound:
            if line is not None:
                self._remove(line)
            return
        if line is None:
            feed = self._feeds.get(endpoint.feed)
            if feed is None or feed.webhook is None:
                return
            line = Line(endpoint, feed, feed.webhook, self._policy(endpoint, feed))
            self._take_over(line, None)
            self._enter(line)
            self._saver.mark(line)
            self._handshakes.refresh({endpoint_id: line})
        else:
            self._update(line, endpoint)
        self.ready(line)

    def _update(self, line: Line, endpoint: Endpoint) -> None:
        old, line.endpoint = line.endpoint, endpoint
        if endpoint is not old:
            line.policy = self._policy(endpoint, line.feed)
            line.share.limit(line.policy.window, line.policy.rate_limit)
            if line.policy.order is not line.backlog.ordering:
                line.alone = True
            elif line.alone:
                line.alone = False
            if endpoint.url != old.url:
                self._forgive(line)
        self._look_anew(line)
        member = self._endpoints.member(endpoint)
        if member is None and line.member is not None:
            self._cancel(line)
        line.member = member
        if (endpoint.status, endpoint.by_hub) != (old.status, old.by_hub):
            self._status_changed(line, old.status)
        elif line.hourly_at is None and self._is_probed(line):
            line.hourly_at = self._clock.monotonic()

    def _look_anew(self, line: Line) -> None:
        """What is derived of the endpoint: its view with the secrets that are good now, and its variant."""
        endpoint, wall = line.endpoint, self._clock.wall_ns()
        line.view = self._endpoints.view(endpoint)
        ends = [one.expires_at for one in endpoint.secrets if one.expires_at is not None and one.expires_at > wall]
        line.view_until = min(ends, default=None)
        try:
            line.variant = line.codec.variant(line.view)
            line.admitted = line.codec.admitted_for(line.view)
        except Exception:  # a feed's code; the last ones stay
            _log.exception("a feed cannot read an endpoint's options", extra={"endpoint": endpoint.id})

    def _status_changed(self, line: Line, before: Status) -> None:
        endpoint = line.endpoint
        line.gone = ""
        line.hourly_at = None
        if endpoint.status == "active":
            self._forgive(line)
            if before != "active":
                line.announced_failing = False
                self._announcing.tell(endpoint, "recovered", endpoint.reason)
        else:
            if self._is_probed(line):
                line.hourly_at = self._clock.monotonic() + self.limits.paused_probe_seconds
                self.alarm(line, line.hourly_at)
            if before != endpoint.status:
                self._announcing.tell(endpoint, endpoint.status, endpoint.reason)
        self._saver.mark(line)

    def _is_probed(self, line: Line) -> bool:
        """Whether the hub paused it for an outage, and not because it has too many dead letters."""
        endpoint = line.endpoint
        return endpoint.status == "paused" and endpoint.by_hub and len(line.dead) < self.limits.dead_letters

    def _remove(self, line: Line) -> None:
        line.removed = True
        self._cancel(line)
        endpoint = line.endpoint
        self._lines.pop(endpoint.id, None)
        self._by_feed.get(endpoint.feed, {}).pop(line, None)
        self._by_share.pop(line.share, None)
        self._scans.pop(line, None)

        async def forget() -> None:
            try:
                await self._saver.forget(endpoint.id)
            except Exception:  # the top of a task: the next start clears up what is left
                _log.exception("what is stored of a removed endpoint is still there", extra={"endpoint": endpoint.id})

        self._spawn(forget)

    def _cancel(self, line: Line) -> None:
        """Break off what is under way; it is as if it had not been sent."""
        now = self._clock.monotonic()
        for flight in list(line.flights):
            if flight.sending is not None:
                flight.sending.cancel()
            self._scheduler.finished(flight, now, answered=False, timed_out=False)
            if flight.lane is not None:
                line.backlog.again(flight.lane, None)
            if flight.telling is not None:
                flight.telling.busy = False
        line.flights.clear()

    # records in

    def dispatch(self, records: Sequence[Record]) -> None:
        """The log's follower: note what is new, for whom; the work is done in the next turns."""
        feeds = self._recent.add(records)
        if not feeds or not self._lines:
            return
        for feed in feeds | {NATIVE_FEED}:
            for line in self._by_feed.get(feed, ()):
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
                found = self._by_share.get(share)
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
            self._look_anew(line)
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
        for line in list(self._lines.values()):
            self._check(line)
            self._judge_long_outage(line, now)
        self._handshakes.refresh(self._lines)
        self._announcing.tick()
        if now - self._refreshed_at >= self.limits.refresh_seconds:
            self._refreshed_at = now
            self._mark_moved()

    def _check(self, line: Line) -> None:
        """A partner that is suspended or gone is noticed here at the latest."""
        endpoint = line.endpoint
        try:
            same = self._endpoints.get(endpoint.id) is endpoint and self._endpoints.member(endpoint) is line.member
        except NotFound:
            same = False
        if not same:
            self._refresh(endpoint.id)
        elif line.stalled:
            line.stalled = False
            self.ready(line)

    def _mark_moved(self) -> None:
        """Cursors that only passed over what is not wanted are written now and then too."""
        for line in self._lines.values():
            backlog = line.backlog
            if backlog.cursor >= self._recent.floor and not self._reading.is_behind(line):
                backlog.cursor = max(backlog.cursor, self._recent.last)
            if backlog.cursor != line.saved_cursor or line.unsaved:
                self._saver.mark(line)

    def _judge_long_outage(self, line: Line, now: float) -> None:
        endpoint, health, limits = line.endpoint, line.health, self.limits
        if line.gone and not line.removed:
            return
        if endpoint.status == "active":
            since = health.failing_since
            if (
                since is not None
                and now - since >= limits.failing_seconds
                and health.failures_since >= limits.failing_count
            ):
                self.set_status(line, "paused", "it has taken nothing for 24 hours; it is tried once an hour")
        elif (
            endpoint.status == "paused"
            and line.hourly_at is not None
            and health.failing_since is not None
            and self._clock.wall_ns() - endpoint.changed_at >= limits.paused_seconds * 1e9
        ):
            self.set_status(line, "disabled", "it has taken nothing for a week since it was paused")

    # what the sender finds out

    def settled(self, line: Line) -> None:
        """Something of it is to be made durable."""
        full = line.share.in_flight + line.unsaved >= self.limits.undurable
        self._saver.mark(line, urgent=full)

    def failing(self, line: Line) -> None:
        """Its breaker has opened."""
        if not line.announced_failing:
            line.announced_failing = True
            self._announcing.tell(line.endpoint, "failing", line.last_error)
            self._saver.mark(line)

    def succeeded(self, line: Line, *, closed: bool) -> None:
        """It took a record."""
        if line.endpoint.status == "paused" and line.endpoint.by_hub:
            self.set_status(line, "active", "it takes deliveries again")
        elif line.announced_failing and (
            line.health.is_over() or (closed and not line.backlog.lanes and not self._reading.is_behind(line))
        ):
            line.announced_failing = False
            self._announcing.tell(line.endpoint, "recovered", "it takes deliveries again")

    def set_status(self, line: Line, status: Status, why: str) -> None:
        """The hub pauses or disables it, or takes that back; nothing is sent until that is durable."""
        if line.gone:
            return
        line.gone = why

        async def change() -> None:
            try:
                await self._endpoints.set_status(line.endpoint.id, status, reason=why, by_hub=True)
            except NotFound:
                pass
            except Exception:  # the top of a task: whatever brought it about comes again
                _log.exception("an endpoint's status cannot be written", extra={"endpoint": line.endpoint.id})
                line.stalled = True
            line.gone = ""
            self.ready(line)

        self._spawn(change)

    def _forgive(self, line: Line) -> None:
        line.health.forget()
        line.wait_until = None
        line.share.suspect = False
        line.stalled = False
        self._sender.wake(line)

    # what operators ask

    def _line(self, endpoint_id: str) -> Line:
        line = self._lines.get(endpoint_id)
        if line is None:
            raise NotFound(f"there is no endpoint {endpoint_id[:80]!r}")
        return line

    def wake(self, endpoint_id: str) -> None:
        """Forget back-off, breaker and Retry-After, and try at once. Raises NotFound."""
        line = self._line(endpoint_id)
        self._forgive(line)
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
                backlog.take(letter.record)
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

    @property
    def stats(self) -> CourierStats:
        """Counters, with what is under way and the endpoints by state counted now."""
        now, states = self._clock.monotonic(), dict[str, int]()
        for line in self._lines.values():
            state = line.state(now)
            states[state] = states.get(state, 0) + 1
        self._stats.endpoints = states
        self._stats.in_flight = self._scheduler.healthy + self._scheduler.suspect
        return self._stats
