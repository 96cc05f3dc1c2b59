"""The simulated game: taken by the hub, adding up by an independent recount, the same from the same seed."""

from __future__ import annotations

import base64
import itertools
import json
import random
import struct
import zlib
from collections import Counter
from functools import cache
from typing import Any

import pytest

from touchline.feeds.base import SandboxOptions, Timed
from touchline.feeds.hisports import FEED
from touchline.feeds.hisports.sandbox.game import SUBJECT, simulate
from touchline.testing.memory import START_NS

from .worlds import CREATE, SHEET, UPDATE, get, new_hub

OPTIONS = SandboxOptions(START_NS)
SEEDS = range(30)
LENGTH = {"1": 1200, "2": 1200, "3": 1200, "OT": 600, "SO": 0}
ORDER = ("1", "2", "3", "OT", "SO")


def play(seed: int) -> list[Timed]:
    return list(simulate(random.Random(seed), OPTIONS))


@cache
def played(seed: int) -> list[Timed]:
    return play(seed)


@cache
def sheets(seed: int) -> list[dict[str, Any]]:
    return [json.loads(event.data)["scoresheet"] for event in played(seed) if event.type == SHEET]


def moment(time: dict[str, Any]) -> int:
    """Seconds of play since the first face-off."""
    before = sum(LENGTH[period] for period in ORDER[: ORDER.index(time["period"])])
    elapsed = LENGTH[time["period"]] - time["minutes"] * 60 - time["seconds"]
    assert 0 <= time["minutes"] <= 20
    assert 0 <= time["seconds"] < 60
    assert 0 <= elapsed <= LENGTH[time["period"]]
    return before + elapsed


@pytest.mark.parametrize("seed", SEEDS)
def test_every_event_is_taken_and_the_last_state_is_read_back(seed: int) -> None:
    hub = new_hub()
    at = 0
    for event in played(seed):
        assert event.at >= at
        at = event.at
        assert event.subject == SUBJECT
        hub.publish(event.type, event.subject, event.data)
    assert get(hub, f"/games/{SUBJECT}/scoresheet") == sheets(seed)[-1]
    assert get(hub, f"/games/{SUBJECT}")["isApproved"] is True
    goals = sheets(seed)[-1]["goals"]
    counted = Counter(goal["teamId"] for goal in goals if goal["gameTime"]["period"] != "SO")
    shots = Counter(goal["teamId"] for goal in goals if goal["gameTime"]["period"] == "SO")
    counted.update(
        team for team in shots if shots[team] > max(0, *(shots[other] for other in shots if other != team), 0)
    )
    box = get(hub, f"/games/{SUBJECT}/boxScore")
    assert {team["id"]: team["score"] for team in box["teams"]} == {team: counted[team] for team in (9001, 9002)}
    assert counted[9001] != counted[9002], "somebody wins"


@pytest.mark.parametrize("seed", SEEDS)
def test_it_tells_a_game_in_order(seed: int) -> None:
    kinds = [event.type for event in played(seed)]
    assert kinds[:2] == [CREATE, SHEET]
    assert Counter(kinds)[CREATE] == Counter(kinds)[UPDATE] == 1
    assert kinds[-2:] in ([UPDATE, SHEET], [SHEET, UPDATE])
    statuses = [sheet["status"] for sheet in sheets(seed)]
    assert [status for status, _ in itertools.groupby(statuses)] == ["scheduled", "started", "ended", "approved"]
    approved = kinds.index(UPDATE)
    assert json.loads(played(seed)[approved - 1].data)["scoresheet"]["status"] == "approved"
    times = [moment(sheet["gameTime"]) for sheet in sheets(seed)]
    assert times == sorted(times), "the clock counts down"


@pytest.mark.parametrize("seed", SEEDS)
def test_each_message_has_one_change_and_keeps_the_rest(seed: int) -> None:
    for before, after in itertools.pairwise(sheets(seed)):
        assert before != after
        for name in ("goals", "penalties", "goalies"):
            olds = [each["id"] for each in before[name] if "id" in each]
            news = [each["id"] for each in after[name] if "id" in each]
            assert news[: len(olds)] == olds
            assert len(news) - len(olds) <= 1
        assert after["settings"] == before["settings"]


@pytest.mark.parametrize("seed", SEEDS)
def test_people_play_who_are_in_the_lineup(seed: int) -> None:
    last = sheets(seed)[-1]
    of = {int(team): {m["participantId"] for m in lineup["members"]} for team, lineup in last["lineups"].items()}
    assert not of[9001] & of[9002]
    for goal in last["goals"]:
        named = [goal["participantId"], *goal["assistIds"]]
        assert len(set(named)) == len(named) <= 3
        assert set(named) <= of[goal["teamId"]]
    for penalty in last["penalties"]:
        assert {penalty["participantId"] or penalty["servedById"]} <= of[penalty["teamId"]]
    for goalie in last["goalies"]:
        assert goalie["onParticipantId"] in {*of[goalie["teamId"]], None}
    assert [goalie.get("isStarter") for goalie in last["goalies"][:2]] == [True, True]
    ids = [each["id"] for name in ("goals", "penalties", "goalies") for each in last[name] if "id" in each]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("seed", SEEDS)
def test_penalties_run_their_time_or_end_on_a_power_play_goal(seed: int) -> None:
    last = sheets(seed)[-1]
    power = {(goal["teamId"], moment(goal["gameTime"])) for goal in last["goals"] if goal["isPowerplay"]}
    ended_early = []
    for penalty in last["penalties"]:
        assert penalty["isEnded"] is (penalty["endTime"] is not None)
        if penalty["isEnded"]:
            served = moment(penalty["endTime"]) - moment(penalty["startTime"])
            full = {"minor": 120, "major": 300, "misconduct": 600}[penalty["duration"]]
            assert served <= full
            if served < full:
                assert penalty["duration"] == "minor"
                ended_early.append(({9001: 9002, 9002: 9001}[penalty["teamId"]], moment(penalty["endTime"])))
    assert set(ended_early) <= power
    assert len(set(ended_early)) == len(ended_early), "a goal ends one penalty"


