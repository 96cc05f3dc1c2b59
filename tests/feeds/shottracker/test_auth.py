"""Signatures of the Event API: the published vector, every refusal, and nothing that raises."""

from __future__ import annotations

import base64
import hashlib
import hmac

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.feeds.base import Instant
from touchline.feeds.shottracker import auth
from touchline.wire.http import HttpRequest

DATE = "Thu, 19 Nov 2026 12:00:00 GMT"
NOW = Instant(1_795_089_600_000_000_000, 0.0)
HOST = "api.shottracker.com"
PATH = "/v1/data/teams/123/events"
VECTOR = "duUDYWDsY9OA6HwJf8ufswo1eCM="
SECRETS = {"demo-user": "demo-secret"}


def header(
    names: str = "date host request-line",
    signature: str = VECTOR,
    *,
    username: str = "demo-user",
    algorithm: str = "hmac-sha1",
) -> str:
    return f'hmac username="{username}",algorithm="{algorithm}",headers="{names}",signature="{signature}"'


def mac(*lines: str, secret: str = "demo-secret") -> str:
    digest = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def request(
    authorization: str | None = None, *, hosts: tuple[str, ...] = (HOST,), path: str = PATH, **headers: str
) -> HttpRequest:
    whole = {"host": hosts[0], "date": DATE} if not headers else {"host": hosts[0]} | headers
    if authorization is not None:
        whole["authorization"] = authorization
    pairs = tuple((name.replace("_", "-"), value) for name, value in whole.items())
    return HttpRequest("GET", path, path, (), pairs, hosts=hosts)


def check(asked: HttpRequest, now: Instant = NOW, *, with_query: bool = False) -> auth.Signed | str:
    verdict = auth.verify(asked, SECRETS.get, now, with_query=with_query)
    if isinstance(verdict, auth.Refusal):
        assert verdict.status == 401
        return verdict.message
    return verdict


def test_the_vector_is_made() -> None:
    made = auth.sign("demo-user", "demo-secret", method="GET", target_path=PATH, host=HOST, date=DATE)
    assert made == header()


def test_the_vector_is_taken() -> None:
    assert check(request(header())) == auth.Signed("demo-user")


@pytest.mark.parametrize("scheme", ["hmac", "Hmac"])
def test_white_space_after_commas_and_both_spellings_are_taken(scheme: str) -> None:
    spaced = header().replace(",", ",  ").replace("hmac ", f"{scheme} ", 1)
    assert check(request(spaced)) == auth.Signed("demo-user")


def test_proxy_authorization_is_tried_first_and_authorization_when_it_is_of_another_scheme() -> None:
    assert check(request(None, date=DATE, proxy_authorization=header())) == auth.Signed("demo-user")
    assert check(request(header(), date=DATE, proxy_authorization="Basic eDp5")) == auth.Signed("demo-user")
    wrong = header(signature=mac("x"))
    assert check(request(header(), date=DATE, proxy_authorization=wrong)) == auth.NO_MATCH


def test_headers_are_signed_in_the_listed_order_and_an_absent_one_by_its_bare_name() -> None:
    signature = mac(f"GET {PATH} HTTP/1.1", "x-other:", f"host: {HOST}", f"date: {DATE}")
    assert check(request(header("request-line x-other host date", signature))) == auth.Signed("demo-user")


@pytest.mark.parametrize("hosts", [("10.0.0.7:8080", HOST), (HOST, "10.0.0.7")])
def test_any_name_that_the_peer_may_have_used_is_tried(hosts: tuple[str, ...]) -> None:
    assert check(request(header(), hosts=hosts)) == auth.Signed("demo-user")


def test_the_host_counts_byte_for_byte() -> None:
    assert check(request(header(), hosts=("API.shottracker.com",))) == auth.NO_MATCH
    assert check(request(header(), hosts=(f"{HOST}:443",))) == auth.NO_MATCH


