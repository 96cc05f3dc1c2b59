"""What an operator asks about one endpoint: how it does, and a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from touchline.clock import Clock
from touchline.delivery.courier.attempts import excerpt
from touchline.delivery.courier.backlog import Item, Lane
from touchline.delivery.courier.letters import Letters
from touchline.delivery.courier.limits import CourierLimits
from touchline.delivery.courier.line import Line
from touchline.delivery.courier.messages import message_id
from touchline.delivery.courier.reading import Reading
from touchline.delivery.courier.report import Attempt, EndpointReport
from touchline.delivery.courier.sending import Sender
from touchline.delivery.courier.transport import Reply, Trouble
from touchline.errors import LogError
from touchline.feeds.base import Hosting, Instant, Outgoing
from touchline.log.base import EventLog
from touchline.model import Record

_PAGE: Final = 500


class _Backlog:
    """How much is owed, counted up to a bound, and since when."""

    def __init__(self, most: int, read: int) -> None:
        self.count = 0
        self.oldest: int | None = None
        self.is_bound = False
        self._most = most
        self._left = read

    def add(self, appended_at: int) -> None:
        self.count += 1
        self.oldest = appended_at if self.oldest is None else min(self.oldest, appended_at)

    def read(self, records: int) -> None:
        self._left -= records

    def is_full(self) -> bool:
        self.is_bound = self.is_bound or self.count >= self._most or self._left <= 0
        return self.is_bound


class Reporting:
    """See the module docstring. Reads the log as little as it can, and never for ever."""

    def __init__(
        self,
        log: EventLog,
        reading: Reading,
        letters: Letters,
        sender: Sender,
        hosting: Callable[[str], Hosting | None],
        clock: Clock,
        limits: CourierLimits,
    ) -> None:
        self._log = log
        self._reading = reading
        self._letters = letters
        self._sender = sender
        self._hosting = hosting
        self._clock = clock
        self._limits = limits

    async def report(self, line: Line, head: int) -> EndpointReport:
        """How an endpoint does; ``head`` is the newest record that went through the courier."""
        now, wall = self._clock.monotonic(), self._clock.wall_ns()
        owed = await self._owed(line)
        good, bad = (0, 0) if line.rate is None else line.rate.sums(now)
        health = line.health
        return EndpointReport(
            line.state(now),
            line.backlog.cursor if self._reading.is_behind(line) else max(line.backlog.cursor, head),
            self._log.head,
            owed.count,
            owed.is_bound,
            None if owed.oldest is None else max(0.0, (wall - owed.oldest) / 1e9),
            good / (good + bad) if good + bad else None,
            line.delivered,
            line.failed,
            len(line.flights),
            line.share.window,
            sum(not lane.is_done for lane in line.backlog.lanes.values()),
            len(line.dead),
            line.expired,
            self._next_try(line, now),
            line.last_error if health.failures_since or line.wait_until is not None else "",
        )

    @staticmethod
    def _next_try(line: Line, now: float) -> float | None:
        due: list[float] = []
        if line.endpoint.status != "active":
            due += [line.hourly_at] if line.hourly_at is not None else []
        elif line.wait_until is not None and line.wait_until > now:
            due.append(line.wait_until)
        elif line.health.is_open:
            due.append(line.health.probe_at)
        else:
            due += [lane.due for lane in line.backlog.lanes.values() if lane.due is not None]
        return max(0.0, min(due) - now) if due else None

    async def _owed(self, line: Line) -> _Backlog:
        owed = _Backlog(self._limits.backlog_count, self._limits.backlog_read)
        backlog = line.backlog
        try:
            for lane in list(backlog.lanes.values()):
                for item in list(lane.items):
                    if self._is_owed(line, lane, item):
                        owed.add(item.record.appended_at)
                if lane.spilled and not owed.is_full():
                    await self._count(line, owed, lane.stream, lane.through, backlog.cursor)
            await self._count(line, owed, (line.reads, None), backlog.cursor, self._log.head)
        except LogError:  # retention was quicker, or the log cannot be read: there is at least what was counted
            owed.is_bound = True
        return owed

    def _is_owed(self, line: Line, lane: Lane, item: Item) -> bool:
        """Whether a record that is held will be sent: what decides may have changed since it was taken."""
        if item.decision == line.backlog.decision or line.member is None:
            return True
        return self._reading.owed(line, item.record, lane.replay_until) is not False

    async def _count(
        self, line: Line, owed: _Backlog, place: tuple[str | None, str | None], after: int, through: int
    ) -> None:
        feed, subject = place
        after = max(after, self._log.floor)
        while after < through and not owed.is_full():
            page = await self._log.read(after, _PAGE, feed=feed, subject=subject, events_only=True)
            owed.read(len(page.records) + 1)
            for record in page.records:
                if record.offset > through or owed.is_full():
                    break
                # Where a state would be needed to say so it is counted: an upper bound is enough here.
                if self._reading.owed(line, record) is not False:
                    owed.add(record.appended_at)
            if not page.more:
                break
            after = page.next_after

    async def test(self, line: Line) -> Attempt:
        """One POST of a made-up record."""
        endpoint, wall = line.endpoint, self._clock.wall_ns()
        name = message_id(endpoint.id, "test", wall)
        record = line.codec.sample(line.view, Instant(wall, self._clock.monotonic()))
        hosting = self._hosting(endpoint.feed)
        if line.member is None:
            return self._attempt(line, record, name, wall, _unsent("its partner is suspended"))
        if hosting is None:
            return self._attempt(line, record, name, wall, _unsent("the hub is not ready to sign; repeat in a moment"))
        prepared = line.codec.prepare(record, line.variant)
        if prepared is None:
            return self._attempt(line, record, name, wall, _unsent("the feed sends nothing of its sample"))
        outgoing = line.codec.finish(prepared, line.view, name, Instant(wall, self._clock.monotonic()), hosting)
        return self._attempt(line, record, name, wall, await self._post(line, outgoing))

    async def _post(self, line: Line, outgoing: Outgoing) -> Reply:
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def done(reply: Reply) -> None:
            if not answered.done():
                answered.set_result(reply)

        sending = self._sender.send(line, outgoing, done)
        if sending is None:
            return _unsent("the request cannot be made")
        try:
            return await answered
        except asyncio.CancelledError:
            sending.cancel()
            raise

    @staticmethod
    def _attempt(line: Line, record: Record, name: str, wall: int, reply: Reply) -> Attempt:
        trouble = "" if reply.trouble is None else reply.trouble.value
        said = "" if line.feed.capabilities.personal else excerpt(reply.body)
        event = record.event
        return Attempt(
            wall,
            "test",
            name,
            0,
            event.type,
            event.subject,
            1,
            reply.status,
            trouble,
            reply.detail,
            reply.seconds,
            said,
        )


def _unsent(why: str) -> Reply:
    return Reply(None, trouble=Trouble.CANCELLED, detail=why)
