"""What ``touchline doctor`` concludes from what a hub says of itself. Pure: each judgement is a function of the status.

Every finding names the trouble, how large it is, and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

SKEW_WARN_SECONDS: Final = 5.0
SKEW_FAIL_SECONDS: Final = 300.0
"""Signed requests are refused beyond this (ShotTracker, Kong hmac-auth; Standard Webhooks)."""
COMMIT_WARN_SECONDS: Final = 1.0
WAITING_WARN_EVENTS: Final = 10_000
FREE_WARN_BYTES: Final = 5 * 10**9
FREE_FAIL_BYTES: Final = 5 * 10**8
WAL_WARN_BYTES: Final = 256 * 10**6
"""The hub bounds it at 64 MiB unless somebody reads for long."""
LOOP_WARN_SECONDS: Final = 0.25
LOOP_FAIL_SECONDS: Final = 5.0
BEHIND_WARN_SECONDS: Final = 60.0
STUCK_WARN_SECONDS: Final = 10.0
OVERTAKE_WARN: Final = 0.8
OVERTAKE_FAIL: Final = 0.95
"""Shares of what the log keeps: an endpoint that is so far back is about to lose records to retention."""
BACKUP_WARN_SECONDS: Final = 7 * 86_400.0
FILES_WARN: Final = 4096
HOST_ADVICE: Final = (
    "signatures of provider clients over 'host' fail unless the proxy passes Host through "
    "(nginx: proxy_set_header Host $http_host;) or the hub is started with --base-url URL, or with "
    "--trusted-proxy CIDR and the proxy sends X-Forwarded-Host"
)


class Check(msgspec.Struct, frozen=True):
    """One thing looked at: ``status`` is ok, warn or fail; ``advice`` what to do ('' when nothing)."""

    name: str
    status: str
    detail: str
    advice: str = ""


class LogStatus(msgspec.Struct, frozen=True):
    """The ``log`` member of the hub's status."""

    size_bytes: int | None = None
    wal_bytes: int | None = None
    free_bytes: int | None = None
    last_commit_seconds: float | None = None
    waiting_events: int | None = None
    trouble: str = ""


class LagStatus(msgspec.Struct, frozen=True):
    """A value of ``endpoints_lag``, by state."""

    behind: int = 0
    oldest_seconds: float = 0.0
    records_max: int = 0
    records_sum: int = 0


class SlowSession(msgspec.Struct, frozen=True):
    """One of ``furthest``."""

    feed: str | None = None
    partner: str | None = None
    records: int = 0
    blocked_seconds: float = 0.0


class SessionsStatus(msgspec.Struct, frozen=True):
    """The ``sessions_lag`` member."""

    behind: int = 0
    records_most: int = 0
    blocked_seconds_most: float = 0.0
    furthest: tuple[SlowSession, ...] = ()


class BackupStatus(msgspec.Struct, frozen=True):
    """The ``last_backup`` member."""

    at_ns: int
    bytes: int = 0


class FilesStatus(msgspec.Struct, frozen=True):
    """The ``open_files`` member."""

    soft: int | None = None
    hard: int | None = None
    used: int | None = None


class RequestStatus(msgspec.Struct, frozen=True):
    """The ``request`` member: how our own request looked when it arrived. ``hosts`` are the names that signatures may
    name, ``forwarded_host`` what a proxy says, believed or not.
    """

    host: str | None = None
    hosts: tuple[str, ...] = ()
    scheme: str | None = None
    address: str | None = None
    forwarded_host: str | None = None


class Status(msgspec.Struct, frozen=True):
    """``GET /hub/v1/status``, as far as doctor reads it."""

    version: str = ""
    wall_ns: int | None = None
    log: LogStatus = LogStatus()
    open_files: FilesStatus = FilesStatus()
    endpoints: dict[str, int] = {}
    request: RequestStatus = RequestStatus()
    warnings: tuple[str, ...] = ()
    endpoints_lag: dict[str, LagStatus] = {}
    sessions_lag: SessionsStatus = SessionsStatus()
    dead_letters: int = 0
    publishers_silent: tuple[str, ...] = ()
    snapshots_lacking: int = 0
    loop_lag_seconds: float | None = None
    oldest_record_seconds: float = 0.0
    retention_seconds: float | None = None
    retention_bytes: int | None = None
    last_backup: BackupStatus | msgspec.UnsetType | None = msgspec.UNSET


