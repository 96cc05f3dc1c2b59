"""Coverage-guided fuzzing of the same parsers, by atheris; run by ``make fuzz`` alone (pytest does not collect it).

Arguments are libFuzzer's, such as ``-max_total_time=60``. The first byte chooses the parser, the rest is its input. It
begins with what the parsers take: the payloads of the tests and a few words of each format.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris
import msgspec

with atheris.instrument_imports(include=["touchline.wire", "touchline.feeds"]):
    from touchline.errors import RemoteProtocolError
    from touchline.feeds import registry
    from touchline.feeds.base import Instant, Trust
    from touchline.feeds.intake import Intake
    from touchline.wire import cloudevents, gzip, javascript, position, rfc3339, sns, standard_webhooks
    from touchline.wire.pusher import PusherClient, PusherServer

    FEEDS = registry.feeds()

PAYLOADS = Path(__file__).parent.parent / "feeds"
INTAKE = Intake(FEEDS)
CERTIFICATE = sns.certificate(sns.make_signing("fuzz"))

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


def _intake(data: bytes) -> None:
    envelope = cloudevents.decode(data.decode("utf-8", "replace").encode())
    if not isinstance(envelope, list):
        INTAKE.event(envelope, _NOW.wall_ns, from_within=True)


def _sns(data: bytes) -> None:
    with contextlib.suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
        envelope = msgspec.json.decode(data, type=sns.Envelope)
        sns.verify(envelope, CERTIFICATE)
        raise AssertionError("forged")


_PARSERS: tuple[tuple[Callable[[bytes], None], type[Exception]], ...] = (
    (_cloud_events, RemoteProtocolError),
    (_javascript, ValueError),
    (_javascript_normalise, ValueError),
    (_texts, RemoteProtocolError),
    (_gzip, RemoteProtocolError),
    (_standard_webhooks, RemoteProtocolError),
    (_pusher, RemoteProtocolError),
    (_receivers, RemoteProtocolError),
    (_intake, RemoteProtocolError),
    (_sns, ValueError),
)


def _begin_with(parser: Callable[[bytes], None]) -> Iterator[bytes]:
    """What a parser takes."""
    payloads = [path.read_bytes() for path in sorted(PAYLOADS.glob("*/payloads/*.json"))]
    event = {"specversion": "1.0", "id": "1", "source": "/v", "subject": "s", "time": "2026-11-19T12:00:00Z"}
    events = [
        json.dumps(event | {"type": kind.name, "data": json.loads(payload)}).encode()
        for feed in FEEDS.values()
        for kind in feed.types
        for payload in payloads
        if feed.name in str(kind.name) and len(payload) < 2000
    ]
    if parser in (_cloud_events, _intake):
        yield from events
        yield b"[" + b",".join(events[:3]) + b"]"
        yield b"\n".join(events[:3])
    elif parser is _texts:
        yield from (b"2026-11-19T12:00:00.123+01:00", b"3d88c1a3f6e031d8-i", b"1985-04-12T23:20:50.52Z")
    elif parser is _gzip:
        yield from (gzip.deflate(payload) for payload in payloads)
    elif parser is _standard_webhooks:
        yield b"msg_1|1795089600|v1," + base64.b64encode(bytes(32)) + b" v1a,AAAA\n" + events[0]
    elif parser is _pusher:
        yield b"\n".join(
            json.dumps(one).encode()
            for one in (
                {"event": "pusher:connection_established", "data": json.dumps({"socket_id": "1.2"})},
                {"event": "pusher:subscribe", "data": {"channel": "private-x", "auth": "key:00"}},
                {"event": "pusher_internal:subscription_succeeded", "channel": "private-x", "data": "{}"},
                {"event": "e", "channel": "private-x", "data": json.dumps({"payload": "e30="})},
                {"event": "pusher:error", "data": {"code": 4001, "message": "no"}},
                {"event": "pusher:ping", "data": {}},
            )
        )
    elif parser is _receivers:
        yield from events
        yield from payloads
        yield from (gzip.deflate(payload) for payload in payloads)
        yield from (
            json.dumps({"timestamp": 1, "signature": "00", "insight": json.loads(one)}).encode() for one in payloads
        )
    else:
        yield from payloads


def one_input(data: bytes) -> None:
    """One input of libFuzzer's."""
    if data:
        parser, declared = _PARSERS[data[0] % len(_PARSERS)]
        with contextlib.suppress(declared):
            parser(data[1:])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as begin:
        for number, (first_parser, _) in enumerate(_PARSERS):
            for count, content in enumerate(_begin_with(first_parser)):
                Path(begin, f"{number}-{count}").write_bytes(bytes([number]) + content)
        atheris.Setup([*sys.argv, begin], one_input)
        atheris.Fuzz()
