"""``touchline bench``: how fast a hub is on this machine, beside bare loops that do nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from touchline.cli.options import AsJson
from touchline.cli.output import note, print_json, print_table
from touchline.cli.serve import need_server


def command(
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure for a third of the time.", show_default=False)
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory",
            metavar="DIR",
            help="Where the hub's temporary data goes; the disk there is part of what is measured.",
            show_default=False,
            exists=True,
            file_okay=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure publishing, sessions, webhooks, starting and verifying on hubs that are started for it and removed."""
    try:
        from touchline.benchmarks import local
        from touchline.benchmarks.rows import COLUMNS
        from touchline.benchmarks.size import FULL, QUICK
    except ModuleNotFoundError as missing:
        raise need_server(missing) from None
    with tempfile.TemporaryDirectory(prefix="touchline-bench-", dir=directory) as scratch:
        rows = local.measure(Path(scratch), QUICK if quick else FULL, lambda words: note(f"{words} …"))
    if as_json:
        print_json({"rows": [msgspec.structs.asdict(row) for row in rows]})
    else:
        print_table(COLUMNS, [row.cells() for row in rows])
