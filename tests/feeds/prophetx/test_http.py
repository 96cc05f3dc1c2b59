"""Logging in, refreshing, where to connect, and signing for channels, as the Service API words it."""

from __future__ import annotations

import json

import pytest

from touchline.feeds.prophetx import apps
from touchline.feeds.prophetx.channels import BROADCAST, private_channel
from touchline.wire import pusher
from touchline.wire.http import HttpResponse

from . import worlds
from .worlds import ALICE, BOB, ask, bearer, dumped, login, member, new_hub, value

MINE = private_channel(ALICE)
LOGIN, REFRESH, CONFIG, PUSHER = (
    "/partner/auth/login",
    "/partner/auth/refresh",
    "/partner/websocket/connection-config",
    "/partner/mm/pusher",
)
GOOD = dumped({"access_key": "a" * 32, "secret_key": "alice-secret"})


def code(response: HttpResponse) -> tuple[int, str]:
    body = value(response)
    assert body.keys() == {"error", "message"}
    return response.status, body["error"]


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_a_login_is_read_whatever_its_content_type(content_type: str | None) -> None:
    headers = () if content_type is None else (("content-type", content_type),)
    hub = new_hub()
    session = value(ask(hub, "POST", LOGIN, GOOD, headers))["data"]
    assert session.keys() == {"access_token", "refresh_token", "access_expire_time", "refresh_expire_time"}
    now = hub.wall_ns // 10**9
    assert session["access_expire_time"] == now + 20 * 60
    assert session["refresh_expire_time"] == now + 3 * 24 * 3600
    form = ask(hub, "POST", LOGIN, b"access_key=" + b"a" * 32 + b"&secret_key=alice-secret", headers)
    assert form.status == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "invalid_request")),
        (b"{", (400, "invalid_request")),
        (b"[]", (400, "invalid_request")),
        (b"[" * 10_000, (400, "invalid_request")),
        (b"\xff\xfe=1", (400, "invalid_request")),
        (b"&&&", (400, "invalid_request")),
        (b'{"access_key":1,"secret_key":"x"}', (400, "invalid_request")),
        (b'{"access_key":"x"}', (400, "invalid_request")),
        (b'{"access_key":"x","secret_key":"y"}', (401, "unauthorized")),
        (b'{"access_key":"' + b"a" * 32 + b'","secret_key":"bob-secret"}', (401, "unauthorized")),
        (b'{"access_key":"' + b"a" * 32 + b'","secret_key":""}', (400, "invalid_request")),
    ],
)
def test_a_wrong_login_gets_an_error(body: bytes, expected: tuple[int, str]) -> None:
    hub = new_hub()
    assert code(ask(hub, "POST", LOGIN, body)) == expected
    assert len(hub.failures) == (expected[0] == 401)
    hub.locked["192.0.2.1"] = 7.2
    locked = ask(hub, "POST", LOGIN, GOOD)
    assert code(locked) == (429, "rate_limit_reached")
    assert locked.header("retry-after") == "8"


def test_a_token_lives_twenty_minutes_and_a_refresh_begins_its_life_anew() -> None:
    hub = new_hub()
    session = login(hub)
    headers = (("authorization", f"Bearer {session['access_token']}"),)
    assert ask(hub, "GET", CONFIG, headers=headers).status == 200
    assert ask(hub, "GET", CONFIG, headers=(("authorization", session["access_token"]),)).status == 200, (
        "without Bearer"
    )
    hub.advance(19 * 60)
    refreshed = value(ask(hub, "POST", REFRESH, dumped({"refresh_token": session["refresh_token"]}), headers))["data"]
    assert refreshed["access_expire_time"] >= hub.wall_ns // 10**9 + 20 * 60
    hub.advance(19 * 60)
    assert ask(hub, "GET", CONFIG, headers=(("authorization", f"bearer {refreshed['access_token']}"),)).status == 200
    hub.advance(2 * 60)
    assert code(ask(hub, "GET", CONFIG, headers=headers)) == (401, "unauthorized")
    again = value(ask(hub, "POST", REFRESH, dumped({"refresh_token": session["refresh_token"]})))["data"]
    assert again["access_token"] != session["access_token"], "the old one is over"
    assert ask(hub, "GET", CONFIG, headers=(("authorization", f"Bearer {again['access_token']}"),)).status == 200
    hub.advance(3 * 24 * 3600)
    late = ask(hub, "POST", REFRESH, dumped({"refresh_token": session["refresh_token"]}))
    assert code(late) == (401, "unauthorized")


