"""What tests offer on a sandbox exchange: one event of a tournament with a moneyline, as the operator's commands."""

from __future__ import annotations

from typing import Any

TOURNAMENT, EVENT, MARKET = 132, 7001, 219
HOME, AWAY = "line-1-h", "line-1-a"


def line(number: int, side: int) -> dict[str, Any]:
    """One side (0 home, 1 away) of a two-way line; the number sets it apart from others of the market."""
    return {
        "id": number * 10 + side,
        "sport_event_id": EVENT,
        "market_id": MARKET,
        "outcome_id": 4 + side,
        "line": number - 1,
        "line_id": f"line-{number}-{'ha'[side]}",
        "type": "moneyline",
        "name": ("Bulls", "Hawks")[side],
    }


OFFERS: tuple[dict[str, Any], ...] = (
    {
        "command": "put_tournament",
        "tournament": {
            "id": TOURNAMENT,
            "name": "NBA",
            "category": {"id": 1, "name": "USA", "countryCode": "US"},
            "sport": {"id": 2, "name": "Basketball"},
        },
    },
    {
        "command": "put_sport_event",
        "event": {
            "event_id": EVENT,
            "tournament_id": TOURNAMENT,
            "name": "Hawks at Bulls",
            "display_name": "Hawks at Bulls",
            "sport_name": "Basketball",
            "tournament_name": "NBA",
            "scheduled": "2026-11-28T20:00:00Z",
            "competitors": [
                {"id": 11, "name": "Bulls", "display_name": "Bulls", "side": "home"},
                {"id": 12, "name": "Hawks", "display_name": "Hawks", "side": "away"},
            ],
        },
    },
    {"command": "put_market", "market": {"id": MARKET, "sport_event_id": EVENT, "name": "Moneyline"}},
    {"command": "put_line", "sides": [line(1, 0), line(1, 1)]},
)
