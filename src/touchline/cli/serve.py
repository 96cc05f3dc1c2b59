"""``touchline serve``: run a hub. Collects the flags that were given; the server's configuration judges them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from touchline.errors import ConfigError

_EXTRA: Final = frozenset({"apsw", "httptools", "prometheus_client", "starlette", "uvicorn", "uvloop"})


def command(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where log, directory and keys are; made when it is not there.", show_default=False
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The settings file (touchline.toml).", show_default=False)
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default 127.0.0.1.", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; default 8080.", show_default=False)
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The address under which clients reach the hub.", show_default=False),
    ] = None,
    allow_network: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="A private range that webhooks may go to; may repeat.", show_default=False),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate chain (PEM); with --tls-key.", show_default=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key (PEM); with --tls-cert.", show_default=False)
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR", help="A proxy whose forwarding headers are believed; may repeat.", show_default=False
        ),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(metavar="LOG", help="'sqlite' (default), or nats://host:4222.", show_default=False),
    ] = None,
    retention: Annotated[
        str | None, typer.Option(metavar="TIME", help="Keep events for so long; such as 72h.", show_default=False)
    ] = None,
    retention_bytes: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Keep at most so much; such as 50GB.", show_default=False)
    ] = None,
    sandbox: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FEED", help="Run this feed's sandbox in the hub, such as prophetx; may repeat.", show_default=False
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A web page that may call the hub; may repeat.", show_default=False),
    ] = None,
) -> None:
    """Run a hub until it is told to stop."""
    flags: dict[str, object] = {
        "data": data,
        "config": config,
        "host": host,
        "port": port,
        "base_url": base_url,
        "allow_network": allow_network,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "trusted_proxy": trusted_proxy,
        "log": log,
        "retention": retention,
        "retention_bytes": retention_bytes,
        "sandbox": sandbox,
        "cors_origin": cors_origin,
    }
    try:
        from touchline.server.app import serve
    except ModuleNotFoundError as missing:
        raise need_server(missing) from None
    raise typer.Exit(serve({name: value for name, value in flags.items() if value is not None and value != []}))


def need_server(missing: ModuleNotFoundError) -> Exception:
    """What to raise when the server cannot be imported: a word to the user, or the error itself when it is ours."""
    if missing.name in _EXTRA:
        return ConfigError('the server is not installed; install "touchline[server]"')
    return missing
