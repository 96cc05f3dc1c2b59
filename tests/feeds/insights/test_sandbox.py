"""The sandbox's insights: seeded, adding up with the games that they are about, and valid insights."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from touchline.feeds import registry
from touchline.feeds.base import SandboxOptions, Timed
from touchline.feeds.insights.sandbox import SANDBOX
from touchline.feeds.insights.topics import LOCALES, chosen
from touchline.testing.memory import START_NS
from touchline.wire.javascript import normalise

from . import worlds

OPTIONS = SandboxOptions(START_NS)


@cache
def game() -> tuple[Timed, ...]:
    """What the basketball sandbox publishes in one game, without what comes ten times a second."""
    sandbox = registry.load("shottracker").sandbox
    assert sandbox is not None
    assert sandbox.simulate is not None
    fast = ("shottracker.location", "shottracker.clock")
    return tuple(event for event in sandbox.simulate(random.Random("1"), OPTIONS) if event.type not in fast)


def derived(events: Sequence[Timed], seed: int = 1) -> list[Timed]:
    assert SANDBOX.derive is not None
    writer = SANDBOX.derive(random.Random(seed), OPTIONS)
    return [made for event in events for made in writer.observe(event)]


def contents(events: Sequence[Timed], subject: str) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in events if event.subject == subject]


def test_the_same_seed_writes_the_same() -> None:
    assert derived(game()) == derived(game())
    assert derived(game()) != derived(game(), seed=2)


def test_every_insight_is_one_that_the_feed_takes_as_it_is() -> None:
    hub = worlds.new_hub()
    events = derived(game())
    for event in events:
        record = hub.publish(event.type, event.subject, event.data)
        assert record.event.data == event.data == normalise(event.data)
    assert len({json.loads(event.data)["id"] for event in events}) == len(events)
    assert all(any(event.at < made.at for event in game()) for made in events)


def test_the_demos_topics_are_topics_and_all_of_them_are_written_to() -> None:
    topics = chosen(SANDBOX.topics, {})
    assert {event.subject for event in derived(game())} == {topic for topic in topics if topic.startswith("nba/")}
    assert {event.subject for event in derived(hockey(*HAT_TRICK))} == {
        topic for topic in topics if topic.startswith("nhl/")
    }
    assert SANDBOX.subject in topics


def test_scoring_is_told_in_five_languages_and_adds_up_to_the_final_score() -> None:
    events = derived(game())
    told = {locale: contents(events, f"nba/scoring/{locale}") for locale in LOCALES}
    assert len({len(insights) for insights in told.values()}) == 1
    for english, french in zip(told["en"], told["fr"], strict=True):
        assert english["event"]["insightGroupId"] == french["event"]["insightGroupId"]
        assert english["id"] != french["id"]
        assert english["content"] != french["content"]
    lines = [json.loads(event.data) for event in game() if event.type == "shottracker.boxscorestatsv2"]
    final = {str(line["team_id"]): line["stats"]["TEAM_SCORE"] for line in lines if "TEAM_SCORE" in line["stats"]}
    last: dict[str, int] = {}
    for insight in told["en"]:
        event = insight["event"]
        last[event["teamName"]], last[event["opponentName"]] = event["current"], event["opponentPoints"]
        assert str(event["current"]) in insight["content"]
        assert str(event["opponentPoints"]) in insight["content"]
    assert sorted(last.values()) == sorted(final.values())


def test_a_lead_changes_when_the_trigger_says_so() -> None:
    for insight in contents(derived(game()), "nba/scoring/en"):
        event = insight["event"]
        lead = event["current"] - event["opponentPoints"]
        before = lead - event["points"]
        expected = "tie" if lead == 0 else "lead_change" if before <= 0 < lead else "score"
        assert event["insightTrigger"] == expected


def test_highs_rise_and_milestones_come_once() -> None:
    events = derived([*game(), *game()])
    highs: dict[str, int] = {}
    for insight in contents(events, "nba/highs/en"):
        event = insight["event"]
        player = event["participantFullName"]
        assert event["current"] > event["high"] >= highs.get(player, 0)
        highs[player] = event["current"]
    assert highs
    milestones = contents(events, "nba/milestones/en")
    assert milestones
    assert all(insight["event"]["current"] >= insight["event"]["milestone"] for insight in milestones)
    assert max(Counter(insight["event"]["participantFullName"] for insight in milestones).values()) == 1


def test_a_game_that_is_played_again_has_new_ids_and_begins_at_nothing() -> None:
    once, twice = derived(game()), derived([*game(), *game()])
    second = twice[len(once) :]
    assert second
    assert {json.loads(event.data)["id"] for event in second}.isdisjoint(json.loads(event.data)["id"] for event in once)
    first = contents(second, "nba/scoring/en")[0]["event"]
    assert first["current"] == first["points"]


def test_a_correction_is_no_insight() -> None:
    lines = [event for event in game() if event.type == "shottracker.boxscorestatsv2" and b'"PTS"' in event.data]
    known = [event for event in game() if event.type in ("shottracker.team", "shottracker.game")]
    data = json.loads(lines[0].data)
    lowered = data | {"stats": data["stats"] | {"PTS": 0, "TEAM_SCORE": 0}}
    again = [
        Timed(at, lines[0].type, lines[0].subject, json.dumps(line).encode())
        for at, line in ((1, data), (2, lowered), (3, data))
    ]
    assert len(contents(derived([*known, *again]), "nba/scoring/en")) == 2


# hockey, by scoresheets

GOAL = tuple[int, int, int]
"""id, team, participant"""


def hockey(*goals: GOAL) -> list[Timed]:
    """A game and a scoresheet after every goal; each holds the whole state."""
    teams = {"homeTeam": {"name": "Rivermouth"}, "awayTeam": {"name": "Stonehill"}}
    row = {"id": 77, "homeTeamId": 1, "awayTeamId": 2, **teams}

    def member(number: int) -> dict[str, object]:
        return {"participantId": number, "participant": {"fullName": f"Player {number}"}}

    lineups = {"1": {"members": [member(11), member(12)]}, "2": {"members": [member(21)]}}
    made = [Timed(0, "hisports.game.create", "77", json.dumps({"type": "game.create", "game": row}).encode())]
    for count in range(len(goals) + 1):
        listed = [{"id": name, "teamId": team, "participantId": player} for name, team, player in goals[:count]]
        sheet = {"game": row, "scoresheet": {"lineups": lineups, "goals": listed}}
        made.append(Timed(count + 1, "hisports.scoresheet.update", "77", json.dumps(sheet).encode()))
    return made


HAT_TRICK: tuple[GOAL, ...] = ((1, 1, 11), (2, 2, 21), (3, 1, 11), (4, 1, 11), (5, 1, 11))


def test_hockey_goals_are_counted_from_whole_scoresheets() -> None:
    events = derived(hockey(*HAT_TRICK))
    told = contents(events, "nhl/scoring/en")
    assert [(i["event"]["current"], i["event"]["opponentPoints"], i["event"]["insightTrigger"]) for i in told] == [
        (1, 0, "lead_change"), (1, 1, "tie"), (2, 1, "lead_change"), (3, 1, "score"), (4, 1, "score")
    ]  # fmt: skip
    (trick,) = contents(events, "nhl/milestones/en")
    assert trick["content"] == "Player 11 has a hat trick."
    assert len(contents(events, "nhl/scoring/it")) == 5


def test_a_scoresheet_that_comes_again_or_late_is_no_news() -> None:
    sheets = hockey(*HAT_TRICK)
    assert derived([*sheets, sheets[-1], sheets[-1]]) == derived(sheets)


def test_several_goals_of_one_scoresheet_are_told_one_by_one() -> None:
    sheets = hockey(*HAT_TRICK)
    told = contents(derived([sheets[0], sheets[1], sheets[-1]]), "nhl/scoring/en")
    assert [insight["event"]["current"] for insight in told] == [1, 1, 2, 3, 4]


def test_what_is_not_understood_is_passed_over() -> None:
    strange = [
        Timed(0, "shottracker.boxscorestatsv2", "nowhere", b'{"player_id":1,"stats":{"PTS":2,"TEAM_SCORE":2}}'),
        Timed(0, "hisports.scoresheet.update", "78", b'{"scoresheet":{"goals":[{"id":1}]}}'),
        Timed(0, "hisports.scoresheet.update", "78", b'{"game":{"id":78},"scoresheet":null}'),
        Timed(0, "roanuz.ball", "m", b"{}"),
        Timed(0, "shottracker.marker", "g", b"[]"),
    ]
    assert derived(strange) == []
