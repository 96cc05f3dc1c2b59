"""Other servers beside the hub: the same sessions, messages and open loop. ``make bench-peers``.

Each runs on core 0, publisher and receivers on core 1. The Python ones are installed into a temporary environment, the
Go one is built into a temporary directory; what cannot be had is left out with a word. A peer gets its lines over a
plain TCP connection, keeps nothing and answers nobody; the hub gets the same events by HTTP, makes them durable and
acknowledges them.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.hubs import PADDING, Hub, closed, opened
from bench.load import P99_MS, Step, measured
from bench.machine import hub, on_core
from bench.programs import compiled
from touchline.benchmarks.events import data, event
from touchline.benchmarks.machine import LOOPBACK, free_port, pinned
from touchline.benchmarks.publisher import BATCHES_PER_SECOND, publish_at_rate
from touchline.benchmarks.readers import handshake
from touchline.benchmarks.rows import Row, interval, ratios

HERE = Path(__file__).parent
PACKAGES = ("fastapi", "uvicorn", "websockets", "python-socketio", "uvloop", "httptools")
SESSIONS = 500
RATES = (100, 200, 400, 800, 1600, 3200)
"""Events a second, each twice the one before."""
_START_SECONDS = 20.0
_DROWNED_MS = 1000.0
_TEXT = '{"seq":"1000","type":"data","source":"shot","data":%s}'
"""What the hub's frame holds, so that the peers send as much; Socket.IO and Centrifuge put their own around it."""


@dataclass(frozen=True)
class Peer:
    """A server of another make. ``greeting`` is sent by a session after its handshake; ``options`` stand behind the
    ports on the command line.
    """

    name: str
    command: tuple[str, ...]
    path: str = "/ws"
    greeting: bytes = b""
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arm:
    """A running server and how it is loaded."""

    name: str
    pid: int
    connect: Callable[[str], list[socket.socket]]
    publish: Callable[[str, int, float], bool]


def run(directory: Path, small: bool) -> list[Row]:
    """Rounds of all rates and servers, interleaved."""
    compiled(directory)
    sessions, rates, rounds, seconds = (10, (100, 200), 1, 0.5) if small else (SESSIONS, RATES, 3, 3.0)
    steps: dict[str, list[Step]] = {}
    drowned: dict[str, int] = {}
    """From which rate on a server is spared: one that is seconds late falls behind for good."""
    with on_core(1), ExitStack() as stack:
        process, url = stack.enter_context(hub(directory / "hub"))
        arms = [_hub_arm(Hub(url, directory / "hub"), process.pid, sessions)]
        arms += [stack.enter_context(_running(peer, sessions)) for peer in _peers(directory)]
        for number in range(rounds):
            for rate in rates:
                for arm in arms:
                    if arm.name in drowned and rate >= drowned[arm.name]:
                        continue
                    step = _step(directory, arm, f"c{number}-{rate}", rate, seconds, sessions)
                    if step is not None:
                        steps.setdefault(arm.name, []).append(step)
                    if step is None or step.found.p99_ms > _DROWNED_MS:
                        drowned[arm.name] = rate + (step is not None)
    rows = [_row(arm.name, steps.get(arm.name, ()), rate, sessions) for arm in arms for rate in rates]
    beside = _verdict(arms, steps, sessions) + _doubled(arms, steps, sessions)
    return [row for row in rows if row is not None] + beside


def _step(directory: Path, arm: Arm, run: str, rate: int, seconds: float, sessions: int) -> Step | None:
    expected = rate // BATCHES_PER_SECOND * int(BATCHES_PER_SECOND * seconds)
    sockets = arm.connect(run)
    try:
        found = measured(directory, arm.pid, sockets, expected, lambda: arm.publish(run, rate, seconds))
    except SystemExit:  # it has closed sessions that it could not serve
        found = None
    closed(sockets)
    if found is None:
        return None
    spent, took, account = found
    return Step(rate, spent / took, spent / (expected * sessions) * 1e6, 0.0, account, 0.0)


