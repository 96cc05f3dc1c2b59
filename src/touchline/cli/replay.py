"""``touchline replay``: publish a recording at its own pace, with times shifted to now."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from touchline.cli.options import DEFAULT_URL, AsJson, CaFile, Data, KeyFile, KeyText, Url, open_hub
from touchline.cli.output import print_json, say
from touchline.cli.publish import RETRY_SECONDS, progress_bar
from touchline.client import HubClient


def command(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A recording: CloudEvents, one a line; .gz works too.")],
    speed: Annotated[str, typer.Option(metavar="N|max", help="How fast to play; max does not wait at all.")] = "1",
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end, until Ctrl-C.")] = False,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Keep the recorded ids; otherwise each run gets its own.")
    ] = False,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Play a recording into a hub: the same pace, times shifted to now, ids of its own."""
    factor = parse_speed(speed)
    with open_hub(url, key, key_file, data, ca_file, role="publisher", retry_seconds=RETRY_SECONDS) as hub:
        if file != "-":
            _play(hub, Path(file), factor, loop=loop, keep_ids=keep_ids, as_json=as_json)
            return
        with tempfile.NamedTemporaryFile(prefix="touchline-", suffix=".ndjson") as spool:
            shutil.copyfileobj(sys.stdin.buffer, spool)
            spool.flush()
            _play(hub, Path(spool.name), factor, loop=loop, keep_ids=keep_ids, as_json=as_json)


def _play(hub: HubClient, path: Path, speed: float | None, *, loop: bool, keep_ids: bool, as_json: bool) -> None:
    from touchline.sandbox.replay import run

    with progress_bar("replaying") as progress:
        task = progress.add_task("replaying", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        summary = run(hub, path, speed=speed, loop=loop, keep_ids=keep_ids, progress=show)
    if as_json:
        print_json(summary)
    else:
        say(
            f"{summary.events} events in {summary.seconds:.1f} s: {summary.accepted} accepted, "
            f"{summary.duplicates} duplicates, position {summary.position}"
        )


def parse_speed(text: str) -> float | None:
    """A factor above 0, or None for ``max``.

    Raises:
        typer.BadParameter: it is neither.
    """
    if text == "max":
        return None
    try:
        factor = float(text.removesuffix("x"))
    except ValueError:
        factor = 0.0
    if not 0.0 < factor < float("inf"):
        raise typer.BadParameter(f"--speed {text!r}: expected a number above 0, or max.")
    return factor
