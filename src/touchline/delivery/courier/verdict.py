"""What an answer means for the record that was sent. Pure."""

from __future__ import annotations

import enum
import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from touchline.delivery.courier.policy import Policy
from touchline.delivery.courier.transport import Reply, Trouble
from touchline.wire.http import first

MAX_WAIT_SECONDS: Final = 3600.0
"""A receiver may ask for a pause of so long; what is beyond is cut."""


class Verdict(enum.Enum):
    """DELIVERED: taken. WAIT: the endpoint asks for a pause. GONE: it is no more. FINAL: this record is refused for
    good. FAILED: try again. VOID: we broke it off ourselves."""

    DELIVERED = "delivered"
    WAIT = "wait"
    GONE = "gone"
    FINAL = "final"
    FAILED = "failed"
    VOID = "void"


class Judgement(msgspec.Struct, frozen=True):
    """A verdict with the pause that was asked for."""

    verdict: Verdict
    wait_seconds: float = 0.0


_DELIVERED: Final = Judgement(Verdict.DELIVERED)
_GONE: Final = Judgement(Verdict.GONE)
_FINAL: Final = Judgement(Verdict.FINAL)
_FAILED: Final = Judgement(Verdict.FAILED)
_VOID: Final = Judgement(Verdict.VOID)


def judge(reply: Reply, policy: Policy, wall_ns: int) -> Judgement:
    """What an answer means (the contract's table: every non-2xx, time-out or broken connection is tried again)."""
    status = reply.status
    if status is None:
        return _VOID if reply.trouble is Trouble.CANCELLED else _FAILED
    if 200 <= status < 300:
        return _DELIVERED
    if status == 410:
        return _GONE
    if status in (429, 503):
        seconds = retry_after(first(reply.headers, "retry-after"), wall_ns)
        if seconds is not None:
            return Judgement(Verdict.WAIT, seconds)
    return _FINAL if policy.is_final(status) else _FAILED


def retry_after(text: str | None, wall_ns: int) -> float | None:
    """Seconds that a Retry-After asks for (RFC 9110, 10.2.3: seconds or a date), at most an hour; None when it says
    nothing sensible, as a date that is past."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        # A pause of nothing is none: it would be asked again at once, for ever.
        return min(MAX_WAIT_SECONDS, float(text[:12])) or None
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:  # an HTTP date is GMT whatever it says
            date = date.replace(tzinfo=UTC)
        seconds = date.timestamp() - wall_ns / 1e9
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(MAX_WAIT_SECONDS, seconds) if seconds > 0 and math.isfinite(seconds) else None


def is_timeout(reply: Reply) -> bool:
    """Whether the endpoint let us wait for nothing."""
    return reply.trouble is Trouble.TIMEOUT or (reply.trouble is Trouble.CONNECT and reply.seconds >= 1.0)


def reason(reply: Reply) -> str:
    """An answer in a few words, without what it said."""
    if reply.status is not None:
        return f"answered {reply.status}"
    trouble = reply.trouble or Trouble.BROKEN
    return f"{trouble.value}: {reply.detail}"[:300] if reply.detail else trouble.value
