"""The snapshot fold of a topic: its newest insights, each as it was pushed, and what REST finds them by.

Bounded: the newest ``MAX_INSIGHTS`` of a topic and ``MAX_BYTES`` of their text, whichever is less. An insight that
comes again under its id replaces the one before it and is the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from touchline.feeds.base import Instant
from touchline.feeds.insights.messages import INSIGHT_TYPE, Id, Insight
from touchline.model import Event, Record

MAX_INSIGHTS: Final = 500
MAX_BYTES: Final = 1024 * 1024

GAME: Final = "game"
TEAM: Final = "team"
PLAYER: Final = "player"
SUBJECTS: Final = (GAME, TEAM, PLAYER)
"""The subjects of REST (sheet 2.1)."""

_insight: Final = msgspec.json.Decoder(Insight).decode


class Kept(msgspec.Struct, array_like=True, frozen=True):
    """An insight: the offset of its record, its id, what it is about by kind of subject, its book, and its text."""

    offset: int
    id: str
    about: dict[str, tuple[str, ...]]
    book: str
    data: bytes


class TopicState(msgspec.Struct):
    """The insights of a topic by key, oldest first."""

    topic: str
    insights: dict[str, Kept] = {}
    size: int = 0
    seq: int = 0

    def newest_first(self) -> Iterator[Kept]:
        """The insights, the newest first."""
        return reversed(self.insights.values())


class InsightsFold:
    """Folds a topic (see ``feeds.base.SnapshotFold``)."""

    version = 1

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(TopicState)

    def initial(self, subject: str) -> TopicState:
        """A topic without insights."""
        return TopicState(subject)

    def apply(self, state: TopicState, record: Record) -> None:
        """Take one record into account."""
        state.seq = record.seq or state.seq
        event = record.event
        if event.type != INSIGHT_TYPE:
            return
        try:
            insight = _insight(event.data)
        except (msgspec.MsgspecError, RecursionError):
            return
        name = _text(insight.id)
        # Without an id nothing says that it is the same: each stays by itself.
        key = name or f"/{record.offset}"
        _forget(state, key)
        state.insights[key] = Kept(record.offset, name, about(insight), _text(insight.bookId), event.data)
        state.size += len(event.data)
        while len(state.insights) > 1 and (len(state.insights) > MAX_INSIGHTS or state.size > MAX_BYTES):
            _forget(state, next(iter(state.insights)))

    def encode(self, state: TopicState) -> bytes:
        """The state as MessagePack."""
        return self._encoder.encode(state)

    def decode(self, data: bytes) -> TopicState:
        """The state of a checkpoint."""
        return self._decoder.decode(data)

    def view(self, state: TopicState) -> bytes:
        """The insights as JSON, newest first, each as it was pushed."""
        return msgspec.json.encode(
            {"topic": state.topic, "insights": [msgspec.Raw(kept.data) for kept in state.newest_first()]}
        )

    def derive(self, state: TopicState, now: Instant) -> Sequence[Event]:
        """Nothing follows from insights."""
        del state, now
        return ()

    def is_over(self, state: TopicState) -> bool:
        """A topic never ends."""
        del state
        return False

    def first_seq(self, state: TopicState) -> int:
        """It does not run in loops."""
        del state
        return 1


def about(insight: Insight) -> dict[str, tuple[str, ...]]:
    """The ids, in either id system, of the games, teams and players that an insight is about (sheet 5.1)."""
    games: list[Id] = [insight.gameId]
    teams: list[Id] = []
    players: list[Id] = []
    event = insight.event
    if event is not None:
        games += (event.gameId, event.gameSrId)
        teams += (event.teamId, event.teamSrId)
        players += (event.participantId, event.participantSrId)
    for subject in insight.subjects or ():
        ids = (subject.subjectId, subject.subjectUsId, subject.subjectSRId)
        kinds = f"{subject.type or ''} {(subject.subjectType and subject.subjectType.key) or ''}".lower()
        found = [ours for word, ours in ((GAME, games), (TEAM, teams), (PLAYER, players)) if word in kinds]
        # The values of its type are not published: one that says nothing to us may be any of the three.
        for ours in found or (games, teams, players):
            ours += ids
    named = {GAME: _texts(games), TEAM: _texts(teams), PLAYER: _texts(players)}
    return {kind: ids for kind, ids in named.items() if ids}


def _forget(state: TopicState, key: str) -> None:
    old = state.insights.pop(key, None)
    if old is not None:
        state.size -= len(old.data)


def _text(value: Id) -> str:
    return "" if value is None else str(value)


def _texts(values: Iterable[Id]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for value in values if (text := _text(value))))
