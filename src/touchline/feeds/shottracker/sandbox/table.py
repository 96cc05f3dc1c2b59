"""The scorer's table: books what happens into the box score and announces it, and now and then corrects itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from touchline.feeds.base import Dice
from touchline.feeds.shottracker.sandbox import boxscore
from touchline.feeds.shottracker.sandbox.announcer import Announcer, GameClock, Instance
from touchline.feeds.shottracker.sandbox.boxscore import BoxScore
from touchline.feeds.shottracker.sandbox.floor import Floor
from touchline.feeds.shottracker.sandbox.roster import Player

CORRECTION_SHARE: Final = 0.06
"""Of the made shots from the field; 60 % of them are taken back, the others become misses."""
FOULS_OUT: Final = 5
TEAM_FOULS_BONUS: Final = 5
"""From this team foul of a period on every foul gives two free throws (NCAA women's rules)."""


class MadeShot(msgspec.Struct, frozen=True):
    """A make that may have to be corrected."""

    due: int
    when: Instance
    shooter: Player
    points: int
    extras: dict[str, Any]
    assistant: Player | None
    deleted: bool


class Table:
    """Books and announces. Every method but ``tick`` is one happening on the floor."""

    def __init__(self, dice: Dice, announcer: Announcer, clock: GameClock, floor: Floor, box: BoxScore) -> None:
        self.dice = dice
        self.announcer = announcer
        self.clock = clock
        self.floor = floor
        self.box = box
        self.team_fouls: dict[int, int] = {}
        self._corrections: list[MadeShot] = []
        self._rows: list[dict[str, Any]] = []
        self._began: tuple[int, int, str] | None = None

    # possessions

    def begin_possession(self, team_id: int) -> None:
        """A team has the ball."""
        self.end_possession()
        self._began = (team_id, self.announcer.now_ms, self.clock.game_text)

    def end_possession(self) -> None:
        """The possession is over: its summary goes out (§2.7)."""
        if self._began is None:
            return
        team_id, started_at, started_clock = self._began
        self._began = None
        rows, self._rows = self._rows, []
        self.announcer.say(
            "possession",
            {
                "occurred_at": self.announcer.now_ms,
                "team_id": team_id,
                "session_id": self.announcer.session_id,
                "start_timestamp": started_at,
                "end_timestamp": self.announcer.now_ms,
                "start_game_clock": started_clock,
                "end_game_clock": self.clock.game_text,
                "period": self.clock.period,
                "player_ids": self.floor.player_ids(team_id),
                "opposing_player_ids": self.floor.player_ids(self.floor.other(team_id)),
                "stats": rows,
            },
        )

    # happenings

    def shot(
        self,
        when: Instance,
        shooter: Player,
        points: int,
        extras: dict[str, Any],
        *,
        is_make: bool,
        assistant: Player | None = None,
        final: bool = False,
    ) -> None:
        """A shot from the field, and the assist to it. ``final``: no correction of it comes."""
        name = f"{boxscore.KIND[points]}_{'MAKE' if is_make else 'MISS'}"
        changes = (boxscore.MAKE if is_make else boxscore.MISS)[points]
        self.announcer.shot(when, shooter.team_id, shooter.id, is_make=is_make, status="RECORDED", extras=extras)
        self._book(when, shooter, changes, name, f"{shooter.name} {_WORDS[name]}")
        if assistant is not None:
            self._book(when, assistant, {"AST": 1}, "ASSIST", f"Assist by {assistant.name}")
        if is_make and not final and self.dice.random() < CORRECTION_SHARE:
            due = self.announcer.tick + self.dice.randint(50, 180)
            deleted = self.dice.random() < 0.6
            self._corrections.append(MadeShot(due, when, shooter, points, extras, assistant, deleted))

    def free_throw(self, when: Instance, shooter: Player, *, is_make: bool) -> None:
        """A free throw."""
        name = f"FREE_THROW_{'MAKE' if is_make else 'MISS'}"
        changes = (boxscore.MAKE if is_make else boxscore.MISS)[1]
        self._book(when, shooter, changes, name, f"{shooter.name} {_WORDS[name]}")

    def rebound(self, when: Instance, player: Player, *, offensive: bool) -> None:
        """A rebound; the side is always paired with REB (FIELDS)."""
        side = "OFFENSIVE" if offensive else "DEFENSIVE"
        words = f"{side.capitalize()} rebound by {player.name}"
        self._book(when, player, {f"{side}_REB": 1, "REB": 1}, f"{side}_REBOUND", words)

    def turnover(self, when: Instance, loser: Player, thief: Player | None, words: str) -> None:
        """A turnover; with a thief it was a live ball and a steal goes with it."""
        if thief is None:
            self._book(when, loser, {"TO": 1}, "TURNOVER", f"Turnover by {loser.name}: {words}")
            return
        self._book(when, loser, {"LBTO": 1, "TO": 1}, "LIVE_BALL_TURNOVER", f"Turnover by {loser.name}: {words}")
        self._book(when, thief, {"STL": 1}, "STEAL", f"Steal by {thief.name}")

    def foul(self, when: Instance, player: Player) -> None:
        """A personal foul. BLK and FL have no classification of their own in the public list; OUR CHOICE."""
        self.team_fouls[player.team_id] = self.team_fouls.get(player.team_id, 0) + 1
        self._book(when, player, {"FL": 1}, "FOUL", f"Foul by {player.name}")

    def block(self, when: Instance, player: Player) -> None:
        """A blocked shot."""
        self._book(when, player, {"BLK": 1}, "BLOCK", f"Block by {player.name}")

    def fouled_out(self, player: Player) -> bool:
        """Whether a player may play no more."""
        return self.box.total(player.id, "FL") >= FOULS_OUT

    def distance(self, player: Player) -> None:
        """How far a player has run so far, in centimetres (FIELDS)."""
        centimetres = int(self.floor.covered.get(player.id, 0.0) / 10)
        if centimetres > self.box.total(player.id, "DIST"):
            line = self.box.set_distance(self.announcer.now_ms, player.team_id, player.id, centimetres)
            self.announcer.say("boxscorestatsv2", line)

    def _book(self, when: Instance, player: Player, changes: Mapping[str, int], name: str, words: str) -> None:
        line = self.box.change(when.occurred_at, player.team_id, player.id, changes, name)
        self.announcer.say("boxscorestatsv2", line)
        self.announcer.row(when, player.team_id, player.id, changes, name, words)
        self._rows.append(
            {
                "timestamp": when.occurred_at,
                "possession_type": name,
                "details": list(changes),
                "player_id": player.id,
                "game_clock": when.game_clock,
                "shot_clock": when.shot_clock,
            }
        )

    # corrections

    def tick(self) -> None:
        """Make the corrections that are due."""
        while self._corrections and self._corrections[0].due <= self.announcer.tick:
            self._correct(self._corrections.pop(0))

    def settle(self) -> None:
        """Make all corrections now: the period is over."""
        while self._corrections:
            self._correct(self._corrections.pop(0))

    def _correct(self, made: MadeShot) -> None:
        """Take a make back, or make it a miss: lowered totals, next version, same occurred_at (OLD-ROOT)."""
        when, shooter = made.when, made.shooter
        make = f"{boxscore.KIND[made.points]}_MAKE"
        if made.deleted:
            name, changes, left = f"DELETED_{make}", boxscore.lowered(boxscore.MAKE[made.points]), {}
        else:
            name, changes = f"UPDATED_{make}_TO_MISS", boxscore.make_to_miss(made.points)
            left = dict(boxscore.MISS[made.points])
        self.announcer.shot(
            when,
            shooter.team_id,
            shooter.id,
            is_make=made.deleted,
            status="DELETED" if made.deleted else "UPDATED",
            extras=made.extras,
        )
        words = f"Correction: {shooter.name}, {'shot taken back' if made.deleted else 'shot was a miss'}"
        self._rebook(when, shooter, changes, name, left, words)
        if made.assistant is not None:
            words = f"Correction: assist by {made.assistant.name} taken back"
            self._rebook(when, made.assistant, {"AST": -1}, "DELETED_ASSIST", {}, words)

    def _rebook(
        self, when: Instance, player: Player, changes: Mapping[str, int], name: str, left: dict[str, int], words: str
    ) -> None:
        line = self.box.change(when.occurred_at, player.team_id, player.id, changes, name)
        self.announcer.say("boxscorestatsv2", line)
        self.announcer.row(when, player.team_id, player.id, left, name, words, corrected=True)


_WORDS: Final = {
    "TWO_POINT_MAKE": "makes a two-pointer",
    "TWO_POINT_MISS": "misses a two-pointer",
    "THREE_POINT_MAKE": "makes a three-pointer",
    "THREE_POINT_MISS": "misses a three-pointer",
    "FREE_THROW_MAKE": "makes a free throw",
    "FREE_THROW_MISS": "misses a free throw",
}
