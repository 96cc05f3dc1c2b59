"""publish and replay: files, gzip, stdin, batches, and what is said of refused lines."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from touchline.cli.publish import BATCH_BYTES, BATCH_LINES, batches

Command = Callable[..., Any]
LINES = b'{"id":"1"}\n\n  {"id":"2"}  \r\n{"id": 9007199254740993}'
GOOD = [b'{"id":"1"}', b'{"id":"2"}', b'{"id": 9007199254740993}']


@pytest.mark.parametrize("name", ["events.ndjson", "events.ndjson.gz"])
def test_publishes_a_file(hub: Any, touchline: Command, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(LINES, mtime=0) if name.endswith("gz") else LINES)
    done = touchline("publish", str(path), "--json")
    assert done.code == 0
    assert done.json == {"accepted": 3, "duplicates": 0, "position": "abcdefgh-1", "errors": []}
    assert hub.published == [GOOD]


@pytest.mark.parametrize("content", [LINES, gzip.compress(LINES, mtime=0)])
def test_publishes_stdin(hub: Any, touchline: Command, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert touchline("publish", "-").out == "3 accepted, 0 duplicates, position abcdefgh-1\n"
    assert hub.published == [GOOD]


def test_a_refused_line_is_named_by_its_number(hub: Any, touchline: Command, tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b"\n" * 3 + b"".join(b'{"id":"%d"}\n' % number for number in range(BATCH_LINES + 10)))
    hub.refuse[b'{"id":"505"}'] = "no good"
    done = touchline("publish", str(path))
    assert done.code == 1
    assert done.out == "500 accepted, 0 duplicates, 1 refused, position abcdefgh-1\n"
    assert done.err == (
        "line 509: id: no good\n"
        "touchline: the hub answered 400: Bad Request: events cannot be taken; "
        "line 504 and what follows is not stored\n"
    )
    done = touchline("publish", str(path), "--json")
    assert done.json["errors"] == [{"line": 509, "field": "id", "detail": "no good"}]
    done = touchline("publish", str(path), "--on-error", "skip")
    assert (done.code, done.err) == (0, "line 509: id: no good\n")
    assert done.out == "509 accepted, 0 duplicates, 1 refused, position abcdefgh-1\n"


def test_a_wrong_key_is_said(hub: Any, touchline: Command, tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(LINES)
    done = touchline("publish", str(path), "--key", "wrong")
    assert done.code == 1
    assert "401: Unauthorized: a good key is needed; line 1 and what follows is not stored" in done.err


def test_files_that_cannot_be_read(hub: Any, touchline: Command, tmp_path: Path) -> None:
    absent = touchline("publish", str(tmp_path / "absent"))
    assert (absent.code, absent.err) == (1, f"touchline: {tmp_path / 'absent'}: No such file or directory\n")
    for damaged in (gzip.compress(LINES * 9, mtime=0)[:-12], b"\x1f\x8bnonsense"):
        path = tmp_path / "damaged.gz"
        path.write_bytes(damaged)
        done = touchline("publish", str(path))
        assert done.code == 1
        assert "gzip data is damaged" in done.err


def test_batches_have_bounds() -> None:
    lines = [b"x" * 1000] * 1200 + [b"y" * (BATCH_BYTES * 2), b"", b"z"]
    made = list(batches(lines))
    assert [number for batch in made for number in batch.numbers] == [*range(1, 1202), 1203]
    assert [len(batch.lines) for batch in made] == [500, 500, 200, 1, 1]
    assert list(batches([])) == []


def test_replays_a_file_and_stdin(
    hub: Any, touchline: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = b'{"specversion":"1.0","id":"1","source":"/s","type":"shottracker.shot","subject":"g","data":{"a":1.0}}\n'
    path = tmp_path / "game.ndjson.gz"
    path.write_bytes(gzip.compress(line, mtime=0))
    done = touchline("replay", str(path), "--speed", "max", "--keep-ids", "--json")
    assert done.code == 0
    assert {name: done.json[name] for name in ("events", "accepted", "duplicates")} == {
        "events": 1,
        "accepted": 1,
        "duplicates": 0,
    }
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line)))
    done = touchline("replay", "-", "--speed", "10")
    assert (done.code, done.out.split(" in ")[0]) == (0, "1 events")
    first, second = hub.published
    assert b'"id":"1"' in first[0]
    assert b'"id":"1"' not in second[0]
