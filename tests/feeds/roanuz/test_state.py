"""The fold: corrections, deletions, what is known without details, and the document as it is put together."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.feeds.roanuz import FEED, document, innings
from touchline.feeds.roanuz.innings import MatchState, OverRef, parse_over_key
from touchline.feeds.roanuz.state import MatchFold, details, innings_of
from touchline.model import Event, Record

from .worlds import EXAMPLES, MATCH, STORY, ball, payload, push, told_hub

FOLD = MatchFold()


def fold(*story: tuple[str, str, bytes]) -> MatchState:
    state = FOLD.initial(MATCH)
    for offset, (event_type, subject, data) in enumerate(story, 1):
        FOLD.apply(
            state, Record(offset, offset, 0, Event("roanuz", event_type, subject, "/t", str(offset), data, 0, 0))
        )
    return state


def shown(state: MatchState, over: str) -> list[Any]:
    named = parse_over_key(over)
    assert named is not None
    return [msgspec.json.decode(each) for each in details(state, named)]


def match(state: MatchState) -> Any:
    return msgspec.json.decode(document.build(state))


def keys(state: MatchState) -> list[str]:
    return [over.key for over in innings.overs(state)]


def test_the_small_match() -> None:
    state = fold(*STORY)
    assert keys(state) == ["a_1_1", "a_1_2", "b_1_1"]
    found = match(state)
    one, two = found["play"]["innings"]["a_1"], found["play"]["innings"]["b_1"]
    assert (one["score_str"], two["score_str"]) == ("10/1 in 0.4", "12/0 in 0.2")
    assert one["extra_runs"] == {"extra": 3, "bye": 0, "leg_bye": 2, "wide": 1, "no_ball": 0, "penalty": 0}
    assert one["score"] == {"runs": 10, "balls": 4, "dot_balls": 2, "fours": 0, "sixes": 1}
    assert (one["is_completed"], two["is_completed"]) == (True, True)
    assert found["play"]["innings_order"] == ["a_1", "b_1"]
    assert (found["status"], found["winner"], found["toss"]["winner"]) == ("completed", "b", "b")
    assert found["play"]["result"] == {"winner": "b", "pom": ["p"]}
    assert found["play"]["overs_per_innings"] == [20, 0]
    assert FOLD.is_over(state)


def test_a_ball_stands_as_it_was_published() -> None:
    event_type, subject, data = ball(0, 1)
    odd = data.replace(b'"key":', b'"new":[9007199254740993,1.10],"key":')
    state = fold((event_type, subject, odd))
    (raw,) = details(state, OverRef("a_1", 1))
    assert bytes(raw) == bytes(msgspec.json.decode(odd, type=dict[str, msgspec.Raw])["ball"])


# --- corrections and deletions ---


def test_a_corrected_ball_keeps_its_key_and_its_turn() -> None:
    state = fold(ball(0, 1), ball(0, 2, kind="wide", extras=1), ball(0, 2, sub=1), ball(0, 2, bat=4, reason="Update"))
    assert [each["key"] for each in shown(state, "a_1_1")] == ["524352", "524416", "524417"]
    assert shown(state, "a_1_1")[1]["team_score"]["runs"] == 4


def test_a_ball_that_was_forgotten_takes_its_place() -> None:
    state = fold(ball(0, 1), ball(0, 3), ball(0, 2, reason="Update"))
    assert [each["overs"] for each in shown(state, "a_1_1")] == [[0, 1], [0, 2], [0, 3]]


def test_a_correction_may_move_a_ball() -> None:
    state = fold(ball(0, 6), ball(1, 1), ball(0, 6, overs=[1, 2], reason="Update"))
    assert keys(state) == ["a_1_2"]
    assert [each["overs"] for each in shown(state, "a_1_2")] == [[1, 1], [1, 2]]
    moved = fold(ball(0, 1), ball(0, 1, innings="b_1", reason="Update"))
    assert keys(moved) == ["b_1_1"]
    assert match(moved)["play"]["innings"].keys() == {"b_1"}


def test_a_deleted_ball_is_gone_with_its_over_and_comes_back_under_its_key() -> None:
    state = fold(ball(0, 6), ball(1, 1, bat=4), ball(1, 1, delete=True, reason="Other"))
    assert keys(state) == ["a_1_1"]
    assert match(state)["play"]["innings"]["a_1"]["score"]["runs"] == 0
    again = fold(ball(1, 1, bat=4), ball(1, 1, delete=True), ball(1, 1, bat=2))
    assert [each["team_score"]["runs"] for each in shown(again, "a_1_2")] == [2]
    nothing = fold(ball(1, 1), ball(1, 1, delete=True), ball(1, 1, delete=True), ball(5, 5, delete=True))
    assert (keys(nothing), nothing.innings, nothing.where) == ([], {}, {})


def test_a_repetition_changes_nothing() -> None:
    once = fold(*STORY)
    twice = fold(*(each for each in STORY for _ in range(2)))
    assert FOLD.view(once) == FOLD.view(twice)


# --- balls without details ---


def test_of_a_ball_without_details_the_notification_is_kept() -> None:
    state = fold(ball(0, 1), ball(0, 2, detail=False))
    assert shown(state, "a_1_1")[1] == {"key": "524416", "innings": "a_1", "batting_team": "a"}
    assert match(state)["play"]["innings"]["a_1"]["score"]["balls"] == 1
    known = fold(ball(0, 1, bat=4), ball(0, 1, detail=False, reason="Update"))
    assert shown(known, "a_1_1")[0]["team_score"]["runs"] == 4, "what is known stays"
    later = fold(ball(0, 1, detail=False), ball(0, 1, bat=4, reason="Update"))
    assert [each["team_score"]["runs"] for each in shown(later, "a_1_1")] == [4]


@pytest.mark.parametrize(
    ("known", "order", "name"),
    [
        ((), 1, "a_1"),
        ((), 2, "b_1"),
        ((), 3, "a_superover"),
        ((push("Info", match={"format": "test"}),), 4, "b_2"),
        ((push("Toss", match={"toss": {"winner": "b", "elected": "bat"}}),), 1, "b_1"),
        ((push("Toss", match={"toss": {"winner": "b", "elected": "bowl"}}),), 1, "a_1"),
        ((push("Toss", match={"toss": {"winner": "a", "elected": "bowl"}}),), 2, "a_1"),
        ((push("Toss", match={"play": {"first_batting": "b"}}),), 2, "a_1"),
        ((push("Toss", match={"play": {"innings_order": ["B1", "a_1"]}}),), 1, "b_1"),
        ((push("Toss", match={"play": {"innings_order": ["b_1"]}}),), 2, "b_1"),
        ((push("Toss", match={"toss": {}, "play": None}),), 1, "a_1"),
        ((ball(0, 1, order=2, innings="a_1"),), 2, "a_1"),
    ],
)
def test_whose_innings_it_is(known: tuple[tuple[str, str, bytes], ...], order: int, name: str) -> None:
    assert innings_of(fold(*known), order) == name


@pytest.mark.parametrize("odd", [None, [], [1], [-5, 1], [10**9, 1], [1.0, 2]])
def test_odd_overs_leave_a_ball_where_its_push_says(odd: Any) -> None:
    assert keys(fold(ball(1, 2, overs=odd))) == ["a_1_2"]


def test_odd_numbers_count_as_nothing() -> None:
    state = fold(ball(0, 1, team_score={"runs": 10**30, "extras": -5, "ball_count": 1.0, "is_wicket": None}))
    assert match(state)["play"]["innings"]["a_1"]["score_str"] == "0/0 in 0.1"
    assert FOLD.decode(FOLD.encode(state)) == state


# --- the document ---


def test_what_is_published_wins_over_what_is_added_up() -> None:
    state = fold(ball(0, 1, bat=4), push("Other", match={"play": {"innings": {"a_1": {"score_str": "mine"}}}}))
    found = match(state)["play"]["innings"]["a_1"]
    assert (found["score_str"], found["wickets"]) == ("mine", 0)


def test_status_without_a_word_of_the_publisher() -> None:
    assert match(fold(push("Info")))["status"] == "not_started"
    assert match(fold(ball(0, 1)))["status"] == "started"
    assert match(fold(push("Result")))["status"] == "completed"


def test_merging() -> None:
    old = b'{"a":{"x":1,"y":{"z":1.10}},"b":[1,2],"c":{"d":1},"e":9007199254740993}'
    new = b'{"a":{"y":{"w":null}},"b":[3],"c":null,"f":{"\\u00e9":"\\u00e9"}}'
    assert document.merge(old, new) == (
        b'{"a":{"x":1,"y":{"z":1.10,"w":null}},"b":[3],"c":null,"e":9007199254740993,"f":{"\\u00e9":"\\u00e9"}}'
    )
    assert document.merge(b"null", new) == new
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    assert msgspec.json.decode(document.merge(deep, deep)) == msgspec.json.decode(deep)
    for depth, kept in ((60, b'{"x":1,"y":2}'), (70, b'{"y":2}')):
        around = b'{"a":' * depth, b"}" * depth
        nested = [around[0] + inner + around[1] for inner in (b'{"x":1}', b'{"y":2}', kept)]
        assert document.merge(nested[0], nested[1]) == nested[2]


plain = st.recursive(
    st.none() | st.integers(-5, 5) | st.text(max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), plain, max_size=3)


def merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return old | {name: merged(old[name], value) if name in old else value for name, value in new.items()}


@given(objects, objects)
def test_merging_as_values(old: Any, new: Any) -> None:
    found = document.merge(msgspec.json.encode(old), msgspec.json.encode(new))
    assert msgspec.json.decode(found) == merged(old, new)


# --- its course ---


def test_the_end_and_a_result_taken_back() -> None:
    assert not FOLD.is_over(fold(*STORY[:-3]))
    assert FOLD.is_over(fold(*STORY[:-3], push("Result")))
    assert not FOLD.is_over(fold(push("Result"), push("Play", match={"status": "started"})))
    for status in ("completed", "cancelled", "abandoned"):
        assert FOLD.is_over(fold(push("Play", match={"status": status})))


def test_announced_anew_after_its_end_it_begins_again() -> None:
    announced = ("roanuz.match", *EXAMPLES["roanuz.match"])
    again = fold(*STORY, announced, ball(0, 1))
    assert (again.first_seq, keys(again), again.over) == (len(STORY) + 1, ["a_1_1"], False)
    assert match(again)["winner"] is None
    meanwhile = fold(*STORY[:6], announced)
    assert (meanwhile.first_seq, keys(meanwhile)) == (1, ["a_1_1"])
    assert match(meanwhile)["squad"] == {"a": {"captain": "p"}}, "what is known more of stays"


def test_what_belongs_to_one_partner_is_no_part_of_it() -> None:
    state = FOLD.initial(MATCH)
    event = Event("roanuz", *STORY[0][:2], "/t", "1", STORY[0][2], 0, 0, extensions={"partner": "x"})
    FOLD.apply(state, Record(1, 1, 0, event))
    assert state == FOLD.initial(MATCH)


def test_over_keys() -> None:
    for text, over in (
        ("a_1_10", "a_1_10"),
        ("A1_1", "a_1_1"),
        ("B_1_11", "b_1_11"),
        ("a_superover_1", "a_superover_1"),
        ("B_SuperOver_1", "b_superover_1"),
        ("asuperover_1", "a_superover_1"),
        ("a_2_007", "a_2_7"),
    ):
        found = parse_over_key(text)
        assert found is not None
        assert found.key == over
    for text in ("", "a_1_", "a_1_x", "_1", "FIRST-OVER", "a_1_-1", "a_1_1 ", "a_1_123456", "a_1_٣", "x" * 70 + "_1"):
        assert parse_over_key(text) is None, text


def test_super_overs_follow_the_innings() -> None:
    state = fold(
        ball(0, 1, order=3, innings="b_superover"),
        ball(0, 1),
        ball(0, 1, order=2),
        ball(0, 1, order=4, innings="a_superover"),
    )
    assert keys(state) == ["a_1_1", "b_1_1", "b_superover_1", "a_superover_1"]


def test_the_view_holds_document_and_balls() -> None:
    hub = told_hub()
    view = msgspec.json.decode(FOLD.view(hub.fold(MATCH)))
    assert view["match"]["name"] == msgspec.json.decode(payload("synthetic_match"))["name"]
    assert [(over["key"], len(over["balls"])) for over in view["overs"]] == [("a_1_1", 3), ("a_1_2", 2), ("b_1_1", 2)]


@given(st.integers(0, 2**32))
def test_any_order_of_entry_gives_sums_of_what_stands(seed: int) -> None:
    """Entered, corrected, moved, deleted at random: totals and places are those of the balls that are left."""
    dice = random.Random(seed)
    left: dict[str, Any] = {}
    story = []
    for _ in range(40):
        over, place, order = dice.randint(0, 2), dice.randint(1, 3), dice.randint(1, 2)
        delete = dice.random() < 0.3
        now = [dice.randint(0, 2), dice.randint(1, 6)]
        bat = dice.randint(0, 6)
        event = ball(over, place, order=order, delete=delete, bat=bat, overs=now)
        story.append(event)
        data = msgspec.json.decode(event[2])
        key = str(data["notification"]["data"]["ball"]["ball_key"])
        if delete:
            left.pop(key, None)
        else:
            left[key] = data["ball"]
    state = fold(*story)
    found = {each["key"]: (over, each) for over in keys(state) for each in shown(state, over)}
    assert {key: each for key, (_, each) in found.items()} == left
    for key, (over, each) in found.items():
        assert over == f"{left[key]['innings']}_{each['overs'][0] + 1}"
    for over in keys(state):
        places = [each["overs"][1] for each in shown(state, over)]
        assert places == sorted(places)
    for name, one in match(state).get("play", {}).get("innings", {}).items():
        assert one["score"]["runs"] == sum(b["team_score"]["runs"] for b in left.values() if b["innings"] == name)
    assert FOLD.decode(FOLD.encode(state)) == state


def test_whatever_is_published_is_taken() -> None:
    kinds = [kind.name for kind in FEED.types]
    for event_type in (*kinds, "roanuz.new"):
        for data in (b"[]", b"{}", b'{"match":null}', b'{"match":[]}', b'{"ball":5,"notification":5}', b"{" * 5000):
            state = fold((event_type, MATCH, data))
            msgspec.json.decode(FOLD.view(state))
