"""``touchline demo``: a hub with simulated games on this machine, and what to copy and paste."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from touchline.cli.options import AsJson
from touchline.cli.serve import need_server


def command(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Where the demo's hub keeps its data.")] = Path(".demo"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; the next free one when it is taken.")] = 8080,
    speed: Annotated[float, typer.Option(min=0.01, help="How fast the games are played.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Run a hub with sandbox games on all feeds until Ctrl-C."""
    try:
        from touchline.sandbox.demo import run
    except ModuleNotFoundError as missing:
        raise need_server(missing) from None
    raise typer.Exit(run(data=data, host=host, port=port, speed=speed, as_json=as_json))
