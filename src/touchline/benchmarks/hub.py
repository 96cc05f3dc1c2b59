"""The hub that ``touchline bench`` measures: ``touchline serve`` on a temporary directory, and the keys to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from touchline.benchmarks.events import FEED, event
from touchline.benchmarks.machine import LOOPBACK, free_port
from touchline.benchmarks.readers import handshake
from touchline.client import HubClient
from touchline.errors import UpstreamError
from touchline.sandbox.hub_process import HubProcess

PARTNER: Final = "bench"
"""The partner whose sessions and endpoints are measured."""
READY_SECONDS: Final = 20.0


class Hub:
    """A running hub and the keys to it."""

    def __init__(self, port: int, pid: int, admin: str, publisher: str, reader: str) -> None:
        self.url = f"http://{LOOPBACK}:{port}"
        self.port = port
        self.pid = pid
        self.admin = admin
        self.publisher = publisher
        self._reader = reader

    def hello(self, subject: str, after: str | None = None) -> str:
        """The handshake of a native session."""
        query = f"feed={FEED}&subject={subject}" + (f"&after={after}" if after is not None else "")
        return handshake(
            f"/hub/v1/ws?{query}",
            (f"Authorization: Bearer {self._reader}", "Sec-WebSocket-Protocol: cloudevents.json"),
        )

    def position(self, name: str) -> str:
        """Where the log is now: the position after an event of a game that nobody follows."""
        with HubClient(self.url, self.publisher) as client:
            return client.publish([event(f"{name}-first", "elsewhere", 0)]).position


@contextmanager
def running(data: Path) -> Iterator[Hub]:
    """A hub that lives as long as the ``with`` block. Raises UpstreamError when it does not start."""
    port = free_port()
    with HubProcess(data, LOOPBACK, port) as process:
        url = f"http://{LOOPBACK}:{port}"
        if not process.wait_ready(url, threading.Event(), READY_SECONDS):
            raise not_started(process)
        admin, publisher = ((data / f"{role}.key").read_text("utf-8").strip() for role in ("admin", "publisher"))
        with HubClient(url, admin) as client:
            credentials = client.add_partner(PARTNER, "hub")["credentials"]
        yield Hub(port, process.pid(), admin, publisher, credentials["key"])


def not_started(process: HubProcess) -> UpstreamError:
    """What to raise when a hub is not ready in time."""
    return UpstreamError(f"the hub did not start: {' '.join(process.last_words())}")
