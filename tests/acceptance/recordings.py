"""The recordings, as events of this suite."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from .hubs import ROOT, SHARED


class Recorded(NamedTuple):
    """A line of a recording; ``line`` is what is published."""

    id: str
    type: str
    subject: str
    data: msgspec.Raw
    line: bytes


class _Line(msgspec.Struct):
    id: str
    type: str
    subject: str
    data: msgspec.Raw


def recording(name: str) -> Path:
    """The file, as somebody in the repository names it."""
    path = Path("..") / "shared" / "recordings" / name
    if not (ROOT / path).is_file():
        pytest.skip(f"{path} is not here")
    return path


def recorded(name: str) -> list[Recorded]:
    """Its events."""
    found = []
    for line in (ROOT / recording(name)).read_bytes().splitlines():
        if line.strip():
            one = msgspec.json.decode(line, type=_Line)
            found.append(Recorded(one.id, one.type, one.subject, one.data, line))
    return found


def seed(name: str) -> str:
    """The text of a provider's page."""
    path = SHARED / "seeds" / name
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    return path.read_text()
