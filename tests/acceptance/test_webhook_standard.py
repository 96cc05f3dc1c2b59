"""Hub webhooks: the ``standardwebhooks`` libraries of npm and PyPI verify each one, also while secrets are rotated."""

from __future__ import annotations

import pytest
import standardwebhooks

from .hubs import Hub, free_port, marker, wait_for
from .nodes import NODE, need_package, node
from .receivers import Program, Reception, Reply

GAME = "game-1"


@pytest.fixture
def hub(shared_hub: Hub) -> Hub:
    """A hub whose webhooks may stay on this machine, with a partner."""
    shared_hub.add_partner("app", "hub", grants={"feed": ["shottracker"]})
    return shared_hub


def rotated(hub: Hub, endpoint: str, *more: str) -> str:
    """The endpoint's new secret."""
    done = hub.command("endpoint", "rotate-secret", endpoint, *more, "--json")
    assert done.code == 0, done
    secret: str = done.json["secret"]
    return secret


def test_the_python_library_verifies_also_during_a_rotation(hub: Hub) -> None:
    with Reception() as reception:
        endpoint = hub.add_endpoint("app", reception.url("app"), "hub", "shottracker.marker")
        hub.publish(marker("m-1", GAME), marker("m-ü", GAME))
        first = reception.reached("app", 2)
        old = standardwebhooks.Webhook(endpoint.secret)
        events = [old.verify(one.body, dict(one.headers)) for one in first]
        assert [(event["id"], event["type"]) for event in events] == [
            ("m-1", "shottracker.marker"),
            ("m-ü", "shottracker.marker"),
        ]
        assert {event["specversion"] for event in events} == {"1.0"}
        assert {one.headers["content-type"].partition(";")[0] for one in first} == {"application/cloudevents+json"}

        new = standardwebhooks.Webhook(rotated(hub, endpoint.id))
        hub.publish(marker("m-3", GAME))
        third = reception.reached("app", 3)[2]
        assert len(third.headers["webhook-signature"].split(" ")) == 2
        for library in (old, new):
            assert library.verify(third.body, dict(third.headers))["id"] == "m-3"
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                library.verify(third.body + b" ", dict(third.headers))
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            new.verify(first[0].body, dict(first[0].headers))

        last = standardwebhooks.Webhook(rotated(hub, endpoint.id, "--overlap", "0s"))
        hub.publish(marker("m-4", GAME))
        fourth = reception.reached("app", 4)[3]
        assert last.verify(fourth.body, dict(fourth.headers))["id"] == "m-4"
        for gone in (old, new):
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                gone.verify(fourth.body, dict(fourth.headers))


def test_the_node_library_verifies_also_during_a_rotation(hub: Hub) -> None:
    need_package("standardwebhooks")
    port = free_port()
    endpoint = hub.add_endpoint("app", f"http://127.0.0.1:{port}/", "hub", "shottracker.*")
    new = rotated(hub, endpoint.id)
    command = [node(), str(NODE / "standard_webhooks_receiver.js"), str(port)]
    with Program(command, SECRETS=f"{endpoint.secret} {new} whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCwgb2YgMzIgYnk=") as app:
        names = [f"n-{number}" for number in range(20)]
        hub.publish(*(marker(name, GAME) for name in names))
        app.reached("verified", len(names))
        assert app.all("verified") == [[True, True, False]] * len(names)
        assert [event["id"] for event in app.all("event")] == names
        assert len(set(app.all("id"))) == len(names)


def test_a_retry_is_signed_anew_with_the_secrets_of_its_moment(hub: Hub) -> None:
    well = False
    with Reception() as reception:
        reception.behave["app"] = lambda _: Reply(200) if well else Reply(500, b"not today")
        endpoint = hub.add_endpoint("app", reception.url("app"), "hub", "*")
        hub.publish(marker("again", GAME))
        reception.reached("app", 1)
        secrets = [endpoint.secret, rotated(hub, endpoint.id), rotated(hub, endpoint.id)]
        known = len(reception.at("app"))
        hub.command("endpoint", "resume", endpoint.id)
        last = reception.reached("app", known + 1)[-1]
        well = True
        for secret in secrets:
            assert standardwebhooks.Webhook(secret).verify(last.body, dict(last.headers))["id"] == "again"
        wait_for(lambda: hub.endpoint_report(endpoint.id)["backlog"] == 0, "it is taken")
        assert len({(one.headers["webhook-id"], one.body) for one in reception.at("app")}) == 1
        attempts = hub.admin("GET", f"/hub/v1/endpoints/{endpoint.id}/attempts")["attempts"]
        assert {(one["status"], one["excerpt"]) for one in attempts} == {(500, "not today"), (200, "ok")}
        assert len(attempts) == len(reception.at("app"))
