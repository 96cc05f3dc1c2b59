"""The snapshot fold of a match: from its records, one after the other, to the document and the balls that stand.

Owns how each event changes the state; the shapes are in ``innings``, what is read out of them in ``document``. Whatever
was accepted for publishing is taken without an error. Records that belong to one partner alone are no part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from touchline.feeds.base import Instant
from touchline.feeds.roanuz import document, innings
from touchline.feeds.roanuz.innings import BallState, MatchState
from touchline.feeds.roanuz.kinds import BALL_TYPE, MATCH_TYPE, RESULT_TYPE
from touchline.feeds.roanuz.messages import Ball, Match, Notification, PushedBall
from touchline.model import Event, Record

_MAX_COUNT: Final = 1_000_000
"""No ball gives more of anything; what says so counts as 0, so that sums stay numbers that everybody can read."""

_MAX_OVER: Final = 10_000


class _Parts(Struct):
    """An event's data cut into its parts, each as published."""

    notification: Notification | UnsetType | None = UNSET
    ball: Raw | UnsetType = UNSET
    match: Raw | UnsetType = UNSET


_PARTS: Final = msgspec.json.Decoder(_Parts)
_BALL: Final = msgspec.json.Decoder(Ball)
_MATCH: Final = msgspec.json.Decoder(Match)


class MatchFold:
    """Folds a match (see ``feeds.base.SnapshotFold``)."""

    version = 1

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(MatchState)

    def initial(self, subject: str) -> MatchState:
        """A match of which nothing is known."""
        return MatchState(subject)

    def apply(self, state: MatchState, record: Record) -> None:
        """Take one record into account."""
        event = record.event
        if event.partner is not None:
            return
        state.known = True
        try:
            parts = _PARTS.decode(event.data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return
        if isinstance(parts.match, Raw):
            _take_match(state, record, bytes(parts.match))
        if event.type == RESULT_TYPE:
            state.over = True
        if event.type == BALL_TYPE and parts.notification and parts.notification.data.ball is not None:
            _take_ball(state, parts.notification.data.ball, bytes(parts.ball) if isinstance(parts.ball, Raw) else b"")

    def encode(self, state: MatchState) -> bytes:
        """The state as MessagePack."""
        return self._encoder.encode(state)

    def decode(self, data: bytes) -> MatchState:
        """The state of a checkpoint."""
        return self._decoder.decode(data)

    def view(self, state: MatchState) -> bytes:
        """The match document and every over with its balls, as JSON."""
        overs = [{"key": over.key, "balls": details(state, over)} for over in innings.overs(state)]
        return msgspec.json.encode({"match": Raw(document.build(state)), "overs": overs})

    def derive(self, state: MatchState, now: Instant) -> Sequence[Event]:
        """Nothing: this feed has no state lane."""
        del state, now
        return ()

    def is_over(self, state: MatchState) -> bool:
        """After its result, or a status that says so."""
        return state.over

    def first_seq(self, state: MatchState) -> int:
        """Where the match began; it begins again when it is announced as not started after its end."""
        return state.first_seq


def details(state: MatchState, over: innings.OverRef) -> list[Raw]:
    """The balls of an over as REST shows them: as published, or what their notification alone says."""
    return [Raw(ball.detail or _bare(ball, over)) for ball in innings.balls(state, over)]


def _bare(ball: BallState, over: innings.OverRef) -> bytes:
    return msgspec.json.encode(
        {"key": ball.key, "innings": over.innings, "batting_team": over.innings.partition("_")[0]}
    )


def _take_match(state: MatchState, record: Record, text: bytes) -> None:
    try:
        status = _MATCH.decode(text).status
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return  # null, or an unknown type's own thing of that name
    if record.event.type == MATCH_TYPE and state.over and status == document.NOT_STARTED:
        state.document, state.over = b"{}", False
        state.innings.clear()
        state.where.clear()
        state.first_seq = record.seq
    state.document = document.merge(state.document, text)
    if isinstance(status, str):
        state.over = status in document.OVER


def _take_ball(state: MatchState, pushed: PushedBall, text: bytes) -> None:
    key = str(pushed.ball_key)
    if pushed.is_delete:
        innings.remove(state, key)  # gone before the push leaves (sheet §6.8)
        return
    try:
        detail = _BALL.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        _note_ball(state, pushed)
        return
    name = detail.innings if isinstance(detail.innings, str) and detail.innings else ""
    number, place = _position(detail, pushed)
    ball = BallState(key, pushed.batting_order, number, text, place)
    _count(ball, detail)
    innings.put(state, innings.normalised(name) if name else innings_of(state, pushed.batting_order), ball)


def _note_ball(state: MatchState, pushed: PushedBall) -> None:
    """A ball of which only the notification came: what is known of it already stays."""
    key = str(pushed.ball_key)
    if key not in state.where:
        name = innings_of(state, pushed.batting_order)
        last = max((ball.place for ball in innings.balls(state, innings.OverRef(name, pushed.over + 1))), default=0)
        innings.put(state, name, BallState(key, pushed.batting_order, pushed.over + 1, place=last))


def _position(detail: Ball, pushed: PushedBall) -> tuple[int, int]:
    """The number of the over, from 1, and the ball's place in it.

    The detail says it in the words of REST; a push's own ``over`` counts from 0 too (sheet §5, inferred).
    """
    match detail.overs:
        case [completed, place, *_]:
            return (int(completed) if 0 <= completed <= _MAX_OVER else pushed.over) + 1, bounded(place)
        case _:
            return pushed.over + 1, 0


def _count(ball: BallState, detail: Ball) -> None:
    ball.kind = detail.ball_type if isinstance(detail.ball_type, str) else ""
    if detail.team_score:
        score = detail.team_score
        ball.runs, ball.extras = bounded(score.runs), bounded(score.extras)
        ball.balls, ball.wickets = bounded(score.ball_count), int(score.is_wicket is True)
    if detail.batsman:
        batsman = detail.batsman
        ball.bat, ball.dots = bounded(batsman.runs), int(batsman.is_dot_ball is True)
        ball.fours, ball.sixes = int(batsman.is_four is True), int(batsman.is_six is True)


def bounded(value: Any) -> int:
    """A count as an integer; 0 for what is absent or no count."""
    return int(value) if isinstance(value, int | float) and abs(value) <= _MAX_COUNT else 0


def innings_of(state: MatchState, order: int) -> str:
    """The innings with that place in the match: as its balls say, else as the document, else as the toss.

    OUR CHOICE where nothing says it: team a bats first, the teams take turns, and after two innings each team has
    its second one in a test and a super over elsewhere.
    """
    for each in state.innings.values():
        if each.order == order:
            return each.name
    match = _MATCH.decode(state.document)
    listed = match.play.innings_order if match.play else None
    if listed and order <= len(listed):
        return innings.normalised(listed[order - 1])
    first = "a"
    if match.play and match.play.first_batting in ("a", "b"):
        first = str(match.play.first_batting)
    elif match.toss and match.toss.winner in ("a", "b") and isinstance(match.toss.elected, str):
        winner = str(match.toss.winner)
        first = winner if match.toss.elected == "bat" else "b" if winner == "a" else "a"
    team = first if order % 2 else "b" if first == "a" else "a"
    number = str((order + 1) // 2) if order <= 2 or match.format == "test" else "superover"
    return f"{team}_{number}"
