"""Topics: the combinations of league, insight type and locale, their ARNs, and what opens them.

Sources: the seed (parameters; the one ARN that it shows) and the insights sheet (4). The locale has no place in that
ARN: that it stands behind the type, and only when it is not English, is OUR CHOICE, and so is the suffix.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

from touchline.feeds.base import Grants

LEAGUES: Final = ("mlb", "nba", "ncaamb", "nfl", "ncaafb", "nhl")
TYPES: Final = (
    "expert_picks",
    "highs",
    "leaderboards",
    "lineup_changes",
    "milestones",
    "player_betting_trends",
    "predictions",
    "scoring",
    "team_betting_trends",
)
LOCALES: Final = ("en", "fr", "de", "it", "es")
ENGLISH: Final = "en"
TRANSLATED: Final = "scoring"
"""The one type that has locales other than English (seed)."""

TOPICS: Final = tuple(
    f"{league}/{kind}/{locale}"
    for league in LEAGUES
    for kind in TYPES
    for locale in LOCALES
    if locale == ENGLISH or kind == TRANSLATED
)
"""All 78 of them."""
_ALL: Final = frozenset(TOPICS)

GRANT_KEY: Final = "topic"

_ARN_STACK: Final = "arn:aws:sns:us-east-1:038785188916:radar360-push-prod"
_SHOWN_SUFFIXES: Final = {"nfl/milestones/en": "AtgiU177X7KK"}
"""Suffixes that a document shows."""
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_ANY: Final = "*"


def _suffix(topic: str) -> str:
    digest = int.from_bytes(hashlib.sha256(topic.encode()).digest())
    letters = []
    for _ in range(12):
        digest, at = divmod(digest, len(_ALPHABET))
        letters.append(_ALPHABET[at])
    return "".join(letters)


def _pascal(topic: str) -> str:
    league, kind, locale = topic.split("/")
    words = [league, *kind.split("_"), *([] if locale == ENGLISH else [locale])]
    return "".join(word.capitalize() for word in words)


ARNS: Final = {
    topic: f"{_ARN_STACK}-{_pascal(topic)}PushTopic-{_SHOWN_SUFFIXES.get(topic) or _suffix(topic)}" for topic in TOPICS
}
"""The ARN of each topic: the same on every hub, so that a receiver's code may know it."""

_BY_ARN: Final = {arn: topic for topic, arn in ARNS.items()}
_BY_NAME: Final = {_pascal(topic): topic for topic in TOPICS}
_ANY_STACK: Final = re.compile(
    r"arn:aws(?:-[a-z-]{1,16})?:sns:[a-z0-9-]{1,32}:[0-9]{12}:[\w-]{1,64}?-(?P<name>[A-Za-z]{1,64})PushTopic(?:-\w+)?\Z"
)


def by_arn(arn: str) -> str | None:
    """The topic of one of our ARNs."""
    return _BY_ARN.get(arn)


def by_name_in_arn(arn: str) -> str | None:
    """The topic that an ARN of any account and stack names, as the provider's do; None when it names none."""
    known = _BY_ARN.get(arn)
    if known is not None:
        return known
    match = _ANY_STACK.match(arn)
    return None if match is None else _BY_NAME.get(match["name"])


def refusal(topic: str, *, pattern: bool = False) -> str | None:
    """Why a text is no topic (with ``pattern``: no pattern of topics), or None."""
    parts = topic.split("/")
    if len(parts) != 3 or not all(parts):
        also = ", with * for any" if pattern else ""
        return f"{topic[:80]!r} must be <league>/<insightType>/<locale>{also}"
    for part, known, word in zip(parts, (LEAGUES, TYPES, LOCALES), ("league", "insight type", "locale"), strict=True):
        if part not in known and not (pattern and part == _ANY):
            return f"{part[:40]!r} is no {word} of insights; there are {', '.join(known)}"
    if parts[2] not in (ENGLISH, _ANY) and parts[1] not in (TRANSLATED, _ANY):
        return f"{topic!r}: locales other than {ENGLISH} exist for {TRANSLATED} only"
    return None


@lru_cache(maxsize=4096)
def matching(patterns: tuple[str, ...] | frozenset[str]) -> frozenset[str]:
    """The topics that patterns name; ``*`` stands for any part. Unknown ones name none."""
    found: set[str] = set()
    for pattern in patterns:
        if pattern in _ALL:
            found.add(pattern)
            continue
        parts = pattern.split("/")
        if len(parts) == 3:
            found.update(
                topic
                for topic in TOPICS
                if all(part in (_ANY, own) for part, own in zip(parts, topic.split("/"), strict=True))
            )
    return frozenset(found)


def opened(grants: Grants) -> frozenset[str]:
    """The topics that grants open; all of them without a grant on topics."""
    granted = grants.get(GRANT_KEY)
    return _ALL if not granted else matching(granted)


def chosen(texts: tuple[str, ...], grants: Grants) -> tuple[str, ...]:
    """The topics that an endpoint's texts name and its partner's grants open, in the order of ``TOPICS``.

    Raises ValueError with the reason: no text, no topic, a topic that the grants do not open, or a pattern of which
    they open nothing.
    """
    if not texts:
        raise ValueError("an insights endpoint needs topics: <league>/<insightType>/<locale>, with * for any part")
    may = opened(grants)
    found: set[str] = set()
    for text in texts:
        reason = refusal(text, pattern=True)
        if reason is not None:
            raise ValueError(reason)
        named = matching((text,))
        if not named & may:
            granted = ", ".join(sorted(grants.get(GRANT_KEY, ())))
            raise ValueError(f"{text!r} is not open to this partner; its grants are {granted[:400]}")
        found |= named & may
    return tuple(topic for topic in TOPICS if topic in found)
