"""Matches, members and requests that the Roanuz tests share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from touchline.feeds.base import EndpointView, Member
from touchline.feeds.roanuz import FEED, http
from touchline.testing.memory import MemoryHub
from touchline.testing.roles import respond, upgrade_request
from touchline.wire.http import HttpRequest, HttpResponse

ROOT = Path(__file__).parents[3]
RECORDINGS = ROOT.parent / "shared" / "recordings"
PAYLOADS = Path(__file__).parent / "payloads"

HOST = "127.0.0.1:8080"
MATCH = "matchkey"
"""What the provider's samples of balls call it."""
PROJECT = "RS_P_1234567890123456789"
OTHER_PROJECT = "RS_P_9876543210987654321"
API_KEY = "RS5:0123456789abcdef0123456789abcdef"
KEY = "webhook-key-1"

SCENARIOS = {
    "non_ball": "other",
    "ball_new": "ball",
    "ball_updated": "ball",
    "ball_deleted": "ball",
    "info": "info",
    "toss": "toss",
    "play": "play",
    "squad": "squad",
    "review": "review",
    "result": "result",
    "reward": "reward",
    "other": "other",
}
"""The seed's twelve samples and the kind of each."""


def payload(name: str) -> bytes:
    return (PAYLOADS / f"{name}.json").read_bytes().rstrip(b"\n")


def scenario(name: str, **parts: bytes) -> tuple[str, str, bytes]:
    """A sample of the seed as it is published: type, subject, data."""
    message = payload(name)
    subject = msgspec.json.decode(message)["data"]["matchkey"]
    members = b"".join(b',"%b":%b' % (part.encode(), value) for part, value in parts.items())
    return f"roanuz.{SCENARIOS[name]}", subject, b'{"notification":%b%b}' % (message, members)


EXAMPLES: Mapping[str, tuple[str, bytes]] = {
    "roanuz.match": (MATCH, b'{"match":%b}' % payload("synthetic_match")),
    **{
        event_type: (subject, data)
        for event_type, subject, data in (scenario(name) for name in SCENARIOS if not name.startswith("ball"))
    },
    "roanuz.ball": scenario("ball_new", ball=payload("synthetic_ball"))[1:],
}


def push(kind: str, *, match: Any = None, ts: int = 1733148600, subject: str = MATCH, **extra: Any) -> Any:
    """A push without a ball, as published."""
    pushed = {"matchkey": subject, "ball": None, "push_reason": "Other", "match_push_kind": kind, "ts": ts}
    notification = {"sport": "cricket", "data_kind": "match-detail-update", "data": pushed | extra}
    data = {"notification": notification} | ({} if match is None else {"match": match})
    return f"roanuz.{kind.lower()}", subject, msgspec.json.encode(data)


def ball(
    over: int,
    place: int,
    *,
    order: int = 1,
    sub: int = 0,
    innings: str | None = None,
    reason: str = "NewOrLast",
    delete: bool = False,
    detail: bool = True,
    kind: str = "normal",
    bat: int = 0,
    extras: int = 0,
    out: bool = False,
    subject: str = MATCH,
    **changed: Any,
) -> tuple[str, str, bytes]:
    """A ball push with its REST detail, as published; ``over`` counts from 0."""
    key = order << 19 | over << 9 | place << 6 | sub
    innings = innings or ("a_1" if order % 2 else "b_1")
    named = {"ball_key": key, "over": over, "batting_order": order, "is_delete": delete}
    pushed = {"matchkey": subject, "ball": named, "push_reason": reason, "match_push_kind": "Ball", "ts": 1733148600}
    data: dict[str, Any] = {
        "notification": {"sport": "cricket", "data_kind": "match-entry-update", "data": pushed},
    }
    if detail and not delete:
        legal = int(kind not in ("wide", "no_ball"))
        data["ball"] = {
            "key": str(key),
            "ball_type": kind,
            "batting_team": innings[0],
            "innings": innings,
            "overs": [over, place],
            "batsman": {
                "player_key": "p",
                "runs": bat,
                "is_dot_ball": not bat and kind != "wide",
                "is_four": bat == 4,
                "is_six": bat == 6,
            },
            "team_score": {"ball_count": legal, "runs": bat + extras, "extras": extras, "is_wicket": out},
            "updated_time": 1733148600.5,
        } | changed
    return "roanuz.ball", subject, msgspec.json.encode(data)


