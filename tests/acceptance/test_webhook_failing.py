"""An outage is not a poison message: who is away for a while gets everything, and what is refused stops one game alone.

Redrive and replay are an operator's commands here; a receiver for which the last arrival wins ends with the newest.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .hockey import numbers, sheet, sheet_of
from .hubs import LOOPBACK, Hub, marker, wait_for
from .receivers import Delivery, Reception, Reply

GAMES = (1, 2, 3)
PACE_SECONDS = 0.1
"""Between events that are published until something is seen; nothing waits for it."""


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    """A hub whose webhooks may stay on this machine, with a league's partner."""
    made = make_hub(*LOOPBACK)
    made.add_partner("league", "hisports")
    return made


@pytest.fixture
def reception() -> Iterator[Reception]:
    """Where they arrive."""
    with Reception() as opened:
        yield opened


IDS = ("webhook-id", "x-hisports-delivery")


def by_command(hub: Hub, *words: str) -> Any:
    """What an endpoint command prints with --json; must succeed."""
    done = hub.command("endpoint", *words, "--json")
    assert done.code == 0, done
    return done.json


def told_of(hub: Hub, endpoint: str) -> list[str]:
    """The events of an endpoint, in order."""
    return [event.type for event in hub.events(feed="hub", subject=endpoint)]


def newest(deliveries: list[Delivery]) -> dict[int, int]:
    """What a receiver holds for which the last arrival wins."""
    return dict(map(sheet_of, deliveries))


def test_a_refused_scoresheet_ends_as_one_dead_letter_and_delays_no_other_game(hub: Hub, reception: Reception) -> None:
    poison = (1, 3)
    broken = True

    def refuse(delivery: Delivery) -> Reply:
        return Reply(500, b"no") if broken and sheet_of(delivery) == poison else Reply()

    reception.behave["league"] = refuse
    url = reception.url("league")
    endpoint = hub.add_endpoint("league", url, "hisports", "*", options={"max_block": "2"})
    hub.publish(*(sheet(game, number) for number in range(1, 9) for game in GAMES))
    reception.until("league", lambda got: numbers(got, 3)[-1:] == numbers(got, 2)[-1:] == [8], "the other games")
    assert set(numbers(reception.at("league"), 1)) <= {1, 2, 3}, "its stream waits"

    more = itertools.count(9)

    def is_dead() -> list[dict[str, Any]]:
        hub.publish(sheet(2, next(more)))  # only while the endpoint takes others does its time count
        time.sleep(PACE_SECONDS)
        return hub.dead_letters(endpoint.id)

    (letter,) = wait_for(is_dead, "the dead letter", 20)
    got = reception.until("league", lambda got: numbers(got, 1)[-1:] == [8], "its stream has moved on")
    tries = [index for index, one in enumerate(got) if sheet_of(one) == poison]
    assert len(tries) > 2
    around = [*numbers(got[: tries[0]], 1), 3, *numbers(got[tries[-1] + 1 :], 1)]
    assert around == list(range(1, 9)), "in order, and past the dead one"
    last = next(more) - 1
    got = reception.until("league", lambda got: numbers(got, 2)[-1:] == [last], "game 2 went on all the time")
    assert numbers(got, 2) == list(range(1, last + 1))
    assert numbers(got, 3) == list(range(1, 9))

    assert by_command(hub, "dead-letters", endpoint.id)["dead_letters"] == [letter]
    told = {name: letter[name] for name in ("feed", "type", "subject", "id", "status", "seq")}
    assert told == {
        "feed": "hisports", "type": "hisports.scoresheet.update", "subject": "1", "id": "sheet-1-3", "status": 500,
        "seq": 3,
    }  # fmt: skip
    assert letter["attempts"] == len(tries)
    assert hub.endpoint_report(endpoint.id)["dead_letters"] == 1

    hub.restart()
    assert hub.dead_letters(endpoint.id) == [letter]
    broken = False
    count = len(reception.at("league"))
    by_command(hub, "dead-letters", endpoint.id, "--redrive")
    again = reception.reached("league", count + 6)[count:]
    assert [sheet_of(one) for one in again] == [(1, number) for number in range(3, 9)]
    wait_for(lambda: hub.endpoint_report(endpoint.id)["backlog"] == 0, "nothing more is owed")
    assert by_command(hub, "dead-letters", endpoint.id)["dead_letters"] == []
    assert newest(reception.at("league")) == {1: 8, 2: last, 3: 8}


