"""The courier as a whole, on a log in memory and receivers that do what they are told."""

from __future__ import annotations

from touchline.delivery.courier import CourierLimits

from .courier_world import World, event, feed, inversions, never, ok, refuses, says


async def test_what_is_appended_is_delivered_in_order_and_the_cursor_is_durable() -> None:
    world = await World().start()
    made = await world.endpoint("http://a")
    await world.append(*[event("ab"[n % 2]) for n in range(40)])
    await world.run(5)
    assert sorted(world.taken("http://a")) == [record.offset for record in await world.records()]
    assert not inversions(world.got["http://a"])
    report = await world.courier.report(made.id)
    assert (report.state, report.cursor, report.backlog, report.delivered) == ("active", 40, 0, 40)
    await world.crash()
    await world.run(60)
    assert len(world.got["http://a"]) == 40


async def test_a_receiver_that_refuses_tcp_for_200_seconds_gets_everything_in_order_and_no_dead_letter() -> None:
    world = await World().start()
    made = await world.endpoint("http://a", refuses)
    for _ in range(100):
        await world.append(*[event("abcde"[n % 5]) for n in range(10)])
        await world.run(2)
    report = await world.courier.report(made.id)
    assert report.state == "failing"
    world.behaviours["http://a"] = ok
    assert await world.run(100, until=lambda: len(world.taken("http://a")) == 1000)
    assert not inversions(world.got["http://a"])
    assert sorted(world.taken("http://a")) == sorted(r.offset for r in await world.records() if r.event.feed == "f")
    assert await world.courier.dead_letters(made.id) == []
    await world.run(2)
    assert world.changes() == ["failing", "recovered"]


async def test_one_record_answered_500_while_others_pass_is_one_dead_letter_after_a_minute() -> None:
    world = await World().start()
    made = await world.endpoint("http://a", lambda got: says(500)(got) if got.offset == 11 else ok(got))
    delays = []
    bad_at = 0.0
    for n in range(400):
        subject = "abcd"[n % 4]
        at = world.clock.monotonic()
        offsets = await world.append(event(subject))
        bad_at = at if offsets == [11] else bad_at
        await world.run(0.25)
        if subject != "c":
            delays += [got.at - at for got in world.got["http://a"] if got.offset in offsets]
    assert len(delays) == 300
    assert max(delays) < 0.1
    letters = await world.courier.dead_letters(made.id)
    assert [letter.offset for letter in letters] == [11]
    assert 60 <= (letters[0].dead_at - world.clock.wall_ns()) / 1e9 + world.clock.monotonic() - bad_at < 66
    assert (letters[0].status, letters[0].reason) == (500, "answered 500")
    assert sorted(world.taken("http://a")) == [n for n in range(1, 401) if n != 11]
    assert not inversions(world.got["http://a"])


async def test_an_endpoint_that_never_answers_is_suspect_and_the_others_go_on() -> None:
    world = await World().start()
    for n in range(300):
        await world.endpoint(f"http://never{n}", never)
    await world.endpoint("http://a")
    await world.append(*[event(str(n)) for n in range(20)])
    await world.run(3)
    assert len(world.taken("http://a")) == 20


async def test_the_cursor_of_a_quiet_feed_moves_on_a_busy_hub() -> None:
    world = await World(feed("f"), feed("g"), limits=CourierLimits(recent_records=4)).start()
    made = await world.endpoint("http://a")
    await world.append(event())
    await world.run(20)
    for _ in range(3):
        await world.append(*(event(feed="g") for _ in range(30)))
        await world.run(40)
        assert (await world.courier.report(made.id)).cursor == world.log.head
    await world.log.trim(world.log.head)
    await world.run(20)
    (last,) = await world.append(event())
    await world.run(1)
    report = await world.courier.report(made.id)
    assert (report.expired, world.taken("http://a")) == (0, [1, last])
