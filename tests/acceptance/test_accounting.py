"""A game is published while 50 sessions read, drop and resume, and the hub is killed under it: every pair is accounted.

Half of the sessions speak ShotTracker's Live Data V2, a quarter each the native WebSocket and server-sent events. They
begin at different moments of the game, drop at moments that a seed chooses, and come back by last seq or position. The
publisher repeats, with the same ids, whatever was not acknowledged.
"""

from __future__ import annotations

import asyncio
import http.client
import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec
import pytest

from .games import Play, sandbox_game
from .hubs import Event, Hub, wait_for
from .readers import ENOUGH, OVER, LiveReader, NativeReader, Reader, Seen, SseReader

GAME = "game-1"
SEED = 20261120
BATCH = 6
KILLS_WHILE_UNANSWERED = (0.2, 0.4, 0.55)
KILL_AFTER_APPEND = 0.75
MEAN_MESSAGES_TO_A_DROP = 70


class Publisher:
    """Publishes batch after batch in order; repeats a request until it is answered."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._key = hub.publisher_key
        self.dice = random.Random(SEED)
        self.accepted = 0
        self.duplicates = 0
        self.requests = 0
        self.repeated = 0

    async def publish(self, plays: Sequence[Play]) -> None:
        """Until it is acknowledged."""
        while not await asyncio.to_thread(self._try, plays):
            self.repeated += 1
            await asyncio.sleep(self.dice.uniform(0.005, 0.05))

    def _try(self, plays: Sequence[Play]) -> bool:
        connection = self.send(plays)
        try:
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if response.status == 503:
            return False
        assert response.status == 202, body
        answer = msgspec.json.decode(body)
        assert answer["accepted"] + answer["duplicates"] == len(plays)
        self.accepted += answer["accepted"]
        self.duplicates += answer["duplicates"]
        return True

    def send(self, plays: Sequence[Play]) -> http.client.HTTPConnection:
        """Send a request and leave its answer in the socket."""
        connection = http.client.HTTPConnection("127.0.0.1", self._hub.port, timeout=10)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/x-ndjson"}
        self.requests += 1
        try:
            connection.request("POST", "/hub/v1/events", b"\n".join(play.line for play in plays), headers)
        except OSError:
            connection.close()  # getresponse then says that there is none
        return connection


class Account(NamedTuple):
    """What became of the (event, reader) pairs of one reader."""

    expected: int
    delivered: int
    lost: int
    duplicates: int
    inversions: int
    foreign: int


def account(expected: Sequence[Seen], seen: Sequence[Seen]) -> Account:
    """Hold what a reader saw against what it was owed."""
    counts = Counter(seen)
    owed = set(expected)
    return Account(
        expected=len(expected),
        delivered=len(owed & counts.keys()),
        lost=len(owed - counts.keys()),
        duplicates=sum(counts.values()) - len(counts),
        inversions=sum(after.seq <= before.seq for before, after in pairwise(seen)),
        foreign=len(counts.keys() - owed),
    )


def test_the_account_finds_what_it_looks_for() -> None:
    a, b, c = (Seen(number, str(number), b"{}") for number in (1, 2, 3))
    assert account([a, b, c], [a, b, c]) == Account(3, 3, 0, 0, 0, 0)
    assert account([a, b, c], [a, c]).lost == 1
    assert account([a, b, c], [a, b, b, c]) == Account(3, 3, 0, 1, 1, 0)
    assert account([a, b, c], [b, a, c]).inversions == 1
    assert account([a, b], [a, b, c]).foreign == 1
    assert account([a, b, c], [a, Seen(2, "2", b"[]"), c]) == Account(3, 2, 1, 0, 0, 1)


async def test_every_event_reaches_every_session_once_and_in_order_though_the_hub_is_killed(
    make_hub: Callable[..., Hub], capsys: pytest.CaptureFixture[str]
) -> None:
    plays = [play for play in sandbox_game(GAME, seed=7, quarter=600) if play.subject == GAME]
    owed = [play for play in plays if not play.is_state]
    assert len(owed) > 400
    assert plays[-1].data.endswith(b'"type":"GAME_END"}')

    hub = make_hub()
    start = hub.start_position()
    publisher = Publisher(hub)
    batches = [plays[index : index + BATCH] for index in range(0, len(plays), BATCH)]
    await publisher.publish(batches[0])  # holds the schedule row, without which there is no token
    readers = _readers(hub, start, owed[-1].id)
    begins = random.Random(SEED + 1)
    starts = {reader: begins.choice((0, 0, 1, begins.randrange(len(batches)))) for reader in readers}
    kills = {int(len(batches) * share): _kill_while_unanswered for share in KILLS_WHILE_UNANSWERED}
    kills[int(len(batches) * KILL_AFTER_APPEND)] = _kill_between_append_and_reply

    async with asyncio.TaskGroup() as tasks:
        for number, batch in enumerate(batches[1:]):
            for reader in [reader for reader, at in starts.items() if at == number]:
                tasks.create_task(reader.run())
            known = publisher.duplicates
            if number in kills:
                await kills[number](hub, publisher, batch)
                tasks.create_task(asyncio.to_thread(hub.start))
            await publisher.publish(batch)
            if kills.get(number) is _kill_between_append_and_reply:
                assert publisher.duplicates >= known + sum(not play.is_state for play in batch) > known
            await asyncio.sleep(0.02)  # the pace of the game; nothing waits for it
        await asyncio.gather(*(reader.until(lambda r=reader: bool(r.ended), "the end", 40) for reader in readers))

    stored = await asyncio.to_thread(hub.events, feed="shottracker", subject=GAME)
    _check_log(stored, plays, owed)
    assert publisher.repeated >= len(kills)
    assert publisher.accepted + publisher.duplicates == len(plays)  # every batch was acknowledged, once
    accounts = _check_readers(readers, [event for event in stored if event.lane == "event"])
    with capsys.disabled():
        pairs = sum(one.expected for one in accounts)
        print(
            f"\n  {len(owed)} sequenced events, {len(readers)} sessions, {pairs} pairs: "
            f"{sum(one.delivered for one in accounts)} delivered, lost {sum(one.lost for one in accounts)}, "
            f"duplicates {sum(one.duplicates for one in accounts)}, "
            f"inversions {sum(one.inversions for one in accounts)}; {len(kills)} kills, "
            f"{sum(reader.drops for reader in readers)} drops by clients, "
            f"{sum(reader.connections for reader in readers)} connections; "
            f"{publisher.repeated} requests repeated, {publisher.duplicates} events recognised as duplicates"
        )


def _readers(hub: Hub, start: str, last_id: str) -> list[Reader]:
    """25 ShotTracker sessions on five tokens, of which every fifth is narrowed to two sources, and 25 native ones."""
    tokens = [hub.token(hub.add_shottracker(f"team-{number}"), GAME) for number in range(5)]
    keys = [hub.add_partner(f"app-{number}", "hub")["key"] for number in range(5)]
    readers: list[Reader] = []
    for number in range(25):
        sources = ("shot", "marker") if number % 5 == 4 else ()
        dice = random.Random(SEED + 100 + number)
        mean = MEAN_MESSAGES_TO_A_DROP / (3 if sources else 1)
        readers.append(LiveReader(hub, f"live-{number}", tokens[number // 5], dice, mean, sources))
    for number in range(25):
        kind = NativeReader if number % 2 else SseReader
        dice = random.Random(SEED + 200 + number)
        reader = kind(hub, f"native-{number}", keys[number // 5], start, dice, MEAN_MESSAGES_TO_A_DROP)
        reader.is_last = lambda message: message.id == last_id
        readers.append(reader)
    return readers


async def _kill_while_unanswered(hub: Hub, publisher: Publisher, batch: Sequence[Play]) -> None:
    """A request is out, and it is anybody's guess how far the hub has come with it."""
    connection = await asyncio.to_thread(publisher.send, batch)
    await asyncio.sleep(publisher.dice.uniform(0.0, 0.006))
    await asyncio.to_thread(hub.kill)
    connection.close()
    publisher.repeated += 1


