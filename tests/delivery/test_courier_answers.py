"""What answers bring about: 410, Retry-After, a long outage, flapping, faults of a codec; and isolation."""

from __future__ import annotations

import itertools
from email.utils import formatdate

import pytest

from touchline.delivery.courier import CourierLimits, parse_policy
from touchline.delivery.courier.transport import Reply, Trouble
from touchline.delivery.courier.verdict import Verdict, judge, retry_after
from touchline.errors import NotFound
from touchline.feeds.base import Order

from .courier_world import Codec, Got, World, event, feed, inversions, never, ok, refuses, says

HOUR = 3600.0
WALL = 1_700_000_000 * 10**9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("999999999999999999999999", HOUR),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        (formatdate(1_700_000_030, usegmt=True), 30.0),
        (formatdate(1_699_999_000, usegmt=True), None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", HOUR),
        ("Fri, 99 Xyz 2023 23:59:59 GMT", None),
        (None, None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, WALL) == seconds


def test_every_answer_but_a_2xx_is_tried_again_unless_it_says_more() -> None:
    policy, final = parse_policy({}), parse_policy({"final_4xx": "true"})
    assert judge(Reply(204), policy, WALL).verdict is Verdict.DELIVERED
    for status in (199, 301, 400, 404, 429, 500, 503):
        assert judge(Reply(status), policy, WALL).verdict is Verdict.FAILED
    for trouble in Trouble:
        expected = Verdict.VOID if trouble is Trouble.CANCELLED else Verdict.FAILED
        assert judge(Reply(None, trouble=trouble), policy, WALL).verdict is expected
    assert [judge(Reply(n), final, WALL).verdict for n in (400, 408, 410, 429, 500)] == [
        Verdict.FINAL, Verdict.FAILED, Verdict.GONE, Verdict.FAILED, Verdict.FAILED,
    ]  # fmt: skip


async def test_410_with_a_backlog_disables_once_and_the_backlog_stays() -> None:
    world = await World().start()
    made = await world.endpoint("http://a", says(410))
    await world.append(*[event("abc"[n % 3]) for n in range(30)])
    await world.run(HOUR)
    assert world.endpoints.get(made.id).status == "disabled"
    assert world.changes() == ["disabled"]
    assert len(world.got["http://a"]) <= 2
    world.behaviours["http://a"] = ok
    await world.endpoints.set_status(made.id, "active")
    await world.run(5)
    assert len(world.taken("http://a")) == 30
    assert not inversions(world.got["http://a"])
    assert await world.courier.dead_letters(made.id) == []


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_waited_for_and_is_no_failure(status: int) -> None:
    world = await World().start()
    made = await world.endpoint("http://a", says(status, retry_after="90"))
    await world.append(*[event("abc"[n % 3]) for n in range(12)])
    await world.run(85)
    assert len(world.got["http://a"]) <= 3
    report = await world.courier.report(made.id)
    assert (report.state, report.failed) == ("waiting", 0)
    assert report.next_try_seconds is not None
    assert 0 < report.next_try_seconds < 10
    world.behaviours["http://a"] = ok
    await world.run(10)
    assert len(world.taken("http://a")) == 12
    world.behaviours["http://a"] = says(status, retry_after="3000")
    await world.append(event())
    await world.run(5)
    world.behaviours["http://a"] = ok
    world.courier.wake(made.id)
    await world.run(1)
    assert len(world.taken("http://a")) == 13


async def test_after_a_day_without_success_it_is_paused_probed_hourly_and_resumes_by_itself() -> None:
    world = await World().start()
    made = await world.endpoint("http://a", refuses)
    await world.append(*[event("abc"[n % 3]) for n in range(12)])
    await world.run(25 * HOUR)
    found = world.endpoints.get(made.id)
    assert (found.status, found.by_hub) == ("paused", True)
    await world.crash()
    before = len(world.got["http://a"])
    await world.run(10 * HOUR)
    assert 8 <= len(world.got["http://a"]) - before <= 14
    world.behaviours["http://a"] = ok
    await world.run(2 * HOUR)
    assert world.endpoints.get(made.id).status == "active"
    taken = world.taken("http://a")
    assert sorted(offset for offset in taken if offset <= 12) == list(range(1, 13))
    assert not inversions(world.got["http://a"])
    assert world.changes() == ["failing", "paused", "recovered"]
    assert await world.courier.dead_letters(made.id) == []


async def test_after_a_week_of_that_it_is_disabled() -> None:
    world = await World().start()
    made = await world.endpoint("http://a", refuses)
    await world.append(*[event("abc"[n % 3]) for n in range(12)])
    await world.run(24.5 * HOUR)
    assert world.endpoints.get(made.id).status == "paused"
    await world.run(7 * 24 * HOUR)
    assert world.endpoints.get(made.id).status == "disabled"
    assert world.changes() == ["failing", "paused", "disabled"]


async def test_an_operators_pause_is_kept_over_a_restart_and_not_probed() -> None:
    world = await World().start()
    made = await world.endpoint("http://a")
    await world.endpoints.set_status(made.id, "paused", reason="upgrade")
    await world.append(event(), event())
    await world.run(10)
    await world.crash()
    await world.run(3 * HOUR)
    assert world.got["http://a"] == []
    await world.endpoints.set_status(made.id, "active")
    await world.run(1)
    assert world.taken("http://a") == [1, 2]
    assert world.changes() == ["paused", "recovered"]


async def test_one_success_in_ten_gets_on_in_order_and_nothing_is_dead_lettered() -> None:
    world = await World().start()
    count = 0

    def flapping(got: Got) -> tuple[float, Reply]:
        nonlocal count
        count += 1
        return ok(got) if count % 10 == 0 else says(500)(got)

    made = await world.endpoint("http://a", flapping)
    await world.append(*[event("abcd"[n % 4]) for n in range(40)])
    assert await world.run(12 * HOUR, until=lambda: len([n for n in world.taken("http://a") if n <= 40]) == 40)
    assert not inversions(world.got["http://a"])
    assert await world.courier.dead_letters(made.id) == []


async def test_two_poison_heads_do_not_keep_a_healthy_endpoint_closed() -> None:
    world = await World().start()
    made = await world.endpoint("http://a", lambda got: says(500)(got) if got.subject in "abc" else ok(got))
    await world.append(*[event(subject) for subject in "abcabcabc"], *[event("d") for _ in range(5)])
    assert await world.run(120, until=lambda: len(world.taken("http://a")) >= 5)
    for _ in range(600):
        await world.append(event("d"))
        await world.run(1)
    assert [letter.offset for letter in await world.courier.dead_letters(made.id)][:3] == [1, 2, 3]


async def test_a_record_blocks_for_ever_when_that_is_chosen_and_a_final_4xx_not_at_all() -> None:
    world = await World().start()
    behaviour = lambda got: says(422)(got) if got.subject == "bad" else ok(got)  # noqa: E731
    blocked = await world.endpoint("http://block", behaviour, max_block="block")
    final = await world.endpoint("http://final", behaviour, final_4xx="true")
    for _ in range(400):
        await world.append(event("bad"), event("good"))
        await world.run(1)
    assert await world.courier.dead_letters(blocked.id) == []
    assert len(await world.courier.dead_letters(final.id)) == 400
    assert {got.subject for got in world.got["http://block"] if got.status == 200} == {"good"}


async def test_without_order_a_record_waits_for_no_other_and_dies_after_an_hour() -> None:
    world = await World(feed(order=Order.NONE)).start()
    made = await world.endpoint("http://a", lambda got: says(500)(got) if got.offset == 3 else ok(got))
    await world.append(*[event() for _ in range(10)])
    await world.run(0.5)
    assert len(world.taken("http://a")) == 9
    for _ in range(120):
        await world.append(event())
        await world.run(35)
    assert [letter.offset for letter in await world.courier.dead_letters(made.id)] == [3]
    tries = [got.at for got in world.got["http://a"] if got.offset == 3]
    waits = [later - sooner for sooner, later in itertools.pairwise(tries)]
    assert 3590 < tries[-1] - tries[0] < 3700
    assert all(0.79 * 2**n <= wait <= 1.21 * 2**n + 0.02 for n, wait in enumerate(waits[:4]))
    assert max(waits) <= 721


async def test_a_codec_that_raises_costs_its_record_alone() -> None:
    codec = Codec()
    codec.raises |= {"f.bad", "wants f.worse"}
    codec.silent |= {"f.quiet"}
    world = await World(feed(codec=codec)).start()
    made = await world.endpoint("http://a")
    await world.endpoint("http://b")
    await world.append(*[event("a", kind=kind) for kind in ("x", "bad", "worse", "quiet", "x")])
    await world.run(1)
    assert world.taken("http://a") == world.taken("http://b") == [1, 5]
    letters = await world.courier.dead_letters(made.id)
    assert [(letter.offset, letter.reason) for letter in letters] == [
        (2, "the feed could not encode it: RuntimeError"),
        (3, "the feed could not tell whether it is owed: RuntimeError"),
    ]
    assert world.courier.stats.dead_lettered == 4


async def test_an_address_that_cannot_be_asked_is_an_outage_of_its_endpoint() -> None:
    world = await World().start()
    made = await world.endpoint("http://cannot")
    await world.append(event("a"), event("b"), event("c"))
    await world.run(HOUR)
    assert (await world.courier.report(made.id)).state == "failing"
    assert await world.courier.dead_letters(made.id) == []


async def test_endpoints_that_never_answer_do_not_disturb_the_others_beyond_the_first_second() -> None:
    def drips(got: Got) -> tuple[float, Reply]:
        return 9.5, Reply(200)

    delays: dict[bool, list[float]] = {}
    for bad in (False, True):
        world = await World(limits=CourierLimits(healthy_requests=24, suspect_requests=8), seed=7).start()
        for n in range(10):
            if bad:
                await world.endpoint(f"http://never{n}", never)
                await world.endpoint(f"http://drips{n}", drips)
        for n in range(80):
            await world.endpoint(f"http://healthy{n}")
        begun, found = world.clock.monotonic(), []
        for _ in range(300):
            at = world.clock.monotonic()
            (offset,) = await world.append(event("abcdef"[world.dice.randrange(6)]))
            await world.run(0.1)
            if at - begun > 1.0:
                for n in range(80):
                    found += [got.at - at for got in world.got[f"http://healthy{n}"] if got.offset == offset]
        assert len(found) >= 80 * 285
        delays[bad] = sorted(found)
    for share in (0.5, 0.99, 1.0):
        place = round(share * len(delays[True])) - 1
        assert delays[True][place] <= delays[False][min(place, len(delays[False]) - 1)] + 0.002


async def test_a_rate_limit_and_a_window_are_kept() -> None:
    world = await World().start()
    most = 0

    def watching(got: Got) -> tuple[float, Reply]:
        nonlocal most
        most = max(most, sum(under.url == "http://w" for under in world.under) + 1)
        return 0.05, Reply(200)

    await world.endpoint("http://w", watching, window="3")
    await world.endpoint("http://r", rate_limit="5")
    await world.append(*[event(str(n % 20)) for n in range(100)])
    await world.run(10)
    assert most == 3
    assert len(world.taken("http://w")) == 100
    assert 50 <= len(world.taken("http://r")) <= 56
    await world.run(15)
    assert len(world.taken("http://r")) == 100


async def test_there_is_no_such_endpoint() -> None:
    world = await World().start()
    for asked in (world.courier.wake, world.courier.attempts, world.courier.state):
        with pytest.raises(NotFound):
            asked("ep_none")
    for waited in (world.courier.report, world.courier.redrive, world.courier.dead_letters, world.courier.test):
        with pytest.raises(NotFound):
            await waited("ep_none")
