"""The bounds of the courier's memory and patience, and what it counts."""

from __future__ import annotations

import msgspec


class CourierLimits(msgspec.Struct, frozen=True):
    """``recent_*`` bound the shared window of new records, ``chunk*`` what is read of the log, ``lane_*`` and
    ``held_*`` what an endpoint keeps in memory; ``undurable`` bounds what a crash repeats."""

    recent_records: int = 16_384
    recent_bytes: int = 32 * 1024 * 1024
    chunk_records: int = 256
    chunk_bytes: int = 1024 * 1024
    chunks_bytes: int = 32 * 1024 * 1024
    lane_records: int = 16
    held_bytes: int = 256 * 1024
    open_lanes: int = 512
    undurable: int = 32
    healthy_requests: int = 256
    suspect_requests: int = 64
    save_seconds: float = 0.03
    refresh_seconds: float = 15.0
    stop_seconds: float = 5.0
    turn_seconds: float = 0.004
    dead_letters: int = 10_000
    attempts: int = 100
    prepared_records: int = 1024
    prepared_bytes: int = 16 * 1024 * 1024
    failing_seconds: float = 24 * 3600.0
    failing_count: int = 50
    paused_probe_seconds: float = 3600.0
    paused_seconds: float = 7 * 24 * 3600.0
    handshake_ended_seconds: float = 3600.0
    backlog_count: int = 1000
    backlog_read: int = 20_000


class CourierStats(msgspec.Struct):
    """Counters since the start; ``in_flight``, ``letters`` (dead ones that wait) and ``endpoints`` (by state) are of
    the moment."""

    attempts: int = 0
    delivered: int = 0
    failed: int = 0
    deferred: int = 0
    """answers that asked for a pause (Retry-After)"""
    dead_lettered: int = 0
    redriven: int = 0
    handshakes: int = 0
    expired: int = 0
    faults: int = 0
    """records that a feed's codec could not match or encode"""
    cursor_writes: int = 0
    log_reads: int = 0
    in_flight: int = 0
    letters: int = 0
    endpoints: dict[str, int] = {}
