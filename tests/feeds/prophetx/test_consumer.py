"""The consumer role without a socket: logging in, finding the channels, staying connected, and giving up."""

from __future__ import annotations

import json
import random

import pytest

from touchline.errors import ConfigError
from touchline.feeds.base import Instant
from touchline.feeds.prophetx.consumer import Settings, connect
from touchline.wire.http import HttpRequest, HttpResponse

from .consumer_worlds import BROADCAST, CHANNELS, CONFIG, PRIVATE, WALL, Provider, book, good, refused, session

LOGIN, REFRESH, WHERE, PUSHER = "/auth/login", "/auth/refresh", "/websocket/connection-config", "/mm/pusher"


def config(**changed: object) -> HttpResponse:
    return good({name: value for name, value in (CONFIG | changed).items() if value is not None})


# settings


def test_settings_show_no_keys() -> None:
    shown = repr(Settings(access_key="ak-1", secret_key="sk-1"))
    assert "ak-1" not in shown
    assert "sk-1" not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://x"},
        {"url": "http://"},
        {"url": "http://u:p@x"},
        {"url": "http://x?a=b"},
        {"access_key": ""},
        {"secret_key": ""},
        {"tournaments": ("109", "x\r\ny: z")},
    ],
)
def test_wrong_settings_are_told_before_anything_is_asked(wrong: dict[str, object]) -> None:
    settings = Settings(**({"access_key": "a", "secret_key": "s"} | wrong))  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        connect(settings, random.Random(1), Instant(0, 0.0))


@pytest.mark.parametrize("url", ["http://hub.test:8080", "http://hub.test:8080/", "http://hub.test:8080/partner/"])
def test_the_base_url_may_end_in_partner(url: str) -> None:
    provider = Provider(url=url).connect()
    assert provider.requests[0].url == "http://hub.test:8080/partner/auth/login"
    assert provider.requests[0].body == b'{"access_key":"ak","secret_key":"sk"}'


# the way in


def test_logs_in_asks_where_and_subscribes_to_both_channels() -> None:
    provider = Provider(tournaments=("109", "132"))
    provider.settle()
    assert provider.paths == [LOGIN, WHERE]
    assert provider.requests[1].header("authorization") == "Bearer T1"
    (url,) = provider.opened
    assert url.startswith("ws://push.test/app/k1?protocol=7&client=touchline&version=")
    provider.greet()
    provider.settle()
    request = provider.requests[2]
    assert (request.method, request.url) == ("POST", "http://hub.test:8080/partner/mm/pusher")
    assert request.body == b"socket_id=12.34"
    assert request.header("content-type") == "application/x-www-form-urlencoded"
    assert json.loads(request.header("header-subscriptions") or "") == [{"type": "tournament", "ids": []}]
    assert [(message["event"], message["data"]) for message in provider.sent] == [
        ("pusher:subscribe", {"channel": PRIVATE, "auth": "k1:bb"}),
        ("pusher:subscribe", {"channel": BROADCAST, "auth": "k1:aa"}),
    ]
    assert provider.kinds == []
    provider.confirm(BROADCAST)
    provider.settle()
    assert provider.kinds[0] == "connected"


@pytest.mark.parametrize(
    ("answer", "base", "expected"),
    [
        (config(), "http://x:8080", "ws://push.test/app/k1?"),
        (config(ws_port=8080), "http://x", "ws://push.test:8080/app/k1?"),
        (good({"data": CONFIG}), "https://x", "wss://push.test/app/k1?"),
        (config(ws_host=None, cluster="us3"), "https://x", "wss://ws-us3.pusher.com/app/k1?"),
        (config(ws_host="::1", ws_port=80), "http://x", "ws://[::1]:80/app/k1?"),
        (config(key="a/b"), "http://x", "ws://push.test/app/a%2Fb?"),
        (config(service=None), "http://x", "ws://push.test/app/k1?"),
        (good(CONFIG | {"cluster": None, "service": None}), "https://x", "wss://push.test/app/k1?"),
        (config(ws_port="8080"), "http://x", "ws://push.test:8080/app/k1?"),
    ],
)
def test_where_the_socket_is(answer: HttpResponse, base: str, expected: str) -> None:
    provider = Provider(url=base)
    provider.answers[WHERE] = answer
    provider.settle()
    assert [url[: len(expected)] for url in provider.opened] == [expected]


