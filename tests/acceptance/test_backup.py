"""A hub under load is backed up, killed and lost; its backup is restored, and everything is accounted for.

What the backup holds is there to the byte. What was handed out after it is lost with the disk, but no number of it
comes again: positions of before get an explicit answer, live clients resume by the last seq that they saw, and webhook
endpoints end with everything that the backup held.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed

from .hubs import LOOPBACK, Event, Hub, cloud_event, game, marker, native_headers, touchline, wait_for
from .readers import LiveReader, NativeReader, open_socket
from .receivers import Delivery, Reception, Reply

GAMES = ("game-1", "game-2", "game-3")
BATCH = 12
BEFORE = 1200
"""Records that were acknowledged before the backup begins."""
AFTER = 900
"""Records that are acknowledged after it has ended, and lost."""


class Load(threading.Thread):
    """A publisher that does not stop: batches of markers over three games. ``taken`` are the ids, acknowledged."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(daemon=True)
        self.hub = hub
        self.taken: list[tuple[str, str]] = []
        self.ending = threading.Event()
        self._number = 0

    def run(self) -> None:
        while not self.ending.is_set():
            batch = [(f"m{self._number + n}", GAMES[(self._number + n) % 3]) for n in range(BATCH)]
            self._number += BATCH
            try:
                self.hub.publish(*[marker(*one) for one in batch])
            except (OSError, http.client.HTTPException):
                return  # the hub is dead, perhaps in the middle of an answer
            self.taken += batch

    def reached(self, count: int) -> None:
        wait_for(lambda: len(self.taken) >= count, f"{count} records acknowledged", 60)


def offset(position: str) -> int:
    return int(position.partition("-")[2], 36)


def epoch(position: str) -> str:
    return position.partition("-")[0]


def shape(event: Event) -> tuple[str, str, int, int, bytes]:
    """All of an event but the epoch of its position."""
    return event.id, event.subject, event.seq, offset(event.position), bytes(event.data)


def event_ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [one.json["id"] for one in deliveries]


def check_messages(deliveries: Sequence[Delivery]) -> None:
    """A message id says the same thing every time, also across the loss: receivers drop repetitions by it."""
    said: dict[str, str] = {}
    for one in deliveries:
        name = one.headers["webhook-id"]
        assert said.setdefault(name, one.json["id"]) == one.json["id"], name


async def test_a_lost_hub_comes_back_from_its_backup(make_hub: Callable[..., Hub], tmp_path: Path) -> None:
    with Reception() as reception:
        await _lose_and_restore(make_hub, tmp_path, reception)


