"""The sandbox game adds up at every moment, stays on the court at human speed, and is its seed's alone."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from touchline.feeds.base import SandboxOptions, Timed
from touchline.feeds.shottracker import messages
from touchline.feeds.shottracker.sandbox import SANDBOX, court
from touchline.feeds.shottracker.sandbox.game import Lengths, simulate

START_NS: Final = 1_790_000_000_123_000_000
SHORT: Final = Lengths(quarter=300, overtime=150, before=20, between=20, pause=30)
TYPES: Final = {
    "shottracker.team": messages.Team,
    "shottracker.game": messages.Game,
    "shottracker.marker": messages.Marker,
    "shottracker.clock": messages.GameClock,
    "shottracker.location": messages.Location,
    "shottracker.lineup": messages.Lineup,
    "shottracker.shot": messages.Shot,
    "shottracker.boxscorestatsv2": messages.BoxScoreStats,
    "shottracker.playbyplay": messages.PlayByPlay,
    "shottracker.possession": messages.Possession,
}

seeds = st.integers(min_value=0, max_value=2**32)
EXAMPLES: Final = 6
"""Each is a whole game of about three minutes, ten times a second."""
few = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def game(seed: int, *, loop: bool = False, lengths: Lengths = SHORT) -> Iterator[Timed]:
    return simulate(random.Random(seed), SandboxOptions(start_ns=START_NS, loop=loop), lengths)


def only(events: Iterable[Timed], source: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(event.data) for event in events if event.type == f"shottracker.{source}"]


def check_score(totals: dict[int, dict[int, dict[str, float]]], line: dict[str, Any]) -> None:
    """Every player's line and both scores, after one more line of the box score."""
    for players in totals.values():
        for stats in players.values():
            get = stats.get
            assert get("PTS", 0) == 2 * get("FG2", 0) + 3 * get("FG3", 0) + get("FT", 0)
            assert get("FG", 0) == get("FG2", 0) + get("FG3", 0)
            assert get("FGA", 0) == get("FGA2", 0) + get("FGA3", 0)
            assert get("FG2", 0) <= get("FGA2", 0)
            assert get("FG3", 0) <= get("FGA3", 0)
            assert get("FT", 0) <= get("FTA", 0)
            assert get("REB", 0) == get("OFFENSIVE_REB", 0) + get("DEFENSIVE_REB", 0)
            assert get("LBTO", 0) <= get("TO", 0)
            assert get("FL", 0) <= 5
            assert min(stats.values()) >= 0
    points = {team: sum(stats.get("PTS", 0) for stats in players.values()) for team, players in totals.items()}
    if "PTS" in line["stats"]:
        assert line["stats"]["TEAM_SCORE"] == points[line["team_id"]]
        assert line["stats"]["OPPOSING_TEAM_SCORE"] == sum(points.values()) - points[line["team_id"]]


@few
@given(seeds)
def test_box_score_adds_up_after_every_line(seed: int) -> None:
    totals: dict[int, dict[int, dict[str, float]]] = {123: {}, 456: {}}
    versions: dict[int, int] = {}
    for line in only(game(seed), "boxscorestatsv2"):
        totals[line["team_id"]].setdefault(line["player_id"], {}).update(
            {stat: value for stat, value in line["stats"].items() if not stat.endswith("TEAM_SCORE")}
        )
        check_score(totals, line)
        assert line["version"] == versions.get(line["player_id"], 0) + 1
        versions[line["player_id"]] = line["version"]
    assert versions


@few
@given(seeds)
def test_everybody_stays_on_the_court_at_human_speed(seed: int) -> None:
    last: dict[int, tuple[int, tuple[int, int, int]]] = {}
    seen_per_tick: Counter[int] = Counter()
    for event in game(seed):
        if event.type != "shottracker.location":
            continue
        data = msgspec.json.decode(event.data)
        place = (data["x"], data["y"], data["z"])
        assert all(isinstance(value, int) for value in place)
        assert abs(data["x"]) <= court.HALF_WIDTH
        assert abs(data["y"]) <= court.HALF_LENGTH
        assert 0 <= data["z"] <= (5_000 if data["type"] == "BALL" else 2_500)
        assert data["speed"] <= (20.0 if data["type"] == "BALL" else 9.0)
        before = last.get(data["id"])
        if before is not None and event.at - before[0] == 100_000_000:
            moved = math.dist(before[1], place)
            assert moved <= (2_000 if data["type"] == "BALL" else 900)
            assert data["dist"] == pytest.approx(moved / 10, abs=0.06)
            assert data["speed"] == pytest.approx(moved / 100, abs=0.01)
        last[data["id"]] = (event.at, place)
        seen_per_tick[event.at] += 1
    assert set(seen_per_tick.values()) == {11}


