"""Sessions of the four kinds that live through everything: they come back where they were, and note what they took.

Of each message of the event lane its number and a checksum are kept, in arrays; ``accounting`` knows what they mean.
"""

from __future__ import annotations

import asyncio
import base64
import email.utils
import hashlib
import hmac
import random
import zlib
from array import array
from collections import Counter
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from bench.clients import Line, ask, events_head, websocket_head
from bench.soak.world import Partner, SessionPlan

BROADCAST = "private-broadcast-service=3-device_type=5"
TALK_SECONDS = 20.0
OVER, REVOKED, DISABLED = 1000, 1008, 4003


class Later(Exception):
    """Not now: come back in so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Surroundings:
    """What sessions share: where the hub is, who they are, which games are on, and whether it is time to settle."""

    def __init__(self, url: str, partners: dict[str, Partner], start: str) -> None:
        self.url = url
        self.partners = partners
        self.start = start
        """The position before everything."""
        self.games: dict[str, str] = {}
        """The game that is on, by court."""
        self.logins: dict[str, tuple[str, str]] = {}
        """Access token and the key of the socket, by partner."""
        self.settling = asyncio.Event()
        self.stopping = False


class _Native(msgspec.Struct):
    position: str = ""
    lane: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Live(msgspec.Struct):
    type: str = ""
    seq: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    event: str
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b'""')


class _Change(msgspec.Struct):
    payload: str
    timestamp: int


_native = msgspec.json.Decoder(_Native).decode
_live = msgspec.json.Decoder(_Live).decode
_message = msgspec.json.Decoder(_Message).decode
_text = msgspec.json.Decoder(str).decode
_change = msgspec.json.Decoder(_Change).decode


class Session:
    """What all kinds share. ``run`` goes on until the end; ``notes`` is what is left of it."""

    def __init__(self, around: Surroundings, plan: SessionPlan) -> None:
        self.around = around
        self.plan = plan
        self.dice = random.Random(plan.seed)
        self.line: Line | None = None
        self.connections = self.drops = self.vanished = self.broken = self.messages = self.states = 0
        self.gaps = 0
        """Times it was told that something cannot be had any more."""
        self.codes: Counter[int] = Counter()
        self.refusals: Counter[int] = Counter()
        self.breaks: Counter[str] = Counter()
        self.problems: list[str] = []

    @property
    def partner(self) -> Partner:
        """Whom it acts for, with the credentials of now."""
        return self.around.partners[self.plan.partner]

    def notes(self) -> dict[str, Any]:
        """Everything that an account needs, to be pickled."""
        kept = (
            "connections",
            "drops",
            "vanished",
            "broken",
            "messages",
            "states",
            "gaps",
            "codes",
            "refusals",
            "breaks",
        )
        found = {name: getattr(self, name) for name in (*kept, "problems")}
        return found | {"plan": self.plan, "is_open": self.line is not None and self.line.is_open}

    async def run(self) -> None:
        """Live until the end."""
        await asyncio.sleep(self.plan.begins)
        wait = 0.0
        while not self.around.stopping:
            try:
                await self._live()
                wait = self.dice.uniform(0.05, 0.6)
            except Later as later:
                wait = later.seconds * self.dice.uniform(0.7, 1.3)
            except (OSError, EOFError, TimeoutError, msgspec.MsgspecError) as problem:
                self.broken += 1
                self.breaks[type(problem).__name__] += 1
                wait = min(2.0, max(0.1, wait * 2)) * self.dice.uniform(0.7, 1.3)
            self.line = None
            await asyncio.sleep(wait)

    async def _live(self) -> None:
        """One connection from its request to its end."""
        around, plan = self.around, self.plan
        head = await self._head()
        line = self.line = await Line.open(around.url, head, self._took, pace=plan.pace, address=self.partner.address)
        try:
            status = line.opened.result()
            if status not in (101, 200):
                self.refusals[status] += 1
                self._refused(status)
                raise Later(1.0 if status == 503 else 3.0)
            self.connections += 1
            await self._begun(line)
            await self._stay(line)
        finally:
            if not around.stopping:
                line.abort()
            if line.problem is not None:
                self.problems.append(repr(line.problem)[:300])
        if line.closed.done() and not line.closing:
            self.codes[line.closed.result()] += 1
            self._ended(line.closed.result())
            if line.closed.result() in (REVOKED, DISABLED):
                raise Later(2.0)

    async def _stay(self, line: Line) -> None:
        """Read until it ends, or until it is time to be a bad client."""
        around, plan, dice = self.around, self.plan, self.dice
        talking: asyncio.Future[Any] = asyncio.ensure_future(self._talk(line))
        settling: asyncio.Future[Any] = asyncio.ensure_future(around.settling.wait())
        try:
            if plan.behaviour in ("drops", "vanishes") and not around.settling.is_set():
                seconds = dice.expovariate(1 / 30) if plan.behaviour == "drops" else dice.uniform(30, 120)
                await asyncio.wait({line.closed, settling}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                if line.closed.done():
                    return
                if not around.settling.is_set():
                    await self._misbehave(line, talking, settling)
                    return
            await line.closed
        finally:
            talking.cancel()
            settling.cancel()

    async def _misbehave(self, line: Line, talking: asyncio.Future[Any], settling: asyncio.Future[Any]) -> None:
        if self.plan.behaviour == "drops":
            self.drops += 1
            if self.plan.kind != "sse" and self.dice.random() < 0.3:
                line.send(b"\x03\xe8", 8)
                await asyncio.wait({line.closed}, timeout=2)
            return
        self.vanished += 1
        talking.cancel()
        line.vanish()
        seconds = self.dice.uniform(20, 110)
        await asyncio.wait({line.closed, settling}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def _talk(self, line: Line) -> None:
        """What a client says so that it is not thought dead."""
        words = self._words()
        while words:
            await asyncio.sleep(TALK_SECONDS * self.dice.uniform(0.8, 1.2))
            line.send(words)

    # what differs

    async def _head(self) -> bytes:
        raise NotImplementedError

    def _took(self, content: bytes) -> None:
        raise NotImplementedError

    async def _begun(self, line: Line) -> None:
        """The handshake is over."""

    def _refused(self, status: int) -> None:
        """The handshake was refused."""

    def _ended(self, code: int) -> None:
        """The connection has ended by itself."""

    def _words(self) -> bytes:
        return b""


class NativeSession(Session):
    """The hub's own WebSocket or server-sent events: goes on by position."""

    def __init__(self, around: Surroundings, plan: SessionPlan) -> None:
        super().__init__(around, plan)
        self.position = around.start
        self.offsets = array("q")
        self.checks = array("I")

    def notes(self) -> dict[str, Any]:
        """See ``Session``."""
        return super().notes() | {"offsets": self.offsets, "checks": self.checks}

    async def _head(self) -> bytes:
        filters = self.plan.filters
        key = {"Authorization": f"Bearer {self.partner.credentials['key']}"}
        if self.plan.kind == "sse":
            query = urlencode(filters, doseq=True)
            return events_head(self.around.url, f"/hub/v1/stream?{query}", {**key, "Last-Event-ID": self.position})
        query = urlencode({**filters, "after": self.position}, doseq=True)
        return websocket_head(
            self.around.url, f"/hub/v1/ws?{query}", {**key, "Sec-WebSocket-Protocol": "cloudevents.json"}
        )

    def _took(self, content: bytes) -> None:
        event = _native(content)
        if not event.position:
            self.gaps += 1
            self.problems.append(content[:300].decode("utf-8", "replace"))
            return
        self.messages += 1
        self.position = event.position
        if event.lane == "state":
            self.states += 1
            return
        self.offsets.append(int(event.position.rpartition("-")[2], 36))
        self.checks.append(zlib.crc32(event.data))

    def _refused(self, status: int) -> None:
        if status == 410:
            self.gaps += 1