async def _kill_between_append_and_reply(hub: Hub, publisher: Publisher, batch: Sequence[Play]) -> None:
    """The batch is stored, as another reader can see, but its publisher has read no answer."""
    connection = await asyncio.to_thread(publisher.send, batch)
    await asyncio.to_thread(
        wait_for, lambda: batch[-1].id in [event.id for event in hub.events(subject=GAME)], "the batch is stored"
    )
    await asyncio.to_thread(hub.kill)
    connection.close()
    publisher.repeated += 1


def _check_log(stored: Sequence[Event], plays: Sequence[Play], owed: Sequence[Play]) -> None:
    """Each sequenced event is there once, in order, with seq 1, 2, … and its own bytes."""
    events = [event for event in stored if event.lane == "event"]
    assert [event.seq for event in events] == list(range(1, len(owed) + 1))
    assert [(event.id, bytes(event.data)) for event in events] == [(play.id, play.data) for play in owed]
    # Of the state lane a repeated request may store a value again after a crash: its newest value wins anyway.
    states = {event.id for event in stored if event.lane == "state"}
    assert states == {play.id for play in plays if play.is_state}


def _check_readers(readers: Sequence[Reader], events: Sequence[Event]) -> list[Account]:
    accounts = []
    for reader in readers:
        if isinstance(reader, LiveReader):
            assert reader.ended == OVER, reader.name
            assert reader.repeats == 0, reader.name
            expected = [
                Seen(event.seq, "", bytes(event.data))
                for event in events
                if event.type != "shottracker.game"
                and (not reader.sources or event.type.removeprefix("shottracker.") in reader.sources)
            ]
        else:
            assert reader.ended == ENOUGH, reader.name
            expected = [Seen(event.seq, event.id, bytes(event.data)) for event in events]
        one = account(expected, reader.seen)
        assert one == Account(len(expected), len(expected), 0, 0, 0, 0), (reader.name, one)
        accounts.append(one)
    assert sum(reader.drops for reader in readers) > 100
    assert sum(reader.broken + len(reader.codes) for reader in readers) > 50  # the kills were felt
    return accounts
