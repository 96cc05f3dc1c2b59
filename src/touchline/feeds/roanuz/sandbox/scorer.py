"""The scorer's book of a sandbox innings: who is in, what stands, and how a ball is written down (sheet §2.4).

The totals are always added up from the balls that stand, so a correction or a deletion needs no arithmetic of its own.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from touchline.feeds.base import Dice
from touchline.feeds.roanuz.sandbox.deliveries import (
    BYE,
    CAUGHT,
    LEG_BYE,
    NORMAL,
    RUN_OUT,
    STUMPED,
    WIDE,
    Delivery,
)
from touchline.feeds.roanuz.sandbox.teams import ELEVEN, Player, Team

LEGAL_BALLS: Final = 6
_ORDER_SHIFT, _OVER_SHIFT, _BALL_SHIFT = 19, 9, 6


class Entry(Struct, frozen=True):
    """A ball in the book. ``over`` counts from 0, ``place`` is the ball in the over, ``sub`` tells repeated ones apart.

    ``out`` is who is out, if anybody; ``detail`` says it in the words of REST.
    """

    over: int
    place: int
    sub: int
    order: int
    delivery: Delivery
    striker: Player
    non_striker: Player
    bowler: Player
    out: Player | None
    fielder: Player | None
    entered: float
    updated: float
    note: str = ""

    @property
    def key(self) -> int:
        """Laid out as the provider's seem to be (§5, inferred); nothing reads it back."""
        return self.order << _ORDER_SHIFT | self.over << _OVER_SHIFT | self.place << _BALL_SHIFT | self.sub

    def pushed(self, *, deleted: bool = False) -> dict[str, Any]:
        """``ball`` of the push."""
        return {"ball_key": self.key, "over": self.over, "batting_order": self.order, "is_delete": deleted}

    def detail(self, innings: str) -> dict[str, Any]:
        """The REST object."""
        delivery = self.delivery
        legal, faced = int(delivery.legal), int(delivery.kind != WIDE)
        charged = 0 if delivery.kind in (BYE, LEG_BYE) else delivery.runs
        credited = bool(delivery.wicket) and delivery.wicket != RUN_OUT
        return {
            "key": str(self.key),
            "ball_type": delivery.kind,
            "batting_team": innings[0],
            "comment": self.comment(),
            "innings": innings,
            "overs": [self.over, self.place],
            "batsman": {
                "player_key": self.striker.key,
                "ball_count": faced,
                "runs": delivery.bat,
                "is_dot_ball": bool(faced) and delivery.bat == 0,
                "is_four": delivery.bat == 4,
                "is_six": delivery.bat == 6,
            },
            "bowler": {
                "player_key": self.bowler.key,
                "ball_count": legal,
                "runs": charged,
                "extras": charged - delivery.bat,
                "is_wicket": credited,
            },
            "team_score": {
                "ball_count": legal,
                "runs": delivery.runs,
                "extras": delivery.extras,
                "is_wicket": bool(delivery.wicket),
            },
            "fielders": [self._fielder()] if self.fielder else [],
            "wicket": {"player_key": self.out.key, "wicket_type": delivery.wicket} if self.out else None,
            "non_striker_key": self.non_striker.key,
            "entry_time": self.entered,
            "updated_time": self.updated,
            "ball_play_status": "played",
            "ball_tags": [],
            "repr": "",
        }

    def _fielder(self) -> dict[str, Any]:
        wicket = self.delivery.wicket
        return {
            "player_key": self.fielder.key if self.fielder else "",
            "is_catch": wicket == CAUGHT,
            "is_run_out": wicket == RUN_OUT,
            "is_stumps": wicket == STUMPED,
            "is_assists": False,
        }

    def comment(self) -> str:
        """A sentence for people."""
        delivery = self.delivery
        what = {0: "no run", 1: "1 run", 4: "<b>FOUR</b>", 6: "<b>SIX</b>"}.get(delivery.bat, f"{delivery.bat} runs")
        if delivery.wicket:
            what = f"<b>OUT</b> ({delivery.wicket.replace('_', ' ')})"
        elif delivery.kind != NORMAL:
            what = f"{delivery.extras} {delivery.kind.replace('_', ' ')}" + (f", {what}" if delivery.bat else "")
        said = f"{self.bowler.name} to {self.striker.name}, {what}"
        return f"{said} ({self.note})" if self.note else said


class Book:
    """One innings: ``order`` is its place in the match, ``batting`` and ``fielding`` the sides."""

    def __init__(self, dice: Dice, order: int, batting: Team, fielding: Team) -> None:
        self.order = order
        self.batting, self.fielding = batting, fielding
        self.innings = f"{batting.letter}_1"
        self.standing: dict[int, Entry] = {}
        """by key, in the order of play"""
        self._dice = dice
        self.striker, self.non_striker = batting.players[:2]
        self._next = 2
        self.bowler = fielding.bowlers[-1]
        self._subs: dict[tuple[int, int], int] = {}
        self._bowled = dict.fromkeys((player.key for player in fielding.bowlers), 0)

    @property
    def runs(self) -> int:
        """Of the innings so far."""
        return sum(entry.delivery.runs for entry in self.standing.values())

    @property
    def wickets(self) -> int:
        """Of the innings so far."""
        return sum(bool(entry.delivery.wicket) for entry in self.standing.values())

    @property
    def all_out(self) -> bool:
        """Nobody is left to come in."""
        return self.wickets >= ELEVEN - 1

    def begin_over(self) -> None:
        """Another bowler than before: one of those who have bowled least, so that all have the same share."""
        others = [player for player in self.fielding.bowlers if player is not self.bowler]
        least = min(self._bowled[player.key] for player in others)
        self.bowler = self._dice.choice([player for player in others if self._bowled[player.key] == least])
        self._bowled[self.bowler.key] += 1

    def end_over(self) -> None:
        """The batsmen face from the other end."""
        self.striker, self.non_striker = self.non_striker, self.striker

    def enter(self, over: int, place: int, delivery: Delivery, time: float) -> Entry:
        """Write a delivery down; nobody has run or walked yet, which is ``settle``'s."""
        sub = self._subs.get((over, place), 0)
        self._subs[(over, place)] = sub + 1
        out = fielder = None
        if delivery.wicket:
            out = self._dice.choice((self.striker, self.non_striker)) if delivery.wicket == RUN_OUT else self.striker
        if delivery.wicket == STUMPED:
            fielder = self.fielding.keeper
        elif delivery.wicket in (CAUGHT, RUN_OUT):
            fielder = self._dice.choice([player for player in self.fielding.players if player is not self.bowler])
        entry = Entry(
            over,
            place,
            sub,
            self.order,
            delivery,
            self.striker,
            self.non_striker,
            self.bowler,
            out,
            fielder,
            time,
            time,
        )
        self.standing[entry.key] = entry
        return entry

    def settle(self, entry: Entry) -> None:
        """The batsmen run; who is out is followed by the next."""
        if entry.delivery.crossed:
            self.end_over()
        if entry.out is not None and self._next < ELEVEN:
            new = self.batting.players[self._next]
            self._next += 1
            if entry.out is self.striker:
                self.striker = new
            else:
                self.non_striker = new

    def replace(self, entry: Entry) -> None:
        """A corrected ball, under the key that it has."""
        self.standing[entry.key] = entry

    def strike_out(self, entry: Entry) -> None:
        """A ball that was none."""
        del self.standing[entry.key]
