"""The course of a sandbox match: announcement, toss, two innings with corrections, result, and again from the start.

The match is a T20 of real length and real shapes, but a ball comes every few seconds instead of every forty, so that a
demo comes to its end and its next beginning within the hour. Every scenario of the provider's page occurs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from touchline.feeds.base import Dice, SandboxOptions, Timed
from touchline.feeds.roanuz.kinds import DETAIL_UPDATE, ENTRY_UPDATE, MATCH_TYPE, PREFIX
from touchline.feeds.roanuz.sandbox.deliveries import LEG_BYE, NORMAL, RUN_OUT, Delivery, draw
from touchline.feeds.roanuz.sandbox.scorer import LEGAL_BALLS, Book, Entry
from touchline.feeds.roanuz.sandbox.teams import Player, Team, make_teams, match_document, squad_document

SUBJECT: Final = "touchline_t20_demo"
OVERS: Final = 20
EARLY_OVERS: Final = 3
"""A correction and a deletion come within the first so many overs of a match, for who does not wait for more."""

_SECOND: Final = 1_000_000_000


class Pace(Struct, frozen=True):
    """How long everything takes, in seconds, and how many overs an innings has."""

    overs: int = OVERS
    before: float = 4.0
    ball: float = 6.0
    over: float = 4.0
    wicket: float = 5.0
    between: float = 30.0
    after: float = 10.0
    pause: float = 20.0
    """between the loops"""


class Announcer:
    """Words what happens as events, at the time that has come."""

    def __init__(self, subject: str, start_ns: int, at: int) -> None:
        self.subject, self.at = subject, at
        self._start_ns = start_ns

    @property
    def now(self) -> float:
        """Seconds since 1970, to the millisecond."""
        return (self._start_ns + self.at) // 1_000_000 / 1000

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.at += round(seconds * _SECOND)

    def announce(self, document: Mapping[str, Any]) -> Timed:
        """``roanuz.match``."""
        return Timed(self.at, MATCH_TYPE, self.subject, msgspec.json.encode({"match": document}))

    def push(
        self,
        kind: str,
        *,
        match: Mapping[str, Any] | None = None,
        reason: str = "Other",
        data_kind: str = DETAIL_UPDATE,
        ball: Mapping[str, Any] | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Timed:
        """A push of that kind, with what it brings to REST (seed)."""
        pushed = {
            "matchkey": self.subject,
            "ball": ball,
            "push_reason": reason,
            "match_push_kind": kind,
            "ts": (self._start_ns + self.at) // _SECOND,
        }
        data: dict[str, Any] = {"notification": {"sport": "cricket", "data_kind": data_kind, "data": pushed}}
        data |= {name: value for name, value in (("ball", detail), ("match", match)) if value is not None}
        return Timed(self.at, PREFIX + kind.lower(), self.subject, msgspec.json.encode(data))

    def ball(self, book: Book, entry: Entry, reason: str) -> Timed:
        """A ball that is new, or that was put right."""
        return self.push(
            "Ball",
            reason=reason,
            data_kind=ENTRY_UPDATE,
            ball=entry.pushed(),
            detail=entry.detail(book.innings),
        )

    def deleted(self, entry: Entry) -> Timed:
        """A ball that was none."""
        return self.push("Ball", data_kind=ENTRY_UPDATE, ball=entry.pushed(deleted=True))


class Match:
    """One match from its announcement to the review of its data."""

    def __init__(self, dice: Dice, announcer: Announcer, teams: tuple[Team, Team], pace: Pace) -> None:
        self._dice, self._announcer, self._pace = dice, announcer, pace
        self._teams = teams
        self._books: list[Book] = []
        self._correct_after = dice.randint(1, min(EARLY_OVERS, pace.overs))
        self._delete_in = dice.randint(0, min(EARLY_OVERS, pace.overs) - 1)

    def events(self) -> Iterator[Timed]:
        """Everything that is published, in order."""
        say, pace = self._announcer, self._pace
        yield say.announce(match_document(say.subject, self._teams, pace.overs, int(say.now)))
        first, second = yield from self._before()
        yield from self._play(first, second, None)
        yield from self._break(second)
        yield from self._play(second, first, self._books[0].runs + 1)
        yield from self._after(first, second)

    # before and after

    def _before(self) -> Generator[Timed, None, tuple[Team, Team]]:
        say, wait = self._announcer, self._pace.before
        for kind, match in (
            ("Review", {"data_review": {"schedule": True, "venue": True, "note": "pre-match review"}}),
            ("Squad", squad_document(self._teams)),
            ("Info", {"weather": self._dice.choice(("sunny", "cloudy", "windy"))}),
            ("Other", {"umpires": {"match_umpires": ["U. One", "U. Two"], "tv_umpires": ["U. Three"]}}),
        ):
            say.wait(wait)
            yield say.push(kind, match=match)
        winner = self._dice.choice(self._teams)
        elected = self._dice.choice(("bat", "bowl"))
        other = self._other(winner)
        first, second = (winner, other) if elected == "bat" else (other, winner)
        say.wait(wait)
        toss = {"called": self._dice.choice("ab"), "winner": winner.letter, "elected": elected, "squad_announced": True}
        order = [f"{team.letter}_1" for team in (first, second)]
        yield say.push("Toss", match={"toss": toss, "play": {"first_batting": first.letter, "innings_order": order}})
        say.wait(wait)
        yield say.push("Play", match={"status": "started", "play_status": "in_play", "play": {"day_number": 1}})
        return first, second

    def _break(self, chasing: Team) -> Iterator[Timed]:
        say = self._announcer
        target = {"balls": self._pace.overs * LEGAL_BALLS, "runs": self._books[0].runs + 1, "dl_applied": False}
        say.wait(self._pace.over)
        yield say.push("Play", match={"play_status": "innings_break", "play": {"target": target}})
        say.wait(self._pace.between)
        yield say.push("Play", match={"play_status": "in_play", "messages": [f"{chasing.name} need {target['runs']}"]})

    def _after(self, first: Team, second: Team) -> Iterator[Timed]:
        say, (one, two) = self._announcer, self._books
        winner: Team | None
        if two.runs > one.runs:
            winner, by = second, _count(len(second.players) - 1 - two.wickets, "wicket")
        elif one.runs > two.runs:
            winner, by = first, _count(one.runs - two.runs, "run")
        else:
            winner, by = None, ""
        result: dict[str, Any] = {
            "pom": [],
            "winner": winner.letter if winner else None,
            "result_type": "won" if winner else "tied",
            "win_by": by,
            "msg": f"{winner.name} won by {by}" if winner else "Match tied",
        }
        done = {"status": "completed", "play_status": "result", "winner": result["winner"], "play": {"result": result}}
        say.wait(self._pace.after)
        yield say.push("Result", match=done)
        say.wait(self._pace.after)
        yield say.push("Reward", match={"play": {"result": {"pom": [self._best().key]}}})
        say.wait(self._pace.after)
        review = {"result": True, "pom": True, "score": True, "good_to_close": True, "note": "post-match-validated"}
        yield say.push("Review", match={"data_review": review})

    def _best(self) -> Player:
        """Who is rewarded: a run is a point, a wicket twenty."""
        points: Counter[Player] = Counter()
        for book in self._books:
            for entry in book.standing.values():
                points[entry.striker] += entry.delivery.bat
                points[entry.bowler] += 20 * (bool(entry.delivery.wicket) and entry.delivery.wicket != RUN_OUT)
        return max(points, key=lambda player: (points[player], player.key))

    # an innings

    def _play(self, batting: Team, fielding: Team, target: int | None) -> Iterator[Timed]:
        say, pace = self._announcer, self._pace
        book = Book(self._dice, len(self._books) + 1, batting, fielding)
        self._books.append(book)
        for over in range(pace.overs):
            book.begin_over()
            yield from self._over(book, over, target)
            if self._is_done(book, target):
                return
            book.end_over()
            if over + 1 == self._correct_after or (over > EARLY_OVERS and self._dice.random() < 0.06):
                say.wait(pace.over)
                yield self._correct(book)
            say.wait(pace.over)
            if over + 1 == pace.overs // 2 > 1:
                yield say.push("Other", match={"play_status": "drinks_break"}, data_kind=ENTRY_UPDATE)
                say.wait(pace.over)
                yield say.push("Play", match={"play_status": "in_play"})

    def _over(self, book: Book, over: int, target: int | None) -> Iterator[Timed]:
        say, pace, place = self._announcer, self._pace, 1
        slip = self._dice.randint(1, LEGAL_BALLS) if len(self._books) == 1 and over == self._delete_in else 0
        while place <= LEGAL_BALLS:
            say.wait(pace.ball)
            if place == slip:
                slip = 0
                yield from self._slip(book, over, place)
            entry = book.enter(over, place, draw(self._dice), say.now)
            yield say.ball(book, entry, "NewOrLast")
            book.settle(entry)
            if entry.out is not None:
                say.wait(pace.wicket)
            place += entry.delivery.legal
            if self._is_done(book, target):
                return

    @staticmethod
    def _is_done(book: Book, target: int | None) -> bool:
        return book.all_out or (target is not None and book.runs >= target)

    def _slip(self, book: Book, over: int, place: int) -> Iterator[Timed]:
        """Somebody enters a ball that was not bowled, and takes it out again."""
        say = self._announcer
        entry = book.enter(over, place, Delivery(NORMAL, bat=1), say.now)
        yield say.ball(book, entry, "NewOrLast")
        say.wait(self._pace.ball / 2)
        book.strike_out(entry)
        yield say.deleted(entry)
        say.wait(self._pace.ball / 2)

    def _correct(self, book: Book) -> Timed:
        """An earlier ball of the innings is put right, in a way that leaves the batsmen at the ends where they are."""
        earlier = list(book.standing.values())[:-1]
        chasing = len(self._books) > 1
        fours = [] if chasing else [entry for entry in earlier if entry.delivery == Delivery(NORMAL, bat=4)]
        singles = [entry for entry in earlier if entry.delivery == Delivery(NORMAL, bat=1)]
        entry = self._dice.choice(fours or singles or earlier)
        delivery, note = entry.delivery, "scorer's note"
        if entry in fours:
            delivery, note = Delivery(NORMAL, bat=6), "corrected: it carried over the rope"
        elif entry in singles:
            delivery, note = Delivery(LEG_BYE, extras=1), "corrected: off the pad"
        right = structs.replace(entry, delivery=delivery, note=note, updated=self._announcer.now)
        book.replace(right)
        return self._announcer.ball(book, right, "Update")

    def _other(self, team: Team) -> Team:
        return self._teams[1] if team is self._teams[0] else self._teams[0]


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def simulate(dice: Dice, options: SandboxOptions, pace: Pace | None = None) -> Iterator[Timed]:
    """A T20 match, ball by ball; with ``options.loop`` again and again with the same clubs, for ever.

    ``at`` rises from 0. A new round announces the match anew as not started, which begins its stream again.
    """
    pace = pace or Pace()
    teams = make_teams(dice)
    at = 0
    while True:
        announcer = Announcer(options.subject or SUBJECT, options.start_ns, at)
        yield from Match(dice, announcer, teams, pace).events()
        if not options.loop:
            return
        at = announcer.at + round(pace.pause * _SECOND)
