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
complete = {"specversion": "1.0", "id": "i", "source": "/s", "type": "f.t", "subject": "s", "data": {}}


@given(events)
def test_both_ways_agree(event: dict[str, Any]) -> None:
    _agree(event)


@given(st.sampled_from(sorted(complete)), texts)
def test_both_ways_agree_on_one_odd_attribute(name: str, value: str) -> None:
    _agree(complete | {name: value})


@given(times)
def test_both_ways_agree_on_times(time: str | None) -> None:
    _agree(complete | {"time": time})


def _agree(event: dict[str, Any]) -> None:
    body = json.dumps(event).encode("utf-8", "surrogatepass")
    quick, careful = cloudevents.decode(body), cloudevents._decode_carefully(body)
    assert isinstance(quick, Envelope) == isinstance(careful, Envelope)
    if isinstance(quick, Envelope):
        assert quick == careful


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
