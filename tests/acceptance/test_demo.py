"""``touchline demo``: the commands that it prints work as pasted, and Ctrl-C ends it with nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from touchline.feeds import registry

from .hubs import ROOT, TOUCHLINE, clean_environment, free_port, wait_for


class Demo:
    """A running demo and what it has printed."""

    def __init__(self, *options: str | Path) -> None:
        self.process = subprocess.Popen(
            [*TOUCHLINE, "demo", *map(str, options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=clean_environment(),
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=(stream, lines))
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line.decode())  # noqa: PERF401 - they are looked at as they come
        stream.close()

    def wait_for_line(self, words: str) -> None:
        """Until it has printed them."""
        wait_for(lambda: self.process.poll() is not None or any(words in line for line in self.out), words, 40)
        assert self.process.poll() is None, self.said()

    def said(self) -> str:
        """Everything, for a failure."""
        return "".join(self.out + self.err)

    def end(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(30)
        for thread in self._threads:
            thread.join(10)
        return code

    def close(self) -> None:
        """End it if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thread in self._threads:
            thread.join(10)


def processes_of(data: Path) -> list[int]:
    """Processes whose command line names the data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if str(data).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


@pytest.fixture
def demo() -> Iterator[Callable[..., Demo]]:
    """Starts demos that are gone afterwards."""
    started: list[Demo] = []

    def start(*options: str | Path) -> Demo:
        started.append(Demo(*options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def paste(command: str) -> str:
    """Run a printed line in a shell, in the directory where the demo was started; what it printed."""
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        cwd=ROOT,
        env=clean_environment(),
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout.decode(), done.stderr.decode())
    assert b"Traceback" not in done.stderr
    return done.stdout.decode()


def bounded(command: str) -> str:
    """The command as pasted, but ended after five messages instead of by Ctrl-C; and at a port that is surely free."""
    if " tail " in command:
        return command + " --count 5"
    port = str(free_port())
    return command.replace(" listen hub ", " listen hub --count 5 ").replace("9000", port).replace(" -F ", " ")


def taken(data: Path) -> list[bytes]:
    """What the sample receiver has written."""
    path = data / "receiver.log"
    return path.read_bytes().splitlines() if path.exists() else []


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_the_printed_commands_work_as_pasted(demo: Callable[..., Demo], tmp_path: Path) -> None:
    data = tmp_path / "demo"
    running = demo("--data", data, "--port", str(free_port()), "--speed", "5")
    running.wait_for_line("Ctrl-C ends the demo.")
    lines = "".join(running.out).splitlines()
    commands = {
        title.strip().removeprefix("# "): command.strip()
        for title, command in pairwise(lines)
        if title.strip().startswith("# ")
    }
    assert len(commands) >= 5, running.said()

    wait_for(lambda: b" hub " in b"".join(taken(data)), "the sample receiver takes something", 30)
    for title, command in commands.items():
        tails = " tail " in command
        printed = paste(bounded(command))
        if tails or " listen " in command:
            assert len(printed.splitlines()) >= 5, (title, printed)
        elif command.startswith("curl"):
            assert isinstance(msgspec.json.decode(printed), dict | list), (title, printed)
            assert '"status":4' not in printed, (title, printed)
        else:
            assert printed.strip(), title
    assert any("tail shottracker" in command for command in commands.values())
    published = next(command for command in commands.values() if "--data-raw" in command)
    assert msgspec.json.decode(paste(published))["accepted"] == 1  # a second paste is a second event

    tail = next(command for command in commands.values() if "tail shottracker" in command)
    live = [msgspec.json.decode(line) for line in paste(f"{tail} --count 400 --json").splitlines()]
    assert {frame["type"] for frame in live} == {"data"}
    assert {"location"} < {frame["source"] for frame in live}

    children = processes_of(data)
    assert len(children) >= 2  # the demo and its hub
    assert running.end() == 0, running.said()
    assert "Traceback" not in running.said()
    assert re.search(r"the sample receiver took .*\d+ of hub", "".join(running.err)), running.said()
    wait_for(lambda: not processes_of(data), "no child is left")
    log = (data / "hub.log").read_text()
    assert "Traceback" not in log, log
    assert " ERROR " not in log, log


def test_the_sample_receiver_takes_what_every_feed_pushes(demo: Callable[..., Demo], tmp_path: Path) -> None:
    data = tmp_path / "demo"
    running = demo("--data", data, "--port", str(free_port()), "--speed", "20", "--json")
    running.wait_for_line('"commands"')
    shown = msgspec.json.decode(running.out[0])
    pushed = {feed.name for feed in registry.feeds().values() if feed.webhook is not None}
    assert set(shown["endpoints"]) == pushed

    def have_come() -> set[str]:
        lines = [line.decode().split() for line in taken(data)]
        return {words[1] for words in lines if words[2] != "--" and words[2].partition(".")[0] == words[1]} | {
            "hub" for words in lines if words[1] == "hub"
        }

    wait_for(lambda: have_come() >= pushed, f"all of {pushed}", 50)
    own = {one["name"]: one["command"] for one in shown["commands"] if one["name"].endswith("_rest")}
    assert {name.removesuffix("_rest") for name in own} == pushed - {"hub"}
    assert "results" in msgspec.json.decode(paste(own["insights_rest"]))
    assert "goals" in msgspec.json.decode(paste(own["hisports_rest"]))
    assert "over" in msgspec.json.decode(paste(own["roanuz_rest"]))["data"]
    refused = [line for line in taken(data) if b"-- refused" in line or b"-- failed" in line or b"-- duplicate" in line]
    assert refused == []
    listed = next(one["command"] for one in shown["commands"] if one["name"] == "endpoints")
    endpoints = msgspec.json.decode(paste(listed + " --json"))["endpoints"]
    assert {one["feed"] for one in endpoints} == pushed
    for one in endpoints:
        assert (one["state"], one["dead_letters"], one["failed"]) == ("active", 0, 0), one
        assert one["delivered"] > 0, one
    assert running.end() == 0, running.said()
    log = (data / "hub.log").read_text()
    assert " ERROR " not in log, log
    for secret in msgspec.json.decode((data / "endpoints.json").read_bytes()):
        assert secret["secret"] not in log + running.said() + (data / "receiver.log").read_text()


def test_a_second_demo_finds_its_partners_and_a_busy_port_is_passed_over(
    demo: Callable[..., Demo], tmp_path: Path
) -> None:
    data, port = tmp_path / "demo", free_port()
    first = demo("--data", data, "--port", str(port), "--json")
    first.wait_for_line('"commands"')
    before = msgspec.json.decode(first.out[0])
    assert first.end(signal.SIGTERM) == 0, first.said()
    assert stat.S_IMODE((data / "partners.json").stat().st_mode) == 0o600

    with socket.create_server(("127.0.0.1", port)):
        second = demo("--data", data, "--port", str(port), "--json")
        second.wait_for_line('"commands"')
        after = msgspec.json.decode(second.out[0])
    # Another thread reads stderr, and may come to it later than this one to stdout.
    wait_for(lambda: re.search(rf"port {port} is busy; taking \d+", "".join(second.err)), "it says so")
    assert after["url"] != before["url"]
    assert after["partners"] == before["partners"]
    assert after["endpoints"] == before["endpoints"]
    ids = [one["endpoint"] for one in msgspec.json.decode((data / "endpoints.json").read_bytes())]
    listed = next(one["command"] for one in after["commands"] if one["name"] == "endpoints")
    assert sorted(one["endpoint"] for one in msgspec.json.decode(paste(listed + " --json"))["endpoints"]) == sorted(ids)
    paste(next(one["command"] for one in after["commands"] if one["name"] == "tail_shottracker") + " --count 1")
    assert second.end() == 0, second.said()
    wait_for(lambda: not processes_of(data), "no child is left")
