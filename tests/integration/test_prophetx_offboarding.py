"""A partner that is removed, suspended or given new credentials while it holds sockets and tokens: all of it is dead
within five seconds and after a restart, and its neighbours miss nothing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from touchline.feeds.prophetx.channels import BROADCAST

from .hubs import Hub
from .prophetx_clients import REFUSED, Client, Session, app_of, numbered, partner, private, sign, told
from .websockets import Client as Socket

MakeHub = Callable[..., Hub]
LIMIT_SECONDS = 5.0


def good_for(hub: Hub, session: Session, credentials: dict[str, str]) -> dict[str, int]:
    """The status of everything that can be asked for over HTTP with what the partner holds."""
    login = json.dumps({name: credentials[name] for name in ("access_key", "secret_key")}).encode()
    refresh = json.dumps({"refresh_token": session.tokens["refresh_token"]}).encode()
    return {
        "login": hub.request("POST", "/partner/auth/login", login).status,
        "refresh": hub.request("POST", "/partner/auth/refresh", refresh).status,
        "config": session.get("/websocket/connection-config").status,
        "channel": session.post("/mm/pusher", "socket_id=1.1").status,
        "tournaments": session.get("/mm/get_tournaments").status,
        "wagers": session.get("/mm/get_wagers").status,
        "order": session.post("/mm/place_wager", "{}").status,
    }


def lose(hub: Hub, how: str, name: str) -> None:
    calls = {
        "remove": ("DELETE", f"/hub/v1/partners/{name}"),
        "suspend": ("POST", f"/hub/v1/partners/{name}/suspend"),
        "rotate": ("POST", f"/hub/v1/partners/{name}/feeds/prophetx/rotate"),
    }
    answer = hub.admin(*calls[how])
    assert answer.status in (200, 204), answer


@pytest.mark.parametrize("how", ["remove", "suspend", "rotate"])
def test_all_that_a_partner_holds_is_dead_and_stays_so(make_hub: MakeHub, how: str) -> None:
    hub = make_hub()
    credentials, others = partner(hub, "alice"), partner(hub, "bob")
    session = Session(hub, credentials)
    with ExitStack() as stack:
        nothing, one, both = (stack.enter_context(Client(hub, {}, session=session)) for _ in range(3))
        one.subscribe(BROADCAST)
        both.subscribe_all()
        neighbours = [stack.enter_context(Client(hub, others)).subscribe_all() for _ in range(3)]
        quiet = stack.enter_context(Client(hub, others))
        published = 0
        ended = threading.Event()

        def publish() -> None:
            nonlocal published
            while not ended.is_set():
                hub.publish_all([*numbered([published]), private(credentials["partner_id"], published)])
                published += 1

        publishing = threading.Thread(target=publish)
        publishing.start()
        try:
            assert set(list(good_for(hub, session, credentials).values())[:-1]) == {200}
            begun = time.monotonic()
            lose(hub, how, "alice")
            assert {told(client.socket) for client in (nothing, one, both)} == {(4003, 4003)}
            assert set(good_for(hub, session, credentials).values()) == {401}
            assert time.monotonic() - begun < LIMIT_SECONDS
        finally:
            ended.set()
            publishing.join()
        for neighbour in neighbours:
            assert neighbour.numbers(published - 1) == list(range(published))
            assert neighbour.is_alive()
        assert quiet.is_alive()
        key, socket_id, before = session.config["key"], both.socket_id, both.channels
        hub.stop()
        again = stack.enter_context(Hub(hub.directory))
        session.hub = again
        assert set(good_for(again, session, credentials).values()) == {401}
        if how == "rotate":  # the key is the partner's still; only what was signed or issued before is worthless
            with Socket(again, f"/app/{key}?protocol=7") as socket:
                assert socket.event()["event"] == "pusher:connection_established"
                for name, channel in before.items():
                    data = {"channel": name, "auth": channel["auth"]}
                    socket.send_text(json.dumps({"event": "pusher:subscribe", "data": data}))
                    assert socket.event()["event"] == REFUSED, f"signed for {socket_id}"
        else:
            assert told(Socket(again, f"/app/{key}?protocol=7")) == (4003, 4003)
        with Client(again, others) as neighbour:
            neighbour.subscribe_all()
            again.publish_all(numbered([published]))
            assert neighbour.numbers(published) == [published]


def test_a_suspended_partner_comes_back_with_what_it_had(make_hub: MakeHub) -> None:
    hub = make_hub()
    credentials = partner(hub, "alice")
    session = Session(hub, credentials)
    lose(hub, "suspend", "alice")
    assert set(good_for(hub, session, credentials).values()) == {401}
    assert hub.admin("POST", "/hub/v1/partners/alice/resume").status in (200, 204)
    with Client(hub, credentials) as client:
        client.subscribe_all()
        hub.publish_all([private(credentials["partner_id"], 1)])
        assert client.change()[:2] == ("wagers", "wager")


def test_a_new_partner_of_the_same_name_inherits_nothing_and_leaves_nothing(make_hub: MakeHub) -> None:
    hub = make_hub()
    old = partner(hub, "alice")
    session = Session(hub, old)
    hub.publish_all([private(old["partner_id"], 1)])
    with Client(hub, {}, session=session) as client:
        lose(hub, "remove", "alice")
        assert told(client.socket) == (4003, 4003)
        former = client.private
    new = partner(hub, "alice")
    assert new["partner_id"] != old["partner_id"]
    assert set(good_for(hub, session, old).values()) == {401}
    with Client(hub, new) as fresh:
        assert fresh.get("/mm/get_wagers").json["data"]["wagers"] == []
        assert fresh.subscribe_with(former, sign(hub, "alice", fresh.socket_id, former))["event"] == REFUSED
        fresh.subscribe_all()
        hub.publish_all([private(old["partner_id"], 2), private(new["partner_id"], 3)])
        assert fresh.change()[2]["info"]["id"] == "w3"
    assert app_of(hub, "alice").key == session.config["key"]


def test_grants_that_change_send_the_partner_round_and_nobody_else(make_hub: MakeHub) -> None:
    hub = make_hub()
    credentials, others = partner(hub, "alice"), partner(hub, "bob")
    with Client(hub, credentials) as client, Client(hub, others) as neighbour:
        client.subscribe_all()
        neighbour.subscribe_all()
        answer = hub.admin("PUT", "/hub/v1/partners/alice/feeds/prophetx", {"grants": {"tournament_id": ["31"]}})
        assert answer.status in (200, 204), answer
        assert told(client.socket) == (4200, 4200)
        hub.publish_all([*numbered([1], "109"), *numbered([2], "31")])
        assert neighbour.numbers(2) == [1, 2]
        session = Session(hub, credentials)
        with Client(hub, {}, session=session) as back:
            back.subscribe_all()
            hub.publish_all([*numbered([3], "109"), *numbered([4], "31")])
            assert back.numbers(4) == [4]