@pytest.mark.parametrize("shift", [-300, 300])
def test_five_minutes_are_allowed(shift: int) -> None:
    assert check(request(header()), Instant(NOW.wall_ns + shift * 10**9, 0.0)) == auth.Signed("demo-user")


@pytest.mark.parametrize("shift", [-301, 301, 10**9])
def test_more_are_not(shift: int) -> None:
    assert check(request(header()), Instant(NOW.wall_ns + shift * 10**9, 0.0)) == auth.BAD_DATE


def test_x_date_serves_where_it_is_signed() -> None:
    signature = mac(f"x-date: {DATE}", f"host: {HOST}", f"GET {PATH} HTTP/1.1")
    asked = request(header("x-date host request-line", signature), x_date=DATE)
    assert check(asked) == auth.Signed("demo-user")


def test_an_unsigned_fresh_x_date_does_not_revive_an_old_signature() -> None:
    later = Instant(NOW.wall_ns + 3600 * 10**9, 0.0)
    asked = request(header(), date=DATE, x_date=auth.http_date(later.wall_ns))
    assert check(asked, later) == auth.BAD_DATE
    assert check(request(header(), date=auth.http_date(later.wall_ns)), later) == auth.NO_MATCH


def test_no_header_is_no_attempt() -> None:
    refusal = auth.verify(request(), SECRETS.get, NOW)
    assert refusal == auth.Refusal("Unauthorized", presented=False)


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("Bearer abc", auth.CANNOT_VERIFY),
        ("", auth.CANNOT_VERIFY),
        ("hmac ", auth.CANNOT_VERIFY),
        (header().replace('username="demo-user",', ""), auth.CANNOT_VERIFY),
        (header(algorithm="hmac-sha256"), auth.CANNOT_VERIFY),
        (header(algorithm="HMAC-SHA1"), auth.CANNOT_VERIFY),
        (header("date host"), auth.CANNOT_VERIFY),
        (header("date request-line"), auth.CANNOT_VERIFY),
        (header("host request-line"), auth.BAD_DATE),
        (header("date host request-line " + "x " * 40), auth.CANNOT_VERIFY),
        (header(username="nobody"), auth.CANNOT_VERIFY),
        (header(signature="ZZZZ"), auth.NO_MATCH),
        (header(signature="***"), auth.NO_MATCH),
        (header(signature=VECTOR.rstrip("=")), auth.NO_MATCH),
        (header(signature=mac(f"date: {DATE}", f"host: {HOST}", "GET /v1/data/teams HTTP/1.1")), auth.NO_MATCH),
        (header(username="dému"), auth.CANNOT_VERIFY),
        (header() + " " * 5000, auth.CANNOT_VERIFY),
    ],
)
def test_refusals_say_what_kong_says(authorization: str, message: str) -> None:
    assert check(request(authorization)) == message


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "2026-11-19T12:00:00Z",
        "Thu, 31 Feb 2026 12:00:00 GMT",
        "Thu, 19 Nov 2026 12:00:00",
        "Thu, 19 Nov 2026 25:00:00 GMT",
        "Thu, 19 Nov 0000 12:00:00 GMT",
        "Thu, ١٩ Nov 2026 12:00:00 GMT",
        "Thu, 19 Nov 2026 12:00:00 GMT" * 100,
    ],
)
def test_a_date_that_is_none(date: str) -> None:
    signature = mac(f"date: {date}", f"host: {HOST}", f"GET {PATH} HTTP/1.1")
    assert check(request(header(signature=signature), date=date)) == auth.BAD_DATE


def test_a_date_that_stands_twice_is_not_taken() -> None:
    asked = request(header())
    doubled = msgspec.structs.replace(asked, headers=(*asked.headers, ("date", DATE)))
    assert check(doubled) == auth.CANNOT_VERIFY