@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse(200, b""),
        HttpResponse(200, b"[" * 10_000),
        good({}),
        good({"data": {}}),
        good({"data": 7}),
        config(key=""),
        config(service="ably"),
        config(ws_host="evil.test/x?"),
        config(ws_host="a b"),
        config(ws_host="10.0.0.1:6001"),
        config(ws_host="1:2"),
        config(ws_host="a..test"),
        config(ws_host="x" * 64 + ".test"),
        config(ws_host=None, cluster="x.evil/"),
        config(ws_port=0),
        config(ws_port=70_000),
    ],
)
def test_a_config_that_cannot_be_used_is_asked_for_again(answer: HttpResponse) -> None:
    provider = Provider()
    provider.answers[WHERE] = answer
    provider.settle()
    assert (provider.opened, provider.kinds) == ([], ["retrying"])
    provider.answers[WHERE] = config()
    provider.pass_time(1)
    assert len(provider.opened) == 1


@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse(200, b""),
        good({"auth": "x"}),
        good({"data": {"authorized_channel": []}}),
        good({"data": {"authorized_channel": [{"channel_name": "private-x", "auth": "k:1"}]}}),
        refused(403, "forbidden"),
        refused(500),
        None,
    ],
)
def test_channels_that_are_not_given_are_asked_for_again(answer: HttpResponse | None) -> None:
    provider = Provider()
    provider.answers[PUSHER] = answer
    provider.settle()
    provider.greet()
    provider.settle()
    assert (provider.sent, provider.kinds) == ([], ["retrying"])
    provider.answers[PUSHER] = good(CHANNELS)
    provider.pass_time(31)
    assert [message["event"] for message in provider.sent[:2]] == ["pusher:subscribe"] * 2


# tokens


def test_refreshed_in_time_and_the_socket_stays() -> None:
    provider = Provider().live()
    provider.pass_time(9 * 60)
    assert provider.paths == []
    provider.pass_time(2 * 60)
    assert provider.paths == [REFRESH]
    assert provider.requests[0].body == b'{"refresh_token":"R1"}'
    assert provider.requests[0].header("authorization") == "Bearer T1"
    provider.forget()
    provider.pass_time(20 * 60)
    assert provider.paths.count(REFRESH) == 2
    after = next(request for request in provider.requests if request.url.endswith("/connection-config"))
    assert after.header("authorization") == "Bearer T2"
    assert (provider.opened, provider.hangups) == ([], 0)


@pytest.mark.parametrize("offset", [-86_400.0, -900.0, 900.0, 1_150.0, 86_400.0])
@pytest.mark.parametrize("has_date", [True, False])
def test_a_wrong_clock_of_ours_makes_no_refresh_late(offset: float, has_date: bool) -> None:
    provider = Provider()
    provider.wall_offset = offset
    if not has_date:
        plain = session(now=WALL)
        provider.answers[LOGIN] = HttpResponse(200, plain.body, ())
    provider.connect()
    provider.pass_time(3)
    provider.forget()
    provider.pass_time(11 * 60)
    assert REFRESH in provider.paths
    if has_date:
        assert provider.paths.count(REFRESH) == 1


