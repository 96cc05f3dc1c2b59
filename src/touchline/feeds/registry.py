"""The list of feeds. A new feed is one folder and one name here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Final

from touchline.feeds.base import EventType, Feed

NAMES: Final = ("hub", "shottracker", "insights", "prophetx", "hisports", "roanuz")


@cache
def load(name: str) -> Feed:
    """The feed of that name. Raises KeyError when there is none."""
    if name not in NAMES:
        raise KeyError(name)
    feed = importlib.import_module(f"touchline.feeds.{name}").FEED
    assert isinstance(feed, Feed)
    return feed


@cache
def feeds() -> Mapping[str, Feed]:
    """Every feed by its name."""
    return {name: load(name) for name in NAMES}


@cache
def event_types() -> Mapping[str, EventType]:
    """Every declared event type by its full name."""
    return {kind.name: kind for feed in feeds().values() for kind in feed.types}
