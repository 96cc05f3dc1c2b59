"""ProphetX passes the suite that every feed passes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from touchline.feeds.base import Message
from touchline.feeds.prophetx import apps
from touchline.feeds.prophetx.channels import BROADCAST, private_channel
from touchline.feeds.prophetx.consumer import Settings
from touchline.model import Position, Record
from touchline.testing.feed import FeedSuite, Published
from touchline.testing.memory import EPOCH, MemoryHub, run
from touchline.testing.roles import upgrade_request
from touchline.wire.http import HttpRequest

from . import worlds
from .folding import View


class TestConformance(FeedSuite):
    feed_name = "prophetx"

    def examples(self) -> Mapping[str, tuple[str, bytes]]:
        return worlds.EXAMPLES

    def stream(self) -> Sequence[Published]:
        return worlds.STORY

    def hub(self) -> MemoryHub:
        return worlds.new_hub()

    def upgrade(self, hub: MemoryHub, resume: str | None = None) -> HttpRequest:
        key = apps.app_of(run(hub.secret(apps.SECRET_NAME)), "alice").key
        return upgrade_request(f"ws://127.0.0.1:8080/app/{key}?protocol=7")

    def resume_after(self, message: str | bytes) -> str | None:
        return None

    def settings(self, hub: MemoryHub) -> object:
        access_key, secret_key = worlds.KEYS["alice"]
        return Settings(access_key=access_key, secret_key=secret_key, url=hub.base_url)

    def client_state(self, messages: Sequence[Message]) -> object:
        return View(messages).state

    def payload(self, message: bytes) -> bytes:
        return base64.b64decode(json.loads(json.loads(message)["data"])["payload"])

    def _messages_of(self, record: Record) -> list[bytes]:
        """A session follows nothing until it subscribes: what both channels carry of a record."""
        surface = self._surface()
        made = [
            surface.encode(record, channel, Position(EPOCH, 1))
            for channel in (BROADCAST, private_channel(worlds.ALICE), private_channel(worlds.BOB))
        ]
        found = [message for message in made if isinstance(message, bytes)]
        assert len(found) == (record.event.type != "prophetx.account")
        return found
