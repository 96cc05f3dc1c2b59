"""Hockey games made of as little as hisports takes, for tests that need several at once."""

from __future__ import annotations

from typing import Any

import msgspec

from .hubs import cloud_event
from .receivers import Delivery


def sheet(game: int, number: int, **more: Any) -> bytes:
    """The line that publishes the scoresheet of a game after so many goals; ``more`` are further members of it."""
    goals = [{"id": one, "teamId": 1, "participantId": 10 + one, "assistIds": []} for one in range(1, number + 1)]
    scoresheet = {"status": "started", "goals": goals, **more}
    data = {
        "game": {"id": game, "homeTeamId": 1, "awayTeamId": 2, "officeId": 8, "scheduleId": 7, "status": "Active"},
        "scoresheet": scoresheet,
    }
    name = f"sheet-{game}-{number}"
    return cloud_event(name, "hisports.scoresheet.update", str(game), msgspec.json.encode(data), "/rink/1")


def sheet_of(delivery: Delivery) -> tuple[int, int]:
    """Which one came: the game and the number of goals."""
    told = delivery.json
    assert told["type"] == "scoresheet.update", told
    return told["game"]["id"], len(told["scoresheet"]["goals"])


def numbers(deliveries: list[Delivery], game: int) -> list[int]:
    """The scoresheets of a game, in order of arrival."""
    return [number for one, number in map(sheet_of, deliveries) if one == game]
