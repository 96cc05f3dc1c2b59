"""FAULTS 16 on a real hub: the feed's own calls, their errors, and what is pushed because of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from receivers import Receiver
from touchline.client import HubClient

from .hubs import Answer, Hub, cloud_event
from .webhook_worlds import SteppingClock, Traffic, wait_for

MakeHub = Callable[..., Hub]

MATCH, OTHER = "m-1", "m-2"
SUBSCRIBE, UNSUBSCRIBE = "updates-subscribe", "updates-unsubscribe"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


class Project:
    """A partner of the feed, as its program calls the hub."""

    def __init__(self, hub: Hub, name: str = "demo", grants: dict[str, list[str]] | None = None) -> None:
        self.hub = hub
        credentials = hub.partner(name, "roanuz", grants)
        self.key, self.api_key = credentials["project_key"], credentials["api_key"]
        self.token = self.login()

    def login(self) -> str:
        """A token for the key."""
        body = json.dumps({"api_key": self.api_key}).encode()
        answer = self.hub.request("POST", f"/v5/core/{self.key}/auth/", body, {"Content-Type": "application/json"})
        assert answer.status == 200, answer
        token: str = answer.json["data"]["token"]
        return token

    def call(
        self, path: str, match: str = MATCH, *, body: object = None, key: str | None = None, **headers: str
    ) -> Answer:
        """``updates-subscribe`` or the other."""
        sent = json.dumps({"method": "web_hook"} if body is None else body).encode()
        sending = {"Content-Type": "application/json", "rs-token": self.token} | headers
        return self.hub.request("POST", f"/v5/cricket/{key or self.key}/match/{match}/{path}/", sent, sending)


def code(answer: Answer) -> tuple[int, str]:
    """The status and the provider's code."""
    told = answer.json
    assert told["http_status_code"] == answer.status
    assert (told["data"] is None) == (told["error"] is not None)
    return answer.status, "" if told["error"] is None else told["error"]["code"]


def push(hub: Hub, *names: str, match: str = MATCH) -> None:
    """Updates of a match that say ``names``."""
    hub.publish_all(
        cloud_event("roanuz.info", match, {"notification": _notification(match, name)}, id=f"{match}/{name}")
        for name in names
    )


def _notification(match: str, name: str) -> dict[str, Any]:
    pushed = {"matchkey": match, "ball": None, "push_reason": name, "match_push_kind": "Info", "ts": 1_700_000_000}
    return {"sport": "cricket", "data_kind": "match-entry-update", "data": pushed}


def arrived(receiver: Receiver, name: str = "hook") -> list[str]:
    """What came to an address, in order."""
    seen = [one for one in list(receiver.seen) if one.target.strip("/").split("/")[0] == name]
    return [json.loads(gzip.decompress(one.body))["data"]["push_reason"] for one in seen]


def set_up(hub: Hub, receiver: Receiver) -> tuple[Project, HubClient]:
    project = Project(hub)
    client = HubClient(hub.url, hub.admin_key, retry_seconds=0)
    client.endpoints.add("demo", receiver.url("hook"), "roanuz")
    push(hub, "before")
    push(hub, "before", match=OTHER)
    return project, client


def test_from_the_call_on_until_the_other_for_all_of_a_projects_addresses(
    make_hub: MakeHub, receiver: Receiver
) -> None:
    hub = make_hub(allow_network=["127.0.0.0/8"])
    project, client = set_up(hub, receiver)
    with client:
        client.endpoints.add("demo", receiver.url("second"), "roanuz")
        foreign = Project(hub, "foreign")
        client.endpoints.add("foreign", receiver.url("foreign"), "roanuz")
        push(hub, "unasked")
        assert code(project.call(SUBSCRIBE)) == (202, "")
        push(hub, "a", "b")
        push(hub, "x", match=OTHER)
        assert code(project.call(SUBSCRIBE)) == (400, "P-400-4")
        push(hub, "c")
        wait_for(lambda: arrived(receiver) == ["a", "b", "c"] == arrived(receiver, "second"), "three, twice")
        assert code(foreign.call(UNSUBSCRIBE)) == (404, "P-404-1")
        assert code(project.call(UNSUBSCRIBE)) == (202, "")
        assert code(project.call(UNSUBSCRIBE)) == (404, "P-404-1")
        push(hub, "late")
        assert code(project.call(SUBSCRIBE)) == (202, "")
        push(hub, "d")
        wait_for(lambda: arrived(receiver) == ["a", "b", "c", "d"] == arrived(receiver, "second"), "and no other")
        assert arrived(receiver, "foreign") == []


