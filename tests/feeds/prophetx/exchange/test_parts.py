"""Commands that concern any number of wagers go in parts: each leaves a state in which every rule holds, and the same
command does the rest, also after a restart between two of them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from itertools import count
from pathlib import Path

import msgspec
import pytest

from touchline.feeds import registry
from touchline.feeds.intake import Intake
from touchline.feeds.prophetx import FEED, exchange
from touchline.feeds.prophetx.exchange import (
    Accepted,
    Place,
    PutSportEvent,
    Remove,
    Result,
    Settle,
    Void,
    decisions,
    wagering,
)
from touchline.feeds.prophetx.exchange import draft as drafts
from touchline.feeds.prophetx.exchange.payloads import Line
from touchline.log.sqlite import Limits, SqliteLog
from touchline.server.engines import EngineOwner
from touchline.testing.clock import FakeClock

from . import worlds
from .worlds import EVENT, SPREAD, TOURNAMENT, Floor, line, open_floor, order

LINES = 6
WAGERS = 5
BOTH = {"ann", "bob"}


def busy_floor() -> Floor:
    """Six lines; on each five wagers of one side, and one of the other that matches some of them."""
    floor = open_floor(*BOTH, dollars=10_000)
    floor.accepted(exchange.PutMarket(SPREAD))
    for number in range(2, LINES + 1):
        floor.accepted(exchange.PutLine((side(0, number), side(1, number))))
    for number in range(1, LINES + 1):
        for wager in range(WAGERS):
            floor.place("ann", f"a{number}-{wager}", side(0, number).line_id, 124, "10")
        floor.place("bob", f"b{number}", side(1, number).line_id, -124, "20")
    return floor


def side(which: int, number: int) -> Line:
    return line(which) if number == 1 else line(which, SPREAD, number, str(number))


def check(floor: Floor) -> None:
    worlds.check_money(floor)
    worlds.check_sides(floor.state)
    worlds.check_books(floor.state)
    worlds.check_numbers(floor.published)
    assert worlds.fingerprint(worlds.rebuilt(floor.published)) == worlds.fingerprint(floor.state)


def live() -> PutSportEvent:
    return PutSportEvent(msgspec.structs.replace(EVENT, status="live"))


WHOLE: list[Callable[[], exchange.Command]] = [
    lambda: Remove(tournament_id=132),
    lambda: Remove(event_id=7001),
    lambda: Remove(event_id=7001, market_id=SPREAD.id),
    lambda: Void(event_id=7001, market_id=SPREAD.id),
    live,
]


@pytest.mark.parametrize("most", [1, 4, 12])
@pytest.mark.parametrize("command", WHOLE)
def test_what_is_done_in_parts_is_the_same_in_the_end(
    command: Callable[[], exchange.Command], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = busy_floor()
    assert not whole.accepted(command()).more
    monkeypatch.setattr(drafts, "MOST_AT_ONCE", most)
    floor = busy_floor()
    parts = 1
    while floor.accepted(command()).more:
        parts += 1
        check(floor)
        floor.state = worlds.rebuilt(floor.published)  # a restart between two parts
    check(floor)
    assert parts > 1
    for left, right in ((floor, whole), (whole, floor)):
        assert left.state.events.keys() <= right.state.events.keys()
        assert left.state.lines.keys() <= right.state.lines.keys()
        assert {one.id: one.status for one in left.state.wagers.values()}.items() <= {
            one.id: one.status for one in right.state.wagers.values()
        }.items()
    assert {name: floor.money(name) for name in BOTH} == {name: whole.money(name) for name in BOTH}
    assert [event.status for event in floor.state.events.values()] == [
        event.status for event in whole.state.events.values()
    ]


def test_what_was_broken_off_can_be_settled_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "MOST_AT_ONCE", 1)
    floor = busy_floor()
    assert floor.accepted(Void(event_id=7001, market_id=SPREAD.id)).more
    for number in range(1, LINES + 1):
        floor.accepted(Settle(side(0, number).line_id, Result.WIN))
    check(floor)


def test_fill_or_kill_wagers_expire_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "MOST_AT_ONCE", 4)
    floor = open_floor("ann")
    for number in range(10):
        floor.accepted(Place("ann", order(f"a{number}", worlds.H, 110, "1", exchange.FILL_OR_KILL)))
    floor.now += 3_000_000_000
    answers = []
    while not answers or answers[-1].more:
        answers.append(floor.accepted(exchange.Expire()))
        check(floor)
    assert [len(worlds.of_kind(answer.changes)) for answer in answers] == [4, 4, 2]
    assert floor.money("ann") == (1000_00, 0, 0)


def test_the_wagers_of_a_line_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wagering, "MOST_ALIVE", 3)
    floor = open_floor("ann", "bob")
    for number in range(3):
        floor.place("ann", f"a{number}", worlds.H, 110, "1")
    refused = floor.refused(Place("bob", order("b", worlds.A, 110, "1")))
    assert (refused.status, refused.error) == (400, "wager_limit_exceeded")
    floor.accepted(Settle(worlds.H, Result.PUSH))
    check(floor)


def test_what_is_too_large_all_the_same_is_refused_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    floor = busy_floor()
    monkeypatch.setattr(decisions, "MOST_CHANGES", 8)
    refused = floor.refused(Settle(worlds.H, Result.WIN))
    assert "too many at once" in refused.message
    assert isinstance(floor.do(Place("bob", order("b", worlds.A, 110, "1"))), Accepted)


async def test_more_than_a_log_takes_at_once_does_not_wedge_the_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "MOST_AT_ONCE", 40)
    log = SqliteLog(tmp_path, FakeClock(), Limits(waiting_events=100))
    await log.start()
    ids = count()
    assert FEED.sandbox is not None
    assert FEED.sandbox.engine is not None
    intake = Intake(registry.feeds())
    owner = EngineOwner(
        FEED.name, FEED.sandbox.engine, log, intake, FakeClock(), lambda: str(next(ids)), random.Random(1), 0.0
    )
    await owner.load()
    running = asyncio.create_task(owner.run())
    partners = [f"partner-{number}" for number in range(10)]
    sides = [(line(0, SPREAD, number, str(number)), line(1, SPREAD, number, str(number))) for number in range(1, 11)]
    for command in (
        exchange.PutTournament(TOURNAMENT),
        PutSportEvent(EVENT),
        exchange.PutMarket(SPREAD),
        *map(exchange.PutLine, sides),
        *(exchange.OpenAccount(partner, 10**6) for partner in partners),
    ):
        assert isinstance(await owner.command(command), Accepted)
    for partner in partners:
        for home, _ in sides:
            orders = tuple(order(f"{home.line_id}-{each}", home.line_id, 110, "1") for each in range(3))
            assert not (await owner.command(exchange.PlaceMany(partner, orders))).failures
    assert len(owner.state.wagers) == 300
    assert isinstance(await owner.command(Remove(event_id=EVENT.event_id)), Accepted)
    assert not owner.state.events
    assert {wager.status for wager in owner.state.wagers.values()} == {"void"}
    assert {account.balance for account in owner.state.accounts.values()} == {10**6}
    await owner.stop()
    await running
    await log.close()
