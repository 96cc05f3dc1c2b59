"""Builds a hub out of concrete parts and runs it: the only place that does.

``serve`` is what the command calls. ``Running`` is the hub between start and stop: log, directory, fan-out, the
periodic work, and the ASGI application on uvicorn with our connection protocol.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import random
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop

from touchline.clock import Clock, SystemClock
from touchline.delivery.courier import Courier, CourierLimits
from touchline.delivery.courier.client import WebhookClient
from touchline.delivery.fanout import Fanout, FanoutLimits
from touchline.errors import ConfigError, LogError, LogFull, LogUnavailable, TouchlineError
from touchline.feeds import registry
from touchline.feeds.base import Operation
from touchline.feeds.intake import Intake
from touchline.log.directory import Directory
from touchline.log.endpoints import Endpoints
from touchline.log.sqlite import SqliteLog
from touchline.server import config, process
from touchline.server.arrivals import Arrivals
from touchline.server.config import Settings
from touchline.server.connection import protocol_class
from touchline.server.engines import make_engines
from touchline.server.first_keys import make_first_keys
from touchline.server.http.admin import Admin
from touchline.server.http.asgi import Application
from touchline.server.http.backup import BACKUP, Backups
from touchline.server.http.endpoints import EndpointAdmin
from touchline.server.http.native import STREAM, NativeReading
from touchline.server.http.openapi import asyncapi, openapi
from touchline.server.http.publish import Publishing
from touchline.server.http.sandbox import SandboxAdmin
from touchline.server.http.system import System
from touchline.server.hub import Hub, new_id
from touchline.server.limits import LoginLimits
from touchline.server.log_lines import FactsFormatter
from touchline.server.looplag import LoopLag
from touchline.server.metrics import Metrics
from touchline.server.observing import Observer
from touchline.server.sessions import Sessions
from touchline.server.snapshots import Snapshots

_log: Final = logging.getLogger("touchline")

_RETENTION_SECONDS: Final = 30.0
_LISTENERS: Final = 16


class Running:
    """A hub from start to stop. ``application`` is its ASGI entry, ``sessions`` its open sessions."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.metrics = Metrics()
        self.loop_lag = LoopLag(self.clock, self.metrics.loop_lag.observe)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hub: Hub | None = None
        self._sessions: Sessions | None = None
        self._event_log: SqliteLog | None = None
        self._transport: WebhookClient | None = None
        self._backups: Backups | None = None

    @property
    def hub(self) -> Hub:
        """The hub, once started."""
        assert self._hub is not None
        return self._hub

    @property
    def sessions(self) -> Sessions:
        """The open sessions, once started."""
        assert self._sessions is not None
        return self._sessions

    async def start(self) -> None:
        """Open the log, load the directory, begin the periodic work. Raises LogUnavailable, ConfigError."""
        settings, clock = self.settings, self.clock
        log = self._event_log = SqliteLog(settings.data_dir, clock)
        await log.start()
        directory = Directory(log.directory, clock, os.urandom)
        await directory.start()
        feeds = registry.feeds()
        codecs = {name: feed.webhook for name, feed in feeds.items() if feed.webhook is not None}
        endpoints = Endpoints(
            log.directory,
            directory,
            clock,
            os.urandom,
            lambda: log.head,
            {name: codec.options for name, codec in codecs.items()},
        )
        await endpoints.start()
        fanout = Fanout(
            log,
            clock,
            call_soon=asyncio.get_running_loop().call_soon,
            spawn=self._spawn,
            limits=FanoutLimits(stall_seconds=settings.stall_seconds),
        )
        snapshots = Snapshots(log, feeds, clock)
        self._transport = WebhookClient(settings.allowed_networks, ca_file=settings.webhook_ca_file or None)
        courier = Courier(
            log,
            endpoints,
            feeds,
            snapshots.state,
            self._transport,
            clock,
            call_soon=asyncio.get_running_loop().call_soon,
            spawn=self._spawn,
            dice=random.SystemRandom(),
            hosting=lambda feed: self.hub.hosting(feed),
            append=log.append,
            limits=CourierLimits(
                healthy_requests=settings.webhook_requests, suspect_requests=settings.webhook_suspect_requests
            ),
        )
        intake = Intake(feeds)
        engines = make_engines(
            settings.sandbox, feeds, log, intake, clock, new_id, settings.sandbox_pace, settings.sandbox_seed
        )
        await engines.load()
        self._hub = Hub(
            settings=settings,
            clock=clock,
            log=log,
            directory=directory,
            endpoints=endpoints,
            feeds=feeds,
            fanout=fanout,
            courier=courier,
            snapshots=snapshots,
            engines=engines,
            intake=intake,
            logins=LoginLimits(
                clock,
                per_address=settings.login_failures_per_address,
                per_name=settings.login_failures_per_name,
                per_pair=settings.login_failures_per_pair,
            ),
            metrics=self.metrics,
        )
        self._sessions = Sessions(self._hub)
        directory.on_change(self._sessions.changed)
        directory.on_change(courier.changed)
        log.follow(self._hub.on_records)
        await make_first_keys(directory, settings.data_dir)
        self._spawn(self._hub.prepare_signing)  # before the courier, whose first deliveries would wait for a tick
        await courier.start()
        self._spawn(self._every_second)
        self._spawn(self.loop_lag.run)
        self._spawn(self._retain)
        for owner in engines.all():
            self._spawn(owner.run)
        self._hub.ready = True

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await work()

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the hub failed", exc_info=error)

    async def _every_second(self) -> None:
        hub, sessions = self.hub, self.sessions
        while True:
            await asyncio.sleep(1.0)
            try:
                hub.fanout.tick()
                await sessions.tick()
                hub.courier.tick()
                hub.derive_states()
                await hub.end_tokens()
                await hub.publishers.tick()
                await hub.snapshots.tick()
                await hub.engines.tick()
            except Exception:  # the top of a task: the next second tries again
                _log.exception("the periodic work failed")

    async def _retain(self) -> None:
        hub, settings = self.hub, self.settings
        log = hub.event_log
        while True:
            await asyncio.sleep(_RETENTION_SECONDS)
            age = settings.retention_seconds
            before = None if age is None else hub.clock.wall_ns() - int(age * 1e9)
            try:
                through = await log.trim_point(appended_before=before, max_bytes=settings.retention_size)
                if through > log.floor:
                    await hub.snapshots.before_trim(through)
                    await hub.engines.checkpoint()
                    removed = await log.trim(through)
                    _log.info("retention removed records", extra={"count": removed, "through": through})
            except (LogFull, LogUnavailable) as error:  # the log has said why; the next round tries again
                _log.warning("retention has to wait", extra={"reason": str(error)})
            except Exception:  # the top of a task: the next round tries again
                _log.exception("retention failed")

    async def stop(self) -> None:
        """Tell sessions to come back, finish what was accepted, release everything."""
        if self._hub is not None and self._sessions is not None:
            self._hub.stopping = True
            if self._backups is not None:
                await self._backups.stop()
            await asyncio.gather(self._sessions.drain(), self._hub.courier.stop(), self._stop_engines(self._hub))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._hub is not None:
            with suppress(LogError):
                await self._hub.snapshots.checkpoint()
        if self._transport is not None:
            await self._transport.close()
        if self._event_log is not None:
            await self._event_log.close()

    @staticmethod
    async def _stop_engines(hub: Hub) -> None:
        try:
            await hub.engines.stop()
        except LogError:
            _log.warning("a sandbox's state could not be written; the next start folds more of the log")

    def application(self) -> Application:
        """The ASGI application: our operations and the feeds' REST."""
        hub, sessions = self.hub, self.sessions
        native = NativeReading(hub, sessions)
        backups = self._backups = Backups(hub, self.settings.data_dir)
        backups.clear()
        system = System(hub, sessions, Observer(hub, self.loop_lag, backups))
        operations: list[Operation] = [
            Publishing(hub).operation(),
            *native.operations(),
            *Admin(hub).operations(),
            *EndpointAdmin(hub, hub.courier).operations(),
            *SandboxAdmin(hub).operations(),
            backups.operation(),
            *system.operations(),
        ]
        for feed in hub.feeds.values():
            if feed.http is not None:
                operations += importlib.import_module(feed.http).operations(hub)
        system.openapi = openapi(operations, hub.public_url)
        system.asyncapi = asyncapi(hub.feeds.values(), hub.public_url)
        return Application(sessions, operations, {STREAM: native.stream, BACKUP: backups.stream})


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, which are ``_run``'s; says when it listens."""

    def __init__(self, settings: uvicorn.Config, listening: Callable[[uvicorn.Server], None]) -> None:
        super().__init__(settings)
        self._listening = listening

    def capture_signals(self) -> Any:
        """Nothing is captured here."""
        return nullcontext()

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._listening(self)


