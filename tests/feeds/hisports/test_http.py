"""The REST over an in-memory hub: keys, grants, and every call as clients read it."""

from __future__ import annotations

from typing import Any

import pytest

from touchline.feeds.hisports import http
from touchline.testing.memory import MemoryHub

from .worlds import (
    CREATE,
    GAME,
    KEY,
    OTHER_KEY,
    SHEET,
    UPDATE,
    answer,
    ask,
    data,
    game,
    get,
    member,
    new_hub,
    payload,
    refused,
    sheet,
    told_hub,
)

UNAUTHORIZED = (401, "Authorization Required", "AUTHORIZATION_REQUIRED")


# --- the door ---


@pytest.mark.parametrize("key", ["", "x", "0" * 40, "g" * 40, KEY + "0", KEY[:-1], OTHER_KEY])
def test_a_wrong_key_is_refused_and_counted(key: str) -> None:
    hub = told_hub()
    assert refused(hub, "/games", key) == UNAUTHORIZED
    assert hub.failures == [("192.0.2.1", "")]


def test_no_key_is_refused_and_not_counted() -> None:
    hub = told_hub()
    assert refused(hub, "/games", None) == UNAUTHORIZED
    assert hub.failures == []


def test_the_key_s_case_and_the_scheme_s_do_not_matter() -> None:
    hub = told_hub()
    request = ask("/games/4100", KEY.upper())
    assert answer(hub, request).status == 200


def test_too_many_failures() -> None:
    hub = told_hub()
    hub.locked["192.0.2.1"] = 12.3
    response = answer(hub, ask("/games"))
    assert (response.status, response.header("retry-after")) == (429, "13")


def test_every_operation_asks_for_a_key() -> None:
    hub = told_hub()
    paths = [operation.path.replace("{id}", GAME) for operation in http.operations(hub)]
    assert len(paths) == 14
    for path in paths:
        assert refused(hub, path.removeprefix("/api"), None) == UNAUTHORIZED


# --- one game ---


def test_a_game_is_as_published() -> None:
    hub = told_hub()
    assert get(hub, "/games/4100") == get(hub, "/sp/games/4100") == payload("game")


@pytest.mark.parametrize("number", [..., None, ""])
def test_the_number_is_the_id_where_none_is_set(number: object) -> None:
    hub = new_hub()
    hub.publish(CREATE, GAME, data(game=game(number=number, big=2**53 + 1)))
    expected = game(number="4100", big=2**53 + 1)
    assert get(hub, "/games/4100") == expected
    assert get(hub, "/games") == [expected]
    assert get(hub, "/games/4100/boxScore")["gameNumber"] == "4100"


def test_a_scoresheet_is_as_published() -> None:
    hub = told_hub()
    assert get(hub, "/games/4100/scoresheet") == payload("scoresheet")


@pytest.mark.parametrize("path", ["", "/scoresheet", "/boxScore", "/lineups"])
def test_a_game_that_nobody_knows(path: str) -> None:
    status, message, code = refused(told_hub(), f"/games/9{path}")
    assert (status, code) == (404, "MODEL_NOT_FOUND")
    assert '"9"' in message


def test_a_game_without_a_scoresheet() -> None:
    hub = new_hub()
    hub.publish(CREATE, GAME, data(game=game()))
    assert refused(hub, "/games/4100/scoresheet")[0] == 404
    assert get(hub, "/games/4100/lineups") == {}
    box = get(hub, "/games/4100/boxScore")
    assert (box["goals"], box["penalties"]) == ([], [])


def test_a_scoresheet_without_a_game() -> None:
    hub = new_hub()
    hub.publish(SHEET, GAME, data(scoresheet=sheet()))
    assert refused(hub, "/games/4100")[0] == 404
    assert get(hub, "/games/4100/scoresheet") == sheet()
    assert len(get(hub, "/games/4100/boxScore")["goals"]) == 9
    assert get(hub, "/games") == []


def test_lineups_by_team() -> None:
    found = get(told_hub(), "/games/4100/lineups")
    assert {team: len(members) for team, members in found.items()} == {"2177": 1, "2178": 4}
    assert found["2177"] == payload("scoresheet")["lineups"]["2177"]["members"]


# --- the box score ---


