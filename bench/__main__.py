"""``python -m bench [--small] [NAME …]``: a table, and the same in bench/results/, as JSON and as Markdown.

``--small`` runs the code and measures nothing worth reading: the tests do that.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from touchline.benchmarks.rows import COLUMNS, Row

BENCHES = ("publish", "fanout", "load", "reach", "resume", "idle", "start", "sdk", "pusher", "webhooks")
ON_DEMAND = ("peers",)
"""Installs other servers into a temporary directory: only when it is named."""
RESULTS = Path(__file__).with_name("results")


def main() -> int:
    """Run the named ones, or all."""
    small = "--small" in sys.argv[1:]
    names = [word for word in sys.argv[1:] if word != "--small"] or list(BENCHES)
    unknown = [name for name in names if name not in (*BENCHES, *ON_DEMAND)]
    if unknown:
        print(f"no bench {unknown[0]!r}; there are {', '.join((*BENCHES, *ON_DEMAND))}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    took: dict[str, float] = {}
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            rows += importlib.import_module(f"bench.{name}").run(Path(scratch), small)
        took[name] = round(time.monotonic() - started, 1)
    _show(rows)
    print("; ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items()), file=sys.stderr)
    if small:
        sys.stdout.buffer.write(msgspec.json.encode(rows) + b"\n")
        return 0
    RESULTS.mkdir(exist_ok=True)
    document = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, CPython {platform.python_version()}",
        "seconds": took,
        "rows": rows,
    }
    text = msgspec.json.format(msgspec.json.encode(document), indent=1)
    for name in ("latest", "-".join(names) if len(names) < len(BENCHES) else "all"):
        (RESULTS / f"{name}.json").write_bytes(text)
        (RESULTS / f"{name}.md").write_text(_markdown(rows))
    return 0


def _markdown(rows: list[Row]) -> str:
    """The table as the pages of the documentation have it."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(row.cells() for row in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _show(rows: list[Row]) -> None:
    table = Table(*COLUMNS, show_lines=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.cells()))
    # Not to a terminal: as wide as the table wants to be, a line is read or cut by another program.
    Console(width=None if sys.stdout.isatty() else 220, file=sys.stderr if "--small" in sys.argv else None).print(table)


if __name__ == "__main__":
    sys.exit(main())