@few
@given(seeds)
def test_players_are_smooth(seed: int) -> None:
    """No player's velocity changes by more than a hard stop does: 9 m/s², where 400 games had 7.2 at most."""
    last: dict[int, tuple[int, tuple[int, int], tuple[int, int] | None]] = {}
    for event in game(seed):
        if event.type != "shottracker.location":
            continue
        data = msgspec.json.decode(event.data)
        if data["type"] == "BALL":
            continue
        at, place, step = last.get(data["id"], (-1, (0, 0), None))
        now = (data["x"], data["y"])
        moved = None
        if at >= 0 and event.at - at == 100_000_000:
            moved = (now[0] - place[0], now[1] - place[1])
            if step is not None:
                assert math.dist(moved, step) <= 90
        last[data["id"]] = (event.at, now, moved)


@few
@given(seeds)
def test_every_message_is_in_the_feeds_words(seed: int) -> None:
    at = 0
    players: dict[str, set[int]] = {}
    sessions: set[str] = set()
    for event in game(seed):
        assert event.at >= at
        at = event.at
        decoded = msgspec.json.decode(event.data, type=TYPES[event.type])
        data = msgspec.json.decode(event.data)
        if event.type == "shottracker.team":
            assert event.subject == str(decoded.id)
            players[event.subject] = {player.id for player in decoded.players}
            continue
        assert event.subject == "mock-service"
        if event.type == "shottracker.game":
            assert {str(data["home_team_id"]), str(data["away_team_id"])} == set(players)
            sessions |= {result["id"] for result in data["results"]}
        if "player_id" in data:
            assert data["player_id"] in players[str(data["team_id"])]
        if "session_id" in data:
            assert data["session_id"] in sessions
        if "occurred_at" in data:
            now = (START_NS + event.at) // 1_000_000
            assert now - 60_000 <= data["occurred_at"] <= now
        if data.get("type") == "PLAYER":
            assert any(data["id"] in ids for ids in players.values())


@few
@given(seeds)
def test_rows_and_shots_have_one_identity_each(seed: int) -> None:
    events = list(game(seed))
    rows = [
        (row["key"]["actorId"], row["key"]["timestamp"]) for row in only(events, "playbyplay") if not row["corrected"]
    ]
    assert len(rows) == len(set(rows))
    shots = [(shot["player_id"], shot["occurred_at"]) for shot in only(events, "shot") if shot["status"] == "RECORDED"]
    assert len(shots) == len(set(shots))


@few
@given(seeds)
def test_shots_name_the_zone_they_come_from(seed: int) -> None:
    for shot in only(game(seed), "shot"):
        assert 1 <= shot["zone"] <= 14
        assert 1 <= shot["advanced_zone"] <= 23
        assert (shot["zone"] >= 10) == shot["is_3point"] == (shot["advanced_zone"] >= 17)
        if shot["hoop_y"] > 0:
            expected = (shot["hoop_x"] - shot["player_x"], shot["hoop_y"] - shot["player_y"])
        else:
            expected = (shot["player_x"] - shot["hoop_x"], shot["player_y"] - shot["hoop_y"])
        assert (shot["hoop_player_x"], shot["hoop_player_y"]) == expected


@few
@given(seeds)
def test_score_of_shots_and_free_throws_is_the_score(seed: int) -> None:
    """The shot chart after corrections and the box score tell the same story."""
    events = list(game(seed))
    shots = {(shot["player_id"], shot["occurred_at"]): shot for shot in only(events, "shot")}
    points: Counter[int] = Counter()
    for shot in shots.values():
        if shot["is_make"] and shot["status"] != "DELETED":
            points[shot["team_id"]] += 3 if shot["is_3point"] else 2
    score: dict[int, int] = {123: 0, 456: 0}
    for line in only(events, "boxscorestatsv2"):
        points[line["team_id"]] += line["classification"] == "FREE_THROW_MAKE"
        if "TEAM_SCORE" in line["stats"]:
            score[line["team_id"]] = line["stats"]["TEAM_SCORE"]
    assert score == {123: points[123], 456: points[456]}
    assert score[123] != score[456]


