"""doctor: each judgement by itself, then the command against a hub that is well and one that is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from touchline.cli import doctor
from touchline.cli.doctor import FilesStatus, LogStatus, RequestStatus, Status

Command = Callable[..., Any]
URL = "https://hub.example"


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0, "ok"), (4.9, "ok"), (-4.9, "ok"), (6, "warn"), (-299, "warn"), (301, "fail"), (-9e5, "fail")],
)
def test_clock(seconds: float, status: str) -> None:
    check = doctor.judge_clock(10**18 + int(seconds * 1e9), 10**18)
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
    check = doctor.judge_host(Status(request=request), url)
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
    assert doctor.judge_files(FilesStatus(soft=soft, hard=10**6, used=used)).status == status


@pytest.mark.parametrize(("free", "status"), [(10**11, "ok"), (10**9, "warn"), (10**6, "fail"), (None, "ok")])
def test_disk(free: int | None, status: str) -> None:
    assert doctor.judge_disk(LogStatus(free_bytes=free)).status == status


@pytest.mark.parametrize(
    ("log", "status"),
    [
        (LogStatus(size_bytes=10**7, last_commit_seconds=0.01), "ok"),
        (LogStatus(), "ok"),
        (LogStatus(last_commit_seconds=2), "warn"),
        (LogStatus(waiting_events=10**6), "warn"),
        (LogStatus(wal_bytes=10**10), "warn"),
    ],
)
def test_log(log: LogStatus, status: str) -> None:
    assert doctor.judge_log(log).status == status


def test_the_hubs_own_warnings_are_passed_on() -> None:
    checks = doctor.judge(Status(warnings=("no TLS",)), URL, 0)
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
        "files": "warn",
        "clock": "ok",
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
    ("states", "status"), [({}, "ok"), ({"active": 3}, "ok"), ({"active": 3, "failing": 1}, "warn")]
)
def test_doctor_says_when_endpoints_fail(states: dict[str, int], status: str) -> None:
    check = doctor.judge_endpoints(states)
    assert check.status == status
    assert all(state in check.detail for state in states)
