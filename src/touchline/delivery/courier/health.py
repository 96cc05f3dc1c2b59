"""Whether an endpoint fails as a whole: its breaker, and the counts by which a poison record is told from an outage.

Pure: time and dice are arguments. An outage is the endpoint's fault, so while the breaker is open nothing is counted
against a record; a record's own clock (``Trial``) runs only while the endpoint takes others.
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
        "_in_a_row", "_interval", "_share", "closed_at",
        "failed_lanes", "failing_since", "failures", "failures_since",
        "is_open", "probe_at", "probes", "since_close", "successes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.successes = 0
        self.failures = 0
        self.is_open = False
        self.closed_at = 0.0
        """when it was last open"""
        self.probe_at = 0.0
        self.probes = 0
        """probes that failed since it opened"""
        self.failed_lanes: set[Hashable] = set()
        """those that failed since the last success"""
        self.failing_since: float | None = None
        self.failures_since = 0
        self.since_close = 0
        """successes in a row since it closed"""
        self._in_a_row = 0
        self._interval = PROBE_FIRST_SECONDS
        self._share: Tally | None = None

    def open_at(self, now: float) -> None:
        """Begin open, with a probe at once: a restart does not heal a receiver."""
        self.is_open = True
        self.probe_at = now

    def succeeded(self, now: float) -> bool:
        """A record was taken; whether that closed the breaker."""
        self.successes += 1
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

    def failed(self, now: float, lane: Hashable, lanes: int, dice: Uniform, *, probe: bool = False) -> bool:
        """A record was not taken, of a lane, one of so many that have anything open; whether that opened the
        breaker. ``probe``: the attempt was one."""
        self.failures += 1
        self.since_close = 0
        self._in_a_row += 1
        self.failed_lanes.add(lane)
        if self.failing_since is None:
            self.failing_since = now
        self.failures_since += 1
        if self._share is None:
            self._share = Tally(_SHARE_SECONDS)
        self._share.add(now, success=False)
        if self.is_open:
            if probe:
                self.probes += 1
                self._interval = min(PROBE_CAP_SECONDS, self._interval * 2)
                self.probe_at = now + spread(self._interval, dice)
            return False
        if self._in_a_row >= _IN_A_ROW and (len(self.failed_lanes) >= 2 or lanes <= 1):
            opens = True
        else:
            good, bad = self._share.sums(now)
            opens = good + bad >= _SHARE_OF and bad >= good
        if opens:
            self.is_open = True
            self.probes = 0
            self._interval = PROBE_FIRST_SECONDS
            self.probe_at = now + spread(self._interval, dice)
        return opens

    def may_probe(self, now: float, lane: Hashable) -> bool:
        """Whether the head of this lane may be tried while the breaker is open. When all failures were of one stream,
        another is asked at once: the one record may be poison, and its neighbours must not wait for it."""
        if now >= self.probe_at:
            return True
        return len(self.failed_lanes) == 1 and lane not in self.failed_lanes

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
    others (``seconds``)."""

    __slots__ = ("_at", "_failures", "_successes", "seconds", "waits")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits = 0
        """failures since the last outage, which lengthen the wait"""
        self._at: float | None = None
        self._successes = 0
        self._failures = 0

    def failed(self, now: float, health: Health) -> None:
        """Call before the failure is counted in ``health``: the time since the last one counts when in it the endpoint
        took something, and not less than it refused; what of it the breaker was open does not."""
        if self._at is not None:
            taken = health.successes - self._successes
            if taken >= 1 and taken >= health.failures - self._failures:
                self.seconds += now - max(self._at, health.closed_at)
        self._at = now
        self._successes = health.successes
        self._failures = health.failures + 1
        self.waits += 1