def _row(name: str, steps: Sequence[Step], rate: int, sessions: int) -> Row | None:
    mine = [step for step in steps if step.rate == rate]
    work = f"{name}: {sessions} sessions, open loop of {rate * sessions / 1000:,.0f} k messages/s"
    if not mine:
        return Row(work, "more than it can take: seconds late at a lower rate, or sessions were closed")
    return Row(
        work=work,
        figure=f"{statistics.median(1e6 / step.micros for step in mine):,.0f} messages/s of a core "
        f"({interval([step.core for step in mine])} of it used), "
        f"p99 {interval([step.found.p99_ms for step in mine], 1, 'ms')}, "
        f"median {interval([step.found.median_ms for step in mine], 1, 'ms')}",
        cpu=interval([step.micros for step in mine], 2, "µs"),
    )


def _verdict(arms: Sequence[Arm], steps: dict[str, list[Step]], sessions: int) -> list[Row]:
    """The hub and each peer at the highest rate that both took."""
    rows = []
    ours = steps.get(arms[0].name, ())
    for arm in arms[1:]:
        theirs = steps.get(arm.name, ())
        common = {step.rate for step in ours} & {step.rate for step in theirs}
        if not common:
            rows.append(Row(f"hub beside {arm.name}", "no rate that both can take"))
            continue
        rate = max(common)
        mine, others = ([step for step in found if step.rate == rate] for found in (ours, theirs))
        rounds = min(len(mine), len(others))
        mine, others = mine[:rounds], others[:rounds]
        per_core = ratios([step.micros for step in others], [step.micros for step in mine])
        late = ratios([step.found.p99_ms for step in mine], [step.found.p99_ms for step in others])
        is_target = _is_target(arm.name)
        rows.append(
            Row(
                work=f"hub beside {arm.name}, {rate * sessions:,} messages/s, round by round",
                figure=f"{_in_time(ours) * sessions:,} messages/s in time (p99 ≤ {P99_MS:.0f} ms)",
                cpu=interval([step.micros for step in mine], 2, "µs"),
                baseline=f"{interval([step.micros for step in others], 2, 'µs')}; "
                f"{_in_time(theirs) * sessions:,} messages/s in time",
                ratio=f"{interval(per_core)} times the messages of a core, p99 {interval(late)} of its",
                target="≥ 2, p99 ≤ 0.5" if is_target else "-",
                met=statistics.median(per_core) >= 2 and statistics.median(late) <= 0.5 if is_target else None,
            )
        )
    return rows


def _doubled(arms: Sequence[Arm], steps: dict[str, list[Step]], sessions: int) -> list[Row]:
    """The hub at twice the highest rate that a peer takes in time, and how late both are, each on its core."""
    rows = []
    ours = steps.get(arms[0].name, ())
    for arm in arms[1:]:
        theirs = steps.get(arm.name, ())
        rate = _in_time(theirs)
        mine, others = [step for step in ours if step.rate == 2 * rate], [step for step in theirs if step.rate == rate]
        if not mine or not others:
            continue
        rounds = min(len(mine), len(others))
        mine, others = mine[:rounds], others[:rounds]
        late = ratios([step.found.p99_ms for step in mine], [step.found.p99_ms for step in others])
        rows.append(
            Row(
                work=f"hub at {2 * rate * sessions:,} messages/s, {arm.name} at {rate * sessions:,}, "
                "the most that it takes in time",
                figure=f"p99 {interval([step.found.p99_ms for step in mine], 1, 'ms')} "
                f"({interval([step.core for step in mine])} of a core)",
                cpu=interval([step.micros for step in mine], 2, "µs"),
                baseline=f"p99 {interval([step.found.p99_ms for step in others], 1, 'ms')} "
                f"({interval([step.core for step in others])} of a core), "
                f"{interval([step.micros for step in others], 2, 'µs')}",
                ratio=f"twice its messages, p99 {interval(late)} of its",
                target="p99 ≤ 0.5" if _is_target(arm.name) else "-",
                met=statistics.median(late) <= 0.5 if _is_target(arm.name) else None,
            )
        )
    return rows


def _is_target(name: str) -> bool:
    """Whether the target speaks of this peer: Centrifuge in its usual design."""
    return name.startswith("centrifuge") and "WriteDelay" not in name


def _in_time(steps: Sequence[Step]) -> int:
    """The highest rate (events a second) that was taken in time; 0 for none."""
    rates = {step.rate for step in steps}
    return max(
        (
            rate
            for rate in rates
            if statistics.median(step.found.p99_ms for step in steps if step.rate == rate) <= P99_MS
        ),
        default=0,
    )