def test_neither_token_does_the_other_s_work() -> None:
    hub = new_hub()
    session = login(hub)
    wrong = (("authorization", f"Bearer {session['refresh_token']}"),)
    assert code(ask(hub, "GET", CONFIG, headers=wrong)) == (401, "unauthorized")
    assert code(ask(hub, "POST", REFRESH, dumped({"refresh_token": session["access_token"]}))) == (401, "unauthorized")
    for header in ("", "Bearer", "Bearer ", "Basic x", "Bearer x", "\udcff"):
        assert code(ask(hub, "GET", CONFIG, headers=(("authorization", header),))) == (401, "unauthorized")
    assert code(ask(hub, "GET", CONFIG)) == (401, "unauthorized")


def test_twenty_sessions_and_the_longest_asleep_make_room() -> None:
    hub = new_hub()
    sessions = [login(hub) for _ in range(20)]
    assert len({session["access_token"] for session in sessions}) == 20
    assert len({session["refresh_token"] for session in sessions}) == 20
    assert code(ask(hub, "POST", LOGIN, GOOD)) == (403, "session_num_exceed")
    assert ask(hub, "POST", LOGIN, dumped({"access_key": "b" * 32, "secret_key": "bob-secret"})).status == 200
    hub.advance(19 * 60)
    for session in sessions[1:]:
        assert ask(hub, "POST", REFRESH, dumped({"refresh_token": session["refresh_token"]})).status == 200
    hub.advance(2 * 60)
    new = login(hub)
    assert new["access_token"] not in {session["access_token"] for session in sessions}
    assert code(ask(hub, "POST", REFRESH, dumped({"refresh_token": sessions[0]["refresh_token"]})))[0] == 401
    assert ask(hub, "POST", REFRESH, dumped({"refresh_token": sessions[1]["refresh_token"]})).status == 200
    assert code(ask(hub, "POST", LOGIN, GOOD)) == (403, "session_num_exceed")


def test_a_partner_who_is_gone_has_no_token() -> None:
    hub = new_hub()
    headers = bearer(hub)
    hub.members = [member("bob")]
    assert code(ask(hub, "GET", CONFIG, headers=headers)) == (401, "unauthorized")


def test_fifty_requests_a_second_and_no_more() -> None:
    hub = new_hub()
    mine, theirs = bearer(hub), bearer(hub, "bob")
    statuses = [ask(hub, "GET", CONFIG, headers=mine).status for _ in range(55)]
    assert statuses == [200] * 50 + [429] * 5
    assert ask(hub, "GET", CONFIG, headers=theirs).status == 200
    hub.advance(1.0)
    assert ask(hub, "GET", CONFIG, headers=mine).status == 200


def test_the_connection_config_is_flat_and_leads_to_the_partner_s_app() -> None:
    hub = new_hub()
    config = value(ask(hub, "GET", CONFIG, headers=bearer(hub)))
    app = apps.app_of(hub.apps_secret, "alice")
    assert config == {
        "app_id": app.id,
        "key": app.key,
        "cluster": "mt1",
        "ws_host": "127.0.0.1",
        "ws_port": 8080,
        "service": "pusher",
    }
    assert app.id.isdigit()
    assert value(ask(hub, "GET", CONFIG, headers=bearer(hub, "bob")))["key"] != app.key
    assert "alice" not in repr(app.secret)
    assert app.secret not in repr(app)


def form(**fields: str) -> bytes:
    return "&".join(f"{name}={text}" for name, text in fields.items()).encode()


def test_discovery_lists_both_channels_with_their_signatures() -> None:
    hub = new_hub()
    hub.publish("prophetx.tournament", "109", worlds.tournament(), op="c")
    hub.publish("prophetx.tournament", "31", worlds.tournament(31), op="c")
    hub.publish("prophetx.tournament", "31", worlds.tournament(31), op="d")
    for body in (b"socket_id=12.34", b'{"socket_id":"12.34"}'):
        answer = ask(hub, "POST", PUSHER, body, bearer(hub))
        assert answer.status == 200
        found = value(answer)
        app = apps.app_of(hub.apps_secret, "alice")
        broadcast, private = found["data"]["authorized_channel"]
        assert found["auth"] == broadcast["auth"] == pusher.authorize(app.key, app.secret, "12.34", BROADCAST)
        assert private["auth"] == pusher.authorize(app.key, app.secret, "12.34", MINE)
        assert (broadcast["channel_name"], private["channel_name"]) == (BROADCAST, MINE)
        assert "broadcast" in BROADCAST
        assert "broadcast" not in MINE
        assert broadcast["binding_events"] == [
            {"name": "tournament_109", "type": "tournament"},
            {"name": "general", "type": "general"},
        ]
        assert [binding["name"] for binding in private["binding_events"]] == ["wagers", "health_check"]
        assert found["data"]["updated_at"] == hub.wall_ns // 10**9
        assert (found["data"]["success"], found["data"]["status"]) == (True, "CONNECTED")