def net(last: dict[str, Any], team: int, at: int) -> set[int | None]:
    """Who may be in a team's net at a moment: whoever came on last before it, or in that very second."""
    changes = [
        (moment(each["gameTime"]), each["onParticipantId"]) for each in last["goalies"] if each["teamId"] == team
    ]
    before = [who for when, who in changes if when < at]
    return {who for when, who in changes if when == at} | set(before[-1:])


@pytest.mark.parametrize("seed", SEEDS)
def test_flags_of_goals_fit_the_rest_of_the_sheet(seed: int) -> None:
    last = sheets(seed)[-1]
    for goal in last["goals"]:
        at, other = moment(goal["gameTime"]), 18003 - goal["teamId"]
        if goal["isEmptyNet"]:
            assert None in net(last, other, at)
        short: Counter[int] = Counter()
        for penalty in last["penalties"]:
            end = LENGTH["1"] * 9 if penalty["endTime"] is None else moment(penalty["endTime"])
            if penalty["duration"] in ("minor", "major") and moment(penalty["startTime"]) < at <= end:
                short[penalty["teamId"]] += 1
        if goal["isPowerplay"]:
            assert short[other] > short[goal["teamId"]]
        assert not (goal["isPowerplay"] and goal["isShorthanded"])
        assert goal["isPenaltyShot"] is (goal["gameTime"]["period"] == "SO")


def test_across_seeds_everything_happens() -> None:
    last = [sheets(seed)[-1] for seed in SEEDS]
    goals = [goal for sheet in last for goal in sheet["goals"]]
    penalties = [penalty for sheet in last for penalty in sheet["penalties"]]
    assert {goal["gameTime"]["period"] for goal in goals} == set(ORDER)
    for flag in ("isPowerplay", "isShorthanded", "isEmptyNet", "isPenaltyShot", "isEdited"):
        assert any(goal[flag] for goal in goals), flag
    assert {penalty["duration"] for penalty in penalties} == {"minor", "major", "misconduct"}
    assert any(penalty["participantId"] is None for penalty in penalties)
    assert any(goalie["onParticipantId"] is None for sheet in last for goalie in sheet["goalies"])
    power = {(goal["teamId"], moment(goal["gameTime"])) for goal in goals if goal["isPowerplay"]}
    assert any((18003 - p["teamId"], moment(p["endTime"])) in power for p in penalties if p["endTime"])


def png(uri: str) -> bytes:
    """The picture's raw rows; every checksum is checked."""
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"), validate=True)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, rows = 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunk = data[at + 4 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (zlib.crc32(chunk),)
        rows += chunk[4:] if chunk.startswith(b"IDAT") else b""
        at += 12 + length
    return zlib.decompress(rows)


def test_signatures_are_pictures() -> None:
    last = sheets(1)[-1]
    approvals = last["approvals"]
    signed = [*approvals["officials"], approvals["timekeeper"], approvals["scorekeeper"]]
    signed += [lineup["approval"] for lineup in last["lineups"].values()]
    assert len(signed) == 8
    assert {len(png(each["signature"])) for each in signed} == {16}
    assert [each["participantId"] for each in approvals["officials"]] == [
        each["participantId"] for each in last["officials"]
    ]


def test_a_correction_comes_after_the_approval() -> None:
    last, before = sheets(1)[-1], sheets(1)[-2]
    assert [goal["isEdited"] for goal in last["goals"]].count(True) == 1
    assert not any(goal["isEdited"] for goal in before["goals"])
    assert [goal["teamId"] for goal in last["goals"]] == [goal["teamId"] for goal in before["goals"]]


def test_the_same_seed_plays_the_same_game() -> None:
    assert play(3) == played(3)
    assert play(4) != played(3)


def test_a_game_is_over_within_minutes() -> None:
    assert all(240 < played(seed)[-1].at / 1e9 < 600 for seed in SEEDS)
    assert all(len(event.data) < 64 * 1024 for seed in SEEDS for event in played(seed))


def test_looped_it_begins_anew_on_the_same_subject() -> None:
    endless = simulate(random.Random(1), SandboxOptions(START_NS, loop=True, subject="77"))
    events = list(itertools.islice(endless, 120))
    assert {event.subject for event in events} == {"77"}
    assert [event.at for event in events] == sorted(event.at for event in events)
    begins = [number for number, event in enumerate(events) if event.type == CREATE]
    assert len(begins) >= 2
    hub = new_hub()
    for event in events[: begins[1] + 2]:
        hub.publish(event.type, event.subject, event.data)
    assert get(hub, "/games/77")["isApproved"] is False
    assert get(hub, "/games/77/scoresheet")["goals"] == []
    entries = [json.loads(events[begins[1] - 1].data), json.loads(events[-1].data)]
    one, two = ({each["id"] for each in entry["scoresheet"]["penalties"]} for entry in entries)
    assert not one & two, "ids go on"


def test_the_surface() -> None:
    surface = FEED.sandbox
    assert surface is not None
    assert surface.simulate is simulate
    assert FEED.webhook is not None
    assert FEED.webhook.topics(surface.topics, surface.endpoint_options, {}) == ("*",)
    for name, value in surface.endpoint_options.items():
        assert value in FEED.webhook.options[name]
