"""Verifying and decoding a webhook in the SDK, against hmac and msgspec alone.

What a consumer does for every message, in both arms: raw bytes in, a verified message as Python values out. Ours is the
feed's ``receive``, then the event's data decoded; the bare arm computes the signature (``hmac.digest``, which sets its
key up each time, as code by hand does), compares it in constant time and decodes the same values once. It does not look
at headers' number, ids, ages, shapes, UTF-8 inside skipped fields, or several signatures and keys (rotation): that is
what the ratio buys. So it is less than a receiver should do, and not to be made less: an insight, which has its
signature beside it, is cut out to be verified and decoded alone, and what is gzipped is inflated as ``gzip`` does it.
"""

from __future__ import annotations

import base64
import gzip
import hmac
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from touchline.benchmarks.events import FEED, data
from touchline.benchmarks.rows import Row, interval, ratios
from touchline.feeds import registry
from touchline.feeds.base import EndpointView, Hosting, Instant, Received, Trust
from touchline.feeds.insights.topics import ARNS
from touchline.model import Event, Record
from touchline.wire import javascript
from touchline.wire.http import Pairs, first

PAYLOADS = Path(__file__).parents[1] / "tests" / "feeds"
TARGET = 1.3
KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
_NOW = Instant(1_800_000_000 * 10**9, 1000.0)
_HOSTING = Hosting("http://localhost:8080", "", "bench")

Arm = Callable[[], object]
Verified = bytes | msgspec.Raw | None
"""The JSON text that a consumer wants of a message; None of one that is not to be believed."""
Verify = Callable[[Pairs, bytes], Verified]


def _standard(headers: Pairs, body: bytes) -> Verified:
    signed = f"{first(headers, 'webhook-id')}.{first(headers, 'webhook-timestamp')}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(KEY, signed, "sha256")).decode()
    return body if hmac.compare_digest(expected, first(headers, "webhook-signature") or "") else None


def _hisports(headers: Pairs, body: bytes) -> Verified:
    expected = "sha256=" + hmac.digest(SECRET.encode(), body, "sha256").hex()
    return body if hmac.compare_digest(expected, first(headers, "x-hisports-signature") or "") else None


def _insights(headers: Pairs, body: bytes) -> Verified:
    """Over ``<timestamp>.<insight>``, which are cut from the body as they stand."""
    del headers
    fields = msgspec.json.decode(body, type=_Insight)
    signed = f"{fields.timestamp}.".encode() + bytes(fields.insight)
    expected = hmac.digest(SECRET.encode(), signed, "sha256").hex()
    return fields.insight if hmac.compare_digest(expected, fields.signature) else None


def _roanuz(headers: Pairs, body: bytes) -> Verified:
    return body if hmac.compare_digest(SECRET, first(headers, "rs-api-key") or "") else None


class _Insight(msgspec.Struct):
    insight: msgspec.Raw
    signature: str
    timestamp: int | str = ""


CASES: dict[str, tuple[str, str, dict[str, str], Verify, Callable[[], bytes]]] = {
    "hub, a shot": ("hub", f"{FEED}.shot", {}, _standard, lambda: data(1).encode()),
    "hisports, a scoresheet": (
        "hisports", "hisports.scoresheet.update", {"signature": "hmac"}, _hisports,
        lambda: b'{"scoresheet":%b}' % (PAYLOADS / "hisports/payloads/scoresheet.json").read_bytes(),
    ),
    "insights, an insight": (
        "insights", "insights.insight", {}, _insights,
        lambda: javascript.stringify((PAYLOADS / "insights/payloads/synthetic_insight.json").read_bytes()),
    ),
    "roanuz, a ball (a key in place of a signature)": (
        "roanuz", "roanuz.ball", {"webhook_key": SECRET}, _roanuz,
        lambda: b'{"notification":%b}' % (PAYLOADS / "roanuz/payloads/ball_new.json").read_bytes(),
    ),
}  # fmt: skip


def run(directory: Path, small: bool) -> list[Row]:
    """Each feed's message; arms interleaved in short turns."""
    del directory
    return [_case(name, 3 if small else 25, 0.002 if small else 0.04) for name in CASES]


def _message(name: str) -> tuple[str, Pairs, bytes, Verify]:
    """A message as the hub sends it."""
    feed, kind, options, verify, payload = CASES[name]
    codec = registry.feeds()[feed].webhook
    assert codec is not None
    subject = {"insights": next(iter(ARNS)), "roanuz": "a-rz--cricket--1"}.get(feed, "1")
    event = Event(
        feed if feed != "hub" else FEED, kind, subject, "/bench", "bench-1", payload(), _NOW.wall_ns, _NOW.wall_ns
    )
    record = Record(7, 7, _NOW.wall_ns, event)
    endpoint = EndpointView("ep1", "bench", (SECRET,), ("*",), "bench", options)
    prepared = codec.prepare(record, codec.variant(endpoint))
    assert prepared is not None
    outgoing = codec.finish(prepared, endpoint, "msg_1", _NOW, _HOSTING)
    return feed, tuple((header.lower(), value) for header, value in outgoing.headers), outgoing.body, verify


def _case(name: str, turns: int, seconds: float) -> Row:
    feed, headers, body, verify = _message(name)
    codec = registry.feeds()[feed].webhook
    assert codec is not None
    trust = Trust((SECRET,), 300.0 if feed == "hub" else None)

    def ours() -> object:
        received = codec.receive(headers, body, trust, _NOW)
        assert isinstance(received, Received)
        return msgspec.json.decode(received.events[0].data)

    def bare() -> object:
        text = verify(headers, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        if text is None:
            raise SystemExit(f"{name}: the bare arm does not believe the message")
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


def _micros(arm: Arm, seconds: float) -> float:
    """CPU microseconds a call, over about so many seconds."""
    count = 0
    started = time.thread_time()
    while (spent := time.thread_time() - started) < seconds:
        for _ in range(20):
            arm()
        count += 20
    return spent / count * 1e6