def test_a_library_s_request_is_signed_at_the_top() -> None:
    hub = new_hub()
    app = apps.app_of(hub.apps_secret, "alice")
    for channel in (BROADCAST, MINE):
        answer = ask(hub, "POST", PUSHER, form(channel_name=channel, socket_id="1.2"), bearer(hub))
        assert value(answer)["auth"] == pusher.authorize(app.key, app.secret, "1.2", channel)


@pytest.mark.parametrize(
    "channel", [private_channel(BOB), private_channel(BOB).upper(), "private-x", "", "presence-x", f"{MINE}x", "public"]
)
def test_for_other_channels_nothing_is_signed(channel: str) -> None:
    hub = new_hub()
    answer = ask(hub, "POST", PUSHER, form(channel_name=channel, socket_id="1.2"), bearer(hub))
    assert code(answer) == (403, "forbidden")
    assert b"auth" not in answer.body


@pytest.mark.parametrize("socket_id", ["", "1", "1.2:private-x", "a.b", "1.2%0A", "1.2%3Aprivate-x"])
def test_for_what_is_no_socket_nothing_is_signed(socket_id: str) -> None:
    hub = new_hub()
    body = dumped({"socket_id": socket_id.replace("%0A", "\n").replace("%3A", ":")})
    for each in (body, form(socket_id="") if not socket_id else body):
        assert code(ask(hub, "POST", PUSHER, each, bearer(hub))) == (400, "invalid_param")


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ('[{"type":"tournament","ids":["132","31"]}]', ["tournament_132", "tournament_31", "general"]),
        ('[{"type":"tournament","ids":[132]}]', ["tournament_132", "general"]),
        ('[{"type":"tournament","ids":[]}]', ["tournament_109", "general"]),
        ('[{"type":"tournament"}]', ["tournament_109", "general"]),
        ('[{"type":"selections","ids":["1"]}]', ["tournament_109", "general"]),
        ("[]", ["tournament_109", "general"]),
    ],
)
def test_chosen_tournaments_are_listed(chosen: str, names: list[str]) -> None:
    hub = new_hub()
    hub.publish("prophetx.tournament", "109", worlds.tournament(), op="c")
    headers = (*bearer(hub), ("header-subscriptions", chosen))
    by_header = value(ask(hub, "POST", PUSHER, b"socket_id=1.2", headers))["data"]
    by_body = value(
        ask(hub, "POST", PUSHER, dumped({"socket_id": "1.2", "subscriptions": json.loads(chosen)}), bearer(hub))
    )["data"]
    for data in (by_header, by_body):
        assert [one["name"] for one in data["authorized_channel"][0]["binding_events"]] == names
    assert by_header == by_body


@pytest.mark.parametrize(
    "chosen", ["{", "{}", "[1]", '[{"ids":[]}]', '[{"type":"tournament","ids":"1"}]', "null", "[" * 5000, '["\ud800"]']
)
def test_subscriptions_that_cannot_be_read_are_refused(chosen: str) -> None:
    hub = new_hub()
    headers = (*bearer(hub), ("header-subscriptions", chosen))
    assert code(ask(hub, "POST", PUSHER, b"socket_id=1.2", headers)) == (400, "invalid_param")


def test_grants_narrow_what_is_listed() -> None:
    hub = new_hub(member("alice", tournament_id=frozenset({"31"})))
    for number in (109, 31):
        hub.publish("prophetx.tournament", str(number), worlds.tournament(number), op="c")
    for chosen in ("[]", '[{"type":"tournament","ids":["109","31"]}]'):
        headers = (*bearer(hub), ("header-subscriptions", chosen))
        data = value(ask(hub, "POST", PUSHER, b"socket_id=1.2", headers))["data"]
        names = [one["name"] for one in data["authorized_channel"][0]["binding_events"]]
        assert names == ["tournament_31", "general"]


def test_the_ping_is_answered_and_orders_are_refused_with_the_reason() -> None:
    hub = new_hub()
    for method in ("GET", "POST"):
        assert value(ask(hub, method, "/partner/mm/pusher/ping", headers=bearer(hub))) == {"data": {"success": True}}
    calls = ("place_wager", "place_multiple_wagers", "cancel_wager", "cancel_all_wagers", "cancel_multiple_wagers")
    for call in calls:
        refused = ask(hub, "POST", f"/partner/mm/{call}", b"{}", bearer(hub))
        assert code(refused) == (403, "trading_not_available")
        assert "exchange" in value(refused)["message"]
        assert code(ask(hub, "POST", f"/partner/mm/{call}", b"{}")) == (401, "unauthorized")
