"""WebSocket sessions: what the wire may bring, slow and absent readers, and every way in which a session ends."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest
from websockets.sync.client import connect

from touchline.feeds.base import Form
from touchline.server.websocket import WebSocketConnection
from touchline.testing.clock import FakeClock

from .hubs import Hub, cloud_event, read_until, status_of
from .websockets import BINARY, BROKEN_FRAMES, CLOSE, CONT, PING, PONG, TEXT, Client, frame, handshake

MakeHub = Callable[..., Hub]
NATIVE = "/hub/v1/ws"
PING_ACTION = b'{"action":"ping"}'


def token(hub: Hub, game: str, partner: str = "tracker", expires_at: int | None = None) -> str:
    """A token for a game's socket."""
    directory = hub.running.hub.directory
    if hub.on_loop(lambda: directory.member("shottracker", partner=partner)) is None:
        hub.partner(partner, "shottracker")
    issued = directory.issue_token("shottracker", partner, "subscribe", game, form=Form.HEX, expires_at=expires_at)
    return hub.wait(issued).value


def live(hub: Hub, game: str, query: str = "", **more: Any) -> Client:
    """A ShotTracker session."""
    return Client(hub, f"/live/v2/games?token={token(hub, game)}{query}", **more)


def native(hub: Hub, query: str = "", **more: Any) -> Client:
    """A native session of an admin."""
    return Client(hub, f"{NATIVE}?{query}", key=hub.admin_key, **more)


def tick(hub: Hub, times: int = 1) -> None:
    """What the hub does once a second."""
    for _ in range(times):
        hub.on_loop(hub.running.hub.fanout.tick)
        hub.wait(hub.running.sessions.tick())


def connections(hub: Hub) -> list[WebSocketConnection]:
    return [one for one in hub.running.sessions._open if isinstance(one, WebSocketConnection)]


def held(hub: Hub) -> list[int]:
    """The bytes that the hub itself keeps for each session's socket."""
    return hub.on_loop(lambda: [one._transport.get_write_buffer_size() for one in connections(hub) if one._transport])


# the handshake and what comes right behind it


def test_bytes_in_the_segment_of_the_handshake_are_not_lost(hub: Hub) -> None:
    with native(hub, "subject=none", behind=frame(PING, b"one") + frame(PING, b"two")) as client:
        assert client.receive() == (PONG, b"one")
        assert client.receive() == (PONG, b"two")


def test_bytes_behind_the_handshake_stay_in_order(hub: Hub, subject: str) -> None:
    """A part comes with the handshake, the rest while the hub still looks up who it is."""
    path = f"/live/v2/games?token={token(hub, subject)}"
    frames = b"".join(frame(PING, b"%d" % number) for number in range(30))
    for cut in range(0, 60, 3):
        with hub.connect() as plain:
            plain.sendall(handshake(path) + frames[:cut])
            plain.sendall(frames[cut:])
            got = read_until(plain, b"\r\n\r\n")
            assert status_of(got) == 101
            rest = got.partition(b"\r\n\r\n")[2]
            while len(rest) < sum(len(b"%d" % number) + 2 for number in range(30)):
                rest += plain.recv(1 << 16)
            assert rest == b"".join(frame(PONG, b"%d" % number, mask=False) for number in range(30))


def test_too_much_behind_the_handshake(make_hub: MakeHub) -> None:
    """What a client sends before it knows whether it may is bounded."""
    hub = make_hub()
    with hub.connect() as plain:
        plain.sendall(handshake(NATIVE, key="wrong") + frame(BINARY, b"x" * 60_000))
        assert status_of(read_until(plain, b"\r\n")) == 401


