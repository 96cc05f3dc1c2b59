"""A small hub of its own making for the commands: HTTP in a thread, partners and keys in memory."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from touchline.cli.root import run


class FakeHub:
    def __init__(self) -> None:
        self.partners: dict[str, dict[str, Any]] = {}
        self.keys: list[dict[str, Any]] = []
        self.published: list[list[bytes]] = []
        self.refuse: dict[bytes, str] = {}
        """Lines that are refused, and why."""
        self.status: dict[str, Any] = {}
        self.good_keys = {"admin-key", "publisher-key"}
        self.requests: list[tuple[str, str]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                hub.requests.append((self.command, self.path))
                authorization = self.headers.get("authorization", "")
                if self.path != "/healthz" and authorization.removeprefix("Bearer ") not in hub.good_keys:
                    status, answer = 401, {"title": "Unauthorized", "detail": "a good key is needed"}
                else:
                    status, answer = hub.answer(self.command, self.path, body, self.headers["host"])
                content = b"" if status == 204 else msgspec.json.encode(answer)
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"http://{self.host}"

    def answer(self, method: str, path: str, body: bytes, host: str) -> tuple[int, Any]:
        path, _, query = path.partition("?")
        parts = path.removeprefix("/hub/v1/").split("/")
        if path == "/healthz":
            return 200, {}
        if path == "/hub/v1/status":
            return 200, {"wall_ns": time.time_ns(), "version": "9", "request": {"host": host}} | self.status
        if path == "/hub/v1/events" and method == "POST":
            return self._publish(body.split(b"\n"), skip="on_error=skip" in query)
        if parts[0] == "keys":
            return self._keys(method, parts[1:], body)
        if parts[0] == "partners":
            return self._partners(method, parts[1:], body)
        return 404, {"title": "Not Found"}

    def _publish(self, lines: list[bytes], *, skip: bool) -> tuple[int, Any]:
        errors = [
            {"index": index, "field": "id", "detail": self.refuse[line]}
            for index, line in enumerate(lines)
            if line in self.refuse
        ]
        if errors and not skip:
            return 400, {"title": "Bad Request", "detail": "events cannot be taken", "errors": errors}
        self.published.append(lines)
        return 202, {"accepted": len(lines) - len(errors), "duplicates": 0, "position": "abcdefgh-1", "errors": errors}

    def _keys(self, method: str, parts: list[str], body: bytes) -> tuple[int, Any]:
        if method == "POST":
            made = {"id": f"k{len(self.keys) + 1}"} | msgspec.json.decode(body)
            self.keys.append(made)
            return 201, made | {"key": "hush"}
        if method == "DELETE":
            self.keys = [key for key in self.keys if key["id"] != parts[0]]
            return 204, None
        return 200, {"keys": self.keys}

    def _partners(self, method: str, parts: list[str], body: bytes) -> tuple[int, Any]:
        given = msgspec.json.decode(body) if body else {}
        if method == "POST" and not parts:
            name, feed = given["name"], given["feed"]
            partner = self.partners.setdefault(name, {"name": name, "suspended": False, "created_at": "x", "feeds": {}})
            entry = {"grants": given["grants"], "options": given["options"], "credentials": {"username": name}}
            partner["feeds"][feed] = entry
            credentials = {"username": name, "secret": "hush"}
            return 201, {"partner": name, "feed": feed, "credentials": credentials, "more": 1}
        if not parts:
            return 200, {"partners": list(self.partners.values())}
        if (partner := self.partners.get(parts[0])) is None:
            return 404, {"title": "Not Found", "detail": f"there is no partner {parts[0]}"}
        if method == "PUT":
            partner["feeds"][parts[2]] |= given
        elif method == "DELETE" and len(parts) == 1:
            del self.partners[parts[0]]
            return 204, None
        elif method == "DELETE":
            del partner["feeds"][parts[2]]
            return 204, None
        elif parts[-1] == "rotate":
            return 200, {"partner": parts[0], "feed": parts[2], "credentials": {"secret": "new"}}
        elif method == "POST":
            partner["suspended"] = parts[1] == "suspend"
        return 200, partner


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    fake = FakeHub()
    thread = threading.Thread(target=fake.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("TOUCHLINE_URL", fake.url)
    monkeypatch.setenv("TOUCHLINE_KEY", "admin-key")
    yield fake
    fake.server.shutdown()
    fake.server.server_close()
    thread.join()


class Outcome(msgspec.Struct):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out.endswith("\n")
        assert self.out.count("\n") == 1
        return msgspec.json.decode(self.out)


@pytest.fixture
def touchline(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def command(*arguments: str) -> Outcome:
        code = run(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return command