def _hub_arm(served: Hub, pid: int, sessions: int) -> Arm:
    def connect(run: str) -> list[socket.socket]:
        return opened(served.port, served.game_session(run), sessions)

    def publish(run: str, rate: int, seconds: float) -> bool:
        each = rate // BATCHES_PER_SECOND

        def lines(number: int, due: int) -> Sequence[bytes]:
            return [event(f"{run}-{number}-{index}", run, due, PADDING) for index in range(each)]

        return uvloop.run(publish_at_rate(served.port, served.publisher, lines, seconds=seconds, most_waiting=rate))

    return Arm("touchline", pid, connect, publish)


@contextmanager
def _running(peer: Peer, sessions: int) -> Iterator[Arm]:
    port, control = free_port(), free_port()
    process = subprocess.Popen([*pinned(0), *peer.command, str(port), str(control), *peer.options])
    try:
        _wait(control, process)
        _wait(port, process)

        def connect(run: str) -> list[socket.socket]:
            del run
            sockets = opened(port, handshake(peer.path), sessions)
            for one in sockets:
                if peer.greeting:
                    one.sendall(b"\x81" + bytes([0x80 | len(peer.greeting)]) + b"\0\0\0\0" + peer.greeting)
            time.sleep(0.5)
            return sockets

        def publish(run: str, rate: int, seconds: float) -> bool:
            del run
            _send(control, rate, seconds)
            return True

        yield Arm(peer.name, process.pid, connect, publish)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection((LOOPBACK, port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{process.args!r} did not start")


def _send(port: int, rate: int, seconds: float) -> None:
    """Lines on schedule; the kernel and the server hold what is not taken yet."""
    each = rate // BATCHES_PER_SECOND
    with socket.create_connection((LOOPBACK, port)) as control:
        start = time.monotonic_ns() + 50_000_000
        for number in range(int(BATCHES_PER_SECOND * seconds)):
            due = start + number * 1_000_000_000 // BATCHES_PER_SECOND
            lines = "".join(_TEXT % data(due, PADDING) + "\n" for _ in range(each)).encode()
            time.sleep(max(0.0, (due - time.monotonic_ns()) / 1e9))
            control.sendall(lines)


def _peers(directory: Path) -> list[Peer]:
    """Those that can be had here."""
    found: list[Peer] = []
    python = directory / "environment" / "bin" / "python"
    try:
        subprocess.run([sys.executable, "-m", "venv", str(directory / "environment")], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        subprocess.run(pip, check=True, timeout=180)
    except (subprocess.SubprocessError, OSError) as problem:
        print(f"no Python peers: {problem}", file=sys.stderr)
    else:
        shown = subprocess.run([str(python), "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
        versions = dict(line.split("==") for line in shown.split() if "==" in line)
        for module, title, path, greeting in (
            ("fastapi_server", f"FastAPI {versions['fastapi']} on uvicorn {versions['uvicorn']}", "/ws", b""),
            ("websockets_server", f"websockets.broadcast {versions['websockets']}", "/", b""),
            ("socketio_server", f"python-socketio {versions['python-socketio']}",
             "/socket.io/?EIO=4&transport=websocket", b"40"),
        ):  # fmt: skip
            found.append(Peer(title, (str(python), str(HERE / f"{module}.py")), path, greeting))
    return found + _go_peers(directory)


def _go_peers(directory: Path) -> list[Peer]:
    if shutil.which("go") is None:
        print("no Go peer: go is not here", file=sys.stderr)
        return []
    binary = directory / "centrifuge"
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false -mod=readonly"}
    try:
        subprocess.run(
            ["go", "build", "-o", str(binary), "."],
            cwd=HERE / "centrifuge", env=environment, check=True, timeout=300,
        )  # fmt: skip
    except subprocess.SubprocessError as problem:
        print(f"no Go peer: {problem}", file=sys.stderr)
        return []
    connect = b'{"id":1,"connect":{}}'
    version = next(
        line.split()[-1] for line in (HERE / "centrifuge" / "go.mod").read_text().splitlines() if "centrifugal" in line
    )
    command = ("env", "GOMAXPROCS=1", str(binary))
    return [
        Peer(f"centrifuge {version}", command, "/ws", connect),
        Peer(f"centrifuge {version} with WriteDelay 10 ms", command, "/ws", connect, ("10",)),
    ]
