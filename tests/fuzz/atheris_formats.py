"""Coverage-guided fuzzing of the same parsers, by atheris; run by ``make fuzz`` alone (pytest does not collect it).

Arguments are libFuzzer's, such as ``-max_total_time=60``. The first byte chooses the parser, the rest is its input.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["touchline.wire", "touchline.feeds"]):
    from touchline.errors import RemoteProtocolError
    from touchline.feeds import registry
    from touchline.feeds.base import Instant, Trust
    from touchline.wire import cloudevents, gzip, javascript, position, rfc3339, standard_webhooks
    from touchline.wire.pusher import PusherClient, PusherServer

    FEEDS = registry.feeds()

_NOW = Instant(1_795_089_600_000_000_000, 1000.0)
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def _cloud_events(data: bytes) -> None:
    text = data.decode("utf-8", "replace").encode()
    cloudevents.decode(text)
    cloudevents.decode_batch(text)
    cloudevents.decode_lines(text)


def _javascript(data: bytes) -> None:
    printed = javascript.stringify(data)
    assert javascript.stringify(printed) == printed


def _texts(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ValueError):
        rfc3339.parse(text)
    with contextlib.suppress(RemoteProtocolError):
        position.decode(text)


def _gzip(data: bytes) -> None:
    assert len(gzip.inflate(data, 10_000)) <= 10_000


def _standard_webhooks(data: bytes) -> None:
    head, _, body = data.partition(b"\n")
    parts = [*head.decode("utf-8", "replace").split("|"), "", "", ""][:3]
    names = (standard_webhooks.ID, standard_webhooks.TIMESTAMP, standard_webhooks.SIGNATURE)
    standard_webhooks.verify(tuple(zip(names, parts, strict=True)), body, [_SECRET], 1_795_089_600.0)
    raise AssertionError("forged")


def _pusher(data: bytes) -> None:
    server, client = PusherServer("1.2", 0.0), PusherClient(0.0)
    for message in data.split(b"\n"):
        server.receive(message.decode("utf-8", "replace"), 1.0)
        with contextlib.suppress(RemoteProtocolError):
            client.receive(message.decode("utf-8", "replace"), 1.0)


def _receivers(data: bytes) -> None:
    for feed in FEEDS.values():
        if feed.webhook is not None:
            headers = (("content-type", "application/json"),)
            with contextlib.suppress(RemoteProtocolError):
                feed.webhook.receive(headers, data, Trust(), _NOW)


def _javascript_normalise(data: bytes) -> None:
    javascript.normalise(data)
    javascript.members(data)


_PARSERS: tuple[tuple[Callable[[bytes], None], type[Exception]], ...] = (
    (_cloud_events, RemoteProtocolError),
    (_javascript, ValueError),
    (_javascript_normalise, ValueError),
    (_texts, RemoteProtocolError),
    (_gzip, RemoteProtocolError),
    (_standard_webhooks, RemoteProtocolError),
    (_pusher, RemoteProtocolError),
    (_receivers, RemoteProtocolError),
)


def one_input(data: bytes) -> None:
    """One input of libFuzzer's."""
    if data:
        parser, declared = _PARSERS[data[0] % len(_PARSERS)]
        with contextlib.suppress(declared):
            parser(data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
