"""The insight object in the provider's spelling, and what is posted around it.

Fields: sheet 5.1 (labels of the data summary page; camelCase is derived, types are OUR CHOICE). Enumerations are not
published and stay free text. Unknown fields pass; what names nothing is left out here.
"""

# ruff: noqa: N815 - the provider's spelling
from __future__ import annotations

from typing import Final

import msgspec

from touchline.feeds.insights import topics
from touchline.model import Event as HubEvent

FEED_NAME: Final = "insights"
INSIGHT_TYPE: Final = "insights.insight"

Id = str | int | None
Text = str | None
Number = int | float | None


class SubjectType(msgspec.Struct):
    """What kind of thing a subject is."""

    id: Id = None
    key: Text = None
    name: Text = None
    createdAt: Text = None
    updatedAt: Text = None


class Subject(msgspec.Struct):
    """What an insight is about: a game, a team, a player."""

    index: Number = None
    label: Text = None
    type: Text = None
    subjectId: Id = None
    subjectUsId: Id = None
    subjectSRId: Id = None
    subjectType: SubjectType | None = None


class Cell(msgspec.Struct):
    """A cell of a material's table; ``value`` may be anything."""

    rowIndex: Number = None
    columnIndex: Number = None
    isHighlighted: bool | None = None


class Material(msgspec.Struct):
    """A text or table that goes with an insight."""

    index: Number = None
    title: Text = None
    type: Text = None
    context: Text = None
    tabularData: list[Cell] | None = None


class EventDetails(msgspec.Struct):
    """``event`` of an insight: what happened, to whom; of its many fields those that identify."""

    id: Id = None
    key: Text = None
    league: Text = None
    insightType: Text = None
    gameId: Id = None
    gameSrId: Id = None
    gameDate: Text = None
    teamId: Id = None
    teamName: Text = None
    teamSrId: Id = None
    opponentId: Id = None
    opponentName: Text = None
    opponentSportradarId: Id = None
    participantId: Id = None
    participantFullName: Text = None
    participantSrId: Id = None
    text: Text = None
    textLong: Text = None
    statistic: Text = None


class Insight(msgspec.Struct):
    """An insight, ``data`` of ``insights.insight``, and one item of the REST results."""

    id: Id = None
    externalId: Id = None
    gameId: Id = None
    league: Text = None
    type: Text = None
    category: Text = None
    status: Text = None
    lifecycle: Text = None
    source: Text = None
    content: Text = None
    bookId: Id = None
    relevancyDate: Text = None
    relevancyIndex: Number = None
    createdAt: Text = None
    updatedAt: Text = None
    event: EventDetails | None = None
    subjects: list[Subject] | None = None
    materials: list[Material] | None = None


class Results(msgspec.Struct, omit_defaults=True):
    """A page of REST results; the key ``results`` is OUR CHOICE (sheet 2.1)."""

    results: list[msgspec.Raw]
    pageToken: str | None = None


class ErrorBody(msgspec.Struct):
    """A REST refusal (OUR CHOICE, sheet 2.1)."""

    message: str


def check(event: HubEvent, _: Insight) -> tuple[str, str] | None:
    """The subject of an insight is one of the topics (DESIGN, Publishing)."""
    reason = topics.refusal(event.subject)
    return None if reason is None else ("subject", reason)