def test_replay_delivers_the_same_again_and_leaves_the_newest(hub: Hub, reception: Reception) -> None:
    hub.add_partner("app", "hub", grants={"feed": ["hisports"]})
    start = hub.start_position()
    hub.publish(*(sheet(game, number) for number in (1, 2) for game in GAMES))  # before there was any endpoint
    hub.publish(marker("m-1", "1"))  # which is of another feed, and nobody's here
    league = hub.add_endpoint("league", reception.url("league"), "hisports", "*", options={"trace": "on"})
    app = hub.add_endpoint("app", reception.url("app"), "hub", "hisports.*")
    hub.publish(*(sheet(game, number) for number in range(3, 11) for game in GAMES))
    first = {name: reception.reached(name, 24) for name in ("league", "app")}
    for endpoint in (league, app):
        wait_for(lambda one=endpoint: hub.endpoint_report(one.id)["backlog"] == 0, "all is answered")  # type: ignore[misc]
    assert not [one for got in first.values() for one in got if "touchline-replay" in one.headers]

    middle = hub.events(feed="hisports", subject="2")[4].position  # after sheet 5 of game 2
    for endpoint, name in ((league, "league"), (app, "app")):
        by_command(hub, "replay", endpoint.id, "--since", middle)
        again = reception.reached(name, 24 + 16, 30)[24:]
        wait_for(lambda one=endpoint: hub.endpoint_report(one.id)["backlog"] == 0, "all is answered")  # type: ignore[misc]
        assert len(reception.at(name)) == 24 + 16  # of three games the sheets after 5, and of game 3 that one too
        assert {one.headers["touchline-replay"] for one in again} == {"1"}
        assert all(same_deliveries(first[name], again, game) for game in GAMES)
    assert newest(reception.at("league")) == dict.fromkeys(GAMES, 10)

    by_command(hub, "replay", league.id, "--since", start)
    whole = reception.reached("league", 40 + 30, 30)[40:]
    assert [numbers(whole, game) for game in GAMES] == [list(range(1, 11))] * 3
    assert all(same_deliveries(first["league"], whole, game) for game in GAMES)
    by_command(hub, "replay", app.id, "--since", "1h")
    last = reception.reached("app", 40 + 30, 30)[40:]
    assert all(same_deliveries(first["app"], last, game) for game in GAMES)
    hub.publish(sheet(1, 11))
    for name in ("league", "app"):
        assert "touchline-replay" not in reception.reached(name, 71)[70].headers


def same_deliveries(first: list[Delivery], again: list[Delivery], game: int) -> bool:
    """Of a game the same bodies with the same ids come in the same order, as far as both have them."""
    mine, theirs = (
        [(one.body, *map(one.headers.get, IDS)) for one in got if b'"id":%d,"homeTeamId"' % game in one.body]
        for got in (first, again)
    )
    if len(theirs) > len(mine):
        theirs = theirs[len(theirs) - len(mine) :]
    return bool(theirs) and theirs == mine[len(mine) - len(theirs) :]


def test_who_was_away_for_seconds_gets_everything_in_order_and_nothing_is_given_up(
    hub: Hub, reception: Reception
) -> None:
    hub.add_partner("other", "hisports")
    away = hub.add_endpoint("league", reception.url("away"), "hisports", "*", options={"max_block": "1"})
    with Reception() as elsewhere:
        hub.add_endpoint("other", elsewhere.url("here"), "hisports", "*")
        hub.publish(*(sheet(game, number) for number in range(1, 6) for game in GAMES))
        reception.reached("away", 15)
        reception.shut()
        count = itertools.count(6)

        def is_failing() -> bool:
            number = next(count)
            hub.publish(*(sheet(game, number) for game in GAMES))
            time.sleep(PACE_SECONDS)
            return bool(hub.endpoint_report(away.id)["state"] == "failing")

        wait_for(is_failing, "the hub has noticed")
        last = next(count)
        hub.publish(*(sheet(game, last) for game in GAMES))
        elsewhere.reached("here", 3 * last)  # while nobody is there, and long before somebody is again
        report = hub.endpoint_report(away.id)
        assert report["backlog"] == 3 * (last - 5), report
        assert report["oldest_undelivered_seconds"] > 0
        assert report["last_error"]
        reception.open()
        got = reception.reached("away", 3 * last, 30)
        assert [numbers(got, game) for game in GAMES] == [list(range(1, last + 1))] * 3
        assert [numbers(elsewhere.at("here"), game) for game in GAMES] == [list(range(1, last + 1))] * 3
    assert hub.dead_letters(away.id) == []
    wait_for(lambda: hub.endpoint_report(away.id)["state"] == "active", "it is well again")
    wait_for(lambda: "hub.endpoint.recovered" in told_of(hub, away.id), "it is told")
    assert told_of(hub, away.id) == ["hub.endpoint.failing", "hub.endpoint.recovered"]


