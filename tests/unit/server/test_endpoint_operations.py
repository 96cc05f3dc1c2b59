"""``/hub/v1/endpoints``: what is taken, what is refused and why, and what the courier is asked."""

from __future__ import annotations

import logging
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from endpoint_worlds import World, attempt, document, letter

from touchline.model import Position
from touchline.server.http import endpoints
from touchline.wire import position, rfc3339, standard_webhooks

HOUR = 3600.0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.start()
    yield world
    await world.running.stop()


async def refused(world: World, body: object, status: int = 400) -> str:
    """Why an endpoint is not taken."""
    answer = await world.call("add_endpoint", body=body)
    assert answer.status == status, answer
    assert answer.header("content-type") == "application/problem+json"
    assert world.hub.endpoints.all() == []
    return str(document(answer)["detail"])


NEW = {"partner": "acme", "feed": "hub", "url": "https://a.example/hook"}


async def test_add_shows_the_secret_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made = await world.add(topics=["shottracker.*"], label="prod", options={"order": "none", "feed": "shottracker"})
    secret = made.pop("secret")
    assert len(b64decode(secret.removeprefix("whsec_"))) == 32
    (stored,) = world.hub.endpoints.all()
    assert [one.value for one in stored.secrets] == [secret]
    assert (made["endpoint"], made["state"], made["status"]) == (stored.id, "active", "active")
    for answer in (
        await world.call("show_endpoint", stored.id),
        await world.call("list_endpoints"),
        await world.call("pause_endpoint", stored.id),
        await world.call("resume_endpoint", stored.id),
        await world.call("update_endpoint", stored.id, {"label": "x"}),
        await world.call("rotate_endpoint_secret", stored.id),
        await world.call("show_endpoint", stored.id),
        await world.call("list_attempts", stored.id),
        await world.call("remove_endpoint", stored.id),
    ):
        assert secret not in answer.body.decode()
    assert secret[6:] not in caplog.text + repr([vars(record) for record in caplog.records])
    told = [record.getMessage() for record in caplog.records if record.name == "touchline.endpoints"]
    assert told[0] == "endpoint added"
    assert told[-1] == "endpoint removed"


