"""The fold of a topic: bounded, newest first, found by every id that names a subject."""

from __future__ import annotations

import msgspec
import pytest

from touchline.feeds.insights.messages import Insight
from touchline.feeds.insights.state import MAX_BYTES, MAX_INSIGHTS, InsightsFold, TopicState, about

from . import worlds

FOLD = InsightsFold()


def folded(*insights: bytes) -> TopicState:
    hub = worlds.new_hub()
    state = FOLD.initial(worlds.TOPIC)
    for data in insights:
        FOLD.apply(state, hub.publish(worlds.KIND, worlds.TOPIC, data))
    return state


def test_the_newest_are_kept() -> None:
    state = folded(*(b'{"id":"i%d"}' % number for number in range(MAX_INSIGHTS + 7)))
    kept = list(state.newest_first())
    assert len(kept) == MAX_INSIGHTS
    assert (kept[0].id, kept[-1].id) == (f"i{MAX_INSIGHTS + 6}", "i7")
    assert state.size == sum(len(one.data) for one in kept)


def test_no_more_bytes_than_the_bound_are_kept() -> None:
    big = MAX_BYTES // 3
    state = folded(*(b'{"id":"i%d","content":"%b"}' % (number, b"x" * big) for number in range(5)))
    assert [one.id for one in state.newest_first()] == ["i4", "i3"]
    assert state.size <= MAX_BYTES
    # One alone that is larger is kept: it was pushed, so REST has it.
    assert [one.id for one in folded(b'{"id":"a"}', b'{"id":"b","c":"%b"}' % (b"x" * MAX_BYTES)).newest_first()] == [
        "b"
    ]


def test_an_insight_that_comes_again_takes_the_place_of_the_first() -> None:
    state = folded(b'{"id":"a","n":1}', b'{"id":"b"}', b'{"id":"a","n":2}')
    assert [one.data for one in state.newest_first()] == [b'{"id":"a","n":2}', b'{"id":"b"}']
    assert len(folded(b"{}", b"{}").insights) == 2, "without an id nothing says that it is the same"
    assert len(folded(b'{"id":"/1"}', b"{}").insights) == 2


def test_a_checkpoint_is_the_state() -> None:
    state = folded(worlds.INSIGHT, b'{"id":"b"}')
    assert FOLD.decode(FOLD.encode(state)) == state
    assert msgspec.json.decode(FOLD.view(state))["insights"][1]["id"] == msgspec.json.decode(worlds.INSIGHT)["id"]
    assert (FOLD.is_over(state), FOLD.first_seq(state), FOLD.derive(state, worlds.NOW)) == (False, 1, ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{}", {}),
        (b'{"gameId":7,"event":{"gameId":7,"gameSrId":"sr:match:7"}}', {"game": ("7", "sr:match:7")}),
        (b'{"event":{"teamId":"t","participantId":"p"}}', {"team": ("t",), "player": ("p",)}),
        (b'{"subjects":[{"type":"Team","subjectUsId":"u","subjectSRId":"s"}]}', {"team": ("u", "s")}),
        (b'{"subjects":[{"subjectType":{"key":"PLAYER"},"subjectId":"p"}]}', {"player": ("p",)}),
        (b'{"subjects":[{"subjectId":"x"}]}', {"game": ("x",), "team": ("x",), "player": ("x",)}),
        (b'{"subjects":[],"event":null,"gameId":null}', {}),
    ],
)
def test_what_an_insight_is_about(text: bytes, expected: dict[str, tuple[str, ...]]) -> None:
    assert about(msgspec.json.decode(text, type=Insight)) == expected


def test_a_stored_record_that_cannot_be_read_is_passed_over() -> None:
    hub = worlds.new_hub()
    record = hub.publish(worlds.KIND, worlds.TOPIC, b'{"id":"a"}')
    state = FOLD.initial(worlds.TOPIC)
    for data in (b'{"subjects":7}', b"[]", b"x"):
        broken = msgspec.structs.replace(record, event=msgspec.structs.replace(record.event, data=data))
        FOLD.apply(state, broken)
    assert not state.insights