@pytest.mark.parametrize("date", ["", "today", f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"])
def test_an_odd_date_does_no_harm(date: str) -> None:
    provider = Provider()
    provider.answers[LOGIN] = HttpResponse(200, session().body, (("date", date),))
    provider.live()
    provider.pass_time(11 * 60)
    assert REFRESH in provider.paths


def test_members_of_a_session_may_be_null() -> None:
    provider = Provider()
    data = {"access_token": "T1", "refresh_token": "R1", "access_expire_time": None}
    provider.answers[LOGIN] = good({"data": data})
    provider.answers[REFRESH] = good({"data": {"access_token": "T2", "refresh_token": None}})
    provider.live()
    provider.pass_time(25 * 60)
    refreshes = [request.body for request in provider.requests if request.url.endswith(REFRESH)]
    assert refreshes == [b'{"refresh_token":"R1"}'] * 2


def test_a_token_is_refreshed_while_messages_come_without_a_pause() -> None:
    provider = Provider().live()
    for _ in range(11 * 60):
        provider.seconds += 1
        provider.health()
        provider.settle()
    assert provider.paths == [REFRESH]


def test_a_refused_refresh_leads_to_a_login_and_the_socket_stays() -> None:
    provider = Provider().live()
    provider.answers[REFRESH] = refused(401, "unauthorized")
    provider.answers[LOGIN] = lambda _: session("T3", "R3", now=provider.wall)
    provider.pass_time(11 * 60)
    assert provider.paths == [REFRESH, LOGIN]
    assert provider.kinds == ["token"]
    assert (provider.opened, provider.hangups) == ([], 0)


def test_a_refresh_that_fails_until_the_token_has_run_out_leads_to_a_login() -> None:
    provider = Provider().live()
    provider.answers[REFRESH] = refused(500)
    provider.answers[LOGIN] = lambda _: session("T9", "R9", now=provider.wall)
    provider.pass_time(19 * 60)
    assert LOGIN not in provider.paths
    provider.answers[WHERE] = lambda request: (
        config() if request.header("authorization") == "Bearer T9" else refused(401)
    )
    provider.pass_time(12 * 60)
    assert provider.paths.count(LOGIN) == 1
    assert provider.requests[-1].header("authorization") == "Bearer T9"
    assert provider.hangups == 0


def test_an_answer_of_401_renews_the_token_and_asks_once_more() -> None:
    provider = Provider()
    provider.settle()
    provider.answers[PUSHER] = lambda asked: (
        good(CHANNELS) if asked.header("authorization") == "Bearer T2" else refused(401)
    )
    provider.greet()
    provider.settle()
    assert provider.paths == [LOGIN, WHERE, PUSHER, REFRESH, PUSHER]
    assert len(provider.sent) == 2


def test_401_for_every_token_is_no_storm() -> None:
    provider = Provider()
    provider.answers[WHERE] = refused(401)
    provider.settle()
    provider.pass_time(600)
    assert len(provider.requests) < 200
    assert provider.role.close_reason is None


def test_ten_minutes_of_500_at_the_login_are_waited_for() -> None:
    provider = Provider()
    provider.answers[LOGIN] = refused(500, "internal_error")
    provider.settle()
    provider.pass_time(600)
    assert 10 < provider.paths.count(LOGIN) < 150
    assert provider.role.close_reason is None
    provider.answers[LOGIN] = lambda _: session(now=provider.wall)
    provider.pass_time(31)
    assert len(provider.opened) == 1
    provider.join()
    assert "connected" in provider.kinds


@pytest.mark.parametrize("answer", [refused(429, retry_after="7"), refused(503, retry_after="7")])
def test_retry_after_is_kept(answer: HttpResponse) -> None:
    provider = Provider()
    provider.answers[LOGIN] = answer
    provider.settle()
    provider.answers[LOGIN] = lambda _: session(now=provider.wall)
    provider.pass_time(6.9)
    assert provider.paths == [LOGIN]
    provider.pass_time(0.2)
    assert provider.paths[:2] == [LOGIN, LOGIN]


@pytest.mark.parametrize("after", ["-5", "86400", "99999999999", "Thu, 19 Nov 2026 12:00:00 GMT", "²", "1e9"])
def test_an_odd_retry_after_does_no_harm(after: str) -> None:
    provider = Provider()
    provider.answers[LOGIN] = refused(429, retry_after=after)
    provider.settle()
    deadline = provider.role.deadline()
    assert deadline is not None
    assert deadline <= provider.seconds + 300


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"data":{}}', b'{"data":{"access_token":""}}', b'{"data":{"access_token":"a\\nb"}}', b"\xff"]
)
def test_a_login_without_a_token_is_tried_again(body: bytes) -> None:
    provider = Provider()
    provider.answers[LOGIN] = HttpResponse(200, body)
    provider.settle()
    assert provider.kinds == ["retrying"]
    assert provider.role.close_reason is None


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_a_refused_login_is_the_end(status: int) -> None:
    provider = Provider()
    provider.answers[LOGIN] = refused(status, "unauthorized", "access_key or secret_key is wrong")
    provider.settle()
    assert provider.kinds == ["refused"]
    assert provider.role.close_reason == provider.notices[0].detail
    assert f"login was refused with {status} access_key or secret_key is wrong" in provider.notices[0].detail
    assert provider.role.deadline() is None
    assert provider.role.events_received() == []


def test_too_many_sessions_are_waited_for() -> None:
    provider = Provider()
    provider.answers[LOGIN] = refused(403, "session_num_exceed", "There are 20 sessions already")
    provider.settle()
    assert provider.kinds == ["retrying"]
    provider.answers[LOGIN] = lambda _: session(now=provider.wall)
    provider.pass_time(2)
    assert len(provider.opened) == 1


def test_a_refused_config_is_the_end_at_first_and_a_notice_later() -> None:
    provider = Provider()
    provider.answers[WHERE] = refused(404)
    provider.settle()
    assert provider.kinds == ["refused"]
    provider = Provider().live()
    provider.answers[WHERE] = refused(404)
    provider.pass_time(31 * 60)
    assert provider.role.close_reason is None
    assert "config" in provider.kinds
    assert provider.hangups == 0


# staying connected