async def test_the_view_of_an_endpoint(world: World) -> None:
    made = await world.add(url="HTTPS://A.Example:443/hook?token=1", label="prod", topics=["shottracker.shot"])
    view = document(await world.call("show_endpoint", made["endpoint"]))
    del made["secret"]
    assert view == made
    epoch = world.hub.event_log.epoch
    assert view == {
        "endpoint": view["endpoint"],
        "partner": "acme",
        "feed": "hub",
        "url": "https://a.example/hook?token=1",
        "label": "prod",
        "topics": ["shottracker.shot"],
        "options": {},
        "status": "active",
        "by_hub": False,
        "reason": "",
        "created_at": rfc3339.encode(world.clock.wall_ns()),
        "changed_at": rfc3339.encode(world.clock.wall_ns()),
        "secrets": [{"scheme": "hmac", "created_at": rfc3339.encode(world.clock.wall_ns()), "expires_at": None}],
        "subscriptions": [],
        "state": "active",
        "cursor": position.encode(Position(epoch, 5)),
        "head": position.encode(Position(epoch, 9)),
        "backlog": 4,
        "backlog_is_bound": False,
        "oldest_undelivered_seconds": 1.5,
        "success_rate": 0.5,
        "delivered": 10,
        "failed": 3,
        "in_flight": 1,
        "window": 2,
        "open_streams": 1,
        "dead_letters": 0,
        "expired": 0,
        "next_try_seconds": None,
        "last_error": "",
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"feed": "cricket"}, "unknown feed 'cricket'; feeds are"),
        ({"feed": "shottracker"}, "shottracker is not delivered by webhooks; "),
        ({"url": "ftp://a.example/"}, "must begin with http"),
        ({"url": "https://10.0.0.1/x"}, "--allow-network"),
        ({"url": "https://[::ffff:a00:1]/x"}, "--allow-network"),
        ({"url": "https://a.example/#x"}, "fragment"),
        ({"url": "https://a.example/\r\nx"}, "control characters"),
        ({"url": "https://u:p@a.example/"}, "password"),
        ({"topics": ["shot"]}, "is no topic"),
        ({"topics": ["hub.*"]}, "grants do not hold feed=hub"),
        ({"topics": ["*"] * 1001}, "at most 1000"),
        ({"topics": ["x" * 1025]}, "longer than 1024"),
        ({"label": "x" * 101}, "at most 100"),
        ({"label": "a\nb"}, "printable"),
        ({"options": {"signature": "rsa"}}, "signature may be hmac or ed25519"),
        ({"options": {"ordre": "none"}}, "unknown option 'ordre' for hub; it knows feed, signature, subject, order"),
        ({"options": {"order": "some"}}, "option order"),
        ({"options": {"timeout_seconds": "1e9"}}, "option timeout_seconds"),
        ({"options": {"header.Host": "x"}}, "reserved"),
        ({"options": {"header.X-A": "a\r\nb: c"}}, "printable ASCII"),
        ({"options": {"header.Webhook-Id": "x"}}, "reserved"),
        ({"options": {"header.X-A": "x" * 1025}}, "longer than 1024"),
        ({"options": {"feed": "nope"}}, "unknown feed 'nope'"),
        ({"options": {"subject": "a\x00b"}}, "cannot be printed"),
        ({"options": {f"header.x{number}": "1" for number in range(51)}}, "at most 50"),
        ({"options": {"window": 5}}, "Expected `str`"),
        ({"topics": "*"}, "Expected `array`"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
async def test_what_is_refused(world: World, change: dict[str, Any], words: str) -> None:
    assert words in await refused(world, NEW | change)


async def test_bodies_that_are_none(world: World) -> None:
    for body in (b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"partner":"acme"}'):
        await refused(world, body)
    assert "does not have feed" in await refused(world, NEW | {"partner": "nobody"}, 404)
    assert "does not have feed" in await refused(world, NEW | {"feed": "roanuz"}, 404)


async def test_only_admins(world: World) -> None:
    publisher = (world.running.settings.data_dir / "publisher.key").read_text().strip()
    for name in world.operations:
        assert (await world.call(name, "ep_1", b"{}", key="")).status == 401
        assert (await world.call(name, "ep_1", b"{}", key=publisher)).status == 403


async def test_there_is_no_such_endpoint(world: World) -> None:
    bodies = {"replay_endpoint": {"since": "2h"}, "update_endpoint": {"label": "x"}}
    for name, operation in world.operations.items():
        if "{id}" in operation.path:
            for missing in ("ep_1", "../x", "\x00", "x" * 5000):
                assert (await world.call(name, missing, bodies.get(name))).status == 404, name
    assert world.courier.asked == []


async def test_the_number_of_endpoints_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 2)
    await world.add()
    await world.add()
    answer = await world.call("add_endpoint", body=NEW)
    assert answer.status == 409
    assert len(world.hub.endpoints.all()) == 2


async def test_list_by_partner_and_feed_in_pages(world: World) -> None:
    await world.hub.directory.add_member("other", "hub", world.hub.feeds["hub"].credentials, {}, {})
    made = []
    for number in range(5):
        world.clock.advance(1.0)
        made.append((await world.add(partner="other" if number == 2 else "acme"))["endpoint"])
    world.clock.advance(1.0)
    insights = (await world.add(feed="insights", topics=["nfl/highs/en"]))["endpoint"]

    async def ids(**query: str) -> tuple[list[str], str | None]:
        answer = document(await world.call("list_endpoints", **query))
        return [one["endpoint"] for one in answer["endpoints"]], answer.get("next")

    assert await ids() == ([*made, insights], None)
    assert await ids(partner="other") == ([made[2]], None)
    assert await ids(feed="insights") == ([insights], None)
    assert await ids(feed="insights", partner="other") == ([], None)
    assert await ids(limit="4") == (made[:4], made[3])
    assert await ids(limit="4", after=made[3]) == ([made[4], insights], None)
    for limit in ("0", "-1", "1001", "x", "1e2", "", "²"):
        assert (await world.call("list_endpoints", limit=limit)).status == 400
    assert (await world.call("list_endpoints", after="ep_gone")).status == 404


