"""The folded state of one game, as plain data: what ``state`` writes, ``summary`` and REST read.

Owns the shapes and the look-ups between them, no folding and no wire format. Everything here goes into checkpoints as
MessagePack, so numbers are kept within 64 bits and published bodies are kept as the bytes that were published.
"""

from __future__ import annotations

from typing import Final, TypeVar

from msgspec import UNSET, Struct, field

from touchline.feeds.shottracker.messages import Id, Number, id_text

SCHEDULED: Final = "SCHEDULED"
ACTIVE: Final = "ACTIVE"
"""The one game status that is seen in public (sheet §2.1); the two others are OUR CHOICE."""
FINISHED: Final = "FINISHED"

MAX_ROWS: Final = 20_000
"""Of shots, plays, possessions and line-up changes each; far above any game, the oldest go first."""
MAX_NUMBER: Final = 10**15
"""Beyond this a number is no count, time or coordinate, and is not calculated with."""

SCORES: Final = frozenset({"TEAM_SCORE", "OPPOSING_TEAM_SCORE"})
"""The teams' scores, which stand on every scorer's line (fields page): no player's own numbers, never summed."""

Kept = TypeVar("Kept")


class Stat(Struct, array_like=True):
    """A player's current total of one stat, and the version that said so."""

    value: Number
    version: Number | None = None


class PlayerLine(Struct):
    """A player's line of the box score; ``player_id`` None is the team's own."""

    player_id: Id | None
    stats: dict[str, Stat] = field(default_factory=dict)
    occurred_at: int = 0
    version: Number | None = None
    classification: str | None = None
    sessions: dict[str, dict[str, Number]] = field(default_factory=dict)
    """What each session added to the totals, by session id and stat name."""


class TeamState(Struct):
    """One team: its box score and its points.

    ``points`` is the sum of the players' PTS, ``unattributed`` what the last TEAM_SCORE had above it. A correction that
    lowers PTS and says nothing of TEAM_SCORE (the provider's own sample, sheet §4.1) thereby lowers the score too.
    """

    team_id: Id
    players: dict[str, PlayerLine] = field(default_factory=dict)
    points: Number = 0
    unattributed: Number = 0
    periods: dict[str, Number] = field(default_factory=dict)

    @property
    def score(self) -> Number:
        """The team's points."""
        return plain(self.points + self.unattributed)


class Session(Struct):
    """One half or quarter (a ``GAME_ROUND``); times in epoch milliseconds."""

    id: Id
    period: str = ""
    started_at: int | None = None
    ended_at: int | None = None


class Row(Struct):
    """A published body in its bytes, and the session and time it was counted to."""

    data: bytes
    session: str = ""
    occurred_at: int = 0
    version: Number | None = None


class GameState(Struct):
    """Everything known of one game. ``first_seq`` is where the current loop of a looping game began."""

    subject: str
    first_seq: int = 1
    seq: int = 0
    known: bool = False
    """Whether anything but a team's document stands in this stream."""
    status: str = SCHEDULED
    period: str = ""
    occurred_at: int = 0
    started_at: int | None = None
    ended_at: int | None = None
    home_id: Id | None = None
    away_id: Id | None = None
    game: bytes | None = None
    clock: bytes | None = None
    summary: bytes | None = None
    teams: dict[str, TeamState] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    shots: dict[str, Row] = field(default_factory=dict)
    plays: dict[str, Row] = field(default_factory=dict)
    possessions: dict[str, Row] = field(default_factory=dict)
    lineups: dict[str, Row] = field(default_factory=dict)
    markers: dict[str, Row] = field(default_factory=dict)

    def team(self, team_id: Id) -> TeamState:
        """The team of that id, made when it is new."""
        key = id_text(team_id)
        team = self.teams.get(key)
        if team is None:
            team = self.teams[key] = TeamState(small_id(team_id))
        return team

    def sides(self) -> tuple[TeamState | None, TeamState | None]:
        """Home and away as the schedule's row says; without one the teams in the order in which they turned up."""
        if self.home_id is None and self.away_id is None:
            first, second, *_ = [*self.teams.values(), None, None]
            return first, second
        return self._side(self.home_id, self.away_id), self._side(self.away_id, self.home_id)

    def _side(self, team_id: Id | None, other_id: Id | None) -> TeamState | None:
        if team_id is not None:
            return self.teams.get(id_text(team_id)) or TeamState(team_id)
        return next((team for key, team in self.teams.items() if key != id_text(other_id)), None)

    def opponent(self, team: TeamState) -> TeamState | None:
        """The other team of the game, once it is known."""
        home, away = self.sides()
        other = away if team is home else home if team is away else None
        return None if other is team else other

    def session_at(self, occurred_at: int) -> Session | None:
        """The session that a moment (epoch ms) belongs to: the last that had begun by then."""
        for session in reversed(self.sessions.values()):
            if session.started_at is not None and session.started_at <= occurred_at:
                return session
        return None

    def has(self, team_id: str) -> bool:
        """Whether a team of that id plays."""
        return team_id in self.teams or team_id in (id_text(self.home_id), id_text(self.away_id))


def keep(rows: dict[str, Row], key: str, row: Row) -> None:
    """Put a row in its place: where the one that it replaces stood, or last. Bounded by ``MAX_ROWS``."""
    rows[key] = row
    if len(rows) > MAX_ROWS:
        del rows[next(iter(rows))]


def milliseconds(*values: object) -> int:
    """The first of the values that is a usable time, as whole epoch milliseconds; 0 when none is."""
    for value in values:
        if isinstance(value, int | float) and -MAX_NUMBER < value < MAX_NUMBER:
            return int(value)
    return 0


def text(*values: object) -> str:
    """The first of the values that is a non-empty text, or ''."""
    return next((value for value in values if isinstance(value, str) and value), "")


def bounded(value: object) -> Number | None:
    """The number, or None when it is none that can be calculated with."""
    return value if isinstance(value, int | float) and -MAX_NUMBER < value < MAX_NUMBER else None


def plain(value: Number) -> Number:
    """A whole number without its ``.0``."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def small_id(value: Id) -> Id:
    """An id that fits a checkpoint: a number beyond 64 bits as text."""
    return value if isinstance(value, str) or -MAX_NUMBER < value < MAX_NUMBER else str(value)


def known_id(value: object) -> Id | None:
    """The id when there is one."""
    return None if value is None or value is UNSET or not isinstance(value, int | str) else small_id(value)


def last(values: dict[str, Kept]) -> Kept | None:
    """The value that was put in last."""
    return next(reversed(values.values()), None)
