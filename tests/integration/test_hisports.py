"""HiSports in a real hub: published over HTTP, stored, folded, and read by its REST with keys from the directory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from touchline.testing.clock import FakeClock

from .hubs import Answer, Hub, cloud_event

MakeHub = Callable[..., Hub]
PAYLOADS = Path(__file__).parents[1] / "feeds" / "hisports" / "payloads"
GAME = json.loads((PAYLOADS / "game.json").read_bytes())
SHEET = json.loads((PAYLOADS / "scoresheet.json").read_bytes())


def tell(hub: Hub, kind: str, game_id: int, **members: Any) -> None:
    game = GAME | {"id": game_id, "number": str(game_id)} | members.pop("game", {})
    hub.publish_all([cloud_event(f"hisports.{kind}", str(game_id), {"game": game, **members})])


def ask(hub: Hub, path: str, key: str) -> Answer:
    return hub.request("GET", f"/api{path}", headers={"Authorization": f"API-Key {key}"})


def test_games_are_read_with_the_partner_s_key_and_under_its_grants(make_hub: MakeHub) -> None:
    hub = make_hub()
    whole = hub.partner("league", "hisports")["api_key"]
    narrow = hub.partner("club", "hisports", {"team_id": ["5"]})["api_key"]
    tell(hub, "game.create", 1)
    tell(hub, "game.create", 2, game={"homeTeamId": 5})
    tell(hub, "scoresheet.update", 1, scoresheet=SHEET)
    tell(hub, "game.update", 1, game={"status": "Postponed"})
    assert [(row["id"], row["status"]) for row in ask(hub, "/games", whole).json] == [(1, "Postponed"), (2, "Active")]
    assert [row["id"] for row in ask(hub, "/sp/games", narrow).json] == [2]
    assert ask(hub, "/games/count", narrow).json == {"count": 1}
    chosen = quote(json.dumps({"where": {"status": "Active"}, "include": ["arena"]}))
    assert [row["id"] for row in ask(hub, f"/games?filter={chosen}", whole).json] == [2]
    assert ask(hub, "/games/1/scoresheet", whole).json == SHEET
    assert [team["score"] for team in ask(hub, "/games/1/boxScore", whole).json["teams"]] == [6, 3]
    hidden = ask(hub, "/games/1/scoresheet", narrow)
    assert (hidden.status, hidden.json["error"]["code"]) == (404, "MODEL_NOT_FOUND")
    for key in ("0" * 40, whole[:-1], ""):
        refused = ask(hub, "/games", key)
        assert (refused.status, refused.json["error"]["code"]) == (401, "AUTHORIZATION_REQUIRED")


def test_a_game_is_listed_and_read_after_a_restart(make_hub: MakeHub) -> None:
    hub = make_hub()
    key = hub.partner("league", "hisports")["api_key"]
    tell(hub, "game.create", 1)
    tell(hub, "scoresheet.update", 1, scoresheet=SHEET)
    before = (ask(hub, "/games", key).body, ask(hub, "/games/1/scoresheet", key).body)
    hub.stop()
    again = Hub(hub.directory)
    with again:
        assert (ask(again, "/games", key).body, ask(again, "/games/1/scoresheet", key).body) == before


def test_guessing_keys_is_slowed_down(make_hub: MakeHub) -> None:
    hub = make_hub(FakeClock(), login_failures_per_address=5)
    key = hub.partner("league", "hisports")["api_key"]
    statuses = [ask(hub, "/games", f"{number:040x}").status for number in range(5)]
    assert statuses == [401] * 5
    answer = ask(hub, "/games", "f" * 40)
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert ask(hub, "/games", key).status == 429, "from that address nobody is listened to for a while"


@pytest.mark.parametrize("field", ["notes", "startTime"])
def test_a_refused_publish_names_the_field_and_not_the_value(make_hub: MakeHub, field: str) -> None:
    hub = make_hub()
    body = json.dumps(
        cloud_event("hisports.scoresheet.update", "1", {"scoresheet": SHEET | {field: ["canary-notes"]}})
    ).encode()
    answer = hub.publish(body)
    assert answer.status == 400
    assert answer.json["errors"][0]["field"] == f"data.scoresheet.{field}"
    assert b"canary" not in answer.body
    assert hub.events() == []
