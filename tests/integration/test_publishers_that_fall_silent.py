"""Readers of the native feed learn that a publisher has fallen silent, and that it is back; so does doctor."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from touchline.cli.root import run
from touchline.errors import LogUnavailable
from touchline.server.publishers import Publishers
from touchline.testing.clock import FakeClock
from touchline.wire import cloudevents

from .hubs import Hub, cloud_event
from .websockets import Client

MakeHub = Callable[..., Hub]


def silent_hub(make_hub: MakeHub, clock: FakeClock, seconds: int) -> Hub:
    """A hub whose publishers have that long until they are silent, and whose own seconds bring nothing about: they are
    real ones and would come in between. ``second`` is what brings it about.
    """
    hub = make_hub(clock, publisher_stale_seconds=seconds)

    async def nothing() -> None:
        return

    hub.on_loop(lambda: setattr(hub.running.hub.publishers, "tick", nothing))
    return hub


def second(hub: Hub) -> None:
    """What a hub does once a second."""
    hub.wait(Publishers.tick(hub.running.hub.publishers))


def told(hub: Hub) -> list[tuple[str, str]]:
    return [(one["type"], one["subject"]) for one in hub.events("feed=hub")]


def test_stale_once_and_alive_once(make_hub: MakeHub, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    clock = FakeClock()
    hub = silent_hub(make_hub, clock, 60)
    key = hub.admin("POST", "/hub/v1/keys", {"name": "venue-12", "role": "publisher"}).json["key"]
    granted = hub.partner("desk", grants={"feed": ["hub"]})["key"]
    with (
        Client(hub, "/hub/v1/ws", key=granted) as client,
        Client(hub, "/hub/v1/ws", key=hub.partner("b")["key"]) as other,
    ):
        hub.publish_all([cloud_event()], key=key)
        hub.publish_all([cloud_event()])
        clock.advance(59)
        hub.publish_all([cloud_event()])  # by another publisher, who goes on
        second(hub)
        assert told(hub) == []
        clock.advance(2)
        for _ in range(3):
            second(hub)
        assert told(hub) == [("hub.publisher.stale", "venue-12")]
        event = client.event()
        assert (event["type"], event["source"], event["data"]["publisher"]) == (
            "hub.publisher.stale",
            "/hub",
            "venue-12",
        )
        assert event["data"]["last_published_at"] < event["data"]["at"] == event["time"]
        assert "touchline_publishers_silent 1.0\n" in hub.get("/metrics").body.decode()
        run(["doctor", "--url", hub.url, "--key", hub.admin_key, "--json"])
        checks = json.loads(capsysbinary.readouterr().out)["checks"]
        [check] = [one for one in checks if one["name"] == "publishers"]
        assert (check["status"], check["detail"]) == ("warn", "these publish no more: venue-12")
        last = cloud_event()
        hub.publish_all([last], key=key)
        second(hub)
        second(hub)
        assert told(hub) == [("hub.publisher.stale", "venue-12"), ("hub.publisher.alive", "venue-12")]
        assert client.event()["type"] == "hub.publisher.alive"
        seen = [other.event() for _ in range(4)]
        assert seen[-1]["id"] == last["id"], "who is not granted the hub's own events sees none of them"
        assert {one["type"] for one in seen} == {"shottracker.marker"}


def test_what_cannot_be_told_now_is_told_later(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    hub = silent_hub(make_hub, clock, 60)
    hub.publish_all([cloud_event()])
    clock.advance(61)

    async def refuse(events: Any) -> None:
        raise LogUnavailable("no room")

    with monkeypatch.context() as patched:
        patched.setattr(hub.running.hub.publishers, "_append", refuse)
        second(hub)
        assert hub.running.hub.publishers.silent == []
    second(hub)
    assert told(hub) == [("hub.publisher.stale", "publisher.key")]


def test_nobody_is_told_of_when_it_is_turned_off(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = silent_hub(make_hub, clock, 0)
    hub.publish_all([cloud_event()])
    clock.advance(10**6)
    second(hub)
    assert told(hub) == []


def test_nobody_waits_for_what_an_admin_publishes_by_hand(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = silent_hub(make_hub, clock, 60)
    hub.publish_all([cloud_event()], key=hub.admin_key)
    clock.advance(61)
    second(hub)
    assert told(hub) == []


def test_nothing_is_awaited_of_a_revoked_key(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = silent_hub(make_hub, clock, 60)
    told_of = hub.admin("POST", "/hub/v1/keys", {"name": "venue-12", "role": "publisher"}).json
    untold = hub.admin("POST", "/hub/v1/keys", {"name": "venue-13", "role": "publisher"}).json
    hub.publish_all([cloud_event()], key=told_of["key"])
    clock.advance(30)
    hub.publish_all([cloud_event()], key=untold["key"])
    clock.advance(31)
    second(hub)
    assert hub.running.hub.publishers.silent == ["venue-12"]
    for key in (told_of, untold):
        assert hub.admin("DELETE", f"/hub/v1/keys/{key['id']}").status == 204
    clock.advance(31)
    second(hub)
    assert hub.running.hub.publishers.silent == []
    assert told(hub) == [("hub.publisher.stale", "venue-12")]


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 5000])
def test_who_has_no_proper_name_is_called_by_its_id(make_hub: MakeHub, name: str) -> None:
    """What the hub says of it has to be an event that its own receivers take."""
    clock = FakeClock()
    hub = silent_hub(make_hub, clock, 60)
    keys = [hub.admin("POST", "/hub/v1/keys", {"role": "publisher", "name": name}).json]
    if not name:
        keys.append(hub.admin("POST", "/hub/v1/keys", {"role": "publisher"}).json)
    for key in keys:
        hub.publish_all([cloud_event()], key=key["key"])
    clock.advance(61)
    second(hub)
    assert hub.running.hub.publishers.silent == sorted(key["id"] for key in keys)
    for event in hub.events("feed=hub"):
        assert isinstance(cloudevents.decode(json.dumps(event).encode()), cloudevents.Envelope)


def test_who_publishes_only_what_is_refused_is_silent(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = silent_hub(make_hub, clock, 60)
    event = cloud_event()
    hub.publish_all([event])
    clock.advance(61)
    answer = hub.publish(json.dumps({**event, "data": {"type": "CLOCK_STOP"}}).encode())
    assert answer.status == 409, answer
    second(hub)
    assert told(hub) == [("hub.publisher.stale", "publisher.key")]


def test_who_cannot_publish_because_the_log_fails_is_not_silent(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    hub = silent_hub(make_hub, clock, 60)
    hub.publish_all([cloud_event()])
    clock.advance(61)

    async def refuse(events: Any, **more: Any) -> None:
        raise LogUnavailable("no room")

    with monkeypatch.context() as patched:
        patched.setattr(hub.running.hub.event_log, "append", refuse)
        assert hub.publish(json.dumps(cloud_event()).encode()).status == 503
    second(hub)
    assert told(hub) == []


def test_those_who_fall_silent_together_are_told_together(make_hub: MakeHub) -> None:
    """Also when one of them publishes while that is written."""
    clock = FakeClock()
    hub = silent_hub(make_hub, clock, 60)
    keys = [hub.admin("POST", "/hub/v1/keys", {"name": name, "role": "publisher"}).json["key"] for name in "ab"]
    for key in keys:
        hub.publish_all([cloud_event()], key=key)
    clock.advance(61)
    hub.publish_all([cloud_event()], key=keys[0])
    second(hub)
    assert told(hub) == [("hub.publisher.stale", "b")]
    clock.advance(61)
    hub.publish_all([cloud_event()], key=keys[1])
    second(hub)
    assert told(hub)[1:] == [("hub.publisher.stale", "a"), ("hub.publisher.alive", "b")]
