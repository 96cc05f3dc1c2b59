"""Subscribing and unsubscribing by the feed's own calls, with every fault of the list (FAULTS 16)."""

from __future__ import annotations

import msgspec
import pytest

from touchline.feeds.base import Subscription
from touchline.testing.memory import MemoryHub
from touchline.wire.http import HttpResponse

from .worlds import (
    EXAMPLES,
    MATCH,
    OTHER_PROJECT,
    PROJECT,
    STORY,
    answer,
    call,
    code,
    endpoint,
    member,
    new_hub,
    push,
    request,
    token,
    told_hub,
)

LIVE = STORY[:4]
SUBSCRIBE, UNSUBSCRIBE = "updates-subscribe", "updates-unsubscribe"


def standing(hub: MemoryHub, partner: str = "demo", match: str = MATCH) -> Subscription | None:
    return hub.find("roanuz", partner, match)


def accepted(response: HttpResponse) -> None:
    assert response.status == 202, response.body
    body = msgspec.json.decode(response.body)
    assert (body["data"], body["error"], body["http_status_code"]) == ({"status": True}, None, 202)


def test_from_the_call_on_until_the_other() -> None:
    hub = told_hub(story=LIVE)
    accepted(call(hub, SUBSCRIBE))
    found = standing(hub)
    assert found is not None
    assert (found.state, found.since, found.endpoint, found.topic) == ("confirmed", len(LIVE), "", MATCH)
    accepted(call(hub, UNSUBSCRIBE))
    assert standing(hub) is None
    hub.publish(*push("Info"))
    accepted(call(hub, SUBSCRIBE))
    again = standing(hub)
    assert again is not None
    assert again.since == len(LIVE) + 1


@pytest.mark.parametrize(
    "body", [b'{"method": "web_hook"}', b'{"method":"web_hook","more":[1]}', b'\n{"method":"web\\u005fhook"}\n']
)
def test_the_body_in_other_words(body: bytes) -> None:
    accepted(call(told_hub(story=LIVE), SUBSCRIBE, body))


def test_before_the_match_has_begun() -> None:
    hub = new_hub()
    hub.publish("roanuz.match", *EXAMPLES["roanuz.match"])
    accepted(call(hub, SUBSCRIBE))


def test_subscribing_twice_is_said_and_changes_nothing() -> None:
    hub = told_hub(story=LIVE)
    accepted(call(hub, SUBSCRIBE))
    before = list(hub.held)
    hub.publish(*push("Info"))
    twice = call(hub, SUBSCRIBE)
    assert code(twice) == (400, "P-400-4")
    assert "already subscribed" in msgspec.json.decode(twice.body)["error"]["msg"]
    assert hub.held == before


def test_unsubscribing_when_not_subscribed() -> None:
    hub = told_hub(story=LIVE)
    assert code(call(hub, UNSUBSCRIBE)) == (404, "P-404-1")
    accepted(call(hub, SUBSCRIBE))
    accepted(call(hub, UNSUBSCRIBE))
    assert code(call(hub, UNSUBSCRIBE)) == (404, "P-404-1")


@pytest.mark.parametrize("path", [SUBSCRIBE, UNSUBSCRIBE])
def test_an_unknown_match_and_one_outside_the_grants(path: str) -> None:
    assert code(call(told_hub(story=LIVE), path, match="other")) == (400, "A-400-0")
    hub = told_hub(member(match_key="other"), story=LIVE)
    assert code(call(hub, path)) == (400, "A-400-0")
    assert hub.held == []


@pytest.mark.parametrize("path", [SUBSCRIBE, UNSUBSCRIBE])
def test_an_expired_token(path: str) -> None:
    hub = told_hub(story=LIVE)
    value = token(hub)
    asked = request("POST", f"/v5/cricket/{PROJECT}/match/{MATCH}/{path}/", b'{"method":"web_hook"}', rs_token=value)
    hub.advance(24 * 3600)
    assert code(answer(hub, asked)) == (401, "A-401-0")
    assert hub.held == []