def test_config_is_read_every_half_hour_and_a_change_reconnects() -> None:
    provider = Provider().live()
    provider.pass_time(29 * 60)
    assert WHERE not in provider.paths
    provider.pass_time(2 * 60)
    assert provider.paths.count(WHERE) == 1
    assert provider.hangups == 0
    provider.answers[WHERE] = config(ws_host="other.test")
    for _ in range(31 * 60):
        if not provider.opened:
            provider.pass_time(1)
    assert provider.hangups == 1
    assert provider.opened[-1].startswith("ws://other.test/app/k1?")
    provider.join()
    assert provider.kinds.count("connected") == 1


def test_an_address_that_changes_while_the_socket_opens_is_gone_to() -> None:
    provider = Provider().live()
    provider.pass_time(29 * 60)
    provider.forget()
    provider.answers[WHERE] = config(ws_host="other.test")
    provider.accepts = False
    provider.close(1006)
    provider.pass_time(2 * 60)
    assert [url.split("/")[2] for url in provider.opened] == ["push.test"]
    assert WHERE in provider.paths
    provider.is_open = provider.accepts = True
    provider.role.opened(provider.now)
    provider.settle()
    provider.pass_time(2)
    assert [url.split("/")[2] for url in provider.opened] == ["push.test", "other.test"]


def test_pings_are_answered_and_a_silent_server_is_pinged() -> None:
    provider = Provider()
    provider.settle()
    provider.frame("pusher:connection_established", {"socket_id": "1.2", "activity_timeout": 8})
    provider.settle()
    for channel in (PRIVATE, BROADCAST):
        provider.confirm(channel)
    provider.pass_time(1)
    provider.forget()
    provider.frame("pusher:ping", {})
    provider.pass_time(7.9, healthy=False)
    assert [message["event"] for message in provider.sent] == ["pusher:pong"]
    provider.pass_time(0.2, healthy=False)
    assert [message["event"] for message in provider.sent] == ["pusher:pong", "pusher:ping"]
    provider.frame("pusher:pong", {})
    provider.pass_time(7, healthy=False)
    assert len(provider.sent) == 2


def test_without_a_health_check_for_thirty_seconds_the_line_is_dropped() -> None:
    provider = Provider().live()
    provider.health()
    provider.pass_time(29, healthy=False)
    assert provider.hangups == 0
    provider.push("market_selections", book(1, 120), at=10)  # it is health checks that count
    provider.pass_time(1.1, healthy=False)
    assert provider.hangups == 1
    assert "no health check for 30 s" in provider.notices[0].detail
    provider.pass_time(2)
    provider.join()
    assert provider.kinds.count("connected") == 1


@pytest.mark.parametrize("channel", [PRIVATE, BROADCAST, None])
def test_a_health_check_counts_wherever_it_comes_and_nobody_is_told(channel: str | None) -> None:
    provider = Provider().live()
    for _ in range(10):
        provider.pass_time(20, healthy=False)
        data = {"change_type": "private_system_signal", "op": "u", "payload": "e30=", "timestamp": 1}
        provider.frame("health_check", json.dumps(data), channel)
    assert (provider.hangups, provider.messages) == (0, [])


@pytest.mark.parametrize(
    ("event", "change"),
    [
        ("disconnect", {}),
        ("health_check", {"change_type": "disconnect", "payload": "e30="}),
        ("health_check", {"change_type": "private_system_signal", "payload": "eyJzaWduYWwiOiJkaXNjb25uZWN0In0="}),
    ],
)
def test_a_disconnect_signal_reconnects_at_once(event: str, change: dict[str, str]) -> None:
    provider = Provider().live()
    provider.pass_time(20)
    before = provider.seconds
    provider.frame(event, json.dumps(change), PRIVATE)
    provider.settle()
    provider.pass_time(0)
    assert (provider.hangups, len(provider.opened), provider.seconds) == (1, 1, before)


@pytest.mark.parametrize("has_error", [True, False])
@pytest.mark.parametrize(("code", "least", "most"), [(4200, 0, 0), (4100, 1, 31), (1006, 0, 31), (1000, 0, 31)])
def test_codes_by_class(code: int, least: float, most: float, has_error: bool) -> None:
    provider = Provider().live()
    provider.pass_time(20)
    lost_at = provider.seconds
    if code >= 4000 and has_error:
        provider.frame("pusher:error", {"code": code, "message": "bye"})
        provider.settle()
    else:
        provider.close(code)
    while not provider.opened:
        provider.pass_time(0.1)
    assert least <= provider.seconds - lost_at <= most + 0.2
    assert provider.kinds[0] == "reconnecting"


def test_a_server_that_sends_away_at_once_is_not_stormed() -> None:
    provider = Provider()
    provider.settle()
    for _ in range(600):
        if provider.is_open:
            provider.close(4200)
            provider.settle()
        provider.pass_time(0.1)
    assert 3 <= len(provider.opened) <= 40


