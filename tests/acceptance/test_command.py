"""The command line from outside: help, JSON, errors in one line, exit codes, and the life of ``serve``."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from touchline.cli.root import app

from .games import sandbox_game
from .hubs import TOUCHLINE, Finished, Hub, clean_environment, free_port, game, marker, touchline, wait_for
from .readers import REVOKED, LiveReader, NativeReader, SseReader

GAME = "game-1"
COMMANDS = {"serve", "demo", "publish", "replay", "tail", "partner", "key", "doctor"}


def words_of_all_commands() -> list[tuple[str, ...]]:
    """Every command and subcommand that there is."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        if hasattr(command, "list_commands"):
            for name in command.list_commands(None):
                yield from walk(command.get_command(None, name), (*words, name))

    return list(walk(typer.main.get_command(app), ()))


def one_line_error(done: Finished, code: int, words: str) -> None:
    """It failed as it should: exit code, one line on stderr, nothing on stdout."""
    assert done.code == code, done
    assert done.out == "", done
    assert done.err.startswith("touchline: "), done
    assert done.err.count("\n") == 1, done
    assert words in done.err, done


# --- help and errors ---


def test_every_command_has_help() -> None:
    commands = words_of_all_commands()
    assert {words[0] for words in commands if words} >= COMMANDS
    assert ("tail", "shottracker") in commands
    assert ("partner", "rotate") in commands
    with ThreadPoolExecutor(4) as pool:
        helps = pool.map(lambda words: touchline(*words, "--help"), commands)
    for words, done in zip(commands, helps, strict=True):
        assert (done.code, done.err) == (0, ""), (words, done)
        assert "Usage: touchline" in done.out, words
        assert "--help" in done.out, words
    assert touchline("--version").out.startswith("touchline ")


