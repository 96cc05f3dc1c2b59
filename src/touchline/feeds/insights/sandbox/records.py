"""What the sandbox's players brought with them: season highs and careers, which their games add to.

Both are drawn once per player. What is announced is announced once: a correction that lowers a total and a play that
raises it again are no news.
"""

from __future__ import annotations

import msgspec

from touchline.feeds.base import Dice


class Book(msgspec.Struct):
    """A player's season high, and the career total before the games of the sandbox."""

    high: int
    career: int
    milestone: int
    done: bool = False


class RecordBook:
    """The books of a sport's players. ``high`` bounds the season highs that are drawn, ``step`` is the round number
    that careers are ``away`` from at most."""

    def __init__(self, dice: Dice, high: tuple[int, int], step: int, away: tuple[int, int]) -> None:
        self._dice = dice
        self._high = high
        self._step = step
        self._away = away
        self._books: dict[str, Book] = {}
        self._games: dict[str, int] = {}
        """what a player had in games that are over"""

    def _book(self, player: str) -> Book:
        book = self._books.get(player)
        if book is None:
            milestone = self._step * self._dice.randint(1, 6)
            career = milestone - self._dice.randint(*self._away)
            book = self._books[player] = Book(self._dice.randint(*self._high), career, milestone)
        return book

    def beaten(self, player: str, total: int) -> int | None:
        """The season high that a total in a game has just beaten; the total is the season high from then on."""
        book = self._book(player)
        if total <= book.high:
            return None
        before, book.high = book.high, total
        return before

    def reached(self, player: str, total: int) -> tuple[int, int] | None:
        """(career total, milestone) when a total in a game has just brought a career to its round number."""
        book = self._book(player)
        current = book.career + self._games.get(player, 0) + total
        if book.done or current < book.milestone:
            return None
        book.done = True
        return current, book.milestone

    def over(self, totals: dict[str, int]) -> None:
        """A game is over: its totals belong to the careers."""
        for player, total in totals.items():
            self._games[player] = self._games.get(player, 0) + total