def test_an_independent_client(hub: Hub, subject: str) -> None:
    url = f"ws://127.0.0.1:{hub.port}{NATIVE}?subject={subject}"
    headers = {"Authorization": f"Bearer {hub.admin_key}"}
    with connect(url, additional_headers=headers, subprotocols=["cloudevents.json"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "cloudevents.json"
        events = [cloud_event(subject=subject, data={"type": "x", "n": number}) for number in range(300)]
        hub.publish_all(events)
        assert [json.loads(client.recv())["id"] for _ in events] == [event["id"] for event in events]
        assert client.ping().wait(20)
        client.send("ignored")
        client.send(b"ignored")


# frames (RFC 6455)


@pytest.mark.parametrize(("sent", "code"), BROKEN_FRAMES, ids=range(len(BROKEN_FRAMES)))
def test_frames_that_break_the_rules(hub: Hub, sent: bytes, code: int) -> None:
    with native(hub) as client:
        client.send(sent)
        assert client.closed() == code


@pytest.mark.parametrize("body", [b"", struct.pack("!H", 1000), struct.pack("!H", 4321) + b"why not"])
def test_a_close_is_answered(hub: Hub, body: bytes) -> None:
    with native(hub, "subject=none") as client:
        client.send(frame(CLOSE, body) + frame(TEXT, b"after the close") + b"\xff\xff")
        got = client.receive()
        assert got is not None
        assert (got[0], got[1][:2]) == (CLOSE, body[:2])
        assert client.receive() is None


def test_control_frames_within_a_fragmented_message(hub: Hub, subject: str) -> None:
    with live(hub, subject) as client:
        client.send(frame(TEXT, PING_ACTION[:5], fin=False) + frame(PING, b"a"))
        assert client.receive() == (PONG, b"a")
        client.send(frame(CONT, PING_ACTION[5:9], fin=False) + frame(PONG) + frame(CONT) + frame(PING, b"b"))
        assert client.receive() == (PONG, b"b")
        client.send(
            frame(TEXT, PING_ACTION[:9], fin=False) + frame(CONT, b"", fin=False) + frame(CONT, PING_ACTION[9:])
        )
        assert client.event() == {"action": "pong"}


def test_frames_byte_by_byte(hub: Hub, subject: str) -> None:
    with live(hub, subject) as client:
        for sent in (frame(TEXT, PING_ACTION), frame(PING, "é".encode())):
            for byte in sent:
                client.send(bytes([byte]))
        got = {client.receive(), client.receive()}  # a pong may overtake an answer
        assert got == {(TEXT, b'{"action":"pong"}'), (PONG, "é".encode())}


def test_endless_fragments_cost_nothing(hub: Hub, subject: str) -> None:
    with live(hub, subject) as client:
        client.send(frame(TEXT, b"{", fin=False) + frame(CONT, fin=False) * 50_000 + frame(PING, b"x"))
        assert client.receive() == (PONG, b"x")
        (connection,) = [one for one in connections(hub) if one._parts]
        assert len(connection._parts) == 1
        client.send(frame(CONT, PING_ACTION[1:]))
        assert client.event() == {"action": "pong"}


def test_compression_is_not_agreed_to(hub: Hub) -> None:
    with Client(hub, NATIVE, "Sec-WebSocket-Extensions: permessage-deflate", key=hub.admin_key) as client:
        assert b"extensions" not in client.head.lower()


# messages


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"x",
        b"[]",
        b'{"action":7}',
        b'{"action":"dance"}',
        b'{"action":["ping"]}',
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b'{"action":"ping"' + b" " * 10_000 + b"}",
        b'"\\ud800"',
    ],
)
def test_messages_that_mean_nothing_are_passed_over(hub: Hub, subject: str, message: bytes) -> None:
    with live(hub, subject) as client, native(hub, "subject=none") as other:
        for one in (client, other):
            one.send(frame(TEXT, message) + frame(BINARY, b"\0\xff") + frame(PING, b"there"))
            assert one.receive() == (PONG, b"there")
        client.send(frame(TEXT, PING_ACTION))
        assert client.event() == {"action": "pong"}


@pytest.mark.parametrize("last_seq", ["-1", "x", "1.5", "0x1", "", "1e3"])
def test_a_last_seq_that_is_none(hub: Hub, subject: str, last_seq: str) -> None:
    path = f"/live/v2/games?token={token(hub, subject)}&last_seq={last_seq}"
    assert status_of(hub.exchange(handshake(path))) == 400


