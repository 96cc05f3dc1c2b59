"""Roanuz passes the suite that every feed passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from touchline.feeds.base import EndpointView
from touchline.testing.feed import FeedSuite, Published
from touchline.testing.memory import MemoryHub
from touchline.wire.gzip import inflate

from . import worlds


class TestConformance(FeedSuite):
    feed_name = "roanuz"
    signed = False

    def examples(self) -> Mapping[str, tuple[str, bytes]]:
        return worlds.EXAMPLES

    def stream(self) -> Sequence[Published]:
        return worlds.STORY

    def hub(self) -> MemoryHub:
        return worlds.new_hub()

    def endpoint(self) -> EndpointView:
        return worlds.endpoint(subscribe="all", webhook_key=worlds.KEY)

    def payload(self, message: bytes) -> bytes:
        return inflate(message, 1 << 20)

    def test_unknown_fields_survive(self) -> None:
        """What is pushed is the notification alone, so the suite's own test would look in the wrong place."""
        mark = b'{"new":{"b":"\\u00e9 2e0","a":9007199254740993},'
        hub = self.hub()
        for event_type, (subject, data) in self.examples().items():
            if event_type == "roanuz.match":
                record = hub.publish(event_type, subject, data.replace(b'{"match":{', b'{"match":' + mark))
                assert mark[1:-1] in hub.fold(subject).document
            else:
                marked = data.replace(b'"notification":{', b'"notification":' + mark)
                assert marked != data
                record = hub.publish(event_type, subject, marked)
                (message,) = self._messages_of(record)
                assert mark in self.payload(message)
