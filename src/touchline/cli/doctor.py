"""``touchline doctor``: looks at a hub from where a client stands, and says what is wrong and what to do.

The judgements are pure functions of what the hub says of itself; only ``command`` and its probes do I/O.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from touchline.cli.options import DEFAULT_URL, AsJson, CaFile, Data, KeyFile, KeyText, Url, find_key
from touchline.cli.output import plain, print_json
from touchline.client import HubClient, HubRefused, connect, hub_stream
from touchline.clock import SystemClock
from touchline.errors import ConfigError, TouchlineError, UpstreamError
from touchline.feeds.base import Notice

SKEW_WARN_SECONDS: Final = 5.0
SKEW_FAIL_SECONDS: Final = 300.0
"""Signed requests are refused beyond this (ShotTracker, Kong hmac-auth; Standard Webhooks)."""
COMMIT_WARN_SECONDS: Final = 1.0
WAITING_WARN_EVENTS: Final = 10_000
FREE_WARN_BYTES: Final = 5 * 10**9
FREE_FAIL_BYTES: Final = 5 * 10**8
WAL_WARN_BYTES: Final = 10**9
FILES_WARN: Final = 4096
UPGRADE_ADVICE: Final = (
    "a proxy in between does not pass the upgrade on; nginx: proxy_http_version 1.1; "
    'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
)
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


def command(
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The hub's settings file; ./touchline.toml if there.", show_default=False),
    ] = None,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, reachability, key, log, disk, clocks, file limits and what a proxy does; exit 1 if any fails."""
    checks = [check_settings(config), *_check_hub(url, lambda: find_key(key, key_file, data, "admin"), ca_file)]
    failed = any(check.status == "fail" for check in checks)
    if as_json:
        print_json({"ok": not failed, "url": url, "checks": checks})
    else:
        _print(checks)
    raise typer.Exit(1 if failed else 0)


def _check_hub(url: str, key: Callable[[], str], ca_file: Path | None) -> list[Check]:
    try:
        with HubClient(url, ca_file=ca_file, retry_seconds=0.0) as hub:
            hub.request("GET", "/healthz")
    except HubRefused as error:
        return [Check("reach", "fail", str(error), "something else than a hub answers there; check --url")]
    except TouchlineError as error:
        return [
            Check("reach", "fail", str(error), "start the hub with 'touchline serve', or check --url and --ca-file")
        ]
    reached = Check("reach", "ok", f"a hub answers at {url}")
    try:
        admin_key = key()
    except ConfigError as error:
        return [reached, Check("key", "fail", str(error), "give an admin key: the rest is not checked without it")]
    clock = SystemClock()
    before = clock.wall_ns()
    try:
        with HubClient(url, admin_key, ca_file=ca_file, retry_seconds=0.0) as hub:
            status = msgspec.convert(hub.status(), Status)
    except HubRefused as error:
        words = "give an admin key; DIR/admin.key of the hub's data directory is one"
        return [reached, Check("key", "fail", str(error), words)]
    except (UpstreamError, msgspec.ValidationError) as error:
        return [reached, Check("status", "fail", str(error), "hub and command may be of different versions")]
    here = (before + clock.wall_ns()) // 2
    return [
        reached,
        Check("key", "ok", f"the admin key is good; the hub is version {status.version or 'unknown'}"),
        *judge(status, url, here),
        check_upgrade(url, admin_key, ca_file),
    ]


def check_settings(config: Path | None) -> Check:
    """Whether ``touchline serve`` started here, with this environment and settings file, would take its settings."""
    from touchline.server.config import load

    path = config or Path("touchline.toml")
    try:
        load({"config": config} if config else {}, os.environ, Path.cwd())
    except ConfigError as error:
        return Check("settings", "fail", str(error), "mend the settings file, or the environment")
    where = f"{path} and the environment" if path.is_file() else "no touchline.toml here; the environment"
    return Check("settings", "ok", f"{where} can be taken")


def judge(status: Status, url: str, here_ns: int) -> list[Check]:
    """All that can be said from the hub's status; ``here_ns`` is our wall time when the hub answered."""
    checks = [judge_log(status.log), judge_disk(status.log), judge_files(status.open_files)]
    checks += [judge_clock(status.wall_ns, here_ns), judge_host(status, url), judge_endpoints(status.endpoints)]
    checks += [Check("hub", "warn", warning) for warning in status.warnings]
    return checks


def judge_endpoints(states: Mapping[str, int]) -> Check:
    """Whether webhook endpoints receive what they are owed."""
    if not states:
        return Check("endpoints", "ok", "no webhook endpoints")
    detail = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    if states.get("failing") or states.get("disabled"):
        advice = "'touchline endpoint list' names them, 'touchline endpoint attempts ID' says what they answered"
        return Check("endpoints", "warn", detail, advice)
    return Check("endpoints", "ok", detail)


def judge_log(log: LogStatus) -> Check:
    """Whether commits are quick and nothing piles up before them."""
    commit, waiting, wal = log.last_commit_seconds or 0.0, log.waiting_events or 0, log.wal_bytes or 0
    detail = f"{_size(log.size_bytes)}, last commit took {commit * 1000:.1f} ms, {waiting} events waiting"
    if commit > COMMIT_WARN_SECONDS or waiting > WAITING_WARN_EVENTS:
        return Check("log", "warn", detail, "the disk is slow to sync: use a local SSD, or publish in larger batches")
    if wal > WAL_WARN_BYTES:
        return Check("log", "warn", f"{detail}, {_size(wal)} of write-ahead log", "a long read may hold checkpoints up")
    return Check("log", "ok", detail)


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


def check_upgrade(url: str, key: str, ca_file: Path | None) -> Check:
    """Whether a WebSocket can be opened there."""
    settings = hub_stream.Settings(url=url, key=key)
    notice = asyncio.run(_first_notice(settings, ca_file))
    if notice.kind == "connected":
        return Check("websocket", "ok", "a WebSocket opens")
    advice = UPGRADE_ADVICE if notice.kind == "refused" else "the log of the hub, or of a proxy in between, says why"
    return Check("websocket", "fail", f"no WebSocket opens: {notice.detail}", advice)


async def _first_notice(settings: hub_stream.Settings, ca_file: Path | None) -> Notice:
    async with connect(hub_stream.CLIENT, settings, ca_file=ca_file) as items:
        async for item in items:
            if isinstance(item, Notice):
                return item
    return Notice("closed", "the hub closed at once")


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


def _print(checks: Iterable[Check]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    colours = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    for check in checks:
        console.print(
            Text.assemble((f"{check.status:<5}", colours[check.status]), f"{check.name:<10} ", plain(check.detail))
        )
        if check.advice:
            console.print(Text(" " * 16 + plain(check.advice)))