def test_a_last_seq_ahead_waits_and_an_old_one_is_told(make_hub: MakeHub) -> None:
    hub = make_hub()
    hub.publish_all([cloud_event(subject="g") for _ in range(10)])
    with live(hub, "g", "&last_seq=12") as client:
        hub.publish_all([cloud_event(subject="g") for _ in range(4)])
        assert [client.event()["seq"] for _ in range(2)] == ["13", "14"]
    hub.wait(hub.running.hub.event_log.trim(5))
    assert status_of(hub.exchange(handshake(f"/live/v2/games?token={token(hub, 'g')}&last_seq=4"))) == 410
    with live(hub, "g", "&last_seq=5") as client:
        assert client.event()["seq"] == "6"
    with live(hub, "g") as client:
        assert client.event()["seq"] == "6"


def test_the_end_of_a_game(hub: Hub, subject: str) -> None:
    end = cloud_event(subject=subject, data={"type": "GAME_END"})
    with live(hub, subject) as client:
        hub.publish_all([cloud_event(subject=subject), end])
        assert [client.event()["seq"] for _ in range(2)] == ["1", "2"]
        assert client.closed() == 1000
    with live(hub, subject) as client:
        assert [client.event()["seq"] for _ in range(2)] == ["1", "2"]
        assert client.closed() == 1000


# slow and absent readers


def test_a_reader_that_begins_late_gets_everything_in_order(hub: Hub, subject: str) -> None:
    """5 MB are published while it does not read: they wait in the log, not in memory."""
    with native(hub, f"subject={subject}", receive_buffer=8192) as slow, native(hub, f"subject={subject}") as quick:
        events = [cloud_event(subject=subject, data={"type": "x" * 10_000, "n": n}) for n in range(500)]
        for start in range(0, 500, 50):
            hub.publish_all(events[start : start + 50])
        ids = [event["id"] for event in events]
        assert [quick.event()["id"] for _ in ids] == ids
        assert max(held(hub)) < 2_000_000, "a session's backlog is bounded"
        assert [slow.event()["id"] for _ in ids] == ids
        hub.publish_all([last := cloud_event(subject=subject)])
        assert slow.event()["id"] == quick.event()["id"] == last["id"]


def test_slow_readers_and_the_state_lane(hub: Hub, subject: str) -> None:
    """The newest value arrives, and none older after a newer."""

    def location(player: int, number: int) -> dict[str, Any]:
        data = {"type": "player", "id": player, "team_id": 1, "x": number, "y": 0, "z": 0, "pad": "x" * 2000}
        return cloud_event("shottracker.location", subject, data)

    with live(hub, subject, receive_buffer=4096) as slow:
        for number in range(400):
            hub.publish_all([location(player, number) for player in range(3)])
            if number % 40 == 0:
                hub.publish_all([cloud_event(subject=subject)])
        newest: dict[int, int] = {}
        seqs: list[str] = []
        while len(seqs) < 10 or set(newest.values()) != {399}:
            message = slow.event()
            if "seq" in message:
                seqs.append(message["seq"])
            else:
                player, x = message["data"]["id"], message["data"]["x"]
                assert newest.get(player, -1) <= x
                newest[player] = x
        assert seqs == [str(number) for number in range(1, 11)]


def test_a_flood_of_pings_from_a_client_that_never_reads(hub: Hub) -> None:
    with native(hub, "subject=none-at-all", receive_buffer=4096) as client:
        client.plain.settimeout(0.5)
        flood = frame(PING, b"x" * 125) * 500
        sent = 0
        try:
            while sent < 64 * 1024 * 1024:
                sent += client.plain.send(flood)
        except TimeoutError:
            pass
        assert sent < 64 * 1024 * 1024, "it is no longer read"
        assert max(held(hub)) < 2_000_000


