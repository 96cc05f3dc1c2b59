"""Who plays on the sandbox exchange: seeded makers and takers, and the house that offers games and settles them.

Pure: the same dice, states and times give the same commands. Prices are drawn from a wandering probability, which is
no money and may be a float. What is not remembered (after a restart) is drawn anew; the games go on from the state.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from touchline.feeds.base.dice import Dice
from touchline.feeds.prophetx.exchange.commands import (
    FILL_OR_KILL,
    Cancel,
    Cancellation,
    CancelWhere,
    Command,
    Deposit,
    Expire,
    OpenAccount,
    Order,
    Place,
    PlaceMany,
    PutLine,
    PutMarket,
    PutSportEvent,
    PutTournament,
    Remove,
    Result,
    Settle,
)
from touchline.feeds.prophetx.exchange.odds import LADDER, opposite, ratio
from touchline.feeds.prophetx.exchange.payloads import (
    Category,
    Competitor,
    Line,
    Market,
    Sport,
    SportEvent,
    Tournament,
)
from touchline.feeds.prophetx.exchange.state import State

TOURNAMENT: Final = Tournament(
    id=990001, name="Sandbox League", category=Category(990, "Sandbox", "US"), sport=Sport(2, "Basketball")
)
MAKERS: Final = ("sandbox-maker-1", "sandbox-maker-2", "sandbox-maker-3")
TAKERS: Final = ("sandbox-taker-1", "sandbox-taker-2", "sandbox-taker-3", "sandbox-taker-4")
STARTING_CENTS: Final = 1_000_000 * 100
MOST_RESTING: Final = 40
"""How many wagers of one maker rest on one game at most."""

_SECOND_NS: Final = 1_000_000_000
_PLANS: Final = ((219, "Moneyline", "moneyline"), (223, "Spread", "spread"), (225, "Total Points", "total"))
_TEAMS: Final = ("Harbour", "Summit", "Meadow", "Quarry", "Orchard", "Lantern", "Foundry", "Glacier")
_CHANCES: Final = [1 - ratio(odds)[0] / sum(ratio(odds)) for odds in reversed(LADDER)]
"""The probability at which each odds of the ladder are fair, least first."""


class Times(msgspec.Struct, frozen=True):
    """How many games are on at once, and how long each is open before, played, and left to be looked at after."""

    games: int = 2
    before_seconds: int = 60
    play_seconds: int = 180
    after_seconds: int = 20


class Crowd:
    """Everybody who plays. ``next`` is asked for what happens next, as often as the market is to move."""

    def __init__(self, dice: Dice, times: Times | None = None) -> None:
        self._dice = dice
        self._times = times or Times()
        self._chances: dict[str, float] = {}
        self._whole: set[int] = set()
        """games that were seen with all that belongs to them: what the operator takes away from these stays away"""
        self._orders = 0

    def next(self, state: State, now: int) -> Sequence[Command]:
        """The next commands, to be carried out in order, each on the state that the one before left."""
        needed = self._house(state, now)
        if needed:
            return needed
        pairs = [pair for pair in dict.fromkeys(state.twins.values()) if self._is_open(state, pair[0])]
        self._chances = {line_id: chance for line_id, chance in self._chances.items() if line_id in state.lines}
        if not pairs:
            return ()
        pair = self._dice.choice(pairs)
        chance = self._chances.get(pair[0], 0.0) or self._dice.uniform(0.3, 0.7)
        self._chances[pair[0]] = chance = min(max(chance + self._dice.gauss(0, 0.006), 0.04), 0.96)
        what = self._dice.choices(("quote", "take", "cancel", "halt"), (50, 40, 8, 2))[0]
        match what:
            case "quote":
                return self._quote(state, pair, chance, now)
            case "take":
                return self._take(state, pair, now)
            case "cancel":
                return self._cancel(state)
            case _:
                return (_halted(state, pair, "suspended"),)

    def _house(self, state: State, now: int) -> Sequence[Command]:
        """What has to happen before anybody plays: money, games, whistles, results."""
        missing = [one for one in (*MAKERS, *TAKERS) if one not in state.accounts]
        if missing:
            return [OpenAccount(partner, STARTING_CENTS) for partner in missing]
        poor = [one for one in (*MAKERS, *TAKERS) if state.accounts[one].balance < STARTING_CENTS // 10]
        if poor:
            return [Deposit(partner, STARTING_CENTS) for partner in poor]
        if TOURNAMENT.id not in state.tournaments:
            return [PutTournament(TOURNAMENT)]
        if state.next_expiry is not None and state.next_expiry <= now:
            return [Expire()]
        games = [event for event in state.events.values() if event.tournament_id == TOURNAMENT.id]
        self._whole.intersection_update(game.event_id for game in games)
        for event in games:
            due = self._progress(state, event, now) or self._unmade(state, event)
            if due:
                return due
        if len(games) < self._times.games:
            return self._new_game(games, now)
        halted = [pair for pair in dict.fromkeys(state.twins.values()) if self._is_halted(state, pair[0])]
        if halted and self._dice.random() < 0.2:
            return [_halted(state, halted[0], "active")]
        return ()

    def _progress(self, state: State, event: SportEvent, now: int) -> Sequence[Command]:
        start = int(datetime.fromisoformat(event.scheduled).timestamp()) * _SECOND_NS
        end = start + self._times.play_seconds * _SECOND_NS
        if event.status == "not_started" and now >= start:
            return [PutSportEvent(msgspec.structs.replace(event, status="live"))]
        if event.status == "live" and now >= end:
            return [PutSportEvent(msgspec.structs.replace(event, status="ended"))]
        if event.status == "ended":
            for first, _ in dict.fromkeys(state.twins.values()):
                line = state.lines[first]
                if line.sport_event_id == event.event_id and line.status != "settled":
                    return [Settle(first, self._result(first, line))]
        if event.status in ("ended", "cancelled") and now >= end + self._times.after_seconds * _SECOND_NS:
            return [Remove(event_id=event.event_id)]
        return ()

    def _result(self, line_id: str, line: Line) -> Result:
        # Only a whole number can be hit exactly.
        if line.type != "moneyline" and line.line == line.line.to_integral_value() and self._dice.random() < 0.1:
            return Result.PUSH
        return Result.WIN if self._dice.random() < self._chances.get(line_id, 0.5) else Result.LOSE

    def _new_game(self, games: Sequence[SportEvent], now: int) -> Sequence[Command]:
        event_id = max([now // _SECOND_NS, *(game.event_id + 1 for game in games)])
        home, away = self._teams()
        start = now // _SECOND_NS + self._times.before_seconds * (1 + len(games))
        name = f"{away} at {home}"
        event = SportEvent(
            event_id=event_id,
            tournament_id=TOURNAMENT.id,
            name=name,
            display_name=name,
            sport_name=TOURNAMENT.sport.name,
            tournament_name=TOURNAMENT.name,
            scheduled=datetime.fromtimestamp(start, UTC).isoformat().replace("+00:00", "Z"),
            competitors=(
                Competitor(1000 + _TEAMS.index(home), home, home, home[:3].upper(), "US", "home"),
                Competitor(1000 + _TEAMS.index(away), away, away, away[:3].upper(), "US", "away"),
            ),
        )
        return [PutSportEvent(event), *self._markets(event, [plan[0] for plan in _PLANS])]

    def _unmade(self, state: State, event: SportEvent) -> Sequence[Command]:
        """What a game lacks because the hub, or the log, failed while it was made."""
        is_ours = len(event.competitors) == 2 and all(team.name in _TEAMS for team in event.competitors)
        if event.event_id in self._whole or not is_ours or event.status not in ("not_started", "live"):
            return ()
        missing = [plan[0] for plan in _PLANS if not state.lines_of((event.event_id, plan[0]))]
        if not missing:
            self._whole.add(event.event_id)
        return self._markets(event, missing)

    def _markets(self, event: SportEvent, market_ids: Sequence[int]) -> list[Command]:
        commands: list[Command] = []
        event_id, (home, away) = event.event_id, (competitor.name for competitor in event.competitors)
        points = Decimal(self._dice.randint(-20, 20)) / 2
        total = Decimal(self._dice.randint(380, 460)) / 2
        sides_of = {
            "moneyline": ((home, Decimal(0)), (away, Decimal(0))),
            "spread": ((home, points), (away, -points)),
            "total": (("Over", total), ("Under", total)),
        }
        for market_id, market_name, kind in _PLANS:
            if market_id not in market_ids:
                continue
            commands.append(PutMarket(Market(market_id, event_id, market_name, description=market_name)))
            first, second = (
                Line(
                    id=self._dice.randint(1, 2**31 - 1),
                    sport_event_id=event_id,
                    market_id=market_id,
                    outcome_id=4 + index,
                    line=points_of,
                    line_id=f"{self._dice.randint(0, 2**128 - 1):032x}",
                    type=kind,
                    name=side,
                )
                for index, (side, points_of) in enumerate(sides_of[kind])
            )
            commands.append(PutLine((first, second)))
        return commands

    def _teams(self) -> tuple[str, str]:
        home = self._dice.choice(_TEAMS)
        return home, self._dice.choice([team for team in _TEAMS if team != home])

    def _is_open(self, state: State, line_id: str) -> bool:
        line = state.lines[line_id]
        event = state.events[line.sport_event_id]
        if event.tournament_id != TOURNAMENT.id or event.status not in ("not_started", "live"):
            return False
        market = state.markets[line.sport_event_id, line.market_id]
        return line.status == "active" and market.status == "active"

    def _is_halted(self, state: State, line_id: str) -> bool:
        line = state.lines[line_id]
        return line.status == "suspended" and state.events[line.sport_event_id].tournament_id == TOURNAMENT.id

    def _quote(self, state: State, pair: tuple[str, str], chance: float, now: int) -> Sequence[Command]:
        maker = self._dice.choice(MAKERS)
        line = state.lines[pair[0]]
        resting = [one for one in state.resting.get(maker, ()) if state.wagers[one].event_id == line.sport_event_id]
        if len(resting) >= MOST_RESTING:
            return [CancelWhere(maker, line.sport_event_id, line.market_id), *self._fresh(maker, resting, state, line)]
        orders = []
        for line_id, fair in ((pair[0], chance), (pair[1], 1 - chance)):
            # A maker asks for a little better than fair, so that both sides together leave him a margin.
            place = bisect_left(_CHANCES, fair - self._dice.uniform(0.005, 0.03))
            for _ in range(self._dice.randint(1, 3)):
                odds = LADDER[len(LADDER) - 1 - min(max(place, 0), len(LADDER) - 1)]
                orders.append(self._order(line_id, odds, self._dice.randint(5_00, 400_00), now))
                place -= self._dice.randint(1, 3)
        return [PlaceMany(maker, tuple(orders))]

    def _fresh(self, maker: str, resting: Sequence[str], state: State, line: Line) -> Sequence[Command]:
        """Wagers on other markets of the game fill the maker's limit: let go of them too."""
        others = {state.wagers[one].market_id for one in resting} - {line.market_id}
        return [CancelWhere(maker, line.sport_event_id, market_id) for market_id in sorted(others)]

    def _take(self, state: State, pair: tuple[str, str], now: int) -> Sequence[Command]:
        side = self._dice.randint(0, 1)
        book = state.book(pair[1 - side])
        if not book:
            return ()
        depth = min(self._dice.choice((0, 0, 0, 1, 3)), len(book) - 1)
        maker = state.wagers[book[depth][2]]
        cents = self._dice.choice((maker.unmatched, self._dice.randint(2_00, 250_00)))
        kill = self._dice.random() < 0.2
        order = self._order(pair[side], opposite(maker.odds), max(cents, 1_00), now, FILL_OR_KILL if kill else "")
        return [Place(self._dice.choice(TAKERS), order)]

    def _cancel(self, state: State) -> Sequence[Command]:
        resting = list(state.resting.get(self._dice.choice((*MAKERS, *TAKERS)), ()))
        if not resting:
            return ()
        wager = state.wagers[self._dice.choice(resting)]
        return [Cancel(wager.partner, Cancellation(wager.external_id, wager.id))]

    def _order(self, line_id: str, odds: int, cents: int, now: int, strategy: str = "") -> Order:
        self._orders += 1
        return Order(f"{now}-{self._orders}", line_id, Decimal(odds), Decimal(cents) / 100, strategy)


def _halted(state: State, pair: tuple[str, str], status: str) -> PutLine:
    first, second = (msgspec.structs.replace(state.lines[side], status=status) for side in pair)
    return PutLine((first, second))
