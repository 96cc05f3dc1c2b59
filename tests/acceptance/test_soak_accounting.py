"""The account at the end of a soak finds what it looks for: each fault, made by hand, is seen and named."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .hubs import ROOT


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The modules of ``bench.soak``, which is not installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.soak import accounting, truth, world

    class Modules:
        account = accounting
        records = truth
        plans = world

    yield Modules
    for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
        del sys.modules[name]


OWED = [(number, number * 7, number * 10) for number in range(1, 6)]


def ordered(soak: Any, numbers: list[int], *, until: int = 50, is_slow: bool = False, damage: int = 0) -> Any:
    checks = [number * 7 + (number == damage) for number in numbers]
    return soak.account.ordered(numbers, checks, OWED, until, is_slow=is_slow)


def test_a_session_that_resumes(soak: Any) -> None:
    whole = ordered(soak, [1, 2, 3, 4, 5])
    assert (whole.owed, whole.delivered, whole.faults) == (5, 5, 0)
    assert ordered(soak, [1, 2, 4, 5]).lost == 1
    assert ordered(soak, [1, 2, 2, 3, 4, 5]).duplicates == 1
    assert ordered(soak, [1, 2, 2, 3, 4, 5]).faults
    assert ordered(soak, [1, 3, 2, 4, 5]).inversions == 1
    assert ordered(soak, [1, 2, 3, 4, 5, 6]).foreign == 1
    assert ordered(soak, [1, 2, 3, 4, 5], damage=3).damaged == 1


def test_the_end_that_a_session_lacks(soak: Any) -> None:
    late = ordered(soak, [1, 2, 3])
    assert (late.pending, late.late, late.lost) == (2, 2, 0)
    assert late.faults
    assert ordered(soak, [1, 2, 3], until=30).faults == 0, "it need not have more by then"
    assert ordered(soak, [], until=50).late == 5
    slow = ordered(soak, [1, 2, 3], is_slow=True)
    assert (slow.pending, slow.faults) == (2, 0)
    assert ordered(soak, [1, 3], is_slow=True).lost == 1, "slow is no excuse for a hole"


def truth_of(soak: Any, feed: str, count: int) -> Any:
    truth = soak.records.Truth()
    for number in range(1, count + 1):
        entry = soak.records.Entry(
            number * 10, number, 1000 + number, feed, f"{feed}.x", "s", None, number * 7, number * 9, number
        )
        truth.entries.append(entry)
    return truth


def exchange(soak: Any, *runs: list[int], until: int = 50) -> Any:
    notes = {"runs": [([1000 + one for one in run], [one * 9 for one in run], [], []) for run in runs]}
    return soak.account.exchange(notes, truth_of(soak, "prophetx", 5), "p", until, is_slow=False)


def test_a_session_without_resume(soak: Any) -> None:
    count = exchange(soak, [1, 2], [4, 5])
    assert (count.delivered, count.explained, count.lost, count.faults) == (4, 1, 0, 0)
    assert exchange(soak, [1, 2, 4, 5]).lost == 1, "within a connection there is no excuse"
    assert exchange(soak, [1, 2, 2, 3, 4, 5]).inversions == 1
    assert exchange(soak, [1, 2], [3, 4]).late == 1
    assert exchange(soak, [1, 2, 3, 4, 5], []).late == 1, "the last connection got nothing at all"
    assert exchange(soak, [9]).foreign == 1


def endpoint(soak: Any, keys: list[int], made: list[float] | None = None, **more: Any) -> Any:
    plan = soak.plans.EndpointPlan("e", "p", "hub", soak.account.Role(more.pop("role", "healthy")), ["*"], {}, [])
    notes = {"keys": [key * 10 for key in keys], "checks": [key * 7 for key in keys], "made": made or [1.0] * len(keys)}
    report = {"backlog": more.pop("backlog", 0)}
    dead = frozenset(more.pop("dead", ()))
    truth = truth_of(soak, "shottracker", 5)
    return soak.account.endpoint(plan, notes, truth, report, dead, 50, [0.0, 100.0], more.pop("suspended", []))


def test_an_endpoint(soak: Any) -> None:
    assert endpoint(soak, [1, 2, 3, 4, 5]).faults == 0
    assert endpoint(soak, [1, 2, 4, 5]).lost == 1
    assert endpoint(soak, [1, 3, 2, 4, 5]).inversions == 1
    assert endpoint(soak, [1, 2, 3, 4, 5, 9]).foreign == 1
    assert endpoint(soak, [1, 2, 3], backlog=2).late == 2
    assert endpoint(soak, [], role="refusing", backlog=5).faults == 0
    assert endpoint(soak, [1, 2, 3, 4], dead=[50]).faults, "a dead letter of a healthy endpoint"


def test_what_comes_twice(soak: Any) -> None:
    assert endpoint(soak, [1, 2, 2, 3, 4, 5]).too_many_duplicates == 1, "nothing may come twice without a crash"
    crash = endpoint(soak, [1, 2, 3, 2, 3, 4, 5], [1.0, 1.0, 1.0, 101.0, 101.0, 101.0, 101.0])
    assert (crash.duplicates, crash.inversions, crash.faults) == (2, 0, 0)
    assert endpoint(soak, [1, 2, 2, 3, 4, 5], suspended=[1.0]).faults == 0
    many = [number % 5 + 1 for number in range(5 + 40)]
    assert endpoint(soak, many, [1.0] * 5 + [101.0] * 40).too_many_duplicates == 40 - soak.account.MOST_REPEATED


def test_what_the_log_alone_shows(soak: Any, tmp_path: Path) -> None:
    truth = soak.records.Truth()

    def add(id: str, seq: int, subject: str = "s") -> None:  # noqa: A002
        truth.add(
            soak.records._Event(
                id, "/x", "roanuz.ball", subject, f"epoch-{seq}", "event", "2026-01-01T00:00:00Z", b"{}", seq
            )
        )

    add("a", 1)
    add("b", 2)
    add("c", 1, "t")
    assert (truth.twice, truth.holes) == (0, 0)
    add("a", 3)
    add("d", 5)
    assert (truth.twice, truth.holes) == (1, 1)
