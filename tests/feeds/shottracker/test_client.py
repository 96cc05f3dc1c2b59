"""The consumer role without a socket: time and answers are handed in."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.errors import ConfigError
from touchline.feeds.base import ClientWish, Fetch, Hangup, Instant, Message, Notice, Open
from touchline.feeds.shottracker.client import Settings, ShotTrackerClient, connect
from touchline.wire.http import HttpResponse

WALL = 1_795_089_600_000_000_000
"""Thu, 19 Nov 2026 12:00:00 GMT"""
TOKEN = "6141681d-df46-11e6-a818-f20e96351dc1"
GOOD = HttpResponse(200, b'{"token":"6141681d-df46-11e6-a818-f20e96351dc1"}')


class Line:
    """A role with a clock beside it."""

    def __init__(self, *, seconds: float = 1000.0, **settings: Any) -> None:
        given = {"username": "demo-user", "secret": "demo-secret", "event_id": "g1", "url": "http://hub.test:8080"}
        self.seconds = seconds
        self.role: ShotTrackerClient = connect(Settings(**(given | settings)), random.Random(1), self.now)
        self.wishes: list[ClientWish] = []

    @property
    def now(self) -> Instant:
        return Instant(WALL + int((self.seconds - 1000) * 1e9), self.seconds)

    def take(self) -> list[ClientWish]:
        return self.role.events_received()

    def one(self, kind: type[Any]) -> Any:
        found = [wish for wish in self.take() if isinstance(wish, kind)]
        assert len(found) == 1, found
        return found[0]

    def notices(self) -> list[str]:
        return [wish.kind for wish in self.take() if isinstance(wish, Notice)]

    def answer(self, response: HttpResponse | None) -> None:
        self.role.fetched(self.one(Fetch).number, response, self.now)

    def open(self) -> Open:
        """From a wish to fetch to an open socket; returns what was to be opened."""
        self.answer(GOOD)
        return self.accept()

    def accept(self) -> Open:
        wish = self.one(Open)
        assert isinstance(wish, Open)
        self.role.opened(self.now)
        return wish

    def receive(self, *messages: dict[str, Any] | bytes | str) -> None:
        for message in messages:
            data = msgspec.json.encode(message).decode() if isinstance(message, dict) else message
            self.role.receive_data(data, self.now)

    def messages(self) -> list[Message]:
        return [wish for wish in self.take() if isinstance(wish, Message)]

    def go_to_deadline(self) -> None:
        deadline = self.role.deadline()
        assert deadline is not None
        self.seconds = max(self.seconds, deadline)
        self.role.tick(self.now)


def data(seq: int | str | None, source: str = "boxscorestatsv2", **members: Any) -> dict[str, Any]:
    return ({} if seq is None else {"seq": str(seq)}) | {"type": "data", "source": source, "data": members}


def query(wish: Open) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(wish.url).query)


def test_asks_for_its_token_with_a_signed_request() -> None:
    line = Line(event_id="a b/c")
    request = line.one(Fetch).request
    assert request.method == "GET"
    assert request.url == "http://hub.test:8080/v1/data/schedule/games/a%20b%2Fc/_subscribe"
    headers = dict(request.headers)
    assert headers["host"] == "hub.test:8080"
    assert headers["date"] == "Thu, 19 Nov 2026 12:00:00 GMT"
    assert headers["authorization"].startswith(
        'hmac username="demo-user",algorithm="hmac-sha1",headers="date host request-line",signature="'
    )


def test_the_socket_is_asked_for_as_documented() -> None:
    line = Line(sources=("clock", "broadcastsummary"), summary_level="game_stats", last_seq=7)
    assert line.open().url == (
        f"ws://hub.test:8080/live/v2/games?token={TOKEN}&source=clock&source=broadcastsummary"
        "&broadcast_summary_level=game_stats&last_seq=7"
    )


def test_https_leads_to_wss_and_a_prefix_is_kept() -> None:
    line = Line(url="https://api.shottracker.com/east/")
    assert line.open().url == f"wss://api.shottracker.com/east/live/v2/games?token={TOKEN}"


@pytest.mark.parametrize(
    "body",
    [b'{"token":"T"}', b'"T"', b"T", b" T\n", b'{"subscriptionToken":"T","status":200}', b'{"x":1,"token":"T"}'],
)
def test_a_token_is_found_in_every_likely_answer(body: bytes) -> None:
    line = Line()
    line.answer(HttpResponse(200, body))
    assert query(line.one(Open)) == [("token", "T")]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"token":7}', b"<html>no such page</html>", b"\xff", b"[" * 9999]
)
def test_an_answer_without_a_token_is_tried_again(body: bytes) -> None:
    line = Line()
    line.answer(HttpResponse(200, body))
    assert line.notices() == ["reconnecting"]
    line.go_to_deadline()
    line.one(Fetch)


def test_messages_come_out_with_seq_source_and_bytes_untouched() -> None:
    line = Line()
    line.open()
    line.take()
    raw = '{ "seq":"25","new":[1.0],"type":"data","source":"boxscorestatsv2","data":{"b":9007199254740993,"a":15.0}}'
    line.receive(raw, data(None, "location", x=1))
    first, second = line.messages()
    assert (first.source, first.raw, first.resume) == ("boxscorestatsv2", raw.encode(), "25")
    assert first.data == b'{"b":9007199254740993,"a":15.0}'
    assert (second.source, second.data, second.resume) == ("location", b'{"x":1}', "")
    assert line.role.last_seq == 25


def test_the_older_envelope_is_taken_too() -> None:
    line = Line()
    line.open()
    line.take()
    line.receive({"type": "stats", "data": {"version": 1}}, {"type": "shot", "seq": 4, "data": {}})
    assert [(one.source, one.resume) for one in line.messages()] == [("boxscorestatsv2", ""), ("shot", "4")]


def test_the_older_envelope_is_refused_when_asked() -> None:
    line = Line(strict_envelope=True)
    line.open()
    line.take()
    line.receive({"type": "stats", "data": {}})
    assert line.notices() == ["protocol_error"]


def test_what_was_seen_is_dropped_and_jumps_pass() -> None:
    line = Line(last_seq=3)
    line.open()
    line.take()
    line.receive(data(3), data(4), data(4), data(9), data(2), data(None, "clock"), data(10), data("011"))
    assert [one.resume for one in line.messages()] == ["4", "9", "", "10", "11"]


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "no",
        "[]",
        "7",
        '{"type":"data"}',
        '{"seq":"x","source":"a"}',
        '{"seq":-1,"source":"a"}',
        '{"seq":1.5,"source":"a"}',
        '{"seq":true,"source":"a"}',
        '{"seq":{},"source":"a"}',
        '{"seq":"99999999999999999999","source":"a"}',
        '{"source":7}',
        '{"source":"a","data":',
        b"\xff\xfe",
        b'{"source":"a","data":"\xff"}',
        "[" * 10_000,
        '{"source":"a","data":' + "[" * 10_000,
        "\ud800",
    ],
)
def test_garbage_is_told_and_the_rest_goes_on(garbage: str | bytes) -> None:
    line = Line()
    line.open()
    line.take()
    line.receive(garbage)
    notice = line.one(Notice)
    assert notice.kind == "protocol_error"
    assert len(notice.detail) < 400
    line.receive(data(1))
    assert len(line.messages()) == 1
    assert line.role.close_reason is None


def test_an_unknown_type_or_source_is_kept() -> None:
    line = Line()
    line.open()
    line.take()
    line.receive(data(1, "officials"), {"type": "weather", "data": 1}, {"seq": "2", "type": "odd", "source": "s"})
    assert [(one.source, one.data) for one in line.messages()] == [("officials", b"{}"), ("weather", b"1"), ("s", b"")]


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(raw: bytes) -> None:
    line = Line()
    line.open()
    line.receive(raw)
    assert line.role.close_reason is None


def test_pings_after_silence_and_hangs_up_on_a_dead_line() -> None:
    line = Line()
    line.open()
    line.take()
    line.go_to_deadline()
    assert line.seconds == 1025
    assert line.role.data_to_send() == ['{"action":"ping"}']
    line.seconds = 1026
    line.receive({"action": "pong"})
    assert line.messages() == []
    line.go_to_deadline()
    assert (line.seconds, line.role.data_to_send()) == (1051, ['{"action":"ping"}'])
    line.go_to_deadline()
    assert (line.seconds, line.role.data_to_send()) == (1076, ['{"action":"ping"}'])
    line.go_to_deadline()
    assert line.seconds == 1086
    assert line.take() == [Hangup(1001)]
    line.receive(data(1))
    assert line.messages() == []
    line.role.closed(1000, "", line.now)
    assert line.notices() == ["reconnecting"]


def test_a_busy_line_is_not_pinged() -> None:
    line = Line()
    line.open()
    for _ in range(10):
        line.seconds += 24
        line.receive(data(None, "location"))
        line.role.tick(line.now)
    assert line.role.data_to_send() == []


@pytest.mark.parametrize("code", [None, 1001, 1005, 1006, 1011, 1012, 1013, 4000])
def test_reconnects_and_goes_on_after_the_last_seq(code: int | None) -> None:
    line = Line()
    line.open()
    line.receive(data(1), data(2))
    line.take()
    line.role.closed(code, "", line.now)
    assert line.notices() == ["reconnecting"]
    line.go_to_deadline()
    assert query(line.accept()) == [("token", TOKEN), ("last_seq", "2")]
    line.take()
    line.receive(data(2), data(3))
    assert [one.resume for one in line.messages()] == ["3"]


def test_backoff_is_drawn_from_a_doubling_range_up_to_the_cap() -> None:
    class Highest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    now = Instant(WALL, 0.0)
    role = connect(Settings(username="u", secret="s", event_id="g"), Highest(), now)
    waits = []
    for _ in range(9):
        (fetch,) = [wish for wish in role.events_received() if isinstance(wish, Fetch)]
        role.fetched(fetch.number, HttpResponse(500), now)
        deadline = role.deadline()
        assert deadline is not None
        waits.append(deadline - now.monotonic)
        now = Instant(WALL, deadline)
        role.tick(now)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_ten_minutes_of_500_on_login_are_outlived() -> None:
    line = Line()
    while line.seconds < 1600:
        line.answer(HttpResponse(500, b'{"status":500,"message":"system"}'))
        line.go_to_deadline()
    line.open()
    assert line.role.close_reason is None


def test_no_answer_and_retry_after() -> None:
    line = Line()
    line.answer(None)
    line.go_to_deadline()
    line.answer(HttpResponse(503, b"", (("retry-after", "120"),)))
    assert (line.role.deadline() or 0) >= line.seconds + 120
    line.go_to_deadline()
    line.answer(HttpResponse(429, b"", (("retry-after", "99999999"),)))
    assert (line.role.deadline() or 0) <= line.seconds + 300


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Valid from"),
        (401, "check username, secret"),
        (403, "Access denied to resource"),
        (404, "no game 'g1'"),
        (302, "redirects"),
    ],
)
def test_a_refused_subscription_ends_and_says_why(status: int, words: str) -> None:
    told = {400: "Valid from", 403: "Access denied to resource"}.get(status, "")
    line = Line()
    line.answer(HttpResponse(status, msgspec.json.encode({"status": status, "message": told})))
    assert line.one(Notice).kind == "refused"
    assert words in (line.role.close_reason or "")
    assert line.role.deadline() is None
    line.role.tick(line.now)
    assert line.take() == []


def test_the_end_of_the_game() -> None:
    line = Line()
    line.open()
    line.take()
    line.role.closed(1000, "game over", line.now)
    assert line.notices() == ["finished"]
    assert "game over" in (line.role.close_reason or "")


def test_1008_is_answered_by_one_new_token() -> None:
    line = Line()
    line.open()
    line.receive(data(5))
    line.take()
    line.role.closed(1008, "revoked", line.now)
    line.answer(HttpResponse(200, b'{"token":"second"}'))
    assert query(line.accept()) == [("token", "second"), ("last_seq", "5")]
    line.take()
    line.role.closed(1008, "revoked", line.now)
    assert line.notices() == ["refused"]
    assert "1008" in (line.role.close_reason or "")


def test_1008_counts_anew_after_progress() -> None:
    line = Line()
    line.open()
    for seq in (1, 2, 3):
        line.receive(data(seq))
        line.take()
        line.role.closed(1008, "", line.now)
        line.open()
    assert line.role.close_reason is None


def test_401_at_the_handshake_fetches_a_new_token_then_backs_off() -> None:
    line = Line()
    line.answer(GOOD)
    line.take()
    line.role.closed(None, "", line.now, status=401)
    line.answer(GOOD)
    line.take()
    line.role.closed(None, "", line.now, status=401)
    assert line.notices() == ["reconnecting"]
    line.go_to_deadline()
    line.open()


def test_410_is_a_gap_and_goes_on_from_the_oldest() -> None:
    line = Line(last_seq=40)
    line.answer(GOOD)
    line.take()
    line.role.closed(None, "", line.now, status=410)
    wishes = line.take()
    assert [wish.kind for wish in wishes if isinstance(wish, Notice)] == ["gap"]
    (again,) = [wish for wish in wishes if isinstance(wish, Open)]
    assert query(again) == [("token", TOKEN)]
    line.role.opened(line.now)
    line.take()
    line.role.closed(None, "", line.now)
    line.go_to_deadline()
    assert query(line.accept()) == [("token", TOKEN)], "nothing has come yet: still from the oldest"
    line.take()
    line.receive(data(38), data(40), data(61))
    assert [one.resume for one in line.messages()] == ["61"]
    line.role.closed(None, "", line.now)
    line.take()
    line.go_to_deadline()
    assert ("last_seq", "61") in query(line.accept())


def test_410_from_the_beginning_is_no_gap() -> None:
    line = Line()
    line.answer(GOOD)
    line.take()
    line.role.closed(None, "", line.now, status=410)
    assert line.notices() == ["reconnecting"]


@pytest.mark.parametrize("status", [301, 400, 403, 404, 426])
def test_a_handshake_refused_for_good_ends(status: int) -> None:
    line = Line()
    line.answer(GOOD)
    line.take()
    line.role.closed(None, "no source left", line.now, status=status)
    assert line.notices() == ["refused"]
    assert f"{status}: no source left" in (line.role.close_reason or "")


@pytest.mark.parametrize("status", [None, 408, 429, 500, 502, 503])
def test_a_handshake_that_failed_is_tried_again(status: int | None) -> None:
    line = Line()
    line.answer(GOOD)
    line.take()
    line.role.closed(None, "", line.now, status=status)
    line.go_to_deadline()
    line.one(Open)


def test_late_answers_are_ignored() -> None:
    line = Line()
    first = line.one(Fetch)
    line.role.fetched(first.number + 1, GOOD, line.now)
    assert line.take() == []
    line.role.opened(line.now)
    line.role.closed(1006, "", line.now)
    line.receive(data(1))
    assert line.take() == []


def test_settings_keep_their_secret() -> None:
    assert "hush" not in repr(Settings(username="u", secret="hush", event_id="g"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://hub.test"},
        {"url": "hub.test:8080"},
        {"url": "http://u:p@hub.test"},
        {"event_id": ""},
        {"event_id": ".."},
        {"username": 'a"b'},
        {"username": "a\nb"},
    ],
)
def test_what_cannot_stand_in_a_request_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        Line(**wrong)


@given(st.data())
def test_any_breaks_give_every_seq_once_and_in_order(drawn: st.DataObject) -> None:
    """A peer that resumes inclusively or not, a line that breaks anywhere: the user sees 1 to 30, once, in order."""
    line = Line()
    seen: list[int] = []
    line.answer(GOOD)
    while len(seen) < 30:
        wish = line.accept()
        start = int(dict(query(wish)).get("last_seq", 0)) + (0 if drawn.draw(st.booleans()) else 1)
        stop = min(30, start + drawn.draw(st.integers(0, 12)))
        line.receive(*(data(seq) for seq in range(max(1, start), stop + 1)))
        seen += [int(one.resume) for one in line.messages()]
        line.role.closed(None, "", line.now)
        line.go_to_deadline()
    assert seen == list(range(1, 31))