@few
@given(seeds)
def test_course_of_the_game(seed: int) -> None:
    events = list(game(seed))
    markers = [marker["type"] for marker in only(events, "marker")]
    assert markers[:2] == ["GAME_START", "JERSEY_COLORS"]
    assert markers[-1] == "GAME_END"
    assert markers[2:-1] == ["SESSION_START", "LINEUP", "SESSION_END"] * ((len(markers) - 3) // 3)
    rows = only(events, "game")
    assert rows[0]["results"] == []
    periods = [result["period"] for result in rows[-1]["results"]]
    assert periods[:4] == ["Q1", "Q2", "Q3", "Q4"]
    assert all(result["ended_at"] > result["started_at"] for result in rows[-1]["results"])
    grown = [len(row["results"]) for row in rows]
    assert grown == sorted(grown)


@few
@given(seeds)
def test_five_of_each_team_are_on_the_floor(seed: int) -> None:
    for lineup in only(game(seed), "lineup"):
        assert len(set(lineup["player_ids"])) == 5
        assert set(lineup["players_in"]) <= set(lineup["player_ids"])
        assert not set(lineup["players_out"]) & set(lineup["player_ids"])


@few
@given(seeds)
def test_clock_counts_down_and_stops_at_zero(seed: int) -> None:
    last: dict[str, int] = {}
    for clock in only(game(seed), "clock"):
        minutes, seconds = clock["game_clock"].split(":")
        tenths = int(minutes) * 600 + round(float(seconds) * 10)
        assert tenths <= last.get(clock["period"], 10_000)
        assert 0 <= float(clock["shot_clock"]) <= 30
        last[clock["period"]] = tenths
    assert set(last.values()) == {0}


def test_corrections_come_and_lower_the_totals() -> None:
    events = [event for seed in range(30) for event in game(seed)]
    seen = Counter(line["classification"] for line in only(events, "boxscorestatsv2"))
    assert seen["DELETED_TWO_POINT_MAKE"]
    assert seen["UPDATED_TWO_POINT_MAKE_TO_MISS"]
    assert {shot["status"] for shot in only(events, "shot")} == {"RECORDED", "UPDATED", "DELETED"}
    made: dict[tuple[int, int], dict[str, Any]] = {}
    for line in only(events, "boxscorestatsv2"):
        key = (line["player_id"], line["occurred_at"])
        if line["classification"] == "TWO_POINT_MAKE":
            made[key] = line
        elif line["classification"] == "DELETED_TWO_POINT_MAKE":
            assert line["version"] > made[key]["version"]
    for name in ("ASSIST", "STEAL", "BLOCK", "FOUL", "OFFENSIVE_REBOUND", "TURNOVER", "FREE_THROW_MISS", "DISTANCE"):
        assert seen[name], name


def test_a_steal_goes_with_a_live_ball_turnover() -> None:
    lines = only((event for seed in range(10) for event in game(seed)), "boxscorestatsv2")
    steals = [line for line in lines if line["classification"] == "STEAL"]
    lost = [line for line in lines if line["classification"] == "LIVE_BALL_TURNOVER"]
    assert [line["occurred_at"] for line in steals] == [line["occurred_at"] for line in lost]
    assert all(a["team_id"] != b["team_id"] for a, b in zip(steals, lost, strict=True))


@few
@given(seeds)
def test_same_seed_same_bytes(seed: int) -> None:
    assert list(islice(game(seed), 5_000)) == list(islice(game(seed), 5_000))


def test_another_seed_is_another_game() -> None:
    assert list(islice(game(1), 5_000)) != list(islice(game(2), 5_000))


def test_loop_begins_again_and_versions_go_on() -> None:
    starts, ends, versions, at = 0, 0, dict[int, int](), -1
    for event in game(5, loop=True):
        assert event.at >= at
        at = event.at
        data = msgspec.json.decode(event.data)
        if event.type == "shottracker.marker":
            starts += data["type"] == "GAME_START"
            ends += data["type"] == "GAME_END"
        if event.type == "shottracker.boxscorestatsv2":
            assert data["version"] > versions.get(data["player_id"], 0)
            versions[data["player_id"]] = data["version"]
        if starts == 3:
            break
    assert ends == 2


def test_subject_can_be_renamed() -> None:
    options = SandboxOptions(start_ns=START_NS, subject="game-7")
    events = list(islice(simulate(random.Random(3), options, SHORT), 200))
    assert {event.subject for event in events} == {"123", "456", "game-7"}
    assert only(events, "game")[0]["event_id"] == "game-7"


def test_the_real_game_has_quarters_of_five_minutes_at_ten_hertz() -> None:
    events = list(SANDBOX.simulate(random.Random(11), SandboxOptions(start_ns=START_NS)))
    clocks = only(events, "clock")
    assert clocks[0]["game_clock"] == "5:00.0"
    assert SANDBOX.subject == "mock-service"
    ticks = {event.at for event in events if event.type == "shottracker.location"}
    assert ticks == set(range(0, max(ticks) + 1, 100_000_000))
    assert 15 * 60e9 < events[-1].at < 60 * 60e9


@given(st.floats(-7_620, 7_620), st.floats(-1_600, 27_000))
def test_zones_agree_with_the_three_point_line(u: float, v: float) -> None:
    assert 1 <= court.zone(u, v) <= 14
    assert 1 <= court.advanced_zone(u, v) <= 23
    assert (court.zone(u, v) >= 10) == court.is_three(u, v) == (court.advanced_zone(u, v) >= 17)


@given(st.sampled_from((-1, 1)), st.integers(-7_620, 7_620), st.integers(-14_325, 14_325))
def test_the_hoops_frame_turns_with_it(end: int, x: int, y: int) -> None:
    u, v = court.relative(end, x, y)
    assert court.place(end, u, v) == (x, y)
    assert court.relative(-end, -x, -y) == (u, v)


def test_the_sheets_samples_of_the_hoops_frame() -> None:
    """§4.3: hoop minus player at the +y hoop, player minus hoop at the -y one."""
    assert court.relative(1, 3_117, 7_899) == (-3_117, court.HOOP_Y - 7_899)
    assert court.relative(-1, 0, -2_511) == (0, court.HOOP_Y - 2_511)
