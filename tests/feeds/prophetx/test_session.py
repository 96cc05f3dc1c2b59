"""The socket at /app/{key}: whose it is, its channels, what it may not have, health checks, and how it ends."""

from __future__ import annotations

import itertools
import json

import pytest

from touchline.feeds.base import EndReason, Refuse
from touchline.feeds.prophetx import apps
from touchline.feeds.prophetx.channels import BROADCAST, private_channel
from touchline.testing.roles import Line, upgrade_request
from touchline.wire import pusher

from . import worlds
from .worlds import ALICE, BOB, Hub, change, heard, member, new_hub, open_line, send_subscribe, socket_id, subscribe

MINE, THEIRS = private_channel(ALICE), private_channel(BOB)
SUCCEEDED = "pusher_internal:subscription_succeeded"
REFUSED = "pusher:subscription_error"


def tick(line: Line, hub: Hub, seconds: float) -> list[dict[str, object]]:
    """Let time pass to every deadline on the way, as the shell does."""
    before, end = len(line.messages), hub.monotonic + seconds
    while (due := line.session.deadline()) is not None and due <= end:
        hub.advance(max(0.0, due - hub.monotonic))
        line.session.tick(hub.now())
        line.settle()
    hub.advance(max(0.0, end - hub.monotonic))
    return heard(line.messages[before:])


@pytest.mark.parametrize(
    "query", ["", "?protocol=7&client=js&version=8.6.0", "?client=Pysher&version=1.0.7&protocol=6"]
)
def test_a_client_is_greeted_and_subscribes(query: str) -> None:
    hub = new_hub()
    line = open_line(hub, query=query)
    assert line.accepted is not None
    assert line.identity is not None
    assert line.identity.partner == "alice"
    assert pusher.is_socket_id(socket_id(line))
    assert heard(line.send('{"event":"pusher:ping","data":""}')) == [{"event": "pusher:pong", "data": {}}]
    for channel in (BROADCAST, MINE):
        (answer,) = subscribe(line, "alice", channel, hub)
        assert answer == {"event": SUCCEEDED, "channel": channel, "data": "{}"}
    assert [follow.after for follow in line.follows.values()] == [None, None], "live only: there is no resume"


def test_every_change_comes_once_in_order_and_unchanged() -> None:
    hub = new_hub()
    line = open_line(hub)
    subscribe(line, "alice", BROADCAST, hub)
    subscribe(line, "alice", MINE, hub)
    before = len(line.messages)
    for kind, subject, data in worlds.STORY:
        hub.publish(kind, subject, data, op="c" if kind == "prophetx.tournament" else "u")
        line.read()
    hub.publish("prophetx.wager", ALICE, worlds.wager(ALICE))
    hub.publish("prophetx.private_system_signal", ALICE, b"{}")
    hub.publish("prophetx.account", ALICE, worlds.account())
    hub.publish("prophetx.wager", BOB, worlds.wager(BOB))
    hub.publish("prophetx.something_new", "109", b'[1,{"a":9007199254740993}]', op="d")
    line.read()
    messages = heard(line.messages[before:])
    changes = [change(message) for message in messages]
    expected = [(kind.removeprefix("prophetx."), data) for kind, _, data in worlds.STORY]
    private = [("wager", worlds.wager(ALICE)), ("private_system_signal", b"{}")]
    public = [(what, payload) for event, what, _, payload, _ in changes if event in ("general", "tournament_109")]
    assert public == [*expected, ("something_new", b'[1,{"a":9007199254740993}]')]
    assert [(what, payload) for event, what, _, payload, _ in changes if event in ("wagers", "health_check")] == private
    assert [event for event, *_ in changes].count("general") == 1
    assert changes[0][:3] == ("general", "tournament", "c")
    assert len(changes) == len(worlds.STORY) + 3
    assert {message["channel"] for message in messages} == {BROADCAST, MINE}
    stamps = [
        record.appended_at
        for record in hub.stored
        if record.event.type != "prophetx.account" and record.event.partner != BOB
    ]
    assert sorted(timestamp for *_, timestamp in changes) == stamps
    assert len(set(stamps)) == len(stamps)


def test_a_later_change_of_a_tournament_comes_on_its_own_name() -> None:
    hub = new_hub()
    line = open_line(hub)
    subscribe(line, "alice", BROADCAST, hub)
    for op in ("c", "u", "d"):
        hub.publish("prophetx.tournament", "109", worlds.tournament(), op=op)
    assert [change(message)[0] for message in heard(line.read())] == ["general", "tournament_109", "tournament_109"]


