"""One endpoint as the courier drives it: what is known of it, what it is owed, how it does, and what may go next.

Decides and holds, but does nothing: no log, no transport, no store.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from touchline.delivery.courier.attempts import Attempts
from touchline.delivery.courier.backlog import Backlog, Item, Lane, Saved
from touchline.delivery.courier.health import Health, Tally
from touchline.delivery.courier.limits import CourierLimits
from touchline.delivery.courier.policy import Policy
from touchline.delivery.courier.recent import Place
from touchline.delivery.courier.scheduler import Share, Ticket
from touchline.delivery.courier.transport import Sending
from touchline.feeds.base import Admitted, EndpointView, Feed, Member, WebhookCodec
from touchline.log.endpoints import Endpoint

if TYPE_CHECKING:
    from touchline.delivery.courier.handshakes import Telling

NATIVE_FEED: Final = "hub"
Span = tuple[int, int]
"""After which offset, and through which."""
"""Its endpoints look at the events of all feeds."""

_PROBED_LANES: Final = 16
_RATE_SECONDS: Final = 300.0


class Flight(Ticket):
    """A request under way: of a lane's head, or (``telling``) a handshake."""

    __slots__ = ("item", "lane", "line", "message_id", "probe", "replay", "sending", "telling")

    def __init__(self, line: Line, now: float, *, lane: Lane | None, item: Item | None, message_id: str) -> None:
        super().__init__(line.share, now, slow=line.share.suspect)
        self.line = line
        self.lane = lane
        self.item = item
        self.message_id = message_id
        self.probe = False
        self.replay = False
        self.telling: Telling | None = None
        self.sending: Sending | None = None


