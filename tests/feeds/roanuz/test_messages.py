"""What publishers may append: every sample of the seed, and what is refused with which words."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest

from touchline.feeds.intake import Intake
from touchline.feeds.roanuz import FEED
from touchline.model import Event
from touchline.wire.cloudevents import Envelope

from . import worlds
from .worlds import MATCH, ball, payload, push, scenario

INTAKE = Intake({"roanuz": FEED})


def take(event_type: str, subject: str, data: bytes) -> Event | tuple[str, str]:
    return INTAKE.event(Envelope("1", "/test", event_type, subject, data), 5)


def changed(name: str, change: Any, **parts: bytes) -> tuple[str, str, bytes]:
    """A sample with something else in it."""
    event_type, subject, data = scenario(name, **parts)
    whole = msgspec.json.decode(data)
    change(whole)
    return event_type, subject, msgspec.json.encode(whole)


def test_every_payload_names_its_source() -> None:
    sources = tomllib.loads((worlds.PAYLOADS / "SOURCES.toml").read_text())
    assert sources.keys() == {path.name for path in worlds.PAYLOADS.glob("*.json")}


@pytest.mark.parametrize("name", worlds.SCENARIOS)
def test_every_sample_of_the_seed_is_taken_as_it_is(name: str) -> None:
    event_type, subject, data = scenario(name)
    event = take(event_type, subject, data)
    assert isinstance(event, Event)
    assert (event.type, event.subject, event.data) == (event_type, subject, data)


def test_the_seed_itself_holds_these_samples() -> None:
    seed = worlds.ROOT.parent / "shared" / "seeds" / "004_3d85648ec29a912b.txt"
    if not seed.exists():
        pytest.skip("the provider's document is not at hand")
    text = seed.read_text()
    for name in worlds.SCENARIOS:
        assert payload(name).decode() in text


def set_at(path: str, value: Any) -> Any:
    """A change: put the value there, or take the member out for ``...``."""

    def change(whole: Any) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            whole = whole[parent]
        if value is ...:
            del whole[last]
        else:
            whole[last] = value

    return change


PUSHED = "notification.data"


@pytest.mark.parametrize(
    ("name", "path", "value", "field"),
    [
        ("toss", "notification", ..., "data"),
        ("toss", "notification", None, "data.notification"),
        ("toss", PUSHED, ..., "data.notification"),
        ("toss", f"{PUSHED}.matchkey", ..., "data.notification.data"),
        ("toss", f"{PUSHED}.matchkey", 5, "data.notification.data.matchkey"),
        ("toss", f"{PUSHED}.matchkey", "other", "data.notification.data.matchkey"),
        ("toss", f"{PUSHED}.match_push_kind", "Play", "data.notification.data.match_push_kind"),
        ("toss", f"{PUSHED}.ts", "now", "data.notification.data.ts"),
        ("toss", f"{PUSHED}.ball", 7, "data.notification.data.ball"),
        ("ball_new", f"{PUSHED}.ball", None, "data.notification.data.ball"),
        ("ball_new", f"{PUSHED}.ball.ball_key", "1049280", "data.notification.data.ball.ball_key"),
        ("ball_new", f"{PUSHED}.ball.ball_key", -1, "data.notification.data.ball.ball_key"),
        ("ball_new", f"{PUSHED}.ball.ball_key", ..., "data.notification.data.ball"),
        ("ball_new", f"{PUSHED}.ball.over", 2**70, "data.notification.data.ball.over"),
        ("ball_new", f"{PUSHED}.ball.batting_order", 0, "data.notification.data.ball.batting_order"),
        ("ball_new", f"{PUSHED}.ball.is_delete", "no", "data.notification.data.ball.is_delete"),
        ("ball_new", "ball", {"key": "1"}, "data.ball.key"),
        ("ball_new", "ball", {"overs": "1.3"}, "data.ball.overs"),
        ("ball_new", "ball", {"team_score": {"runs": "4"}}, "data.ball.team_score.runs"),
        ("toss", "ball", {"key": "1"}, "data.ball"),
        ("toss", "match", {"key": "other"}, "data.match.key"),
        ("toss", "match", {"status": 1}, "data.match.status"),
        ("toss", "match", [], "data.match"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(name: str, path: str, value: Any, field: str) -> None:
    refused = take(*changed(name, set_at(path, value)))
    assert not isinstance(refused, Event)
    assert refused[0] == field
    assert refused[1]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("notification.data_kind", "match-related-update"),
        ("notification.data_kind", ...),
        ("notification.sport", "something new"),
        (f"{PUSHED}.push_reason", "SomethingNew"),
        (f"{PUSHED}.match_push_kind", "BALL"),
        (f"{PUSHED}.match_push_kind", ...),
        (f"{PUSHED}.ts", 1.5),
        (f"{PUSHED}.ts", ...),
        (f"{PUSHED}.ball.is_delete", ...),
        ("ball", None),
        ("match", None),
        ("ball", {"key": 1049280, "ball_type": "something_new", "wicket": {"wicket_type": "new"}}),
        ("match", {}),
    ],
)
def test_what_is_only_new_or_left_out_is_taken(path: str, value: Any) -> None:
    assert isinstance(take(*changed("ball_new", set_at(path, value))), Event)


def test_the_announcement_names_its_match() -> None:
    whole = b'{"match":%b}' % payload("synthetic_match")
    event = take("roanuz.match", MATCH, whole)
    assert isinstance(event, Event)
    assert event.document
    assert take("roanuz.match", "other", whole) == ("data.match.key", "'matchkey' is not the subject 'other'")
    assert take("roanuz.match", "", b'{"match":{}}')[0] == "subject"  # type: ignore[index]
    assert take("roanuz.match", MATCH, b"{}")[0] == "data"  # type: ignore[index]
    assert isinstance(take("roanuz.match", MATCH, b'{"match":{}}'), Event)
    assert take("roanuz.toss", " ", push("Toss", subject=" ")[2])[0] == "subject"  # type: ignore[index]


def test_an_unknown_kind_is_kept() -> None:
    event = take("roanuz.something", MATCH, b"[1]")
    assert isinstance(event, Event)
    assert event.data == b"[1]"


def test_numbers_leave_as_they_came() -> None:
    event_type, subject, data = ball(0, 1)
    odd = data.replace(b'"ts":1733148600', b'"ts":1733148600,"big":9007199254740993,"float":1.10')
    event = take(event_type, subject, odd)
    assert isinstance(event, Event)
    assert event.data == odd