def test_what_is_owed_when_it_is_unsubscribed_is_owed_no_more(make_hub: MakeHub, receiver: Receiver) -> None:
    hub = make_hub(allow_network=["127.0.0.0/8"])
    project, client = set_up(hub, receiver)
    with client:
        assert project.call(SUBSCRIBE).status == project.call(SUBSCRIBE, OTHER).status == 202
        receiver.turn("hook", "status/503")
        push(hub, "a", "b")
        wait_for(lambda: arrived(receiver) != [], "a try")
        assert project.call(UNSUBSCRIBE).status == 202
        tried = len(arrived(receiver))
        receiver.turn("hook", "ok")
        push(hub, "x", match=OTHER)
        (endpoint,) = client.endpoints.all(feed="roanuz")
        client.endpoints.resume(endpoint["endpoint"])
        wait_for(lambda: "x" in arrived(receiver), "the other match")
        wait_for(lambda: client.endpoints.show(endpoint["endpoint"])["backlog"] == 0, "nothing is owed")
        rest = arrived(receiver)[tried:]
        assert "b" not in rest
        assert rest.count("a") <= 1, "one try may have been under way"


def test_calls_that_are_refused(make_hub: MakeHub, receiver: Receiver) -> None:
    clock = SteppingClock()
    hub = make_hub(clock, allow_network=["127.0.0.0/8"])
    project = Project(hub)
    push(hub, "before")
    assert code(project.call(SUBSCRIBE)) == (400, "P-400-1"), "no webhook URL is configured"
    assert code(project.call(UNSUBSCRIBE)) == (404, "P-404-1"), "not subscribed"
    with HubClient(hub.url, hub.admin_key, retry_seconds=0) as client:
        client.endpoints.add("demo", receiver.url("hook"), "roanuz")
        foreign = Project(hub, "foreign")
        narrow = Project(hub, "narrow", {"match_key": [OTHER]})
        client.endpoints.add("narrow", receiver.url("narrow"), "roanuz")
        for path in (SUBSCRIBE, UNSUBSCRIBE):
            for body in ({"method": "email"}, {"method": None}, {}, [], "web_hook"):
                assert code(project.call(path, body=body)) == (400, "A-400-0"), body
            assert code(project.call(path, "nowhere")) == (400, "A-400-0")
            assert code(narrow.call(path)) == (400, "A-400-0"), "as if it did not exist"
            assert code(project.call(path, key="nobody")) == (401, "A-401-0")
            assert code(project.call(path, key=foreign.key)) == (401, "A-401-0")
            for token in ("", "x", foreign.token, project.token[:-1], project.api_key, "\u00e9"):
                assert code(project.call(path, **{"rs-token": token})) == (401, "A-401-0"), token
        clock.ahead_seconds = 25 * 3600
        late = project.call(SUBSCRIBE)
        assert code(late) == (401, "A-401-0")
        assert project.token.encode() not in late.body
        push(hub, "unasked")
        project.token = project.login()
        assert code(project.call(SUBSCRIBE)) == (202, "")
        push(hub, "a")
        wait_for(lambda: arrived(receiver) == ["a"], "the push")
        assert arrived(receiver, "narrow") == []


def test_a_subscription_and_its_token_outlive_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    settings: dict[str, object] = {"allow_network": ["127.0.0.0/8"]}
    with Hub(tmp_path, **settings) as hub:
        project, client = set_up(hub, receiver)
        client.close()
        assert project.call(SUBSCRIBE).status == 202
        push(hub, "a")
        wait_for(lambda: arrived(receiver) == ["a"], "the push")
    with Hub(tmp_path, **settings) as hub:
        project.hub = hub
        assert code(project.call(SUBSCRIBE)) == (400, "P-400-4")
        push(hub, "b")
        wait_for(lambda: arrived(receiver)[-1] == "b", "the next")
        assert set(arrived(receiver)) == {"a", "b"}


def test_subscribing_while_the_match_goes_on_cuts_cleanly(make_hub: MakeHub, receiver: Receiver) -> None:
    hub = make_hub(allow_network=["127.0.0.0/8"])
    project, client = set_up(hub, receiver)
    with client, Traffic(lambda name: push(hub, name)) as traffic:
        traffic.go_on()
        assert project.call(SUBSCRIBE).status == 202
        begun = len(traffic.names)
        traffic.go_on(20)
    wait_for(lambda: arrived(receiver)[-1:] == traffic.names[-1:], "the last")
    got = arrived(receiver)
    assert got == traffic.names[-len(got) :], "from one on everything, once, in order"
    assert len(got) >= len(traffic.names) - begun - 1