def test_errors_are_one_line_and_an_exit_code(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    bad = tmp_path / "bad.key"
    bad.write_text("no key\n")
    one_line_error(touchline("partner", "list", "--url", nobody, "--key", "x"), 1, nobody.removeprefix("http://"))
    one_line_error(touchline("partner", "list"), 1, "no key")
    one_line_error(touchline("partner", "list", "--key-file", bad), 1, "holds no key")
    one_line_error(touchline("publish", tmp_path / "absent.ndjson", "--key", "x"), 1, "absent.ndjson")
    one_line_error(touchline("replay", tmp_path / "absent.ndjson", "--key", "x"), 1, "absent.ndjson")
    one_line_error(touchline("partner", "lost"), 2, "partner --help")
    one_line_error(touchline("partner", "add", "acme"), 2, "--feed")
    one_line_error(
        touchline("partner", "add", "acme", "--feed", "hub", "--grant", "oops", "--key", "x"), 2, "KEY=VALUE"
    )
    one_line_error(touchline("replay", "x", "--speed", "fast", "--key", "x"), 2, "--speed")
    one_line_error(touchline("tail", "shottracker"), 2, "--username")
    one_line_error(touchline("tail", "cricket"), 2, "tail --help")
    one_line_error(touchline("serve", "--port", "70000"), 2, "--port")
    one_line_error(touchline("sevre"), 2, "touchline --help")


# --- the client commands against a hub ---


class Commands:
    """Runs commands against a hub as its owner."""

    def __init__(self, hub: Hub) -> None:
        self.where = ("--url", hub.url, "--data", str(hub.data))

    def __call__(self, *words: str | Path, given: bytes = b"") -> Finished:
        return touchline(*words, *self.where, given=given)

    def json(self, *words: str | Path, given: bytes = b"") -> Any:
        """The one document of a command that must succeed."""
        done = self(*words, "--json", given=given)
        assert (done.code, done.err) == (0, ""), done
        return done.json


@pytest.fixture
def run(hub: Hub) -> Commands:
    """Commands against a fresh hub."""
    return Commands(hub)


def test_partners_from_add_to_remove(run: Commands) -> None:
    added = run.json(
        "partner", "add", "acme", "--feed", "shottracker", "--grant", "team_id=123", "--grant", "team_id=4"
    )
    assert (added["partner"], added["feed"], set(added["credentials"])) == (
        "acme",
        "shottracker",
        {"username", "secret"},
    )
    assert set(run.json("partner", "add", "acme", "--feed", "hub")["credentials"]) == {"key"}
    one_line_error(run("partner", "add", "acme", "--feed", "hub"), 1, "409")
    one_line_error(run("partner", "add", "acme", "--feed", "shottracker", "--grant", "color=red"), 1, "color")
    one_line_error(run("partner", "add", "acme", "--feed", "lacrosse"), 1, "lacrosse")

    (partner,) = run.json("partner", "list")["partners"]
    assert (partner["name"], set(partner["feeds"])) == ("acme", {"shottracker", "hub"})
    assert sorted(partner["feeds"]["shottracker"]["grants"]["team_id"]) == ["123", "4"]
    run.json("partner", "grant", "acme", "--feed", "shottracker", "--grant", f"event_id={GAME}")
    shown = run.json("partner", "show", "acme")
    assert shown["feeds"]["shottracker"]["grants"] == {"event_id": [GAME]}
    assert added["credentials"]["secret"] not in msgspec.json.encode(shown).decode()

    rotated = run.json("partner", "rotate", "acme", "--feed", "shottracker")
    assert rotated["credentials"]["username"] == added["credentials"]["username"]
    assert rotated["credentials"]["secret"] != added["credentials"]["secret"]
    run.json("partner", "suspend", "acme")
    assert "suspended" in run("partner", "list").out
    run.json("partner", "resume", "acme")
    run.json("partner", "remove", "acme", "--feed", "hub")
    run.json("partner", "remove", "acme")
    assert run.json("partner", "list") == {"partners": []}
    one_line_error(run("partner", "show", "acme"), 1, "acme")


def test_keys_narrow_and_end(run: Commands, hub: Hub, tmp_path: Path) -> None:
    made = run.json("key", "create", "venue", "--feed", "shottracker", "--source", "/venue/12")
    assert made["role"] == "publisher"
    line, other = marker("1", GAME), marker("2", GAME).replace(b"/venue/12", b"/venue/13")
    published = touchline("publish", "-", "--url", hub.url, "--key", made["key"], "--json", given=line)
    assert (published.code, published.json["accepted"]) == (0, 1)
    refused = touchline("publish", "-", "--url", hub.url, "--key", made["key"], given=other)
    assert refused.code == 1
    assert "line 1: source" in refused.err
    assert made["key"] not in run("key", "list").out
    listed = {key["name"]: key for key in run.json("key", "list")["keys"]}
    assert set(listed) == {"admin.key", "publisher.key", "venue"}
    run.json("key", "revoke", made["id"])
    ended = touchline("publish", "-", "--url", hub.url, "--key", made["key"], given=line)
    assert ended.code == 1
    assert "401" in ended.err


def test_publish_then_tail_as_both_kinds_of_client(run: Commands, hub: Hub, tmp_path: Path) -> None:
    plays = [play for play in sandbox_game(GAME, seed=2, quarter=100) if not play.is_state]
    file = tmp_path / "game.ndjson"
    file.write_bytes(b"\n".join(play.line for play in plays) + b"\n")
    start = hub.start_position()
    summary = run.json("publish", file)
    assert (summary["accepted"], summary["duplicates"], summary["errors"]) == (len(plays), 0, [])
    assert run.json("publish", file)["duplicates"] == len(plays)

    who = hub.add_shottracker("academy")
    signed = ("--username", who.username, "--secret", who.secret, "--game", GAME, "--url", hub.url)
    pushed = [play for play in plays if play.is_pushed]
    whole = touchline("tail", "shottracker", *signed, "--json")  # ends by itself: the game is over
    assert whole.code == 0, whole
    frames = [msgspec.json.decode(line) for line in whole.out.splitlines()]
    assert [frame["data"] for frame in frames if "seq" in frame] == [msgspec.json.decode(play.data) for play in pushed]
    seqs = [int(frame["seq"]) for frame in frames if "seq" in frame]
    resumed = touchline("tail", "shottracker", *signed, "--last-seq", str(seqs[4]), "--source", "shot", "--json")
    shots = [int(msgspec.json.decode(line)["seq"]) for line in resumed.out.splitlines()]
    assert shots == [
        seq for seq, play in zip(seqs, pushed, strict=True) if seq > seqs[4] and play.type.endswith(".shot")
    ]
    people = touchline("tail", "shottracker", *signed, "--count", "3")
    assert people.code == 0
    assert len(people.out.splitlines()) == 3

    native = run("tail", "hub", "--after", start, "--count", str(len(plays)), "--json")
    assert native.code == 0, native
    assert [msgspec.json.decode(line)["id"] for line in native.out.splitlines()] == [play.id for play in plays]
    one_line = touchline("tail", "shottracker", *signed[:3], "wrong", *signed[4:])
    assert one_line.code == 1
    assert "HMAC signature does not match" in one_line.err


def test_doctor_looks_at_a_sound_hub(run: Commands) -> None:
    checks = {check["name"]: check for check in run.json("doctor")["checks"]}
    assert {"settings", "reach", "key", "log", "disk", "files", "clock", "host", "websocket"} <= set(checks)
    assert {check["status"] for check in checks.values()} <= {"ok", "warn"}
    assert {checks[name]["status"] for name in ("settings", "key", "clock", "host", "websocket")} == {"ok"}
    wrong = touchline("doctor", "--url", run.where[1], "--key", "wrong", "--json")
    assert wrong.code == 1
    assert "fail" in {check["status"] for check in wrong.json["checks"]}


# --- serve ---


def test_the_first_start_makes_private_files(hub: Hub) -> None:
    assert stat.S_IMODE(hub.data.stat().st_mode) == 0o700
    for name in ("admin.key", "publisher.key"):
        path = hub.data / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().count("\n") == 1
    keys = (hub.admin_key, hub.publisher_key)
    hub.restart()
    assert keys == (hub.admin_key, hub.publisher_key)
    assert not any(key in hub.log() for key in keys)


def test_one_process_owns_a_data_directory(hub: Hub) -> None:
    second = touchline("serve", "--data", hub.data, "--port", "0", seconds=20)
    assert second.code == 1, second
    assert str(hub.data) in second.err
    assert second.err.strip().count("\n") == 0, second
    hub.publish(marker("still-there", GAME))
    hub.kill()  # a dead owner's lock is no lock
    hub.start()
    assert [event.id for event in hub.events()] == ["still-there"]


def test_a_busy_port_is_said(hub: Hub, tmp_path: Path) -> None:
    second = touchline("serve", "--data", tmp_path / "other", "--port", str(hub.port), seconds=20)
    assert second.code == 1, second
    assert f"127.0.0.1:{hub.port}" in second.err
    assert "in use" in second.err
    assert second.err.strip().count("\n") == 0, second


async def test_sigterm_ends_sessions_with_1001_and_the_process_with_0(hub: Hub) -> None:
    hub.publish(game(GAME))
    token = hub.token(hub.add_shottracker("academy"), GAME)
    start = hub.events()[-1].position
    readers = [
        *(LiveReader(hub, f"live-{number}", token) for number in range(3)),
        NativeReader(hub, "native", hub.admin_key, start),
        SseReader(hub, "sse", hub.admin_key, start),
    ]
    tasks = [asyncio.create_task(reader.run()) for reader in readers]
    for reader in readers:
        await reader.until(reader.connected.is_set, "connected")
    await asyncio.to_thread(hub.publish, marker("last", GAME))
    for reader in readers:
        await reader.reached(1)
    assert await asyncio.to_thread(hub.terminate) == 0
    for reader in readers[:4]:
        await reader.until(lambda reader=reader: bool(reader.codes), "closed")
        assert reader.codes[0] == 1001, reader.name
        assert reader.ended != REVOKED
    await readers[4].until(lambda: bool(readers[4].last_words), "told")
    assert readers[4].last_words == '{"reason":"shutdown"}'

    await asyncio.to_thread(hub.start)  # they come back by themselves and go on
    await asyncio.to_thread(hub.publish, marker("next", GAME))
    for reader in readers:
        await reader.reached(2)
        assert [seen.seq for seen in reader.seen] == [2, 3]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_hub_ends_at_once(make_hub: Callable[..., Hub], number: signal.Signals) -> None:
    hub = make_hub()
    assert hub.process is not None
    hub.process.send_signal(number)
    assert hub.process.wait(10) == 0


def test_settings_that_are_not_known_are_refused(tmp_path: Path) -> None:
    begin = ("serve", "--data", tmp_path / "data", "--port", "0")
    (tmp_path / "touchline.toml").write_text('host = "127.0.0.1"\ncolour = "red"\n')
    one_line_error(touchline(*begin, cwd=tmp_path), 1, "'colour'")
    (tmp_path / "touchline.toml").write_text("host = [\n")
    one_line_error(touchline(*begin, cwd=tmp_path), 1, "touchline.toml")
    (tmp_path / "touchline.toml").unlink()
    one_line_error(touchline(*begin, cwd=tmp_path, TOUCHLINE_COLOUR="red"), 1, "TOUCHLINE_COLOUR")
    one_line_error(touchline(*begin, cwd=tmp_path, TOUCHLINE_MAX_CONNECTIONS="many"), 1, "max_connections")
    one_line_error(touchline(*begin, "--retention", "soon", cwd=tmp_path), 1, "retention")
    one_line_error(touchline(*begin, "--log", "redis://x", cwd=tmp_path), 1, "log")
    one_line_error(touchline(*begin, "--trusted-proxy", "everyone", cwd=tmp_path), 1, "trusted_proxy")
    assert not (tmp_path / "data").exists()


def test_flag_wins_over_environment_over_file(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    settings = tmp_path / "mine.toml"
    settings.write_text(f'port = {ports[0]}\nretention = "1h"\ndrain_seconds = 1.5\n')
    command = [*TOUCHLINE, "serve", "--config", str(settings), "--data", str(tmp_path / "data")]
    for flags, environment, port in (
        ([], {}, ports[0]),
        ([], {"TOUCHLINE_PORT": str(ports[1])}, ports[1]),
        (["--port", str(ports[2])], {"TOUCHLINE_PORT": str(ports[1])}, ports[2]),
    ):
        with subprocess.Popen([*command, *flags], env=clean_environment(**environment), stderr=subprocess.PIPE) as hub:
            try:
                assert hub.stderr is not None
                assert f"listening on http://127.0.0.1:{port}, " in _first_line(hub)
            finally:
                hub.terminate()
                hub.wait(15)


def _first_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    return process.stderr.readline().decode()


@pytest.mark.parametrize(
    ("options", "warned"), [((), True), (("--trusted-proxy", "10.0.0.0/8"), False)], ids=["bare", "behind-a-proxy"]
)
def test_an_address_that_others_reach_warns_without_tls(
    make_hub: Callable[..., Hub], options: tuple[str, ...], warned: bool
) -> None:
    hub = make_hub("--host", "0.0.0.0", *options)
    warnings = re.findall(r"WARNING .*reachable from other machines without TLS.*", hub.log())
    assert len(warnings) == warned
    found = touchline("doctor", "--url", hub.url, "--data", hub.data, "--json").json["checks"]
    assert any("without TLS" in check["detail"] for check in found) == warned


def test_a_hub_that_is_started_on_port_0_says_where_it_is(tmp_path: Path) -> None:
    command = [*TOUCHLINE, "serve", "--data", str(tmp_path / "data"), "--port", "0"]
    with subprocess.Popen(command, env=clean_environment(), stderr=subprocess.PIPE) as hub:
        try:
            match = re.search(r"listening on http://127\.0\.0\.1:(\d+), data in (\S+)", _first_line(hub))
            assert match
            assert match.group(2) == str(tmp_path / "data")
            with socket.create_connection(("127.0.0.1", int(match.group(1))), timeout=5):
                pass
        finally:
            hub.terminate()
            assert hub.wait(15) == 0
            assert hub.stderr is not None
            assert b"Traceback" not in hub.stderr.read()


def test_a_reader_of_stdout_that_leaves_is_no_crash(run: Commands, hub: Hub) -> None:
    hub.publish(*(marker(f"{number:04}-{'x' * 200}", GAME) for number in range(500)))
    oldest = hub.events(limit=1)[0].position
    command = [*TOUCHLINE, "tail", "hub", *run.where, "--after", oldest, "--json"]
    with subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        tail.stdout.readline()
        tail.stdout.close()
        wait_for(lambda: tail.poll() is not None, "tail ends when nobody reads")
        assert tail.stderr is not None
        assert b"Traceback" not in tail.stderr.read()
