"""The demo: port, hub, partners, games, and an orderly end. ``fake_hub.py`` stands in for the hub, as a process."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from touchline.client.hub import HubClient
from touchline.errors import ConfigError
from touchline.feeds.base import (
    Capabilities,
    ClientRole,
    ClientSurface,
    CredentialField,
    Dice,
    EventType,
    Feed,
    Form,
    Instant,
    Keep,
    SandboxCommand,
    SandboxOptions,
    SandboxSurface,
    Timed,
)
from touchline.sandbox import demo, endpoints, hub_process, showcase
from touchline.sandbox.showcase import Access, make_showcase

FAKE_HUB = Path(__file__).with_name("fake_hub.py")


def simulate(dice: Dice, options: SandboxOptions) -> Iterator[Timed]:
    at = 0
    while True:
        yield Timed(at, "toy.fact", "s", b"1")
        at += 10_000_000


class ToySettings(msgspec.Struct):
    """What the toy's client is told: of the credentials it needs only these."""

    username: str
    secret: str
    game: str


def connect(settings: Any, dice: Dice, now: Instant) -> ClientRole:
    raise AssertionError((settings, dice, now))


REST = SandboxCommand("rest", "the toy's REST", "curl -H 'auth: <secret>' \"<url>/toy/<subject>?a=<b>\"")
TOY = Feed(
    name="toy",
    title="Toy",
    document="",
    compared_on="",
    types=(EventType("toy.fact", int),),
    capabilities=Capabilities(frozenset()),
    credentials=(
        CredentialField("username", Form.NAME, Keep.PLAIN, lookup=True),
        CredentialField("secret", Form.TOKEN, Keep.PLAIN),
    ),
    sandbox=SandboxSurface(simulate, "toy-game", "a toy that ticks", tail={"game": "toy-game"}, commands=(REST,)),
    client=ClientSurface(ToySettings, connect),
)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_process, "touchline_command", lambda: [sys.executable, str(FAKE_HUB)])
    monkeypatch.setattr(demo, "sandbox_feeds", lambda: [TOY])


