"""What commands print: one JSON document or NDJSON on stdout, tables for people, progress and notices on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_json(value: Any) -> None:
    """One JSON document and a line end."""
    write_line(msgspec.json.encode(value))


def write_line(line: bytes) -> None:
    """A line on stdout, at once."""
    sys.stdout.flush()
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under headings; plain tab-separated lines when stdout is no terminal, so that scripts can cut them."""
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(plain(cell) for cell in row) + "\n")
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    Console().print(table)


def say(text: str) -> None:
    """A line for people on stdout."""
    sys.stdout.write(plain(text) + "\n")


def note(text: str) -> None:
    """A line for people on stderr."""
    sys.stderr.write(plain(text) + "\n")
    sys.stderr.flush()


def plain(text: str) -> str:
    """The text without what could steer a terminal: peers choose what they send."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
