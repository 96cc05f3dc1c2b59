"""Many poison records at the heads of as many streams are no outage: the endpoint takes everything else meanwhile."""

from __future__ import annotations

import pytest

from touchline.delivery.courier.transport import Reply

from .courier_world import Behaviour, Got, World, event, inversions, ok, refuses, says

URL = "http://a"
POISON = 15


def refuses_poison(answer: Behaviour) -> Behaviour:
    """Takes everything but the first record of each stream that begins with a p."""
    seen: dict[str, int] = {}

    def behaviour(got: Got) -> tuple[float, Reply] | None:
        first = seen.setdefault(got.subject, got.offset)
        return answer(got) if got.subject.startswith("p") and got.offset == first else ok(got)

    return behaviour


def heads(count: int, each: int = 3) -> list[str]:
    """The streams of a burst: of each stream its head, then what waits behind it."""
    return [f"p{number}" for _ in range(each) for number in range(count)]


async def run_with_traffic(world: World, seconds: int, every: int = 1) -> list[float]:
    """Healthy records on three streams, one every so many seconds; how long each of them took."""
    owed: dict[int, float] = {}
    for second in range(seconds):
        if second % every == 0:
            (offset,) = await world.append(event("abc"[second // every % 3]))
            owed[offset] = world.clock.monotonic()
        await world.run(1)
    await world.run(5)
    taken = {got.offset: got.at for got in world.got[URL] if got.status == 200}
    assert owed.keys() <= taken.keys()
    return sorted(taken[offset] - at for offset, at in owed.items())


async def check_buried(world: World, endpoint: str, burst: list[int], count: int) -> None:
    """The first ``count`` of a burst, and nothing else, are dead; what waited behind them was taken in order."""
    assert sorted(one.offset for one in await world.courier.dead_letters(endpoint)) == burst[:count]
    assert set(burst[count:]) <= set(world.taken(URL))
    assert not inversions(world.got[URL])


@pytest.mark.parametrize("status", [400, 500, 503])
async def test_it_is_not_taken_for_down_and_the_poison_is_buried(status: int) -> None:
    world = await World().start()
    made = await world.endpoint(URL, refuses_poison(says(status)))
    await world.append(event("a"))
    await world.run(1)
    burst = await world.append(*map(event, heads(POISON)))
    delays = await run_with_traffic(world, 100)
    assert delays[-1] < 0.1
    assert world.changes() == []
    await check_buried(world, made.id, burst, POISON)


@pytest.mark.parametrize("every", [5, 20, 45])
async def test_nor_when_it_takes_something_now_and_then(every: int) -> None:
    world = await World().start()
    made = await world.endpoint(URL, refuses_poison(says(500)))
    burst = await world.append(*map(event, heads(POISON)))
    delays = await run_with_traffic(world, 600, every)
    early = 1 + POISON // every
    assert delays[-1 - early] < 2
    assert delays[-1] < POISON, "before it took anything, its streams are asked one a second"
    assert (await world.courier.report(made.id)).state == "active"
    await check_buried(world, made.id, burst, POISON)


@pytest.mark.parametrize(("count", "most"), [(40, 60.0), (200, 1500.0)])
async def test_poison_alone_looks_like_an_outage_until_another_stream_is_asked(count: int, most: float) -> None:
    world = await World().start()
    made = await world.endpoint(URL, refuses_poison(says(500)))
    burst = await world.append(*map(event, heads(count)))
    await world.run(20)
    assert world.changes() == ["failing"]
    assert await world.courier.dead_letters(made.id) == []
    (healthy,) = await world.append(event("a"))
    assert await world.run(most, until=lambda: healthy in world.taken(URL))
    await run_with_traffic(world, 300)
    assert world.changes() == ["failing", "recovered"]
    assert world.courier.state(made.id) == "active"
    await check_buried(world, made.id, burst, count)


@pytest.mark.parametrize("streams", [2, 7, 300])
async def test_who_answers_500_to_everything_is_down_and_asked_seldom(streams: int) -> None:
    world = await World().start()
    made = await world.endpoint(URL)
    await world.append(event("a"), event("b"))
    await world.run(30)
    world.behaviours[URL] = says(500)
    sent: list[int] = []
    for n in range(600):
        sent += await world.append(event(f"s{n % streams}"))
        await world.run(1)
    assert world.changes() == ["failing"]
    assert len(world.got[URL]) < 250
    await world.run(2 * 3600)
    assert await world.courier.dead_letters(made.id) == []
    world.behaviours[URL] = ok
    await world.run(130)
    assert sorted(world.taken(URL)[2:]) == sent
    assert not inversions(world.got[URL])
    assert await world.courier.dead_letters(made.id) == []


@pytest.mark.parametrize("outage", [refuses, says(500)])
async def test_an_outage_of_who_has_poison_is_an_outage(outage: Behaviour) -> None:
    world = await World().start()
    behaviour = refuses_poison(says(500))
    made = await world.endpoint(URL, behaviour, max_block="300")
    burst = await world.append(*map(event, heads(POISON)))
    await run_with_traffic(world, 100)
    world.behaviours[URL] = outage
    sent: list[int] = []
    for n in range(600):
        sent += await world.append(event("abc"[n % 3]))
        await world.run(1)
    assert world.courier.state(made.id) == "failing"
    assert await world.courier.dead_letters(made.id) == []
    world.behaviours[URL] = behaviour
    assert await world.run(130, until=lambda: set(sent) <= set(world.taken(URL)))
    await run_with_traffic(world, 300)
    assert world.courier.state(made.id) == "active"
    await check_buried(world, made.id, burst, POISON)


@pytest.mark.parametrize("order", ["stream", "none"])
async def test_it_goes_on_after_a_restart(order: str) -> None:
    world = await World().start()
    made = await world.endpoint(URL, refuses_poison(says(500)), order=order, max_block="60")
    burst = await world.append(*map(event, heads(POISON)))
    await run_with_traffic(world, 20)
    for _ in range(3):
        await world.crash()
        delays = await run_with_traffic(world, 20)
        assert delays[-2] < 2
    await run_with_traffic(world, 100)
    assert world.courier.state(made.id) == "active"
    assert sorted(one.offset for one in await world.courier.dead_letters(made.id)) == burst[:POISON]
    assert set(burst[POISON:]) <= set(world.taken(URL))


@pytest.mark.parametrize("streams", [2, 3, 4])
@pytest.mark.parametrize("down", [refuses, says(500)])
async def test_while_it_is_down_every_stream_has_its_turn(streams: int, down: Behaviour) -> None:
    world = await World().start()
    await world.endpoint(URL, down)
    await world.append(*(event(f"s{number}") for number in range(streams)))
    await world.run(300)
    before = len(world.got[URL])
    await world.run(streams * 120)
    assert {got.subject for got in world.got[URL][before:]} == {f"s{number}" for number in range(streams)}


@pytest.mark.parametrize("poison", ["s0", "s1"])
async def test_the_poison_of_two_streams_does_not_keep_it_closed(poison: str) -> None:
    world = await World().start()
    await world.endpoint(URL, says(500))
    sent = dict(zip(("s0", "s1"), await world.append(event("s0"), event("s1")), strict=True))
    await world.run(300)
    world.behaviours[URL] = lambda got: (says(500) if got.subject == poison else ok)(got)
    await world.run(300)
    assert world.taken(URL) == [offset for subject, offset in sent.items() if subject != poison]
