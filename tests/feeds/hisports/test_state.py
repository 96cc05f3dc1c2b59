"""The fold: the newest game, the newest scoresheet, whatever order and however often they come."""

from __future__ import annotations

import json

import pytest

from touchline.feeds.hisports import FEED
from touchline.feeds.hisports.state import GameState
from touchline.testing.memory import MemoryHub

from .worlds import CREATE, GAME, SHEET, UPDATE, data, game, growing, new_hub, sheet

FOLD = FEED.snapshot
assert FOLD is not None


def folded(hub: MemoryHub) -> GameState:
    state = hub.fold(GAME)
    assert isinstance(state, GameState)
    return state


def view(hub: MemoryHub) -> dict[str, object]:
    found: dict[str, object] = json.loads(FOLD.view(folded(hub)))
    return found


def test_it_keeps_the_newest_of_both() -> None:
    hub = new_hub()
    hub.publish(*growing()[0])
    assert view(hub) == {"game": game(isApproved=False), "scoresheet": None}
    for event in growing()[1:]:
        hub.publish(*event)
    assert view(hub) == {"game": game(), "scoresheet": sheet()}


def test_bytes_are_kept_as_published() -> None:
    hub = new_hub()
    hub.publish(
        SHEET, GAME, b' { "scoresheet" : { "big": 9007199254740993, "x":1.50 } , "game":{"id" : 4100, "a":2e0} }'
    )
    assert (
        FOLD.view(folded(hub)) == b'{"game":{"id" : 4100, "a":2e0},"scoresheet":{ "big": 9007199254740993, "x":1.50 }}'
    )


@pytest.mark.parametrize("number", range(len(growing())))
def test_a_message_that_comes_twice_or_late_is_put_right_by_the_next(number: int) -> None:
    hub = new_hub()
    story = growing()
    for event in [*story[: number + 1], story[number], *story[number + 1 :]]:
        hub.publish(*event)  # at once again
    assert view(hub) == {"game": game(), "scoresheet": sheet()}
    hub.publish(*story[number])  # again at the very end: the last arrival is the state
    hub.publish(*story[-2])
    hub.publish(*story[-1])
    assert view(hub) == {"game": game(), "scoresheet": sheet()}


def test_a_goal_taken_back_is_gone() -> None:
    hub = new_hub()
    hub.publish(SHEET, GAME, data(game=game(), scoresheet=sheet()))
    hub.publish(SHEET, GAME, data(game=game(), scoresheet=sheet(goals=sheet()["goals"][:-1])))
    state = json.loads(FOLD.view(folded(hub)))
    assert len(state["scoresheet"]["goals"]) == 8


def test_a_game_of_nothing_but_its_id_replaces_nothing() -> None:
    hub = new_hub()
    hub.publish(CREATE, GAME, data(game=game()))
    hub.publish(SHEET, GAME, data(game={"id": 4100}, scoresheet=sheet()))
    assert view(hub) == {"game": game(), "scoresheet": sheet()}


def test_null_replaces_nothing() -> None:
    hub = new_hub()
    hub.publish(SHEET, GAME, data(game=game(), scoresheet=sheet()))
    hub.publish(UPDATE, GAME, data(game=game(), scoresheet=None))
    hub.publish(SHEET, GAME, data(game=None, scoresheet=sheet()))
    assert view(hub) == {"game": game(), "scoresheet": sheet()}


def test_it_is_over_once_approved() -> None:
    hub = new_hub()
    hub.publish(CREATE, GAME, data(game=game(isApproved=False)))
    assert not FOLD.is_over(folded(hub))
    hub.publish(SHEET, GAME, data(scoresheet=sheet(status="ended")))
    assert not FOLD.is_over(folded(hub))
    hub.publish(SHEET, GAME, data(scoresheet=sheet()))
    assert FOLD.is_over(folded(hub))
    hub.publish(SHEET, GAME, data(scoresheet=sheet(status="started")))
    assert not FOLD.is_over(folded(hub))
    hub.publish(UPDATE, GAME, data(game=game(isApproved=True)))
    assert FOLD.is_over(folded(hub))
