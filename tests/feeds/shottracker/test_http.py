"""The Event API over an in-memory hub: signatures, grants, and every documented call."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.feeds.base import Member
from touchline.feeds.shottracker import auth, errors, http
from touchline.testing.memory import MemoryHub
from touchline.testing.roles import Line, respond
from touchline.wire.http import HttpRequest, HttpResponse

from .worlds import GAME, HOST, STORY, T0, body, live, member, new_hub, payload, row, shot, signed, told_hub

DAY = 24 * 3600 * 1000
ROOT = f"http://{HOST}/v1/data"


def answer(hub: MemoryHub, asked: HttpRequest) -> HttpResponse:
    return respond(http.operations(hub), asked)


def get(hub: MemoryHub, path: str, query: str = "", **changed: str) -> Any:
    response = answer(hub, signed(hub, f"/v1/data{path}", query, **changed))
    assert response.status == 200, response.body
    assert response.header("content-type") == "application/json"
    return msgspec.json.decode(response.body)


def refused(hub: MemoryHub, path: str, query: str = "", **changed: str) -> tuple[int, str]:
    response = answer(hub, signed(hub, f"/v1/data{path}", query, **changed))
    found = msgspec.json.decode(response.body, type=errors.ErrorBody)
    assert found.status == response.status
    UUID(found.shottrackerRequestId)
    return found.status, found.message


# --- the door ---


def test_a_wrong_signature_is_refused_with_a_challenge_and_counted() -> None:
    hub = told_hub()
    response = answer(hub, signed(hub, "/v1/data/teams", username="nobody"))
    assert response.status == 401
    assert response.header("www-authenticate") == "hmac"
    assert hub.failures == [("192.0.2.1", "nobody")]
    other_path = signed(hub, "/v1/data/teams/1/events")
    moved = msgspec.structs.replace(other_path, path="/v1/data/teams", target_path="/v1/data/teams")
    assert msgspec.json.decode(answer(hub, moved).body)["message"] == auth.NO_MATCH
    assert len(hub.failures) == 2


def test_no_signature_is_refused_and_not_counted() -> None:
    hub = told_hub()
    bare = msgspec.structs.replace(signed(hub, "/v1/data/teams"), headers=(("host", HOST),))
    response = answer(hub, bare)
    assert (response.status, msgspec.json.decode(response.body)["message"]) == (401, "Unauthorized")
    assert hub.failures == []


def test_an_old_date_is_refused() -> None:
    hub = told_hub()
    old = signed(hub, "/v1/data/teams")
    hub.advance(301)
    assert msgspec.json.decode(answer(hub, old).body)["message"] == auth.BAD_DATE


def test_too_many_failures() -> None:
    hub = told_hub()
    hub.locked["demo-user"] = 12.3
    response = answer(hub, signed(hub, "/v1/data/teams"))
    assert (response.status, response.header("retry-after")) == (429, "13")
    assert hub.failures == []


def test_a_member_suspended_is_unknown() -> None:
    hub = told_hub()
    asked = signed(hub, "/v1/data/teams")
    hub.members.clear()
    assert msgspec.json.decode(answer(hub, asked).body)["message"] == auth.CANNOT_VERIFY


# --- schedule ---


def test_schedule_rows_are_as_published() -> None:
    hub = new_hub()
    hub.publish("shottracker.game", "062a3726-3b0f-11eb-86c4-02420043683b", payload("schedule_row"))
    assert get(hub, "/schedule/games", "from=1604052000000") == {
        "games": [msgspec.json.decode(payload("schedule_row"))]
    }


def test_schedule_fills_in_what_every_row_has_and_leaves_results_out() -> None:
    hub = new_hub()
    hub.publish("shottracker.game", GAME, row(results=[{"id": "s1"}], big=2**53 + 1))
    (found,) = get(hub, "/schedule/games", f"from={T0}")["games"]
    assert found["_results"] == f"{ROOT}/games/{GAME}"
    assert (found["type"], found["source"], found["big"]) == ("BASKETBALL", "SHOTTRACKER", 2**53 + 1)
    assert "results" not in found


@pytest.fixture
def season() -> MemoryHub:
    hub = new_hub()
    for name, members in {
        "now": {},
        "tomorrow": {"tipoff_at": float(T0 + DAY), "location_id": "x@y"},
        "later": {"tipoff_at": T0 + DAY + 1},
        "football": {"type": "FOOTBALL"},
        "others": {"home_team_id": "7", "away_team_id": 8, "gender": "MEN"},
        "final": {"seasonType": "POST", "weekNumber": 3},
        "week": {"weekNumber": 3.0},
        "unset": {"tipoff_at": None},
        "mock-service": {},
    }.items():
        hub.publish("shottracker.game", name, row(name, **members))
    return hub


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (f"from={T0}", "now tomorrow others final week"),
        (f"from={T0}&to={T0}", "now others final week"),
        (f"from={T0 + 1}&to={T0 + 2 * DAY}", "tomorrow later"),
        (f"from={T0}.0&type=FOOTBALL", "football"),
        (f"from={T0}&team_id=7", "others"),
        (f"from={T0}&team_id=77", ""),
        (f"from={T0}&location_id=x@y", "tomorrow"),
        (f"from={T0}&weekNumber=3", "week"),
        (f"from={T0}&weekNumber=3&seasonType=POST", "final"),
        (f"from={T0}&weekNumber=x", ""),
        (f"from={T0}&seasonType=REG", "now tomorrow others week"),
        (f"from={T0}&to={T0}&mock=true", "now others final week mock-service"),
        ("mock=true", "mock-service"),
    ],
)
def test_schedule_filters(season: MemoryHub, query: str, names: str) -> None:
    assert [game["event_id"] for game in get(season, "/schedule/games", query)["games"]] == names.split()


@pytest.mark.parametrize("query", ["", "to=5", "from=x", "from=5&to=x", "from=5&to=4", "from=nan", "from=", "from=1e9"])
def test_schedule_needs_a_range(season: MemoryHub, query: str) -> None:
    assert refused(season, "/schedule/games", query) == (400, "Valid from and to timestamps are required")


def test_there_is_no_mock_game_unless_the_hub_has_one() -> None:
    assert get(new_hub(), "/schedule/games", "mock=true") == {"games": []}


def test_the_mock_game_needs_no_row() -> None:
    hub = new_hub()
    hub.publish("shottracker.marker", "mock-service", STORY[0][1])
    (found,) = get(hub, "/schedule/games", "mock=true")["games"]
    assert found["event_id"] == "mock-service"


def test_matchup(season: MemoryHub) -> None:
    both = f"from={T0}&team_id=123&team_id=456&reference=SHOTTRACKER&gender=WOMEN"
    found = get(season, "/schedule/games/matchup", both)["games"]
    assert [game["event_id"] for game in found] == ["now", "tomorrow", "football", "final", "week"]
    assert not {"type", "source"} & found[0].keys()
    by_reference = both.replace("123", "900123").replace("456", "900456").replace("SHOTTRACKER", "NCAA")
    assert get(season, "/schedule/games/matchup", by_reference)["games"] == found
    for name in ("from", "team_id", "reference", "gender"):
        left = "&".join(part for part in both.split("&") if not part.startswith(name))
        status, message = refused(season, "/schedule/games/matchup", left)
        assert status == 400
        assert name in message


# --- tokens ---


@pytest.mark.parametrize("path", ["/schedule/games/{}/_subscribe", "/live/{}/_subscribe", "/live/{}/_game_subscribe"])
def test_a_token_opens_the_socket(path: str) -> None:
    hub = told_hub(story=STORY[:7])
    token = get(hub, path.format(GAME))["token"]
    assert str(UUID(token)) == token
    assert get(hub, path.format(GAME))["token"] == token
    assert hub.tokens[token].expires_at is None
    assert Line(hub, live(f"token={token}")).accepted is not None


def test_the_older_call_takes_a_session_too() -> None:
    hub = told_hub(story=STORY[:7])
    token = get(hub, "/live/q1/_subscribe")["token"]
    assert hub.tokens[token].subject == GAME


def test_a_token_ends_a_day_after_its_game() -> None:
    hub = told_hub()
    hub.tokens.clear()
    token = get(hub, f"/schedule/games/{GAME}/_subscribe")["token"]
    assert hub.tokens[token].expires_at == (T0 + 61 + DAY) * 10**6
    hub.advance(2 * DAY / 1000)
    later = get(hub, f"/schedule/games/{GAME}/_subscribe")["token"]
    assert later != token
    assert hub.tokens[later].expires_at == hub.wall_ns + 3600 * 10**9


def test_a_token_from_before_the_end_gets_its_end_when_asked_for_again() -> None:
    hub = told_hub(story=STORY[:7])
    token = get(hub, f"/schedule/games/{GAME}/_subscribe")["token"]
    hub.publish("shottracker.marker", GAME, STORY[-1][1])
    assert get(hub, f"/schedule/games/{GAME}/_subscribe")["token"] == token
    assert hub.tokens[token].expires_at == (T0 + 61 + DAY) * 10**6


def test_no_token_for_what_is_not_there_or_not_ones_own() -> None:
    hub = told_hub(member(team_id="9"))
    assert refused(hub, "/schedule/games/nope/_subscribe") == (404, "Invalid id")
    assert refused(hub, "/live/nope/_game_subscribe") == (404, "Invalid id")
    assert refused(hub, f"/schedule/games/{GAME}/_subscribe") == (403, "Access denied to resource")
    assert refused(hub, f"/live/{GAME}/_subscribe") == (403, "Access denied to resource")
    assert refused(hub, "/live/q1/_subscribe") == (403, "Access denied to resource")


# --- events ---


def test_the_seeds_request_is_answered_with_sessions() -> None:
    (event,) = get(told_hub(), "/teams/123/events")["events"]
    assert (event["id"], event["name"], event["game_type"]) == (GAME, "Home vs Away", "QUARTER")
    first, second = event["results"]
    assert (first["id"], first["name"], first["type"], first["period"]) == ("q1", None, "GAME_ROUND", "Q1")
    assert (first["started_at"], first["ended_at"]) == (T0 + 1, T0 + 30)
    assert first["_shots"] == f"{ROOT}/stats/q1/shots"
    assert first["_locations"] == [f"{ROOT}/sensors/locations?id=q1&from={T0 + 1}&to={T0 + 30}"]
    assert second["id"] == "q2"
    assert event["totals"]["_stats"] == f"{ROOT}/stats/games/{GAME}/stats"
    assert get(told_hub(), f"/games/{GAME}") == event


def test_published_results_win_over_derived_ones() -> None:
    hub = told_hub()
    result = {"id": 7, "type": "GAME_ROUND", "started_at": T0, "ended_at": T0 + 40, "_shots": "mine", "more": [1]}
    hub.publish("shottracker.game", GAME, row(game_type="HALF", name="Final", results=[result]))
    event = get(hub, f"/games/{GAME}")
    assert (event["game_type"], event["name"]) == ("HALF", "Final")
    (found,) = event["results"]
    assert found | result == found
    assert found["_possessions"] == f"{ROOT}/stats/7/possessions"
    hub.publish("shottracker.game", GAME, row(results=[]))
    assert [result["id"] for result in get(hub, f"/games/{GAME}")["results"]] == ["q1", "q2"]


def test_a_game_without_sessions() -> None:
    hub = new_hub()
    hub.publish("shottracker.game", GAME, row())
    (event,) = get(hub, "/teams/456/events")["events"]
    assert (event["results"], event["game_type"]) == ([], None)


def test_a_long_session_links_to_each_half_hour() -> None:
    hub = told_hub(story=STORY[:2])
    hub.advance(3601)
    (result,) = get(hub, f"/games/{GAME}")["results"]
    assert len(result["_locations"]) == 3


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 1),
        (f"from={T0 + 61}", 1),
        (f"from={T0 + 62}", 0),
        (f"to={T0}", 1),
        (f"to={T0 - 1}", 0),
        ("gamesonly=true", 1),
        ("workoutsonly=true", 0),
    ],
)
def test_events_by_time(query: str, count: int) -> None:
    assert len(get(told_hub(), "/teams/123/events", query)["events"]) == count


def test_events_refusals() -> None:
    assert refused(told_hub(), "/teams/123/events", "from=x")[0] == 400
    assert get(told_hub(), "/teams/5/events") == {"events": []}
    assert refused(told_hub(), "/games/nope") == (404, "Game not found")
    assert refused(told_hub(member(team_id="5")), "/teams/123/events") == (403, "Access denied to resource")
    assert refused(told_hub(member(event_id="5")), f"/games/{GAME}") == (403, "Access denied to resource")


# --- teams ---


def teams_hub(*members: Member) -> MemoryHub:
    hub = told_hub(*members)
    hub.publish("shottracker.team", "461", payload("synthetic_team"))
    hub.publish("shottracker.team", "123", body(id=123, name="Home"))
    return hub


def test_teams_and_rosters() -> None:
    hub = teams_hub()
    whole = msgspec.json.decode(payload("synthetic_team"))
    listed = {name: value for name, value in whole.items() if name != "players"}
    assert get(hub, "/teams") == {"teams": [listed, {"id": 123, "name": "Home"}]}
    for path in ("/teams/461,SHOTTRACKER", "/teams/461", "/teams/461,", "/teams/900461,NCAA"):
        assert get(hub, path) == whole, path
    assert answer(hub, signed(hub, "/v1/data/teams/461")).body == payload("synthetic_team")
    for path in ("/teams/5", "/teams/900461", "/teams/461,NCAA", f"/teams/{GAME}"):
        assert refused(hub, path) == (404, "Invalid id")


def test_teams_by_grant() -> None:
    by_team = teams_hub(member(team_id="461"))
    assert [team["id"] for team in get(by_team, "/teams")["teams"]] == [461]
    assert refused(by_team, "/teams/123") == (403, "Access denied to resource")
    by_game = teams_hub(member(event_id=GAME))
    assert [team["id"] for team in get(by_game, "/teams")["teams"]] == [123]
    assert refused(by_game, "/teams/461") == (403, "Access denied to resource")
    assert get(by_game, "/teams/123")["name"] == "Home"


def test_lineups() -> None:
    hub = told_hub()
    assert get(hub, f"/games/{GAME}/lineups")["lineups"][0]["player_ids"] == [1, 2, 3, 4, 5]
    assert get(hub, f"/games/{GAME}/lineups", f"timestamp={T0}") == {"lineups": []}
    assert refused(hub, f"/games/{GAME}/lineups", "timestamp=x")[0] == 400
    assert refused(told_hub(member(source="shot")), f"/games/{GAME}/lineups") == (403, "Restricted resource")


# --- catch-up ---


def test_catch_up_totals() -> None:
    totals = get(told_hub(), f"/stats/games/{GAME}/stats")["gameTotals"]
    home, away = {"teamId": "123", "value": 2}, {"teamId": "456", "value": 3}
    assert totals == {
        "awayTeamScore": away,
        "homeTeamScore": home,
        "period": "Q2",
        "gameClock": "10:00.0",
        "status": "FINISHED",
        "periodTotals": [
            {"awayTeamScore": away | {"value": 0}, "homeTeamScore": home, "period": "Q2", "sessionId": "q2"},
            {"awayTeamScore": away, "homeTeamScore": home | {"value": 0}, "period": "Q1", "sessionId": "q1"},
        ],
    }


def test_catch_up_resources() -> None:
    hub = told_hub()
    whole = get(hub, f"/stats/games/{GAME}/stats,details,shots,possessions,shots")
    assert whole.keys() == {"stats", "details", "shots", "possessions", "gameTotals"}
    assert [(line["player_id"], line["stats"]["PTS"]) for line in whole["stats"]] == [(1, 0), (2, 2), (9, 3)]
    assert whole["details"] == [msgspec.json.decode(STORY[10][1])]
    assert whole["possessions"] == [msgspec.json.decode(STORY[9][1])]
    for resource in ("stats", "details", "shots", "possessions"):
        alone = get(hub, f"/stats/games/{GAME}/{resource}")
        assert alone == {resource: whole[resource], "gameTotals": whole["gameTotals"]}


def test_shots_in_short_keys() -> None:
    first, second = get(told_hub(), f"/stats/games/{GAME}/shots")["shots"]
    assert (first["s"], first["pid"], first["tid"], first["t"]) == ("DELETED", 1, 123, T0 + 10)
    assert (second["st"], second["is3"], second["pts"], second["z"], second["d"]) == ("MAKE", True, 3, 12, 500.0)
    assert (second["sid"], second["sst"], second["gid"], second["hsx"]) == ("q1", "GAME_ROUND", GAME, 3000)
    miss = told_hub(story=(shot(1, 1, 2, is_make=False, hoop_player_x=None),))
    (found,) = get(miss, f"/stats/games/{GAME}/shots")["shots"]
    assert (found["st"], found["pts"], found["sid"]) == ("MISS", -1, None)
    assert "d" not in found


def test_catch_up_of_a_game_of_which_nothing_is_known() -> None:
    hub = new_hub()
    hub.publish("shottracker.game", GAME, row(home_team_id=None, away_team_id=None))
    totals = get(hub, f"/stats/games/{GAME}/stats")["gameTotals"]
    assert totals["homeTeamScore"] == {"teamId": None, "value": 0}
    assert (totals["period"], totals["periodTotals"]) == (None, [])


def test_catch_up_refusals() -> None:
    assert refused(told_hub(), f"/stats/games/{GAME}/videos")[0] == 404
    assert refused(told_hub(), "/stats/games/nope/stats") == (404, "Game not found")
    assert refused(told_hub(member(team_id="5")), f"/stats/games/{GAME}/stats") == (403, "Access denied to resource")
    assert refused(told_hub(member(source="marker")), f"/stats/games/{GAME}/stats") == (403, "No access to STATS data")
    assert refused(told_hub(member(source="marker")), f"/stats/games/{GAME}/shots") == (403, "No access to SHOTS data")
    assert refused(told_hub(member(source="shot")), f"/stats/games/{GAME}/details,shots") == (
        403,
        "Restricted resource",
    )
    assert get(told_hub(member(source="shot")), f"/stats/games/{GAME}/shots")["shots"]


# --- sessions ---


def test_session_shots() -> None:
    hub = teams_hub()
    hub.publish("shottracker.shot", GAME, shot(45, 123, 2, more=2**53 + 1)[1])
    roster = body(id=123, name="Home", players=[{"id": "2", "first_name": "A", "last_name": "B"}])
    hub.publish("shottracker.team", "123", roster)
    home, away = get(hub, "/stats/q2/shots")["teams"]
    assert (home["id"], home["name"], away["player_shots"]) == (123, "Home", [])
    (player,) = home["player_shots"]
    assert player["player_details"] == {"id": "2", "firstname": "A", "lastname": "B", "profile_image_link": None}
    (found,) = player["shots"]
    assert (found["occurred_at"], found["more"], found["is_make"]) == (T0 + 45, 2**53 + 1, True)
    assert "player_id" not in found
    first = get(hub, "/stats/q1/shots")["teams"]
    assert [len(team["player_shots"]) for team in first] == [1, 1]


def test_session_possessions_details_and_stats() -> None:
    hub = teams_hub()
    home, away = get(hub, "/stats/q1/possessions")["teams"]
    assert (home["possessions"], away["possessions"]) == ([], [{"start_timestamp": T0 + 12, "end_timestamp": T0 + 20}])
    assert [team["possessions"] for team in get(hub, "/stats/q1/possessions/summary")["teams"]] == [0, 1]
    assert get(hub, "/stats/q1/stats/details")["details"] == [msgspec.json.decode(STORY[10][1])]
    assert get(hub, "/stats/q2/stats/details") == {"details": []}
    added = {line["player_id"]: line["stats"] for line in get(hub, "/stats/q1/stats")["stats"]}
    assert added == {1: {"FGA": 0, "FG": 0, "PTS": 0}, 9: {"FGA": 1, "FG": 1, "PTS": 3}}


def test_a_session_that_only_the_row_knows_is_cut_by_time() -> None:
    hub = new_hub()
    hub.publish("shottracker.game", GAME, row(results=[{"id": 7, "started_at": T0, "ended_at": T0 + 10}]))
    for at in (5, 15):
        hub.publish("shottracker.shot", GAME, shot(at, 123, 1)[1])
    (player,) = get(hub, "/stats/7/shots")["teams"][0]["player_shots"]
    assert [found["occurred_at"] for found in player["shots"]] == [T0 + 5]


def test_sessions_of_a_game_without_a_row() -> None:
    hub = new_hub()
    hub.publish("shottracker.marker", "a-b", body(type="SESSION_START", period="Q1", occurred_at=T0))
    hub.publish("shottracker.shot", "a-b", shot(5, 1, 1)[1])
    assert len(get(hub, "/stats/a-b-Q1/shots")["teams"]) == 1


@pytest.mark.parametrize("path", ["shots", "possessions", "possessions/summary", "stats", "stats/details"])
def test_session_refusals(path: str) -> None:
    assert refused(told_hub(), f"/stats/nope/{path}") == (404, "Invalid id")
    assert refused(told_hub(member(team_id="5")), f"/stats/q1/{path}")[0] == 403
    assert refused(told_hub(member(source="clock")), f"/stats/q1/{path}")[0] == 403


# --- locations ---


def moving_hub(count: int = 2500) -> MemoryHub:
    hub = new_hub()
    hub.publish("shottracker.game", GAME, row())
    hub.publish("shottracker.marker", GAME, body(type="SESSION_START", session_id="q1", period="Q1", occurred_at=T0))
    for number in range(count):
        data = body(occurred_at=T0 + 1000 * number, type="PLAYER", id=number % 2, x=number, y=0, z=0, tag=65575)
        hub.publish("shottracker.location", GAME, data)
        if not number % 10:
            hub.publish("shottracker.shot", GAME, shot(1000 * number, 123, 1)[1])
    return hub


@pytest.mark.parametrize(("start", "end"), [(0, 1_799_000), (1_000_000, 1_010_000), (2_400_000, 2_600_000), (-5000, 0)])
def test_locations(start: int, end: int) -> None:
    found = get(moving_hub(), "/sensors/locations", f"id=q1&from={T0 + start}&to={T0 + end}")
    moments = sorted(sample["t"] for each in found for sample in each["locations"])
    assert moments == [T0 + at for at in range(max(0, start), min(end, 2_499_000) + 1, 1000)]
    for each in found:
        assert len({sample["pid"] for sample in each["locations"]}) == 1
        assert each["locations"][0]["sid"] == "q1"
        assert each["locations"][0]["tag"] == "65575"


def test_locations_refusals() -> None:
    hub = moving_hub(1)
    half_hour = 30 * 60 * 1000
    good = f"id=q1&from={T0}&to={T0 + half_hour}"
    assert get(hub, "/sensors/locations", good)
    too_long = (400, "Locations must be requested in 30 min timeframes")
    assert refused(hub, "/sensors/locations", f"id=q1&from={T0}&to={T0 + half_hour + 1}") == too_long
    assert refused(hub, "/sensors/locations", f"id=q1&from={T0}") == (400, "Valid from and to timestamps are required")
    assert refused(hub, "/sensors/locations", good.replace("q1", "q9")) == (404, "Invalid id")
    narrowed = told_hub(member(source="shot"))
    assert refused(narrowed, "/sensors/locations", good) == (403, "Restricted resource")


# --- all of them ---


def test_every_refusal_in_turn_is_documented() -> None:
    for operation in http.operations(new_hub()):
        assert operation.answers.keys() == {200, 400, 401, 403, 404, 429}
        assert operation.security == http.SECURITY


chars = st.text(alphabet="aq1-,.%é/\x00 ", min_size=1, max_size=6)


@given(st.data())
def test_no_parameter_breaks_a_handler(data: st.DataObject) -> None:
    hub = told_hub()
    operation = data.draw(st.sampled_from(list(http.operations(hub))), label="operation")
    values = st.one_of(chars, st.sampled_from(["q1", GAME, "123", "-1", str(T0), "1" * 15, "true", "shots"]))
    names = [parameter.name for parameter in operation.parameters if parameter.where == "query"]
    query = data.draw(st.dictionaries(st.sampled_from(names), values)) if names else {}
    path = {p.name: data.draw(values, label=p.name) for p in operation.parameters if p.where == "path"}
    base = signed(hub, "/v1/data/teams")
    asked = msgspec.structs.replace(base, path_params=path, query=tuple(query.items()))
    coroutine = operation.handler(asked)
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)  # type: ignore[attr-defined]
    response = stopped.value.value
    assert response.status in operation.answers
    msgspec.json.decode(response.body)
