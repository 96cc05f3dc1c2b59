"""Seeded makers and takers: the same dice play the same games, the book stays alive, every rule holds meanwhile."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from touchline.feeds.prophetx import FEED, exchange
from touchline.feeds.prophetx.exchange import Accepted, Refusal, payloads
from touchline.feeds.prophetx.exchange.makers import MAKERS, MOST_RESTING, TOURNAMENT, Crowd, Times
from touchline.model import Event

from . import worlds
from .worlds import T0

STEP_NS = 50_000_000
TIMES = Times(games=2, before_seconds=10, play_seconds=20, after_seconds=3)


def play(seed: int, steps: int, watcher: worlds.Watcher | None = None, restart_at: int = -1) -> worlds.Floor:
    """Let the crowd play; a restart replaces the crowd and rebuilds the state of what was published."""
    floor = worlds.Floor()
    crowd = Crowd(random.Random(seed), TIMES)
    for step in range(steps):
        if step == restart_at:
            floor.state = worlds.rebuilt(floor.published)
            crowd = Crowd(random.Random(seed + 1), TIMES)
        floor.now = T0 + step * STEP_NS
        for command in crowd.next(floor.state, floor.now):
            answer = exchange.decide(floor.state, command, floor.now, floor.new_id)
            if isinstance(answer, Refusal):
                assert answer.error == "no_cancellable_wagers", (command, answer)
                continue
            take(floor, command, answer, watcher)
    return floor


def take(
    floor: worlds.Floor, command: exchange.Command, answer: Accepted, watcher: worlds.Watcher | None = None
) -> None:
    worlds.check_trades(answer.changes)
    for failure in answer.failures:
        assert failure.refusal.error == "insufficient_amount"
    if isinstance(command, exchange.OpenAccount):
        floor.deposits += command.balance_cents
    elif isinstance(command, exchange.Deposit):
        floor.deposits += command.cents
    for change in answer.changes:
        exchange.apply(floor.state, change)
    floor.published.extend(answer.changes)
    if watcher:
        watcher.take(answer.changes)


def test_a_minute_and_a_half_of_trading() -> None:
    watcher = worlds.Watcher()
    floor = play(7, 1800, watcher)
    counts = Counter((change.type.split(".")[1], change.extensions["op"]) for change in floor.published)
    assert counts["matched_bet", "c"] > 200
    assert counts["market_selections", "u"] > 500
    assert counts["sport_event", "d"] >= 2
    statuses = Counter(wager.status for wager in floor.state.wagers.values())
    assert set(statuses) >= {"open", "closed", "canceled", "wiped"}
    worlds.check_money(floor)
    worlds.check_sides(floor.state)
    worlds.check_books(floor.state)
    watcher.check(floor.state)
    worlds.check_numbers(floor.published)
    assert worlds.fingerprint(worlds.rebuilt(floor.published)) == worlds.fingerprint(floor.state)
    assert len(floor.state.events) <= TIMES.games
    resting = Counter(wager.partner for wager in floor.state.wagers.values() if wager.is_resting)
    assert all(resting[maker] <= (MOST_RESTING + 6) * TIMES.games for maker in MAKERS)


def test_all_that_is_published_is_what_the_feed_takes() -> None:
    kinds = {kind.name: kind for kind in FEED.types}
    for change in play(9, 300).published:
        kind = kinds[change.type]
        event = Event(
            feed=FEED.name,
            type=change.type,
            subject=change.subject,
            source="/sandbox/prophetx",
            id=change.id,
            data=change.data,
            occurred_at=T0,
            received_at=T0,
            extensions=change.extensions,
        )
        assert kind.check is not None
        assert kind.check(event, msgspec.json.decode(change.data, type=kind.data)) is None


def test_the_same_dice_play_the_same_games() -> None:
    assert play(3, 200).published == play(3, 200).published
    assert play(3, 200).published != play(4, 200).published


@pytest.mark.parametrize("restart_at", [1, 150, 450, 700])
def test_they_go_on_after_a_restart(restart_at: int) -> None:
    floor = play(5, 900, restart_at=restart_at)
    late = [change for change in floor.published[len(floor.published) // 2 :] if change.type == payloads.MATCHED_BET]
    assert late
    worlds.check_money(floor)
    worlds.check_books(floor.state)
    identifiers = [change.id for change in floor.published]
    assert len(identifiers) == len(set(identifiers))


def test_the_crowd_leaves_other_tournaments_alone() -> None:
    floor = worlds.open_floor("ann")
    crowd = Crowd(random.Random(1), TIMES)
    for step in range(300):
        floor.now = T0 + 1_000_000_000 + step * STEP_NS
        for command in crowd.next(floor.state, floor.now):
            floor.do(command)
    public = [change for change in floor.published[6:] if "partner" not in change.extensions]
    assert {change.subject for change in public} == {str(TOURNAMENT.id)}
    told = [change for change in floor.published if change.type == payloads.WAGER]
    assert all(msgspec.json.decode(change.data)["info"]["sport_event_id"] != 7001 for change in told)


def new_games(floor: worlds.Floor, crowd: Crowd) -> list[exchange.Command]:
    """What makes a game, once everything before it was done."""
    while True:
        commands = list(crowd.next(floor.state, floor.now))
        if len(commands) > 1 and isinstance(commands[0], exchange.PutSportEvent):
            return commands
        for command in commands:
            floor.accepted(command)


def lines_by_market(floor: worlds.Floor) -> Counter[tuple[int, int]]:
    return Counter((line.sport_event_id, line.market_id) for line in floor.state.lines.values())


@pytest.mark.parametrize("is_restarted", [True, False])
@pytest.mark.parametrize("done", range(1, 7))
def test_a_game_whose_making_was_broken_off_gets_its_markets(done: int, is_restarted: bool) -> None:
    floor, crowd = worlds.Floor(), Crowd(random.Random(1), TIMES)
    for command in new_games(floor, crowd)[:done]:
        floor.accepted(command)
    (event_id,) = floor.state.events
    if is_restarted:
        floor.state, crowd = worlds.rebuilt(floor.published), Crowd(random.Random(2), TIMES)
    for _ in range(2):
        for command in crowd.next(floor.state, floor.now):
            floor.accepted(command)
    lines = lines_by_market(floor)
    assert {key[1]: count for key, count in lines.items() if key[0] == event_id} == {219: 2, 223: 2, 225: 2}
    names = {line.name for line in floor.state.lines.values() if line.type == "moneyline"}
    assert {team.name for team in floor.state.events[event_id].competitors} <= names


def test_what_the_operator_takes_from_a_game_stays_away() -> None:
    floor, crowd = worlds.Floor(), Crowd(random.Random(1), TIMES)
    for command in new_games(floor, crowd):
        floor.accepted(command)
    (event_id,) = floor.state.events
    crowd.next(floor.state, floor.now)
    floor.accepted(exchange.Remove(event_id=event_id, market_id=223))
    for _ in range(100):
        floor.now += STEP_NS
        for command in crowd.next(floor.state, floor.now):
            floor.do(command)
    assert (event_id, 223) not in floor.state.markets


def test_who_ran_out_of_money_is_given_more() -> None:
    floor = worlds.Floor()
    crowd = Crowd(random.Random(1), TIMES)
    floor.accepted(exchange.OpenAccount(MAKERS[0], 1))
    for _ in range(2):
        for command in crowd.next(floor.state, T0):
            floor.accepted(command)
    assert floor.money(MAKERS[0])[0] > 100_000_00


def test_games_that_the_operator_cancels_make_way_for_others() -> None:
    floor = play(5, 300)
    called_off = set(floor.state.events)
    for event in list(floor.state.events.values()):
        floor.accepted(exchange.PutSportEvent(msgspec.structs.replace(event, status="cancelled")))
    crowd = Crowd(random.Random(2), TIMES)
    for _ in range(40):
        floor.now += 1_000_000_000
        for command in crowd.next(floor.state, floor.now):
            floor.do(command)
    assert len(floor.state.events) == TIMES.games
    assert not called_off & set(floor.state.events)
