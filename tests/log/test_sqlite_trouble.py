"""When the log is said to refuse what it is to store: from the first refusal until as much fits, or a quiet time."""

from __future__ import annotations

import logging

import pytest

from touchline.log.sqlite.trouble import QUIET_SECONDS, Trouble
from touchline.testing.clock import FakeClock

FULL = OSError("no space left")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def trouble(clock: FakeClock) -> Trouble:
    return Trouble(clock)


def test_as_much_as_was_refused_ends_it_and_less_does_not(trouble: Trouble) -> None:
    trouble.refused(FULL, 100)
    assert trouble.text == "OSError: no space left"
    trouble.stored(99)
    assert trouble.text
    trouble.stored(100)
    assert not trouble.text


def test_the_most_that_was_refused_counts_not_the_newest(trouble: Trouble) -> None:
    trouble.refused(FULL, 100)
    trouble.refused(FULL, 10)
    trouble.stored(10)
    assert trouble.text
    trouble.stored(100)
    assert not trouble.text


def test_the_quiet_time_begins_with_the_last_refusal_and_ends_with_something_stored(
    trouble: Trouble, clock: FakeClock
) -> None:
    trouble.refused(FULL, 100)
    clock.advance(QUIET_SECONDS - 1)
    trouble.refused(FULL, 10)
    clock.advance(QUIET_SECONDS - 1)
    trouble.stored(1)
    assert trouble.text
    clock.advance(1)
    assert trouble.text, "nobody knows yet"
    trouble.stored(1)
    assert not trouble.text


def test_each_trouble_is_measured_anew_and_told_once(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        trouble.stored(5)
        for size in (100, 1):
            trouble.refused(FULL, size)
            trouble.refused(FULL, size)
            trouble.stored(size)
            assert not trouble.text
            trouble.stored(size)
    assert [entry.message for entry in caplog.records] == [
        "the log cannot be written", "the log can be written again",
    ] * 2  # fmt: skip
