"""Reading by REST what no push will tell, at each subscription, and comparing it every fifteen minutes (sheet §6, §7).

What the user gets is one message for each thing that REST shows otherwise than it was told so far, with the call as its
source and the whole truth of its scope in it, which replaces what was known there:

- ``get_tournaments`` ``{"tournaments":[…],"gone":[…]}``: these there are; others are gone, and their events with them;
- ``get_sport_events`` ``{"tournament_id":…,"sport_events":[…],"gone":[…]}``: these the tournament has; others of it are
  gone, and their markets with them (``gone`` names those of which something was told);
- ``get_multiple_markets`` ``{"event_id":…,"markets":[…]}``: these markets and books the event has, and no others;
- ``get_wagers`` ``{"wagers":[…]}``: these wagers stand so; others stay;
- ``get_balance``: the balance, which no push tells.

After a subscription every push is held until the reads are done, then those that are newer than what was read go out,
then the line is live. So whoever folds all messages in order has what REST has. A timed compare holds only the pushes
of what it is just reading, for one round trip. Holding is bounded in number, bytes and time; beyond that it is said,
all that is held goes out, and a compare follows a minute later. Matches cannot be read: those of a break are not told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import Instant
from touchline.feeds.prophetx.consumer import reading
from touchline.feeds.prophetx.consumer.answers import Answers
from touchline.feeds.prophetx.consumer.calls import Calls, Outlet, explain
from touchline.feeds.prophetx.consumer.changes import Push
from touchline.feeds.prophetx.consumer.reading import Step
from touchline.wire.http import HttpResponse

COMPARE_SECONDS: Final = 15 * 60.0
AGAIN_SECONDS: Final = 60.0
"""Until the next compare when a reconcile was given up."""
HOLD_SECONDS: Final = 60.0
STEP_HOLD_SECONDS: Final = 10.0
MAX_HELD: Final = 20_000
MAX_HELD_BYTES: Final = 64 * 1024 * 1024
STEP_SECONDS: Final = 0.03
"""Between two reads: well below the 50 requests a second that are allowed (sheet §1)."""
LAG_SECONDS: Final = (1.0, 1.0)
"""Before each time that an answer older than the pushes is asked for again, while everything is held."""
COMPARE_LAG_SECONDS: Final = (1.0, 5.0, 15.0)
"""The same in a compare, where there is time."""
EVENTS_A_CALL: Final = 20
"""At most 50 are allowed; with large books 50 events are tens of megabytes."""

_OWN: Final = (reading.WAGERS, reading.BALANCE)
_PRIVATE: Final = tuple(Step(call) for call in _OWN)


class Reconcile:
    """See the module docstring. ``hand_out`` takes the pushes that were held, in their order."""

    def __init__(
        self,
        base: str,
        calls: Calls,
        outlet: Outlet,
        answers: Answers,
        hand_out: Callable[[Push], None],
    ) -> None:
        self._base, self._calls, self._outlet, self._answers, self._hand_out = base, calls, outlet, answers, hand_out
        self._public: deque[Step] = deque()
        self._private: deque[Step] = deque()
        self._event_ids: deque[str] = deque()
        self._asked: Step | None = None
        self._is_first = False
        """after a subscription, and not a timed compare"""
        self._holds_all = False
        """until what is everybody's was read for the first time"""
        self._held: list[Push] = []
        self._held_bytes = 0
        self._hold_until = 0.0
        self._step_at = 0.0
        self._compare_at: float | None = None

    @property
    def is_reading(self) -> bool:
        """Whether something is still to be read."""
        return self._reads_public or self._reads_private

    @property
    def _reads_public(self) -> bool:
        is_asked = self._asked is not None and self._asked.call not in _OWN
        return bool(self._public or self._event_ids or is_asked)

    @property
    def _reads_private(self) -> bool:
        is_asked = self._asked is not None and self._asked.call in _OWN
        return bool(self._private or is_asked)

    @property
    def _lag_seconds(self) -> tuple[float, ...]:
        return LAG_SECONDS if self._holds_all else COMPARE_LAG_SECONDS

    def begin(self, now: Instant) -> None:
        """The broadcast channel has just become ours: read everything."""
        self._public.clear()
        self._event_ids.clear()
        if self._asked is not None:
            self._calls.cancel(self._asked.call)
            self._asked = None
        self._is_first = self._holds_all = True
        self._hold_until = now.monotonic + HOLD_SECONDS
        self._start(now)

    def begin_private(self, now: Instant) -> None:
        """The private channel has just become ours: what is one's own must be read after that."""
        self._private.clear()
        self._private.extend(_PRIVATE)
        self._step_at = max(self._step_at, now.monotonic)

    def stop(self) -> None:
        """The line broke: what was held goes out, the next subscription reads everything anew."""
        if self._asked is not None:
            self._calls.cancel(self._asked.call)
        self._asked = self._compare_at = None
        self._public.clear()
        self._private.clear()
        self._event_ids.clear()
        self._is_first = self._holds_all = False
        self._release()

    def holds(self, push: Push, now: Instant) -> bool:
        """Whether a push waits for what is being read; it comes out of ``hand_out`` later."""
        if not self._concerns(push):
            return False
        self._held.append(push)
        self._held_bytes += _size(push)
        if len(self._held) > MAX_HELD or self._held_bytes > MAX_HELD_BYTES:
            self._give_up("more pushes came meanwhile than can be held", now)
        return True

    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        times = []
        if self._asked is None and self._compare_at is not None and self.is_reading:
            times.append(self._step_at)
        if self._held or self._asked is not None:
            times.append(self._hold_until)
        if self._compare_at is not None:
            times.append(self._compare_at)
        return min(times, default=None)

    def tick(self, now: Instant) -> None:
        """Give up what takes too long, or read on."""
        if (self._held or self._asked is not None) and now.monotonic >= self._hold_until:
            if self._asked is not None and len(self._asked.ids) > 1 and not self._holds_all:
                # Larger than the shell takes, or slow: it would be so the next time too, and nothing behind it read.
                self._calls.cancel(self._asked.call)
                self._public.extendleft(reversed(_halves(self._asked)))
                self._asked = None
                self._release()
            else:
                self._give_up("the reads took too long", now)
        self.read_on(now)

    def read_on(self, now: Instant) -> None:
        """Read what is due, or begin a compare."""
        if self._compare_at is not None and now.monotonic >= self._compare_at:
            self._compare_at = now.monotonic + COMPARE_SECONDS
            if not self.is_reading:
                self._is_first = False
                self._private.extend(_PRIVATE)
                self._start(now)
        # Not before the broadcast channel is ours: what is one's own comes after what is everybody's.
        if self._asked is None and self._compare_at is not None and now.monotonic >= self._step_at:
            self._next(now)

    # steps

    def _start(self, now: Instant) -> None:
        self._compare_at = now.monotonic + COMPARE_SECONDS
        self._answers.begin(len(self._lag_seconds))
        self._public.append(Step(reading.TOURNAMENTS))
        self._step_at = now.monotonic
        self._next(now)

    def _next(self, now: Instant) -> None:
        if self._public:
            step = self._public.popleft()
        elif self._event_ids:
            ids = [self._event_ids.popleft() for _ in range(min(EVENTS_A_CALL, len(self._event_ids)))]
            step = Step(reading.MARKETS, tuple(ids))
        elif self._private:
            step = self._private.popleft()
        else:
            return
        self._asked = step
        if not self._holds_all:
            self._hold_until = now.monotonic + STEP_HOLD_SECONDS
        self._calls.ask(step.call, reading.request(self._base, step), lambda answer, at: self._take(step, answer, at))

    def _take(self, step: Step, response: HttpResponse, now: Instant) -> str | None:
        if response.status == 401 and step.call not in _OWN:
            return "was refused with 401 again"
        self._asked = None
        self._step_at = now.monotonic + STEP_SECONDS
        try:
            if response.status == 200:
                following = self._answers.take(step, response)
                (self._private if step.call in _OWN else self._public).extend(following.steps)
                self._event_ids.extend(following.event_ids)
                if following.again:
                    self._public.extend(following.again)
                    self._step_at = now.monotonic + self._lag_seconds[min(step.tries, len(self._lag_seconds) - 1)]
            else:
                self._refused(step, response)
        except RemoteProtocolError as problem:
            self._outlet.notice("protocol_error", f"{step.call}: {problem}; skipped")
        if not self._reads_public and self._holds_all:
            self._holds_all = False
            self._answers.patience = len(self._lag_seconds)
        if not self.is_reading:
            self._finish()
        if not self._holds_all:
            self._release()
        return None

    def _finish(self) -> None:
        read, differing = self._answers.read, self._answers.differing
        if self._is_first or differing:
            self._outlet.notice("reconciled", f"{differing} of {read} things read by REST were news")
        self._is_first = False
        self._answers.begin(len(self._lag_seconds))

    def _refused(self, step: Step, response: HttpResponse) -> None:
        if response.status == 404 and step.call in _OWN:
            return  # no such call at every provider, or no account yet
        if response.status < 500 and len(step.ids) > 1:  # one of them may be what is wrong
            self._public.extend(_halves(step))
            return
        if response.status == 404 and step.call == reading.MARKETS:
            return  # taken down since it was listed
        code, words = explain(response)
        about = f"{step.call} {', '.join(step.ids)}".rstrip()
        self._outlet.notice("unread", f"{about} was refused with {response.status} {words or code}".rstrip())

    # holding

    def _concerns(self, push: Push) -> bool:
        if push.kind == "wager" and self._is_first:
            return self._reads_private
        if self._holds_all:
            return True
        step = self._asked
        match step.call if step is not None else "":
            case reading.TOURNAMENTS:
                return push.kind == "tournament"
            case reading.SPORT_EVENTS:
                return step is not None and push.tournament_id in step.ids
            case reading.MARKETS:
                return step is not None and push.event_id in step.ids
            case reading.WAGERS:
                return push.kind == "wager"
        return False

    def _release(self) -> None:
        """Hand out what no read concerns any more.

        Where something was removed meanwhile one cannot tell by numbers whether it was before or after what was read of
        the things around it: those are read once more.
        """
        out = [push for push in self._held if not self._concerns(push)]
        self._held = [push for push in self._held if self._concerns(push)]
        self._held_bytes = sum(map(_size, self._held))
        for push in out:
            self._hand_out(push)
        if self._compare_at is not None:
            for push in out:
                if push.is_gone:
                    self._read_again(push)

    def _read_again(self, push: Push) -> None:
        if push.kind == "tournament":
            step = Step(reading.TOURNAMENTS)
        elif push.kind == "sport_event":
            step = Step(reading.SPORT_EVENTS, (push.tournament_id,))
        elif push.kind.startswith("market"):
            step = Step(reading.MARKETS, (push.event_id,))
        else:
            return
        if step not in self._public:
            self._public.append(step)

    def _give_up(self, why: str, now: Instant) -> None:
        if self._is_first:
            self._outlet.notice(
                "unreconciled", f"{why}: what is known may be old; comparing again in {AGAIN_SECONDS:.0f} s"
            )
        self.stop()
        self._compare_at = now.monotonic + AGAIN_SECONDS


def _halves(step: Step) -> tuple[Step, Step]:
    half = len(step.ids) // 2
    return Step(step.call, step.ids[:half]), Step(step.call, step.ids[half:])


def _size(push: Push) -> int:
    return len(push.message.raw) + len(push.message.data)
