"""``touchline endpoint …`` as an operator types it, against a running hub and a receiver."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from .hockey import numbers, sheet
from .hubs import LOOPBACK, Finished, Hub, free_port, wait_for
from .receivers import Reception, Reply


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    """A hub whose webhooks may stay on this machine, with a league's partner."""
    made = make_hub(*LOOPBACK)
    made.add_partner("league", "hisports")
    return made


@pytest.fixture
def reception() -> Iterator[Reception]:
    """Where they arrive."""
    with Reception() as opened:
        yield opened


def run(hub: Hub, *words: str) -> Any:
    """What an endpoint command prints with --json; must succeed."""
    done = hub.command("endpoint", *words, "--json")
    assert (done.code, done.err) == (0, ""), done
    return done.json


def refusal(hub: Hub, *words: str, code: int = 1) -> str:
    """The one line of a command that must fail."""
    done: Finished = hub.command("endpoint", *words, "--json")
    assert (done.code, done.out) == (code, ""), done
    assert "Traceback" not in done.err
    assert done.err.count("\n") == 1, done
    return done.err


def test_the_life_of_an_endpoint(hub: Hub, reception: Reception) -> None:
    added = run(
        hub, "add", "league", reception.url("one?team=7"), "--feed", "hisports", "--topic", "scoresheet.update",
        "--label", "prod", "--option", "max_block=5", "--option", "header.X-Tenant=north",
    )  # fmt: skip
    assert list(added) == ["endpoint", "secret", "state"]
    assert added["state"] == "active"
    assert len(added["secret"]) > 20
    name = added["endpoint"]

    hub.publish(sheet(1, 1), sheet(1, 2))
    got = reception.reached("one", 2)
    assert {(one.query, one.headers["x-tenant"]) for one in got} == {("team=7", "north")}
    wait_for(lambda: hub.endpoint_report(name)["backlog"] == 0, "both are answered")
    shown = run(hub, "show", name)
    told = {key: shown[key] for key in ("endpoint", "partner", "feed", "label", "topics", "state", "backlog")}
    assert told == {
        "endpoint": name, "partner": "league", "feed": "hisports", "label": "prod", "topics": ["scoresheet.update"],
        "state": "active", "backlog": 0,
    }  # fmt: skip
    assert (shown["success_rate"], shown["oldest_undelivered_seconds"], shown["delivered"]) == (1.0, None, 2)
    listed = run(hub, "list")["endpoints"]
    assert [one["endpoint"] for one in listed] == [name]
    for_people = hub.command("endpoint", "show", name)
    assert for_people.code == 0, for_people
    assert name in for_people.out
    assert added["secret"] not in f"{for_people} {shown} {listed} {hub.log()}"

    attempts = run(hub, "attempts", name)["attempts"]
    assert [(one["status"], one["subject"]) for one in attempts] == [(200, "1")] * 2
    assert all(one["seconds"] >= 0 for one in attempts)

    tested = run(hub, "test", name)
    assert tested["status"] == 200, tested
    sample = reception.reached("one", 3)[2]
    assert sample.headers["x-tenant"] == "north"
    reception.behave["one"] = lambda _: Reply(418, b"short and stout")
    failed = hub.command("endpoint", "test", name, "--json")
    assert (failed.code, failed.json["status"]) == (1, 418), failed
    assert "418" in failed.err
    reception.behave.clear()
    count = len(reception.at("one"))

    run(hub, "pause", name)
    hub.publish(sheet(1, 3), sheet(2, 1))
    hub.restart()
    assert hub.endpoint_report(name)["state"] == "paused"
    hub.publish(sheet(1, 4))
    assert hub.endpoint_report(name)["backlog"] == 3
    assert len(reception.at("one")) == count
    run(hub, "resume", name)
    got = reception.reached("one", count + 3)[count:]
    assert (numbers(got, 1), numbers(got, 2)) == ([3, 4], [1])

    run(
        hub,
        "update",
        name,
        "--to",
        reception.url("two"),
        "--label",
        "new",
        "--option",
        "header.X-Tenant=south",
    )
    hub.publish(sheet(1, 5))
    (moved,) = reception.reached("two", 1)
    assert (numbers([moved], 1), moved.headers["x-tenant"]) == ([5], "south")
    assert hub.endpoint_report(name)["label"] == "new"

    rotated = run(hub, "rotate-secret", name)
    assert rotated["endpoint"] == name
    assert rotated["secret"] not in ("", added["secret"])

    run(hub, "remove", name)
    hub.publish(sheet(1, 6))
    assert hub.admin("GET", "/hub/v1/endpoints")["endpoints"] == []
    hub.restart()
    hub.publish(sheet(1, 7))
    assert name in refusal(hub, "show", name)
    other = hub.add_endpoint("league", reception.url("three"), "hisports", "*")
    hub.publish(sheet(1, 8))
    assert numbers(reception.reached("three", 1), 1) == [8]
    assert run(hub, "replay", other.id, "--since", "1h")["endpoint"] == other.id
    got = reception.reached("three", 1 + 9)[1:]
    assert (numbers(got, 1), numbers(got, 2)) == ([1, 2, 3, 4, 5, 6, 7, 8], [1])
    assert len(reception.at("two")) == 1


