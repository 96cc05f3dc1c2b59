"""No 202 leaves before the commit that holds its events is on disk: read from a trace of the hub's system calls.

A killed process proves nothing about this, since the system keeps what was written. The order of calls does: the
event's bytes go into the write-ahead log, the log's fsync returns, and only then the answer is written to the socket.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from .hubs import Hub, marker, wait_for
from .strace_log import Call, parse

CALLS = "fsync,fdatasync,pwrite64,pwritev,write,writev,sendto,sendmsg,read,recvfrom,recvmsg"
SYNCS = {"fsync", "fdatasync"}
ANSWERS = {"write", "writev", "sendto", "sendmsg"}
REQUESTS = {"read", "recvfrom", "recvmsg"}
STORES = {"pwrite64", "pwritev", "write", "writev"}
WAL = "/hub.db-wal"
SOCKET = "socket:"


def too_early(calls: Sequence[Call], event_id: str) -> str:
    """What is wrong with the answer to the request that published an event; '' when it waited for the disk."""
    request = next(
        (call for call in calls if call.name in REQUESTS and event_id in call.text and SOCKET in call.path),
        None,
    )
    if request is None:
        return f"{event_id}: its request was not seen"
    answer = next(
        (
            call
            for call in calls
            if call.name in ANSWERS
            and call.descriptor == request.descriptor
            and call.began > request.ended
            and "HTTP/1.1 " in call.text
        ),
        None,
    )
    if answer is None or '"HTTP/1.1 202 ' not in answer.text:
        return f"{event_id}: its 202 was not seen"
    stored = [
        call
        for call in calls
        if call.name in STORES and call.path.endswith(WAL) and event_id in call.text and call.began > request.began
    ]
    if not stored:
        return f"{event_id}: it was not written to the write-ahead log"
    synced = [
        call
        for call in calls
        if call.name in SYNCS and call.path.endswith(WAL) and call.result == 0 and call.began > stored[0].ended
    ]
    if not synced:
        return f"{event_id}: the write-ahead log was not synced"
    if synced[0].ended > answer.began:
        return f"{event_id}: 202 at line {answer.began}, but its sync ended at line {synced[0].ended}"
    return ""


TRACE = r"""
7 13:08:02.264245 read(25<socket:[92360]>, "POST /hub/v1/events HTTP/1.1\r\n\r\n{\"id\":\"e-1\"}", 262144) = 60
8 13:08:02.264300 fdatasync(15</d/hub.db-wal>) = 0
8 13:08:02.265000 pwrite64(15</d/hub.db-wal>, "\0\0 {\"id\":\"e-1\"} = 3", 4096, 32) = 4096
8 13:08:02.265100 fdatasync(15</d/hub.db-wal> <unfinished ...>
7 13:08:02.265200 write(5<anon_inode:[eventfd]>, "\1\0", 8) = 8
8 13:08:02.266100 <... fdatasync resumed>) = 0
7 13:08:02.266200 --- SIGCHLD {si_signo=SIGCHLD} ---
7 13:08:02.267275 write(25<socket:[92360]>, "HTTP/1.1 202 Accepted\r\ndate: Fri\r\n\r\n", 128) = 128
9 13:08:02.268000 fsync(14</d> <unfinished ...>
""".strip().splitlines()


def test_the_trace_is_read_as_it_is_meant() -> None:
    calls = parse(TRACE)
    assert [call.name for call in calls] == ["read", "fdatasync", "pwrite64", "fdatasync", "write", "write"]
    assert (calls[3].began, calls[3].ended, calls[3].path, calls[3].result) == (3, 5, "/d/hub.db-wal", 0)
    assert calls[0].path == "socket:[92360]"
    assert calls[2].result == 4096
    assert too_early(calls, "e-1") == ""


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda lines: [*lines[:5], lines[7], lines[5]], "its sync ended"),  # answered while the sync runs
        (lambda lines: [*lines[:3], lines[7], *lines[3:6]], "its sync ended"),  # answered before it began
        (lambda lines: [*lines[:3], lines[7]], "was not synced"),  # the sync before is another commit's
        (lambda lines: [lines[0], *lines[3:]], "was not written"),
        (lambda lines: lines[:7], "202 was not seen"),
        (lambda lines: [lines[0], *lines[2:5], lines[5].replace("= 0", "= -1 EIO (Input/output error)"), lines[7]],
         "was not synced"),
    ],
)  # fmt: skip
def test_an_early_answer_would_be_found(change: Callable[[list[str]], list[str]], found: str) -> None:
    assert found in too_early(parse(change(TRACE)), "e-1")


@pytest.fixture
def traced(make_hub: Callable[..., Hub], tmp_path: Path) -> tuple[Hub, Path]:
    """A hub whose system calls are written to a file."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not here")
    probe = subprocess.run([strace, "-D", "-o", os.devnull, "true"], capture_output=True, check=False, timeout=20)
    if probe.returncode != 0 or b"ptrace" in probe.stderr or b"PTRACE" in probe.stderr:
        pytest.skip(f"tracing is refused here: {probe.stderr.decode(errors='replace').strip()}")
    trace = tmp_path / "trace"
    # -D: the hub is our child and the tracer is aside, so that signals and exit codes are the hub's own.
    wrapper = [strace, "-D", "-f", "-tt", "-y", "-s", "20000", "-o", str(trace), "-e", f"trace={CALLS}"]
    return make_hub(wrapper=wrapper), trace


