"""What no field is read from was not looked at, and was handed on though it was no UTF-8: by the receiver of insights
as ``payload``, by the Pusher client as an event's ``data``. And a command nested too deeply was no ValueError.
"""

from __future__ import annotations

import pytest

from touchline.errors import RemoteProtocolError
from touchline.feeds import registry
from touchline.feeds.base import Engine, Instant, Trust
from touchline.wire.pusher import frames

ENGINES = [
    feed.sandbox.engine
    for feed in registry.feeds().values()
    if feed.sandbox is not None and feed.sandbox.engine is not None
]
_NOW = Instant(1_795_089_600_000_000_000, 1000.0)


def test_an_insight() -> None:
    codec = registry.load("insights").webhook
    assert codec is not None
    trust = Trust(options={"hmac": "optional"})
    good = b'{"insight":{"id":"1"},"topic":"nba/scoring/en","other":"x"}'
    assert codec.receive((), good, trust, _NOW).payload == good  # type: ignore[union-attr]
    with pytest.raises(RemoteProtocolError):
        codec.receive((), good.replace(b'"x"', b'"\xff"'), trust, _NOW)


def test_a_pusher_frame() -> None:
    good = b'{"event":"e","data":{"a":"x"}}'
    assert frames.inner(frames.decode(good)) == b'{"a":"x"}'
    with pytest.raises(RemoteProtocolError):
        frames.decode(good.replace(b'"x"', b'"\xff"'))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_command_that_is_nested_too_deeply(engine: Engine) -> None:
    with pytest.raises(ValueError):
        engine.read(b'{"x":' + b"[" * 5000 + b"]" * 5000 + b',"command":"deposit"}')
