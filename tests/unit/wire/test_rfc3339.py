"""RFC 3339 to nanoseconds and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.wire import rfc3339

SECOND = 1_000_000_000
# 1000-01-01 to 9999-12-31; the year of an earlier one would not be written with four digits everywhere.
moments = st.integers(-30_610_224_000 * SECOND, 253_402_300_799 * SECOND)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01z", SECOND),
        ("1970-01-01 00:00:01Z", SECOND),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:00.1234567899Z", 123_456_789),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.5-00:00", -SECOND // 2),
        ("1969-12-31T16:00:00-08:00", 0),
        ("2026-01-31T18:00:00.000Z", 1_769_882_400 * SECOND),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * SECOND),
        ("2024-02-29T00:00:00Z", 1_709_164_800 * SECOND),
    ],
)
def test_parse(text: str, nanoseconds: int) -> None:
    assert rfc3339.parse(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-31",
        "2026-01-31T18:00:00",
        "2026-01-31T18:00Z",
        "2026-02-30T18:00:00Z",
        "2025-02-29T18:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T18:61:00Z",
        "2026-01-31T18:00:00.Z",
        "2026-01-31T18:00:00+24:00",
        "2026-01-31T18:00:00+01:60",
        "2026-01-31T18:00:00+0100",
        "2026-01-31T18:00:00Z\n",
        "2026-01-31T18:00:00Z ",
        "٢٠٢٦-01-31T18:00:00Z",
        "0000-01-31T18:00:00Z",
        "2026-01-31T18:00:00." + "1" * 19 + "Z",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        rfc3339.parse(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_000, "1970-01-01T00:00:00.000001Z"),
        (1_500_000_000, "1970-01-01T00:00:01.500Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_encode(nanoseconds: int, text: str) -> None:
    assert rfc3339.encode(nanoseconds) == text


@given(moments)
def test_there_and_back(nanoseconds: int) -> None:
    assert rfc3339.parse(rfc3339.encode(nanoseconds)) == nanoseconds


@given(moments, st.integers(-23 * 60, 23 * 60))
def test_it_agrees_with_the_standard_library(nanoseconds: int, minutes: int) -> None:
    seconds = nanoseconds // SECOND
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    try:
        text = moment.astimezone(timezone(timedelta(minutes=minutes))).isoformat()
    except OverflowError:
        return
    assert rfc3339.parse(text) == seconds * SECOND


@given(
    st.from_regex(
        r"20[0-9]{2}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{1,10}[Zz]", fullmatch=True
    )
)
def test_the_quick_way_agrees_with_the_careful_one(text: str) -> None:
    _agree(text)


@pytest.mark.parametrize(
    "fraction",
    [
        "",
        "5",
        "000000001",
        "0000000019",
        "1_0",
        "+1",
        " 1",
        "1 ",
        "\u0663",
        "\u00b2",
        "1Z",
        "1Z1",
        "\u0663" * 3,
        "\u00b2" * 3,
        "+12",
    ],
)
def test_the_quick_way_takes_digits_alone(fraction: str) -> None:
    _agree(f"2026-01-31T18:00:00.{fraction}Z")


def _agree(text: str) -> None:
    try:
        careful = rfc3339._parse(text)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            rfc3339.parse(text)
    else:
        assert rfc3339.parse(text) == careful


@given(st.text(alphabet="0123456789-:TtZz+. ", max_size=40))
def test_anything_else_is_a_value_error(text: str) -> None:
    try:
        rfc3339.parse(text)
    except ValueError:
        return
    assert text[-1] in "Zz0123456789"
