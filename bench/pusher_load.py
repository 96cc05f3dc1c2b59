"""What ``bench.pusher`` loads a hub with: changes of real size, partners, and sockets that are subscribed as a real
client's are. What a client must receive is made here from the protocol's description, not by the product's code.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import random
import re
import socket
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from touchline.feeds.prophetx.exchange import Accepted, State, apply, decide
from touchline.feeds.prophetx.exchange.makers import Crowd

RECORDING = Path(__file__).parents[2] / "shared" / "recordings" / "exchange.ndjson"
BROADCAST = "private-broadcast-service=3-device_type=5"
TEMPLATES = 4000
_FIRST_SEQUENCE = 1_900_000_000_000_000_000
_SEQUENCE = re.compile(rb'"sequence_number":\d{19}')


@dataclass(frozen=True)
class Change:
    """A change to publish: ``owner`` is the index of the partner whose it is, None for everybody's."""

    kind: str
    subject: str
    op: str
    data: bytes
    owner: int | None = None


def _recorded() -> list[Change]:
    """Books and matches of the recorded market (one level a side: the source has last prices only)."""
    if not RECORDING.exists():
        return []
    found = []
    for line in RECORDING.read_bytes().splitlines():
        head, _, data = line.partition(b',"data":')
        event = json.loads(head + b"}")
        kind = event["type"].removeprefix("prophetx.")
        if kind in ("market_selections", "matched_bet"):
            found.append(Change(kind, event["subject"], event["op"], data[:-1]))
    return found


def _played(seed: int) -> tuple[list[Change], list[Change]]:
    """What the sandbox exchange makes of its crowd, in full swing: public changes, and wagers of their owners."""
    state, crowd, numbers = State(), Crowd(random.Random(seed)), itertools.count(1)
    public: list[Change] = []
    wagers: list[Change] = []
    now = 1_800_000_000 * 10**9
    for step in itertools.count():
        now += 20_000_000
        for command in crowd.next(state, now):
            result = decide(state, command, now, lambda: str(uuid.UUID(int=next(numbers))))
            if not isinstance(result, Accepted):
                continue
            for change in result.changes:
                apply(state, change)
                kind = change.type.removeprefix("prophetx.")
                if step < 500:  # the books fill first
                    continue
                if kind in ("market_selections", "matched_bet"):
                    public.append(Change(kind, change.subject, str(change.extensions["op"]), change.data))
                elif kind == "wager":
                    wagers.append(Change(kind, change.subject, str(change.extensions["op"]), change.data))
        if len(public) >= TEMPLATES:
            return public, wagers
    raise AssertionError


class Changes:
    """Endless changes: one of the recording, one of the exchange, in turn; after every ``per_wager`` of them a wager of
    the next partner. ``mix`` says so in words.
    """

    def __init__(self, partner_ids: Sequence[str], per_wager: int = 10) -> None:
        recorded = _recorded()
        played, wagers = _played(7)
        self.mix = f"{'half recorded, half' if recorded else 'all'} of the sandbox exchange (books of up to 10 a side)"
        self._partner_ids = partner_ids
        self._per_wager = per_wager
        one, other = itertools.cycle(recorded or played), itertools.cycle(played)
        self._public = [next(turn) for _ in range(TEMPLATES) for turn in (one, other)]
        self._wagers = wagers
        self._sequence = itertools.count(_FIRST_SEQUENCE)
        self._numbers = itertools.count(1)
        self._at = self._wagers_at = 0

    def take(self, count: int) -> list[Change]:
        """The next ``count`` public changes, and the wagers between them."""
        taken: list[Change] = []
        for _ in range(count):
            change = self._public[self._at % len(self._public)]
            taken.append(self._numbered(change, change.subject, None))
            self._at += 1
            if self._at % self._per_wager == 0:
                owner = self._wagers_at % len(self._partner_ids)
                wager = self._wagers[self._wagers_at % len(self._wagers)]
                taken.append(self._numbered(wager, self._partner_ids[owner], owner))
                self._wagers_at += 1
        return taken

    def _numbered(self, change: Change, subject: str, owner: int | None) -> Change:
        data = _SEQUENCE.sub(b'"sequence_number":%d' % next(self._sequence), change.data)
        return Change(change.kind, subject, change.op, data, owner)

    def line(self, run: str, change: Change) -> bytes:
        """The CloudEvent of a change."""
        attributes = {
            "specversion": "1.0",
            "id": f"{run}-{next(self._numbers)}",
            "source": "/bench",
            "type": f"prophetx.{change.kind}",
            "subject": change.subject,
            "op": change.op,
            "time": "2026-01-01T00:00:00Z",
        }
        if change.owner is not None:
            attributes["partner"] = change.subject
        return json.dumps(attributes, separators=(",", ":")).encode()[:-1] + b',"data":' + change.data + b"}"


