"""``touchline endpoint``: what it asks the hub for, and what it prints for people and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from touchline.cli.endpoint_output import age

Command = Callable[..., Any]

VIEW: dict[str, Any] = {
    "endpoint": "ep_1",
    "partner": "acme",
    "feed": "insights",
    "url": "https://a.example/hook",
    "label": "prod",
    "topics": ["nfl/highs/en"],
    "options": {"window": "4"},
    "status": "paused",
    "by_hub": True,
    "reason": "no success for 24 h",
    "created_at": "2026-01-01T00:00:00.000Z",
    "secrets": [{"scheme": "hmac", "created_at": "2026-01-01T00:00:00.000Z", "expires_at": "2026-01-02T00:00:00.000Z"}],
    "subscriptions": [
        {"topic": "nfl/highs/en", "state": "pending", "expires_at": "2026-01-03T00:00:00.000Z", "expired": True},
        {"topic": "nba/highs/en", "state": "confirmed", "expires_at": None, "expired": False},
    ],
    "state": "paused",
    "cursor": "abcdefgh-5",
    "head": "abcdefgh-9",
    "backlog": 1000,
    "backlog_is_bound": True,
    "oldest_undelivered_seconds": 7300.0,
    "success_rate": 0.25,
    "delivered": 10,
    "failed": 3,
    "in_flight": 1,
    "window": 2,
    "dead_letters": 1,
    "expired": 0,
    "next_try_seconds": 12.0,
    "last_error": "connection refused",
}
ATTEMPT = {
    "at": "2026-01-01T00:00:00.000Z",
    "kind": "event",
    "message_id": "m-1",
    "offset": 7,
    "type": "insights.insight",
    "subject": "nfl/highs/en",
    "number": 2,
    "status": 204,
    "trouble": "",
    "detail": "",
    "seconds": 0.25,
    "excerpt": "",
    "replay": True,
}
LETTER = {
    "offset": 7,
    "type": "roanuz.ball",
    "subject": "m-1",
    "id": "e-1",
    "dead_at": "2026-01-01T00:00:00.000Z",
    "attempts": 9,
    "status": 500,
    "reason": "500 for 60 s",
}


class Endpoints:
    """Answers for the hub's endpoints as the test sets them, and what was asked."""

    def __init__(self, hub: Any) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, Any]] = []
        hub.answer = self.answer

    def answer(self, method: str, path: str, body: bytes, host: str) -> tuple[int, Any]:
        del host
        assert path.startswith("/hub/v1/endpoints")
        rest = path.removeprefix("/hub/v1/endpoints")
        self.asked.append((method, rest, msgspec.json.decode(body) if body else None))
        return self.answers.get(f"{method} {rest}", (200, VIEW))


@pytest.fixture
def endpoints(hub: Any) -> Endpoints:
    return Endpoints(hub)


def test_add_prints_what_the_contract_says(endpoints: Endpoints, touchline: Command) -> None:
    endpoints.answers["POST "] = (201, VIEW | {"secret": "whsec_x", "state": "active"})
    done = touchline(
        *("endpoint", "add", "acme", "https://a.example/hook?x=1", "--feed", "insights", "--label", "prod", "--json"),
        *("--topic", "nfl/highs/*", "--topic", "nba/*/en", "--option", "window=4", "--option", "header.X-A=b=c"),
    )
    assert done.code == 0, done
    assert done.json == {"endpoint": "ep_1", "secret": "whsec_x", "state": "active"}
    assert endpoints.asked == [
        (
            "POST",
            "",
            {
                "partner": "acme",
                "url": "https://a.example/hook?x=1",
                "feed": "insights",
                "topics": ["nfl/highs/*", "nba/*/en"],
                "label": "prod",
                "options": {"window": "4", "header.X-A": "b=c"},
            },
        )
    ]
    said = touchline("endpoint", "add", "acme", "https://a.example/", "--feed", "insights").out
    assert said == "endpoint ep_1, active\nsecret: whsec_x\n1 topics wait for the receiver to confirm them\n"


