"""Readers of the exchange's socket that are slow, stuck or gone: what they get is whole, and nobody else is disturbed.

Every (change, reader) pair is accounted for: delivered, or still owed to a reader that is there, or behind a close that
was told to it. Changes are numbered, so that lists of numbers tell losses, repetitions and inversions apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest

from touchline.feeds.prophetx.channels import BROADCAST
from touchline.testing.clock import FakeClock

from .hubs import Hub
from .prophetx_clients import (
    MANY,
    Client,
    Session,
    connections,
    due,
    everything,
    numbered,
    partner,
    pour,
    private,
    tick,
)
from .websockets import PING, PONG, TEXT, frame

MakeHub = Callable[..., Hub]


def pass_by(hub: Hub, clock: FakeClock, seconds: int) -> None:
    """Time goes on, with all that is done every second."""
    for _ in range(seconds):
        clock.advance(1)
        tick(hub)
        due(hub)


def pass_until_stalled(hub: Hub, clock: FakeClock, stall_seconds: int) -> None:
    """Time goes on until one reader is given up, which begins anew whenever its system takes something more."""
    taken_late = 5
    for second in range(taken_late * stall_seconds):
        if hub.running.hub.fanout.stats.stalled:
            assert second >= stall_seconds, "it had its time"
            return
        pass_by(hub, clock, 1)
    raise AssertionError("it was never given up")


def pair(hub: Hub) -> tuple[Client, Client]:
    """A client with little room, and its neighbour: both on both channels."""
    credentials = partner(hub, "alice")
    session = Session(hub, credentials)
    slow = Client(hub, credentials, session=session, receive_buffer=4096)
    return slow.subscribe_all(), Client(hub, credentials, session=session).subscribe_all()


def test_who_never_reads_is_told_and_let_go(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = make_hub(clock, stall_seconds=60)
    slow, neighbour = pair(hub)
    with slow, neighbour:
        pour(hub)
        assert neighbour.numbers(MANY - 1) == list(range(MANY))
        hub.until(lambda: any(reader.blocked for reader in hub.running.hub.fanout.readers))
        pass_until_stalled(hub, clock, 60)
        assert hub.running.hub.fanout.stats.stalled == 1
        hub.publish_all(numbered([MANY]))
        assert neighbour.numbers(MANY) == [MANY]
        got, error, code = everything(slow)
        assert got == list(range(len(got))), "what it was sent is in order and whole"
        assert 0 < len(got) < MANY
        assert (error["code"], code) == (4100, 4100), "and where it ends is told"
        hub.until(lambda: len(hub.running.sessions) == 1)


def test_who_never_reads_and_never_will_leaves_nothing_behind(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("touchline.server.websocket._CLOSE_SECONDS", 0.1)
    clock = FakeClock()
    hub = make_hub(clock, stall_seconds=60)
    slow, neighbour = pair(hub)
    with slow, neighbour:
        pour(hub)
        assert neighbour.numbers(MANY - 1) == list(range(MANY))
        held = hub.on_loop(lambda: [one._transport.get_write_buffer_size() for one in connections(hub)])  # type: ignore[union-attr]
        assert max(held) < 1_000_000, "what it does not read waits in the log"
        pass_until_stalled(hub, clock, 60)
        hub.until(lambda: len(hub.running.sessions) == 1)
        assert len(hub.running.hub.fanout.readers) == 1


def test_who_reads_a_kilobyte_a_second_is_slow_and_not_dead(make_hub: MakeHub) -> None:
    """For longer than any patience with silence; then it reads on at full speed, and nothing is missing."""
    clock = FakeClock()
    hub = make_hub(clock, stall_seconds=60)
    slow, neighbour = pair(hub)
    with slow, neighbour:
        pour(hub)
        assert neighbour.numbers(MANY - 1) == list(range(MANY))
        taken = b""
        for second in range(300):
            taken += slow.socket.plain.recv(1024)
            if second % 20 == 0:
                slow.socket.send(frame(PONG))
                assert neighbour.is_alive()  # frames alone would not keep it for so long
            pass_by(hub, clock, 1)
        slow.socket._got += taken
        hub.publish_all([*numbered([MANY]), *numbered(range(MANY + 1, MANY + 51))])
        assert slow.numbers(MANY + 50) == list(range(MANY + 51))
        assert hub.running.hub.fanout.stats.stalled == 0
        assert slow.is_alive()


@pytest.mark.parametrize("silent_before", [0, 45])
def test_a_zero_window_that_opens_again(make_hub: MakeHub, silent_before: int) -> None:
    """Nothing is read for almost a minute, then everything: the broadcast channel and the private one, in order. That
    nothing was heard meanwhile is not held against it: nobody listened.
    """
    clock = FakeClock()
    hub = make_hub(clock, stall_seconds=60)
    slow, neighbour = pair(hub)
    owner = hub.running.hub.directory.member("prophetx", partner="alice")
    assert owner is not None
    with slow, neighbour:
        pass_by(hub, clock, silent_before)
        pour(hub)
        hub.publish_all([private(owner.credentials["partner_id"], number) for number in range(10)])
        hub.until(lambda: any(reader.blocked for reader in hub.running.hub.fanout.readers))
        pass_by(hub, clock, 58)
        got = [slow.change() for _ in range(MANY + 10)]
        assert [int(what[2]["id"]) for what in got if what[0] != "wagers"] == list(range(MANY))
        assert [what[2]["info"]["id"] for what in got if what[0] == "wagers"] == [f"w{number}" for number in range(10)]
        pass_by(hub, clock, 1)
        hub.publish_all(numbered([MANY]))
        assert slow.numbers(MANY) == [MANY], "and it is a live reader again"
        assert slow.is_alive()


def test_health_checks_go_to_a_reader_that_catches_up(make_hub: MakeHub) -> None:
    """One that is always behind is written to whenever there is room: its health checks are not put off for ever."""
    clock = FakeClock()
    hub = make_hub(clock)
    slow, neighbour = pair(hub)
    with slow, neighbour:
        pour(hub, end=3 * MANY)
        # Before time goes on: who takes nothing for a minute of it is let go when the hub has its next second.
        assert neighbour.numbers(3 * MANY - 1) == list(range(3 * MANY))
        hub.until(lambda: any(reader.blocked for reader in hub.running.hub.fanout.readers))
        checks = numbers = 0
        while numbers < 3 * MANY:
            got = slow.socket.receive()
            assert got is not None
            if got[0] == TEXT:
                event = json.loads(got[1])["event"]
                checks += event == "health_check"
                numbers += event.startswith("tournament")
            if numbers % 10 == 0:
                clock.advance(1)
        assert checks > 10


def test_who_is_reset_while_it_is_written_to(make_hub: MakeHub) -> None:
    hub = make_hub()
    slow, neighbour = pair(hub)
    with slow, neighbour:
        pour(hub)
        slow.socket.reset()
        hub.until(lambda: len(hub.running.sessions) == 1, "the session to go")
        assert neighbour.numbers(MANY - 1) == list(range(MANY))
        assert len(hub.running.hub.fanout.readers) == 1


@pytest.mark.parametrize("when", ["idle", "while it is written to"])
def test_who_has_sent_its_fin_and_reads_on(make_hub: MakeHub, when: str) -> None:
    """It gets what was on its way and no more, whole and in order."""
    hub = make_hub()
    slow, neighbour = pair(hub)
    with slow, neighbour:
        sent = 10 if when == "idle" else MANY
        pour(hub, end=sent)
        assert slow.numbers(9) == list(range(10))
        slow.socket.plain.shutdown(1)
        got, _, _ = everything(slow)
        assert got == list(range(10, 10 + len(got)))
        assert (got == []) == (when == "idle")
        hub.until(lambda: len(hub.running.sessions) == 1, "the session to go")
        assert neighbour.numbers(sent - 1) == list(range(sent))


def test_answers_to_a_client_that_never_reads_are_bounded(make_hub: MakeHub) -> None:
    """It asks and asks and takes no answer: it is not read any further."""
    hub = make_hub()
    slow, neighbour = pair(hub)
    with slow, neighbour:
        slow.socket.plain.settimeout(0.5)
        wish = json.dumps({"event": "pusher:subscribe", "data": {"channel": "c" * 190, "auth": "x"}}).encode()
        flood = (frame(TEXT, wish) + frame(PING, b"x" * 125)) * 100
        sent = 0
        with suppress(TimeoutError):
            while sent < 64 * 1024 * 1024:
                sent += slow.socket.plain.send(flood)
        assert sent < 64 * 1024 * 1024
        held = hub.on_loop(lambda: [one._transport.get_write_buffer_size() for one in connections(hub)])  # type: ignore[union-attr]
        assert max(held) < 2_000_000
        hub.publish_all(numbered(range(100)))
        assert neighbour.numbers(99) == list(range(100))
        assert neighbour.subscribe_with(BROADCAST, "x")["event"] == "pusher:subscription_error"
