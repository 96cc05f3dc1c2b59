"""``touchline doctor``: looks at a hub from where a client stands, and says what is wrong and what to do.

The probes are here; what is concluded from the hub's own figures is in ``findings``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from touchline.cli.findings import Check, Status, judge
from touchline.cli.options import DEFAULT_URL, AsJson, CaFile, Data, KeyFile, KeyText, Url, find_key
from touchline.cli.output import plain, print_json
from touchline.client import HubClient, HubRefused, connect, hub_stream
from touchline.clock import SystemClock
from touchline.errors import ConfigError, TouchlineError, UpstreamError
from touchline.feeds.base import Notice

UPGRADE_ADVICE: Final = (
    "a proxy in between does not pass the upgrade on; nginx: proxy_http_version 1.1; "
    'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
)


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


def _print(checks: Iterable[Check]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    colours = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    for check in checks:
        console.print(
            Text.assemble((f"{check.status:<5}", colours[check.status]), f"{check.name:<10} ", plain(check.detail))
        )
        if check.advice:
            console.print(Text(" " * 16 + plain(check.advice)))
