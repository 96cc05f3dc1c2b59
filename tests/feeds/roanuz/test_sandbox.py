"""The sandbox match adds up at every moment, keeps the laws of the game, and is its seed's alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from touchline.feeds.base import SandboxOptions, Timed
from touchline.feeds.intake import Intake
from touchline.feeds.roanuz import FEED
from touchline.feeds.roanuz.sandbox import SANDBOX
from touchline.feeds.roanuz.sandbox.match import SUBJECT, Pace, simulate
from touchline.feeds.roanuz.webhooks import WEBHOOKS
from touchline.model import Event, Record
from touchline.wire.cloudevents import Envelope

START_NS: Final = 1_790_000_000_123_456_789
SHORT: Final = Pace(overs=5)

seeds = st.integers(min_value=0, max_value=2**32)
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def play(seed: int, pace: Pace | None = None, *, loop: bool = False) -> Iterator[Timed]:
    return simulate(random.Random(seed), SandboxOptions(start_ns=START_NS, loop=loop), pace)


def decoded(events: list[Timed]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(event.data) for event in events]


def standing(events: list[Timed]) -> dict[str, dict[str, Any]]:
    """The balls that are left, by key, as a consumer who keeps the last word on each would have them."""
    left: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.type == "roanuz.ball":
            data = msgspec.json.decode(event.data)
            pushed = data["notification"]["data"]["ball"]
            if pushed["is_delete"]:
                del left[str(pushed["ball_key"])]
            else:
                left[str(pushed["ball_key"])] = data["ball"]
    return left


def in_innings(balls: dict[str, dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [each for each in balls.values() if each["innings"] == name]


def runs(balls: list[dict[str, Any]]) -> int:
    """Counted from who made them, not from ``team_score``."""
    total = 0
    for each in balls:
        kind = each["ball_type"]
        extras = each["bowler"]["extras"] if kind in ("wide", "no_ball") else each["team_score"]["extras"]
        total += each["batsman"]["runs"] + extras
    return total


def wickets(balls: list[dict[str, Any]]) -> int:
    return sum(each["wicket"] is not None for each in balls)


def result_of(events: list[Timed]) -> tuple[str | None, str]:
    (result,) = (msgspec.json.decode(event.data)["match"] for event in events if event.type == "roanuz.result")
    assert result["status"] == "completed"
    assert result["winner"] == result["play"]["result"]["winner"]
    return result["winner"], result["play"]["result"]["win_by"]


@few
@given(seeds)
def test_the_result_follows_from_the_balls(seed: int) -> None:
    events = list(play(seed, SHORT))
    balls = standing(events)
    (toss,) = (msgspec.json.decode(event.data)["match"] for event in events if event.type == "roanuz.toss")
    first, second = toss["play"]["innings_order"]
    elected_to_bat = (
        toss["toss"]["winner"] if toss["toss"]["elected"] == "bat" else "ab".replace(toss["toss"]["winner"], "")
    )
    assert first[0] == elected_to_bat == toss["play"]["first_batting"]
    one, two = in_innings(balls, first), in_innings(balls, second)
    assert {each["innings"] for each in balls.values()} == {first, second}
    winner, by = result_of(events)
    if runs(two) > runs(one):
        left = 10 - wickets(two)
        assert (winner, by) == (second[0], f"{left} wicket{'s' * (left != 1)}")
        assert runs(two[:-1]) <= runs(one), "it ends with the winning run"
    elif runs(two) < runs(one):
        ahead = runs(one) - runs(two)
        assert (winner, by) == (first[0], f"{ahead} run{'s' * (ahead != 1)}")
    else:
        assert (winner, by) == (None, "")
    (target,) = (
        data["match"]["play"]["target"]["runs"]
        for data in decoded([event for event in events if event.type == "roanuz.play"])
        if "target" in data["match"].get("play", {})
    )
    assert target == runs(one) + 1


@few
@given(seeds)
def test_the_laws_of_the_game(seed: int) -> None:
    events = list(play(seed))
    balls = standing(events)
    for name in ("a_1", "b_1"):
        own = in_innings(balls, name)
        overs: dict[int, list[dict[str, Any]]] = {}
        for each in own:
            overs.setdefault(each["overs"][0], []).append(each)
        assert list(overs) == list(range(len(overs)))
        assert len(overs) <= 20
        assert wickets(own) <= 10
        done = {each["wicket"]["player_key"]: at for at, each in enumerate(own) if each["wicket"]}
        assert len(done) == wickets(own), "nobody is out twice"
        for at, each in enumerate(own):
            for key in (each["batsman"]["player_key"], each["non_striker_key"]):
                assert at <= done.get(key, at), "who is out does not bat on"
        bowled = Counter(
            {number: len({each["bowler"]["player_key"] for each in over}) for number, over in overs.items()}
        )
        assert set(bowled.values()) == {1}
        bowlers = [over[0]["bowler"]["player_key"] for over in overs.values()]
        assert all(one != two for one, two in pairwise(bowlers))
        assert max(Counter(bowlers).values()) <= 4
        for number, over in overs.items():
            legal = sum(each["team_score"]["ball_count"] for each in over)
            assert legal == 6 or (number == len(overs) - 1 and legal <= 6)
            place = 1
            for each in over:
                assert each["overs"] == [number, place]
                place += each["team_score"]["ball_count"]


@few
@given(seeds)
def test_the_batsmen_change_ends_by_running_and_after_an_over(seed: int) -> None:
    balls = standing(list(play(seed, SHORT)))
    for name in ("a_1", "b_1"):
        for one, two in pairwise(in_innings(balls, name)):
            penalty = int(one["ball_type"] in ("wide", "no_ball"))
            crossed = (one["team_score"]["runs"] - penalty) % 2 == 1
            pair = (one["batsman"]["player_key"], one["non_striker_key"])
            if crossed != (one["overs"][0] != two["overs"][0]):
                pair = pair[::-1]
            found = (two["batsman"]["player_key"], two["non_striker_key"])
            if one["wicket"] is None:
                assert found == pair
            else:
                out = one["wicket"]["player_key"]
                assert [at for at in (0, 1) if found[at] != pair[at]] == [pair.index(out)]


@few
@given(seeds)
def test_every_ball_adds_up_in_itself(seed: int) -> None:
    for data in decoded([event for event in play(seed, SHORT) if event.type == "roanuz.ball"]):
        pushed, ball = data["notification"]["data"]["ball"], data.get("ball")
        assert pushed["is_delete"] == (ball is None)
        if ball is None:
            continue
        kind, team, bat, bowler = ball["ball_type"], ball["team_score"], ball["batsman"], ball["bowler"]
        assert ball["key"] == str(pushed["ball_key"])
        assert (ball["overs"][0], ball["batting_team"]) == (pushed["over"], ball["innings"][0])
        assert pushed["ball_key"] >> 19 == pushed["batting_order"]
        assert team["runs"] == bat["runs"] + team["extras"]
        assert team["ball_count"] == bowler["ball_count"] == (kind not in ("wide", "no_ball"))
        assert bat["ball_count"] == (kind != "wide")
        assert bowler["runs"] == (bat["runs"] if kind in ("bye", "leg_bye") else team["runs"])
        assert bat["is_dot_ball"] == (kind != "wide" and bat["runs"] == 0)
        assert (bat["is_four"], bat["is_six"]) == (bat["runs"] == 4, bat["runs"] == 6)
        assert (kind == "normal") <= (team["extras"] == 0)
        assert team["is_wicket"] == (ball["wicket"] is not None)
        assert bowler["is_wicket"] == (team["is_wicket"] and ball["wicket"]["wicket_type"] != "run_out")
        assert ball["updated_time"] >= ball["entry_time"]
        assert ball["batsman"]["player_key"] != ball["non_striker_key"]


@few
@given(seeds)
def test_at_least_one_ball_is_corrected_and_one_deleted(seed: int) -> None:
    known: list[int] = []
    corrected = deleted = 0
    for data in decoded([event for event in play(seed, SHORT) if event.type == "roanuz.ball"]):
        pushed = data["notification"]["data"]
        key, reason = pushed["ball"]["ball_key"], pushed["push_reason"]
        if pushed["ball"]["is_delete"]:
            assert (reason, key) == ("Other", known.pop())
            deleted += 1
        elif reason == "Update":
            assert key in known[:-1], "an earlier ball, not the last"
            assert data["ball"]["updated_time"] > data["ball"]["entry_time"]
            corrected += 1
        else:
            assert reason == "NewOrLast"
            assert key not in known
            known.append(key)
    assert corrected >= 1
    assert deleted == 1


def test_every_scenario_of_the_provider_occurs() -> None:
    found = set()
    for data in decoded([event for event in play(1) if event.type != "roanuz.match"]):
        message = data["notification"]
        pushed = message["data"]
        deleted = pushed["ball"] and pushed["ball"]["is_delete"]
        found.add((message["data_kind"], deleted, pushed["push_reason"], pushed["match_push_kind"]))
    entry, detail = "match-entry-update", "match-detail-update"
    assert found == {
        (entry, None, "Other", "Other"),
        (entry, False, "NewOrLast", "Ball"),
        (entry, False, "Update", "Ball"),
        (entry, True, "Other", "Ball"),
        *((detail, None, "Other", kind) for kind in ("Info", "Toss", "Play", "Squad", "Review", "Result", "Reward")),
        (detail, None, "Other", "Other"),
    }


@pytest.mark.parametrize("seed", range(4))
def test_the_fold_says_the_same_at_every_moment(seed: int) -> None:
    assert FEED.snapshot is not None
    intake, events = Intake({"roanuz": FEED}), list(play(seed))
    state = FEED.snapshot.initial(SUBJECT)
    for offset, event in enumerate(events, 1):
        taken = intake.event(Envelope(str(offset), "/sandbox", event.type, event.subject, event.data), 5)
        assert isinstance(taken, Event), taken
        record = Record(offset, offset, 0, taken)
        FEED.snapshot.apply(state, record)
        assert (WEBHOOKS.prepare(record, False) is None) == (event.type == "roanuz.match")
        if offset % 40 and offset < len(events):
            continue
        view = msgspec.json.decode(FEED.snapshot.view(state))
        left = standing(events[:offset])
        assert {each["key"]: each for over in view["overs"] for each in over["balls"]} == left
        for name, innings in view["match"].get("play", {}).get("innings", {}).items():
            own = in_innings(left, name)
            assert (innings["score"]["runs"], innings["wickets"]) == (runs(own), wickets(own))
            extras = sum(each["team_score"]["extras"] for each in own)
            assert sum(innings["extra_runs"].values()) == 2 * innings["extra_runs"]["extra"] == 2 * extras
    assert FEED.snapshot.is_over(state)


def test_time_rises_and_is_the_notifications_own() -> None:
    at = 0
    for event in play(3, SHORT):
        assert event.at >= at
        at = event.at
        data = msgspec.json.decode(event.data)
        if event.type != "roanuz.match":
            assert data["notification"]["data"]["ts"] == (START_NS + at) // 10**9
    assert 25 * 60 < max(event.at for event in play(3)) / 1e9 < 60 * 60, "a demo sees its end within the hour"


def test_the_seed_is_all_that_decides() -> None:
    assert list(play(5)) == list(play(5))
    assert list(play(5)) != list(play(6))


def test_in_loops_the_match_begins_anew() -> None:
    assert FEED.snapshot is not None
    once = len(list(play(7, SHORT)))
    looped = list(islice(play(7, SHORT, loop=True), once + 30))
    assert [event.at for event in looped] == sorted(event.at for event in looped)
    assert looped[once].type == "roanuz.match"
    state = FEED.snapshot.initial(SUBJECT)
    for offset, event in enumerate(looped, 1):
        fact = Event("roanuz", event.type, event.subject, "/s", str(offset), event.data, 0, 0)
        FEED.snapshot.apply(state, Record(offset, offset, 0, fact))
    assert FEED.snapshot.first_seq(state) == once + 1
    assert not FEED.snapshot.is_over(state)
    view = msgspec.json.decode(FEED.snapshot.view(state))
    assert {each["key"] for over in view["overs"] for each in over["balls"]} == set(standing(looped[once:]))


def test_the_stream_can_be_renamed() -> None:
    options = SandboxOptions(start_ns=START_NS, subject="mine")
    assert SANDBOX.simulate is not None
    events = list(islice(SANDBOX.simulate(random.Random(1), options), 20))
    assert {event.subject for event in events} == {"mine"}
    assert msgspec.json.decode(events[0].data)["match"]["key"] == "mine"
    assert WEBHOOKS.topics(SANDBOX.topics, SANDBOX.endpoint_options, {}) == ()
