"""Whose request goes next, and how many may be under way: windows, two budgets, deficit round robin, rate limits.

Pure: time is an argument, and what a request is it does not know. Endpoints that answer share the healthy budget. One
that lets a request wait for a second is suspect: its requests move to a budget of their own, so that any number of
endpoints that never answer hold up the others for that second at most. An endpoint that has not answered yet has one
request, is suspect after a tenth of a second, and can take half of the healthy budget at most with all others like it:
so it is also where a thousand new ones never answer.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SUSPECT_SECONDS: Final = 1.0
"""An answer that takes longer makes its endpoint suspect."""
UNPROVEN_SECONDS: Final = 0.1
"""The same for one that has not answered yet."""
FIRST_WINDOW: Final = 2
_QUANTUM: Final = 16 * 1024
_DEBT: Final = -64 * _QUANTUM
_COST: Final = 1024
"""What a request costs beside its bytes."""


class Ticket:
    """A request under way. ``over``: it has ended."""

    __slots__ = ("over", "share", "slow", "started", "unproven")

    def __init__(self, share: Share, started: float, *, slow: bool) -> None:
        self.share = share
        self.started = started
        self.slow = slow
        """accounted to the suspect budget"""
        self.unproven = not share.proven and not slow
        self.over = False


class Share:
    """One endpoint's part: its window, and whether it is suspect."""

    __slots__ = (
        "_deficit", "_rate", "_tokens", "_tokens_at", "in_flight", "max_window", "proven", "queued", "suspect",
        "window",
    )  # fmt: skip

    def __init__(self, max_window: int, rate: float | None = None) -> None:
        self.in_flight = 0
        self.window = min(FIRST_WINDOW, max_window)
        self.max_window = max_window
        self.suspect = False
        self.proven = False
        self.queued = False
        self._deficit = 0
        self._rate = rate
        self._tokens = max(1.0, rate or 0.0)
        self._tokens_at = 0.0

    def limit(self, max_window: int, rate: float | None) -> None:
        """Other options."""
        self.max_window = max_window
        self.window = min(self.window, max_window)
        if rate != self._rate:
            self._rate = rate
            self._tokens = min(self._tokens, max(1.0, rate or 0.0))

    def has_room(self) -> bool:
        """Whether its own window lets another request go."""
        return self.in_flight < (self.window if self.proven and not self.suspect else 1)

    def wait(self, now: float) -> float:
        """Seconds until its rate lets the next request go."""
        if self._rate is None:
            return 0.0
        self._tokens = min(max(1.0, self._rate), self._tokens + (now - self._tokens_at) * self._rate)
        self._tokens_at = now
        # What a float's rounding leaves short of one is one, or the last wait would never end.
        return 0.0 if self._tokens >= 1.0 - 1e-9 else (1.0 - self._tokens) / self._rate

    def spend(self) -> None:
        """One request of the rate."""
        if self._rate is not None:
            self._tokens -= 1.0

    def charge(self, size: int) -> bool:
        """Account for a request; whether its turn goes on."""
        self._deficit = max(_DEBT, self._deficit - size - _COST)
        return self._deficit > 0

    def owes(self) -> bool:
        """Whether it took more than its part in earlier turns, and this one goes to pay for it."""
        return self._deficit <= 0

    def turn(self) -> None:
        """Its turn begins."""
        self._deficit = min(self._deficit + _QUANTUM, _QUANTUM)


