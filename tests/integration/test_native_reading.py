"""Reading natively: pages, filters, grants and positions, over HTTP, server-sent events and WebSocket alike."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest

from touchline.model import Event
from touchline.testing.clock import FakeClock

from .hubs import PATIENCE_SECONDS, Hub, cloud_event, read_until, status_of
from .websockets import CLOSE, Client, handshake

MakeHub = Callable[..., Hub]
STATE = {"type": "player", "id": 7, "x": 1, "y": 2, "z": 3, "team_id": 1}


class EventStream:
    """An open ``/hub/v1/stream``, read as an EventSource does: (event, id, data)."""

    def __init__(self, hub: Hub, query: str, key: str, *more: str, receive_buffer: int | None = None) -> None:
        self.plain = hub.connect(receive_buffer=receive_buffer)
        lines = [f"GET /hub/v1/stream?{query} HTTP/1.1", "Host: h", f"Authorization: Bearer {key}", *more]
        self.plain.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        got = read_until(self.plain, b"\r\n\r\n")
        self.head, _, self._raw = got.partition(b"\r\n\r\n")
        self.status = status_of(self.head)
        self._text = b""
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.plain.close()

    def _chunk(self) -> None:
        """Take one chunk of the transfer coding."""
        while b"\r\n" not in self._raw:
            self._more()
        size, _, rest = self._raw.partition(b"\r\n")
        while len(rest) < int(size, 16) + 2:
            self._more()
            rest = self._raw.partition(b"\r\n")[2]
        self._text += rest[: int(size, 16)]
        self._raw = rest[int(size, 16) + 2 :]
        self.ended = int(size, 16) == 0

    def _more(self) -> None:
        part = self.plain.recv(1 << 16)
        assert part, "closed"
        self._raw += part

    def event(self) -> tuple[str, str, Any]:
        """The next one; comments are passed over."""
        while True:
            while b"\n\n" not in self._text:
                assert not self.ended
                self._chunk()
            block, _, self._text = self._text.partition(b"\n\n")
            fields: dict[str, list[str]] = {}
            for line in block.decode().split("\n"):
                name, _, value = line.partition(": ")
                fields.setdefault(name, []).append(value)
            if "data" in fields:
                data = json.loads("\n".join(fields["data"]))
                return fields.get("event", ["message"])[0], fields.get("id", [""])[0], data


def publish(hub: Hub, subject: str, count: int) -> list[str]:
    events = [cloud_event(subject=subject) for _ in range(count)]
    hub.publish_all(events)
    return [event["id"] for event in events]


@pytest.fixture
def reader(hub: Hub, subject: str) -> Iterator[Callable[..., str]]:
    """Makes hub partners with grants; their keys."""
    count = 0

    def make(**grants: list[str]) -> str:
        nonlocal count
        count += 1
        return hub.partner(f"{subject}-{count}", grants=grants)["key"]

    yield make
    for number in range(1, count + 1):
        hub.admin("DELETE", f"/hub/v1/partners/{subject}-{number}")


# pages


def test_pages_and_positions(hub: Hub, subject: str) -> None:
    ids = publish(hub, subject, 25)
    seen: list[str] = []
    query, pages = f"subject={subject}&feed=shottracker&limit=10", 0
    page = hub.get(f"/hub/v1/events?{query}", hub.admin_key).json
    while True:
        seen += [event["id"] for event in page["events"]]
        pages += 1
        if not page["more"]:
            break
        assert page["position"] == page["events"][-1]["position"]
        page = hub.get(f"/hub/v1/events?{query}&after={page['position']}", hub.admin_key).json
    assert (seen, pages) == (ids, 3)
    again = hub.get(f"/hub/v1/events?{query}&after={page['position']}", hub.admin_key).json
    assert (again["events"], again["more"]) == ([], False)
    more = publish(hub, subject, 2)
    again = hub.get(f"/hub/v1/events?{query}&after={again['position']}", hub.admin_key).json
    assert [event["id"] for event in again["events"]] == more


def test_reading_on_from_every_event(hub: Hub, subject: str) -> None:
    ids = publish(hub, subject, 12)
    events = hub.events(f"subject={subject}")
    for index, event in enumerate(events):
        page = hub.get(f"/hub/v1/events?subject={subject}&after={event['position']}", hub.admin_key).json
        assert [one["id"] for one in page["events"]] == ids[index + 1 :]


@pytest.mark.parametrize(
    "limit", ["0", "-1", "1001", "x", "1e2", "", "%D9%A3", "000000001" + "0" * 5000, "0000000019999"]
)
def test_limits_that_are_none(hub: Hub, limit: str) -> None:
    answer = hub.request("GET", f"/hub/v1/events?limit={limit}", key=hub.admin_key)
    assert answer.status == (200 if limit == "" else 400)


def test_filters(hub: Hub, subject: str) -> None:
    hub.publish_all(
        [
            cloud_event("shottracker.marker", f"{subject}-1"),
            cloud_event("shottracker.other", f"{subject}-1"),
            cloud_event("roanuz.something", f"{subject}-1", {}),
            cloud_event("shottracker.marker", f"{subject}-2"),
        ]
    )

    def found(query: str) -> list[tuple[str, str]]:
        return [(e["type"].removeprefix("shottracker."), e["subject"][-1]) for e in hub.events(query)]

    one, two = f"subject={subject}-1", f"subject={subject}-2"
    assert found(one) == [("marker", "1"), ("other", "1"), ("roanuz.something", "1")]
    assert found(f"{one}&{two}&type=shottracker.marker") == [("marker", "1"), ("marker", "2")]
    assert found(f"{one}&feed=roanuz") == [("roanuz.something", "1")]
    assert found(f"{one}&feed=roanuz&feed=shottracker&type=shottracker.other") == [("other", "1")]
    assert found(f"{one}&feed=hisports") == []
    assert hub.get("/hub/v1/events?feed=nosuch", hub.admin_key).status == 400
    assert hub.get("/hub/v1/stream?feed=nosuch", hub.admin_key).status == 400
    assert status_of(hub.exchange(handshake("/hub/v1/ws?feed=nosuch", key=hub.admin_key))) == 400


def test_a_small_page_of_two_feeds_makes_headway(hub: Hub, subject: str) -> None:
    """Where the log cannot select for the reader, a page of one is not a look at one record."""
    publish(hub, f"{subject}-noise", 60)
    hub.publish_all([cloud_event("roanuz.something", subject, {})])
    publish(hub, f"{subject}-noise", 60)
    query = f"feed=roanuz&feed=hisports&subject={subject}&limit=1"
    answer = hub.get(f"/hub/v1/events?{query}", hub.admin_key).json
    for _ in range(3):
        if answer["events"]:
            break
        answer = hub.get(f"/hub/v1/events?{query}&after={answer['position']}", hub.admin_key).json
    assert len(answer["events"]) == 1


def test_both_lanes_are_history(hub: Hub, subject: str) -> None:
    hub.publish_all(
        [
            cloud_event(subject=subject),
            cloud_event("shottracker.location", subject, STATE),
            cloud_event(subject=subject),
        ]
    )
    hub.publish_all([cloud_event("shottracker.location", subject, STATE)])
    assert [(e["lane"], e.get("seq")) for e in hub.events(f"subject={subject}")] == [
        ("event", 1),
        ("state", None),
        ("event", 2),
        ("state", None),
    ]


def test_ndjson(hub: Hub, subject: str) -> None:
    pretty = json.dumps(cloud_event(subject=subject, data={"type": "x", "a": [1, 2]}), indent=2)
    assert hub.publish(pretty.encode()).status == 202
    publish(hub, subject, 2)
    answer = hub.get(f"/hub/v1/events?subject={subject}&limit=2", hub.admin_key, Accept="application/x-ndjson")
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert len(lines) == 2
    assert answer.headers["touchline-more"] == "true"
    assert answer.headers["touchline-position"] == lines[-1]["position"]


# who sees what


def test_grants(hub: Hub, subject: str, reader: Callable[..., str]) -> None:
    hub.publish_all(
        [
            cloud_event("shottracker.marker", subject, id=f"{subject}-a"),
            cloud_event("shottracker.other", f"{subject}-2", id=f"{subject}-b"),
            cloud_event("roanuz.something", subject, {}, id=f"{subject}-c"),
            cloud_event("prophetx.something", subject, {}, id=f"{subject}-d", partner="them"),
            cloud_event("prophetx.something", subject, {}, id=f"{subject}-e", partner=17),
        ]
    )

    def sees(key: str) -> str:
        page = hub.get(f"/hub/v1/events?subject={subject}&subject={subject}-2&limit=1000", key).json
        return "".join(event["id"][-1] for event in page["events"])

    assert sees(hub.admin_key) == "abcde"
    assert sees(reader()) == "abc"
    assert sees(reader(feed=["roanuz"])) == "c"
    assert sees(reader(subject=[subject])) == "ac"
    assert sees(reader(type=["shottracker.marker", "roanuz.something"])) == "ac"
    assert sees(reader(feed=["shottracker"], type=["roanuz.something"])) == ""
    assert sees(reader(partner=["them"])) == "abcd"
    assert sees(reader(partner=["17"], feed=["prophetx"])) == "e"
    assert sees(reader(partner=["nobody"])) == "abc"
    assert hub.get("/hub/v1/events", hub.publisher_key).status == 403


def test_private_records_stay_private_on_every_transport(hub: Hub, subject: str, reader: Callable[..., str]) -> None:
    start = hub.get("/hub/v1/events?limit=1000&feed=prophetx", hub.admin_key).json["position"]
    hub.publish_all(
        [
            cloud_event("prophetx.something", subject, {}, id=f"{subject}-private", partner="them"),
            cloud_event("prophetx.anything", subject, {}, id=f"{subject}-public"),
        ]
    )
    query = f"feed=prophetx&subject={subject}&after={start}"
    for key, first in ((reader(), "public"), (reader(partner=["them"]), "private"), (hub.admin_key, "private")):
        with EventStream(hub, query, key) as stream, Client(hub, f"/hub/v1/ws?{query}", key=key) as socket_:
            assert stream.event()[2]["id"] == socket_.event()["id"] == f"{subject}-{first}"


def test_the_hubs_own_events(hub: Hub, subject: str, reader: Callable[..., str]) -> None:
    made = Event("hub", "hub.publisher.stale", subject, "/hub", subject, b"{}", 0, 0)
    hub.wait(hub.running.hub.event_log.append([made]))

    def sees(key: str) -> int:
        return len(hub.get(f"/hub/v1/events?subject={subject}", key).json["events"])

    assert [sees(hub.admin_key), sees(reader()), sees(reader(feed=["hub"])), sees(reader(feed=["roanuz"]))] == [
        1,
        0,
        1,
        0,
    ]


def test_snapshots_and_who_may_see_them(hub: Hub, subject: str, reader: Callable[..., str]) -> None:
    path = f"/hub/v1/snapshots/shottracker/{subject}"
    assert hub.get(path, hub.admin_key).status == 404
    publish(hub, subject, 3)
    first = hub.get(path, hub.admin_key)
    assert first.status == 200
    assert isinstance(first.json, dict)
    for key, status in (
        (reader(), 200),
        (reader(feed=["shottracker"], subject=[subject]), 200),
        (reader(feed=["roanuz"]), 404),
        (reader(subject=["other"]), 404),
        (reader(type=["shottracker.marker"]), 404),
        (hub.publisher_key, 403),
        ("wrong", 401),
    ):
        assert hub.get(path, key).status == status
    assert hub.get("/hub/v1/snapshots/nosuch/x", hub.admin_key).status == 404
    assert hub.get("/hub/v1/snapshots/roanuz/x", hub.admin_key).status == 404


def test_a_subject_with_a_slash_has_a_snapshot(hub: Hub, subject: str) -> None:
    publish(hub, f"{subject}/a b", 1)
    assert hub.get(f"/hub/v1/snapshots/shottracker/{subject}%2Fa%20b", hub.admin_key).status == 200


# positions that cannot be continued from


def other_positions(hub: Hub) -> dict[str, str]:
    epoch, head = hub.on_loop(lambda: (hub.running.hub.event_log.epoch, hub.running.hub.event_log.head))
    other = "0" * 16 if epoch != "0" * 16 else "1" * 16
    return {"ahead": f"{epoch}-zzzzz", "epoch": f"{other}-0", "invalid": "garbage", "head": f"{epoch}-{head}"}


@pytest.mark.parametrize("reason", ["ahead", "epoch"])
def test_a_position_that_leads_nowhere_is_told(hub: Hub, reason: str) -> None:
    position = other_positions(hub)[reason]
    answer = hub.get(f"/hub/v1/events?after={position}", hub.admin_key)
    assert answer.status == 410
    assert answer.json["reason"] == reason
    assert hub.get(f"/hub/v1/events?after={answer.json['oldest']}", hub.admin_key).status == 200
    assert hub.get(f"/hub/v1/events?after={answer.json['head']}", hub.admin_key).status == 200
    assert hub.get(f"/hub/v1/stream?after={position}", hub.admin_key).status == 410
    assert hub.get("/hub/v1/stream", hub.admin_key, Last_Event_ID=position).status == 410
    with Client(hub, f"/hub/v1/ws?after={position}", key=hub.admin_key) as client:
        message = client.event()
        assert (message["type"], message["data"]["reason"]) == ("hub.gap", reason)
        assert message["data"].keys() == {"reason", "detail", "oldest", "head"}
        assert client.closed() == 4410


@pytest.mark.parametrize("position", ["garbage", "", "-1", "5", "0", "aaaaaaaaaaaaaaaa-~"])
def test_a_position_that_is_none(hub: Hub, position: str) -> None:
    key = hub.admin_key
    assert hub.get(f"/hub/v1/events?after={position}", key).status == 400
    assert hub.get(f"/hub/v1/stream?after={position or 'x'}", key).status == 400
    assert status_of(hub.exchange(handshake(f"/hub/v1/ws?after={position}", key=key))) == 400


def test_a_position_that_retention_has_passed(make_hub: MakeHub) -> None:
    hub = make_hub()
    publish(hub, "game-1", 10)
    events = hub.events()
    log = hub.running.hub.event_log
    hub.wait(log.trim(4))
    for index, event in enumerate(events):
        path = f"/hub/v1/events?after={event['position']}"
        answer = hub.get(path, hub.admin_key)
        assert answer.status == (410 if index < 3 else 200)
        if index < 3:
            assert answer.json["reason"] == "expired"
        else:
            assert len(answer.json["events"]) == 9 - index
    assert [event["id"] for event in hub.events()] == [event["id"] for event in events[4:]]
    with Client(hub, f"/hub/v1/ws?after={events[0]['position']}", key=hub.admin_key) as client:
        assert client.event()["data"]["reason"] == "expired"
    assert hub.get("/hub/v1/snapshots/shottracker/game-1", hub.admin_key).status == 200


# streams


def test_server_sent_events_resume(hub: Hub, subject: str) -> None:
    ids = publish(hub, subject, 5)
    query = f"feed=shottracker&subject={subject}"
    epoch = hub.on_loop(lambda: hub.running.hub.event_log.epoch)
    with EventStream(hub, f"{query}&after={epoch}-0", hub.admin_key) as stream:
        assert b"content-type: text/event-stream" in stream.head.lower()
        got = [stream.event() for _ in range(5)]
        ids += publish(hub, subject, 2)
        got += [stream.event() for _ in range(2)]
    assert [data["id"] for _, _, data in got] == ids
    assert all(position == data["position"] for _, position, data in got)
    for index, (_, position, _) in enumerate(got[:-1]):
        with EventStream(hub, f"{query}&after=x", hub.admin_key, f"Last-Event-ID: {position}") as stream:
            assert stream.event()[2]["id"] == ids[index + 1], "the header wins over the query"


def test_line_breaks_in_data_survive_server_sent_events(hub: Hub, subject: str) -> None:
    with EventStream(hub, f"subject={subject}", hub.admin_key) as stream:
        body = json.dumps(cloud_event(subject=subject, data={"type": "x"}), indent=1).replace("\n", "\r\n")
        assert hub.publish(body.encode()).status == 202
        assert stream.event()[2]["data"] == {"type": "x"}


def test_without_a_position_only_live_events_come(hub: Hub, subject: str) -> None:
    publish(hub, subject, 3)
    query = f"subject={subject}"
    with (
        EventStream(hub, query, hub.admin_key) as stream,
        Client(hub, f"/hub/v1/ws?{query}", key=hub.admin_key) as client,
    ):
        sessions = hub.running.sessions
        hub.until(lambda: len(sessions) >= 2)
        hub.until(lambda: not hub.running.hub.fanout.behind())
        (live,) = publish(hub, subject, 1)
        assert stream.event()[2]["id"] == client.event()["id"] == live


def test_the_websocket_subprotocol(hub: Hub) -> None:
    offered = "Sec-WebSocket-Protocol: other, cloudevents.json"
    with Client(hub, "/hub/v1/ws", offered, key=hub.admin_key) as client:
        assert b"sec-websocket-protocol: cloudevents.json" in client.head.lower()
    with Client(hub, "/hub/v1/ws", "Sec-WebSocket-Protocol: other", key=hub.admin_key) as client:
        assert b"sec-websocket-protocol" not in client.head.lower()
    with Client(hub, f"/hub/v1/ws?access_token={hub.admin_key}") as client:
        assert b"sec-websocket-protocol" not in client.head.lower()


def test_a_websocket_without_a_good_key(hub: Hub) -> None:
    for path, key in (("/hub/v1/ws", None), ("/hub/v1/ws", "wrong"), ("/hub/v1/ws?access_token=wrong", None)):
        answer = hub.exchange(handshake(path, key=key))
        assert status_of(answer) == 401
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-type: application/problem+json" in head.lower()
        assert b"www-authenticate: bearer" in head.lower()
        assert json.loads(body)["status"] == 401


def test_websocket_resume_from_every_position(hub: Hub, subject: str) -> None:
    ids = publish(hub, subject, 8)
    for index, event in enumerate(hub.events(f"subject={subject}")):
        with Client(hub, f"/hub/v1/ws?subject={subject}&after={event['position']}", key=hub.admin_key) as client:
            assert [client.event()["id"] for _ in ids[index + 1 :]] == ids[index + 1 :]


# the end of rights


@pytest.mark.parametrize("how", ["suspend", "remove", "rotate", "revoke", "remove feed"])
def test_sockets_of_those_who_lost_their_rights_end(
    hub: Hub, subject: str, how: str, reader: Callable[..., str]
) -> None:
    name, one = f"{subject}-gone", f"/hub/v1/partners/{subject}-gone"
    if how == "revoke":
        made = hub.admin("POST", "/hub/v1/keys", {"role": "admin", "name": name}).json
        key = made["key"]
        request = ("DELETE", f"/hub/v1/keys/{made['id']}")
    else:
        key = hub.partner(name)["key"]
        request = {
            "suspend": ("POST", f"{one}/suspend"),
            "remove": ("DELETE", one),
            "rotate": ("POST", f"{one}/feeds/hub/rotate"),
            "remove feed": ("DELETE", f"{one}/feeds/hub"),
        }[how]
    query = f"subject={subject}"
    neighbour = Client(hub, f"/hub/v1/ws?{query}", key=reader())
    with EventStream(hub, query, key) as stream, Client(hub, f"/hub/v1/ws?{query}", key=key) as client, neighbour:
        (first,) = publish(hub, subject, 1)
        assert stream.event()[2]["id"] == client.event()["id"] == neighbour.event()["id"] == first
        assert hub.admin(*request).status in (200, 204)
        (second,) = publish(hub, subject, 1)
        assert client.closed() == 1008
        assert stream.event()[::2] == ("end", {"reason": "revoked"})
        assert neighbour.event()["id"] == second
    assert hub.get("/hub/v1/events", key).status == 401
    hub.admin("DELETE", one)


def test_changed_grants_invite_back(hub: Hub, subject: str) -> None:
    key = hub.partner(subject)["key"]
    with Client(hub, "/hub/v1/ws", key=key) as client:
        hub.admin("PUT", f"/hub/v1/partners/{subject}/feeds/hub", {"grants": {"feed": ["roanuz"]}})
        assert client.closed() == 1001
    hub.admin("DELETE", f"/hub/v1/partners/{subject}")


def test_who_lost_its_rights_and_neither_reads_nor_answers_is_cut_off(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revoked socket is gone whatever its client does: reads nothing, or goes on talking."""
    monkeypatch.setattr("touchline.server.websocket._CLOSE_SECONDS", 0.1)
    monkeypatch.setattr("touchline.server.http.native._END_SECONDS", 0.1)
    hub = make_hub()
    key = hub.partner("gone")["key"]
    sessions = hub.running.sessions
    deaf = Client(hub, "/hub/v1/ws", key=key, receive_buffer=4096)
    talking = Client(hub, "/hub/v1/ws", key=key)
    stream = hub.connect(receive_buffer=4096)
    stream.sendall(f"GET /hub/v1/stream HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    hub.until(lambda: len(sessions) == 3)
    big = [cloud_event(data={"type": "x" * 100_000}) for _ in range(100)]
    hub.publish_all(big)
    hub.until(lambda: sum(reader.blocked for reader in hub.running.hub.fanout.readers) >= 2)
    assert hub.admin("DELETE", "/hub/v1/partners/gone").status == 204
    try:
        while len(sessions):  # it never answers the close and has always something to say
            talking.send(b"\x8a\x80\0\0\0\0")
    except OSError:
        pass
    hub.until(lambda: len(sessions) == 0, "the sockets to be cut off")
    for client in (deaf.plain, talking.plain, stream):
        client.settimeout(PATIENCE_SECONDS)
        client.close()
    assert isinstance(stream, socket.socket)
    assert CLOSE == 8


@pytest.mark.parametrize("reads", [True, False])
def test_a_stream_read_slowly_is_kept_and_one_not_read_is_closed(make_hub: MakeHub, reads: bool) -> None:
    """A kilobyte a second, for longer than the patience with those who take nothing; then the rest, in order."""
    clock = FakeClock()
    hub = make_hub(clock, stall_seconds=60)
    with EventStream(hub, "subject=slow", hub.admin_key, receive_buffer=4096) as stream:
        fanout = hub.running.hub.fanout
        ids = []
        for _ in range(8):
            events = [cloud_event(subject="slow", data={"type": "x" * 10_000}) for _ in range(100)]
            hub.publish_all(events)
            ids += [event["id"] for event in events]
        hub.until(lambda: any(reader.blocked for reader in fanout.readers), "the reader to be slow")
        for _ in range(180):
            if reads:
                stream._raw += stream.plain.recv(1024)
            clock.advance(1)
            hub.on_loop(fanout.tick)
        assert fanout.stats.stalled == (0 if reads else 1)
        if reads:
            assert [stream.event()[2]["id"] for _ in ids] == ids
        else:
            hub.until(lambda: not fanout.readers, "the reader to be gone")
