"""Verifying and decoding a webhook of every feed in the SDK, against hmac and msgspec alone.

How both arms are measured stands in ``touchline.benchmarks.verifying``; here are the messages whose payloads lie in the
repository. An insight, which has its signature beside it, is cut out to be verified and decoded alone, and what is
gzipped is inflated as ``gzip`` does it.
"""

from __future__ import annotations

import hmac
from pathlib import Path

import msgspec

from touchline.benchmarks.rows import Row
from touchline.benchmarks.verifying import SECRET, SHOT, Case, Verified, measured
from touchline.feeds.insights.topics import ARNS
from touchline.wire import javascript
from touchline.wire.http import Pairs, first

PAYLOADS = Path(__file__).parents[1] / "tests" / "feeds"


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


CASES = {
    "hub, a shot": SHOT,
    "hisports, a scoresheet": Case(
        "hisports", "hisports.scoresheet.update",
        lambda: b'{"scoresheet":%b}' % (PAYLOADS / "hisports/payloads/scoresheet.json").read_bytes(),
        _hisports, options={"signature": "hmac"},
    ),
    "insights, an insight": Case(
        "insights", "insights.insight",
        lambda: javascript.stringify((PAYLOADS / "insights/payloads/synthetic_insight.json").read_bytes()),
        _insights, subject=next(iter(ARNS)),
    ),
    "roanuz, a ball (a key in place of a signature)": Case(
        "roanuz", "roanuz.ball",
        lambda: b'{"notification":%b}' % (PAYLOADS / "roanuz/payloads/ball_new.json").read_bytes(),
        _roanuz, subject="a-rz--cricket--1", options={"webhook_key": SECRET},
    ),
}  # fmt: skip


def run(directory: Path, small: bool) -> list[Row]:
    """Each feed's message; arms interleaved in short turns."""
    del directory
    return [measured(name, case, 3 if small else 25, 0.002 if small else 0.04) for name, case in CASES.items()]
