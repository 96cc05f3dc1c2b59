"""The opaque position token."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.errors import RemoteProtocolError
from touchline.model import MAX_OFFSET, Position
from touchline.wire import position

epochs = st.text(alphabet="0123456789abcdefghijklmnopqrstuvwxyz", min_size=8, max_size=32)


@given(epochs, st.integers(0, MAX_OFFSET))
def test_there_and_back(epoch: str, offset: int) -> None:
    token = position.encode(Position(epoch, offset))
    assert position.decode(token) == Position(epoch, offset)
    assert re.fullmatch(r"[0-9a-z-]+", token), "it goes into URLs as it is"


def test_tokens() -> None:
    assert position.encode(Position("abcdefgh", 0)) == "abcdefgh-0"
    assert position.encode(Position("abcdefgh", MAX_OFFSET)) == "abcdefgh-2gosa7pa2gv"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "-",
        "5",
        "abcdefgh",
        "abcdefgh-",
        "abcdefg-1",
        "abcdefgh--1",
        "ABCDEFGH-1",
        "abcdefgh-A",
        "abcdefgh-1 ",
        "abcdefgh-1\n",
        "abcdefgh-١",
        "abcdefgh-2gosa7pa2gw",
        "abcdefgh-zzzzzzzzzzz",
        "abcdefgh-" + "0" * 12,
        "a" * 33 + "-1",
    ],
)
def test_what_is_none(token: str) -> None:
    with pytest.raises(RemoteProtocolError):
        position.decode(token)


@given(st.text(max_size=60))
def test_anything_else_is_a_protocol_error(token: str) -> None:
    try:
        found = position.decode(token)
    except RemoteProtocolError:
        return
    assert position.decode(position.encode(found)) == found
