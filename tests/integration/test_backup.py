"""``GET /hub/v1/backup``: who may, one at a time, nothing left behind whatever happens, and what is told of it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from touchline.cli.root import run
from touchline.errors import LogFull
from touchline.log.sqlite import examine
from touchline.server.http import backup

from .hubs import PATIENCE_SECONDS, Answer, Hub, cloud_event, read_to_end, read_until

MakeHub = Callable[..., Hub]
PATH = "/hub/v1/backup"


def fill(hub: Hub, count: int = 400, size: int = 20_000) -> None:
    """More than the sockets' buffers take, so that a reader that stops stops the hub's sending too."""
    for _ in range(count // 100):
        hub.publish_all([cloud_event("hisports.unknown", "g", {"pad": "x" * size}) for _ in range(100)])


def leftovers(hub: Hub) -> list[str]:
    known = {"hub.db", "hub.db-wal", "hub.db-shm", "hub.lock", "admin.key", "publisher.key"}
    return sorted(set(os.listdir(hub.directory / "data")) - known)


def until_clean(hub: Hub) -> None:
    hub.until(lambda: leftovers(hub) == [], "the copy to go away")


def asking(hub: Hub) -> socket.socket:
    """A client that has asked and takes its time."""
    plain = hub.connect(receive_buffer=8192)
    plain.sendall(f"GET {PATH} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.admin_key}\r\n\r\n".encode())
    return plain


def until_answered(hub: Hub, status: int) -> Answer:
    for _ in range(int(PATIENCE_SECONDS / 0.01)):
        answer = hub.get(PATH, hub.admin_key)
        if answer.status == status:
            return answer
        time.sleep(0.01)
    raise AssertionError(f"never {status}")


def test_the_copy_is_whole_and_of_one_moment(make_hub: MakeHub, tmp_path: Path) -> None:
    hub = make_hub()
    fill(hub, 200, 1000)
    hub.partner("reader")
    assert hub.admin("GET", "/hub/v1/status").json["last_backup"] is None
    answer = hub.get(PATH, hub.admin_key)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/vnd.sqlite3")
    assert answer.headers["cache-control"] == "no-store"
    copy = tmp_path / "copy.db"
    copy.write_bytes(answer.body)
    found = examine(copy)
    assert found.bytes == len(answer.body)
    last = hub.events()[-1]["position"]
    epoch = hub.running.hub.event_log.epoch
    assert (found.position.epoch, found.position.offset) == (epoch, int(last.removeprefix(f"{epoch}-"), 36))
    for secret in (hub.admin_key, hub.publisher_key):
        assert secret.encode() not in answer.body, "of these keys the database has hashes alone"
    until_clean(hub)
    told = hub.admin("GET", "/hub/v1/status").json["last_backup"]
    assert told["bytes"] == len(answer.body)
    assert abs(told["at_ns"] - time.time_ns()) < 60 * 10**9
    metrics = hub.get("/metrics").body.decode()
    stamp = next(line for line in metrics.splitlines() if line.startswith("touchline_last_backup_timestamp_seconds "))
    assert abs(float(stamp.split()[1]) - time.time()) < 60
    assert 'touchline_http_requests_total{operation="backup",status="200"} 1.0' in metrics


def test_admins_alone_and_get_alone(make_hub: MakeHub) -> None:
    hub = make_hub()
    partner = hub.partner("reader")["key"]
    assert hub.get(PATH).status == 401
    assert hub.get(PATH, hub.publisher_key).status == 403
    assert hub.get(PATH, partner).status == 403
    head = hub.request("HEAD", PATH, key=hub.admin_key)
    assert (head.status, head.headers["allow"]) == (405, "GET")
    assert hub.request("POST", PATH, b"", key=hub.admin_key).status == 405
    assert leftovers(hub) == []


def test_one_at_a_time_and_a_client_that_leaves_frees_the_turn(make_hub: MakeHub) -> None:
    hub = make_hub()
    fill(hub)
    plain = asking(hub)
    read_until(plain, b"\r\n\r\n")
    refused = hub.get(PATH, hub.admin_key)
    assert refused.status == 409
    assert "under way" in refused.json["detail"]
    assert hub.publish_all([cloud_event()]).json["accepted"] == 1, "publishing goes on"
    assert hub.get("/healthz").status == 200
    plain.close()
    until_answered(hub, 200)
    until_clean(hub)


def test_a_client_that_takes_nothing_is_given_up(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = make_hub()
    fill(hub)
    with asking(hub) as plain:
        with monkeypatch.context() as patched:
            patched.setattr(backup, "STALL_SECONDS", 0.2)
            begun = read_until(plain, b"\r\n\r\n")
            until_clean(hub)
        got = begun + read_to_end(plain)  # what was in the buffers, and then the end, short of the length that was told
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(body) < length
    until_answered(hub, 200)  # with the patience of always: a busy machine may not read for a moment
    until_clean(hub)


def test_a_client_that_leaves_while_the_copy_is_made(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = make_hub()
    fill(hub, 100)
    log = hub.running.hub.event_log
    begun, cancelled = threading.Event(), threading.Event()

    async def slow(path: str) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with monkeypatch.context() as patched:
        patched.setattr(log, "backup", slow)
        plain = asking(hub)
        assert begun.wait(PATIENCE_SECONDS)
        assert hub.get(PATH, hub.admin_key).status == 409
        plain.close()
        assert cancelled.wait(PATIENCE_SECONDS)
    until_answered(hub, 200)
    until_clean(hub)


def test_no_room_on_the_hubs_disk_is_said_and_publishing_goes_on(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_hub()
    fill(hub, 100)
    log = hub.running.hub.event_log

    async def full(path: str) -> None:
        Path(path).write_bytes(b"half")
        raise LogFull("no room")

    with monkeypatch.context() as patched:
        patched.setattr(log, "backup", full)
        answer = hub.get(PATH, hub.admin_key)
        assert (answer.status, "full" in answer.json["detail"]) == (507, True)
    until_clean(hub)
    with monkeypatch.context() as patched:
        usage = shutil.disk_usage(hub.directory)
        patched.setattr(shutil, "disk_usage", lambda path: usage._replace(free=backup.SPARE_BYTES))
        answer = hub.get(PATH, hub.admin_key)
        assert (answer.status, "make room" in answer.json["detail"]) == (507, True)
    assert hub.publish_all([cloud_event()]).json["accepted"] == 1
    assert hub.get(PATH, hub.admin_key).status == 200


def test_what_a_killed_hub_has_left_goes_at_the_next_start(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        assert hub.get("/healthz").status == 200
    left = tmp_path / "data" / "backup-under-way"
    left.mkdir()
    (left / "copy.db.partial").write_bytes(b"half a copy")
    with Hub(tmp_path) as hub:
        assert leftovers(hub) == []


def test_a_hub_that_stops_while_a_backup_is_taken(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        fill(hub)
        plain = asking(hub)
        read_until(plain, b"\r\n\r\n")
        hub.stop()
        assert leftovers(hub) == []
        plain.close()


# the command


@contextmanager
def served(answer: Callable[[Any], None]) -> Iterator[str]:
    """An HTTP server that does what a hub should not."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        do_GET = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_command_writes_a_checked_file(
    make_hub: MakeHub, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    hub = make_hub()
    fill(hub, 100, 2000)
    directory = tmp_path / "backups"
    directory.mkdir()
    file = directory / "hub.db"
    arguments = ["backup", str(file), "--url", hub.url, "--data", str(hub.directory / "data"), "--json"]
    assert run(arguments) == 0
    out, err = capsysbinary.readouterr()
    told = json.loads(out)
    assert out.count(b"\n") == 1
    assert told == {
        "file": str(file),
        "bytes": file.stat().st_size,
        "position": hub.events()[-1]["position"],
        "epoch": hub.running.hub.event_log.epoch,
    }
    assert b"checking" in err
    assert file.stat().st_mode & 0o777 == 0o600
    assert run(arguments) == 1, "it is there"
    assert b"--force" in capsysbinary.readouterr().err
    before = file.read_bytes()
    fill(hub, 100, 2000)
    assert run([*arguments, "--force"]) == 0
    assert file.read_bytes() != before
    publisher = ["--key-file", str(hub.directory / "data" / "publisher.key")]
    capsysbinary.readouterr()
    assert run(["backup", str(directory / "other.db"), "--url", hub.url, *publisher]) == 1
    assert b"role admin is needed" in capsysbinary.readouterr().err
    assert run(["backup", str(directory / "absent" / "other.db"), "--url", hub.url, "--key", "k"]) == 1
    assert os.listdir(directory) == ["hub.db"]