def test_the_seed_s_box_score() -> None:
    box = get(told_hub(), "/games/4100/boxScore")
    assert box["gameNumber"] == "4100"
    assert box["teams"] == [
        {
            "id": side["id"],
            "name": side["name"],
            "logoUrl": side["logo"]["url"],
            "score": score,
        }
        for side, score in ((game()["homeTeam"], 6), (game()["awayTeam"], 3))
    ]
    times = [tuple(goal["gameTime"].values()) for goal in box["goals"]]
    assert times == [
        ("1", 15, 44),
        ("1", 7, 1),
        ("1", 0, 18),
        ("2", 18, 48),
        ("2", 14, 5),
        ("2", 6, 33),
        ("2", 0, 58),
        ("2", 0, 22),
        ("3", 0, 3),
    ]
    sixth = box["goals"][5]
    assert sixth["isPowerplay"] is True
    assert sixth["participant"] == {"fullName": None, "number": None, "participantId": 11426}
    assert sixth["assists"][1] == {"fullName": "PERSON ONE", "number": 1, "participantId": 10495}
    assert [(p["teamId"], p["infraction"], p["duration"], p["code"]) for p in box["penalties"]] == [
        (2178, "Head Contact", {"name": "Minor", "description": "Minor", "i18n": "minor"}, "head-contact"),
        (2178, "Misconduct", {"name": "Misconduct", "description": "Misconduct", "i18n": "misconduct"}, "misconduct"),
    ]


def goal(team: int, period: str = "1") -> dict[str, Any]:
    return {"teamId": team, "gameTime": {"period": period, "minutes": 0, "seconds": 0}}


@pytest.mark.parametrize(
    ("goals", "expected"),
    [
        ([], [0, 0]),
        ([goal(2177), goal(2178, "OT")], [1, 1]),
        ([goal(2177), goal(2178), goal(2178, "SO")], [1, 2]),
        ([goal(2177), goal(2178), goal(2178, "SO"), goal(2178, "SO"), goal(2177, "SO")], [1, 2]),
        ([goal(2178, "SO"), goal(2177, "SO")], [0, 0]),
        ([{"teamId": "2177"}, {"teamId": 2177, "gameTime": None}, {}], [2, 0]),
    ],
)
def test_a_shootout_counts_one_goal(goals: list[Any], expected: list[int]) -> None:
    hub = new_hub()
    hub.publish(SHEET, GAME, data(game=game(), scoresheet=sheet(goals=goals)))
    assert [team["score"] for team in get(hub, "/games/4100/boxScore")["teams"]] == expected


def test_today_s_shapes_in_the_box_score() -> None:
    hub = new_hub()
    today = data(game=payload("synthetic_game_today"), scoresheet=payload("synthetic_scoresheet_today"))
    hub.publish(SHEET, "4101", today)
    box = get(hub, "/games/4101/boxScore")
    assert box["gameNumber"] == "4101"
    assert box["goals"][0]["participant"] == {"fullName": "PERSON TEN", "number": "9", "participantId": "700"}
    assert box["penalties"][0]["duration"]["name"] == "Double Minor"
    assert [team["score"] for team in box["teams"]] == [1, 0]


@pytest.mark.parametrize(
    ("infraction", "duration", "name"),
    [
        ("game-misconduct", None, "Game Misconduct"),
        ("game-misconduct", "match", "Match"),
        ("penalty-shot", None, None),
        (None, "minor", "Minor"),
    ],
)
def test_durations(infraction: str | None, duration: str | None, name: str | None) -> None:
    hub = new_hub()
    penalty = {"participantId": 9566, "infraction": infraction, "duration": duration}
    hub.publish(SHEET, GAME, data(game=game(), scoresheet=sheet(penalties=[penalty])))
    (found,) = get(hub, "/games/4100/boxScore")["penalties"]
    assert (found["duration"] or {}).get("name") == name
    assert found["teamId"] == 2178, "found by the lineup"


# --- lists ---


def test_a_row_may_hold_anything_however_deep() -> None:
    hub = new_hub()
    deep = b'{"game":{"id":4100,"number":"7","x":%b1%b}}' % (b"[" * 900, b"]" * 900)
    hub.publish(CREATE, GAME, deep)
    asked = ask("/games", KEY, filter={"where": {"number": "7", "x": {"neq": None}}, "order": "x"})
    assert answer(hub, asked).body == b"[" + deep[len(b'{"game":') : -1] + b"]"


