"""Who asks for pages without a position gets those from the oldest event kept; while retention worked it was answered
410 as if it had named a position, because the oldest event was another one by the time it was read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integration.hubs import Hub, cloud_event


def test_retention_is_quicker_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub(tmp_path) as hub:
        hub.publish_all([cloud_event() for _ in range(6)])
        events = hub.events()
        log = hub.running.hub.event_log
        read, trimmed = log.read, []

        async def slow(*arguments: Any, **more: Any) -> Any:
            if not trimmed:
                trimmed.append(await log.trim(4))
            return await read(*arguments, **more)

        with monkeypatch.context() as patched:
            patched.setattr(log, "read", slow)
            answer = hub.get("/hub/v1/events", hub.admin_key)
        assert trimmed == [4]
        assert answer.status == 200, answer
        assert [event["id"] for event in answer.json["events"]] == [event["id"] for event in events[4:]]
        gone = hub.get(f"/hub/v1/events?after={events[0]['position']}", hub.admin_key)
        assert (gone.status, gone.json["reason"]) == (410, "expired"), "who names a position is told"
