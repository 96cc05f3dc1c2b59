"""Who takes part in a soak: partners, sessions and endpoints, with how each behaves; all drawn from one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from bench.soak.faults import Fault, Role, windows

COURTS: Final = ("a", "b", "c")
"""Where basketball games are played, one after the other."""
RINKS: Final = 2
PITCHES: Final = 2
PARTNERS: Final = {"shottracker": 8, "hub": 10, "prophetx": 10, "insights": 4, "hisports": 4, "roanuz": 4}
ENDPOINT_FEEDS: Final = ("hub", "hisports", "insights", "roanuz")
TRADERS: Final = 4
"""Partners of the exchange, the first ones, that trade."""
EVENT_SOURCES: Final = ("shot", "marker", "playbyplay", "lineup", "possession")
SLOW_BYTES: Final = (2000, 6000)
_SHARES: Final = (("live", 30), ("native", 24), ("sse", 16), ("pusher", 30))
"""Of a hundred sessions."""


class Partner(msgspec.Struct):
    """A partner with the credentials of now. It comes from an address of its own, as in life."""

    name: str
    feed: str
    address: str
    credentials: dict[str, str] = {}


class SessionPlan(msgspec.Struct, frozen=True):
    """``behaviour`` is steady, slow, drops or vanishes; ``begins`` is seconds after the start."""

    name: str
    kind: str
    partner: str
    behaviour: str
    seed: str
    begins: float
    pace: int = 0
    court: str = ""
    filters: dict[str, list[str]] = {}


class EndpointPlan(msgspec.Struct):
    """A webhook endpoint; ``id`` when it has one. ``faults`` are in seconds after the start."""

    name: str
    partner: str
    feed: str
    role: Role
    topics: list[str]
    options: dict[str, str]
    faults: list[Fault]
    id: str = ""
    after: int = 0
    """The head when it was there: what is behind that is owed to it."""


class Plan(msgspec.Struct):
    """All of it; ``began`` is in monotonic seconds, ``start`` a position before everything."""

    url: str
    seed: int
    start: str
    began: float
    partners: list[Partner]
    sessions: list[SessionPlan]
    endpoints: list[EndpointPlan]


def partners() -> list[Partner]:
    """Everybody, without credentials."""
    found: list[Partner] = []
    for feed, count in PARTNERS.items():
        for number in range(count):
            found.append(Partner(f"{feed}-{number}", feed, f"127.0.{len(found) // 200 + 1}.{len(found) % 200 + 1}"))
    return found


def sessions(count: int, seed: int, seconds: float) -> list[SessionPlan]:
    """So many sessions; most are there soon, some come in the first third of the time."""
    dice = random.Random(f"{seed}:sessions")
    kinds = _dealt(count)
    found: list[SessionPlan] = []
    for number, kind in enumerate(kinds):
        behaviour = dice.choices(("steady", "drops", "slow", "vanishes"), (55, 25, 10, 10))[0]
        begins = dice.uniform(0, min(10.0, seconds / 10)) if dice.random() < 0.8 else dice.uniform(0, seconds / 3)
        feed = {"live": "shottracker", "pusher": "prophetx"}.get(kind, "hub")
        found.append(
            SessionPlan(
                f"{kind}-{number}",
                kind,
                f"{feed}-{dice.randrange(PARTNERS[feed])}",
                behaviour,
                f"{seed}:{number}",
                begins,
                dice.randint(*SLOW_BYTES) if behaviour == "slow" else 0,
                dice.choice(COURTS) if kind == "live" else "",
                _filters(kind, behaviour, dice),
            )
        )
    return found


def _dealt(count: int) -> list[str]:
    wanted = [kind for kind, share in _SHARES for _ in range(count * share // 100)]
    return wanted + ["live"] * (count - len(wanted))


def _filters(kind: str, behaviour: str, dice: random.Random) -> dict[str, list[str]]:
    if kind == "live":
        return {} if dice.random() < 0.3 else {"source": list(EVENT_SOURCES)}
    if kind == "pusher":
        return {}
    if behaviour == "slow":
        return dice.choice(({"feed": ["roanuz"]}, {"feed": ["insights"]}, {"type": ["shottracker.playbyplay"]}))
    choices: tuple[dict[str, list[str]], ...] = (
        {},
        {"feed": ["prophetx"]},
        {"feed": ["hisports", "roanuz", "insights"]},
        {"feed": ["roanuz"]},
        {"type": ["shottracker.shot", "shottracker.playbyplay"]},
    )
    return dice.choices(choices, (10, 20, 25, 20, 25))[0]


def endpoints(count: int, seed: int, seconds: float) -> list[EndpointPlan]:
    """So many endpoints over the feeds that are pushed."""
    dice = random.Random(f"{seed}:endpoints")
    found: list[EndpointPlan] = []
    for number, role in enumerate(_roles(count)):
        feed = "hub" if role is Role.PICKY else ENDPOINT_FEEDS[number % len(ENDPOINT_FEEDS)]
        topics, options = _asked(feed, dice)
        if role is Role.PICKY:
            topics = ["*"]
        partner = f"{feed}-{dice.randrange(PARTNERS[feed])}"
        faults = list(windows(role, dice, seconds))
        found.append(EndpointPlan(f"{feed}-{number}-{role.value}", partner, feed, role, topics, options, faults))
    return found


def _roles(count: int) -> Iterator[Role]:
    """Of every twenty: three slow, three that fail for a while, two black holes, one that refuses for good."""
    pattern = {3: Role.SLOW, 9: Role.SLOW, 14: Role.SLOW, 5: Role.FAILING, 11: Role.FAILING, 18: Role.FAILING}
    pattern |= {8: Role.BLACK, 15: Role.BLACK, 17: Role.REFUSING}
    for number in range(count):
        if number == 36:
            yield Role.GONE
        elif number in (16, 40):
            yield Role.PICKY
        else:
            yield pattern.get(number % 20, Role.HEALTHY)


def _asked(feed: str, dice: random.Random) -> tuple[list[str], dict[str, str]]:
    match feed:
        case "hub":
            return dice.choice((["*"], ["prophetx.*"], ["shottracker.*"], ["roanuz.*", "hisports.*"])), {}
        case "insights":
            return [dice.choice(("*/*/en", "nba/*/*", "nhl/*/*"))], {}
        case "hisports":
            return ["*"], {"trace": "on"}
        case _:
            return [], {"subscribe": "all"}


def document(plan: Plan) -> dict[str, Any]:
    """What a result says about who took part."""
    kinds: dict[str, int] = {}
    for one in plan.sessions:
        kinds[f"{one.kind}, {one.behaviour}"] = kinds.get(f"{one.kind}, {one.behaviour}", 0) + 1
    roles: dict[str, int] = {}
    for endpoint in plan.endpoints:
        roles[f"{endpoint.feed}, {endpoint.role.value}"] = roles.get(f"{endpoint.feed}, {endpoint.role.value}", 0) + 1
    return {"sessions": dict(sorted(kinds.items())), "endpoints": dict(sorted(roles.items()))}