async def _lose_and_restore(make_hub: Callable[..., Hub], tmp_path: Path, reception: Reception) -> None:
    hub = make_hub(*LOOPBACK, data=tmp_path / "hub")
    start = hub.start_position()
    fans = hub.add_shottracker("fans")
    reader_key = hub.add_partner("reader", "hub")["key"]
    hub.add_partner("acme", "hub")
    made = hub.admin("POST", "/hub/v1/keys", {"role": "publisher", "name": "venue"})
    hub.publish(*[game(one) for one in GAMES])
    token = hub.token(fans, GAMES[0])

    prompt = hub.add_endpoint("acme", reception.url("prompt"), "hub", "shottracker.marker")
    later = hub.add_endpoint("acme", reception.url("later"), "hub", "shottracker.marker")
    held = hub.add_endpoint("acme", reception.url("held"), "hub", "shottracker.marker")
    reception.behave["later"] = lambda _: Reply(503, b"", (("retry-after", "3600"),))
    hub.admin("POST", f"/hub/v1/endpoints/{held.id}/pause")

    native = NativeReader(hub, "native", reader_key, start)
    live = LiveReader(hub, "live", token)
    tasks = [asyncio.create_task(reader.run()) for reader in (native, live)]
    load = Load(hub)
    load.start()
    try:
        # --- the backup, under load ---
        await asyncio.to_thread(load.reached, BEFORE)
        file = tmp_path / "backup.db"
        acknowledged = len(load.taken)
        done = await asyncio.to_thread(hub.command, "backup", file, "--json")
        assert done.code == 0, done
        told = done.json
        assert told["bytes"] == file.stat().st_size
        during = len(load.taken) - acknowledged
        assert during > 0, "publishing went on meanwhile"
        await asyncio.to_thread(load.reached, len(load.taken) + AFTER)
        await native.until(lambda: len(native.seen) > acknowledged + during, "the live reader got on")

        # --- the loss ---
        before = await asyncio.to_thread(hub.events)
        broken = live.broken
    finally:
        load.ending.set()
        hub.kill()
        load.join(20)
    await live.until(lambda: live.broken > broken, "all that was sent is read")
    await asyncio.to_thread(reception.mark)
    for task in tasks[:1]:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    handed_out = {event.position for event in before} | {native.position}
    top = max(map(offset, handed_out))
    top_seq: defaultdict[str, int] = defaultdict(int)
    for event in before:
        top_seq[event.subject] = max(top_seq[event.subject], event.seq)
    top_seq[GAMES[0]] = max(top_seq[GAMES[0]], live.last_seq)
    seen_live = len(live.seen)
    hub.data.rename(tmp_path / "lost")

    # --- the restore ---
    done = touchline("restore", file, "--data", tmp_path / "restored", "--json")
    assert done.code == 0, done
    new = done.json
    assert new["backup_position"] == told["position"]
    assert new["epoch"] != told["epoch"]
    restored = make_hub(*LOOPBACK, data=tmp_path / "restored", port=hub.port)

    stored = restored.events()
    kept = [event for event in before if offset(event.position) <= offset(told["position"])]
    assert acknowledged <= len(kept) < len(before)
    assert [shape(event) for event in stored] == [shape(event) for event in kept], (
        "all that the backup holds, as it was"
    )
    assert {epoch(event.position) for event in stored} == {new["epoch"]}

    await _check_old_positions(restored, [start, native.position, told["position"]], reader_key)

    # --- the publisher repeats what it was acknowledged and the backup lacks; then goes on ---
    have = {event.id for event in stored}
    lost = [one for one in load.taken if one[0] not in have]
    assert len(lost) >= AFTER
    more = [(f"n{number}", GAMES[number % 3]) for number in range(300)]
    for begin in range(0, len(lost), 500):
        answer = restored.publish(*[marker(*one) for one in lost[begin : begin + 500]], key=made["key"])
        assert answer["duplicates"] == 0
    restored.publish(*[marker(*one) for one in more])
    fresh = restored.events(after=new["position"])
    assert [event.id for event in fresh] == [one[0] for one in (*lost, *more)]
    assert min(offset(event.position) for event in fresh) > top
    offsets = [offset(event.position) for event in (*stored, *fresh)]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] < 2**53
    for subject in GAMES:
        old = [event.seq for event in stored if event.subject == subject]
        own = [event.seq for event in fresh if event.subject == subject]
        assert min(own) > top_seq[subject], "no seq comes again"
        assert own == list(range(own[0], own[0] + len(own)))
        assert old == list(range(1, len(old) + 1))

    # --- a live client resumes by the last seq that it saw, with the token of before ---
    owed = [event for event in fresh if event.subject == GAMES[0]]
    await live.until(lambda: len(live.seen) >= seen_live + len(owed), "what came after the restore", 30)
    assert [message.seq for message in live.seen[seen_live:]] == [event.seq for event in owed]
    assert live.repeats == 0
    tasks[1].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await tasks[1]

    # --- endpoints go on from their cursors ---
    reception.behave.pop("later")
    restored.admin("POST", f"/hub/v1/endpoints/{later.id}/resume")
    restored.admin("POST", f"/hub/v1/endpoints/{held.id}/resume")
    wanted = {event.id for event in (*stored, *fresh) if event.type == "shottracker.marker"}
    for name in ("prompt", "later", "held"):
        await asyncio.to_thread(
            reception.until, name, lambda got: wanted <= set(event_ids(got)), "everything in the backup and since", 60
        )
        check_messages(reception.at(name))
    for subject in GAMES:
        came = [one.json["id"] for one in reception.at("held") if one.json["subject"] == subject]
        assert came == [event.id for event in (*stored, *fresh) if event.subject == subject and event.id in wanted]
    held_before = {event.id for event in stored}
    names: defaultdict[str, set[str]] = defaultdict(set)
    for one in reception.at("prompt"):
        names[one.json["id"]].add(one.headers["webhook-id"])
    assert all(len(names[one]) == 1 for one in held_before & names.keys()), "a repetition has the same message id"
    for endpoint in (prompt, later, held):
        wait_for(lambda one=endpoint: restored.endpoint_report(one.id)["backlog"] == 0, "nothing is owed")  # type: ignore[misc]

    # --- the way in ---
    assert restored.ask("GET", "/hub/v1/keys", native_headers(restored.admin_key)).status == 200
    old_key = (tmp_path / "lost" / "admin.key").read_text().strip()
    assert old_key != restored.admin_key
    assert restored.ask("GET", "/hub/v1/keys", native_headers(old_key)).status == 200
    restored.restart()
    after_all = restored.events(feed="shottracker")
    assert [event.id for event in after_all] == [
        event.id for event in (*stored, *fresh) if event.type.startswith("shottracker.")
    ]


