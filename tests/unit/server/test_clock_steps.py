"""The wall clock steps an hour forth and back: schedules do not notice, signatures and expiry do, and what the log says
of time never goes backwards.
"""

from __future__ import annotations

import pytest

from touchline.feeds.base import CredentialField, Form, Instant, Keep
from touchline.feeds.shottracker.auth import Signed, http_date, sign, verify
from touchline.log.directory import Directory
from touchline.log.memory import MemoryKeyValue, MemoryLog
from touchline.model import Event
from touchline.server.limits import LoginLimits
from touchline.testing.clock import FakeClock
from touchline.wire.http import HttpRequest

HOUR = 3600.0


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_the_login_limit_counts_real_seconds(step: float) -> None:
    clock = FakeClock()
    limits = LoginLimits(clock, per_address=1, per_name=9, per_pair=9)
    limits.failed("a", "n")
    wait = limits.blocked("a", "n")
    clock.step_wall(step)
    assert limits.blocked("a", "n") == wait


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_appended_times_rise_and_numbers_go_on(step: float) -> None:
    clock = FakeClock()
    log = MemoryLog(clock)
    await log.start()
    for number in range(6):
        if number == 3:
            clock.step_wall(step)
        await log.append([Event("f", "f.x", "s", "/a", str(number), b"{}", 1, 1)])
    page = await log.read(0, 10)
    times = [record.appended_at for record in page.records]
    assert times == sorted(set(times))
    assert [record.seq for record in page.records] == [1, 2, 3, 4, 5, 6]
    await log.close()


async def test_a_token_ends_by_the_wall() -> None:
    clock = FakeClock()
    directory = Directory(MemoryKeyValue(), clock, lambda count: bytes(range(count)))
    await directory.start()
    fields = (CredentialField("username", Form.NAME, Keep.PLAIN, lookup=True),)
    await directory.add_member("acme", "f", fields, {}, {})
    ends = clock.wall_ns() + int(HOUR / 2 * 1e9)
    token = await directory.issue_token("f", "acme", "subscribe", "g", form=Form.UUID, expires_at=ends)
    clock.step_wall(HOUR)
    assert directory.find_token(token.value) is None
    await directory.close()


@pytest.mark.parametrize(("step", "good"), [(0.0, True), (290.0, True), (-290.0, True), (HOUR, False), (-HOUR, False)])
def test_a_signature_is_judged_by_the_wall(step: float, good: bool) -> None:
    clock = FakeClock()
    date = http_date(clock.wall_ns())
    signed = sign("acme", "secret", method="GET", target_path="/v1/data/teams", host="h", date=date)
    clock.step_wall(step)
    request = HttpRequest(
        "GET", "/v1/data/teams", "/v1/data/teams", headers=(("date", date), ("authorization", signed)), hosts=("h",)
    )
    result = verify(request, {"acme": "secret"}.get, Instant(clock.wall_ns(), clock.monotonic()))
    assert isinstance(result, Signed) is good
