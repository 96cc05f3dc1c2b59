"""What is fed to the hub: the sandboxes' games on several courts, bursts, and traders on the exchange.

Everything is published as the product's own runner does it, with the same ids until it is acknowledged; what was
acknowledged is written down.
"""

from __future__ import annotations

import http.client
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from bench.soak.faults import BURST
from bench.soak.world import COURTS, PITCHES, RINKS, Partner
from touchline.client.hub import HubClient, Published
from touchline.errors import UpstreamError
from touchline.feeds import registry
from touchline.feeds.base import Dice, Feed, SandboxOptions, Timed
from touchline.sandbox.runner import Runner

THIN: Final = 25
"""One of so many player positions is published."""
BURST_SECONDS: Final = (15.0, 45.0)
BURST_EVENTS: Final = (300, 2000)
BURST_STREAMS: Final = 20
LOCATION: Final = "shottracker.location"
_STATES: Final = (LOCATION, "shottracker.clock")


class Acknowledged:
    """Ids of the event lane that the hub has said are stored, by source. Used by several threads."""

    def __init__(self) -> None:
        self.ids: set[tuple[str, str]] = set()
        self.duplicates = 0
        self.refused = 0
        self.repeated = 0
        self._lock = threading.Lock()

    def took(self, heads: Iterable[_Head], answer: Published) -> None:
        """A request was answered 202."""
        with self._lock:
            self.ids.update((one.source, one.id) for one in heads if one.type not in _STATES)
            self.duplicates += answer.duplicates
            self.refused += len(answer.errors)


class _Head(msgspec.Struct):
    id: str
    source: str
    type: str


_head = msgspec.json.Decoder(_Head).decode


class Recorder:
    """A publisher for ``Runner`` that writes down what was acknowledged."""

    def __init__(self, client: HubClient, acknowledged: Acknowledged) -> None:
        self._client = client
        self._acknowledged = acknowledged

    def publish(self, lines: Iterable[bytes], *, on_error: str = "fail") -> Published:
        """See ``HubClient.publish``."""
        kept = list(lines)
        try:
            answer = self._client.publish(kept, on_error=on_error)
        except UpstreamError:
            self._acknowledged.repeated += 1
            raise
        self._acknowledged.took(map(_head, kept), answer)
        return answer


def renamed(feed: Feed, subject: str) -> Feed:
    """The feed with its game on another stream, and with fewer positions of players."""
    assert feed.sandbox is not None
    simulate = feed.sandbox.simulate
    if simulate is None:
        return feed

    def play(dice: Dice, options: SandboxOptions) -> Iterator[Timed]:
        count = 0
        for event in simulate(dice, msgspec.structs.replace(options, subject=subject)):
            count += event.type == LOCATION
            if event.type != LOCATION or count % THIN == 0:
                yield event

    return msgspec.structs.replace(feed, sandbox=msgspec.structs.replace(feed.sandbox, simulate=play))


class Venue:
    """A thread that plays game after game of some feeds, each on a stream of its own."""

    def __init__(
        self,
        name: str,
        feeds: tuple[str, ...],
        speed: float,
        seed: int,
        client: HubClient,
        acknowledged: Acknowledged,
        stop: threading.Event,
        begins: Callable[[str, str], None] | None = None,
    ) -> None:
        self._name = name
        self._feeds = feeds
        self._speed = speed
        self._seed = seed
        self._publisher = Recorder(client, acknowledged)
        self._stop = stop
        self._begins = begins
        self.problem: BaseException | None = None
        self.dropped = self.games = self.published = 0
        self.thread = threading.Thread(target=self._run, name=f"venue-{name}")

    def _run(self) -> None:
        try:
            for number in itertools.count(1):
                if self._stop.is_set():
                    return
                self._play(number)
        except BaseException as problem:  # it must show at the end
            self.problem = problem
            raise

    def _play(self, number: int) -> None:
        known = registry.feeds()
        court = self._name.rpartition("-")[2]
        subject = f"{9_100_000 + 1000 * int(court) + number}" if "hisports" in self._feeds else f"{self._name}-{number}"
        runner = Runner(
            self._publisher,
            [renamed(known[name], subject) for name in self._feeds],
            speed=self._speed,
            seed=self._seed * 1000 + number,
            run_id=f"{self._name}-{number}",
            tell=lambda _: None,
        )
        if self._begins is not None:
            self._begins(court, subject)
        summary = runner.run(self._stop)
        while self._stop.is_set() and runner._backlog:  # what was begun is ended, so that all is acknowledged
            runner._heap.clear()
            time.sleep(runner.step() or 0.0)
        self.games += 1
        self.dropped += summary.dropped
        self.published += summary.published


