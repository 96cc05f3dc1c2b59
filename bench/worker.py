"""A process of a bench's own that obeys JSON lines on stdin and answers with JSON lines on stdout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec


class Worker:
    """A module as a process; what it writes to stderr goes to the file ``said``."""

    def __init__(self, module: str, *arguments: object, said: Path) -> None:
        with said.open("ab") as noise:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=noise,
            )

    def tell(self, **command: object) -> None:
        """Send a command."""
        assert self._process.stdin is not None
        if self._process.poll() is not None:
            raise SystemExit(f"a process of the bench ended with {self._process.returncode}")
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """Its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a process of the bench ended")
        return msgspec.json.decode(line)

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(10)
