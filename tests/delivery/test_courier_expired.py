"""What retention removed before an endpoint had it counts once, whichever lanes pass over it and in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from touchline.delivery.courier.line import Span
from touchline.delivery.courier.reading import with_span


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted), max_size=12))
def test_each_offset_counts_once(passed: list[list[int]]) -> None:
    spans: list[Span] = []
    counted: set[int] = set()
    for after, through in passed:
        offsets = set(range(after + 1, through + 1))
        new, spans = with_span(spans, after, through)
        assert new == len(offsets - counted)
        counted |= offsets
        assert {one for begin, end in spans for one in range(begin + 1, end + 1)} == counted
        assert sum(end - begin for begin, end in spans) == len(counted), "they lie apart"
