"""Two real matches go to 60 endpoints at full speed, of which 12 do not work, and the hub is killed under it.

Six endpoints take a request and never answer, six answer a byte a second. Every (event, endpoint) pair is accounted
for: the 48 healthy endpoints get everything in order, and twice only what was in flight when the hub died; of the
others everything is pending until they work again, and then comes in order too. Nothing is lost, nothing given up.
"""

from __future__ import annotations

import gzip
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest

from .hubs import LOOPBACK, ROOT, Endpoint, Hub, touchline, wait_for
from .receivers import DRIP, SILENT, Delivery, Reception, Reply, segments
from .recordings import Recorded, recorded, recording

RECORDINGS = ("ipl2025_match01.ndjson", "whl_game.ndjson")
FEEDS = ("roanuz", "hisports", "hub")
ID_HEADERS = {"hub": "webhook-id", "hisports": "x-hisports-delivery"}
"""Roanuz has none."""
ENDPOINTS = 60
PARTNERS = 5
MOST_IN_FLIGHT = 32
KILLS_AFTER = (150, 1500, 3000, 5000, 7000)
"""Requests that have arrived, at all receivers together, when the hub is killed."""

Key = tuple[str, bytes]
"""What identifies an event to its receiver: the stream, and the id or all that was sent."""


class Receiver(NamedTuple):
    """One of the endpoints; ``fault`` is a status of ``receivers``, or 0."""

    name: str
    feed: str
    fault: int
    endpoint: Endpoint


class Account(NamedTuple):
    """What became of the pairs of one endpoint and stream; ``duplicates`` by crash."""

    expected: int
    delivered: int
    lost: int
    duplicates: tuple[int, ...]
    inversions: int
    foreign: int


def account(expected: Sequence[bytes], lives: Sequence[Sequence[bytes]]) -> Account:
    """Hold what came of a stream, by the hub's lives, against what was owed; a value may be owed more than once."""
    places: defaultdict[bytes, list[int]] = defaultdict(list)
    for index, value in enumerate(expected):
        places[value].append(index)
    seen: set[int] = set()
    duplicates, inversions, foreign = [], 0, 0
    for life in lives:
        last, again = None, 0
        for number, value in enumerate(life):
            if value not in places:
                foreign += 1
                continue
            wanted = (max(seen, default=-1) if last is None else last) + 1
            index = max(
                (at for at in places[value] if at <= wanted),
                key=lambda at, rest=life[number:]: (_agree(expected[at:], rest), at),  # type: ignore[misc]
                default=places[value][0],
            )
            again += index in seen
            inversions += last is not None and index <= last
            seen.add(index)
            last = index
        duplicates.append(again)
    return Account(
        len(expected), len(seen), len(expected) - len(seen), tuple(duplicates[1:]), inversions + duplicates[0], foreign
    )


def _agree(these: Sequence[bytes], those: Sequence[bytes]) -> int:
    """How long both begin alike."""
    return next((index for index, (a, b) in enumerate(zip(these, those, strict=False)) if a != b), len(those))


def test_the_account_finds_what_it_looks_for() -> None:
    a, b, c = b"a", b"b", b"c"
    assert account([a, b, c], [[a, b, c]]) == Account(3, 3, 0, (), 0, 0)
    assert account([a, b, c], [[a, b], [b, c]]) == Account(3, 3, 0, (1,), 0, 0)
    assert account([a, b, c], [[a, b], [c]]) == Account(3, 3, 0, (0,), 0, 0)
    assert account([a, b, c], [[a, c]]).lost == 1
    assert account([a, b, c], [[a], [c, b]]).inversions == 1
    assert account([a, b, c], [[a, b, b, c]]).inversions > 0  # nothing may come twice without a crash
    assert account([a, b, a, c], [[a, b, a], [a, c]]) == Account(4, 4, 0, (1,), 0, 0)
    assert account([a, b, b, c], [[a, b, b], [b, b, c]]) == Account(4, 4, 0, (2,), 0, 0)
    assert account([a, b, b, c], [[a, b], [b, c]]) == Account(4, 4, 0, (0,), 0, 0)
    assert account([a, b], [[a, b"x", b]]).foreign == 1


