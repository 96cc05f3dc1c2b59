"""``touchline restore``: a data directory from a backup, with no hub running on it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from touchline.cli.options import AsJson
from touchline.cli.output import note, print_json, say
from touchline.cli.serve import need_server
from touchline.clock import SystemClock
from touchline.wire import position as position_token


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'touchline backup' has made.")],
    data: Annotated[
        Path,
        typer.Option("--data", envvar="TOUCHLINE_DATA", metavar="DIR", help="The data directory to make of it."),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Move aside what stands in DIR; nothing is deleted.", show_default=False)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a data directory from a backup. The hub must not run on it.

    A new epoch begins and all numbers move ahead, so that none is used twice: positions from before get an explicit
    answer. New admin.key and publisher.key files are made; keys that were given out before stay good.
    """
    try:
        from touchline.log.sqlite import examine
        from touchline.server.restoring import restore_into
    except ModuleNotFoundError as missing:
        raise need_server(missing) from None
    note(f"checking {file}")
    examined = examine(file)
    restored = asyncio.run(restore_into(file, data, SystemClock(), force=force))
    position = position_token.encode(restored.position)
    moved_to = None if restored.moved_to is None else str(restored.moved_to)
    if as_json:
        print_json(
            {
                "data": str(data),
                "epoch": restored.position.epoch,
                "position": position,
                "backup_position": position_token.encode(examined.position),
                "moved_to": moved_to,
            }
        )
        return
    if moved_to is not None:
        say(f"what stood in {data} is now in {moved_to}")
    say(f"{data} holds the backup, as a new epoch from position {position} on")
    say(f"start it with: touchline serve --data {data}")