def judge(status: Status, url: str, here_ns: int) -> list[Check]:
    """All that can be said from the hub's status; ``here_ns`` is our wall time when the hub answered."""
    checks = [judge_log(status.log), judge_wal(status.log), judge_disk(status.log), judge_files(status.open_files)]
    checks += [judge_clock(status.wall_ns, here_ns), judge_loop(status.loop_lag_seconds), judge_host(status, url)]
    checks += [judge_endpoints(status.endpoints), judge_lag(status.endpoints_lag), judge_letters(status.dead_letters)]
    checks += [judge_publishers(status.publishers_silent), judge_sessions(status.sessions_lag)]
    checks += [judge_retention(status), judge_snapshots(status.snapshots_lacking)]
    checks += [judge_backup(status.last_backup, here_ns)]
    checks += [Check("hub", "warn", warning) for warning in status.warnings]
    return checks


def judge_endpoints(states: Mapping[str, int]) -> Check:
    """Whether webhook endpoints receive what they are owed."""
    if not states:
        return Check("endpoints", "ok", "no webhook endpoints")
    detail = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    advice = []
    if states.get("failing") or states.get("disabled"):
        advice.append(
            "'touchline endpoint list' names them, 'touchline endpoint attempts ID' says what they answered, "
            "'touchline endpoint resume ID' tries at once"
        )
    if states.get("paused"):
        advice.append("a paused endpoint receives nothing until 'touchline endpoint resume ID', and retention goes on")
    return Check("endpoints", "warn" if advice else "ok", detail, "; ".join(advice))


def judge_lag(lags: Mapping[str, LagStatus]) -> Check:
    """Whether endpoints that should receive are behind."""
    late = [
        f"{lag.behind} {state}: up to {lag.records_max} records, the oldest {_age(lag.oldest_seconds)} old"
        for state, lag in sorted(lags.items())
        if state in ("active", "waiting", "failing") and lag.behind and lag.oldest_seconds > BEHIND_WARN_SECONDS
    ]
    if not late:
        return Check("behind", "ok", "no endpoint that is delivered to is more than a minute behind")
    advice = (
        "'touchline endpoint list' says who: a slow receiver must answer sooner or get more requests at a time "
        "(--option window=N), a failing one must be mended"
    )
    return Check("behind", "warn", "; ".join(late), advice)


def judge_publishers(silent: Sequence[str]) -> Check:
    """Whether those who published go on publishing."""
    if not silent:
        return Check("publishers", "ok", "every publisher that published since the hub started still does")
    advice = "look whether a game is on, and then at the publisher and the way to it"
    more = f" and {len(silent) - 10} more" if len(silent) > 10 else ""
    return Check("publishers", "warn", f"these publish no more: {', '.join(silent[:10])}{more}", advice)


def judge_sessions(lag: SessionsStatus) -> Check:
    """Whether sessions keep up with what is published."""
    if lag.blocked_seconds_most <= STUCK_WARN_SECONDS:
        return Check("sessions", "ok", f"{lag.behind} sessions read on from the log, none of them is stuck")
    stuck = [one for one in lag.furthest if one.blocked_seconds > STUCK_WARN_SECONDS]
    whose = sorted({f"{one.partner or 'an admin'} ({one.feed})" for one in stuck})
    detail = f"a session has taken nothing for {_age(lag.blocked_seconds_most)}"
    detail += f"; the furthest is {lag.records_most} records behind"
    detail += f"; stuck: {', '.join(whose)}" if whose else ""
    advice = (
        "nobody else suffers, and it is ended after stall_seconds, with a code that says it may resume; "
        "if there are many, look at the network between"
    )
    return Check("sessions", "warn", detail, advice)