async def _check_old_positions(restored: Hub, positions: Sequence[str], key: str) -> None:
    """Every way of reading answers a position of before explicitly."""
    for position in positions:
        answer = restored.ask("GET", f"/hub/v1/events?after={position}", native_headers(key))
        assert (answer.status, answer.json["reason"]) == (410, "epoch"), answer
        assert epoch(answer.json["oldest"]) != epoch(position)
        stream = restored.ask("GET", "/hub/v1/stream", {**native_headers(key), "Last-Event-ID": position})
        assert (stream.status, stream.json["reason"]) == (410, "epoch")
        async with open_socket(restored.ws_url("/hub/v1/ws", after=position), key) as socket:
            told: dict[str, Any] = msgspec.json.decode(await socket.recv())
            assert told["type"] == "hub.gap"
            assert told["data"]["reason"] == "epoch"
            with contextlib.suppress(ConnectionClosed):
                async with asyncio.timeout(10):
                    await socket.recv()
            assert socket.close_code is not None


def test_restore_takes_no_directory_that_is_in_use_or_holds_something(
    make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    hub = make_hub(data=tmp_path / "hub")
    hub.publish(cloud_event("e1", "hisports.unknown", "g", b"{}"))
    file = tmp_path / "backup.db"
    assert hub.command("backup", file).code == 0
    for force in ((), ("--force",)):
        done = touchline("restore", file, "--data", hub.data, *force)
        assert done.code == 1
        assert "in use by another process" in done.err
    assert hub.terminate() == 0
    done = touchline("restore", file, "--data", hub.data)
    assert (done.code, "--force" in done.err) == (1, True)
    done = touchline("restore", tmp_path / "absent.db", "--data", hub.data, "--force")
    assert (done.code, "not there" in done.err) == (1, True)
    assert (hub.data / "hub.db").exists(), "nothing was touched"
    old_key = hub.admin_key
    done = touchline("restore", file, "--data", hub.data, "--force", "--json")
    assert done.code == 0, done
    aside = Path(done.json["moved_to"])
    assert aside.parent == tmp_path
    assert (aside / "hub.db").exists()
    assert (aside / "admin.key").read_text().strip() == old_key
    hub.start()
    assert hub.admin_key != old_key
    assert [event.id for event in hub.events()] == ["e1"]
    names = [key["name"] for key in hub.admin("GET", "/hub/v1/keys")["keys"]]
    assert f"admin.key of {done.json['epoch']}" in names
    assert "admin.key" in names
