"""What tests of webhooks on a real hub share: a clock that steps, traffic in the background, a look at what came."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from receivers import Seen
from touchline.clock import SystemClock

from .hubs import PATIENCE_SECONDS, Hub, cloud_event


class SteppingClock(SystemClock):
    """The machine's clock, which a test may set ahead or back."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def wall_ns(self) -> int:
        return super().wall_ns() + round(self.ahead_seconds * 1e9)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    for _ in range(int(PATIENCE_SECONDS / 0.01)):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"waited in vain for {what}")


def publish(hub: Hub, kind: str, subject: str, *names: str, **more: Any) -> None:
    """Events of these ids, in one batch."""
    hub.publish_all([cloud_event(kind, subject, {"n": name}, id=name, **more) for name in names])


def insights(hub: Hub, topic: str, *names: str) -> None:
    """Insights of these ids."""
    hub.publish_all([cloud_event("insights.insight", topic, {"id": name}, id=name) for name in names])


def ids(seen: list[Seen]) -> list[str]:
    """The ids of the CloudEvents that came."""
    return [json.loads(one.body)["id"] for one in seen]


def changes(hub: Hub, endpoint: str) -> list[str]:
    """The endpoint's changes that were published, in order."""
    return [one["type"].removeprefix("hub.endpoint.") for one in hub.events(f"feed=hub&subject={endpoint}")]


class Traffic:
    """Publishes one event after the other until it is left; ``names`` are those that were taken."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.names: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    def go_on(self, count: int = 5) -> None:
        """Wait until so many more were published."""
        least = len(self.names) + count
        wait_for(lambda: len(self.names) >= least, "traffic")

    def _run(self) -> None:
        while not self._stop.is_set():
            name = f"t{len(self.names)}"
            self._send(name)
            self.names.append(name)
