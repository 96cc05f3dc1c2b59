"""ProphetX in a real hub: logged in over HTTP, subscribed over real sockets, published to, and ended in every way."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from touchline.feeds.prophetx.channels import BROADCAST

from .hubs import Hub, cloud_event
from .prophetx_clients import Client, last_words, partner, private
from .websockets import Client as Socket

MakeHub = Callable[..., Hub]
RECORDING = Path(__file__).parents[3] / "shared" / "recordings" / "exchange.ndjson"


@pytest.mark.parametrize("query", ["protocol=7&client=js&version=8.6.0&flash=false", "client=Pysher&protocol=6"])
def test_what_is_published_arrives_on_its_channel_alone(make_hub: MakeHub, query: str) -> None:
    hub = make_hub()
    alice, bob = partner(hub, "alice"), partner(hub, "bob")
    first, second = Client(hub, alice, query), Client(hub, bob, query)
    for client in (first, second):
        for channel in client.channels:
            assert client.subscribe(channel)["event"] == "pusher_internal:subscription_succeeded"
    hub.publish_all(
        [
            cloud_event("prophetx.tournament", "109", {"id": "109"}, op="c"),
            cloud_event("prophetx.market", "109", {"id": "7", "info": {"n": 1709130007835319001}}, op="u"),
            private(alice["partner_id"], 1),
            private(bob["partner_id"], 2),
            cloud_event("prophetx.market", "109", {"id": "8"}, op="d"),
        ]
    )
    for client, number in ((first, 1), (second, 2)):
        got = [client.change() for _ in range(4)]
        assert sorted(what for what in got if what[0] == "wagers") == [
            ("wagers", "wager", {"info": {"id": f"w{number}"}})
        ]
        assert [what for what in got if what[0] != "wagers"] == [
            ("general", "tournament", {"id": "109"}),
            ("tournament_109", "market", {"id": "7", "info": {"n": 1709130007835319001}}),
            ("tournament_109", "market", {"id": "8"}),
        ]
        client.socket.plain.close()


def test_the_recording_arrives_whole_once_and_in_order(make_hub: MakeHub) -> None:
    if not RECORDING.exists():
        pytest.skip("the recordings are not here")
    hub = make_hub()
    client = Client(hub, partner(hub, "alice"))
    for channel in client.channels:
        client.subscribe(channel)
    lines = RECORDING.read_bytes().splitlines()
    for start in range(0, len(lines), 500):
        answer = hub.publish(b"\n".join(lines[start : start + 500]), "application/x-ndjson")
        assert answer.status == 202, answer
    stamps = []
    for line in lines:
        message = client.next()
        while message["event"] == "health_check":
            message = client.next()
        data = json.loads(message["data"])
        payload = base64.b64decode(data["payload"])
        assert line.endswith(b'"data":' + payload + b"}"), "bytes leave as they came"
        stamps.append(data["timestamp"])
    assert stamps == sorted(set(stamps))
    client.socket.plain.close()


def test_a_private_change_needs_its_owner(make_hub: MakeHub) -> None:
    hub = make_hub()
    wrong = [
        cloud_event("prophetx.wager", "109", {}, op="u"),
        cloud_event("prophetx.wager", "p1", {}, op="u", partner="p2"),
        cloud_event("prophetx.account", "109", {}, op="u"),
        cloud_event("prophetx.market", "p1", {}, op="u", partner="p1"),
    ]
    for event in wrong:
        answer = hub.publish(json.dumps(event).encode())
        assert (answer.status, answer.json["errors"][0]["field"]) == (400, "partner")
    large = cloud_event("prophetx.market", "109", {"info": {"x": "y" * 7700}}, op="u")
    answer = hub.publish(json.dumps(large).encode())
    assert (answer.status, answer.json["errors"][0]["field"]) == (400, "data")
    assert hub.events() == []


@pytest.mark.parametrize("how", ["suspend", "rotate", "remove"])
def test_who_has_lost_its_rights_is_told_and_closed_whatever_it_follows(make_hub: MakeHub, how: str) -> None:
    hub = make_hub()
    credentials = partner(hub, "alice")
    idle, busy = Client(hub, credentials), Client(hub, credentials)
    bystander = Client(hub, partner(hub, "bob"))
    busy.subscribe(BROADCAST)
    bystander.subscribe(BROADCAST)
    if how == "remove":
        answer = hub.admin("DELETE", "/hub/v1/partners/alice")
    elif how == "suspend":
        answer = hub.admin("POST", "/hub/v1/partners/alice/suspend")
    else:
        answer = hub.admin("POST", "/hub/v1/partners/alice/feeds/prophetx/rotate")
    assert answer.status in (200, 204), answer
    for client in (idle, busy):
        last, code = last_words(client.socket)
        assert (last["event"], last["data"]["code"], code) == ("pusher:error", 4003, 4003)
        assert client.get("/websocket/connection-config").status == 401
    hub.publish_all([cloud_event("prophetx.market", "109", {"id": "8"}, op="u")])
    assert bystander.change()[:2] == ("tournament_109", "market")
    bystander.socket.plain.close()


def test_a_hub_that_stops_asks_to_come_back_and_knows_the_client_again(make_hub: MakeHub) -> None:
    hub = make_hub()
    client = Client(hub, partner(hub, "alice"))
    client.subscribe(BROADCAST)
    hub.stop()
    last, code = last_words(client.socket)
    assert (last["event"], last["data"]["code"], code) == ("pusher:error", 4200, 4200)
    with Hub(hub.directory) as again:
        client.connect(again)
        assert client.get("/websocket/connection-config").json["key"] == client.config["key"], "token and app stay"
        assert client.subscribe(BROADCAST)["event"] == "pusher_internal:subscription_succeeded"
        client.socket.plain.close()


def test_an_unknown_app_key_is_told_on_the_open_socket(hub: Hub) -> None:
    last, code = last_words(Socket(hub, "/app/278d425bdf160c739803?protocol=7"))
    assert (last["event"], last["data"]["code"], code) == ("pusher:error", 4001, 4001)


def test_a_socket_that_subscribed_to_nothing_gets_health_checks(hub: Hub, subject: str) -> None:
    """The session's own clock is turned back instead of waiting: the shell's timer must carry it out."""
    client = Client(hub, partner(hub, subject))
    (session,) = hub.on_loop(
        lambda: [
            one for one in hub.running.sessions._open if one.identity is not None and one.identity.partner == subject
        ]
    )

    def turn_back() -> None:
        session._session._health_at -= 5.0
        session._carry_out()

    hub.on_loop(turn_back)
    message = client.next()
    assert message["event"] == "health_check"
    assert "channel" not in message
    assert json.loads(message["data"])["payload"] == "e30="
    client.socket.plain.close()


def test_rest_shows_what_was_pushed_also_after_a_restart(make_hub: MakeHub) -> None:
    hub = make_hub()
    client = Client(hub, partner(hub, "alice"))
    client.subscribe(BROADCAST)
    info = {"id": 5, "sport_event_id": 7, "name": "Moneyline", "sequence_number": 1709130007835319001}
    book = {"id": 5, "type": "moneyline", "line": 0, "selections": [[{"line_id": "a", "odds": 124}], []]}
    hub.publish_all(
        [
            cloud_event("prophetx.tournament", "109", {"id": "109", "info": {"id": 109, "name": "MLB"}}, op="c"),
            cloud_event("prophetx.market", "109", {"id": "7", "info": info}, op="c"),
            cloud_event(
                "prophetx.market_selections", "109", {"sport_event_id": 7, "market_id": 5, "info": book}, op="u"
            ),
        ]
    )
    pushed = [client.change()[2] for _ in range(3)]
    answer = client.get("/mm/get_markets?event_id=7")
    (market,) = answer.json["data"]["markets"]
    assert market["selections"] == pushed[2]["info"]["selections"]
    assert market["sequence_number"] == 1709130007835319001
    assert client.get("/mm/get_tournaments").json["data"]["tournaments"][0]["name"] == "MLB"
    refused = client.post("/mm/place_wager", "{}")
    assert (refused.status, refused.json["error"]) == (403, "trading_not_available")
    client.socket.plain.close()
    hub.stop()
    with Hub(hub.directory) as again:
        client.session.hub = again
        assert client.get("/mm/get_markets?event_id=7").body == answer.body


def test_no_route_shows_a_partner_what_belongs_to_another(make_hub: MakeHub) -> None:
    """Native reads with another's key, also when all records of the private stream have expired."""
    hub = make_hub()
    owner = partner(hub, "alice")["partner_id"]
    stranger = hub.partner("stranger")["key"]
    trusted = hub.partner("trusted", grants={"partner": [owner]})["key"]
    hub.publish_all([private(owner, 1), cloud_event("prophetx.something", owner, {}, op="u")])
    hub.publish_all([cloud_event("prophetx.tournament", "109", {"info": {"id": 109}}, op="c")])
    snapshot = f"/hub/v1/snapshots/prophetx/{owner}"

    def seen(key: str) -> tuple[int, int]:
        events = hub.get("/hub/v1/events?feed=prophetx&type=prophetx.wager&limit=100", key).json["events"]
        return hub.get(snapshot, key).status, len(events)

    assert (seen(stranger), seen(trusted), seen(hub.admin_key)) == ((404, 0), (200, 1), (200, 1))
    log, snapshots = hub.running.hub.event_log, hub.running.hub.snapshots

    async def expire() -> None:
        await snapshots.before_trim(log.head)
        await log.trim(log.head)

    hub.wait(expire())
    assert hub.get(snapshot, stranger).status == 404
    assert hub.get("/hub/v1/snapshots/prophetx/109", stranger).status == 200
    for key in (trusted, hub.admin_key):
        assert hub.get(snapshot, key).json["wagers"][0]["id"] == "w1"
