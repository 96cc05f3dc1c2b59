"""The demo's hub: ``touchline serve`` as a child process, with its last words kept for when it fails."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import urllib3

STOP_SECONDS: Final = 15.0
LAST_LINES: Final = 20
LOG_FILE: Final = "hub.log"
LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
"""Webhooks of this hub go to receivers on this machine."""
_POLL_SECONDS: Final = 0.1


def touchline_command() -> list[str]:
    """How to start the ``touchline`` command that belongs to this interpreter."""
    script = Path(sys.executable).with_name("touchline")
    if script.is_file():
        return [str(script)]
    return [sys.executable, "-c", "import sys; from touchline.cli import main; sys.exit(main())"]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class HubProcess:
    """A hub that lives as long as the ``with`` block. What it writes goes to ``hub.log`` in its data directory.

    ``sandboxes`` are the feeds whose sandbox it runs itself.
    """

    def __init__(
        self, data: Path, host: str, port: int, command: list[str] | None = None, sandboxes: Sequence[str] = ()
    ) -> None:
        self._data = data
        self._arguments = ["serve", "--data", str(data), "--host", host, "--port", str(port)]
        self._arguments += [word for network in LOOPBACK for word in ("--allow-network", network)]
        self._arguments += [word for feed in sandboxes for word in ("--sandbox", feed)]
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._words: deque[str] = deque(maxlen=LAST_LINES)

    def __enter__(self) -> Self:
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the hub after the games.
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [*(self._command or touchline_command()), *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), name="hub-output", daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_ready(self, url: str, stop: threading.Event, seconds: float) -> bool:
        """Wait until ``/readyz`` says so; False when the hub ends, ``stop`` is set or time is over."""
        with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(2.0)) as pool:
            for _ in range(max(1, int(seconds / _POLL_SECONDS))):
                if not self.alive() or stop.is_set():
                    return False
                with contextlib.suppress(urllib3.exceptions.HTTPError):
                    if pool.request("GET", f"{url}/readyz").status == 200 and self.alive():
                        return True
                stop.wait(_POLL_SECONDS)
        return False

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def pid(self) -> int:
        """The number of the running process."""
        assert self._process is not None
        return self._process.pid

    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def last_words(self) -> list[str]:
        """The last lines that it wrote."""
        if not self.alive() and self._reader is not None:
            self._reader.join(STOP_SECONDS)
        return list(self._words)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not enough; returns when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()

    def _read(self, output: IO[bytes]) -> None:
        file = None
        for raw in output:
            self._words.append(raw.decode("utf-8", "replace").rstrip())
            if file is None and self._data.is_dir():
                # Opened late: the hub makes its data directory, with the right mode.
                with contextlib.suppress(OSError):
                    file = open(self._data / LOG_FILE, "ab", buffering=0, opener=_private)  # noqa: SIM115 - open as long as the hub
                    file.writelines(f"{line}\n".encode() for line in list(self._words)[:-1])
            if file is not None:
                file.write(raw)
        if file is not None:
            file.close()
