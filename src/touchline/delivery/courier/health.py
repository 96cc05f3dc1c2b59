"""Whether an endpoint fails as a whole: its breaker, and the counts by which a poison record is told from an outage.

Pure: time and dice are arguments. An outage is the endpoint's fault, so while the breaker is open nothing is counted
against a record; a record's own clock (``Trial``) runs only while the endpoint takes others.

Every failure is held against one of the two. The witness is the first try of each record: it says how the endpoint
does, while the later tries of a record that is poison say nothing new, however many such records there are. A record
that failed and is taken later speaks against the endpoint. A record that failed while the endpoint took others is
*suspect* from then on, and its failures open no breaker.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from touchline.wire.backoff import Uniform

PROBE_FIRST_SECONDS: Final = 5.0
PROBE_CAP_SECONDS: Final = 60.0
SPREAD: Final = 0.2
"""Waits are drawn from ±20 % around their length, so that many endpoints of one receiver do not come at once."""

_IN_A_ROW: Final = 5
_SHARE_OF: Final = 20
_SHARE_SECONDS: Final = 30.0
_SLICES: Final = 6
_PROVEN: Final = 3
_LATELY_SECONDS: Final = 5.0
"""Who answers, and took something so lately, is not down."""
_NEW_SECONDS: Final = 1.0
_NEW_SLOW_SECONDS: Final = 10.0
_NEW_QUICK: Final = 60
"""Of an open endpoint that answers, heads that were not tried yet are asked every second, and after so many every ten
seconds: what it refused may all be poison, and then nothing but another record can tell."""


def spread(seconds: float, dice: Uniform) -> float:
    """A wait, spread by ±20 %."""
    return seconds * dice.uniform(1.0 - SPREAD, 1.0 + SPREAD)


class Tally:
    """Successes and failures of the last ``seconds``, in a few slices of time: bounded however many there are."""

    __slots__ = ("_bad", "_good", "_slice", "_stamps")

    def __init__(self, seconds: float, slices: int = _SLICES) -> None:
        self._slice = seconds / slices
        self._good = [0] * slices
        self._bad = [0] * slices
        self._stamps = [-1] * slices

    def add(self, now: float, *, success: bool) -> None:
        """Count one."""
        stamp = int(now / self._slice)
        index = stamp % len(self._stamps)
        if self._stamps[index] != stamp:
            self._stamps[index] = stamp
            self._good[index] = self._bad[index] = 0
        if success:
            self._good[index] += 1
        else:
            self._bad[index] += 1

    def sums(self, now: float) -> tuple[int, int]:
        """(successes, failures)."""
        oldest = int(now / self._slice) - len(self._stamps)
        fresh = [index for index, stamp in enumerate(self._stamps) if stamp > oldest]
        return sum(self._good[index] for index in fresh), sum(self._bad[index] for index in fresh)

    def clear(self) -> None:
        """Begin anew."""
        self._stamps = [-1] * len(self._stamps)


class Health:
    """The breaker of one endpoint. ``failing_since`` is when the first failure after the last success was (monotonic),
    ``failures_since`` how many there have been.
    """

    __slots__ = (
        "_in_a_row", "_interval", "_new_at", "_share", "_taken_at", "answers", "closed_at",
        "failed_lanes", "failing_since", "failures", "failures_since", "first_failures", "first_successes",
        "is_open", "lanes", "later_successes", "opened_at", "probe_at", "probes", "since_close",
    )  # fmt: skip

    def __init__(self) -> None:
        self.first_successes = 0
        """records that were taken at their first try"""
        self.later_successes = 0
        self.failures = 0
        self.first_failures = 0
        self.answers = False
        """whether the last failure was an answer, so that somebody is there"""
        self.is_open = False
        self.closed_at = 0.0
        """when it was last open"""
        self.opened_at = 0.0
        """when it last opened"""
        self.probe_at = 0.0
        self.probes = 0
        """probes that failed since it opened"""
        self.lanes = 0
        """how many lanes had anything open when it opened"""
        self.failed_lanes: set[Hashable] = set()
        """those that failed since the last success, suspects aside"""
        self.failing_since: float | None = None
        self.failures_since = 0
        self.since_close = 0
        """successes in a row since it closed"""
        self._in_a_row = 0
        self._interval = PROBE_FIRST_SECONDS
        self._share: Tally | None = None
        self._taken_at = float("-inf")
        self._new_at = 0.0

    def open_at(self, now: float, lanes: int) -> None:
        """Begin open, with a probe at once: a restart does not heal a receiver."""
        self.is_open = True
        self.opened_at = self.probe_at = now
        self.lanes = lanes

    def succeeded(self, now: float, *, first: bool = True) -> bool:
        """A record was taken, at its ``first`` try or a later one; whether that closed the breaker."""
        if first:
            self.first_successes += 1
        else:
            self.later_successes += 1
        self._taken_at = now
        if self._share is not None:
            self._share.add(now, success=True)
        self.since_close += 1
        if not self.failures_since and not self.is_open:
            return False
        self._in_a_row = 0
        self.failed_lanes.clear()
        self.failing_since = None
        self.failures_since = 0
        if not self.is_open:
            return False
        self.is_open = False
        self.closed_at = now
        self.probes = 0
        self.since_close = 1
        self._interval = PROBE_FIRST_SECONDS
        if self._share is not None:
            self._share.clear()
        return True

    def failed(
        self,
        now: float,
        lane: Hashable,
        lanes: int,
        dice: Uniform,
        *,
        probe: bool = False,
        first: bool = True,
        answered: bool = False,
        own_fault: bool = False,
        suspects: int = 0,
    ) -> bool:
        """A record was not taken, of a lane, one of so many that have anything open, at ``suspects`` of which a suspect
        waits; whether that opened the breaker. ``probe``: the attempt was one; ``first``: the record's first;
        ``answered``: by a status; ``own_fault``: what ``Trial.failed`` said.
        """
        self.failures += 1
        self.first_failures += first
        self.answers = answered
        if self.failing_since is None:
            self.failing_since = now
        self.failures_since += 1
        if not own_fault:
            self._blame(now, lane)
        if self.is_open:
            if probe:
                self._probe_failed(now, dice)
            return False
        opens = not own_fault and self._is_down(now, lanes - suspects)
        if opens:
            self.is_open = True
            self.opened_at = now
            self.probes = 0
            self.lanes = lanes
            self._interval = PROBE_FIRST_SECONDS
            self.probe_at = now + spread(self._interval, dice)
            self._new_at = now
        return opens

    def _blame(self, now: float, lane: Hashable) -> None:
        self.since_close = 0
        self._in_a_row += 1
        self.failed_lanes.add(lane)
        if self._share is None:
            self._share = Tally(_SHARE_SECONDS)
        self._share.add(now, success=False)

    def _probe_failed(self, now: float, dice: Uniform) -> None:
        self.probes += 1
        self._new_at = now + (_NEW_SECONDS if self.probes < _NEW_QUICK else _NEW_SLOW_SECONDS)
        if now >= self.probe_at:
            self._interval = min(PROBE_CAP_SECONDS, self._interval * 2)
            self.probe_at = now + spread(self._interval, dice)

    def _is_down(self, now: float, lanes: int) -> bool:
        if self.answers and now - self._taken_at < _LATELY_SECONDS:
            return False
        if self._in_a_row >= _IN_A_ROW and (len(self.failed_lanes) >= 2 or lanes <= 1):
            return True
        good, bad = (0, 0) if self._share is None else self._share.sums(now)
        return good + bad >= _SHARE_OF and bad >= good

    def next_looks(self) -> tuple[float, ...]:
        """When a probe may go, while the breaker is open."""
        return (self.probe_at, self._new_at) if self.answers else (self.probe_at,)

    def likely(self, lane: Hashable, trial: Trial | None) -> int:
        """How soon a lane is to be probed beside others, by what is held against its head: 0, when it was not tried
        yet, to 2, when it is suspect."""
        if trial is None:
            return int(lane in self.failed_lanes)
        return 2 if trial.suspect else 1

    def is_probe_due(self, now: float) -> bool:
        """Whether ``may_probe`` can be true of any lane: asked first, as there may be many lanes."""
        return now >= self.probe_at or len(self.failed_lanes) == 1 or (self.answers and now >= self._new_at)

    def may_probe(self, now: float, lane: Hashable, trial: Trial | None = None) -> bool:
        """Whether the head of this lane may be tried while the breaker is open. When all failures were of one stream,
        another is asked at once: the one record may be poison, and its neighbours must not wait for it. Likewise a
        head that was not tried yet is asked soon when the others were refused by an answer."""
        if now >= self.probe_at:
            return True
        if lane in self.failed_lanes or (trial is not None and trial.suspect):
            return False
        return len(self.failed_lanes) == 1 or (trial is None and self.answers and now >= self._new_at)

    def is_over(self) -> bool:
        """Whether it has held since it closed, so that it can be called recovered."""
        return not self.is_open and self.since_close >= _PROVEN

    def forget(self) -> None:
        """As if nothing had failed; the totals stay."""
        self.is_open = False
        self.failing_since = None
        self.failures_since = 0
        self.probes = 0
        self._in_a_row = 0
        self._interval = PROBE_FIRST_SECONDS
        self.failed_lanes.clear()
        if self._share is not None:
            self._share.clear()


class Trial:
    """What is held against one record: how often it was tried, and for how long it failed while the endpoint took
    others (``seconds``). It is ``suspect`` once it did."""

    __slots__ = ("_at", "_first_failures", "_first_successes", "_later_successes", "seconds", "suspect", "waits")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.suspect = False
        self.waits = 0
        """failures since the last outage, which lengthen the wait"""
        self._at: float | None = None
        self._first_successes = 0
        self._first_failures = 0
        self._later_successes = 0

    def failed(self, now: float, health: Health, *, answered: bool = False) -> bool:
        """Call before the failure is counted in ``health``; whether it is the record's own fault. The time since the
        last one counts when in it the endpoint took new records, and not fewer than what speaks against it (new ones
        that it refused, old ones that it took after all); what of the time the breaker was open does not.
        """
        first, counts = self._at is None, False
        if self._at is not None:
            taken = health.first_successes - self._first_successes
            against = health.first_failures - self._first_failures + health.later_successes - self._later_successes
            counts = taken >= max(1, against)
            if counts:
                end = health.opened_at if health.is_open else now
                self.seconds += max(0.0, end - max(self._at, health.closed_at))
                self.suspect = True
        self._at = now
        self._first_successes = health.first_successes
        self._first_failures = health.first_failures + first
        self._later_successes = health.later_successes
        self.waits += 1
        return counts or (self.suspect and answered)
