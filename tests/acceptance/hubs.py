"""``touchline`` as subprocesses, and requests to a running hub made with the standard library alone.

Nothing of touchline's own client code is used to speak to a hub here: signatures, requests and events are made by hand,
so that a mistake which both of our sides share does not go unseen.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import hmac
import http.client
import os
import random
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from said import SAID, metrics_of

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
TOUCHLINE = [str(Path(sys.executable).with_name("touchline"))]

LOOPBACK = ("--allow-network", "127.0.0.0/8")
"""Options of a hub whose webhooks may go to receivers on this machine."""

READY_SECONDS = 30.0
STOP_SECONDS = 20.0

T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str, seconds: float = 15.0) -> T:
    """The first true value of the condition; fails the test when there is none in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.005)
    return value


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of ours and without proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TOUCHLINE_") and not name.lower().endswith("_proxy")
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to outgoing connections.

    Among those, a client that keeps calling a dead hub would one day be given the hub's own port and speak to itself.
    """
    dice = random.SystemRandom()
    for _ in range(200):
        port = dice.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its only line on stdout, as JSON."""
        assert self.out.endswith("\n"), self
        assert self.out.count("\n") == 1, self
        return msgspec.json.decode(self.out)


def touchline(
    *arguments: str | Path, given: bytes = b"", cwd: Path | None = None, seconds: float = 60.0, **environment: str
) -> Finished:
    """Run a command to its end."""
    done = subprocess.run(
        [*TOUCHLINE, *map(str, arguments)],
        input=given,
        capture_output=True,
        cwd=cwd,
        env=clean_environment(**environment),
        timeout=seconds,
        check=False,
    )
    finished = Finished(done.returncode, done.stdout.decode(), done.stderr.decode())
    if arguments[:1] in (("partner",), ("endpoint",), ("key",)):
        SAID.never_in(finished.out)
    return finished


class Answer(NamedTuple):
    """What a server answered; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


def request(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    assert parts.hostname
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=15, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)
    with contextlib.closing(connection):
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target or "/", body or None, dict(headers or {}))
        response = connection.getresponse()
        content = response.read()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)


def signature(username: str, secret: str, host: str, path: str, method: str = "GET") -> dict[str, str]:
    """The three headers of a signed Event API request."""
    date = email.utils.formatdate(usegmt=True)
    text = f"date: {date}\nhost: {host}\n{method} {path} HTTP/1.1"
    signed = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
    return {
        "Date": date,
        "Host": host,
        "Authorization": f'hmac username="{username}",algorithm="hmac-sha1",headers="date host request-line",'
        f'signature="{signed}"',
    }


class Credentials(NamedTuple):
    """A ShotTracker partner's."""

    username: str
    secret: str


class Endpoint(NamedTuple):
    """A webhook endpoint's."""

    id: str
    secret: str