async def test_update_changes_what_is_given(world: World) -> None:
    made = await world.add(topics=["shottracker.shot"], label="a", options={"order": "none", "window": "4"})
    name = made["endpoint"]

    async def update(**changes: object) -> dict[str, Any]:
        answer = await world.call("update_endpoint", name, changes)
        assert answer.status == 200, answer
        return document(answer)

    assert (await update())["options"] == {"order": "none", "window": "4"}
    view = await update(options={"order": None, "window": "5", "rate_limit": "10"})
    assert view["options"] == {"window": "5", "rate_limit": "10"}
    view = await update(url="http://127.0.0.1:9/x", topics=["roanuz.*", "roanuz.*"], label="b")
    assert (view["url"], view["topics"], view["label"]) == ("http://127.0.0.1:9/x", ["roanuz.*"], "b")
    before = world.hub.endpoints.get(name)
    for changes in (
        {"url": "http://10.0.0.1/"},
        {"topics": ["x"]},
        {"label": "\n"},
        {"label": "\n", "url": "http://127.0.0.1:9/y"},
        {"options": {"x": "1"}},
        {"options": {"window": "99"}},
        {"resubscribe": True},
        {"feed": "insights"},
        {"options": None, "topics": [None]},
    ):
        answer = await world.call("update_endpoint", name, changes)
        assert answer.status == 400, changes
    assert world.hub.endpoints.get(name) == before


async def test_a_label_changes_although_the_grants_were_narrowed(world: World) -> None:
    name = (await world.add(topics=["shottracker.shot"]))["endpoint"]
    await world.hub.directory.set_grants("acme", "hub", {"feed": ["roanuz"]}, None)
    assert document(await world.call("update_endpoint", name, {"label": "new"}))["label"] == "new"
    answer = await world.call("update_endpoint", name, {"url": "https://b.example/"})
    assert answer.status == 400
    assert "grants" in document(answer)["detail"]


async def test_topics_that_are_confirmed(world: World) -> None:
    made = await world.add(feed="insights", topics=["nfl/highs/en", "nba/scoring/*"])
    name = made["endpoint"]

    def topics(view: dict[str, Any]) -> dict[str, tuple[str, bool]]:
        return {one["topic"]: (one["state"], one["expired"]) for one in view["subscriptions"]}

    pending = dict.fromkeys(("nfl/highs/en", *(f"nba/scoring/{x}" for x in ("de", "en"))), ("pending", False))
    assert topics(made).items() >= pending.items()
    assert len(topics(made)) == 6
    assert made["topics"] == ["nfl/highs/en", "nba/scoring/*"]
    subscription = world.hub.endpoints.find("insights", "acme", "nfl/highs/en", name)
    assert subscription is not None
    await world.hub.endpoints.confirm(subscription)
    view = document(await world.call("update_endpoint", name, {"topics": ["nfl/highs/en", "nhl/highs/en"]}))
    assert topics(view)["nfl/highs/en"] == ("confirmed", False), "the others go on undisturbed"
    assert topics(view)["nhl/highs/en"] == ("pending", False)
    assert topics(view)["nba/scoring/en"] == ("ended", False)
    view = document(await world.call("update_endpoint", name, {"resubscribe": True}))
    assert topics(view)["nfl/highs/en"] == ("confirmed", False), "it goes on while it is asked anew"
    again = world.hub.endpoints.find("insights", "acme", "nfl/highs/en", name)
    assert again is not None
    assert (again.number, again.to_tell, again.since) == (2, True, subscription.since)
    assert again.token not in str(view)
    view = document(await world.call("update_endpoint", name, {"label": "x"}))
    assert topics(view)["nfl/highs/en"] == ("confirmed", False)
    world.clock.advance(49 * HOUR)
    view = document(await world.call("show_endpoint", name))
    assert topics(view)["nhl/highs/en"] == ("pending", True)
    assert topics(view)["nfl/highs/en"] == ("confirmed", False)
    view = document(await world.call("update_endpoint", name, {"url": "https://b.example/"}))
    assert topics(view)["nfl/highs/en"] == ("pending", False), "at another address nothing is confirmed"


