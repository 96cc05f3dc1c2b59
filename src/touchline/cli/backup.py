"""``touchline backup``: a copy of a running hub's database in a file, checked before it has its name."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from touchline.cli.options import DEFAULT_URL, AsJson, CaFile, Data, KeyFile, KeyText, Url, open_hub
from touchline.cli.output import note, print_json, say
from touchline.cli.serve import need_server
from touchline.errors import ConfigError, TouchlineError
from touchline.wire import position as position_token


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; it holds secrets.")],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.", show_default=False)] = False,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Copy a running hub's log and directory into FILE (mode 0600), consistent while publishing goes on.

    The copy is checked before FILE appears. 'touchline restore' makes a data directory of it.
    """
    try:
        from touchline.log.sqlite import examine
    except ModuleNotFoundError as missing:
        raise need_server(missing) from None
    if file.is_dir():
        raise ConfigError(f"{file} is a directory; name a file in it")
    if not file.parent.is_dir():
        raise ConfigError(f"there is no directory {file.parent}")
    if file.exists() and not force:
        raise ConfigError(f"{file} is there already; choose another name, or --force replaces it")
    with open_hub(url, key, key_file, data, ca_file) as hub, _unfinished(file) as (part, partial), _bar() as progress:
        task = progress.add_task("the hub makes its copy", total=None)

        def take(piece: bytes, size: int | None) -> None:
            left = memoryview(piece)
            while left:
                left = left[partial.write(left) :]
            progress.update(task, total=size, advance=len(piece), description="copying")

        try:
            hub.backup(take)
            os.fsync(partial.fileno())
        except OSError as error:
            raise TouchlineError(f"{part.parent}: {error.strerror or error}; there is no backup") from None
        progress.update(task, description="checking")
        if not progress.console.is_terminal:
            note("copied; checking the copy")
        examined = examine(part)
        _give_name(part, file, force=force)
    position = position_token.encode(examined.position)
    if as_json:
        epoch = examined.position.epoch
        print_json({"file": str(file), "bytes": examined.bytes, "position": position, "epoch": epoch})
    else:
        say(f"{file}: {examined.bytes} bytes, whole and good, up to position {position}")


@contextmanager
def _unfinished(file: Path) -> Iterator[tuple[Path, io.FileIO]]:
    """A file of another name beside it (0600), which goes away unless it is given the name."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".partial", dir=file.parent)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb", buffering=0) as partial:  # what cannot be written is known at once
            yield path, partial
    finally:
        path.unlink(missing_ok=True)


def _give_name(part: Path, file: Path, *, force: bool) -> None:
    if force:
        part.replace(file)
    else:
        try:
            os.link(part, file)  # unlike a rename it never replaces what has come there meanwhile
        except FileExistsError:
            raise ConfigError(f"{file} is there by now; --force replaces it") from None
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def _bar() -> Iterator[Progress]:
    """Progress on stderr, when that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress
