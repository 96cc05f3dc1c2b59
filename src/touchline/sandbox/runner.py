"""Plays the feeds' sandboxes into a hub, as an ordinary publisher over HTTP.

Owns the pace, the batches and what happens when the hub is away; knows nothing of what a sandbox plays. What is due
goes out every tenth of a second in one request. While the hub cannot be reached the events of the event lane wait,
with the same ids, and late ones of the state lane are dropped; when too many wait, the games stand still.
"""

from __future__ import annotations

import heapq
import logging
import random
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from touchline.client.hub import Published
from touchline.clock import Clock, SystemClock
from touchline.errors import UpstreamError
from touchline.feeds.base import Deriver, Feed, SandboxOptions, Timed
from touchline.model import Lane
from touchline.wire import rfc3339

BATCH_SECONDS: Final = 0.1
MAX_BATCH_LINES: Final = 500
MAX_BATCH_BYTES: Final = 1_000_000
MAX_BACKLOG_LINES: Final = 20_000
"""Events of the event lane that wait for a hub that is away; beyond it the games stand still."""
LATE_SECONDS: Final = 2.0
"""State-lane events that are this late are worth nothing: a newer value follows."""
_FIRST_RETRY_SECONDS: Final = 0.25
_LONGEST_RETRY_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Publisher(Protocol):
    """What the runner needs of ``touchline.client.hub.HubClient``."""

    def publish(self, lines: Iterable[bytes], *, on_error: str = "fail") -> Published:
        """Append CloudEvents lines. Raises UpstreamError; ``retryable`` says whether to come again."""


class RunSummary(msgspec.Struct):
    """What a run has done so far."""

    published: int = 0
    duplicates: int = 0
    refused: int = 0
    dropped: int = 0
    requests: int = 0
    failures: int = 0


class Line(msgspec.Struct, frozen=True, gc=False):
    """An encoded CloudEvent that waits to be published."""

    body: bytes
    lane: Lane


class _Source:
    """One feed's sandbox, and the event of it that is next."""

    def __init__(self, feed: Feed, events: Iterator[Timed]) -> None:
        self.feed = feed.name
        self.lanes: Mapping[str, Lane] = {kind.name: kind.lane for kind in feed.types}
        self.events = events
        self.count = 0


