"""The pure parts: windows, budgets, turns, rates; the breaker; options."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.delivery.courier.health import Health, Tally, Trial
from touchline.delivery.courier.policy import MAX_HEADERS, OPTIONS, Ordering, is_option, parse_policy
from touchline.delivery.courier.scheduler import Scheduler, Share, Ticket
from touchline.feeds.base import Order


def proven(window: int = 8, rate: float | None = None) -> Share:
    share = Share(window, rate)
    share.proven = True
    return share


def begin(scheduler: Scheduler, now: float, size: int = 500) -> Ticket | None:
    share = scheduler.next(now)
    if share is None:
        return None
    ticket = Ticket(share, now, slow=share.suspect)
    scheduler.started(share, size, ticket)
    return ticket


def test_a_window_starts_at_two_grows_to_eight_and_halves_on_a_timeout() -> None:
    scheduler, share = Scheduler(100, 10), Share(8)
    seen = []
    for _ in range(40):
        scheduler.add(share)
        tickets = []
        while (ticket := begin(scheduler, 0.0)) is not None:
            tickets.append(ticket)
            scheduler.add(share)
        seen.append(len(tickets))
        for ticket in tickets:
            scheduler.finished(ticket, 0.01, answered=True, timed_out=False)
    assert seen[:3] == [1, 2, 3]
    assert seen[-1] == 8
    scheduler.add(share)
    ticket = begin(scheduler, 0.0)
    assert ticket is not None
    scheduler.finished(ticket, 10.0, answered=False, timed_out=True)
    assert (share.window, share.suspect) == (4, True)
    scheduler.add(share)
    assert begin(scheduler, 11.0) is not None
    scheduler.add(share)
    assert begin(scheduler, 11.0) is None, "a suspect has one request at a time"


def test_a_request_that_waits_a_second_frees_its_place() -> None:
    scheduler = Scheduler(4, 2)
    silent, healthy = [proven() for _ in range(2)], proven()
    for share in silent:
        scheduler.add(share)
    assert [begin(scheduler, 0.0) is not None for _ in range(5)] == [True] * 4 + [False]
    scheduler.add(healthy)
    assert begin(scheduler, 0.999) is None
    assert scheduler.next_overdue() == 1.0
    assert begin(scheduler, 1.0) is not None
    assert (scheduler.healthy, scheduler.suspect) == (1, 4)
    assert all(share.suspect for share in silent)


def test_a_thousand_new_endpoints_that_never_answer_hold_a_healthy_one_up_for_a_second_at_most() -> None:
    scheduler, healthy = Scheduler(256, 64), Share(8)
    for _ in range(1000):
        scheduler.add(Share(8))
    scheduler.add(healthy)
    now = 0.0
    while not healthy.in_flight:
        while begin(scheduler, now) is not None:
            pass
        now += 0.01
    assert now <= 1.0


def test_turns_are_shared_by_bytes() -> None:
    scheduler = Scheduler(10**6, 10)
    small, large = proven(10**6), proven(10**6)
    small.window = large.window = 10**6
    spent = {small: 0, large: 0}
    scheduler.add(small)
    scheduler.add(large)
    for _ in range(3000):
        share = scheduler.next(0.0)
        assert share is not None
        size = 200 if share is small else 20_000
        spent[share] += size + 1024
        scheduler.started(share, size, Ticket(share, 0.0, slow=False))
    assert 0.8 < spent[small] / spent[large] < 1.25


@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["ok", "slow", "timeout", "fail", "wait"])), max_size=80))
def test_the_budgets_are_never_exceeded_and_come_back(steps: list[tuple[int, str]]) -> None:
    scheduler = Scheduler(5, 2)
    shares = [Share(4) for _ in range(8)]
    under: list[Ticket] = []
    now = 0.0
    for index, what in steps:
        scheduler.add(shares[index])
        healthy = scheduler.healthy
        while (ticket := begin(scheduler, now)) is not None:
            under.append(ticket)
            if ticket.slow:
                assert scheduler.suspect <= max(2, len(under))
        assert scheduler.healthy <= max(5, healthy)
        now += 0.4
        if under and what != "wait":
            ticket = under.pop(index % len(under))
            now += 1.5 if what == "slow" else 0.0
            scheduler.finished(ticket, now, answered=what in ("ok", "slow"), timed_out=what == "timeout")
    for ticket in under:
        scheduler.finished(ticket, now, answered=True, timed_out=False)
    assert (scheduler.healthy, scheduler.suspect, scheduler.unproven) == (0, 0, 0)
    assert all(share.in_flight == 0 for share in shares)


def test_a_rate_is_kept() -> None:
    share, sent, now = proven(8, 2.0), 0, 0.0
    while now < 30.0:
        wait = share.wait(now)
        if wait:
            now += wait
        else:
            share.spend()
            sent += 1
    assert 60 <= sent <= 63


# the breaker

DICE = random.Random(1)


def test_five_failures_in_a_row_open_over_two_streams_or_over_all_there_is() -> None:
    for lanes, streams, opens in ((5, "ababa", True), (5, "aaaaa", False), (1, "aaaaa", True)):
        health = Health()
        for stream in streams[:4]:
            assert not health.failed(0.0, stream, lanes, DICE)
        assert health.failed(0.0, streams[4], lanes, DICE) is opens
    health = Health()
    for n in range(40):
        if n % 3:
            health.failed(n * 0.1, "ab"[n % 2], 5, DICE)
        else:
            health.succeeded(n * 0.1)
        if health.is_open:
            break
    assert health.is_open
    assert n >= 19, "half of twenty within thirty seconds"


def test_half_of_twenty_is_forgotten_after_thirty_seconds() -> None:
    health = Health()
    for n in range(200):
        health.failed(n * 2.0, "ab"[n % 2], 5, DICE)
        health.succeeded(n * 2.0 + 1)
        assert not health.is_open or n * 2.0 < 40


def test_probes_double_to_a_minute_and_a_success_closes() -> None:
    health = Health()
    for n in range(5):
        health.failed(0.0, n, 5, DICE)
    now, waits = 0.0, []
    for _ in range(8):
        waits.append(health.probe_at - now)
        now = health.probe_at
        assert health.may_probe(now, "a")
        assert not health.may_probe(now - 0.1, "a")
        health.failed(now, "a", 5, DICE, probe=True)
    for wait, length in zip(waits, (5, 10, 20, 40, 60, 60, 60, 60), strict=True):
        assert 0.8 * length <= wait <= 1.2 * length
    assert health.succeeded(now)
    assert not health.is_open


def test_a_trial_runs_only_while_the_endpoint_takes_others() -> None:
    health, trial = Health(), Trial()

    def fail(now: float) -> None:
        trial.failed(now, health)
        health.failed(now, "a", 3, DICE)

    fail(0.0)
    fail(10.0)
    assert trial.seconds == 0.0, "nothing was taken"
    health.succeeded(11.0)
    fail(20.0)
    assert trial.seconds == 10.0
    health.succeeded(21.0)
    health.failed(22.0, "b", 3, DICE)
    health.failed(23.0, "c", 3, DICE)
    fail(30.0)
    assert trial.seconds == 10.0, "it refused more than it took"


def test_later_tries_of_poison_say_nothing_of_the_endpoint() -> None:
    health, trials = Health(), [Trial() for _ in range(15)]

    def all_fail(now: float) -> list[bool]:
        found = []
        for n, trial in enumerate(trials):
            first = trial.waits == 0
            own_fault = trial.failed(now, health, answered=True)
            health.failed(now, n, 20, DICE, first=first, answered=True, own_fault=own_fault, suspects=len(found))
            found.append(own_fault)
        return found

    health.succeeded(0.0)
    assert all_fail(1.0) == [False] * 15
    assert not health.is_open, "it answers, and took something just now"
    health.succeeded(8.0)
    assert all_fail(10.0) == [False] * 13 + [True] * 2, "most were seen to fail one after the other"
    health.succeeded(11.0)
    assert all_fail(20.0) == [True] * 15
    assert all_fail(40.0) == [True] * 15, "nothing was taken meanwhile, and nothing new refused"
    assert [trial.seconds for trial in trials] == [10.0] * 13 + [19.0] * 2


def test_what_is_taken_after_all_speaks_against_the_endpoint() -> None:
    health, trial = Health(), Trial()
    trial.failed(0.0, health)
    health.failed(0.0, "a", 3, DICE)
    health.succeeded(1.0)
    health.succeeded(2.0, first=False)
    health.succeeded(3.0, first=False)
    trial.failed(10.0, health)
    assert (trial.seconds, trial.suspect) == (0.0, False)


def test_the_time_of_an_outage_is_held_against_no_record_while_it_lasts_either() -> None:
    health, trial = Health(), Trial()
    trial.failed(0.0, health)
    health.failed(0.0, "a", 9, DICE)
    for n in range(8):
        health.succeeded(n / 10)
    for n in range(5):
        health.failed(1.0, n, 9, DICE)
    assert health.is_open
    for now in (6.0, 100.0):
        trial.failed(now, health)
        health.failed(now, "a", 9, DICE, probe=True, first=False)
    assert trial.seconds == 1.0, "until it opened"
    health.succeeded(200.0)
    health.succeeded(201.0)
    trial.failed(203.0, health)
    assert trial.seconds == 4.0, "and after it closed"


def test_who_answers_is_down_five_seconds_after_it_took_something() -> None:
    health = Health()
    health.succeeded(100.0)
    for n in range(30):
        assert not health.failed(100.0 + n * 0.1, "ab"[n % 2], 5, DICE, answered=True)
    assert health.failed(105.0, "a", 5, DICE, answered=True)


def test_heads_that_were_not_tried_are_asked_soon_where_there_are_answers() -> None:
    for answered in (True, False):
        health = Health()
        for n in range(5):
            health.failed(0.0, n, 5, DICE, answered=answered)
        for n in range(3):
            assert health.may_probe(n, f"new{n}") is answered
            assert not health.may_probe(n, 4, Trial())
            health.failed(n, f"new{n}", 5, DICE, answered=answered, probe=True)
            assert not health.may_probe(n, f"new{n + 1}")


def test_a_tally_forgets() -> None:
    tally = Tally(30.0)
    for n in range(100):
        tally.add(float(n), success=n % 2 == 0)
    good, bad = tally.sums(99.0)
    assert 12 <= good <= 15
    assert 12 <= bad <= 15
    assert tally.sums(200.0) == (0, 0)


# options


def test_the_contracts_table() -> None:
    stream, free = parse_policy({}), parse_policy({}, Order.NONE)
    assert (stream.order, stream.max_block_seconds, stream.connect_seconds, stream.timeout_seconds) == (
        Ordering.STREAM, 60.0, 3.0, 10.0,
    )  # fmt: skip
    assert (free.order, free.max_block_seconds, free.connect_seconds, free.timeout_seconds) == (
        Ordering.NONE, 3600.0, 3.0, 15.0,
    )  # fmt: skip
    assert [stream.retry_seconds(n) for n in range(1, 11)] == [0.25, 0.5, 1, 2, 4, 8, 15, 30, 30, 30]
    assert [free.retry_seconds(n) for n in (1, 2, 3, 10, 11, 12, 99)] == [1, 2, 4, 512, 600, 600, 600]


def test_options_change_it_and_others_are_passed_over() -> None:
    policy = parse_policy(
        {"order": "strict", "max_block": "block", "timeout_seconds": "2.5", "window": "32", "rate_limit": "0.5",
         "retry_cap_seconds": "3", "delivery": "raw", "header.X-A": " b "}
    )  # fmt: skip
    assert (policy.order, policy.max_block_seconds, policy.window) == (Ordering.STRICT, None, 32)
    assert (policy.rate_limit, policy.timeout_seconds, policy.headers) == (0.5, 2.5, (("x-a", "b"),))
    assert policy.retries == (0.25, 0.5, 1, 2, 3)
    assert is_option("header.X-A")
    assert all(is_option(name) for name in OPTIONS if "<" not in name)
    assert not is_option("delivery")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("order", "random"), ("max_block", "0"), ("max_block", "nan"), ("max_block", "never"), ("max_block", "1e400"),
        ("timeout_seconds", "-1"), ("timeout_seconds", "301"), ("connect_seconds", ""), ("connect_seconds", "٣"),
        ("window", "0"), ("window", "33"), ("window", "3.5"), ("window", "²"), ("rate_limit", "0"),
        ("rate_limit", "inf"), ("retry_cap_seconds", "x"), ("final_4xx", "yes"),
        ("header.", "x"), ("header.a b", "x"), ("header.a:", "x"), ("header.é", "x"), ("header.a\r\nb", "x"),
        ("header.x", "a\r\nb: c"), ("header.x", "a\nb"), ("header.x", "é"), ("header.x", "a\0"),
        ("header.x", "a" * 8192),
        ("header." + "a" * 65, "x"),
        *((f"header.{name}", "x") for name in (
            "Host", "CONTENT-LENGTH", "Content-Type", "content-encoding", "Transfer-Encoding", "connection", "TE",
            "Trailer", "upgrade", "Expect", "keep-alive", "Proxy-Authorization", "User-Agent", "Webhook-Id",
            "X-Own-Topic", "Touchline-Replay", "THE-KEY",
        )),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_is_refused_with_the_reason(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="option"):
        parse_policy({name: value}, own_headers=frozenset({"x-own-", "the-key"}))


def test_headers_are_bounded_and_given_once() -> None:
    with pytest.raises(ValueError, match="at most 20"):
        parse_policy({f"header.x-{n}": "v" for n in range(MAX_HEADERS + 1)})
    with pytest.raises(ValueError, match="twice"):
        parse_policy({"header.X-A": "1", "header.x-a": "2"})
