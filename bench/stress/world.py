"""One hub under everything: a stream, neighbours who have nothing to do with all this, the accounts and the faults.

Each phase adds its figures to ``figures``, what it provoked to ``provoked``, its readers' account to ``accounts`` and
what is wrong to ``faults``; delays are reported and never judged.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.clients import ask
from bench.soak.hub import HubUnderTest
from bench.soak.vitals import Sample, look
from bench.stress.account import Account, total
from bench.stress.readers import SUBJECT, TYPE, Reader, Witness
from bench.worker import Worker
from touchline.client.hub import HubClient

SETTINGS: Final[dict[str, object]] = {"drain_seconds": 2.0, "login_failures_per_address": 200}
PAD: Final = "x" * 400
NEIGHBOURS: Final = 20
MIB: Final = 1024 * 1024


class Stress:
    """One hub under everything. ``sessions`` scales all phases; ``patience`` is for how long the hub waits for a reader
    that takes nothing, and for the head of a request."""

    def __init__(
        self, hub: HubUnderTest, sessions: int, patience: float, seed: int, tell: Callable[[str], None]
    ) -> None:
        self.hub = hub
        self.figures: dict[str, Any] = {}
        self.faults: list[str] = []
        self.accounts: dict[str, Account] = {}
        self.provoked: Counter[str] = Counter()
        self.sessions = sessions
        self.patience = patience
        self.dice = random.Random(seed)
        self.head = 0
        self.positions: list[str] = []
        self.before: tuple[dict[str, float], Sample]
        self._tell = tell
        self._neighbours: Worker | None = None
        self._client: HubClient
        self._key = ""

    def prepare(self, history: int) -> None:
        """A partner, and a stream with so many records."""
        admin = HubClient(self.hub.url, self.hub.key("admin"))
        self._key = admin.add_partner("stress", "hub")["credentials"]["key"]
        self._client = HubClient(self.hub.url, self.hub.key("publisher"))
        self._start = self._client_start(admin)
        for _ in range(0, history, 500):
            self.publish(500)
        page: str | None = None
        self.positions = [self._start]
        for text in admin.events(feed="shottracker", subject=SUBJECT, after=page):
            self.positions.append(msgspec.json.decode(text)["position"])
        admin.close()

    @staticmethod
    def _client_start(admin: HubClient) -> str:
        return f"{admin.status()['epoch']}-0"

    def publish(self, count: int) -> None:
        """So many more records, one by one in order. ``head`` is the number of the last."""
        lines = []
        for _ in range(count):
            self.head += 1
            head = {"specversion": "1.0", "id": f"s-{self.head}", "source": "/stress", "type": TYPE}
            data = {"type": "JERSEY_COLORS", "pad": PAD}
            lines.append(msgspec.json.encode({**head, "subject": SUBJECT, "data": data}))
        self._client.publish(lines)

    def check(self, holds: bool, what: str) -> None:
        """Something must hold."""
        if not holds:
            self.faults.append(what)
            self._tell(f"  FAULT: {what}")

    async def metrics(self) -> dict[str, float]:
        """The hub's own figures, labels summed up."""
        answer = await ask(self.hub.url, "GET", "/metrics")
        found: dict[str, float] = {}
        for line in answer.body.decode().splitlines():
            if line and line[0] != "#":
                name, _, value = line.rpartition(" ")
                name = name.partition("{")[0].removeprefix("touchline_")
                found[name] = found.get(name, 0.0) + float(value)
        return found

    async def until(self, condition: Callable[[], bool | Awaitable[bool]], seconds: float, what: str) -> float:
        """Wait for a condition; how long it took. A fault when it does not come."""
        began = time.monotonic()
        while True:
            met = condition()
            if not isinstance(met, bool):
                met = await met
            if met:
                return time.monotonic() - began
            if time.monotonic() > began + seconds:
                self.check(holds=False, what=f"not within {seconds:g} s: {what}")
                return seconds
            await asyncio.sleep(0.02)

    # neighbours

    async def begin(self, said: Path) -> None:
        """Neighbours that publish and read all the time, and have nothing to do with all this."""
        await self.settled()
        self.before = await self.metrics(), look(*self.process())
        arguments = (self.hub.url, self.hub.key("publisher"), self._key, self._start, NEIGHBOURS)
        self._neighbours = Worker("bench.stress.neighbours", *arguments, said=said)
        await asyncio.to_thread(self._neighbours.hear)

    def dismiss(self) -> None:
        """The neighbours have done their part."""
        assert self._neighbours is not None
        self._neighbours.tell(do="stop")

    def close(self) -> None:
        """End the processes."""
        if self._neighbours is not None:
            self._neighbours.close()

    def process(self) -> tuple[int, float]:
        """The hub's process and since when."""
        found = self.hub.running()
        assert found is not None
        return found

    def reader(self, seq: int) -> Reader:
        """One who has had so many of the first records."""
        return Reader(self.hub.url, self._key, self.positions[seq], seq)

    def witness(self, seq: int) -> Witness:
        """The same with another client."""
        return Witness(self.hub.url, self._key, self.positions[seq], seq)

    async def quiet(self, seconds: float) -> None:
        """How the neighbours fare with nobody else there."""
        await asyncio.sleep(seconds)
        await self.end_phase("alone")

    async def end_phase(self, phase: str) -> None:
        """The neighbours have missed nothing; how long they waited is only noted."""
        assert self._neighbours is not None
        self._neighbours.tell(do="cut")
        found = await asyncio.to_thread(self._neighbours.hear)
        self.check(not found.pop("closed"), f"{phase}: neighbours are closed")
        self.enter(f"neighbours, {phase}", [Account(*found.pop("account"))])
        noted = self.figures.setdefault("neighbours_delay_ms", {})
        alone = noted.setdefault("alone", found)
        if found is not alone:
            found |= {f"ratio_{part}": round(found[part] / alone[part], 2) for part in ("p50", "p99") if alone[part]}
            noted[phase] = found

    # sessions

    def enter(self, phase: str, accounts: Iterable[Account]) -> None:
        """The account of a phase's readers, which must be good."""
        found = self.accounts[phase] = total(accounts)
        self.check(found.is_good, f"{phase}: {found}")

    async def gone(self, readers: Iterable[Reader]) -> None:
        """They break off, and the hub notices."""
        for one in readers:
            one.close()
        await self.until(lambda: self.is_served(NEIGHBOURS), 30, "sessions that ended are let go")

    async def is_served(self, count: int) -> bool:
        """Whether so many sessions are open and no more."""
        found = await self.metrics()
        return found["fanout_readers"] == count and found.get("sessions", 0.0) == count

    async def settled(self) -> None:
        """Everybody has gone."""
        await self.until(lambda: self.is_served(0), 30, "no session is open")