def test_what_cannot_be_is_refused_in_one_line(hub: Hub) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    add = ("add", "league", url, "--feed", "hisports")
    wrong = {
        ("add", "nobody", url, "--feed", "hisports"): "nobody",
        ("add", "league", url, "--feed", "cricket"): "cricket",
        (*add, "--topic", "goal"): "goal",
        (*add, "--option", "header.X-A=b\r\nX-C: d"): "header",
        ("replay", "ep_none", "--since", "1h"): "ep_none",
    }
    for words, said in wrong.items():
        assert said in refusal(hub, *words).lower(), words
    assert "--option" in refusal(hub, *add, "--option", "max_block", code=2)
    hub.add_partner("desk", "insights")
    by_http = (
        ({"partner": "league", "feed": "roanuz"}, "roanuz"),
        ({"url": "ftp://127.0.0.1/"}, "http"),
        ({"url": "http://user:pw@127.0.0.1/"}, "user"),
        ({"options": {"colour": "red"}}, "colour"),
        ({"options": {"max_block": "soon"}}, "max_block"),
        ({"options": {"header.Host": "evil"}}, "host"),
        ({"partner": "desk", "feed": "insights"}, "topics"),
        ({"partner": "desk", "feed": "insights", "topics": ["nfl/milestones/fr"]}, "locale"),
        ({"partner": "desk", "feed": "insights", "topics": ["cricket/scoring/en"]}, "league"),
    )
    for change, said in by_http:
        body = {"partner": "league", "url": url, "feed": "hisports", "topics": [], **change}
        headers = {"Authorization": f"Bearer {hub.admin_key}", "Content-Type": "application/json"}
        answer = hub.ask("POST", "/hub/v1/endpoints", headers, msgspec.json.encode(body))
        assert answer.status in (400, 404, 422), (change, answer)
        assert answer.headers["content-type"] == "application/problem+json"
        assert said in answer.json["detail"].lower(), (change, answer)
    assert hub.admin("GET", "/hub/v1/endpoints")["endpoints"] == []
    kept = hub.add_endpoint("league", url, "hisports", "*")
    assert "tomorrow" in refusal(hub, "replay", kept.id, "--since", "tomorrow")


def test_targets_on_this_machine_are_refused_unless_the_operator_allows_them(
    make_hub: Callable[..., Hub], reception: Reception
) -> None:
    hub = make_hub()
    hub.add_partner("league", "hisports")
    places = (
        "127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "10.0.0.7", "169.254.169.254",
        "100.64.0.1", "0.0.0.0",
    )  # fmt: skip
    refused = hub.command("endpoint", "add", "league", reception.url("x"), "--feed", "hisports", "--json")
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1), refused
    assert re.search("127.0.0.1.*allow[-_]network", refused.err), refused
    for place in places:
        body = {"partner": "league", "url": f"http://{place}:{reception.port}/x", "feed": "hisports"}
        headers = {"Authorization": f"Bearer {hub.admin_key}", "Content-Type": "application/json"}
        answer = hub.ask("POST", "/hub/v1/endpoints", headers, msgspec.json.encode(body))
        if answer.status == 201:  # a name is judged when the connection is made
            assert place == "localhost"
            hub.publish(sheet(1, 1))
            name = answer.json["endpoint"]
            wait_for(lambda name=name: hub.endpoint_report(name)["last_error"], "it is tried")  # type: ignore[misc]
            assert "allow" in hub.endpoint_report(name)["last_error"], hub.endpoint_report(name)
            continue
        assert (answer.status, "allow" in answer.json["detail"]) == (400, True), (place, answer)
    assert reception.total == 0


def test_an_update_with_a_backlog_and_requests_in_flight_loses_nothing(hub: Hub, reception: Reception) -> None:
    reception.behave["old"] = lambda _: Reply(503)
    endpoint = hub.add_endpoint("league", reception.url("old"), "hisports", "*")
    hub.publish(*(sheet(game, number) for number in range(1, 21) for game in (1, 2, 3)))
    reception.reached("old", 1)
    run(hub, "update", endpoint.id, "--to", reception.url("new"))
    got = reception.reached("new", 60, 30)
    assert [numbers(got, game) for game in (1, 2, 3)] == [list(range(1, 21))] * 3
    assert hub.dead_letters(endpoint.id) == []
