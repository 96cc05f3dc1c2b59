"""The conformance suites of a log backend: every duty of ``touchline.log.base``, for any EventLog and KeyValue.

A backend's test module is a few lines: subclass ``LogSuite`` (``KeyValueSuite``) with an async fixture ``log``
(``kv``) that gives a started log, and, when the backend keeps anything beyond ``close``, ``reopen``: an async function
that closes the log and gives a started one on the same storage. Needs pytest with pytest-asyncio in auto mode.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from touchline.errors import Conflict, LogUnavailable, PositionGone, RevisionConflict
from touchline.log.base import Appended, Checkpoint, EventLog, KeyValue
from touchline.model import MAX_OFFSET, Event, Lane, Record
from touchline.testing.clock import FakeClock

Reopen = Callable[[EventLog], Awaitable[EventLog]]

FEED = "shottracker"
SHOT = "shottracker.shot"
CLOCK = "shottracker.clock"
LOCATION = "shottracker.location"
GAME = "shottracker.game"


def event(id_: str, subject: str = "game-1", type_: str = SHOT, **fields: Any) -> Event:
    """An event-lane event; ``fields`` are those of Event."""
    values: dict[str, Any] = {
        "feed": type_.partition(".")[0],
        "source": "/venue/12",
        "data": b'{"id":"' + id_.encode() + b'"}',
        "occurred_at": 1_700_000_000_000_000_000,
        "received_at": 1_700_000_000_500_000_000,
        **fields,
    }
    return Event(type=type_, subject=subject, id=id_, **values)


def state(id_: str, key: str = "", subject: str = "game-1", type_: str = LOCATION, **fields: Any) -> Event:
    """A state-lane event."""
    return event(id_, subject, type_, lane=Lane.STATE, state_key=key, **fields)


def events(first: int, count: int, subject: str = "game-1") -> list[Event]:
    """``count`` events with ids that count from ``first``."""
    return [event(f"e-{number}", subject) for number in range(first, first + count)]


def ids(records: Sequence[Record]) -> list[str]:
    """Their events' ids."""
    return [record.event.id for record in records]


async def read_all(log: EventLog, after: int | None = None, **selection: Any) -> list[Record]:
    """Everything that is kept above ``after`` (None: the floor), page by page."""
    position = log.floor if after is None else after
    found: list[Record] = []
    while True:
        page = await log.read(position, 100, **selection)
        found += page.records
        assert page.next_after >= position
        if not page.more:
            return found
        assert page.next_after > position, "a page that says more must get on"
        position = page.next_after