class Hub:
    """``touchline serve`` on a loopback port of its own; restarts on the same directory and port.

    ``url`` is where clients go, which a test may change (a proxy). Used as a context manager, or by the ``make_hub``
    fixture; either way the process is gone afterwards.
    """

    def __init__(
        self,
        data: Path,
        *options: str | Path,
        wrapper: Sequence[str] = (),
        scheme: str = "http",
        context: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.data = data
        self.options = list(map(str, options))
        self.wrapper = list(wrapper)
        self.scheme = scheme
        self.context = context
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.log_file = data.parent / f"{data.name}.log"
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def host(self) -> str:
        """The Host that a client of ``url`` sends."""
        return urlsplit(self.url).netloc

    @property
    def admin_key(self) -> str:
        """The key that the first start made."""
        return (self.data / "admin.key").read_text().strip()

    @property
    def publisher_key(self) -> str:
        """The key that the first start made."""
        return (self.data / "publisher.key").read_text().strip()

    @property
    def pid(self) -> int:
        """Of the hub's process."""
        assert self.process is not None
        return self.process.pid

    def log(self) -> str:
        """All that it wrote to stderr, over all its lives."""
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it and wait until it is ready."""
        assert self.process is None
        self.data.parent.mkdir(parents=True, exist_ok=True)
        command = [*self.wrapper, *TOUCHLINE, "serve", "--data", str(self.data), "--port", str(self.port)]
        SAID.add_file(self.log_file)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data.parent,
                env=clean_environment(),
            )
        wait_for(self._is_ready, "the hub is ready", READY_SECONDS)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the hub ended with {self.process.poll()}: {self.log()}"
        try:
            return self.ask("GET", "/readyz", direct=True).status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_SECONDS)
        self._has_ended()

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self._note_what_it_says()
        self.process.terminate()
        code = self.process.wait(STOP_SECONDS)
        self._has_ended()
        return code

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def close(self) -> None:
        """End it if it still runs."""
        if self.process is not None:
            self._note_what_it_says()
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self._has_ended()

    def _has_ended(self) -> None:
        self.process = None
        SAID.end_file(self.log_file)

    def _note_what_it_says(self) -> None:
        for name in ("admin.key", "publisher.key"):
            with contextlib.suppress(OSError):
                SAID.never((self.data / name).read_text().strip())
        metrics_of(lambda: self.ask("GET", "/metrics", direct=True).body)

    # --- requests ---------------------------------------------------------------------------------------------------

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        direct: bool = False,
    ) -> Answer:
        """A request to ``url``, or ``direct`` to the process's own port."""
        base = f"{self.scheme}://127.0.0.1:{self.port}" if direct else self.url
        answer = request(method, base + path, headers, body, context=self.context)
        SAID.never_of(path, answer.body)
        return answer

    def admin(self, method: str, path: str, body: object = None) -> Any:
        """An admin's request that must succeed; the document that it is answered with."""
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        content = b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(body)
        answer = self.ask(method, path, headers, content)
        assert 200 <= answer.status < 300, answer
        return answer.json if answer.body else None

    def add_partner(self, name: str, feed: str, *, grants: object = None, options: object = None) -> dict[str, str]:
        """Add a partner; its credentials."""
        body = {"name": name, "feed": feed, "grants": grants or {}, "options": options or {}}
        credentials: dict[str, str] = self.admin("POST", "/hub/v1/partners", body)["credentials"]
        return credentials

    def add_shottracker(self, name: str, **more: Any) -> Credentials:
        """Add a ShotTracker partner."""
        given = self.add_partner(name, "shottracker", **more)
        return Credentials(given["username"], given["secret"])

    def add_endpoint(
        self,
        partner: str,
        url: str,
        feed: str,
        *topics: str,
        label: str = "test",
        options: Mapping[str, str] | None = None,
    ) -> Endpoint:
        """Give a partner a webhook endpoint."""
        body = {
            "partner": partner,
            "url": url,
            "feed": feed,
            "topics": list(topics),
            "label": label,
            "options": dict(options or {}),
        }
        given = self.admin("POST", "/hub/v1/endpoints", body)
        return Endpoint(given["endpoint"], given["secret"])

    def endpoint_report(self, endpoint: str) -> dict[str, Any]:
        """How an endpoint does."""
        report: dict[str, Any] = self.admin("GET", f"/hub/v1/endpoints/{endpoint}")
        return report

    def dead_letters(self, endpoint: str) -> list[dict[str, Any]]:
        """What was given up for an endpoint."""
        letters: list[dict[str, Any]] = self.admin("GET", f"/hub/v1/endpoints/{endpoint}/dead-letters")["dead_letters"]
        return letters

    def command(self, *arguments: str | Path) -> Finished:
        """Run an operator's command against this hub."""
        return touchline(*arguments, "--url", self.url, "--data", self.data)

    def publish(self, *lines: bytes, key: str | None = None) -> dict[str, Any]:
        """Publish CloudEvents, one a line; must be accepted. The 202's document."""
        headers = {
            "Authorization": f"Bearer {key or self.publisher_key}",
            "Content-Type": "application/x-ndjson",
        }
        for line in lines:
            if b'"partner":' in line:
                SAID.never_private(msgspec.json.decode(line))
        answer = self.ask("POST", "/hub/v1/events", headers, b"\n".join(lines))
        assert answer.status == 202, answer
        document: dict[str, Any] = answer.json
        return document

    def signed(self, who: Credentials, path: str, query: str = "") -> Answer:
        """A signed Event API request."""
        return self.ask("GET", path + (f"?{query}" if query else ""), signature(*who, self.host, path))

    def token(self, who: Credentials, game: str) -> str:
        """A subscription token."""
        answer = self.signed(who, f"/v1/data/schedule/games/{game}/_subscribe")
        assert answer.status == 200, answer
        token: str = answer.json["token"]
        return token

    def ws_url(self, path: str, **query: object) -> str:
        """A WebSocket address of the hub; list values repeat."""
        pairs = urlencode({name: value for name, value in query.items() if value not in (None, "")}, doseq=True)
        return f"ws{self.url.removeprefix('http')}{path}?{pairs}"

    def live_url(self, token: str, **query: object) -> str:
        """The address of a game's live data."""
        return self.ws_url("/live/v2/games", token=token, **query)

    def start_position(self) -> str:
        """The position before everything that is kept."""
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        # Answered for a type that nothing has: the log is empty as far as this reader can see, and it has not moved.
        answer = self.ask("GET", "/hub/v1/events?limit=1", headers)
        assert answer.status == 200, answer
        assert answer.json["events"] == [], "ask for the start before anything is published"
        position: str = answer.json["position"]
        return position

    def events(self, **query: object) -> list[Event]:
        """Everything stored that the query names, read natively page by page."""
        found: list[Event] = []
        while True:
            text = urlencode({"limit": 1000, **query}, doseq=True)
            answer = self.ask("GET", f"/hub/v1/events?{text}", {"Authorization": f"Bearer {self.admin_key}"})
            assert answer.status == 200, answer
            page = msgspec.json.decode(answer.body, type=Page)
            found += page.events
            query["after"] = page.position
            if not page.more:
                return found


class Event(msgspec.Struct, frozen=True):
    """A CloudEvent as the hub gives it; ``data`` is its bytes as they stood."""

    id: str
    source: str
    type: str
    subject: str
    position: str
    lane: str
    data: msgspec.Raw
    seq: int = 0
    partner: str | None = None


class Page(msgspec.Struct):
    """A page of events."""

    events: list[Event]
    position: str
    more: bool


def cloud_event(id: str, type: str, subject: str, data: bytes, source: str = "/venue/12") -> bytes:  # noqa: A002
    """One line of a publish request, ``data`` to the byte."""
    head = {"specversion": "1.0", "id": id, "source": source, "type": type, "subject": subject}
    return msgspec.json.encode(head)[:-1] + b',"data":' + data + b"}"


def marker(id: str, subject: str, kind: str = "JERSEY_COLORS") -> bytes:  # noqa: A002
    """A marker whose data holds its id."""
    return cloud_event(id, "shottracker.marker", subject, b'{"type":"%b","note":"%b"}' % (kind.encode(), id.encode()))


def game(subject: str, *more: tuple[str, object]) -> bytes:
    """A schedule row for a game of teams 123 and 456."""
    row = {"event_id": subject, "home_team_id": 123, "away_team_id": 456, "status": "ACTIVE", **dict(more)}
    return cloud_event(f"game-{subject}", "shottracker.game", subject, msgspec.json.encode(row))


def native_headers(key: str) -> dict[str, str]:
    """What a native reader shows."""
    return {"Authorization": f"Bearer {key}"}
