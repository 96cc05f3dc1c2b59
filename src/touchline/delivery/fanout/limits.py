"""The bounds of the fan-out's memory and patience, and what it counts."""

from __future__ import annotations

import msgspec


class FanoutLimits(msgspec.Struct, frozen=True):
    """Tail, chunks, runs and states bound the process; the sink's own mark bounds a session."""

    tail_records: int = 65_536
    tail_bytes: int = 64 * 1024 * 1024
    chunk_records: int = 512
    chunk_bytes: int = 1024 * 1024
    chunks_bytes: int = 32 * 1024 * 1024
    runs_bytes: int = 8 * 1024 * 1024
    join_bytes: int = 64 * 1024
    pull_bytes: int = 256 * 1024
    stall_seconds: float = 60.0
    state_streams: int = 4096
    state_keys: int = 1024


class FanoutStats(msgspec.Struct):
    """Counters since the start."""

    frames: int = 0
    writes: int = 0
    written_bytes: int = 0
    encoded: int = 0
    slowed: int = 0
    spliced: int = 0
    stalled: int = 0
    gaps: int = 0
    chunk_reads: int = 0
    conflated: int = 0
    """state values that were replaced before some slow session saw them, each counted once"""