def test_list_goes_through_all_pages(endpoints: Endpoints, touchline: Command) -> None:
    endpoints.answers["GET ?limit=100&partner=acme&feed=hub"] = (200, {"endpoints": [VIEW], "next": "ep_1"})
    other = VIEW | {"endpoint": "ep_2", "backlog": 0, "backlog_is_bound": False, "oldest_undelivered_seconds": None}
    endpoints.answers["GET ?limit=100&partner=acme&feed=hub&after=ep_1"] = (
        200,
        {"endpoints": [other | {"success_rate": None}]},
    )
    given = ("endpoint", "list", "--partner", "acme", "--feed", "hub")
    assert [one["endpoint"] for one in touchline(*given, "--json").json["endpoints"]] == ["ep_1", "ep_2"]
    assert touchline(*given).out == (
        "ep_1\tacme\tinsights\tpaused\t1000+\t2.0 h\t25 %\t1\tprod\thttps://a.example/hook\n"
        "ep_2\tacme\tinsights\tpaused\t0\t–\t–\t1\tprod\thttps://a.example/hook\n"
    )


def test_show(endpoints: Endpoints, touchline: Command) -> None:
    assert touchline("endpoint", "show", "ep_1", "--json").json == VIEW
    said = touchline("endpoint", "show", "ep_1").out
    for line in (
        "state: paused",
        "reason: no success for 24 h",
        "topics: nfl/highs/en",
        "option window: 4",
        "secret: hmac, made 2026-01-01T00:00:00.000Z, good until 2026-01-02T00:00:00.000Z",
        "owed: 1000+, the oldest for 2.0 h",
        "next try in: 12.0 s",
        "last error: connection refused",
        "position: abcdefgh-5",
        "nfl/highs/en\texpired\t2026-01-03T00:00:00.000Z",
        "nba/highs/en\tconfirmed\t–",
    ):
        assert f"{line}\n" in said
    assert [asked[:2] for asked in endpoints.asked] == [("GET", "/ep_1")] * 2


def test_an_id_is_one_part_of_the_path(endpoints: Endpoints, touchline: Command) -> None:
    touchline("endpoint", "show", "../keys?x=1#")
    assert endpoints.asked == [("GET", "/..%2Fkeys%3Fx%3D1%23", None)]


def test_update(endpoints: Endpoints, touchline: Command) -> None:
    given = ("endpoint", "update", "ep_1")
    done = touchline(
        *(*given, "--to", "https://b.example/", "--topic", "a.b", "--label", "", "--option", "window=5"),
        *("--drop-option", "order", "--resubscribe", "--json"),
    )
    assert done.json == VIEW
    assert endpoints.asked.pop() == (
        "PATCH",
        "/ep_1",
        {
            "url": "https://b.example/",
            "topics": ["a.b"],
            "label": "",
            "options": {"window": "5", "order": None},
            "resubscribe": True,
        },
    )
    assert touchline(*given, "--label", "x").code == 0
    assert endpoints.asked.pop()[2] == {"label": "x"}
    endpoints.answers["PATCH /ep_1"] = (200, VIEW | {"secret": "whpk_new"})
    assert touchline(*given, "--option", "signature=ed25519").out.endswith("new secret: whpk_new\n")
    endpoints.asked.clear()
    for wrong in ((), ("--option", "a=1", "--drop-option", "a"), ("--option", "a")):
        done = touchline(*given, *wrong)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), wrong
    assert endpoints.asked == []


