"""Runs a webhook receiver on uvicorn (``touchline[cli]``): one listener, an orderly end. Not imported by the SDK."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn

from touchline.client.receiver import Receive, Scope, Send
from touchline.errors import ConfigError

DRAIN_SECONDS: Final = 5
"""For messages that are being handled when it ends."""
_KEEP_ALIVE_SECONDS: Final = 75
_CONNECTIONS: Final = 512


Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, which are the program's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured here."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """A listening socket (port 0: any); what comes before ``serve`` waits in it.

    Raises:
        ConfigError: the port is taken, or the address is not one of this machine's.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            # As servers do: a port whose last owner has just gone is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
    except OSError as problem:
        words = f"cannot listen on {host}:{port}: {problem.strerror or problem}"
        raise ConfigError(f"{words}; choose another --port or --host") from None
    return listener


def _told_when_cut_off(app: Application) -> Application:
    """The application; a sender whose message is still being handled when the drain is over is told to come again."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(event: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(event)

        try:
            await app(scope, receive, watched)
        except asyncio.CancelledError:
            if started or scope["type"] != "http":
                raise
            # uvicorn cancels nothing else, and would report this one as a fault of the application.
            headers = [(b"retry-after", b"1"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body"})

    return wrapped


async def serve(
    app: Application,
    listener: socket.socket,
    stop: asyncio.Event,
    *,
    announce: Callable[[], None] | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> None:
    """Serve the ASGI application until ``stop`` is set; what is being handled then is finished and answered.

    ``announce`` is called once nothing can go wrong any more.

    Raises:
        ConfigError: certificate and key are no good.
    """
    settings = uvicorn.Config(
        _told_when_cut_off(app),
        interface="asgi3",
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )
    try:
        settings.load()
    except (OSError, ValueError) as problem:  # ssl.SSLError is an OSError
        listener.close()
        raise ConfigError(f"cannot use {tls_cert} with its key: {problem}") from None
    if announce is not None:
        announce()
    server = _Server(settings)
    serving = asyncio.create_task(server.serve([listener]))
    serving.add_done_callback(lambda _: stop.set())
    try:
        await stop.wait()
    finally:
        server.should_exit = True
        await serving