STORY: tuple[tuple[str, str, bytes], ...] = (
    ("roanuz.match", MATCH, b'{"match":%b}' % payload("synthetic_match")),
    push("Squad", match={"squad": {"a": {"captain": "p"}}}),
    push("Toss", match={"toss": {"winner": "b", "elected": "bowl"}}),
    push("Play", match={"status": "started", "play_status": "in_play"}),
    ball(0, 1, bat=4),
    ball(0, 2, kind="wide", extras=1),
    ball(0, 2, sub=1, out=True),
    ball(1, 1, bat=1),
    ball(0, 1, bat=6, reason="Update"),
    ball(1, 2, bat=2),
    ball(1, 2, delete=True, reason="Other"),
    ball(1, 2, sub=1, kind="leg_bye", extras=2),
    push("Play", match={"play_status": "innings_break"}),
    ball(0, 1, order=2, bat=6),
    ("roanuz.something_new", MATCH, push("Something_new")[2]),
    ball(0, 2, order=2, bat=6),
    push("Result", match={"status": "completed", "winner": "b", "play": {"result": {"winner": "b"}}}),
    push("Reward", match={"play": {"result": {"pom": ["p"]}}}),
    push("Review"),
)
"""A small match: a makes 6+1+0+1+2 = 10 for 1, b wins by 12 for none. One ball is corrected, one deleted."""


def member(partner: str = "demo", project: str = PROJECT, **grants: str) -> Member:
    return Member(
        partner,
        "roanuz",
        {name: frozenset(value.split("|")) for name, value in grants.items()},
        {"project_key": project, "api_key": hashlib.sha256(API_KEY.encode()).hexdigest()},
    )


def endpoint(partner: str = "demo", **options: str) -> EndpointView:
    return EndpointView("ep_1", partner, (KEY,), (), "", options)


def new_hub(*members: Member, endpoints: bool = True) -> MemoryHub:
    """A hub with these members (one without grants when none is given), each with an endpoint; empty of records."""
    hub = MemoryHub(FEED, members or (member(),), f"http://{HOST}")
    if endpoints:
        hub.views = [endpoint(each.partner) for each in hub.members]
    return hub


def told_hub(*members: Member, story: tuple[tuple[str, str, bytes], ...] = STORY, endpoints: bool = True) -> MemoryHub:
    """A hub in which the small match was played."""
    hub = new_hub(*members, endpoints=endpoints)
    for each in story:
        hub.publish(*each)
    return hub


def request(method: str, path: str, body: bytes = b"", query: str = "", **headers: str) -> HttpRequest:
    made = upgrade_request(f"http://{HOST}{path}" + (f"?{query}" if query else ""))
    given = {"host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
    return msgspec.structs.replace(made, method=method, body=body, headers=tuple(given.items()))


def answer(hub: MemoryHub, asked: HttpRequest) -> HttpResponse:
    return respond(http.operations(hub), asked)


def login(hub: MemoryHub, project: str = PROJECT, api_key: str = API_KEY) -> HttpResponse:
    return answer(hub, request("POST", f"/v5/core/{project}/auth/", msgspec.json.encode({"api_key": api_key})))


def token(hub: MemoryHub, project: str = PROJECT) -> str:
    value = msgspec.json.decode(login(hub, project).body)["data"]["token"]
    assert isinstance(value, str)
    return value


def get(hub: MemoryHub, path: str, match: str = MATCH, **headers: str) -> HttpResponse:
    """A GET below the match, with a good token."""
    asked = request("GET", f"/v5/cricket/{PROJECT}/match/{match}/{path}", rs_token=token(hub), **headers)
    return answer(hub, asked)


def call(hub: MemoryHub, path: str, body: bytes = b'{"method": "web_hook"}', match: str = MATCH) -> HttpResponse:
    """A POST below the match, with a good token."""
    return answer(hub, request("POST", f"/v5/cricket/{PROJECT}/match/{match}/{path}/", body, rs_token=token(hub)))


def code(response: HttpResponse) -> tuple[int, str]:
    """Status and code of an error, with its envelope checked."""
    body = msgspec.json.decode(response.body)
    assert body.keys() == {"data", "cache", "schema", "error", "http_status_code"}
    assert body["data"] is None
    assert body["error"].keys() == {"code", "http_status_code", "msg"}
    assert body["http_status_code"] == body["error"]["http_status_code"] == response.status
    assert body["error"]["msg"]
    return response.status, body["error"]["code"]
