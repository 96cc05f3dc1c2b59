"""``touchline demo``: a hub as a child process, sandbox games that publish into it, and what to copy and paste.

Owns the order of things (port, hub, partners, endpoints, games, and the way back); the games are ``runner``'s, the hub
is the real ``touchline serve``, webhooks go to ``sample_receiver``. Everything stands in one data directory, so that a
second run finds the partners and endpoints of the first.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from touchline.client.hub import HubClient, HubRefused
from touchline.client.receiver_server import bind
from touchline.errors import ConfigError, TouchlineError
from touchline.feeds import registry
from touchline.feeds.base import Feed, Trust
from touchline.sandbox.endpoints import ENDPOINTS_FILE, DemoEndpoint, make_endpoints, read_endpoints, trust_for
from touchline.sandbox.hub_process import HubProcess
from touchline.sandbox.private_file import write_private
from touchline.sandbox.runner import Runner
from touchline.sandbox.sample_receiver import LOG_FILE, SampleReceiver
from touchline.sandbox.showcase import Access, Showcase, make_showcase

READY_SECONDS: Final = 60.0
PORTS_TRIED: Final = 100
DEMO_PARTNER: Final = "demo"
HUB_PARTNER: Final = "demo-hub"
PARTNERS_FILE: Final = "partners.json"
RECEIVER_HOST: Final = "127.0.0.1"
_WATCH_SECONDS: Final = 0.5
_END_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

log = logging.getLogger(__name__)


def run(data: Path, host: str, port: int, speed: float, as_json: bool) -> int:
    """Run the demo until Ctrl-C or SIGTERM; the exit code.

    Raises:
        TouchlineError: no port is free, or the hub does not start or does not take us.
    """
    stop = threading.Event()
    with _stopping_on_signals(stop):
        return _Demo(data, host, speed, as_json=as_json, stop=stop).run(port)


@contextlib.contextmanager
def _stopping_on_signals(stop: threading.Event) -> Iterator[None]:
    """The signals that end a program set ``stop`` instead, so that it ends in order."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in _END_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Demo:
    """One run of the demo."""

    def __init__(self, data: Path, host: str, speed: float, *, as_json: bool, stop: threading.Event) -> None:
        self.data = data
        self.host = host
        self.speed = speed
        self.as_json = as_json
        self.stop = stop
        self.failure: TouchlineError | None = None

    def run(self, wanted_port: int) -> int:
        port = find_port(self.host, wanted_port)
        if wanted_port and port != wanted_port:
            _note(f"port {wanted_port} is busy; taking {port}")
        address = client_address(self.host)
        url = f"http://{address}:{port}"
        feeds = sandbox_feeds()
        hosted = [feed.name for feed in feeds if feed.sandbox is not None and feed.sandbox.engine is not None]
        # Around the hub: what is under way when the hub ends is answered still.
        with (
            _sample_receiver(self.data) as receiver,
            HubProcess(self.data, self.host, port, sandboxes=hosted) as hub,
        ):
            _note("starting the hub …")
            if not hub.wait_ready(url, self.stop, READY_SECONDS):
                return 0 if self.stop.is_set() else self._hub_failed(hub)
            with _client(url, self.data, "admin") as admin:
                access = make_partners(admin, self.data, _names())
                endpoints = make_endpoints(admin, self.data, _pushed(access), receiver.url_of, _note)
            hosts = frozenset({f"{address}:{port}", f"{self.host}:{port}"})
            receiver.start({one.feed: _trusted(one, hosts) for one in endpoints})
            self._show(make_showcase(url, self.data, access, feeds, endpoints))
            code = self._play(hub, url, feeds)
        if any(receiver.counts.values()):
            took = ", ".join(f"{count} of {feed}" for feed, count in receiver.counts.items() if count)
            _note(f"the sample receiver took {took}")
        return code

    def _play(self, hub: HubProcess, url: str, feeds: list[Feed]) -> int:
        with _client(url, self.data, "publisher", retry_seconds=0.0) as publisher:
            runner = Runner(publisher, feeds, speed=self.speed, loop=True, tell=_note)
            thread = threading.Thread(target=self._run, args=(runner,), name="sandbox")
            thread.start()
            try:
                while hub.alive() and not self.stop.wait(_WATCH_SECONDS):
                    pass
                asked = self.stop.is_set()
            finally:
                self.stop.set()
                thread.join()
        if self.failure is not None:
            raise self.failure
        if not asked:
            return self._hub_failed(hub)
        _note("stopping the hub …")
        return 0

    def _run(self, runner: Runner) -> None:
        try:
            runner.run(self.stop)
        except TouchlineError as problem:
            self.failure = problem
            self.stop.set()
        except Exception as problem:
            log.exception("the sandbox failed")
            self.failure = TouchlineError(f"the sandbox failed: {problem!r}")
            self.stop.set()

    def _hub_failed(self, hub: HubProcess) -> int:
        said = "".join(f"\n  {line}" for line in hub.last_words())
        if hub.alive():
            _note(f"the hub was not ready after {READY_SECONDS:.0f} s; its last words:{said or ' none'}")
        else:
            _note(f"the hub has ended (exit code {hub.exit_code()}); its last words:{said or ' none'}")
        return 1

    def _show(self, showcase: Showcase) -> None:
        if self.as_json:
            sys.stdout.write(msgspec.json.encode(showcase).decode() + "\n")
        else:
            sys.stdout.write(showcase.text())
        sys.stdout.flush()


