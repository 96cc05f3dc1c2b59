"""The SQL texts, by name, from ``queries.sql`` and ``schema/``."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_ROW: Final = re.compile(r"VALUES (\([?, ]+\))")
_MIGRATION: Final = re.compile(r"(\d{4})_\w+\.sql\Z")
_ROWS_AT_ONCE: Final = (128, 64, 32, 16, 8, 4, 2, 1)


@cache
def _queries() -> dict[str, str]:
    text = (resources.files(__package__) / "queries.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    # a comment in front of a name belongs to the query that follows it, not to the one before
    bodies = (re.sub(r"^--.*\n", "", body, flags=re.MULTILINE).strip() for body in parts[1::2])
    return dict(zip(parts[0::2], bodies, strict=True))


def query(name: str) -> str:
    """The SQL text of that name."""
    return _queries()[name]


@cache
def for_rows(name: str, rows: int) -> str:
    """The same with its row of VALUES ``rows`` times over, so that one step does the work of many."""
    return _ROW.sub(lambda match: "VALUES " + ", ".join([match.group(1)] * rows), query(name), count=1)


def steps(rows: int) -> list[int]:
    """``rows`` as a sum of few sizes, so that few texts are ever prepared."""
    sizes = []
    for size in _ROWS_AT_ONCE:
        count, rows = divmod(rows, size)
        sizes += [size] * count
    return sizes


@cache
def migrations() -> tuple[str, ...]:
    """The schema's scripts in order; the first makes version 1."""
    files = [file for file in (resources.files(__package__) / "schema").iterdir() if _MIGRATION.match(file.name)]
    return tuple(file.read_text("utf-8") for file in sorted(files, key=lambda file: file.name))