def judge_letters(count: int) -> Check:
    """Whether records were given up and wait."""
    if not count:
        return Check("letters", "ok", "no dead letters wait")
    advice = (
        "'touchline endpoint dead-letters ID' says why; with --redrive they are delivered again once that is mended"
    )
    return Check("letters", "warn", f"{count} dead letters wait", advice)


def judge_retention(status: Status) -> Check:
    """Whether retention is about to take records that an endpoint has not received."""
    lags = status.endpoints_lag.values()
    oldest = max((lag.oldest_seconds for lag in lags if lag.behind), default=0.0)
    kept = status.retention_seconds or 0.0
    size, bound = status.log.size_bytes or 0, status.retention_bytes or 0
    if bound and size > 0.9 * bound and status.oldest_record_seconds:  # then size is what removes
        kept = min(kept or status.oldest_record_seconds, status.oldest_record_seconds)
    share = oldest / kept if kept else 0.0
    detail = f"records are kept for {_age(kept)}" if kept else "records are kept without limit of age"
    if share < OVERTAKE_WARN:
        return Check("retention", "ok", f"{detail}, no endpoint is near that")
    detail += f", and an endpoint has not received what is {_age(oldest)} old: it will lose records"
    advice = "raise --retention or --retention-bytes and restart the hub, or let the endpoint catch up now"
    return Check("retention", "fail" if share >= OVERTAKE_FAIL else "warn", detail, advice)


def judge_snapshots(lacking: int) -> Check:
    """Whether an upgrade left states without what retention had removed before it."""
    if not lacking:
        return Check("snapshots", "ok", "no stream's state was found to lack what an older version had kept of it")
    advice = (
        "the hub's log names them ('a state lacks what only a checkpoint of another version has'): publish again what "
        "their state is made of, or go back to the backup and the version from before the upgrade"
    )
    detail = f"the states of {lacking} streams lack what retention had removed before an upgrade"
    return Check("snapshots", "warn", detail, advice)


def judge_backup(last: BackupStatus | msgspec.UnsetType | None, here_ns: int) -> Check:
    """Whether there is a backup of late."""
    advice = "'touchline backup FILE' makes one while the hub runs; keep it on another machine"
    if isinstance(last, msgspec.UnsetType):
        return Check("backup", "ok", "the hub does not say when it was backed up")
    if last is None:
        return Check("backup", "warn", "no backup was ever taken", advice)
    age = max(0.0, (here_ns - last.at_ns) / 1e9)
    detail = f"the last backup was taken {_age(age)} ago ({_size(last.bytes)})"
    return Check("backup", "warn", detail, advice) if age > BACKUP_WARN_SECONDS else Check("backup", "ok", detail)


def judge_loop(lag_seconds: float | None) -> Check:
    """Whether the hub's event loop comes in time: everything waits for it."""
    if lag_seconds is None:
        return Check("loop", "ok", "the hub does not say how late its event loop comes")
    detail = f"in the last minute the event loop came up to {lag_seconds * 1000:.0f} ms late"
    if lag_seconds <= LOOP_WARN_SECONDS:
        return Check("loop", "ok", detail)
    advice = (
        "the machine is short of CPU, or swaps: give it more, or move other work away; fewer sessions per hub help too"
    )
    return Check("loop", "fail" if lag_seconds > LOOP_FAIL_SECONDS else "warn", detail, advice)


def judge_log(log: LogStatus) -> Check:
    """Whether commits are quick and nothing piles up before them."""
    commit, waiting = log.last_commit_seconds or 0.0, log.waiting_events or 0
    if log.trouble:
        advice = "make room, or mend the disk or the rights; publishers are told to repeat, and it goes on by itself"
        return Check("log", "fail", f"the log cannot be written: {log.trouble}", advice)
    detail = f"{_size(log.size_bytes)}, last commit took {commit * 1000:.1f} ms, {waiting} events waiting"
    if commit > COMMIT_WARN_SECONDS or waiting > WAITING_WARN_EVENTS:
        return Check("log", "warn", detail, "the disk is slow to sync: use a local SSD, or publish in larger batches")
    return Check("log", "ok", detail)


