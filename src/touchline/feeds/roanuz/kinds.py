"""The names of the feed: event types, push kinds, and what the provider calls them."""

from __future__ import annotations

from typing import Final

FEED_NAME: Final = "roanuz"
PREFIX: Final = f"{FEED_NAME}."

KINDS: Final = ("ball", "info", "toss", "play", "squad", "review", "result", "reward", "other")
"""``match_push_kind`` of the provider's twelve scenarios, in lower case (sheet §5)."""

MATCH_TYPE: Final = PREFIX + "match"
"""Announces a match; our own, never pushed."""
BALL_TYPE: Final = PREFIX + "ball"
RESULT_TYPE: Final = PREFIX + "result"

ENTRY_UPDATE: Final = "match-entry-update"
DETAIL_UPDATE: Final = "match-detail-update"
RELATED_UPDATE: Final = "match-related-update"
"""What older pages of the provider call a ``match-entry-update``, and the seed's subscription text still does."""

GRANT: Final = "match_key"