def test_unsubscribing_ends_a_channel_and_subscribing_twice_changes_nothing() -> None:
    hub = new_hub()
    line = open_line(hub)
    subscribe(line, "alice", BROADCAST, hub)
    assert [answer["event"] for answer in subscribe(line, "alice", BROADCAST, hub)] == [SUCCEEDED]
    hub.publish("prophetx.market", "109", worlds.market())
    assert len(line.read()) == 1
    assert line.send(json.dumps({"event": "pusher:unsubscribe", "data": {"channel": BROADCAST}})) == []
    hub.publish("prophetx.market", "109", worlds.market())
    assert line.read() == []
    subscribe(line, "alice", BROADCAST, hub)
    hub.publish("prophetx.market", "109", worlds.market())
    assert len(line.read()) == 1


def test_no_way_leads_to_another_partner_s_channel() -> None:
    hub = new_hub()
    line, other = open_line(hub), open_line(hub, "bob")
    mine, theirs = apps.app_of(hub.apps_secret, "alice"), apps.app_of(hub.apps_secret, "bob")
    here, there = socket_id(line), socket_id(other)
    assert here != there

    def sign(app: apps.App, socket: str, channel: str) -> str:
        return pusher.authorize(app.key, app.secret, socket, channel)

    spelt = [
        THEIRS,
        THEIRS.upper(),
        THEIRS + " ",
        " " + THEIRS,
        THEIRS + "\0",
        THEIRS.replace("user=", "user=%30"),
        THEIRS.removeprefix("private-"),
        f"private-service=3-device_type=5-user={BOB}",
        f"presence-service=3-device_type=5-user={BOB.replace('-', '')}",
        f"{MINE}:{THEIRS}",
        f"#server-to-user-{BOB}",
        "public",
    ]
    auths = [
        *(
            sign(app, socket, channel)
            for app in (mine, theirs)
            for socket in (here, there)
            for channel in (THEIRS, MINE)
        ),
        sign(theirs, here, THEIRS).replace(theirs.key, mine.key),
        f"{mine.key}:{'0' * 64}",
        "",
    ]
    for channel in spelt:
        for auth in [*auths, sign(mine, here, channel), sign(theirs, here, channel)]:
            (answer,) = send_subscribe(line, channel, auth)
            expected = {"type": "AuthError", "error": "Not authorized for this channel", "status": 401}
            assert answer == {"event": REFUSED, "channel": channel, "data": expected}
    wrong = [*(sign(theirs, here, MINE), sign(mine, there, MINE)), sign(mine, here, BROADCAST), mine.key, "x:y"]
    for auth in wrong:
        assert send_subscribe(line, MINE, auth)[0]["event"] == REFUSED
    assert line.follows == {}
    subscribe(line, "alice", BROADCAST, hub)
    subscribe(line, "alice", MINE, hub)
    hub.publish("prophetx.wager", BOB, worlds.wager(BOB))
    hub.publish("prophetx.private_system_signal", BOB, b"{}")
    hub.publish("prophetx.something_new", BOB, b"{}", partner=BOB)
    assert line.read() == []
    assert line.closed is None


def test_a_signature_made_anywhere_is_good_for_the_socket_of_any_node() -> None:
    """Nothing of the node that gave the id is needed: two hubs that share the directory's secret."""
    one, two = new_hub(), new_hub()
    two.secrets = one.secrets = {apps.SECRET_NAME: "5" * 64}
    line = open_line(one)
    answer = worlds.ask(
        two,
        "POST",
        "/partner/mm/pusher",
        f"socket_id={socket_id(line)}&channel_name={MINE}".encode(),
        worlds.bearer(two),
    )
    assert send_subscribe(line, MINE, worlds.value(answer)["auth"])[0]["event"] == SUCCEEDED


@pytest.mark.parametrize(
    ("query", "code"), [("?protocol=4", 4007), ("?protocol=8", 4007), ("?protocol=x", 4006), ("?protocol=-1", 4006)]
)
def test_other_versions_are_told_on_the_open_socket(query: str, code: int) -> None:
    line = open_line(new_hub(), query=query)
    assert line.accepted is not None
    assert line.closed is not None
    assert line.closed.code == code
    (message,) = heard(line.messages)
    assert (message["event"], message["data"]["code"]) == ("pusher:error", code)


def test_a_key_that_was_not_made_here_tells_nothing() -> None:
    hub = new_hub()
    good = apps.app_of(hub.apps_secret, "alice").key
    keys = [
        "x",
        "0" * 20,
        "0" * 20 + b"alice".hex(),
        good[:-1],
        good + "00",
        good.upper(),
        good[:20] + "zz",
        "é",
        "0" * 999,
    ]
    answers = set()
    for key in keys:
        line = Line(hub, upgrade_request(f"ws://127.0.0.1:8080/app/{key}?protocol=7"))
        assert line.closed is not None
        assert line.closed.code == 4001
        answers.add(bytes(line.messages[0]) if isinstance(line.messages[0], bytes) else line.messages[0])
        assert len(line.messages) == 1
    assert len(answers) == 1