def _answers(hub: Hub, ids: Sequence[str], connections: Sequence[http.client.HTTPConnection]) -> Iterator[int]:
    """Send one request on each connection before reading any answer."""
    headers = {"Authorization": f"Bearer {hub.publisher_key}", "Content-Type": "application/cloudevents+json"}
    for name, connection in zip(ids, connections, strict=True):
        connection.request("POST", "/hub/v1/events", marker(name, "game-1"), headers)
    for connection in connections:
        response = connection.getresponse()
        response.read()
        yield response.status


def _calls(hub: Hub, trace: Path, ids: Sequence[str]) -> list[Call]:
    assert hub.terminate() == 0
    wait_for(lambda: "+++ exited with" in trace.read_text(errors="replace"), "the trace is whole")
    with trace.open(errors="replace") as lines:
        calls = parse(lines)
    assert any(call.path.endswith(WAL) for call in calls)
    assert sum('"HTTP/1.1 202 ' in call.text for call in calls) == len(ids)
    return calls


def test_the_sync_of_its_commit_is_over_before_a_202_is_written(
    traced: tuple[Hub, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    hub, trace = traced
    ids = [f"one-by-one-{number}" for number in range(10)]
    with closing(http.client.HTTPConnection("127.0.0.1", hub.port, timeout=15)) as connection:
        for name in ids:
            assert list(_answers(hub, [name], [connection])) == [202]
    calls = _calls(hub, trace, ids)
    assert [problem for name in ids if (problem := too_early(calls, name))] == []
    with capsys.disabled():
        print(f"\n  {_story(calls, ids[-1])}")


def test_publishers_that_share_a_commit_wait_for_it_together(traced: tuple[Hub, Path]) -> None:
    hub, trace = traced
    rounds, at_once = 5, 8
    ids = [[f"together-{turn}-{number}" for number in range(at_once)] for turn in range(rounds)]
    with ExitStack() as stack:
        connections = [
            stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", hub.port, timeout=15)))
            for _ in range(at_once)
        ]
        for names in ids:
            assert list(_answers(hub, names, connections)) == [202] * at_once
    published = [name for names in ids for name in names]
    calls = _calls(hub, trace, published)
    assert [problem for name in published if (problem := too_early(calls, name))] == []


def _story(calls: Sequence[Call], event_id: str) -> str:
    """The calls that matter, in their order."""
    begun = next(call for call in calls if call.name in REQUESTS and event_id in call.text and SOCKET in call.path)
    told = []
    for call in calls:
        if call.began < begun.began:
            continue
        wal = call.path.endswith(WAL)
        if call is begun:
            told.append("read(request)")
        elif wal and call.name in STORES and event_id in call.text:
            told.append(f"{call.name}(…-wal, event)")
        elif wal and call.name in SYNCS:
            told.append(f"{call.name}(…-wal) = {call.result}")
        elif call.descriptor == begun.descriptor and "HTTP/1.1 202" in call.text:
            told.append(f"{call.name}(socket, 202)")
            break
    return " → ".join(told)
