"""The snapshot fold of a game: from its records, one after the other, to its whole current state.

Owns how each source changes the state; the shapes are in ``game``, what is read out of them in ``summary``. Taking a
record costs one typed decode; locations cost nothing. Whatever was accepted for publishing is taken without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from touchline.feeds.base import Instant
from touchline.feeds.shottracker import messages, summary
from touchline.feeds.shottracker.game import (
    ACTIVE,
    FINISHED,
    SCORES,
    GameState,
    PlayerLine,
    Row,
    Session,
    Stat,
    TeamState,
    bounded,
    keep,
    known_id,
    last,
    milliseconds,
    text,
)
from touchline.feeds.shottracker.messages import id_text
from touchline.feeds.shottracker.sources import (
    FEED_NAME,
    GAME_TYPE,
    MOCK_SERVICE,
    PREFIX,
    SUMMARY,
    SUMMARY_TYPE,
    TEAM_TYPE,
)
from touchline.model import Event, Lane, Record

DERIVED_SOURCE: Final = "urn:touchline:fold:shottracker"
"""``source`` of the summaries that the fold makes, by which it knows its own from a publisher's."""

_MS_IN_NS: Final = 1_000_000


class GameFold:
    """Folds a ShotTracker game (see ``feeds.base.SnapshotFold``)."""

    version = 1

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(GameState)

    def initial(self, subject: str) -> GameState:
        """A game of which nothing is known."""
        return GameState(subject)

    def apply(self, state: GameState, record: Record) -> None:
        """Take one record into account."""
        if record.seq:
            state.seq = record.seq
        kind = record.event.type
        state.known = state.known or kind != TEAM_TYPE
        taking = _TAKE.get(kind)
        if taking is None:
            return
        decoder, take = taking
        try:
            data = decoder.decode(record.event.data)
        except (msgspec.MsgspecError, RecursionError):
            return
        take(state, record, data)

    def encode(self, state: GameState) -> bytes:
        """The state as MessagePack."""
        return self._encoder.encode(state)

    def decode(self, data: bytes) -> GameState:
        """The state of a checkpoint."""
        return self._decoder.decode(data)

    def view(self, state: GameState) -> bytes:
        """The state as JSON for readers."""
        return summary.view(state)

    def derive(self, state: GameState, now: Instant) -> Sequence[Event]:
        """A broadcast summary from the fold, unless a publisher sends its own (contract: a published summary wins).

        Equal states give the same id and bytes, so that a repetition can be told from news.
        """
        if state.summary is not None or not state.teams:
            return ()
        data = summary.encode(state)
        digest = blake2b(data, digest_size=8).hexdigest()
        return (
            Event(
                FEED_NAME,
                SUMMARY_TYPE,
                state.subject,
                DERIVED_SOURCE,
                f"{state.subject}:{state.seq}:{digest}",
                data,
                state.occurred_at * _MS_IN_NS,
                now.wall_ns,
                lane=Lane.STATE,
                state_key=SUMMARY,
            ),
        )

    def is_over(self, state: GameState) -> bool:
        """After GAME_END, unless the game loops."""
        return state.status == FINISHED and state.subject != MOCK_SERVICE

    def first_seq(self, state: GameState) -> int:
        """The seq of the GAME_START of the current loop; 1 for a game that is played once (sheet §8.7)."""
        return state.first_seq


