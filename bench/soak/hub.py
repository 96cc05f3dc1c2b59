"""The hub of a soak: ``touchline serve`` as a process that is killed and started again on its directory and port."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

STOP_SECONDS: Final = 30.0
READY_SECONDS: Final = 60.0
_PORTS: Final = (15_000, 32_000)
"""Below those that the system gives to outgoing connections: a client that calls a dead hub must not be given its port
and speak to itself."""


def quiet_port() -> int:
    """A loopback port that nobody listens on, and that no client will be given."""
    dice = random.SystemRandom()
    while True:
        with socket.socket() as probe:
            port = dice.randrange(*_PORTS)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class HubUnderTest:
    """See the module docstring. ``lives`` are the moments of its starts, ``downs`` how long each restart took."""

    def __init__(self, data: Path, settings: Mapping[str, object], *options: str) -> None:
        self.data = data
        self.port = quiet_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = data.parent / "hub.log"
        self.lives: list[float] = []
        self.downs: list[float] = []
        self.exits: list[int] = []
        config = data.parent / "touchline.toml"
        config.write_text("".join(f"{name} = {_toml(value)}\n" for name, value in settings.items()))
        self._command = [str(Path(sys.executable).with_name("touchline")), "serve", "--data", str(data)]
        self._command += ["--port", str(self.port), "--config", str(config), *options]
        self._process: subprocess.Popen[bytes] | None = None

    def key(self, role: str) -> str:
        """One of the keys of the first start."""
        return (self.data / f"{role}.key").read_text().strip()

    def running(self) -> tuple[int, float] | None:
        """Its process id, and since when; None while it is down."""
        process = self._process
        return None if process is None else (process.pid, self.lives[-1])

    def check(self) -> None:
        """Raises SystemExit when it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise SystemExit(f"the hub ended with {self._process.poll()}: see {self.log_file}")

    def start(self) -> None:
        """Start it and wait until it is ready."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHLINE_")}
        self.lives.append(time.monotonic())
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        while not self._is_ready():
            self.check()
            if time.monotonic() > self.lives[-1] + READY_SECONDS:
                raise SystemExit(f"the hub is not ready: see {self.log_file}")
            time.sleep(0.02)
        self.downs.append(time.monotonic() - self.lives[-1])

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/readyz", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """SIGKILL."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        self.exits.append(process.wait(STOP_SECONDS))

    def terminate(self) -> None:
        """SIGTERM."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            self.exits.append(process.wait(STOP_SECONDS))
        except subprocess.TimeoutExpired:
            process.kill()
            self.exits.append(process.wait())

    def faults(self) -> list[str]:
        """The lines of its log that tell of an error."""
        lines = self.log_file.read_text("utf-8", "replace").splitlines()
        return [line for line in lines if " ERROR " in line or "Traceback" in line or " CRITICAL " in line]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