def judge_wal(log: LogStatus) -> Check:
    """Whether the write-ahead log is moved into the database."""
    wal = log.wal_bytes or 0
    detail = f"the write-ahead log has {_size(wal)}"
    if wal > WAL_WARN_BYTES:
        advice = (
            "it grows while something reads for long: a backup under way, or another program that has hub.db open; "
            "end that, it shrinks by itself"
        )
        return Check("wal", "warn", detail, advice)
    return Check("wal", "ok", detail)


def judge_disk(log: LogStatus) -> Check:
    """Whether the disk under the log has room."""
    free = log.free_bytes
    if free is None:
        return Check("disk", "ok", "the hub does not say how much is free")
    advice = "make room, or bound the log with --retention and --retention-bytes"
    if free < FREE_FAIL_BYTES:
        return Check("disk", "fail", f"only {_size(free)} free: publishing stops when it is full", advice)
    if free < FREE_WARN_BYTES:
        return Check("disk", "warn", f"{_size(free)} free", advice)
    return Check("disk", "ok", f"{_size(free)} free")


def judge_files(files: FilesStatus) -> Check:
    """Whether the hub may open enough files: each session and endpoint needs one."""
    if files.soft is None:
        return Check("files", "ok", "the hub does not say how many files it may open")
    used = files.used or 0
    detail = f"{used} of {files.soft} open files used"
    advice = f"raise the limit of the hub's process: ulimit -n {files.hard or 65536}, or LimitNOFILE= of its unit"
    if used >= files.soft * 0.9:
        return Check("files", "fail", f"{detail}: new connections will be refused", advice)
    return Check("files", "ok", detail) if files.soft >= FILES_WARN else Check("files", "warn", detail, advice)


def judge_clock(hub_ns: int | None, here_ns: int) -> Check:
    """Whether hub and client agree on the time, which signatures need."""
    if hub_ns is None:
        return Check("clock", "ok", "the hub does not tell its time")
    skew = (hub_ns - here_ns) / 1e9
    detail = f"the hub's clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the clock here"
    advice = "set both clocks by NTP"
    if abs(skew) > SKEW_FAIL_SECONDS:
        return Check("clock", "fail", f"{detail}: signed requests are refused", advice)
    return Check("clock", "warn", detail, advice) if abs(skew) > SKEW_WARN_SECONDS else Check("clock", "ok", detail)


def judge_host(status: Status, url: str) -> Check:
    """Whether the Host that we sent is a Host that the hub knows of: provider clients sign it."""
    request, scheme, asked = status.request, urlsplit(url).scheme, _host(url)
    seen = _normal(request.host or "", scheme)
    if not seen or seen == asked:
        return Check("host", "ok", f"the hub saw Host {request.host or asked} as sent")
    detail = f"a proxy rewrites Host: {asked} was asked for, the hub saw {request.host}"
    if asked in [_normal(name, scheme) for name in request.hosts]:
        return Check("host", "ok", f"{detail}; the hub knows the original name, so signatures hold")
    if _normal(request.forwarded_host or "", scheme) == asked:
        detail += f", and does not believe the X-Forwarded-Host of {request.address or 'the proxy'}"
    return Check("host", "fail", detail, HOST_ADVICE)


def _host(url: str) -> str:
    parts = urlsplit(url)
    return _normal(parts.netloc.rpartition("@")[2], parts.scheme)


def _normal(host: str, scheme: str) -> str:
    """The host as a client sends it: lower-case, without the port that goes without saying."""
    return host.lower().removesuffix(":443" if scheme == "https" else ":80")


def _size(size: int | None) -> str:
    if size is None:
        return "size unknown"
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size} bytes"


def _age(seconds: float) -> str:
    for unit, step in (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * step:
            return f"{seconds / step:.0f} {unit}"
    return f"{seconds:.0f} seconds"