class StopWhen(threading.Event):
    """Is set by itself once the hub has some more events, looked at whenever somebody waits."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        self.path = data / "fake.json"
        self.before = self.count()

    def count(self) -> int:
        try:
            return int(json.loads(self.path.read_text())["events"])
        except (OSError, ValueError):
            return 0

    def wait(self, timeout: float | None = None) -> bool:
        if not super().wait(min(timeout or 0.02, 0.02)) and self.count() > self.before + 5:
            self.set()
        return self.is_set()


def play(data: Path, *, stop: threading.Event, as_json: bool = True) -> int:
    return demo._Demo(data, "127.0.0.1", 1.0, as_json=as_json, stop=stop).run(0)


def state(data: Path) -> Any:
    return json.loads((data / "fake.json").read_text())


@pytest.mark.usefixtures("fake")
def test_games_are_played_into_the_hub_and_everything_ends_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "demo"
    assert play(data, stop=StopWhen(data)) == 0
    assert state(data)["events"] > 5
    assert state(data)["sources"] == ["/sandbox/toy"]
    assert (data / "ended.txt").exists()
    shown = json.loads(capsys.readouterr().out)
    assert shown["page"] == shown["url"] + "/"
    assert shown["sandboxes"] == {"toy": "a toy that ticks"}
    assert {partner["partner"] for partner in shown["partners"]} == {"demo", "demo-hub"}
    assert [command["name"] for command in shown["commands"]] == [
        "tail_toy",
        "tail_hub",
        "read",
        "snapshot",
        "receiver",
        "endpoints",
        "endpoint",
        "attempts",
        "replay",
        "listen",
        "publish",
        "partners",
        "doctor",
    ]


@pytest.mark.usefixtures("fake")
def test_a_second_run_finds_the_partners_of_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "demo"
    play(data, stop=StopWhen(data))
    first = json.loads(capsys.readouterr().out)["partners"]
    file = data / demo.PARTNERS_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    play(data, stop=StopWhen(data))
    assert json.loads(capsys.readouterr().out)["partners"] == first
    assert set(state(data)["partners"].values()) == {1}
    file.write_text("damaged")
    play(data, stop=StopWhen(data))
    assert json.loads(capsys.readouterr().out)["partners"] != first
    assert set(state(data)["partners"].values()) == {2}


@pytest.mark.usefixtures("fake")
def test_a_second_run_finds_the_endpoints_of_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "demo"
    play(data, stop=StopWhen(data))
    first = json.loads(capsys.readouterr().out)["endpoints"]
    file = data / endpoints.ENDPOINTS_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(first) == {"hub"}
    port = urlsplit(first["hub"]).port
    assert port is not None
    assert state(data)["endpoints"]["ep_0"] | {"changes": 0} == {
        "endpoint": "ep_0",
        "partner": "demo-hub",
        "url": f"http://127.0.0.1:{port}/hub",
        "feed": "hub",
        "topics": ["*"],
        "label": "demo",
        "options": {},
        "changes": 0,
    }

    play(data, stop=StopWhen(data))
    assert json.loads(capsys.readouterr().out)["endpoints"] == first  # at the same port
    assert "changes" not in state(data)["endpoints"]["ep_0"]
    with socket.create_server(("127.0.0.1", port)):
        play(data, stop=StopWhen(data))
    moved = json.loads(capsys.readouterr().out)["endpoints"]
    assert moved != first
    assert state(data)["endpoints"]["ep_0"]["url"] == moved["hub"]
    assert state(data)["endpoints"]["ep_0"]["changes"] == 1

    kept = json.loads((data / "fake.json").read_text())
    (data / "fake.json").write_text(json.dumps(kept | {"endpoints": {}}))
    play(data, stop=StopWhen(data))
    assert len(state(data)["endpoints"]) == 1  # it was gone, and is there again
    file.write_text("damaged")
    play(data, stop=StopWhen(data))
    assert len(state(data)["endpoints"]) == 2


@pytest.mark.usefixtures("fake")
def test_an_endpoint_that_is_refused_is_said_and_the_demo_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_HUB", "no-endpoints")
    data = tmp_path / "demo"
    assert play(data, stop=StopWhen(data)) == 0
    captured = capsys.readouterr()
    assert "no endpoint for hub: the hub answered 422: that is no topic" in captured.err
    shown = json.loads(captured.out)
    assert shown["endpoints"] == {}
    assert "receiver" not in {command["name"] for command in shown["commands"]}


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("mode", "words"), [("dies", "in use by another hub"), ("dies-later", "disk full")])
def test_a_hub_that_dies_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: str, words: str
) -> None:
    monkeypatch.setenv("FAKE_HUB", mode)
    assert play(tmp_path / "demo", stop=threading.Event()) == 1
    said = capsys.readouterr().err
    assert "the hub has ended" in said
    assert words in said


@pytest.mark.usefixtures("fake")
def test_a_sandbox_that_breaks_ends_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(dice: Dice, options: SandboxOptions) -> Iterator[Timed]:
        yield Timed(0, "toy.fact", "s", b"1")
        raise RuntimeError("no ball")

    toy = Feed(
        name="toy",
        title="Toy",
        document="",
        compared_on="",
        types=(),
        capabilities=Capabilities(frozenset()),
        sandbox=SandboxSurface(broken, "s", "broken"),
    )
    monkeypatch.setattr(demo, "sandbox_feeds", lambda: [toy])
    with pytest.raises(demo.TouchlineError, match="no ball"):
        play(tmp_path / "demo", stop=threading.Event())
    assert (tmp_path / "demo" / "ended.txt").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_exit_code_0_and_no_traceback(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import sys; from pathlib import Path; from touchline.sandbox import demo, hub_process;"
        f"hub_process.touchline_command = lambda: [sys.executable, {str(FAKE_HUB)!r}];"
        "demo.sandbox_feeds = lambda: [];"
        "sys.exit(demo.run(Path('demo'), '127.0.0.1', 0, 1.0, True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        shown = json.loads(process.stdout.readline())
        assert shown["data"] == "demo"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"Traceback" not in errors
    assert (tmp_path / "demo" / "ended.txt").exists()


# --- the port ---


def test_a_busy_port_gives_the_next_free_one() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert port < demo.find_port("127.0.0.1", port) <= port + demo.PORTS_TRIED


def test_a_free_port_is_taken() -> None:
    port = demo.find_port("127.0.0.1", 0)
    assert demo.find_port("127.0.0.1", port) == port


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(ConfigError, match="no address of this machine"):
        demo.find_port("192.0.2.1", 8080)


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("hub.test", "hub.test")],
)
def test_the_address_for_clients(host: str, address: str) -> None:
    assert demo.client_address(host) == address


# --- what is printed ---

NASTY = "-a'b\"c $(touch x) `d`"


def show(data: Path = Path(".demo")) -> showcase.Showcase:
    partners = [
        Access("demo", "toy", {"username": "demo", "secret": NASTY}),
        Access("demo-hub", "hub", {"key": NASTY}),
    ]
    return make_showcase("http://127.0.0.1:8081", data, partners, [TOY])


def test_credentials_survive_the_shell() -> None:
    commands = {command.name: shlex.split(command.command) for command in show().commands if command.name != "publish"}
    assert f"--secret={NASTY}" in commands["tail_toy"]
    assert commands["tail_toy"][-1] == "--game=toy-game"
    assert f"--key={NASTY}" in commands["tail_hub"]
    assert f"Authorization: Bearer {NASTY}" in commands["read"]
    assert commands["read"][-1] == "http://127.0.0.1:8081/hub/v1/events?feed=toy&limit=3"
    assert commands["snapshot"][-1] == "http://127.0.0.1:8081/hub/v1/snapshots/toy/toy-game"


def test_a_feeds_own_command_is_shown_with_its_values_where_they_need_no_quoting() -> None:
    partners = [Access("demo", "toy", {"username": "demo", "secret": "a-B_9"})]
    commands = make_showcase("http://[::1]:8081", Path(), partners, [TOY]).commands
    shown = next(command for command in commands if command.name == "toy_rest")
    assert shown.command == "curl -H 'auth: a-B_9' \"http://[::1]:8081/toy/toy-game?a=<b>\""
    assert "toy_rest" not in {command.name for command in show().commands}


def test_the_curl_that_publishes_sends_one_event(tmp_path: Path) -> None:
    """A stand-in for curl shows what the shell hands over."""
    data = tmp_path / "it's here"
    data.mkdir()
    (data / "publisher.key").write_text("pub-key\n")
    curl = tmp_path / "curl"
    curl.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    curl.chmod(0o755)
    command = next(command.command for command in show(data).commands if command.name == "publish")
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=True)
    words = json.loads(done.stdout)
    assert "Authorization: Bearer pub-key" in words
    sent = json.loads(words[words.index("--data-raw") + 1])
    assert sent["type"] == "toy.greeting"
    assert sent["id"]
    assert words[-1] == "http://127.0.0.1:8081/hub/v1/events"


def test_the_command_is_short_when_it_stands_below_this_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / ".venv" / "bin" / "touchline"
    script.parent.mkdir(parents=True)
    script.write_text("")
    monkeypatch.setattr(showcase, "touchline_command", lambda: [str(script)])
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.chdir(tmp_path)
    assert showcase.program() == [".venv/bin/touchline"]
    monkeypatch.chdir(script.parent)
    assert showcase.program() == ["./touchline"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert showcase.program() == [str(script)]


def test_the_text_for_people_holds_every_command() -> None:
    shown = show()
    text = shown.text()
    assert shown.page in text
    assert all(command.command in text for command in shown.commands)


def test_without_a_script_the_interpreter_runs_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert hub_process.touchline_command()[1] == "-c"


def test_missing_keys_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"admin\.key"):
        demo._client("http://127.0.0.1:1", tmp_path, "admin")


def test_a_hub_client_is_made_from_the_key_file(tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_text("k\n")
    with demo._client("http://127.0.0.1:1", tmp_path, "admin") as client:
        assert isinstance(client, HubClient)
