"""listen: what it takes, prints, confirms and forwards; its options, refusals and ways to end."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import listen_toy
import msgspec
import pytest
import trustme

from touchline.cli import listen
from touchline.feeds import registry

SECRET = "hush-hush"
Command = Callable[..., Any]
PROGRAM = Path(listen_toy.__file__)


class Listening:
    """A running ``touchline listen toy``."""

    def __init__(self, *options: str | Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "listen", "toy", "--port", "0", *map(str, options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**{k: v for k, v in os.environ.items() if not k.startswith("TOUCHLINE_")}, **environment},
        )
        self.errors: list[str] = []
        self._announced = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._announced.wait(30)
        found = re.search(r"-- listening: (https?)://127\.0\.0\.1:(\d+)/\S* for toy\n", "".join(self.errors))
        if found is None:
            self.close()
            raise AssertionError(self.errors)
        self.scheme, self.port = found[1], int(found[2])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)
            if line.startswith("-- listening"):
                self._announced.set()
        self._announced.set()

    def post(
        self, body: bytes, secret: str | None = SECRET, path: str = "/", context: ssl.SSLContext | None = None
    ) -> tuple[int, bytes]:
        connection: http.client.HTTPConnection = (
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            if context is None
            else http.client.HTTPSConnection("localhost", self.port, timeout=20, context=context)
        )
        with contextlib.closing(connection):
            headers = {} if secret is None else {"X-Signature": listen_toy.sign(body, secret)}
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def end(self, number: int | None = signal.SIGINT) -> tuple[int, str, str]:
        """Exit code, stdout and stderr; a signal ends it unless it ends by itself."""
        if number is not None:
            self.process.send_signal(number)
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        code = self.process.wait(30)
        self._reader.join()
        return code, out, "".join(self.errors)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def listening() -> Iterator[Callable[..., Listening]]:
    started: list[Listening] = []

    def start(*options: str | Path, **environment: str) -> Listening:
        started.append(Listening(*options, **environment))
        return started[-1]

    yield start
    for one in started:
        one.close()


def shot(number: int, kind: str = "shot", **members: object) -> bytes:
    return msgspec.json.encode({"id": str(number), "kind": kind, **members})


class Behind:
    """What stands behind the receiver: keeps what it is asked, answers as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self.statuses: list[int] = []
        behind = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                behind.asked.append((self.command, self.path, body))
                self.send_response(behind.statuses.pop(0) if behind.statuses else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def behind() -> Iterator[Behind]:
    made = Behind()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


# --- what it does ---


def test_verified_messages_are_printed_once_as_they_came(listening: Callable[..., Listening]) -> None:
    running = listening("--secret", "older", "--secret", SECRET, "--json", "--count", "3")
    first = shot(1, big=9007199254740993)
    assert running.post(first) == (200, b"")
    assert running.post(first) == (200, b"")  # a repetition
    assert running.post(shot(2), "wrong")[0] == 403
    assert running.post(b"{", "older")[0] == 400
    assert running.post(b'{"id":"3",\n "kind":"shot"}', "older")[0] == 200
    assert running.post(shot(4))[0] == 200
    code, out, err = running.end(None)
    assert code == 0
    assert out.splitlines() == [first.decode(), '{"id":"3","kind":"shot"}', shot(4).decode()]
    assert "-- duplicate: 1" in err
    assert err.count("-- refused: ") == 2
    assert SECRET not in out + err
    assert "Traceback" not in err


def test_lines_for_people_cannot_steer_the_terminal(listening: Callable[..., Listening]) -> None:
    running = listening("--count", "1", TOUCHLINE_LISTEN_SECRET=f"{SECRET} other")
    assert running.post(shot(1, text="\x9b2J"))[0] == 200
    code, out, err = running.end(None)
    assert (code, len(err.splitlines())) == (0, 1)
    assert out.startswith('toy.shot g\ufffd1 {"id":"1"')
    assert "\x9b" not in out


def test_handshakes_are_confirmed_at_trusted_hosts_alone(listening: Callable[..., Listening], behind: Behind) -> None:
    running = listening("--secret", SECRET, "--trust-host", behind.host, "--plain-http", "--count", "1")
    assert running.post(shot(1, confirm=f"http://{behind.host}/yes?Token=T"))[0] == 200
    assert running.post(shot(2, confirm="http://127.0.0.1:1/no"))[0] == 403
    assert behind.asked == [("GET", "/yes?Token=T", b"")]
    assert running.post(shot(3))[0] == 200
    code, out, err = running.end(None)
    assert (code, out.count("\n")) == (0, 1)
    assert "-- confirmed: topic t" in err
    assert "Token=T" not in err


def test_what_was_verified_is_forwarded_and_the_answer_goes_back(
    listening: Callable[..., Listening], behind: Behind, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text(f"\nolder\n{SECRET}\n")
    running = listening("--secret-file", secrets, "--forward-to", f"http://{behind.host}/in", "--json", "--path", "/h")
    assert running.post(shot(1), "wrong", "/h")[0] == 403
    assert running.post(shot(1), path="/other")[0] == 404
    behind.statuses = [500]
    assert running.post(shot(1), path="/h")[0] == 500
    assert running.post(shot(1), path="/h")[0] == 200
    assert behind.asked == [("POST", "/in", shot(1))] * 2
    behind.server.server_close()
    behind.server.shutdown()
    assert running.post(shot(2), path="/h")[0] == 502
    code, out, err = running.end()
    assert (code, out) == (0, shot(1).decode() + "\n")
    assert "answered 500" in err
    assert "connection refused" in err


def test_options_of_the_feed_reach_its_codec(listening: Callable[..., Listening]) -> None:
    running = listening("--secret", SECRET, "--option", "kind=goal")
    assert running.post(shot(1)) == (403, b"not taken: this is a shot")
    assert running.post(shot(2, "goal"))[0] == 200
    assert running.end(signal.SIGTERM)[0] == 0


def test_without_a_secret_it_warns(listening: Callable[..., Listening]) -> None:
    running = listening()
    assert running.post(shot(1), None)[0] == 200
    code, _, err = running.end()
    assert code == 0
    assert "-- warning: no --secret was given" in err


def test_it_speaks_tls(listening: Callable[..., Listening], tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.private_key_pem.write_to_path(key)
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    running = listening("--secret", SECRET, "--tls-cert", chain, "--tls-key", key, "--count", "1")
    assert running.scheme == "https"
    assert running.post(shot(1), context=context)[0] == 200
    assert running.end(None)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_with_a_connection_open(listening: Callable[..., Listening], number: int) -> None:
    running = listening("--secret", SECRET)
    with socket.create_connection(("127.0.0.1", running.port)) as idle:
        idle.sendall(b"POST / HTTP/1.1\r\nhost: x\r\n")
        code, _, err = running.end(number)
    assert code == 0
    assert "Traceback" not in err


def test_a_message_that_hangs_behind_does_not_hold_it_up(listening: Callable[..., Listening]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        port = hole.getsockname()[1]
        running = listening("--secret", SECRET, "--forward-to", f"http://127.0.0.1:{port}/")
        answers: list[tuple[int, bytes]] = []
        sender = threading.Thread(target=lambda: answers.append(running.post(shot(1))))
        sender.start()
        arrived, _ = hole.accept()
        running.process.send_signal(signal.SIGINT)
        sender.join(30)
        arrived.close()
        code, _, err = running.end(None)
    assert (code, answers) == (0, [(503, b"")])
    assert "Traceback" not in err


def test_a_reader_that_goes_ends_it(listening: Callable[..., Listening]) -> None:
    running = listening("--secret", SECRET, "--json")
    assert running.process.stdout is not None
    running.process.stdout.close()
    assert running.post(shot(1))[0] == 503
    assert running.process.wait(30) == 1


# --- what it refuses ---


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    others = registry.load
    monkeypatch.setattr(registry, "load", lambda name: listen_toy.TOY if name == "toy" else others(name))


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 1, "there is no feed 'nowhere'; pushed by webhooks: hub"),
        (["shottracker"], 1, "shottracker is not pushed by webhooks; 'touchline tail shottracker' receives it"),
        (["toy", "--option", "colour=red"], 2, "toy receivers do not know it; they know: kind, note."),
        (["toy", "--option", "kind=red"], 2, "expected shot or goal"),
        (["toy", "--option", "kind"], 2, "expected KEY=VALUE"),
        (["toy", "--trust-host", "https://x/y"], 2, "expected HOST or HOST:PORT"),
        (["toy", "--trust-host", "x:99999"], 2, "expected HOST or HOST:PORT"),
        (["toy", "--forward-to", "ftp://x"], 2, "expected http://… or https://…"),
        (["toy", "--path", "hook"], 2, "expected /…"),
        (["toy", "--tls-cert", "x.pem"], 2, "go together"),
        (["toy", "--secret", " "], 2, "--secret is empty"),
        (["toy", "--secret-file", "/does/not/exist"], 1, "cannot read secrets from /does/not/exist: No such file"),
        (["toy", "--tolerance", "-1"], 2, "greater than or equal to 0"),
        (["toy", "--host", "192.0.2.1"], 1, "cannot listen on 192.0.2.1:9000"),
        (["toy", "--tls-cert", os.devnull, "--tls-key", os.devnull, "--port", "0"], 1, "cannot use /dev/null with"),
    ],
)
def test_wrong_usage_is_one_line(touchline: Command, arguments: list[str], code: int, words: str) -> None:
    done = touchline("listen", *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert len([line for line in done.err.splitlines() if not line.startswith("-- ")]) == 1


@pytest.mark.usefixtures("toy")
def test_a_busy_port_is_one_line(touchline: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = touchline("listen", "toy", "--port", str(port))
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port" in done.err


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("content", [b"\n\n", b"{}", b'{"secret":""}', b'{"secret":1}', b'{"secret":', b"\xff"])
def test_a_secret_file_without_one_is_said(touchline: Command, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    done = touchline("listen", "toy", "--secret-file", str(tmp_path / "file"))
    assert done.code == 1
    assert "holds no secret" in done.err or "not a text file" in done.err


def test_secrets_are_read_from_lines_and_from_what_endpoint_add_prints(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(f"  a\n\n{SECRET}\r\n")
    (tmp_path / "document").write_text('{"endpoint":"ep_1","secret":"whsec_x","state":"active"}\n')
    assert listen.read_secrets([tmp_path / "lines", tmp_path / "document"]) == ["a", SECRET, "whsec_x"]


@pytest.mark.parametrize(
    ("given", "resign", "tolerance"), [(None, True, 300.0), (None, False, None), (7.0, False, 7.0)]
)
def test_how_old_a_message_may_be(given: float | None, resign: bool, tolerance: float | None) -> None:
    capabilities = msgspec.structs.replace(listen_toy.TOY.capabilities, resign_on_retry=resign)
    feed = msgspec.structs.replace(listen_toy.TOY, capabilities=capabilities)
    assert listen._tolerance(feed, given) == tolerance
    assert listen._tolerance(feed, float("inf")) is None


def test_every_feed_with_webhooks_can_be_listened_to(touchline: Command) -> None:
    for feed in registry.feeds().values():
        done = touchline("listen", feed.name, "--option", "no-such-option=1")
        assert done.code == (1 if feed.webhook is None else 2), done


def test_help_is_complete(touchline: Command) -> None:
    listed = touchline("listen", "--help").out
    for option in ("--secret", "--forward-to", "--trust-host", "--count", "--json", "TOUCHLINE_LISTEN_SECRET"):
        assert option in listed
