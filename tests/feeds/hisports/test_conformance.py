"""HiSports passes the suite that every feed passes, whatever way its messages are signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from touchline.feeds.base import EndpointView, Trust
from touchline.testing.feed import FeedSuite, Published
from touchline.testing.memory import MemoryHub
from touchline.wire import standard_webhooks

from . import worlds


class HisportsSuite(FeedSuite):
    feed_name = "hisports"

    def examples(self) -> Mapping[str, tuple[str, bytes]]:
        game, sheet = worlds.game(), worlds.sheet()
        return {
            worlds.CREATE: (worlds.GAME, worlds.data(game=game)),
            worlds.UPDATE: (worlds.GAME, worlds.data(game=game)),
            worlds.SHEET: (worlds.GAME, worlds.data(game=game, scoresheet=sheet)),
        }

    def stream(self) -> Sequence[Published]:
        return worlds.growing()

    def hub(self) -> MemoryHub:
        return worlds.new_hub()

    def endpoint(self) -> EndpointView:
        return worlds.endpoint(signature="hmac", trace="on")


class TestConformance(HisportsSuite):
    """Signed by HMAC."""


class TestConformanceUnsigned(HisportsSuite):
    """As the provider documents it: nothing vouches for a message."""

    signed = False

    def endpoint(self) -> EndpointView:
        return worlds.endpoint()

    def trust(self, secrets: tuple[str, ...]) -> Trust:
        return Trust()


class TestConformanceStandard(HisportsSuite):
    """Signed by Standard Webhooks."""

    def endpoint(self) -> EndpointView:
        return worlds.endpoint(signature="standard")


KEY_PAIR = standard_webhooks.new_secret("ed25519", lambda count: bytes(range(count)))


class TestConformanceEd25519(HisportsSuite):
    """Signed by Standard Webhooks with a key pair."""

    def endpoint(self) -> EndpointView:
        return worlds.endpoint(signature="ed25519", secrets=(KEY_PAIR,))

    def trust(self, secrets: tuple[str, ...]) -> Trust:
        return Trust(tuple(standard_webhooks.shown(secret) for secret in secrets))
