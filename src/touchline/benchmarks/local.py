"""The measurements of ``touchline bench``: each target of the project on hubs of their own, on this machine.

A hub runs as ``touchline serve`` on a temporary directory, sessions, receivers and bare servers in processes of their
own, the publisher here. No compiler and no repository is needed; the baselines are bare loops of this interpreter.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from touchline.benchmarks import deliveries, publishing, sessions, starting, verifying
from touchline.benchmarks.hub import Hub, running
from touchline.benchmarks.rows import Row
from touchline.benchmarks.size import Size
from touchline.client import HubClient


def measure(directory: Path, size: Size, told: Callable[[str], None]) -> list[Row]:
    """Run everything below ``directory``; ``told`` gets a word before each part. Raises UpstreamError."""
    with running(directory / "hub") as hub:
        told(f"publish, 100 events a request: {size.rounds} rounds")
        rows = [publishing.batches(hub, directory, size)]
        told(f"publish, 1 event a request: {size.rounds} rounds")
        rows.append(publishing.singles(hub, directory, size))
        told(f"fan-out: {size.rounds} rounds of {size.seconds:g} s to {size.sessions} sessions")
        rows.append(sessions.fanout(hub, size))
        told(f"publish → last session: {size.slow_rounds} rounds of {size.reach_seconds:g} s")
        rows.append(sessions.reach(hub, directory, size))
        told(f"resume: {size.sessions} sessions at once, {size.rounds} times")
        rows.append(sessions.resume(hub, size))
        told(f"webhooks: {size.endpoints} endpoints, {size.slow_rounds} rounds")
        rows.append(deliveries.webhooks(hub, size))
        records = _records(hub)
    told(f"start: {size.slow_rounds} times")
    rows.append(starting.start(directory / "hub", records, size))
    told(f"idle sessions: {size.idle_seconds:g} s")
    with running(directory / "idle") as hub:
        rows.append(sessions.idle(hub, directory, size))
    told("verify + decode: some seconds")
    rows.append(verifying.verify(size))
    return rows


def _records(hub: Hub) -> int:
    with HubClient(hub.url, hub.admin) as client:
        return int(client.status()["log"]["records"])
