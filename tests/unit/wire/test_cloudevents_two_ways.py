"""The quick way of decoding and the careful one must say the same of every event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.wire import cloudevents
from touchline.wire.cloudevents import Envelope

texts = st.one_of(
    st.sampled_from(
        ["", "a", "/venue/12", "a b", "a\x00b", "ü", "x" * 199, "x" * 300, "x" * 3000, "\ufffe", "a\x7f", "<a>"]
    ),
    st.text(max_size=8),
)
times = st.one_of(
    st.sampled_from(
        [
            "2026-11-20T19:00:00Z",
            "2026-11-20T19:00:00.5Z",
            "9999-01-01T00:00:00Z",
            "1500-01-01T00:00:00.1Z",
            "2026-11-20",
        ]
    ),
    st.text(max_size=8),
    st.none(),
)
events = st.fixed_dictionaries(
    {"specversion": st.sampled_from(["1.0", "1.0", "1.0", "0.3"])},
    optional={
        "id": texts,
        "source": texts,
        "type": st.one_of(st.just("shottracker.shot"), texts),
        "subject": texts,
        "data": st.one_of(st.just({}), st.integers(), st.none()),
        "time": times,
        "datacontenttype": st.sampled_from(["application/json", "text/plain", None]),
    },
)
attributes = st.dictionaries(
    st.one_of(
        st.sampled_from(
            ["op", "partner", "b", "A", "a-b", "a" * 65, "dataschema", "data_base64", "position", "lane", "seq"]
        ),
        st.text(max_size=4),
    ),
    st.one_of(
        texts,
        st.just("x" * 5000),
        st.booleans(),
        st.none(),
        st.integers(-(2**40), 2**40),
        st.floats(allow_nan=False),
        st.just([1]),
    ),
    max_size=4,
)
complete = {"specversion": "1.0", "id": "i", "source": "/s", "type": "f.t", "subject": "s", "data": {}}


@given(events)
def test_both_ways_agree(event: dict[str, Any]) -> None:
    _agree(event)


@given(st.sampled_from(sorted(complete)), texts)
def test_both_ways_agree_on_one_odd_attribute(name: str, value: str) -> None:
    _agree(complete | {name: value})


@given(attributes)
def test_both_ways_agree_on_extensions_and_on_what_a_hub_adds(attributes: dict[str, Any]) -> None:
    _agree(attributes | complete)
    _agree(complete | attributes)


@given(times)
def test_both_ways_agree_on_times(time: str | None) -> None:
    _agree(complete | {"time": time})


def _agree(event: dict[str, Any]) -> None:
    body = json.dumps(event).encode("utf-8", "surrogatepass")
    quick, careful = cloudevents.decode(body), cloudevents._decode_carefully(body)
    assert isinstance(quick, Envelope) == isinstance(careful, Envelope)
    assert quick == careful
    if isinstance(quick, Envelope) and isinstance(careful, Envelope):
        assert list(quick.extensions.items()) == list(careful.extensions.items())


def test_usual_events_take_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def careful(body: bytes) -> Envelope:
        raise AssertionError(f"{body!r} was looked at closely")

    monkeypatch.setattr(cloudevents, "_decode_carefully", careful)
    added = {"position": "e-1", "lane": "event", "appendedat": "2026-11-20T19:00:00.000Z", "seq": 1}
    for more in ({}, {"time": "2026-11-20T19:00:00.123Z"}, {"op": "c", "partner": "p1"}, added):
        assert isinstance(cloudevents.decode(json.dumps(complete | more).encode()), Envelope)


@pytest.mark.parametrize(
    "time", ["9999-01-01T00:00:00Z", "2262-04-12T00:00:00.1Z", "1677-09-21T00:00:00Z", "0001-01-01T00:00:00Z"]
)
def test_times_whose_nanoseconds_do_not_fit_are_refused(time: str) -> None:
    (problem,) = cloudevents.decode(json.dumps(complete | {"time": time}).encode())  # type: ignore[misc]
    assert problem[0] == "time"


@pytest.mark.parametrize("time", ["2262-04-11T23:47:16.854775807Z", "1677-09-21T00:12:43.145224192Z"])
def test_the_first_and_the_last_time(time: str) -> None:
    found = cloudevents.decode(json.dumps(complete | {"time": time}).encode())
    assert isinstance(found, Envelope)
    assert found.occurred_at in (2**63 - 1, -(2**63))
