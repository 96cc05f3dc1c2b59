"""doctor: each judgement by itself, then the command against a hub that is well and one that is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from touchline.cli import doctor, findings
from touchline.cli.findings import (
    BackupStatus,
    FilesStatus,
    LagStatus,
    LogStatus,
    RequestStatus,
    SessionsStatus,
    Status,
)

Command = Callable[..., Any]
URL = "https://hub.example"


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0, "ok"), (4.9, "ok"), (-4.9, "ok"), (6, "warn"), (-299, "warn"), (301, "fail"), (-9e5, "fail")],
)
def test_clock(seconds: float, status: str) -> None:
    check = findings.judge_clock(10**18 + int(seconds * 1e9), 10**18)
    assert check.status == status
    assert ("behind" if seconds < 0 else "ahead") in check.detail or seconds == 0


@pytest.mark.parametrize(
    ("hosts", "forwarded", "url", "status"),
    [
        (["hub.example"], None, URL, "ok"),
        (["HUB.example:443"], None, URL, "ok"),
        (["hub.example:8443"], None, "https://hub.example:8443/", "ok"),
        (["127.0.0.1:8080"], None, URL, "fail"),
        (["hub.example"], None, "https://hub.example:8443", "fail"),
        (["127.0.0.1:8080"], "hub.example", URL, "fail"),
        (["127.0.0.1:8080", "hub.example"], "hub.example", URL, "ok"),
        (["127.0.0.1:8080", "other.example"], None, URL, "fail"),
        ([], None, URL, "ok"),
    ],
)
def test_host(hosts: list[str], forwarded: str | None, url: str, status: str) -> None:
    host = hosts[0] if hosts else None
    request = RequestStatus(host=host, hosts=tuple(hosts), address="10.0.0.7", forwarded_host=forwarded)
    check = findings.judge_host(Status(request=request), url)
    assert check.status == status
    if status == "fail":
        assert str(host) in check.detail
        assert ("10.0.0.7" in check.detail) == bool(forwarded)
        assert "proxy_set_header Host $http_host;" in check.advice
        assert "--base-url" in check.advice
        assert "--trusted-proxy" in check.advice


@pytest.mark.parametrize(
    ("soft", "used", "status"), [(65536, 10, "ok"), (1024, 10, "warn"), (65536, 65000, "fail"), (None, None, "ok")]
)
def test_files(soft: int | None, used: int | None, status: str) -> None:
    assert findings.judge_files(FilesStatus(soft=soft, hard=10**6, used=used)).status == status


@pytest.mark.parametrize(("free", "status"), [(10**11, "ok"), (10**9, "warn"), (10**6, "fail"), (None, "ok")])
def test_disk(free: int | None, status: str) -> None:
    assert findings.judge_disk(LogStatus(free_bytes=free)).status == status


@pytest.mark.parametrize(
    ("log", "status"),
    [
        (LogStatus(size_bytes=10**7, last_commit_seconds=0.01), "ok"),
        (LogStatus(), "ok"),
        (LogStatus(last_commit_seconds=2), "warn"),
        (LogStatus(waiting_events=10**6), "warn"),
    ],
)
def test_log(log: LogStatus, status: str) -> None:
    check = findings.judge_log(log)
    assert check.status == status
    assert bool(check.advice) == (status != "ok")


@pytest.mark.parametrize(("wal", "status"), [(None, "ok"), (64 * 2**20, "ok"), (10**9, "warn")])
def test_a_write_ahead_log_that_grows(wal: int | None, status: str) -> None:
    check = findings.judge_wal(LogStatus(wal_bytes=wal))
    assert (check.status, "backup" in check.advice) == (status, status == "warn")


@pytest.mark.parametrize(("lacking", "status"), [(0, "ok"), (3, "warn")])
def test_states_that_an_upgrade_left_incomplete(lacking: int, status: str) -> None:
    check = findings.judge_snapshots(lacking)
    assert check.status == status
    assert (str(lacking) in check.detail, "backup" in check.advice) == (bool(lacking), bool(lacking))
    assert check in findings.judge(Status(snapshots_lacking=lacking), URL, 0)


@pytest.mark.parametrize(("lag", "status"), [(None, "ok"), (0.02, "ok"), (0.4, "warn"), (7.0, "fail")])
def test_an_event_loop_that_lags(lag: float | None, status: str) -> None:
    check = findings.judge_loop(lag)
    assert (check.status, "CPU" in check.advice) == (status, status != "ok")


def test_endpoints_behind() -> None:
    late = LagStatus(behind=2, oldest_seconds=7300.0, records_max=40, records_sum=50)
    soon = LagStatus(behind=2, oldest_seconds=2.0, records_max=40, records_sum=50)
    assert findings.judge_lag({}).status == "ok"
    assert findings.judge_lag({"active": soon, "paused": late}).status == "ok"
    for state in ("active", "waiting", "failing"):
        check = findings.judge_lag({state: late, "paused": late})
        assert check.status == "warn"
        assert f"2 {state}: up to 40 records, the oldest 2 hours old" in check.detail
        assert "window=N" in check.advice


@pytest.mark.parametrize(("count", "status"), [(0, "ok"), (3, "warn")])
def test_dead_letters_that_wait(count: int, status: str) -> None:
    check = findings.judge_letters(count)
    assert (check.status, "--redrive" in check.advice) == (status, status == "warn")


@pytest.mark.parametrize(
    ("oldest", "kept", "size", "bound", "reaches", "status"),
    [
        (100.0, 1000.0, 10, 1000, 900.0, "ok"),
        (810.0, 1000.0, 10, 1000, 900.0, "warn"),
        (960.0, 1000.0, 10, 1000, 990.0, "fail"),
        (490.0, 1000.0, 950, 1000, 500.0, "fail"),  # what is kept is bounded by size before age
        (420.0, None, 950, 1000, 500.0, "warn"),
        (420.0, None, 100, 1000, 500.0, "ok"),
        (10**6, None, 100, None, 10**6, "ok"),
        (0.0, 1000.0, 950, 1000, 999.0, "ok"),
    ],
)
def test_retention_that_overtakes(
    oldest: float, kept: float | None, size: int, bound: int | None, reaches: float, status: str
) -> None:
    lags = {"failing": LagStatus(behind=1, oldest_seconds=oldest), "active": LagStatus()}
    about = Status(
        log=LogStatus(size_bytes=size),
        endpoints_lag=lags,
        oldest_record_seconds=reaches,
        retention_seconds=kept,
        retention_bytes=bound,
    )
    check = findings.judge_retention(about)
    assert (check.status, "--retention" in check.advice) == (status, status != "ok")


def test_backups() -> None:
    now = 10**18
    assert findings.judge_backup(Status().last_backup, now).status == "ok"
    assert findings.judge_backup(None, now).status == "warn"
    assert findings.judge_backup(BackupStatus(now - 86_400 * 10**9, 10**6), now).status == "ok"
    check = findings.judge_backup(BackupStatus(now - 30 * 86_400 * 10**9, 10**6), now)
    assert check.status == "warn"
    assert "30 days ago" in check.detail
    assert "touchline backup FILE" in check.advice


def test_the_hubs_own_warnings_are_passed_on() -> None:
    checks = findings.judge(Status(warnings=("no TLS",)), URL, 0)
    assert ("warn", "no TLS") in [(check.status, check.detail) for check in checks]


@pytest.mark.parametrize(("text", "status"), [("port = 8081\n", "ok"), ("port = \n", "fail"), ("prot = 1\n", "fail")])
def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, status: str) -> None:
    path = tmp_path / "touchline.toml"
    path.write_text(text)
    assert doctor.check_settings(path).status == status
    monkeypatch.chdir(tmp_path)
    assert doctor.check_settings(None).status == status
    assert doctor.check_settings(tmp_path / "absent.toml").status == "fail"


def test_a_hub_behind_a_proxy_that_rewrites_and_does_not_upgrade(
    hub: Any, touchline: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hub.status = {"request": {"host": "backend:80"}, "open_files": {"soft": 1024, "hard": 4096, "used": 9}}
    done = touchline("doctor", "--json")
    assert done.code == 1
    checks = {check["name"]: check for check in done.json["checks"]}
    found = {name: check["status"] for name, check in checks.items()}
    assert found == {
        "settings": "ok",
        "reach": "ok",
        "key": "ok",
        "log": "ok",
        "disk": "ok",
        "wal": "ok",
        "files": "warn",
        "clock": "ok",
        "loop": "ok",
        "behind": "ok",
        "letters": "ok",
        "publishers": "ok",
        "sessions": "ok",
        "retention": "ok",
        "snapshots": "ok",
        "backup": "ok",
        "host": "fail",
        "endpoints": "ok",
        "websocket": "fail",
    }
    assert done.json["ok"] is False
    assert "backend:80" in checks["host"]["detail"]
    assert "Upgrade $http_upgrade" in checks["websocket"]["advice"]
    done = touchline("doctor")
    assert done.code == 1
    assert "fail host" in done.out.replace("  ", " ")


def test_a_wrong_key_and_none(hub: Any, touchline: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    done = touchline("doctor", "--key", "wrong", "--json")
    assert (done.code, done.json["checks"][-1]["name"], done.json["checks"][-1]["status"]) == (1, "key", "fail")
    monkeypatch.delenv("TOUCHLINE_KEY")
    done = touchline("doctor", "--json")
    assert (done.code, done.json["checks"][-1]["status"]) == (1, "fail")


def test_nobody_there(touchline: Command) -> None:
    done = touchline("doctor", "--url", "http://127.0.0.1:1", "--json")
    assert done.code == 1
    assert done.json["checks"][-1]["name"] == "reach"


def test_an_upgrade_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connected(settings: object, ca_file: object) -> Any:
        return doctor.Notice("connected", "there")

    monkeypatch.setattr(doctor, "_first_notice", connected)
    assert doctor.check_upgrade(URL, "k", None).status == "ok"


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ({}, "ok"),
        ({"active": 3}, "ok"),
        ({"active": 3, "failing": 1}, "warn"),
        ({"disabled": 1}, "warn"),
        ({"active": 3, "paused": 1}, "warn"),
    ],
)
def test_doctor_says_when_endpoints_fail_or_stand(states: dict[str, int], status: str) -> None:
    check = findings.judge_endpoints(states)
    assert check.status == status
    assert all(state in check.detail for state in states)


def test_every_finding_says_what_to_do() -> None:
    """A hub in every trouble at once: each finding is named once, and has advice."""
    lag = LagStatus(behind=1, oldest_seconds=10**6, records_max=9, records_sum=9)
    status = Status(
        wall_ns=0,
        log=LogStatus(size_bytes=1, wal_bytes=10**10, free_bytes=1, last_commit_seconds=9.0, waiting_events=10**6),
        open_files=FilesStatus(soft=100, hard=100, used=99),
        endpoints={"failing": 1, "paused": 1},
        endpoints_lag={"failing": lag},
        request=RequestStatus(host="backend:80"),
        dead_letters=1,
        publishers_silent=("venue-12",),
        sessions_lag=SessionsStatus(1, 9, 99.0),
        snapshots_lacking=1,
        loop_lag_seconds=9.0,
        retention_seconds=10**6,
        last_backup=None,
    )
    checks = findings.judge(status, URL, 10**18)
    assert [check.name for check in checks if check.status == "ok"] == []
    assert len({check.name for check in checks}) == len(checks) == 15
    assert all(check.advice for check in checks)