def test_the_verbs(endpoints: Endpoints, touchline: Command) -> None:
    endpoints.answers["POST /ep_1/replay"] = (200, {"endpoint": "ep_1", "after": "abcdefgh-2"})
    endpoints.answers["POST /ep_1/rotate-secret"] = (200, {"endpoint": "ep_1", "secret": "whsec_new"})
    endpoints.answers["DELETE /ep_1"] = (204, None)
    assert touchline("endpoint", "pause", "ep_1").out == "ep_1 is paused\n"
    assert touchline("endpoint", "resume", "ep_1", "--json").json == VIEW
    assert "after abcdefgh-2" in touchline("endpoint", "replay", "ep_1", "--since", "2h").out
    assert touchline("endpoint", "rotate-secret", "ep_1", "--json").json == {"endpoint": "ep_1", "secret": "whsec_new"}
    assert touchline("endpoint", "rotate-secret", "ep_1", "--overlap", "0s").out == "secret: whsec_new\n"
    assert touchline("endpoint", "remove", "ep_1", "--json").json == {"endpoint": "ep_1", "removed": True}
    assert endpoints.asked == [
        ("POST", "/ep_1/pause", None),
        ("POST", "/ep_1/resume", None),
        ("POST", "/ep_1/replay", {"since": "2h"}),
        ("POST", "/ep_1/rotate-secret", {}),
        ("POST", "/ep_1/rotate-secret", {"overlap": "0s"}),
        ("DELETE", "/ep_1", None),
    ]
    assert touchline("endpoint", "replay", "ep_1").code == 2


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({}, 0, ""),
        ({"status": 500}, 1, "it answered 500"),
        ({"status": 302}, 1, "it answered 302"),
        ({"status": None, "trouble": "connect", "detail": "connection refused"}, 1, "connection refused"),
        ({"status": None, "trouble": "timeout"}, 1, "timeout"),
    ],
)
def test_a_test_says_whether_it_was_taken(
    endpoints: Endpoints, touchline: Command, change: dict[str, Any], code: int, words: str
) -> None:
    endpoints.answers["POST /ep_1/test"] = (200, ATTEMPT | change)
    done = touchline("endpoint", "test", "ep_1", "--json")
    assert (done.code, done.json) == (code, ATTEMPT | change)
    assert words in done.err
    assert done.err.count("\n") == code
    assert touchline("endpoint", "test", "ep_1").code == code


def test_attempts(endpoints: Endpoints, touchline: Command) -> None:
    failed = ATTEMPT | {"status": None, "trouble": "timeout", "detail": "no answer\x1b[2J in time", "replay": False}
    endpoints.answers["GET /ep_1/attempts"] = (200, {"endpoint": "ep_1", "attempts": [ATTEMPT, failed]})
    assert touchline("endpoint", "attempts", "ep_1", "--json").json == {"attempts": [ATTEMPT, failed]}
    begin = "2026-01-01T00:00:00.000Z\tevent"
    assert touchline("endpoint", "attempts", "ep_1").out == (
        f"{begin} replay\t2\t204\t0.250\t7\tinsights.insight\tnfl/highs/en\t\n"
        f"{begin}\t2\ttimeout\t0.250\t7\tinsights.insight\tnfl/highs/en\tno answer\ufffd[2J in time\n"
    )


def test_dead_letters(endpoints: Endpoints, touchline: Command) -> None:
    listed = "GET /ep_1/dead-letters?limit=1000"
    endpoints.answers[listed] = (200, {"endpoint": "ep_1", "dead_letters": [LETTER]})
    endpoints.answers["POST /ep_1/dead-letters/redrive"] = (200, {"endpoint": "ep_1", "redriven": 1})
    given = ("endpoint", "dead-letters", "ep_1")
    assert touchline(*given, "--json").json == {"dead_letters": [LETTER]}
    row = "7\troanuz.ball\tm-1\te-1\t2026-01-01T00:00:00.000Z\t9\t500\t500 for 60 s\n"
    assert touchline(*given).out == row
    assert touchline(*given, "--redrive").out == row + "1 are delivered again\n"
    assert touchline(*given, "--redrive", "--offset", "7", "--json").json == {"dead_letters": [LETTER], "redriven": 1}
    asked = [body for method, _, body in endpoints.asked if method == "POST"]
    assert asked == [{}, {"offsets": [7]}]
    assert touchline(*given, "--offset", "7").code == 2


def test_the_hubs_refusal_is_one_line(endpoints: Endpoints, touchline: Command) -> None:
    endpoints.answers["POST "] = (400, {"title": "Bad Request", "detail": "the URL\nhas no host"})
    done = touchline("endpoint", "add", "acme", "https://", "--feed", "hub", "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err == "touchline: the hub answered 400: Bad Request: the URL has no host\n"


def test_help_is_complete(touchline: Command) -> None:
    said = touchline("endpoint", "--help").out
    for verb in (
        *("add", "list", "show", "update", "pause", "resume", "replay", "test"),
        *("rotate-secret", "remove", "attempts", "dead-letters"),
    ):
        assert verb in said
        assert touchline("endpoint", verb, "--help").code == 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "–"), (0.0, "0.0 s"), (59.94, "59.9 s"), (90.0, "1.5 m"), (172_800.0, "2.0 d")]
)
def test_ages(seconds: float | None, words: str) -> None:
    assert age(seconds) == words
