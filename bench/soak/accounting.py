"""What became of every (record, session) and (record, endpoint) pair. Pure: notes and the log in, counts out.

A pair is delivered, pending, explained (the protocol has no resume and the session was away), dead-lettered, or lost.
"""

from __future__ import annotations

import bisect
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from bench.soak.faults import Role, refuses
from bench.soak.truth import Entry, Truth
from bench.soak.world import EndpointPlan, Partner, SessionPlan

MOST_REPEATED: Final = 32
"""What a crash, or the end of a suspended partner's deliveries, may repeat at one endpoint (docs/guarantees)."""


class Count(msgspec.Struct):
    """Pairs by what became of them, and what must not be. ``damaged`` came with other content, ``foreign`` was not
    owed, ``late`` is pending at somebody who was there and quick enough to have it."""

    owed: int = 0
    delivered: int = 0
    pending: int = 0
    explained: int = 0
    dead: int = 0
    lost: int = 0
    duplicates: int = 0
    most_duplicates: int = 0
    too_many_duplicates: int = 0
    inversions: int = 0
    foreign: int = 0
    damaged: int = 0
    late: int = 0

    def add(self, other: Count) -> None:
        """Both together."""
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, max(mine, theirs) if name.startswith("most") else mine + theirs)

    @property
    def faults(self) -> int:
        """What must be 0."""
        bad = self.lost + self.inversions + self.foreign + self.damaged + self.late + self.too_many_duplicates
        return bad + abs(self.owed - self.delivered - self.pending - self.explained - self.dead - self.lost)


def ordered(
    numbers: Sequence[int], checks: Sequence[int], owed: Sequence[tuple[int, int, int]], until: int, *, is_slow: bool
) -> Count:
    """A reader that is owed all, once and in order, as far as it got. ``owed`` is (number, check, offset); only up to
    the offset ``until`` must it have got."""
    count = Count()
    expected = {number: check for number, check, _ in owed}
    seen = set(numbers)
    count.inversions = sum(after < before for before, after in pairwise(numbers))
    count.duplicates = len(numbers) - len(seen)
    count.inversions += count.duplicates
    count.foreign = len(seen - expected.keys())
    count.damaged = sum(expected.get(number, check) != check for number, check in zip(numbers, checks, strict=True))
    last = max(seen, default=-1)
    for number, _, offset in owed:
        if number in seen:
            count.delivered += 1
        elif number < last:
            count.lost += 1
        elif offset <= until:
            count.pending += 1
            count.late += not is_slow
        else:
            continue
        count.owed += 1
    return count


def session(notes: Mapping[str, Any], truth: Truth, partners: Mapping[str, Partner], until: int) -> Count:
    """The account of one session."""
    plan: SessionPlan = notes["plan"]
    is_slow = plan.behaviour == "slow"
    if plan.kind in ("native", "sse"):
        owed = [(entry.offset, entry.check, entry.offset) for entry in truth.native(plan.filters)]
        return ordered(notes["offsets"], notes["checks"], owed, until, is_slow=is_slow)
    if plan.kind == "live":
        count = Count()
        for game, (seqs, checks) in notes["games"].items():
            owed = [
                (entry.seq, entry.check, entry.offset) for entry in truth.live(game, plan.filters.get("source", ()))
            ]
            # A game that it left behind it must have whole; of the one that is on it may lack the end.
            count.add(ordered(seqs, checks, owed, until, is_slow=is_slow and game not in notes["over"]))
        count.inversions += notes["repeats"]
        return count
    return exchange(notes, truth, partners[plan.partner].credentials["partner_id"], until, is_slow=is_slow)


