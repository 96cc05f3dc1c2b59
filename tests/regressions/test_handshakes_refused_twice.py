"""A handshake at which a question to the directory failed was refused twice: once by the hub and, since its session was
asked for more wishes, once more by that. The second answer went nowhere, but was counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from integration.hubs import Hub, read_until, status_of
from integration.websockets import handshake


def test_it_is_refused_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(token: str) -> NoReturn:
        raise RuntimeError(token)

    with Hub(tmp_path) as hub:
        monkeypatch.setattr(hub.running.hub.directory, "find_token", fail)
        with hub.connect() as plain:
            plain.sendall(handshake("/live/v2/games?token=t"))
            assert status_of(read_until(plain, b"\r\n\r\n")) == 503
        hub.until(lambda: not len(hub.running.sessions), "it has gone")
        counts = hub.on_loop(lambda: list(hub.running.hub.metrics.refused.collect()))
        refused = {
            sample.labels["status"]: sample.value
            for metric in counts
            for sample in metric.samples
            if sample.name.endswith("_total")
        }
        assert refused == {"503": 1}
