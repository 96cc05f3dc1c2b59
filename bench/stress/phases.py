"""What is done to the hub, and what must hold then. Each phase adds its figures to ``figures`` and what is wrong to
``faults``; delays are reported and never judged."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from bench.clients import Line, ask, frame, websocket_head
from bench.soak.hub import HubUnderTest
from bench.soak.vitals import look
from bench.stress.readers import SUBJECT, TYPE, Reader
from bench.worker import Worker
from touchline.client.hub import HubClient

SETTINGS: Final[dict[str, object]] = {"drain_seconds": 2.0, "login_failures_per_address": 200}
PAD: Final = "x" * 400
BACKLOG: Final = 262_144
"""The setting ``session_backlog_bytes``: what may wait for one session in the hub."""
SPARE_BYTES: Final = 96 * 1024 * 1024
"""What the hub's shared windows and allocator may take beside that."""
NEIGHBOURS: Final = 20
MIB: Final = 1024 * 1024
_RESET: Final = struct.pack("ii", 1, 0)


class Stress:
    """One hub under everything. ``sessions`` scales all phases; ``patience`` is for how long the hub waits for a reader
    that takes nothing, and for the head of a request."""

    def __init__(
        self, hub: HubUnderTest, sessions: int, patience: float, seed: int, tell: Callable[[str], None]
    ) -> None:
        self.hub = hub
        self.figures: dict[str, Any] = {}
        self.faults: list[str] = []
        self._sessions = sessions
        self._patience = patience
        self._dice = random.Random(seed)
        self._tell = tell
        self._head = 0
        self._positions: list[str] = []
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
            self._publish(500)
        page: str | None = None
        self._positions = [self._start]
        for text in admin.events(feed="shottracker", subject=SUBJECT, after=page):
            self._positions.append(msgspec.json.decode(text)["position"])
        admin.close()

    @staticmethod
    def _client_start(admin: HubClient) -> str:
        return f"{admin.status()['epoch']}-0"

    def _publish(self, count: int) -> None:
        lines = []
        for _ in range(count):
            self._head += 1
            head = {"specversion": "1.0", "id": f"s-{self._head}", "source": "/stress", "type": TYPE}
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
        await self._settled()
        self._before = await self.metrics()
        self._sample = look(*self._process())
        arguments = (self.hub.url, self.hub.key("publisher"), self._key, self._start, NEIGHBOURS)
        self._neighbours = Worker("bench.stress.neighbours", *arguments, said=said)
        await asyncio.to_thread(self._neighbours.hear)

    def close(self) -> None:
        """End the processes."""
        if self._neighbours is not None:
            self._neighbours.close()

    def _process(self) -> tuple[int, float]:
        found = self.hub.running()
        assert found is not None
        return found

    def _reader(self, seq: int) -> Reader:
        return Reader(self.hub.url, self._key, self._positions[seq], seq)

    async def quiet(self, seconds: float) -> None:
        """How the neighbours fare with nobody else there."""
        await asyncio.sleep(seconds)
        await self.end_phase("alone")

    async def end_phase(self, phase: str) -> None:
        """The neighbours have missed nothing; how long they waited is only noted."""
        assert self._neighbours is not None
        self._neighbours.tell(do="cut")
        found = await asyncio.to_thread(self._neighbours.hear)
        for what in ("behind", "closed", "wrong"):
            self.check(not found.pop(what), f"{phase}: neighbours are {what}")
        noted = self.figures.setdefault("neighbours_delay_ms", {})
        alone = noted.setdefault("alone", found)
        if found is not alone:
            found |= {f"ratio_{part}": round(found[part] / alone[part], 2) for part in ("p50", "p99") if alone[part]}
            noted[phase] = found

    # phases

    async def resume_at_once(self, within: float = 2.0) -> None:
        """All clients come back within two seconds, each from where it was."""
        readers = [self._reader(self._dice.randrange(len(self._positions))) for _ in range(self._sessions)]
        target = self._head
        began = time.monotonic()

        async def come(reader: Reader, at: float) -> int:
            await asyncio.sleep(at)
            for attempt in range(20):
                try:
                    await reader.open()
                    return attempt
                except (OSError, TimeoutError):
                    await asyncio.sleep(self._dice.uniform(0.2, 1.0))
            return 20

        tries = await asyncio.gather(*(come(one, self._dice.uniform(0, within)) for one in readers))
        connected = time.monotonic() - began
        await self.until(lambda: all(one.seq >= target for one in readers), 120, "all clients that resumed have all")
        lost = sum(max(0, target - one.seq) for one in readers)
        bad = sum(one.holes + one.repeats for one in readers)
        self.check(not lost and not bad, f"resuming: {lost} lost, {bad} out of order")
        self.figures["resume"] = {
            "clients": len(readers),
            "all_connected_seconds": round(connected, 2),
            "all_caught_up_seconds": round(time.monotonic() - began, 2),
            "records": sum(target - one.first for one in readers),
            "came_again": sum(tries),
        }
        await self._gone(readers)
        await self.end_phase("resume")

    async def bad_readers(self, seconds: float) -> None:
        """Some never read, some read a little, some vanish without a word, some break off or end their half."""
        each = max(4, self._sessions // 50)
        before = look(*self._process()).resident
        stalled_before = (await self.metrics())["fanout_stalled"]
        never = [self._reader(0) for _ in range(each)]
        for one in never:
            (await one.open(pace=1)).vanish()
        slow = [self._reader(len(self._positions) - 1) for _ in range(each)]
        for one in slow:
            await one.open(pace=2000)
        half = [self._reader(len(self._positions) - 1) for _ in range(each)]
        for one in half:
            (await one.open()).vanish()
        fin = [self._reader(len(self._positions) - 1) for _ in range(each)]
        for one in fin:
            (await one.open()).end_half()
        peak, resets, began = before, 0, time.monotonic()
        # What the system's own buffers hold is no stall: it is fed until they are full, too.
        while time.monotonic() < began + seconds or not await self._has_stalled(stalled_before + each):
            await asyncio.to_thread(self._publish, 500)
            resets += await self._reset_some(each // 4 + 1)
            peak = max(peak, look(*self._process()).resident)
            if time.monotonic() > began + seconds + 40:
                self.check(holds=False, what="those that never read are not closed")
                break
            await asyncio.sleep(0.1)
        took = time.monotonic() - began
        limit = 4 * each * BACKLOG * 2 + SPARE_BYTES
        self.check(peak - before <= limit, f"bad readers cost {(peak - before) / MIB:.0f} MiB, over {limit / MIB:.0f}")
        for one in slow:
            self.check(one.is_open, "a slow reader that reads was closed")
            self.check(one.holes + one.repeats == 0, "a slow reader has holes or repeats")
        self.figures["bad_readers"] = {
            "of_each_kind": each,
            "resets_during_writes": resets,
            "most_more_mib": round((peak - before) / MIB, 1),
            "allowed_mib": round(limit / MIB, 1),
            "never_readers_closed_after_seconds": round(took, 1),
            "slow_readers_behind": max(self._head - one.seq for one in slow),
        }
        await self._gone((*never, *slow, *half, *fin))
        await self.end_phase("bad readers")

    async def _has_stalled(self, count: float) -> bool:
        return (await self.metrics())["fanout_stalled"] >= count

    async def _reset_some(self, count: int) -> int:
        """Connections that end by RST in the middle of what they are sent."""
        for _ in range(count):
            reader = self._reader(0)
            line = await reader.open()
            plain = line.socket()
            if plain is not None:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            await asyncio.sleep(self._dice.uniform(0, 0.01))
            line.abort()
        return count

    async def floods(self) -> None:
        """Handshakes with bad keys, heads that never end, pings without end, messages and heads that are too long."""
        count = max(50, self._sessions // 5)
        refused: dict[int, int] = {}
        for at in range(0, count, 50):
            for status in await asyncio.gather(*(self._bad_handshake() for _ in range(min(50, count - at)))):
                refused[status] = refused.get(status, 0) + 1
        self.check(set(refused) <= {401, 429, 503}, f"bad handshakes were answered {refused}")
        idle = await self._idle_heads(max(10, count // 10))
        pongs = await self._pings(5000)
        over = await self._oversize()
        self.figures["floods"] = {
            "bad_handshakes": {str(status): times for status, times in sorted(refused.items())},
            "idle_heads_closed_after_seconds": idle,
            "pings_answered": pongs,
            "oversize": over,
        }
        await self.end_phase("floods")

    async def _bad_handshake(self) -> int:
        headers = {"Authorization": f"Bearer {self._dice.getrandbits(128):x}"}
        head = websocket_head(self.hub.url, "/hub/v1/ws", headers)
        try:
            line = await Line.open(self.hub.url, head, lambda _: None, address=f"127.0.9.{self._dice.randrange(1, 5)}")
        except (OSError, TimeoutError):
            return 503
        line.abort()
        return line.opened.result()

    async def _idle_heads(self, count: int) -> float:
        """Half of them say nothing, half a byte a second."""
        parts = urlsplit(self.hub.url)
        opened = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(count)]
        began = time.monotonic()

        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, speaks: bool) -> float:
            done = asyncio.ensure_future(reader.read())
            while not done.done() and time.monotonic() < began + 20:
                if speaks:
                    writer.write(b"G")
                await asyncio.wait({done}, timeout=1)
            closed = done.done()
            done.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await done
            writer.transport.abort()
            return time.monotonic() - began if closed else float("inf")

        took = await asyncio.gather(*(drip(*one, speaks=bool(number % 2)) for number, one in enumerate(opened)))
        limit = self._patience + 10
        self.check(max(took) <= limit, f"heads that never end are open after {limit:g} s")
        return round(max(took), 1) if max(took) < float("inf") else -1.0

    async def _pings(self, count: int) -> int:
        """As fast as they go, without reading an answer first."""
        reader = self._reader(len(self._positions) - 1)
        line = await reader.open()
        for _ in range(count):
            line.write(frame(b"p" * 100, 9))
        target = self._head
        await self.until(
            lambda: line.closed.done() or reader.seq >= target, 20, "records come through a flood of pings"
        )
        self.check(line.closed.done() or reader.holes + reader.repeats == 0, "a flood of pings lost records")
        answered = line.pongs
        reader.close()
        return answered

    async def _oversize(self) -> dict[str, str]:
        found: dict[str, str] = {}
        reader = self._reader(len(self._positions) - 1)
        line = await reader.open()
        line.write(b"\x81\xff" + (1 << 40).to_bytes(8) + b"\0\0\0\0")
        await self.until(line.closed.done, 10, "a message of a terabyte ends its session")
        found["message"] = str(line.closed.result()) if line.closed.done() else "open"
        self.check(found["message"] == "1009", f"a message of a terabyte was closed with {found['message']}")
        for name, head in (
            ("request line", b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
            ("headers", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n"),
        ):
            found[name] = await self._raw(head)
            self.check(found[name] in ("400", "414", "431", "closed"), f"an endless {name} was answered {found[name]}")
        return found

    async def _raw(self, content: bytes) -> str:
        parts = urlsplit(self.hub.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            async with asyncio.timeout(10):
                writer.write(content)
                answer = await reader.read(64)
        except (OSError, TimeoutError) as problem:
            return "nothing" if isinstance(problem, TimeoutError) else "closed"
        finally:
            writer.transport.abort()
        return answer.split(b" ")[1].decode() if b" " in answer else "closed"

    # what is left

    async def _gone(self, readers: Iterable[Reader]) -> None:
        for one in readers:
            one.close()
        await self.until(lambda: self._is_served(NEIGHBOURS), 30, "sessions that ended are let go")

    async def _is_served(self, count: int) -> bool:
        found = await self.metrics()
        return found["fanout_readers"] == count and found.get("sessions", 0.0) == count

    async def _settled(self) -> None:
        await self.until(lambda: self._is_served(0), 30, "no session is open")

    async def leaks(self, most_more_mib: float) -> None:
        """Everybody has gone: sessions, readers, tasks and descriptors are as before, memory about so."""
        assert self._neighbours is not None
        self._neighbours.tell(do="stop")
        await self._settled()
        before = self._before

        async def is_as_before() -> bool:
            now = await self.metrics()
            return now["tasks"] <= before["tasks"] and now["open_files"] <= before["open_files"] + 2

        await self.until(is_as_before, 30, "tasks and descriptors are as before")
        now, sample = await self.metrics(), look(*self._process())
        more = (sample.resident - self._sample.resident) / MIB
        self.check(more <= most_more_mib, f"{more:.0f} MiB more than before, over {most_more_mib:.0f}")
        self.check(
            sample.threads <= self._sample.threads + 4, f"{sample.threads} threads, {self._sample.threads} before"
        )
        self.figures["left"] = {
            "sessions": now.get("sessions", 0.0),
            "readers": now["fanout_readers"],
            "tasks_before_and_after": (before["tasks"], now["tasks"]),
            "files_before_and_after": (before["open_files"], now["open_files"]),
            "threads_before_and_after": (self._sample.threads, sample.threads),
            "resident_mib_before_and_after": (round(self._sample.resident / MIB, 1), round(sample.resident / MIB, 1)),
        }

    async def stop_under_load(self) -> None:
        """SIGTERM while all are in the middle of a replay and somebody publishes; all come back and miss nothing."""
        readers = [self._reader(0) for _ in range(max(20, self._sessions // 10))]
        for one in readers:
            await one.open(pace=200_000)
        target = self._head + 500
        publishing = asyncio.create_task(asyncio.to_thread(self._publish_to, target))
        began = time.monotonic()
        await asyncio.to_thread(self.hub.terminate)
        took = time.monotonic() - began
        self.check(self.hub.exits[-1] == 0, f"the hub ended with {self.hub.exits[-1]}")
        in_the_middle = sum(one.seq < self._head for one in readers)
        for one in readers:
            assert one.line is not None
            one.line.hurry()
        await self.until(lambda: not any(one.is_open for one in readers), 20, "all sessions are closed")
        codes: dict[str, int] = {}
        for one in readers:
            code = str(one.line.closed.result()) if one.line is not None and one.line.closed.done() else "open"
            codes[code] = codes.get(code, 0) + 1
        self.check(set(codes) <= {"1001", "0"}, f"sessions were closed with {codes}")
        await asyncio.to_thread(self.hub.start)
        for one in readers:
            await one.open()
        await publishing
        await self.until(lambda: all(one.seq >= target for one in readers), 60, "all have all after the restart")
        lost = sum(max(0, target - one.seq) for one in readers)
        bad = sum(one.holes + one.repeats for one in readers)
        self.check(not lost and not bad, f"shutdown under load: {lost} lost, {bad} out of order")
        self.figures["shutdown"] = {
            "sessions": len(readers),
            "in_the_middle_of_a_replay": in_the_middle,
            "seconds": round(took, 2),
            "closed_with": codes,
        }
        for one in readers:
            one.close()
        await self._settled()

    def _publish_to(self, target: int) -> None:
        """Through the stop: the client repeats what was not acknowledged."""
        while self._head < target:
            self._publish(10)