def exchange(notes: Mapping[str, Any], truth: Truth, partner_id: str, until: int, *, is_slow: bool) -> Count:
    """A session without resume: within each connection a run of the log without a hole; what it was away for is
    explained. The last connection must reach the end."""
    count = Count()
    for which, entries in ((0, truth.public()), (2, truth.private(partner_id))):
        places = {entry.stamp: index for index, entry in enumerate(entries)}
        taken: set[int] = set()
        last = -1
        for run in notes["runs"]:
            stamps, checks = run[which], run[which + 1]
            last = -1
            for stamp, check in zip(stamps, checks, strict=True):
                index = places.get(stamp, -1)
                if index < 0:
                    count.foreign += 1
                    continue
                count.damaged += entries[index].coded != check
                if last >= 0:
                    count.inversions += index <= last
                    count.lost += max(0, index - last - 1)
                count.duplicates += index in taken
                taken.add(index)
                last = index
        reached = bisect.bisect_right([entry.offset for entry in entries], until)
        count.delivered += len(taken)
        # Behind the last that its last connection brought there is nothing that it was away for.
        behind = max(0, reached - last - 1) if last >= 0 else 0
        count.pending += behind
        count.late += 0 if is_slow else behind
        count.late += not which and last < 0 and not is_slow  # it was there, and the exchange never rests
        count.owed += max(reached, max(taken, default=-1) + 1)
    count.explained = count.owed - count.delivered - count.pending - count.lost
    return count


def endpoint(
    plan: EndpointPlan,
    notes: Mapping[str, Any],
    truth: Truth,
    report: Mapping[str, Any],
    dead: frozenset[int],
    until: int,
    lives: Sequence[float],
    suspended: Sequence[float],
) -> Count:
    """The account of one endpoint. ``lives`` are the moments at which the hub was started, ``suspended`` those at which
    its partner was."""
    count = Count()
    by_number: dict[int, list[int]] = {}
    owed: list[Entry] = []
    for number, entry in truth.pushed(plan.feed, plan.topics, plan.id):
        by_number.setdefault(number, []).append(len(owed))
        owed.append(entry)
    life_of = array("i", (bisect.bisect_right(lives, made) for made in notes["made"]))
    taken: Counter[int] = Counter()
    last: dict[tuple[int, str], int] = {}
    repeated: defaultdict[int, int] = defaultdict(int)
    for number, check, life in zip(notes["keys"], notes["checks"], life_of, strict=True):
        places = by_number.get(number)
        if not places:
            count.foreign += 1
            continue
        index = next((place for place in places if not taken[place]), places[-1])
        entry = owed[index]
        count.damaged += plan.feed in ("hub", "insights") and entry.check != check
        if taken[index]:
            repeated[life] += 1
        taken[index] += 1
        if plan.feed != "insights":
            stream = life, entry.feed + entry.subject
            before = last.get(stream, -1)
            # The same once more is a repetition and no inversion.
            count.inversions += index < before
            last[stream] = index
    _judge(count, plan, owed, taken, report, dead, until)
    count.duplicates = sum(repeated.values())
    for life, again in repeated.items():
        begins = lives[life - 1] if 0 < life <= len(lives) else float("-inf")
        ends = lives[life] if life < len(lives) else float("inf")
        allowed = (MOST_REPEATED if life > 1 else 0) + MOST_REPEATED * sum(begins <= at < ends for at in suspended)
        count.most_duplicates = max(count.most_duplicates, again)
        count.too_many_duplicates += max(0, again - allowed)
    return count


def _judge(
    count: Count,
    plan: EndpointPlan,
    owed: Sequence[Entry],
    taken: Mapping[int, int],
    report: Mapping[str, Any],
    dead: frozenset[int],
    until: int,
) -> None:
    """What became of each record that is owed."""
    never = plan.role in (Role.REFUSING, Role.GONE)
    is_behind = bool(report["backlog"])
    for index, entry in enumerate(owed):
        if entry.offset in dead:
            count.dead += 1
            count.lost += plan.role is not Role.PICKY or not refuses(entry.offset, entry.subject)
        elif taken.get(index):
            count.delivered += 1
        elif entry.offset <= plan.after or entry.offset > until:
            continue
        elif never or (plan.role is Role.PICKY and is_behind):
            count.pending += 1
        elif is_behind:
            count.pending += 1
            count.late += plan.role is not Role.SLOW
        else:
            count.lost += 1
        count.owed += 1
