"""The course of a sandbox game: announcement, lineups, periods, overtime and shootout when tied, signatures, an edit.

The game clock runs twelve times as fast as the wall's, so that a game is over within minutes. Looped, each game is
played on the same subject: where every message is a whole state, a new scoresheet is all that it takes to begin anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from touchline.feeds.base import Dice, SandboxOptions, Timed
from touchline.feeds.hisports.kinds import GAME_CREATE, GAME_UPDATE, SCORESHEET_UPDATE
from touchline.feeds.hisports.sandbox import roster
from touchline.feeds.hisports.sandbox.play import Play
from touchline.feeds.hisports.sandbox.roster import Team
from touchline.feeds.hisports.sandbox.sheet import PERIOD_SECONDS, Sheet
from touchline.wire import rfc3339

SUBJECT: Final = "910001"

_SECOND: Final = 1_000_000_000
_NOTES: Final = "Clock operator replaced in the second period; nobody was hurt. (sandbox note, not public)"


class Pace(msgspec.Struct, frozen=True):
    """How long things take, in seconds of the wall clock; ``speed`` is that of the game clock while it runs."""

    speed: float = 12.0
    step: float = 2.0
    """between lineups, signatures and the like"""
    between: float = 15.0
    edit: float = 10.0
    pause: float = 20.0
    """between the loops"""


class Game:
    """One game. ``at`` is nanoseconds since the sandbox began, ``start_ns`` the wall time of 0."""

    def __init__(
        self, dice: Dice, options: SandboxOptions, teams: tuple[Team, Team], at: int, next_id: int, pace: Pace
    ) -> None:
        self.at = at
        self.sheet = Sheet(teams, roster.make_officials(dice), next_id)
        self._dice = dice
        self._teams = teams
        self._pace = pace
        self._start_ns = options.start_ns
        self._subject = options.subject or SUBJECT
        self._play = Play(dice, self.sheet, *teams)
        self._game = self._document()

    def events(self) -> Iterator[Timed]:
        """Everything that is published, in order."""
        yield self._say(GAME_CREATE)
        yield self._say(SCORESHEET_UPDATE)
        yield from self._before()
        yield from self._periods()
        yield from self._after()

    def _before(self) -> Iterator[Timed]:
        for team in self._teams:
            self._wait(self._pace.step)
            self.sheet.approve_lineup(team, roster.signature(self._dice), self._time())
            yield self._say(SCORESHEET_UPDATE)
        self._wait(self._pace.step)
        self.sheet.start(self._time())
        for team in self._teams:
            self.sheet.goalie(team.id, team.goalies[0], is_starter=True)
        yield self._say(SCORESHEET_UPDATE)

    def _periods(self) -> Iterator[Timed]:
        for period in PERIOD_SECONDS:
            is_overtime = period == "OT"
            if is_overtime and not self._play.is_tied:
                return
            if period != "1":
                for _ in self._play.goalies_return():
                    yield self._say(SCORESHEET_UPDATE)
                self._wait(self._pace.between)
            yield from self._period(period, is_overtime)
        if self._play.is_tied:
            self._wait(self._pace.between)
            self.sheet.period, self.sheet.elapsed = "SO", 0
            for _ in self._play.shootout():
                yield self._say(SCORESHEET_UPDATE)
                self._wait(self._pace.step)

    def _period(self, period: str, is_overtime: bool) -> Iterator[Timed]:
        began = self.at
        for elapsed in range(PERIOD_SECONDS[period]):
            self.sheet.period, self.sheet.elapsed = period, elapsed
            self.at = began + round(elapsed / self._pace.speed * _SECOND)
            for _ in self._play.second(is_overtime):
                yield self._say(SCORESHEET_UPDATE)
            if is_overtime and not self._play.is_tied:
                return
        self.sheet.elapsed = PERIOD_SECONDS[period]
        self.at = began + round(PERIOD_SECONDS[period] / self._pace.speed * _SECOND)

    def _after(self) -> Iterator[Timed]:
        """Both fire on approval, the scoresheet first (sheet 8); a correction may come later, with ``isEdited``."""
        self.sheet.end(self._time(), _NOTES)
        yield self._say(SCORESHEET_UPDATE)
        self._wait(self._pace.step)
        marks = [roster.signature(self._dice) for _ in range(len(self.sheet.document["officials"]) + 2)]
        self.sheet.approve(marks, self._time())
        yield self._say(SCORESHEET_UPDATE)
        self._game["isApproved"] = True
        yield self._say(GAME_UPDATE)
        self._wait(self._pace.edit)
        if self._edit():
            yield self._say(SCORESHEET_UPDATE)

    def _edit(self) -> bool:
        goals = [goal for goal in self.sheet.document["goals"] if goal["gameTime"]["period"] != "SO"]
        if not goals:
            return False
        last = goals[-1]
        team = next(team for team in self._teams if team.id == last["teamId"])
        taken = {last["participantId"], *last["assistIds"]}
        others = [player for player in team.skaters if player.participant_id not in taken]
        return self.sheet.edit_last_goal([self._dice.choice(others)])

    def _say(self, kind: str) -> Timed:
        data: dict[str, Any] = {"game": self._game}
        if kind == SCORESHEET_UPDATE:
            data["scoresheet"] = self.sheet.document
        return Timed(self.at, kind, self._subject, msgspec.json.encode(data))

    def _wait(self, seconds: float) -> None:
        self.at += round(seconds * _SECOND)

    def _time(self) -> str:
        """Now on the wall, to the millisecond as the provider writes it."""
        moment = self._start_ns + self.at
        return rfc3339.encode(moment - moment % 1_000_000)

    def _document(self) -> dict[str, Any]:
        """``game`` (seed, Game)."""
        home, away = self._teams
        scheduled = self._start_ns + self.at
        scheduled -= scheduled % 1_000_000
        game_id = int(self._subject) if self._subject.isascii() and self._subject.isdigit() else self._subject
        return {
            "number": "SANDBOX-1",
            "startTime": rfc3339.encode(scheduled),
            "endTime": rfc3339.encode(scheduled + 9000 * _SECOND),
            "division": "Midget",
            "gender": "CoEd",
            "category": "AAA",
            "arenaId": roster.ARENA_ID,
            "scheduleId": roster.SCHEDULE_ID,
            "officeId": roster.OFFICE_ID,
            "homeTeamId": home.id,
            "awayTeamId": away.id,
            "status": "Active",
            "comments": None,
            "isApproved": False,
            "id": game_id,
            "arena": {
                "name": "Sandbox Gardens",
                "rink": "1",
                "address": "1 Nowhere Lane, Sandbox",
                "city": "Sandbox",
                "alias": None,
                "officeId": None,
                "id": roster.ARENA_ID,
            },
            "homeTeam": home.document(),
            "awayTeam": away.document(),
        }


def simulate(dice: Dice, options: SandboxOptions, pace: Pace | None = None) -> Iterator[Timed]:
    """A hockey game; with ``options.loop`` again and again with the same teams, for ever.

    ``at`` rises from 0; times in the documents are ``options.start_ns`` plus that. Ids go on over the loops.
    """
    pace = pace or Pace()
    teams = roster.make_teams(dice)
    at, next_id = 0, 91_000
    while True:
        game = Game(dice, options, teams, at, next_id, pace)
        yield from game.events()
        if not options.loop:
            return
        at, next_id = game.at + round(pace.pause * _SECOND), game.sheet.next_id