@pytest.mark.parametrize("path", [SUBSCRIBE, UNSUBSCRIBE])
def test_a_wrong_project_key(path: str) -> None:
    hub = told_hub(member(), member("other", OTHER_PROJECT), story=LIVE)
    for project in (OTHER_PROJECT, "RS_P_1", "x"):
        url = f"/v5/cricket/{project}/match/{MATCH}/{path}/"
        asked = request("POST", url, b'{"method":"web_hook"}', rs_token=token(hub))
        assert code(answer(hub, asked)) == (401, "A-401-0")
    assert hub.held == []


@pytest.mark.parametrize("path", [SUBSCRIBE, UNSUBSCRIBE])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"method":null}',
        b'{"method":["web_hook"]}',
        b'{"method":"web_socket"}',
        b'{"method":"firebase"}',
        b'{"method":"WEB_HOOK"}',
        b'{"method":""}',
        b"method=web_hook",
        b'{"method":"\xff"}',
        b'{"method":' + b"[" * 5000,
    ],
)
def test_another_method_or_no_body(path: str, body: bytes) -> None:
    hub = told_hub(story=LIVE)
    assert code(call(hub, path, body)) == (400, "A-400-0")
    assert hub.held == []


def test_no_webhook_url_configured() -> None:
    hub = told_hub(story=LIVE, endpoints=False)
    assert code(call(hub, SUBSCRIBE)) == (400, "P-400-1")
    hub.views = [endpoint("other")]
    assert code(call(hub, SUBSCRIBE)) == (400, "P-400-1")
    assert hub.held == []


def test_a_subscription_can_be_ended_without_an_endpoint() -> None:
    hub = told_hub(story=LIVE)
    accepted(call(hub, SUBSCRIBE))
    hub.views.clear()
    accepted(call(hub, UNSUBSCRIBE))


def test_a_match_that_is_over() -> None:
    hub = told_hub(story=LIVE)
    accepted(call(hub, SUBSCRIBE))
    hub.publish(*push("Result"))
    assert code(call(hub, SUBSCRIBE)) == (400, "P-400-4")
    accepted(call(hub, UNSUBSCRIBE))
    assert code(call(hub, SUBSCRIBE)) == (400, "A-400-0")
    assert code(call(told_hub(), SUBSCRIBE)) == (400, "A-400-0")


def test_projects_are_apart() -> None:
    hub = told_hub(member(), member("other", OTHER_PROJECT), story=LIVE)
    accepted(call(hub, SUBSCRIBE))
    assert standing(hub, "other") is None
    url = f"/v5/cricket/{OTHER_PROJECT}/match/{MATCH}"
    others = {"body": b'{"method":"web_hook"}', "rs_token": token(hub, OTHER_PROJECT)}
    assert code(answer(hub, request("POST", f"{url}/{UNSUBSCRIBE}/", **others))) == (404, "P-404-1")  # type: ignore[arg-type]
    accepted(answer(hub, request("POST", f"{url}/{SUBSCRIBE}/", **others)))  # type: ignore[arg-type]
    assert standing(hub) is not None


@pytest.mark.parametrize("path", ["detail-updates-subscribe", "detail-updates-unsubscribe", "subscribe", "unsubscribe"])
def test_the_providers_other_products_are_refused_with_the_one_that_is_served(path: str) -> None:
    hub = told_hub(story=LIVE)
    refused = call(hub, path)
    assert code(refused) == (400, "A-400-0")
    assert "updates-subscribe" in msgspec.json.decode(refused.body)["error"]["msg"]
    url = f"/v5/cricket/{PROJECT}/match/{MATCH}/{path}/"
    assert code(answer(hub, request("POST", url, b"{}"))) == (401, "A-401-0")
    assert hub.held == []
