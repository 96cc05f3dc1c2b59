"""A hub of the bench as its users see it: keys, a session's handshake, plain sockets that are past it."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import trustme
import urllib3

from touchline.benchmarks.events import FEED, event
from touchline.benchmarks.machine import LOOPBACK
from touchline.benchmarks.readers import handshake
from touchline.clock import SystemClock
from touchline.feeds.shottracker.auth import http_date, sign

GAME = "bench-game"
EVENT_FRAME_BYTES = 256
PADDING = 19
"""Makes an event's frame on the basketball socket ``EVENT_FRAME_BYTES`` long, give or take the digits of ``seq``."""


class Hub:
    """The hub at an address, with the keys in its data directory."""

    def __init__(self, url: str, data: Path, ca_file: Path | None = None) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.admin, self.publisher = ((data / f"{role}.key").read_text().strip() for role in ("admin", "publisher"))
        self._http = urllib3.PoolManager(ca_certs=None if ca_file is None else str(ca_file))

    def ask(self, method: str, path: str, key: str, **arguments: object) -> urllib3.BaseHTTPResponse:
        """A request that must succeed."""
        headers = {"authorization": "Bearer " + key, **arguments.pop("headers", {})}  # type: ignore[dict-item]
        answer = self._http.request(method, self.url + path, headers=headers, **arguments)  # type: ignore[arg-type]
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {answer.data[:200]!r}")
        return answer

    def publish(self, lines: list[bytes]) -> str:
        """Publish in one request; the position behind it."""
        headers = {"content-type": "application/x-ndjson"}
        return str(
            self.ask("POST", "/hub/v1/events", self.publisher, body=b"\n".join(lines), headers=headers).json()[
                "position"
            ]
        )

    def metrics(self) -> dict[str, float]:
        """The hub's own counters."""
        lines = self._http.request("GET", self.url + "/metrics").data.decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def game_session(self, game: str = GAME, query: str = "") -> str:
        """The handshake of a session of the basketball feed that gets a game from its beginning."""
        self.publish([event(f"first-{time.time_ns()}", game, 0).replace(b'"sent":0,', b"")])  # not one to be timed
        partner = {"name": f"bench-{time.time_ns()}", "feed": FEED}
        credentials = self.ask("POST", "/hub/v1/partners", self.admin, json=partner).json()["credentials"]
        host, path = self.url.partition("://")[2], f"/v1/data/schedule/games/{game}/_subscribe"
        date = http_date(SystemClock().wall_ns())
        signed = sign(
            credentials["username"], credentials["secret"], method="GET", target_path=path, host=host, date=date
        )
        answer = self._http.request("GET", self.url + path, headers={"date": date, "authorization": signed})
        return handshake(f"/live/v2/games?token={answer.json()['token']}{query}")


def served_by_tls(directory: Path) -> tuple[Path, tuple[str, ...]]:
    """A new authority's certificate, and the flags of a hub that serves localhost by one that it issued."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    ca, cert, key = (directory / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca)
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    return ca, ("--tls-cert", str(cert), "--tls-key", str(key))


def opened(port: int, hello: str, count: int) -> list[socket.socket]:
    """Sockets whose handshake was answered with 101; what came behind the answer is still in them."""
    sockets = [begun(port, hello) for _ in range(count)]
    for one in sockets:
        one.settimeout(20)
        end = -1
        while end < 0:
            head = one.recv(4096, socket.MSG_PEEK)
            if not head:
                raise SystemExit("the server closed a socket")
            end = head.find(b"\r\n\r\n")
        if b" 101 " not in one.recv(end + 4)[:16]:
            raise SystemExit(f"a session was refused: {head[:200]!r}")
        one.setblocking(False)
    return sockets


def begun(port: int, hello: str) -> socket.socket:
    """A socket that has sent its handshake and waits for no answer."""
    plain = socket.create_connection((LOOPBACK, port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.sendall(hello.encode())
    return plain


def closed(sockets: list[socket.socket]) -> None:
    """Close them all."""
    for one in sockets:
        one.close()
