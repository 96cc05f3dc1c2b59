"""The fold: current totals, corrections, score by team and period, shots, sessions, loops, and anything at all."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.feeds.base import Instant, SandboxOptions
from touchline.feeds.shottracker import FEED
from touchline.feeds.shottracker import game as game_module
from touchline.feeds.shottracker.game import GameState
from touchline.feeds.shottracker.messages import BroadcastSummary, SummaryTeam
from touchline.feeds.shottracker.sources import SOURCES
from touchline.feeds.shottracker.state import DERIVED_SOURCE, GameFold
from touchline.model import Event, Lane, Record
from touchline.testing.memory import MemoryHub

from .worlds import GAME, STORY, T0, body, marker, new_hub, payload, row, shot, stats, told_hub

FOLD = GameFold()


def fold(*story: tuple[str, bytes], subject: str = GAME) -> GameState:
    hub = new_hub()
    for source, data in story:
        hub.publish(f"shottracker.{source}", subject, data)
    state = hub.fold(subject)
    assert isinstance(state, GameState)
    return state


def view(state: GameState) -> dict[str, Any]:
    return msgspec.json.decode(FOLD.view(state))


def line(state: GameState, team: str, player: str) -> dict[str, float]:
    return {name: stat.value for name, stat in state.teams[team].players[player].stats.items()}


def scores(state: GameState) -> tuple[float, float]:
    home, away = state.sides()
    assert home is not None
    assert away is not None
    return home.score, away.score


def summary(hub: MemoryHub) -> BroadcastSummary:
    (event,) = FOLD.derive(hub.fold(GAME), hub.now())
    return msgspec.json.decode(event.data, type=BroadcastSummary)


# --- the box score ---


def test_the_providers_correction() -> None:
    """The seed's stats, then the sheet's sample of the deleted shot (§4.1): totals are overwritten, not added."""
    first, correction = (
        ("boxscorestatsv2", payload("stats")),
        ("boxscorestatsv2", payload("synthetic_stats_correction")),
    )
    before, after = fold(first), fold(first, correction)
    assert line(before, "461", "2623") == {"FGA": 15, "FG": 8, "PTS": 17}
    assert line(after, "461", "2623") == {"FGA": 14, "FG": 7, "PTS": 15}
    assert before.teams["461"].score == 17
    assert after.teams["461"].score == 15
    found = after.teams["461"].players["2623"]
    assert (found.version, found.classification, found.occurred_at) == (1942, "DELETED_TWO_POINT_MAKE", 1500571319432)


def test_an_older_version_never_overwrites_a_newer_one() -> None:
    late = fold(("boxscorestatsv2", payload("synthetic_stats_correction")), ("boxscorestatsv2", payload("stats")))
    assert line(late, "461", "2623") == {"FGA": 14, "FG": 7, "PTS": 15}
    assert late.teams["461"].players["2623"].version == 1942
    assert late.teams["461"].score == 15


def test_versions_count_per_stat_because_only_touched_stats_are_sent() -> None:
    state = fold(stats(1, 1, 1, 5, PTS=2, FGA=1), stats(2, 1, 1, 4, PTS=9, REB=1))
    assert line(state, "1", "1") == {"PTS": 2, "FGA": 1, "REB": 1}


def test_without_versions_the_log_decides() -> None:
    def plain(points: int) -> tuple[str, bytes]:
        return "boxscorestatsv2", body(team_id=1, player_id=1, stats={"PTS": points})

    assert line(fold(plain(3), plain(2)), "1", "1") == {"PTS": 2}
    assert line(fold(stats(1, 1, 1, 7, PTS=3), plain(2), stats(1, 1, 1, 6, PTS=9)), "1", "1") == {"PTS": 2}


def test_ids_as_numbers_and_as_texts_are_the_same() -> None:
    state = fold(
        ("boxscorestatsv2", body(team_id=461, player_id=1, stats={"PTS": 2})),
        ("boxscorestatsv2", body(team_id="461", player_id="1", stats={"PTS": 3.0})),
    )
    assert list(state.teams) == ["461"]
    assert line(state, "461", "1") == {"PTS": 3}
    assert state.teams["461"].score == 3


# --- the score ---


def test_team_score_wins_and_corrections_go_below_it() -> None:
    steps = [
        stats(1, 1, 7, 1, PTS=2, TEAM_SCORE=12, OPPOSING_TEAM_SCORE=9),
        stats(2, 2, 8, 2, PTS=3),
        stats(3, 1, 7, 3, PTS=0),
    ]
    game = ("game", row(home_team_id=1, away_team_id=2))
    assert scores(fold(game, *steps[:1])) == (12, 9)
    assert scores(fold(game, *steps[:2])) == (12, 12)
    assert scores(fold(game, *steps)) == (10, 12)


def test_the_opponent_is_known_without_a_row_too() -> None:
    state = fold(stats(1, 1, 7, 1, PTS=2), stats(2, 2, 8, 2, PTS=2, TEAM_SCORE=2, OPPOSING_TEAM_SCORE=4))
    assert scores(state) == (4, 2)


def test_a_teams_own_line_sets_its_score() -> None:
    own = ("boxscorestatsv2", body(team_id=1, player_id=None, stats={"PTS": 30, "REB": 3}))
    state = fold(stats(1, 1, 7, 1, PTS=2, REB=1), own)
    assert state.teams["1"].score == 30
    assert view(state)["summary"]["home"]["stats"] == {"PTS": 30, "REB": 3}


def test_points_go_to_the_period_in_which_they_were_made_also_when_corrected_later() -> None:
    hub = told_hub()
    home, away = hub.fold(GAME).sides()
    assert (home.score, home.periods) == (2, {"Q1": 0, "Q2": 2})
    assert (away.score, away.periods) == (3, {"Q1": 3})


def test_a_period_in_the_body_wins() -> None:
    state = fold(
        marker("SESSION_START", 1, session_id="s", period="H1"),
        ("boxscorestatsv2", body(team_id=1, player_id=1, period="OT", stats={"PTS": 1})),
    )
    assert state.teams["1"].periods == {"OT": 1}


def test_a_row_with_one_team_twice_or_once() -> None:
    state = fold(("game", row(home_team_id=1, away_team_id=1)), stats(1, 1, 7, 1, PTS=2, OPPOSING_TEAM_SCORE=5))
    assert state.teams["1"].score == 2
    half = fold(("game", row(home_team_id=None, away_team_id=2)), stats(1, 1, 7, 1, PTS=2), stats(2, 2, 8, 1, PTS=3))
    assert scores(half) == (2, 3)


# --- shots, markers, the rest ---


def test_shots_are_replaced_by_time_and_player() -> None:
    state = fold(
        shot(1, 1, 7),
        shot(2, 1, 7),
        shot(1, 1, 8),
        shot(1, 1, 7, is_make=False, status="UPDATED", version=3),
        shot(1, 1, 7, status="DELETED", version=2),
    )
    found = [(each["player_id"], each["status"], each["is_make"]) for each in view(state)["shots"]]
    assert found == [(7, "UPDATED", False), (7, "RECORDED", True), (8, "RECORDED", True)]


def test_zones_leave_out_what_was_deleted() -> None:
    home = summary(told_hub()).home
    away = summary(told_hub()).away
    assert isinstance(home, SummaryTeam)
    assert isinstance(away, SummaryTeam)
    assert home.zones == []
    assert isinstance(away.zones, list)
    assert [(zone.zone, zone.attempts, zone.makes) for zone in away.zones] == [(12, 1, 1)]


def test_markers_make_status_and_sessions() -> None:
    assert fold(STORY[4]).status == "SCHEDULED"
    assert fold(*STORY[:1]).status == "ACTIVE"
    over = fold(*STORY)
    assert (over.status, over.period) == ("FINISHED", "Q2")
    assert [(s.id, s.period, s.started_at, s.ended_at) for s in over.sessions.values()] == [
        ("q1", "Q1", T0 + 1, T0 + 30),
        ("q2", "Q2", T0 + 40, T0 + 60),
    ]
    assert FOLD.is_over(over)
    assert FOLD.first_seq(over) == 1


def test_sessions_without_ids_are_named_after_game_and_period() -> None:
    state = fold(
        marker("SESSION_START", 1, period="H1"),
        marker("SESSION_END", 2),
        marker("SESSION_START", 3),
        marker("SESSION_END", 4, session_id="x", period="H9"),
        marker("GAME_END", 5),
    )
    assert {s.id: (s.started_at, s.ended_at) for s in state.sessions.values()} == {
        "g1-H1": (T0 + 1, T0 + 2),
        "g1-2": (T0 + 3, T0 + 5),
        "x": (None, T0 + 4),
    }


def test_a_session_end_alone_in_a_game() -> None:
    assert list(fold(marker("SESSION_END", 1)).sessions) == ["g1-1"]


def test_unknown_markers_are_kept() -> None:
    state = fold(marker("JERSEY_COLORS", 1, team_id=1, color="#fff"), marker("NEW", 2))
    assert [each["type"] for each in view(state)["markers"]] == ["JERSEY_COLORS", "NEW"]


def test_play_by_play_is_replaced_by_its_key() -> None:
    key = {"actorId": "7", "timestamp": T0}
    state = fold(
        ("playbyplay", body(timestamp=T0, pid="7", key=key)),
        ("playbyplay", body(timestamp=T0)),
        ("playbyplay", body(timestamp=T0, pid="7", key=key, corrected=True)),
    )
    assert [each.get("corrected") for each in view(state)["playbyplay"]] == [True, None]


def test_lineups_at_a_moment_and_possessions() -> None:
    state = fold(
        ("lineup", body(team_id=1, occurred_at=T0, player_ids=[1])),
        ("lineup", body(team_id=1, occurred_at=T0 + 9, player_ids=[2])),
        ("possession", body(team_id=1, start_timestamp=T0)),
        ("possession", body(team_id=1, start_timestamp=T0, end_timestamp=T0 + 5)),
    )
    assert [each["player_ids"] for each in view(state)["lineups"]] == [[2]]
    assert [each.get("end_timestamp") for each in view(state)["possessions"]] == [T0 + 5]


def test_lists_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(game_module, "MAX_ROWS", 3)
    state = fold(*(shot(number, 1, 7) for number in range(5)))
    assert [each["occurred_at"] for each in view(state)["shots"]] == [T0 + 2, T0 + 3, T0 + 4]


def test_a_looping_game_begins_anew() -> None:
    hub = new_hub()
    hub.publish("shottracker.game", "mock-service", row("mock-service"))
    for source, data in (*STORY, *STORY[:6]):
        hub.publish(f"shottracker.{source}", "mock-service", data)
    state = hub.fold("mock-service")
    starts = [record.seq for record in hub.stored if b"GAME_START" in record.event.data]
    assert FOLD.first_seq(state) == starts[1]
    assert scores(state) == (2, 0)
    assert state.home_id == 123
    assert state.game is not None
    assert len(state.sessions) == 1
    assert not FOLD.is_over(state)
    ended = hub.publish("shottracker.marker", "mock-service", STORY[-1][1])
    FOLD.apply(state, ended)
    assert state.status == "FINISHED"
    assert not FOLD.is_over(state)


# --- the summary ---


def test_the_summary() -> None:
    found = summary(told_hub())
    assert (found.event_id, found.status, found.period, found.game_clock) == (GAME, "FINISHED", "Q2", "10:00.0")
    home = found.home
    assert isinstance(home, SummaryTeam)
    assert (home.team_id, home.name, home.score) == (123, "Home", 2)
    assert home.stats == {"FGA": 1, "FG": 1, "PTS": 2}
    assert isinstance(home.players, list)
    assert [(player.player_id, player.stats) for player in home.players] == [
        (1, {"FGA": 0, "FG": 0, "PTS": 0}),
        (2, {"FGA": 1, "FG": 1, "PTS": 2}),
    ]


def test_a_published_summary_wins_and_our_own_does_not_count_as_one() -> None:
    hub = told_hub()
    (derived,) = FOLD.derive(hub.fold(GAME), hub.now())
    assert derived.source == DERIVED_SOURCE
    hub.store(derived)
    state = hub.fold(GAME)
    assert state.summary is None
    assert FOLD.derive(state, hub.now()) == (derived,)
    hub.publish("shottracker.broadcastsummary", GAME, b'{"mine":1}')
    state = hub.fold(GAME)
    assert FOLD.derive(state, hub.now()) == ()
    assert view(state)["summary"] == {"mine": 1}


def test_the_derived_id_tells_news_from_repetition() -> None:
    ids = []
    for count in range(6, len(STORY) + 1):
        hub = told_hub(story=STORY[:count])
        (event,) = FOLD.derive(hub.fold(GAME), Instant(count, 0.0))
        (again,) = FOLD.derive(hub.fold(GAME), Instant(count + 1, 0.0))
        assert (again.id, again.data) == (event.id, event.data)
        ids.append((event.id, event.data))
    assert len({identity for identity, _ in ids}) == len(set(ids))


def test_nothing_is_derived_from_nothing() -> None:
    assert FOLD.derive(FOLD.initial(GAME), Instant(0, 0.0)) == ()


def test_a_team_of_the_same_name_as_a_stream_is_no_game() -> None:
    hub = new_hub()
    hub.publish("shottracker.team", "461", payload("synthetic_team"))
    assert not hub.fold("461").known


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_simulated_game_adds_up(seed: int) -> None:
    assert FEED.sandbox is not None
    hub = new_hub()
    said: dict[str, float] = {}
    for event in FEED.sandbox.simulate(random.Random(seed), SandboxOptions(T0 * 10**6, subject=GAME)):
        if event.type == "shottracker.location" or event.subject != GAME:
            continue
        hub.publish(event.type, event.subject, event.data)
        totals = msgspec.json.decode(event.data).get("stats") if event.type.endswith("statsv2") else None
        if totals and "TEAM_SCORE" in totals:
            said[str(msgspec.json.decode(event.data)["team_id"])] = totals["TEAM_SCORE"]
    state = hub.fold(GAME)
    assert FOLD.is_over(state)
    assert len(state.sessions) == 4
    for team in state.sides():
        assert team is not None
        assert team.unattributed == 0
        assert team.score == said[str(team.team_id)] == sum(team.periods.values())
        assert team.score == sum(found.stats["PTS"].value for found in team.players.values() if "PTS" in found.stats)


# --- anything ---

ids = st.one_of(st.integers(0, 3), st.sampled_from(["1", "x", "", "é"]), st.integers())
numbers = st.one_of(
    st.integers(0, 30),
    st.integers(T0 - 5, T0 + 5),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(allow_nan=False, allow_infinity=False),
)
texts = st.sampled_from(
    ["Q1", "Q2", "", "GAME_START", "SESSION_START", "SESSION_END", "GAME_END", "DELETED", "é\u2028"]
)
opt_number, opt_text, opt_id = (st.one_of(st.none(), kind) for kind in (numbers, texts, ids))
stat_maps = st.dictionaries(
    st.sampled_from(["PTS", "FGA", "TEAM_SCORE", "OPPOSING_TEAM_SCORE", "é"]), numbers, max_size=4
)


def objects(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[bytes]:
    optional = optional | {"unknown": st.just([{"a": None}])}
    return st.fixed_dictionaries(required, optional=optional).map(msgspec.json.encode)


moments = {"occurred_at": opt_number, "session_id": opt_id, "period": opt_text, "version": opt_number}
BODIES = {
    "boxscorestatsv2": objects({"team_id": ids, "player_id": opt_id}, {"stats": stat_maps, **moments}),
    "shot": objects(
        {"team_id": ids, "player_id": opt_id},
        {"is_make": st.booleans(), "zone": opt_number, "status": opt_text, "hoop_player_x": opt_number, **moments},
    ),
    "marker": objects({"type": texts}, moments),
    "playbyplay": objects(
        {},
        {
            "timestamp": opt_number,
            "sessionId": opt_id,
            "key": st.one_of(st.none(), st.fixed_dictionaries({"actorId": opt_id, "timestamp": opt_number})),
        },
    ),
    "lineup": objects({"team_id": ids}, {"player_ids": st.lists(ids), **moments}),
    "possession": objects({"team_id": ids}, {"start_timestamp": opt_number, **moments}),
    "location": objects({"type": texts, "id": ids}, {"x": opt_number}),
    "clock": objects({}, {"game_clock": opt_text, **{name: moments[name] for name in ("occurred_at", "period")}}),
    "broadcastsummary": objects({}, {"status": opt_text}),
    "game": objects({}, {"home_team_id": opt_id, "away_team_id": opt_id, "tipoff_at": opt_number}),
    "foo": st.binary(max_size=9),
}
published = st.sampled_from(sorted(BODIES)).flatmap(lambda name: st.tuples(st.just(name), BODIES[name]))


@given(st.lists(published, max_size=15), st.sampled_from([GAME, "mock-service"]), st.integers(0, 2**62))
def test_whatever_was_accepted_is_folded(story: list[tuple[str, bytes]], subject: str, at: int) -> None:
    assert SOURCES.keys() < BODIES.keys()
    hub = new_hub()
    for source, data in story:
        kind = next((kind for kind in hub.feed.types if kind.name == f"shottracker.{source}"), None)
        if kind is not None:
            msgspec.json.decode(data, type=kind.data)
        lane = Lane.EVENT if kind is None else kind.lane
        hub.store(Event("shottracker", f"shottracker.{source}", subject, "/s", "1", data, at, at, lane=lane))
    state = FOLD.initial(subject)
    for record in hub.stored:
        FOLD.apply(state, record)
        copy = FOLD.decode(FOLD.encode(state))
        assert FOLD.view(copy) == FOLD.view(state)
        assert FOLD.derive(copy, hub.now()) == FOLD.derive(state, hub.now())
        state = copy
    home, away = state.sides()
    for team in (home, away):
        assert team is None or isinstance(team.score, int | float)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 5)), max_size=20))
def test_the_score_is_the_sum_of_points(made: list[tuple[int, int, int]]) -> None:
    """Totals in any order and with any corrections: the score is always what the newest totals add up to."""
    hub = new_hub()
    held: dict[int, tuple[int, int]] = {}
    for player, points, version in made:
        source, data = stats(version, 1, player, version, PTS=points)
        hub.publish(f"shottracker.{source}", GAME, data)
        if player not in held or version >= held[player][1]:
            held[player] = (points, version)
    state = hub.fold(GAME) or FOLD.initial(GAME)
    home, _ = state.sides()
    assert (home.score if home else 0) == sum(points for points, _ in held.values())


def test_data_that_no_intake_would_let_through_is_left_alone() -> None:
    state = FOLD.initial(GAME)
    for data in (b"", b"[]", b"\xff", b'{"x":' + b"[" * 9000, b'{"x":' + b"[" * 9000 + b"]" * 9000 + b"}"):
        for source in SOURCES:
            FOLD.apply(
                state, Record(1, 1, 0, Event("shottracker", f"shottracker.{source}", GAME, "/", "1", data, 0, 0))
            )
    assert state.teams == {}