def venues(
    client: Callable[[], HubClient],
    acknowledged: Acknowledged,
    stop: threading.Event,
    *,
    seed: int,
    speed: float,
    begins: Callable[[str, str], None],
) -> list[Venue]:
    """All games; those of one feed run beside each other."""
    found = [
        Venue(f"game-{court}", ("shottracker", "insights"), speed, seed + place, client(), acknowledged, stop, begins)
        for place, court in enumerate(COURTS)
    ]
    found += [
        Venue(f"rink-{rink}", ("hisports", "insights"), speed / 2, seed + 10 + rink, client(), acknowledged, stop)
        for rink in range(RINKS)
    ]
    found += [
        Venue(f"pitch-{pitch}", ("roanuz",), speed, seed + 20 + pitch, client(), acknowledged, stop)
        for pitch in range(PITCHES)
    ]
    return found


class Bursts:
    """A thread that now and then publishes very much at once, on a stream of its own."""

    def __init__(self, client: HubClient, acknowledged: Acknowledged, stop: threading.Event, seed: int) -> None:
        self._publisher = Recorder(client, acknowledged)
        self._stop = stop
        self._dice = random.Random(f"{seed}:bursts")
        self.bursts = self.events = 0
        self.problem: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="bursts")

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._dice.uniform(*BURST_SECONDS)):
                self._burst()
        except BaseException as problem:  # it must show at the end
            self.problem = problem
            raise

    def _burst(self) -> None:
        count = self._dice.randint(*BURST_EVENTS)
        kind = self._dice.choice(("shottracker.marker", "roanuz.info"))
        lines = [self._line(kind, self.events + number) for number in range(count)]
        for at in range(0, count, 500):
            while True:
                try:
                    self._publisher.publish(lines[at : at + 500])
                    break
                except UpstreamError as problem:
                    if not problem.retryable:
                        raise
                    time.sleep(0.3)
        self.bursts += 1
        self.events += count

    def _line(self, kind: str, number: int) -> bytes:
        subject = f"{BURST}{number % BURST_STREAMS}"
        head = {"specversion": "1.0", "id": f"burst-{number}", "source": "/soak/bursts", "type": kind}
        data: dict[str, Any] = {"type": "JERSEY_COLORS", "note": number}
        if kind == "roanuz.info":
            told = {"matchkey": subject, "ball": None, "push_reason": "Info", "match_push_kind": "Info", "ts": number}
            data = {"notification": {"sport": "cricket", "data_kind": "match-detail-update", "data": told}}
        return msgspec.json.encode({**head, "subject": subject, "data": data})


class Trader:
    """A thread that places and cancels on the exchange, as fast as it is told to."""

    def __init__(self, url: str, partner: Callable[[], Partner], seed: str, stop: threading.Event) -> None:
        self._port = int(url.rpartition(":")[2])
        self._partner = partner
        self._dice = random.Random(seed)
        self._stop = stop
        self._token = ""
        self.acknowledged: set[str] = set()
        self.problem: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name=f"trader-{seed}")

    def _run(self) -> None:
        while not self._stop.wait(self._dice.uniform(0.2, 0.8)):
            try:
                self._trade()
            except (OSError, http.client.HTTPException, msgspec.MsgspecError):
                self._stop.wait(0.5)
            except BaseException as problem:  # it must show at the end
                self.problem = problem
                raise

    def _call(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if path != "/auth/login":
            headers["Authorization"] = f"Bearer {self._token}"
        source = (self._partner().address, 0)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20, source_address=source)
        try:
            content = None if body is None else msgspec.json.encode(body)
            connection.request(method, f"/partner{path}", content, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status == 401:
            self._token = ""
        if answer.status != 200:
            self._stop.wait(1.0)
            return None
        return msgspec.json.decode(text)["data"]

    def _trade(self) -> None:
        if not self._token:
            given = self._partner().credentials
            keys = {name: given[name] for name in ("access_key", "secret_key")}
            answer = self._call("POST", "/auth/login", keys)
            self._token = "" if answer is None else answer["access_token"]
            return
        if self._dice.random() < 0.1:
            self._call("POST", "/mm/cancel_all_wagers", {})
            return
        lines = self._lines()
        if not lines:
            return
        orders = [
            {
                "external_id": f"{self._dice.getrandbits(60):x}",
                "line_id": self._dice.choice(lines),
                "odds": self._dice.choice((-150, -120, -110, 100, 110, 130, 150)),
                "stake": self._dice.randint(100, 1000) / 100,
            }
            for _ in range(self._dice.randint(1, 4))
        ]
        answer = self._call("POST", "/mm/place_multiple_wagers", {"data": orders})
        if answer is not None:
            self.acknowledged.update(one["id"] for one in answer["succeed_wagers"])

    def _lines(self) -> list[str]:
        events = self._call("GET", "/mm/get_sport_events?tournament_id=990001")
        ids = [event["event_id"] for event in (events or {}).get("sport_events", [])]
        if not ids:
            return []
        markets = self._call("GET", f"/mm/get_markets?event_id={self._dice.choice(ids)}")
        found: list[str] = []
        for market in (markets or {}).get("markets", []):
            for selections in market.get("selections") or []:
                found += [one["line_id"] for one in selections if one.get("line_id")]
        return found