class Scheduler:
    """See the module docstring. ``add`` those with work, ask ``next`` who goes, tell ``started`` or ``idle``."""

    def __init__(self, healthy: int, suspect: int) -> None:
        self._healthy_limit = healthy
        self._suspect_limit = suspect
        self._unproven_limit = max(1, healthy // 2)
        self.healthy = 0
        """requests under way that are accounted to the healthy budget; ``unproven`` of these, and the suspect ones"""
        self.unproven = 0
        self.suspect = 0
        self._quick: deque[Share] = deque()
        self._slow: deque[Share] = deque()
        self._new: deque[Share] = deque()
        self._watched: deque[Ticket] = deque()
        self._watched_new: deque[Ticket] = deque()
        self._asked = 0

    def add(self, share: Share) -> None:
        """It has work (once is enough)."""
        if not share.queued:
            share.queued = True
            share.turn()
            self._ring(share).append(share)

    def _ring(self, share: Share) -> deque[Share]:
        return self._slow if share.suspect else self._quick if share.proven else self._new

    def idle(self, share: Share) -> None:
        """It was given by ``next`` and has nothing to send now: it leaves until it is added again."""
        for ring in (self._quick, self._new, self._slow):
            if ring and ring[0] is share:
                ring.popleft()
                share.queued = False
                return

    def next(self, now: float) -> Share | None:
        """Who may start a request now: tell ``started`` or ``idle`` of it before asking again."""
        self.overdue(now)
        if self.healthy < self._healthy_limit:
            self._asked += 1
            # Those that are busy must not keep the new ones out, nor these hold up the busy ones.
            first, second = (self._new, self._quick) if self._asked % 4 == 0 else (self._quick, self._new)
            for ring in (first, second):
                if ring is self._new and self.unproven >= self._unproven_limit:
                    continue
                if ring and (found := self._front(ring)) is not None:
                    return found
        if self._slow and self.suspect < self._suspect_limit:
            return self._front(self._slow)
        return None

    def _front(self, ring: deque[Share]) -> Share | None:
        while ring:
            share = ring[0]
            if self._ring(share) is ring and share.has_room():
                if not share.owes():
                    return share
                share.turn()
                ring.rotate(-1)
                continue
            ring.popleft()
            share.queued = False
            if share.has_room():  # it belongs to another ring by now
                self.add(share)
        return None

    def started(self, share: Share, size: int, ticket: Ticket) -> None:
        """The one that ``next`` gave has started a request of so many bytes."""
        share.in_flight += 1
        share.spend()
        if ticket.slow:
            self.suspect += 1
        else:
            self.healthy += 1
            self.unproven += ticket.unproven
            (self._watched_new if ticket.unproven else self._watched).append(ticket)
        if not share.charge(size):
            share.turn()
            for ring in (self._quick, self._new, self._slow):
                if ring and ring[0] is share:
                    ring.rotate(-1)
                    return

    def finished(self, ticket: Ticket, now: float, *, answered: bool, timed_out: bool) -> None:
        """A request has ended: ``answered`` with success, ``timed_out``, or neither."""
        ticket.over = True
        share = ticket.share
        share.in_flight -= 1
        if ticket.slow:
            self.suspect -= 1
        else:
            self._leave_healthy(ticket)
        if timed_out:
            share.window = max(1, share.window // 2)
            share.suspect = True
        elif answered:
            if share.in_flight + 1 >= share.window and share.window < share.max_window:
                share.window += 1
            if now - ticket.started < SUSPECT_SECONDS:
                share.suspect = False
                share.proven = True

    def _leave_healthy(self, ticket: Ticket) -> None:
        self.healthy -= 1
        self.unproven -= ticket.unproven
        ticket.unproven = False

    def overdue(self, now: float) -> None:
        """What has waited for a second for its answer is no longer on the healthy budget."""
        self._end_patience(self._watched, now - SUSPECT_SECONDS)
        if self._watched_new:
            self._end_patience(self._watched_new, now - UNPROVEN_SECONDS)

    def _end_patience(self, watched: deque[Ticket], begun: float) -> None:
        """For those that began at or before a time."""
        while watched and ((ticket := watched[0]).over or ticket.started <= begun):
            watched.popleft()
            if not ticket.over:
                self._leave_healthy(ticket)
                ticket.slow = True
                self.suspect += 1
                ticket.share.suspect = True

    def next_overdue(self) -> float | None:
        """When the oldest healthy request becomes overdue."""
        self.overdue(float("-inf"))  # what is over goes
        due = [watched[0].started + seconds for watched, seconds in (
            (self._watched, SUSPECT_SECONDS), (self._watched_new, UNPROVEN_SECONDS)) if watched]  # fmt: skip
        return min(due, default=None)
