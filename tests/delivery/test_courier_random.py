"""Random worlds: endpoints that misbehave in turns, pauses, suspensions, replays, redrives, retention and kill -9, over
hours of simulated time. At the end every (event, endpoint) pair is accounted for: delivered or dead-lettered, each
stream's first arrivals in order, the newest last, and what came twice after a crash within the bound and with its id.

The seed is the test's parameter: a failure is repeated by naming it.
"""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from touchline.delivery.courier import CourierLimits
from touchline.delivery.courier.transport import Reply, Trouble
from touchline.log.endpoints import Endpoint

from .courier_world import Behaviour, Got, World, event, never, ok, refuses, says

URLS = tuple(f"http://e{n}" for n in range(5))
STREAMS = "abcdefg"


def slow(got: Got) -> tuple[float, Reply]:
    return 2.5, Reply(200)


def flapping(dice: random.Random) -> Behaviour:
    return lambda got: ok(got) if dice.random() < 0.1 else says(500)(got)


def unsteady(dice: random.Random) -> Behaviour:
    return lambda got: ok(got) if dice.random() < 0.7 else (dice.uniform(0, 3), Reply(None, trouble=Trouble.BROKEN))


def jittery(dice: random.Random) -> Behaviour:
    return lambda got: (dice.choice((0.001, 0.05, 0.7, 1.3)), Reply(200))


def poisoned(streams: str) -> Behaviour:
    return lambda got: says(500)(got) if got.subject in streams and got.offset % 7 == 0 else ok(got)


def busy(dice: random.Random) -> Behaviour:
    return lambda got: says(429, retry_after=str(dice.choice((1, 5, "x", -3))))(got) if dice.random() < 0.3 else ok(got)


class Story:
    """One random run."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        limits = CourierLimits(
            recent_records=self.dice.choice((4, 30, 16_384)),
            chunk_records=self.dice.choice((2, 7, 256)),
            chunks_bytes=self.dice.choice((2_000, 1 << 25)),
            lane_records=self.dice.choice((1, 3, 16)),
            held_bytes=self.dice.choice((800, 5_000, 1 << 18)),
            open_lanes=self.dice.choice((2, 5, 512)),
            healthy_requests=self.dice.choice((2, 6, 256)),
            suspect_requests=self.dice.choice((1, 64)),
        )
        self.world = World(seed=seed, limits=limits)
        self.endpoints: dict[str, Endpoint] = {}
        self.crashes = 0
        self.replayed: dict[str, bool] = defaultdict(bool)
        self.sent_by_life: dict[str, list[int]] = defaultdict(list)

    async def begin(self) -> None:
        await self.world.start()
        for number, url in enumerate(URLS):
            order = self.dice.choice(({}, {}, {"order": "none"}, {"order": "strict"}))
            self.endpoints[url] = await self.world.endpoint(
                url, self.behaviour(), partner=f"p{number}", **order, max_block="30"
            )

    def behaviour(self) -> Behaviour:
        dice = self.dice
        return dice.choice(
            (ok, ok, refuses, never, slow, says(500), flapping(dice), unsteady(dice), jittery(dice), busy(dice),
             poisoned(dice.choice(STREAMS)), poisoned(STREAMS[:5]))
        )  # fmt: skip

    async def step(self) -> None:
        world, dice = self.world, self.dice
        url = dice.choice(URLS)
        endpoint = self.endpoints[url]
        match dice.randrange(14):
            case 0 | 1 | 2 | 3 | 4:
                streams = STREAMS[: dice.randint(1, len(STREAMS))]
                await world.append(*[event(dice.choice(streams)) for _ in range(dice.choice((1, 3, 40)))])
            case 5 | 6:
                world.behaviours[url] = self.behaviour()
            case 7:
                await world.endpoints.set_status(endpoint.id, dice.choice(("paused", "active", "active")))
            case 8:
                name = endpoint.partner
                await (world.directory.suspend if dice.random() < 0.4 else world.directory.resume)(name)
            case 9:
                self.crashes += 1
                await world.crash()
            case 10 if dice.random() < 0.5:
                after = dice.randint(0, world.log.head)
                self.replayed[url] = True
                await world.courier.replay(endpoint.id, after)
            case 11:
                world.courier.wake(endpoint.id)
            case 12 if dice.random() < 0.7:
                self.replayed[url] = True
                await world.courier.redrive(endpoint.id)
            case _:
                pass
        await world.run(dice.choice((0, 0.005, 0.2, 3.0, 70.0)))

    async def heal(self) -> None:
        """Everybody is well again; until nothing is owed any more."""
        world = self.world
        for url, endpoint in self.endpoints.items():
            world.behaviours[url] = ok
            await world.directory.resume(endpoint.partner)
            await world.endpoints.set_status(endpoint.id, "active")
        for _ in range(400):
            await world.run(5)
            reports = [await world.courier.report(one.id) for one in self.endpoints.values()]
            if not any(report.backlog for report in reports):
                break
        else:
            raise AssertionError(f"it never comes to an end: {reports}")
        await world.run(20)

    async def check(self) -> None:
        world = self.world
        streams = {record.offset: record.event.subject for record in await world.records() if record.event.feed == "f"}
        for url, endpoint in self.endpoints.items():
            got = [one for one in world.got[url] if one.status == 200]
            dead = {letter.offset for letter in await world.courier.dead_letters(endpoint.id)}
            arrived = {one.offset for one in got}
            assert arrived | dead == set(streams), f"{url}: lost {sorted(set(streams) - arrived - dead)}"
            self._check_order(url, endpoint, got, streams, dead)
            names: dict[int, set[str]] = defaultdict(set)
            for one in world.got[url]:
                names[one.offset].add(one.message_id)
            assert all(len(found) == 1 for found in names.values())
            if not self.replayed[url]:
                assert len(got) - len(arrived) <= 32 * self.crashes + self.cut(url), f"{url}: too many twice"
            report = await world.courier.report(endpoint.id)
            assert (report.backlog, report.in_flight, report.open_streams, report.cursor) == (0, 0, 0, world.log.head)

    def cut(self, url: str) -> int:
        """Requests that were broken off by a suspension may have arrived."""
        return self.world.cancelled.count(url)

    def _check_order(
        self, url: str, endpoint: Endpoint, got: list[Got], streams: dict[int, str], dead: set[int]
    ) -> None:
        order = endpoint.options.get("order", "stream")
        if order == "none":
            return
        seen: set[int] = set()
        last: dict[str, int] = {}
        newest: dict[str, int] = {}
        for one in got:
            lane = "" if order == "strict" else one.subject
            newest[one.subject] = one.offset
            if one.offset not in seen and not one.replay:
                assert one.offset > last.get(lane, 0), f"{url}: {one.offset} came after {last[lane]}"
                last[lane] = one.offset
            seen.add(one.offset)
        for subject, offset in newest.items():
            latest = max(n for n, stream in streams.items() if stream == subject and n not in dead)
            assert offset == latest, f"{url}: the last arrival of {subject} is {offset}, not {latest}"


@pytest.mark.parametrize("seed", range(60))
async def test_every_pair_is_accounted_for(seed: int) -> None:
    story = Story(seed)
    await story.begin()
    for _ in range(60):
        await story.step()
    await story.heal()
    await story.check()