def owed_to(feed: str, events: Iterable[Recorded]) -> list[Key]:
    """What an endpoint of a feed is owed of these events, in order, as its receiver tells them apart."""
    keys: list[Key] = []
    for event in events:
        if feed == "hub":
            keys.append((event.subject, event.id.encode()))
        elif event.type.startswith(f"{feed}.") and event.type != "roanuz.match":
            data = msgspec.json.decode(event.data)
            told = data["notification"] if feed == "roanuz" else {"type": event.type.removeprefix("hisports."), **data}
            keys.append((event.subject, msgspec.json.encode(told, order="sorted")))
    return keys


def key_of(feed: str, delivery: Delivery) -> Key:
    """The same of what came."""
    told = msgspec.json.decode(gzip.decompress(delivery.body) if feed == "roanuz" else delivery.body)
    if feed == "hub":
        return told["subject"], told["id"].encode()
    subject = told["data"]["matchkey"] if feed == "roanuz" else str(told["game"]["id"])
    return subject, msgspec.json.encode(told, order="sorted")


class Ends:
    """A condition for ``Reception.until``: the last event of every stream is there. Decodes each delivery once."""

    def __init__(self, feed: str, owed: Sequence[Key]) -> None:
        self._feed = feed
        self._missing = set(dict(owed).items())
        self._looked_at = 0

    def __call__(self, got: list[Delivery]) -> bool:
        for one in got[self._looked_at :]:
            self._missing.discard(key_of(self._feed, one))
        self._looked_at = len(got)
        return not self._missing


def accounts_of(receiver: Receiver, got: Sequence[Delivery], owed: Sequence[Key]) -> list[Account]:
    """The accounts of an endpoint, stream by stream."""
    lives = [[key_of(receiver.feed, one) for one in life] for life in segments(got)]
    streams = {stream for stream, _ in owed} | {stream for life in lives for stream, _ in life}
    return [
        account(
            [value for name, value in owed if name == stream],
            [[value for name, value in life if name == stream] for life in lives],
        )
        for stream in sorted(streams)
    ]


def add_receivers(hub: Hub, reception: Reception) -> list[Receiver]:
    """A third of the endpoints on each feed; of every ten one never answers and one drips."""
    for number in range(PARTNERS):
        for feed in FEEDS:
            grants = {"feed": ["roanuz", "hisports"]} if feed == "hub" else {}
            hub.add_partner(f"partner-{number}", feed, grants=grants)
    receivers = []
    for number in range(ENDPOINTS):
        feed, fault = FEEDS[number % 3], {4: SILENT, 9: DRIP}.get(number % 10, 0)
        name = f"{feed}-{number}"
        topics = () if feed == "roanuz" else ("*",)
        options = {"roanuz": {"subscribe": "all"}, "hisports": {"trace": "on"}}.get(feed)
        if fault:
            reception.behave[name] = lambda _, fault=fault: Reply(fault)  # type: ignore[misc]
        partner = f"partner-{number % PARTNERS}"
        endpoint = hub.add_endpoint(partner, reception.url(name), feed, *topics, label=name, options=options)
        receivers.append(Receiver(name, feed, fault, endpoint))
    return receivers


def replay_until_taken(hub: Hub, name: str) -> None:
    """``touchline replay`` at full speed, again with the same ids until the hub has acknowledged everything."""
    for _ in range(20):
        done = touchline(
            "replay", recording(name), "--speed", "max", "--keep-ids", "--url", hub.url, "--data", hub.data, "--json",
            cwd=ROOT,
        )  # fmt: skip
        if done.code == 0:
            return
        assert "Traceback" not in done.err, done
    raise AssertionError(done)


