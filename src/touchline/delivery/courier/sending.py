"""Sends the heads of lanes, and draws the consequences of what is answered.

Owns the contract's table: what is tried again and when, what opens and closes the breaker, what is given up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from functools import partial
from typing import Final, Protocol

import touchline
from touchline.clock import Clock
from touchline.delivery.courier.attempts import Attempts
from touchline.delivery.courier.backlog import Item, Lane
from touchline.delivery.courier.health import Trial, spread
from touchline.delivery.courier.limits import CourierLimits, CourierStats
from touchline.delivery.courier.line import Flight, Line
from touchline.delivery.courier.messages import Messages, Unfit, message_id
from touchline.delivery.courier.reading import Reading
from touchline.delivery.courier.scheduler import Scheduler
from touchline.delivery.courier.transport import Post, Reply, Sending, Transport, Trouble
from touchline.delivery.courier.verdict import Verdict, is_timeout, judge, reason
from touchline.feeds.base import Hosting, Instant, Outgoing, Prepared
from touchline.log.endpoints import Status
from touchline.wire.backoff import Uniform
from touchline.wire.http import Pairs

_log: Final = logging.getLogger(__name__)

GONE: Final = "the endpoint answered 410: it is gone for good"

_AGENT: Final = ("user-agent", f"Touchline/{touchline.__version__}")
_REPLAY: Final = ("touchline-replay", "1")


class Hooks(Protocol):
    """What the sender asks of the courier around it."""

    def ready(self, line: Line) -> None:
        """It may have something to do."""

    def rest(self, line: Line, lane: Lane, seconds: float) -> None:
        """Put a lane off."""

    def alarm(self, line: Line, at: float) -> None:
        """Look at a line again at a time (monotonic)."""

    def settled(self, line: Line) -> None:
        """Something of it is to be made durable."""

    def failing(self, line: Line) -> None:
        """Its breaker has opened."""

    def succeeded(self, line: Line, *, closed: bool) -> None:
        """It took a record; whether that closed its breaker."""

    def set_status(self, line: Line, status: Status, why: str) -> None:
        """The hub pauses or disables it, or takes that back."""


class Sender:
    """See the module docstring."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        dice: Uniform,
        scheduler: Scheduler,
        reading: Reading,
        hosting: Callable[[str], Hosting | None],
        limits: CourierLimits,
        stats: CourierStats,
        hooks: Hooks,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._dice = dice
        self._scheduler = scheduler
        self._reading = reading
        self._hosting = hosting
        self._limits = limits
        self._stats = stats
        self._hooks = hooks
        self._messages = Messages(limits.prepared_records, limits.prepared_bytes)

    # out

    def start(self, line: Line, now: float) -> bool:
        """Send one request of a line, if one may go; whether anything was done."""
        share = line.share
        lane = line.next_lane(now, self._limits)
        if lane is None:
            return False
        wait = share.wait(now)
        if wait:
            self._hooks.alarm(line, now + wait)
            return False
        if not lane.items:
            self._reading.refill(line, lane)
            return True
        hosting = self._hosting(line.endpoint.feed)
        if hosting is None:
            line.stalled = True
            return False
        item = lane.items[0]
        if item.decision != line.backlog.decision:
            self._reading.look_again(line, lane)
            return True
        prepared = self._prepared(line, lane, item)
        if prepared is not None:
            self._send(line, lane, item, prepared, hosting, now)
        return True

    def _prepared(self, line: Line, lane: Lane, item: Item) -> Prepared | None:
        """Its head made ready; what cannot be goes to the dead letters, what need not be is passed over."""
        fault = item.fault
        if not fault:
            prepared = self._messages.prepare(line.endpoint.feed, line.codec, line.variant, item.record)
            if isinstance(prepared, Prepared):
                return prepared
            line.backlog.begin(lane)
            if prepared is None:
                line.backlog.done(lane)
                self._hooks.ready(line)
                return None
            fault = prepared.reason
            self._note_fault(line, item, prepared)
        else:
            line.backlog.begin(lane)
        self.bury(line, lane, item, fault)
        return None

    def _note_fault(self, line: Line, item: Item, unfit: Unfit) -> None:
        self._stats.faults += 1
        if unfit.error is not None:
            about = {"feed": line.endpoint.feed, "offset": item.record.offset, "type": item.record.event.type}
            _log.error("a record could not be encoded", extra=about, exc_info=unfit.error)
            unfit.error = None

    def _send(self, line: Line, lane: Lane, item: Item, prepared: Prepared, hosting: Hosting, now: float) -> None:
        offset, backlog = item.record.offset, line.backlog
        name = message_id(line.endpoint.id, offset)
        wall = self._clock.wall_ns()
        try:
            outgoing = line.codec.finish(prepared, line.view, name, Instant(wall, now), hosting)
        except Exception as error:  # a feed's code; one record of its must not stop an endpoint
            backlog.begin(lane)
            unfit = Unfit(error)
            self._note_fault(line, item, unfit)
            self.bury(line, lane, item, unfit.reason)
            return
        flight = Flight(line, now, lane=lane, item=item, message_id=name)
        flight.probe = line.health.is_open or line.endpoint.status != "active"
        flight.replay = backlog.is_replay(lane, offset)
        item.attempts += 1
        backlog.begin(lane)
        if flight.probe:
            backlog.put_last(lane)
        line.flights[flight] = None
        self._stats.attempts += 1
        self._scheduler.started(line.share, len(outgoing.body), flight)
        self.post(line, outgoing, flight, self._answered)

    def post(self, line: Line, outgoing: Outgoing, flight: Flight, done: Callable[[Flight, Reply], None]) -> None:
        """Hand a message to the transport; ``done`` is told of the answer."""
        flight.sending = self.send(line, outgoing, partial(done, flight), replay=flight.replay)
        if flight.sending is None:
            done(flight, Reply(None, trouble=Trouble.BROKEN, detail="the request cannot be made"))

    def send(
        self, line: Line, outgoing: Outgoing, done: Callable[[Reply], None], *, replay: bool = False
    ) -> Sending | None:
        """The same without accounting; None when the transport refuses such a request."""
        policy = line.policy
        headers: Pairs = outgoing.headers + policy.headers
        for name, _ in headers:
            if name == "user-agent":
                break
        else:
            headers = (*headers, _AGENT)
        if replay:
            headers = (*headers, _REPLAY)
        post = Post(line.endpoint.url, headers, outgoing.body, policy.connect_seconds, policy.timeout_seconds)
        try:
            return self._transport.send(post, done)
        except Exception:  # whatever a stored address may hold, it concerns its endpoint alone
            _log.exception("a request could not be made", extra={"endpoint": line.endpoint.id})
            return None

    # back

    def _answered(self, flight: Flight, reply: Reply) -> None:
        """An answer, or none in time."""
        line, lane, item = flight.line, flight.lane, flight.item
        if flight.over or lane is None or item is None:
            return
        now, wall = self._clock.monotonic(), self._clock.wall_ns()
        line.flights.pop(flight, None)
        judgement = judge(reply, line.policy, wall)
        verdict = judgement.verdict
        self._scheduler.finished(flight, now, answered=verdict is Verdict.DELIVERED, timed_out=is_timeout(reply))
        item.status = reply.status
        self._note(flight, item, reply, wall)
        if line.removed:
            return
        if verdict is Verdict.DELIVERED:
            self._delivered(flight, lane, item, now)
        elif verdict is Verdict.WAIT:
            self._stats.deferred += 1
            line.last_error = reason(reply)
            line.wait_until = max(line.wait_until or 0.0, now + judgement.wait_seconds)
            line.backlog.again(lane, None)
            self._hooks.alarm(line, line.wait_until)
        elif verdict is Verdict.GONE:
            line.last_error = reason(reply)
            line.backlog.again(lane, None)
            self._hooks.set_status(line, "disabled", GONE)
        elif verdict is Verdict.VOID:
            line.backlog.again(lane, None)
        else:
            self._failed(flight, lane, item, reply, now, final=verdict is Verdict.FINAL)
        self._hooks.ready(line)

    def _note(self, flight: Flight, item: Item, reply: Reply, wall: int) -> None:
        line, event = flight.line, item.record.event
        if line.attempts is None:
            line.attempts = Attempts(self._limits.attempts, personal=line.feed.capabilities.personal)
        line.attempts.add(
            wall, "delivery", flight.message_id, item.record.offset, event.type, event.subject, item.attempts, reply,
            replay=flight.replay,
        )  # fmt: skip

    def _delivered(self, flight: Flight, lane: Lane, item: Item, now: float) -> None:
        line = flight.line
        line.delivered += 1
        line.unsaved += 1
        line.count(now, success=True)
        self._stats.delivered += 1
        if line.dead and item.record.offset in line.dead:
            line.dead.discard(item.record.offset)
            line.undead.append(item.record.offset)
            self._stats.redriven += 1
        line.wait_until = None
        line.backlog.done(lane)
        failed = line.health.failed_lanes
        lone = next(iter(failed)) if len(failed) == 1 and lane.key not in failed else None
        closed = line.health.succeeded(now, first=item.trial is None)
        if closed:
            self._end_outage(line, lone)
        self._hooks.succeeded(line, closed=closed)
        self._hooks.settled(line)

    def _end_outage(self, line: Line, lone: Hashable | None) -> None:
        """All that waits may go, but for what is perhaps poison: suspects, and what alone had failed as another was
        taken. The waits of these go on growing."""
        for lane in list(line.backlog.lanes.values()):
            trial = lane.trial
            if trial is None or not (trial.suspect or lane.key == lone):
                self._wake_lane(line, lane)
            elif not lane.busy and lane.due is None:
                line.backlog.begin(lane)
                self._hooks.rest(line, lane, spread(line.policy.retry_seconds(max(1, trial.waits)), self._dice))

    def wake(self, line: Line) -> None:
        """All that waits after failures may go at once."""
        for lane in list(line.backlog.lanes.values()):
            self._wake_lane(line, lane)

    @staticmethod
    def _wake_lane(line: Line, lane: Lane) -> None:
        if lane.trial is not None:
            lane.trial.waits = 0
        if lane.due is not None and not lane.busy:
            line.backlog.wake(lane)

    def _failed(self, flight: Flight, lane: Lane, item: Item, reply: Reply, now: float, *, final: bool) -> None:
        line, health, policy = flight.line, flight.line.health, flight.line.policy
        line.failed += 1
        line.last_error = reason(reply)
        line.count(now, success=False)
        self._stats.failed += 1
        trial = item.trial
        first = trial is None
        if trial is None:
            trial = item.trial = Trial()
        answered = reply.status is not None
        own_fault = trial.failed(now, health, answered=answered)
        opened = health.failed(
            now,
            lane.key,
            len(line.backlog.lanes),
            self._dice,
            probe=flight.probe,
            first=first,
            answered=answered,
            own_fault=own_fault,
            suspects=line.suspects(),
        )
        if opened:
            line.share.suspect = True
            self._hooks.failing(line)
        if line.endpoint.status != "active":
            line.hourly_at = now + spread(self._limits.paused_probe_seconds, self._dice)
            self._hooks.alarm(line, line.hourly_at)
            line.backlog.again(lane, None)
            return
        if health.is_open:
            for at in health.next_looks():
                self._hooks.alarm(line, at)
            line.backlog.again(lane, None)
            return
        block = policy.max_block_seconds
        if final or (block is not None and trial.seconds >= block):
            self.bury(line, lane, item, line.last_error)
            return
        wait = spread(policy.retry_seconds(trial.waits), self._dice)
        if block is not None and trial.seconds:
            # The last try comes when its time is over, not up to one wait later.
            wait = min(wait, max(policy.retries[0], block - trial.seconds))
        self._hooks.rest(line, lane, wait)

    def bury(self, line: Line, lane: Lane, item: Item, why: str) -> None:
        """Give a record up: it goes to the dead letters, and when that is durable its stream goes on."""
        if lane.stale:
            line.backlog.again(lane, None)
            return
        if item.record.offset not in line.dead and len(line.dead) + len(line.burying) >= self._limits.dead_letters:
            line.backlog.again(lane, None)
            self._hooks.set_status(
                line, "paused", f"it has {len(line.dead)} dead letters, which is the most it can have"
            )
            return
        line.burying.append((lane, item, why))
        self._hooks.settled(line)
