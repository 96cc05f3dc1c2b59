"""Moving the WAL into the database off the commit path, and keeping the WAL bounded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from touchline.clock import Clock
from touchline.log.sqlite.database import connect_checkpointer

_logger = logging.getLogger(__name__)


class Checkpointer:
    """A thread with a connection of its own. Each time the WAL has grown by ``step_bytes`` it copies what it can
    (PASSIVE: nobody waits). Above ``bound_bytes`` it then asks for ``between_commits`` to run the rest of the copy,
    so that the next commit begins the WAL anew; there is little left to copy by then.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        between_commits: Callable[[Callable[[], None]], None],
        *,
        step_bytes: int,
        bound_bytes: int,
        vfs: str | None = None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._between_commits = between_commits
        self._step = step_bytes
        self._bound = bound_bytes
        self._vfs = vfs
        self._connection: apsw.Connection | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._wal_bytes = 0
        self._looked_at = 0
        self._thread = threading.Thread(target=self._run, name="touchline-log-checkpoints", daemon=True)
        self.seconds = 0.0

    def start(self) -> None:
        """Open the connection (on the caller's thread), then begin."""
        self._connection = connect_checkpointer(self._path, self._bound, self._vfs)
        self._thread.start()

    def wal_grew(self, wal_bytes: int) -> None:
        """Told after each commit, on the writer's thread."""
        self._wal_bytes = wal_bytes
        if wal_bytes < self._looked_at:
            self._looked_at = 0  # it began anew
        if wal_bytes - self._looked_at >= self._step:
            self._looked_at = wal_bytes
            self._wake.set()

    def stop(self) -> None:
        """End after the checkpoint that is running, and close."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._connection is not None:
            self._connection.close(True)
            self._connection = None

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._stopping:
                return
            begun = self._clock.monotonic()
            try:
                self._checkpoint()
            except apsw.Error as error:
                _logger.warning("a checkpoint failed", extra={"error": f"{type(error).__name__}: {error}"})
            except Exception:  # top of the thread: without checkpoints the WAL would grow for ever
                _logger.exception("the log's checkpoints met an unexpected error")
            self.seconds += self._clock.monotonic() - begun

    def _checkpoint(self) -> None:
        connection: Any = self._connection
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if self._wal_bytes < self._bound:
            return
        done = threading.Event()

        def restart() -> None:
            try:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            except apsw.Error as error:  # a long reading holds the WAL: the next time comes after so many bytes more
                _logger.info("the WAL could not begin anew", extra={"error": type(error).__name__})
            finally:
                done.set()

        self._between_commits(restart)
        done.wait()