def sandbox_feeds() -> list[Feed]:
    """Every feed that can simulate itself."""
    return [feed for feed in registry.feeds().values() if feed.sandbox is not None]


@contextlib.contextmanager
def _sample_receiver(data: Path) -> Iterator[SampleReceiver]:
    """Listens on the port of the run before if it is free: endpoints keep their address then."""
    before = next((urlsplit(one.url).port for one in read_endpoints(data / ENDPOINTS_FILE)), None)
    try:
        listener = bind(RECEIVER_HOST, before or 0)
    except ConfigError:
        listener = bind(RECEIVER_HOST, 0)
    receiver = SampleReceiver(listener, data / LOG_FILE)
    try:
        yield receiver
    finally:
        receiver.close()


def _pushed(partners: list[Access]) -> list[tuple[str, Feed]]:
    """The partners whose feed is pushed by webhooks."""
    feeds = registry.feeds()
    pairs = ((one.partner, feeds[one.feed]) for one in partners if one.feed in feeds)
    return [(partner, feed) for partner, feed in pairs if feed.webhook is not None]


def _trusted(endpoint: DemoEndpoint, hub_hosts: frozenset[str]) -> tuple[Feed, Trust]:
    feed = registry.load(endpoint.feed)
    return feed, trust_for(feed, endpoint, hub_hosts)


def _names() -> list[tuple[str, str]]:
    """The demo's partners: one that has every feed that plays, one that reads natively."""
    return [*((DEMO_PARTNER, feed.name) for feed in sandbox_feeds() if feed.credentials), (HUB_PARTNER, "hub")]


def find_port(host: str, wanted: int) -> int:
    """The wanted port or, when it is taken, the next free one (0: any).

    Raises:
        ConfigError: the address is not one of this machine's, or no port is free.
    """
    for port in range(wanted, min(wanted + PORTS_TRIED, 65_536)):
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                # As servers do: a port whose last owner has just gone is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
                return int(probe.getsockname()[1])
        except socket.gaierror as problem:
            raise ConfigError(f"cannot listen on {host!r}: {problem.strerror}") from None
        except PermissionError:
            continue
        except OSError as problem:
            if problem.errno == errno.EADDRNOTAVAIL:
                raise ConfigError(f"cannot listen on {host!r}: it is no address of this machine") from None
    raise ConfigError(f"no port is free from {wanted} on; give another with --port")


def client_address(host: str) -> str:
    """The address under which this machine reaches a hub that listens on ``host``, as it stands in a URL."""
    if host in ("0.0.0.0", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def _client(url: str, data: Path, role: str, *, retry_seconds: float = 30.0) -> HubClient:
    path = data / f"{role}.key"
    try:
        key = path.read_text("utf-8").strip()
    except OSError as problem:
        raise ConfigError(f"cannot read {path}: {problem.strerror}; does another user own {data}?") from None
    return HubClient(url, key, retry_seconds=retry_seconds)


# partners


def make_partners(admin: HubClient, data: Path, wanted: list[tuple[str, str]]) -> list[Access]:
    """The demo's partners with their credentials: those of an earlier run, or new ones.

    A hub shows secrets once, so they are kept beside its own keys in a file that only the owner can read.
    """
    path = data / PARTNERS_FILE
    known = {(access.partner, access.feed): access for access in _read_partners(path)}
    result: list[Access] = []
    for name, feed in wanted:
        answer: dict[str, Any] | None
        try:
            answer = admin.add_partner(name, feed)
        except HubRefused as problem:
            if problem.status != 409:
                raise
            answer = None if (name, feed) in known else admin.rotate(name, feed)
        result.append(known[name, feed] if answer is None else Access(name, feed, answer["credentials"]))
    write_private(path, msgspec.json.format(msgspec.json.encode(result)))
    return result


def _read_partners(path: Path) -> list[Access]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Access])
    except (OSError, msgspec.MsgspecError):
        return []


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
