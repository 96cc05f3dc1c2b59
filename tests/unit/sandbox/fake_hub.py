"""Stands in for ``touchline serve`` in the demo's tests: keys, readiness, partners, endpoints, a count of events.

``FAKE_HUB=no-endpoints`` refuses endpoints, ``FAKE_HUB=dies`` ends at once, ``FAKE_HUB=dies-later`` once it has taken
events. What was asked of it stands in ``fake.json`` of the data directory.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

arguments = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
data = Path(arguments["--data"])
mode = os.environ.get("FAKE_HUB", "")
if mode == "dies":
    sys.exit("the data directory is in use by another hub")
data.mkdir(exist_ok=True)
for role in ("admin", "publisher"):
    (data / f"{role}.key").write_text(f"{role}-key\n")
state_path = data / "fake.json"
state: dict[str, Any] = {"partners": {}, "endpoints": {}, "events": 0, "sources": []}
if state_path.exists():
    state = json.loads(state_path.read_text())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

    def do_GET(self) -> None:
        if not self.path.startswith("/hub/v1/endpoints/"):
            self.answer(200, {"path": self.path})
        elif (endpoint := state["endpoints"].get(self.path.split("/")[4])) is None:
            self.answer(404, {"title": "Not Found"})
        else:
            self.answer(200, endpoint)

    def do_PATCH(self) -> None:
        endpoint = state["endpoints"][self.path.split("/")[4]]
        endpoint |= json.loads(self.body()) | {"changes": endpoint.get("changes", 0) + 1}
        state_path.write_text(json.dumps(state))
        self.answer(200, endpoint)

    def do_POST(self) -> None:
        body = self.body()
        role = "publisher" if self.path.startswith("/hub/v1/events") else "admin"
        if self.headers["authorization"] != f"Bearer {role}-key":
            self.answer(401, {"title": "no key"})
        elif role == "publisher":
            events = [json.loads(line) for line in body.splitlines()]
            state["events"] += len(events)
            state["sources"] = sorted({*state["sources"], *(event["source"] for event in events)})
            state_path.write_text(json.dumps(state))
            self.answer(202, {"accepted": len(events), "duplicates": 0, "position": "p"})
            if mode == "dies-later":
                sys.stderr.write("disk full\n")
                sys.stderr.flush()
                os._exit(3)
        elif self.path.endswith("/endpoints"):
            if mode == "no-endpoints":
                self.answer(422, {"title": "that is no topic"})
                return
            name = f"ep_{len(state['endpoints'])}"
            state["endpoints"][name] = json.loads(body) | {"endpoint": name}
            state_path.write_text(json.dumps(state))
            self.answer(201, {"endpoint": name, "secret": "whsec_c2VjcmV0c2VjcmV0", "state": "active"})
        elif self.path.endswith("/rotate"):
            self.partner(self.path.split("/")[4], self.path.split("/")[6], 200)
        else:
            asked = json.loads(body)
            key = f"{asked['name']}:{asked['feed']}"
            if key in state["partners"]:
                self.answer(409, {"title": "exists"})
            else:
                self.partner(asked["name"], asked["feed"], 201)

    def partner(self, name: str, feed: str, status: int) -> None:
        count = state["partners"].get(f"{name}:{feed}", 0) + 1
        state["partners"][f"{name}:{feed}"] = count
        state_path.write_text(json.dumps(state))
        secret = f"-se'cret {count}"
        credentials = {"key": secret} if feed == "hub" else {"username": name, "secret": secret}
        self.answer(status, {"partner": name, "feed": feed, "credentials": credentials})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


server = ThreadingHTTPServer((arguments["--host"], int(arguments["--port"])), Handler)
server.daemon_threads = True
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.02)
(data / "ended.txt").write_text("in order")