def test_a_reader_without_any_progress_is_closed(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchline.server.websocket._CLOSE_SECONDS", 0.1)
    clock = FakeClock()
    hub = make_hub(clock, stall_seconds=60)
    fanout = hub.running.hub.fanout
    with native(hub, receive_buffer=4096), native(hub) as neighbour:
        hub.publish_all([cloud_event(data={"type": "x" * 100_000}) for _ in range(100)])
        ids = [neighbour.event()["id"] for _ in range(100)]
        assert len(set(ids)) == 100
        hub.until(lambda: any(reader.blocked for reader in fanout.readers))
        untaken = 0
        while untaken != (untaken := max(hub.on_loop(lambda: [one.backlog() for one in connections(hub)]))):
            clock.advance(1)  # what its system has still to take at first is progress
            tick(hub)
        clock.advance(61)
        tick(hub)
        hub.until(lambda: len(hub.running.sessions) == 1, "the stuck session to go")
        assert fanout.stats.stalled == 1
        hub.publish_all([last := cloud_event()])
        assert neighbour.event()["id"] == last["id"]


@pytest.mark.parametrize("how", ["fin", "reset", "fin while data are on their way"])
def test_clients_that_go_away(make_hub: MakeHub, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchline.server.websocket._CLOSE_SECONDS", 0.1)
    hub = make_hub()
    with native(hub, receive_buffer=4096) as client, native(hub) as neighbour:
        hub.until(lambda: len(hub.running.sessions) == 2)
        if how.startswith("fin"):
            if how != "fin":
                hub.publish_all([cloud_event(data={"type": "x" * 100_000}) for _ in range(30)])
            client.plain.shutdown(1)
        else:
            hub.publish_all([cloud_event(data={"type": "x" * 100_000}) for _ in range(30)])
            client.reset()
        hub.until(lambda: len(hub.running.sessions) == 1, "the session to go")
        hub.publish_all([last := cloud_event()])
        while neighbour.event()["id"] != last["id"]:
            pass
        assert len(hub.running.hub.fanout.readers) == 1


# idleness, expiry, shutdown


def test_idle_sessions_of_a_feed_with_its_own_keep_alive(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = make_hub(clock)
    with live(hub, "g") as idle, live(hub, "g") as talking:
        for _ in range(3):
            clock.advance(30)
            tick(hub)
            talking.send(frame(TEXT, PING_ACTION))
            assert talking.event() == {"action": "pong"}
        assert idle.closed() == 1001
        tick(hub)
        talking.send(frame(TEXT, PING_ACTION))
        assert talking.event() == {"action": "pong"}


def test_sessions_that_are_sent_to_are_not_idle(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = make_hub(clock)
    with live(hub, "g") as client:
        for _ in range(4):
            clock.advance(40)
            hub.publish_all([cloud_event(subject="g")])
            client.event()
            tick(hub)
        clock.advance(61)
        tick(hub)
        assert client.closed() == 1001


def test_native_sessions_are_pinged_and_the_dead_are_closed(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = make_hub(clock)
    with native(hub) as alive, native(hub) as dead:
        for _ in range(4):
            clock.advance(31)
            tick(hub)
            assert alive.receive() == (PING, b"")
            alive.send(frame(PONG))
            alive.send(frame(PING, b"x"))
            assert alive.receive() == (PONG, b"x")
            tick(hub)
        assert dead.closed() == 1001
        assert alive.plain.fileno() > 0
        assert len(hub.running.sessions) == 1


def test_a_token_that_expires_in_the_middle(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = make_hub(clock)
    ends = token(hub, "g", "tracker", clock.wall_ns() + 30_000_000_000)
    with Client(hub, f"/live/v2/games?token={ends}") as client:
        clock.advance(20)
        tick(hub, 2)
        hub.publish_all([cloud_event(subject="g")])
        assert client.event()["seq"] == "1"
        clock.advance(11)
        tick(hub, 2)
        assert client.closed() == 1008
    assert status_of(hub.exchange(handshake(f"/live/v2/games?token={ends}"))) == 401


def test_a_token_that_is_extended_disturbs_nobody(hub: Hub, subject: str) -> None:
    value = token(hub, subject)
    with Client(hub, f"/live/v2/games?token={value}") as client:
        hub.wait(hub.running.hub.directory.extend_token(value, 9_000_000_000_000_000_000))
        hub.publish_all([cloud_event(subject=subject)])
        assert client.event()["seq"] == "1"


def test_another_games_token_and_a_removed_partner(hub: Hub, subject: str) -> None:
    value = token(hub, subject, subject)
    with Client(hub, f"/live/v2/games?token={value}") as client:
        hub.publish_all([cloud_event(subject=f"{subject}-other"), cloud_event(subject=subject)])
        assert client.event()["seq"] == "1", "its own game's alone"
        assert hub.admin("DELETE", f"/hub/v1/partners/{subject}").status == 204
        assert client.closed() == 1008
    for wrong in (value, "x", "0" * 40, hub.admin_key):
        assert status_of(hub.exchange(handshake(f"/live/v2/games?token={wrong}"))) == 401


def test_a_stopping_hub_tells_everybody_to_come_back(make_hub: MakeHub) -> None:
    hub = make_hub()
    clients = [native(hub), live(hub, "g"), native(hub, receive_buffer=4096)]
    stream = hub.connect()
    stream.sendall(f"GET /hub/v1/stream HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.admin_key}\r\n\r\n".encode())
    hub.until(lambda: len(hub.running.sessions) == 4)
    idle = hub.connect()
    idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
    read_until(idle, b'{"status":"ok"}')
    codes: list[int | None] = []
    reading = [threading.Thread(target=lambda one=client: codes.append(one.closed())) for client in clients]
    for thread in reading:
        thread.start()
    hub.stop()
    for thread in reading:
        thread.join()
    assert codes == [1001, 1001, 1001]
    assert b'event: end\ndata: {"reason":"shutdown"}' in read_until(stream, b"shutdown")
    assert idle.recv(100) == b""
    for one in (*(client.plain for client in clients), stream, idle):
        one.close()


def test_a_stopping_hub_begins_nothing(make_hub: MakeHub) -> None:
    hub = make_hub()
    with hub.connect() as plain, hub.connect() as other:
        for one in (plain, other):
            one.sendall(b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n")
            read_until(one, b'"ready"}')
        hub.on_loop(lambda: setattr(hub.running.hub, "stopping", True))
        plain.sendall(handshake(NATIVE, key=hub.admin_key))
        assert status_of(read_until(plain, b"\r\n\r\n")) == 503
        other.sendall(b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert status_of(read_until(other, b"\r\n\r\n")) == 503
        assert status_of(hub.exchange(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")) == 503


def test_one_sessions_fault_keeps_no_other_open(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever one session does at its end, the next one ends too."""
    hub = make_hub()
    key = hub.partner("gone")["key"]
    with Client(hub, NATIVE, key=key) as first, Client(hub, NATIVE, key=key) as second:
        hub.until(lambda: len(connections(hub)) == 2)
        broken = connections(hub)[0]
        assert broken._session is not None

        def fails(*_: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(broken._session, "end", fails)
        assert hub.admin("DELETE", "/hub/v1/partners/gone").status == 204
        assert {first.closed(), second.closed()} == {None, 1008}
        hub.until(lambda: not connections(hub))


def test_a_record_that_a_fold_chokes_on_reaches_its_readers(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = make_hub()
    with live(hub, "g") as client:
        hub.publish_all([cloud_event(subject="g")])
        assert client.event()["seq"] == "1"
        assert hub.get("/hub/v1/snapshots/shottracker/g", hub.admin_key).status == 200, "its state is in memory now"
        fold = hub.running.hub.snapshots.fold("shottracker")
        assert fold is not None

        def fails(*_: object) -> None:
            raise RuntimeError("a bug")

        with monkeypatch.context() as patched:
            patched.setattr(type(fold), "apply", fails)
            hub.publish_all([cloud_event(subject="g")])
            assert client.event()["seq"] == "2"
        hub.publish_all([cloud_event(subject="g")])
        assert client.event()["seq"] == "3"