async def test_pause_and_resume(world: World) -> None:
    name = (await world.add())["endpoint"]
    assert document(await world.call("pause_endpoint", name))["status"] == "paused"
    assert world.hub.endpoints.get(name).status == "paused"
    assert world.courier.asked == []
    assert document(await world.call("resume_endpoint", name))["status"] == "active"
    await world.hub.endpoints.set_status(name, "disabled", reason="410 Gone", by_hub=True)
    assert document(await world.call("show_endpoint", name))["reason"] == "410 Gone"
    view = document(await world.call("resume_endpoint", name))
    assert (view["status"], view["reason"], view["by_hub"]) == ("active", "", False)
    assert world.courier.asked == [("wake", name)] * 2


async def test_rotation(world: World) -> None:
    made = await world.add()
    name = made["endpoint"]
    answer = document(await world.call("rotate_endpoint_secret", name))
    assert answer.keys() == {"endpoint", "secret"}
    assert answer["secret"] != made["secret"]
    view = world.hub.endpoints.view(world.hub.endpoints.get(name))
    assert view.secrets == (answer["secret"], made["secret"])
    shown = document(await world.call("show_endpoint", name))["secrets"]
    assert [one["expires_at"] for one in shown] == [None, rfc3339.encode(world.clock.wall_ns() + 86_400 * 10**9)]
    world.clock.advance(25 * HOUR)
    assert len(document(await world.call("show_endpoint", name))["secrets"]) == 1
    last = document(await world.call("rotate_endpoint_secret", name, {"overlap": "0s"}))["secret"]
    assert world.hub.endpoints.view(world.hub.endpoints.get(name)).secrets == (last,)
    for overlap in ("31d", "-1h", "", "24", "1y", "9" * 400 + "s", " 1h", "1h\n"):
        assert (await world.call("rotate_endpoint_secret", name, {"overlap": overlap})).status == 400, overlap
    assert (await world.call("rotate_endpoint_secret", name, b"[]")).status == 400


async def test_ed25519_shows_the_public_key_alone(world: World) -> None:
    made = await world.add(options={"signature": "ed25519"})
    (secret,) = world.hub.endpoints.get(made["endpoint"]).secrets
    assert secret.value.startswith("whsk_")
    assert made["secret"] == standard_webhooks.shown(secret.value)
    assert made["secret"].startswith("whpk_")
    rotated = document(await world.call("rotate_endpoint_secret", made["endpoint"], {"overlap": "0s"}))
    assert rotated["secret"].startswith("whpk_")
    answer = document(await world.call("update_endpoint", made["endpoint"], {"options": {"signature": None}}))
    assert answer["secret"].startswith("whsec_"), "a key pair cannot sign by HMAC"
    assert [one["scheme"] for one in answer["secrets"]] == ["hmac", "ed25519"], "both sign until the overlap ends"
    for options in ({"signature": "hmac"}, {"window": "3"}):
        answer = document(await world.call("update_endpoint", made["endpoint"], {"options": options}))
        assert "secret" not in answer
        assert len(answer["secrets"]) == 2
    answer = document(await world.call("update_endpoint", made["endpoint"], {"options": {"signature": "ed25519"}}))
    assert answer["secret"].startswith("whpk_")
    assert world.hub.endpoints.get(made["endpoint"]).secrets[0].value.startswith("whsk_")


async def test_replay_from_a_time_a_duration_and_a_position(world: World) -> None:
    await world.publish(10)
    records = (await world.hub.event_log.read(0, 100)).records
    name = (await world.add())["endpoint"]
    epoch = world.hub.event_log.epoch

    async def replay(since: str) -> int:
        world.courier.asked.clear()
        answer = await world.call("replay_endpoint", name, {"since": since})
        assert answer.status == 200, answer
        ((verb, asked, after),) = world.courier.asked
        assert (verb, asked) == ("replay", name)
        assert isinstance(after, int)
        assert document(answer) == {"endpoint": name, "after": position.encode(Position(epoch, after))}
        return after

    third = records[2]
    assert await replay(rfc3339.encode(third.appended_at)) == records[1].offset
    assert await replay("2000-01-01T00:00:00+01:00") == 0
    assert await replay("0001-01-01T00:00:00Z") == 0
    assert await replay("2h") == 0
    assert await replay("3.5s") < records[7].offset
    assert await replay("999999999w") == 0
    assert await replay(rfc3339.encode(world.clock.wall_ns())) >= records[8].offset
    assert await replay(position.encode(Position(epoch, third.offset))) == third.offset
    world.courier.asked.clear()
    for since in (
        "",
        "zzzzzzzz-zzzzzzzzzzz",
        "yesterday",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "-2h",
        "2",
        "9999-01-01T00:00:00Z",
        "x" * 9999,
    ):
        assert (await world.call("replay_endpoint", name, {"since": since})).status == 400, since
    for token in (Position("zzzzzzzz", 1), Position(epoch, 10**6)):
        answer = await world.call("replay_endpoint", name, {"since": position.encode(token)})
        assert answer.status == 410
        assert document(answer)["reason"] in ("epoch", "ahead")
    assert (await world.call("replay_endpoint", name)).status == 400
    assert world.courier.asked == []


