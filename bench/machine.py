"""A hub as a subprocess on one core. What an installed package can measure with stands in ``touchline.benchmarks``."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from touchline.benchmarks.machine import free_port, pinned


@contextmanager
def hub(
    data: Path, *flags: str, pin: bool = True, ca_file: Path | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A running hub, on core 0 where CPU time is compared, with its address. ``ca_file``: it speaks TLS."""
    port = free_port()
    touchline = Path(sys.executable).with_name("touchline")
    process = subprocess.Popen(
        [*(pinned(0) if pin else []), str(touchline), "serve", "--data", str(data), "--port", str(port), *flags],
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}" if ca_file is None else f"https://localhost:{port}"
    try:
        wait_ready(url, process, ca_file)
        yield process, url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def wait_ready(url: str, process: subprocess.Popen[bytes], ca_file: Path | None = None) -> float:
    """Wait until the hub says that it is ready; seconds that it took."""
    started = time.monotonic()
    tls = None if ca_file is None else ssl.create_default_context(cafile=ca_file)
    while time.monotonic() - started < 60:
        if process.poll() is not None:
            raise SystemExit("the hub ended")
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=1, context=tls):
                return time.monotonic() - started
        except (urllib.error.URLError, OSError):
            time.sleep(0.01)
    raise SystemExit("the hub is not ready")


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """This process on one core, away from the hub's."""
    before = os.sched_getaffinity(0)
    if core in before and len(before) > 1:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
