"""Games, members and requests that the ShotTracker tests share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from touchline.feeds.base import Member, Token
from touchline.feeds.shottracker import FEED, auth
from touchline.testing.memory import MemoryHub
from touchline.testing.roles import upgrade_request
from touchline.wire.http import HttpRequest

PAYLOADS = Path(__file__).parent / "payloads"
GAME = "g1"
TOKEN = "6141681d-df46-11e6-a818-f20e96351dc1"
HOST = "127.0.0.1:8080"
T0 = 1_795_089_600_000
"""The wall time of a new MemoryHub in epoch milliseconds."""


def payload(name: str) -> bytes:
    return (PAYLOADS / f"{name}.json").read_bytes()


EXAMPLES: Mapping[str, tuple[str, bytes]] = {
    "shottracker.boxscorestatsv2": (GAME, payload("stats")),
    "shottracker.shot": (GAME, payload("shot")),
    "shottracker.marker": (GAME, payload("synthetic_marker")),
    "shottracker.playbyplay": (GAME, payload("synthetic_playbyplay")),
    "shottracker.lineup": (GAME, payload("synthetic_lineup")),
    "shottracker.possession": (GAME, payload("synthetic_possession")),
    "shottracker.location": (GAME, payload("location")),
    "shottracker.clock": (GAME, payload("synthetic_clock")),
    "shottracker.broadcastsummary": (GAME, payload("synthetic_broadcastsummary")),
    "shottracker.game": ("062a3726-3b0f-11eb-86c4-02420043683b", payload("schedule_row")),
    "shottracker.team": ("461", payload("synthetic_team")),
}


def member(partner: str = "demo-user", *, envelope: str | None = None, **grants: str) -> Member:
    return Member(
        partner,
        "shottracker",
        {name: frozenset(value.split("|")) for name, value in grants.items()},
        {"username": partner, "secret": "demo-secret"},
        {} if envelope is None else {"envelope": envelope},
    )


def new_hub(*members: Member, token: str | None = TOKEN, subject: str = GAME) -> MemoryHub:
    """A hub with these members (one without grants when none is given) and a token of the first for the game."""
    hub = MemoryHub(FEED, members or (member(),), f"http://{HOST}")
    if token is not None:
        hub.tokens[token] = Token(token, "shottracker", hub.members[0].partner, "subscribe", subject, None)
    return hub


def live(query: str = f"token={TOKEN}") -> HttpRequest:
    return upgrade_request(f"ws://{HOST}/live/v2/games?{query}")


def body(**members: Any) -> bytes:
    return msgspec.json.encode(members)


def marker(kind: str, at: int, **members: Any) -> tuple[str, bytes]:
    return "marker", body(occurred_at=T0 + at, type=kind, **members)


def stats(at: int, team: int, player: int, version: int, **totals: float) -> tuple[str, bytes]:
    return "boxscorestatsv2", body(
        occurred_at=T0 + at, team_id=team, player_id=player, stats=totals, classification="X", version=version
    )


def shot(at: int, team: int, player: int, **members: Any) -> tuple[str, bytes]:
    usual = {"is_make": True, "is_3point": False, "zone": 1, "hoop_player_x": 3000, "hoop_player_y": 4000}
    whole = {"occurred_at": T0 + at, "team_id": team, "player_id": player, "status": "RECORDED"} | usual | members
    return "shot", msgspec.json.encode(whole)


def row(event_id: str = GAME, **members: Any) -> bytes:
    whole = {
        "event_id": event_id,
        "location_id": "f@c",
        "tipoff_at": T0,
        "gender": "WOMEN",
        "status": "ACTIVE",
        "home_team_id": 123,
        "home_team_name": "Home",
        "home_team_reference_id": "900123",
        "away_team_id": 456,
        "away_team_name": "Away",
        "away_team_reference_id": "900456",
    }
    return msgspec.json.encode(whole | members)


STORY: tuple[tuple[str, bytes], ...] = (
    marker("GAME_START", 0),
    marker("SESSION_START", 1, session_id="q1", period="Q1"),
    ("lineup", body(occurred_at=T0 + 1, team_id=123, player_ids=[1, 2, 3, 4, 5])),
    ("clock", body(occurred_at=T0 + 2, period="Q1", game_clock="10:00.0", running=True)),
    ("location", body(occurred_at=T0 + 3, type="PLAYER", id=1, x=1, y=2, z=3)),
    stats(10, 123, 1, 1, FGA=1, FG=1, PTS=2, TEAM_SCORE=2, OPPOSING_TEAM_SCORE=0),
    shot(10, 123, 1),
    stats(20, 456, 9, 2, FGA=1, FG=1, PTS=3, TEAM_SCORE=3, OPPOSING_TEAM_SCORE=2),
    shot(20, 456, 9, zone=12, is_3point=True),
    ("possession", body(team_id=456, start_timestamp=T0 + 12, end_timestamp=T0 + 20)),
    ("playbyplay", body(timestamp=T0 + 20, teamId="456", pid="9", key={"actorId": "9", "timestamp": T0 + 20})),
    marker("SESSION_END", 30, session_id="q1", period="Q1"),
    marker("SESSION_START", 40, session_id="q2", period="Q2"),
    stats(50, 123, 2, 3, FGA=1, FG=1, PTS=2, TEAM_SCORE=4, OPPOSING_TEAM_SCORE=3),
    stats(10, 123, 1, 4, FGA=0, FG=0, PTS=0),
    shot(10, 123, 1, status="DELETED"),
    ("something", b'{"new":true}'),
    ("location", body(occurred_at=T0 + 53, type="BALL", id="b", x=1, y=2, z=3)),
    marker("SESSION_END", 60, session_id="q2", period="Q2"),
    marker("GAME_END", 61),
)
"""A small game: home 123 (2 points in the end, the first basket was taken back) against 456 (3 points)."""


def told_hub(*members: Member, story: tuple[tuple[str, bytes], ...] = STORY) -> MemoryHub:
    """A hub in which the small game was played, with its schedule row first."""
    hub = new_hub(*members)
    hub.publish("shottracker.game", GAME, row())
    for source, data in story:
        hub.publish(f"shottracker.{source}", GAME, data)
    return hub


def signed(hub: MemoryHub, path: str, query: str = "", *, username: str = "demo-user", **changed: str) -> HttpRequest:
    """A GET as the examples page signs it."""
    date = auth.http_date(hub.wall_ns)
    request = upgrade_request(f"http://{HOST}{path}" + (f"?{query}" if query else ""))
    authorization = auth.sign(username, "demo-secret", method="GET", target_path=path, host=HOST, date=date)
    headers = {"host": HOST, "date": date, "authorization": authorization} | changed
    return msgspec.structs.replace(request, headers=tuple(headers.items()))