def _moment(state: GameState, record: Record, *values: object) -> int:
    """When it happened in epoch ms: the body's time, else the event's; the state's newest moves along."""
    moment = milliseconds(*values, record.event.occurred_at // _MS_IN_NS)
    state.occurred_at = max(state.occurred_at, moment)
    return moment


def _place(state: GameState, session_id: object, period: object, moment: int) -> tuple[str, str]:
    """(session id as text, period) that something belongs to: as it says itself, else by its time, else the current."""
    named = state.sessions.get(id_text(session_id))
    found = named or state.session_at(moment) or last(state.sessions)
    return (
        id_text(session_id) or (id_text(found.id) if found else ""),
        text(period, found.period if found else "", state.period),
    )


def _older(version: object, held: Row | Stat | None) -> bool:
    """Whether a version is older than the one held; without versions the log's order decides."""
    number = bounded(version)
    return held is not None and number is not None and held.version is not None and number < held.version


def _take_stats(state: GameState, record: Record, data: messages.BoxScoreStats) -> None:
    """Current totals: overwrite, never add (fields page; sheet §4.1)."""
    moment = _moment(state, record, data.occurred_at)
    team = state.team(data.team_id)
    opponent = state.opponent(team)
    before = team.score, opponent.score if opponent else 0
    key = id_text(data.player_id)
    line = team.players.get(key)
    if line is None:
        line = team.players[key] = PlayerLine(known_id(data.player_id))
    session, period = _place(state, data.session_id, data.period, moment)
    taken: dict[str, float] = {}
    for name, value in ({} if data.stats is msgspec.UNSET else data.stats).items():
        number, held = bounded(value), line.stats.get(name)
        if number is None or _older(data.version, held):
            continue
        version = bounded(data.version)
        line.stats[name] = Stat(number, held.version if version is None and held else version)
        taken[name] = number
        change = number - (held.value if held else 0)
        if session and name not in SCORES:
            counted = line.sessions.setdefault(session, {})
            counted[name] = counted.get(name, 0) + change
        if name == "PTS" and key:
            team.points += change
    if taken:
        line.occurred_at, line.version = moment, bounded(data.version)
        line.classification = text(data.classification) or None
    score = taken.get("TEAM_SCORE", taken.get("PTS") if not key else None)
    if score is not None:
        team.unattributed = score - team.points
    if opponent is not None and "OPPOSING_TEAM_SCORE" in taken:
        opponent.unattributed = taken["OPPOSING_TEAM_SCORE"] - opponent.points
        state.teams.setdefault(id_text(opponent.team_id), opponent)
    _count(team, period, before[0])
    if opponent is not None:
        _count(opponent, period, before[1])


def _count(team: TeamState, period: str, before: float) -> None:
    """Count what a team's score changed by to the period in which it happened."""
    if period and team.score != before:
        team.periods[period] = team.periods.get(period, 0) + team.score - before


def _take_shot(state: GameState, record: Record, data: messages.Shot) -> None:
    moment = _moment(state, record, data.occurred_at)
    state.team(data.team_id)
    key = f"{moment}:{id_text(data.player_id)}"
    held = state.shots.get(key)
    if not _older(data.version, held):
        session, _ = _place(state, data.session_id, data.period, moment)
        keep(state.shots, key, Row(record.event.data, session, moment, bounded(data.version)))


def _take_play(state: GameState, record: Record, data: messages.PlayByPlay) -> None:
    moment = _moment(state, record, data.timestamp)
    session, _ = _place(state, data.sessionId, data.period, moment)
    key = f"#{record.seq}"
    if isinstance(data.key, messages.ActionKey):
        key = f"{id_text(data.key.actorId)}:{milliseconds(data.key.timestamp)}"
    keep(state.plays, key, Row(record.event.data, session, moment))


def _take_possession(state: GameState, record: Record, data: messages.Possession) -> None:
    moment = _moment(state, record, data.start_timestamp, data.occurred_at)
    session, _ = _place(state, data.session_id, data.period, moment)
    keep(state.possessions, f"{id_text(data.team_id)}:{moment}", Row(record.event.data, session, moment))


def _take_lineup(state: GameState, record: Record, data: messages.Lineup) -> None:
    moment = _moment(state, record, data.occurred_at)
    session, _ = _place(state, data.session_id, data.period, moment)
    keep(state.lineups, f"#{record.seq}", Row(record.event.data, session, moment))


def _take_marker(state: GameState, record: Record, data: messages.Marker) -> None:
    """Markers decide status, periods and sessions (sheet §4.4, OUR CHOICE); others are kept to be read."""
    if data.type == messages.GAME_START and state.subject == MOCK_SERVICE:
        _restart(state, record.seq)
    moment = _moment(state, record, data.occurred_at)
    if data.type == messages.GAME_START:
        state.status, state.started_at, state.ended_at = ACTIVE, moment, None
    elif data.type == messages.SESSION_START:
        session = _session(state, data)
        session.started_at, session.ended_at = moment, None
        state.status, state.period = ACTIVE, session.period or state.period
    elif data.type == messages.SESSION_END:
        _session(state, data).ended_at = moment
    elif data.type == messages.GAME_END:
        state.status, state.ended_at = FINISHED, moment
        for session in state.sessions.values():
            session.ended_at = moment if session.ended_at is None else session.ended_at
    current = last(state.sessions)
    keep(state.markers, f"#{record.seq}", Row(record.event.data, id_text(current.id) if current else "", moment))


def _session(state: GameState, data: messages.Marker) -> Session:
    """The session that a marker speaks of; one without an id is named after its game and period."""
    period = text(data.period)
    session_id = known_id(data.session_id)
    if session_id is None and data.type == messages.SESSION_END and not period:
        current = last(state.sessions)
        if current is not None:
            return current
    if session_id is None:
        session_id = f"{state.subject}-{period or len(state.sessions) + 1}"
    session = state.sessions.setdefault(id_text(session_id), Session(session_id))
    session.period = period or session.period
    return session


def _restart(state: GameState, seq: int) -> None:
    """A looping game begins anew: everything goes but its row and its counters (sheet §8.7)."""
    fresh = GameState(state.subject, first_seq=seq, seq=state.seq, known=True)
    fresh.home_id, fresh.away_id, fresh.game = state.home_id, state.away_id, state.game
    for name in state.__struct_fields__:
        setattr(state, name, getattr(fresh, name))


def _take_game(state: GameState, record: Record, data: messages.Game) -> None:
    state.game = record.event.data
    state.home_id, state.away_id = known_id(data.home_team_id), known_id(data.away_team_id)


def _take_clock(state: GameState, record: Record, data: messages.GameClock) -> None:
    _moment(state, record, data.occurred_at)
    state.clock = record.event.data
    state.period = text(data.period, state.period)


def _take_summary(state: GameState, record: Record, data: messages.BroadcastSummary) -> None:
    del data
    if record.event.source != DERIVED_SOURCE:
        state.summary = record.event.data


def _taking(kind: type[Any], take: Callable[[GameState, Record, Any], None]) -> tuple[msgspec.json.Decoder[Any], Any]:
    return msgspec.json.Decoder(kind), take


_TAKE: Final = {
    PREFIX + "boxscorestatsv2": _taking(messages.BoxScoreStats, _take_stats),
    PREFIX + "shot": _taking(messages.Shot, _take_shot),
    PREFIX + "marker": _taking(messages.Marker, _take_marker),
    PREFIX + "playbyplay": _taking(messages.PlayByPlay, _take_play),
    PREFIX + "lineup": _taking(messages.Lineup, _take_lineup),
    PREFIX + "possession": _taking(messages.Possession, _take_possession),
    PREFIX + "clock": _taking(messages.GameClock, _take_clock),
    SUMMARY_TYPE: _taking(messages.BroadcastSummary, _take_summary),
    GAME_TYPE: _taking(messages.Game, _take_game),
}
