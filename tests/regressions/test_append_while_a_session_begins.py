"""A session that resumes at the head while a record is appended must get that record.

Where it goes on was once read after its stream's counters, with a wait in between; what was appended during the wait
stood before the one and not in the other, and was never sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from touchline.feeds.base import FindStream, StreamView
from touchline.model import Event
from touchline.server import config
from touchline.server.app import Running

FEED, GAME = "shottracker", "game-1"


def marker(number: int) -> Event:
    return Event(
        feed=FEED,
        id=str(number),
        source="/venue/12",
        type="shottracker.marker",
        subject=GAME,
        data=b'{"type":"JERSEY_COLORS"}',
        occurred_at=1_790_000_000_000_000_000,
        received_at=1_790_000_000_000_000_000,
    )


@pytest.mark.parametrize("stored", [0, 3])
async def test_what_is_appended_while_the_stream_is_looked_up_is_not_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: int
) -> None:
    running = Running(config.load({"data": tmp_path / "data"}, {}, tmp_path))
    await running.start()
    try:
        hub = running.hub
        for number in range(stored):
            await hub.event_log.append([marker(number)])
        load = hub.snapshots.state

        async def load_while_something_is_appended(*stream: str) -> Any:
            await hub.event_log.append([marker(100)])
            return await load(*stream)

        monkeypatch.setattr(hub.snapshots, "state", load_while_something_is_appended)
        view = await hub.answer(FindStream(FEED, GAME, stored or None))
        assert isinstance(view, StreamView)
        page = await hub.event_log.read(view.after, 10, feed=FEED, subject=GAME)
        assert [record.seq for record in page.records] == [stored + 1]
    finally:
        await running.stop()
