"""The native consumer role without a socket."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.client.hub_stream import HubStream, Settings, connect
from touchline.errors import ConfigError
from touchline.feeds.base import Instant, Message, Notice, Open


def instant(seconds: float) -> Instant:
    return Instant(int(seconds * 1e9), seconds)


def begin(**settings: str) -> HubStream:
    return connect(Settings(**{"url": "http://hub.test", "key": "K"} | settings), random.Random(1), instant(0))  # type: ignore[arg-type]


def kinds(role: HubStream) -> list[str]:
    return [wish.kind if isinstance(wish, Notice) else type(wish).__name__ for wish in role.events_received()]


def test_the_key_goes_in_a_header_and_never_in_the_query() -> None:
    (wish,) = begin(url="https://hub.test/east", after="abcdefgh-5").events_received()
    assert wish == Open(
        "wss://hub.test/east/hub/v1/ws?after=abcdefgh-5", (("authorization", "Bearer K"),), ("cloudevents.json",)
    )


def test_a_break_before_the_first_event_is_a_gap() -> None:
    role = begin()
    role.opened(instant(0))
    role.closed(None, "", instant(1))
    role.tick(instant(100))
    role.opened(instant(100))
    assert kinds(role) == ["Open", "connected", "reconnecting", "Open", "connected", "gap"]


@pytest.mark.parametrize(("code", "kind"), [(1000, "finished"), (1008, "refused")])
def test_ends(code: int, kind: str) -> None:
    role = begin()
    role.opened(instant(0))
    role.closed(code, "", instant(1))
    assert kinds(role)[-1] == kind
    assert role.close_reason
    assert role.deadline() is None


@pytest.mark.parametrize(("status", "ends"), [(400, True), (401, True), (404, True), (429, False), (503, False)])
def test_refusals(status: int, ends: bool) -> None:
    role = begin()
    role.closed(None, "why", instant(1), status=status)
    assert (role.close_reason is not None) is ends


def test_a_gap_that_names_no_place_goes_on_from_now() -> None:
    role = begin(after="abcdefgh-5")
    role.opened(instant(0))
    role.receive_data('{"type":"hub.gap","data":[]}', instant(0))
    role.closed(4410, "gap", instant(0))
    role.tick(instant(100))
    wishes = role.events_received()
    assert isinstance(wishes[-1], Open)
    assert wishes[-1].url == "ws://hub.test/hub/v1/ws"


@given(st.binary(max_size=100) | st.sampled_from([b'{"type":7}', b"[" * 9999, b'{"type":"a","position":1}']))
def test_garbage_is_told(raw: bytes) -> None:
    role = begin()
    role.opened(instant(0))
    role.receive_data(raw, instant(0))
    assert kinds(role)[-1] == "protocol_error"
    role.receive_data('{"type":"t","position":"abcdefgh-1","data":{}}', instant(0))
    (message,) = role.events_received()
    assert isinstance(message, Message)
    assert role.position == message.resume == "abcdefgh-1"


def test_settings_keep_their_key() -> None:
    assert "hush" not in repr(Settings(key="hush"))
    with pytest.raises(ConfigError):
        begin(url="hub.test")
