"""Tells receivers of subscriptions that are to be confirmed, or have ended, until they answer with 2xx.

A handshake goes by the endpoint's own window, but its failures are no evidence against deliveries that go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from touchline.clock import Clock
from touchline.delivery.courier.attempts import Attempts
from touchline.delivery.courier.health import spread
from touchline.delivery.courier.limits import CourierLimits, CourierStats
from touchline.delivery.courier.line import Flight, Line
from touchline.delivery.courier.messages import message_id
from touchline.delivery.courier.recent import Spawn
from touchline.delivery.courier.scheduler import Scheduler
from touchline.delivery.courier.sending import GONE, Hooks, Sender
from touchline.delivery.courier.transport import Reply
from touchline.delivery.courier.verdict import Verdict, is_timeout, judge, reason
from touchline.errors import NotFound
from touchline.feeds.base import Hosting, Instant, Outgoing, Subscription
from touchline.log.endpoints import Endpoints
from touchline.wire.backoff import Uniform

_log: Final = logging.getLogger(__name__)


class Telling:
    """One handshake that has not been answered; ``number`` is the subscription's, ``due`` None: at once."""

    __slots__ = ("busy", "due", "failures", "number", "over", "subscription")

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.number = subscription.number
        self.failures = 0
        self.due: float | None = None
        self.busy = False
        self.over = False
        """answered or given up; only to be noted"""


class Handshakes:
    """See the module docstring."""

    def __init__(
        self,
        endpoints: Endpoints,
        clock: Clock,
        dice: Uniform,
        scheduler: Scheduler,
        sender: Sender,
        hosting: Callable[[str], Hosting | None],
        spawn: Spawn,
        limits: CourierLimits,
        stats: CourierStats,
        hooks: Hooks,
    ) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._dice = dice
        self._scheduler = scheduler
        self._sender = sender
        self._hosting = hosting
        self._spawn = spawn
        self._limits = limits
        self._stats = stats
        self._hooks = hooks

    def refresh(self, lines: dict[str, Line]) -> None:
        """Take up what is to be told now."""
        for subscription in self._endpoints.to_tell():
            line = lines.get(subscription.endpoint)
            if line is not None:
                self.take(line, subscription)

    def take(self, line: Line, subscription: Subscription) -> None:
        """One subscription has changed, or may have."""
        if line.telling is None:
            line.telling = {}
        known = line.telling.get(subscription.id)
        if not subscription.to_tell:
            if known is not None and not known.busy:
                del line.telling[subscription.id]
            return
        if known is None or (known.number != subscription.number and not known.busy):
            line.telling[subscription.id] = Telling(subscription)
        else:
            known.subscription = subscription
        self._hooks.ready(line)

    def next(self, line: Line, now: float) -> Telling | None:
        """The handshake that may go now."""
        if not line.telling or line.endpoint.status != "active" or line.member is None or line.removed or line.gone:
            return None
        if line.wait_until is not None and now < line.wait_until:
            return None
        for telling in line.telling.values():
            if not telling.busy and (telling.due is None or telling.due <= now):
                return telling
        return None

    def start(self, line: Line, telling: Telling, now: float) -> bool:
        """Send it; whether anything was done."""
        subscription, wall = telling.subscription, self._clock.wall_ns()
        hosting = self._hosting(line.endpoint.feed)
        if hosting is None:
            line.stalled = True
            return False
        if telling.over or self._is_late(subscription, wall):
            self._over(line, telling)
            return True
        name = message_id(line.endpoint.id, subscription.id, subscription.number)
        try:
            outgoing = line.codec.handshake(line.view, subscription, name, Instant(wall, now), hosting)
        except Exception:  # a feed's code: the handshake is put off, deliveries go on
            _log.exception("a handshake could not be made", extra={"endpoint": line.endpoint.id})
            self._put_off(line, telling, now)
            return True
        if outgoing is None:
            self._over(line, telling)
            return True
        self._send(line, telling, outgoing, name, now)
        return True

    def _is_late(self, subscription: Subscription, wall: int) -> bool:
        if subscription.state == "ended":
            return wall - subscription.issued_at > self._limits.handshake_ended_seconds * 1e9
        return subscription.expires_at is not None and wall >= subscription.expires_at

    def _send(self, line: Line, telling: Telling, outgoing: Outgoing, name: str, now: float) -> None:
        flight = Flight(line, now, lane=None, item=None, message_id=name)
        flight.telling = telling
        telling.busy = True
        line.flights[flight] = None
        self._stats.handshakes += 1
        self._scheduler.started(line.share, len(outgoing.body), flight)
        self._sender.post(line, outgoing, flight, self._answered)

    def _answered(self, flight: Flight, reply: Reply) -> None:
        line, telling = flight.line, flight.telling
        if flight.over or telling is None:
            return
        now, wall = self._clock.monotonic(), self._clock.wall_ns()
        line.flights.pop(flight, None)
        telling.busy = False
        judgement = judge(reply, line.policy, wall)
        verdict = judgement.verdict
        self._scheduler.finished(flight, now, answered=verdict is Verdict.DELIVERED, timed_out=is_timeout(reply))
        if line.attempts is None:
            line.attempts = Attempts(self._limits.attempts, personal=line.feed.capabilities.personal)
        subscription = telling.subscription
        line.attempts.add(
            wall, "handshake", flight.message_id, 0, subscription.state, subscription.topic, telling.failures + 1, reply
        )
        if telling.number != subscription.number:  # it was asked anew meanwhile
            self._forget(line, telling)
            if subscription.to_tell:
                self.take(line, subscription)
        elif verdict is Verdict.DELIVERED:
            self._over(line, telling)
        elif verdict is Verdict.GONE:
            line.last_error = reason(reply)
            self._hooks.set_status(line, "disabled", GONE)
        elif verdict is Verdict.WAIT:
            line.last_error = reason(reply)
            line.wait_until = max(line.wait_until or 0.0, now + judgement.wait_seconds)
            self._hooks.alarm(line, line.wait_until)
        else:
            line.last_error = reason(reply)
            self._put_off(line, telling, now)
        self._hooks.ready(line)

    def _put_off(self, line: Line, telling: Telling, now: float) -> None:
        telling.failures += 1
        telling.due = now + spread(line.policy.retry_seconds(telling.failures), self._dice)
        self._hooks.alarm(line, telling.due)

    @staticmethod
    def _forget(line: Line, telling: Telling) -> None:
        if line.telling is not None and line.telling.get(telling.subscription.id) is telling:
            del line.telling[telling.subscription.id]

    def _over(self, line: Line, telling: Telling) -> None:
        """It is answered, or given up: note that."""
        telling.busy = telling.over = True

        async def told() -> None:
            try:
                await self._endpoints.told(telling.subscription)
            except NotFound:
                pass
            except Exception:  # the top of a task: it is noted a little later
                _log.exception("a handshake cannot be noted", extra={"endpoint": line.endpoint.id})
                telling.busy = False
                telling.due = self._clock.monotonic() + 1.0
                self._hooks.alarm(line, telling.due)
                return
            self._forget(line, telling)
            now = self._endpoints.subscription(telling.subscription.id)
            if now is not None and now.to_tell:  # asked anew while this was noted
                self.take(line, now)

        self._spawn(told)
