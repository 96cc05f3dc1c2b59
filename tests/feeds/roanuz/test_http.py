"""Auth and reading over an in-memory hub: codes, envelopes, tokens, the document and the overs."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.feeds.base import Member
from touchline.feeds.roanuz import http
from touchline.testing.memory import MemoryHub
from touchline.wire.http import HttpResponse

from .worlds import (
    API_KEY,
    EXAMPLES,
    MATCH,
    OTHER_PROJECT,
    PROJECT,
    STORY,
    answer,
    ball,
    code,
    get,
    login,
    member,
    new_hub,
    push,
    request,
    token,
    told_hub,
)

HOUR = 3600.0


def body(response: HttpResponse) -> Any:
    assert response.status == 200, response.body
    found = msgspec.json.decode(response.body)
    assert found.keys() == {"data", "cache", "schema", "error", "http_status_code"}
    assert (found["error"], found["http_status_code"]) == (None, 200)
    assert found["schema"]["major_version"] == "5.0"
    return found


def authenticate(hub: MemoryHub, text: bytes, project: str = PROJECT) -> HttpResponse:
    return answer(hub, request("POST", f"/v5/core/{project}/auth/", text))


# --- the auth call ---


def test_a_key_gives_a_token_for_a_day() -> None:
    hub = new_hub()
    data = body(login(hub))["data"]
    assert re.fullmatch(rf"v5s{PROJECT}s[1-9][0-9]{{18}}", data["token"])
    assert data["expires"] == pytest.approx(hub.wall_ns / 1e9 + 24 * HOUR)
    assert login(hub).header("cache-control") == "no-store"
    assert hub.failures == []


def test_every_token_that_is_handed_out_has_half_a_day_left() -> None:
    hub = new_hub()
    seen = {}
    for _ in range(60):
        data = body(login(hub))["data"]
        assert 12 * HOUR <= data["expires"] - hub.wall_ns / 1e9 <= 24 * HOUR
        seen[data["token"]] = data["expires"]
        hub.advance(HOUR)
    assert len(seen) == 5, "a new one every half day"


def test_several_tokens_are_good_at_a_time_and_each_ends() -> None:
    hub = told_hub()
    old = token(hub)
    hub.advance(13 * HOUR)
    new = token(hub)
    assert old != new
    for value in (old, new):
        assert read(hub, rs_token=value).status == 200
    hub.advance(12 * HOUR)
    assert code(read(hub, rs_token=old)) == (401, "A-401-0")
    assert read(hub, rs_token=new).status == 200


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"{}", b'{"api_key":5}', b'{"api_key":null}', b"[" * 5000])
def test_an_auth_call_that_is_none(text: bytes) -> None:
    hub = new_hub()
    assert code(authenticate(hub, text)) == (400, "A-400-0")
    assert hub.failures == []


def test_wrong_keys_are_refused_and_counted() -> None:
    hub = new_hub()
    for wrong in ("", "RS5:" + "0" * 32, API_KEY + " ", API_KEY.upper(), "é"):
        assert code(login(hub, api_key=wrong)) == (400, "C-400-1")
    assert code(login(hub, "RS_P_1")) == (400, "A-400-2")
    assert hub.failures == [("192.0.2.1", PROJECT)] * 5 + [("192.0.2.1", "RS_P_1")]
    stored = hub.members[0].credentials["api_key"]
    assert code(login(hub, api_key=stored)) == (400, "C-400-1"), "what is stored is no key"


def test_too_many_wrong_keys() -> None:
    hub = new_hub()
    hub.locked[PROJECT] = 12.3
    response = login(hub)
    assert code(response) == (429, "A-429-0")
    assert response.header("retry-after") == "13"
    assert hub.failures == []


# --- tokens ---


def read(hub: MemoryHub, query: str = "", project: str = PROJECT, **headers: str) -> HttpResponse:
    return answer(hub, request("GET", f"/v5/cricket/{project}/match/{MATCH}/", query=query, **headers))


def test_the_token_comes_by_header_or_query_and_the_header_wins() -> None:
    hub = told_hub()
    good = token(hub)
    assert read(hub, rs_token=good).status == 200
    assert read(hub, f"token={good}").status == 200
    assert read(hub, "token=wrong", rs_token=good).status == 200
    assert code(read(hub, f"token={good}", rs_token="wrong")) == (401, "A-401-0")
    assert code(read(hub, f"token={good}", rs_token="")) == (401, "A-401-0")


def test_every_bad_token_is_answered_alike() -> None:
    elsewhere = msgspec.structs.replace(member(), feed="shottracker")
    hub = told_hub(member(), member("other", OTHER_PROJECT), elsewhere)
    good, others = token(hub), token(hub, OTHER_PROJECT)
    gone = MemoryHub(hub.feed, hub.members)
    answers = [
        read(hub),
        read(hub, rs_token=""),
        read(hub, rs_token="wrong"),
        read(hub, rs_token=others),
        read(hub, project=OTHER_PROJECT, rs_token=good),
        read(hub, project="RS_P_0", rs_token=good),
        read(gone, rs_token=good),
    ]
    hub.tokens["foreign"] = msgspec.structs.replace(hub.tokens[good], value="foreign", feed="shottracker")
    hub.tokens["webhook"] = msgspec.structs.replace(hub.tokens[good], value="webhook", purpose="something else")
    answers += [read(hub, rs_token="foreign"), read(hub, rs_token="webhook")]
    hub.members.clear()
    answers.append(read(hub, rs_token=good))
    hub.advance(25 * HOUR)
    answers.append(read(hub, rs_token=good))
    for each in answers:
        assert code(each) == (401, "A-401-0")
    assert len({msgspec.json.encode(msgspec.json.decode(each.body)["error"]) for each in answers}) == 1


# --- the match ---


def test_the_document() -> None:
    found = body(get(told_hub(), ""))
    assert found["data"]["key"] == MATCH
    assert found["data"]["play"]["innings"]["a_1"]["score_str"] == "10/1 in 0.4"
    assert found["cache"]["key"] == f"match/{MATCH}"


def test_the_cache_says_the_same_everywhere() -> None:
    hub = told_hub()
    first = get(hub, "")
    cache = body(first)["cache"]
    now = hub.wall_ns / 1e9
    assert 0 < cache["max_age"] < cache["expires"] - now
    assert first.header("etag") == f'W/"{cache["etag"]}"'
    assert "no-cache" in (first.header("cache-control") or "")
    hub.advance(3)
    assert body(get(hub, ""))["cache"]["etag"] == cache["etag"]
    for tag in (f'W/"{cache["etag"]}"', f'"{cache["etag"]}"', f'"x", W/"{cache["etag"]}"', "*"):
        unchanged = get(hub, "", if_none_match=tag)
        assert (unchanged.status, unchanged.body, unchanged.header("etag")) == (304, b"", first.header("etag"))
    assert get(hub, "", if_none_match='"x"').status == 200
    hub.publish(*push("Info", match={"name": "new"}))
    assert body(get(hub, "", if_none_match=f'W/"{cache["etag"]}"'))["data"]["name"] == "new"


def test_a_match_that_nobody_knows_or_that_is_not_granted_is_the_same() -> None:
    hub = told_hub()
    unknown = get(hub, "", "other")
    assert code(unknown) == (400, "A-400-0")
    narrowed = told_hub(member(match_key="x|y"))
    assert code(get(narrowed, "")) == (400, "A-400-0")
    assert msgspec.json.decode(get(narrowed, "").body)["error"] == {
        "code": "A-400-0",
        "http_status_code": 400,
        "msg": "There is no match 'matchkey'",
    }
    for path in ("ball-by-ball/", "ball-by-ball/FIRST-OVER/", "ball-by-ball/a_1_1/"):
        assert code(get(narrowed, path)) == code(get(hub, path, "other")) == (400, "A-400-0")
    assert get(told_hub(member(match_key=f"x|{MATCH}")), "").status == 200


def test_a_match_is_known_by_its_announcement_or_by_its_first_event() -> None:
    announced, played = new_hub(), new_hub()
    announced.publish("roanuz.match", *EXAMPLES["roanuz.match"])
    played.publish(*push("Toss"))
    assert body(get(announced, ""))["data"]["name"] == "Alphas vs Betas"
    assert body(get(played, ""))["data"] == {"key": MATCH, "sport": "cricket", "status": "not_started"}


def test_a_document_that_outlives_its_stream_is_enough() -> None:
    hub = new_hub()
    record = hub.publish("roanuz.match", *EXAMPLES["roanuz.match"])

    class Forgetful(MemoryHub):
        async def state(self, feed: str, subject: str) -> None:
            return None

    later = Forgetful(hub.feed, hub.members)
    later.stored.append(record)
    assert body(get(later, ""))["data"]["name"] == "Alphas vs Betas"


def test_a_match_that_belongs_to_one_partner_alone_is_not_shown() -> None:
    hub = new_hub()
    hub.publish("roanuz.match", *EXAMPLES["roanuz.match"], partner="somebody")
    assert code(get(hub, "")) == (400, "A-400-0")


# --- ball by ball ---


def over(hub: MemoryHub, path: str = "") -> Any:
    return body(get(hub, f"ball-by-ball/{path}"))["data"]


def test_the_match_is_walked_over_by_over() -> None:
    hub = told_hub()
    first = over(hub, "FIRST-OVER/")
    assert first["over"]["index"] == {"innings": "a_1", "over_number": 1}
    assert (first["previous_over_key"], first["previous_over_index"]) == (None, None)
    walked, at, before = [first], first["next_over_key"], "a_1_1"
    while at is not None:
        walked.append(over(hub, f"{at}/"))
        assert walked[-1]["previous_over_key"] == before
        at, before = walked[-1]["next_over_key"], at
    assert [each["over"]["index"]["innings"] for each in walked] == ["a_1", "a_1", "b_1"]
    assert walked[-1]["next_over_index"] is None
    assert walked[0]["next_over_index"] == walked[1]["over"]["index"]
    assert walked[1]["previous_over_index"] == walked[0]["over"]["index"]
    assert sum(b["team_score"]["runs"] for each in walked for b in each["over"]["balls"]) == 22
    assert over(hub) == walked[-1], "the current over is the newest"


@pytest.mark.parametrize("text", ["a_1_2", "A_1_2", "A1_2", "a1_2", "a_1_02"])
def test_over_keys_in_either_case(text: str) -> None:
    assert over(told_hub(), f"{text}/")["over"]["index"] == {"innings": "a_1", "over_number": 2}
    assert over(told_hub(), "first-over/")["over"]["index"]["over_number"] == 1


def test_a_super_over() -> None:
    hub = told_hub(story=(*STORY[:4], ball(0, 1), ball(0, 1, order=2), ball(0, 1, order=3, innings="b_superover")))
    assert over(hub)["over"]["index"] == {"innings": "b_superover", "over_number": 1}
    assert over(hub, "B_SUPEROVER_1/") == over(hub, "b_superover_1/")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_1_3", (404, "A-404-0")),
        ("b_1_2", (404, "A-404-0")),
        ("a_2_1", (404, "A-404-0")),
        ("z_1_1", (404, "A-404-0")),
        ("a_1_0", (404, "A-404-0")),
        ("a_1", (404, "A-404-0")),
        ("nonsense", (400, "A-400-0")),
        ("a_1_x", (400, "A-400-0")),
        ("a_1_%00", (400, "A-400-0")),
    ],
)
def test_overs_that_there_are_not(text: str, expected: tuple[int, str]) -> None:
    assert code(get(told_hub(), f"ball-by-ball/{text}/")) == expected


def test_before_the_first_ball_there_is_no_over() -> None:
    hub = told_hub(story=STORY[:4])
    for path in ("ball-by-ball/", "ball-by-ball/FIRST-OVER/"):
        assert code(get(hub, path)) == (404, "A-404-0")


def test_corrected_and_deleted_balls() -> None:
    hub = told_hub(story=STORY[:10])
    assert [b["key"] for b in over(hub)["over"]["balls"]] == ["524864", "524928"]
    hub.publish(*STORY[10])
    assert [b["key"] for b in over(hub)["over"]["balls"]] == ["524864"]
    assert over(hub, "a_1_1/")["over"]["balls"][0]["batsman"]["runs"] == 6


def test_the_fields_of_a_ball() -> None:
    hub = told_hub(story=(("roanuz.ball", *EXAMPLES["roanuz.ball"]),))
    (found,) = over(hub, "b_1_2/")["over"]["balls"]
    assert {type(found[name]) for name in ("key", "entry_time", "overs", "batsman")} == {str, float, list, dict}
    assert (found["key"], found["overs"]) == ("1049280", [1, 3])


# --- all of them ---


def test_paths_end_with_a_slash_and_every_answer_is_documented() -> None:
    for operation in http.operations(new_hub()):
        assert operation.path.endswith("/")
        assert {400, 401} & operation.answers.keys()
    bare = f"/v5/cricket/{PROJECT}/match/{MATCH}"
    hub = told_hub()
    assert answer(hub, request("GET", bare, rs_token=token(hub))).status == 404


texts = st.text(alphabet="ab1_/é\x00%-", min_size=1, max_size=8)


@given(st.data())
def test_nothing_that_is_asked_breaks_a_handler(data: st.DataObject) -> None:
    hub = told_hub(member(), member("other", OTHER_PROJECT))
    operation = data.draw(st.sampled_from(list(http.operations(hub))), label="operation")
    good = token(hub)
    values = {
        "project_key": st.just(PROJECT) | texts,
        "match_key": st.just(MATCH) | texts,
        "over_key": st.sampled_from(["FIRST-OVER", "a_1_1", "a_1_99999"]) | texts,
    }
    path = {p.name: data.draw(values[p.name], label=p.name) for p in operation.parameters if p.where == "path"}
    sent = data.draw(st.binary(max_size=20) | st.sampled_from([b'{"method":"web_hook"}', b'{"api_key":"x"}']))
    header = data.draw(st.sampled_from([good, "", "\udcff"]))
    asked = request(operation.method, "/", sent, rs_token=header)
    coroutine = operation.handler(msgspec.structs.replace(asked, path_params=path))
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)  # type: ignore[attr-defined]
    response = stopped.value.value
    assert response.status in operation.answers
    assert msgspec.json.decode(response.body)["http_status_code"] == response.status


def test_members_of_another_feed_are_nobody() -> None:
    stranger = Member("x", "shottracker", {}, {"project_key": PROJECT})
    hub = new_hub(stranger)
    assert code(login(hub)) == (400, "A-400-2")
