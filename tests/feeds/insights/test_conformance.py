"""Insights passes the suite that every feed passes, raw and in envelopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from touchline.feeds.base import EndpointView, Trust
from touchline.testing.feed import FeedSuite, Published
from touchline.testing.memory import MemoryHub
from touchline.wire.javascript import normalise

from . import worlds


class TestConformance(FeedSuite):
    feed_name = "insights"

    def examples(self) -> Mapping[str, tuple[str, bytes]]:
        return {worlds.KIND: (worlds.TOPIC, worlds.INSIGHT)}

    def stream(self) -> Sequence[Published]:
        plain = [
            b'{"id":"i%d","content":"number 1","updatedAt":"2026-11-19T12:00:0%d.000Z"}' % (n, n) for n in range(9)
        ]
        return [(worlds.KIND, worlds.TOPIC, data) for data in (worlds.INSIGHT, *plain, b'{"league":"nba","n":1}')]

    def hub(self) -> MemoryHub:
        return worlds.new_hub()

    def endpoint(self) -> EndpointView:
        return worlds.endpoint()

    def trust(self, secrets: tuple[str, ...]) -> Trust:
        return worlds.trust(*secrets)

    def test_unknown_fields_survive(self) -> None:
        # As the suite's, but what this feed rewrites at publishing is in JavaScript's spelling here.
        marked = worlds.INSIGHT.rstrip()[:-1] + rb',"touchline_unknown_field":{"b":"left as it was \u00e9","a":2e0}}'
        record = self.hub().publish(worlds.KIND, worlds.TOPIC, marked)
        expected = '"touchline_unknown_field":{"b":"left as it was é","a":2}'.encode()
        messages = self._messages_of(record)
        assert messages
        assert all(expected in self.payload(message) for message in messages)


class TestEnvelopes(TestConformance):
    def endpoint(self) -> EndpointView:
        return worlds.endpoint(delivery="envelope", signature_version="2", content_type="json")

    def payload(self, message: bytes) -> bytes:
        return msgspec.json.decode(message)["Message"].encode()

    def signed_at(self, body: bytes) -> int:
        return body.rindex(b"1", 0, body.index(b'","Timestamp"'))


def test_the_example_is_not_as_javascript_prints_it() -> None:
    assert normalise(worlds.INSIGHT) != worlds.INSIGHT