async def test_replay_of_what_retention_has_removed_is_refused(world: World) -> None:
    await world.publish(10)
    log = world.hub.event_log
    records = (await log.read(0, 100)).records
    name = (await world.add())["endpoint"]
    await log.trim(records[4].offset)
    for since in (
        "2h",
        rfc3339.encode(records[4].appended_at),
        rfc3339.encode(records[5].appended_at),
        position.encode(Position(log.epoch, records[3].offset)),
    ):
        answer = await world.call("replay_endpoint", name, {"since": since})
        assert answer.status == 410, since
        problem = document(answer)
        assert problem["reason"] == "expired"
    assert world.courier.asked == []
    for since in (problem["oldest"], rfc3339.encode(records[5].appended_at + 1)):
        assert (await world.call("replay_endpoint", name, {"since": since})).status == 200
    assert [asked[2] for asked in world.courier.asked] == [records[4].offset, records[5].offset]


async def test_tests_attempts_and_dead_letters(world: World) -> None:
    name = (await world.add())["endpoint"]
    tried = {
        "at": "2023-11-14T22:13:20.000Z",
        "kind": "test",
        "message_id": "m-1",
        "offset": 0,
        "type": "hub.endpoint.test",
        "subject": "ep",
        "number": 1,
        "status": 204,
        "trouble": "",
        "detail": "",
        "seconds": 0.25,
        "excerpt": "",
        "replay": False,
    }
    assert document(await world.call("test_endpoint", name)) == tried
    world.courier.tried = [attempt()]
    assert document(await world.call("list_attempts", name)) == {"endpoint": name, "attempts": [tried]}
    world.courier.letters = [letter(4), letter(7)]
    found = document(await world.call("list_dead_letters", name))["dead_letters"]
    assert [one["offset"] for one in found] == [4, 7]
    assert (found[0]["dead_at"], found[0]["reason"]) == ("2023-11-14T22:13:21.000Z", "500 for 60 s")
    assert "data" not in found[0]
    assert len(document(await world.call("list_dead_letters", name, limit="1"))["dead_letters"]) == 1
    world.courier.asked.clear()
    assert document(await world.call("redrive_dead_letters", name)) == {"endpoint": name, "redriven": 2}
    assert document(await world.call("redrive_dead_letters", name, {"offsets": [7, 7]}))["redriven"] == 1
    assert world.courier.asked == [("redrive", name, None), ("redrive", name, {7})]
    for body in ({"offsets": ["7"]}, {"offsets": 7}, [7], {"offset": [7]}):
        assert (await world.call("redrive_dead_letters", name, body)).status == 400


async def test_an_endpoint_that_goes_away_meanwhile(world: World) -> None:
    name = (await world.add())["endpoint"]
    world.courier.gone.add(name)
    assert (await world.call("show_endpoint", name)).status == 404
    other = (await world.add())["endpoint"]
    listed = document(await world.call("list_endpoints"))["endpoints"]
    assert [one["endpoint"] for one in listed] == [other]


async def test_partners_take_their_endpoints_with_them(world: World) -> None:
    name = (await world.add())["endpoint"]
    await world.hub.directory.suspend("acme")
    assert (await world.call("show_endpoint", name)).status == 200
    assert (await world.call("update_endpoint", name, {"label": "x"})).status == 200
    await world.hub.directory.remove("acme")
    assert (await world.call("show_endpoint", name)).status == 404
