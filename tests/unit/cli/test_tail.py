"""tail: options from the feed's settings, lines for people, NDJSON, and the ways to end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from touchline.cli import tail

Command = Callable[..., Any]
STATS = '{"seq":"25","type":"data","source":"boxscorestatsv2","data":{"n":9007199254740993,"x":"\\u001b[31m"}}'
LOCATION = '{"type":"data",\n "source":"location","data":{"y":\n-8635.0}}'


class Provider:
    """Speaks what the test scripts, to each connection the same, then closes or stays."""

    def __init__(self) -> None:
        self.messages: list[str] = [STATS, LOCATION]
        self.code: int | None = 1000
        self.subscribe: tuple[int, bytes] = (200, b'{"token":"T"}')
        self.paths: list[str] = []
        self.authorizations: list[str] = []
        self.server = serve(
            self._talk,
            "127.0.0.1",
            0,
            process_request=self._process,
            select_subprotocol=lambda connection, offered: offered[0] if offered else None,
        )
        self.url = f"http://127.0.0.1:{self.server.socket.getsockname()[1]}"

    def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        self.paths.append(request.path)
        self.authorizations.append(request.headers.get("authorization", ""))
        if "_subscribe" not in request.path:
            return None
        status, body = self.subscribe
        headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
        return Response(status, HTTPStatus(status).phrase, headers, body)

    def _talk(self, connection: ServerConnection) -> None:
        for message in self.messages:
            connection.send(message)
        if self.code is None:
            for _ in connection:
                pass
        else:
            connection.close(self.code)


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()


def shottracker(provider: Provider, *more: str) -> list[str]:
    fixed = ["--url", provider.url, "--username", "u", "--secret", "s", "--game", "g 1"]
    return ["tail", "shottracker", *fixed, *more]


def test_prints_each_message_as_it_came(provider: Provider, touchline: Command) -> None:
    done = touchline(*shottracker(provider, "--json", "--source", "clock", "--source", "shot", "--last-seq", "7"))
    assert done.code == 0
    first, second = done.out.splitlines()
    assert first == STATS
    assert msgspec.json.decode(second)["data"] == {"y": -8635.0}
    assert "-- connected: " in done.err
    assert "-- finished: " in done.err
    assert provider.paths == [
        "/v1/data/schedule/games/g%201/_subscribe",
        "/live/v2/games?token=T&source=clock&source=shot&last_seq=7",
    ]


def test_prints_lines_for_people(provider: Provider, touchline: Command) -> None:
    provider.messages = [STATS, LOCATION.replace("\n", ""), '{"source":"a","data":"\x9b2J"}']
    done = touchline(*shottracker(provider))
    first, second, third = done.out.splitlines()
    assert first == 'boxscorestatsv2 25 {"n":9007199254740993,"x":"\\u001b[31m"}'
    assert second == 'location - {"y":-8635.0}'
    assert "\x9b" not in third


def test_count_ends_it(provider: Provider, touchline: Command) -> None:
    provider.code = None
    done = touchline(*shottracker(provider, "--count", "1", "--json"))
    assert (done.code, done.out) == (0, STATS + "\n")


def test_a_refusal_is_an_error(provider: Provider, touchline: Command) -> None:
    provider.subscribe = (403, b'{"status":403,"message":"Access denied to resource"}')
    done = touchline(*shottracker(provider))
    assert (done.code, done.out) == (1, "")
    assert "touchline: _subscribe was refused with 403 Access denied to resource" in done.err


def test_options_come_from_the_environment_too(
    provider: Provider, touchline: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHLINE_URL", provider.url)
    monkeypatch.setenv("TOUCHLINE_TAIL_SHOTTRACKER_SECRET", "from-there")
    assert touchline("tail", "shottracker", "--username", "u", "--event-id", "g", "--count", "1").code == 0


def test_values_are_checked_by_the_settings(provider: Provider, touchline: Command) -> None:
    done = touchline(*shottracker(provider, "--last-seq", "-1"))
    assert done.code == 2
    assert "last_seq" in done.err


def test_the_native_feed(provider: Provider, touchline: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOUCHLINE_KEY", raising=False)
    event = '{"specversion":"1.0","id":"1","type":"shottracker.shot","position":"abcdefgh-1","data":{"a":1}}'
    provider.messages = [event]
    fixed = ("tail", "hub", "--url", provider.url)
    chosen = ("--feed", "shottracker", "--subject", "g", "--type", "shottracker.shot", "--after", "abcdefgh-0")
    done = touchline(*fixed, "--key", "K", *chosen, "--json")
    assert (done.code, done.out) == (0, event + "\n")
    assert provider.authorizations == ["Bearer K"]
    assert provider.paths == ["/hub/v1/ws?feed=shottracker&subject=g&type=shottracker.shot&after=abcdefgh-0"]
    assert "no key" in touchline(*fixed).err


def test_help_is_complete(touchline: Command) -> None:
    assert "shottracker" in touchline("tail", "--help").out
    listed = touchline("tail", "shottracker", "--help").out
    for option in ("--username", "--secret", "--game", "--source", "--last-seq", "--count", "--json", "--ca-file"):
        assert option in listed
    assert tail.find_surface("insights") is None or "insights" in touchline("tail", "--help").out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(provider: Provider, number: signal.Signals) -> None:
    provider.code = None
    program = "import sys; from touchline.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *shottracker(provider, "--json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == STATS + "\n"
        process.send_signal(number)
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()
