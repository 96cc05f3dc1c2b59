"""The two C programs, compiled on the spot: readers that cost little, and the bare loop of writes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from touchline.benchmarks.machine import LOOPBACK, free_port, pinned

Receivers = subprocess.Popen[str]


def compiled(directory: Path) -> None:
    """The C programs, ready in a directory."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("a C compiler is needed for the baseline and the receivers")
    for name in ("send_loop", "receivers"):
        source = Path(__file__).with_name(f"{name}.c")
        subprocess.run([compiler, "-O2", "-o", str(directory / name), str(source)], check=True)


@contextmanager
def receivers(directory: Path, sockets: Sequence[socket.socket], kind: str, *arguments: str) -> Iterator[Receivers]:
    """Receivers of a kind (see ``receivers.c``) that have taken the sockets over."""
    for one in sockets:
        os.set_inheritable(one.fileno(), True)
    listed = directory / f"descriptors-{sockets[0].fileno()}"
    listed.write_text("\n".join(str(one.fileno()) for one in sockets))
    process = subprocess.Popen(
        [*pinned(1), str(directory / "receivers"), kind, str(listed), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        close_fds=False,
    )
    try:
        says(process, "reading")
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(20)


def says(process: Receivers, word: str) -> None:
    """Wait for a line that must be this one."""
    assert process.stdout
    line = process.stdout.readline().strip()
    if line != word:
        raise SystemExit(f"the receivers said {line!r} in place of {word!r}")


@dataclass(frozen=True)
class Timed:
    """What receivers of the kind ``timed`` found; ``last``: of the last socket to get each event. ``seconds``: from the
    beginning of reading until every socket had everything."""

    events: int
    median_ms: float
    p99_ms: float
    p999_ms: float
    worst_ms: float
    last_median_ms: float
    last_p99_ms: float
    last_worst_ms: float
    seconds: float


def timed(process: Receivers) -> Timed:
    """End receivers of the kind ``timed`` and take their account."""
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    events, median, p99, p999, worst, last_median, last_p99, last_worst, ns = process.stdout.readline().split()
    return Timed(
        events=int(events),
        median_ms=float(median) / 1000,
        p99_ms=float(p99) / 1000,
        p999_ms=float(p999) / 1000,
        worst_ms=float(worst) / 1000,
        last_median_ms=float(last_median) / 1000,
        last_p99_ms=float(last_p99) / 1000,
        last_worst_ms=float(last_worst) / 1000,
        seconds=int(ns) / 1e9,
    )


def bare_send_seconds(
    directory: Path, writes: Sequence[int], sockets: int, pause_seconds: float, core: int = 0
) -> float:
    """CPU seconds of a C loop that writes to each of so many sockets, one size after the other, a pause apart."""
    return _bare_send(directory, writes, sockets, pause_seconds, core, "raw", sum(writes))[0]


def bare_send_timed(directory: Path, writes: Sequence[int], sockets: int, pause_seconds: float) -> tuple[float, Timed]:
    """The same, and when the writes came, counted from when they were due; each of 40 bytes or more."""
    seconds, account = _bare_send(directory, writes, sockets, pause_seconds, 0, "timed", len(writes))
    assert account
    return seconds, account


def _bare_send(
    directory: Path, writes: Sequence[int], sockets: int, pause_seconds: float, core: int, kind: str, expected: int
) -> tuple[float, Timed | None]:
    listed = directory / "writes"
    listed.write_text("\n".join(map(str, writes)))
    port = free_port()
    numbers = (port, sockets, len(writes), max(writes), round(pause_seconds * 1e6))
    process = subprocess.Popen(
        [*pinned(core), str(directory / "send_loop"), *map(str, numbers), str(listed)],
        stdout=subprocess.PIPE,
        text=True,
    )
    says(process, "listening")
    clients = [socket.create_connection((LOOPBACK, port)) for _ in range(sockets)]
    with receivers(directory, clients, kind, str(expected)) as readers:
        says(readers, "complete")
        account = timed(readers) if kind == "timed" else None
        assert process.stdout
        seconds, sent = process.stdout.readline().split()
        if int(sent) != len(writes) * sockets:
            raise SystemExit("the bare loop could not write everything")
    process.wait()
    for one in clients:
        one.close()
    return float(seconds), account