@pytest.fixture
def season() -> MemoryHub:
    hub = new_hub(member(), member("club", OTHER_KEY, team_id="5|6", office_id="8"))
    for game_id, changed in {
        1: {},
        2: {"officeId": 9, "startTime": "2018-10-14T23:30:00.000Z"},
        3: {"homeTeamId": 5, "homeTeam": {"id": 5, "name": "Old Name"}, "status": "Postponed"},
        10: {"awayTeamId": "6", "awayTeam": {"id": "6", "name": "Sixes"}, "startTime": None},
        11: {"homeTeamId": 5, "homeTeam": {"id": 5, "name": "New Name"}, "number": ...},
    }.items():
        hub.publish(CREATE, str(game_id), data(game=game(game_id, **changed)))
    hub.publish(UPDATE, "1", data(game=game(1, status="Rink Changed")))
    hub.publish(UPDATE, "12", data(game=game(12, officeId=9)))
    return hub


def ids(rows: list[Any]) -> list[Any]:
    return [row["id"] for row in rows]


def test_games_are_listed_by_id(season: MemoryHub) -> None:
    rows = get(season, "/games")
    assert ids(rows) == [1, 2, 3, 10, 11, 12]
    assert rows[0]["status"] == "Rink Changed"
    assert get(season, "/games/count") == {"count": 6}


def test_a_filter_selects_orders_and_pages(season: MemoryHub) -> None:
    where = {"or": [{"officeId": 9}, {"homeTeamId": "5"}]}
    assert ids(get(season, "/games", filter={"where": where})) == [2, 3, 11, 12]
    assert get(season, "/games/count", where=where) == {"count": 4}
    assert ids(get(season, "/games", filter={"order": "id DESC", "limit": 2, "skip": 1})) == [11, 10]
    assert ids(get(season, "/sp/games", filter={"where": {"number": "11"}})) == [11], "number is the id there"


def test_only_so_many_at_once() -> None:
    hub = new_hub()
    for number in range(101):
        hub.publish(CREATE, str(number), data(game={"id": number, "x": 1}))
    assert len(get(hub, "/games")) == 100
    assert len(get(hub, "/games", filter={"limit": 1000})) == 101


def test_a_game_outside_the_grants_does_not_exist(season: MemoryHub) -> None:
    assert ids(get(season, "/games", OTHER_KEY)) == [3, 10, 11]
    assert get(season, "/games/count", OTHER_KEY) == {"count": 3}
    for path in ("", "/scoresheet", "/boxScore", "/lineups"):
        outside = refused(season, f"/games/2{path}", OTHER_KEY)
        nowhere = refused(season, f"/games/99{path}", OTHER_KEY)
        assert outside == (nowhere[0], nowhere[1].replace("99", "2"), nowhere[2])
    season.publish(SHEET, "77", data(scoresheet=sheet()))
    assert refused(season, "/games/77/scoresheet", OTHER_KEY)[0] == 404, "nobody knows whose it is"


def test_teams_of_the_games(season: MemoryHub) -> None:
    assert ids(get(season, "/teams")) == [5, "6", 2177, 2178]
    assert [team["name"] for team in get(season, "/teams", filter={"where": {"id": 5}})] == ["New Name"]
    assert ids(get(season, "/teams", OTHER_KEY)) == [5, "6", 2177, 2178], "who plays against them, too"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/games", {"filter": "{"}),
        ("/games", {"filter": "[]"}),
        ("/games", {"filter": {"fields": ["id"]}}),
        ("/games", {"filter[limit]": "1"}),
        ("/games/count", {"where[id]": "1"}),
        ("/games/count", {"where": "null"}),
        ("/games/4100", {"filter": {"include": "secrets"}}),
        ("/teams", {"filter": {"limit": "5"}}),
    ],
)
def test_a_filter_that_is_not_understood_is_refused(path: str, query: dict[str, Any]) -> None:
    status, message, code = refused(told_hub(), path, **query)
    assert (status, code) == (400, None)
    assert message
