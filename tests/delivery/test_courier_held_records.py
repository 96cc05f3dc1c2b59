"""Records that the courier held for an endpoint, because it was down or paused, were sent after they were owed no more:
the grants had been narrowed, the topic taken away or unsubscribed, or the address was another that had confirmed
nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from touchline.feeds.base import Admitted

from .courier_world import Codec, World, event, feed, ok, refuses, says

URL = "http://a"

Change = Callable[[World, str], Awaitable[object]]


async def narrow(world: World, endpoint: str) -> None:
    await world.directory.set_grants("acme", "f", {"subject": ["other"]})


async def drop_topic(world: World, endpoint: str) -> None:
    await world.endpoints.change(endpoint, topics=("f.other",))


@pytest.mark.parametrize("change", [narrow, drop_topic])
async def test_what_is_taken_away_while_it_is_held_is_not_sent(change: Change) -> None:
    world = await World().start()
    made = await world.endpoint(URL, refuses)
    await world.append(*(event("a") for _ in range(300)), *(event(f"b{number}") for number in range(20)))
    await world.run(20)
    tried = len(world.got[URL])
    assert tried
    await change(world, made.id)
    await world.run(2)
    world.behaviours[URL] = ok
    (last,) = await world.append(event("other", kind="other"))
    assert await world.run(120, until=lambda: last in world.taken(URL))
    await world.run(60)
    assert world.taken(URL) == [last]
    assert (await world.courier.report(made.id)).backlog == 0


@pytest.mark.parametrize("admitted", [Admitted.CONFIRMED, Admitted.CALLED])
async def test_what_is_unsubscribed_while_it_is_held_is_not_sent(admitted: Admitted) -> None:
    world = await World(feed(codec=Codec(admitted))).start()
    asked = ["a", "other"] if admitted is Admitted.CONFIRMED else []
    made = await world.endpoint(URL, ask=asked)
    await world.run(1)
    for topic in ("a", "other"):
        if admitted is Admitted.CALLED:
            await world.endpoints.begin("f", "acme", topic)
        else:
            standing = world.endpoints.find("f", "acme", topic, made.id)
            assert standing is not None
            await world.endpoints.confirm(standing)
    world.behaviours[URL] = refuses
    await world.append(*(event("a") for _ in range(300)))
    await world.run(20)
    standing = world.endpoints.find("f", "acme", "a", made.id if admitted is Admitted.CONFIRMED else "")
    assert standing is not None
    await world.endpoints.end(standing)
    await world.run(2)
    world.behaviours[URL] = ok
    (last,) = await world.append(event("other"))
    assert await world.run(120, until=lambda: last in world.taken(URL))
    await world.run(60)
    assert world.taken(URL) == [last]
    assert (await world.courier.report(made.id)).backlog == 0


async def test_another_address_gets_nothing_before_it_has_confirmed() -> None:
    world = await World(feed(codec=Codec(Admitted.CONFIRMED))).start()
    made = await world.endpoint(URL, ask=["a"])
    await world.run(1)
    standing = world.endpoints.find("f", "acme", "a", made.id)
    assert standing is not None
    await world.endpoints.confirm(standing)
    world.behaviours[URL] = refuses
    await world.append(event("a"), event("a"))
    await world.run(20)
    await world.endpoints.change(made.id, url="http://b", ask=["a"])
    await world.run(60)
    assert [got.handshake for got in world.got["http://b"]] == ["a"]
    standing = world.endpoints.find("f", "acme", "a", made.id)
    assert standing is not None
    await world.endpoints.confirm(standing)
    (last,) = await world.append(event("a"))
    assert await world.run(60, until=lambda: last in world.taken("http://b"))
    assert world.taken("http://b") == [last]


@pytest.mark.parametrize("order", ["stream", "strict", "none"])
async def test_a_dead_letter_that_is_owed_no_more_is_not_redriven(order: str) -> None:
    world = await World().start()
    poison = lambda got: says(400)(got) if got.offset == 1 else ok(got)  # noqa: E731
    made = await world.endpoint(URL, poison, order=order, final_4xx="true")
    await world.append(event("a"), event("other"), event("b"))
    await world.run(2)
    assert [one.offset for one in await world.courier.dead_letters(made.id)] == [1]
    await world.log.trim(2)  # the letter is the only copy
    await narrow(world, made.id)
    await world.run(2)
    world.behaviours[URL] = ok
    assert await world.courier.redrive(made.id) == 1
    await world.run(5)
    assert 1 not in world.taken(URL)
    (last,) = await world.append(event("other"))
    assert await world.run(60, until=lambda: last in world.taken(URL))


async def test_410_to_a_handshake_disables_and_resume_asks_again() -> None:
    world = await World(feed(codec=Codec(Admitted.CONFIRMED))).start()
    made = await world.endpoint(URL, says(410), ask=["a", "b"])
    await world.run(120)
    assert world.endpoints.get(made.id).status == "disabled"
    assert world.changes() == ["disabled"]
    assert len(world.got[URL]) <= 2
    world.behaviours[URL] = ok
    await world.endpoints.set_status(made.id, "active")
    await world.run(5)
    assert {got.handshake for got in world.got[URL][-2:]} == {"a", "b"}
    assert world.endpoints.to_tell() == []


async def test_retry_after_holds_handshakes_back_too() -> None:
    world = await World(feed(codec=Codec(Admitted.CONFIRMED))).start()
    made = await world.endpoint(URL, says(429, retry_after="60"), ask=["a", "b"])
    await world.run(55)
    assert len(world.got[URL]) == 1
    assert (await world.courier.report(made.id)).state == "waiting"
    world.behaviours[URL] = ok
    await world.run(10)
    assert world.endpoints.to_tell() == []


async def test_what_only_the_state_of_a_stream_tells_is_judged_again_too() -> None:
    world = await World(feed(codec=Codec(needs_state=True))).start()
    for subject in ("a", "other"):
        world.states["f", subject] = subject
    await world.partner(subject=["a", "other"])
    made = await world.endpoint(URL, refuses)
    await world.append(*(event("a") for _ in range(40)), event("other"))
    await world.run(20)
    await narrow(world, made.id)
    world.behaviours[URL] = ok
    assert await world.run(120, until=lambda: 41 in world.taken(URL))
    await world.run(60)
    assert world.taken(URL) == [41]
    await world.directory.set_grants("acme", "f", {"subject": ["a", "other"]})
    (last,) = await world.append(event("a"))
    assert await world.run(60, until=lambda: last in world.taken(URL))
    assert world.taken(URL) == [41, last], "what was passed over stays so"
