"""What an operator asks of a hub in trouble: its metrics and its status say it, and doctor concludes from them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from receivers import Receiver
from touchline.cli import findings
from touchline.cli.root import run

from .hubs import Hub, cloud_event
from .webhook_worlds import changes, wait_for

MakeHub = Callable[..., Hub]
TIMED = ("log", "loop")
"""Findings that warn of a quarter of a second of the loop's, or a second of a commit's: a busy machine takes that."""


def metrics(hub: Hub) -> dict[tuple[str, tuple[str, ...]], float]:
    """Sample and label values → value."""
    text = hub.get("/metrics").body.decode()
    return {
        (sample.name.removeprefix("touchline_"), tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def doctor(hub: Hub, capsysbinary: pytest.CaptureFixture[bytes]) -> dict[str, tuple[str, str]]:
    """Finding → status and detail."""
    run(["doctor", "--url", hub.url, "--key", hub.admin_key, "--json"])
    out = capsysbinary.readouterr().out
    return {check["name"]: (check["status"], check["detail"]) for check in json.loads(out)["checks"]}


def test_the_status_has_all_that_doctor_reads(make_hub: MakeHub) -> None:
    document = make_hub().admin("GET", "/hub/v1/status").json
    assert set(findings.Status.__struct_fields__) <= document.keys()
    for name, kind in (("log", findings.LogStatus), ("open_files", findings.FilesStatus)):
        assert set(kind.__struct_fields__) <= document[name].keys()
    assert set(findings.SessionsStatus.__struct_fields__) <= document["sessions_lag"].keys()
    for lag in document["endpoints_lag"].values():
        assert set(findings.LagStatus.__struct_fields__) <= lag.keys()
    status = msgspec.convert(document, findings.Status)
    assert status.last_backup is None
    assert status.retention_seconds == 72 * 3600
    assert status.loop_lag_seconds is not None


def test_a_hub_that_is_well(make_hub: MakeHub, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    hub = make_hub()
    hub.publish_all([cloud_event()])
    found = doctor(hub, capsysbinary)
    assert {name: one for name, one in found.items() if one[0] != "ok"}.keys() <= {"backup", "disk", "files", *TIMED}
    assert "fail" not in [found[name][0] for name in TIMED]
    assert found["backup"] == ("warn", "no backup was ever taken")
    assert hub.get("/hub/v1/backup", hub.admin_key).status == 200
    wait_for(lambda: doctor(hub, capsysbinary)["backup"][0] == "ok", "the backup is known")
    seen = metrics(hub)
    assert seen["log_commit_duration_seconds_count", ()] >= 1
    assert seen["log_commit_duration_seconds_bucket", ("+Inf",)] == seen["log_commit_duration_seconds_count", ()]
    bounds = [value for (name, _), value in seen.items() if name == "log_commit_duration_seconds_bucket"]
    assert bounds == sorted(bounds)
    assert 0 <= seen["log_oldest_record_age_seconds", ()] < 60
    assert seen["retention_seconds", ()] == 72 * 3600


def test_endpoints_that_are_paused_or_fail(make_hub: MakeHub, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    hub = make_hub(allow_network=["127.0.0.0/8"])
    hub.partner("acme")
    with Receiver() as receiver:
        urls = {"good": receiver.url("ok"), "bad": receiver.url("status/500"), "held": receiver.url("ok")}
        made = {}
        for name, url in urls.items():
            body = {"partner": "acme", "url": url, "feed": "hub", "topics": ["roanuz.*"], "label": name, "options": {}}
            made[name] = hub.admin("POST", "/hub/v1/endpoints", body).json["endpoint"]
        hub.admin("POST", f"/hub/v1/endpoints/{made['held']}/pause")
        hub.publish_all([cloud_event("roanuz.note", f"m-{number % 8}", {"n": number}) for number in range(24)])

        def state(name: str) -> Any:
            return hub.admin("GET", f"/hub/v1/endpoints/{made[name]}").json["state"]

        wait_for(lambda: state("bad") == "failing", "the breaker to open")
        wait_for(lambda: len(changes(hub, made["bad"])) == 1, "that to be told")  # the good one looks at it too
        wait_for(lambda: metrics(hub)["endpoints_behind", ("active",)] == 0, "the good one to have everything")
    seen = metrics(hub)
    counts = {state: seen["endpoints", (state,)] for state in ("active", "failing", "paused", "disabled")}
    assert counts == {"active": 1, "failing": 1, "paused": 1, "disabled": 0}
    # The hub's own words about its endpoints are records too: a native endpoint looks at them.
    assert 24 <= seen["endpoints_records_behind_most", ("paused",)] <= 27
    assert 24 <= seen["endpoints_records_behind", ("failing",)] <= 27
    assert seen["endpoints_oldest_undelivered_seconds", ("active",)] == 0
    assert 0 < seen["endpoints_oldest_undelivered_seconds", ("failing",)] < 60
    found = doctor(hub, capsysbinary)
    assert found["endpoints"] == ("warn", "1 active, 1 failing, 1 paused")
    assert found["behind"][0] == "ok", "not yet a minute"
    assert found["letters"][0] == "ok"


def test_an_event_loop_that_is_held_up(make_hub: MakeHub, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    hub = make_hub()
    assert doctor(hub, capsysbinary)["loop"][0] in ("ok", "warn")
    hub.on_loop(lambda: time.sleep(0.8))
    wait_for(lambda: metrics(hub)["loop_lag_worst_seconds", ()] >= 0.6, "the lag to be noticed")
    seen = metrics(hub)
    slow = seen["loop_lag_seconds_bucket", ("+Inf",)] - seen["loop_lag_seconds_bucket", ("0.5",)]
    assert slow >= 1
    assert doctor(hub, capsysbinary)["loop"][0] == "warn"


def test_sessions_that_do_not_read(make_hub: MakeHub) -> None:
    hub = make_hub(session_backlog_bytes=65536)
    with hub.connect(receive_buffer=8192) as plain:
        plain.sendall(
            f"GET /hub/v1/stream HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.admin_key}\r\n\r\n".encode()
        )
        hub.until(lambda: len(hub.running.hub.fanout.readers) == 1, "the session")

        def is_slow() -> bool:
            pad = "x" * 20_000
            hub.publish_all([cloud_event("hisports.unknown", "g", {"pad": pad}) for _ in range(50)])
            for number in range(3):
                data = {"players": [], "n": number}
                hub.publish_all([cloud_event("shottracker.clock", "g", {"type": "x", "data": data}, lane="state")])
            seen = metrics(hub)
            return seen["fanout_behind", ()] == 1 and seen["fanout_blocked_seconds_most", ()] > 0

        wait_for(is_slow, "the session to be slow")
        wait_for(lambda: is_slow() and metrics(hub)["fanout_conflated", ()] > 0, "values that it does not see")
        assert metrics(hub)["fanout_behind_records_most", ()] >= 0
    wait_for(lambda: metrics(hub)["fanout_readers", ()] == 0, "the session to be gone")
    assert metrics(hub)["fanout_blocked_seconds_most", ()] == 0


def test_a_sandbox_shows_its_queue(make_hub: MakeHub) -> None:
    hub = make_hub(sandbox=["prophetx"])
    assert metrics(hub)["sandbox_waiting_commands", ("prophetx",)] >= 0
