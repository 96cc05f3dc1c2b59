"""Roanuz's own message bodies, in its own spelling: what stands under ``data`` of every event type.

Owns field names and their types, nothing of folding or REST. Only what routing and folding cannot do without is
required; a known field that is present must have its type, an unknown field passes. Absent stays absent: optional
fields are UNSET, which is not the same as null. Sections are those of the feed's fact sheet.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

Number = int | float
OptId = int | str | None | UnsetType
OptNumber = Number | None | UnsetType
OptText = str | None | UnsetType
OptBool = bool | None | UnsetType
OptNumbers = list[Number] | None | UnsetType
OptTexts = list[str] | None | UnsetType
OptObject = dict[str, Raw] | None | UnsetType
OptRaws = list[Raw] | None | UnsetType

BallKey = Annotated[int, Meta(ge=0, le=2**53)]
Over = Annotated[int, Meta(ge=0, le=10_000)]
Order = Annotated[int, Meta(ge=1, le=100)]


class PushedBall(Struct, frozen=True, kw_only=True):
    """``ball`` of a push (seed, scenarios 2 to 4): which ball it is about. ``over`` counts from 0 (§5, inferred)."""

    ball_key: BallKey
    over: Over
    batting_order: Order
    is_delete: bool = False


class NotificationData(Struct, frozen=True, kw_only=True):
    """``data`` of a push; ``ts`` is in seconds since 1970. Older senders may leave ``match_push_kind`` out."""

    matchkey: str
    ball: PushedBall | None = None
    push_reason: OptText = UNSET
    match_push_kind: OptText = UNSET
    ts: OptNumber = UNSET


class Notification(Struct, frozen=True, kw_only=True):
    """The provider's message (seed); ``data_kind`` is descriptive: nothing is decided by it."""

    data: NotificationData
    sport: OptText = UNSET
    data_kind: OptText = UNSET


class Batsman(Struct, frozen=True, kw_only=True):
    """``batsman`` of a ball (§2.4)."""

    player_key: OptText = UNSET
    ball_count: OptNumber = UNSET
    runs: OptNumber = UNSET
    is_dot_ball: OptBool = UNSET
    is_four: OptBool = UNSET
    is_six: OptBool = UNSET


class Bowler(Struct, frozen=True, kw_only=True):
    """``bowler`` of a ball (§2.4)."""

    player_key: OptText = UNSET
    ball_count: OptNumber = UNSET
    runs: OptNumber = UNSET
    extras: OptNumber = UNSET
    is_wicket: OptBool = UNSET


class TeamScore(Struct, frozen=True, kw_only=True):
    """What a ball added to the innings (§2.4)."""

    ball_count: OptNumber = UNSET
    runs: OptNumber = UNSET
    extras: OptNumber = UNSET
    is_wicket: OptBool = UNSET


class Wicket(Struct, frozen=True, kw_only=True):
    """``wicket`` of a ball (§2.4); its types are an open set."""

    player_key: OptText = UNSET
    wicket_type: OptText = UNSET


class Ball(Struct, frozen=True, kw_only=True):
    """The REST detail of a ball (§2.4). ``overs`` are completed overs and the ball in the over: 6.3 is ``[6,3]``."""

    key: OptId = UNSET
    ball_type: OptText = UNSET
    batting_team: OptText = UNSET
    comment: OptText = UNSET
    innings: OptText = UNSET
    overs: OptNumbers = UNSET
    batsman: Batsman | UnsetType | None = UNSET
    bowler: Bowler | UnsetType | None = UNSET
    team_score: TeamScore | UnsetType | None = UNSET
    fielders: OptRaws = UNSET
    wicket: Wicket | UnsetType | None = UNSET
    non_striker_key: OptText = UNSET
    entry_time: OptNumber = UNSET
    updated_time: OptNumber = UNSET
    ball_play_status: OptText = UNSET
    ball_tags: OptRaws = UNSET
    repr: OptText = UNSET


class Toss(Struct, frozen=True, kw_only=True):
    """``toss`` (§2.5); ``elected`` is ``bat``, ``bowl`` or ``keep``."""

    called: OptText = UNSET
    winner: OptText = UNSET
    elected: OptText = UNSET
    squad_announced: OptBool = UNSET


class Play(Struct, frozen=True, kw_only=True):
    """``play`` (§2.5), as far as it is read here."""

    first_batting: OptText = UNSET
    overs_per_innings: OptNumbers = UNSET
    innings_order: OptTexts = UNSET
    innings: OptObject = UNSET
    result: OptObject = UNSET
    target: OptObject = UNSET


class Match(Struct, frozen=True, kw_only=True):
    """The match document, or what changed in it (§2.5). Every field may be left out."""

    key: OptText = UNSET
    name: OptText = UNSET
    short_name: OptText = UNSET
    sub_title: OptText = UNSET
    title: OptText = UNSET
    status: OptText = UNSET
    play_status: OptText = UNSET
    start_at: OptNumber = UNSET
    expected_start_at: OptNumber = UNSET
    format: OptText = UNSET
    gender: OptText = UNSET
    sport: OptText = UNSET
    metric_group: OptText = UNSET
    winner: OptText = UNSET
    tournament: OptObject = UNSET
    association: OptObject = UNSET
    venue: OptObject = UNSET
    teams: OptObject = UNSET
    toss: Toss | UnsetType | None = UNSET
    squad: OptObject = UNSET
    players: OptObject = UNSET
    umpires: OptObject = UNSET
    data_review: OptObject = UNSET
    play: Play | UnsetType | None = UNSET


class Announcement(Struct, frozen=True, kw_only=True):
    """``data`` of ``roanuz.match``: the match document as far as it is known."""

    match: Match


class Push(Struct, frozen=True, kw_only=True):
    """``data`` of everything else: the provider's message, and what REST shows from then on."""

    notification: Notification
    ball: Ball | UnsetType | None = UNSET
    match: Match | UnsetType | None = UNSET
