"""What the hub counts, for ``/metrics`` (Prometheus text format). Labels never hold a name, a key or a query string."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


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
        self.endpoints = Gauge("touchline_endpoints", "Webhook endpoints by state", ["state"], registry=self.registry)
        self._gauges: dict[str, Gauge] = {}

    def gauge(self, name: str, help_text: str, value: float) -> None:
        """Set a gauge that another part's figures are read into."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(f"touchline_{name}", help_text, registry=self.registry)
        gauge.set(value)

    def text(self) -> bytes:
        """All metrics in text format."""
        return generate_latest(self.registry)
