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
_LENGTH_WITH_MILLISECONDS: Final = len("2026-01-31T18:00:00.000Z")
_UNITS: Final[dict[int, int]] = {len("2026-01-31T18:00:00.Z") + digits: 10 ** (9 - digits) for digits in range(1, 10)}
"""What the last digit stands for in nanoseconds, by the length of a date-time in UTC with a fraction."""


def parse(text: str) -> int:
    """UTC nanoseconds of a date-time with a zone; digits beyond the ninth are cut, a leap second counts as the next.

    Raises:
        ValueError: the text is no RFC 3339 date-time, has no zone, or names a day that does not exist.
    """
    # Nearly every time is in UTC with a few digits, mostly three, and many fall into the same second.
    if len(text) == _LENGTH_WITH_MILLISECONDS and (fraction := _milliseconds(text[19:])) is not None:
        return _whole_second(text[:19]) + fraction
    unit = _UNITS.get(len(text))
    if unit and text[19] == "." and text[-1] == "Z" and (digits := text[20:-1]).isdecimal() and text.isascii():
        return _whole_second(text[:19]) + int(digits) * unit
    return _parse(text)


@lru_cache(maxsize=1024)
def _milliseconds(text: str) -> int | None:
    """What ``.123Z`` adds to a whole second, in nanoseconds; None: it is something else."""
    digits = text[1:4]
    return int(digits) * 1_000_000 if text == f".{digits}Z" and digits.isdecimal() and digits.isascii() else None


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
    if not rest:
        fraction = "000"
    elif rest % 1_000_000 == 0:
        fraction = f"{rest // 1_000_000:03d}"
    elif rest % 1_000 == 0:
        fraction = f"{rest // 1_000:06d}"
    else:
        fraction = f"{rest:09d}"
    return f"{_second_text(seconds)}.{fraction}Z"


@lru_cache(maxsize=4096)
def _second_text(seconds: int) -> str:
    """Many times that are written fall into the same second, too."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
