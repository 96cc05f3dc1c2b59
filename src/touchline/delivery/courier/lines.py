"""The lines, one per endpoint, kept as the directory has them: who comes, changes, is suspended, paused, or goes.

Owns what an endpoint's status means for its line, and what the hub itself changes of it (a 410, a long outage).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from touchline.clock import Clock
from touchline.delivery.courier.announcing import Announcing
from touchline.delivery.courier.backlog import Backlog, Saved
from touchline.delivery.courier.handshakes import Handshakes
from touchline.delivery.courier.letters import Letters
from touchline.delivery.courier.limits import CourierLimits
from touchline.delivery.courier.line import Line
from touchline.delivery.courier.policy import Policy, parse_policy
from touchline.delivery.courier.reading import Reading
from touchline.delivery.courier.recent import Spawn
from touchline.delivery.courier.saving import Saver
from touchline.delivery.courier.scheduler import Scheduler, Share
from touchline.delivery.courier.sending import Hooks, Sender
from touchline.errors import NotFound
from touchline.feeds.base import Feed
from touchline.log.base import EventLog
from touchline.log.endpoints import Endpoint, Endpoints, Status

_log: Final = logging.getLogger(__name__)


class Lines:
    """See the module docstring. ``by_id``, ``by_feed`` and ``by_share`` find a line."""

    def __init__(
        self,
        log: EventLog,
        endpoints: Endpoints,
        feeds: Mapping[str, Feed],
        clock: Clock,
        scheduler: Scheduler,
        reading: Reading,
        sender: Sender,
        saver: Saver,
        letters: Letters,
        handshakes: Handshakes,
        announcing: Announcing,
        spawn: Spawn,
        limits: CourierLimits,
        hooks: Hooks,
    ) -> None:
        self._log = log
        self._endpoints = endpoints
        self._feeds = feeds
        self._clock = clock
        self._scheduler = scheduler
        self._reading = reading
        self._sender = sender
        self._saver = saver
        self._letters = letters
        self._handshakes = handshakes
        self._announcing = announcing
        self._spawn = spawn
        self._limits = limits
        self._hooks = hooks
        self.by_id: dict[str, Line] = {}
        self.by_feed: dict[str, dict[Line, None]] = {}
        self.by_share: dict[Share, Line] = {}

    async def begin(self, endpoint: Endpoint, saved: Saved | None) -> None:
        """An endpoint that was there when the courier started, and what is stored of it."""
        feed = self._feeds.get(endpoint.feed)
        if feed is None or feed.webhook is None:
            _log.error("an endpoint's feed has no webhooks", extra={"endpoint": endpoint.id, "feed": endpoint.feed})
            return
        line = Line(endpoint, feed, feed.webhook, self._policy(endpoint, feed))
        self._take_over(line, saved)
        await self._pass_hole(line)
        line.dead = await self._letters.offsets(endpoint.id) if saved is not None else set()
        self._enter(line)

    async def _pass_hole(self, line: Line) -> None:
        """A crash or a restore leaves numbers unused: an endpoint that is not driven now must not seem to lose records
        when retention comes there.
        """
        head, backlog = self._log.head, line.backlog
        if self._log.floor <= backlog.cursor < head:
            page = await self._log.read(backlog.cursor, 1, max_bytes=1)
            if not page.records and not page.more:
                backlog.cursor = head

    def _enter(self, line: Line) -> None:
        endpoint = line.endpoint
        self.by_id[endpoint.id] = line
        self.by_feed.setdefault(endpoint.feed, {})[line] = None
        self.by_share[line.share] = line
        self._update(line, endpoint)

    def _take_over(self, line: Line, saved: Saved | None) -> None:
        """The backlog of an endpoint, as it was stored."""
        endpoint, limits, head = line.endpoint, self._limits, self._log.head
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
            line.health.open_at(now, len(line.backlog.lanes))
            line.share.suspect = True
        if saved.failing_since is not None:
            line.health.failing_since = now - max(0.0, (self._clock.wall_ns() - saved.failing_since) / 1e9)
            line.health.failures_since = saved.failures
        if saved.epoch == self._log.epoch:  # else it is written again soon, under the epoch of now
            line.saved_cursor = saved.cursor

    def _policy(self, endpoint: Endpoint, feed: Feed) -> Policy:
        own = frozenset() if feed.webhook is None else feed.webhook.own_headers
        try:
            return parse_policy(endpoint.options, feed.capabilities.order, own)
        except ValueError as error:
            about = {"endpoint": endpoint.id, "reason": str(error)}
            _log.warning("an endpoint's stored options are no good; the defaults are used", extra=about)
            return parse_policy({}, feed.capabilities.order)

    def refresh(self, endpoint_id: str) -> None:
        """An endpoint may have come, changed or gone."""
        line = self.by_id.get(endpoint_id)
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
        self._hooks.ready(line)

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
                self.forgive(line)
        self.look_anew(line)
        member = self._endpoints.member(endpoint)
        if member is not line.member or (endpoint.topics, endpoint.options) != (old.topics, old.options):
            line.backlog.decision += 1
        if member is None and line.member is not None:
            self.cancel(line)
        line.member = member
        if (endpoint.status, endpoint.by_hub) != (old.status, old.by_hub):
            self._status_changed(line, old.status)
        elif line.hourly_at is None and self._is_probed(line):
            line.hourly_at = self._clock.monotonic()

    def look_anew(self, line: Line) -> None:
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
            self.forgive(line)
            if before != "active":
                line.announced_failing = False
                self._announcing.tell(endpoint, "recovered", endpoint.reason)
        else:
            if self._is_probed(line):
                line.hourly_at = self._clock.monotonic() + self._limits.paused_probe_seconds
                self._hooks.alarm(line, line.hourly_at)
            if before != endpoint.status:
                self._announcing.tell(endpoint, endpoint.status, endpoint.reason)
        self._saver.mark(line)

    def _is_probed(self, line: Line) -> bool:
        """Whether the hub paused it for an outage, and not because it has too many dead letters."""
        endpoint = line.endpoint
        return endpoint.status == "paused" and endpoint.by_hub and len(line.dead) < self._limits.dead_letters

    def _remove(self, line: Line) -> None:
        line.removed = True
        self.cancel(line)
        endpoint = line.endpoint
        self.by_id.pop(endpoint.id, None)
        self.by_feed.get(endpoint.feed, {}).pop(line, None)
        self.by_share.pop(line.share, None)

        async def forget() -> None:
            try:
                await self._saver.forget(endpoint.id)
            except Exception:  # the top of a task: the next start clears up what is left
                _log.exception("what is stored of a removed endpoint is still there", extra={"endpoint": endpoint.id})

        self._spawn(forget)

    def cancel(self, line: Line) -> None:
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

    def forgive(self, line: Line) -> None:
        """Forget its failures and what it asked for; all that waits may go."""
        line.health.forget()
        line.wait_until = None
        line.share.suspect = False
        line.stalled = False
        self._sender.wake(line)

    def check(self, line: Line) -> None:
        """A partner that is suspended or gone is noticed here at the latest."""
        endpoint = line.endpoint
        try:
            same = self._endpoints.get(endpoint.id) is endpoint and self._endpoints.member(endpoint) is line.member
        except NotFound:
            same = False
        if not same:
            self.refresh(endpoint.id)
        elif line.stalled:
            line.stalled = False
            self._hooks.ready(line)

    def judge_long_outage(self, line: Line, now: float) -> None:
        """Pause what has failed for a day, disable what has failed for a week more."""
        endpoint, health, limits = line.endpoint, line.health, self._limits
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
            self._hooks.ready(line)

        self._spawn(change)