def private_channel(partner_id: str) -> str:
    """A partner's channel (sheet, section 4)."""
    return f"private-service=3-device_type=5-user={partner_id.replace('-', '')}"


def expected_message(change: Change) -> bytes:
    """The message of a change as far as its time stamp (19 digits and ``}"}`` come behind it)."""
    payload = base64.b64encode(change.data).decode()
    data = {"change_type": change.kind, "op": change.op, "payload": payload, "timestamp": 0}
    private = change.owner is not None
    message = {
        "event": "wagers" if private else f"tournament_{change.subject}",
        "channel": private_channel(change.subject) if private else BROADCAST,
        "data": json.dumps(data, separators=(",", ":")),
    }
    return json.dumps(message, separators=(",", ":")).encode().removesuffix(b'0}"}')


def frame_bytes(message_start: int) -> int:
    """How long the frame of a message is that has so many bytes before its time stamp."""
    size = message_start + 19 + 3
    return size + (2 if size < 126 else 4)


def checksum(message: bytes) -> int:
    """As ``receivers.c`` reckons it."""
    return zlib.crc32(message)


class Market:
    """Partners of a hub, logged in, and their sockets."""

    def __init__(self, data: Path, url: str, partners: int) -> None:
        self._http = http.client.HTTPConnection(url.removeprefix("http://"))
        self._address = ("127.0.0.1", int(url.rpartition(":")[2]))
        self.publisher = (data / "publisher.key").read_text().strip()
        admin = (data / "admin.key").read_text().strip()
        self._logins: list[tuple[str, str]] = []
        self.partner_ids: list[str] = []
        for number in range(partners):
            body = {"name": f"desk{number}", "feed": "prophetx"}
            credentials = self._ask("POST", "/hub/v1/partners", body, admin)["credentials"]
            self.partner_ids.append(credentials["partner_id"])
            keys = {name: credentials[name] for name in ("access_key", "secret_key")}
            token = self._ask("POST", "/partner/auth/login", keys)["data"]["access_token"]
            config = self._ask("GET", "/partner/websocket/connection-config", None, token)
            self._logins.append((token, config["key"]))

    def _ask(self, method: str, path: str, body: object, key: str = "") -> dict[str, Any]:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._http.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._http.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:200]!r}")
        answered: dict[str, Any] = json.loads(text)
        return answered

    def metrics(self) -> dict[str, float]:
        """The hub's own counters."""
        self._http.request("GET", "/metrics")
        lines = self._http.getresponse().read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def socket(self, number: int) -> socket.socket:
        """A socket of the partner whose turn it is, with both channels; what came until then is read."""
        token, key = self._logins[number % len(self._logins)]
        plain = socket.create_connection(self._address)
        plain.settimeout(20)
        plain.sendall(
            f"GET /app/{key}?protocol=7&client=bench HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            "".encode()
        )
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            buffer += _more(plain)
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        assert b" 101 " in head.split(b"\r\n")[0], head
        text, buffer = _message(plain, buffer)
        socket_id = json.loads(json.loads(text)["data"])["socket_id"]
        allowed = self._ask("POST", "/partner/mm/pusher", {"socket_id": socket_id}, token)["data"]["authorized_channel"]
        for channel in allowed:
            data = {"channel": channel["channel_name"], "auth": channel["auth"]}
            plain.sendall(_masked(json.dumps({"event": "pusher:subscribe", "data": data}).encode()))
        held = 0
        while held < len(allowed) or buffer:
            text, buffer = _message(plain, buffer)
            held += b"subscription_succeeded" in text
        plain.setblocking(False)
        os.set_inheritable(plain.fileno(), True)
        return plain


def _more(plain: socket.socket) -> bytes:
    data = plain.recv(65536)
    if not data:
        raise SystemExit("the hub closed a socket")
    return data


def _message(plain: socket.socket, buffer: bytes) -> tuple[bytes, bytes]:
    """The next frame's content, and what is behind it. Frames are short here."""
    while True:
        if len(buffer) >= 4:
            head, size = (2, buffer[1]) if buffer[1] < 126 else (4, int.from_bytes(buffer[2:4]))
            if len(buffer) >= head + size:
                return buffer[head : head + size], buffer[head + size :]
        buffer += _more(plain)


def _masked(text: bytes) -> bytes:
    """A client's text frame, masked with zeroes."""
    return b"\x81\xfe" + len(text).to_bytes(2) + b"\0\0\0\0" + text
