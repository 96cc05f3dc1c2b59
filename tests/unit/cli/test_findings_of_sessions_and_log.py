"""doctor: a log that cannot be written, and sessions that take nothing."""

from __future__ import annotations

import pytest

from touchline.cli import findings
from touchline.cli.findings import LogStatus, SessionsStatus, SlowSession, Status


@pytest.mark.parametrize(("trouble", "status"), [("", "ok"), ("FullError: database or disk is full", "fail")])
def test_a_log_that_cannot_be_written(trouble: str, status: str) -> None:
    check = findings.judge_log(LogStatus(size_bytes=1, trouble=trouble))
    assert check.status == status
    assert trouble in check.detail
    assert bool(check.advice) == (status != "ok")


def test_sessions_that_read_on_are_no_trouble() -> None:
    slow = SlowSession("hub", "acme", 10**6, 9.0)
    check = findings.judge_sessions(SessionsStatus(700, 10**6, 9.0, (slow,)))
    assert (check.status, check.advice) == ("ok", "")
    assert "700" in check.detail


def test_sessions_that_are_stuck_are_named() -> None:
    named = (
        SlowSession("hub", "acme", 900, 31.0),
        SlowSession("hub", "acme", 800, 31.0),
        SlowSession("shottracker", None, 700, 12.0),
        SlowSession("prophetx", "reads", 600, 2.0),
    )
    lag = SessionsStatus(4, 900, 31.0, named)
    check = findings.judge_sessions(lag)
    assert check.status == "warn"
    assert check.detail == (
        "a session has taken nothing for 31 seconds; the furthest is 900 records behind; "
        "stuck: acme (hub), an admin (shottracker)"
    )
    assert "stall_seconds" in check.advice
    assert check in findings.judge(Status(sessions_lag=lag), "http://hub.example", 0)