def test_a_partner_who_is_gone_is_turned_away() -> None:
    hub = new_hub()
    hub.members = [member("bob")]
    line = open_line(hub)
    assert line.closed is not None
    assert line.closed.code == 4003
    assert line.identity is None


def test_grants_narrow_the_broadcast_channel() -> None:
    hub = new_hub(member("alice", tournament_id=frozenset({"109"})), member("bob"))
    narrow, wide = open_line(hub), open_line(hub, "bob")
    for name, line in (("alice", narrow), ("bob", wide)):
        subscribe(line, name, BROADCAST, hub)
    hub.publish("prophetx.market", "109", worlds.market())
    hub.publish("prophetx.market", "31", worlds.market())
    assert [change(message)[0] for message in heard(narrow.read())] == ["tournament_109"]
    assert [change(message)[0] for message in heard(wide.read())] == ["tournament_109", "tournament_31"]


@pytest.mark.parametrize("channels", [[], [BROADCAST], [BROADCAST, MINE]])
def test_health_checks_come_every_five_seconds_to_every_socket(channels: list[str]) -> None:
    hub = new_hub()
    line = open_line(hub)
    for channel in channels:
        subscribe(line, "alice", channel, hub)
    messages = tick(line, hub, 60.0)
    assert len(messages) == 12
    for message in messages:
        assert message.get("channel") == (channels[-1] if channels else None)
        assert change(message)[:4] == ("health_check", "private_system_signal", "u", b"{}")
    stamps = [change(message)[4] for message in messages]
    assert [later - earlier for earlier, later in itertools.pairwise(stamps)] == [5_000_000_000] * 11


def test_a_busy_client_gets_its_health_checks_and_a_stopped_process_sends_one() -> None:
    hub = new_hub()
    line = open_line(hub)
    checks = 0
    for _ in range(480):  # eight messages a second, and the shell's timer never gets its turn
        hub.advance(0.125)
        checks += sum(one["event"] == "health_check" for one in heard(line.send('{"event":"pusher:ping"}')))
    assert checks == 12
    sent = len(line.messages)
    hub.advance(61.0)
    line.session.tick(hub.now())
    line.settle()
    assert [one["event"] for one in heard(line.messages[sent:])] == ["health_check"]
    due = line.session.deadline()
    assert due is not None
    assert hub.monotonic < due <= hub.monotonic + 5


def test_a_client_that_is_silent_for_good_is_pinged_and_closed() -> None:
    hub = new_hub()
    line = open_line(hub)
    events = [one["event"] for one in tick(line, hub, 149.0)]
    assert events.count("pusher:ping") == 1
    assert line.closed is None
    tick(line, hub, 2.0)
    assert line.closed is not None
    assert line.closed.code == 4201
    assert heard(line.messages)[-1]["data"] == {"code": 4201, "message": "No pong was received"}
    quiet = open_line(hub)
    for _ in range(5):  # it never pings, but answers
        tick(quiet, hub, 125.0)
        quiet.send('{"event":"pusher:pong","data":{}}')
    assert quiet.closed is None


def test_a_client_that_takes_what_it_is_owed_is_alive() -> None:
    hub = new_hub()
    line = open_line(hub)
    for _ in range(5):
        tick(line, hub, 149.0)
        line.session.drained(hub.now())
    assert line.closed is None
    before = open_line(hub).session
    before.drained(hub.now())


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (EndReason.SHUTDOWN, 4200),
        (EndReason.GAP, 4200),
        (EndReason.FAULT, 4200),
        (EndReason.STALLED, 4100),
        (EndReason.IDLE, 4201),
        (EndReason.REVOKED, 4003),
    ],
)
def test_an_end_is_told_as_an_error_first(reason: EndReason, code: int) -> None:
    hub = new_hub()
    line = open_line(hub)
    line.session.end(reason, hub.now())
    line.settle()
    assert line.closed is not None
    assert line.closed.code == code
    last = heard(line.messages)[-1]
    assert last["event"] == "pusher:error"
    assert last["data"]["code"] == code
    assert line.session.deadline() is None
    line.session.receive_data('{"event":"pusher:ping"}', hub.now())
    line.session.tick(hub.now())
    assert line.session.data_to_send() == []


def test_before_it_is_known_who_comes_the_handshake_is_refused() -> None:
    hub = new_hub()
    surface = hub.feed.websocket
    assert surface is not None
    session = surface.open(upgrade_request("ws://127.0.0.1:8080/app/x"), hub.entropy, hub.now())
    session.events_received()
    session.end(EndReason.SHUTDOWN, hub.now())
    (wish,) = session.events_received()
    assert isinstance(wish, Refuse)
    assert wish.response.status == 503