class Line:
    """See the module docstring.

    ``unsaved`` are answers that no durable cursor covers yet; ``scanning``: something is being read for it;
    ``alone``: the order was changed, and the lanes of the old order go out first. ``wait_until`` is what the endpoint
    asked for (Retry-After), ``hourly_at`` when one that the hub paused is tried again.
    """

    __slots__ = (
        "admitted", "alone", "announced_failing", "attempts", "backlog", "burying", "codec", "dead", "delivered",
        "endpoint", "expired", "expired_spans", "failed", "feed", "flights", "gone", "health",
        "hourly_at", "last_error", "member", "place", "policy", "rate", "removed", "saved_cursor", "scan_queued",
        "scanning", "share", "stalled", "telling", "undead", "unsaved", "variant", "view", "view_until", "wait_until",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, feed: Feed, codec: WebhookCodec, policy: Policy) -> None:
        self.endpoint = endpoint
        self.feed = feed
        self.codec = codec
        self.policy = policy
        self.share = Share(policy.window, policy.rate_limit)
        self.health = Health()
        self.backlog: Backlog
        self.view: EndpointView
        self.view_until: int | None = None
        self.variant: Hashable = None
        self.admitted = Admitted.AT_ONCE
        self.member: Member | None = None
        self.flights: dict[Flight, None] = {}
        self.telling: dict[str, Telling] | None = None
        self.attempts: Attempts | None = None
        self.rate: Tally | None = None
        self.dead: set[int] = set()
        """offsets of its dead letters"""
        self.undead: list[int] = []
        """those that were delivered after all, to be removed"""
        self.burying: list[tuple[Lane, Item, str]] = []
        self.place: Place | None = None
        self.scan_queued = False
        self.scanning = False
        self.stalled = False
        """a reading failed: the next tick tries again"""
        self.alone = False
        self.unsaved = 0
        self.saved_cursor = -1
        self.wait_until: float | None = None
        self.hourly_at: float | None = None
        self.gone = ""
        """why its status is about to change: nothing is sent until that is durable"""
        self.removed = False
        self.announced_failing = False
        self.delivered = 0
        self.failed = 0
        self.expired = 0
        self.expired_spans: list[Span] = []
        """after which offset, and through which, retention overtook it; apart from each other"""
        self.last_error = ""

    @property
    def reads(self) -> str | None:
        """The feed whose records it looks at; None for all."""
        return None if self.endpoint.feed == NATIVE_FEED else self.endpoint.feed

    @property
    def is_driven(self) -> bool:
        """Whether the courier sends anything there now: active, or paused by the hub and to be probed."""
        if self.removed or self.gone or self.member is None:
            return False
        status = self.endpoint.status
        return status == "active" or (status == "paused" and self.hourly_at is not None)

    def wants_more(self, limits: CourierLimits) -> bool:
        """Whether the cursor should move on: there is not enough in hand to fill the window."""
        backlog = self.backlog
        if self.scanning or self.stalled or not self.is_driven or (self.alone and backlog.lanes):
            return False
        if not backlog.has_room(limits.open_lanes):
            return False
        health = self.health
        if health.is_open and health.answers:
            # What it refused may all be poison: there must always be a record that it was not asked to take yet.
            return len(backlog.lanes) <= health.lanes + health.probes
        if health.is_open or self.endpoint.status != "active":
            return len(backlog.lanes) < min(_PROBED_LANES, 2 + health.probes)
        return len(backlog.ready) < self.policy.window

    def next_lane(self, now: float, limits: CourierLimits) -> Lane | None:
        """The lane whose head may go now."""
        backlog = self.backlog
        if not backlog.lanes or not self.is_driven or (self.wait_until is not None and now < self.wait_until):
            return None
        if self.share.in_flight + self.unsaved >= limits.undurable:
            return None
        if self.endpoint.status != "active":
            if self.hourly_at is None or now < self.hourly_at or self.flights:
                return None
            return self._probed(now, forced=True)
        if self.health.is_open:
            if not self.health.is_probe_due(now) or any(flight.probe for flight in self.flights):
                return None
            return self._probed(now)
        return next(iter(backlog.ready), None)

    def _probed(self, now: float, *, forced: bool = False) -> Lane | None:
        """The next lane to probe with: a head that was not tried yet before others, those that may be poison last, and
        each in its turn (``Backlog.put_last``), so that no number of bad heads keeps the endpoint closed."""
        lanes, health = self.backlog.lanes, self.health
        found: Lane | None = None
        lowest = 3
        for key, lane in lanes.items():
            rank = health.likely(key, lane.trial)
            if not lane.busy and rank < lowest and (forced or health.may_probe(now, key, lane.trial)):
                found, lowest = lane, rank
                if not rank:
                    break
        return found

    def suspects(self) -> int:
        """How many lanes wait for a record that is perhaps poison."""
        return sum(lane.trial is not None and lane.trial.suspect for lane in self.backlog.lanes.values())

    def count(self, now: float, *, success: bool) -> None:
        """Count a result for the success rate."""
        if self.rate is None:
            self.rate = Tally(_RATE_SECONDS)
        self.rate.add(now, success=success)

    def state(self, now: float) -> str:
        """How it does, in a word (``EndpointReport.state``)."""
        if self.member is None:
            return "suspended"
        if self.endpoint.status != "active":
            return self.endpoint.status
        if self.health.is_open:
            return "failing"
        return "waiting" if self.wait_until is not None and now < self.wait_until else "active"

    def snapshot(self, epoch: str, wall_ns: int, now: float) -> Saved:
        """What is to be stored of it."""
        backlog, health = self.backlog, self.health
        since = health.failing_since
        strict = backlog.cursor if "" not in backlog.lanes else backlog.strict_cursor()
        return Saved(
            epoch,
            strict,
            backlog.ordering,
            () if "" in backlog.lanes else tuple(backlog.open_lanes()),
            backlog.replay_from,
            backlog.replay_until,
            self.announced_failing,
            None if since is None else wall_ns - round((now - since) * 1e9),
            health.failures_since,
        )
