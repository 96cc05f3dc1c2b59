"""One endpoint for each way to misbehave, on one hub: who answers well in the end has everything, who does not keeps it
owed, nobody else notices, and the hub stays small.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from receivers import Receiver

from .hockey import numbers, sheet
from .hubs import LOOPBACK, Hub, wait_for
from .receivers import Reception

GAMES = (1, 2, 3)
LAST = 12
GOOD = (
    "ok", "status/204", "delay/20", "endless", "endless/201", "bomb", "interim/3", "until-close", "close-idle",
    "swallow",
)  # fmt: skip
"""Odd, but each request is answered with a 2xx: that counts, whatever comes after it."""
BAD = (
    "never", "drip", "drip-head", "garbage", "endless-head", "flood", "reset", "reset-head", "reset-body", "short",
    "silent-close", "switch", "status/500", "status/404", "status/302", "redirect/307?to={trap}",
    "redirect/301?to={trap}",
)  # fmt: skip
GROWTH_BYTES = 150 * 1024 * 1024


def most_memory(hub: Hub) -> int:
    """The most that the hub's process ever had resident; 0 where the system does not say."""
    status = Path(f"/proc/{hub.pid}/status")
    if not status.is_file():
        return 0
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def test_every_way_to_misbehave_at_once(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(*LOOPBACK)
    hub.add_partner("league", "hisports")
    with Reception() as reception, Receiver() as receiver:
        places = [place.format(trap=reception.url("trap")) for place in (*GOOD, *BAD)]
        options = {"timeout_seconds": "1", "connect_seconds": "1"}
        odd = [
            hub.add_endpoint("league", receiver.url(place), "hisports", "*", label=place[:40], options=options)
            for place in places
        ]
        hub.add_endpoint("league", reception.url("healthy"), "hisports", "*")
        before = most_memory(hub)
        hub.publish(*(sheet(game, number) for number in range(1, LAST + 1) for game in GAMES))
        got = reception.reached("healthy", 3 * LAST)
        assert [numbers(got, game) for game in GAMES] == [list(range(1, LAST + 1))] * 3

        for place, endpoint in zip(places, odd, strict=True):
            if place in GOOD:
                wait_for(
                    lambda one=endpoint: hub.endpoint_report(one.id)["delivered"] >= 3 * LAST,  # type: ignore[misc]
                    f"{place} has everything",
                    30,
                )
            else:
                wait_for(
                    lambda one=endpoint: hub.endpoint_report(one.id)["state"] == "failing",  # type: ignore[misc]
                    f"{place} is known to fail",
                    30,
                )
        for place, endpoint in zip(places, odd, strict=True):
            report = hub.endpoint_report(endpoint.id)
            owed = 0 if place in GOOD else 3 * LAST
            assert (report["backlog"], report["dead_letters"]) == (owed, 0), (place, report)
            assert bool(report["last_error"]) or place in GOOD, (place, report)
        assert reception.at("trap") == []
        assert most_memory(hub) - before < GROWTH_BYTES
        hub.publish(*(sheet(game, LAST + 1) for game in GAMES))
        assert len(reception.reached("healthy", 3 * LAST + 3)) == 3 * LAST + 3