def test_the_query_is_not_signed_unless_an_operator_says_so() -> None:
    plain = msgspec.structs.replace(request(header()), query=(("from", "1"), ("x", "a b")))
    assert check(plain) == auth.Signed("demo-user")
    for spelt in ("from=1&x=a+b", "from=1&x=a%20b"):
        signature = mac(f"date: {DATE}", f"host: {HOST}", f"GET {PATH}?{spelt} HTTP/1.1")
        asked = msgspec.structs.replace(plain, headers=(*request(header(signature=signature)).headers,))
        assert check(asked) == auth.NO_MATCH
        assert check(asked, with_query=True) == auth.Signed("demo-user")
    assert check(plain, with_query=True) == auth.Signed("demo-user")


def test_the_path_is_signed_as_it_stood_on_the_wire() -> None:
    path = "/v1/data/teams/a%20b/events"
    signature = mac(f"date: {DATE}", f"host: {HOST}", f"GET {path} HTTP/1.1")
    asked = HttpRequest(
        "GET",
        "/v1/data/teams/a b/events",
        path,
        headers=(("host", HOST), ("date", DATE), ("authorization", header(signature=signature))),
        hosts=(HOST,),
    )
    assert check(asked) == auth.Signed("demo-user")


def test_an_unknown_username_is_signed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    digests: list[bytes] = []
    real = hmac.digest
    monkeypatch.setattr(auth.hmac, "digest", lambda *given: digests.append(given[0]) or real(*given))
    check(request(header()))
    known = len(digests)
    check(request(header(username="nobody")))
    assert len(digests) == 2 * known


@given(st.integers(min_value=-62_135_596_800, max_value=253_402_300_799))
def test_dates_go_there_and_back(seconds: int) -> None:
    assert auth.parse_http_date(auth.http_date(seconds * 10**9)) == seconds * 10**9


anything = st.text(max_size=80)
names = st.sampled_from(["authorization", "proxy-authorization", "date", "x-date", "host", "x"])


@given(
    st.lists(st.tuples(names, st.one_of(anything, st.just(header()), st.just(DATE))), max_size=6),
    anything,
    anything,
    st.lists(anything, max_size=3),
    st.booleans(),
)
def test_nothing_raises_and_nothing_unsigned_is_taken(
    pairs: list[tuple[str, str]], method: str, path: str, hosts: list[str], with_query: bool
) -> None:
    asked = HttpRequest(method, path, path, (("q", path),), tuple(pairs), hosts=tuple(hosts))
    verdict = auth.verify(asked, SECRETS.get, NOW, with_query=with_query)
    if isinstance(verdict, auth.Signed):
        assert HOST in hosts or ("host", HOST) in pairs
        assert (method, path) == ("GET", PATH)


@given(st.text(alphabet=' hmac"=,usernlgoithdsqt-1.\\', max_size=300))
def test_header_soup_is_refused(soup: str) -> None:
    assert isinstance(check(request(soup)), str)


@given(st.data())
def test_every_signed_part_counts(data: st.DataObject) -> None:
    """Changing a character of anything that is signed fails."""
    part = data.draw(st.sampled_from(["method", "path", "host", "date", "username", "signature", "secret"]))
    values = {
        "method": "GET",
        "path": PATH,
        "host": HOST,
        "date": DATE,
        "username": "demo-user",
        "signature": VECTOR,
        "secret": "demo-secret",
    }
    old = values[part]
    place = data.draw(st.integers(0, len(old) - 1))
    other = data.draw(st.characters(codec="ascii", exclude_characters='"' + old[place], min_codepoint=32))
    values[part] = old[:place] + other + old[place + 1 :]
    asked = HttpRequest(
        values["method"],
        values["path"],
        values["path"],
        headers=(
            ("host", values["host"]),
            ("date", values["date"]),
            ("authorization", header(username=values["username"], signature=values["signature"])),
        ),
        hosts=(values["host"],),
    )
    secrets = {"demo-user": values["secret"]}
    verdict = auth.verify(asked, secrets.get, NOW)
    assert isinstance(verdict, auth.Refusal)