class LogSuite:
    """The ten duties. Test names begin with the number of the duty."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The clock of the log under test."""
        return FakeClock()

    @pytest.fixture
    def reopen(self) -> Reopen:
        """For backends that keep nothing."""
        pytest.skip("this backend does not outlive its process")

    async def test_1_what_was_acknowledged_is_there_after_a_restart(self, log: EventLog, reopen: Reopen) -> None:
        await log.append(events(0, 3))
        await log.append([event("x", "game-2"), state("s", "player-1"), event("y")])
        before, epoch, head = await read_all(log), log.epoch, log.head
        log = await reopen(log)
        assert await read_all(log) == before
        assert (log.epoch, log.head) == (epoch, head)

    async def test_1_every_attribute_survives(self, log: EventLog, reopen: Reopen) -> None:
        kept = event(
            "ü\x00'\"\\ \U0001f3c0",
            "sübject/\x01",
            "made.up",
            feed="hisports",
            source="/säurce?a=b",
            data=b'{ "n": 9007199254740993, "f":1.10,"s":"\\u0000\xc3\xbc" }\n',
            time="2026-02-03T04:05:06.789012345+02:00",
            document=True,
            extensions={"partner": "p-1", "count": -7, "flag": False, "text": 'q"\x7f'},
        )
        plain = event("plain", data=b"")
        await log.append([kept, plain])
        log = await reopen(log)
        assert [record.event for record in await read_all(log)] == [kept, plain]

    async def test_2_a_conflict_stores_nothing_of_its_batch(self, log: EventLog) -> None:
        await log.append([event("a")])
        shown: list[Record] = []
        log.follow(shown.extend)
        with pytest.raises(Conflict) as caught:
            await log.append([event("b"), event("a", data=b"{}"), event("c"), event("a", "game-2")])
        assert caught.value.indexes == (1, 3)
        assert ids(await read_all(log)) == ["a"]
        assert shown == []
        assert (await log.append([event("b")])).accepted == 1
        assert [record.seq for record in shown] == [2]

    async def test_2_a_conflict_in_the_state_lane_counts_as_well(self, log: EventLog) -> None:
        await log.append([state("s", data=b"1"), event("a")])
        with pytest.raises(Conflict) as caught:
            await log.append([event("b"), state("s", data=b"2"), event("a", data=b"{}"), state("t")])
        assert caught.value.indexes == (1, 2)
        assert ids(await read_all(log)) == ["s", "a"]
        assert (await log.append([event("b"), state("t")])).accepted == 2

    async def test_2_conflicts_can_be_left_out(self, log: EventLog) -> None:
        await log.append([event("a"), state("s", "k", data=b"1")])
        appended = await log.append(
            [event("b"), event("a", data=b"{}"), state("s", "k", data=b"2"), event("c"), event("a")],
            skip_conflicts=True,
        )
        assert (appended.accepted, appended.duplicates, appended.conflicts) == (2, 1, (1, 2))
        assert ids(await read_all(log, events_only=True)) == ["a", "b", "c"]

    async def test_2_concurrent_batches_stay_whole(self, log: EventLog) -> None:
        batches: list[Sequence[Record]] = []
        log.follow(lambda records: batches.append(tuple(records)))
        await asyncio.gather(*(log.append(events(100 * number, 10)) for number in range(20)))
        order = [record.event.id for batch in batches for record in batch]
        assert len(order) == 200
        for number in range(20):
            first = order.index(f"e-{100 * number}")
            assert order[first : first + 10] == [f"e-{100 * number + step}" for step in range(10)]

    async def test_2_a_conflict_does_not_hurt_its_neighbours(self, log: EventLog) -> None:
        await log.append([event("taken")])
        results = await asyncio.gather(
            *(log.append([event(f"n-{number}"), *([event("taken", data=b"{}")] if number % 3 == 0 else [])])
              for number in range(12)),
            return_exceptions=True,
        )  # fmt: skip
        assert [isinstance(result, Conflict) for result in results] == [number % 3 == 0 for number in range(12)]
        kept = [f"n-{number}" for number in range(12) if number % 3]
        assert ids(await read_all(log)) == ["taken", *kept]

    async def test_3_offsets_rise_and_seqs_count_per_stream(self, log: EventLog) -> None:
        shown: list[Record] = []
        log.follow(shown.extend)
        for number in range(5):
            await log.append(
                [
                    event(f"a-{number}", "a"),
                    state(f"s-{number}", subject="a"),
                    event(f"b-{number}", "b"),
                    event(f"c-{number}", "a"),
                ]
            )
        records = await read_all(log)
        offsets = [record.offset for record in records]
        assert offsets == sorted(set(offsets))
        assert 0 < offsets[0] <= offsets[-1] == log.head <= MAX_OFFSET
        assert [record.seq for record in records if record.event.subject == "a" and record.seq] == list(range(1, 11))
        assert [record.seq for record in records if record.event.subject == "b"] == list(range(1, 6))
        assert {record.seq for record in records if record.event.lane is Lane.STATE} == {0}
        assert shown == records

    async def test_3_the_times_of_appending_rise_whatever_the_clock_does(self, log: EventLog, clock: FakeClock) -> None:
        for number, step in enumerate((0.0, 3600.0, -7200.0, 1.0)):
            clock.step_wall(step)
            await log.append(events(10 * number, 2))
        times = [record.appended_at for record in await read_all(log)]
        assert times == sorted(set(times))

    async def test_3_no_number_is_used_twice_across_a_restart(self, log: EventLog, reopen: Reopen) -> None:
        await log.append([*events(0, 3), state("s")])
        await log.append([state("t")])
        used = {record.offset for record in await read_all(log)}
        log = await reopen(log)
        await log.append([event("later"), event("new", "game-9")])
        later = [record for record in await read_all(log) if record.event.id in {"later", "new"}]
        assert used.isdisjoint(record.offset for record in later)
        assert min(record.offset for record in later) > max(used)
        assert [record.seq for record in later] == [4, 1]

    async def test_3_two_feeds_may_name_a_subject_alike(self, log: EventLog) -> None:
        await log.append([event("a", "1"), event("b", "1", "hisports.game.update"), event("c", "1")])
        assert [record.seq for record in await read_all(log)] == [1, 1, 2]

    async def test_4_a_repeated_batch_is_counted_and_not_stored(self, log: EventLog) -> None:
        batch = events(0, 5)
        first = await log.append(batch)
        assert first == Appended(5, 0, log.head)
        shown: list[Record] = []
        log.follow(shown.extend)
        again = await log.append([*batch, event("new")])
        assert (again.accepted, again.duplicates, again.conflicts) == (1, 5, ())
        assert ids(shown) == ["new"]
        assert await log.append(batch) == Appended(0, 5, log.head)
        assert [record.seq for record in await read_all(log)] == [1, 2, 3, 4, 5, 6]

    async def test_4_duplicates_within_one_batch(self, log: EventLog) -> None:
        appended = await log.append([event("a"), event("b"), event("a"), event("a")])
        assert (appended.accepted, appended.duplicates) == (2, 2)
        with pytest.raises(Conflict) as caught:
            await log.append([event("c"), event("d"), event("c", data=b"{}")])
        assert caught.value.indexes == (2,)
        assert ids(await read_all(log)) == ["a", "b"]

    async def test_4_only_type_subject_and_data_are_compared(self, log: EventLog) -> None:
        await log.append([event("a")])
        same = event("a", time="2026-01-01T00:00:00Z", occurred_at=5, received_at=6, extensions={"x": 1})
        assert (await log.append([same])).duplicates == 1
        for other in (event("a", "game-2"), event("a", type_=GAME), event("a", data=b'{"id": "a"}')):
            with pytest.raises(Conflict):
                await log.append([other])
        assert (await log.append([event("a", source="/venue/13")])).accepted == 1

    async def test_4_the_same_id_from_fifty_clients_is_stored_once(self, log: EventLog) -> None:
        results = await asyncio.gather(*(log.append([event("same")]) for _ in range(50)))
        assert sorted(result.accepted for result in results) == [0] * 49 + [1]
        assert sum(result.duplicates for result in results) == 49
        assert ids(await read_all(log)) == ["same"]

    async def test_4_duplicates_are_known_after_a_restart(self, log: EventLog, reopen: Reopen) -> None:
        await log.append(events(0, 3))
        log = await reopen(log)
        assert (await log.append(events(0, 4))).duplicates == 3
        with pytest.raises(Conflict):
            await log.append([event("e-1", data=b"{}")])

    async def test_4_recent_states_are_known(self, log: EventLog) -> None:
        await log.append([state("s", data=b"1")])
        assert (await log.append([state("s", data=b"1"), state("t"), state("t")])).duplicates == 2
        with pytest.raises(Conflict):
            await log.append([state("u"), state("s", data=b"2")])
        assert ids(await read_all(log)) == ["s", "t"]

    async def test_4_an_id_is_free_again_when_retention_has_taken_it(self, log: EventLog) -> None:
        await log.append(events(0, 2))
        await log.trim(log.head)
        assert (await log.append([event("e-0", data=b"{}")])).accepted == 1

    async def test_5_followers_are_told_before_append_returns(self, log: EventLog) -> None:
        shown: list[Record] = []
        end = log.follow(shown.extend)
        await log.append(events(0, 3))
        assert ids(shown) == ["e-0", "e-1", "e-2"]
        assert shown[-1].offset == log.head
        assert shown == await read_all(log)
        end()
        await log.append(events(3, 1))
        assert len(shown) == 3

    async def test_5_concurrent_appends_reach_followers_in_offset_order(self, log: EventLog) -> None:
        shown: list[Record] = []
        log.follow(shown.extend)

        async def one(number: int) -> None:
            await log.append([event(f"e-{number}")])
            assert f"e-{number}" in ids(shown)

        await asyncio.gather(*(one(number) for number in range(40)))
        assert [record.offset for record in shown] == sorted(record.offset for record in shown)
        assert [record.seq for record in shown] == list(range(1, 41))

    async def test_5_a_batch_of_states_goes_out_at_once_with_the_head(self, log: EventLog) -> None:
        await log.append(events(0, 2))
        shown: list[Record] = []
        log.follow(shown.extend)
        head = log.head
        appending = asyncio.ensure_future(log.append([state("s-1", "p-1"), state("s-2", "p-2")]))
        await asyncio.sleep(0)
        assert [(record.offset, record.seq, record.event.id) for record in shown] == [
            (head, 0, "s-1"),
            (head, 0, "s-2"),
        ]
        assert (await appending).accepted == 2
        await log.append(events(2, 1))
        assert ids(shown) == ["s-1", "s-2", "e-2"]
        resumed = await log.read(shown[0].offset, 100, events_only=True)
        assert ids(resumed.records) == ["e-2"]

    async def test_5_states_of_a_mixed_batch_go_out_with_it(self, log: EventLog) -> None:
        shown: list[Record] = []
        log.follow(shown.extend)
        await log.append([state("s"), event("a"), state("t")])
        assert [(record.event.id, record.seq) for record in shown] == [("s", 0), ("a", 1), ("t", 0)]
        assert [record.offset for record in shown] == sorted({record.offset for record in shown})

    async def test_5_a_follower_that_raises_hurts_nobody(self, log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
        def broken(_: Sequence[Record]) -> None:
            raise RuntimeError("a follower's own fault")

        shown: list[Record] = []
        log.follow(broken)
        log.follow(shown.extend)
        with caplog.at_level(logging.ERROR):
            assert (await log.append(events(0, 1))).accepted == 1
        assert ids(shown) == ["e-0"]
        assert any(entry.exc_info for entry in caplog.records)

    async def test_6_pages_are_bounded_and_go_on(self, log: EventLog) -> None:
        await log.append(events(0, 25))
        page = await log.read(0, 10)
        assert (len(page.records), page.more) == (10, True)
        assert page.next_after == page.records[-1].offset
        page = await log.read(page.next_after, 15)
        assert (len(page.records), page.more, page.next_after) == (15, False, log.head)
        page = await log.read(log.head, 10)
        assert (page.records, page.more, page.next_after) == ((), False, log.head)

    async def test_6_pages_are_bounded_in_bytes_and_never_empty_for_it(self, log: EventLog) -> None:
        await log.append([event(f"e-{number}", data=b"x" * 1000) for number in range(10)])
        page = await log.read(0, 100, max_bytes=3500)
        assert (len(page.records), page.more) == (3, True)
        page = await log.read(page.next_after, 100, max_bytes=10)
        assert (len(page.records), page.more) == (1, True)
        assert len(await read_all(log, max_bytes=2000)) == 10

    async def test_6_selections(self, log: EventLog) -> None:
        await log.append(
            [
                event("a", "1"),
                state("s", "p", "1"),
                event("b", "2"),
                event("c", "1", GAME),
                event("d", "1", "hisports.game.update"),
                state("t", "", "2", CLOCK),
            ]
        )
        assert ids(await read_all(log)) == ["a", "s", "b", "c", "d", "t"]
        assert ids(await read_all(log, events_only=True)) == ["a", "b", "c", "d"]
        assert ids(await read_all(log, feed=FEED)) == ["a", "s", "b", "c", "t"]
        assert ids(await read_all(log, feed=FEED, subject="1")) == ["a", "s", "c"]
        assert ids(await read_all(log, feed=FEED, subject="1", events_only=True)) == ["a", "c"]
        assert ids(await read_all(log, types=frozenset({SHOT, LOCATION}))) == ["a", "s", "b"]
        assert ids(await read_all(log, feed=FEED, subject="1", types=frozenset({GAME}))) == ["c"]
        assert ids(await read_all(log, feed="roanuz")) == []
        assert ids(await read_all(log, feed=FEED, subject="unknown")) == []
        assert ids(await read_all(log, types=frozenset({"unknown.type"}))) == []
        page = await log.read(0, 1, feed=FEED, subject="2")
        assert (ids(page.records), page.more) == (["b"], True)

    async def test_6_a_reading_sees_what_was_acknowledged_before(self, log: EventLog) -> None:
        async def append_and_read(number: int) -> None:
            await log.append([event(f"e-{number}", f"game-{number}")])
            assert ids(await read_all(log, 0, feed=FEED, subject=f"game-{number}")) == [f"e-{number}"]

        await asyncio.gather(*(append_and_read(number) for number in range(20)))

    async def test_6_reading_and_following_meet_without_gap_or_duplicate(self, log: EventLog) -> None:
        """How a session catches up: follow, read to the head of that moment, then take what came live after it."""
        appending = [asyncio.ensure_future(log.append(events(10 * number, 10))) for number in range(30)]
        await appending[3]
        live: list[Record] = []
        head = log.head
        log.follow(live.extend)
        position = 0
        caught_up: list[Record] = []
        while position < head:
            page = await log.read(position, 7)
            caught_up += page.records
            position = page.next_after
        await asyncio.gather(*appending)
        last = caught_up[-1].offset
        seqs = [record.seq for record in (*caught_up, *(record for record in live if record.offset > last))]
        assert seqs == list(range(1, 301))

    async def test_6_ahead_of_the_head_is_an_error(self, log: EventLog) -> None:
        await log.append(events(0, 3))
        with pytest.raises(PositionGone) as caught:
            await log.read(log.head + 1, 10)
        assert caught.value.reason == "ahead"

    async def test_6_streams_and_where_their_seqs_begin(self, log: EventLog) -> None:
        assert await log.stream(FEED, "game-1") is None
        for number in range(6):
            await log.append([event(f"a-{number}", "a"), event(f"b-{number}", "b"), state(f"s-{number}", subject="a")])
        info = await log.stream(FEED, "a")
        assert info is not None
        assert (info.feed, info.subject, info.first_seq, info.last_seq, info.last_offset) == (FEED, "a", 1, 6, log.head)
        assert sorted(info.subject for info in await log.streams(FEED)) == ["a", "b"]
        assert list(await log.streams("roanuz")) == []
        for seq in range(1, 7):
            after = await log.offset_before(FEED, "b", seq)
            page = await log.read(after, 1, feed=FEED, subject="b")
            assert [record.seq for record in page.records] == [seq]
        assert await log.offset_before(FEED, "b", 7) == log.head
        assert await log.offset_before(FEED, "b", 2**40) == log.head
        assert await log.offset_before(FEED, "unknown", 1) == log.head
        first = await log.offset_before(FEED, "b", -3)
        assert ids((await log.read(first, 1, feed=FEED, subject="b")).records) == ["b-0"]

    async def test_6_where_a_time_begins(self, log: EventLog, clock: FakeClock) -> None:
        starts = []
        for number in range(8):
            clock.advance(60)
            starts.append(clock.wall_ns())
            await log.append(events(10 * number, 3))
        for number, start in enumerate(starts):
            after = await log.offset_at(start)
            assert ids((await log.read(after, 1)).records) == [f"e-{10 * number}"]
        assert await log.offset_at(clock.wall_ns() + 10**9) == log.head
        assert await log.offset_at(0) == log.floor

    async def test_6_the_latest_state_of_each_key(self, log: EventLog) -> None:
        await log.append([state("a", "p-1"), state("b", "p-2"), state("c", "", type_=CLOCK)])
        await log.append([state("d", "p-1"), state("e", "p-3", "game-2"), event("f")])
        await log.append([state("g", "p-2")])
        assert ids(await log.latest_state(FEED, "game-1")) == ["c", "d", "g"]
        assert ids(await log.latest_state(FEED, "game-2")) == ["e"]
        assert ids(await log.latest_state(FEED, "unknown")) == []

    async def test_7_trimmed_records_are_gone_and_said_to_be(self, log: EventLog) -> None:
        await log.append(events(0, 10))
        records = await read_all(log)
        assert log.floor == 0
        assert await log.trim(records[3].offset) == 4
        assert log.floor == records[3].offset
        assert await read_all(log) == records[4:]
        with pytest.raises(PositionGone) as caught:
            await log.read(log.floor - 1, 10)
        assert caught.value.reason == "expired"
        assert await log.trim(records[3].offset) == 0
        assert log.floor == records[3].offset

    async def test_7_many_records_are_trimmed_while_appends_go_on(self, log: EventLog) -> None:
        for number in range(6):
            await log.append(events(1000 * number, 1000))
        trimming = asyncio.ensure_future(log.trim(log.head))
        for number in range(10):
            await log.append([event(f"live-{number}", "game-2")])
        assert await trimming == 6000
        assert ids(await read_all(log)) == [f"live-{number}" for number in range(10)]
        assert log.stats().records == 10

    async def test_7_counters_documents_checkpoints_and_directory_stay(self, log: EventLog) -> None:
        await log.append([event("g-1", "1", GAME, document=True, data=b"1"), event("a", "1")])
        await log.append([event("g-2", "1", GAME, document=True, data=b"2"), event("h-1", "2", GAME, document=True)])
        await log.save_checkpoints([Checkpoint(FEED, "1", log.head, 3, b"state")])
        await log.directory.put("partners", "p", b"value")
        head = log.head
        await log.trim(head)
        assert (log.head, log.floor) == (head, head)
        info = await log.stream(FEED, "1")
        assert info is not None
        assert (info.first_seq, info.last_seq) == (4, 3)
        assert 0 < info.last_offset <= head
        assert await log.offset_before(FEED, "1", 2) >= log.floor
        document = await log.document(FEED, GAME, "1")
        assert document is not None
        assert (document.event.id, document.event.data, document.seq) == ("g-2", b"2", 3)
        assert ids(await log.documents(FEED, GAME)) == ["g-2", "h-1"]
        assert await log.load_checkpoint(FEED, "1") == Checkpoint(FEED, "1", head, 3, b"state")
        entry = await log.directory.get("partners", "p")
        assert entry is not None
        assert entry.value == b"value"
        await log.append([event("b", "1"), event("g-3", "1", GAME, document=True)])
        assert [record.seq for record in await read_all(log)] == [4, 5]
        assert ids(await log.documents(FEED, GAME)) == ["h-1", "g-3"]

    async def test_7_floor_and_counters_survive_a_restart(self, log: EventLog, reopen: Reopen) -> None:
        await log.append([*events(0, 5), event("g", "1", GAME, document=True)])
        await log.trim(log.head)
        floor = log.floor
        log = await reopen(log)
        assert (log.floor, log.head) == (floor, floor)
        with pytest.raises(PositionGone):
            await log.read(0, 10)
        assert ids(await log.documents(FEED, GAME)) == ["g"]
        await log.append(events(5, 1))
        (record,) = await read_all(log)
        assert record.seq == 6
        assert record.offset > floor

    async def test_7_documents_are_the_newest_of_their_type_and_subject(self, log: EventLog) -> None:
        await log.append([event("a", "1", GAME, document=True), event("b", "2", GAME, document=True)])
        await log.append([event("c", "1", GAME, document=True), event("d", "1", SHOT)])
        assert ids(await log.documents(FEED, GAME)) == ["b", "c"]
        assert await log.document(FEED, SHOT, "1") is None
        assert await log.document(FEED, GAME, "3") is None
        assert await log.document("roanuz", GAME, "1") is None

    async def test_7_checkpoints_never_go_back(self, log: EventLog) -> None:
        await log.append(events(0, 9))
        assert await log.load_checkpoint(FEED, "game-1") is None
        await log.save_checkpoints([Checkpoint(FEED, "game-1", 5, 1, b"five"), Checkpoint(FEED, "x", 1, 1, b"x")])
        await log.save_checkpoints([Checkpoint(FEED, "game-1", 4, 1, b"four")])
        assert await log.load_checkpoint(FEED, "game-1") == Checkpoint(FEED, "game-1", 5, 1, b"five")
        await log.save_checkpoints([Checkpoint(FEED, "game-1", 7, 2, b"seven")])
        assert await log.load_checkpoint(FEED, "game-1") == Checkpoint(FEED, "game-1", 7, 2, b"seven")
        await log.save_checkpoints([Checkpoint(FEED, "game-1", 7, 3, b"seven in another form")])
        assert await log.load_checkpoint(FEED, "game-1") == Checkpoint(FEED, "game-1", 7, 3, b"seven in another form")

    async def test_7_which_streams_must_be_folded_before_trimming(self, log: EventLog) -> None:
        await log.append([event("a", "1"), event("b", "2"), state("c", "k", "3")])
        middle = log.head
        await log.append([event("d", "1"), event("e", "4")])
        assert sorted(info.subject for info in await log.streams_to_trim(middle)) == ["1", "2", "3"]
        await log.save_checkpoints([Checkpoint(FEED, subject, middle, 1, b"") for subject in ("1", "2")])
        assert [info.subject for info in await log.streams_to_trim(middle)] == ["3"]
        await log.save_checkpoints([Checkpoint(FEED, "1", middle, 2, b"in another form")])
        assert [info.subject for info in await log.streams_to_trim(middle)] == ["3"], "whatever the version"
        assert sorted(info.subject for info in await log.streams_to_trim(log.head)) == ["1", "3", "4"]

    async def test_7_where_retention_by_age_would_cut(self, log: EventLog, clock: FakeClock) -> None:
        assert await log.trim_point(appended_before=clock.wall_ns() + 1, max_bytes=None) == log.floor
        await log.append(events(0, 5))
        old = log.head
        clock.advance(3600)
        cut = clock.wall_ns()
        await log.append(events(5, 5))
        assert await log.trim_point(appended_before=cut, max_bytes=None) == old
        assert await log.trim_point(appended_before=None, max_bytes=None) == log.floor
        assert await log.trim(old) == 5
        assert await log.trim_point(appended_before=cut, max_bytes=None) == log.floor

    async def test_7_where_retention_by_size_would_cut(self, log: EventLog) -> None:
        for number in range(4):
            await log.append([event(f"e-{number}-{step}", data=b"x" * 2000) for step in range(100)])
        size = log.stats().size_bytes
        assert await log.trim_point(appended_before=None, max_bytes=10 * size) == log.floor
        point = await log.trim_point(appended_before=None, max_bytes=size // 2)
        assert log.floor < point < log.head
        await log.trim(point)
        assert log.stats().size_bytes < size
        assert await log.trim_point(appended_before=None, max_bytes=0) == log.head

    async def test_8_the_epoch_stays(self, log: EventLog, reopen: Reopen) -> None:
        epoch = log.epoch
        assert 8 <= len(epoch) <= 32
        assert epoch.isalnum()
        assert epoch == epoch.lower()
        await log.append(events(0, 1))
        await log.trim(log.head)
        log = await reopen(log)
        assert log.epoch == epoch

    async def test_10_more_than_may_wait_is_refused_at_once(self, log: EventLog) -> None:
        too_much = [event("big", data=b"x" * 1_000_000)] * 200
        with pytest.raises(LogUnavailable) as caught:
            await log.append(too_much)
        assert caught.value.retryable
        assert (await log.append(events(0, 1))).accepted == 1
        assert log.stats().waiting_events == 0

    async def test_10_an_empty_batch_is_nothing(self, log: EventLog) -> None:
        assert await log.append([]) == Appended(0, 0, log.head)

    async def test_a_closed_log_refuses(self, log: EventLog) -> None:
        await log.append(events(0, 1))
        await log.close()
        with pytest.raises(LogUnavailable):
            await log.append(events(1, 1))
        await log.close()

    async def test_stats_say_what_is_held(self, log: EventLog) -> None:
        await log.append(events(0, 4))
        stats = log.stats()
        assert stats.records == 4
        assert stats.size_bytes > 0
        assert stats.commits > 0
        assert (stats.waiting_events, stats.waiting_bytes) == (0, 0)


class KeyValueSuite:
    """The directory's store. Needs an async fixture ``kv``."""

    async def test_what_was_put_is_there(self, kv: KeyValue) -> None:
        assert await kv.get("b", "k") is None
        assert dict(await kv.list("b")) == {}
        revision = await kv.put("b", "k", b"\x00value")
        entry = await kv.get("b", "k")
        assert entry is not None
        assert (entry.value, entry.revision) == (b"\x00value", revision)
        assert await kv.get("other", "k") is None
        assert dict(await kv.list("b")) == {"k": entry}

    async def test_a_revision_guards_the_replacement(self, kv: KeyValue) -> None:
        first = await kv.put("b", "k", b"1", revision=0)
        with pytest.raises(RevisionConflict):
            await kv.put("b", "k", b"2", revision=0)
        second = await kv.put("b", "k", b"2", revision=first)
        assert second > first
        with pytest.raises(RevisionConflict):
            await kv.put("b", "k", b"3", revision=first)
        entry = await kv.get("b", "k")
        assert entry is not None
        assert entry.value == b"2"
        with pytest.raises(RevisionConflict):
            await kv.put("b", "absent", b"3", revision=second)

    async def test_a_revision_does_not_come_back_after_a_deletion(self, kv: KeyValue) -> None:
        old = await kv.put("b", "k", b"1")
        assert await kv.delete("b", "k")
        new = await kv.put("b", "k", b"1", revision=0)
        assert new != old
        with pytest.raises(RevisionConflict):
            await kv.put("b", "k", b"2", revision=old)

    async def test_of_many_writers_with_one_revision_one_wins(self, kv: KeyValue) -> None:
        results = await asyncio.gather(
            *(kv.put("b", "k", str(number).encode(), revision=0) for number in range(20)), return_exceptions=True
        )
        assert sum(isinstance(result, int) for result in results) == 1
        assert sum(isinstance(result, RevisionConflict) for result in results) == 19

    async def test_delete_says_whether_it_was_there(self, kv: KeyValue) -> None:
        assert not await kv.delete("b", "k")
        await kv.put("b", "k", b"1")
        assert await kv.delete("b", "k")
        assert not await kv.delete("b", "k")
        assert await kv.get("b", "k") is None

    async def test_put_many_writes_all(self, kv: KeyValue) -> None:
        await kv.put("b", "1", b"old")
        await kv.put_many("b", {str(number): b"new" for number in range(10)})
        assert {key: entry.value for key, entry in (await kv.list("b")).items()} == {str(n): b"new" for n in range(10)}

    async def test_watchers_are_told_in_order_before_the_write_returns(self, kv: KeyValue) -> None:
        told: list[tuple[str, str, bytes | None]] = []
        end = kv.watch(lambda *change: told.append(change))
        await kv.put("b", "k", b"1")
        assert told == [("b", "k", b"1")]
        await kv.put("b", "k", b"2")
        await kv.put_many("c", {"x": b"3", "y": b"4"})
        await kv.delete("b", "k")
        await kv.delete("b", "k")
        with pytest.raises(RevisionConflict):
            await kv.put("c", "x", b"5", revision=0)
        expected = [("b", "k", b"1"), ("b", "k", b"2"), ("c", "x", b"3"), ("c", "y", b"4"), ("b", "k", None)]
        assert told == expected
        end()
        await kv.put("b", "k", b"6")
        assert told == expected

    async def test_a_watcher_that_raises_hurts_nobody(self, kv: KeyValue, caplog: pytest.LogCaptureFixture) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("a watcher's own fault")

        told: list[str] = []
        kv.watch(broken)
        kv.watch(lambda _bucket, key, _value: told.append(key))
        with caplog.at_level(logging.ERROR):
            await kv.put("b", "k", b"1")
        assert told == ["k"]