@pytest.mark.parametrize("code", [4001, 4003, 4009])
def test_a_final_code_ends_it_unless_the_address_has_changed(code: int) -> None:
    provider = Provider().live()
    provider.answers[WHERE] = config(key="k2")
    provider.frame("pusher:error", {"code": code, "message": "no such app"})
    provider.settle()
    assert provider.role.close_reason is None
    assert provider.opened[0].startswith("ws://push.test/app/k2?")
    provider.frame("pusher:error", {"code": code, "message": "no such app"})
    provider.settle()
    assert provider.kinds[-1] == "refused"
    assert f"{code}: no such app" in (provider.role.close_reason or "")


@pytest.mark.parametrize("data", [{"code": 4301, "message": "x"}, {"message": "x"}, {"code": 4300}])
def test_an_error_that_leaves_the_socket_open_is_told(data: dict[str, object]) -> None:
    provider = Provider().live()
    provider.frame("pusher:error", data)
    provider.settle()
    assert (provider.kinds, provider.hangups) == (["protocol_error"], 0)


def test_a_refused_subscription_is_told_and_tried_again_with_a_new_signature() -> None:
    provider = Provider()
    provider.settle()
    provider.greet()
    provider.settle()
    provider.confirm(PRIVATE)
    provider.frame("pusher:subscription_error", {"type": "AuthError", "error": "no", "status": 401}, BROADCAST)
    provider.settle()
    assert provider.kinds[:1] == ["subscription_refused"]
    provider.pass_time(31)
    provider.join()
    assert "connected" in provider.kinds
    assert provider.paths.count(PUSHER) == 2


def test_without_the_private_channel_it_goes_on() -> None:
    provider = Provider()
    provider.settle()
    provider.greet()
    provider.settle()
    provider.frame("pusher:subscription_error", {"type": "AuthError", "error": "no", "status": 401}, PRIVATE)
    provider.confirm(BROADCAST)
    provider.settle()
    provider.pass_time(2)
    assert provider.kinds == ["subscription_refused", "connected", "reconciled"]
    assert "/mm/get_wagers" not in provider.paths


@pytest.mark.parametrize("stage", ["greeting", "subscription"])
def test_a_server_that_stops_half_way_is_left(stage: str) -> None:
    provider = Provider()
    provider.settle()
    if stage == "subscription":
        provider.greet()
        provider.settle()
    provider.pass_time(16)
    assert provider.hangups == 1


@pytest.mark.parametrize(("status", "ends"), [(404, True), (403, True), (429, False), (503, False), (None, False)])
def test_a_handshake_that_fails(status: int | None, ends: bool) -> None:
    provider = Provider()
    provider.accepts = False
    provider.settle()
    provider.close(None, "no", status=status)
    provider.settle()
    assert (provider.role.close_reason is not None) == ends
    if not ends:
        provider.accepts = True
        provider.pass_time(31)
        assert provider.is_open


def test_answers_to_an_older_socket_are_passed_over() -> None:
    provider = Provider()
    provider.settle()
    provider.greet()
    provider.settle(answering=False)
    (late,) = provider.waiting
    provider.waiting.clear()
    provider.close(1006)
    provider.pass_time(31)
    provider.answer(late)
    provider.settle()
    assert provider.sent == []


@pytest.mark.parametrize(
    "garbage",
    ["", "no", "[]", "7", '{"event":7}', "[" * 10_000, "\ud800", b"\xff", b"{}", '{"event":"x","data":"\\ud800"}'],
)
def test_frames_that_are_garbage_are_told_and_the_rest_goes_on(garbage: str | bytes) -> None:
    provider = Provider().live()
    provider.role.receive_data(garbage, provider.now)
    provider.settle()
    assert provider.kinds == ["protocol_error"]
    assert len(provider.notices[0].detail) < 400
    provider.push("market_selections", book(1, 120), at=10)
    provider.settle()
    assert provider.sources == ["market_selections"]


def test_what_is_sent_holds_no_key_but_at_the_login() -> None:
    provider = Provider().live()
    provider.pass_time(40 * 60)
    for request in provider.requests:
        assert b"sk" not in request.body
        assert "sk" not in request.url


def test_the_request_is_made_with_its_own_token_header_only() -> None:
    seen: list[HttpRequest] = []

    def remember(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return good(CONFIG)

    provider = Provider()
    provider.answers[WHERE] = remember
    provider.settle()
    assert [value for name, value in seen[0].headers if name == "authorization"] == ["Bearer T1"]