class LiveSession(Session):
    """ShotTracker's Live Data V2: one game after the other on its court, each resumed by ``last_seq``."""

    def __init__(self, around: Surroundings, plan: SessionPlan) -> None:
        super().__init__(around, plan)
        self.games: dict[str, tuple[array[int], array[int]]] = {}
        self.over: set[str] = set()
        self.repeats = 0
        self._game = ""
        self._token = ""

    def notes(self) -> dict[str, Any]:
        """See ``Session``."""
        return super().notes() | {"games": self.games, "over": self.over, "repeats": self.repeats, "game": self._game}

    async def _head(self) -> bytes:
        if not self._game or self._game in self.over:
            game = self.around.games.get(self.plan.court, "")
            if not game or game in self.over:
                raise Later(1.0)
            self._game, self._token = game, ""
            self.games[game] = (array("q"), array("I"))
        if not self._token:
            self._token = await self._subscribe(self._game)
        seqs = self.games[self._game][0]
        query: dict[str, Any] = {"token": self._token}
        if seqs:
            query["last_seq"] = seqs[-1]
        sources = self.plan.filters.get("source")
        if sources:
            query["source"] = sources
        return websocket_head(self.around.url, f"/live/v2/games?{urlencode(query, doseq=True)}")

    async def _subscribe(self, game: str) -> str:
        path = f"/v1/data/schedule/games/{game}/_subscribe"
        given, host = self.partner.credentials, urlsplit(self.around.url).netloc
        date = email.utils.formatdate(usegmt=True)
        text = f"date: {date}\nhost: {host}\nGET {path} HTTP/1.1"
        signed = base64.b64encode(hmac.digest(given["secret"].encode(), text.encode(), hashlib.sha1)).decode()
        words = f'hmac username="{given["username"]}",algorithm="hmac-sha1",headers="date host request-line",'
        headers = {"Date": date, "Authorization": f'{words}signature="{signed}"'}
        answer = await ask(self.around.url, "GET", path, headers, address=self.partner.address)
        if answer.status != 200:
            self.refusals[answer.status] += 1
            raise Later(1.0 if answer.status in (404, 503) else 3.0)
        token: str = msgspec.json.decode(answer.body)["token"]
        return token

    def _took(self, content: bytes) -> None:
        found = _live(content)
        if found.type != "data":
            return
        self.messages += 1
        if not found.seq:
            self.states += 1
            return
        seq, (seqs, checks) = int(found.seq), self.games[self._game]
        if seqs and seq <= seqs[-1]:
            self.repeats += 1
            return
        seqs.append(seq)
        checks.append(zlib.crc32(found.data))

    def _refused(self, status: int) -> None:
        self._token = ""
        if status == 410:
            self.gaps += 1

    def _ended(self, code: int) -> None:
        if code == OVER:
            self.over.add(self._game)
        elif code == REVOKED:
            self._token = ""

    def _words(self) -> bytes:
        return b'{"action":"ping"}'


