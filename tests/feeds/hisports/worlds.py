"""Games, members and requests that the HiSports tests share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from touchline.feeds.base import EndpointView, Member
from touchline.feeds.hisports import FEED, http
from touchline.testing.memory import MemoryHub
from touchline.testing.roles import respond, upgrade_request
from touchline.wire.http import HttpRequest, HttpResponse

ROOT = Path(__file__).parents[3]
PAYLOADS = Path(__file__).parent / "payloads"
RECORDING = ROOT.parent / "shared" / "recordings" / "whl_game.ndjson"
HOST = "127.0.0.1:8080"
GAME = "4100"
KEY = "0123456789abcdef0123456789abcdef01234567"
OTHER_KEY = "f" * 40
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OLD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx"

CREATE, UPDATE, SHEET = "hisports.game.create", "hisports.game.update", "hisports.scoresheet.update"
CODEC = FEED.webhook
assert CODEC is not None


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_bytes())


def game(game_id: int | str = 4100, **changed: Any) -> dict[str, Any]:
    """The seed's game, changed; a member that is ``...`` is left out."""
    whole = payload("game") | {"id": game_id} | changed
    return {name: value for name, value in whole.items() if value is not ...}


def sheet(**changed: Any) -> dict[str, Any]:
    return payload("scoresheet") | changed


def data(**members: Any) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def growing() -> list[tuple[str, str, bytes]]:
    """The seed's game as it may have been published: created, then goal after goal, approved."""
    whole = sheet()
    goals = sorted(whole["goals"], key=lambda goal: goal["id"])
    story = [(CREATE, GAME, data(game=game(isApproved=False)))]
    for count in range(len(goals) + 1):
        state = whole | {"goals": goals[:count], "status": "started", "approvals": None, "penalties": []}
        story.append((SHEET, GAME, data(game=game(isApproved=False), scoresheet=state)))
    story.append((SHEET, GAME, data(game=game(isApproved=False), scoresheet=whole)))
    story.append((UPDATE, GAME, data(game=game())))
    return story


def member(partner: str = "league", key: str = KEY, **grants: str) -> Member:
    return Member(
        partner, "hisports", {name: frozenset(value.split("|")) for name, value in grants.items()}, {"api_key": key}
    )


def new_hub(*members: Member) -> MemoryHub:
    return MemoryHub(FEED, members or (member(),), f"http://{HOST}")


def told_hub(*members: Member) -> MemoryHub:
    hub = new_hub(*members)
    for event in growing():
        hub.publish(*event)
    return hub


def endpoint(*topics: str, secrets: tuple[str, ...] = (SECRET, OLD_SECRET), **options: str) -> EndpointView:
    return EndpointView("ep1", "league", secrets, topics or ("*",), "test", options)


def ask(path: str, key: str | None = KEY, **query: Any) -> HttpRequest:
    """A GET; values of the query that are no text go as JSON."""
    request = upgrade_request(f"http://{HOST}/api{path}")
    pairs = tuple((name, value if isinstance(value, str) else json.dumps(value)) for name, value in query.items())
    headers = (("host", HOST),) + (() if key is None else (("authorization", f"API-Key {key}"),))
    return HttpRequest(
        "GET", request.path, request.target_path, pairs, headers, address="192.0.2.1", hosts=(HOST,), scheme="http"
    )


def answer(hub: MemoryHub, request: HttpRequest) -> HttpResponse:
    return respond(http.operations(hub), request)


def get(hub: MemoryHub, path: str, key: str | None = KEY, **query: Any) -> Any:
    response = answer(hub, ask(path, key, **query))
    assert response.status == 200, response.body
    assert response.header("content-type") == "application/json"
    return json.loads(response.body)


def refused(hub: MemoryHub, path: str, key: str | None = KEY, **query: Any) -> tuple[int, str, str | None]:
    response = answer(hub, ask(path, key, **query))
    error = json.loads(response.body)["error"]
    assert error["statusCode"] == response.status
    assert error["name"] == "Error"
    return response.status, error["message"], error.get("code")
