"""A log that finds no more room, and room again: an operator is told by everything that tells, and nothing is lost.

What stands for a full disk is the system's limit on the size of a file, which can be lifted while the hub runs.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import msgspec

from .hubs import Hub, cloud_event, native_headers, wait_for

LIMIT_KIB = 3000
BATCH = 100


def batch(number: int) -> list[bytes]:
    data = msgspec.json.encode({"pad": "x" * 1500})
    return [cloud_event(f"{number}-{one}", "hisports.unknown", "g", data) for one in range(BATCH)]


def answered(hub: Hub, number: int) -> int:
    headers = {"Authorization": f"Bearer {hub.publisher_key}", "Content-Type": "application/x-ndjson"}
    return hub.ask("POST", "/hub/v1/events", headers, b"\n".join(batch(number))).status


def finding(hub: Hub, name: str) -> tuple[int, dict[str, Any]]:
    """Doctor's exit code and what it says under a name."""
    done = hub.command("doctor", "--json")
    [check] = [one for one in done.json["checks"] if one["name"] == name]
    return done.code, check


def figure(hub: Hub, name: str) -> float:
    [line] = [line for line in hub.ask("GET", "/metrics").body.decode().splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def test_no_room_and_room_again(tmp_path: Path) -> None:
    wrapper = ("sh", "-c", f'ulimit -S -f {LIMIT_KIB * 2}; exec "$@"', "sh")  # sh counts blocks of 512 bytes
    with Hub(tmp_path / "hub", wrapper=wrapper) as hub:
        assert figure(hub, "touchline_log_failing") == 0
        stored = 0
        while (status := answered(hub, stored)) == 202:
            stored += 1
        assert status == 503
        assert stored > 0
        assert answered(hub, stored) == 503, "not once only"
        code, check = finding(hub, "log")
        assert (code, check["status"]) == (1, "fail")
        assert check["detail"].startswith("the log cannot be written: ")
        assert "make room" in check["advice"]
        assert figure(hub, "touchline_log_failing") == 1
        assert len(hub.events()) == stored * BATCH, "what was acknowledged is there and can be read, nothing else"

        hard = resource.prlimit(hub.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(hub.pid, resource.RLIMIT_FSIZE, (hard, hard))
        wait_for(lambda: answered(hub, stored) == 202, "it goes on by itself")
        assert answered(hub, stored) == 202, "and knows what it has"
        check = finding(hub, "log")[1]
        assert check["status"] != "fail", check  # "warn" where the last commit was slow
        assert not check["detail"].startswith("the log cannot be written"), check
        assert figure(hub, "touchline_log_failing") == 0
        expected = [f"{number}-{one}" for number in range(stored + 1) for one in range(BATCH)]
        assert [event.id for event in hub.events()] == expected
        assert [event.seq for event in hub.events()] == list(range(1, len(expected) + 1))
        assert hub.ask("GET", "/hub/v1/status", native_headers(hub.admin_key)).json["log"]["trouble"] == ""
        for told in ("the log cannot be written", "the log can be written again"):
            assert hub.log().count(told) == 1, hub.log()
