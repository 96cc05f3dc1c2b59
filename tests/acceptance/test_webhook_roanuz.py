"""Roanuz: the provider's own receiver and scripts, the order of its Node sample, and the REST that a push refers to.

Everything that a customer runs is a process of its own here: the Flask receiver, the two ``requests`` scripts and
``touchline replay``.
"""

from __future__ import annotations

import ast
import asyncio
import gzip
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from .hubs import LOOPBACK, ROOT, Hub, clean_environment, free_port, request, touchline, wait_for
from .nodes import NODE, need_package, node
from .receivers import Delivery, Program, Reception, Reply
from .recordings import Recorded, recorded, seed

PROGRAMS = Path(__file__).parent / "programs"
MATCH_FILE = "ipl2025_match01.ndjson"
MATCH = "ipl_2025_m01"
SEED = "004_3d85648ec29a912b.txt"
KINDS = {"roanuz.ball", "roanuz.toss", "roanuz.squad", "roanuz.play", "roanuz.result", "roanuz.reward"}


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    """A hub whose webhooks may stay on this machine."""
    return make_hub(*LOOPBACK)


class Project:
    """A partner as the provider's customers are: a project key, an API key, and a token for a day."""

    def __init__(self, hub: Hub, name: str = "academy", **more: Any) -> None:
        self.hub = hub
        self.name = name
        given = hub.add_partner(name, "roanuz", **more)
        self.key, self.api_key = given["project_key"], given["api_key"]
        answer = hub.ask(
            "POST",
            f"/v5/core/{self.key}/auth/",
            {"Content-Type": "application/json"},
            msgspec.json.encode({"api_key": self.api_key}),
        )
        assert answer.status == 200, answer
        self.token: str = answer.json["data"]["token"]

    def run(self, script: str, match: str = MATCH) -> dict[str, Any]:
        """Run one of the provider's scripts; what it printed."""
        done = subprocess.run(
            [sys.executable, str(PROGRAMS / script), self.hub.url, self.key, self.token, match],
            env=clean_environment(),
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done
        printed: dict[str, Any] = ast.literal_eval(done.stdout.decode())
        return printed

    def get(self, path: str) -> Any:
        """The data that the REST gives for a path below the match."""
        answer = request("GET", f"{self.hub.url}/v5/cricket/{self.key}/match/{MATCH}/{path}", {"rs-token": self.token})
        assert answer.status == 200, answer
        return answer.json["data"]


def replay(hub: Hub, lines: Sequence[Recorded], tmp_path: Path) -> None:
    """``touchline replay`` of these lines."""
    file = tmp_path / "rest.ndjson"
    file.write_bytes(b"\n".join(one.line for one in lines) + b"\n")
    done = touchline("replay", file, "--speed", "max", "--url", hub.url, "--data", hub.data, "--json", cwd=ROOT)
    assert done.code == 0, done
    assert done.json["accepted"] == len(lines)


def notifications(lines: Sequence[Recorded]) -> list[Any]:
    """What is pushed of a recording, in order."""
    pushed = [one for one in lines if one.type != "roanuz.match"]
    assert {one.type for one in pushed} <= KINDS
    return [msgspec.json.decode(one.data)["notification"] for one in pushed]


def is_ball(notification: Any) -> bool:
    """Whether a notification is of a ball."""
    return bool(notification["data"]["match_push_kind"] == "Ball")


@pytest.mark.parametrize(
    ("file", "begin", "end", "changes"),
    [
        (
            "roanuz_subscribe.py",
            "import requests",
            "print(response.json())",
            {"sys.argv[1] + \"/v5": "\"https://api.sports.roanuz.com/v5", "sys.argv[2]": "'YOUR_PROJ_KEY'",
             "sys.argv[3]": "'YOUR_ACCESS_TOKEN'", "sys.argv[4]": "'ausind_2020_odi01'"},
        ),
        (
            "roanuz_unsubscribe.py",
            "import requests",
            "print(response.json())",
            {"sys.argv[1] + \"/v5": "\"https://api.sports.roanuz.com/v5", "sys.argv[2]": "'YOUR_PROJ_KEY'",
             "sys.argv[3]": "'YOUR_ACCESS_TOKEN'", "sys.argv[4]": "'ausind_2020_odi01'"},
        ),
        ("roanuz_receiver.py", "from flask import", "return 'Hello, World! {}'", {}),
    ],
    ids=["subscribe", "unsubscribe", "receiver"],
)  # fmt: skip
def test_the_programs_are_the_provider_s(file: str, begin: str, end: str, changes: dict[str, str]) -> None:
    ours = (PROGRAMS / file).read_text()
    for here, there in changes.items():
        assert ours.count(here) == 1
        ours = ours.replace(here, there)
    example = ours[ours.index(begin) : ours.index(end) + len(end)]
    assert example in seed(SEED)


def test_the_provider_s_receiver_gets_the_whole_match_between_subscribing_and_unsubscribing(
    hub: Hub, tmp_path: Path
) -> None:
    lines = recorded(MATCH_FILE)
    project = Project(hub)
    with Program([sys.executable, PROGRAMS / "roanuz_receiver.py", "0"]) as receiver:
        port = receiver.lines[0]["listening"]
        hub.add_endpoint(project.name, f"http://127.0.0.1:{port}/", "roanuz")
        hub.publish(lines[0].line)
        answer = project.run("roanuz_subscribe.py")
        assert (answer["http_status_code"], answer["error"]) == (202, None), answer
        again = project.run("roanuz_subscribe.py")
        assert (again["http_status_code"], again["error"]["code"]) == (400, "P-400-4"), again

        replay(hub, lines[1:], tmp_path)
        expected = notifications(lines)
        decoded = receiver.reached("decoded", len(expected), 60)
        assert decoded == expected
        balls = [one["data"]["ball"]["ball_key"] for one in decoded if is_ball(one)]
        assert len(balls) == len(set(balls)) == 223

        answer = project.run("roanuz_unsubscribe.py")
        assert answer["http_status_code"] in (200, 202), answer
        again = project.run("roanuz_unsubscribe.py")
        assert (again["http_status_code"], again["error"]["code"]) == (404, "P-404-1"), again
        replay(hub, lines[1:4], tmp_path)  # nobody asks for these any more …
        hub.add_endpoint(project.name, f"http://127.0.0.1:{port}/", "roanuz", options={"subscribe": "all"})
        replay(hub, lines[4:6], tmp_path)  # … and a receiver of everything says when they would have been there
        assert receiver.reached("decoded", len(expected) + 2)[len(expected) :] == notifications(lines[4:6])


def test_each_ball_is_found_by_rest_before_its_push_is_answered(hub: Hub, tmp_path: Path) -> None:
    lines = recorded(MATCH_FILE)
    project = Project(hub)
    found: list[tuple[str, Any]] = []

    async def look(delivery: Delivery) -> Reply:
        ball = msgspec.json.decode(gzip.decompress(delivery.body))["data"]["ball"]
        if ball is not None:
            team = {1: "a", 2: "b"}[ball["batting_order"]]  # the side that was listed first batted first
            path = f"ball-by-ball/{team}_1_{ball['over'] + 1}/"
            over = (await asyncio.to_thread(project.get, path))["over"]
            found.append((str(ball["ball_key"]), [one for one in over["balls"] if one["key"] == str(ball["ball_key"])]))
        return Reply()

    with Reception() as reception:
        reception.behave["feed"] = look
        hub.add_endpoint(project.name, reception.url("feed"), "roanuz")
        hub.publish(lines[0].line)
        assert project.run("roanuz_subscribe.py")["http_status_code"] == 202
        replay(hub, lines[1:], tmp_path)
        got = reception.reached("feed", 231, 60)
    recorded_balls = [msgspec.json.decode(one.data)["ball"] for one in lines if one.type == "roanuz.ball"]
    assert [key for key, _ in found] == [ball["key"] for ball in recorded_balls]
    assert [balls for _, balls in found] == [[ball] for ball in recorded_balls]
    for one in got:
        assert "content-encoding" not in one.headers
        assert "json" not in one.headers.get("content-type", "")


def test_the_order_of_the_vendor_s_node_sample_takes_our_body(hub: Hub, tmp_path: Path) -> None:
    program = node()
    need_package("express")
    lines = recorded(MATCH_FILE)[:12]
    project = Project(hub)
    with Program([program, NODE / "roanuz_receiver.js", "0"]) as receiver:
        url = f"http://127.0.0.1:{receiver.lines[0]['listening']}/match/feed/v1/?secret=s%20e"
        endpoint = hub.add_endpoint(project.name, url, "roanuz")
        hub.publish(lines[0].line)
        assert project.run("roanuz_subscribe.py")["http_status_code"] == 202
        replay(hub, lines[1:], tmp_path)
        expected = notifications(lines)
        assert receiver.reached("decoded", len(expected)) == expected
        assert receiver.all("failed") == []
        wait_for(lambda: hub.endpoint_report(endpoint.id)["backlog"] == 0, "the hub has seen the answers")
        assert hub.dead_letters(endpoint.id) == []


def test_a_subscription_holds_over_a_kill(hub: Hub, tmp_path: Path) -> None:
    lines = recorded(MATCH_FILE)[:10]
    project = Project(hub)
    with Reception() as reception:
        hub.add_endpoint(project.name, reception.url("one"), "roanuz")
        hub.add_endpoint(project.name, reception.url("two"), "roanuz")
        hub.publish(lines[0].line)
        assert project.run("roanuz_subscribe.py")["http_status_code"] == 202
        hub.restart()
        replay(hub, lines[1:], tmp_path)
        for name in ("one", "two"):  # several webhook addresses: each gets every push
            got = reception.reached(name, 9)
            assert [msgspec.json.decode(gzip.decompress(one.body)) for one in got] == notifications(lines)


def test_the_provider_s_script_prints_the_provider_s_errors(hub: Hub) -> None:
    project = Project(hub)
    hub.publish(recorded(MATCH_FILE)[0].line)
    token, key = project.token, project.key

    def refused(status: int, code: str, match: str = MATCH) -> None:
        printed = project.run("roanuz_subscribe.py", match)
        assert (printed["http_status_code"], printed["error"]["code"], printed["data"]) == (status, code, None), printed

    refused(400, "P-400-1")  # no address is configured
    hub.add_endpoint(project.name, f"http://127.0.0.1:{free_port()}/", "roanuz")
    refused(400, "A-400-0", "no_such_match")
    project.token = "v5sRS_P_0s0"
    refused(401, "A-401-0")
    project.token, project.key = token, "RS_P_0000000000000000000"
    refused(401, "A-401-0")
    project.key = key
    assert project.run("roanuz_subscribe.py")["http_status_code"] == 202
