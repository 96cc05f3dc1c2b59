"""``touchline listen`` receives from a hub, verifies, prints, and forwards what it verified, as it came."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from .hockey import numbers, sheet
from .hubs import TOUCHLINE, Endpoint, Hub, cloud_event, free_port, marker, request, wait_for
from .receivers import Program, Reception, Reply

HOP_BY_HOP = {"host", "connection", "content-length", "accept", "accept-encoding", "user-agent"}


@pytest.fixture
def hub(shared_hub: Hub) -> Hub:
    """A hub whose webhooks may stay on this machine."""
    return shared_hub


@pytest.fixture
def reception() -> Iterator[Reception]:
    """Where it is forwarded to, and what gets the same directly."""
    with Reception() as opened:
        yield opened


@contextmanager
def listening(feed: str, port: int, *options: str) -> Iterator[Program]:
    """``touchline listen`` as a process."""
    command = [*TOUCHLINE, "listen", feed, "--port", str(port), "--json", *options]
    with Program(command, ready=None) as listener:
        listener.says("-- listening: http")
        yield listener


def forwarded_like(reception: Reception, count: int) -> None:
    """What was forwarded is what somebody gets who is posted to directly, apart from ids, times and the signature."""
    forwarded, direct = reception.reached("app", count), reception.reached("direct", count)
    assert [one.body for one in forwarded] == [one.body for one in direct]
    for mine, theirs in zip(forwarded, direct, strict=True):
        assert set(theirs.headers) - HOP_BY_HOP <= set(mine.headers)
        assert mine.headers["content-type"] == theirs.headers["content-type"]


def both(hub: Hub, reception: Reception, partner: str, feed: str, *topics: str, **options: str) -> tuple[int, Endpoint]:
    """Two endpoints of the same partner: one to listen on a port, one that is posted to directly."""
    port = free_port()
    hub.add_endpoint(partner, reception.url("direct"), feed, *topics, options=options)
    return port, hub.add_endpoint(partner, f"http://127.0.0.1:{port}/", feed, *topics, options=options)


def test_hub_webhooks_are_listened_to(hub: Hub, reception: Reception) -> None:
    hub.add_partner("app", "hub", grants={"feed": ["shottracker"]})
    port, endpoint = both(hub, reception, "app", "hub", "*")
    with listening("hub", port, "--secret", endpoint.secret, "--forward-to", reception.url("app")) as listener:
        hub.publish(*(marker(f"m-{number}", "game-1") for number in range(5)))
        assert listener.reached("id", 5) == [f"m-{number}" for number in range(5)]
        forwarded_like(reception, 5)
        forged = request(
            "POST",
            f"http://127.0.0.1:{port}/",
            {**reception.at("app")[0].headers, "webhook-id": "another"},
            reception.at("app")[0].body,
        )
        assert 400 <= forged.status < 500, forged
        listener.says("refused")

        # What the application behind it answers goes back to the hub, which repeats the delivery.
        tries: list[str] = []

        def unwell(delivery: object) -> Reply:
            tries.append("")
            return Reply(500 if len(tries) < 3 else 200)

        reception.behave["app"] = unwell
        hub.publish(marker("m-5", "game-1"))
        assert listener.reached("id", 6)[5] == "m-5"
        wait_for(lambda: hub.endpoint_report(endpoint.id)["backlog"] == 0, "it is taken")
        assert len(tries) == 3
        assert len(listener.all("id")) == 6
        assert len({one.headers["webhook-id"] for one in reception.at("app")}) == 6
    assert endpoint.secret not in listener.said


def test_hisports_is_listened_to_signed_and_unsigned(hub: Hub, reception: Reception) -> None:
    hub.add_partner("league", "hisports")
    port, _ = both(hub, reception, "league", "hisports", "*")
    with listening("hisports", port, "--forward-to", reception.url("app")) as listener:
        hub.publish(*(sheet(1, number) for number in range(1, 6)))
        assert [len(one["goals"]) for one in listener.reached("scoresheet", 5)] == [1, 2, 3, 4, 5]
        assert listener.all("type") == ["scoresheet.update"] * 5
        forwarded_like(reception, 5)
        assert numbers(reception.at("app"), 1) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("signature", "game"), [("hmac", 2), ("standard", 3), ("ed25519", 4)])
def test_hisports_is_verified(hub: Hub, signature: str, game: int) -> None:
    hub.add_partner("league", "hisports")
    port = free_port()
    endpoint = hub.add_endpoint(
        "league", f"http://127.0.0.1:{port}/", "hisports", "*", options={"signature": signature}
    )
    with listening("hisports", port, "--secret", endpoint.secret) as listener:
        hub.publish(sheet(game, 1))
        assert [len(one["goals"]) for one in listener.reached("scoresheet", 1)] == [1]
        unsigned = request("POST", f"http://127.0.0.1:{port}/", {"Content-Type": "application/json"}, b'{"type":"x"}')
        assert 400 <= unsigned.status < 500, unsigned
        listener.says("refused")
        assert len(listener.lines) == 1


def test_roanuz_is_listened_to(hub: Hub, reception: Reception) -> None:
    hub.add_partner("academy", "roanuz")
    port, _ = both(hub, reception, "academy", "roanuz", subscribe="all", webhook_key="a-key")
    with listening("roanuz", port, "--secret", "a-key", "--forward-to", reception.url("app")) as listener:
        lines = []
        for number in range(1, 4):
            ball = {"ball_key": 524288 + 64 * number, "over": 0, "batting_order": 1, "is_delete": False}
            told = {
                "sport": "cricket",
                "data_kind": "match-entry-update",
                "data": {
                    "matchkey": "m-1", "ball": ball, "push_reason": "NewOrLast", "match_push_kind": "Ball",
                    "ts": 1_742_652_000 + number,
                },
            }  # fmt: skip
            data = msgspec.json.encode({"notification": told})
            lines.append((told, cloud_event(f"b-{number}", "roanuz.ball", "m-1", data, "/ground/1")))
        hub.publish(*(line for _, line in lines))
        listener.reached("data_kind", 3)
        assert listener.lines == [told for told, _ in lines]
        forwarded_like(reception, 3)
        assert [msgspec.json.decode(gzip.decompress(one.body)) for one in reception.at("app")] == listener.lines
        wrong = request("POST", f"http://127.0.0.1:{port}/", {"rs-api-key": "another"}, reception.at("app")[0].body)
        assert 400 <= wrong.status < 500, wrong
        listener.says("refused")


def test_insights_are_confirmed_and_listened_to(hub: Hub) -> None:
    hub.add_partner("desk", "insights")
    port = free_port()
    raw = hub.add_endpoint("desk", f"http://127.0.0.1:{port}/", "insights", "nba/scoring/*")
    trust = ("--trust-host", f"127.0.0.1:{hub.port}", "--plain-http")
    with listening("insights", port, "--secret", raw.secret, *trust) as listener:
        wait_for(
            lambda: [one["state"] for one in hub.endpoint_report(raw.id)["subscriptions"]] == ["confirmed"] * 5,
            "every topic is confirmed",
            30,
        )
        data = b'{"id":"i-%d","league":"nba","n":1.0}'
        hub.publish(
            *(cloud_event(f"i-{n}", "insights.insight", "nba/scoring/fr", data % n, "/radar") for n in range(4))
        )
        assert sorted(one["id"] for one in listener.reached("insight", 4)) == ["i-0", "i-1", "i-2", "i-3"]
    assert raw.secret not in listener.said
