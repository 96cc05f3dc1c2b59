"""One thing that the role knows, and the trees that such things stand in: markets with lines and books, events."""

from __future__ import annotations

from touchline.feeds.prophetx.consumer.changes import Push


class Entry:
    """The last that was heard of a key: its sequence_number, when (ns), its content's digest, and the lines it names.

    ``is_known`` says that its content was ever told; something below it may have been met first.
    """

    __slots__ = ("at", "digest", "gone_at", "is_gone", "is_known", "line_ids", "number")

    def __init__(self) -> None:
        self.number: int | None = None
        self.at = self.gone_at = 0
        self.digest = 0
        self.line_ids: tuple[str, ...] = ()
        self.is_gone = False
        self.is_known = False

    @property
    def is_there(self) -> bool:
        """Whether it was told and not taken down."""
        return self.is_known and not self.is_gone

    def is_stale(self, push: Push) -> bool:
        """Whether an update says nothing that is newer."""
        if self.is_gone:
            if self.hides(push.at):
                return True
            # Later than the removal. A number decides only where it is not the numbering of a new life.
            return (
                not push.is_new and push.number is not None and self.number is not None and push.number <= self.number
            )
        if push.number is not None and self.number is not None:
            return push.number <= self.number
        return 0 < push.at <= self.at

    def hides(self, at: int) -> bool:
        """Whether it was taken down later than that, though it may have been made again since."""
        return 0 < at <= self.gone_at

    def take(self, push: Push) -> None:
        """An update that is not stale."""
        self.tell(push.number, push.at, push.digest, push.line_ids, is_gone=push.is_gone)

    def tell(
        self, number: int | None, at: int, digest: int = 0, line_ids: tuple[str, ...] = (), *, is_gone: bool = False
    ) -> None:
        """What stands now."""
        if number is not None:
            self.number = number
        self.at = max(self.at, at)
        if is_gone:
            self.gone_at = self.at
        self.digest, self.line_ids, self.is_gone, self.is_known = digest, line_ids, is_gone, True


class Market:
    """A market: itself, its lines by line id, its books by the line's value."""

    __slots__ = ("books", "entry", "lines")

    def __init__(self) -> None:
        self.entry = Entry()
        self.lines: dict[str, Entry] = {}
        self.books: dict[str, Entry] = {}

    @property
    def is_there(self) -> bool:
        """Whether anything of it stands."""
        return self.entry.is_there or any(one.is_there for part in (self.lines, self.books) for one in part.values())


class SportEvent:
    """A sport event: itself, its tournament, its markets by id."""

    __slots__ = ("entry", "markets", "tournament_id")

    def __init__(self) -> None:
        self.entry = Entry()
        self.tournament_id = ""
        self.markets: dict[str, Market] = {}

    @property
    def is_there(self) -> bool:
        """Whether anything of it stands: its markets may have been met before itself."""
        return self.entry.is_there or any(market.is_there for market in self.markets.values())

    @property
    def size(self) -> int:
        """How many things it holds."""
        return 1 + sum(1 + len(market.lines) + len(market.books) for market in self.markets.values())
