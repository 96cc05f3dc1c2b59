"""An admin sees whose sessions are behind and how far, and the log says whose were ended and why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from touchline.cli import findings
from touchline.feeds.base import EndReason

from .hubs import Hub, cloud_event
from .webhook_worlds import wait_for
from .websockets import Client

MakeHub = Callable[..., Hub]


def furthest(hub: Hub) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = hub.admin("GET", "/hub/v1/status").json["sessions_lag"]["furthest"]
    return found


def flooded(hub: Hub) -> list[dict[str, Any]]:
    hub.publish_all([cloud_event("hisports.unknown", "g", {"pad": "x" * 20_000}) for _ in range(50)])
    return furthest(hub)


def ends(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, Any, Any, int]]:
    """Feed, partner, reason and level of the sessions that the hub told of."""
    return [
        (vars(line)["feed"], vars(line)["partner"], vars(line)["reason"], line.levelno)
        for line in caplog.records
        if line.getMessage() == "a session is ended"
    ]


def test_a_session_that_does_not_read(make_hub: MakeHub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hub = make_hub(session_backlog_bytes=65536, stall_seconds=3.0)
    key = hub.partner("acme")["key"]
    with Client(hub, "/hub/v1/ws?feed=hisports", key=key, receive_buffer=8192):
        hub.until(lambda: len(hub.running.hub.fanout.readers) == 1, "the session")
        seen: list[dict[str, Any]] = []

        def is_slow() -> bool:
            seen[:] = flooded(hub)
            return any(one["blocked_seconds"] for one in seen)

        wait_for(is_slow, "the session to be slow")
        [one] = seen
        assert (one["feed"], one["partner"], one["transport"]) == ("hub", "acme", "websocket")
        assert one["records"] > 0
        assert one["backlog_bytes"] > 0
        assert "acme" not in hub.get("/metrics").body.decode()
        assert set(findings.SlowSession.__struct_fields__) <= one.keys()
        wait_for(lambda: bool(ends(caplog)), "the session to be ended")
    assert ends(caplog) == [("hub", "acme", EndReason.STALLED.value, logging.INFO)]
    wait_for(lambda: not furthest(hub), "the session to be gone")


def test_a_session_whose_partner_goes(make_hub: MakeHub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hub = make_hub()
    key = hub.partner("acme")["key"]
    with Client(hub, "/hub/v1/ws", key=key) as client:
        hub.until(lambda: len(hub.running.hub.fanout.readers) == 1, "the session")
        hub.admin("DELETE", "/hub/v1/partners/acme")
        assert client.closed() is not None
    assert ends(caplog) == [("hub", "acme", EndReason.REVOKED.value, logging.INFO)]


def test_sessions_that_the_hubs_end_ends_are_not_told_of_one_by_one(
    make_hub: MakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hub = make_hub()
    with Client(hub, "/hub/v1/ws", key=hub.admin_key) as client:
        hub.until(lambda: len(hub.running.hub.fanout.readers) == 1, "the session")
        hub.stop()
        assert client.closed() is not None
    assert ends(caplog) == []
