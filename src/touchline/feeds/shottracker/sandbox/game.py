"""The course of a sandbox game: announcement, quarters, breaks, substitutions, overtime, and again from the start.

Real pace and real shapes, but quarters of five minutes instead of ten, so that a demo comes to its end and its next
beginning within the hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from touchline.feeds.base import Dice, SandboxOptions, Timed
from touchline.feeds.shottracker.sandbox.announcer import Announcer, GameClock
from touchline.feeds.shottracker.sandbox.boxscore import BoxScore
from touchline.feeds.shottracker.sandbox.floor import Floor, Slot
from touchline.feeds.shottracker.sandbox.possession import Next, Play, Script, Start
from touchline.feeds.shottracker.sandbox.roster import Player, Team, game_document, make_teams, team_document
from touchline.feeds.shottracker.sandbox.table import Table

SUBJECT: Final = "mock-service"
"""The event_id of the game that is always there (sheet §2.10, OUR CHOICE)."""
QUARTERS: Final = ("Q1", "Q2", "Q3", "Q4")
MAX_OVERTIMES: Final = 9


class Lengths(msgspec.Struct, frozen=True):
    """How long everything takes, in tenths of a second."""

    quarter: int = 5 * 600
    overtime: int = 2 * 600
    before: int = 50
    between: int = 200
    pause: int = 200
    """between the loops"""


class Game:
    """One game from its announcement to GAME_END."""

    def __init__(
        self, dice: Dice, announcer: Announcer, teams: tuple[Team, Team], versions: dict[int, int], lengths: Lengths
    ) -> None:
        self.dice = dice
        self.announcer = announcer
        self.clock = announcer.clock
        self.home, self.away = teams
        self.lengths = lengths
        self.floor = Floor(dice, announcer, *teams)
        self.box = BoxScore((self.home.id, self.away.id), versions)
        self.table = Table(dice, announcer, self.clock, self.floor, self.box)
        self.play = Play(dice, announcer, self.clock, self.floor, self.table, self.substitute)
        self._results: list[dict[str, Any]] = []
        self._tipoff_at = announcer.now_ms + lengths.before * 100
        self._arrow = self.home.id
        self._said_running = False

    def events(self) -> Iterator[Timed]:
        """Everything that is announced, in order; a tenth of a second passes at every step of the script."""
        for _ in self._script():
            self.table.tick()
            self._heartbeat()
            yield from self.announcer.drain()
            self.announcer.tick += 1
            self.clock.step()
            self.floor.step()
        yield from self.announcer.drain()

    def _heartbeat(self) -> None:
        """What is said all the time: the clock once a second and when it starts or stops, distances, places."""
        tick = self.announcer.tick
        if self.clock.period and (self.clock.running != self._said_running or (self.clock.running and tick % 10 == 0)):
            self._said_running = self.clock.running
            self.announcer.clock_now()
        if self.clock.running and tick % 10 == 5:
            everybody = self.floor.everybody()
            self.table.distance(everybody[tick // 10 % len(everybody)].player)
        self.floor.announce()

    # the course

    def _script(self) -> Script[None]:
        for team in (self.home, self.away):
            self.announcer.say("team", team_document(team), subject=str(team.id))
        self._announce_game()
        self.announcer.marker("GAME_START")
        colours = [{"team_id": team.id, "color": team.colour} for team in (self.home, self.away)]
        self.announcer.marker("JERSEY_COLORS", colors=colours)
        for number in range(len(QUARTERS) + MAX_OVERTIMES):
            is_overtime = number >= len(QUARTERS)
            if is_overtime and self.box.score[self.home.id] != self.box.score[self.away.id]:
                break
            name = f"OT{number - len(QUARTERS) + 1}" if is_overtime else QUARTERS[number]
            yield from self._period(name, self.lengths.overtime if is_overtime else self.lengths.quarter, number)
        for slot in self.floor.everybody():
            self.table.distance(slot.player)
        self.announcer.session_id = ""
        self.announcer.marker("GAME_END")

    def _period(self, name: str, tenths: int, number: int) -> Script[None]:
        self.clock.reset(name, tenths)
        if not name.startswith("OT"):
            self.table.team_fouls.clear()
        yield from self.play.pause(1)
        first = yield from self._tip_off() if number == 0 else self._resume()
        self._begin_session(name)
        self.clock.start()
        while not self.clock.expired():
            first = yield from self.play.possession(first)
        yield from self._end_session(number)

    def _begin_session(self, name: str) -> None:
        self.announcer.session_id = self._make_id()
        self._results.append(
            {
                "id": self.announcer.session_id,
                "name": None,
                "type": "GAME_ROUND",
                "period": name,
                "started_at": self.announcer.now_ms,
                "ended_at": None,
            }
        )
        self._announce_game()
        self.announcer.marker("SESSION_START")
        lineups = [{"team_id": team, "player_ids": self.floor.player_ids(team)} for team in self.floor.teams]
        self.announcer.marker("LINEUP", status="CONFIRMED", lineups=lineups)
        for team in self.floor.teams:
            self.announcer.lineup(team, self.floor.player_ids(team), (), ())

    def _end_session(self, number: int) -> Script[None]:
        self.table.end_possession()
        self.table.settle()
        self._results[-1]["ended_at"] = self.announcer.now_ms
        self.announcer.marker("SESSION_END")
        self._announce_game()
        self.floor.stand()
        self.floor.ball.rest()
        if number == 1:
            self.floor.change_ends()
        yield from self.play.pause(1)

    def _tip_off(self) -> Script[Next]:
        """Jump ball at the centre; who does not get it has the next quarter's first possession."""
        floor = self.floor
        floor.stand()
        for team in floor.teams:
            for slot in floor.slots[team]:
                away = 700.0 if slot.number == 4 else 2_500.0 + 1_200.0 * slot.number
                floor_side = -floor.ends[team]
                slot.runner.go(0.0 if slot.number == 4 else self.dice.uniform(-4e3, 4e3), floor_side * away, 4_000.0)
        yield from self.play.pause(self.lengths.before)
        winner = self.dice.choice((self.home.id, self.away.id))
        self._arrow = floor.other(winner)
        floor.ball.throw_at(0.0, 0.0, 1_000.0, arc=2_500.0, speed=1_000.0)
        yield from self.play.pause(6)
        taker = floor.slots[winner][0]
        yield from self.play.pause(floor.ball.throw_to(taker.runner))
        return Next(winner, Start.LIVE, taker)

    def _resume(self) -> Script[Next]:
        """After a break the arrow says who throws in."""
        yield from self.play.pause(self.lengths.between)
        team, self._arrow = self._arrow, self.floor.other(self._arrow)
        return Next(team, Start.SIDE)

    # substitutions

    def substitute(self, keep: Slot | None) -> Script[None]:
        """At a whistle: who has fouled out must go, who has played long may; the shooter of free throws stays."""
        changes = [(slot, player) for team in self.floor.teams.values() for slot, player in self._changes(team, keep)]
        for slot, _ in changes:
            self.floor.to_bench(slot.player.team_id, slot)
        for _ in range(60 if changes else self.dice.randint(15, 30)):
            yield
            if changes and all(slot.runner.away() < 250.0 for slot, _ in changes):
                break
        for slot, player in changes:
            going = slot.player
            self.table.distance(going)
            self.floor.replace(slot, player)
            self.announcer.lineup(player.team_id, self.floor.player_ids(player.team_id), (player.id,), (going.id,))

    def _changes(self, team: Team, keep: Slot | None) -> list[tuple[Slot, Player]]:
        on_floor = set(self.floor.player_ids(team.id))
        bench = [player for player in team.players if player.id not in on_floor and not self.table.fouled_out(player)]
        bench.sort(key=lambda player: self.floor.covered.get(player.id, 0.0))
        changes: list[tuple[Slot, Player]] = []
        for slot in self.floor.slots[team.id]:
            played = self.announcer.tick - slot.since
            tired = played > 900 and self.dice.random() < 0.3 and len(changes) < 2
            if slot is not keep and bench and (self.table.fouled_out(slot.player) or tired):
                changes.append((slot, bench.pop(0)))
        return changes

    # documents

    def _announce_game(self) -> None:
        document = game_document(self.announcer.event_id, self.home, self.away, self._tipoff_at, self._results)
        self.announcer.say("game", document)

    def _make_id(self) -> str:
        parts = [self.dice.randint(0, 0xFFFF) for _ in range(8)]
        parts[3], parts[4] = 0x4000 | parts[3] & 0xFFF, 0x8000 | parts[4] & 0x3FFF
        return "{:04x}{:04x}-{:04x}-{:04x}-{:04x}-{:04x}{:04x}{:04x}".format(*parts)


def simulate(dice: Dice, options: SandboxOptions, lengths: Lengths | None = None) -> Iterator[Timed]:
    """A basketball game, tenth by tenth; with ``options.loop`` again and again with the same teams, for ever.

    ``at`` rises from 0, ``occurred_at`` is ``options.start_ns`` plus that. Box-score versions go on over the loops.
    """
    lengths = lengths or Lengths()
    teams = make_teams(dice)
    versions: dict[int, int] = {}
    tick = 0
    while True:
        announcer = Announcer(options.subject or SUBJECT, options.start_ns, GameClock(), tick)
        yield from Game(dice, announcer, teams, versions, lengths).events()
        if not options.loop:
            return
        tick = announcer.tick + lengths.pause
