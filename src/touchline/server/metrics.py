"""What the hub counts, for ``/metrics`` (Prometheus text format). Labels never hold a name, a key or a query string."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from touchline.delivery.courier import Lag
from touchline.log.base import COMMIT_BUCKETS


class Metrics:
    """The hub's own registry; gauges of other parts are set just before they are read."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "touchline_http_requests", "HTTP requests answered", ["operation", "status"], registry=self.registry
        )
        self.published = Counter(
            "touchline_published_events",
            "Events of publish requests by outcome (accepted, duplicate, refused)",
            ["outcome"],
            registry=self.registry,
        )
        self.append_seconds = Histogram(
            "touchline_append_seconds",
            "From a checked publish request to its durable acknowledgement",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
            registry=self.registry,
        )
        self.sessions = Gauge(
            "touchline_sessions", "Open sessions by feed and transport", ["feed", "transport"], registry=self.registry
        )
        self.sessions_opened = Counter(
            "touchline_sessions_opened", "Sessions accepted", ["feed", "transport"], registry=self.registry
        )
        self.sessions_ended = Counter(
            "touchline_sessions_ended",
            "Sessions ended by the hub, by reason",
            ["feed", "reason"],
            registry=self.registry,
        )
        self.refused = Counter(
            "touchline_sessions_refused",
            "Session handshakes refused, by status",
            ["feed", "status"],
            registry=self.registry,
        )
        self.loop_lag = Histogram(
            "touchline_loop_lag_seconds",
            "How much later than asked the event loop came",
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
            registry=self.registry,
        )
        self.endpoints = self._by_state("endpoints", "Webhook endpoints by state")
        self.endpoints_behind = self._by_state("endpoints_behind", "Endpoints that have not taken all of their records")
        self.endpoints_oldest = self._by_state(
            "endpoints_oldest_undelivered_seconds", "Age of the oldest record that one of these endpoints has not taken"
        )
        self.endpoints_records = self._by_state(
            "endpoints_records_behind",
            "Records behind the oldest that each has not taken, all endpoints together; far back an upper bound",
        )
        self.endpoints_records_most = self._by_state(
            "endpoints_records_behind_most", "The same, of the endpoint that is furthest behind"
        )
        self.sandbox_waiting = Gauge(
            "touchline_sandbox_waiting_commands",
            "Commands that wait for a sandbox engine",
            ["feed"],
            registry=self.registry,
        )
        self._commits: tuple[tuple[int, ...], float] = ((), 0.0)
        self.registry.register(_Commits(self))
        self._gauges: dict[str, Gauge] = {}

    def _by_state(self, name: str, text: str) -> Gauge:
        return Gauge(f"touchline_{name}", text, ["state"], registry=self.registry)

    def lag(self, by_state: Mapping[str, Lag]) -> None:
        """How far endpoints are behind, by state."""
        for state, lag in by_state.items():
            self.endpoints.labels(state).set(lag.endpoints)
            self.endpoints_behind.labels(state).set(lag.behind)
            self.endpoints_oldest.labels(state).set(lag.oldest_seconds)
            self.endpoints_records.labels(state).set(lag.records_sum)
            self.endpoints_records_most.labels(state).set(lag.records_max)

    def commits(self, by_bucket: tuple[int, ...], seconds: float) -> None:
        """The log's commits by how long they took (``LogStats.commits_by_bucket``), and all their seconds."""
        self._commits = (by_bucket, seconds)

    def commit_histogram(self) -> HistogramMetricFamily:
        """The same as Prometheus has it: each bucket counts those below it too."""
        by_bucket, seconds = self._commits
        bounds = [*(str(bound) for bound in COMMIT_BUCKETS), "+Inf"]
        return HistogramMetricFamily(
            "touchline_log_commit_duration_seconds",
            "How long the log's commits took",
            buckets=list(zip(bounds, map(float, accumulate(by_bucket)), strict=False)),
            sum_value=seconds,
        )

    def gauge(self, name: str, help_text: str, value: float) -> None:
        """Set a gauge that another part's figures are read into."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(f"touchline_{name}", help_text, registry=self.registry)
        gauge.set(value)

    def text(self) -> bytes:
        """All metrics in text format."""
        return generate_latest(self.registry)


class _Commits(Collector):
    """The log counts its commits itself, on its own thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """See ``Collector``."""
        yield self._metrics.commit_histogram()