class Runner:
    """Runs the sandboxes of several feeds at once.

    Call ``run`` in a thread of its own, or ``step`` by hand. ``speed`` 2 plays twice as fast. The same ``seed`` gives
    the same games; ids carry ``run_id`` and are new for every run. ``tell`` gets a sentence when the hub goes away,
    comes back, or refuses an event.
    """

    def __init__(
        self,
        publisher: Publisher,
        feeds: Sequence[Feed],
        *,
        speed: float = 1.0,
        loop: bool = False,
        seed: int = 1,
        run_id: str | None = None,
        clock: Clock | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.summary = RunSummary()
        self.run_id = run_id or uuid.uuid4().hex[:12]
        self._publisher = publisher
        self._feeds = tuple(feed for feed in feeds if feed.sandbox is not None)
        self._speed = speed
        self._loop = loop
        self._seed = seed
        self._clock = clock or SystemClock()
        self._tell = tell or log.info
        self._heap: list[tuple[int, int, Timed, _Source]] = []
        self._derivers: list[tuple[Deriver, _Source]] = []
        self._pushed = 0
        self._backlog: deque[Line] = deque()
        self._waiting = 0
        self._origin = 0.0
        self._start_ns = 0
        self._retry_at = 0.0
        self._retries = 0
        self._started = False

    def run(self, stop: threading.Event) -> RunSummary:
        """Play until every sandbox has ended or ``stop`` is set.

        Raises:
            HubRefused: the hub takes nothing from us at all, as with a bad key.
        """
        while not stop.is_set():
            wait = self.step()
            if wait is None:
                break
            stop.wait(wait)
        return self.summary

    def step(self) -> float | None:
        """Publish what is due; the seconds until the next call, or None when all sandboxes have ended."""
        if not self._started:
            self._start()
        now = self._clock.monotonic()
        self._gather(now)
        if self._backlog and now >= self._retry_at:
            self._flush()
        if not self._backlog and not self._heap:
            return None
        return max(0.0, now + BATCH_SECONDS - self._clock.monotonic())

    # what is due

    def _start(self) -> None:
        self._started = True
        self._origin = self._clock.monotonic()
        self._start_ns = self._clock.wall_ns()
        options = SandboxOptions(start_ns=self._start_ns, loop=self._loop)
        for feed in self._feeds:
            assert feed.sandbox is not None
            dice = random.Random(f"{self._seed}:{feed.name}")  # noqa: S311 - a game, not a secret
            if feed.sandbox.simulate is not None:
                self._pull(_Source(feed, iter(feed.sandbox.simulate(dice, options))))
            if feed.sandbox.derive is not None:
                self._derivers.append((feed.sandbox.derive(dice, options), _Source(feed, iter(()))))

    def _pull(self, source: _Source) -> None:
        event = next(source.events, None)
        if event is not None:
            self._push(event, source)

    def _push(self, event: Timed, source: _Source) -> None:
        self._pushed += 1
        heapq.heappush(self._heap, (event.at, self._pushed, event, source))

    def _derive(self, event: Timed, source: _Source) -> None:
        """Let the feeds that live on what others play see an event; what they make of it is due no earlier."""
        for deriver, own in self._derivers:
            if own.feed != source.feed:
                for derived in deriver.observe(event):
                    self._push(derived, own)

    def _gather(self, now: float) -> None:
        """Move what is due to the backlog, in order of time."""
        played = int((now - self._origin) * self._speed * 1e9)
        too_late = played - int(LATE_SECONDS * self._speed * 1e9)
        while self._heap and self._heap[0][0] <= played:
            if self._waiting >= MAX_BACKLOG_LINES:
                # Stand still: the games go on from here once the backlog is gone.
                self._origin = now - self._heap[0][0] / 1e9 / self._speed
                return
            at, _, event, source = heapq.heappop(self._heap)
            source.count += 1
            lane = source.lanes.get(event.type, Lane.EVENT)
            if lane is Lane.STATE and at < too_late:
                self.summary.dropped += 1
            else:
                self._backlog.append(Line(self._encode(event, source), lane))
                self._waiting += lane is Lane.EVENT
            self._pull(source)
            self._derive(event, source)

    def _encode(self, event: Timed, source: _Source) -> bytes:
        envelope: dict[str, Any] = {
            "specversion": "1.0",
            "id": f"{self.run_id}-{source.count}",
            "source": f"/sandbox/{source.feed}",
            "type": event.type,
            "subject": event.subject,
            "time": rfc3339.encode(self._start_ns + int(event.at / self._speed)),
            **event.extensions,
            "datacontenttype": "application/json",
            "data": msgspec.Raw(event.data),
        }
        return msgspec.json.encode(envelope)

    # getting it out

    def _flush(self) -> None:
        while self._backlog:
            batch = self._batch()
            self.summary.requests += 1
            try:
                answer = self._publisher.publish([line.body for line in batch], on_error="skip")
            except UpstreamError as problem:
                if not problem.retryable:
                    raise
                self._failed(batch, problem)
                return
            if self._retries:
                self._retries = 0
                self._tell("the hub is back")
            self._waiting -= sum(line.lane is Lane.EVENT for line in batch)
            self.summary.published += answer.accepted
            self.summary.duplicates += answer.duplicates
            self.summary.refused += len(answer.errors)
            for error in answer.errors[:1]:
                self._tell(f"the hub refused {len(answer.errors)} events, the first for {error.field}: {error.detail}")

    def _batch(self) -> list[Line]:
        batch: list[Line] = []
        size = 0
        while self._backlog and len(batch) < MAX_BATCH_LINES:
            size += len(self._backlog[0].body) + 1
            if batch and size > MAX_BATCH_BYTES:
                break
            batch.append(self._backlog.popleft())
        return batch

    def _failed(self, batch: Sequence[Line], problem: UpstreamError) -> None:
        """Keep the event lane for the next try, in order and with its ids; the state lane will be old by then."""
        everything = [*batch, *self._backlog]
        kept = [line for line in everything if line.lane is Lane.EVENT]
        self.summary.dropped += len(everything) - len(kept)
        self.summary.failures += 1
        self._backlog = deque(kept)
        self._waiting = len(kept)
        if not self._retries:
            self._tell(f"the hub is away: {problem}; trying on")
        wait = min(_LONGEST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2.0 ** min(self._retries, 16))
        self._retries += 1
        self._retry_at = self._clock.monotonic() + max(wait, min(problem.retry_after or 0.0, _LONGEST_RETRY_SECONDS))