def bind(settings: Settings) -> list[socket.socket]:
    """A bound socket so many times over, not listening yet. Raises ConfigError when the address cannot be had.

    libuv takes one connection from a listener in each turn of the loop. As turns grow longer with what newcomers ask
    for, thousands that come at once would wait for seconds behind it; so it has several listeners, which are one.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        text = f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"
        raise ConfigError(f"{text}; choose another --port or --host") from None
    return [listener, *(listener.dup() for _ in range(_LISTENERS - 1))]


async def _run(settings: Settings) -> None:
    listeners = bind(settings)
    running = Running(settings)
    await running.start()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    process.keep_what_is_there()
    server = http_server(running, lambda server: _announce(running, server))
    serving = asyncio.create_task(server.serve(listeners))
    serving.add_done_callback(lambda _: stop.set())
    try:
        await stop.wait()
        _log.info("stopping")
        for accepting in server.servers:
            accepting.close()
    finally:
        await running.stop()
        server.should_exit = True
        await serving


def http_server(running: Running, listening: Callable[[uvicorn.Server], None]) -> uvicorn.Server:
    """The server of a started hub; ``listening`` is called once it does."""
    settings = running.settings
    return _Server(
        uvicorn.Config(
            running.application(),
            host=settings.host,
            port=settings.port,
            http=protocol_class(running.sessions, Arrivals(running.clock)),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=True,
            backlog=4096,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=5,
            ssl_certfile=settings.tls_cert or None,
            ssl_keyfile=settings.tls_key or None,
        ),
        listening,
    )


def _announce(running: Running, server: uvicorn.Server) -> None:
    port = server.servers[0].sockets[0].getsockname()[1]
    settings = running.settings
    if not settings.base_url:
        scheme = "https" if settings.tls_cert else "http"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        running.hub.public_url = f"{scheme}://{host}:{port}"
    for warning in settings.warnings():
        _log.warning(warning)
    _log.info("listening on %s, data in %s", running.hub.public_url, settings.data_dir)


def serve(overrides: Mapping[str, object]) -> int:
    """Run a hub until it is told to stop; ``overrides`` are the flags that were given. Returns the exit status.

    Raises:
        TouchlineError: it cannot start; the text says why.
    """
    settings = config.load(overrides, os.environ, Path.cwd())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FactsFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    logging.getLogger("touchline.access").setLevel(
        logging.INFO if settings.log_level.lower() == "debug" else logging.WARNING
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # what it logs are the faults of peers
    process.prepare()
    try:
        uvloop.run(_run(settings))
    except OSError as error:
        raise TouchlineError(str(error)) from error
    return 0
