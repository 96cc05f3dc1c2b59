"""LoopBack filters over rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.feeds.hisports.errors import Refused
from touchline.feeds.hisports.loopback import MAX_DEPTH, MAX_TERMS, read_filter, read_where

ROWS: list[dict[str, Any]] = [
    {"id": 1, "officeId": 8, "startTime": "2018-10-13T23:30:00.000Z", "status": "Active", "isApproved": True},
    {
        "id": 2,
        "officeId": "8",
        "startTime": "2018-10-14T00:30:00.000+02:00",
        "status": "Cancelled",
        "isApproved": False,
    },
    {"id": 3, "officeId": 9, "startTime": None, "status": "Active", "category": {"name": "AA"}},
    {"id": 4, "startTime": "tonight", "status": None},
]


def found(where: Any) -> list[int]:
    test = read_where(json.dumps(where))
    return [row["id"] for row in ROWS if test(row)]


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({}, [1, 2, 3, 4]),
        ({"id": 2}, [2]),
        ({"id": "2"}, [2]),
        ({"officeId": 8}, [1, 2]),
        ({"officeId": "8", "status": "Active"}, [1]),
        ({"status": None}, [4]),
        ({"nothing": None}, [1, 2, 3, 4]),
        ({"nothing": 1}, []),
        ({"isApproved": True}, [1]),
        ({"isApproved": False}, [2]),
        ({"category": "AA"}, []),
        ({"id": {"inq": [1, "3", 9]}}, [1, 3]),
        ({"id": {"inq": []}}, []),
        ({"id": {"nin": [1, "3", 9]}}, [2, 4]),
        ({"id": {"between": [2, 3]}}, [2, 3]),
        ({"startTime": {"between": ["2018-10-13T00:00:00.000Z", "2018-10-13T23:00:00.000Z"]}}, [2]),
        ({"startTime": {"between": ["2018-10-13", "2018-10-14"]}}, [1, 2]),
        ({"startTime": {"gte": "2018-10-13T23:30:00Z"}}, [1]),
        ({"startTime": {"lt": "2018-10-13T23:30:00Z"}}, [2]),
        ({"startTime": "2018-10-13T22:30:00Z"}, [2]),
        ({"id": {"gt": 1, "lte": 3}}, [2, 3]),
        ({"id": {"neq": 1}}, [2, 3, 4]),
        ({"and": [{"status": "Active"}, {"officeId": 9}]}, [3]),
        ({"or": [{"id": 1}, {"and": [{"id": 2}, {"status": "Cancelled"}]}]}, [1, 2]),
        ({"or": []}, []),
        ({"effectiveOffices": 9}, [3]),
        ({"effectiveOffices": [8, 9]}, [1, 2, 3]),
    ],
)
def test_where(where: Any, ids: list[int]) -> None:
    assert found(where) == ids


def test_order_limit_and_skip() -> None:
    def page(**parts: Any) -> list[int]:
        return [row["id"] for row in read_filter(json.dumps(parts)).select(ROWS)]

    assert page() == [1, 2, 3, 4]
    assert page(order="id DESC") == [4, 3, 2, 1]
    assert page(order=["status ASC", "id DESC"]) == [3, 1, 2, 4], "null comes last, as in Postgres"
    assert page(order="startTime") == [2, 1, 4, 3]
    assert page(limit=2, skip=1) == [2, 3]
    assert page(limit=2, offset=3) == [4]
    assert page(skip=9) == []
    assert page(include=["arena", {"awayTeam": ["category"]}, {"relation": "office"}], scope="Tenant") == [1, 2, 3, 4]
    assert read_filter(None).limit == read_filter("").limit == 100


def nested(depth: int) -> Any:
    return {"id": 1} if depth == 0 else {"and": [nested(depth - 1)]}


@pytest.mark.parametrize(
    "parts",
    [
        {"where": []},
        {"where": 5},
        {"where": {"and": {}}},
        {"where": {"or": [5]}},
        {"where": {"id": {"like": "1%"}}},
        {"where": {"id": {"inq": 5}}},
        {"where": {"id": {"between": [1]}}},
        {"where": {"id": {"inq": [{}]}}},
        {"where": {"id": [1]}},
        {"where": {"homeTeam.name": "x"}},
        {"where": {"": 1}},
        {"where": nested(MAX_DEPTH + 1)},
        {"where": {"id": {"inq": list(range(MAX_TERMS + 1))}}},
        {"where": {"or": [{"id": number} for number in range(MAX_TERMS)]}},
        {"order": 5},
        {"order": "id UP"},
        {"order": ["id", 5]},
        {"order": ""},
        {"limit": 0},
        {"limit": -1},
        {"limit": 1001},
        {"limit": True},
        {"limit": 1.5},
        {"skip": -1},
        {"skip": "1"},
        {"include": 5},
        {"include": "passwords"},
        {"fields": {"id": True}},
    ],
)
def test_what_is_not_understood_is_refused(parts: Any) -> None:
    with pytest.raises(Refused) as caught:
        read_filter(json.dumps(parts))
    assert caught.value.status == 400


@pytest.mark.parametrize("text", ["{", "[]", "5", "null", '{"where":' + "[" * 100_000, "\ud800", '{"a":1e999}'])
def test_what_is_no_filter_at_all(text: str) -> None:
    with pytest.raises(Refused):
        read_filter(text)
    with pytest.raises(Refused):
        read_where(text)


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30)
CONDITIONS = st.recursive(
    st.dictionaries(
        st.sampled_from(["id", "startTime", "officeId", "status", "effectiveOffices", "category", "x y"]),
        VALUES
        | st.dictionaries(
            st.sampled_from(["inq", "nin", "between", "gt", "gte", "lt", "lte", "neq", "like"]),
            VALUES | st.lists(VALUES, max_size=3),
            max_size=2,
        ),
        max_size=3,
    ),
    lambda inner: st.dictionaries(st.sampled_from(["and", "or"]), st.lists(inner, max_size=3), max_size=2),
    max_leaves=6,
)
ORDERS = st.text(max_size=12) | st.lists(
    st.sampled_from(["id", "startTime DESC", "status ASC", "category"]), max_size=3
)


@given(st.fixed_dictionaries({}, optional={"where": CONDITIONS, "order": ORDERS, "limit": VALUES, "skip": VALUES}))
def test_a_filter_is_refused_or_answers(parts: dict[str, Any]) -> None:
    try:
        asked = read_filter(json.dumps(parts))
    except Refused:
        return
    assert all(row in ROWS for row in asked.select(ROWS))


@given(st.text(max_size=40))
def test_any_text_is_refused_or_answers(text: str) -> None:
    try:
        read_filter(text).select(ROWS)
    except Refused:
        return
