"""Health, readiness, metrics, status for ``doctor``, the two descriptions, and the page at ``/``."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from touchline import __version__
from touchline.feeds.base import Answered, Operation
from touchline.model import Lane
from touchline.server.console import page
from touchline.server.http.access import require
from touchline.server.hub import Hub
from touchline.server.observing import Observer
from touchline.server.sessions import Sessions
from touchline.wire.http import HttpRequest, HttpResponse, json_response, problem

_PROBLEM: Final = "application/problem+json"
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)


class System:
    """The operations that concern the hub itself."""

    def __init__(self, hub: Hub, sessions: Sessions, observer: Observer) -> None:
        self._hub = hub
        self._sessions = sessions
        self._observer = observer
        self.openapi: bytes = b"{}"
        self.asyncapi: bytes = b"{}"

    def operations(self) -> list[Operation]:
        """Their declarations."""
        document = Answered("the document", {"type": "object"})
        return [
            Operation("GET", "/healthz", "healthz", "Whether the process answers", self._healthz, tag="system",
                      answers={200: Answered("it does", {"type": "object"})}),
            Operation("GET", "/readyz", "readyz", "Whether the hub takes and serves events", self._readyz, tag="system",
                      answers={200: Answered("it does", {"type": "object"}),
                               503: Answered("not yet, or no longer", media_type=_PROBLEM)}),
            Operation("GET", "/metrics", "metrics", "Prometheus metrics", self._metrics, tag="system",
                      answers={200: Answered("text format", {"type": "string"}, "text/plain")}),
            Operation("GET", "/openapi.json", "openapi", "This description", self._openapi, tag="system",
                      answers={200: document}),
            Operation("GET", "/asyncapi.json", "asyncapi", "The WebSocket endpoints' description", self._asyncapi,
                      tag="system", answers={200: document}),
            Operation("GET", "/hub/v1/status", "status", "What an operator asks first", self._status, tag="system",
                      security="adminKey",
                      answers={200: Answered("figures of the hub and of this request", {"type": "object"}),
                               401: Answered("no good key", media_type=_PROBLEM),
                               403: Answered("not an admin's key", media_type=_PROBLEM),
                               429: Answered("too many failed logins", media_type=_PROBLEM)}),
            Operation("GET", "/", "console", "A page about this hub", self._page, tag="system",
                      answers={200: Answered("HTML", {"type": "string"}, "text/html")}),
        ]  # fmt: skip

    async def _healthz(self, request: HttpRequest) -> HttpResponse:
        del request
        return json_response({"status": "ok"})

    async def _readyz(self, request: HttpRequest) -> HttpResponse:
        del request
        if self._hub.ready and not self._hub.stopping:
            return json_response({"status": "ready"})
        return problem(503, "Service Unavailable", "stopping" if self._hub.stopping else "starting")

    async def _metrics(self, request: HttpRequest) -> HttpResponse:
        del request
        metrics, fanout, log = self._hub.metrics, self._hub.fanout, self._hub.event_log.stats()
        courier, settings = self._hub.courier.stats, self._hub.settings
        observed = await self._observer.observe()
        metrics.lag(observed.endpoints)
        metrics.commits(log.commits_by_bucket, log.commit_seconds)
        for owner in self._hub.engines.all():
            metrics.sandbox_waiting.labels(owner.feed).set(len(owner))
        gauges = {
            "log_records": ("Records in the log", log.records),
            "log_size_bytes": ("Size of the log on disk", log.size_bytes),
            "log_wal_bytes": ("Size of the write-ahead log", log.wal_bytes),
            "log_waiting_events": ("Events waiting for their commit", log.waiting_events),
            "log_commits": ("Commits since the start", log.commits),
            "log_commit_seconds": ("Seconds spent in commits since the start", log.commit_seconds),
            "log_last_commit_seconds": ("Seconds of the newest commit", log.last_commit_seconds),
            "log_failing": ("1 from a refusal until the log took as much, or none came for 30 s", bool(log.trouble)),
            "log_free_bytes": ("Free bytes on the log's disk", log.free_bytes if log.free_bytes is not None else -1),
            "log_head_offset": ("Offset of the newest record", self._hub.event_log.head),
            "log_floor_offset": ("Offset through which retention removed records", self._hub.event_log.floor),
            "log_oldest_record_age_seconds": ("How far back the log reaches", observed.oldest_record_seconds),
            "retention_seconds": ("How long records are kept; 0 without limit", settings.retention_seconds or 0),
            "retention_bytes": ("How large the log may become; 0 without limit", settings.retention_size or 0),
            "last_backup_timestamp_seconds": (
                "When a backup was last taken (Unix time); 0 when none was",
                0 if observed.last_backup is None else observed.last_backup.at / 1e9,
            ),
            "loop_lag_worst_seconds": (
                "The latest that the event loop came in the last minute",
                observed.loop_lag_seconds,
            ),
            "fanout_frames": ("Frames written to sessions since the start", fanout.stats.frames),
            "fanout_writes": ("Writes in which they went to the sockets", fanout.stats.writes),
            "fanout_written_bytes": ("Bytes written to sessions since the start", fanout.stats.written_bytes),
            "fanout_encoded": ("Frames encoded since the start", fanout.stats.encoded),
            "fanout_slowed": ("Times a session was too slow for pushing", fanout.stats.slowed),
            "fanout_spliced": ("Times a session caught up with the live records", fanout.stats.spliced),
            "fanout_stalled": ("Sessions closed without any progress", fanout.stats.stalled),
            "fanout_gaps": ("Sessions that retention overtook", fanout.stats.gaps),
            "fanout_behind": ("Sessions that pull from the log at the moment", fanout.behind()),
            "fanout_behind_records_most": (
                "Records that the session furthest behind has to pull; an upper bound",
                observed.sessions.records_most,
            ),
            "fanout_blocked_seconds_most": (
                "For how long the slowest session has taken nothing",
                observed.sessions.blocked_seconds_most,
            ),
            "fanout_conflated": ("State values replaced before a slow session saw them", fanout.stats.conflated),
            "fanout_readers": ("Sessions that the fan-out serves", len(fanout.readers)),
            "webhook_attempts": ("Webhook requests that ended since the start", courier.attempts),
            "webhook_delivered": ("Records delivered to endpoints since the start", courier.delivered),
            "webhook_failed": ("Attempts that failed since the start", courier.failed),
            "webhook_deferred": ("Answers that asked for a pause since the start", courier.deferred),
            "webhook_dead_letters": ("Records given up for an endpoint since the start", courier.dead_lettered),
            "webhook_dead_letters_waiting": ("Dead letters that wait to be redriven", courier.letters),
            "webhook_redriven": ("Dead letters delivered after all since the start", courier.redriven),
            "webhook_handshakes": ("Handshakes answered since the start", courier.handshakes),
            "webhook_expired": ("Offsets that retention took from endpoints since the start", courier.expired),
            "webhook_faults": ("Records that a feed could not encode since the start", courier.faults),
            "webhook_in_flight": ("Webhook requests under way", courier.in_flight),
            "webhook_cursor_writes": ("Writes of endpoints' cursors since the start", courier.cursor_writes),
            "publishers_silent": ("Publishers that have stopped to publish", len(self._hub.publishers.silent)),
            "login_failures": ("Failed logins and signatures since the start", self._hub.logins.failures),
            "tasks": ("Tasks of the event loop", len(asyncio.all_tasks())),
            "open_files": ("Open file descriptors", observed.files_used),
            "open_files_limit": ("The most file descriptors that may be open", observed.files_soft),
        }
        for name, (text, value) in gauges.items():
            metrics.gauge(name, text, float(value))
        return HttpResponse(200, metrics.text(), (("content-type", "text/plain; version=0.0.4; charset=utf-8"),))

    async def _openapi(self, request: HttpRequest) -> HttpResponse:
        del request
        return HttpResponse(200, self.openapi)

    async def _asyncapi(self, request: HttpRequest) -> HttpResponse:
        del request
        return HttpResponse(200, self.asyncapi)

    async def _status(self, request: HttpRequest) -> HttpResponse:
        key = require(self._hub, request, "admin")
        if isinstance(key, HttpResponse):
            return key
        log = self._hub.event_log
        stats = log.stats()
        observed = await self._observer.observe()
        backup = observed.last_backup
        settings = self._hub.settings
        return json_response(
            {
                "version": __version__,
                "epoch": log.epoch,
                "head": log.head,
                "floor": log.floor,
                "data": str(settings.data_dir),
                "log": {
                    "records": stats.records,
                    "size_bytes": stats.size_bytes,
                    "wal_bytes": stats.wal_bytes,
                    "free_bytes": stats.free_bytes,
                    "last_commit_seconds": stats.last_commit_seconds,
                    "waiting_events": stats.waiting_events,
                    "waiting_bytes": stats.waiting_bytes,
                    "trouble": stats.trouble,
                },
                "retention_seconds": settings.retention_seconds,
                "retention_bytes": settings.retention_size,
                "wall_ns": self._hub.clock.wall_ns(),
                "open_files": {"soft": observed.files_soft, "hard": observed.files_hard, "used": observed.files_used},
                "sessions": len(self._sessions),
                "sessions_lag": observed.sessions,
                "endpoints": {state: lag.endpoints for state, lag in observed.endpoints.items() if lag.endpoints},
                "endpoints_lag": observed.endpoints,
                "dead_letters": observed.dead_letters,
                "publishers_silent": self._hub.publishers.silent,
                "snapshots_lacking": self._hub.snapshots.lacking,
                "oldest_record_seconds": observed.oldest_record_seconds,
                "loop_lag_seconds": observed.loop_lag_seconds,
                "last_backup": None if backup is None else {"at_ns": backup.at, "bytes": backup.bytes},
                "base_url": self._hub.public_url,
                "request": {
                    "host": request.header("host"),
                    "hosts": list(request.hosts),
                    "scheme": request.scheme,
                    "address": request.address,
                    "forwarded_host": request.header("x-forwarded-host"),
                    "forwarded_for": request.header("x-forwarded-for"),
                },
                "feeds": self._feeds(),
                "warnings": settings.warnings(),
            }
        )

    def _feeds(self) -> list[dict[str, Any]]:
        return [
            {
                "name": feed.name,
                "title": feed.title,
                "served": bool(feed.credentials),
                "transports": sorted(transport.value for transport in feed.capabilities.transports),
                "state_types": [kind.name for kind in feed.types if kind.lane is Lane.STATE],
            }
            for feed in self._hub.feeds.values()
        ]

    async def _page(self, request: HttpRequest) -> HttpResponse:
        del request
        return HttpResponse(
            200,
            page(self._hub.feeds.values()),
            (
                ("content-type", "text/html; charset=utf-8"),
                ("content-security-policy", _POLICY),
                ("referrer-policy", "no-referrer"),
                ("x-content-type-options", "nosniff"),
            ),
        )  # fmt: skip