class ExchangeSession(Session):
    """A Pusher socket on both channels. The protocol has no resume: it reads by REST what it is then."""

    def __init__(self, around: Surroundings, plan: SessionPlan) -> None:
        super().__init__(around, plan)
        self.runs: list[tuple[array[int], array[int], array[int], array[int]]] = []
        """For each connection: time stamps and checksums of the public changes, and of the private ones."""
        self.reads = 0
        self.said: Counter[str] = Counter()
        self._subscribed: asyncio.Future[str] | None = None
        self._held = 0

    def notes(self) -> dict[str, Any]:
        """See ``Session``."""
        return super().notes() | {"runs": self.runs, "reads": self.reads, "said": self.said, "held": self._held}

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        token = self.around.logins[self.plan.partner][0]
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for _ in range(20):
            answer = await ask(
                self.around.url, method, f"/partner{path}", headers, content, address=self.partner.address
            )
            if answer.status == 200:
                return msgspec.json.decode(answer.body)
            self.refusals[answer.status] += 1
            if answer.status == 401:
                self.around.logins.pop(self.plan.partner, None)
                raise Later(2.0)
            if answer.status != 429:
                raise Later(1.0)
            await asyncio.sleep(self.dice.uniform(0.5, 2.0))
        raise Later(2.0)

    async def _head(self) -> bytes:
        if self.plan.partner not in self.around.logins:
            await self._log_in()
        key = self.around.logins[self.plan.partner][1]
        self._held = 0
        self._subscribed = asyncio.get_running_loop().create_future()
        self.runs.append((array("q"), array("I"), array("q"), array("I")))
        return websocket_head(self.around.url, f"/app/{key}?protocol=7&client=soak")

    async def _log_in(self) -> None:
        keys = {name: self.partner.credentials[name] for name in ("access_key", "secret_key")}
        answer = await ask(
            self.around.url,
            "POST",
            "/partner/auth/login",
            None,
            msgspec.json.encode(keys),
            address=self.partner.address,
        )
        if answer.status != 200:
            self.refusals[answer.status] += 1
            raise Later(3.0)
        token = msgspec.json.decode(answer.body)["data"]["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        path = "/partner/websocket/connection-config"
        config = await ask(self.around.url, "GET", path, headers, address=self.partner.address)
        if config.status != 200:
            self.refusals[config.status] += 1
            raise Later(2.0)
        self.around.logins[self.plan.partner] = token, msgspec.json.decode(config.body)["key"]

    async def _begun(self, line: Line) -> None:
        assert self._subscribed is not None
        subscribed = self._subscribed
        waiting: set[asyncio.Future[Any]] = {subscribed, line.closed}
        await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        if not subscribed.done():
            return
        given = await self._call("POST", "/mm/pusher", {"socket_id": subscribed.result()})
        for channel in given["data"]["authorized_channel"]:
            data = {"channel": channel["channel_name"], "auth": channel["auth"]}
            line.send(msgspec.json.encode({"event": "pusher:subscribe", "data": data}))
        await self._call("GET", "/mm/get_balance")
        self.reads += 1

    def _took(self, content: bytes) -> None:
        message = _message(content)
        event = message.event
        if event.startswith("pusher"):
            self._said(event, message)
            return
        self.messages += 1
        if event == "health_check":
            self.states += 1
            return
        change = _change(_text(message.data))
        stamps, checks = self.runs[-1][:2] if message.channel == BROADCAST else self.runs[-1][2:]
        stamps.append(change.timestamp)
        checks.append(zlib.crc32(change.payload.encode()))

    def _said(self, event: str, message: _Message) -> None:
        if event == "pusher:connection_established":
            assert self._subscribed is not None
            self._subscribed.set_result(msgspec.json.decode(_text(message.data))["socket_id"])
        elif event == "pusher_internal:subscription_succeeded":
            self._held += 1
        elif event == "pusher:ping" and self.line is not None:
            self.line.send(b'{"event":"pusher:pong","data":{}}')
        elif event == "pusher:error" and b"4200" not in bytes(message.data):
            self.said[bytes(message.data).decode()] += 1

    def _ended(self, code: int) -> None:
        if code == DISABLED:
            self.around.logins.pop(self.plan.partner, None)


KINDS: dict[str, type[Session]] = {
    "live": LiveSession,
    "native": NativeSession,
    "sse": NativeSession,
    "pusher": ExchangeSession,
}