@pytest.mark.parametrize("kind", ["cut", "damaged", "nobody", "nothing"])
def test_an_interrupted_or_damaged_download_leaves_no_file(
    kind: str, make_hub: MakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = make_hub()
    fill(hub, 100, 5000)
    good = hub.get(PATH, hub.admin_key).body
    body = {"cut": good[: len(good) // 2], "damaged": good[:20_000] + os.urandom(60_000) + good[80_000:]}.get(kind, b"")

    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(len(good) if kind == "cut" else len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    directory = tmp_path / "backups"
    directory.mkdir()
    with served(answer) as url:
        url = "http://127.0.0.1:1" if kind == "nobody" else url
        assert run(["backup", str(directory / "hub.db"), "--url", url, "--key", "k"]) == 1
    assert os.listdir(directory) == []
    said = capsys.readouterr().err
    word = {"cut": "IncompleteRead", "damaged": "damaged", "nobody": "refused", "nothing": "no backup"}[kind]
    assert word in said, said


def test_a_full_disk_here_is_said_and_leaves_no_file(
    make_hub: MakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = make_hub()

    directory = tmp_path / "backups"
    directory.mkdir()

    def on_a_full_disk(**_: object) -> tuple[int, str]:
        path = directory / ".hub.db.partial"
        path.touch()
        return os.open("/dev/full", os.O_WRONLY), str(path)

    monkeypatch.setattr("touchline.cli.backup.tempfile.mkstemp", on_a_full_disk)
    assert run(["backup", str(directory / "hub.db"), "--url", hub.url, "--key", hub.admin_key]) == 1
    assert "No space left on device; there is no backup" in capsys.readouterr().err
    monkeypatch.undo()
    assert os.listdir(directory) == []


def test_a_backup_by_plain_http_is_the_same(make_hub: MakeHub, tmp_path: Path) -> None:
    """As curl takes it."""
    hub = make_hub()
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=PATIENCE_SECONDS)
    connection.request("GET", PATH, headers={"Authorization": f"Bearer {hub.admin_key}"})
    answer = connection.getresponse()
    (tmp_path / "copy.db").write_bytes(answer.read())
    connection.request("GET", "/healthz")  # the connection goes on
    assert connection.getresponse().status == 200
    connection.close()
    assert examine(tmp_path / "copy.db").position.offset == 0