def test_410_disables_and_keeps_what_is_owed(hub: Hub, reception: Reception) -> None:
    reception.behave["league"] = lambda _: Reply(410, b"gone for good")
    endpoint = hub.add_endpoint("league", reception.url("league"), "hisports", "*")
    hub.publish(*(sheet(1, number) for number in range(1, 6)))
    wait_for(lambda: hub.endpoint_report(endpoint.id)["state"] == "disabled", "it is disabled")
    wait_for(lambda: told_of(hub, endpoint.id), "it is told")
    assert told_of(hub, endpoint.id) == ["hub.endpoint.disabled"]
    reception.behave.clear()
    hub.restart()
    hub.publish(sheet(1, 6))
    assert hub.endpoint_report(endpoint.id)["state"] == "disabled"
    tried = len(reception.at("league"))
    by_command(hub, "resume", endpoint.id)
    got = reception.reached("league", tried + 6)[tried:]
    assert numbers(got, 1) == [1, 2, 3, 4, 5, 6]


async def lingering(_: Delivery) -> Reply:
    """A receiver that needs a moment for each, so that there is a middle to be killed in."""
    await asyncio.sleep(0.02)
    return Reply()


def test_a_replay_goes_on_after_a_kill(hub: Hub, reception: Reception) -> None:
    start = hub.start_position()
    endpoint = hub.add_endpoint("league", reception.url("league"), "hisports", "*")
    hub.publish(*(sheet(game, number) for number in range(1, 31) for game in GAMES))
    reception.reached("league", 90)
    wait_for(lambda: hub.endpoint_report(endpoint.id)["backlog"] == 0, "all is answered")
    reception.behave["league"] = lingering
    hub.admin("POST", f"/hub/v1/endpoints/{endpoint.id}/replay", {"since": start})
    reception.reached("league", 90 + 20)
    hub.kill()
    reception.mark()
    hub.start()
    hub.publish(sheet(1, 31))
    reception.until("league", lambda got: all(numbers(got, game)[-1] >= 30 for game in GAMES), "the end of the replay")
    got = reception.until("league", lambda got: numbers(got, 1)[-1] == 31, "and then the newest")
    replayed = [one for one in got if one.headers.get("touchline-replay") == "1"]
    assert [sheet_of(one) for one in got[90:] if one not in replayed] == [(1, 31)]
    for game in GAMES:
        first, second = (numbers([one for one in replayed if one.life == life], game) for life in (0, 1))
        assert first == list(range(1, len(first) + 1))
        assert second == list(range(second[0], 31))
        assert 0 <= first[-1] - second[0] + 1 <= 32


def test_a_redrive_goes_on_after_a_kill(hub: Hub, reception: Reception) -> None:
    reception.behave["league"] = lambda delivery: Reply(422 if sheet_of(delivery) == (1, 3) else 200)
    endpoint = hub.add_endpoint("league", reception.url("league"), "hisports", "*", options={"final_4xx": "true"})
    hub.publish(*(sheet(1, number) for number in range(1, 31)))
    got = reception.reached("league", 30)
    assert numbers(got, 1) == list(range(1, 31))
    (letter,) = wait_for(lambda: hub.dead_letters(endpoint.id), "the dead letter")
    assert (letter["status"], letter["attempts"]) == (422, 1)
    reception.behave["league"] = lingering
    assert hub.terminate() == 0
    reception.mark()
    hub.start()
    hub.admin("POST", f"/hub/v1/endpoints/{endpoint.id}/dead-letters/redrive")
    reception.reached("league", 30 + 8)
    hub.kill()
    reception.mark()
    hub.start()
    hub.publish(sheet(1, 31))
    got = reception.until("league", lambda got: numbers(got, 1)[-1:] == [31], "the newest comes last")
    first, second = (numbers([one for one in got if one.life == life], 1) for life in (1, 2))
    assert first == list(range(3, 3 + len(first)))
    assert second == list(range(second[0], 32))
    assert 3 <= second[0] <= first[-1] + 1
    wait_for(lambda: hub.dead_letters(endpoint.id) == [], "the letter is gone")
