"""Partners that go, and a hub that is told to stop, while deliveries are under way."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

import pytest

from .hockey import numbers, sheet
from .hubs import LOOPBACK, Hub, native_headers, wait_for
from .receivers import Delivery, Reception, Reply, segments

LIMIT_SECONDS = 5.0
PACE_SECONDS = 0.02
GAMES = (1, 2, 3)
MOST_IN_FLIGHT = 32


class Season:
    """Publishes scoresheets all the time, of three games in turn, and knows what it has published."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.numbers = 0
        """of each game so many are published"""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def _run(self) -> None:
        for number in itertools.count(1):
            self._hub.publish(*(sheet(game, number) for game in GAMES))
            self.numbers = number
            if self._stop.wait(PACE_SECONDS):
                return

    def end(self) -> None:
        """No more."""
        self._stop.set()
        self._thread.join(20)


@pytest.fixture
def reception() -> Iterator[Reception]:
    """Where they arrive."""
    with Reception() as opened:
        yield opened


def test_partners_that_go_get_nothing_within_five_seconds_and_their_neighbour_misses_nothing(
    make_hub: Callable[..., Hub], reception: Reception
) -> None:
    hub = make_hub(*LOOPBACK)
    endpoints = {}
    for verb in ("suspend", "remove"):
        hub.add_partner(verb, "hisports")
        for name in (verb, f"{verb}-slow"):
            endpoints[name] = hub.add_endpoint(verb, reception.url(name), "hisports", "*")
    hub.add_partner("neighbour", "hisports")
    hub.add_endpoint("neighbour", reception.url("neighbour"), "hisports", "*")

    async def linger(_: object) -> Reply:
        await asyncio.sleep(0.3)
        return Reply(503)

    for verb in ("suspend", "remove"):
        reception.behave[f"{verb}-slow"] = linger  # a webhook is in flight, or waits for its next try, all the time
    with Season(hub) as season:
        for name in endpoints:
            reception.reached(name, 2 if name.endswith("slow") else 12)
        for verb in ("suspend", "remove"):
            done = hub.command("partner", verb, verb, "--json")
            assert done.code == 0, done
        ended = time.monotonic()
        published = season.numbers
        wait_for(lambda: time.monotonic() > ended + LIMIT_SECONDS, "five seconds", LIMIT_SECONDS + 1)
        quiet = {name: len(reception.at(name)) for name in endpoints}
        wait_for(lambda: season.numbers > published + 30, "the season goes on")
        assert {name: len(reception.at(name)) for name in quiet} == quiet
        season.end()
    last = season.numbers
    for verb in ("suspend", "remove"):
        assert max(numbers(reception.at(verb), 1)) < last - 20
    everything(reception.reached("neighbour", 3 * last), last)

    hub.kill()
    reception.mark()
    hub.start()
    hub.publish(*(sheet(game, last + 1) for game in GAMES))
    got = reception.until(
        "neighbour", lambda got: all(numbers(got, game)[-1] == last + 1 for game in GAMES), "it goes on"
    )
    after = [numbers([one for one in got if one.life == 1], game) for game in GAMES]
    assert after == [list(range(own[0], last + 2)) for own in after]
    assert sum(len(own) - 1 for own in after) <= MOST_IN_FLIGHT, "twice only what was answered as the hub died"
    assert {name: len(reception.at(name)) for name in quiet} == quiet

    for name in ("remove", "remove-slow"):
        answer = hub.ask("GET", f"/hub/v1/endpoints/{endpoints[name].id}", native_headers(hub.admin_key))
        assert answer.status == 404, answer
    hub.add_partner("remove", "hisports")  # another one of the same name inherits nothing
    assert hub.endpoint_report(endpoints["suspend"].id)["state"] == "suspended"
    assert hub.command("partner", "resume", "suspend", "--json").code == 0
    got = reception.until(
        "suspend", lambda got: all(numbers(got, game)[-1] == last + 1 for game in GAMES), "it catches up", 30
    )
    assert [sorted(set(numbers(got, game))) for game in GAMES] == [list(range(1, last + 2))] * 3
    assert {name: len(reception.at(name)) for name in quiet if name.startswith("remove")} == {
        name: count for name, count in quiet.items() if name.startswith("remove")
    }


def everything(got: list[Delivery], last: int) -> None:
    """Every scoresheet of every game came, once and in order."""
    assert [numbers(got, game) for game in GAMES] == [list(range(1, last + 1))] * 3


def test_sigterm_with_deliveries_in_flight_loses_nothing(make_hub: Callable[..., Hub], reception: Reception) -> None:
    hub = make_hub(*LOOPBACK)
    hub.add_partner("league", "hisports")
    hub.add_partner("app", "hub", grants={"feed": ["hisports"]})
    endpoints = [
        hub.add_endpoint("league", reception.url("league"), "hisports", "*"),
        hub.add_endpoint("app", reception.url("app"), "hub", "*"),
    ]
    count = 60
    hub.publish(*(sheet(game, number) for number in range(1, count + 1) for game in GAMES))
    for least in (30, 120):
        reception.until("app", lambda got, least=least: len(got) >= least, f"{least} requests")  # type: ignore[misc]
        assert hub.terminate() == 0
        reception.mark()
        hub.start()
    reception.until("league", lambda got: all(count in numbers(got, game) for game in GAMES), "the end")
    reception.until("app", lambda got: {(one.json["id"]) for one in got} >= {f"sheet-{g}-{count}" for g in GAMES}, "it")
    for endpoint in endpoints:
        wait_for(lambda one=endpoint: hub.endpoint_report(one.id)["backlog"] == 0, "all is answered")  # type: ignore[misc]
        assert hub.dead_letters(endpoint.id) == []
    for game in GAMES:
        for index, life in enumerate(lives := segments(reception.at("league"))):
            own = numbers(life, game)
            assert own == list(range(own[0], own[0] + len(own))) if own else True
            if index and own:
                before = [one for earlier in lives[:index] for one in numbers(earlier, game)]
                assert 0 <= max(before, default=0) + 1 - own[0] <= MOST_IN_FLIGHT
        assert set(numbers(reception.at("league"), game)) == set(range(1, count + 1))
    app = reception.at("app")
    assert len({one.json["id"] for one in app}) == 3 * count
    assert len({(one.json["id"], one.headers["webhook-id"], one.body) for one in app}) == 3 * count
    assert len(app) - 3 * count <= 2 * MOST_IN_FLIGHT
