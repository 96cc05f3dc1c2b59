"""The limits that a hub is held against: a bare SQLite table and a bare loop of socket writes."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Final

import apsw

from touchline.benchmarks.machine import LOOPBACK

ROW: Final = b"x" * 300
INSERT: Final = "INSERT INTO r VALUES (?,?)"
_READ_BYTES: Final = 1 << 18


def bare_table(directory: Path) -> apsw.Connection:
    """A new database with a table of its own (WAL, synchronous FULL), whose rows are durable when they are committed;
    checkpoints are left out, as the hub leaves them out.
    """
    connection = apsw.Connection(str(directory / f"bare-{time.time_ns()}.db"))
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE r (offset INTEGER PRIMARY KEY, data BLOB)")
    return connection


def sqlite_rows_per_second(directory: Path, rows: int, per_commit: int) -> float:
    """Durable rows of 300 bytes into a table of their own, so many a commit."""
    return rows / sum(sqlite_commit_seconds(directory, rows // per_commit, per_commit))


def sqlite_commit_seconds(directory: Path, commits: int, per_commit: int) -> list[float]:
    """How long each of so many durable commits takes."""
    connection = bare_table(directory)
    seconds = []
    for number in range(commits):
        first = number * per_commit
        started = time.perf_counter()
        with connection:
            connection.executemany(INSERT, ((first + i, ROW) for i in range(per_commit)))
        seconds.append(time.perf_counter() - started)
    connection.close()
    return seconds


def socket_write_seconds(sockets: int, rounds: int, size: int) -> float:
    """CPU seconds that one write of ``size`` bytes to one of so many TCP sockets takes; a thread reads them all.

    Python's own ``socket.send``: a C loop is a little cheaper, but a compiler is not everywhere.
    """
    with socket.create_server((LOOPBACK, 0), backlog=sockets) as listener:
        readers = [socket.create_connection(listener.getsockname()) for _ in range(sockets)]
        writers = [listener.accept()[0] for _ in range(sockets)]
    for writer in writers:
        writer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    message = b"x" * size
    reading = threading.Thread(target=_read_all, args=(readers, rounds * size), name="bare-readers")
    spent = 0.0
    reading.start()
    try:
        for _ in range(rounds):
            before = time.thread_time()
            for writer in writers:
                writer.sendall(message)
            spent += time.thread_time() - before
    finally:
        for writer in writers:
            writer.close()
        reading.join()
    return spent / (rounds * sockets)


def _read_all(readers: list[socket.socket], each: int) -> None:
    for reader in readers:
        left = each
        while left > 0 and (data := reader.recv(min(left, _READ_BYTES))):
            left -= len(data)
        reader.close()