def test_every_pair_of_event_and_endpoint_is_accounted_for_though_the_hub_is_killed(
    make_hub: Callable[..., Hub], capsys: pytest.CaptureFixture[str]
) -> None:
    events = [event for name in RECORDINGS for event in recorded(name)]
    owed = {feed: owed_to(feed, events) for feed in FEEDS}
    assert [len(owed[feed]) for feed in FEEDS] == [231, 48, 280]
    hub = make_hub(*LOOPBACK)
    with Reception() as reception:
        receivers = add_receivers(hub, reception)
        healthy = [one for one in receivers if not one.fault]
        broken = [one for one in receivers if one.fault]
        assert (len(healthy), len(broken)) == (48, 12)

        replays = [threading.Thread(target=replay_until_taken, args=(hub, name)) for name in RECORDINGS]
        for thread in replays:
            thread.start()
        for count in KILLS_AFTER:
            wait_for(lambda count=count: reception.total >= count, f"{count} requests", 30)  # type: ignore[misc]
            hub.kill()
            reception.mark()
            hub.start()
        for thread in replays:
            thread.join(60)
        for one in healthy:
            reception.until(one.name, Ends(one.feed, owed[one.feed]), "the last of every stream", 60)
        pairs = Counter(expected=sum(len(owed[one.feed]) for one in receivers))
        check_healthy(reception, healthy, owed, pairs)
        check_broken(hub, reception, broken, owed, pairs)
        assert pairs["delivered"] + pairs["pending"] == pairs["expected"]

        mend(hub, reception, broken)
        for one in broken:
            reception.until(one.name, Ends(one.feed, owed[one.feed]), "the last of every stream", 60)
        caught_up = sum(catch_up(reception, one, owed[one.feed]) for one in broken)
        assert caught_up == pairs["pending"]
        wait_for(lambda: not any(hub.endpoint_report(one.endpoint.id)["backlog"] for one in receivers), "no backlog")
        assert [hub.dead_letters(one.endpoint.id) for one in receivers] == [[]] * ENDPOINTS
    with capsys.disabled():
        print(
            f"\n  {len(events)} events, {ENDPOINTS} endpoints, {pairs['expected']} pairs: "
            f"{pairs['delivered']} delivered, "
            f"{pairs['pending']} pending at the {len(broken)} that do not work, lost 0, inversions 0, dead letters 0; "
            f"{len(KILLS_AFTER)} kills, {pairs['duplicates']} duplicates, "
            f"at most {pairs['most']} an endpoint and crash; "
            f"mended: {caught_up} more delivered, in order, pending 0"
        )


def check_healthy(
    reception: Reception, receivers: Sequence[Receiver], owed: dict[str, list[Key]], pairs: Counter[str]
) -> None:
    """They have everything, in order; twice only what was in flight, with the same id."""
    for one in receivers:
        got = reception.at(one.name)
        accounts = accounts_of(one, got, owed[one.feed])
        for stream in accounts:
            assert (stream.lost, stream.inversions, stream.foreign) == (0, 0, 0), (one, stream)
            pairs["delivered"] += stream.delivered
        for crash in zip(*(stream.duplicates for stream in accounts), strict=True):
            assert sum(crash) <= MOST_IN_FLIGHT, (one, accounts)
            pairs["duplicates"] += sum(crash)
            pairs["most"] = max(pairs["most"], sum(crash))
        if one.feed in ID_HEADERS:
            ids = {(item.headers[ID_HEADERS[one.feed]], item.body) for item in got}
            assert len(ids) == len({header for header, _ in ids}) == len(owed[one.feed]), one


def check_broken(
    hub: Hub,
    reception: Reception,
    receivers: Sequence[Receiver],
    owed: dict[str, list[Key]],
    pairs: Counter[str],
) -> None:
    """Nothing counts as delivered or as given up, and nothing but the first of a stream has been tried."""
    for one in receivers:
        heads = {stream: (stream, value) for stream, value in reversed(owed[one.feed])}
        assert {key_of(one.feed, item) for item in reception.at(one.name)} <= set(heads.values()), one
        report: dict[str, Any] = hub.endpoint_report(one.endpoint.id)
        assert report["dead_letters"] == report["delivered"] == 0, report
        assert not report["backlog_is_bound"], report
        assert report["backlog"] == len(owed[one.feed]), (one, report)
        pairs["pending"] += report["backlog"]


def mend(hub: Hub, reception: Reception, receivers: Sequence[Receiver]) -> None:
    """They work from now on, and the operator says so."""
    reception.shut()
    reception.mark()
    reception.behave.clear()
    reception.open()
    for one in receivers:
        hub.admin("POST", f"/hub/v1/endpoints/{one.endpoint.id}/resume")


def catch_up(reception: Reception, receiver: Receiver, owed: Sequence[Key]) -> int:
    """How many came since it was mended: everything once and in order."""
    last = [one for one in reception.at(receiver.name) if one.life == len(KILLS_AFTER) + 1]
    accounts = accounts_of(receiver, last, owed)
    for stream in accounts:
        assert (stream.lost, stream.inversions, stream.foreign) == (0, 0, 0), (receiver, stream)
    return sum(stream.delivered for stream in accounts)
