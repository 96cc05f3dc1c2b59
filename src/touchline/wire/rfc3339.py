"""RFC 3339 date-times to and from UTC nanoseconds, exact to the nanosecond (``datetime`` stops at microseconds)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_PATTERN: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,18}))?(?:([Zz])|([+-])(\d\d):(\d\d))\Z", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


def parse(text: str) -> int:
    """UTC nanoseconds of a date-time with a zone; digits beyond the ninth are cut, a leap second counts as the next.

    Raises:
        ValueError: the text is no RFC 3339 date-time, has no zone, or names a day that does not exist.
    """
    # Nearly every time is in UTC with a few digits, and many fall into the same second.
    if text[-1:] == "Z" and text[19:20] == "." and 21 < len(text) < 31 and text.isascii():
        fraction = text[20:-1]
        if fraction.isdecimal():
            return _whole_second(text[:19]) + int(fraction.ljust(9, "0"))
    return _parse(text)


@lru_cache(maxsize=4096)
def _whole_second(text: str) -> int:
    return _parse(text + "Z")


def _parse(text: str) -> int:
    match = _PATTERN.match(text)
    if match is None:
        raise ValueError("not an RFC 3339 date-time with a zone, such as 2026-01-31T18:00:00.000Z")
    date, clock, fraction, _, sign, hours, minutes = match.groups()
    leap = clock.endswith(":60")
    moment = datetime.fromisoformat(f"{date}T{clock[:-2] + '59' if leap else clock}+00:00")
    seconds = (moment - _EPOCH) // _SECOND + leap
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError("the zone offset is out of range")
        shift = int(hours) * 3600 + int(minutes) * 60
        seconds += shift if sign == "-" else -shift
    nanoseconds = int((fraction or "0")[:9].ljust(9, "0"))
    return seconds * 1_000_000_000 + nanoseconds


def encode(nanoseconds: int) -> str:
    """RFC 3339 in UTC, with as many groups of three fraction digits as the value needs (at least three)."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    fraction = f"{rest:09d}"
    while len(fraction) > 3 and fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{_second_text(seconds)}.{fraction}Z"


@lru_cache(maxsize=4096)
def _second_text(seconds: int) -> str:
    """Many times that are written fall into the same second, too."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
