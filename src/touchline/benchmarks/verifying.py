"""Verifying and decoding a webhook in the SDK, against hmac and msgspec alone.

What a consumer does for every message, in both arms: raw bytes in, a verified message as Python values out. Ours is the
feed's ``receive``, then the event's data decoded; the bare arm computes the signature (``hmac.digest``, which sets its
key up each time, as code by hand does), compares it in constant time and decodes the same values once. It does not look
at headers' number, ids, ages, shapes, UTF-8 inside skipped fields, or several signatures and keys (rotation): that is
what the ratio buys. The bare arm does less than a receiver should; nothing more is to be
taken from it.
"""

from __future__ import annotations

import base64
import gzip
import hmac
import statistics
import time
from collections.abc import Callable
from typing import Final

import msgspec

from touchline.benchmarks.events import FEED, data
from touchline.benchmarks.rows import Row, interval, ratios
from touchline.benchmarks.size import Size
from touchline.errors import UpstreamError
from touchline.feeds import registry
from touchline.feeds.base import EndpointView, Hosting, Instant, Received, Trust
from touchline.model import Event, Record
from touchline.wire.http import Pairs, first

TARGET: Final = 1.3
KEY: Final = b"0123456789abcdef0123456789abcdef"
SECRET: Final = "whsec_" + base64.b64encode(KEY).decode()
_NOW: Final = Instant(1_800_000_000 * 10**9, 1000.0)
_HOSTING: Final = Hosting("http://localhost:8080", "", "bench")
_CALLS: Final = 20
_TURNS: Final = 25

Verified = bytes | msgspec.Raw | None
"""The JSON text that a consumer wants of a message; None of one that is not to be believed."""
Verify = Callable[[Pairs, bytes], Verified]


class Case(msgspec.Struct, frozen=True):
    """A message of a feed: an event of ``kind`` with ``payload``, sent to an endpoint with ``options``; ``verify`` is
    the bare arm. ``max_age_seconds`` is what the consumer allows where the feed dates its messages.
    """

    feed: str
    kind: str
    payload: Callable[[], bytes]
    verify: Verify
    subject: str = "1"
    source: str | None = None
    options: dict[str, str] = {}
    max_age_seconds: float | None = None


def standard(headers: Pairs, body: bytes) -> Verified:
    """The bare arm for the hub's own feed (Standard Webhooks)."""
    signed = f"{first(headers, 'webhook-id')}.{first(headers, 'webhook-timestamp')}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(KEY, signed, "sha256")).decode()
    return body if hmac.compare_digest(expected, first(headers, "webhook-signature") or "") else None


SHOT: Final = Case("hub", f"{FEED}.shot", lambda: data(1).encode(), standard, source=FEED, max_age_seconds=300.0)


def verify(size: Size) -> Row:
    """A message of the hub's own feed."""
    return measured("hub, a shot", SHOT, _TURNS, size.verify_seconds)


def measured(name: str, case: Case, turns: int, seconds: float) -> Row:
    """Both arms in short turns of so many seconds, interleaved."""
    headers, body = _message(case)
    codec = registry.feeds()[case.feed].webhook
    assert codec is not None
    trust = Trust((SECRET,), case.max_age_seconds)

    def ours() -> object:
        received = codec.receive(headers, body, trust, _NOW)
        assert isinstance(received, Received)
        return msgspec.json.decode(received.events[0].data)

    def bare() -> object:
        text = case.verify(headers, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        if text is None:
            raise UpstreamError(f"{name}: the bare arm does not believe the message")
        return msgspec.json.decode(text)

    mine, theirs = [], []
    for _ in range(turns):
        mine.append(_micros(ours, seconds))
        theirs.append(_micros(bare, seconds))
    ratio = ratios(mine, theirs)
    return Row(
        work=f"verify + decode in the SDK: {name}, {len(body):,} B",
        figure=f"{1e6 / statistics.median(mine):,.0f} messages/s",
        cpu=interval(mine, 2, "µs"),
        baseline=f"hmac + msgspec alone: {interval(theirs, 2, 'µs')}",
        ratio=interval(ratio),
        target=f"≤ {TARGET}",
        met=statistics.median(ratio) <= TARGET,
    )


def _message(case: Case) -> tuple[Pairs, bytes]:
    """A message as the hub sends it."""
    codec = registry.feeds()[case.feed].webhook
    assert codec is not None
    source, now = case.source or case.feed, _NOW.wall_ns
    event = Event(source, case.kind, case.subject, "/bench", "bench-1", case.payload(), now, now)
    endpoint = EndpointView("ep1", "bench", (SECRET,), ("*",), "bench", case.options)
    prepared = codec.prepare(Record(7, 7, now, event), codec.variant(endpoint))
    assert prepared is not None
    outgoing = codec.finish(prepared, endpoint, "msg_1", _NOW, _HOSTING)
    return tuple((header.lower(), value) for header, value in outgoing.headers), outgoing.body


def _micros(arm: Callable[[], object], seconds: float) -> float:
    """CPU microseconds a call, over about so many seconds."""
    count = 0
    started = time.thread_time()
    while (spent := time.thread_time() - started) < seconds:
        for _ in range(_CALLS):
            arm()
        count += _CALLS
    return spent / count * 1e6
