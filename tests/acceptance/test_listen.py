"""``touchline listen`` beside a real hub: handshakes, an outage of the receiver, replay, and a program behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .hubs import TOUCHLINE, Hub, cloud_event, free_port, marker, wait_for
from .receivers import Program, Reception, Reply

LOOPBACK = ("--allow-network", "127.0.0.0/8")


def listening(feed: str, port: int, secret: str, *more: str) -> Program:
    """A running ``listen``, NDJSON on stdout."""
    command = [*TOUCHLINE, "listen", feed, "--port", str(port), "--secret", secret, "--json", *more]
    return Program(command, ready=None)


def test_insights_are_confirmed_and_forwarded(make_hub: Callable[..., Hub]) -> None:
    hub, port = make_hub(*LOOPBACK), free_port()
    hub.add_partner("desk", "insights")
    with Reception() as behind:
        endpoint = hub.add_endpoint("desk", f"http://127.0.0.1:{port}/", "insights", "nba/scoring/en")
        trust = ("--trust-host", f"127.0.0.1:{hub.port}", "--plain-http", "--forward-to", behind.url("in"))
        with listening("insights", port, endpoint.secret, *trust) as listener:
            listener.says("-- confirmed: ")
            wait_for(lambda: _states(hub, endpoint.id) == ["confirmed"], "the topic is confirmed")
            for number in range(5):
                data = b'{"id":"i-%d","content":"Gr\xc3\xb6\xc3\x9fe","n":1.0}' % number
                hub.publish(cloud_event(f"e-{number}", "insights.insight", "nba/scoring/en", data))
            listener.until(lambda _: len(listener.lines) == 5, "all five are printed")
            assert sorted(line["insight"]["id"] for line in listener.lines) == [f"i-{number}" for number in range(5)]
            assert len(behind.reached("in", 5)) == 5
            assert endpoint.secret not in listener.said
            assert "Token=" not in listener.said


def _states(hub: Hub, endpoint: str) -> list[str]:
    return [one["state"] for one in hub.endpoint_report(endpoint)["subscriptions"]]


def test_a_receiver_that_was_away_misses_nothing_and_a_replay_shows_all_again(make_hub: Callable[..., Hub]) -> None:
    hub, port = make_hub(*LOOPBACK), free_port()
    hub.add_partner("desk", "hub")
    endpoint = hub.add_endpoint("desk", f"http://127.0.0.1:{port}/", "hub", "*")
    with listening("hub", port, endpoint.secret, "--count", "3") as first:
        first.says("-- listening: http")
        hub.publish(*(marker(f"m-{number}", "g-1") for number in range(10)))
        assert first.process is not None
        assert first.process.wait(20) == 0
        wait_for(lambda: len(first.lines) == 3, "three are printed")
    with listening("hub", port, endpoint.secret) as second:
        second.until(lambda _: len(second.lines) >= 7, "the rest is printed", 30)
        came = [line["id"] for line in [*first.lines, *second.lines]]
        assert came == [f"m-{number}" for number in range(10)]
        hub.admin("POST", f"/hub/v1/endpoints/{endpoint.id}/replay", {"since": "1h"})
        second.until(lambda _: len(second.lines) >= 17, "all is printed again")
        assert [line["id"] for line in second.lines[7:]] == [f"m-{number}" for number in range(10)]
    assert hub.endpoint_report(endpoint.id)["dead_letters"] == 0


def test_what_the_program_behind_refuses_comes_again(make_hub: Callable[..., Hub]) -> None:
    hub, port = make_hub(*LOOPBACK), free_port()
    hub.add_partner("desk", "hisports")
    with Reception() as behind:
        answers = iter([Reply(500), Reply(503)])
        behind.behave["in"] = lambda _: next(answers, Reply(200))
        endpoint = hub.add_endpoint(
            "desk", f"http://127.0.0.1:{port}/", "hisports", "*", options={"signature": "standard"}
        )
        with listening("hisports", port, endpoint.secret, "--forward-to", behind.url("in")) as listener:
            listener.says("-- listening: ")
            for number in range(2):
                data: Any = {"game": {"id": 7, "comments": f"c-{number}"}}
                hub.publish(cloud_event(f"e-{number}", "hisports.game.update", "7", msgspec.json.encode(data)))
            listener.until(lambda _: len(listener.lines) == 2, "both are printed")
            assert [line["game"]["comments"] for line in listener.lines] == ["c-0", "c-1"]
            came = [one.json["game"]["comments"] for one in behind.reached("in", 4)]
            assert came == ["c-0", "c-0", "c-0", "c-1"]
            listener.says("answered 500")
            listener.says("answered 503")
