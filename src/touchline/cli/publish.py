"""``touchline publish``: append CloudEvents from a file, one per line, as they are."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Final, cast

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from touchline.cli.options import DEFAULT_URL, AsJson, CaFile, Data, KeyFile, KeyText, Url, open_hub
from touchline.cli.output import note, print_json, say
from touchline.client import HubRefused
from touchline.errors import EventProblem, TouchlineError, UpstreamError

BATCH_LINES: Final = 500
BATCH_BYTES: Final = 1_000_000
RETRY_SECONDS: Final = 30.0
_SHOWN_PROBLEMS: Final = 20


class Batch(msgspec.Struct):
    """Lines that go together, and where in the file each stood (from 1)."""

    lines: list[bytes] = []
    numbers: list[int] = []
    size_bytes: int = 0


class LineProblem(msgspec.Struct, frozen=True):
    """Why a line was refused."""

    line: int
    field: str
    detail: str


class Summary(msgspec.Struct):
    """What became of the file so far."""

    accepted: int = 0
    duplicates: int = 0
    position: str = ""
    errors: list[LineProblem] = []


def command(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="CloudEvents, one JSON object a line; .gz works too.")],
    on_error: Annotated[
        str,
        typer.Option(metavar="fail|skip", help="fail: a bad event stops its batch; skip: the good ones are stored."),
    ] = "fail",
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Append CloudEvents lines to a hub, in batches, as they are.

    Running it again is safe: what is stored already counts as a duplicate.
    """
    if on_error not in ("fail", "skip"):
        raise typer.BadParameter("--on-error is 'fail' or 'skip'.")
    summary = Summary()
    failure: UpstreamError | None = None
    hub = open_hub(url, key, key_file, data, ca_file, role="publisher", retry_seconds=RETRY_SECONDS)
    with hub, open_lines(file) as lines, progress_bar("publishing") as progress:
        task = progress.add_task("publishing", total=None)
        for batch in batches(lines):
            try:
                published = hub.publish(batch.lines, on_error=on_error)
            except UpstreamError as error:
                problems = error.problems if isinstance(error, HubRefused) else ()
                summary.errors += _at_lines(problems, batch)
                failure = UpstreamError(f"{error}; line {batch.numbers[0]} and what follows is not stored")
                break
            summary.accepted += published.accepted
            summary.duplicates += published.duplicates
            summary.position = published.position or summary.position
            summary.errors += _at_lines(published.errors, batch)
            progress.advance(task, len(batch.lines))
    _report(summary, as_json=as_json)
    if failure is not None:
        raise failure


def _at_lines(problems: Iterable[EventProblem], batch: Batch) -> list[LineProblem]:
    numbers = batch.numbers
    return [
        LineProblem(numbers[problem.index] if 0 <= problem.index < len(numbers) else 0, problem.field, problem.detail)
        for problem in problems
    ]


def _report(summary: Summary, *, as_json: bool) -> None:
    for problem in summary.errors[:_SHOWN_PROBLEMS]:
        field = f"{problem.field}: " if problem.field else ""
        note(f"line {problem.line}: {field}{problem.detail}")
    if len(summary.errors) > _SHOWN_PROBLEMS:
        note(f"and {len(summary.errors) - _SHOWN_PROBLEMS} more (--json lists all)")
    if as_json:
        print_json(summary)
    else:
        refused = f", {len(summary.errors)} refused" if summary.errors else ""
        where = f", position {summary.position}" if summary.position else ""
        say(f"{summary.accepted} accepted, {summary.duplicates} duplicates{refused}{where}")


def batches(lines: Iterable[bytes]) -> Iterator[Batch]:
    """Non-empty lines in order, at most 500 and about 1 MB together; a longer line goes alone."""
    batch = Batch()
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line:
            continue
        if batch.lines and (len(batch.lines) >= BATCH_LINES or batch.size_bytes + len(line) >= BATCH_BYTES):
            yield batch
            batch = Batch()
        batch.lines.append(line)
        batch.numbers.append(number)
        batch.size_bytes += len(line) + 1
    if batch.lines:
        yield batch


@contextmanager
def open_lines(file: str) -> Iterator[Iterable[bytes]]:
    """The lines of a file, or of stdin for ``-``; gzip is recognised by its first bytes.

    Raises:
        TouchlineError: while reading, when the gzip data is damaged.
    """
    with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as source:
        buffered = source if isinstance(source, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, source))
        packed = buffered.peek(2)[:2] == b"\x1f\x8b"
        yield _unpacked(file, gzip.GzipFile(fileobj=buffered)) if packed else buffered


def _unpacked(file: str, lines: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from lines
    except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
        raise TouchlineError(f"{file}: the gzip data is damaged: {problem}") from None


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Progress on stderr, when that is a terminal; silent otherwise."""
    console = Console(stderr=True)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress
