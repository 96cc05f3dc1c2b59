"""ShotTracker passes the suite that every feed passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from touchline.feeds.shottracker.client import Settings
from touchline.testing.feed import FeedSuite, Published
from touchline.testing.memory import MemoryHub
from touchline.wire.http import HttpRequest

from . import worlds


class TestConformance(FeedSuite):
    feed_name = "shottracker"

    def examples(self) -> Mapping[str, tuple[str, bytes]]:
        return worlds.EXAMPLES

    def stream(self) -> Sequence[Published]:
        story = [(f"shottracker.{source}", worlds.GAME, data) for source, data in worlds.STORY]
        return [("shottracker.game", worlds.GAME, worlds.row()), *story]

    def hub(self) -> MemoryHub:
        return worlds.new_hub()

    def upgrade(self, hub: MemoryHub, resume: str | None = None) -> HttpRequest:
        query = f"token={worlds.TOKEN}"
        return worlds.live(query if resume is None else f"{query}&last_seq={resume}")

    def resume_after(self, message: str | bytes) -> str | None:
        return msgspec.json.decode(message).get("seq")

    def settings(self, hub: MemoryHub) -> object:
        return Settings(username="demo-user", secret="demo-secret", event_id=worlds.GAME)
